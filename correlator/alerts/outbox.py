"""The way from the outbox to a sink: in order, at least once, a bounded number at a time."""

from __future__ import annotations

from correlator.ports import Sink, State


def drain(state: State, sink: Sink, limit: int) -> int:
    """Hand the oldest waiting events to the sink, at most ``limit``; return how many went.

    Called once a period it bounds the rate. Raises SinkError where the receiver is away: then the
    events wait. After a crash between sending and noting, the same events go again.
    """
    waiting = state.outgoing(sink.name, limit)
    if not waiting:
        return 0
    count = sink.send([outgoing.event for outgoing in waiting])
    state.delivered(sink.name, waiting[count - 1].position)
    return count
