"""Which pairs are slower than usual, by how much, since when, and which part grew.

Three symptoms, each against its usual: retransmissions a segment of a group (host pair × service
pair; negative binomial), its mean response, and the mean service time of its server (Student's t of
the logarithm of the ratio). Benjamini–Hochberg over all of them. Smoothed round-trip time is never
used: loss does not move it, response times do. Page: docs/algorithms/symptoms.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array
from scipy.stats import nbinom, t

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

GROUP = ["src_host", "dst_host", "src_service", "dst_service"]
HOSTS = ["src_host", "dst_host"]
TOTALS = ["response_ms", "responses", "service_ms", "services"]


@dataclass(frozen=True)
class Params:
    """When a difference is one."""

    false_discovery: float = 1e-3  # Benjamini–Hochberg, over all tests of a cycle
    along_p: float = 1e-4  # of the losses of all pairs on a sick link together: few links are sick
    own_p: float = 0.05  # of a pair that is judged together with others
    least_excess_rate: float = 1e-4  # retransmissions a segment more than usual
    least_retransmissions: float = 3.0
    least_ratio: float = 1.15  # of times
    least_ms: float = 0.05
    least_count: float = 10.0  # responses or requests
    degrees: float = 10.0  # of freedom: hours that make a usual, roughly
    bin_s: float = 60.0  # grain of the onset


def symptoms(
    measured: pd.DataFrame, usual: pd.DataFrame, servers: Sequence[pd.DataFrame], params: Params | None = None
) -> pd.DataFrame:
    """Return ``measured`` with its usual and with what is slower than that.

    ``measured``: columns of ``measures.measured`` by group; ``usual``: those of ``baseline.usual``, one
    row a group; ``servers``: tables of services measured apart (by server, by service), each with
    service_ms, service_se, services, usual_service_ms and usual_service_ms_spread beside its keys:
    a service's time is its own, whoever calls.

    Added columns: usual_ beside each figure; excess (retransmissions beyond usual); ratio of response
    and service_ratio, with their 95 % intervals; p_loss, p_host_pair, p_response, p_service; lossy,
    slow_response, slow_service (after false-discovery control), slow (any), grew (network, service or
    null). NaN where there is no usual yet or nothing was measured.
    """
    params = params or Params()
    table = measured.merge(prefixed(usual, GROUP), on=GROUP, how="left")
    table["excess"] = table["retransmissions"] - table["segments"] * table["usual_retransmissions"]
    table["usual_network_ms"] = (table["usual_response_ms"] - table["usual_service_ms"]).clip(lower=0.0)
    table["usual_exchanges_per_s"] = table["usual_exchanges"]
    table["usual_exchanges_per_connection"] = table["usual_exchanges"] / table["usual_connections"]
    for what, prefix in (("response", ""), ("service", "service_")):
        table = table.join(_time_tests(table, what, params).add_prefix(prefix))
    table = table.rename(columns={"p": "p_response", "service_p": "p_own_service"})
    return _with_flags(table, servers, params)


def prefixed(usual: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return a table of what is usual with ``usual_`` before the names of its figures."""
    kept = {*keys, "usual_from"}
    return usual.rename(columns={name: f"usual_{name}" for name in usual.columns if name not in kept})


def _time_tests(table: pd.DataFrame, what: str, params: Params) -> pd.DataFrame:
    """Return ratio of a mean time to its usual, its 95 % interval and P(as large a ratio by chance)."""
    ratio = table[f"{what}_ms"] / table[f"usual_{what}_ms"]
    error = table[f"{what}_se"] / table[f"{what}_ms"]
    sigma = (error**2 + table[f"usual_{what}_ms_spread"] ** 2) ** 0.5
    enough = (table["responses" if what == "response" else "services"] >= params.least_count) & (ratio > 0)
    logarithm = np.log(ratio.where(enough))
    reach = t.ppf(0.975, params.degrees) * sigma
    return pd.DataFrame(
        {
            "ratio": ratio.where(enough),
            "ratio_low": np.exp(logarithm - reach),
            "ratio_high": np.exp(logarithm + reach),
            "p": t.sf(logarithm / sigma, params.degrees),
        },
        index=table.index,
    )


