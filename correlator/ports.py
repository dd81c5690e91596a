"""What the rooms ask of one another: the Protocols and the errors that each may raise."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

from correlator.model import Incident, IncidentEvent

if TYPE_CHECKING:  # the command line imports the errors here, and must start without pandas
    import pandas as pd

Tables: TypeAlias = "Mapping[str, pd.DataFrame]"


class CorrelatorError(Exception):
    """Something that a user can mend; the message is one sentence that names the thing and the remedy.

    ``exit_code`` is what a command ends with: 1 it could not, 2 wrong usage or configuration.
    """

    exit_code: ClassVar[int] = 1


class StoreError(CorrelatorError):
    """The store could not read or write; what was acknowledged before is still there."""


class SinkError(CorrelatorError):
    """The receiver of alerts cannot be reached now; the lines stay in the outbox."""


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Return the current time in UTC."""


class Store(Protocol):
    """Append-only tables. Several processes may read and append at once."""

    def append(self, name: str, table: pd.DataFrame, *, source: str, sequence: int) -> bool:
        """Append rows; return False, writing nothing, where ``source`` already wrote ``sequence``.

        ``source`` names the writer's stream (a poller, an agent's epoch), ``sequence`` grows within
        it: what is not larger than the last one written counts as written, so that a blind retry is
        harmless. Raises StoreError (disk full, no permission) and
        frames.FrameError (the table is not of its schema); in both cases nothing was written.
        """

    def append_batches(self, batches: Sequence[Batch]) -> None:
        """Append the tables of several polls, one commit for each table.

        What a batch's source wrote before is skipped. Raises as ``append`` does; then some tables may
        be written and others not, and calling again writes what is missing.
        """

    def read(
        self,
        name: str,
        since: datetime,
        until: datetime,
        columns: Sequence[str] | None = None,
        only: Mapping[str, Collection[str]] | None = None,
    ) -> pd.DataFrame:
        """Return the rows with ``since <= at < until``, ordered by ``at``; empty where there are none.

        ``only`` keeps the rows in which each named column of strings has one of the given values.
        """

    def newest(self, name: str, until: datetime) -> pd.DataFrame:
        """Return, for each key of the table, its newest row with ``at < until``."""

    def maintain(self, now: datetime) -> None:
        """Compact what is cold, drop what is too old. Safe beside readers and appenders."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An incident event that waits for delivery to one sink."""

    position: int
    event: IncidentEvent


class State(Protocol):
    """Small mutable state that must survive ``kill -9``: incidents, outbox, cursors."""

    def incidents(self) -> list[Incident]:
        """Return the incidents that are pending or open."""

    def commit(self, incidents: Sequence[Incident], events: Sequence[IncidentEvent]) -> None:
        """Keep changed incidents and queue their events for every sink, in one transaction."""

    def outgoing(self, sink: str, limit: int) -> list[Outgoing]:
        """Return the oldest events that ``sink`` has not delivered yet, in order."""

    def delivered(self, sink: str, position: int) -> None:
        """Note that ``sink`` has delivered everything up to and including ``position``."""

    def waiting(self, sink: str) -> int:
        """Return how many events ``sink`` has not delivered yet."""

    def dropped(self, sink: str) -> int:
        """Return how many events were dropped, since ever, before ``sink`` could deliver them."""

    def cursor(self, name: str) -> dict[str, str]:
        """Return the remembered values under ``name``; empty where there are none."""

    def cursors(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return the remembered values under each of the names."""

    def set_cursors(self, values: Mapping[str, Mapping[str, str]]) -> None:
        """Remember values under each name, replacing what was there, in one transaction."""


class Sink(Protocol):
    """Where alerts go."""

    name: str

    def send(self, events: Sequence[IncidentEvent]) -> int:
        """Send events in order; return how many were handed over, at least one.

        Raises SinkError where not even the first could be.
        """

    def remark(self, at: datetime, what: str, count: int, text: str) -> None:
        """Send a line about the alerts themselves: ``held_back`` or ``dropped``. Raises SinkError."""

    def close(self) -> None:
        """Let go of sockets and files."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one poll brought, and how to store it once: see ``Store.append`` for source and sequence.

    ``cursor`` is to be remembered under the poller's name once all its tables are stored.
    """

    tables: Tables
    source: str
    sequence: int
    cursor: Mapping[str, str]


class Poller(Protocol):
    """One target, asked for some of its tables."""

    name: str

    async def poll(self, now: datetime, cursor: Mapping[str, str]) -> list[Batch]:
        """Return what the target said since ``cursor``, oldest first; ``name`` is the cursor's name.

        There is always a ``polls`` row: a target that fails is a row, not an exception. ``cursor``
        carries ``last_good`` (ISO 8601), so that the row which ends a gap can say where it began.
        """


class Together(Protocol):
    """Asks many targets at once. ``refused`` counts what the last round could not use, by reason."""

    refused: Mapping[str, int]

    async def poll(
        self, pollers: Sequence[Poller], now: datetime, cursors: Mapping[str, Mapping[str, str]]
    ) -> dict[str, list[Batch]]:
        """Return what those of the pollers brought that can be asked at once, by name.

        The tables of all may come in one batch. Who is missing is to be asked by its own ``poll``.
        """
