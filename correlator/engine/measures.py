"""What was measured of groups of container pairs: sums over the window, mean times with their errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from correlator.engine import tally

SUMS = [
    "segments_client", "segments_server", "retransmitted_client", "retransmitted_server", "undirected",
    "rto_client", "rto_server", "stalled", "intervals", "seconds", "exchanges", "connections_new",
    "connections_open", "response_ms", "responses", "service_ms", "services",
]  # fmt: skip


@dataclass(frozen=True)
class Params:
    """How much makes a measurement."""

    times_s: float = 120.0  # times are of the newest two samples: they need fewer events than losses do
    least_rows: int = 5  # intervals before their scatter is believed
    clean_share: float = 0.2  # of requests in intervals without a retransmission, before others are dropped


def measured(
    rows: pd.DataFrame, groups: pd.DataFrame, number: tally.Ints, now: datetime, params: Params | None = None
) -> pd.DataFrame:
    """Return sums and means of observations, row for row of ``groups``; ``number``: each one's group.

    Columns: those of ``groups``; SUMS (of which response_ms and service_ms are means, NaN where nothing
    was timed), response_se and service_se (their standard errors), min_rtt_us, rows, split_trusted.
    Service time counts only from intervals in which the server resent nothing, where there are enough
    of them: a segment sent again makes the server look slow (it restarts last_data_sent).
    """
    params = params or Params()
    size = len(groups)
    table: dict[str, Any] = {str(key): groups[key].array for key in groups.columns}
    for column in SUMS:
        table[column] = tally.total(rows[column], number, size) if column in rows else np.full(size, np.nan)
    table["min_rtt_us"] = tally.least(rows["min_rtt_us"], number, size)
    table["rows"] = np.bincount(number, minlength=size)
    late = _late(rows, now, params)
    response = _mean(rows, late, number, size, "response_ms", "responses", params)
    table |= _service(rows, late, number, size, params)
    table["response_ms"], table["responses"] = response.mean, response.n
    table["response_se"] = response.error
    return pd.DataFrame(table | _rates(table), copy=False)


def served(
    rows: pd.DataFrame, groups: pd.DataFrame, number: tally.Ints, now: datetime, params: Params | None = None
) -> pd.DataFrame:
    """Return of ``measured`` what tells of services: service_ms, service_se, services, split_trusted."""
    params = params or Params()
    return groups.assign(**_service(rows, _late(rows, now, params), number, len(groups), params))


def _late(rows: pd.DataFrame, now: datetime, params: Params) -> npt.NDArray[np.bool_]:
    since = pd.Timestamp(now) - pd.to_timedelta(params.times_s, unit="s")
    late: npt.NDArray[np.bool_] = (rows["at"] > since).to_numpy(dtype=bool)
    return late


def _service(
    rows: pd.DataFrame, late: npt.NDArray[np.bool_], number: tally.Ints, size: int, params: Params
) -> dict[str, Any]:
    """Return the service times of each group."""
    clean = late & (rows["retransmitted_server"] == 0).to_numpy(dtype=bool)
    every = _mean(rows, late, number, size, "service_ms", "services", params)
    service = _mean(rows, clean, number, size, "service_ms", "services", params)
    trusted = service.n >= params.clean_share * every.n
    return {
        "service_ms": np.where(trusted, service.mean, every.mean),
        "service_se": np.where(trusted, service.error, every.error),
        "services": every.n,
        "split_trusted": trusted,
    }


class _Mean(NamedTuple):
    n: tally.Floats
    mean: tally.Floats
    error: tally.Floats


def _mean(
    rows: pd.DataFrame,
    kept: npt.NDArray[np.bool_],
    number: tally.Ints,
    size: int,
    sums: str,
    counts: str,
    params: Params,
) -> _Mean:
    """Return n, mean and its standard error by group: a ratio estimate over the kept intervals.

    Var = Σ(sᵢ − m nᵢ)² / (Σn)² · r/(r−1) over r intervals (Cochran 1977, 6.4); with few intervals,
    at least what exponential times would give, m/√n.
    """
    kept = kept & (rows[counts] > 0).to_numpy(dtype=bool)
    group = number[kept]
    s, n = rows[sums].to_numpy()[kept], rows[counts].to_numpy()[kept]
    count, intervals = tally.total(n, group, size), np.bincount(group, minlength=size)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = tally.total(s, group, size) / count
        squares = tally.total((s - mean[group] * n) ** 2, group, size)
        scatter = np.sqrt(squares * intervals / np.maximum(intervals - 1, 1)) / count
        exponential = mean / np.sqrt(count)
    few = intervals < params.least_rows
    return _Mean(count, mean, np.where(few, np.maximum(scatter, exponential), scatter))


def _rates(table: Mapping[str, tally.Floats]) -> dict[str, tally.Floats]:
    """Return what follows from the sums: segments, retransmissions, network part, chattiness, connections."""
    segments = table["segments_client"] + table["segments_server"]
    again = table["retransmitted_client"] + table["retransmitted_server"]
    seconds, exchanges, new = table["seconds"], table["exchanges"], table["connections_new"]
    return {
        "segments": segments,
        "retransmissions": again,
        "rto": table["rto_client"] + table["rto_server"],
        "retransmission_rate": again / np.where(segments > 0, segments, np.nan),
        "network_ms": np.maximum(table["response_ms"] - table["service_ms"], 0.0),
        "exchanges_per_s": exchanges / np.where(seconds > 0, seconds, np.nan),
        "exchanges_per_connection": exchanges / np.maximum(new, 1.0),
        "connections": np.maximum(new + table["connections_open"] / np.maximum(table["rows"], 1), 1.0),
    }
