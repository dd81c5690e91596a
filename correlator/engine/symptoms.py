"""Which pairs are slower than usual, by how much, since when, and which part grew.

Three symptoms, each against its usual: retransmissions a segment of a group (host pair × service
pair; negative binomial), its mean response, and the mean service time of its server (Student's t of
the logarithm of the ratio). Benjamini–Hochberg over all of them. Smoothed round-trip time is never
used: loss does not move it, response times do. Page: docs/algorithms/symptoms.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from correlator.engine import host_local, signs, tally
from correlator.engine.onsets import starts
from correlator.engine.significance import Flags, Floats, at_least, discovered, discoveries, longer

__all__ = ["GROUP", "Params", "along", "discoveries", "host_pairs", "in_doubt", "onsets", "prefixed",
           "symptoms"]  # fmt: skip

GROUP = ["src_host", "dst_host", "src_service", "dst_service"]
HOSTS = ["src_host", "dst_host"]
SERVER = ["dst_host", "dst_service"]
PARTS = pd.array(["network", "service"], dtype=tally.TEXT)
ASKED = [
    *HOSTS, "segments", "segments_client", "segments_server", "retransmissions", "retransmitted_client",
    "retransmitted_server", "undirected", "connections", "responses", "response_se", "service_se",
    "network_ms", "usual_network_ms", "usual_retransmissions", "usual_retransmissions_shape",
    "usual_response_ms", "usual_response_ms_spread", "slow", "grew", "at_host",
]  # fmt: skip
SENT = ["segments", "segments_client", "segments_server", "retransmissions", "retransmitted_client",
        "retransmitted_server", "undirected"]  # fmt: skip


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
    signs: signs.Params = field(default_factory=signs.Params)
    host_local: host_local.Params = field(default_factory=host_local.Params)


def symptoms(
    measured: pd.DataFrame, usual: pd.DataFrame, servers: Sequence[pd.DataFrame], params: Params | None = None
) -> pd.DataFrame:
    """Return ``measured`` with its usual and with what is slower than that.

    ``measured``: columns of ``measures.measured`` by group; ``usual``: those of ``baseline.usual``, one
    row a group; ``servers``: tables of services measured apart (by server, by service), each with
    service_ms, service_se, services, usual_service_ms and usual_service_ms_spread beside its keys:
    a service's time is its own, whoever calls.

    Added columns: usual_ beside each figure; excess (retransmissions beyond usual); ratio of response
    and service_ratio, with their 95 % intervals; p_loss, p_host_pair, p_response, p_service and those of
    ``signs.signs``; lossy, slow_response, slow_service, slow_untimed (after false-discovery control over
    all tests together), slow (any), grew (network, service or null), at_host (the host whose own
    slowness it is, or null). NaN where there is no usual yet or nothing was measured.
    """
    params = params or Params()
    table = {name: measured[name].to_numpy() for name in measured.columns if name not in GROUP}
    table |= _of_usual(measured, usual)
    table["excess"] = table["retransmissions"] - table["segments"] * table["usual_retransmissions"]
    table["usual_network_ms"] = np.maximum(table["usual_response_ms"] - table["usual_service_ms"], 0.0)
    table["usual_exchanges_per_s"] = table["usual_exchanges"]
    table["usual_exchanges_per_connection"] = table["usual_exchanges"] / table["usual_connections"]
    for what, prefix in (("response", ""), ("service", "service_")):
        table |= {f"{prefix}{name}": column for name, column in _time_tests(table, what, params).items()}
    table["p_response"], table["p_own_service"] = table.pop("p"), table.pop("service_p")
    keyed = {key: measured[key].array for key in GROUP}
    return _with_flags(pd.DataFrame(keyed | table, copy=False), servers, params)


def _of_usual(measured: pd.DataFrame, usual: pd.DataFrame) -> dict[str, Any]:
    """Return what is usual, row for row of what was measured; null where nothing is."""
    row = tally.find(measured, usual, GROUP)
    told = prefixed(usual, GROUP).drop(columns=GROUP)
    return {
        str(name): column.array.take(row, allow_fill=True)
        if not isinstance(column.dtype, np.dtype) or column.dtype == object
        else np.append(column.to_numpy(dtype=np.float64), np.nan)[row]
        for name, column in told.items()
    }


def prefixed(usual: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return a table of what is usual with ``usual_`` before the names of its figures."""
    kept = {*keys, "usual_from"}
    return usual.rename(columns={name: f"usual_{name}" for name in usual.columns if name not in kept})


