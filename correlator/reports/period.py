"""Which stretch of time a report is about."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from correlator.model import utc
from correlator.ports import CorrelatorError
from correlator.reports.content import Period


class ReportError(CorrelatorError):
    """No report can be made of what was asked for; the sentence says what to ask instead."""


class DayError(ReportError):
    """The day that was asked for has no report yet."""

    exit_code = 2


def period(day: date, timezone: str, now: datetime) -> Period:
    """Return the calendar day ``day`` of an IANA time zone such as ``Europe/Berlin``.

    Raises ReportError for a zone that this machine does not know.
    """
    zone = _zone(timezone)
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    try:
        # Wall-clock arithmetic: the next local midnight is 23, 24 or 25 hours away.
        return Period(day, timezone, utc(midnight), utc(midnight + timedelta(days=1)), utc(now))
    except OverflowError as error:
        raise ReportError(f"{day} is beyond the calendar; give a day such as 2026-11-22") from error


def begun(day: date, timezone: str, now: datetime) -> Period:
    """Return the period of a day that has begun. Raises as ``period``, and DayError for a later day."""
    found = period(day, timezone, now)
    if found.now < found.since:
        today = now.astimezone(_zone(timezone)).date()
        raise DayError(f"{day} has not begun in {timezone}; ask for {today} or an earlier day")
    return found


def _zone(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (OSError, ValueError, LookupError) as error:
        raise ReportError(
            f"this machine knows no time zone {timezone!r}; give an IANA name such as Europe/Berlin or UTC"
        ) from error
