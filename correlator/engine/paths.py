"""From host to host: which share of the traffic crosses which directed link.

Each switch splits evenly over its shortest ways to the destination (equal-cost multipath); parallel
links count one by one. Hosts split evenly over their own links and never pass traffic on.
Shares are kept as path sets: one row of a sparse matrix for each pair of places where hosts attach.
Page: docs/algorithms/paths.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Paths:
    """Shares of directed links, one row a host pair in the order given.

    ``forward`` and ``reverse``: sparse, host pairs × directed links; entry = share of the pair's
    traffic, source to destination (and back), that crosses the link. A row without entries: no
    path is known, or both ends are one host.
    """

    forward: csr_array
    reverse: csr_array


def find_paths(directed: pd.DataFrame, hosts: list[str], host_pairs: list[tuple[str, str]]) -> Paths:
    """Return the shares for each (source, destination) of ``host_pairs``.

    ``directed`` is the map's table of directed links; links that are not usable carry nothing.
    ``hosts`` are the devices that are end points.
    """
    fabric = _Fabric.of(directed, hosts)
    back = [(destination, source) for source, destination in host_pairs]
    both = _shares(fabric, host_pairs + back)
    return Paths(both[: len(host_pairs)], both[len(host_pairs) :])


@dataclass(frozen=True)
class _Fabric:
    """Directed links as arrays: switch-to-switch ones, and those at hosts."""

    links: int
    switches: int
    number: Ints  # directed link number of each inner link
    tail: Ints
    head: Ints
    up: dict[str, list[tuple[int, int]]]  # host → (directed link, switch) it sends by
    down: dict[str, list[tuple[int, int]]]  # host → (directed link, switch) it receives by

    @classmethod
    def of(cls, directed: pd.DataFrame, hosts: list[str]) -> _Fabric:
        ends = set(hosts)
        usable = directed[directed["usable"]]
        inner: list[tuple[int, int, int]] = []
        up: dict[str, list[tuple[int, int]]] = {}
        down: dict[str, list[tuple[int, int]]] = {}
        devices = pd.unique(pd.concat([usable["sender_device"], usable["receiver_device"]]))
        place = {device: i for i, device in enumerate(d for d in devices if d not in ends)}
        for n, tail, head in zip(
            usable.index, usable["sender_device"], usable["receiver_device"], strict=True
        ):
            if tail in place and head in place:
                inner.append((n, place[tail], place[head]))
            elif head in place:
                up.setdefault(tail, []).append((n, place[head]))
            elif tail in place:
                down.setdefault(head, []).append((n, place[tail]))
        columns = np.array(inner, dtype=np.int64).reshape(-1, 3).T
        return cls(len(directed), len(place), columns[0], columns[1], columns[2], up, down)


def _shares(fabric: _Fabric, host_pairs: list[tuple[str, str]]) -> csr_array:
    """Return one row of shares a host pair, put together from path sets."""
    wanted: dict[tuple[int, ...], dict[tuple[int, ...], None]] = {}
    known = []
    for row, (source, destination) in enumerate(host_pairs):
        if source != destination and source in fabric.up and destination in fabric.down:
            entry, exit_ = _places(fabric.up[source]), _places(fabric.down[destination])
            wanted.setdefault(exit_, {})[entry] = None
            known.append((row, entry, exit_, source, destination))
    sets = {exit_: _path_sets(fabric, list(entries), exit_) for exit_, entries in wanted.items()}
    parts: list[tuple[int, Ints, Floats]] = []
    for row, entry, exit_, source, destination in known:
        links, shares, arrived = sets[exit_][entry]
        if arrived.sum() > 0.0:
            parts.append((row, links, shares))
            parts.append((row, *_host_links(fabric.up[source], None)))
            parts.append((row, *_host_links(fabric.down[destination], arrived)))
    return _stack(parts, (len(host_pairs), fabric.links))


def _places(attachments: list[tuple[int, int]]) -> tuple[int, ...]:
    return tuple(sorted(switch for _, switch in attachments))


def _path_sets(
    fabric: _Fabric, entries: list[tuple[int, ...]], exit_: tuple[int, ...]
) -> dict[tuple[int, ...], tuple[Ints, Floats, Floats]]:
    """Return, for each entry: directed links, their shares, and what arrives at each switch."""
    distance = _distances(fabric, exit_)
    downhill = np.flatnonzero(distance[fabric.tail] == distance[fabric.head] + 1)
    tail, head = fabric.tail[downhill], fabric.head[downhill]
    ways = np.bincount(tail, minlength=fabric.switches)
    at = np.zeros((len(entries), fabric.switches))
    for row, entry in enumerate(entries):
        np.add.at(at[row], list(entry), 1.0 / len(entry))
    at[:, ~np.isfinite(distance)] = 0.0
    crossing = np.zeros((len(entries), len(downhill)))
    for step in range(int(np.max(distance, initial=0.0, where=np.isfinite(distance))), 0, -1):
        now = np.flatnonzero(distance[tail] == step)
        crossing[:, now] = at[:, tail[now]] / ways[tail[now]]
        np.add.at(at.T, head[now], crossing[:, now].T)
    answer = {}
    for row, entry in enumerate(entries):
        used = np.flatnonzero(crossing[row])
        answer[entry] = (fabric.number[downhill[used]], crossing[row, used], at[row])
    return answer


def _distances(fabric: _Fabric, exit_: tuple[int, ...]) -> Floats:
    """Return each switch's distance in hops to the nearest of ``exit_``; inf where there is no way."""
    shape = (fabric.switches, fabric.switches)
    back = csr_array((np.ones(len(fabric.tail)), (fabric.head, fabric.tail)), shape=shape)
    answer: Floats = dijkstra(back, unweighted=True, indices=sorted(set(exit_)), min_only=True)
    return answer


def _host_links(attachments: list[tuple[int, int]], arrived: Floats | None) -> tuple[Ints, Floats]:
    """Return a host's links and their shares: even, or by what arrives at their switch."""
    links = np.array([link for link, _ in attachments], dtype=np.int64)
    switches = np.array([switch for _, switch in attachments], dtype=np.int64)
    if arrived is None:
        return links, np.full(len(links), 1.0 / len(links))
    beside = (switches[:, None] == switches[None, :]).sum(axis=1)
    return links, arrived[switches] / beside


def _stack(parts: list[tuple[int, Ints, Floats]], shape: tuple[int, int]) -> csr_array:
    if not parts:
        return csr_array(shape)
    rows: Any = np.concatenate([np.full(len(links), row) for row, links, _ in parts])
    columns = np.concatenate([links for _, links, _ in parts])
    shares = np.concatenate([shares for _, _, shares in parts])
    kept = shares > 0.0
    return csr_array((shares[kept], (rows[kept], columns[kept])), shape=shape)
