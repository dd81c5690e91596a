"""``python -m correlator.agent``: the agent without the command line's other rooms."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from correlator.agent.start import check, start
from correlator.ports import CorrelatorError


def main() -> int:
    """Run the agent or its check; return the exit code."""
    parser = argparse.ArgumentParser(prog="correlator agent", description="The host agent.")
    parser.add_argument("--config", type=Path, help="file with the settings")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting over the file's"
    )
    parser.add_argument("--check", action="store_true", help="say what is missing and end")
    given = parser.parse_args()
    try:
        return check(given.config, given.set) if given.check else start(given.config, given.set)
    except CorrelatorError as error:
        print(f"correlator agent: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
