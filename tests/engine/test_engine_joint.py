"""Several sick links that are one fault are told as one; those that are not stay apart."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from correlator.engine.causes import Params
from correlator.engine.diagnose import Charge, Scene, class_verdict, link_verdict
from correlator.engine.joint import joined
from correlator.model import PairImpact, Verdict, Window

AT = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)
PAIR = PairImpact("a", "b", "web", "api", 2.0, 1.5, 2.5, 3.0, 8.0, 1.0)
PORTS = [1, 2, 3, 40]
PAIRS = pd.DataFrame(
    {"src_container_id": ["a"], "dst_container_id": ["b"], "src_host": ["host9"], "dst_host": ["spine2"]}
)


def scene(rates: dict[int, float], lost: dict[int, float] | None = None, **columns: Any) -> Scene:
    """Return leaf1 with one spine on each of its ports; of directed link n, 2·port rank into leaf1, odd back.

    ``rates``: directed link → what it loses; ``lost``: the light lost on its way, dB.
    """
    rows = []
    for port in PORTS:
        leaf, spine = ("leaf1", f"Ethernet{port}"), (f"spine{port}", "Ethernet7")
        rows += [(*spine, *leaf, "b_to_a"), (*leaf, *spine, "a_to_b")]
    ends = ["sender_device", "sender_if_name", "receiver_device", "receiver_if_name", "direction"]
    health = pd.DataFrame(rows, columns=ends)
    rate = np.array([rates.get(n, 0.0) for n in range(len(rows))])
    health = health.assign(
        errors=1e6 * rate, error_rate=rate, packets=1e6, passed_on=0.0, errors_known=True, sick=rate > 0,
        discards=0.0, discard_rate=0.0, sent=1e6, discards_known=True, utilisation=0.1,
    )  # fmt: skip
    health = health.assign(**columns)
    off = np.array([(lost or {}).get(n, 0.0) for n in range(len(rows))])
    light = pd.DataFrame(
        {"lane": 1.0, "known": True, "loss_change_db": off, "loss_sigma_db": 0.1,
         "other_change_db": off[np.arange(len(rows)) ^ 1], "other_sigma_db": 0.1, "tx_change_db": 0.0,
         "tx_sigma_db": 0.1, "own_tx_change_db": 0.0, "own_tx_sigma_db": 0.1, "nats": 0.0}
    )  # fmt: skip
    return Scene(health, light, Window(AT, AT))


def told(
    seen: Scene,
    *numbers: int,
    hurting: tuple[int, ...] = (),
    more: tuple[Verdict, ...] = (),
    pairs: pd.DataFrame = PAIRS,
) -> tuple[list[Verdict], list[Verdict]]:
    def of(number: int) -> Verdict:
        rate = float(seen.health.at[number, "error_rate"])
        charge = Charge(number, {"corruption": 0.999}, rate, {"errors": 100.0})
        return link_verdict(seen, charge, (PAIR,) if number in hurting else (), AT)

    verdicts = [of(number) for number in numbers if number in hurting]
    findings = [of(n) for n in numbers if n not in hurting]
    return joined(seen, [*verdicts, *more], findings, pairs, Params())


def test_both_directions_of_a_cable_are_one_verdict_on_both() -> None:
    seen = scene({0: 0.01, 1: 0.004}, {0: 2.0, 1: 1.8})
    (verdict,), findings = told(seen, 0, 1, hurting=(0,))
    assert findings == []
    assert (verdict.direction, verdict.root_cause, verdict.pairs) == ("both", "damaged_fiber", (PAIR,))
    assert verdict.severity == "err"
    assert any("0.004 of its packets" in one.text for one in verdict.evidence)


def test_what_pairs_alone_say_of_the_other_direction_is_laid_on_the_counted_one() -> None:
    seen = scene({0: 0.01, 1: 0.004}, {0: 2.0}, errors_known=[True, False, *[True] * 6])
    (verdict,), findings = told(seen, 0, 1, hurting=(0, 1))
    assert findings == []
    assert (verdict.direction, verdict.root_cause) == ("b_to_a", "dirty_connector")


def test_neighbouring_ports_that_lose_alike_with_normal_light_share_a_bad_part() -> None:
    seen = scene({0: 0.010, 2: 0.008, 4: 0.011})
    (verdict,), findings = told(seen, 0, 2, 4, hurting=(2,))
    assert findings == []
    assert (verdict.kind, verdict.root_cause, verdict.link) == ("class", "shared_component", None)
    assert verdict.subject.device == "leaf1"
    assert {one.link.a.if_name for one in verdict.candidates if one.link} == {
        "Ethernet1", "Ethernet2", "Ethernet3"
    }  # fmt: skip
    assert verdict.probability > 0.9
    assert "shared by leaf1 Ethernet1, Ethernet2, Ethernet3" in verdict.actions[0].text


@pytest.mark.parametrize(
    ("rates", "lost"),
    [
        ({0: 0.01, 2: 0.0001}, {}),  # at rates that differ
        ({0: 0.01, 6: 0.01}, {}),  # at ports that are far apart
        ({0: 0.01, 2: 0.01}, {0: 2.0, 2: 2.0}),  # with light lost on both
        ({0: 0.01}, {}),  # alone
    ],
)
def test_links_that_only_happen_to_be_sick_together_stay_apart(
    rates: dict[int, float], lost: dict[int, float]
) -> None:
    verdicts, findings = told(scene(rates, lost), *rates)
    assert verdicts == []
    assert len(findings) == len(rates)
    assert all(one.kind == "link" for one in findings)


def test_a_single_link_is_hardly_a_shared_part_where_its_neighbours_are_well() -> None:
    _, (finding,) = told(scene({0: 0.01}), 0)
    assert finding.root_cause == "bad_transceiver"
    shared = [one.probability for one in finding.alternatives if one.root_cause == "shared_component"]
    assert sum(shared) < 0.1


def unsure(seen: Scene, *numbers: int) -> Verdict:
    """Return the class of links, one of which loses what nobody counts on the way into leaf1."""
    charge = Charge(numbers[0], {"silent": 0.44}, 0.001, {"pairs": 50.0})
    return class_verdict(seen, charge, [(number, 0.44) for number in numbers], (PAIR,), AT)


def test_what_is_lost_on_the_way_out_through_a_shared_part_is_not_laid_on_the_ways_in() -> None:
    seen = scene({0: 0.010, 2: 0.008, 4: 0.011})
    (verdict,), findings = told(seen, 0, 2, 4, more=(unsure(seen, 6, 2),))
    assert findings == []
    assert (verdict.root_cause, verdict.pairs, verdict.severity) == ("shared_component", (PAIR,), "err")
    assert any(one.kind == "other_direction" for one in verdict.evidence)


def test_pairs_whose_hosts_are_not_behind_the_shared_part_lose_elsewhere() -> None:
    seen = scene({0: 0.010, 4: 0.008})
    verdicts, findings = told(seen, 0, 4, more=(unsure(seen, 6, 2),))
    assert [one.root_cause for one in verdicts] == ["unknown"]
    assert [one.root_cause for one in findings] == ["shared_component"]


def test_pairs_whose_hosts_are_not_known_are_laid_on_no_shared_part() -> None:
    seen = scene({0: 0.010, 2: 0.008, 4: 0.011})
    verdicts, _ = told(seen, 0, 2, 4, more=(unsure(seen, 6, 2),), pairs=PAIRS.iloc[:0])
    assert [one.root_cause for one in verdicts] == ["unknown"]
