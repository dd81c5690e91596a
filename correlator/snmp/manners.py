"""How much a device is asked at a time: its pace and the size of its requests, learned as we go."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from correlator.snmp.kinds import Ints

Times = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SizeParams:
    """Bounds of a request, in varbinds.

    ``first``: 10, what agents that are known to choke still bear (DataDog agent pull 7894,
    snmp_exporter issue 756). ``most``: 60 counters make about 1400 bytes, one Ethernet frame.
    ``heal_after``: answers in a row after which a size that went unanswered is tried once more, as
    two lost packets look the same as a size that the device does not bear.
    """

    first: int = 10
    most: int = 60
    heal_after: int = 500


@dataclass(slots=True)
class Size:
    """How many varbinds to ask one device for in one request.

    Doubles while the device keeps up, halves when it says tooBig or says nothing. What was too big is
    not tried again; what went unanswered twice is not tried again for long.
    """

    params: SizeParams = SizeParams()
    varbinds: int = field(init=False)
    ceiling: int = field(init=False)
    limit: int = field(init=False)
    silent_at: int | None = None
    good: int = 0

    def __post_init__(self) -> None:
        self.varbinds, self.ceiling, self.limit = self.params.first, self.params.most, self.params.most

    @property
    def at_once(self) -> int:
        """How many planned requests may be in flight: two to a device that bears the largest, else one.

        Most switches answer from one slow CPU (snmp_exporter issue 349). Walks never have more than one.
        """
        return 2 if self.varbinds >= self.params.most else 1

    def answered(self, asked: int) -> None:
        """Note that a request for ``asked`` varbinds was answered."""
        self.good += 1
        if self.good >= self.params.heal_after:
            self.good, self.ceiling = 0, min(self.limit, self.ceiling * 2)
        if self.silent_at is not None and asked >= self.silent_at:
            self.silent_at = None
        if asked * 2 > self.varbinds:  # a small request says nothing about larger ones
            self.varbinds = min(self.varbinds * 2, self.ceiling)

    def too_big(self, asked: int) -> None:
        """Note that the device called ``asked`` varbinds too big."""
        self.limit = max(1, min(self.limit, asked * 3 // 4))
        self.ceiling = min(self.ceiling, self.limit)
        self.varbinds = max(1, min(self.varbinds, asked) // 2)

    def silent(self, asked: int) -> None:
        """Note that a request for ``asked`` varbinds was not answered in time."""
        if self.silent_at is not None and asked >= self.silent_at:
            self.ceiling = max(1, min(self.ceiling, asked // 2))
        self.good, self.silent_at = 0, asked
        self.varbinds = max(1, min(self.varbinds, asked) // 2)

    def absent(self, before: Size) -> None:
        """Note that the device answered nothing at all, which tells nothing about sizes."""
        self.ceiling, self.silent_at = before.ceiling, before.silent_at
        self.varbinds = min(self.params.first, self.ceiling)


class Elsewhere(Protocol):
    """Who knows when requests to many devices went."""

    def since(self, number: int, moment: float) -> Sequence[float]:
        """Return when the last ones to a device went, if any are later than that moment."""

    def some(self, numbers: Sequence[int], places: Sequence[int], moment: float) -> tuple[Times, Ints]:
        """Return times and devices of those later than that to devices of these numbers, told as places."""


@dataclass(slots=True)
class Pace:
    """At most ``per_second`` requests within any second.

    ``elsewhere`` knows of requests that went out another way, by the number of this device there.
    """

    per_second: int
    sent: deque[float] = field(default_factory=deque)
    elsewhere: tuple[Elsewhere, int] | None = None

    def wait_s(self, now: float) -> float:
        """Return how long to wait before the next request may go, seconds."""
        self._gather(now)
        while self.sent and self.sent[0] <= now - 1.0:
            self.sent.popleft()
        if len(self.sent) < self.per_second:
            return 0.0
        return self.sent[-self.per_second] + 1.0 - now

    def recent(self, now: float) -> list[float]:
        """Return when the requests of the last second went."""
        self._gather(now)
        if self.sent and self.sent[-1] <= now - 1.0:
            self.sent.clear()
        return list(self.sent)

    def take(self, now: float) -> None:
        """Note that a request goes out."""
        self.sent.append(now)

    def went_elsewhere(self, sent: Elsewhere, number: int) -> None:
        """Note that requests went out another way: who knows when, those known here among them.

        It is asked when the next request is about to go: most often all of them are old then.
        """
        self.sent.clear()
        self.elsewhere = sent, number

    def _gather(self, now: float) -> None:
        if self.elsewhere is not None:
            sent, number = self.elsewhere
            self.sent.extend(sent.since(number, now - 1.0))
            self.elsewhere = None
