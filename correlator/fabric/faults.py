"""What may go wrong, as nouns: a fault, and what it does to each directed link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

StoryName = Literal[
    "nothing",
    "decoys",
    "dirty_connector",
    "congestion",
    "slow_service",
    "damaged_fiber",
    "failing_transmitter",
    "bad_transceiver",
    "shared_component",
    "silent_drop",
    "slow_host",
    "reboot",
    "module_swap",
    "fec",
]
STORIES: tuple[StoryName, ...] = get_args(StoryName)
FAULTS: tuple[StoryName, ...] = ("dirty_connector", "congestion", "slow_service")  # that a seed may draw
HARMLESS: tuple[StoryName, ...] = ("reboot", "module_swap", "fec")  # events that slow no pair


@dataclass(frozen=True)
class Mark:
    """What a fault does to one directed link while it holds.

    ``loss`` is the share of frames that it corrupts (the receiver counts them), ``silent`` the share that
    vanishes before it leaves (nobody counts it); ``way_db`` is light lost on the way, ``tx_db`` light
    that the sender no longer sends, ``bias`` the factor on the sender's laser current.
    """

    link: int
    loss: float = 0.0
    silent: float = 0.0
    way_db: float = 0.0
    tx_db: float = 0.0
    bias: float = 1.0


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong at ``onset`` (seconds of the run).

    ``link`` is the directed link that loses packets, or whose egress is full (congestion); ``level`` the
    share of packets lost or discarded, the factor on the service's time, the milliseconds that a slow
    host adds, or the seconds that a switch is silent; ``end`` the sending (0) or receiving (1) end of the
    link that is to be mended. ``marks`` say what happens to each link. ``burst`` is the share of time
    into which the loss is pressed (1: evenly); ``by_size``: a frame is lost in proportion to its length.
    ``fade_db_per_day``: a transmitter that has been getting weaker for days. ``growth``: the factor on
    corrected codewords a minute.
    """

    kind: StoryName
    onset: int
    level: float
    link: int | None = None
    drop_db: float = 0.0
    end: int = 1
    service: str | None = None
    container: str | None = None
    marks: tuple[Mark, ...] = ()
    burst: float = 1.0
    by_size: bool = False
    fade_db_per_day: float = 0.0
    growth: float = 1.0
    host: int | None = None
    switch: int | None = None
    port: int | None = None


@dataclass(frozen=True)
class SickLink:
    """A directed link that is sick since ``since`` (seconds of the run), and that no pair crosses."""

    link: int
    loss: float
    drop_db: float
    since: float


@dataclass(frozen=True)
class Decoys:
    """What looks wrong and slows no pair: numbers of links, ports and switches."""

    sick: SickLink | None = None
    shut: frozenset[int] = frozenset()
    dark: frozenset[int] = frozenset()
    busy: int | None = None
    busy_load: float = 0.0
    cut_through: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Story:
    """A fault, if any, with its decoys. ``onset_minutes`` is told to everybody, fault or not.

    ``more`` are further faults, each from its own onset on (before the run where that is negative).
    """

    name: StoryName
    onset_minutes: int
    fault: Fault | None
    decoys: Decoys
    more: tuple[Fault, ...] = ()
