"""The nouns and their JSON."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from correlator.model import (
    Action,
    Candidate,
    End,
    Evidence,
    Incident,
    IncidentEvent,
    Link,
    PairImpact,
    Subject,
    Verdict,
    Window,
    utc,
)

NOW = datetime(2026, 11, 23, 3, 12, tzinfo=UTC)
LEAF, SPINE = End("leaf2", "Ethernet49"), End("spine1", "Ethernet2")


def verdict() -> Verdict:
    link = Link.between(SPINE, LEAF)
    return Verdict(
        id="v1",
        kind="link",
        link=link,
        direction="b_to_a",
        root_cause="dirty_connector",
        probability=0.98,
        severity="err",
        onset=NOW,
        window=Window(NOW - timedelta(minutes=15), NOW),
        lane=1,
        actions=(Action(1, "inspect_and_clean", "leaf2", "Ethernet49", 1, "rx", "inspect, clean"),),
        evidence=(Evidence("errors", 0.006, 42.0, "0.6 % of packets arrive broken"),),
        pairs=(PairImpact("c1", "c2", "web-1", "api-1", 5.2, 4.1, 6.6, 31.0, 5.0, 0.93),),
        candidates=(Candidate(link, "b_to_a", "dirty_connector", 0.98),),
        missing=("no light from leaf3",),
        subject=Subject(device="leaf2", if_name="Ethernet49"),
    )


def test_a_verdict_survives_its_json() -> None:
    document = json.loads(json.dumps(verdict().to_json()))
    assert Verdict.from_json(document) == verdict()


def test_a_number_that_is_not_known_is_null_in_json() -> None:
    unknown = Evidence("errors", float("nan"), 0.0, "not measured")
    document = dataclasses.replace(verdict(), evidence=(unknown,)).to_json()
    assert document["evidence"][0]["value"] is None
    json.dumps(document, allow_nan=False)


def test_an_incident_and_its_events_survive_their_json() -> None:
    incident = Incident("i1", "link x", "open", verdict(), NOW, NOW, NOW, None, 3, 0, 1)
    event = IncidentEvent("i1", 1, NOW, "opened", "err", verdict(), NOW, "")
    assert Incident.from_json(json.loads(json.dumps(incident.to_json()))) == incident
    assert IncidentEvent.from_json(json.loads(json.dumps(event.to_json()))) == event


def test_a_document_that_is_no_verdict_is_refused() -> None:
    with pytest.raises(ValueError, match="root_cause"):
        Verdict.from_json({**verdict().to_json(), "root_cause": "gremlins"})


def test_a_link_is_the_same_from_either_end() -> None:
    link = Link.between(SPINE, LEAF)
    assert link == Link.between(LEAF, SPINE)
    assert (link.a, link.b) == (LEAF, SPINE)


def test_errors_belong_to_the_receiving_end() -> None:
    link = Link.between(LEAF, SPINE)
    assert link.receiver("b_to_a") == LEAF
    assert link.sender("b_to_a") == SPINE
    assert link.receiver("a_to_b") == SPINE
    assert link.direction_into(LEAF) == "b_to_a"
    assert link.direction_into(SPINE) == "a_to_b"


def test_a_naive_time_is_refused_and_others_become_utc() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        utc(datetime(2026, 11, 23))
    india = timezone(timedelta(hours=5, minutes=30))
    assert utc(NOW.astimezone(india)).isoformat() == "2026-11-23T03:12:00+00:00"
