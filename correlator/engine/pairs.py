"""Two ends' views become container pairs: who talked to whom, and what each end saw.

An end knows its peer by address only. The peer is found by the mirrored row of the other end
(same addresses on the wire, overlapping interval, common source port), else by a container that
held the address at that time and whose connections these can be, else by the host that holds it.
Page: docs/algorithms/pairs.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from correlator.engine import tally

WIRE = ["local_wire_address", "peer_wire_address", "server_port"]
PAIR = ["src_host", "dst_host", "src_service", "dst_service"]
COLUMNS = [
    "at", "host", "container_id", "role", *WIRE, "interval_s", "peer_host", "peer_container_id",
    "connections_open", "connections_new", "data_segments_sent", "retransmitted_segments", "dsack",
    "rto_count", "min_rtt_us", "exchanges", "response_ms_sum", "response_ms_count", "service_ms_sum",
    "service_ms_count", "max_stall_ms", "source_ports",
]  # fmt: skip
"""The columns of pair_samples that a cycle looks at; rolling up asks for response_histogram as well."""
LONGEST_S = 86_400.0  # of an interval: what claims more is taken for a day
LEAST_STALL_MS = 200.0  # Linux's shortest retransmission time-out (TCP_RTO_MIN)
FOREVER = pd.Timestamp("2200-01-01", tz="UTC")
ACTIVITY = ["connections_new", "data_segments_sent", "retransmitted_segments", "exchanges"]
"""All zero: nothing happened that tells who is at the other end; often nobody is, any more."""
SUMS = {
    "data_segments_sent": "segments",
    "rto_count": "rto",
}


def resolve(pair_samples: pd.DataFrame, containers: pd.DataFrame, hosts: pd.DataFrame) -> pd.DataFrame:
    """Return ``pair_samples`` with peer_host and peer_container_id filled where they can be told.

    Values that are there already stay, but a host's address in peer_host (all that an overlay's forwarding
    table tells) becomes that host. Where two containers could be the peer, the container stays
    null; the host is filled if they share it. Rows keep their order and index.
    """
    answer = pair_samples.copy(deep=False)
    known = _addresses(hosts)
    if (by_address := answer["peer_host"].isin(known)).any():
        owners = answer["peer_host"].map(known).astype(answer["peer_host"].dtype)
        answer["peer_host"] = answer["peer_host"].mask(by_address, owners)
    open_rows = answer[answer["peer_host"].isna() | answer["peer_container_id"].isna()]
    if open_rows.empty:
        return answer
    rows, own = _intervals(open_rows), _intervals(pair_samples)
    ways: list[Callable[[pd.DataFrame], pd.DataFrame]] = [
        lambda left: _by_mirror(left, own),
        lambda left: _by_container(left, containers),
        lambda left: _by_published_port(left, containers, hosts),
    ]
    for candidates in ways:
        left = rows[answer.loc[rows["row"], "peer_container_id"].isna().to_numpy()]
        if left.empty:
            break
        found = candidates(left)
        for column, source in (("peer_host", "host"), ("peer_container_id", "container_id")):
            answer[column] = answer[column].fillna(_only(found, source).reindex(answer.index))
    owner = answer["peer_wire_address"].map(known).astype(answer["peer_host"].dtype)
    answer["peer_host"] = answer["peer_host"].fillna(owner)
    return answer


def observations(samples: pd.DataFrame, containers: pd.DataFrame) -> pd.DataFrame:
    """Return resolved samples turned to (client, server): one row an end and interval; keys are coded.

    Columns: at, role, src_/dst_ host, container_id, name and service; seconds and exchanges,
    connections_new and connections_open (client rows, else 0), segments_client, segments_server,
    retransmitted_client, retransmitted_server (without what arrived twice, as far as DSACK, RFC 2883,
    tells), undirected (retransmissions of ends without DSACK: either end may have lost them), rto_client,
    rto_server, response_ms, responses, histogram, service_ms, services, min_rtt_us, intervals (1 where
    stalls are told), stalled (1 where one was). Where an address had several containers of one service
    within the interval, the row counts for the service and its container is null. Rows whose hosts and
    services are not known are left out.
    """
    client = (samples["role"] == "client").to_numpy(dtype=bool)
    rows: dict[str, Any] = {"at": samples["at"].array, "role": samples["role"].array}
    for column in ("host", "container_id"):
        mine, other = tally.coded(samples[column], samples[f"peer_{column}"])
        for side, near, far in (("src", mine, other), ("dst", other, mine)):
            codes = np.where(client, near.codes, far.codes)
            rows[f"{side}_{column}"] = pd.Categorical.from_codes(codes, dtype=mine.dtype)
    _add_names(rows, containers)
    _add_shared_services(rows, samples, containers, client)
    rows |= _counts(samples, client)
    table = pd.DataFrame(rows, copy=False)
    known = np.logical_and.reduce([rows[key].codes >= 0 for key in PAIR])
    return tally.only(table, known).reset_index(drop=True)


def _intervals(samples: pd.DataFrame) -> pd.DataFrame:
    rows = samples[["host", "container_id", "role", *WIRE, "source_ports"]].copy()
    rows["until"] = samples["at"]
    seconds = samples["interval_s"].fillna(0.0).clip(0.0, LONGEST_S)
    rows["since"] = samples["at"] - pd.to_timedelta(seconds, unit="s")
    told = {column: samples[column].to_numpy(dtype=np.float64, na_value=1.0) for column in ACTIVITY}
    rows["idle"] = ~np.logical_or.reduce([count > 0.0 for count in told.values()])
    rows["begun"] = told["connections_new"] > 0.0
    rows["row"] = samples.index
    return rows


def _by_mirror(rows: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """Return (row, host, container_id) of the other ends' rows; a common source port decides."""
    other = samples.rename(
        columns={"local_wire_address": "peer_wire_address", "peer_wire_address": "local_wire_address"}
    )
    other = other.assign(role=np.where(other["role"] == "client", "server", "client"))
    other["role"] = other["role"].astype(samples["role"].dtype)
    both = rows.merge(other, on=[*WIRE, "role"], suffixes=("_own", ""))
    both = both[(both["since_own"] < both["until"]) & (both["since"] < both["until_own"])]
    shared = [
        not _listed(one) or not _listed(two) or not set(one).isdisjoint(two)
        for one, two in zip(both["source_ports_own"], both["source_ports"], strict=True)
    ]
    both = both[np.array(shared, dtype=bool)]
    return both[["row_own", "host", "container_id"]].rename(columns={"row_own": "row"})


