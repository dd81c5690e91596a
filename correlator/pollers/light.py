"""What a sensor's raw number means (RFC 3433), and the rows of table optics made of such readings."""

from __future__ import annotations

import math
import re
import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from correlator.profiles.profile import UNIT, Level, Quantity

Place = tuple[int | None, str]  # if_index (None: no interface has that name), if_name

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
PER_LANE: tuple[Quantity, ...] = ("rx_power", "tx_power", "bias", "pre_fec_ber")
LEAST_LEVEL_DBM, MOST_LEVEL_DBM = -40.0, 10.0  # what a module can sensibly call a level of power
COLUMNS: Mapping[Quantity, str] = {
    "rx_power": "rx_power_dbm",
    "tx_power": "tx_power_dbm",
    "bias": "bias_ma",
    "temperature": "temperature_c",
    "voltage": "voltage_v",
    "pre_fec_ber": "pre_fec_ber",
}
MILLI = 3  # amperes become milliamperes
WRITTEN = {"m": -3, "u": -6, "n": -9}
BASES = {"C": "°C"}
TEXT_NUMBER = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)")
DARK_TEXT = re.compile(r"\s*-\s*inf", re.IGNORECASE)


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

    @classmethod
    def written(cls, text: str) -> Unit:
        """Return the unit that a profile writes, such as ``0.01 dBm``, ``0.1 uW`` or ``mA``."""
        match = UNIT.match(text)
        assert match, text  # the profile's own check has let it pass
        step, base = match.groups()
        exponent = 0 if step is None else -len(step.partition(".")[2]) or len(step) - 1
        if len(base) > 1 and base[0] in WRITTEN:
            exponent, base = exponent + WRITTEN[base[0]], base[1:]
        return cls(BASES.get(base, base), exponent)

    def value(self, raw: float, shift: int = 0) -> float:
        """Return the number in the base unit, or in 10^-shift of it, correctly rounded."""
        if self.name == "float32":  # an IEEE 754 single in an unsigned integer
            single: float = struct.unpack(">f", (int(raw) & 0xFFFF_FFFF).to_bytes(4, "big"))[0]
            return single
        exponent = self.exponent + shift
        return raw * 10.0**exponent if exponent >= 0 else raw / 10.0**-exponent


@dataclass(frozen=True, slots=True)
class Formula:
    """How an integer becomes a reading without looking at anything else: ``power`` and ``Unit.value``.

    The value is ``raw * times / over`` in the column's unit, of watts the logarithm. ``none`` are the raw
    numbers that say: no reading.
    """

    times: float
    over: float
    is_power: bool
    is_watts: bool
    no_light_dbm: float
    none: tuple[int, ...]

    @classmethod
    def of(cls, quantity: Quantity, unit: Unit, none: Iterable[int], no_light_dbm: float) -> Formula | None:
        """Return the formula of a quantity in a unit; None where there is no such simple one."""
        if unit.name == "float32":
            return None
        exponent = unit.exponent + (MILLI if quantity == "bias" else 0)
        up, down = (10.0**exponent, 1.0) if exponent >= 0 else (1.0, 10.0**-exponent)
        return cls(up, down, quantity in POWERS, unit.name == "W", no_light_dbm, tuple(sorted(set(none))))


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


def power(raw: float, unit: Unit, no_light_dbm: float) -> tuple[float | None, bool]:
    """Return power in dBm and whether it is darkness (then the power is None).

    Zero watts is darkness; a negative number of watts is no reading.
    """
    if unit.name == "W" and raw < 0:
        return None, False
    level = dbm(unit.value(raw)) if unit.name == "W" else unit.value(raw)
    dark = level is None or level <= no_light_dbm
    return (None, True) if dark else (level, False)


