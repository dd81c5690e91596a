"""Runs the demo over seeds and scores it: how often the verdict is the truth (on our simulator).

Right is a run with a verdict for the fault and for nothing else (``commands.judge``): kind, link, direction,
cause or service, and the true end among the steps. A line that told of slow pairs and was no verdict in the
end is counted apart.

    python bench/demo.py --seeds 0 1 2 …     or     python bench/demo.py --first 0 --count 100 --jobs 2

Prints one line a seed and a summary; exits 1 where a seed is wrong.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

OPENED = re.compile(r'INCIDENT_OPENED .*?incident="(\w+)".* pairs="([1-9]\d*)"')


def demo(seed: int) -> dict[str, Any]:
    """Return what one demo printed as JSON, with its seed and exit code."""
    command = [str(Path(sys.executable).with_name("correlator")), "demo", "--seed", str(seed), "--json"]
    with tempfile.TemporaryDirectory() as directory:
        run = subprocess.run(
            [*command, "--directory", directory], capture_output=True, text=True, timeout=300
        )
    try:
        answer: dict[str, Any] = json.loads(run.stdout)
    except ValueError:
        answer = {key: [] for key in ("truth", "verdicts", "findings", "alerts")}
        answer |= {"seconds": 0.0, "error": run.stderr[-2000:]}
    return {**answer, "seed": seed, "exit": run.returncode}


def taken_back(result: dict[str, Any]) -> int:
    """Return how many lines told of slow pairs and of no verdict that is left in the end."""
    opened = [found[1] for alert in result["alerts"] if (found := OPENED.search(alert))]
    return len(set(opened) - {verdict["id"] for verdict in result["verdicts"]})


def line(result: dict[str, Any]) -> str:
    """Return one line about one seed."""
    truth = ", ".join(t["root_cause"] for t in result["truth"]) or "nothing wrong"
    verdicts = ", ".join(v["root_cause"] for v in result["verdicts"]) or "none"
    mark = "right" if result["exit"] == 0 else "WRONG"
    found = f"findings: {len(result['findings']):2d}  taken back: {taken_back(result)}"
    return (
        f"seed {result['seed']:4d}  {mark}  truth: {truth:18s} verdict: {verdicts:18s} {found}  "
        f"{result['seconds']:5.1f} s  {result.get('error', '')}"
    )


def main() -> int:
    """Run the seeds and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    seeds = options.seeds or list(range(options.first, options.first + options.count))
    results = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for result in pool.map(demo, seeds):
            results.append(result)
            print(line(result), flush=True)
    right = sum(result["exit"] == 0 for result in results)
    clean = [result for result in results if not result["truth"]]
    false = sum(len(result["verdicts"]) > 0 for result in clean)
    back = sum(taken_back(result) for result in results)
    slowest = max(result["seconds"] for result in results)
    print(f"on our simulator: {right} of {len(results)} right; a verdict on {false} of {len(clean)} fabrics")
    print(f"where nothing was wrong; lines taken back: {back}; the slowest took {slowest:.1f} s")
    return 0 if right == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
