"""Light over a month: its largest step, and when a steady fall reaches the module's level.

The step is the split of the readings into two means that leaves the least squares (CUSUM, one
change); the fall is the median of all slopes between daily medians (Theil 1950, Sen 1968), with its
95 % interval. Limits: one step a month is told, a fall is taken for a straight line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from correlator.model import End
from correlator.ports import Tables
from correlator.reports.content import Fault, Period
from correlator.reports.margins import LEVELS, thresholds
from correlator.reports.network import Network
from correlator.reports.overview import Forecast, LightTrend, Margin
from correlator.reports.readings import Series, Thresholds
from correlator.reports.tables import during, moment, number, of_interface, series, table

MONTH = timedelta(days=30)
MOST_TRENDS = 8
LEAST_TRENDS = 4
"""Receivers drawn at least, so that calm can be seen as well."""
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class Params:
    """What counts as a step and as a fall."""

    least_readings: int = 3  # on either side of a step
    least_step_db: float = 0.5  # a reseated module moves light by less
    step_sigmas: float = 6.0
    least_sigma_db: float = 0.05  # quantisation of 0.1 dB and less
    least_days: int = 5  # of daily medians behind a forecast
    least_fall_db: float = 0.3  # over those days: less is weather
    most_days: float = 365.0  # further ahead nobody can see


def trends(
    tables: Tables, network: Network, ends: Sequence[tuple[End, int]], period: Period
) -> tuple[LightTrend, ...]:
    """Return the month's light of the given ends and lanes in their order, calm ones only where few are not.

    Those without readings are left out.
    """
    read = (_trend(tables, network, end, lane, period) for end, lane in ends)
    found = [trend for trend in read if trend]
    told = [trend for trend in found if trend.order or trend.change_at or trend.forecast]
    calm = [trend for trend in found if trend not in told][: max(0, LEAST_TRENDS - len(told))]
    return tuple(trend for trend in found if trend in told or trend in calm)[:MOST_TRENDS]


def wanted_ends(
    verdicts: Sequence[Fault], findings: Sequence[Fault], margins: Sequence[Margin]
) -> list[tuple[End, int]]:
    """Return whose month of light is worth a look, (end, lane): the blamed, the sick, the weakest."""
    found: dict[tuple[End, int], None] = {}
    for fault in (*verdicts, *findings):
        verdict = fault.verdict
        if verdict.link and verdict.root_cause != "congestion":
            ends = [verdict.link.receiver(verdict.direction or "both")]
            if verdict.direction in (None, "both"):
                ends = [verdict.link.a, verdict.link.b]
            found |= {(end, verdict.lane or 1): None for end in ends}
    found |= {(margin.receiver, margin.lane): None for margin in margins}
    return list(found)[: 2 * MOST_TRENDS]


def _trend(tables: Tables, network: Network, end: End, lane: int, period: Period) -> LightTrend | None:
    rows = of_interface(table(tables, "optics"), end)
    rows = during(rows[rows["lane"] == lane], period)
    readings = _readings(rows, tables, end, lane, period)
    if len(readings) < Params.least_readings:
        return None
    link = network.links_by_end().get(end)
    sender = None if link is None else link.b if link.a == end else link.a
    levels = _levels(rows)
    split = change_point(readings.to_numpy(dtype=np.float64), Params())
    since = readings.iloc[split[0] :] if split else readings
    return LightTrend(
        receiver=end,
        sender=sender,
        lane=lane,
        order=network.blamed(sender, end) if sender else None,
        light=_drawn(readings, period),
        thresholds=levels,
        change_at=moment(readings.index[split[0]]) if split else None,
        change_db=number(split[1], 3) if split else None,
        forecast=forecast(since, levels, Params()),
    )


def _readings(rows: pd.DataFrame, tables: Tables, end: End, lane: int, period: Period) -> pd.Series[float]:
    """Return the light by time: hourly means before the day's first reading, then every reading."""
    rows = rows.dropna(subset=["rx_power_dbm"])
    hours = of_interface(table(tables, "optics_hours"), end)
    hours = hours[(hours["metric"] == "rx_power_dbm") & (hours["lane"] == lane) & (hours["count"] > 0)]
    first = rows["at"].iloc[0] if len(rows) else pd.Timestamp(period.until)
    hours = hours[(hours["hour"] + timedelta(hours=1) <= first) & (hours["hour"] >= period.since - MONTH)]
    hours = hours.drop_duplicates("hour", keep="last").sort_values("hour")
    past = pd.Series((hours["sum"] / hours["count"]).to_numpy(), index=pd.DatetimeIndex(hours["hour"]))
    today = pd.Series(rows["rx_power_dbm"].to_numpy(), index=pd.DatetimeIndex(rows["at"]))
    both = pd.concat([part for part in (past, today) if len(part)]) if len(past) + len(today) else past
    return both.dropna()


