"""Single flows and the links' own counters: one rate feeds both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from correlator.engine.localize import Evidence, Flows, Params, Suspect, localize
from correlator.engine.localize.alike import classes
from correlator.engine.localize.flows import FlowWitness
from correlator.engine.localize.params import log_prior, over_rates
from correlator.engine.localize.search import by_class

HOSTS, SPINES = 12, 4  # one leaf sends by its spines to another
UP, DOWN = HOSTS, HOSTS + SPINES
LINKS = 2 * HOSTS + 2 * SPINES
TO_HOST = HOSTS + 2 * SPINES


def flows(sick: dict[int, float], seed: int = 1, packets: int = 400, count: int = 1500) -> Flows:
    """Return flows from host to host over a spine that nobody saw, and what these rates lose of them."""
    dice = np.random.default_rng(seed)
    source, destination = dice.integers(HOSTS, size=count), dice.integers(HOSTS, size=count)
    spine = dice.integers(SPINES, size=count)
    rate = np.full(LINKS, 2e-5)
    for link, value in sick.items():
        rate[link] = value
    crossed = np.stack([source, UP + spine, DOWN + spine, TO_HOST + destination], axis=1)
    lost = dice.binomial(packets, 1.0 - np.prod(1.0 - rate[crossed], axis=1))
    ways = np.stack([UP + np.arange(SPINES), DOWN + np.arange(SPINES)], axis=1)
    return Flows(
        sent=np.full(count, packets),
        lost=lost,
        certain=rows(crossed[:, [0, 3]]),
        path_set=np.zeros(count, dtype=np.int64),
        paths=rows(ways),
        set_of_path=np.zeros(SPINES, dtype=np.int64),
    )


def rows(columns: np.ndarray) -> csr_array:
    many, width = columns.shape
    start = np.arange(many + 1) * width
    return csr_array((np.ones(columns.size, dtype=np.int8), columns.ravel(), start), shape=(many, LINKS))


def polled(seen: Flows, errors: dict[int, float], unpolled: tuple[int, ...] = ()) -> Evidence:
    """Return the flows with counters of every link."""
    health = pd.DataFrame(
        {"errors": np.zeros(LINKS), "packets": 150_000.0, "passed_on": 0.0, "error_floor": 1e-7,
         "floor_shape": 0.5, "discards": 0.0, "sent": 150_000.0, "discard_floor": 1e-7, "utilisation": 0.3}
    )  # fmt: skip
    for link, count in errors.items():
        health.loc[link, "errors"] = count
    health.loc[list(unpolled), ["errors", "packets"]] = np.nan
    return replace(Evidence.of_flows(seen), health=health)


def one(found: list[Suspect]) -> Suspect:
    assert len(found) == 1
    return found[0]


def test_without_counters_a_fault_beyond_the_hosts_is_a_class() -> None:
    suspect = one(localize(Evidence.of_flows(flows({UP + 1: 0.01}))))
    told = dict(suspect.by_link())
    both_ways = {UP + i for i in range(SPINES)} | {DOWN + i for i in range(SPINES)}
    assert {number for number, p in told.items() if p > 0.01} == both_ways
    assert suspect.probability < 0.2
    assert suspect.mass > Params().named


def test_links_on_the_same_paths_are_alike_and_no_others() -> None:
    seen, none = flows({}), csr_array((0, LINKS))
    told = classes(seen, none, none)
    assert len(set(told[UP : DOWN + SPINES])) == 1
    assert len(set(told)) == 2 * HOSTS + 1
    shares = csr_array(np.eye(LINKS)[[UP, UP + 1]])
    assert len(set(classes(seen, shares, none)[[UP, UP + 1, UP + 2]])) == 3
    assert len(set(classes(None, none, none))) == LINKS


def test_a_class_is_believed_where_none_of_its_links_would_be() -> None:
    seen, losses = flows({}, count=300, packets=100), (4, 4, 3)  # each link by itself has odds of 1 : 3
    lost = np.zeros_like(seen.lost)
    for host, some in enumerate(losses):
        lost[seen.certain[:, [host]].nonzero()[0][0]] = some
    suspect = one(localize(Evidence.of_flows(replace(seen, lost=lost))))
    assert {number for number, _ in suspect.candidates(Params())} == set(range(UP, DOWN + SPINES))
    assert suspect.mass > Params().named


def test_the_odds_of_a_class_are_the_sum_of_its_links() -> None:
    total = np.log(np.array([[1.0, 2.0, 3.0, 4.0], [0.5, 0.5, 0.0001, 7.0]]))
    assert np.exp(by_class(total, np.array([5, 2, 5, 9]))) == pytest.approx(
        np.array([[2.0, 4.0, 4.0], [0.5, 0.5001, 7.0]])
    )


def test_a_counter_tells_the_members_of_a_class_apart() -> None:
    suspect = one(localize(polled(flows({UP + 1: 0.01}), {UP + 1: 1500.0})))
    assert (suspect.number, suspect.mode) == (UP + 1, "corruption")
    assert suspect.probability > 0.99
    assert suspect.rate == pytest.approx(0.01, rel=0.3)


def test_the_one_member_that_nobody_polls_is_found_by_elimination() -> None:
    suspect = one(localize(polled(flows({DOWN + 2: 0.01}), {}, unpolled=(DOWN + 2,))))
    assert suspect.number == DOWN + 2
    assert dict(suspect.by_link())[DOWN + 2] > 0.8  # the polled ones may lose what nobody counts


def test_two_unpolled_members_stay_a_class() -> None:
    suspect = one(localize(polled(flows({DOWN + 2: 0.01}), {}, unpolled=(DOWN + 2, UP + 3))))
    told = dict(suspect.by_link())
    assert told[DOWN + 2] == pytest.approx(told[UP + 3])
    assert told[DOWN + 2] + told[UP + 3] > 0.85
    assert {DOWN + 2, UP + 3} <= {number for number, _ in suspect.candidates(Params())}


def test_a_counter_that_does_not_fit_the_losses_is_not_believed() -> None:
    suspect = one(localize(polled(flows({UP + 1: 0.01}), {UP: 3.0}, unpolled=(UP + 1,))))
    assert suspect.number == UP + 1


def test_errors_without_losses_are_no_suspect() -> None:
    assert localize(polled(flows({}), {UP: 2.0})) == []


@pytest.mark.parametrize("link", [0, 5, TO_HOST + 3])
def test_a_host_link_needs_no_counter(link: int) -> None:
    suspect = one(localize(Evidence.of_flows(flows({link: 0.004}))))
    assert dict(suspect.by_link())[link] > 0.95  # whatever way it is that it loses


def test_two_faults_on_one_way_are_both_found() -> None:
    found = localize(polled(flows({3: 0.01, UP + 1: 0.02}), {UP + 1: 3000.0}))
    assert {suspect.number for suspect in found} == {3, UP + 1}


def test_one_flow_that_loses_everything_is_answered() -> None:
    seen = flows({})
    lost = seen.lost.copy()
    lost[0] = seen.sent[0]
    for suspect in localize(Evidence.of_flows(replace(seen, lost=lost))):
        assert 0.0 < suspect.rate <= 1.0


def test_terms_and_probabilities_are_finite() -> None:
    for suspect in localize(polled(flows({3: 0.3, UP: 0.9}), {UP: 90_000.0})):
        assert all(np.isfinite(value) for value in suspect.terms.values())
        assert 0.0 < suspect.probability <= 1.0


@pytest.mark.parametrize("seed", range(6))
def test_links_that_usually_lose_more_than_others_are_not_sick(seed: int) -> None:
    rates = np.random.default_rng(seed).uniform(0.0, 2e-4, LINKS)
    assert localize(Evidence.of_flows(flows(dict(enumerate(rates)), seed=seed))) == []


def test_a_sick_link_does_not_pass_for_the_usual() -> None:
    usual = dict.fromkeys(range(LINKS), 1e-4)
    suspect = one(localize(Evidence.of_flows(flows(usual | {4: 0.01}))))
    assert suspect.number == 4
    assert suspect.rate == pytest.approx(0.01, rel=0.3)


def test_flows_of_known_path_need_no_set() -> None:
    seen = flows({UP + 1: 0.01})
    dice = np.random.default_rng(1)
    dice.integers(HOSTS, size=1500), dice.integers(HOSTS, size=1500)
    spine = dice.integers(SPINES, size=1500)
    way = rows(np.stack([UP + spine, DOWN + spine], axis=1))
    known = replace(seen, certain=csr_array(seen.certain + way), path_set=np.full(1500, -1))
    told = dict(one(localize(Evidence.of_flows(known))).by_link())
    assert {number for number, p in told.items() if p > 0.01} == {UP + 1, DOWN + 1}


def mixture(seen: Flows, usual: float, sick: dict[int, float]) -> float:
    """Return ln P of all losses, path by path."""
    rate = np.zeros(LINKS)
    rate[list(sick)] = list(sick.values())
    way = (usual + (seen.certain @ rate))[:, None] + (seen.paths @ rate)[None, :]
    lost, kept = seen.lost[:, None], (seen.sent - seen.lost)[:, None]
    return float(np.log(np.exp(lost * np.log(way) + kept * np.log1p(-way)).mean(axis=1)).sum())


def test_what_flows_say_is_the_mixture_over_their_paths_whatever_was_weighed_before() -> None:
    seen = flows({UP + 1: 0.01, 3: 0.005})
    whole = FlowWitness(seen, Params())
    few = np.array([3, 5, UP + 1, UP + 2, DOWN + 1, TO_HOST + 4])
    sick, place = [(UP + 1, 0.01), (3, 0.005)], 26
    rate, usual = float(whole.rates[place]), float(whole.usual.of_set[0])
    for witness in (whole, whole.narrowed(few)):
        for given in (sick, sick[:1], sick, [(UP + 1, 0.01), (3, 0.004)]):
            told = witness.weigh(given)[np.searchsorted(witness.numbers, few), place]
            now = mixture(seen, usual, dict(given))
            for link, nats in zip(few.tolist(), told, strict=True):
                more = dict(given) | {link: dict(given).get(link, 0.0) + rate}
                assert nats == pytest.approx(mixture(seen, usual, more) - now, abs=1e-6)


def test_where_all_paths_are_known_flows_say_what_their_sums_say() -> None:
    seen = known_ways(flows({UP + 1: 0.01, 3: 0.005}))
    witness, place, given = FlowWitness(seen, Params()), 26, {UP + 1: 0.01, 3: 0.005}
    usual = np.full(len(seen.sent), witness.usual.mean_flow)
    usual[seen.lost > 0] = witness.usual.of_lossy
    told = witness.weigh(list(given.items()))[:, place]
    now = sums(seen, usual, given)
    for link in (5, UP + 2, DOWN + 1, TO_HOST + 4):
        more = given | {link: float(witness.rates[place])}
        assert told[link] == pytest.approx(sums(seen, usual, more) - now, rel=1e-3)


def sums(seen: Flows, usual: np.ndarray, sick: dict[int, float]) -> float:
    rate = np.zeros(LINKS)
    rate[list(sick)] = list(sick.values())
    way = usual + seen.certain @ rate
    return float((seen.lost * np.log(way) + (seen.sent - seen.lost) * np.log1p(-way)).sum())


def known_ways(seen: Flows) -> Flows:
    """Return the flows with a way each, and that known."""
    spine = np.arange(len(seen.sent)) % SPINES
    way = rows(np.stack([UP + spine, DOWN + spine], axis=1))
    return replace(seen, certain=csr_array(seen.certain + way), path_set=np.full(len(spine), -1))


def test_a_fault_is_a_few_in_a_fabric_and_never_common() -> None:
    assert log_prior(Params(), 100, 0, complaint=True) == pytest.approx(np.log(2e-3))
    assert log_prior(Params(), 100_000, 0, complaint=True) == pytest.approx(np.log(4e-5))


def test_where_nobody_complains_the_first_fault_is_the_hardest_to_believe() -> None:
    first, second = (log_prior(Params(), 10_000, sick, complaint=False) for sick in (0, 1))
    assert first < second - 2.5
    assert second == log_prior(Params(), 10_000, 0, complaint=True)


def test_rates_that_do_not_count_weigh_nothing_and_heavy_ones_less() -> None:
    params = Params()
    nats = np.full((1, params.rates), -np.inf)
    nats[0, 20:] = 3.0
    assert over_rates(nats, params)[0] == pytest.approx(3.0)
    light, heavy = np.zeros(params.rates), np.zeros(params.rates)
    light[20], heavy[38] = 10.0, 10.0
    assert over_rates(np.stack([light, heavy]), params)[0] > over_rates(np.stack([light, heavy]), params)[1]
