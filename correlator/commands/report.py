"""``correlator report``: the daily report."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo

import typer

from correlator.commands.options import ConfigFile, configuration, out
from correlator.ports import CorrelatorError

if TYPE_CHECKING:
    from correlator.reports.content import Content

MOST_BYTES = 64 * 2**20
"""A file larger than this is no report."""

Format = Literal["html", "md", "json", "csv"]
Day = Annotated[
    datetime | None,
    typer.Option("--date", formats=["%Y-%m-%d"], help="The day, as 2026-11-22; yesterday if left out."),
]
Form = Annotated[
    Format,
    typer.Option("--format", help="html is written into the report directory, the others are printed."),
]
Verify = Annotated[
    Path | None,
    typer.Option("--verify", help="Check that a report says what the data that it carries say."),
]


def report(day: Day = None, form: Form = "html", verify: Verify = None, config: ConfigFile = None) -> None:
    """Write the report of a day and print its path; or print it as Markdown, JSON or CSV."""
    if verify is not None:
        _verify(verify)
        return
    settings = configuration(config)
    from correlator import wiring

    now = wiring.SystemClock().now()
    yesterday = now.astimezone(ZoneInfo(settings.report.timezone)).date() - timedelta(days=1)
    wanted: date = day.date() if day else yesterday
    store = wiring.open_store(settings, once=True)
    if form == "html":
        out.print(str(wiring.write_report(store, settings, wanted, now)), markup=False)
    else:
        typer.echo(_printed(wiring.report(store, settings, wanted, now), form), nl=False)


def _printed(content: Content, form: Format) -> str:
    from correlator.reports import formats

    return {"md": formats.as_markdown, "json": formats.as_json, "csv": formats.as_csv}[form](content)


def _verify(file: Path) -> None:
    """Print whether a page is what its data make of it. Raises CorrelatorError where it is not."""
    from correlator.reports import page

    try:
        if file.stat().st_size > MOST_BYTES:
            raise CorrelatorError(f"{file}: too large for a report; give a page that correlator wrote")
        written = file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise CorrelatorError(f"{file}: {reason}; give a page that correlator wrote") from None
    if not page.verify(written):
        wrote, here = page.embedded(written).version, page.version()
        why = f" (it was written by {wrote}, this is {here})" if wrote != here else ""
        raise CorrelatorError(f"{file}: the page does not say what its data say{why}; write it again")
    out.print(f"{file}: every number is that of the data that it carries", markup=False)
