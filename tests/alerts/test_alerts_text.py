import dataclasses
from datetime import timedelta

import pytest
from alert_events import DIRTY, HOSTILE, ONSET, event, hostile_event, link, pairs

from correlator.alerts.text import CLEARED, LIMIT, PLACE, line
from correlator.model import Action, Candidate, Subject

NO_LINK = {"link": None, "direction": None, "actions": ()}


def test_a_dirty_connector_says_what_to_clean_where_who_suffers_and_how_sure():
    assert line(event()) == (
        "clean leaf2 Ethernet49 (rx) then spine1 Ethernet2 (tx): dirty_connector on spine1 Ethernet2 -> "
        "leaf2 Ethernet49, 0.6 % of packets lost since 03:12Z; 14 container pairs slow up to 5.2x "
        "(worst web-0 -> db-0); p=0.98"
    )


def test_a_lane_is_named_in_the_order_and_in_the_fault():
    verdict = dataclasses.replace(
        DIRTY, lane=3, actions=(Action(1, "inspect_and_clean", "leaf2", "Ethernet49", 3, "rx"),)
    )
    assert line(event(verdict)).startswith("clean leaf2 Ethernet49 lane 3 (rx): ")
    assert " -> leaf2 Ethernet49 lane 3," in line(event(verdict))


def test_each_step_says_in_which_rack_and_at_which_panel_it_is_done():
    actions = (
        Action(1, "inspect_and_clean", "leaf2", "Ethernet49", None, "rx", rack="r12", panel="P3/14"),
        Action(2, "inspect_and_clean", "spine1", "Ethernet2", None, "tx", rack="r01"),
        Action(3, "replace_cable", "leaf2", "Ethernet49", 3, panel="P3/14"),
    )
    said = line(event(dataclasses.replace(DIRTY, actions=actions)))
    assert said == (
        "clean leaf2 Ethernet49 [rack r12, panel P3/14] (rx) then spine1 Ethernet2 [rack r01] (tx); then "
        "replace the cable at leaf2 Ethernet49 lane 3 [panel P3/14]: dirty_connector on spine1 Ethernet2 -> "
        "leaf2 Ethernet49, 0.6 % of packets lost since 03:12Z; 14 container pairs slow up to 5.2x (worst "
        "web-0 -> db-0); p=0.98"
    )


def test_names_of_racks_and_panels_are_escaped_and_bounded():
    action = Action(1, "reseat", "leaf2", "Ethernet49", rack="r\u202e\n1", panel="p" * 500)
    said = line(event(dataclasses.replace(DIRTY, actions=(action,))))
    panel = "p" * (PLACE - 3) + "..."
    assert said.startswith(
        f"reseat leaf2 Ethernet49 [rack r\\u202e\\u000a1, panel {panel}]: dirty_connector on"
    )
    assert len(said) <= LIMIT


def test_different_steps_are_told_in_order_and_bounded():
    actions = [
        Action(1, "inspect_and_clean", "leaf2", "Ethernet49"),
        Action(2, "replace_cable", "leaf2", "Ethernet49"),
        Action(3, "replace_transceiver", "spine1", "Ethernet2"),
        Action(4, "drain", "spine1", "Ethernet2"),
    ]
    said = line(event(dataclasses.replace(DIRTY, actions=tuple(actions))))
    assert said.startswith(
        "clean leaf2 Ethernet49; then replace the cable at leaf2 Ethernet49; "
        "then replace the transceiver in spine1 Ethernet2: "
    )


def test_congestion_is_relieved_not_cleaned():
    verdict = dataclasses.replace(
        DIRTY,
        root_cause="congestion",
        actions=(Action(1, "relieve", "spine1", "Ethernet2"),),
        subject=Subject("spine1", "Ethernet2"),
    )
    assert line(event(verdict)).startswith(
        "relieve spine1 Ethernet2: congestion on spine1 Ethernet2 -> leaf2 Ethernet49"
    )


@pytest.mark.parametrize(
    ("kind", "subject", "said"),
    [
        ("service", Subject(service="web", host="host2"), "look at service web on host host2"),
        ("host", Subject(host="host2"), "look at host host2"),
    ],
)
def test_a_slow_service_or_host_is_not_the_networks_fault(kind, subject, said):
    verdict = dataclasses.replace(DIRTY, kind=kind, root_cause=kind, subject=subject, **NO_LINK)
    assert line(event(verdict)).startswith(
        f"{said}, not at the network: 0.6 % of packets lost since 03:12Z; "
    )
    cleared = line(event(verdict, event="cleared", reason="as ever"))
    assert cleared == f"cleared after 5 min: {said.replace('look at', 'slow')}; as ever"


