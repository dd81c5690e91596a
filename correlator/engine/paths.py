"""From host to host: which share of the traffic crosses which directed link.

Each switch splits evenly over its shortest ways to the destination (equal-cost multipath), an
aggregate counting as one way and splitting evenly over its members; parallel links that are no
aggregate count one by one. Hosts split likewise over their own links and never pass traffic on.
Shares are kept as path sets (``engine.path_sets``). Route tables narrow the spread; a path that was
followed replaces it.
Page: docs/algorithms/paths.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array, diags_array

from correlator.engine.network import Attachments, Floats, Ints, Network
from correlator.engine.path_sets import Ends, PathSets, joined, path_sets
from correlator.engine.routes import Routes

NO_ROUTES = Routes()
MOST_MEMBERS = 4096


@dataclass(frozen=True)
class Followed:
    """What followed paths say of host pairs: entry = part of the pair's traffic that they show.

    ``links``: host pairs × directed links, shares of that traffic together (a host pair whose traffic
    is all known has its links at 1 in sum on every cut); ``known``: that part, 0 to 1, one a host pair.
    """

    links: csr_array
    known: Floats


@dataclass(frozen=True)
class Way:
    """One direction of the host pairs: host numbers within ``Network.hosts`` and the path set, -1 none."""

    source: Ints
    destination: Ints
    path_set: Ints

    def only(self, pair: int) -> Way:
        """Return this direction of one host pair."""
        return Way(self.source[[pair]], self.destination[[pair]], self.path_set[[pair]])


@dataclass(frozen=True)
class Paths:
    """Shares of directed links, one row a host pair in the order given.

    ``there`` and ``back`` name each pair's path set of ``sets``, which reaches from switch to switch;
    the hosts' own links come on top. ``forward`` and ``reverse``: the same written out, sparse, host
    pairs × directed links; entry = share of the pair's traffic, source to destination (and back),
    that crosses the link. A row without entries: no path is known, or both ends are one host.
    """

    network: Network
    sets: PathSets
    there: Way
    back: Way
    followed: tuple[Followed, Followed] | None = None
    routes: Routes = NO_ROUTES

    @cached_property
    def forward(self) -> csr_array:
        """Source to destination, host pairs × directed links."""
        return self.written_out(self.there, 0)

    @cached_property
    def reverse(self) -> csr_array:
        """Destination to source, host pairs × directed links."""
        return self.written_out(self.back, 1)

    def of(self, pairs: Ints) -> Paths:
        """Return the paths of some of the host pairs, in their order."""
        ways = [
            Way(way.source[pairs], way.destination[pairs], way.path_set[pairs])
            for way in (self.there, self.back)
        ]
        followed = None
        if self.followed is not None:
            one, other = (Followed(seen.links[pairs], seen.known[pairs]) for seen in self.followed)
            followed = (one, other)
        return Paths(self.network, self.sets, ways[0], ways[1], followed, self.routes)

    def over(self, links: Ints) -> Paths:
        """Return the paths with the shares of some links alone: written out, they are small."""
        kept = np.zeros(self.network.links, dtype=bool)
        kept[links] = True
        sets = replace(self.sets, links=_over(self.sets.links, kept))
        network = replace(self.network, up=_at(self.network.up, kept), down=_at(self.network.down, kept))
        followed = None
        if self.followed is not None:
            one, other = (Followed(_over(seen.links, kept), seen.known) for seen in self.followed)
            followed = (one, other)
        return Paths(network, sets, self.there, self.back, followed, self.routes)

    def written_out(self, way: Way, side: int) -> csr_array:
        """Return a direction's shares, host pairs × directed links: what was followed, else the spread."""
        spread = self.spread(way)
        if self.followed is None:
            return spread
        seen = self.followed[side]
        return (diags_array(1.0 - seen.known) @ spread + seen.links).tocsr()

    def spread(self, way: Way) -> csr_array:
        """Return the shares over equal paths with the hosts' own links, host pairs × directed links."""
        known = np.flatnonzero(way.path_set >= 0)
        sets = way.path_set[known]
        shape = (len(way.path_set), self.network.links)
        used, place = np.unique(sets, return_inverse=True)
        between = _rows(self.sets.shares(used)[place], known, shape)
        first = _host_links(self.network.up, way.source[known], sets, self.sets.departure, known, shape)
        last = _host_links(self.network.down, way.destination[known], sets, self.sets.arrival, known, shape)
        return (first + between + last).tocsr()

    def members(self, pair: int, back: bool = False, most: int = MOST_MEMBERS) -> list[tuple[float, Ints]]:
        """Return a host pair's equal paths one by one: probability, and directed links in order.

        Followed paths are not looked at. Where there are more than ``most``, so many of them.
        """
        only = (self.back if back else self.there).only(pair)
        row = self.spread(only)
        return _members(self.network, row.indices.astype(np.int64), row.data, only, most)


