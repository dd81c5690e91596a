"""Whole stories on a small fabric: what the cycle says, and what it must not say."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from small_clos import (
    DirectedLink,
    SmallClos,
    Story,
    downlink,
    from_host,
    to_host,
    uplink,
    without_fault,
)

from correlator.engine.cycle import Cycle, run_cycle
from correlator.engine.explain import explain
from correlator.model import Incident, IncidentEvent, Verdict

DIRTY = Story(seed=2, lossy={uplink(0, 1): 0.01}, dimmed_db={uplink(0, 1): 2.0})


@dataclass
class Told:
    """What the cycles of a story said."""

    fabric: SmallClos
    cycles: list[Cycle] = field(default_factory=list)
    events: list[IncidentEvent] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        (verdict,) = self.cycles[-1].verdicts
        return verdict

    @property
    def all_verdicts(self) -> list[Verdict]:
        return [verdict for cycle in self.cycles for verdict in cycle.verdicts]


FABRICS: dict[str, SmallClos] = {}


def fabric_of(story: Story) -> SmallClos:
    """Return the story's fabric, run once."""
    if repr(story) not in FABRICS:
        FABRICS[repr(story)] = SmallClos(story)
    return FABRICS[repr(story)]


def told(story: Story, first: int = 10, change: Any = None) -> Told:
    answer = Told(fabric_of(story))
    known: dict[str, Incident] = {}
    for minute in range(first, story.minutes + 1):
        tables, now = answer.fabric.tables(minute)
        if change is not None:
            tables = change(tables)
        going_on = [incident for incident in known.values() if incident.state != "cleared"]
        cycle = run_cycle(tables, going_on, now)
        known |= {incident.id: incident for incident in cycle.incidents}
        answer.cycles.append(cycle)
        answer.events += cycle.events
    return answer


def blames(verdict: Verdict, link: DirectedLink) -> bool:
    sender, receiver = (" ".join(end) for end in link)
    assert verdict.link is not None
    assert verdict.direction is not None
    ends = str(verdict.link.sender(verdict.direction)), str(verdict.link.receiver(verdict.direction))
    return ends == (sender, receiver)


@pytest.mark.parametrize(
    ("link", "rate"),
    [(uplink(0, 1), 0.01), (downlink(0, 2), 0.003), (to_host(3), 0.02)],
)
def test_a_dirty_connector_is_named_with_link_direction_cause_and_both_ends(
    link: DirectedLink, rate: float
) -> None:
    story = told(Story(seed=3, lossy={link: rate}, dimmed_db={link: 2.0}))
    verdict = story.verdict
    assert blames(verdict, link)
    assert verdict.root_cause == "dirty_connector"
    assert verdict.severity == "err"
    steps = {(action.device, action.if_name, action.side) for action in verdict.actions[:2]}
    assert steps == {(*link[1], "rx"), (*link[0], "tx")}
    assert verdict.pairs
    assert [event.event for event in story.events] == ["opened"]


def test_where_nothing_tells_of_the_other_direction_dirt_and_damage_are_about_as_likely() -> None:
    link = from_host(
        4
    )  # a host counts no errors, and without DSACK pairs do not tell which way packets were lost
    verdict = told(Story(seed=3, lossy={link: 0.03}, dimmed_db={link: 2.0})).verdict
    assert blames(verdict, link)
    likely = {verdict.root_cause: verdict.probability} | {
        one.root_cause: one.probability for one in verdict.alternatives[:1]
    }
    assert set(likely) == {"dirty_connector", "damaged_fiber"}
    assert min(likely.values()) > 0.4


def test_the_onset_and_the_lost_light_are_right() -> None:
    story = told(DIRTY)
    assert story.verdict.onset is not None
    assert story.verdict.onset.minute == 6
    light = next(item for item in story.verdict.evidence if item.kind == "light")
    assert light.value == pytest.approx(2.0, abs=0.6)


def test_nothing_wrong_says_nothing() -> None:
    for seed in range(3):
        story = told(Story(seed=seed), first=8)
        assert story.all_verdicts == []
        assert [finding for cycle in story.cycles for finding in cycle.findings] == []
        assert story.events == []


