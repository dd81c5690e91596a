"""What a cycle costs, stage by stage, as a fabric grows.

    python bench/cycle.py [--sizes 1000:10000,100000:1000000] [--seed 1] [--without paths,localize] [--json]

Each size is DIRECTED LINKS:PAIRS A MINUTE; each runs in a process of its own. The tables are drawn, not
measured (``bench/cycles/fabric.py``): five minutes of counters and two readings of light of every port,
and a minute's samples of every container pair from both ends, one link among them losing 0.5 %.
Measured is the second cycle: the map is drawn in the first, and again only when the inventory is new, which
topology polls bring every few minutes; what the first cost has a line of its own.
``--without`` leaves stages out, so that the others' growth can be seen. Making the tables is not
counted, nor is what is remembered once an hour, which has a line of its own.
Steps go side by side: a stage's seconds are those of its own threads, and can add up to more than the whole
cycle's, which are those of the clock on the wall and the processor's of all threads. Memory is the
process's peak (VmHWM) while the stage went on, tables and what is remembered included; what making them
left behind is given back before.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cycles.fabric import Fabric
from cycles.stages import Clock, let_go, peak_mb

from correlator.engine import (
    baseline,
    bursts,
    conclude,
    corrected,
    cycle,
    health,
    impacts,
    incidents,
    joint,
    lanes,
    localize,
    measures,
    optics,
    pairs,
    paths,
    rates,
    symptoms,
    topology,
    traces,
    view,
)

SIZES = "1000:10000,3000:30000,10000:100000,30000:300000,100000:1000000"
MOST_BYTES, MOST_SECONDS = 16 * 2**30, 900  # of a size's process: what needs more is said to have failed
STAGES = [
    (cycle, "accepted", "accepted"),
    (cycle, "look", "view"),
    (topology, "build_map", "map"),
    (rates, "rates", "rates"),
    (health, "health", "health"),
    (lanes, "read_lanes", "light"),
    (optics, "light", "light"),
    (optics, "while_off", "light"),
    (pairs, "resolve", "resolve"),
    (pairs, "observations", "observations"),
    (measures, "measured", "measures"),
    (measures, "served", "measures"),
    (baseline, "usual", "usual"),
    (baseline, "service_hours", "usual"),
    (baseline, "usual_service", "usual"),
    (symptoms, "symptoms", "symptoms"),
    (symptoms, "host_pairs", "symptoms"),
    (symptoms, "along", "symptoms"),
    (symptoms, "onsets", "symptoms"),
    (paths, "find_paths", "paths"),
    (paths.Paths, "of", "paths"),
    (paths.Paths, "over", "paths"),
    (paths.Paths, "written_out", "paths"),
    (impacts, "container_pairs", "impacts"),
    (localize, "localize", "localize"),
    (traces, "followed", "paths"),
    (bursts, "lasting", "bursts"),
    (corrected, "growth", "corrected"),
    (conclude, "blames", "conclude"),
    (conclude, "link_verdicts", "conclude"),
    (conclude, "service_verdicts", "conclude"),
    (conclude, "unknown_verdicts", "conclude"),
    (conclude, "findings", "conclude"),
    (joint, "joined", "joint"),
    (cycle, "dead_links", "dead"),
    (incidents, "follow", "incidents"),
]
SIDE_BY_SIDE = (view,)  # rooms that do two things at once


def leave_out(names: Sequence[str]) -> None:
    """Let stages answer that nothing is known, without looking."""
    if "localize" in names:
        localize.localize = lambda evidence, params: []
    if "paths" in names:
        found = paths.find_paths
        paths.find_paths = lambda directed, hosts, wanted, *more: found(directed, [], wanted, *more)


def one_size(directed: int, pairs_a_minute: int, seed: int) -> dict[str, Any]:
    """Return what one cycle took on a fabric of a size."""
    fabric = Fabric(directed, pairs_a_minute, seed)
    tables = fabric.inventory() | fabric.hours_past()
    tables |= {"counters": fabric.counters(), "optics": fabric.optics()}
    tables["pair_samples"] = fabric.samples(fabric.minutes - 1)
    began = time.perf_counter()
    past = cycle.remember(tables, fabric.now)
    remembered = {"seconds": round(time.perf_counter() - began, 3), "pair_hours": len(tables["pair_hours"])}
    for name in ("link_hours", "optics_hours", "pair_hours"):
        del tables[name]
    began = time.process_time()
    drawn = cycle.run_cycle(tables, [], fabric.now, past=past).drawn
    first = time.process_time() - began
    tables |= {
        name: tables[name].copy(deep=True) for name in view.MAPPED if name in tables
    }  # as they are read anew
    let_go()
    clock, before = Clock(), peak_mb()
    for room, function, name in STAGES:
        clock.around(room, function, name)
    for room in SIDE_BY_SIDE:
        clock.beside(room)
    began, processor = time.perf_counter(), time.process_time()
    with clock.stage("the rest"):
        told = cycle.run_cycle(tables, [], fabric.now, past=past, before=drawn)
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    named = [str(verdict.link) for verdict in told.verdicts]
    sick = f"{fabric.sick[0]} {fabric.sick[1]}"
    return {
        "directed_links": 2 * len(fabric.wires), "pairs": len(told.container_pairs),
        "groups": len(told.pairs), "seconds": round(seconds, 3), "cpu_seconds": round(processor, 3),
        "peak_mb": round(max([peak_mb(), *(stage.peak_mb for stage in clock.stages.values())])),
        "before_mb": round(before),
        "stages": {
            name: {
                "seconds": round(stage.seconds, 3),
                "cpu_seconds": round(stage.cpu_seconds, 3),
                "peak_mb": round(stage.peak_mb),
            }
            for name, stage in clock.stages.items()
        },
        "first_cpu_seconds": round(first, 3), "once_an_hour": remembered,
        "verdicts": named, "right": [sick in name for name in named] == [True],
    }  # fmt: skip


def table(results: list[dict[str, Any]]) -> str:
    """Return the results as text: a row a stage, a column a size; a line for each size that failed."""
    failed = [f"{one['size']} failed: {one['failed']}" for one in results if "failed" in one]
    results = [one for one in results if "failed" not in one]
    names = list(dict.fromkeys(name for result in results for name in result["stages"]))
    head = ["seconds, processor's (MB)", *(f"{r['directed_links']}:{r['pairs']}" for r in results)]
    rows = [head]
    for name in names:
        cells = [result["stages"].get(name) for result in results]
        rows.append(
            [
                name,
                *(f"{c['seconds']:.2f} {c['cpu_seconds']:.2f} ({c['peak_mb']})" if c else "-" for c in cells),
            ]
        )
    rows.append(
        ["whole cycle", *(f"{r['seconds']:.2f} {r['cpu_seconds']:.2f} ({r['peak_mb']})" for r in results)]
    )
    rows.append(["with a new map", *(f"{r['first_cpu_seconds']:.2f}" for r in results)])
    rows.append(["tables and past alone", *(f"({r['before_mb']})" for r in results)])
    rows.append(["once an hour", *(f"{r['once_an_hour']['seconds']:.2f}" for r in results)])
    rows.append(["the one sick link named", *("yes" if r["right"] else "no" for r in results)])
    return "\n".join(["  ".join(f"{cell:>25}" for cell in row) for row in rows] + failed)


def apart(directed: str, pairs_a_minute: str, seed: int, without: str) -> dict[str, Any]:
    """Return what ``one_size`` says in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--one", f"{directed}:{pairs_a_minute}"]
    command += ["--seed", str(seed), "--without", without]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        return {"size": f"{directed}:{pairs_a_minute}", "failed": f"more than {MOST_SECONDS} seconds"}
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["killed"]
        return {"size": f"{directed}:{pairs_a_minute}", "failed": last[0][:200]}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--sizes", default=SIZES)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--without", default="", help="stages to leave out")
    arguments.add_argument("--json", action="store_true", help="JSON alone")
    arguments.add_argument("--one", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    leave_out(given.without.split(","))
    if given.one:
        directed, pairs_a_minute = given.one.split(":")
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
        print(json.dumps(one_size(int(directed), int(pairs_a_minute), given.seed)))
        return
    results = [apart(*size.split(":"), given.seed, given.without) for size in given.sizes.split(",")]
    if not given.json:
        print(table(results))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
