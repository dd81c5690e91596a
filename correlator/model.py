"""The nouns that every room shares: links, verdicts, incidents.

Frozen dataclasses, standard library only, so that the host agent can import them for nothing.
A verdict's JSON form is stable; its schema is generated into ``docs/verdict.json``.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Kind = Literal["link", "class", "host", "service", "unknown"]
Direction = Literal["a_to_b", "b_to_a", "both"]
Side = Literal["rx", "tx"]
Severity = Literal["crit", "err", "warning", "notice"]
RootCause = Literal[
    "dirty_connector",
    "damaged_fiber",
    "failing_transmitter",
    "bad_transceiver",
    "shared_component",
    "congestion",
    "silent_drop",
    "link_down",
    "host",
    "service",
    "unknown",
]
Do = Literal[
    "inspect_and_clean",
    "replace_cable",
    "reseat",
    "replace_transceiver",
    "drain",
    "relieve",
    "none",
]
EventKind = Literal["opened", "updated", "cleared"]


def utc(moment: datetime) -> datetime:
    """Return ``moment`` in UTC. Raises ValueError for a naive time, which could mean anything."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return moment.astimezone(UTC)


@dataclass(frozen=True, slots=True, order=True)
class End:
    """One end of a link: an interface (RFC 2863) of a device; for a host, its name and NIC."""

    device: str
    if_name: str

    def __str__(self) -> str:
        return f"{self.device} {self.if_name}"


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """A physical link between two ends; ``a`` sorts before ``b``."""

    a: End
    b: End

    @classmethod
    def between(cls, one: End, other: End) -> Self:
        """Return the link between two ends, whichever order they come in."""
        return cls(*sorted((one, other)))

    def receiver(self, direction: Direction) -> End:
        """Return the end at which ``direction`` arrives: where its errors are counted."""
        return self.a if direction == "b_to_a" else self.b

    def sender(self, direction: Direction) -> End:
        """Return the end from which ``direction`` leaves."""
        return self.b if direction == "b_to_a" else self.a

    def direction_into(self, end: End) -> Direction:
        """Return the direction that arrives at ``end``."""
        return "a_to_b" if end == self.b else "b_to_a"

    def __str__(self) -> str:
        return f"{self.a} - {self.b}"


@dataclass(frozen=True, slots=True)
class Action:
    """One step of a work order.

    ``side``: which half of the port the step is about; ``rack`` and ``panel``: where the device stands
    and where its end of the cable is patched, where that is known.
    """

    step: int
    do: Do
    device: str | None = None
    if_name: str | None = None
    lane: int | None = None
    side: Side | None = None
    text: str = ""
    rack: str | None = None
    panel: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """One term of a probability: what was seen, and how many decibans it weighs (10·log10 of the odds)."""

    kind: str
    value: float | None
    weight_db: float
    text: str