def test_decoys_are_findings_at_most() -> None:
    quiet = from_host(7)
    story = told(
        Story(seed=5, quiet=frozenset({"host7"}), lossy={quiet: 0.01}, dimmed_db={quiet: 3.0},
              cut_through=frozenset({"leaf3"}), shut=frozenset({uplink(0, 0)}))
    )  # fmt: skip
    assert story.all_verdicts == []
    assert {str(finding.link) for finding in story.cycles[-1].findings} == {"host7 eth0 - leaf3 swp1"}
    assert all(not finding.pairs for finding in story.cycles[-1].findings)


def test_a_cut_through_switch_does_not_lead_to_an_innocent_link() -> None:
    story = told(replace(DIRTY, cut_through=frozenset({"spine1"})))
    assert blames(story.verdict, uplink(0, 1))
    assert story.cycles[-1].findings == ()


@pytest.mark.parametrize("link", [to_host(5), uplink(1, 0)])
def test_congestion_is_not_dirt(link: DirectedLink) -> None:
    verdict = told(Story(seed=6, full={link: 0.005}, queue_ms=2.0)).verdict
    assert blames(verdict, link)
    assert verdict.root_cause == "congestion"
    assert (verdict.subject.device, verdict.subject.if_name) == link[0]
    assert [action.do for action in verdict.actions] == ["relieve"]


@pytest.mark.parametrize("service", ["api", "db"])
def test_a_slow_service_is_not_the_network(service: str) -> None:
    verdict = told(Story(seed=7, slow_service=service)).verdict
    assert (verdict.kind, verdict.root_cause, verdict.subject.service) == ("service", "service", service)
    assert verdict.link is None
    assert verdict.severity == "warning"
    assert [action.do for action in verdict.actions] == ["none"]


def test_a_sick_link_beside_the_fault_is_not_blamed_for_it() -> None:
    chronic = {uplink(0, 0): 2e-5}
    story = told(replace(DIRTY, chronic=chronic))
    assert blames(story.verdict, uplink(0, 1))


def test_the_fault_removed_leaves_no_verdict() -> None:
    assert told(without_fault(DIRTY)).all_verdicts == []


def test_the_fault_moved_moves_the_verdict() -> None:
    for link in (uplink(2, 0), downlink(1, 3)):
        assert blames(told(replace(DIRTY, lossy={link: 0.01}, dimmed_db={link: 2.0}), first=11).verdict, link)


def test_link_evidence_shuffled_over_links_convicts_nobody_of_dirt() -> None:
    def shuffle(tables: dict[str, Any]) -> dict[str, Any]:
        counters = tables["counters"]
        names = counters[["device", "if_name"]].drop_duplicates().reset_index(drop=True)
        order = np.random.default_rng(0).permutation(len(names))
        mapping = {tuple(names.loc[i]): tuple(names.loc[j]) for i, j in enumerate(order)}
        moved = [mapping[end] for end in counters[["device", "if_name"]].itertuples(index=False, name=None)]
        ends = {"device": [end[0] for end in moved], "if_name": [end[1] for end in moved]}
        kinds = {name: counters[name].dtype for name in ends}
        return tables | {"counters": counters.assign(**ends).astype(kinds)}

    story = told(DIRTY, first=11, change=shuffle)
    assert not [v for v in story.all_verdicts if v.kind == "link" and v.root_cause == "dirty_connector"]


def weight_of_pairs(story: Told) -> float:
    """Return how much the pairs weigh against the dirty link, decibans; 0 where it has no verdict."""
    mine = [v for v in story.cycles[-1].verdicts if v.kind == "link" and blames(v, uplink(0, 1))]
    return sum(one.weight_db for verdict in mine for one in verdict.evidence if one.kind == "pairs")


def test_symptoms_shuffled_over_pairs_no_longer_speak_against_the_link() -> None:
    def shuffle(tables: dict[str, Any]) -> dict[str, Any]:
        samples = tables["pair_samples"]
        lost = ["retransmitted_segments", "response_ms_sum", "response_ms_count"]
        order = np.random.default_rng(0).permutation(len(samples))
        mixed = samples[lost].iloc[order].reset_index(drop=True)
        return tables | {"pair_samples": samples.reset_index(drop=True).assign(**mixed)}

    shuffled = weight_of_pairs(told(DIRTY, first=12, change=shuffle))
    assert shuffled < 0.5 * weight_of_pairs(told(DIRTY, first=12))


