"""The fabric as it is drawn: tiers of switches above their hosts, the blamed links among them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from correlator.model import End, Link
from correlator.ports import Tables
from correlator.reports.content import Period
from correlator.reports.network import Network
from correlator.reports.overview import Drawing, Edge, Node, Standing
from correlator.reports.watched import counted_ends

MOST_NODES = 40
"""Nodes drawn; of a larger fabric those near the trouble."""

MOST_IN_TIER = 16
"""Nodes beside each other: more names do not fit on a page."""

WORST: tuple[Standing, ...] = ("blamed", "sick", "unseen", "shut", "well")


def drawing(tables: Tables, network: Network, period: Period) -> Drawing:
    """Return the nodes and edges to draw, tier by tier; all of a small fabric."""
    between: dict[tuple[str, str], list[Link]] = defaultdict(list)
    for link in (*network.links, *network.idle):
        one, other = sorted((link.a.device, link.b.device))
        between[one, other].append(link)
    tiers = _tiers(between, network.hosts)
    chosen = _chosen(tiers, between, network)
    counted = counted_ends(tables, period)
    return Drawing(
        nodes=tuple(Node(name, tiers[name]) for name in sorted(chosen, key=lambda n: (tiers[n], n))),
        edges=tuple(
            _edge(ends, links, network, counted)
            for ends, links in sorted(between.items())
            if ends[0] in chosen and ends[1] in chosen and ends[0] != ends[1]
        ),
        all_nodes=len(tiers),
        all_links=len(network.links) + len(network.idle),
    )


def _edge(ends: tuple[str, str], links: list[Link], network: Network, counted: frozenset[End]) -> Edge:
    standings = {link: _standing(link, network, counted) for link in links}
    worst = min(links, key=lambda link: WORST.index(standings[link]))
    order = network.orders.get(worst)
    into = None
    if order is not None and order.fault.ongoing:
        direction = order.fault.verdict.direction
        if order.fault.verdict.link == worst and direction not in (None, "both"):
            into = worst.receiver(direction).device
    return Edge(
        a=ends[0],
        b=ends[1],
        links=len(links),
        standing=standings[worst],
        order=order.number if order and standings[worst] == "blamed" else None,
        into=into,
    )


def _standing(link: Link, network: Network, counted: frozenset[End]) -> Standing:
    order = network.orders.get(link)
    if order is not None and order.fault.ongoing:
        return "blamed"
    if link in network.sick:
        return "sick"
    if link in network.idle:
        return "shut"
    return "well" if network.receivers(link) <= counted else "unseen"


def _tiers(between: Iterable[tuple[str, str]], hosts: frozenset[str]) -> dict[str, int]:
    """Return each node's distance from the hosts; without hosts, from the nodes with fewest neighbours."""
    beside: dict[str, set[str]] = defaultdict(set)
    for one, other in between:
        beside[one].add(other)
        beside[other].add(one)
    lowest = sorted(name for name in beside if name in hosts)
    start = 0
    if not lowest and beside:
        fewest = min(len(near) for near in beside.values())
        lowest, start = sorted(name for name, near in beside.items() if len(near) == fewest), 1
    tiers = dict.fromkeys(lowest, start)
    edge = list(lowest)
    while edge:
        reached = sorted({near for name in edge for near in beside[name]} - set(tiers))
        tiers |= dict.fromkeys(reached, tiers[edge[0]] + 1)
        edge = reached
    highest = max(tiers.values(), default=1)
    return {name: tiers.get(name, highest) for name in sorted(beside)}


def _chosen(tiers: dict[str, int], between: dict[tuple[str, str], list[Link]], network: Network) -> set[str]:
    """Return the nodes to draw: all of a small fabric, else those at and next to trouble, by name."""
    widest = max((list(tiers.values()).count(tier) for tier in set(tiers.values())), default=0)
    if len(tiers) <= MOST_NODES and widest <= MOST_IN_TIER:
        return set(tiers)
    ill = {*(link for link, order in network.orders.items() if order.fault.ongoing), *network.sick}
    near: dict[str, int] = {}
    for ends, links in between.items():
        if ill & set(links):
            near |= dict.fromkeys(ends, 0)
    for ends in between:
        if {near.get(ends[0]), near.get(ends[1])} & {0}:
            for name in ends:
                near.setdefault(name, 1)
    chosen: set[str] = set()
    for tier in sorted(set(tiers.values())):
        names = sorted((n for n in tiers if tiers[n] == tier), key=lambda n: (near.get(n, 2), n))
        chosen |= set(names[:MOST_IN_TIER])
    return chosen
