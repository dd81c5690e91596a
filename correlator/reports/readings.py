"""Readings as the report keeps them: series, thresholds, shares."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Series:
    """Readings over time: value ``values[i]`` was read ``offsets_s[i]`` seconds after ``start``.

    A null value is a reading that said nothing; ``step_s`` is the usual distance of two readings, so
    that a longer silence can be told from a reading of zero.
    """

    start: datetime
    step_s: int
    offsets_s: tuple[int, ...]
    values: tuple[float | None, ...]

    @property
    def end(self) -> datetime:
        """When the last reading was taken."""
        return self.start + timedelta(seconds=self.offsets_s[-1])

    def readings(self) -> list[tuple[datetime, float | None]]:
        """Return the readings as (time, value), oldest first."""
        at = (self.start + timedelta(seconds=offset) for offset in self.offsets_s)
        return list(zip(at, self.values, strict=True))


@dataclass(frozen=True, slots=True)
class Trace:
    """One quantity on two clocks: hourly over the days before, by the minute within the day."""

    hours: Series | None
    minutes: Series | None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The receiving module's own levels of received power, dBm."""

    low_alarm: float | None
    low_warn: float | None
    high_warn: float | None
    high_alarm: float | None


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many: packets in error or discarded, of all packets."""

    count: float
    exposure: float

    @property
    def ratio(self) -> float | None:
        """The share itself, null where nothing passed."""
        return self.count / self.exposure if self.exposure > 0 else None
