"""How well single flows tell which links are sick, on traces of a fabric; baselines and a bound beside it.

    python bench/localize.py TRACE… --mode int|traced|probes|passive [--set SET] [--oracle]
    python bench/localize.py --set uniform|skew|low --traces 50 --first 1 --mode … [--oracle]
    python bench/localize.py --set uniform --traces 2 --first 1 --write DIR

Prints JSON: precision and recall by link and by symmetry class (means over the traces, pooled
counts with 95 % intervals), calibration, seconds (reading excluded), the digest of the shipped
settings, and beside the result the bar of its set and, with --oracle, the bound. Of traces in files
--set, --loss and --noise say what they were drawn from; the localiser is not told. Without
arguments: a small fabric in all modes. docs/algorithms/localize.md says more.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from localization import bars, baselines, clos, score, traces
from localization.oracle import oracle

from correlator.engine import localize

FAILURES = (1, 2, 4, 8)  # of generated traces, in turn


def main() -> int:
    options = parsed()
    params = localize.Params()
    answer: dict[str, Any] = {"params": digest(params)}
    modes = [options.mode] if options.mode else list(traces.MODES)
    if options.write:
        for trace, _, seed in given(options):
            traces.write(trace, options.write / f"{options.set}-{seed}.txt")
        return 0
    try:
        answer |= judged(options, modes, params)
    except (traces.TraceError, OSError) as error:
        print(f"localize: {error}", file=sys.stderr)
        return 1
    json.dump(answer, sys.stdout, indent=1)
    print()
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trace", nargs="*", type=Path)
    parser.add_argument("--mode", choices=traces.MODES)
    parser.add_argument("--set", choices=sorted(clos.SETS), default="uniform", help="what traces are like")
    parser.add_argument("--loss", type=float, nargs=2, help="of failed links, instead of the set's")
    parser.add_argument("--noise", type=float, help="the most that good links lose, instead of the set's")
    parser.add_argument("--traces", type=int, default=0, help="how many; 0: three of a small fabric")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--failures", type=int, help="instead of 1, 2, 4 and 8 in turn")
    parser.add_argument("--oracle", action="store_true", help="the bound too (slow with --mode passive)")
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--write", type=Path, help="write the traces here instead")
    return parser.parse_args()


def digest(params: localize.Params) -> str:
    """Return what identifies a setting."""
    text = json.dumps(asdict(params), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def shape_of(options: argparse.Namespace) -> clos.Shape:
    """Return what the traces are drawn from."""
    shape = (clos.SETS if options.traces or options.trace else clos.SMALL)[options.set]
    given = {"loss": options.loss and tuple(options.loss), "noise": options.noise}
    return replace(shape, **{name: value for name, value in given.items() if value is not None})


def given(options: argparse.Namespace) -> Iterator[tuple[traces.Trace, clos.Shape, int]]:
    """Yield each trace, what it was drawn from, and its seed (0: read from a file)."""
    shape = shape_of(options)
    for path in options.trace:
        yield traces.read(path), shape, 0
    if not options.trace:
        for seed in range(options.first, options.first + (options.traces or 3)):
            failures = FAILURES[seed % len(FAILURES)] if options.failures is None else options.failures
            yield clos.trace(shape, seed, failures), shape, seed


class Tally:
    """The scores of one mode."""

    def __init__(self) -> None:
        self.link: dict[str, score.Score] = {}
        self.classes: dict[str, score.Score] = {}
        self.told: list[tuple[float, bool]] = []
        self.seconds: list[float] = []
        self.cpu: list[float] = []
        self.traces: list[dict[str, Any]] = []

    def add(self, who: str, named: set[int], failed: set[int]) -> None:
        self.link.setdefault(who, score.Score()).add(named, failed)

    def add_classes(self, who: str, named: set[int], failed: set[int]) -> None:
        self.classes.setdefault(who, score.Score()).add(named, failed)

    def summary(self) -> dict[str, Any]:
        return {
            "link": {who: one.told() for who, one in self.link.items()},
            "class": {who: one.told() for who, one in self.classes.items()},
            "calibration": score.reliability(self.told),
            "seconds": {"mean": mean(self.seconds), "max": round(max(self.seconds, default=0.0), 3)},
            "cpu_seconds": {"mean": mean(self.cpu), "max": round(max(self.cpu, default=0.0), 3)},
            "traces": self.traces,
        }


def mean(values: list[float]) -> float:
    return round(float(np.mean(values)), 3) if values else 0.0


def judged(options: argparse.Namespace, modes: list[str], params: localize.Params) -> dict[str, Any]:
    """Return the summary of each mode."""
    tallies = {mode: Tally() for mode in modes}
    for trace, shape, seed in given(options):
        for mode, tally in tallies.items():
            judge(trace, shape, seed, mode, params, options, tally)
    told = {}
    for mode, tally in tallies.items():
        told[mode] = tally.summary()
        told[mode]["judged"] = bars.judged(told[mode], mode, options.set)
    return told


def judge(
    trace: traces.Trace,
    shape: clos.Shape,
    seed: int,
    mode: Any,
    params: localize.Params,
    options: argparse.Namespace,
    tally: Tally,
) -> None:
    """Add one trace's scores in one mode."""
    flows, classes = trace.seen(mode), trace.classes()
    begun, begun_cpu = time.perf_counter(), time.thread_time()
    suspects = localize.localize(localize.Evidence.of_flows(flows), params)
    tally.seconds.append(time.perf_counter() - begun)
    tally.cpu.append(time.thread_time() - begun_cpu)
    failed, failed_classes = set(trace.failed), {int(classes[link]) for link in trace.failed}
    links, groups = named(suspects, params), named_classes(suspects, classes, params)
    tally.add("correlator", links, failed)
    tally.add_classes("correlator", set(groups), failed_classes)
    tally.told += told(suspects, classes, trace, mode)
    tally.traces.append(shown(trace, suspects, links, seed, tally.seconds[-1]))
    if not options.no_baselines:
        for who, found in beside(trace, flows, shape, seed).items():
            tally.add(who, found, failed)
            tally.add_classes(who, {int(classes[link]) for link in found}, failed_classes)
    if options.oracle:
        if mode == "passive":
            tally.add_classes("oracle", oracle(trace, flows, shape, params.named, classes), failed_classes)
        else:
            alone = np.arange(len(trace.links))
            tally.add("oracle", oracle(trace, flows, shape, params.named, alone), failed)