def find_paths(
    directed: pd.DataFrame,
    hosts: Sequence[str],
    host_pairs: Sequence[tuple[str, str]],
    closed: Sequence[str] = (),
    routes: Routes = NO_ROUTES,
) -> Paths:
    """Return the shares for each (source, destination) of ``host_pairs``.

    ``directed`` is the map's table of directed links (sender_device, receiver_device, usable, and
    where it has one, bundle); links that are not usable carry nothing. ``hosts`` are the devices that
    are end points, ``closed`` others that pass nothing on. Ways are shortest within what ``routes``
    leave open; routes that lead nowhere on the map narrow nothing.
    """
    network = Network.of(directed, hosts, closed)
    number = {host: i for i, host in enumerate(network.hosts.to_numpy(dtype=object))}
    source, destination = (
        np.array([number.get(pair[end], -1) for pair in host_pairs], dtype=np.int64) for end in (0, 1)
    )
    first, last = np.concatenate([source, destination]), np.concatenate([destination, source])
    sets, path_set = _narrowed(network, routes, first, last, *_sets(network, first, last))
    count = len(source)
    return Paths(
        network,
        sets,
        Way(first[:count], last[:count], path_set[:count]),
        Way(first[count:], last[count:], path_set[count:]),
        routes=routes,
    )


def _narrowed(
    network: Network, routes: Routes, source: Ints, destination: Ints, sets: PathSets, path_set: Ints
) -> tuple[PathSets, Ints]:
    """Return the sets and each pair's, those that cross links barred by routes in place of the others."""
    if not routes.class_of:
        return sets, path_set
    of_host = np.array([routes.class_of.get(host, -1) for host in network.hosts] or [-1], dtype=np.int64)
    routed = np.where((path_set >= 0) & (destination >= 0), of_host[destination], -1)
    narrowed, parts, count = path_set.copy(), [sets], sets.segments.shape[0]
    for number in np.unique(routed[routed >= 0]).tolist():
        mine = np.flatnonzero(routed == number)
        barred = routes.barred(number)
        mine = mine[sets.crossing(barred)[path_set[mine]] > 0.0]
        if not len(mine):
            continue
        further, place = _sets(network.without(barred), source[mine], destination[mine])
        narrowed[mine[place >= 0]] = place[place >= 0] + count
        parts.append(further)
        count += further.segments.shape[0]
    return joined(parts) if len(parts) > 1 else sets, narrowed


