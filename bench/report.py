"""What a daily report costs: 1,000 links, 10,000 container pairs and 24 hours of minutes, on one core.

    python bench/report.py [--links 1000] [--pairs 10000] [--hours 24] [--directory DIR]

The store is made first, in a process of its own (minutes, and some GB of memory); then the report is
made from it by another, held to one core. Prints one line a measurement; exits 1 beyond 10 s or 1 GB.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from correlator import frames
from correlator.model import Action, End, Evidence, Link, PairImpact, Verdict, Window
from correlator.reports import daily, gather, page, period
from correlator.store.delta import DeltaStore, Params

DAY = date(2026, 11, 17)
START = datetime(2026, 11, 17, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NOW = START + timedelta(hours=30)
MOST_SECONDS, MOST_MB, MOST_BYTES = 10.0, 1024, 2_000_000
SPINES = 8


@dataclass(frozen=True)
class Size:
    links: int
    pairs: int
    hours: int

    @property
    def ends(self) -> list[tuple[str, str, str, str]]:
        """(device, interface, far device, far interface) of both ends of every link."""
        found = []
        for number in range(self.links):
            leaf, spine = f"leaf{number // SPINES:03}", f"spine{number % SPINES}"
            port, far = f"Ethernet{49 + number % SPINES}", f"Ethernet{number // SPINES + 1}"
            found += [(leaf, port, spine, far), (spine, far, leaf, port)]
        return found


def columns(name: str, rows: int, **values: Any) -> pd.DataFrame:
    """Return a table of so many rows; a single value stands in each."""
    table = pd.DataFrame(values, index=range(rows))
    return frames.validate(name, table)


def network(size: Size) -> Iterator[tuple[str, pd.DataFrame]]:
    ends = pd.DataFrame(size.ends, columns=["device", "if_name", "remote_sys_name", "remote_port_id"])
    names = sorted(set(ends["device"]))
    at = START + MINUTE
    yield "devices", columns("devices", len(names), at=at, device=names, sys_name=names, rack="B12")
    plain = {"at": at, "device": ends["device"], "if_name": ends["if_name"], "if_index": ends.index}
    up = {"if_type": 6, "admin_status": "up", "oper_status": "up", "speed_bps": 10**11}
    yield "interfaces", columns("interfaces", len(ends), **plain, **up)
    far = {name: ends[name] for name in ("remote_sys_name", "remote_port_id")}
    yield "neighbors", columns("neighbors", len(ends), **plain, **far, protocol="lldp")
    yield "polls", columns("polls", len(names), at=at, target=names, kind="switch", ok=True)


def counters(size: Size, hour: int) -> pd.DataFrame:
    ends = pd.DataFrame(size.ends, columns=["device", "if_name", "far", "far_port"])
    minutes = pd.concat([ends.assign(minute=hour * 60 + minute) for minute in range(60)], ignore_index=True)
    passed = minutes["minute"].to_numpy(np.uint64)
    bad = (minutes["device"] == "leaf003") & (minutes["if_name"] == "Ethernet52")
    return columns(
        "counters", len(minutes),
        at=START + pd.to_timedelta(minutes["minute"], unit="min"),
        device=minutes["device"], if_name=minutes["if_name"], if_index=1,
        uptime_cs=10**7 + passed * np.uint64(6000), discontinuity_cs=0,
        octets_width_bits=64, errors_width_bits=64,
        in_octets=passed * np.uint64(7 * 10**8), out_octets=passed * np.uint64(7 * 10**8),
        in_packets=passed * np.uint64(10**6), out_packets=passed * np.uint64(10**6),
        in_errors=passed * np.where(bad, 80, 0).astype(np.uint64),
        out_errors=0, in_discards=0, out_discards=0,
    )  # fmt: skip


def optics(size: Size, hour: int) -> pd.DataFrame:
    ends = pd.DataFrame(size.ends, columns=["device", "if_name", "far", "far_port"])
    steps = pd.concat([ends.assign(minute=hour * 60 + 5 * step) for step in range(12)], ignore_index=True)
    noise = np.random.default_rng(hour).normal(0, 0.06, len(steps))
    return columns(
        "optics", len(steps),
        at=START + pd.to_timedelta(steps["minute"], unit="min"),
        device=steps["device"], if_name=steps["if_name"], if_index=1, lane=1,
        rx_power_dbm=np.round(-3 + noise, 2), tx_power_dbm=-1.0, bias_ma=6.4, temperature_c=41.0,
        rx_power_low_warn_dbm=-9.9, rx_power_low_alarm_dbm=-11.9,
        rx_power_high_warn_dbm=2.4, rx_power_high_alarm_dbm=3.4,
    )  # fmt: skip


def link_hours(size: Size, day: int) -> pd.DataFrame:
    ends = pd.DataFrame(size.ends, columns=["device", "if_name", "far", "far_port"])
    parts = [
        ends.assign(hour=START + (24 * day + hour) * HOUR, metric=metric)
        for hour in range(24)
        for metric in ("errors", "discards", "utilisation_in", "utilisation_out")
    ]
    rows = pd.concat(parts, ignore_index=True)
    return columns(
        "link_hours", len(rows), at=rows["hour"] + HOUR, hour=rows["hour"],
        device=rows["device"], if_name=rows["if_name"], metric=rows["metric"],
        exposure=6e7, count=np.where(rows.index % 97 == 0, 3.0, 0.0), sum=18.0,
    )  # fmt: skip


def optics_hours(size: Size, day: int) -> pd.DataFrame:
    ends = pd.DataFrame(size.ends, columns=["device", "if_name", "far", "far_port"])
    parts = [
        ends.assign(hour=START + (24 * day + hour) * HOUR, metric=metric)
        for hour in range(24)
        for metric in ("rx_power_dbm", "tx_power_dbm", "bias_ma", "temperature_c")
    ]
    rows = pd.concat(parts, ignore_index=True)
    return columns(
        "optics_hours", len(rows), at=rows["hour"] + HOUR, hour=rows["hour"],
        device=rows["device"], if_name=rows["if_name"], lane=1, metric=rows["metric"],
        exposure=12.0, count=12.0, sum=-36.0 - np.random.default_rng(30 + day).random(len(rows)),
    )  # fmt: skip


def pair_names(size: Size) -> pd.DataFrame:
    number = np.arange(size.pairs)
    return pd.DataFrame(
        {
            "src": [f"client{n:05}" for n in number],
            "dst": [f"server{n % 997:05}" for n in number],
            "src_host": [f"node-{n % 200:03}" for n in number],
            "dst_host": [f"node-{n % 997 % 200:03}" for n in number],
            "src_service": [f"web-{n % 40}" for n in number],
            "dst_service": [f"shop-{n % 997 % 25}" for n in number],
        }
    )


def pair_hours(size: Size, day: int) -> pd.DataFrame:
    pairs = pair_names(size)
    metrics = (
        "retransmissions",
        "rto",
        "response_ms",
        "service_ms",
        "min_rtt_us",
        "exchanges",
        "connections",
    )
    parts = [
        pairs.assign(hour=START + (24 * day + hour) * HOUR, metric=metric)
        for hour in range(24)
        for metric in metrics
    ]
    rows = pd.concat(parts, ignore_index=True)
    return columns(
        "pair_hours", len(rows), at=rows["hour"] + HOUR, hour=rows["hour"], metric=rows["metric"],
        src_host=rows["src_host"], dst_host=rows["dst_host"],
        src_service=rows["src_service"] + rows["src"].str[-3:], dst_service=rows["dst_service"],
        exposure=3600.0, count=3000.0, sum=24_000.0,
    )  # fmt: skip


def containers(size: Size) -> pd.DataFrame:
    pairs = pair_names(size)
    both = [
        pairs[["src", "src_host", "src_service"]].set_axis(["container_id", "host", "service"], axis=1),
        pairs[["dst", "dst_host", "dst_service"]].set_axis(["container_id", "host", "service"], axis=1),
    ]
    rows = pd.concat(both).drop_duplicates("container_id")
    rows = rows.assign(name=rows["container_id"], address=rows["container_id"], at=START)
    return frames.validate("containers", rows.assign(started_at=START - HOUR).reset_index(drop=True))


def hosts() -> pd.DataFrame:
    names = [f"node-{number:03}" for number in range(200)]
    ports = [f"leaf{number % 100:03}" for number in range(200)]
    return columns("hosts", 200, at=START, host=names, nic="eth0", hostname=names, lldp_sys_name=ports)


def pair_samples(size: Size, since: int, minutes: int) -> pd.DataFrame:
    pairs = pair_names(size)
    rows = pd.concat([pairs.assign(minute=since + minute) for minute in range(minutes)], ignore_index=True)
    at = START + pd.to_timedelta(rows["minute"] + 0.5, unit="min")
    shared = {
        "at": at, "netns": "1", "server_port": 8080, "interval_s": 60.0, "complete": True,
        "connections_open": 4, "connections_new": 1, "bytes_sent": 10**6, "bytes_received": 10**6,
        "data_segments_sent": 4000, "data_segments_received": 4000, "retransmitted_segments": 3,
        "retransmitted_bytes": 4000, "dsack": 0, "rto_count": 0, "min_rtt_us": 90.0, "srtt_us": 120.0,
        "exchanges": 900, "method": "difference",
    }  # fmt: skip
    ends = []
    for role, own, peer in (("client", "src", "dst"), ("server", "dst", "src")):
        values = {
            "role": role, "host": rows[f"{own}_host"], "container_id": rows[own],
            "local_wire_address": rows[own], "peer_wire_address": rows[peer],
        }  # fmt: skip
        times = ("response", 9000.0) if role == "client" else ("service", 6000.0)
        values |= {f"{times[0]}_ms_sum": times[1], f"{times[0]}_ms_count": 900}
        ends.append(columns("pair_samples", len(rows), **shared, **values))
    return pd.concat(ends, ignore_index=True)


def verdict(size: Size) -> Verdict:
    link = Link.between(End("leaf003", "Ethernet52"), End("spine3", "Ethernet4"))
    onset, at = START + timedelta(hours=9), START + timedelta(hours=size.hours) - MINUTE
    pairs = tuple(
        PairImpact(row.src, row.dst, row.src, row.dst, 3.0, 2.0, 4.0, 12.0, 4.0, 0.9)
        for row in pair_names(size).itertuples()
    )
    return Verdict(
        id="v", kind="link", link=link, direction=link.direction_into(End("leaf003", "Ethernet52")),
        root_cause="dirty_connector", probability=0.98, severity="err", onset=min(onset, at),
        window=Window(onset, at), lane=1,
        actions=(Action(1, "inspect_and_clean", "leaf003", "Ethernet52", 1, "rx"),),
        evidence=(Evidence("errors", 8e-5, 24.0, "8e-05 of the packets are damaged"),), pairs=pairs,
    )  # fmt: skip


def make(folder: Path, size: Size) -> None:
    """Fill a store as a day of polling and its upkeep leave it: hour by hour, compacted."""
    store = DeltaStore(folder)

    def put(name: str, table: pd.DataFrame, sequence: int = 0) -> None:
        store.append(name, table, source=f"bench {name}", sequence=sequence)

    for name, table in (*network(size), ("containers", containers(size)), ("hosts", hosts())):
        put(name, table)
    for hour in range(size.hours):
        put("counters", counters(size, hour), hour)
        put("optics", optics(size, hour), hour)
        for half in range(2):
            put("pair_samples", pair_samples(size, 60 * hour + 30 * half, 30), 2 * hour + half)
    for number, day in enumerate(range(-30, 1)):
        put("optics_hours", optics_hours(size, day), number)
        if day >= -7:
            put("link_hours", link_hours(size, day), number)
        if day >= -1:
            put("pair_hours", pair_hours(size, day), number)
    found = verdict(size)
    document = {"kind": found.kind, "root_cause": found.root_cause, "probability": 0.98, "severity": "err"}
    row = {"at": found.window.until, "id": "v", "document": json.dumps(found.to_json()), **document}
    put("verdicts", frames.frame("verdicts", [row]))


def measure(folder: Path) -> None:
    """Make the report; print what it took; exit 1 where that is too much."""
    begun, busy = time.perf_counter(), time.process_time()
    store = DeltaStore(folder, Params(cache_mb=0, cache_file_mb=0))  # as the command opens it
    gathered = gather.gather(store, period.begun(DAY, "UTC", NOW))
    read = time.perf_counter()
    written = page.render(daily.content(gathered.tables, DAY, "UTC", NOW, looks=gathered.looks))
    done, used = time.perf_counter(), time.process_time() - busy
    peak, size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, len(written.encode())
    rows = sum(len(table) for table in gathered.tables.values())
    print(f"reading {rows} rows: {read - begun:.1f} s; the report of them: {done - read:.1f} s")
    print(f"in all {done - begun:.1f} s, of them {used:.1f} s of processor time (at most {MOST_SECONDS:g})")
    print(f"peak memory: {peak} MB (at most {MOST_MB})")
    print(f"page: {size} bytes (at most {MOST_BYTES})")
    sys.exit(int(used > MOST_SECONDS or peak > MOST_MB or size > MOST_BYTES))


def apart(work: Any, *arguments: Any) -> int:
    """Do some work in a process of its own, so that its memory is its own; return its exit code."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    return process.exitcode or 0


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--links", type=int, default=1000)
    arguments.add_argument("--pairs", type=int, default=10_000)
    arguments.add_argument("--hours", type=int, default=24)
    arguments.add_argument("--directory", type=Path, help="keep the store here, and use it if it is there")
    given = arguments.parse_args()
    size = Size(given.links, given.pairs, given.hours)
    with tempfile.TemporaryDirectory(prefix="bench-report-") as folder:
        store = given.directory or Path(folder)
        begun = time.perf_counter()
        if not (store / "verdicts").exists():
            if apart(make, store, size):
                return 1
            print(f"the store of {size}: {time.perf_counter() - begun:.0f} s")
        # Before the other process starts: libraries count the cores that they may use when they load.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        return apart(measure, store)


if __name__ == "__main__":
    sys.exit(main())