def _with_flags(table: pd.DataFrame, servers: Sequence[pd.DataFrame], params: Params) -> pd.DataFrame:
    """Return the table with every test's answer, after false-discovery control over all of them."""
    expected = table["segments"] * table["usual_retransmissions"]
    table["p_loss"] = _loss_p(table["retransmissions"], expected, table["usual_retransmissions_shape"])
    by_hosts = _host_pair_tests(table)
    served = [pooled.join(_time_tests(pooled, "service", params)) for pooled in servers]
    families = [table["p_loss"], table["p_response"], by_hosts["p"], *(pooled["p"] for pooled in served)]
    passed = _discovered(families, params.false_discovery)
    slow_hosts = pd.MultiIndex.from_frame(by_hosts.loc[passed[2], HOSTS])
    beside = pd.MultiIndex.from_frame(table[HOSTS]).isin(slow_hosts) & (table["p_loss"] < params.own_p)
    enough = table["retransmissions"] >= params.least_retransmissions
    table["lossy"] = (passed[0] | beside) & enough & _much(table, params)
    table["slow_response"] = passed[1] & _longer(table, "response", table["ratio"], params)
    table["slow_service"] = _slow_services(table, served, passed[3:], params)
    p_of_hosts = by_hosts.rename(columns={"p": "p_host_pair"})
    table = table.merge(p_of_hosts, on=HOSTS, how="left")
    return _with_parts(table)


def _much(table: pd.DataFrame, params: Params) -> pd.Series[bool]:
    return table["excess"] >= np.maximum(0.5, params.least_excess_rate * table["segments"])


def _longer(table: pd.DataFrame, what: str, ratio: pd.Series[float], params: Params) -> pd.Series[bool]:
    more = table[f"{what}_ms"] - table[f"usual_{what}_ms"]
    return (ratio >= params.least_ratio) & (more >= params.least_ms)


def _slow_services(
    table: pd.DataFrame, served: Sequence[pd.DataFrame], passed: Sequence[Flags], params: Params
) -> pd.Series[bool]:
    """Return which groups ask a slow server: it or its service is slow, and this group sees it too."""
    slow = pd.Series(False, index=table.index)
    p = pd.Series(np.nan, index=table.index)
    for pooled, flags in zip(served, passed, strict=True):
        keys = [key for key in ("dst_host", "dst_service") if key in pooled.columns]
        much = pooled.assign(found=flags & _longer(pooled, "service", pooled["ratio"], params))
        mine = table[keys].merge(much[[*keys, "found", "p"]], on=keys, how="left").set_index(table.index)
        slow |= mine["found"].fillna(False).astype(bool)
        p = p.combine(mine["p"], np.fmin)
    table["p_service"] = p
    ratio = table["service_ms"] / table["usual_service_ms"]
    return slow & _longer(table, "service", ratio, params)


def _loss_p(count: pd.Series[float], expected: pd.Series[float], shape: pd.Series[float]) -> Floats:
    """Return P(at least ``count``) of a Poisson whose rate varies by a Gamma of ``shape``."""
    answer: Floats = nbinom.sf(count - 1.0, shape, shape / (shape + expected))
    return np.where(expected > 0, answer, np.nan)


def _host_pair_tests(table: pd.DataFrame) -> pd.DataFrame:
    """Return the test of retransmissions of each host pair as a whole: HOSTS and p."""
    told = table.dropna(subset=["usual_retransmissions"])
    expected = told["segments"] * told["usual_retransmissions"]
    square = expected**2 / told["usual_retransmissions_shape"]
    keyed = told[HOSTS].assign(count=told["retransmissions"], expected=expected, square=square)
    sums = keyed.groupby(HOSTS)[["count", "expected", "square"]].sum().reset_index()
    sums["p"] = _loss_p(sums["count"], sums["expected"], sums["expected"] ** 2 / sums["square"])
    return sums[[*HOSTS, "p"]]


def _discovered(families: Sequence[pd.Series[float]], rate: float) -> list[Flags]:
    """Return, family by family, which tests to believe; the rate is controlled over all together."""
    every = discoveries(np.concatenate([p.to_numpy(dtype=np.float64) for p in families]), rate)
    return np.split(every, np.cumsum([len(p) for p in families])[:-1])


def discoveries(p: Floats, rate: float) -> Flags:
    """Return which p-values to believe at false-discovery ``rate`` (Benjamini, Hochberg 1995); NaN never."""
    told = np.isfinite(p)
    ordered = np.sort(p[told])
    below = np.flatnonzero(ordered <= rate * np.arange(1, len(ordered) + 1) / max(len(ordered), 1))
    limit = ordered[below[-1]] if len(below) else -1.0
    answer: Flags = told & (np.where(told, p, 2.0) <= limit)
    return answer


