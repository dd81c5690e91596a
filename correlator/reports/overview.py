"""What the report says of the whole network: every noun here is a picture or a table of the page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from correlator.model import Direction, End, Link, RootCause
from correlator.reports.readings import Series, Share, Thresholds

Standing = Literal["blamed", "sick", "well", "unseen", "shut"]
Mending = Literal["proven", "no_change", "waiting", "closed"]
Waits = Literal["network", "service", "host", "unknown"]


@dataclass(frozen=True, slots=True)
class LinkHours:
    """The errors of one direction of a link, hour by hour, as the receiving end counts them.

    ``states`` has a letter an hour: ``s`` counted, ``m`` missing, ``x`` shut. ``errors`` and
    ``packets`` (good and bad ones) are null where nothing was counted. ``order`` blames the link.
    """

    receiver: End
    sender: End
    order: int | None
    states: str
    errors: tuple[float | None, ...]
    packets: tuple[float | None, ...]
    total: Share


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Hours × directions of links: the worst are rows, the rest is counted.

    ``hours`` are the starts of the columns. Of all ``directions``, ``with_errors`` lost something,
    ``without_errors`` were counted and lost nothing, ``uncounted`` said nothing all day.
    """

    hours: tuple[datetime, ...]
    rows: tuple[LinkHours, ...]
    directions: int
    with_errors: int
    without_errors: int
    uncounted: int


@dataclass(frozen=True, slots=True)
class Margin:
    """How far the light that an end receives is above the module's own low level.

    ``margin_db`` = ``rx_dbm`` - ``low_dbm``; ``against`` says which level that is. ``change_db`` is
    the newest reading less the median of the hours before the day, null where there are none.
    """

    receiver: End
    sender: End | None
    lane: int
    rx_dbm: float
    low_dbm: float
    against: Literal["low_warn", "low_alarm"]
    margin_db: float
    change_db: float | None
    order: int | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A module's thresholds that cannot be meant: which, and why."""

    end: End
    lane: int
    why: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """When light that falls steadily reaches a level: days from the last reading, and their 95 % interval."""

    level: Literal["low_warn", "low_alarm"]
    slope_db_per_day: float
    days: float
    days_low: float
    days_high: float | None


@dataclass(frozen=True, slots=True)
class LightTrend:
    """The light that one end received over a month, with its largest step and where it is heading.

    ``change_at`` is when the step of ``change_db`` happened; both null where there is none.
    """

    receiver: End
    sender: End | None
    lane: int
    order: int | None
    light: Series
    thresholds: Thresholds
    change_at: datetime | None
    change_db: float | None
    forecast: Forecast | None


@dataclass(frozen=True, slots=True)
class ServiceCell:
    """The container pairs of a client service and a server service: how many, how many are slow."""

    client: str
    server: str
    pairs: int
    slow: int
    slower_by: float | None
    waits: Waits | None


@dataclass(frozen=True, slots=True)
class Matrix:
    """Who waits for whom, by service: clients are rows, servers are columns, the slow ones first.

    ``services`` counts all that talked; the lists keep the slowest and the busiest.
    """

    clients: tuple[str, ...]
    servers: tuple[str, ...]
    cells: tuple[ServiceCell, ...]
    services: int


@dataclass(frozen=True, slots=True)
class Chatter:
    """How the containers of two services on two hosts talked over the day's hours, the mean of them.

    ``waiting`` is response time × exchanges a second: the part of each second that is spent waiting
    (Little's law; more than 1 where several exchanges are under way at once).
    """

    client: str
    server: str
    src_host: str
    dst_host: str
    exchanges_per_s: float
    per_connection: float | None
    response_ms: float | None
    network_ms: float | None
    service_ms: float | None
    waiting: float | None


@dataclass(frozen=True, slots=True)
class Chattiness:
    """The service pairs with most exchanges, and those with the longest time to a response."""

    pairs: int
    most_exchanges: tuple[Chatter, ...]
    longest_waits: tuple[Chatter, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A device or host in the drawing; tier 0 is the hosts, 1 the switches next to them, and so on."""

    name: str
    tier: int


@dataclass(frozen=True, slots=True)
class Edge:
    """All cables between two nodes, drawn as one; ``links`` says how many they are.

    ``standing`` is that of the worst of them; ``order`` and ``into`` (the node at which the blamed
    direction arrives) are given where one is blamed.
    """

    a: str
    b: str
    links: int
    standing: Standing
    order: int | None
    into: str | None


@dataclass(frozen=True, slots=True)
class Drawing:
    """The fabric as it is drawn: of a large one, what is near the blamed links; the rest is counted."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    all_nodes: int
    all_links: int


@dataclass(frozen=True, slots=True)
class Repair:
    """Work that was said to be done, or a fault that went away, and what was measured since.

    ``proven``: measured well again since. ``no_change``: the fault was seen after the work.
    ``waiting``: too little was measured since. ``closed``: somebody ended the incident by hand.
    ``before`` and ``after`` are the shares of damaged packets around the work, ``light_gained_db`` how
    much less light is lost on the way since.
    """

    subject: str
    link: Link | None
    direction: Direction | None
    root_cause: RootCause | None
    did: Literal["cleaned", "reseated", "closed"] | None
    by: str | None
    why: str | None
    at: datetime
    mending: Mending
    proof: str
    before: Share | None
    after: Share | None
    light_gained_db: float | None
