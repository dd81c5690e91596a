"""At what pace each of many devices is asked: the same rule as ``manners.Pace``, for all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from correlator.snmp.kinds import Ints
from correlator.snmp.manners import Elsewhere, Pace, Times

MANY = 2**31  # more requests than any device may be sent within a second
MOST_AT_ONCE = 2  # requests that go to a device at one time
NOBODY = np.zeros(0, np.int64)


class Sent(Sequence[list[float]]):
    """When the last requests went to each of ``count`` devices.

    ``times`` are seconds of the monotonic clock in order, ``devices`` to whom each went.
    """

    def __init__(self, count: int, times: Times, devices: Ints) -> None:
        self.times, self.devices, self._count = times, devices, count

    @classmethod
    def told(cls, each: Sequence[Sequence[float]]) -> Sent:
        """Return what lists say, one a device."""
        times = np.array([time for some in each for time in some], np.float64)
        devices = np.repeat(np.arange(len(each)), [len(some) for some in each])
        return cls.sorted(len(each), times, devices)

    @classmethod
    def sorted(cls, count: int, times: Times, devices: Ints) -> Sent:
        """Return what is told in any order."""
        order = np.argsort(times, kind="stable")
        return cls(count, times[order], devices[order])

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: Any) -> Any:
        """Return those to one device, by its number."""
        if number >= len(self):
            raise IndexError(number)
        return self.since(number, -np.inf)

    def since(self, number: int, moment: float) -> list[float]:
        """Return those to one device that went later than that."""
        times, devices = self._later(moment)
        later: list[float] = times[devices == number].tolist() if len(times) else []
        return later

    def some(self, numbers: Sequence[int], places: Sequence[int], moment: float) -> tuple[Times, Ints]:
        """Return times and devices of those that went later than that to devices of these numbers.

        They are told as ``places``.
        """
        times, devices = self._later(moment)
        if not len(times):
            return times, devices
        place = np.full(self._count, -1)
        place[np.array(numbers)] = places
        devices = place.take(devices)
        asked = devices >= 0
        return (times, devices) if asked.all() else (times[asked], devices[asked])

    def _later(self, moment: float) -> tuple[Times, Ints]:
        first = int(np.searchsorted(self.times, moment, "right"))
        return self.times[first:], self.devices[first:]


def recent(paces: Sequence[Pace], now: float) -> Sent:
    """Return when the requests of the last second, and perhaps some before, went to devices, by their paces.

    Most often all of them were last asked in one exchange, or in few, which know that as arrays.
    """
    exchanges: dict[Elsewhere, tuple[list[int], list[int]]] = {}
    own: list[list[float]] = [[]] * len(paces)
    last: object = None
    for place, pace in enumerate(paces):
        elsewhere = pace.elsewhere
        if elsewhere is None or pace.sent:
            own[place] = pace.recent(now)
            continue
        if elsewhere[0] is not last:
            last = elsewhere[0]
            numbers, places = exchanges.setdefault(last, ([], []))
        numbers.append(elsewhere[1])
        places.append(place)
    told = [sent.some(*both, now - 1.0) for sent, both in exchanges.items()]
    if any(own):
        apart = Sent.told(own)
        told.append((apart.times, apart.devices))
    told = [one for one in told if len(one[0])] or [(np.zeros(0), NOBODY)]
    if len(told) == 1:
        return Sent(len(paces), *told[0])
    times, devices = zip(*told, strict=True)
    return Sent.sorted(len(paces), np.concatenate(times), np.concatenate(devices))


class Paces:
    """The pace of each device: so many requests within any second. ``free`` is when its next may go.

    ``before`` are the last requests. While nobody's pace can bind, what goes is only noted.
    """

    def __init__(self, per_second: Ints, before: Sent) -> None:
        self._per_second, self._before = per_second, before
        self._gone: list[tuple[float, Ints]] = []
        self.free = np.full(len(per_second), -np.inf)
        self._taken: Ints = self._counted(before.devices)
        self._unbound = int((per_second - self._taken).min(initial=MANY))
        self._ring: Times | None = self._laid_out() if self.binds else None

    @property
    def binds(self) -> bool:
        """Whether anyone may not be asked twice more: else ``free`` is in the past."""
        return self._unbound < MOST_AT_ONCE

    @property
    def count(self) -> Ints:
        """How many requests went to each device, those before not counted."""
        return self._counted(np.concatenate([NOBODY, *(devices for _, devices in self._gone)]))

    def take(self, devices: Ints, now: float) -> None:
        """Note that a request goes out to each of the devices, which are sorted; to some twice, perhaps."""
        self._gone.append((now, devices))
        if self._ring is not None:
            self._put(self._ring, devices, now)
            return
        self._unbound -= MOST_AT_ONCE  # at least so many are left
        if self.binds:
            self._taken = self._counted(self.sent().devices)
            self._unbound = int((self._per_second - self._taken).min(initial=MANY))
            self._ring = self._laid_out() if self.binds else None

    def sent(self) -> Sent:
        """Return the requests to each device, those before among them."""
        times = [np.full(len(devices), now) for now, devices in self._gone]
        devices = [self._before.devices, *(devices for _, devices in self._gone)]
        return Sent(
            len(self._per_second), np.concatenate([self._before.times, *times]), np.concatenate(devices)
        )

    def _counted(self, devices: Ints) -> Ints:
        counts: Ints = np.bincount(devices, minlength=len(self._per_second))
        return counts

    def _laid_out(self) -> Times:
        """Return the last requests to each device, a column as long as its pace allows."""
        ring = np.full((int(self._per_second.max(initial=1)), len(self._per_second)), -np.inf)
        sent = self.sent()
        order = np.argsort(sent.devices, kind="stable")
        devices, times = sent.devices[order], sent.times[order]
        place = np.arange(len(devices)) - (np.cumsum(self._taken) - self._taken).take(devices)
        most = self._per_second.take(devices)
        last = place >= self._taken.take(devices) - most
        ring[(place % most)[last], devices[last]] = times[last]
        self._wait(ring, np.arange(len(self._per_second)))
        return ring

    def _put(self, ring: Times, devices: Ints, now: float) -> None:
        """Note requests that go out to devices."""
        taken = self._taken.take(devices)
        taken[1:] += devices[1:] == devices[:-1]
        ring[taken % self._per_second.take(devices), devices] = now
        self._taken[devices] = taken + 1  # of two the second
        self._wait(ring, devices)

    def _wait(self, ring: Times, devices: Ints) -> None:
        """Set when the next requests to devices may go: a second after the first of the last ones."""
        self.free[devices] = ring[self._taken.take(devices) % self._per_second.take(devices), devices] + 1.0
