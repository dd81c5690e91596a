"""``python -m correlator.fabric``: the simulated fabric as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from correlator.fabric.faults import STORIES
from correlator.fabric.history import write_history
from correlator.fabric.layout import Size
from correlator.fabric.server import Server
from correlator.fabric.simulation import Fabric


def main() -> int:
    """Serve a fabric until SIGTERM or the end of standard input; return 0, or 2 for bad arguments."""
    options = _arguments().parse_args()
    try:
        size = Size(options.leaves, options.spines, options.hosts_per_leaf)
        real = options.speed == "real"
        start = datetime.now(UTC).replace(microsecond=0) if real else None
        fabric = Fabric(options.seed, options.story, size, start=start, fault_seed=options.fault_seed)
        options.directory.mkdir(parents=True, exist_ok=True)
        write_history(fabric.world, options.directory / "history")
    except (ValueError, OSError) as error:
        sys.stderr.write(f"fabric: {error}\n")
        return 2
    asyncio.run(Server(fabric, options.directory.resolve(), real).run())
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m correlator.fabric", description=__doc__)
    parser.add_argument(
        "--directory", type=Path, required=True, help="takes fabric.json, truth.json, history/"
    )
    parser.add_argument("--seed", type=_seed, required=True, help="decides everything")
    parser.add_argument("--story", choices=STORIES, help="by default drawn from the seed")
    parser.add_argument("--fault-seed", type=_seed, help="draws fault and decoys anew, and nothing else")
    parser.add_argument("--leaves", type=int, default=4)
    parser.add_argument("--spines", type=int, default=2)
    parser.add_argument("--hosts-per-leaf", type=int, default=2)
    parser.add_argument(
        "--speed",
        choices=("stepped", "real"),
        default="stepped",
        help="stepped: time moves by POST /advance; real: with the wall clock",
    )
    return parser


def _seed(text: str) -> int:
    seed = int(text)
    if seed < 0:
        raise argparse.ArgumentTypeError("a seed is a whole number from 0")
    return seed


if __name__ == "__main__":
    sys.exit(main())
