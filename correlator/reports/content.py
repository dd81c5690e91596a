"""The daily report as numbers: everything that the page shows is derived from one ``Content``.

The page carries its content as JSON, so that a reader can re-derive every number and
``page.verify`` can tell whether the page says what its data says.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from correlator.model import Action, Direction, End, PairImpact, Verdict
from correlator.reports.overview import Chattiness, Drawing, HeatMap, LightTrend, Margin, Matrix, Repair
from correlator.reports.readings import Share, Thresholds, Trace

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA = "correlator-report/3"

Blame = Literal["network", "host", "service", "unknown"]
Counted = Literal["errors", "discards"]
Reading = Literal["minutes", "hours"]
BlindKind = Literal[
    "day_not_over",
    "nothing_polled",
    "poll_gap",
    "agent_away",
    "rows_lost",
    "unmapped_host",
    "no_light",
    "no_usual",
    "unknown_peer",
    "incomplete_samples",
    "sampled",
    "refused",
    "acknowledged",
    "silenced",
    "maintenance",
    "verdict_missing",
    "unreadable",
    "preloaded",
]


@dataclass(frozen=True, slots=True)
class Period:
    """The calendar day in the reader's time zone: 23, 24 or 25 hours, ``since <= at < until``."""

    day: date
    timezone: str
    since: datetime
    until: datetime
    now: datetime

    @property
    def end(self) -> datetime:
        """The last moment that the report can know of: the end of the day, or now."""
        return max(self.since, min(self.until, self.now))

    @property
    def hours(self) -> int:
        """How long the day is, whole hours."""
        return round((self.until - self.since) / timedelta(hours=1))


@dataclass(frozen=True, slots=True)
class Light:
    """The light of one direction of a link: sent at one end, received at the other (dBm).

    ``lost_before_db`` and ``lost_now_db`` are median(Tx) - median(Rx) before and since the onset;
    ``no_light``: the receiver's last word of the day is that no light arrives.
    """

    direction: Direction
    sender: End
    receiver: End
    lane: int
    tx: Trace
    rx: Trace
    thresholds: Thresholds
    lost_before_db: float | None
    lost_now_db: float | None
    no_light: bool


@dataclass(frozen=True, slots=True)
class Rate:
    """Packets lost in one direction, as ``end`` counts them: errors on arrival, discards on leaving.

    Values of the traces are shares of all packets, 0 to 1; ``before`` and ``now`` sum up what was
    seen before and since the onset.
    """

    direction: Direction
    end: End
    counted: Counted
    trace: Trace
    before: Share | None
    now: Share | None


@dataclass(frozen=True, slots=True)
class Load:
    """How full the sending interface of one direction is: 0 to 1, its mean before and since the onset."""

    direction: Direction
    end: End
    trace: Trace
    before: float | None
    now: float | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device stands, as far as it is configured."""

    device: str
    site: str | None
    rack: str | None


@dataclass(frozen=True, slots=True)
class Fault:
    """A verdict or finding of the day, shown once: its newest form, and when it was seen."""

    verdict: Verdict
    first_seen: datetime
    last_seen: datetime
    cleared_at: datetime | None
    cleared_why: str = ""

    @property
    def ongoing(self) -> bool:
        """Whether nothing has cleared it yet."""
        return self.cleared_at is None

    @property
    def blame(self) -> Blame:
        """Who slows the pairs: a link and a class of links are the network."""
        kind = self.verdict.kind
        return "network" if kind in ("link", "class") else kind  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a work order, with what the hands need: the place, the panel, the far end."""

    action: Action
    place: Place | None
    panel: str | None
    peer: End | None


@dataclass(frozen=True, slots=True)
class Gain:
    """What the work should bring: the pairs' ratios of now to usual, and the share explained."""

    pairs: int
    slower_by_median: float | None
    slower_by_max: float | None
    share_explained: float | None


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """A verdict and everything that is needed to act on it and to judge it."""

    number: int
    fault: Fault
    steps: tuple[Step, ...]
    gain: Gain
    light: tuple[Light, ...]
    rates: tuple[Rate, ...]
    loads: tuple[Load, ...]


