"""Light that falls from day to day, and when it will reach its module's level.

The fall is the median of all slopes between daily means (Theil 1950, Sen 1968) with its 95 % interval;
a step is no fall: the line must fit better than the best two levels. Page: docs/algorithms/drift.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import theilslopes

from correlator.engine import tally

Floats = npt.NDArray[np.float64]

LANE = ["device", "if_name", "lane"]
DAY = pd.Timedelta(days=1)
LEVELS = {  # metric: its module's low levels, the one that is met first first
    "rx_power_dbm": ("rx_power_low_warn_dbm", "rx_power_low_alarm_dbm"),
    "tx_power_dbm": ("tx_power_low_warn_dbm", "tx_power_low_alarm_dbm"),
}
FALLS = [*LANE, "metric", "power_dbm", "slope", "steepest", "flattest"]


@dataclass(frozen=True)
class Params:
    """When light falls, and how far ahead that tells."""

    past: timedelta = timedelta(days=28)
    least_days: int = 6  # of daily means
    least_fall_db: float = 0.3  # over those days: less is weather
    sure_slopes: float = 3.0  # a slope is this many of its standard errors
    most_days: float = 90.0  # further ahead a straight line says nothing


def falls(optics_hours: pd.DataFrame, now: datetime, params: Params | None = None) -> pd.DataFrame:
    """Return one row a lane and metric whose light falls for sure (columns ``FALLS``; dB a day, dBm now)."""
    params = params or Params()
    hour = pd.Timestamp(now).floor("h")
    told = optics_hours["metric"].isin(LEVELS) & (optics_hours["count"] > 0)
    hours = optics_hours[told & (optics_hours["hour"] >= hour - params.past) & (optics_hours["hour"] < hour)]
    keys, number = tally.numbered(hours, [*LANE, "metric"])
    if not len(keys):
        return pd.DataFrame(columns=FALLS)
    daily = _daily(hours, number, len(keys), hour, params)
    days = -0.5 - np.arange(daily.shape[1], dtype=np.float64)
    answer = []
    for row in np.flatnonzero(_falling(daily, days, params)):
        found = _slope(daily[row], days, params)
        if found is not None:
            answer.append((*keys.iloc[row][[*LANE, "metric"]], *found))
    return pd.DataFrame(answer, columns=FALLS)


def _daily(hours: pd.DataFrame, number: tally.Ints, size: int, hour: pd.Timestamp, params: Params) -> Floats:
    """Return daily means, things × days back; NaN for a day with less than half of its hours."""
    back = ((hour - pd.DatetimeIndex(hours["hour"])) / DAY).to_numpy()
    day = np.ceil(back).astype(np.int64) - 1
    width = round(params.past / DAY)
    place = np.where(number >= 0, number * width + day, -1)
    count = tally.total(np.ones(len(hours)), place, size * width)
    mean = tally.total((hours["sum"] / hours["count"]).to_numpy(), place, size * width)
    table: Floats = np.where(count >= 12, mean / np.maximum(count, 1.0), np.nan).reshape(size, width)
    return table


def _falling(daily: Floats, days: Floats, params: Params) -> npt.NDArray[np.bool_]:
    """Return which rows fall by least squares, as far as that tells: few lanes do."""
    known = np.isfinite(daily)
    count = known.sum(axis=1)
    at = np.where(known, days, 0.0)
    middle = at.sum(axis=1) / np.maximum(count, 1)
    level = np.where(known, daily, 0.0).sum(axis=1) / np.maximum(count, 1)
    off = np.where(known, days - middle[:, None], 0.0)
    slope = (off * np.where(known, daily - level[:, None], 0.0)).sum(axis=1) / np.maximum(
        (off**2).sum(axis=1), 1e-9
    )
    span = np.where(known, days, -np.inf).max(axis=1) - np.where(known, days, np.inf).min(axis=1)
    span[count == 0] = 0.0
    answer: npt.NDArray[np.bool_] = (count >= params.least_days) & (-slope * span >= params.least_fall_db)
    return answer


def _slope(daily: Floats, days: Floats, params: Params) -> tuple[float, float, float, float] | None:
    """Return power now, slope, steepest and flattest of a lane that falls for sure, else None."""
    known = np.isfinite(daily)
    values, at = daily[known][::-1], days[known][::-1]
    slope, start, steepest, flattest = (float(value) for value in theilslopes(values, at))
    left = values - start - slope * at
    error = float(np.sqrt((left**2).sum() / max(len(values) - 2, 1) / ((at - at.mean()) ** 2).sum()))
    if flattest >= 0.0 or -slope < params.sure_slopes * error or _stepped(values, left):
        return None
    return start, slope, steepest, flattest


def _stepped(values: Floats, left: Floats) -> bool:
    """Return whether two levels fit the values better than the line that leaves ``left``."""
    best = min(
        float(((values[:n] - values[:n].mean()) ** 2).sum() + ((values[n:] - values[n:].mean()) ** 2).sum())
        for n in range(1, len(values))
    )
    return best < float((left**2).sum())


def crossings(falling: pd.DataFrame, optics: pd.DataFrame, params: Params | None = None) -> pd.DataFrame:
    """Return the lanes that will reach a level: ``FALLS`` with level (its column), level_dbm, days,
    days_low and days_high from now on; the first lane of a port to do so.
    """
    params = params or Params()
    newest = optics.sort_values("at", kind="stable").drop_duplicates(LANE, keep="last")
    answer = []
    rows: Any = falling.merge(newest[[*LANE, *(name for both in LEVELS.values() for name in both)]], on=LANE)
    for _, told in rows.iterrows():
        row = told[FALLS]
        known = [name for name in LEVELS[row.metric] if pd.notna(told[name])]
        left = row.power_dbm - float(told[known[0]]) if known else 0.0
        days, low, high = (left / -slope for slope in (row.slope, row.steepest, row.flattest))
        if left > 0.0 and days <= params.most_days:
            answer.append((*row, known[0], float(told[known[0]]), days, low, high))
    columns = [*FALLS, "level", "level_dbm", "days", "days_low", "days_high"]
    table = pd.DataFrame(answer, columns=columns).sort_values("days", kind="stable")
    return table.drop_duplicates(["device", "if_name"]).reset_index(drop=True)
