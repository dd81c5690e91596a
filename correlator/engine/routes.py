"""Which links traffic to a host does not take, by the route tables. Page: docs/algorithms/routes.md."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from correlator.engine.network import Ints, Ranges

Prefix = tuple[int, int, int]
"""IP version, length, network as a number."""

Covering = tuple[int, ...]
"""Numbers of the prefixes that cover an address, shortest first."""

NO_LINKS = np.zeros(0, dtype=np.int64)
COLUMNS = ["device", "prefix", "next_hop", "if_name"]


@dataclass(frozen=True)
class Routes:
    """Route tables, by classes of hosts that every switch routes alike.

    ``class_of`` has the class of each host whose addresses some usable route covers.
    """

    class_of: Mapping[str, int] = field(default_factory=dict)
    _classes: tuple[tuple[Covering, ...], ...] = ()
    _of_prefix: Mapping[int, tuple[Ints, Ints]] = field(default_factory=dict)  # switches, and their routes
    _named: Ranges = field(default_factory=lambda: Ranges.by(NO_LINKS, 0))  # by route, within ``_links``
    _links: Ints = field(default_factory=lambda: NO_LINKS)
    _sender: Ints = field(default_factory=lambda: NO_LINKS)  # the switch that sends each directed link
    _spared: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def barred(self, number: int) -> Ints:
        """Return the directed links that traffic to the hosts of a class does not take."""
        switches = int(self._sender.max(initial=-1)) + 1
        governed, unsaid = np.zeros(switches, dtype=bool), np.zeros(switches, dtype=bool)
        named = self._spared.copy()
        for covering in self._classes[number]:
            route = np.full(switches, -1, dtype=np.int64)
            for prefix in covering:  # the longest comes last
                at, which = self._of_prefix[prefix]
                route[at] = which
            at = np.flatnonzero(route >= 0)
            links, place = self._named.of(route[at])
            named[self._links[links]] = governed[at] = True
            unsaid[np.delete(at, place)] = True
        answer: Ints = np.flatnonzero((governed & ~unsaid)[self._sender] & ~named)
        return answer


def read_routes(
    routes: pd.DataFrame, links: pd.DataFrame, directed: pd.DataFrame, tables: Mapping[str, pd.DataFrame]
) -> Routes:
    """Return what current ``routes`` say of the links of a map (``links`` and ``directed`` of it).

    ``tables``: current hosts, arp and stations. The longest prefix that covers an address counts, and
    the union over a host's addresses. A switch's route says nothing where it names no next hop, or
    one that no usable link leads to; nor does a default route, nor any in the table of a switch that
    nowhere names several next hops: it may be telling only the first of each (net-snmp does). A link
    that is down and still a way (it carried packets in the window) is not barred: its routes are gone
    with it.
    """
    some = routes.dropna(subset=["device", "prefix"])
    prefixes = _prefixes(some["prefix"].unique())
    some = some[some["prefix"].isin(list(prefixes))]
    if some.empty:
        return Routes()
    ways = _Ways.of(links, directed, tables)
    switch = {name: number for number, name in enumerate(dict.fromkeys(directed["sender_device"]))}
    number_of = {prefix: number for number, prefix in enumerate(dict.fromkeys(prefixes.values()))}
    of_prefix: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    found: list[Ints] = []
    for device, prefix, hops in _by_prefix(some, prefixes):
        if prefix[1] and device in switch:
            at, which = of_prefix[number_of[prefix]]
            at.append(switch[device])
            which.append(len(found))
            found.append(ways.links(device, hops))
    of_host = _covered(tables["hosts"], {prefix: n for prefix, n in number_of.items() if n in of_prefix})
    classes = {one: number for number, one in enumerate(dict.fromkeys(of_host.values()))}
    sender = directed["sender_device"].map(switch).to_numpy(dtype=np.int64)
    return Routes(
        {host: classes[covering] for host, covering in of_host.items()},
        tuple(classes),
        {
            n: (np.array(at, dtype=np.int64), np.array(which, dtype=np.int64))
            for n, (at, which) in of_prefix.items()
        },
        Ranges.by(np.repeat(np.arange(len(found)), [len(one) for one in found]).astype(np.int64), len(found)),
        np.concatenate([NO_LINKS, *found]),
        sender,
        directed["usable"].to_numpy(dtype=bool) & ~np.repeat(links["usable"].to_numpy(dtype=bool), 2),
    )


Hop = tuple[str | None, str | None]
"""Address of the next hop, null where there is none, and interface."""


def _by_prefix(
    routes: pd.DataFrame, prefixes: Mapping[str, Prefix]
) -> Iterator[tuple[str, Prefix, list[Hop]]]:
    """Yield the next hops of each switch and prefix; of those that tell only one of each, none."""
    hops: dict[tuple[str, Prefix], list[Hop]] = defaultdict(list)
    for device, prefix, next_hop, if_name in routes[COLUMNS].itertuples(index=False, name=None):
        hop = next_hop if isinstance(next_hop, str) else None, if_name if isinstance(if_name, str) else None
        hops[device, prefixes[prefix]].append(hop)
    several = {
        (device, prefix[0])
        for (device, prefix), some in hops.items()
        if prefix[1] and len({hop for hop in some if hop[0] is not None}) > 1
    }
    for (device, prefix), some in hops.items():
        yield device, prefix, some if (device, prefix[0]) in several else []


@dataclass(frozen=True)
class _Ways:
    """The directed links out of an interface or an aggregate, and where a next hop's address is."""

    out: Mapping[tuple[str, str], list[int]]
    usable: Any
    behind: Mapping[tuple[str, str], str]  # interface by device and address of the next hop

    @classmethod
    def of(cls, links: pd.DataFrame, directed: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> _Ways:
        out: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number, end in enumerate(
            directed[["sender_device", "sender_if_name"]].itertuples(index=False, name=None)
        ):
            out[end].append(number)
        for side, turn in (("a", 0), ("b", 1)):
            mine = links[[f"{side}_device", f"{side}_aggregate"]].dropna()
            for row, end in zip(mine.index, mine.itertuples(index=False, name=None), strict=True):
                out[end].append(2 * row + turn)
        usable = directed["usable"].to_numpy(dtype=bool)
        return cls(out, usable, _behind(tables["arp"], tables["stations"]))

    def links(self, device: str, hops: Iterable[Hop]) -> Ints:
        """Return the usable links to all next hops; none where one of them cannot be placed."""
        found: list[int] = []
        for next_hop, if_name in hops:
            far = self.behind.get((device, next_hop)) if next_hop is not None else None
            mine = self.out.get((device, if_name or "")) or self.out.get((device, far or ""))
            if next_hop is None or mine is None:
                return NO_LINKS
            found += [link for link in mine if self.usable[link]]
        return np.unique(np.array(found, dtype=np.int64))


def _behind(arp: pd.DataFrame, stations: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Return the port behind which a switch has each address: by its ARP and its forwarding table."""
    columns = ["device", "mac", "if_name"]
    port = {
        (device, mac): name
        for device, mac, name in stations[columns].dropna().itertuples(index=False, name=None)
    }
    known = arp[["device", "ip", "mac"]].dropna().itertuples(index=False, name=None)
    return {(device, ip): port[device, mac] for device, ip, mac in known if (device, mac) in port}


def _prefixes(texts: Iterable[str]) -> dict[str, Prefix]:
    """Return each prefix that can be read."""
    answer: dict[str, Prefix] = {}
    for text in texts:
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            continue
        answer[text] = (network.version, network.prefixlen, int(network.network_address))
    return answer


def _covered(hosts: pd.DataFrame, number_of: Mapping[Prefix, int]) -> dict[str, tuple[Covering, ...]]:
    """Return the prefixes that cover each host's addresses; addresses that several hosts have say nothing."""
    owners: dict[str, set[str]] = defaultdict(set)
    for host, addresses in zip(hosts["host"], hosts["addresses"], strict=True):
        for address in addresses if isinstance(addresses, list) else []:
            owners[address].add(host)
    lengths = sorted({prefix[:2] for prefix in number_of})
    found: dict[str, set[Covering]] = defaultdict(set)
    for address, mine in owners.items():
        covering = _covering(address, lengths, number_of) if len(mine) == 1 else ()
        if covering:
            found[next(iter(mine))].add(covering)
    return {host: tuple(sorted(some)) for host, some in found.items()}


def _covering(text: str, lengths: list[tuple[int, int]], number_of: Mapping[Prefix, int]) -> Covering:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return ()
    value, bits = int(address), address.max_prefixlen
    keys = (
        (version, length, value >> (bits - length) << (bits - length))
        for version, length in lengths
        if version == address.version
    )
    return tuple(number_of[key] for key in keys if key in number_of)
