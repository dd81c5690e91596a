"""Paths that were really followed, in the place of the even spread. Page: docs/algorithms/traces.md."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from correlator.engine.network import Floats, Ints
from correlator.engine.paths import Followed, Paths

OVERLAY_PORTS = {4789, 8472}
"""VXLAN (RFC 7348, and Linux before it): what was followed is the tunnel, not the flows within."""

Ports = tuple[int, int]
"""Client's and server's port."""

Side = dict[int, tuple[float, dict[int, float]]]
"""By host pair, one way: the part of its traffic that was followed, and its shares by link."""


@dataclass(frozen=True)
class _Trace:
    """One followed flow: the ports of its sender and receiver, None for all, and the links it met."""

    source_port: int | None
    destination_port: int | None
    links: Ints


def followed(
    paths: Paths,
    directed: pd.DataFrame,
    host_pairs: Sequence[tuple[str, str]],
    tables: Mapping[str, pd.DataFrame],
    samples: pd.DataFrame,
) -> tuple[Followed, Followed] | None:
    """Return what ``traces`` say of the host pairs, there and back; None where they say nothing.

    ``samples`` are resolved pair samples (peer_host filled), whose source_ports say which flows there
    are: traces stand for the part of them that was followed. Where no ports are known, or a trace
    names none, it stands for all.
    """
    traces = _by_hosts(tables, directed)
    if not traces:
        return None
    flows = _flows(samples[samples["host"].isin({host for pair in traces for host in pair})])
    sides: tuple[Side, Side] = ({}, {})
    for row, pair in enumerate(host_pairs):
        for side, way in zip(sides, (pair, pair[::-1]), strict=True):
            if way in traces:
                known, shares = _of_pair(paths, row, way != pair, traces[way], flows.get(pair, set()))
                if known:
                    side[row] = known, shares
    if not any(sides):
        return None
    there, back = (_stacked(side, len(host_pairs), len(directed)) for side in sides)
    return there, back


def source_ports(
    directed: pd.DataFrame, tables: Mapping[str, pd.DataFrame]
) -> dict[tuple[str, str], list[tuple[int, Ints]]]:
    """Return, by sending and receiving host, the source ports that were followed and the links they met."""
    traces = _by_hosts(tables, directed)
    return {
        pair: [(one.source_port, one.links) for one in some if one.source_port is not None]
        for pair, some in traces.items()
    }


def _stacked(side: Side, pairs: int, links: int) -> Followed:
    row = [i for i, (_, shares) in side.items() for _ in shares]
    column = [link for _, shares in side.values() for link in shares]
    share = np.array([value for _, shares in side.values() for value in shares.values()], dtype=np.float64)
    known = np.zeros(pairs)
    known[list(side)] = [part for part, _ in side.values()]
    return Followed(csr_array((share, (row, column)), shape=(pairs, links)), known)


def _hosts(hosts: pd.DataFrame) -> dict[str, str]:
    """Return host by address, and by its own name; addresses that several have are left out."""
    meant: dict[str, set[str]] = defaultdict(set)
    for host, addresses in zip(hosts["host"], hosts["addresses"], strict=True):
        for address in addresses if isinstance(addresses, list) else []:
            meant[address].add(host)
    known = {address: some.pop() for address, some in meant.items() if len(some) == 1}
    return known | {host: host for host in hosts["host"].dropna()}


def _by_hosts(
    tables: Mapping[str, pd.DataFrame], directed: pd.DataFrame
) -> dict[tuple[str, str], list[_Trace]]:
    """Return the newest trace of each flow, by sending and receiving host."""
    traces = tables["traces"]
    if traces.empty:
        return {}
    host_of = _hosts(tables["hosts"])
    arrives = _arrivals(directed)
    receiver = directed["receiver_device"].to_numpy()
    newest: dict[tuple[Any, ...], tuple[tuple[str, str], _Trace]] = {}
    rows: Any = traces.sort_values("at", kind="stable").itertuples(index=False)
    for row in rows:
        links = _links(row.hops, arrives)
        ports = _port(row.source_port), _port(row.destination_port)
        if not len(links) or ports[1] in OVERLAY_PORTS:
            continue
        source = host_of.get(row.source_address) or (row.host if isinstance(row.host, str) else None)
        end = receiver[links[-1]]
        destination = host_of.get(row.destination_address) or (end if end in host_of else None)
        if source is not None and destination is not None and source != destination:
            key = (source, destination, row.protocol if isinstance(row.protocol, str) else None, *ports)
            newest[key] = (source, destination), _Trace(*ports, links)
    found: dict[tuple[str, str], list[_Trace]] = defaultdict(list)
    for pair, trace in newest.values():
        found[pair].append(trace)
    return found


def _arrivals(directed: pd.DataFrame) -> dict[str, int]:
    """Return the directed link that arrives at each interface, written as hops are; of hubs none."""
    names = directed["receiver_device"] + " " + directed["receiver_if_name"]
    once = ~names.duplicated(keep=False)
    return dict(zip(names[once], directed.index[once], strict=True))


def _links(hops: object, arrives: Mapping[str, int]) -> Ints:
    """Return the links that a trace met, as far as the map knows them."""
    told = hops if isinstance(hops, list) else []
    return np.array([arrives[hop] for hop in told if hop in arrives], dtype=np.int64)


def _port(value: object) -> int | None:
    return None if pd.isna(value) else int(value)  # type: ignore[call-overload]


def _flows(samples: pd.DataFrame) -> dict[tuple[str, str], set[Ports]]:
    """Return the flows of each (client's host, server's host), as far as their ports are known."""
    known: dict[tuple[str, str], set[Ports]] = defaultdict(set)
    clients = samples[(samples["role"] == "client") & samples["peer_host"].notna()]
    columns = ["host", "peer_host", "source_ports", "server_port"]
    for host, peer, ports, server in clients[columns].itertuples(index=False, name=None):
        if isinstance(ports, list) and not pd.isna(server):
            known[host, peer] |= {(int(port), int(server)) for port in ports}
    return known


def _of_pair(
    paths: Paths, row: int, back: bool, traces: list[_Trace], flows: set[Ports]
) -> tuple[float, dict[int, float]]:
    """Return which part of a pair's traffic, one way, was followed, and its shares."""
    mine = [trace for trace in traces if _is_one_of(trace, flows, back)]
    if not mine:
        return 0.0, {}
    members = paths.members(row, back)
    whole = any(trace.source_port is None for trace in mine) or not flows
    known = 1.0 if whole else min(len(mine) / len(flows), 1.0)
    shares: dict[int, float] = defaultdict(float)
    for trace in mine:
        for link, share in _shares(paths, row, back, trace, members):
            shares[link] += share * known / len(mine)
    return known, dict(shares)


