import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from alert_events import DIRTY, event

from correlator.alerts.outbox import Delivery, Terms
from correlator.ports import Outgoing, SinkError

NOW = datetime(2026, 11, 1, 4, 30, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


class Waiting:
    """A state that is nothing but an outbox for one sink."""

    def __init__(self, events) -> None:
        self.events = [Outgoing(10 * n, one) for n, one in enumerate(events, 1)]
        self.position = 0
        self.lost = 0
        self.remembered = {}

    def outgoing(self, sink: str, limit: int) -> list[Outgoing]:
        return [out for out in self.events if out.position > self.position][:limit]

    def delivered(self, sink: str, position: int) -> None:
        self.position = position

    def waiting(self, sink: str) -> int:
        return len(self.outgoing(sink, 10**9))

    def dropped(self, sink: str) -> int:
        return self.lost

    def cursor(self, name: str):
        return self.remembered.get(name, {})

    def set_cursors(self, values) -> None:
        self.remembered |= {name: dict(some) for name, some in values.items()}


class Receiver:
    """A sink that takes ``at_most`` events at a time; none means that it is away."""

    name = "receiver"

    def __init__(self, at_most: int = 1000) -> None:
        self.at_most = at_most
        self.received: list[int] = []
        self.remarks: list[tuple[str, int, str]] = []

    def send(self, events) -> int:
        if not self.at_most:
            raise SinkError("away")
        taken = events[: self.at_most]
        self.received.extend(event.seq for event in taken)
        return len(taken)

    def remark(self, at, what, count, text) -> None:
        if not self.at_most:
            raise SinkError("away")
        self.remarks.append((what, count, text))

    def close(self) -> None:
        pass


def waiting(count: int) -> Waiting:
    return Waiting([event(seq=n) for n in range(1, count + 1)])


def test_a_call_is_bounded_and_the_next_goes_on_where_it_stopped():
    sink = Receiver()
    delivery = Delivery(waiting(5), sink, Terms(at_once=2))
    assert [delivery.hand_over(NOW) for _ in range(4)] == [2, 2, 1, 0]
    assert sink.received == [1, 2, 3, 4, 5]


def test_what_the_sink_did_not_take_waits():
    sink = Receiver(2)
    delivery = Delivery(waiting(5), sink)
    assert [delivery.hand_over(NOW) for _ in range(3)] == [2, 2, 1]
    assert sink.received == [1, 2, 3, 4, 5]


def test_a_receiver_that_is_away_costs_nothing():
    state = waiting(3)
    with pytest.raises(SinkError):
        Delivery(state, Receiver(0)).hand_over(NOW)
    sink = Receiver()
    assert Delivery(state, sink).hand_over(NOW) == 3
    assert sink.received == [1, 2, 3]


def test_beyond_the_limit_of_a_minute_one_line_says_how_many_wait_and_they_follow_in_order():
    sink = Receiver()
    delivery = Delivery(waiting(10), sink, Terms(per_minute=4))
    assert [delivery.hand_over(NOW + timedelta(seconds=s)) for s in (0, 5, 10)] == [4, 0, 0]
    assert sink.remarks == [
        ("held_back", 6, "6 alerts held back: 4 a minute are sent at most; they follow in order")
    ]
    assert [delivery.hand_over(LATER), delivery.hand_over(LATER)] == [4, 0]
    assert delivery.hand_over(LATER + timedelta(minutes=1)) == 2
    assert sink.received == list(range(1, 11))
    assert [count for _, count, _ in sink.remarks] == [6, 2]


def test_a_sink_hears_only_what_is_severe_enough_and_the_clear_of_it():
    mild = dataclasses.replace(DIRTY, severity="warning")
    told = [event(seq=1), event(mild, seq=2, severity="warning")]
    told += [event(seq=3, event="cleared", severity="notice")]
    told += [event(mild, seq=4, event="cleared", severity="notice")]
    state, sink = Waiting(told), Receiver()
    delivery = Delivery(state, sink, Terms(min_severity="err"))
    assert [delivery.hand_over(NOW), delivery.hand_over(NOW)] == [2, 0]
    assert sink.received == [1, 3]
    assert state.waiting("receiver") == 0


def test_a_silenced_event_makes_no_line_and_stays_in_nobodys_way():
    state, sink = Waiting([event(seq=1, quiet="silenced by anna"), event(seq=2)]), Receiver()
    assert Delivery(state, sink).hand_over(NOW) == 1
    assert sink.received == [2]


def test_what_a_full_outbox_dropped_is_said_once():
    state, sink = waiting(1), Receiver()
    state.lost = 7
    for _ in range(2):
        Delivery(state, sink).hand_over(NOW)
    state.lost = 9
    Delivery(state, sink).hand_over(NOW)
    assert [(what, count) for what, count, _ in sink.remarks] == [("dropped", 7), ("dropped", 2)]
