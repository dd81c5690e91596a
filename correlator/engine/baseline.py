"""What is usual for a pair of services between two hosts: its own past.

The same hour of the week, where enough of them are known; else the same hour of the day; else all
hours. A group without a past borrows from its siblings (the same services on other hosts) for times
and from its host pair for retransmissions. Below 30 exposures there is no usual yet.
Page: docs/algorithms/baseline.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

GROUP = ["src_host", "dst_host", "src_service", "dst_service"]
SERVICES = ["src_service", "dst_service"]
HOSTS = ["src_host", "dst_host"]
CYCLES = (("hour of week", 168), ("hour of day", 24), ("all hours", 1))
MEANS = ("response_ms", "service_ms", "min_rtt_us")
RATES = ("retransmissions", "exchanges", "connections")


@dataclass(frozen=True)
class Params:
    """How much past makes a usual."""

    least_exposure: float = 30.0  # below it, "no usual yet"
    least_hours: int = 5  # of the same hour ± 1 before that hour is its own usual
    prior_rate: float = 1e-5  # retransmissions a segment on a clean network; weighs half an event
    most_shape: float = 20.0  # a rate is trusted to ± 22 % at best: days differ
    least_shape: float = 0.5
    least_spread: float = 0.03  # of the logarithm of an hour's mean
    one_hour_spread: float = 0.3  # where a single hour is all the past


def usual(
    pair_hours: pd.DataFrame, groups: pd.DataFrame, now: datetime, params: Params | None = None
) -> pd.DataFrame:
    """Return, row for row of ``groups`` (columns GROUP), what is usual for it at this hour.

    Columns: retransmissions, exchanges, connections (events per exposure), retransmissions_shape
    (of the Gamma that the rate varies by), response_ms, service_ms, min_rtt_us (means), with
    _spread (standard deviation of the logarithm of the hourly mean); usual_from (which past, of the
    response time or else of retransmissions). NaN where there is no usual yet.
    """
    params = params or Params()
    hours = _known_hours(pair_hours, now)
    answer = groups[GROUP].copy()
    for metric in MEANS:
        levels = [(GROUP, ""), (SERVICES, "siblings, ")]
        answer = _first_known(answer, hours[hours["metric"] == metric], metric, levels, params)
    for metric in RATES:
        levels = [(GROUP, ""), (HOSTS, "host pair, "), (SERVICES, "siblings, ")]
        answer = _first_known(answer, hours[hours["metric"] == metric], metric, levels, params)
    answer["usual_from"] = answer["response_ms_from"].fillna(answer["retransmissions_from"])
    return answer.drop(columns=[f"{metric}_from" for metric in MEANS + RATES])


def _known_hours(pair_hours: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """Return hours that are over, once each, with their distance from this hour in each cycle."""
    hours = pair_hours[(pair_hours["exposure"] > 0) & (pair_hours["hour"] < pd.Timestamp(now))]
    hours = hours.drop_duplicates([*GROUP, "metric", "hour"], keep="last").copy()
    ago = (pd.Timestamp(now).floor("h") - hours["hour"]).dt.total_seconds() / 3600.0
    for name, length in CYCLES:
        phase = ago.round() % length
        hours[name] = np.minimum(phase, length - phase) <= 1
    return hours


def _first_known(
    answer: pd.DataFrame,
    hours: pd.DataFrame,
    metric: str,
    levels: list[tuple[list[str], str]],
    params: Params,
) -> pd.DataFrame:
    """Return ``answer`` with the metric's columns, each row from the first level that knows it."""
    columns = [metric, f"{metric}_spread", f"{metric}_shape"]
    values = pd.DataFrame(np.nan, index=answer.index, columns=columns)
    source = pd.Series(np.nan, index=answer.index, dtype="str")
    for keys, prefix in levels:
        if values[metric].notna().all():
            break
        summed = _statistics(hours, keys, metric, params)
        found = answer[keys].merge(summed, on=keys, how="left").set_index(answer.index)
        fresh = values[metric].isna() & found[metric].notna()
        values[fresh] = found.loc[fresh, columns]
        source[fresh] = prefix + found.loc[fresh, "cycle"].astype("str")
    kept = [metric, f"{metric}_spread"] if metric in MEANS else [metric, f"{metric}_shape"]
    return answer.join(values[kept]).assign(**{f"{metric}_from": source})


def _statistics(hours: pd.DataFrame, keys: list[str], metric: str, params: Params) -> pd.DataFrame:
    """Return, by key, rate or mean with its variation, from the narrowest cycle with enough hours."""
    parts = []
    for rank, (name, length) in enumerate(CYCLES):
        table = _vary(hours[hours[name]], keys, metric, params)
        least = params.least_hours if length > 1 else 1
        enough = (table["hours"] >= least) & (table["exposure"] >= params.least_exposure)
        parts.append(table[enough].assign(cycle=name, rank=rank))
    table = pd.concat(parts, ignore_index=True)
    return table.sort_values("rank", kind="stable").drop_duplicates(keys)


def _vary(hours: pd.DataFrame, keys: list[str], metric: str, params: Params) -> pd.DataFrame:
    """Return, by key: value, spread, shape, hours and exposure.

    shape is 1/cv² of the rate: Σ((k − rE)² − rE) / Σ(rE)² estimates cv² (method of moments), and
    1/(K + ½) is added for the rate's own uncertainty.
    """
    by_key = hours.groupby(keys)
    table = by_key[["exposure", "count", "sum"]].sum()
    table["hours"] = by_key["hour"].nunique()
    if metric in MEANS:
        table[metric] = table["sum"] / table["count"]
        table[f"{metric}_spread"] = _spread(hours, keys, params).reindex(table.index)
        table[f"{metric}_shape"] = np.nan
        return table.reset_index()
    prior = params.prior_rate if metric == "retransmissions" else 1.0
    table[metric] = (table["count"] + 0.5) / (table["exposure"] + 0.5 / prior)
    rate = hours[keys].merge(table[[metric]].reset_index(), on=keys, how="left")[metric].to_numpy()
    expected = rate * hours["exposure"].to_numpy()
    extra = hours[keys].assign(over=(hours["count"] - expected) ** 2 - expected, square=expected**2)
    sums = extra.groupby(keys)[["over", "square"]].sum()
    variation = (sums["over"] / sums["square"]).clip(lower=1.0 / params.most_shape)
    shape = 1.0 / (variation + 1.0 / (table["count"] + 0.5))
    table[f"{metric}_shape"] = shape.clip(lower=params.least_shape)
    table[f"{metric}_spread"] = np.nan
    return table.reset_index()


def _spread(hours: pd.DataFrame, keys: list[str], params: Params) -> pd.Series[float]:
    """Return, by key, the robust standard deviation of the logarithm of the hourly means."""
    mean = np.log((hours["sum"] / hours["count"]).where(lambda value: value > 0))
    columns = [hours[key] for key in keys]
    off = (mean - mean.groupby(columns).transform("median")).abs()
    grouped = off.groupby(columns)
    spread = (1.4826 * grouped.median()).where(grouped.count() >= 3, params.one_hour_spread)
    return spread.clip(lower=params.least_spread)
