from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from correlator.engine.causes import Params
from correlator.engine.diagnose import Charge, Scene, causes_of, class_verdict, link_verdict, terms_of
from correlator.engine.steps import actions
from correlator.model import End, Link, PairImpact, Window

AT = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)
PAIR = PairImpact("a", "b", "web", "api", 2.0, 1.5, 2.5, 3.0, 8.0, 1.0)
CHARGE = Charge(0, {"corruption": 0.99}, 0.01, {"pairs": 30.0, "errors": 100.0, "light": 8.0})


def scene(
    lost: float = np.nan, other: float = np.nan, dim: float = np.nan, other_sick: bool = False, **row: Any
) -> Scene:
    """Return one link, leaf1 → spine1 and back, with light lost on each way and the transmitter's change."""
    ends = {
        "sender_device": ["leaf1", "spine1"],
        "sender_if_name": ["p", "q"],
        "receiver_device": ["spine1", "leaf1"],
        "receiver_if_name": ["q", "p"],
        "direction": ["a_to_b", "b_to_a"],
    }
    counted = {
        "errors": 500.0,
        "error_rate": 0.005,
        "packets": 1e5,
        "passed_on": 0.0,
        "errors_known": True,
        "sick": [True, other_sick],
        "discards": 0.0,
        "discard_rate": 0.0,
        "sent": 1e5,
        "discards_known": True,
        "utilisation": 0.2,
    }
    health = pd.DataFrame(ends | counted | row)
    light = pd.DataFrame(
        {
            "lane": 1.0,
            "known": np.isfinite([lost, other]),
            "loss_change_db": [lost, other],
            "loss_sigma_db": 0.15,
            "other_change_db": [other, lost],
            "other_sigma_db": 0.15,
            "tx_change_db": [dim, np.nan],
            "tx_sigma_db": 0.1,
            "own_tx_change_db": [np.nan, dim],
            "own_tx_sigma_db": 0.1,
            "nats": 0.0,
        }
    )
    return Scene(health, light, Window(AT, AT))


def causes(seen: Scene, **modes: float) -> dict[Any, float]:
    charge = Charge(0, modes or {"corruption": 1.0}, 0.005, {})
    return causes_of(charge, terms_of(seen, 0, 0.005, Params()))


def likeliest(seen: Scene) -> str:
    told = causes(seen)
    assert sum(told.values()) == pytest.approx(1.0)
    return next(iter(told))


def test_light_lost_one_way_is_a_dirty_connector() -> None:
    assert likeliest(scene(lost=2.0, other=0.0, dim=0.0)) == "dirty_connector"
    assert likeliest(scene(lost=1.0, other=0.05, dim=-0.05)) == "dirty_connector"


def test_light_lost_both_ways_is_a_damaged_fibre() -> None:
    assert likeliest(scene(lost=2.0, other=2.0, dim=0.0, other_sick=True)) == "damaged_fiber"


def test_a_transmitter_that_fades_is_failing() -> None:
    assert likeliest(scene(lost=0.0, other=0.0, dim=-3.0)) == "failing_transmitter"


def test_errors_with_normal_light_are_a_bad_transceiver() -> None:
    assert likeliest(scene(lost=0.0, other=0.0, dim=0.0)) == "bad_transceiver"


def test_without_light_dirt_is_only_the_likeliest() -> None:
    assert likeliest(scene()) == "dirty_connector"
    assert causes(scene())["dirty_connector"] < 0.6


def test_a_full_queue_and_a_silent_drop_are_what_they_are() -> None:
    assert causes(scene(), congestion=0.9)["congestion"] == pytest.approx(0.9)
    assert causes(scene(), silent=0.9)["silent_drop"] == pytest.approx(0.9)


def test_ways_of_losing_that_localisation_cannot_tell_apart_are_all_told() -> None:
    told = causes(scene(), corruption=0.85, congestion=0.1, silent=0.03)
    assert (told["congestion"], told["silent_drop"]) == (0.1, 0.03)
    assert sum(told.values()) == pytest.approx(0.98)


def test_where_the_receiver_is_a_host_the_light_of_the_other_way_tells_a_damaged_cable() -> None:
    assert likeliest(scene(other=2.0, errors_known=[False, True])) == "damaged_fiber"


def test_a_fault_of_both_directions_is_met_twice_as_often_where_nobody_tells_of_the_other() -> None:
    seen = scene(lost=2.0, errors_known=[True, False])
    told = causes(seen)
    odds = 0.31 * (0.85 * 1.5 + 0.15 * 1.02) / (0.37 * 1.02)
    assert told["damaged_fiber"] / told["dirty_connector"] == pytest.approx(odds)
    for back, cause in ((10.0, "damaged_fiber"), (-10.0, "dirty_connector")):
        by_pairs = terms_of(seen, 0, 0.005, Params(), back)
        assert next(iter(causes_of(Charge(0, {"corruption": 1.0}, 0.005, {}), by_pairs))) == cause