def _drawn(readings: pd.Series[float], period: Period) -> Series:
    """Return the readings as drawn: means of four hours, of one hour within the day."""
    at = pd.DatetimeIndex(readings.index)
    coarse = at.floor("4h").where(at < pd.Timestamp(period.since), at.floor("1h"))
    means = readings.groupby(coarse).mean()
    drawn = series(means.index.to_series(), [number(value, 3) for value in means])
    assert drawn is not None
    return Series(drawn.start, 4 * 3600, drawn.offsets_s, drawn.values)


def _levels(rows: pd.DataFrame) -> Thresholds:
    if rows.empty:
        return Thresholds(None, None, None, None)
    last = {f"rx_power_{level}_dbm": rows[f"rx_power_{level}_dbm"].iloc[-1] for level in LEVELS}
    found = thresholds(last)
    return Thresholds(None, None, None, None) if isinstance(found, str) else found


def change_point(values: npt.NDArray[Any], params: Params) -> tuple[int, float] | None:
    """Return where the values step, as (index of the first after it, change), None where they do not.

    A steady fall is no step: the straight line must fit worse than the two means.
    """
    n = len(values)
    least = params.least_readings
    if n < 2 * least:
        return None
    split = np.arange(least, n - least + 1)
    sums = np.cumsum(values)
    before = sums[split - 1] / split
    after = (sums[-1] - sums[split - 1]) / (n - split)
    gain = split * (n - split) / n * (after - before) ** 2
    best = int(np.argmax(gain))
    change = float(after[best] - before[best])
    noise = MAD_TO_SIGMA / np.sqrt(2) * float(np.median(np.abs(np.diff(values))))
    sigma = max(noise, params.least_sigma_db) * np.sqrt(1 / split[best] + 1 / (n - split[best]))
    if abs(change) < max(params.least_step_db, params.step_sigmas * sigma):
        return None
    line = np.polynomial.Polynomial.fit(np.arange(n), values, 1)
    left_by_line = float(np.sum((values - line(np.arange(n))) ** 2))
    left_by_step = float(np.sum((values - values.mean()) ** 2)) - float(gain[best])
    return (int(split[best]), change) if left_by_step < left_by_line else None


def forecast(readings: pd.Series[float], levels: Thresholds, params: Params) -> Forecast | None:
    """Return when a steady fall reaches the next low level, None where nothing falls for sure."""
    daily = readings.groupby(pd.DatetimeIndex(readings.index).floor("1D")).median()
    low = levels.low_alarm if levels.low_warn is None else levels.low_warn
    if low is None or len(daily) < params.least_days:
        return None
    days = (pd.DatetimeIndex(daily.index) - daily.index[0]).total_seconds().to_numpy() / 86400
    slope, start, steepest, flattest = stats.theilslopes(daily.to_numpy(), days)
    now = float(start + slope * days[-1])
    left = now - low
    if slope >= 0 or -slope * days[-1] < params.least_fall_db or flattest >= 0 or left <= 0:
        return None
    reached = left / -slope
    if reached > params.most_days:
        return None
    latest = left / -flattest
    return Forecast(
        level="low_alarm" if levels.low_warn is None else "low_warn",
        slope_db_per_day=round(float(slope), 5),
        days=round(float(reached), 1),
        days_low=round(float(left / -steepest), 1),
        days_high=round(float(latest), 1) if latest <= params.most_days else None,
    )
