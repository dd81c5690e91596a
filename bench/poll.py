"""How much CPU polling costs: the product's own path, the kernel's floor, and other pollers, interleaved.

    bench/poll.py [--switches 10 100 1000 3000] [--rounds 5] [--only NAME …] [--json FILE]

Builds the farm of synthetic switches and the floor (sources in ``CORRELATOR_SHARED``, else ``../shared``),
runs each contender in turn, again and again, as a process of its own, and prints CPU seconds (user and
system) per million useful varbinds: median, spread, ratio to the floor of the same run. The poll set is
1,152 varbinds a switch: 16 columns of 64 ports and 128 sensors. Absent contenders are named and skipped.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
SHARED = Path(os.environ.get("CORRELATOR_SHARED", HERE.parents[1] / "shared"))
MOST = {"pysnmp": 3, "exporter": 50, "gufo": 200, "collectd": 100}  # switches that a dear contender is given
TIMEOUT_S = 300


@dataclass
class Contender:
    """Who runs, how often it may be slower, and what its runs cost."""

    name: str
    command: Callable[[int], list[str]]
    costs: dict[int, list[float]] = field(default_factory=dict)
    memory: dict[int, list[float]] = field(default_factory=dict)


def built(folder: Path, name: str) -> Path:
    """Return a program compiled from the shared source of that name."""
    source = SHARED / "bench" / f"{name}.c"
    subprocess.run(["gcc", "-O3", "-march=native", "-w", "-o", folder / name, source], check=True)
    return folder / name


def free_port() -> int:
    """Return a UDP port that nothing listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rounds(switches: int) -> str:
    """Return how often the floor and we poll in one run: so often that the first time weighs little."""
    return str(min(50, max(2, 1000 // switches)))


def contenders(folder: Path, port: int) -> tuple[list[Contender], list[str]]:
    """Return who can run here, and the names of who is absent."""
    floor = built(folder, "snmpfloor")
    python = sys.executable

    def script(name: str, *more: str) -> Callable[[int], list[str]]:
        path, ours = str(HERE / "polling" / f"{name}.py"), name == "product"
        return lambda n: [python, path, str(n), rounds(n) if ours else "2", str(port), *more]

    found = [
        Contender("floor", lambda n: [str(floor), "-n", str(n), "-r", rounds(n), "-p", str(port)]),
        Contender("correlator", script("product")),
        Contender("correlator, no two alike", script("product", "apart")),
        Contender("correlator, ordinary socket calls", script("product", "plain")),
        Contender("pysnmp", script("with_pysnmp")),
    ]
    absent = []
    for name, there in (
        ("exporter", shutil.which("prometheus-snmp-exporter") is not None),
        ("collectd", shutil.which("collectd") is not None or Path("/usr/sbin/collectd").exists()),
        ("gufo", subprocess.run([python, "-c", "import gufo.snmp"], capture_output=True).returncode == 0),
    ):
        if there:
            found.append(Contender(name, script(f"with_{name}")))
        else:
            absent.append(name)
    return found, absent


def run(one: Contender, switches: int) -> None:
    """Run a contender once and note what it cost; what fails is told and not counted."""
    given = min(switches, MOST.get(one.name, switches))
    done = subprocess.run(one.command(given), capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode:
        print(f"{one.name}: failed: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return
    told = json.loads(done.stdout.strip().splitlines()[-1])
    cpu = told["cpu"] if "cpu" in told else told["user"] + told["sys"]
    one.costs.setdefault(switches, []).append(cpu / told["vb"] * 1e6)
    one.memory.setdefault(switches, []).append(told.get("rss_mb", 0.0))


def figures(found: list[Contender], sizes: list[int]) -> list[dict[str, object]]:
    """Return a row for each contender and number of switches."""
    rows: list[dict[str, object]] = []
    floors = found[0].costs
    for switches in sizes:
        for one in found:
            costs = one.costs.get(switches)
            if costs:
                ratios = [cost / floor for cost, floor in zip(costs, floors[switches], strict=False)]
                rows.append(
                    {
                        "switches": switches,
                        "contender": one.name,
                        "runs": len(costs),
                        "cpu_s_per_million": round(statistics.median(costs), 3),
                        "least": round(min(costs), 3),
                        "most": round(max(costs), 3),
                        "times_floor": round(statistics.median(ratios), 2),
                        "rss_mb": round(max(one.memory[switches]), 1),
                    }
                )
    return rows


def main() -> int:
    """Run them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--switches", type=int, nargs="+", default=[10, 100, 1000, 3000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="names of contenders, beside the floor")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    if not (SHARED / "bench" / "snmpfarm.c").exists():
        print("skipped: the sources of farm and floor are absent (CORRELATOR_SHARED)", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        farm = subprocess.Popen(
            [built(folder, "snmpfarm"), "-p", str(port), "-x", "7200"], stderr=subprocess.DEVNULL
        )
        try:
            time.sleep(0.5)
            found, absent = contenders(folder, port)
            found = [one for one in found if not options.only or one.name in ("floor", *options.only)]
            for switches in options.switches:
                for _ in range(options.rounds):
                    for one in found:
                        run(one, switches)
        finally:
            farm.terminate()
            farm.wait()
    rows = figures(found, options.switches)
    for name_ in absent:
        print(f"absent, skipped: {name_}", file=sys.stderr)
    print(
        f"{'switches':>8}  {'contender':34} {'runs':>4} {'s/M':>8} {'least':>8} "
        f"{'most':>8} {'x floor':>8} {'MB':>6}"
    )
    for row in rows:
        print(
            f"{row['switches']:>8}  {row['contender']:34} {row['runs']:>4} {row['cpu_s_per_million']:>8} "
            f"{row['least']:>8} {row['most']:>8} {row['times_floor']:>8} {row['rss_mb']:>6}"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