def _time_tests(table: Any, what: str, params: Params) -> dict[str, Floats]:
    """Return ratio of a mean time to its usual, its 95 % interval and P(as large a ratio by chance)."""
    now, usual, spread, error, count = (
        np.asarray(table[column], dtype=np.float64)
        for column in (
            f"{what}_ms",
            f"usual_{what}_ms",
            f"usual_{what}_ms_spread",
            f"{what}_se",
            f"{what}s",
        )
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        sigma = np.sqrt((error / now) ** 2 + spread**2)
    logarithm, reach, p = longer(
        np.where(count >= params.least_count, now, np.nan), usual, sigma, params.degrees
    )
    ratio = np.exp(logarithm)
    return {"ratio": ratio, "ratio_low": ratio / np.exp(reach), "ratio_high": ratio * np.exp(reach), "p": p}


def _with_flags(table: pd.DataFrame, servers: Sequence[pd.DataFrame], params: Params) -> pd.DataFrame:
    """Return the table with every test's answer, after false-discovery control over all of them."""
    again, shape = table["retransmissions"].to_numpy(), table["usual_retransmissions_shape"].to_numpy()
    p_loss = at_least(again, (table["segments"] * table["usual_retransmissions"]).to_numpy(), shape)
    p_hosts, number = _host_pair_tests(table)
    served = [(pooled, _time_tests(pooled, "service", params)) for pooled in servers]
    table = table.assign(p_loss=p_loss, p_host_pair=np.append(p_hosts, np.nan)[number])
    further = signs.signs(table, params.signs)
    p_further = {name: p for name, p in further.items() if name.startswith("p_")}
    families = [p_loss, table["p_response"].to_numpy(), p_hosts, *p_further.values()]
    families += [tests["p"] for _, tests in served]
    passed = discovered(families, params.false_discovery)
    by_sign = dict(zip(p_further, passed[3:], strict=False))
    beside = np.append(passed[2], False)[number] & (p_loss < params.own_p)
    enough = again >= params.least_retransmissions
    timed_out = signs.timed_out(table, by_sign, params.signs)
    slow_service, p_service = _slow_services(table, served, passed[3 + len(p_further) :], params)
    return _with_parts(
        table.assign(
            **further,
            lossy=(passed[0] | beside | timed_out) & enough & _much(table, params),
            slow_response=passed[1] & _longer(table, "response", table["ratio"], params),
            slow_untimed=signs.slow_untimed(table, further, by_sign, params.signs),
            p_service=p_service,
            slow_service=slow_service,
        ),
        params,
    )


def _much(table: pd.DataFrame, params: Params) -> Flags:
    least = np.maximum(0.5, params.least_excess_rate * table["segments"].to_numpy())
    much: Flags = table["excess"].to_numpy() >= least
    return much


def _longer(table: pd.DataFrame, what: str, ratio: Any, params: Params) -> Flags:
    more = table[f"{what}_ms"].to_numpy() - table[f"usual_{what}_ms"].to_numpy()
    longer: Flags = (np.asarray(ratio) >= params.least_ratio) & (more >= params.least_ms)
    return longer


def _slow_services(
    table: pd.DataFrame,
    served: Sequence[tuple[pd.DataFrame, dict[str, Floats]]],
    passed: Sequence[Flags],
    params: Params,
) -> tuple[Flags, Floats]:
    """Return which groups ask a slow server: it or its service is slow, and this group sees it too."""
    slow = np.zeros(len(table), dtype=bool)
    p = np.full(len(table), np.nan)
    for (pooled, tests), flags in zip(served, passed, strict=True):
        keys = [key for key in SERVER if key in pooled.columns]
        row = tally.find(table, pooled, keys)
        slow |= np.append(flags & _longer(pooled, "service", tests["ratio"], params), False)[row]
        p = np.fmin(p, np.append(tests["p"], np.nan)[row])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = table["service_ms"].to_numpy() / table["usual_service_ms"].to_numpy()
    return slow & _longer(table, "service", ratio, params), p


def _host_pair_tests(table: pd.DataFrame) -> tuple[Floats, tally.Ints]:
    """Return P of the retransmissions of each host pair as a whole, and the host pair of each row (or −1)."""
    told = table["usual_retransmissions"].notna().to_numpy()
    of_told = told if told.all() else np.flatnonzero(told)
    rows = table[["segments", "usual_retransmissions", "usual_retransmissions_shape", "retransmissions"]]
    segments, rate, shape, count = rows.to_numpy(dtype=np.float64)[of_told].T
    hosts, of_hosts = tally.numbered(table[HOSTS] if told.all() else table.loc[told, HOSTS], HOSTS)
    expected = segments * rate
    sums, square, again = (
        tally.total(values, of_hosts, len(hosts)) for values in (expected, expected**2 / shape, count)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        p = at_least(again, sums, sums**2 / square)
    number = np.full(len(table), -1, dtype=np.int64)
    number[told] = of_hosts
    return p, number


def _with_parts(table: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Return the table with slow and grew: the network where loss is seen, unless the split says else."""
    lossy, slow_service = table["lossy"].to_numpy(dtype=bool), table["slow_service"].to_numpy(dtype=bool)
    slow = lossy | slow_service
    for column in ("slow_response", "slow_untimed"):
        slow |= table[column].to_numpy(dtype=bool)
    service = table["service_ms"].to_numpy() - table["usual_service_ms"].to_numpy()
    response = table["response_ms"].to_numpy() - table["usual_response_ms"].to_numpy()
    mostly = ~(service < 0.5 * response)  # also where either is not known
    by_service = slow_service & mostly & (table["split_trusted"].to_numpy(dtype=bool) | ~lossy)
    untold = np.isnan(service) & ~lossy
    if by_service.any() and untold.any():
        # where this client's own split is not measured, its server's other clients tell
        servers, number = tally.numbered(table, SERVER)
        by_service |= untold & tally.any_of(by_service, number, len(servers))[number]
    part = np.where(slow, np.where(by_service, 1, 0), -1)
    table = table.assign(slow=slow, grew=PARTS.take(part, allow_fill=True))
    return table.assign(at_host=host_local.hosts_of(table, params.host_local))


def along(
    table: pd.DataFrame, by_hosts: pd.DataFrame, crossing: csr_array, params: Params | None = None
) -> pd.DataFrame:
    """Return the symptoms with pairs called lossy that are so only together with others on a sick link.

    ``by_hosts``: rows of ``host_pairs``; ``crossing``: their shares (rows) of the links that are known
    to be sick (columns). With little traffic each pair lost a packet or two, which says nothing,
    but all pairs on the link together may say enough.
    """
    params = params or Params()
    mine = csr_array(crossing > 0.0, dtype=np.float64)
    if not mine.nnz:
        return table
    usual = by_hosts["expected"].to_numpy()
    expected, square = mine.T @ usual, mine.T @ (usual**2 / by_hosts["shape"].to_numpy())
    with np.errstate(divide="ignore", invalid="ignore"):
        p = at_least(mine.T @ by_hosts["retransmissions"].to_numpy(), expected, expected**2 / square)
    hurt = mine @ (p <= params.along_p).astype(np.float64) > 0.0
    if not hurt.any():
        return table
    more = np.append(hurt, False)[tally.find(table, by_hosts, HOSTS)] & _may_be_lossy(table, params)
    if not more.any():
        return table
    return _with_parts(table.assign(lossy=table["lossy"].to_numpy(dtype=bool) | more), params)


def in_doubt(table: pd.DataFrame, params: Params | None = None) -> Flags:
    """Return which groups are slow, or may be told to be by ``along``."""
    slow: Flags = table["slow"].to_numpy(dtype=bool) | _may_be_lossy(table, params or Params())
    return slow


def _may_be_lossy(table: pd.DataFrame, params: Params) -> Flags:
    lossy: Flags = (table["p_loss"].to_numpy() < params.own_p) & _much(table, params)
    return lossy


def host_pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a host pair of different hosts with a usual: what localisation asks of symptoms.

    Columns: src_host, dst_host, segments, segments_client, segments_server, retransmissions,
    retransmitted_client, retransmitted_server (of them, who sent again), undirected (of them, those
    that either end may have lost), expected (usual), shape (of expected), connections, delay_ms (network
    part now − usual; NaN unknown), delay_sigma_ms, slow (some group's network part grew). Rows are
    numbered from 0. What is a host's own tells nothing of links: waits are left out of delay and slow,
    groups that lose are left out.
    """
    apart = ~tally.same(table["src_host"], table["dst_host"])
    lost_at_host = table["at_host"].notna().to_numpy() & table["lossy"].to_numpy(dtype=bool)
    rows = table[ASKED][apart & table["usual_retransmissions"].notna().to_numpy() & ~lost_at_host]
    hosts, number = tally.numbered(rows, HOSTS)
    size = len(hosts)
    answer: dict[str, Any] = {key: hosts[key].array for key in HOSTS}
    for column in SENT:
        answer[column] = tally.total(rows[column], number, size)
    expected = rows["segments"].to_numpy() * rows["usual_retransmissions"].to_numpy()
    square = tally.total(expected**2 / rows["usual_retransmissions_shape"].to_numpy(), number, size)
    answer["expected"] = tally.total(expected, number, size)
    answer["connections"] = tally.total(rows["connections"], number, size)
    with np.errstate(divide="ignore", invalid="ignore"):
        answer["shape"] = answer["expected"] ** 2 / square
    answer["delay_ms"], answer["delay_sigma_ms"] = _delays(rows, number, size)
    slow = rows["slow"].to_numpy(dtype=bool) & (rows["grew"] == "network").to_numpy(dtype=bool)
    slow &= rows["at_host"].isna().to_numpy()
    answer["slow"] = tally.any_of(slow, number, size)
    return pd.DataFrame(answer, copy=False)


def _delays(rows: pd.DataFrame, number: tally.Ints, size: int) -> tuple[Floats, Floats]:
    """Return how much longer the network takes than usual, and how unsure that is, weighted by responses."""
    more = rows["network_ms"].to_numpy() - rows["usual_network_ms"].to_numpy()
    told = np.isfinite(more) & rows["at_host"].isna().to_numpy()
    weight = np.where(told, rows["responses"].to_numpy(), 0.0)
    spread = rows["usual_response_ms_spread"].to_numpy() * rows["usual_response_ms"].to_numpy()
    error = rows["response_se"].to_numpy() ** 2 + rows["service_se"].to_numpy() ** 2
    weight_told = np.where(weight > 0, weight, np.nan)
    whole = tally.total(weight, number, size)
    whole[whole <= 0.0] = np.nan
    delay = tally.total(more * weight_told, number, size) / whole
    return delay, tally.total(np.sqrt(error + spread**2) * weight_told, number, size) / whole


def onsets(
    observed: pd.DataFrame, table: pd.DataFrame, now: datetime, params: Params | None = None
) -> pd.Series[Any]:
    """Return since when each slow group has been off, by the observations of the raw window; else null."""
    return starts(observed, table, GROUP, now, (params or Params()).bin_s)
