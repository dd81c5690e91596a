"""``correlator replay``: cycles over stored data or over a folder of Parquet files; no network, no alerts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import track

from correlator.commands.options import ConfigFile, FailOn, Json, configuration, moment, progress
from correlator.commands.verdicts import Conclusions, told

if TYPE_CHECKING:
    from correlator.model import Incident
    from correlator.pipeline import Params, Readable

Since = Annotated[str | None, typer.Option(help="Start, ISO 8601; without an offset it is UTC.")]
Until = Annotated[str | None, typer.Option(help="End, ISO 8601; without an offset it is UTC.")]
Folder = Annotated[
    Path | None, typer.Option(help="Folder of Parquet files named by table; without it, the store is read.")
]


def replay(
    since: Since = None,
    until: Until = None,
    tables: Folder = None,
    config: ConfigFile = None,
    as_json: Json = False,
    fail_on: FailOn = None,
) -> None:
    """Conclude again from what was stored, or from anybody's tables; print what opened in that time."""
    from correlator import wiring
    from correlator.commands.folder import read_folder
    from correlator.config import Config

    start, end = moment("--since", since), moment("--until", until)
    source: Readable
    if tables is None:
        if start is None or end is None:
            raise typer.BadParameter("give --since and --until, or a folder with --tables")
        settings = configuration(config)
        source = wiring.open_store(settings)
    else:
        settings = configuration(config) if config else Config()
        source = given = read_folder(tables)
        first, last = given.span()
        start, end = start or first, end or last
    if start > end:
        raise typer.BadParameter("--since must be before --until")
    every = timedelta(seconds=settings.periods.cycle_s)
    told(concluded(source, wiring.params(settings), moments(start, end, every)), as_json, fail_on)


def concluded(source: Readable, params: Params, times: list[datetime]) -> Conclusions:
    """Return what opened in cycles at the given times, each in its last known form."""
    from correlator.engine.cycle import remember, run_cycle
    from correlator.engine.memory import hour_of
    from correlator.pipeline import read_hours, read_window

    incidents: dict[str, Incident] = {}
    past = before = None
    for now in track(times, "concluding", console=progress, transient=True):
        going_on = [incident for incident in incidents.values() if incident.state != "cleared"]
        tables = read_window(source, now, params)
        if past is None or past.hour != hour_of(now):
            past = remember(tables | read_hours(source, now, params), now, params.engine)
        cycle = run_cycle(tables, going_on, now, params.engine, past, before)
        before = cycle.drawn
        incidents.update((incident.id, incident) for incident in cycle.incidents)
    opened = [incident.verdict for incident in incidents.values() if incident.opened_at is not None]
    return Conclusions([v for v in opened if v.pairs], [v for v in opened if not v.pairs])


def moments(since: datetime, until: datetime, every: timedelta) -> list[datetime]:
    """Return the times of cycles: each ``every`` from ``since`` on, and ``until`` itself."""
    return [*_steps(since, until, every), until]


def _steps(since: datetime, until: datetime, every: timedelta) -> Iterator[datetime]:
    while since < until:
        yield since
        since += every
