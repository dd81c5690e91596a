"""``correlator report``: the daily report."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from correlator.commands.options import ConfigFile, configuration, out

Day = Annotated[
    datetime | None,
    typer.Option("--date", formats=["%Y-%m-%d"], help="The day, as 2026-11-22; yesterday if left out."),
]


def report(day: Day = None, config: ConfigFile = None) -> None:
    """Write the report of a day and print its path."""
    settings = configuration(config)
    from correlator.wiring import SystemClock, open_store, write_report

    now = SystemClock().now()
    yesterday = now.astimezone(ZoneInfo(settings.report.timezone)).date() - timedelta(days=1)
    wanted: date = day.date() if day else yesterday
    out.print(str(write_report(open_store(settings), settings, wanted, now)), markup=False)
