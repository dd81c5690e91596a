"""At what pace each of many devices is asked: the same rule as ``manners.Pace``, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from correlator.snmp.codec import Ints
from correlator.snmp.manners import Pace

Times = npt.NDArray[np.float64]
MANY = 2**31  # more requests than any device may be sent within a second


class Sent(Sequence[list[float]]):
    """When the last requests went to each of many devices, seconds of the monotonic clock, oldest first."""

    def __init__(self, times: Times, first: Ints) -> None:
        self.times, self.first = times, first
        self._latest = float(times.max(initial=-np.inf))

    @classmethod
    def told(cls, each: Sequence[Sequence[float]]) -> Sent:
        """Return what lists say, one a device."""
        first = np.cumsum([0, *map(len, each)])
        return cls(np.array([time for times in each for time in times], np.float64), first)

    @classmethod
    def none(cls, count: int) -> Sent:
        """Return that nothing went to so many devices."""
        return cls(np.zeros(0), np.zeros(count + 1, np.int64))

    def __len__(self) -> int:
        return len(self.first) - 1

    def __getitem__(self, number: Any) -> Any:
        """Return those to one device, by its number."""
        if number >= len(self):
            raise IndexError(number)
        return self.times[self.first[number] : self.first[number + 1]].tolist()

    def since(self, number: int, moment: float) -> list[float]:
        """Return when requests went to one device, if any went to anyone later than that."""
        return [] if self._latest <= moment else list(self[number])

    def some(self, numbers: Sequence[int], moment: float) -> Sent:
        """Return when requests went to some of the devices, of those that went later than that."""
        if self._latest <= moment:
            return Sent.none(len(numbers))
        later = self.times > moment
        places = np.concatenate(([0], np.cumsum(later))).take(self.first)
        begin = places[:-1].take(numbers)
        counts = places[1:].take(numbers) - begin
        first = np.concatenate(([0], np.cumsum(counts)))
        each = np.arange(first[-1]) + np.repeat(begin - first[:-1], counts)
        return Sent(self.times[later].take(each), first)


def recent(paces: Sequence[Pace], now: float) -> Sent:
    """Return when the requests of the last second, and perhaps some before, went to devices, by their paces.

    Most often all of them were last asked in one exchange, which knows that as arrays.
    """
    places = [pace.elsewhere for pace in paces if pace.elsewhere is not None and not pace.sent]
    if len(places) == len(paces) > 0:
        each, numbers = zip(*places, strict=True)
        if isinstance(each[0], Sent) and len(set(each)) == 1:
            return each[0].some(numbers, now - 1.0)
    return Sent.told([pace.recent(now) for pace in paces])


class Paces:
    """The pace of each device: so many requests within any second. ``free`` is when its next may go.

    ``before`` are the times of the last requests.
    """

    def __init__(self, per_second: Ints, before: Sent) -> None:
        self._per_second = per_second
        # a row for each of the last requests: those that are asked in step lie beside each other
        self._ring = np.empty((int(per_second.max(initial=1)), len(per_second)))
        before_each = np.diff(before.first)
        self._taken: Ints = np.minimum(before_each, per_second)
        if len(before.times):
            device = np.repeat(np.arange(len(before_each)), before_each)
            place = np.arange(len(before.times)) - (before.first[1:] - self._taken)[device]
            last = place >= 0
            self._ring[place[last], device[last]] = before.times[last]
        self._known = self._taken.copy()
        self._unbound = int((per_second - self._taken).min(initial=MANY))
        self.free = np.full(len(per_second), -np.inf)
        if self.binds:
            self._wait(slice(None))

    @property
    def binds(self) -> bool:
        """Whether anyone may not be asked twice more: else ``free`` is in the past."""
        return self._unbound <= 1

    @property
    def count(self) -> Ints:
        """How many requests went to each device, those before not counted."""
        counts: Ints = self._taken - self._known
        return counts

    def take(self, devices: Ints, now: float) -> None:
        """Note that a request goes out to each of the devices, which are sorted; to some twice, perhaps."""
        taken = self._taken.take(devices)
        again = devices[1:] == devices[:-1]
        taken[1:] += again
        self._ring[taken % self._per_second.take(devices) if self.binds else taken, devices] = now
        taken += 1
        self._taken[devices] = taken  # of two the second
        self._unbound -= 1 + bool(again.any())
        if self.binds:
            self._wait(devices)

    def _wait(self, devices: Ints | slice) -> None:
        """Set when the next requests to devices may go: a second after the first of the last ones."""
        taken, most = self._taken[devices], self._per_second[devices]
        first = self._ring[taken % most, np.arange(len(self.free))[devices]]
        self.free[devices] = np.where(taken < most, -np.inf, first + 1.0)

    def sent(self) -> Sent:
        """Return the times of the last requests to each device, those before among them."""
        kept = np.minimum(self._taken, self._per_second)
        first = np.concatenate(([0], np.cumsum(kept)))
        device = np.repeat(np.arange(len(kept)), kept)
        place = np.arange(first[-1]) - first[device] + (self._taken - kept)[device]
        return Sent(self._ring[place % self._per_second[device], device], first)
