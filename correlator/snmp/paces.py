"""At what pace each of many devices is asked: the same rule as ``manners.Pace``, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from correlator.snmp.codec import Ints


class Sent(Sequence[list[float]]):
    """When requests went to each of many devices, seconds of the monotonic clock, oldest first."""

    def __init__(self, times: npt.NDArray[np.float64], first: Ints) -> None:
        self._times, self._first = times, first
        self._latest = float(times.max(initial=-np.inf))

    def __len__(self) -> int:
        return len(self._first) - 1

    def __getitem__(self, number: Any) -> Any:
        """Return those to one device, by its number."""
        if number >= len(self):
            raise IndexError(number)
        return self._times[self._first[number] : self._first[number + 1]].tolist()

    def since(self, number: int, moment: float) -> list[float]:
        """Return when requests went to one device, if any went to anyone later than that."""
        return [] if self._latest <= moment else list(self[number])


class Paces:
    """The pace of each device: so many requests within any second. ``free`` is when its next may go.

    ``sent`` are the times of the last requests, where there were any.
    """

    def __init__(self, per_second: Ints, sent: Sequence[Sequence[float]]) -> None:
        self._per_second = per_second
        # a row for each of the last requests: those that are asked in step lie beside each other
        self._ring = np.full((int(per_second.max(initial=1)), len(per_second)), -np.inf)
        self._taken = np.zeros(len(per_second), np.int64)
        for number, times in enumerate(sent):
            if times:
                last = times[-int(per_second[number]) :]
                self._ring[: len(last), number] = last
                self._taken[number] = len(last)
        each = np.arange(len(per_second))
        self.free = self._ring[self._taken % per_second, each] + 1.0
        self._known = self._taken.copy()

    def take(self, devices: Ints, now: float) -> None:
        """Note that a request goes out to each of the devices."""
        limit, taken = self._per_second[devices], self._taken[devices]
        self._ring[taken % limit, devices] = now
        taken += 1
        self._taken[devices] = taken
        self.free[devices] = self._ring[taken % limit, devices] + 1.0

    def sent(self) -> Sent:
        """Return the times of the last requests to each device that were not known before."""
        kept = np.minimum(self._taken - self._known, self._per_second)
        first = np.concatenate(([0], np.cumsum(kept)))
        device = np.repeat(np.arange(len(kept)), kept)
        place = np.arange(first[-1]) - first[device] + (self._taken - kept)[device]
        return Sent(self._ring[place % self._per_second[device], device], first)