def _sets(network: Network, source: Ints, destination: Ints) -> tuple[PathSets, Ints]:
    """Return the path sets between the places of hosts, and which of them each pair has (-1: none)."""
    entries, entry = _places(network.up, len(network.hosts))
    exits, exit_ = _places(network.down, len(network.hosts))
    ends = Ends(entries, [tuple(switch for switch, _ in one) for one in exits])
    known = (source >= 0) & (destination >= 0) & (source != destination)
    known[known] = (entry[source[known]] >= 0) & (exit_[destination[known]] >= 0)
    code = entry[source[known]] * max(len(exits), 1) + exit_[destination[known]]
    unique, place = np.unique(code, return_inverse=True)
    sets = path_sets(network, ends, unique // max(len(exits), 1), unique % max(len(exits), 1))
    arrives = np.diff(sets.arrival.indptr) > 0
    path_set = np.full(len(source), -1, dtype=np.int64)
    path_set[known] = np.where(arrives[place], place, -1)
    return sets, path_set


def _places(attached: Attachments, hosts: int) -> tuple[list[tuple[tuple[int, float], ...]], Ints]:
    """Return the places where hosts attach, (switch, part) each, and the place of each host, -1 none."""
    known: dict[tuple[tuple[int, float], ...], int] = {}
    place = np.full(hosts, -1, dtype=np.int64)
    links = list(zip(attached.switch.tolist(), attached.share.tolist(), strict=True))
    bounds = attached.by_host.start
    for host in np.flatnonzero(bounds[1:] > bounds[:-1]).tolist():
        mine = links[bounds[host] : bounds[host + 1]]
        parts = tuple(mine) if len(mine) == 1 else _added_up(mine)
        place[host] = known.setdefault(parts, len(known))
    return list(known), place


def _added_up(links: list[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    parts: dict[int, float] = {}
    for switch, share in links:
        parts[switch] = parts.get(switch, 0.0) + share
    return tuple(sorted(parts.items()))


def _host_links(
    attached: Attachments, hosts: Ints, sets: Ints, factor: csr_array, rows: Ints, shape: tuple[int, int]
) -> csr_array:
    """Return the shares of hosts' own links: by host, times what the path set says of their switch."""
    items, place = attached.by_host.of(hosts)
    some = attached.share[items] != 0.0  # ``over`` a few links leaves hardly any
    items, place = items[some], place[some]
    width = factor.shape[1]
    stored = np.repeat(np.arange(factor.shape[0]), np.diff(factor.indptr)) * width + factor.indices
    wanted = sets[place] * width + attached.switch[items]
    at = np.minimum(np.searchsorted(stored, wanted), max(len(stored) - 1, 0))
    found = stored[at] == wanted if len(stored) else np.zeros(len(wanted), dtype=bool)
    share = attached.share[items[found]] * factor.data[at[found]]
    return csr_array((share, (rows[place[found]], attached.link[items[found]])), shape=shape)


def _rows(table: csr_array, rows: Ints, shape: tuple[int, int]) -> csr_array:
    """Return the table's rows at the given places of a larger one that is empty otherwise."""
    entries = table.tocoo()
    return csr_array((entries.data, (rows[entries.row], entries.col)), shape=shape)


def _over(table: csr_array, kept: npt.NDArray[np.bool_]) -> csr_array:
    """Return a table of links with the entries of some columns alone."""
    entries = table.tocoo()
    mine = kept[entries.col]
    return csr_array((entries.data[mine], (entries.row[mine], entries.col[mine])), shape=table.shape)


def _at(attached: Attachments, kept: npt.NDArray[np.bool_]) -> Attachments:
    """Return the attachments with no share on links that are not kept."""
    return replace(attached, share=np.where(kept[attached.link], attached.share, 0.0))


def _members(network: Network, links: Ints, shares: Floats, way: Way, most: int) -> list[tuple[float, Ints]]:
    """Return the ways through links with shares, depth first; a switch splits as its links' shares are."""
    if not len(links):
        return []
    out: dict[int, list[tuple[int, float]]] = {}
    for link, share in zip(links.tolist(), shares.tolist(), strict=True):
        out.setdefault(int(network.sender[link]), []).append((link, share))
    total = {device: sum(share for _, share in some) for device, some in out.items()}
    ends = network.hosts[np.concatenate([way.source, way.destination])]
    start, end = network.device.get_indexer(ends).tolist()
    found: list[tuple[float, Ints]] = []
    waiting: list[tuple[int, float, tuple[int, ...]]] = [(start, 1.0, ())]
    while waiting and len(found) < most:
        device, probability, so_far = waiting.pop()
        if device == end:
            found.append((probability, np.array(so_far, dtype=np.int64)))
            continue
        for link, share in reversed(out.get(device, [])):
            part = probability * share / total[device]
            waiting.append((int(network.receiver[link]), part, (*so_far, link)))
    return found