def named(suspects: list[localize.Suspect], params: localize.Params) -> set[int]:
    """Return the links that are named: surely enough, whatever ails them."""
    tops = [suspect.by_link()[0] for suspect in suspects]
    return {link for link, probability in tops if probability >= params.named}


def named_classes(
    suspects: list[localize.Suspect], classes: traces.Ints, params: localize.Params
) -> dict[int, float]:
    """Return the symmetry classes that surely enough hold a sick link."""
    tops = [max(by_class(suspect, classes).items(), key=lambda item: item[1]) for suspect in suspects]
    return {number: probability for number, probability in tops if probability >= params.named}


def by_class(suspect: localize.Suspect, classes: traces.Ints) -> dict[int, float]:
    answer: dict[int, float] = {}
    for link, probability in suspect.by_link():
        answer[int(classes[link])] = answer.get(int(classes[link]), 0.0) + probability
    return answer


def told(
    suspects: list[localize.Suspect], classes: traces.Ints, trace: traces.Trace, mode: str
) -> list[tuple[float, bool]]:
    """Return each probability that was told, with whether it was so: of links, in ``passive`` of classes."""
    failed = {int(classes[link]) for link in trace.failed}
    if mode == "passive":
        return [(p, c in failed) for suspect in suspects for c, p in by_class(suspect, classes).items()]
    return [(p, link in trace.failed) for suspect in suspects for link, p in suspect.by_link()]


def beside(trace: traces.Trace, flows: localize.Flows, shape: clos.Shape, seed: int) -> dict[str, set[int]]:
    """Return what the baselines name; the telemetry that two of them need is drawn."""
    return {
        "voting": baselines.voting(flows),
        "set cover": baselines.cover(flows),
        "any CRC": baselines.any_error(trace, seed, shape.noise),
        "Rx below limit": baselines.low_light(trace, seed),
    }


def shown(
    trace: traces.Trace, suspects: list[localize.Suspect], links: set[int], seed: int, seconds: float
) -> dict[str, Any]:
    """Return what was said of one trace."""
    return {
        "name": trace.name,
        "seconds": round(seconds, 3),
        "named": [
            {
                "link": trace.links[suspect.number],
                "probability": round(suspect.by_link()[0][1], 4),
                "rate": round(suspect.rate, 6),
                "right": suspect.number in trace.failed,
            }
            for suspect in suspects
            if suspect.number in links
        ],
        "abstained": sum(suspect.number not in links for suspect in suspects),
        "failed": len(trace.failed),
    }


if __name__ == "__main__":
    sys.exit(main())
