from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from correlator.engine.localize import Evidence, Params, explained, localize

HOSTS, LEAVES, SPINES = 8, 4, 2
DIRECTED = 2 * HOSTS + 2 * LEAVES * SPINES
SEGMENTS = 4000.0


def from_host(i: int) -> int:
    return i


def to_host(i: int) -> int:
    return HOSTS + i


def up(leaf: int, spine: int) -> int:
    return 2 * HOSTS + leaf * SPINES + spine


def down(spine: int, leaf: int) -> int:
    return 2 * HOSTS + LEAVES * SPINES + leaf * SPINES + spine


def way(i: int, j: int) -> dict[int, float]:
    a, b = i // 2, j // 2
    shares = {from_host(i): 1.0, to_host(j): 1.0}
    if a != b:
        for spine in range(SPINES):
            shares |= {up(a, spine): 1 / SPINES, down(spine, b): 1 / SPINES}
    return shares


def matrix(ways: list[dict[int, float]]) -> csr_array:
    dense = np.zeros((len(ways), DIRECTED))
    for row, shares in enumerate(ways):
        for link, share in shares.items():
            dense[row, link] = share
    return csr_array(dense)


def evidence(lost: dict[int, float], seed: int = 1, connections: float = 200.0, counters: bool = True,
             counted_as: str = "errors", dsack: bool = True, **health: Any) -> Evidence:  # fmt: skip
    """Return what all host pairs and all links see of these rates of loss."""
    dice = np.random.default_rng(seed)
    pairs = [(i, j) for i in range(HOSTS) for j in range(HOSTS) if i != j]
    there, back = [way(i, j) for i, j in pairs], [way(j, i) for i, j in pairs]
    expected = np.full(len(pairs), 2e-5 * 2 * SEGMENTS)
    client, server = (
        dice.poisson(expected / 2 + [
            sum(shares.get(link, 0.0) * rate * SEGMENTS for link, rate in lost.items()) for shares in ways
        ]).astype(float)
        for ways in (there, back)
    )  # fmt: skip
    count = client + server
    table = pd.DataFrame(
        {"segments_client": SEGMENTS, "segments_server": SEGMENTS, "retransmitted_client": client,
         "retransmitted_server": server, "undirected": 0.0 if dsack else count, "expected": expected,
         "shape": 5.0, "connections": connections, "delay_ms": np.nan, "delay_sigma_ms": np.nan,
         "slow": count > 6 + 10 * expected}
    )  # fmt: skip
    packets = 200_000.0
    seen = {"errors": np.zeros(DIRECTED), "discards": np.zeros(DIRECTED)}
    for link, rate in lost.items():
        if counted_as in seen:
            seen[counted_as][link] = dice.poisson(rate * packets)
    links = pd.DataFrame(
        {"errors": seen["errors"], "packets": packets, "passed_on": 0.0, "error_floor": 1e-7,
         "floor_shape": 0.5,
         "discards": seen["discards"], "sent": packets, "discard_floor": 1e-7, "utilisation": 0.3}
    )  # fmt: skip
    if not counters:
        links[["errors", "packets", "discards", "sent"]] = np.nan
    links = links.assign(**health)
    return Evidence(table, matrix(there), matrix(back), links, np.full(DIRECTED, np.nan))


def one(found: list[Any]) -> Any:
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("link", [from_host(0), up(1, 0), down(1, 3)])
@pytest.mark.parametrize("rate", [0.003, 0.03])
def test_a_corrupting_link_is_named_with_its_direction_and_rate(link: int, rate: float) -> None:
    suspect = one(localize(evidence({link: rate})))
    assert (suspect.number, suspect.mode) == (link, "corruption")
    assert suspect.probability > 0.99
    assert suspect.rate == pytest.approx(rate, rel=0.5)


def test_a_full_queue_is_told_from_dirt_at_equal_loss() -> None:
    full = evidence({up(0, 0): 0.01}, counted_as="discards", utilisation=0.98)
    assert one(localize(full)).mode == "congestion"
    assert one(localize(evidence({up(0, 0): 0.01}, utilisation=0.98))).mode == "corruption"


def test_two_faults_are_both_found() -> None:
    found = localize(evidence({up(0, 0): 0.02, to_host(7): 0.01}))
    assert {suspect.number for suspect in found} == {up(0, 0), to_host(7)}


def test_a_receiver_that_nobody_polls_is_found_by_elimination() -> None:
    seen = evidence({to_host(3): 0.01}, counted_as="nobody")
    hosts = np.arange(HOSTS, 2 * HOSTS)
    seen.health.loc[hosts, ["errors", "packets"]] = np.nan
    suspect = one(localize(seen))
    assert (suspect.number, suspect.mode) == (to_host(3), "corruption")


def test_without_any_counter_equal_links_are_a_class() -> None:
    suspect = one(localize(evidence({up(0, 0): 0.02}, counters=False)))
    candidates = {number for number, _ in suspect.candidates(Params())}
    assert {up(0, 0), up(0, 1)} <= candidates
    assert suspect.probability < Params().named


def test_light_breaks_the_tie_where_counters_are_missing() -> None:
    seen = evidence({up(0, 0): 0.02}, counters=False)
    seen.light_nats[up(0, 0)] = 10.0
    assert one(localize(seen)).number == up(0, 0)


def test_a_link_that_nobody_counts_for_is_silent() -> None:
    assert one(localize(evidence({up(0, 0): 0.02}, counted_as="nobody"))).mode == "silent"