def test_without_light_the_link_is_still_named() -> None:
    verdict = told(replace(DIRTY, no_light=True), first=11).verdict
    assert blames(verdict, uplink(0, 1))
    assert any("light" in text for text in verdict.missing)


def test_without_any_switch_the_answer_is_a_class_and_says_what_is_missing() -> None:
    blind = frozenset({f"leaf{i}" for i in range(4)} | {"spine0", "spine1"})
    verdict = told(replace(DIRTY, unpolled=blind, lossy={uplink(0, 1): 0.03}), first=11).verdict
    assert verdict.kind in ("class", "unknown")
    assert any("not measured" in text for text in verdict.missing)


def test_one_line_opens_and_one_clears_and_silence_does_not() -> None:
    story = told(replace(DIRTY, minutes=20, repaired=10))
    assert [event.event for event in story.events if event.event != "updated"] == ["opened", "cleared"]
    silent = told(replace(DIRTY, minutes=20, repaired=10), change=_silent_after(10))
    assert [event.event for event in silent.events if event.event == "cleared"] == []


def _silent_after(minute: int) -> Any:
    def change(tables: dict[str, Any]) -> dict[str, Any]:
        last = tables["devices"]["at"].iloc[0] + np.timedelta64(60 + minute, "m")
        raw = ("counters", "optics", "pair_samples")
        return tables | {name: tables[name][tables[name]["at"] <= last] for name in raw}

    return change


def test_explain_tells_how_much_since_when_and_whom_to_blame() -> None:
    story = told(DIRTY, first=12)
    cycle, (tables, _) = story.cycles[-1], story.fabric.tables()
    source = next(
        f"web{i}" for _, i, d, j in story.fabric.pairs if i // 2 == 0 and j // 2 == 3 and d.startswith("api")
    )
    destination = next(
        j for s, _, d, j in story.fabric.pairs if s == source and d.startswith("api") and j // 2 == 3
    )
    answer = explain(cycle, tables, f"host{source[3:]}", f"host{destination}")
    assert answer["slow"]
    assert answer["slower_by"]["low"] <= answer["slower_by"]["ratio"] <= answer["slower_by"]["high"]
    assert answer["since"].startswith("2026-05-06T10:06")
    assert answer["blame"]["text"] == "leaf0 swp11 - spine1 swp0"
    assert answer["blame"]["share_explained"] > 0.5
    assert not answer["not_the_network"]
    forward = answer["paths"][0]["forward"]
    assert [hop["step"] for hop in forward] == sorted(hop["step"] for hop in forward)
    assert "sick" in {hop["state"] for path in answer["paths"] for hop in path["forward"] + path["reverse"]}


def test_explain_says_that_it_is_not_the_network_and_by_how_much() -> None:
    story = told(Story(seed=7, slow_service="api", slow_factor=3.0), first=12)
    answer = explain(story.cycles[-1], story.fabric.tables()[0], "web", "api")
    assert answer["not_the_network"]
    assert answer["service_ms"]["now"] == pytest.approx(24.0, rel=0.05)
    assert answer["service_ms"]["usual"] == pytest.approx(8.0, rel=0.05)
    assert answer["network_ms"]["now"] == pytest.approx(0.4, abs=0.2)
    assert answer["blame"]["kind"] == "service"


def test_explain_of_strangers_says_so() -> None:
    story = told(Story(seed=1), first=12)
    answer = explain(story.cycles[-1], story.fabric.tables()[0], "nobody", "nothing")
    assert answer["matched"] == []
    assert answer["unknown"][:2] == [
        "no container, service or host is called nobody",
        "no container, service or host is called nothing",
    ]
    assert answer["blame"] is None


def test_explain_of_a_mistyped_name_tells_the_nearest() -> None:
    story = told(Story(seed=1), first=12)
    answer = explain(story.cycles[-1], story.fabric.tables()[0], "web", "appi")
    assert answer["unknown"][0] == "no container, service or host is called appi; did you mean api?"
