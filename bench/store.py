"""What the store costs: minutes of counters of many ports, appended, read back, compacted.

    python bench/store.py [--ports 64000] [--minutes 30] [--directory DIR]

Synthetic counters: busy octets and packets, mostly flat errors. Prints one line a measurement.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from correlator import frames
from correlator.store.delta import DeltaStore

START = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
BUSY = ("in_octets", "out_octets", "in_packets", "out_packets")
FLAT = ("in_errors", "out_errors", "in_discards", "out_discards", "fcs_errors", "symbol_errors")
SMALL, SMALL_ROWS = 1000, 100  # appends of so many rows: some 25 minutes of a large fabric's commits


def minutes_of_counters(ports: int, minutes: int) -> list[pd.DataFrame]:
    """Return a table for each minute, as a poller would return it."""
    dice = np.random.default_rng(1)
    totals = {name: dice.integers(0, 2**63, ports, dtype=np.uint64) for name in (*BUSY, *FLAT)}
    index = np.arange(ports)
    names = {
        "device": pd.array([f"leaf{port // 64}" for port in index], dtype="str"),
        "if_name": pd.array([f"Ethernet{port % 64}" for port in index], dtype="str"),
    }
    tables = []
    for minute in range(minutes):
        for name in BUSY:
            totals[name] = totals[name] + dice.lognormal(18, 2, ports).astype(np.uint64)
        for name in FLAT:
            totals[name] = totals[name] + (dice.random(ports) < 0.01).astype(np.uint64)
        columns = {**names, "if_index": index % 64, **totals}
        table = pd.DataFrame({"at": START + timedelta(minutes=minute), **columns})
        tables.append(frames.validate("counters", table))
    return tables


def timed(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def measure(folder: Path, ports: int, minutes: int) -> None:
    tables = minutes_of_counters(ports, minutes)
    store, end = DeltaStore(folder), START + timedelta(minutes=minutes)
    appends = [
        timed(lambda n=n, table=table: store.append("counters", table, source="bench", sequence=n))
        for n, table in enumerate(tables)
    ]
    print(f"append of {ports} rows: median {statistics.median(appends):.3f} s, longest {max(appends):.3f} s")
    report_size(folder, ports * minutes)
    for what, reader in (("warm", store), ("cold", DeltaStore(folder))):
        measure_reads(what, reader, end)
    print(f"maintain: {timed(lambda: store.maintain(end)):.3f} s")
    measure_reads("compacted", DeltaStore(folder), end)
    measure_small(store, tables[0].head(SMALL_ROWS), end)
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB")


def measure_small(store: DeltaStore, table: pd.DataFrame, end: datetime) -> None:
    """Print what small appends cost, the first hundred and the last: their log grows meanwhile."""
    took = []
    for number in range(SMALL):
        begun = time.process_time()
        store.append("counters", table, source="small", sequence=number)
        store.newest("counters", end)
        took.append(time.process_time() - begun)
    for name, some in (("first", took[:100]), ("last", took[-100:])):
        mean = statistics.mean(some)
        print(f"append of {SMALL_ROWS} rows and newest, {name} 100 of {SMALL}: mean {mean:.4f} s CPU")


def measure_reads(what: str, store: DeltaStore, end: datetime) -> None:
    since = end - timedelta(minutes=15)
    few = ["at", "device", "if_name", "in_errors"]
    reads: dict[str, Callable[[], object]] = {
        "last 15 minutes, all columns": lambda: store.read("counters", since, end),
        "last 15 minutes, 4 columns": lambda: store.read("counters", since, end, few),
        "newest of each port, first": lambda: store.newest("counters", end),
        "newest of each port, again": lambda: store.newest("counters", end),
    }
    for name, read in reads.items():
        print(f"{name}, {what}: {timed(read):.3f} s")


def report_size(folder: Path, rows: int) -> None:
    size = sum(path.stat().st_size for path in folder.glob("counters/day=*/*.parquet"))
    print(f"on disk: {size / rows:.1f} bytes a row")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--ports", type=int, default=64_000)
    arguments.add_argument("--minutes", type=int, default=30)
    arguments.add_argument("--directory", type=Path)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-store-", dir=given.directory) as folder:
        measure(Path(folder), given.ports, given.minutes)


if __name__ == "__main__":
    main()