@dataclass(frozen=True, slots=True)
class Talk:
    """How a pair talked over some time: ``reading`` says from which table.

    ``per_connection`` is exchanges per connection opened in that time; ``network_ms`` is
    response - service; all null where not measured.
    """

    reading: Reading
    seconds: float
    exchanges_per_s: float | None
    per_connection: float | None
    responses: int
    response_ms: float | None
    service_ms: float | None
    network_ms: float | None
    retransmitted: float | None


@dataclass(frozen=True, slots=True)
class SlowPair:
    """A slow pair, the order that it belongs to, and how it talked before and since the onset."""

    order: int
    impact: PairImpact
    src_host: str | None
    dst_host: str | None
    before: Talk | None
    now: Talk | None

    @property
    def network_now_ms(self) -> float | None:
        """The network's part since the onset, ms: as timed, else as the verdict says."""
        return self.now.network_ms if self.now else self.impact.network_ms

    @property
    def service_now_ms(self) -> float | None:
        """The service's part since the onset, ms: as timed, else as the verdict says."""
        return self.now.service_ms if self.now else self.impact.service_ms

    @property
    def response_now_ms(self) -> float | None:
        """Time to a response since the onset, ms: as timed, else the sum of what the verdict says."""
        if self.now:
            return self.now.response_ms
        parts = (self.impact.network_ms, self.impact.service_ms)
        return None if parts[0] is None or parts[1] is None else round(parts[0] + parts[1], 3)


@dataclass(frozen=True, slots=True)
class Hurt:
    """How many faults hurt how many pairs: each named pair once, and those that verdicts only count."""

    faults: int
    pairs: int


@dataclass(frozen=True, slots=True)
class Harm:
    """What hurts at the end of the day, by who is to blame, and over the whole day what was found.

    ``ends_to_clean`` are those that the orders still open ask for. The lists of a ``Content`` may be
    shorter: they keep the worst.
    """

    network: Hurt
    host: Hurt
    service: Hurt
    unknown: Hurt
    of_the_day: Hurt
    ends_to_clean: int
    findings: int


@dataclass(frozen=True, slots=True)
class Watched:
    """What was looked at on that day; ``interfaces`` are those that are up and were counted.

    ``links_counted`` are the links of which every switch has counted the packets that it receives.
    """

    switches: int
    interfaces: int
    links: int
    hosts: int
    containers: int
    pairs: int
    links_without_light: int
    links_counted: int


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """Something that could not be seen: what, and in words why."""

    subject: str
    text: str
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Blind:
    """All spots of one kind: how many there are, and the first of them."""

    kind: BlindKind
    total: int
    spots: tuple[BlindSpot, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """All that the report of one day says.

    ``orders``, ``pairs`` and ``findings`` keep the worst of what ``harm`` counts; the verdicts of
    ``orders`` do not repeat their pairs. ``digest`` tells configurations apart.
    """

    version: str
    period: Period
    watched: Watched
    harm: Harm
    orders: tuple[WorkOrder, ...]
    pairs: tuple[SlowPair, ...]
    findings: tuple[Fault, ...]
    blind: tuple[Blind, ...]
    repairs: tuple[Repair, ...]
    matrix: Matrix
    drawing: Drawing
    heat: HeatMap
    margins: tuple[Margin, ...]
    trends: tuple[LightTrend, ...]
    chattiness: Chattiness
    digest: str | None = None
    schema: str = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """Return the content as plain JSON values, times in ISO 8601, UTC."""
        document: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return document

    @staticmethod
    def from_json(document: dict[str, Any]) -> Content:
        """Return the content that ``to_json`` wrote. Raises ValueError where it is none."""
        return _adapter().validate_python(document)


@functools.cache
def _adapter() -> TypeAdapter[Content]:
    from pydantic import TypeAdapter

    return TypeAdapter(Content)
