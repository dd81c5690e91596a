"""What is usual for a pair of services between two hosts: its own past.

The same hour of the week, where enough of them are known; else the same hour of the day; else all
hours. A group without a past borrows from its siblings (the same services on other hosts) for times
and from its host pair for retransmissions. Below 30 exposures there is no usual yet.
Page: docs/algorithms/baseline.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

GROUP = ["src_host", "dst_host", "src_service", "dst_service"]
LEVELS: Mapping[str, list[str]] = {
    "": GROUP,
    "host pair, ": ["src_host", "dst_host"],
    "siblings, ": ["src_service", "dst_service"],
}
CYCLES = (("hour of week", 168), ("hour of day", 24), ("all hours", 1))
MEANS = ("response_ms", "service_ms", "min_rtt_us")
RATES = ("retransmissions", "exchanges", "connections")
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class Params:
    """How much past makes a usual."""

    least_exposure: float = 30.0  # below it, "no usual yet"
    least_hours: int = 5  # of the same hour ± 1 before that hour is its own usual
    prior_rate: float = 1e-5  # retransmissions a segment on a clean network; weighs half an event
    most_shape: float = 20.0  # a rate is trusted to ± 22 % at best: days differ
    least_shape: float = 0.5
    least_spread: float = 0.03  # of the logarithm of an hour's mean
    few_hours_spread: float = 0.3  # where one or two hours are all the past


@dataclass(frozen=True)
class _Hours:
    """Hourly rows of one metric as arrays; place in each level is −1 where the row is none of ours."""

    place: dict[str, Ints]
    hour: Ints
    exposure: Floats
    count: Floats
    total: Floats
    near: dict[str, npt.NDArray[np.bool_]]


def usual(
    pair_hours: pd.DataFrame, groups: pd.DataFrame, now: datetime, params: Params | None = None
) -> pd.DataFrame:
    """Return, row for row of ``groups`` (columns GROUP), what is usual for it at this hour.

    Columns: retransmissions, exchanges, connections (events per exposure), each with _shape (of the
    Gamma that the rate varies by); response_ms, service_ms, min_rtt_us (means), each with _spread
    (standard deviation of the logarithm of the hourly mean); usual_from (which past, of the response
    time or else of retransmissions). NaN where there is no usual yet.
    """
    params = params or Params()
    known = (pair_hours["hour"] < pd.Timestamp(now)) & (pair_hours["exposure"] > 0)
    hours, places = _coded(pair_hours[known], groups)
    answer = groups[GROUP].copy()
    sources = {}
    for metric in MEANS + RATES:
        levels = [level for level in LEVELS if not (metric in MEANS and level == "host pair, ")]
        mine = _arrays(hours[hours["metric"] == metric], now, levels)
        value, variation, source = _first_known(mine, places, levels, metric, params)
        answer[metric] = value
        answer[f"{metric}_spread" if metric in MEANS else f"{metric}_shape"] = variation
        sources[metric] = pd.Series(source, index=answer.index, dtype=object)
    answer["usual_from"] = sources["response_ms"].fillna(sources["retransmissions"]).astype("str")
    return answer


def service_hours(pair_hours: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """Return the past hours of service times by server, whoever called: dst_host, dst_service, hour, sums."""
    known = pair_hours["metric"].eq("service_ms") & (pair_hours["hour"] < pd.Timestamp(now))
    known &= pair_hours["exposure"] > 0
    hours = pair_hours[known].drop_duplicates([*GROUP, "hour"], keep="last")
    figures = ["exposure", "count", "sum"]
    return hours.groupby(["dst_host", "dst_service", "hour"])[figures].sum().reset_index()


def usual_service(
    hours: pd.DataFrame, servers: pd.DataFrame, now: datetime, params: Params | None = None
) -> pd.DataFrame:
    """Return, row for row of ``servers``, the usual service time of a server or a service, whoever calls.

    ``hours`` are those of ``service_hours``; ``servers`` has dst_service, and dst_host where it means
    servers. Columns beside these: service_ms and service_ms_spread.
    """
    params = params or Params()
    keys = [key for key in ("dst_host", "dst_service") if key in servers.columns]
    whole = hours.groupby([*keys, "hour"])[["exposure", "count", "sum"]].sum().reset_index()
    of_hours, of_servers = _places(_parts(whole, servers, keys), keys, len(servers))
    mine = _arrays(whole.assign(**{"": of_hours}), now, [""])
    value, variation, _ = _first_known(mine, {"": of_servers}, [""], "service_ms", params)
    return servers[keys].assign(service_ms=value, service_ms_spread=variation)


def _coded(hours: pd.DataFrame, groups: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Ints]]:
    """Return the hours, once each, with their place in each level, and the places of ``groups``.

    Hours that share nothing with the groups are left out.
    """
    parts = _parts(hours, groups, GROUP)
    table = hours[["metric", "hour", "exposure", "count", "sum"]].assign(
        group=_code(parts, GROUP)[len(groups) :]
    )
    places = {}
    for level, keys in LEVELS.items():
        table[level], places[level] = _places(parts, keys, len(groups))
    table = table[(table[list(LEVELS)] >= 0).any(axis=1)]
    return table.drop_duplicates(["group", "metric", "hour"], keep="last"), places


def _parts(hours: pd.DataFrame, groups: pd.DataFrame, columns: list[str]) -> dict[str, Ints]:
    """Return, by column, a number for each value, of the groups' rows and then of the hours'."""
    both = pd.concat([groups[columns], hours[columns]], ignore_index=True)
    return {column: pd.factorize(both[column])[0].astype(np.int64) + 1 for column in columns}


def _places(parts: Mapping[str, Ints], keys: list[str], groups: int) -> tuple[Ints, Ints]:
    """Return each hour's and each group's place by ``keys``: small, dense numbers, −1 for none of ours."""
    code = _code(parts, keys)
    wanted, place = np.unique(code[:groups], return_inverse=True)
    return _positions(wanted, code[groups:]), place


def _code(parts: Mapping[str, Ints], columns: list[str]) -> Ints:
    """Return one number for each combination of the columns' numbers."""
    code = np.zeros(len(parts[columns[0]]), dtype=np.int64)
    for column in columns:
        code = code * (parts[column].max(initial=0) + 1) + parts[column]
    return code