def _is_one_of(trace: _Trace, flows: set[Ports], back: bool) -> bool:
    if not flows or trace.source_port is None or trace.destination_port is None:
        return True
    ports = trace.source_port, trace.destination_port
    return (ports[::-1] if back else ports) in flows


def _shares(
    paths: Paths, row: int, back: bool, trace: _Trace, members: list[tuple[float, Ints]]
) -> Iterator[tuple[int, float]]:
    """Yield the shares of the equal paths that meet all that the trace met.

    A trace may miss hops, and the hosts' own links. Where no equal path fits, the network does not
    route as the map supposes: the trace is believed, with the spread at both ends.
    """
    fitting = [(part, links) for part, links in members if np.isin(trace.links, links).all()]
    total = sum(part for part, _ in fitting)
    for part, links in fitting:
        for link in links.tolist():
            yield link, part / total
    if not fitting:
        for link in trace.links.tolist():
            yield link, 1.0
        yield from _at_ends(paths, row, back, trace.links)


def _at_ends(paths: Paths, row: int, back: bool, met: Ints) -> Iterator[tuple[int, float]]:
    """Yield the shares of the hosts' own links where a trace did not tell them."""
    way = paths.back if back else paths.there
    net = paths.network
    sender, receiver = net.device.get_indexer(net.hosts[[way.source[row], way.destination[row]]])
    spread: tuple[Ints, Floats] = _row(paths, row, back)
    for device, side in ((sender, net.sender), (receiver, net.receiver)):
        if not (side[met] == device).any():
            mine = side[spread[0]] == device
            yield from zip(spread[0][mine].tolist(), spread[1][mine].tolist(), strict=True)


def _row(paths: Paths, row: int, back: bool) -> tuple[Ints, Floats]:
    way = paths.back if back else paths.there
    spread = paths.spread(way.only(row))
    return spread.indices.astype(np.int64), spread.data
