from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from correlator.engine.incidents import follow, key
from correlator.model import (
    Candidate,
    End,
    Incident,
    IncidentEvent,
    Link,
    PairImpact,
    RootCause,
    Subject,
    Verdict,
    Window,
)

START = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)
LINK = Link(End("leaf1", "Ethernet49"), End("spine1", "Eth1/1"))
PAIR = PairImpact("a", "b", "web", "api", 2.0, 1.5, 2.5, 3.0, 8.0, 1.0)
DIRTY = Verdict(id="", kind="link", link=LINK, direction="a_to_b", root_cause="dirty_connector",
                probability=0.9,
                severity="err", onset=START, window=Window(START, START), pairs=(PAIR,))  # fmt: skip


class Life:
    """Runs cycles a minute apart, with nothing remembered but the incidents."""

    def __init__(self) -> None:
        self.known: dict[str, Incident] = {}
        self.minute = 0
        self.events: list[IncidentEvent] = []

    def cycle(
        self, *seen: Verdict, healthy: bool | Callable[[Verdict], bool] = False
    ) -> list[tuple[str, str]]:
        self.minute += 1
        proof = healthy if callable(healthy) else lambda _: bool(healthy)
        stored = [Incident.from_json(incident.to_json()) for incident in self.known.values()]
        going_on = [incident for incident in stored if incident.state != "cleared"]
        changed, events, self.named = follow(going_on, seen, proof, START + timedelta(minutes=self.minute))
        self.known |= {incident.id: incident for incident in changed}
        self.events += events
        return [(event.event, event.reason) for event in events]


def test_one_bad_cycle_opens_nothing_two_do() -> None:
    life = Life()
    assert life.cycle(DIRTY) == []
    assert life.cycle(DIRTY) == [("opened", "")]


def test_two_of_three_cycles_open() -> None:
    life = Life()
    assert life.cycle(DIRTY) + life.cycle(healthy=True) + life.cycle(DIRTY) == [("opened", "")]


def test_a_single_blip_is_forgotten() -> None:
    life = Life()
    for _ in range(5):
        assert life.cycle(DIRTY) == []
        life.cycle(healthy=True)
        life.cycle(healthy=True)
    assert life.events == []


def test_an_open_fault_is_told_once_however_long_it_lasts() -> None:
    life = Life()
    for _ in range(50):
        life.cycle(DIRTY)
    assert [event.event for event in life.events] == ["opened"]


def test_silence_clears_nothing() -> None:
    life = Life()
    life.cycle(DIRTY)
    life.cycle(DIRTY)
    for _ in range(100):
        assert life.cycle(healthy=False) == []


def test_three_measured_good_cycles_clear_once() -> None:
    life = Life()
    life.cycle(DIRTY)
    life.cycle(DIRTY)
    told = [life.cycle(healthy=True) for _ in range(6)]
    assert [bool(events) for events in told] == [False, False, True, False, False, False]
    assert life.events[-1].event == "cleared"
    assert life.events[-1].severity == "notice"
    assert life.events[-1].opened_at == life.events[0].opened_at


def test_a_relapse_starts_the_count_of_good_cycles_anew() -> None:
    life = Life()
    for bad in (True, True, False, False, True, False, False):
        life.cycle(*([DIRTY] if bad else []), healthy=True)
    assert [event.event for event in life.events] == ["opened"]


def test_a_restart_forgets_nothing_and_repeats_nothing() -> None:
    life = Life()
    life.cycle(DIRTY)
    life.cycle(DIRTY)
    (incident,) = life.known.values()
    reborn = Life()
    reborn.known = {incident.id: Incident.from_json(incident.to_json())}
    reborn.minute = life.minute
    assert reborn.cycle(DIRTY) == []
    assert list(reborn.known) == [incident.id]


def thought(cause: RootCause, sure: float, dirty: float) -> Verdict:
    """Return a verdict by which dirt, told before, is as likely as ``dirty``."""
    left = (Candidate(LINK, "a_to_b", "dirty_connector", dirty),)
    return replace(DIRTY, root_cause=cause, probability=sure, alternatives=left)


def test_another_cause_is_an_update_once_it_is_likelier_than_the_told_one() -> None:
    life = Life()
    life.cycle(DIRTY)
    life.cycle(DIRTY)
    assert life.cycle(thought("bad_transceiver", 0.5, dirty=0.45)) == []
    told = life.cycle(thought("damaged_fiber", 0.99, dirty=0.01))
    assert told == [("updated", "cause dirty_connector -> damaged_fiber")]
    assert [event.seq for event in life.events] == [1, 2]


def test_how_sure_the_first_cause_once_was_does_not_keep_it() -> None:
    life = Life()
    life.cycle(DIRTY)
    life.cycle(DIRTY)
    assert DIRTY.probability > 0.6
    told = life.cycle(thought("bad_transceiver", 0.6, dirty=0.3))
    assert told == [("updated", "cause dirty_connector -> bad_transceiver")]


def test_a_finding_that_begins_to_hurt_is_the_same_incident_raised() -> None:
    life = Life()
    finding = replace(DIRTY, severity="warning", pairs=())
    life.cycle(finding)
    life.cycle(finding)
    assert life.cycle(DIRTY) == [("updated", "severity warning -> err")]
    assert life.cycle(finding) == []
    assert len(life.known) == 1


def test_tenfold_more_pairs_are_told() -> None:
    life = Life()
    life.cycle(DIRTY)
    life.cycle(DIRTY)
    assert life.cycle(replace(DIRTY, pairs=(PAIR,) * 9)) == []
    assert life.cycle(replace(DIRTY, pairs=(PAIR,) * 100))[0][0] == "updated"


def test_a_class_that_is_narrowed_down_stays_one_incident() -> None:
    candidates = (Candidate(LINK, "a_to_b", "unknown", 0.5), Candidate(LINK, "b_to_a", "unknown", 0.5))
    blurred = replace(DIRTY, kind="class", link=None, direction=None, root_cause="unknown",
                      candidates=candidates,
                      probability=0.8)  # fmt: skip
    life = Life()
    life.cycle(blurred)
    life.cycle(blurred)
    assert life.cycle(DIRTY) == [("updated", "class -> link")]
    assert len(life.known) == 1
    assert life.cycle(DIRTY) == []


def test_two_directions_are_two_faults() -> None:
    life = Life()
    back = replace(DIRTY, direction="b_to_a")
    life.cycle(DIRTY, back)
    assert len(life.cycle(DIRTY, back)) == 2
    assert len({verdict.id for verdict in life.named}) == 2


def test_verdicts_carry_their_incidents_id() -> None:
    life = Life()
    life.cycle(DIRTY)
    assert [verdict.id for verdict in life.named] == list(life.known)


def test_the_key_names_the_fault_and_not_its_cause() -> None:
    assert key(DIRTY) == key(replace(DIRTY, root_cause="damaged_fiber", probability=0.1, pairs=()))
    service = replace(
        DIRTY, kind="service", link=None, direction=None, subject=Subject(service="api", host="h1")
    )
    assert key(service) == key(replace(service, subject=Subject(service="api")))
