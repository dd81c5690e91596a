"""Properties of map and paths on random Clos, tree, LAG and MLAG fabrics."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wirings import End, Hop, Wiring, wirings

from correlator.engine.paths import Paths, find_paths
from correlator.engine.topology import Map, build_map

NAMES = ("neighbors", "hosts", "cables", "interfaces", "devices")
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def mapped(made: Wiring, forgotten: frozenset[End] = frozenset()) -> Map:
    tables = made.tables(forgotten)
    return build_map(*(tables[name] for name in NAMES))


def ends(fabric: Map) -> set[frozenset[End]]:
    columns = ["a_device", "a_if_name", "b_device", "b_if_name"]
    rows: Any = fabric.links[columns].itertuples(index=False, name=None)
    return {frozenset({(a, p), (b, q)}) for a, p, b, q in rows}


def hops(fabric: Map) -> list[Hop]:
    columns = ["sender_device", "sender_if_name", "receiver_device", "receiver_if_name"]
    rows: Any = fabric.directed[columns].itertuples(index=False, name=None)
    return [((a, p), (b, q)) for a, p, b, q in rows]


def pairs_of(made: Wiring) -> list[tuple[str, str]]:
    return [(a, b) for a in made.hosts for b in made.hosts if a != b][:12]


def found(made: Wiring, fabric: Map) -> Paths:
    return find_paths(fabric.directed, made.hosts, pairs_of(made), fabric.closed)


@quick
@given(wirings())
def test_the_map_is_the_wiring(made: Wiring) -> None:
    fabric = mapped(made)
    assert ends(fabric) == {frozenset(cable) for cable in made.cables}
    assert set(fabric.links["source"]) <= {"lldp both"}
    assert fabric.contradictions.empty
    idle = fabric.links[~fabric.links["usable"]]
    assert len(idle) == len(made.blocked)
    assert set(idle["idle"]) <= {"blocked"}


@quick
@given(wirings(), st.integers(0, 2**32))
def test_every_link_has_the_share_that_hop_by_hop_choices_give_it(made: Wiring, seed: int) -> None:
    fabric = mapped(made)
    way, dice = found(made, fabric), random.Random(seed)
    number = {hop: i for i, hop in enumerate(hops(fabric))}
    for row, (source, destination) in enumerate(pairs_of(made)):
        for shares, one, other in ((way.forward, source, destination), (way.reverse, destination, source)):
            mine = shares[[row]].toarray()[0]
            expected = np.zeros(len(number))
            for hop, share in made.shares(one, other).items():
                expected[number[hop]] = share
            assert mine == pytest.approx(expected)
            if expected.any():
                assert all(mine[number[hop]] > 0 for hop in made.walk(one, other, dice))


@quick
@given(wirings())
def test_every_cut_carries_the_whole(made: Wiring) -> None:
    fabric = mapped(made)
    way = found(made, fabric)
    sender = fabric.directed["sender_device"].to_numpy()
    receiver = fabric.directed["receiver_device"].to_numpy()
    for row, (source, destination) in enumerate(pairs_of(made)):
        shares = way.forward[[row]].toarray()[0]
        distance = made.distances(destination)
        if source not in distance:
            assert not shares.any()
            continue
        assert shares[sender == source].sum() == pytest.approx(1.0)
        assert shares[receiver == destination].sum() == pytest.approx(1.0)
        at = np.array([distance.get(device, -1) for device in sender])
        into = np.array([distance.get(device, -1) for device in receiver])
        inner = (sender != source) & (at == into + 1)
        if all(made.aggregates.get(hop[0]) != "bond0" for hop in made.hops() if hop[0][0] == source):
            for hop in range(1, distance[source]):
                assert shares[inner & (at == hop)].sum() == pytest.approx(1.0)


@quick
@given(wirings(), st.data())
def test_a_link_that_is_gone_keeps_no_share(made: Wiring, data: st.DataObject) -> None:
    gone = data.draw(st.integers(0, len(made.cables) - 1))
    left = made.without(gone)
    fabric = mapped(left)
    assert frozenset(made.cables[gone]) not in ends(fabric)
    shut = mapped(made)
    one = shut.links.index[[frozenset(made.cables[gone]) == link for link in _ends(shut)]]
    shut.directed.loc[shut.directed["link"].isin(one), "usable"] = False
    assert not found(made, shut).forward[:, [2 * one[0], 2 * one[0] + 1]].count_nonzero()


def _ends(fabric: Map) -> list[frozenset[End]]:
    return [frozenset(hop) for hop in hops(fabric)[::2]]


@quick
@given(wirings(), st.data())
def test_forgetting_one_end_changes_nothing_but_the_confidence(made: Wiring, data: st.DataObject) -> None:
    cable = made.cables[data.draw(st.integers(0, len(made.cables) - 1))]
    near = cable[data.draw(st.integers(0, 1))]
    whole, partly = mapped(made), mapped(made, frozenset({near}))
    assert hops(whole) == hops(partly)
    same = ["a_device", "a_if_name", "b_device", "b_if_name", "usable", "a_aggregate", "b_aggregate"]
    assert whole.links[same].equals(partly.links[same])
    changed = np.flatnonzero(whole.links["confidence"] != partly.links["confidence"])
    assert [_ends(whole)[i] for i in changed] == [frozenset(cable)]
    assert partly.links["confidence"].iloc[changed[0]] < whole.links["confidence"].iloc[changed[0]]


@quick
@given(wirings(), st.data())
def test_the_rows_may_come_in_any_order(made: Wiring, data: st.DataObject) -> None:
    tables = made.tables()
    seed = data.draw(st.integers(0, 1000))
    shuffled = [tables[name].sample(frac=1.0, random_state=seed, ignore_index=True) for name in NAMES]
    one, other = build_map(*(tables[name] for name in NAMES)), build_map(*shuffled)
    assert one.links.equals(other.links)
    assert one.directed.drop(columns="bundle").equals(other.directed.drop(columns="bundle"))


@quick
@given(wirings())
def test_the_paths_one_by_one_make_up_the_shares(made: Wiring) -> None:
    fabric = mapped(made)
    way = found(made, fabric)
    for row in range(len(pairs_of(made))):
        shares = np.zeros(len(fabric.directed))
        for probability, links in way.members(row):
            shares[links] += probability
        assert shares == pytest.approx(way.forward[[row]].toarray()[0])
