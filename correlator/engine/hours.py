"""What hours of the past say of a place: its rate or its mean, and how much it varies from hour to hour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from correlator.engine.tally import Floats, Ints

CYCLES = (("hour of week", 168), ("hour of day", 24), ("all hours", 1))
MEANS = ("response_ms", "service_ms", "min_rtt_us")
RATES = ("retransmissions", "rto", "stalls", "exchanges", "connections")
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class Params:
    """How much past makes a usual."""

    least_exposure: float = 30.0  # below it, "no usual yet"
    least_hours: int = 5  # of the same hour ± 1 before that hour is its own usual
    prior_rate: float = 1e-5  # retransmissions a segment on a clean network; weighs half an event
    prior_stalls: float = 1e-3  # stalled intervals likewise
    most_shape: float = 20.0  # a rate is trusted to ± 22 % at best: days differ
    least_shape: float = 0.5
    least_spread: float = 0.03  # of the logarithm of an hour's mean
    few_hours_spread: float = 0.3  # where one or two hours are all the past


@dataclass(frozen=True)
class Hours:
    """Hourly rows of one metric as arrays, and which are near this hour in each cycle."""

    ago: Ints
    exposure: Floats
    count: Floats
    total: Floats
    near: Mapping[str, npt.NDArray[np.bool_]]

    @classmethod
    def of(cls, rows: pd.DataFrame, now: datetime) -> Hours:
        """Return rows (hour, exposure, count, sum), with a flag a cycle: within an hour of now in it."""
        ago = (pd.Timestamp(now).floor("h") - rows["hour"]).dt.total_seconds().to_numpy() / 3600.0
        whole = np.round(ago).astype(np.int64)
        near = {}
        for name, length in CYCLES:
            phase = whole % length
            near[name] = np.minimum(phase, length - phase) <= 1
        exposure, count, total = rows[["exposure", "count", "sum"]].to_numpy(dtype=np.float64).T
        return cls(whole, exposure, count, total, near)


@dataclass(frozen=True)
class Usual:
    """What is usual at each place: its value, its variation, and the number of the cycle that knows it.

    NaN and −1 where the past is too thin. ``variation`` is the standard deviation of the logarithm of
    the hourly mean, of rates the shape of the Gamma that they vary by.
    """

    value: Floats
    variation: Floats
    cycle: Ints

    def at(self, place: Ints) -> Usual:
        """Return what is usual at some places; nothing at −1."""
        return Usual(
            np.append(self.value, np.nan)[place],
            np.append(self.variation, np.nan)[place],
            np.append(self.cycle, -1)[place],
        )

    def or_else(self, other: Usual) -> Usual:
        """Return this, and where nothing is known the other."""
        told = np.isfinite(self.value)
        return Usual(
            np.where(told, self.value, other.value),
            np.where(told, self.variation, other.variation),
            np.where(told, self.cycle, other.cycle),
        )


def usual_at(hours: Hours, place: Ints, size: int, metric: str, params: Params) -> Usual:
    """Return what is usual at each of ``size`` places, of the first cycle that has enough of it.

    ``place``: one an hourly row, −1 for rows that are nowhere.
    """
    answer = Usual(np.full(size, np.nan), np.full(size, np.nan), np.full(size, -1, dtype=np.int64))
    for number, (cycle, length) in enumerate(CYCLES):
        open_ = np.isnan(answer.value)
        if not open_.any():
            break
        least = params.least_hours if length > 1 else 1
        mine = np.flatnonzero(hours.near[cycle] & (place >= 0) & np.append(open_, False)[place])
        value, variation = _statistics(hours, mine, place[mine], size, metric, least, params)
        told = open_ & np.isfinite(value)
        answer.value[told], answer.variation[told], answer.cycle[told] = value[told], variation[told], number
    return answer


def _statistics(
    hours: Hours, mine: Ints, place: Ints, size: int, metric: str, least_hours: int, params: Params
) -> tuple[Floats, Floats]:
    """Return rate or mean and its variation at each place; NaN where the past is too thin."""
    exposure, count = hours.exposure[mine], hours.count[mine]
    weight = np.bincount(place, weights=exposure, minlength=size)
    ago = hours.ago[mine]
    span = int(ago.max(initial=0)) + 1
    distinct = pd.unique(place * span + ago) // span
    enough = (np.bincount(distinct, minlength=size) >= least_hours) & (weight >= params.least_exposure)
    kept = enough[place]
    if not kept.any():
        return np.full(size, np.nan), np.full(size, np.nan)
    place, exposure, count = place[kept], exposure[kept], count[kept]
    if metric in MEANS:
        total = hours.total[mine][kept]
        value = np.bincount(place, weights=total, minlength=size) / np.where(weight > 0, weight, np.nan)
        variation = _spread(place, total / count, size, params)
    else:
        value, variation = _rate(place, exposure, count, size, metric, params)
    return np.where(enough, value, np.nan), variation


def _rate(
    place: Ints, exposure: Floats, count: Floats, size: int, metric: str, params: Params
) -> tuple[Floats, Floats]:
    """Return the rate and the shape of the Gamma that it varies by from hour to hour.

    shape = 1/cv²: Σ((k − rE)² − rE) / Σ(rE)² estimates cv² (method of moments), and 1/(K + ½) is
    added for the rate's own uncertainty.
    """
    prior = {"retransmissions": params.prior_rate, "rto": params.prior_rate, "stalls": params.prior_stalls}
    events = np.bincount(place, weights=count, minlength=size)
    whole = np.bincount(place, weights=exposure, minlength=size)
    rate = (events + 0.5) / (whole + 0.5 / prior.get(metric, 1.0))
    expected = rate[place] * exposure
    over = np.bincount(place, weights=(count - expected) ** 2 - expected, minlength=size)
    square = np.bincount(place, weights=expected**2, minlength=size)
    with np.errstate(divide="ignore", invalid="ignore"):
        variation = np.maximum(np.nan_to_num(over / square), 1.0 / params.most_shape)
    return rate, np.maximum(1.0 / (variation + 1.0 / (events + 0.5)), params.least_shape)


def _spread(place: Ints, mean: Floats, size: int, params: Params) -> Floats:
    """Return the robust standard deviation of the logarithm of the hourly means at each place."""
    kept = mean > 0
    place, logarithm = place[kept], np.log(mean[kept])
    order = np.argsort(place, kind="stable")
    place, logarithm = place[order], logarithm[order]
    count = np.bincount(place, minlength=size)
    off = np.abs(logarithm - _medians(place, logarithm, count)[place])
    spread = np.where(count >= 3, MAD_TO_SIGMA * _medians(place, off, count), params.few_hours_spread)
    return np.where(count > 0, np.maximum(spread, params.least_spread), np.nan)


def _medians(place: Ints, values: Floats, count: Ints) -> Floats:
    """Return the median at each place of values that stand in order of place; NaN where there is none."""
    ordered = np.append(values[np.lexsort((values, place))], np.nan)
    first = np.cumsum(count) - count
    middle = np.where(count > 0, first + (count - 1) // 2, len(values))
    upper = np.where(count > 0, first + count // 2, len(values))
    answer: Floats = (ordered[middle] + ordered[upper]) / 2.0
    return answer
