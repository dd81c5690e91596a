"""What a sensor's raw number means (RFC 3433), and the rows of table optics made of such readings."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from correlator.profiles.profile import Level, Quantity

Place = tuple[int | None, str]  # if_index, if_name

SCALE_EXPONENT = dict(zip(range(1, 18), range(-24, 25, 3), strict=True))  # yocto = 1 … units = 9 … yotta
UNITS = {3: "V", 4: "V", 5: "A", 6: "W", 8: "°C", 14: "dBm"}  # 14: Cisco's, taken up by others
QUANTITIES: Mapping[str, tuple[Quantity, ...]] = {
    "W": ("rx_power", "tx_power"),
    "dBm": ("rx_power", "tx_power"),
    "A": ("bias",),
    "°C": ("temperature",),
    "V": ("voltage",),
}
MAX_PRECISION = 9  # RFC 3433: -8 to 9; a known defect says 1615384784
POWERS: tuple[Quantity, ...] = ("rx_power", "tx_power")
LEVELS: tuple[Level, ...] = ("low_alarm", "low_warn", "high_warn", "high_alarm")
PER_LANE: tuple[Quantity, ...] = ("rx_power", "tx_power", "bias")
COLUMNS: Mapping[Quantity, str] = {
    "rx_power": "rx_power_dbm",
    "tx_power": "tx_power_dbm",
    "bias": "bias_ma",
    "temperature": "temperature_c",
    "voltage": "voltage_v",
}


@dataclass(frozen=True, slots=True)
class Unit:
    """How raw numbers of one sensor become watts, dBm, amperes, degrees or volts."""

    name: str
    exponent: int

    @classmethod
    def of(cls, kind: int | None, scale: int | None, precision: int | None) -> Unit | None:
        """Return the unit of EntitySensorDataType, -Scale and -Precision; None where it makes no sense."""
        name, exponent = UNITS.get(kind or 0), SCALE_EXPONENT.get(scale or 0)
        if name is None or exponent is None or precision is None or not -8 <= precision <= MAX_PRECISION:
            return None
        return cls(name, exponent - precision)

    def value(self, raw: int, shift: int = 0) -> float:
        """Return the number in the base unit, or in 10^-shift of it, correctly rounded."""
        exponent = self.exponent + shift
        return raw * 10.0**exponent if exponent >= 0 else raw / 10.0**-exponent


@dataclass(frozen=True, slots=True)
class Reading:
    """One sensor's word. ``lane`` is the device's own number, None where it names none.

    ``value`` is in the unit of its column (dBm, mA, °C, V); None without a reading. ``dark``: the sensor says
    that there is no light. ``levels`` are the module's own, dBm.
    """

    place: Place
    quantity: Quantity
    lane: int | None
    value: float | None
    dark: bool = False
    levels: Mapping[Level, float] | None = None
    module_type: str | None = None
    module_serial: str | None = None


def dbm(watts: float) -> float | None:
    """Return power in dBm, 10·log10(mW); None for zero and less, which has no logarithm."""
    return 10 * math.log10(watts * 1000) if watts > 0 else None


def power(raw: int, unit: Unit, no_light_dbm: float) -> tuple[float | None, bool]:
    """Return power in dBm and whether it is darkness (then the power is None).

    Zero watts is darkness; a negative number of watts is no reading.
    """
    if unit.name == "W" and raw < 0:
        return None, False
    level = dbm(unit.value(raw)) if unit.name == "W" else unit.value(raw)
    dark = level is None or level <= no_light_dbm
    return (None, True) if dark else (level, False)


def rows(readings: Iterable[Reading]) -> list[dict[str, Any]]:
    """Return the rows of table optics, without ``at`` and ``device``.

    A module with one lane has it all on lane 1; else power and bias are on lanes 1…n and the rest on
    lane 0.
    """
    ports: dict[Place, list[Reading]] = defaultdict(list)
    for reading in readings:
        ports[reading.place].append(reading)
    return [row for place in sorted(ports, key=str) for row in _port(place, ports[place])]


def _port(place: Place, readings: list[Reading]) -> list[dict[str, Any]]:
    lanes = _lanes(readings)
    many = len(set(lanes.values())) > 1
    rows: dict[int, dict[str, Any]] = {}
    for number, reading in enumerate(readings):
        lane = lanes.get(number, 0 if many else 1)
        row = rows.setdefault(lane, {"if_index": place[0], "if_name": place[1], "lane": lane})
        row.update(_cells(reading))
    return [rows[lane] for lane in sorted(rows)]


def _lanes(readings: list[Reading]) -> dict[int, int]:
    """Return the lane, from 1, of each reading that belongs to one, by its place in the list.

    Numbers from 0 are shifted; where the device gives no numbers, sensors of one quantity count up.
    """
    per_lane = {n: reading for n, reading in enumerate(readings) if reading.quantity in PER_LANE}
    if any(reading.lane is None for reading in per_lane.values()):
        seen: dict[str, int] = defaultdict(int)
        lanes = {}
        for n, reading in per_lane.items():
            seen[reading.quantity] += 1
            lanes[n] = seen[reading.quantity]
        return lanes
    given = {n: reading.lane or 0 for n, reading in per_lane.items()}
    shift = 1 if 0 in given.values() else 0
    if len(set(given.values())) == 1:
        return dict.fromkeys(given, 1)
    return {n: lane + shift for n, lane in given.items()}


def _cells(reading: Reading) -> dict[str, Any]:
    cells: dict[str, Any] = {COLUMNS[reading.quantity]: reading.value}
    if reading.quantity == "rx_power" and (reading.dark or reading.value is not None):
        cells["no_light"] = reading.dark
    if reading.quantity in POWERS:
        for level, value in (reading.levels or {}).items():
            cells[f"{reading.quantity}_{level}_dbm"] = value
    if reading.module_type:
        cells["module_type"] = reading.module_type
    if reading.module_serial:
        cells["module_serial"] = reading.module_serial
    return cells


def levels(raw: Mapping[Level, int | None], unit: Unit, none: Iterable[int]) -> dict[Level, float]:
    """Return a module's levels in dBm; nothing where they contradict each other.

    They must not fall from low alarm to high alarm, and some low one must lie below some high one.
    """
    nothing = set(none)
    found: dict[Level, float] = {}
    for level in LEVELS:
        value = raw.get(level)
        if value is None or value in nothing:
            continue
        converted = dbm(unit.value(value)) if unit.name == "W" else unit.value(value)
        if converted is not None:
            found[level] = converted
    ordered = [found[level] for level in LEVELS if level in found]
    sound = ordered == sorted(ordered) and (len(ordered) < 2 or ordered[0] < ordered[-1])
    return found if sound else {}
