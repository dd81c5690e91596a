"""Which pairs are slower than usual, by how much, since when, and which part grew.

Three symptoms a group (host pair × service pair), each against its usual: retransmissions a
segment (negative binomial), mean response and mean service time (Student's t of the logarithm of
the ratio). Benjamini–Hochberg over all of them. Smoothed round-trip time is never used: loss does not
move it, response times do. Page: docs/algorithms/symptoms.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import nbinom, t

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

GROUP = ["src_host", "dst_host", "src_service", "dst_service"]
HOSTS = ["src_host", "dst_host"]
SUMS = [
    "segments_client", "segments_server", "retransmitted_client", "retransmitted_server",
    "rto_client", "rto_server",
    "seconds", "exchanges", "connections_new", "connections_open",
    "response_ms", "responses", "service_ms", "services",
]  # fmt: skip


@dataclass(frozen=True)
class Params:
    """When a difference is one."""

    false_discovery: float = 1e-3  # Benjamini–Hochberg, over all tests of a cycle
    least_excess_rate: float = 1e-4  # retransmissions a segment more than usual
    least_retransmissions: float = 3.0
    least_ratio: float = 1.15  # of times
    least_ms: float = 0.05
    least_count: float = 30.0  # responses or requests
    least_rows: int = 5  # intervals before their scatter is believed
    degrees: float = 10.0  # of freedom: hours that make a usual, roughly
    bin_s: float = 60.0  # grain of the onset
    times_s: float = 120.0  # times are of the newest two samples: they need fewer events than losses do


def symptoms(
    observed: pd.DataFrame,
    usual: pd.DataFrame,
    since: datetime,
    now: datetime,
    params: Params | None = None,
) -> pd.DataFrame:
    """Return one row a group that was active after ``since``.

    ``observed``: rows of container pairs with the columns of ``pairs.observations``, the whole raw
    window; ``usual``: the columns of ``baseline.usual``, one row a group. Columns: the group;
    segments, retransmissions and the rates, usual beside now; response_ms, network_ms and
    service_ms, usual beside now; ratio of response with its 95 % interval; exchanges_per_s,
    exchanges_per_connection (chattiness) and their usual; connections; min_rtt_us; p-values; lossy,
    slow_response, slow_service (each after false-discovery control), slow (any), grew (network,
    service or null), onset. NaN where there is no usual yet or nothing was measured.
    """
    params = params or Params()
    recent = observed[observed["at"] > pd.Timestamp(since)]
    table = grouped(recent, now, params).merge(_prefixed(usual), on=GROUP, how="left")
    table = _with_tests(_with_parts(table), params)
    table = _with_flags(table, params)
    return table.assign(onset=_onsets(observed, table, now, params))


def grouped(rows: pd.DataFrame, now: datetime, params: Params) -> pd.DataFrame:
    """Return sums and means of observations by group, with standard errors of the mean times.

    Service time counts only from intervals without a retransmission where there are enough of
    them: a segment sent again makes the server look slow (it restarts last_data_sent).
    """
    by_group = rows.groupby(GROUP)
    table = by_group[SUMS].sum()
    table["min_rtt_us"] = by_group["min_rtt_us"].min()
    table["rows"] = by_group.size()
    timed = rows[rows["at"] > pd.Timestamp(now) - pd.to_timedelta(params.times_s, unit="s")]
    clean = timed[timed["retransmitted_server"] == 0]
    response = _mean(timed, "response_ms", "responses", table.index, params)
    service = _mean(clean, "service_ms", "services", table.index, params)
    every = _mean(timed, "service_ms", "services", table.index, params)
    table["split_trusted"] = service["n"] >= 0.2 * every["n"]
    table["service_ms"] = service["mean"].where(table["split_trusted"], every["mean"])
    table["service_se"] = service["error"].where(table["split_trusted"], every["error"])
    table["services"] = every["n"]
    table["response_ms"], table["response_se"] = response["mean"], response["error"]
    table["responses"] = response["n"]
    return table.reset_index()


def _mean(rows: pd.DataFrame, total: str, count: str, index: pd.Index[Any], params: Params) -> pd.DataFrame:
    """Return n, mean and its standard error by group: a ratio estimate over intervals.

    Var = Σ(sᵢ − m nᵢ)² / (Σn)² · r/(r−1) over r intervals (Cochran 1977, 6.4); with few intervals,
    at least what exponential times would give, m/√n.
    """
    told = rows[rows[count] > 0]
    group = told.groupby(GROUP)
    sums = group[[total, count]].sum()
    mean, n = sums[total] / sums[count], sums[count]
    expected = group[total].transform("sum") / group[count].transform("sum") * told[count]
    squares = ((told[total] - expected) ** 2).groupby(group.ngroup()).sum().to_numpy()
    intervals = group.size()
    scatter = np.sqrt(squares * intervals / np.maximum(intervals - 1, 1)) / n
    error = scatter.where(intervals >= params.least_rows, np.maximum(scatter, mean / np.sqrt(n)))
    return pd.DataFrame(
        {"n": n.reindex(index).fillna(0.0), "mean": mean.reindex(index), "error": error.reindex(index)}
    )


def host_pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a host pair of different hosts with a usual: what localisation asks of symptoms.

    Columns: src_host, dst_host, segments_client, segments_server, retransmissions, expected (usual),
    shape (of expected), connections, delay_ms (network part now − usual; NaN unknown), delay_sigma_ms,
    slow (some group's network part grew). Rows are numbered from 0.
    """
    rows = table[(table["src_host"] != table["dst_host"]) & table["usual_retransmissions"].notna()].copy()
    rows["expected"] = rows["segments"] * rows["usual_retransmissions"]
    rows["square"] = rows["expected"] ** 2 / rows["usual_retransmissions_shape"]
    rows["slow"] = rows["slow"] & (rows["grew"] == "network")
    timed = rows["network_ms"].notna() & rows["usual_network_ms"].notna()
    weight = rows["responses"].where(timed, 0.0)
    spread = rows["usual_response_ms_spread"] * rows["usual_response_ms"]
    sigma = np.sqrt(rows["response_se"] ** 2 + rows["service_se"] ** 2 + spread**2)
    rows["weight"] = weight
    rows["delayed"] = ((rows["network_ms"] - rows["usual_network_ms"]) * weight).where(timed, 0.0)
    rows["doubt"] = (sigma * weight).where(timed, 0.0)
    columns = [
        "segments",
        "segments_client",
        "segments_server",
        "retransmissions",
        "expected",
        "square",
        "connections",
    ]
    sums = rows.groupby(HOSTS)[[*columns, "weight", "delayed", "doubt"]].sum().reset_index()
    weight = sums["weight"].where(sums["weight"] > 0)
    sums["shape"] = sums["expected"] ** 2 / sums["square"]
    sums["delay_ms"], sums["delay_sigma_ms"] = sums["delayed"] / weight, sums["doubt"] / weight
    slow = rows.groupby(HOSTS)["slow"].any().to_numpy(dtype=bool)
    return sums.drop(columns=["square", "weight", "delayed", "doubt"]).assign(slow=slow)


