"""``correlator agent``: the host agent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def agent(
    config: Annotated[Path | None, typer.Option(help="File with the agent's settings.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting over the file's.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Say what is missing on this host, and end.")
    ] = False,
) -> None:
    """Read the TCP connections of every container on this host and serve them to the correlator."""
    from correlator.agent import start

    run = start.check if check else start.start
    raise typer.Exit(run(config, settings or []))
