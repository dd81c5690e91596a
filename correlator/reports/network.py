"""The network at the end of the day: its links, which of their ends are shut, who blames them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from correlator.engine.topology import build_map
from correlator.model import End, Link
from correlator.ports import Tables
from correlator.reports.content import Fault, Period, WorkOrder
from correlator.reports.tables import newest, table

PLACE = ["device", "if_name"]
ETHERNET = 6
"""ifType of an Ethernet interface (IANAifType)."""


@dataclass(frozen=True)
class Network:
    """What is known of the wiring.

    ``links`` are those that carry traffic, ``idle`` those that are known and do not; ``up`` are the
    Ethernet interfaces of switches that are up, ``shut`` those that are down or switched off;
    ``orders`` says which order blames a link, ``sick`` which links have a finding.
    """

    links: tuple[Link, ...]
    idle: tuple[Link, ...]
    up: frozenset[End]
    shut: frozenset[End]
    hosts: frozenset[str]
    orders: dict[Link, WorkOrder]
    sick: frozenset[Link]

    def order(self, link: Link | None) -> int | None:
        """Return the number of the order that blames a link."""
        found = self.orders.get(link) if link is not None else None
        return found.number if found else None

    def directions(self) -> Iterator[tuple[Link, End, End]]:
        """Yield (link, sender, receiver) of every direction that a switch receives, in order."""
        for link in (*self.links, *self.idle):
            for receiver, sender in ((link.a, link.b), (link.b, link.a)):
                if receiver in self.receivers(link):
                    yield link, sender, receiver

    def receivers(self, link: Link) -> frozenset[End]:
        """Return the ends of a link at which a switch receives."""
        return frozenset(end for end in (link.a, link.b) if end.device not in self.hosts)

    def blamed(self, sender: End, receiver: End) -> int | None:
        """Return the number of the order that blames this direction; both directions where it names none."""
        link = Link.between(sender, receiver)
        order = self.orders.get(link)
        if order is None:
            return None
        direction = order.fault.verdict.direction
        named = direction in (None, "both") or order.fault.verdict.link != link
        return order.number if named or direction == link.direction_into(receiver) else None

    def links_by_end(self) -> dict[End, Link]:
        """Return the link of each end."""
        return {end: link for link in (*self.links, *self.idle) for end in (link.a, link.b)}


def network(
    tables: Tables, orders: Sequence[WorkOrder], findings: Sequence[Fault], period: Period
) -> Network:
    """Return the network that the newest rows before the end of the day tell."""
    names = ("neighbors", "hosts", "cables", "interfaces", "devices", "stations", "arp")
    links = build_map(*(newest(tables, name, period) for name in names)).links
    up, shut = _ports(tables, period)
    return Network(
        links=_links(links[links["usable"]]),
        idle=_links(links[~links["usable"]]),
        up=up,
        shut=shut,
        hosts=frozenset(table(tables, "hosts")["host"].dropna().unique()),
        orders=_blamed(orders),
        sick=frozenset(fault.verdict.link for fault in findings if fault.verdict.link and fault.ongoing),
    )


def _links(rows: pd.DataFrame) -> tuple[Link, ...]:
    ends = rows[["a_device", "a_if_name", "b_device", "b_if_name"]].itertuples(index=False, name=None)
    return tuple(Link(End(a, p), End(b, q)) for a, p, b, q in ends)


def _blamed(orders: Sequence[WorkOrder]) -> dict[Link, WorkOrder]:
    """Return the order of each blamed link, those of a class among them; ongoing ones speak first."""
    found: dict[Link, WorkOrder] = {}
    for order in orders:
        verdict = order.fault.verdict
        for link in (verdict.link, *(candidate.link for candidate in verdict.candidates)):
            if link is not None:
                found.setdefault(link, order)
    return found


def _ports(tables: Tables, period: Period) -> tuple[frozenset[End], frozenset[End]]:
    rows = newest(tables, "interfaces", period).drop_duplicates(PLACE, keep="last")
    ethernet = rows["if_type"].isna() | (rows["if_type"] == ETHERNET)
    off = rows["admin_status"].notna() & (rows["admin_status"] != "up")
    down = rows["oper_status"].isin(["down", "not_present", "lower_layer_down", "dormant"])
    return places(rows[ethernet & (rows["oper_status"] == "up")]), places(rows[off | down])


def places(rows: pd.DataFrame) -> frozenset[End]:
    """Return the interfaces that rows speak of."""
    unique = rows[PLACE].dropna().drop_duplicates()
    return frozenset(End(device, if_name) for device, if_name in unique.itertuples(index=False, name=None))
