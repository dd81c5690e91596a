"""How well symptoms and telemetry together tell which link is sick, why, and how sure (on our simulator).

    python bench/fusion.py --seeds FIRST COUNT [--set uniform|skew|low|corropt|twins]
                             [--coverage 100 70 40 10 0]
    python bench/fusion.py --read FILE… [--plot docs/algorithms/calibration.svg]

A seed is a fabric with telemetry as tables, made in this process: leaves, spines, services, links that lose
packets for CorrOpt's causes at the set's rates, polls with skew and gaps, modules that tell half of what
they know, a cable list with errors, links that are sick and hurt nobody. The engine judges it with the
shipped settings, once for each coverage: the share of switches that answer SNMP. Prints JSON; without
``--set`` the first four sets take turns. ``--scale`` widens every range and rate of what disturbs.
``--records`` appends what was claimed, a line a cycle, which ``--read`` sums up. Seeds below 1000 are for
building, published figures start at 5000. docs/algorithms/calibration.md says more.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fusing import draw, plot
from fusing.score import claims
from fusing.summary import summary
from fusing.watch import watch

from correlator.engine.cycle import remember, run_cycle

IN_TURN = ("uniform", "skew", "low", "corropt")


def main() -> int:
    options = parsed()
    began = time.process_time()
    records = [json.loads(line) for path in options.read for line in path.read_text().splitlines()]
    if not options.read:
        records = list(judged(options))
    answer = {"on": "our simulator", "scale": options.scale} | summary(records)
    if not options.read:
        answer["cpu_s_a_seed"] = round((time.process_time() - began) / max(options.seeds[1], 1), 2)
    if options.plot:
        options.plot.write_text(plot.reliability(answer["calibration"]["verdicts"]))
    json.dump(answer, sys.stdout, indent=1)
    print()
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 4), metavar=("FIRST", "COUNT"))
    parser.add_argument("--set", choices=draw.SETS)
    parser.add_argument("--coverage", type=int, nargs="+", default=[100, 70, 40, 10, 0], help="percent")
    parser.add_argument("--scale", type=float, default=1.0, choices=(0.5, 1.0, 2.0))
    parser.add_argument("--oracle", action="store_true", help="the bound too: judges who know all ranges")
    parser.add_argument("--records", type=Path, help="append what was claimed, a line a cycle")
    parser.add_argument("--read", type=Path, nargs="+", default=[], help="sum up such files instead")
    parser.add_argument("--plot", type=Path, help="write the reliability plot here (SVG)")
    return parser.parse_args()


def judged(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield what was claimed of each seed at each coverage."""
    first, count = options.seeds
    for seed in range(first, first + count):
        name = options.set or IN_TURN[seed % len(IN_TURN)]
        for record in of_seed(draw.Mix(name, options.scale), seed, options.coverage, options.oracle):
            if options.records:
                with options.records.open("a") as file:
                    file.write(json.dumps(record) + "\n")
            yield record


def of_seed(mix: draw.Mix, seed: int, coverages: list[int], bound: bool = False) -> Iterator[dict[str, Any]]:
    """Yield what was claimed of one fabric at each coverage, percent."""
    watched = watch(mix, seed)
    for coverage in coverages:
        tables = watched.seen(coverage / 100)
        past = remember(tables, watched.now)
        yield claims(watched, run_cycle(tables, (), watched.now, past=past), coverage / 100, bound)


if __name__ == "__main__":
    sys.exit(main())