def _listed(ports: object) -> bool:
    return isinstance(ports, list | np.ndarray) and len(ports) > 0


def _by_container(rows: pd.DataFrame, containers: pd.DataFrame) -> pd.DataFrame:
    """Return (row, host, container_id) of containers that held the peer's address at the time."""
    alive = _lives(containers)[["host", "container_id", "address", "started_at", "ended_at"]]
    alive = alive.dropna(subset=["address"])
    wanted = rows.loc[~rows["idle"], ["row", "since", "until", "begun", "peer_wire_address"]]
    both = wanted.merge(alive, left_on="peer_wire_address", right_on="address")
    return both.loc[_could_be(both), ["row", "host", "container_id"]]


def _could_be(both: pd.DataFrame) -> pd.Series[bool]:
    """Return where a container lived in the row's interval and can have the connections of the row.

    A connection outlives a peer that died without a word, and the address goes to the next container: where
    no connection is new, it must have been there before the interval.
    """
    latest = both["until"].where(both["begun"], both["since"])
    return (both["started_at"] < latest) & (both["since"] < both["ended_at"])


def _by_published_port(rows: pd.DataFrame, containers: pd.DataFrame, hosts: pd.DataFrame) -> pd.DataFrame:
    """Return (row, host, container_id) of containers that publish the server's port on a host's address."""
    alive = _lives(containers)
    alive = alive[alive["published_ports"].map(_listed).astype(bool)].explode("published_ports")
    ports = alive["published_ports"].astype("str").str.split("/").str[0]
    alive["server_port"] = pd.to_numeric(ports, errors="coerce").astype("Int64")
    wanted = rows[(rows["role"] == "client") & ~rows["idle"]].copy()
    wanted["host"] = wanted["peer_wire_address"].map(_addresses(hosts)).astype(rows["host"].dtype)
    wanted = wanted.drop(columns="container_id")
    both = wanted.merge(
        alive[["host", "container_id", "server_port", "started_at", "ended_at"]], on=["host", "server_port"]
    )
    return both.loc[_could_be(both), ["row", "host", "container_id"]]


def _lives(containers: pd.DataFrame) -> pd.DataFrame:
    """Return one row a container with its whole life, from the rows of its start and its end."""
    lives = containers.sort_values("at", kind="stable").drop_duplicates(["host", "container_id"], keep="last")
    started = containers.groupby(["host", "container_id"])["started_at"].min().rename("first")
    lives = lives.merge(started.reset_index(), on=["host", "container_id"], how="left")
    lives["started_at"] = lives["first"].fillna(lives["at"])
    lives["ended_at"] = lives["ended_at"].fillna(FOREVER)
    return lives


def _addresses(hosts: pd.DataFrame) -> dict[str, Any]:
    """Return address → host, without addresses that several hosts claim (bridges reuse 172.17.0.1)."""
    owner: dict[str, Any] = {}
    shared: set[str] = set()
    for host, addresses in zip(
        *(hosts[c].to_numpy(dtype=object) for c in ("host", "addresses")), strict=True
    ):
        for address in addresses if _listed(addresses) else ():
            if owner.setdefault(address, host) != host:
                shared.add(address)
    return {address: host for address, host in owner.items() if address not in shared}


