"""What neighbouring links lose by a part that they share is laid on them, not on a link behind them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_engine_localize import DIRECTED, HOSTS, LEAVES, SPINES, down, evidence, from_host, to_host, up

from correlator.engine.localize import Evidence, Suspect, localize
from correlator.engine.parts import beside, close

# the order of the house: a link's two directions are 2n and 2n + 1
ORDER = [way for i in range(HOSTS) for way in (from_host(i), to_host(i))] + [
    way for leaf in range(LEAVES) for spine in range(SPINES) for way in (up(leaf, spine), down(spine, leaf))
]
NEW = {old: new for new, old in enumerate(ORDER)}
OF_LEAF_0 = [from_host(0), from_host(1)]


def seen(lost: dict[int, float], counted: bool = False) -> Evidence:
    """Return what pairs see where these links lose, and which of leaf 0's ports are neighbours."""
    told = evidence(lost, counters=counted)
    health = None if told.health is None else told.health.iloc[ORDER].reset_index(drop=True)
    neighbours = tuple(
        np.sort([NEW[link] for link in links])
        for links in (OF_LEAF_0, [to_host(0), to_host(1)], [up(0, 0), up(0, 1)], [down(0, 0), down(1, 0)])
    )
    forward, reverse = told.forward[:, ORDER], told.reverse[:, ORDER]
    return replace(told, forward=forward, reverse=reverse, health=health, neighbours=neighbours)


def named(found: list[Suspect]) -> set[int]:
    return {ORDER[one.number] for one in found if one.by_link()[0][1] > 0.9}


@pytest.mark.parametrize("rate", [0.004, 0.01])
def test_links_that_share_a_bad_part_are_accused_and_not_the_way_behind_them(rate: float) -> None:
    lost = dict.fromkeys(OF_LEAF_0, rate)
    found = localize(seen(lost))
    assert named(found) == set(OF_LEAF_0)
    assert len(found) == 2
    assert all(not one.apart for one in found)


def test_a_part_that_loses_both_ways_is_accused_both_ways() -> None:
    both = [*OF_LEAF_0, to_host(0), to_host(1)]
    assert named(localize(seen(dict.fromkeys(both, 0.01)))) == set(both)


def test_one_sick_link_is_not_laid_on_its_neighbours() -> None:
    (one,) = localize(seen({from_host(0): 0.01}))
    assert (ORDER[one.number], one.apart) == (from_host(0), True)
    assert one.by_link()[0][1] > 0.9


def test_a_neighbour_that_is_well_speaks_against_a_part() -> None:
    told = seen(dict.fromkeys(OF_LEAF_0, 0.01))
    wider = np.sort([NEW[link] for link in (*OF_LEAF_0, from_host(2), from_host(3))])
    found = localize(replace(told, neighbours=(wider,)))
    assert {ORDER[one.number] for one in found} == set(OF_LEAF_0)


def test_a_way_that_nobody_counts_stays_a_class_of_links() -> None:
    (one,) = localize(seen({up(0, 0): 0.02}))
    assert all(number < DIRECTED for number, _, _ in one.alternatives)
    assert {ORDER[number] for number, _ in one.by_link()[:2]} == {up(0, 0), up(0, 1)}
    assert one.by_link()[0][1] < 0.9


def test_links_that_are_counted_are_told_by_their_own_counters() -> None:
    found = localize(seen({from_host(0): 0.01}, counted=True))
    assert named(found) == {from_host(0)}


def test_pairs_tell_whether_the_other_direction_loses_too() -> None:
    (one,) = localize(seen({from_host(0): 0.01}))
    assert one.back < -5.0
    found = localize(seen({from_host(0): 0.01, to_host(0): 0.006}))
    assert all(one.back > 5.0 for one in found if ORDER[one.number] == from_host(0))


def test_what_a_full_queue_dropped_on_the_way_back_is_no_loss_of_the_cable() -> None:
    lost = {from_host(0): 0.005, to_host(0): 0.01}
    told = seen(lost, counted=True)
    assert told.health is not None
    card = NEW[to_host(0)]
    drops = told.health.at[card, "errors"]
    told.health.loc[card, ["errors", "packets"]] = np.nan  # nobody asks the host's card
    found = {ORDER[one.number]: one for one in localize(told)}
    assert found[to_host(0)].mode == "corruption"
    assert found[from_host(0)].back > 5.0
    told.health.loc[card, ["discards", "utilisation"]] = [drops, 0.98]
    found = {ORDER[one.number]: one for one in localize(told)}
    assert found[to_host(0)].mode == "congestion"
    assert np.isnan(found[from_host(0)].back)


def test_neighbours_are_ports_of_one_name_that_lie_close() -> None:
    ports = ["Ethernet1", "Ethernet2", "Ethernet4", "Ethernet5", "Ethernet49", "mgmt0"]
    into = pd.DataFrame({"receiver_device": "leaf1", "receiver_if_name": ports})
    into = into.assign(sender_device=[f"host{n}" for n in range(6)], sender_if_name="eth0")
    told = [some.tolist() for some in beside(into, np.arange(6), 4)]
    assert told == [[0, 1, 2], [1, 2, 3]]
    assert [some.tolist() for some in beside(into, np.array([0, 1]), 4)] == [[0, 1, 2]]
    assert close("Gi1/0/3", "Gi1/0/4", 4)
    assert not close("Gi1/0/3", "Gi2/0/3", 4)
