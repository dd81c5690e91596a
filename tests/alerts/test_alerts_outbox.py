import pytest
from alert_events import event

from correlator.alerts.outbox import drain
from correlator.ports import Outgoing, SinkError


class Waiting:
    """A state that is nothing but an outbox for one sink."""

    def __init__(self, count: int) -> None:
        self.events = [Outgoing(10 * n, event(seq=n)) for n in range(1, count + 1)]
        self.position = 0

    def outgoing(self, sink: str, limit: int) -> list[Outgoing]:
        return [out for out in self.events if out.position > self.position][:limit]

    def delivered(self, sink: str, position: int) -> None:
        self.position = position


class Receiver:
    """A sink that takes ``at_most`` events at a time; none means that it is away."""

    name = "receiver"

    def __init__(self, at_most: int) -> None:
        self.at_most = at_most
        self.received: list[int] = []

    def send(self, events) -> int:
        if not self.at_most:
            raise SinkError("away")
        taken = events[: self.at_most]
        self.received.extend(event.seq for event in taken)
        return len(taken)

    def close(self) -> None:
        pass


def test_a_drain_is_bounded_and_goes_on_where_it_stopped():
    state, sink = Waiting(5), Receiver(100)
    assert [drain(state, sink, 2) for _ in range(4)] == [2, 2, 1, 0]
    assert sink.received == [1, 2, 3, 4, 5]


def test_what_the_sink_did_not_take_waits():
    state, sink = Waiting(5), Receiver(2)
    assert drain(state, sink, 4) == 2
    assert drain(state, sink, 4) == 2
    assert sink.received == [1, 2, 3, 4]


def test_a_receiver_that_is_away_costs_nothing():
    state = Waiting(3)
    with pytest.raises(SinkError):
        drain(state, Receiver(0), 10)
    sink = Receiver(10)
    assert drain(state, sink, 10) == 3
    assert sink.received == [1, 2, 3]