def test_a_transmitter_is_known_by_its_own_switch_where_the_receiver_tells_nothing() -> None:
    seen = scene(dim=-3.0, errors_known=[False, True])
    seen.light.loc[0, ["tx_change_db", "known"]] = [np.nan, False]
    assert likeliest(seen) == "failing_transmitter"


def test_errors_both_ways_with_normal_light_are_no_dirt() -> None:
    told = causes(scene(lost=0.0, other=0.0, dim=0.0, other_sick=True))
    assert told["bad_transceiver"] + told["shared_component"] > 0.98


def test_every_term_of_the_cause_is_told_and_they_add_up_to_its_odds() -> None:
    seen = scene(lost=2.0, other=1.5, dim=0.0)
    verdict = link_verdict(seen, CHARGE, (PAIR,), AT)
    told = causes(seen)
    best, second, *_ = told.values()
    decibans = sum(item.weight_db for item in verdict.evidence if item.kind.startswith("cause_"))
    assert decibans == pytest.approx(10.0 * np.log10(best / second), abs=0.2)


def test_a_dirty_connector_starts_at_the_receiving_end_and_says_why() -> None:
    link = Link(End("leaf1", "p"), End("spine1", "q"))
    steps = actions(link, "b_to_a", "dirty_connector", 2)
    assert [(step.do, step.device, step.side) for step in steps[:2]] == [
        ("inspect_and_clean", "leaf1", "rx"),
        ("inspect_and_clean", "spine1", "tx"),
    ]
    assert "which end-face" in steps[0].text
    assert steps[0].lane == 2
    assert steps[-1].do == "replace_cable"


def test_a_bad_transceiver_is_reseated_at_both_ends_before_one_is_replaced() -> None:
    steps = actions(Link(End("leaf1", "p"), End("spine1", "q")), "a_to_b", "bad_transceiver", None)
    assert [(step.do, step.device) for step in steps[:3]] == [
        ("reseat", "spine1"),
        ("reseat", "leaf1"),
        ("replace_transceiver", "spine1"),
    ]


@pytest.mark.parametrize(
    "cause", ["damaged_fiber", "failing_transmitter", "bad_transceiver", "congestion", "silent_drop"]
)
def test_every_cause_has_numbered_steps_with_an_end(cause: Any) -> None:
    steps = actions(Link(End("a", "p"), End("b", "q")), "a_to_b", cause, None)
    assert [step.step for step in steps] == list(range(1, len(steps) + 1))
    assert all(step.device and step.if_name and step.text for step in steps)


def test_a_verdict_carries_its_terms_in_decibans_and_what_is_missing() -> None:
    verdict = link_verdict(scene(lost=2.0, other=0.0), CHARGE, (PAIR,), AT)
    weights = {item.kind: item.weight_db for item in verdict.evidence}
    assert weights["errors"] == pytest.approx(1000 / np.log(10), rel=0.01)
    assert weights["light"] > 0
    assert verdict.missing == ("transmitted light at leaf1 p is not measured",)
    assert verdict.lane == 1


def test_probabilities_of_a_verdict_and_its_alternatives_stay_within_one() -> None:
    verdict = link_verdict(scene(lost=1.0, other=0.5), CHARGE, (PAIR,), AT)
    assert verdict.probability + sum(other.probability for other in verdict.alternatives) <= 1.001


def test_a_finding_hurts_nobody_and_warns() -> None:
    assert link_verdict(scene(lost=2.0), CHARGE, (), AT).severity == "warning"
    assert link_verdict(scene(lost=2.0), CHARGE, (PAIR,), AT).severity == "err"


def test_a_class_lists_its_candidates_and_what_would_settle_it() -> None:
    seen = scene(errors_known=False)
    verdict = class_verdict(seen, CHARGE, ((0, 0.5), (1, 0.45)), (PAIR,), AT)
    assert verdict.link is None
    assert [candidate.direction for candidate in verdict.candidates] == ["a_to_b", "b_to_a"]
    assert any("not measured" in text for text in verdict.missing)


def test_a_small_change_on_the_other_side_is_noise_and_no_fibre() -> None:
    assert likeliest(scene(lost=3.0, other=0.3, dim=0.0)) == "dirty_connector"
    assert likeliest(scene(lost=3.0, other=2.2, dim=0.0)) == "damaged_fiber"
