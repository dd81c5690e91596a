"""What is found early, and what a day without a fault brings (on our simulator).

    python bench/vigil.py faint --seeds FIRST COUNT     0.01 % one way: named within three polls?
    python bench/vigil.py step --seeds FIRST COUNT      1.5 dB inside all limits: found before pairs are slow?
    python bench/vigil.py clean --seeds FIRST COUNT [--hours 24]      nothing is wrong: is anything ordered?

A seed is a fabric that is watched minute by minute (``fusing/course.py``): agents tell each minute (for
``faint`` each ten seconds), switches are polled each minute, one poll in a hundred fails, hours are
summed up as they end. ``faint`` asks from the poll on at which 50,000 packets have crossed the link
since the onset. ``clean`` has drift, daily waves, noise, and switches that start anew; a cycle every
five minutes. Prints JSON; ``--records`` appends a line a seed, ``--read`` sums such files up. Seeds
below 1000 are for building.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fusing import draw
from fusing.course import Course
from fusing.score import ways
from fusing.summary import share

from correlator.engine.cycle import Cycle
from correlator.fabric.dice import Dice
from correlator.fabric.faults import Fault, Mark
from correlator.fabric.layout import Size
from correlator.fabric.stories import Author

ONSET_S = 300
CROSSED, POLLS = 50_000, 3
BURST_S = 10  # losses in bursts come and go so fast
STEP_DB, STEP_MINUTES = 1.5, 25
RESTARTS_A_DAY = 0.25  # of a switch

Record = dict[str, Any]


def main() -> int:
    options = parsed()
    began = time.process_time()
    records = [json.loads(line) for path in options.read for line in path.read_text().splitlines()]
    if not options.read:
        for seed in range(options.seeds[0], sum(options.seeds)):
            records.append(WATCHES[options.what](seed, options))
            if options.records:
                with options.records.open("a") as file:
                    file.write(json.dumps(records[-1]) + "\n")
    answer = {"on": "our simulator", "seeds": len(records)} | SUMMARIES[options.what](records)
    if not options.read:
        answer["cpu_s_a_seed"] = round((time.process_time() - began) / max(len(records), 1), 2)
    json.dump(answer, sys.stdout, indent=1)
    print()
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=tuple(WATCHES))
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 4), metavar=("FIRST", "COUNT"))
    parser.add_argument("--hours", type=int, default=24, help="of a clean day")
    parser.add_argument("--records", type=Path, help="append what was found, a line a seed")
    parser.add_argument("--read", type=Path, nargs="+", default=[], help="sum up such files instead")
    return parser.parse_args()


def named(course: Course, told: Cycle, link: int) -> bool:
    """Return whether a verdict or finding names a directed link."""
    true = ways(*course.world.setting.layout.directed(link))
    return any(true & ways(one.link, one.direction) for one in (*told.verdicts, *told.findings))


def others(course: Course, told: Cycle) -> int:
    """Return how many verdicts and findings order work on links where nothing is wrong."""
    sick = {
        way for fault in course.drawn for mark in fault.marks
        for way in ways(*course.world.setting.layout.directed(mark.link))
    }  # fmt: skip
    every = [one for one in (*told.verdicts, *told.findings) if ordered(one)]
    return sum(1 for one in every if not ways(one.link, one.direction) & sick)


def ordered(verdict: Any) -> bool:
    """Return whether somebody is sent somewhere."""
    return any(action.do != "none" for action in verdict.actions)


# -- 0.01 % one way ----------------------------------------------------------------------------------


def faint(seed: int, _: argparse.Namespace) -> Record:
    """Return when a loss of 0.01 % in one direction was named, counted in polls."""

    def faults(author: Author) -> list[Fault]:
        rng = Dice(seed).stream("faint")
        names = [name for name in draw.CAUSES if name != "shared_component"]
        chances = np.array([draw.CAUSES[name] for name in names])
        name = names[int(rng.choice(len(names), p=chances / chances.sum()))]
        cards = {k for k in range(author.layout.links) if author.layout.receiver(k).kind == "nic"}
        return [draw.corrupting(name, author, ONSET_S, draw.FAINT, Dice(seed), cards)]

    course = Course(seed, draw.size(seed), faults, interval_s=BURST_S)
    (fault,) = course.drawn
    link, counts = fault.link or 0, course.world.links.counts
    before, polls, wrong = 0, 0, 0
    found: int | None = None
    for minute in course.minutes(30):
        arrived = int(counts.received[link] + counts.errors[link])
        if 60 * minute <= ONSET_S:
            before = arrived
            continue
        polls += arrived - before >= CROSSED
        if polls:
            told = course.cycle()
            wrong += others(course, told)
            found = polls if named(course, told, link) else None
        if found or polls >= POLLS:
            break
    return {
        "seed": seed,
        "cause": fault.kind,
        "crossed": arrived - before,
        "polls": found,
        "others": wrong,
    }


def of_faint(records: list[Record]) -> Record:
    """Return how many were named in time; only links between switches: nobody asks a host's card."""
    enough = [one for one in records if one["crossed"] >= CROSSED]
    return {
        "named_within_3_polls": share(enough, lambda one: one["polls"] is not None),
        "at_the_first": share(enough, lambda one: one["polls"] == 1),
        "too_little_traffic": len(records) - len(enough),
        "orders_elsewhere": sum(one["others"] for one in records),
    }


