"""The command line: data on stdout, progress and logs on stderr, errors in one sentence.

Exit codes: 0 the command did its work, 1 it could not, 2 wrong usage or configuration. Commands import
their rooms when they run, so that each starts with what it needs and nothing else.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated, Literal

import typer

from correlator.commands import (
    agent,
    check,
    demo,
    discover,
    explain,
    incidents,
    once,
    poll,
    remarks,
    replay,
    report,
    run,
    topology,
)
from correlator.ports import CorrelatorError

app = typer.Typer(
    name="correlator",
    help="Says which link, direction, end and cause makes two containers slow.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would print local variables, and secrets among them
)
app.command()(demo.demo)
app.command()(discover.discover)
app.command()(poll.poll)
app.command()(check.check)
app.command()(run.run)
app.command()(once.once)
app.command()(replay.replay)
app.command()(explain.explain)
app.command()(topology.topology)
app.command()(report.report)
app.command()(agent.agent)
app.command()(incidents.incidents)
app.command()(remarks.ack)
app.command()(remarks.silence)
app.command()(remarks.cleaned)
app.command()(remarks.close)

Level = Literal["debug", "info", "warning", "error"]


@app.callback()
def correlator(
    log_level: Annotated[Level, typer.Option(help="How much is logged on stderr.")] = "info",
) -> None:
    """Say which link, direction, end and cause makes two containers slow."""
    logging.basicConfig(
        level=log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    for talkative in ("apscheduler", "httpx", "httpcore", "pysnmp", "asyncio"):
        logging.getLogger(talkative).setLevel(max(logging.WARNING, logging.root.level))


def main() -> None:
    """Run the command that the arguments name, and exit with its code."""
    try:
        app()
    except CorrelatorError as error:
        print(f"correlator: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # the reader of stdout went away; nothing more can be written, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
