"""The way from the outbox to a sink: in order, at least once, at a bounded rate, the rest held back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from correlator.model import RANKS, IncidentEvent, Severity
from correlator.ports import Outgoing, Sink, State


@dataclass(frozen=True)
class Terms:
    """What one sink wants to hear, and how much of it at a time."""

    min_severity: Severity = "notice"
    """Incidents that never were as severe as this make no line here; their clears neither."""
    per_minute: int = 6000
    """Lines a minute at most; a line says how many wait, and they follow in order, none is lost."""
    at_once: int = 1000
    """Events handed over at most each time: bounds memory, and how long one call may take."""


class Delivery:
    """One sink's way from the outbox. How full the minute is is forgotten with the process."""

    def __init__(self, state: State, sink: Sink, terms: Terms | None = None) -> None:
        self.name = sink.name
        self._state = state
        self._sink = sink
        self._terms = terms or Terms()
        self._minute: datetime | None = None
        self._sent = 0
        self._held_told = False
        self._away = False

    def hand_over(self, now: datetime) -> int:
        """Hand the oldest waiting events to the sink, within its terms; return how many lines went.

        Raises SinkError where the receiver is away: then the events wait. After a crash between
        sending and noting, the same events go again.
        """
        self._turn(now)
        self._tell_lost(now)
        # a receiver that was away is tried with one line: a full batch would be read in vain each time
        waiting = self._state.outgoing(self.name, 1 if self._away else self._terms.at_once)
        due = [outgoing for outgoing in waiting if self._wanted(outgoing.event)]
        room = self._terms.per_minute - self._sent
        if due and room <= 0:
            self._tell_held(now)
            return 0
        sent = self._send(due[:room])
        if sent < len(due):
            self._delivered(due[:sent])
        else:
            self._delivered(waiting)  # with those behind the last line that nobody here wants to hear
        return sent

    def _turn(self, now: datetime) -> None:
        minute = now.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute, self._sent, self._held_told = minute, 0, False

    def _wanted(self, event: IncidentEvent) -> bool:
        """Return whether a line is to be made: a clear is as severe as what it clears."""
        loudest = max(RANKS[event.severity], RANKS[event.verdict.severity])
        return not event.quiet and loudest >= RANKS[self._terms.min_severity]

    def _send(self, due: Sequence[Outgoing]) -> int:
        if not due:
            return 0
        self._away = True
        count = self._sink.send([outgoing.event for outgoing in due])
        self._away = False
        self._sent += count
        return count

    def _delivered(self, done: Sequence[Outgoing]) -> None:
        if done:
            self._state.delivered(self.name, done[-1].position)

    def _tell_held(self, now: datetime) -> None:
        """Say once a minute that lines wait, and how many."""
        if not self._held_told:
            count = self._state.waiting(self.name)
            self._sink.remark(now, "held_back", count, f"{count} alerts held back: {self._limit()}")
            self._held_told = True

    def _limit(self) -> str:
        return f"{self._terms.per_minute} a minute are sent at most; they follow in order"

    def _tell_lost(self, now: datetime) -> None:
        """Say how many events the outbox has dropped, unsent, since that was last said."""
        lost, cursor = self._state.dropped(self.name), f"told lost {self.name}"
        told = int(self._state.cursor(cursor).get("count", "0"))
        if lost > told:
            text = (
                f"{lost - told} alerts dropped, the oldest: the receiver was away until the outbox was full"
            )
            self._sink.remark(now, "dropped", lost - told, text)
            self._state.set_cursors({cursor: {"count": str(lost)}})
