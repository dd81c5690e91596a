"""Parts of a chain that do as they are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from correlator import frames
from correlator.model import End, Incident, IncidentEvent, Link, Verdict, Window
from correlator.ports import Batch, SinkError, StoreError
from correlator.store.delta import DeltaStore

NOW = datetime(2026, 11, 1, 4, 30, tzinfo=UTC)
LINK = Link.between(End("leaf2", "Ethernet49"), End("spine1", "Ethernet2"))


@dataclass
class Poller:
    """Answers with ``batches``, or raises ``error``; remembers the cursors that it was given."""

    name: str
    batches: Sequence[Batch] = ()
    error: Exception | None = None
    cursors: list[Mapping[str, str]] = field(default_factory=list)

    async def poll(self, now: datetime, cursor: Mapping[str, str]) -> list[Batch]:
        self.cursors.append(cursor)
        if self.error:
            raise self.error
        return list(self.batches)


@dataclass
class Sink:
    """Takes events, or is away."""

    name: str = "syslog"
    away: bool = False
    events: list[IncidentEvent] = field(default_factory=list)

    def send(self, events: Sequence[IncidentEvent]) -> int:
        if self.away:
            raise SinkError("away")
        self.events += events
        return len(events)

    def close(self) -> None:
        """There is nothing to let go of."""


class FullDisk:
    """A store whose appends fail while ``full`` is set."""

    def __init__(self, store: DeltaStore) -> None:
        self.full = False
        self._store = store

    def __getattr__(self, name):
        if self.full and name.startswith("append"):
            return self._refuse
        return getattr(self._store, name)

    def _refuse(self, *_, **__):
        raise StoreError("no space is left")


def polls(target: str, at: datetime = NOW, ok: bool = True):
    return frames.frame("polls", [{"at": at, "target": target, "kind": "switch", "ok": ok}])


def reading(target: str, at: datetime = NOW, ok: bool = True) -> Batch:
    """Return what a poll of a switch's counters brings."""
    counters = frames.frame("counters", [{"at": at, "device": target, "if_index": 1, "if_name": "e1"}])
    tables = {"polls": polls(target, at, ok), **({"counters": counters} if ok else {})}
    return Batch(tables, f"{target}/counters", int(at.timestamp()), {"last_good": at.isoformat()})


def verdict(cause: str = "dirty_connector") -> Verdict:
    window = Window(NOW - timedelta(minutes=5), NOW)
    return Verdict("i1", "link", LINK, "b_to_a", cause, 0.98, "err", NOW, window)


def opened(number: int = 1, seq: int = 1) -> tuple[Incident, IncidentEvent]:
    """Return an incident that opens, and the event that says so."""
    said = verdict()
    incident = Incident(f"i{number}", f"link {number}", "open", said, NOW, NOW, NOW, seq=seq)
    return incident, IncidentEvent(f"i{number}", seq, NOW, "opened", "err", said, NOW)
