"""Route tables narrow the equal ways: never beyond what they say, and never without evidence."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wirings import AT, Hop, Wiring, wirings

from correlator import frames
from correlator.engine.paths import Paths, find_paths
from correlator.engine.routes import read_routes
from correlator.engine.topology import Map, build_map

NAMES = ("neighbors", "hosts", "cables", "interfaces", "devices")
SEVERAL = "203.0.113.0/24"  # every switch has two next hops to it: its table tells more than the first
quick = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])

Rows = list[dict[str, Any]]


def address(made: Wiring, host: str) -> str:
    return f"10.0.{made.hosts.index(host)}.5"


def prefix(made: Wiring, host: str) -> str:
    return f"10.0.{made.hosts.index(host)}.0/24"


class Paper:
    """A fabric, its tables and its map, made once."""

    def __init__(self, made: Wiring) -> None:
        self.made, self.tables = made, made.tables()
        hosts = self.tables["hosts"]
        rows = hosts.assign(addresses=[[address(made, host), "172.17.0.1"] for host in hosts["host"]])
        self.tables["hosts"] = frames.validate("hosts", rows)
        self.tables |= {name: frames.empty(name) for name in ("arp", "stations")}
        self.fabric: Map = build_map(*(self.tables[name] for name in NAMES))
        columns = ["sender_device", "sender_if_name", "receiver_device", "receiver_if_name"]
        told = self.fabric.directed[columns].itertuples(index=False, name=None)
        self.number: dict[Hop, int] = {((a, p), (b, q)): i for i, (a, p, b, q) in enumerate(told)}

    def found(self, rows: Rows, pairs: list[tuple[str, str]], **more: pd.DataFrame) -> Paths:
        links, directed = self.fabric.links, self.fabric.directed
        routes = read_routes(frames.frame("routes", rows), links, directed, self.tables | more)
        return find_paths(directed, self.made.hosts, pairs, self.fabric.closed, routes)

    def over_spine0(self, rows: Rows, **more: pd.DataFrame) -> float:
        """Return the share of h0 -> h1 that leaves leaf0 for spine0."""
        way = self.found(rows, [("h0", "h1")], **more).forward.toarray()[0]
        return float(way[self.number[("leaf0", "swp1"), ("spine0", "swp1")]])


def route(device: str, to: str, port: str | None, next_hop: str | None = "192.0.2.1") -> dict[str, Any]:
    return {"at": AT, "device": device, "prefix": to, "next_hop": next_hop, "if_name": port}


def telling(made: Wiring) -> Rows:
    """Return routes that show of every switch that it tells several next hops."""
    return [route(d, SEVERAL, f"far{i}", f"192.0.2.{i}") for d in made.switches() for i in (1, 2)]


def next_hops(made: Wiring, device: str, host: str) -> dict[str, list[Hop]]:
    """Return the interfaces or aggregates that lead shortest to a host, and their links."""
    distance, ways = made.distances(host), {}
    if device in distance:
        for hop in made.choices(device, distance, first=False):
            ways.setdefault(made.aggregates.get(hop[0], hop[0][1]), []).append(hop)
    return ways


def pairs_of(made: Wiring) -> list[tuple[str, str]]:
    return [(a, b) for a in made.hosts for b in made.hosts if a != b][:8]


def chosen(made: Wiring, dice: random.Random) -> tuple[Rows, dict[tuple[str, str], list[Hop]]]:
    """Return random routes over some shortest ways, and the links that are left, by switch and host."""
    rows, left = telling(made), {}
    for host in made.hosts:
        for device in made.switches():
            ways = {
                port: hops for port, hops in next_hops(made, device, host).items() if hops[0][1][0] != host
            }
            if ways and dice.random() < 0.7:
                ports = dice.sample(sorted(ways), dice.randint(1, len(ways)))
                rows += [route(device, prefix(made, host), p, f"192.0.2.{n}") for n, p in enumerate(ports, 1)]
                left[device, host] = [hop for port in ports for hop in ways[port]]
    return rows, left


@quick
@given(wirings(), st.integers(0, 2**32))
def test_links_that_no_next_hop_names_carry_nothing(made: Wiring, seed: int) -> None:
    rows, left = chosen(made, random.Random(seed))
    paper = Paper(made)
    way, before = paper.found(rows, pairs_of(made)), paper.found([], pairs_of(made))
    for row, pair in enumerate(pairs_of(made)):
        for shares, spread, host in (
            (way.forward, before.forward, pair[1]),
            (way.reverse, before.reverse, pair[0]),
        ):
            mine, all_of_them = shares[[row]].toarray()[0], spread[[row]].toarray()[0]
            assert not mine[all_of_them == 0.0].any()
            for hop, i in paper.number.items():
                allowed = left.get((hop[0][0], host))
                if allowed is not None and hop not in allowed:
                    assert mine[i] == 0.0
            into = [i for hop, i in paper.number.items() if hop[1][0] == host]
            assert mine[into].sum() == pytest.approx(all_of_them[into].sum())


@quick
@given(wirings(), st.booleans())
def test_no_routes_and_routes_over_all_shortest_ways_change_nothing(made: Wiring, some: bool) -> None:
    rows = telling(made) if some else []
    for host in made.hosts if some else ():
        for device in made.switches():
            ports = next_hops(made, device, host)
            rows += [
                route(device, prefix(made, host), port, f"192.0.2.{n}") for n, port in enumerate(ports, 1)
            ]
    paper = Paper(made)
    one, other = paper.found(rows, pairs_of(made)), paper.found([], pairs_of(made))
    for mine, theirs in ((one.forward, other.forward), (one.reverse, other.reverse)):
        np.testing.assert_allclose(mine.toarray(), theirs.toarray())


@pytest.fixture
def square() -> Paper:
    """Two leaves, two spines, a host each: swp1 and swp2 of a leaf lead to spine0 and spine1."""
    made = Wiring()
    for leaf in ("leaf0", "leaf1"):
        for spine in ("spine0", "spine1"):
            made.join(leaf, spine)
    made.host("h0", "leaf0")
    made.host("h1", "leaf1")
    return Paper(made)


def test_the_longest_prefix_counts(square: Paper) -> None:
    wide = [*telling(square.made), route("leaf0", "10.0.0.0/16", "swp2")]
    assert square.over_spine0(wide) == 0.0
    assert square.over_spine0([*wide, route("leaf0", "10.0.1.0/24", "swp1")]) == 1.0
    both = [route("leaf0", "10.0.1.0/24", f"swp{i}", f"192.0.2.{i}") for i in (1, 2)]
    assert square.over_spine0(wide + both) == 0.5


def test_ipv6_is_narrowed_alike(square: Paper) -> None:
    hosts = square.tables["hosts"].assign(addresses=[["2001:db8:0:1::5"], ["2001:db8:0:2::5"]])
    several = [route("leaf0", "2001:db8:ffff::/48", f"far{i}", f"fe80::{i}") for i in (1, 2)]
    rows = [*several, route("leaf0", "2001:db8:0:2::/64", "swp2", "fe80::2")]
    assert square.over_spine0(rows, hosts=hosts) == 0.0


@pytest.mark.parametrize(
    "further",
    [
        pytest.param([("0.0.0.0/0", "swp2", "192.0.2.2")], id="a default route speaks of no host"),
        pytest.param([("10.0.1.0/24", "swp2", None)], id="a connected network names no next hop"),
        pytest.param([("10.0.1.0/24", "Vlan7", "192.0.2.2")], id="nobody knows where the next hop is"),
        pytest.param(
            [("10.0.1.0/24", "swp2", "192.0.2.2"), ("10.0.1.0/24", "gre0", "192.0.2.3")],
            id="nor where one of two",
        ),
        pytest.param([("10.0.9.0/24", "swp2", "192.0.2.2")], id="another network"),
        pytest.param([("172.17.0.0/16", "swp2", "192.0.2.2")], id="an address that every host has"),
        pytest.param([("no network", "swp2", "192.0.2.2")], id="no prefix"),
        pytest.param([("10.0.1.0/24", "swp3", "192.0.2.2")], id="a way that leads nowhere"),
    ],
)
def test_routes_that_say_nothing_of_the_ways_narrow_nothing(
    square: Paper, further: list[tuple[str, str, str | None]]
) -> None:
    rows = telling(square.made) + [route("leaf0", *one) for one in further]
    assert square.over_spine0(rows) == 0.5


def test_a_table_that_never_tells_several_next_hops_may_be_telling_the_first_only(square: Paper) -> None:
    alone = route("leaf0", "10.0.1.0/24", "swp2")
    assert square.over_spine0([alone]) == 0.5
    assert square.over_spine0([alone, *telling(square.made)]) == 0.0


def test_a_next_hop_in_a_vlan_is_where_arp_and_the_forwarding_table_have_it(square: Paper) -> None:
    place = {"at": AT, "device": "leaf0", "mac": "02:00:00:00:00:99"}
    arp = frames.frame("arp", [place | {"ip": "192.0.2.2", "if_name": "Vlan7"}])
    stations = frames.frame("stations", [place | {"vlan": 7, "if_name": "swp2"}])
    rows = [*telling(square.made), route("leaf0", "10.0.1.0/24", "Vlan7", "192.0.2.2")]
    assert square.over_spine0(rows, arp=arp, stations=stations) == 0.0


def test_a_route_over_a_link_that_is_down_is_yesterdays(square: Paper) -> None:
    down = square.number[("leaf0", "swp2"), ("spine1", "swp1")]
    square.fabric.directed.loc[down, "usable"] = False
    assert square.over_spine0([*telling(square.made), route("leaf0", "10.0.1.0/24", "swp2")]) == 1.0


def test_a_route_may_take_a_longer_way_than_the_shortest() -> None:
    made = Wiring()
    for one, other in (("s1", "s2"), ("s1", "s3"), ("s3", "s2")):
        made.join(one, other)
    made.host("h0", "s1")
    made.host("h1", "s2")
    rows = [*telling(made), route("s1", prefix(made, "h1"), "swp2")]
    paper = Paper(made)
    way, number = paper.found(rows, [("h0", "h1")]), paper.number
    crossed = {hop[0][0] + hop[1][0] for hop, i in number.items() if way.forward.toarray()[0][i] == 1.0}
    assert crossed == {"h0s1", "s1s3", "s3s2", "s2h1"}
    assert way.reverse.toarray()[0][number[("s2", "swp1"), ("s1", "swp1")]] == 1.0