def test_who_sends_again_tells_which_way_the_loss_was() -> None:
    for link, other in ((from_host(3), to_host(3)), (to_host(3), from_host(3))):
        (suspect,) = localize(evidence({link: 0.005}, counters=False))
        told = dict(suspect.by_link())
        assert told[link] > 0.9
        assert told.get(other, 0.0) < 0.01


def test_without_dsack_who_sends_again_tells_nothing() -> None:
    client_or_server = localize(evidence({from_host(3): 0.005}, counters=False, dsack=False))
    assert {link for suspect in client_or_server for link, _ in suspect.by_link()} == {
        from_host(3),
        to_host(3),
    }


def test_a_sick_link_that_explains_nothing_accounts_for_nothing() -> None:
    seen = evidence({up(0, 0): 0.02})
    seen.health.loc[up(0, 1), "errors"] = 20.0
    shares = {s.number: explained(seen, s)["retransmissions_explained"] for s in localize(seen)}
    slow = seen.pairs["slow"].to_numpy()
    again = seen.pairs["retransmitted_client"] + seen.pairs["retransmitted_server"]
    excess = (again - seen.pairs["expected"])[slow]
    assert (shares[up(0, 0)][slow] / excess).median() > 0.7
    assert (shares.get(up(0, 1), pd.Series(0.0, index=slow.nonzero()[0]))[slow] / excess).max() < 0.1


def test_errors_that_a_switch_passed_on_convict_nobody_downstream() -> None:
    seen = evidence({up(0, 0): 0.02})
    behind = [down(0, leaf) for leaf in (1, 2, 3)]
    seen.health.loc[behind, "errors"] = 1300.0
    seen.health.loc[behind, "passed_on"] = 1300.0
    assert one(localize(seen)).number == up(0, 0)


@pytest.mark.parametrize("lost", [{up(0, 0): 0.02}, {up(0, 0): 0.02, down(1, 2): 0.01}])
def test_where_links_are_too_many_those_that_slow_pairs_do_not_suspect_are_left_out(
    lost: dict[int, float],
) -> None:
    seen = evidence(lost)
    told, few = localize(seen), localize(seen, replace(Params(), most_weighed=4))
    assert [one.number for one in few] == [one.number for one in told]
    assert [one.probability for one in few] == pytest.approx([one.probability for one in told], abs=0.01)


def test_pairs_do_not_convict_a_link_at_a_hundred_times_the_rate_that_it_counts() -> None:
    seen = evidence({up(0, 0): 0.01}, counted_as="nobody")
    seen.health.loc[up(0, 0), ["errors", "packets"]] = np.nan
    seen.health.loc[up(0, 1), "errors"] = 20.0  # 1e-4 of its packets, and its past knows nothing of it
    worst = max(localize(seen), key=lambda suspect: suspect.rate)
    assert worst.number == up(0, 0)
    assert all(suspect.rate < 1e-3 for suspect in localize(seen) if suspect.number == up(0, 1))


@pytest.mark.parametrize("errors", [5.0, 20.0, 60.0, 200.0, 700.0])
def test_a_rate_that_a_counter_bounds_is_none_that_pairs_drag_away(errors: float) -> None:
    seen = evidence({up(0, 0): 0.01}, counted_as="nobody")
    seen.health.loc[up(0, 0), ["errors", "packets"]] = np.nan
    seen.health.loc[up(0, 1), "errors"] = errors
    for suspect in localize(seen):
        if suspect.number == up(0, 1):
            assert suspect.rate < 20.0 * errors / 200_000.0


def test_nothing_slow_names_nothing() -> None:
    assert localize(evidence({})) == []


def test_a_sick_link_without_slow_pairs_is_not_named() -> None:
    seen = evidence({})
    seen.health.loc[up(0, 0), "errors"] = 500.0
    assert localize(seen) == []


def test_shuffled_link_evidence_is_believed_less() -> None:
    named = []
    for seed in range(8):
        seen = evidence({up(seed % 4, seed % 2): 0.01}, seed=seed)
        order = np.random.default_rng(seed).permutation(DIRECTED)
        shuffled = seen.health.iloc[order].reset_index(drop=True)
        found = localize(Evidence(seen.pairs, seen.forward, seen.reverse, shuffled, seen.light_nats))
        named.append(
            any(
                s.number == up(seed % 4, seed % 2) and s.probability > 0.8 and s.mode == "corruption"
                for s in found
            )
        )
    assert not any(named)


def test_a_fault_that_moves_takes_the_verdict_with_it() -> None:
    numbers = [one(localize(evidence({link: 0.01}))).number for link in range(DIRECTED)]
    assert numbers == list(range(DIRECTED))


def test_extra_delay_alone_finds_the_queue() -> None:
    seen = evidence({}, counted_as="nobody")
    crossing = (seen.forward + seen.reverse).toarray()[:, up(2, 1)]
    seen.pairs["delay_ms"], seen.pairs["delay_sigma_ms"] = 4.0 * crossing, 0.3
    seen.pairs["slow"] = crossing > 0
    seen.health.loc[up(2, 1), ["utilisation", "discards"]] = [0.99, 40.0]
    suspect = one(localize(seen))
    assert (suspect.number, suspect.mode) == (up(2, 1), "congestion")
    assert suspect.delay_ms == pytest.approx(4.0, rel=0.5)


def test_one_pair_and_no_pair_are_answered() -> None:
    seen = evidence({up(0, 0): 0.02})
    rows = [0]
    single = Evidence(
        seen.pairs.iloc[rows], seen.forward[rows], seen.reverse[rows], seen.health, seen.light_nats
    )
    assert len(localize(single)) <= 1
    none = Evidence(seen.pairs.iloc[:0], seen.forward[:0], seen.reverse[:0], seen.health, seen.light_nats)
    assert localize(none) == []
