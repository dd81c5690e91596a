"""What every state keeps to, whatever it is made of."""

from datetime import UTC, datetime, timedelta

import pytest

from correlator.model import Incident, IncidentEvent, Verdict, Window
from correlator.ports import State
from correlator.store.state import SqliteState

BACK_ENDS = {"sqlite": SqliteState}
START = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
VERDICT = Verdict(
    id="v1",
    kind="service",
    link=None,
    direction=None,
    root_cause="service",
    probability=0.9,
    severity="warning",
    onset=None,
    window=Window(START, START),
)


@pytest.fixture(params=BACK_ENDS)
def make(request, tmp_path):
    """Return a function that opens the same state, as a new process would."""
    return lambda *sinks: BACK_ENDS[request.param](tmp_path / "state.db", sinks)


def incident(number: int, state: str = "open", seq: int = 1) -> Incident:
    return Incident(f"i{number}", f"key{number}", state, VERDICT, START, START, seq=seq)


def event(number: int, seq: int = 1, at: datetime = START) -> IncidentEvent:
    return IncidentEvent(f"i{number}", seq, at, "opened", "warning", VERDICT, START)


def queued(state: State, sink: str, limit: int = 1000) -> list[tuple[str, int]]:
    return [(out.event.incident, out.event.seq) for out in state.outgoing(sink, limit)]


def test_incidents_survive_as_they_were(make):
    make("syslog").commit([incident(1), incident(2, "pending", 0)], [])
    assert make("syslog").incidents() == [incident(1), incident(2, "pending", 0)]


def test_an_incident_is_replaced_and_a_cleared_one_is_not_listed(make):
    state = make("syslog")
    state.commit([incident(1), incident(2)], [])
    state.commit([incident(1, "cleared", 2), incident(2, "open", 2)], [])
    assert state.incidents() == [incident(2, "open", 2)]


def test_events_wait_for_every_sink_in_order(make):
    state = make("syslog", "file")
    state.commit([incident(1)], [event(1), event(1, 2)])
    state.commit([incident(2)], [event(2)])
    in_order = [("i1", 1), ("i1", 2), ("i2", 1)]
    assert queued(state, "syslog") == queued(make("syslog", "file"), "file") == in_order
    assert queued(state, "syslog", limit=2) == in_order[:2]


def test_what_one_sink_delivered_still_waits_for_the_other(make):
    state = make("syslog", "file")
    state.commit([], [event(1), event(2), event(3)])
    state.delivered("syslog", state.outgoing("syslog", 2)[-1].position)
    assert queued(make("syslog", "file"), "syslog") == [("i3", 1)]
    assert len(queued(state, "file")) == 3


def test_a_delivery_is_never_taken_back(make):
    state = make("syslog")
    state.commit([], [event(1), event(2)])
    first, second = state.outgoing("syslog", 2)
    state.delivered("syslog", second.position)
    state.delivered("syslog", first.position)
    assert queued(state, "syslog") == []


def test_the_same_event_twice_is_queued_once(make):
    state = make("syslog")
    state.commit([incident(1)], [event(1)])
    state.commit([incident(1)], [event(1), event(1, 2)])
    assert queued(state, "syslog") == [("i1", 1), ("i1", 2)]
    state.delivered("syslog", state.outgoing("syslog", 9)[-1].position)
    state.commit([incident(1)], [event(1)])
    assert queued(state, "syslog") == []


def test_a_new_sink_starts_with_what_is_to_come(make):
    make("syslog").commit([], [event(1), event(2)])
    both = make("syslog", "file")
    assert queued(both, "file") == []
    both.commit([], [event(3)])
    assert queued(both, "file") == [("i3", 1)]
    assert len(queued(both, "syslog")) == 3


def test_who_only_looks_changes_nothing(make):
    make("syslog").commit([], [event(1)])
    make()
    assert queued(make("syslog"), "syslog") == [("i1", 1)]


def test_a_sink_that_nobody_named_has_nothing(make):
    state = make("syslog")
    state.commit([], [event(1)])
    assert state.outgoing("pager", 10) == []


def test_cursors_are_replaced_as_a_whole(make):
    state = make()
    assert state.cursor("host1") == {}
    state.set_cursors({"host1": {"epoch": "a", "after": "7"}, "host2": {"epoch": "b"}})
    state.set_cursors({"host1": {"epoch": "c"}})
    assert make().cursor("host1") == {"epoch": "c"}
    assert make().cursor("host2") == {"epoch": "b"}
    assert make().cursors(["host2", "host1", "host3"]) == {
        "host2": {"epoch": "b"},
        "host1": {"epoch": "c"},
        "host3": {},
    }
    state.set_cursors({"host1": {}})
    state.set_cursors({})
    assert state.cursor("host1") == {}


def test_two_processes_may_commit_in_turn(make):
    one, other = make("syslog"), make("syslog")
    for number in range(0, 10, 2):
        one.commit([incident(number)], [event(number)])
        other.commit([incident(number + 1)], [event(number + 1)])
    assert queued(one, "syslog") == [(f"i{number}", 1) for number in range(10)]
    assert len(other.incidents()) == 10


def test_delivered_events_are_forgotten_after_a_while_and_undelivered_ones_are_not(make):
    state = make("syslog")
    state.commit([], [event(1), event(2)])
    state.delivered("syslog", state.outgoing("syslog", 1)[0].position)
    state.commit([], [event(3, at=START + timedelta(days=40))])
    assert queued(state, "syslog") == [("i2", 1), ("i3", 1)]