def _only(candidates: pd.DataFrame, column: str) -> pd.Series[Any]:
    """Return, by row, the value that all candidates agree on."""
    by_row = candidates.groupby("row")[column]
    return by_row.first().where(by_row.nunique() == 1)


def _add_names(rows: dict[str, Any], containers: pd.DataFrame) -> None:
    """Add names and services, by container; a container that nobody knows goes by its id."""
    ids = rows["src_container_id"].categories
    known = containers.sort_values("at", kind="stable")
    row = tally.places(ids, known["container_id"])
    own = pd.Series(ids, dtype=tally.TEXT)
    names = known["name"].array.take(row, allow_fill=True)
    services = known["service"].array.take(row, allow_fill=True)
    names = pd.Series(names).astype(tally.TEXT).fillna(own)
    for column, values in (
        ("name", names),
        ("service", pd.Series(services).astype(tally.TEXT).fillna(names)),
    ):
        (of_id,) = tally.coded(values)
        codes = np.append(of_id.codes, -1)
        for side in ("src", "dst"):
            mine = codes[rows[f"{side}_container_id"].codes]
            rows[f"{side}_{column}"] = pd.Categorical.from_codes(mine, dtype=of_id.dtype)


def _add_shared_services(
    rows: dict[str, Any], samples: pd.DataFrame, containers: pd.DataFrame, client: npt.NDArray[np.bool_]
) -> None:
    """Fill in the peer's service where all containers that may be the peer are of one service on one host."""
    left = samples[samples["peer_container_id"].isna()]
    if left.empty:
        return
    found = _by_container(_intervals(left), containers)
    if found.empty:
        return
    known = containers.drop_duplicates("container_id", keep="last").set_index("container_id")
    services = known["service"].fillna(known["name"])
    found = found.assign(service=found["container_id"].map(services))
    for column in ("host", "service"):
        told = _only(found, column).reindex(samples.index)
        for side, mine in (("dst", client), ("src", ~client)):
            key = f"{side}_{column}"
            plain = pd.Series(rows[key], index=samples.index).astype(tally.TEXT)
            (rows[key],) = tally.coded(plain.fillna(told.where(mine).astype(tally.TEXT)))


def _counts(samples: pd.DataFrame, client: npt.NDArray[np.bool_]) -> dict[str, Any]:
    rows: dict[str, Any] = {}

    def by_side(name: str, counted: tally.Floats) -> None:
        rows[f"{name}_client"] = np.where(client, counted, 0.0)
        rows[f"{name}_server"] = np.where(client, 0.0, counted)

    for column, name in SUMS.items():
        by_side(name, samples[column].to_numpy(dtype=np.float64, na_value=0.0))
    again, rows["undirected"] = _retransmitted(samples)
    by_side("retransmitted", again)
    del again
    for name, column, side in (
        ("seconds", "interval_s", client),
        ("exchanges", "exchanges", client),
        ("connections_new", "connections_new", client),
        ("connections_open", "connections_open", client),
        ("response_ms", "response_ms_sum", client),
        ("responses", "response_ms_count", client),
        ("service_ms", "service_ms_sum", ~client),
        ("services", "service_ms_count", ~client),
    ):
        told = np.where(side, samples[column].to_numpy(dtype=np.float64, na_value=0.0), 0.0)
        rows[name] = told if np.isfinite(told).all() else np.nan_to_num(told, copy=False)
    rows["min_rtt_us"] = samples["min_rtt_us"].to_numpy()
    stall = samples["max_stall_ms"].to_numpy()
    rows["intervals"] = np.isfinite(stall).astype(np.float64)
    rows["stalled"] = (stall >= LEAST_STALL_MS).astype(np.float64)
    if "response_histogram" in samples.columns:
        rows["histogram"] = samples["response_histogram"].to_numpy(dtype=object, copy=True)
        rows["histogram"][~client] = None
    return rows


def _retransmitted(samples: pd.DataFrame) -> tuple[tally.Floats, tally.Floats]:
    """Return what was sent again and had not arrived, and of it what DSACK could not tell of.

    Where one direction loses, both ends send again: the one its data, the other what was acknowledged
    too late, which arrives twice and comes back as DSACK.
    """
    again = samples["retransmitted_segments"].to_numpy(dtype=np.float64, na_value=0.0)
    twice = samples["dsack"].to_numpy(dtype=np.float64, na_value=np.nan)
    untold = np.isnan(twice)
    needed = np.maximum(again - np.where(untold, 0.0, twice), 0.0)
    return needed, np.where(untold, needed, 0.0)