def _prefixed(usual: pd.DataFrame) -> pd.DataFrame:
    return usual.rename(
        columns={name: f"usual_{name}" for name in usual.columns if name not in (*GROUP, "usual_from")}
    )


def _with_parts(table: pd.DataFrame) -> pd.DataFrame:
    table["segments"] = table["segments_client"] + table["segments_server"]
    table["retransmissions"] = table["retransmitted_client"] + table["retransmitted_server"]
    table["retransmission_rate"] = table["retransmissions"] / table["segments"].where(table["segments"] > 0)
    table["excess"] = table["retransmissions"] - table["segments"] * table["usual_retransmissions"]
    table["network_ms"] = (table["response_ms"] - table["service_ms"]).clip(lower=0.0)
    table["usual_network_ms"] = (table["usual_response_ms"] - table["usual_service_ms"]).clip(lower=0.0)
    table["exchanges_per_s"] = table["exchanges"] / table["seconds"].where(table["seconds"] > 0)
    table["usual_exchanges_per_s"] = table["usual_exchanges"]
    opened = np.maximum(table["connections_new"], 1.0)
    table["exchanges_per_connection"] = table["exchanges"] / opened
    table["usual_exchanges_per_connection"] = table["usual_exchanges"] / table["usual_connections"]
    table["connections"] = np.maximum(
        table["connections_new"] + table["connections_open"] / np.maximum(table["rows"], 1), 1.0
    )
    return table


def _with_tests(table: pd.DataFrame, params: Params) -> pd.DataFrame:
    table["p_loss"] = _loss_p(
        table["retransmissions"],
        table["segments"] * table["usual_retransmissions"],
        table["usual_retransmissions_shape"],
    )
    for what, count in (("response", "responses"), ("service", "services")):
        ratio = table[f"{what}_ms"] / table[f"usual_{what}_ms"]
        error = table[f"{what}_se"] / table[f"{what}_ms"]
        sigma = (error**2 + table[f"usual_{what}_ms_spread"] ** 2) ** 0.5
        enough = (table[count] >= params.least_count) & (ratio > 0)
        logarithm = np.log(ratio.where(enough))
        table[f"p_{what}"] = t.sf(logarithm / sigma, params.degrees)
        reach = t.ppf(0.975, params.degrees) * sigma
        prefix = "" if what == "response" else "service_"
        table[f"{prefix}ratio"] = ratio.where(enough)
        table[f"{prefix}ratio_low"] = np.exp(logarithm - reach)
        table[f"{prefix}ratio_high"] = np.exp(logarithm + reach)
    return table


def _loss_p(count: pd.Series[float], expected: pd.Series[float], shape: pd.Series[float]) -> Floats:
    """Return P(at least ``count``) of a Poisson whose rate varies by a Gamma of ``shape``."""
    answer: Floats = nbinom.sf(count - 1.0, shape, shape / (shape + expected))
    return np.where(expected > 0, answer, np.nan)