@dataclass(frozen=True, slots=True)
class PairImpact:
    """What a verdict costs one container pair.

    ``slower_by`` is the ratio of now to usual of what grew, ``slower_by_low`` and ``slower_by_high``
    its 95 % interval; times are milliseconds a response; ``share_explained`` is the part of the
    pair's excess that the verdict accounts for (0 to 1).
    """

    src: str
    dst: str
    src_name: str
    dst_name: str
    slower_by: float | None
    slower_by_low: float | None
    slower_by_high: float | None
    network_ms: float | None
    service_ms: float | None
    share_explained: float | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A directed link (or, for an alternative cause, the same link) with its probability."""

    link: Link | None
    direction: Direction | None
    root_cause: RootCause
    probability: float


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a verdict is about when a link alone does not say it."""

    device: str | None = None
    if_name: str | None = None
    host: str | None = None
    container: str | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """The time that was looked at."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why pairs are slow; a *finding* has the same shape, with ``pairs`` empty.

    ``link`` and ``direction`` are null for ``host`` and ``service``; for ``class`` the links that
    the network cannot tell apart are in ``candidates``. For ``congestion`` the direction points out
    of the full egress interface, which ``subject`` names. ``lane`` 0 is the module as a whole.
    ``pairs_hurt`` is the number of slow pairs where ``pairs`` names only some, else null.
    """

    id: str
    kind: Kind
    link: Link | None
    direction: Direction | None
    root_cause: RootCause
    probability: float
    severity: Severity
    onset: datetime | None
    window: Window
    lane: int | None = None
    actions: tuple[Action, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    pairs: tuple[PairImpact, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    alternatives: tuple[Candidate, ...] = ()
    missing: tuple[str, ...] = ()
    subject: Subject = Subject()
    pairs_hurt: int | None = None

    @property
    def hurt(self) -> int:
        """How many pairs it slows down: ``pairs`` may name only some of them."""
        return len(self.pairs) if self.pairs_hurt is None else self.pairs_hurt

    def to_json(self) -> dict[str, Any]:
        """Return the stable JSON form: plain dicts and lists, times as ISO 8601 in UTC."""
        document: dict[str, Any] = _plain(self)
        return document

    @staticmethod
    def from_json(document: dict[str, Any]) -> Verdict:
        """Return the verdict that ``to_json`` wrote. Raises ValueError where it is none."""
        read: Verdict = _adapter(Verdict).validate_python(document)
        return read


RANKS: Mapping[Severity, int] = {"notice": 0, "warning": 1, "err": 2, "crit": 3}
"""Severities by weight."""


@dataclass(frozen=True, slots=True)
class Course:
    """What an incident remembers of its own past, so that few lines are made of it.

    ``flaps`` counts how often the fault came back before it was cleared, ``healthy_since`` is when it
    was last found well, ``blind`` the cycles in a row without a measurement (``blind_since`` when they
    began, ``blind_told`` whether a line said so). ``updates`` and ``updated_at`` are of the updates
    sent. ``told`` is whether any line was made, ``hushed`` whether a change was kept silent.
    ``repair`` is the last cleaning whose failure was told, ``lower`` the cycles in a row in which the
    fault was less severe, or hurt far fewer pairs, than was told.
    """

    flaps: int = 0
    healthy_since: datetime | None = None
    blind: int = 0
    blind_since: datetime | None = None
    blind_told: bool = False
    updates: int = 0
    updated_at: datetime | None = None
    told: bool = False
    hushed: bool = False
    repair: datetime | None = None
    lower: int = 0


@dataclass(frozen=True, slots=True)
class Incident:
    """A verdict or finding with a life: opened once, updated rarely, cleared with proof.

    ``key`` names the fault itself (link, direction, kind of trouble), so that the next cycle's
    verdict about the same fault finds its incident. ``bad`` and ``good`` count cycles in a row;
    ``seq`` is the number of the last event sent about it (0: none yet). ``verdict`` names the worst
    pairs only.
    """

    id: str
    key: str
    state: Literal["pending", "open", "cleared"]
    verdict: Verdict
    first_seen: datetime
    last_seen: datetime
    opened_at: datetime | None = None
    cleared_at: datetime | None = None
    bad: int = 0
    good: int = 0
    seq: int = 0
    course: Course = Course()

    def to_json(self) -> dict[str, Any]:
        """Return the incident as plain JSON values."""
        document: dict[str, Any] = _plain(self)
        return document

    @staticmethod
    def from_json(document: dict[str, Any]) -> Incident:
        """Return the incident that ``to_json`` wrote. Raises ValueError where it is none."""
        read: Incident = _adapter(Incident).validate_python(document)
        return read


@dataclass(frozen=True, slots=True)
class IncidentEvent:
    """What happened to an incident, numbered within it: the thing that alerts are made of.

    ``reason`` says in a few words why an update was sent, or what proves a clear. ``verdict`` names
    the worst pairs only. ``quiet`` says why no line is to be made of it (a silence, a maintenance
    window); empty: one is.
    """

    incident: str
    seq: int
    at: datetime
    event: EventKind
    severity: Severity
    verdict: Verdict
    opened_at: datetime
    reason: str = ""
    quiet: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the event as plain JSON values."""
        document: dict[str, Any] = _plain(self)
        return document

    @staticmethod
    def from_json(document: dict[str, Any]) -> IncidentEvent:
        """Return the event that ``to_json`` wrote. Raises ValueError where it is none."""
        read: IncidentEvent = _adapter(IncidentEvent).validate_python(document)
        return read


def _plain(value: Any) -> Any:
    """Return ``value`` as dicts, lists, strings and numbers; JSON has no NaN: what is not known is null."""
    if value is None or isinstance(value, (str, int)):  # most of what there is: asked first
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return utc(value).isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return value


@functools.cache
def _adapter(cls: type[Any]) -> TypeAdapter[Any]:
    """Return pydantic's reader for a dataclass (imported late: the agent never reads a verdict)."""
    from pydantic import TypeAdapter

    return TypeAdapter(cls)
