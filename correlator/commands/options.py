"""Options and output that several commands share."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

if TYPE_CHECKING:
    from correlator.config import Config

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="CORRELATOR_CONFIG", help="The configuration (YAML)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, whose form is stable.")]
FailOn = Annotated[
    Literal["finding", "verdict"] | None,
    typer.Option(help="Exit with 1 where there is a verdict, or (finding) a verdict or a finding."),
]

progress = Console(stderr=True, highlight=False)
out = Console(highlight=False, soft_wrap=True)


def configuration(path: Path | None) -> Config:
    """Return the configuration at ``path``, else at one of the usual places. Raises ConfigError."""
    from correlator.config import find, load

    return load(find(path))


def print_json(document: Any) -> None:
    """Print a document as JSON on stdout."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def moment(option: str, text: str | None) -> datetime | None:
    """Return a time that was given as an option. Raises BadParameter for one that is none."""
    if text is None:
        return None
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{option}: {text!r} is no time; write 2026-11-22T06:00Z") from None
    return given.replace(tzinfo=given.tzinfo or UTC).astimezone(UTC)