def told(text: str) -> float | None:
    """Return the number that a text begins with, -inf for "-Inf"; None where it begins with none."""
    if DARK_TEXT.match(text):
        return -math.inf
    match = TEXT_NUMBER.match(text)
    number = float(match.group(1)) if match else math.inf
    return number if math.isfinite(number) else None


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
    given = [reading for reading in readings if reading.value is not None or reading.dark]
    lanes = _lanes(given)
    only = next(iter(set(lanes.values()) - {0}), 1) if len(set(lanes.values())) < 2 else 0
    rows: dict[int, dict[str, Any]] = {}
    for number, reading in enumerate(given):
        lane = lanes.get(number, only)
        row = rows.setdefault(lane, {"if_index": place[0], "if_name": place[1], "lane": lane})
        row.update(_cells(reading))
    return [rows[lane] for lane in sorted(rows)]


def _lanes(readings: list[Reading]) -> dict[int, int]:
    """Return the lane of each reading that belongs to one, by its place in the list.

    Lanes that the device numbers are told from 1; what it says of the module as a whole beside them
    is on lane 0. Where it numbers none, sensors of one quantity count up.
    """
    per_lane = {n: reading for n, reading in enumerate(readings) if reading.quantity in PER_LANE}
    given = {n: reading.lane for n, reading in per_lane.items() if reading.lane is not None}
    if not given:
        seen: dict[str, int] = defaultdict(int)
        lanes = {}
        for n, reading in per_lane.items():
            seen[reading.quantity] += 1
            lanes[n] = seen[reading.quantity]
        return lanes
    shift = 1 if 0 in given.values() else 0
    lanes = {n: lane + shift for n, lane in given.items()}
    numbered = {per_lane[n].quantity for n in given}
    alone = next(iter(lanes.values())) if len(set(lanes.values())) == 1 else 0
    for n, reading in per_lane.items():
        lanes.setdefault(n, 0 if reading.quantity in numbered else alone)
    return lanes


def _cells(reading: Reading) -> dict[str, Any]:
    cells: dict[str, Any] = {COLUMNS[reading.quantity]: reading.value}
    if reading.quantity == "rx_power":
        cells["no_light"] = reading.dark
    if reading.quantity in POWERS:
        for level, value in (reading.levels or {}).items():
            cells[f"{reading.quantity}_{level}_dbm"] = value
    if reading.module_type:
        cells["module_type"] = reading.module_type
    if reading.module_serial:
        cells["module_serial"] = reading.module_serial
    return cells


@dataclass(frozen=True, slots=True)
class Judged:
    """The levels of a module that can be used, dBm; ``refused`` says why there are none, if so."""

    levels: Mapping[Level, float]
    refused: str | None = None


def levels(raw: Mapping[Level, float | None], unit: Unit, none: Iterable[float] = ()) -> Judged:
    """Return a module's levels in dBm: all of them or, where they make no sense, none and the reason.

    They must not fall from low alarm to high alarm, some low one must lie below some high one, and
    all must lie between -40 and +10 dBm. Nothing is guessed in the place of what is refused.
    """
    nothing = set(none)
    given = {level: value for level in LEVELS if (value := raw.get(level)) not in (None, *nothing)}
    if not given:
        return Judged({})
    if len(given) > 1 and not any(given.values()):
        return Judged({}, "all levels are zero")
    found = {level: value for level, number in given.items() if (value := _level(number, unit)) is not None}
    ordered = [found[level] for level in LEVELS if level in found]
    if any(not LEAST_LEVEL_DBM <= level <= MOST_LEVEL_DBM for level in ordered):
        return Judged({}, "a level lies outside -40 to +10 dBm")
    if ordered != sorted(ordered) or (len(ordered) > 1 and ordered[0] == ordered[-1]):
        return Judged({}, "the levels contradict each other")
    return Judged(found)


def _level(raw: float | None, unit: Unit) -> float | None:
    if raw is None:
        return None
    return dbm(unit.value(raw)) if unit.name == "W" else unit.value(raw)