def test_links_that_cannot_be_told_apart_are_counted_and_named():
    candidates = tuple(
        Candidate(link(f"leaf{n}", "Ethernet49"), "b_to_a", "dirty_connector", 0.3) for n in (1, 2, 3)
    )
    verdict = dataclasses.replace(DIRTY, kind="class", candidates=candidates, **NO_LINK)
    said = line(event(verdict))
    assert said.startswith("look at 3 links that the network cannot tell apart: dirty_connector on one of ")
    assert "spine1 Ethernet2 -> leaf1 Ethernet49 | spine1 Ethernet2 -> leaf2 Ethernet49 and 1 more" in said


def test_an_unknown_cause_blames_no_link():
    verdict = dataclasses.replace(
        DIRTY, kind="unknown", root_cause="unknown", evidence=(), missing=("leaf3 is silent", "x"), **NO_LINK
    )
    said = line(event(verdict))
    assert said.startswith("no link to blame yet: unknown cause since 03:12Z; ")
    assert said.endswith("not seen: leaf3 is silent and 1 more")


def test_a_finding_says_that_nobody_suffers():
    assert "; no slow container pair known; " in line(event(dataclasses.replace(DIRTY, pairs=())))


def test_one_pair_is_named_and_an_unknown_slowness_is_not_made_up():
    one = pairs(1)[0]
    assert "; web-0 -> db-0 slow 5.2x; " in line(event(dataclasses.replace(DIRTY, pairs=(one,))))
    for ratio in (None, 0.9, 1.04):
        unknown = dataclasses.replace(one, slower_by=ratio)
        assert "; web-0 -> db-0 slow; " in line(event(dataclasses.replace(DIRTY, pairs=(unknown,))))


def test_an_update_gives_its_reason():
    said = line(event(event="updated", seq=2, reason="no data from leaf2 for 5 min"))
    assert said.startswith("update (no data from leaf2 for 5 min): clean leaf2 Ethernet49")


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(seconds=50), "50 s"),
        (timedelta(minutes=42), "42 min"),
        (timedelta(hours=3, minutes=5), "3 h 5 min"),
        (timedelta(days=2, hours=4), "2 d 4 h"),
    ],
)
def test_a_clear_gives_duration_and_proof(span, said):
    cleared = event(event="cleared", at=ONSET + span, reason="errors 6e-3 -> 0 of 1.2M packets")
    assert line(cleared) == (
        f"cleared after {said}: dirty_connector on spine1 Ethernet2 -> leaf2 Ethernet49; "
        "errors 6e-3 -> 0 of 1.2M packets"
    )


def test_an_onset_of_another_day_carries_its_date():
    verdict = dataclasses.replace(DIRTY, onset=ONSET - timedelta(days=1))
    assert "since 2026-10-31 03:12Z" in line(event(verdict))


@pytest.mark.parametrize("name", [*HOSTILE, "x" * 10_000, "\u202e" * 10_000])
@pytest.mark.parametrize("what", ["opened", "updated", "cleared"])
def test_hostile_names_neither_break_the_line_nor_stretch_it(name, what):
    said = line(dataclasses.replace(hostile_event(name), event=what))
    assert said.isascii()
    assert said.isprintable()
    assert len(said) <= CLEARED


def test_a_device_that_is_silent_is_said_to_be():
    silent = Action(1, "none", text="leaf2 has not answered three polls in a row")
    verdict = dataclasses.replace(
        DIRTY, **{**NO_LINK, "kind": "unknown", "pairs": (), "actions": (silent,), "root_cause": "unknown"}
    )
    assert line(event(verdict)) == "leaf2 has not answered three polls in a row (since 03:12Z)"


def test_of_many_that_are_silent_the_line_still_ends_in_where_to_look():
    text = (
        "14 targets have not answered three polls in a row: " + "x" * 130 + "; look at the way to them first"
    )
    verdict = dataclasses.replace(
        DIRTY, **{**NO_LINK, "kind": "unknown", "pairs": (), "actions": (Action(1, "none", text=text),)}
    )
    assert line(event(verdict)).endswith("; look at the way to them first (since 03:12Z)")


@pytest.mark.parametrize(
    ("probability", "said"), [(0.98, "p=0.98"), (0.9949, "p=0.99"), (0.995, "p>0.99"), (1.0, "p>0.99")]
)
def test_nothing_uncertain_reads_as_certain(probability, said):
    assert line(event(dataclasses.replace(DIRTY, probability=probability))).endswith(f"; {said}")


def test_of_a_cause_that_was_not_found_nobody_is_sure():
    verdict = dataclasses.replace(DIRTY, kind="unknown", root_cause="unknown", probability=0.6, **NO_LINK)
    assert "p=" not in line(event(verdict))
