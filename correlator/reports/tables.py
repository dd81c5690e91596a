"""Reading tables of which any may be absent or empty."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from correlator import frames
from correlator.model import End
from correlator.ports import Tables
from correlator.reports.content import Period
from correlator.reports.readings import Series

MOST_READINGS = 300
"""Readings kept of one series: more than a picture 400 px wide can show."""


def table(tables: Tables, name: str) -> pd.DataFrame:
    """Return the named table; without rows where it is absent."""
    found = tables.get(name)
    return _empty(name) if found is None else found


@functools.cache
def _empty(name: str) -> pd.DataFrame:
    return frames.empty(name)


def during(rows: pd.DataFrame, period: Period) -> pd.DataFrame:
    """Return the rows of the day, oldest first."""
    return in_order(rows[(rows["at"] >= period.since) & (rows["at"] < period.until)])


def in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows oldest first; a store gives them so, and then nothing is moved."""
    return rows if rows["at"].is_monotonic_increasing else rows.sort_values("at", kind="stable")


def newest(tables: Tables, name: str, period: Period) -> pd.DataFrame:
    """Return each key's newest row before the end of the day."""
    rows = table(tables, name)
    rows = in_order(rows[rows["at"] < period.until])
    return rows.drop_duplicates(list(frames.TABLES[name].key), keep="last")


def of_interface(rows: pd.DataFrame, end: End) -> pd.DataFrame:
    """Return the rows about one interface."""
    return rows[(rows["device"] == end.device) & (rows["if_name"] == end.if_name)]


def moment(value: object) -> datetime:
    """Return a cell of a time column as a datetime in UTC."""
    found: datetime = pd.Timestamp(value).to_pydatetime()  # type: ignore[arg-type]
    return found


def floor_hour(at: datetime) -> datetime:
    """Return the start of the hour, as UTC counts hours."""
    return at.replace(minute=0, second=0, microsecond=0)


def text(value: object) -> str | None:
    """Return a cell of a string column, None where it is null."""
    return value if isinstance(value, str) else None


def number(value: object, digits: int) -> float | None:
    """Return a number with so many decimals, None where it is null or not finite."""
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return None
    found = float(value)  # type: ignore[arg-type]
    return round(found, digits) if np.isfinite(found) else None


def series(at: pd.Series[pd.Timestamp], values: Sequence[float | None]) -> Series | None:
    """Return readings as a series, None where there are none. ``at`` is sorted."""
    if not len(at):
        return None
    start = moment(at.iloc[0])
    offsets = [round(second) for second in (at - at.iloc[0]).dt.total_seconds()]
    step = int(np.median(np.diff(offsets))) if len(offsets) > 1 else 0
    return Series(start, max(step, 1), tuple(offsets), tuple(values))


def bins(at: pd.Series[pd.Timestamp], most: int = MOST_READINGS) -> pd.Series[pd.Timestamp]:
    """Return for each time the start of its bin, in whole minutes, so that at most ``most`` bins are used."""
    if not len(at):
        return at
    if at.nunique() <= most:
        return at
    minutes = (at.max() - at.min()).total_seconds() / 60
    return at.dt.floor(f"{int(minutes // most) + 1}min")