def _with_parts(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with slow and grew: the network where loss is seen, unless the split says else."""
    table["slow"] = table["lossy"] | table["slow_response"] | table["slow_service"]
    service = table["service_ms"] - table["usual_service_ms"]
    response = table["response_ms"] - table["usual_response_ms"]
    mostly = (service >= 0.5 * response).fillna(True)
    by_service = table["slow_service"] & mostly & (table["split_trusted"] | ~table["lossy"])
    # where this client's own split is not measured, its server's other clients tell
    server = [table["dst_host"], table["dst_service"]]
    by_service |= service.isna() & ~table["lossy"] & by_service.groupby(server).transform("any")
    part = pd.Series("network", index=table.index, dtype="str").mask(by_service, "service")
    return table.assign(grew=part.where(table["slow"]))


def along(
    table: pd.DataFrame, by_hosts: pd.DataFrame, crossing: csr_array, params: Params | None = None
) -> pd.DataFrame:
    """Return the symptoms with pairs called lossy that are so only together with others on a sick link.

    ``by_hosts``: rows of ``host_pairs``; ``crossing``: their shares (rows) of the links that are known
    to be sick (columns). With little traffic each pair lost a packet or two, which says nothing,
    but all pairs on the link together may say enough.
    """
    params = params or Params()
    mine = (crossing.toarray() > 0.0).astype(np.float64)
    expected = mine.T @ by_hosts["expected"].to_numpy()
    square = mine.T @ (by_hosts["expected"] ** 2 / by_hosts["shape"]).to_numpy()
    pooled = pd.DataFrame({"count": mine.T @ by_hosts["retransmissions"].to_numpy(), "expected": expected})
    with np.errstate(divide="ignore", invalid="ignore"):
        p = _loss_p(pooled["count"], pooled["expected"], pd.Series(expected**2 / square))
    hurt = mine[:, p <= params.along_p].any(axis=1)
    on_them = pd.MultiIndex.from_frame(table[HOSTS]).isin(pd.MultiIndex.from_frame(by_hosts.loc[hurt, HOSTS]))
    lossy = table["lossy"] | (on_them & (table["p_loss"] < params.own_p) & _much(table, params))
    return _with_parts(table.assign(lossy=lossy))


def host_pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a host pair of different hosts with a usual: what localisation asks of symptoms.

    Columns: src_host, dst_host, segments, segments_client, segments_server, retransmissions, expected
    (usual), shape (of expected), connections, delay_ms (network part now − usual; NaN unknown),
    delay_sigma_ms, slow (some group's network part grew). Rows are numbered from 0.
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
    columns = ["segments", "segments_client", "segments_server", "retransmissions", "expected", "square"]
    by_hosts = rows.groupby(HOSTS)
    sums = by_hosts[[*columns, "connections", "weight", "delayed", "doubt"]].sum().reset_index()
    weight = sums["weight"].where(sums["weight"] > 0)
    sums["shape"] = sums["expected"] ** 2 / sums["square"]
    sums["delay_ms"], sums["delay_sigma_ms"] = sums["delayed"] / weight, sums["doubt"] / weight
    sums["slow"] = by_hosts["slow"].any().to_numpy(dtype=bool)
    return sums.drop(columns=["square", "weight", "delayed", "doubt"])


def onsets(
    observed: pd.DataFrame, table: pd.DataFrame, now: datetime, params: Params | None = None
) -> pd.Series[Any]:
    """Return since when each slow group has been off: the start that makes the evidence up to now largest.

    Each bin of the raw window scores the log-likelihood ratio of *now* against usual, of
    retransmissions where the group is lossy, else of the mean time that grew (CUSUM, Page 1954).
    """
    params = params or Params()
    slow = table[table["slow"]]
    rows = observed.merge(slow[GROUP].reset_index(names="number"), on=GROUP)
    bins = np.floor((pd.Timestamp(now) - rows["at"]).dt.total_seconds() / params.bin_s).rename("ago")
    segments = rows["segments_client"] + rows["segments_server"]
    count = rows["retransmitted_client"] + rows["retransmitted_server"]
    sums = rows[TOTALS].assign(segments=segments, retransmissions=count).groupby([rows["number"], bins]).sum()
    sums = sums.reset_index()
    sums["sum"] = _score(sums, slow.loc[sums["number"]]).groupby(sums["number"]).cumsum()
    best = sums.loc[sums.groupby("number")["sum"].idxmax()]
    start = pd.Timestamp(now) - pd.to_timedelta((best["ago"] + 1.0) * params.bin_s, unit="s")
    return start.set_axis(best["number"]).reindex(table.index)


def _score(sums: pd.DataFrame, slow: pd.DataFrame) -> pd.Series[float]:
    """Return each bin's evidence that its group was already as it is now."""
    slow = slow.reset_index(drop=True)
    low = slow["usual_retransmissions"]
    high = np.maximum(slow["retransmission_rate"], 1.5 * low)
    loss = sums["retransmissions"] * np.log(high / low) - sums["segments"] * (high - low)
    part = np.where(slow["slow_response"], "response", "service")
    times = pd.Series(0.0, index=sums.index)
    for what, counted in (("response", "responses"), ("service", "services")):
        middle = (slow[f"{what}_ms"] + slow[f"usual_{what}_ms"]) / 2.0
        times = times.where(part != what, (sums[f"{what}_ms"] - middle * sums[counted]) / slow[f"{what}_ms"])
    score: pd.Series[float] = loss.where(slow["lossy"], times).fillna(0.0)
    return score