# -- a step of light ---------------------------------------------------------------------------------


def step(seed: int, _: argparse.Namespace) -> Record:
    """Return when light that a dirty connector takes, and nothing else, was found."""

    def faults(author: Author) -> list[Fault]:
        links = [k for k in draw.crossed(author, set()) if author.layout.receiver(k).kind != "nic"]
        link = int(Dice(seed).stream("step").choice(links))
        return [Fault("dirty_connector", ONSET_S, 0.0, link, STEP_DB, marks=(Mark(link, way_db=STEP_DB),))]

    course = Course(seed, draw.size(seed), faults)
    link = course.drawn[0].link or 0
    found: int | None = None
    slow, wrong = 0, 0
    for minute in course.minutes(ONSET_S // 60 + STEP_MINUTES):
        since = minute - ONSET_S // 60
        if since < 0 or (since % 5 and since > 5):
            continue
        told = course.cycle()
        wrong += others(course, told)
        slow += int(told.pairs["slow"].sum()) > 0
        if since > 0 and named(course, told, link):
            found = since
            break
    port = course.world.setting.layout.receiver(link).number
    now, _ = course.world.modules.means_dbm(course.world.day_second(0.0), course.world.shade(ONSET_S + 1.0))
    low = course.world.setting.physics.light.rx_limits_dbm[0]
    return {
        "seed": seed,
        "noise_db": round(float(course.world.modules.noise[port]), 3),
        "inside_limits": bool(now[port] > low),
        "minutes": found,
        "slow": slow,
        "others": wrong,
    }


def of_step(records: list[Record]) -> Record:
    """Return how many were found, how soon, and that nobody was slow."""
    inside = [one for one in records if one["inside_limits"]]
    took = sorted(one["minutes"] for one in inside if one["minutes"] is not None)
    return {
        "found": share(inside, lambda one: one["minutes"] is not None),
        "found_within_5_minutes": share(
            inside, lambda one: one["minutes"] is not None and one["minutes"] <= 5
        ),
        "median_minutes": took[len(took) // 2] if took else None,
        "some_pair_was_slow": share(inside, lambda one: one["slow"] > 0),
        "orders_elsewhere": sum(one["others"] for one in records),
        "outside_limits": len(records) - len(inside),
    }


# -- clean days --------------------------------------------------------------------------------------


def clean(seed: int, options: argparse.Namespace) -> Record:
    """Return what was ordered in some hours in which nothing was wrong."""
    rng = Dice(seed).stream("clean")
    size = Size(int(rng.integers(2, 5)), int(rng.integers(2, 4)), int(rng.integers(1, 3)))
    minutes = 60 * options.hours
    restarts: dict[int, list[int]] = {}
    for number in range(size.leaves + size.spines):
        if rng.random() < RESTARTS_A_DAY * options.hours / 24:
            restarts.setdefault(int(rng.integers(1, minutes)), []).append(number)
    course = Course(seed, size, lambda _: [], restarts)
    said: list[str] = []
    cycles = 0
    for minute in course.minutes(minutes):
        if minute % 5 == 0:
            told = course.cycle()
            cycles += 1
            said += [
                f"{minute} {one.root_cause} {one.link}"
                for one in (*told.verdicts, *told.findings)
                if ordered(one)
            ]
    orders = [event for event in course.opened if ordered(event.verdict)]
    return {
        "seed": seed,
        "hours": options.hours,
        "cycles": cycles,
        "restarts": sum(map(len, restarts.values())),
        "said": said,
        "orders": [f"{event.verdict.root_cause} {event.verdict.link}" for event in orders],
        "opened": len(course.opened),
    }


def of_clean(records: list[Record]) -> Record:
    """Return hours watched and orders given."""
    return {
        "hours": sum(one["hours"] for one in records),
        "cycles": sum(one["cycles"] for one in records),
        "restarts": sum(one["restarts"] for one in records),
        "orders": sum(len(one["orders"]) for one in records),
        "cycles_that_said_one": share(
            [said for one in records for said in [*one["said"], *[""] * (one["cycles"] - len(one["said"]))]],
            bool,
        ),
        "incidents_of_any_kind": sum(one["opened"] for one in records),
        "what": [text for one in records for text in (*one["orders"], *one["said"])][:20],
    }


WATCHES: dict[str, Callable[[int, argparse.Namespace], Record]] = {
    "faint": faint,
    "step": step,
    "clean": clean,
}
SUMMARIES: dict[str, Callable[[list[Record]], Record]] = {
    "faint": of_faint,
    "step": of_step,
    "clean": of_clean,
}

if __name__ == "__main__":
    sys.exit(main())