def _positions(wanted: Ints, codes: Ints) -> Ints:
    """Return where each code is among the sorted ``wanted`` ones, −1 where it is not."""
    if not len(wanted):
        return np.full(len(codes), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(wanted, codes), len(wanted) - 1)
    return np.where(wanted[at] == codes, at, -1)


def _arrays(hours: pd.DataFrame, now: datetime, levels: list[str]) -> _Hours:
    """Return the rows as arrays, with a flag a cycle: within an hour of this hour in it."""
    ago = (pd.Timestamp(now).floor("h") - hours["hour"]).dt.total_seconds().to_numpy() / 3600.0
    whole = np.round(ago).astype(np.int64)
    near = {}
    for name, length in CYCLES:
        phase = whole % length
        near[name] = np.minimum(phase, length - phase) <= 1
    return _Hours(
        place={level: hours[level].to_numpy() for level in levels},
        hour=whole,
        exposure=hours["exposure"].to_numpy(),
        count=hours["count"].to_numpy(),
        total=hours["sum"].to_numpy(),
        near=near,
    )


def _first_known(
    hours: _Hours, places: dict[str, Ints], levels: list[str], metric: str, params: Params
) -> tuple[Floats, Floats, npt.NDArray[np.object_]]:
    """Return each group's value, variation and source, from the first level and cycle that knows it."""
    size = len(places[""])
    value, variation = np.full(size, np.nan), np.full(size, np.nan)
    source = np.full(size, None, dtype=object)
    for level in levels:
        for cycle, length in CYCLES:
            open_ = np.isnan(value)
            if not open_.any():
                break
            least = params.least_hours if length > 1 else 1
            found, varies = _statistics(
                hours, level, cycle, int(places[level].max()) + 1, metric, least, params
            )
            fresh = open_ & np.isfinite(found[places[level]])
            value[fresh], variation[fresh] = found[places[level]][fresh], varies[places[level]][fresh]
            source[fresh] = level + cycle
    return value, variation, source


def _statistics(
    hours: _Hours, level: str, cycle: str, size: int, metric: str, least_hours: int, params: Params
) -> tuple[Floats, Floats]:
    """Return rate or mean and its variation at each place of a level; NaN where the past is too thin."""
    mine = hours.near[cycle] & (hours.place[level] >= 0)
    place, exposure, count = hours.place[level][mine], hours.exposure[mine], hours.count[mine]
    weight = np.bincount(place, weights=exposure, minlength=size)
    distinct = np.unique(np.stack([place, hours.hour[mine]]), axis=1)[0]
    enough = (np.bincount(distinct, minlength=size) >= least_hours) & (weight >= params.least_exposure)
    if not enough.any():
        return np.full(size, np.nan), np.full(size, np.nan)
    if metric in MEANS:
        total = hours.total[mine]
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
    prior = params.prior_rate if metric == "retransmissions" else 1.0
    events = np.bincount(place, weights=count, minlength=size)
    rate = (events + 0.5) / (np.bincount(place, weights=exposure, minlength=size) + 0.5 / prior)
    expected = rate[place] * exposure
    over = np.bincount(place, weights=(count - expected) ** 2 - expected, minlength=size)
    square = np.bincount(place, weights=expected**2, minlength=size)
    with np.errstate(divide="ignore", invalid="ignore"):
        variation = np.maximum(np.nan_to_num(over / square), 1.0 / params.most_shape)
    return rate, np.maximum(1.0 / (variation + 1.0 / (events + 0.5)), params.least_shape)


def _spread(place: Ints, mean: Floats, size: int, params: Params) -> Floats:
    """Return the robust standard deviation of the logarithm of the hourly means at each place."""
    logarithm = pd.Series(np.log(np.where(mean > 0, mean, np.nan)))
    off = (logarithm - logarithm.groupby(place).transform("median")).abs().groupby(place)
    spread = (MAD_TO_SIGMA * off.median()).where(off.count() >= 3, params.few_hours_spread)
    answer: Floats = spread.clip(lower=params.least_spread).reindex(np.arange(size)).to_numpy()
    return answer
