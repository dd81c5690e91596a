"""What was measured of groups of container pairs: sums over the window, mean times with their errors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

SUMS = [
    "segments_client", "segments_server", "retransmitted_client", "retransmitted_server",
    "rto_client", "rto_server", "seconds", "exchanges", "connections_new", "connections_open",
    "response_ms", "responses", "service_ms", "services",
]  # fmt: skip


@dataclass(frozen=True)
class Params:
    """How much makes a measurement."""

    times_s: float = 120.0  # times are of the newest two samples: they need fewer events than losses do
    least_rows: int = 5  # intervals before their scatter is believed
    clean_share: float = 0.2  # of requests in intervals without a retransmission, before others are dropped


def measured(
    rows: pd.DataFrame, keys: list[str], now: datetime, params: Params | None = None
) -> pd.DataFrame:
    """Return sums and means of observations by ``keys``.

    Columns: ``keys``; SUMS (of which response_ms and service_ms are means, NaN where nothing was timed),
    response_se and service_se (their standard errors), min_rtt_us, rows, split_trusted. Service time
    counts only from intervals in which the server resent nothing, where there are enough of them: a
    segment sent again makes the server look slow (it restarts last_data_sent).
    """
    params = params or Params()
    by_key = rows.groupby(keys)
    table = by_key[SUMS].sum()
    table["min_rtt_us"] = by_key["min_rtt_us"].min()
    table["rows"] = by_key.size()
    timed = rows[rows["at"] > pd.Timestamp(now) - pd.to_timedelta(params.times_s, unit="s")]
    clean = timed[timed["retransmitted_server"] == 0]
    response = _mean(timed, keys, "response_ms", "responses", table.index, params)
    service = _mean(clean, keys, "service_ms", "services", table.index, params)
    every = _mean(timed, keys, "service_ms", "services", table.index, params)
    table["split_trusted"] = service["n"] >= params.clean_share * every["n"]
    table["service_ms"] = service["mean"].where(table["split_trusted"], every["mean"])
    table["service_se"] = service["error"].where(table["split_trusted"], every["error"])
    table["services"] = every["n"]
    table["response_ms"], table["response_se"] = response["mean"], response["error"]
    table["responses"] = response["n"]
    return _with_rates(table.reset_index())


def _mean(
    rows: pd.DataFrame, keys: list[str], total: str, count: str, index: pd.Index[Any], params: Params
) -> pd.DataFrame:
    """Return n, mean and its standard error by key: a ratio estimate over intervals.

    Var = Σ(sᵢ − m nᵢ)² / (Σn)² · r/(r−1) over r intervals (Cochran 1977, 6.4); with few intervals,
    at least what exponential times would give, m/√n.
    """
    told = rows[rows[count] > 0]
    by_key = told.groupby(keys)
    sums = by_key[[total, count]].sum()
    mean, n = sums[total] / sums[count], sums[count]
    expected = by_key[total].transform("sum") / by_key[count].transform("sum") * told[count]
    squares = ((told[total] - expected) ** 2).groupby(by_key.ngroup()).sum().to_numpy()
    intervals = by_key.size()
    scatter = np.sqrt(squares * intervals / np.maximum(intervals - 1, 1)) / n
    error = scatter.where(intervals >= params.least_rows, np.maximum(scatter, mean / np.sqrt(n)))
    return pd.DataFrame(
        {"n": n.reindex(index).fillna(0.0), "mean": mean.reindex(index), "error": error.reindex(index)}
    )


def _with_rates(table: pd.DataFrame) -> pd.DataFrame:
    """Add what follows from the sums: segments, retransmissions, network part, chattiness, connections."""
    table["segments"] = table["segments_client"] + table["segments_server"]
    table["retransmissions"] = table["retransmitted_client"] + table["retransmitted_server"]
    table["retransmission_rate"] = table["retransmissions"] / table["segments"].where(table["segments"] > 0)
    table["network_ms"] = (table["response_ms"] - table["service_ms"]).clip(lower=0.0)
    table["exchanges_per_s"] = table["exchanges"] / table["seconds"].where(table["seconds"] > 0)
    table["exchanges_per_connection"] = table["exchanges"] / np.maximum(table["connections_new"], 1.0)
    open_now: pd.Series[float] = table["connections_open"] / table["rows"].clip(lower=1)
    table["connections"] = np.maximum(table["connections_new"] + open_now, 1.0)
    return table
