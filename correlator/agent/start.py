"""The two things that the command does: run, or say what is missing. Imports the rest late."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from correlator.agent.settings import load
from correlator.ports import CorrelatorError


class AgentError(CorrelatorError):
    """The agent could not start; one sentence."""


def start(config: Path | None, overrides: Sequence[str]) -> int:
    """Run the agent until SIGTERM; return the exit code. Raises CorrelatorError."""
    settings = load(config, overrides)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    from correlator.agent.program import Program
    from correlator.agent.spool import SpoolError

    try:
        return Program(settings).serve()
    except SpoolError as error:
        raise AgentError(str(error)) from None


def check(config: Path | None, overrides: Sequence[str]) -> int:
    """Print, a line each, what the agent needs and whether it is there; return 0 if all of it is, else 1."""
    settings = load(config, overrides)
    from correlator.agent.check import findings

    everything = findings(settings)
    for finding in everything:
        print(f"{finding.mark}  {finding.what}: {finding.text}")  # noqa: T201
    return 1 if any(finding.is_missing for finding in everything) else 0