def _with_flags(table: pd.DataFrame, params: Params) -> pd.DataFrame:
    host_p = _host_pair_p(table)
    tests = np.concatenate(
        [table[name].to_numpy() for name in ("p_loss", "p_response", "p_service")] + [host_p]
    )
    passed = discoveries(tests, params.false_discovery).reshape(4, -1)
    excess = table["excess"].to_numpy()
    much = excess >= np.maximum(
        params.least_retransmissions * 0.5, params.least_excess_rate * table["segments"]
    )
    with_hosts = passed[3] & (table["p_loss"].to_numpy() < 0.05)
    table["p_host_pair"] = host_p
    table["lossy"] = (
        (passed[0] | with_hosts) & much & (table["retransmissions"] >= params.least_retransmissions)
    )
    for row, what in ((1, "response"), (2, "service")):
        more = table[f"{what}_ms"] - table[f"usual_{what}_ms"]
        ratio = table["ratio" if row == 1 else "service_ratio"]
        table[f"slow_{what}"] = passed[row] & (ratio >= params.least_ratio) & (more >= params.least_ms)
    table["slow"] = table["lossy"] | table["slow_response"] | table["slow_service"]
    return table.assign(grew=_grown_part(table))


def _host_pair_p(table: pd.DataFrame) -> Floats:
    """Return, row for row, the test of retransmissions of the row's whole host pair."""
    told = table.dropna(subset=["usual_retransmissions"])
    expected = told["segments"] * told["usual_retransmissions"]
    keyed = told[HOSTS].assign(
        count=told["retransmissions"],
        expected=expected,
        square=expected**2 / told["usual_retransmissions_shape"],
    )
    sums = keyed.groupby(HOSTS)[["count", "expected", "square"]].sum()
    p = _loss_p(sums["count"], sums["expected"], sums["expected"] ** 2 / sums["square"])
    by_hosts = pd.DataFrame({"p": p}, index=sums.index).reset_index()
    answer: Floats = table[HOSTS].merge(by_hosts, on=HOSTS, how="left")["p"].to_numpy(dtype=np.float64)
    return answer


def discoveries(p: Floats, rate: float) -> Flags:
    """Return which p-values to believe at false-discovery ``rate`` (Benjamini, Hochberg 1995); NaN never."""
    told = np.isfinite(p)
    ordered = np.sort(p[told])
    below = np.flatnonzero(ordered <= rate * np.arange(1, len(ordered) + 1) / max(len(ordered), 1))
    limit = ordered[below[-1]] if len(below) else -1.0
    answer: Flags = told & (np.where(told, p, 2.0) <= limit)
    return answer


def _grown_part(table: pd.DataFrame) -> pd.Series[Any]:
    """Return network or service: where loss is seen, the network, unless the split says otherwise."""
    service = table["service_ms"] - table["usual_service_ms"]
    response = table["response_ms"] - table["usual_response_ms"]
    mostly = (service >= 0.5 * response).fillna(True)
    by_service = table["slow_service"] & mostly & (table["split_trusted"] | ~table["lossy"])
    part = pd.Series("network", index=table.index, dtype="str").mask(by_service, "service")
    return part.where(table["slow"])


def _onsets(observed: pd.DataFrame, table: pd.DataFrame, now: datetime, params: Params) -> pd.Series[Any]:
    """Return since when each slow group has been off: the start that makes the evidence up to now largest.

    Each bin of the raw window scores the log-likelihood ratio of *now* against usual, of
    retransmissions where the group is lossy, else of the mean time that grew (CUSUM, Page 1954).
    """
    slow = table[table["slow"]]
    rows = observed.merge(
        slow.reset_index().rename(columns={"index": "number"})[[*GROUP, "number"]], on=GROUP
    )
    bins = np.floor((pd.Timestamp(now) - rows["at"]).dt.total_seconds() / params.bin_s)
    sums = rows.groupby([rows["number"], bins.rename("ago")])[SUMS].sum().reset_index()
    score = _score(sums, slow.loc[sums["number"]])
    sums["sum"] = score.groupby(sums["number"]).cumsum()
    best = sums.loc[sums.groupby("number")["sum"].idxmax()]
    start = pd.Timestamp(now) - pd.to_timedelta((best["ago"] + 1.0) * params.bin_s, unit="s")
    return start.set_axis(best["number"]).reindex(table.index)


def _score(sums: pd.DataFrame, slow: pd.DataFrame) -> pd.Series[float]:
    slow = slow.reset_index(drop=True)
    segments = sums["segments_client"] + sums["segments_server"]
    count = sums["retransmitted_client"] + sums["retransmitted_server"]
    low = slow["usual_retransmissions"]
    high = np.maximum(slow["retransmission_rate"], 1.5 * low)
    loss = count * np.log(high / low) - segments * (high - low)
    part = np.where(slow["slow_response"], "response", "service")
    times = pd.Series(0.0, index=sums.index)
    for what, counted in (("response", "responses"), ("service", "services")):
        middle = (slow[f"{what}_ms"] + slow[f"usual_{what}_ms"]) / 2.0
        times = times.where(part != what, (sums[f"{what}_ms"] - middle * sums[counted]) / slow[f"{what}_ms"])
    score: pd.Series[float] = loss.where(slow["lossy"], times).fillna(0.0)
    return score
