"""Light told by sensors of physical entities (RFC 3433, Cisco's and others' cousins of it)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from correlator.pollers.device import Device, Row, TableRows
from correlator.pollers.entities import Entities
from correlator.pollers.light import (
    LEVELS,
    MILLI,
    POWERS,
    QUANTITIES,
    Formula,
    Judged,
    Place,
    Reading,
    Unit,
    levels,
    power,
)
from correlator.pollers.names import Names
from correlator.pollers.text import number
from correlator.profiles.profile import Level, Quantity, Sensors, Table, ThresholdRows
from correlator.snmp.target import Index, Oid

OK = 1  # EntitySensorStatus
MAX_LANES = 64


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor that speaks of a port: where, what, in which unit, with which levels."""

    place: Place
    quantity: Quantity
    lane: int | None
    unit: Unit
    judged: Judged
    module_type: str | None
    module_serial: str | None


@dataclass(frozen=True)
class KnownSensors:
    """The sensors of one source that speak of a port, by entity; ``readings`` makes sense of values."""

    source: Sensors
    sensors: Mapping[Index, Sensor]

    @property
    def unplaced(self) -> tuple[str, ...]:
        """The names of ports that are no interface."""
        return tuple(sorted({sensor.place[1] for sensor in self.sensors.values() if sensor.place[0] is None}))

    @property
    def questions(self) -> list[tuple[dict[str, Oid], list[Index]]]:
        """Which columns to read, and for which rows.

        The state is asked of the powers and stands for the rest of their module, which would cost as
        much again.
        """
        value = _columns(self.source, "value")
        state = value | _columns(self.source, "status")
        with_power = {sensor.place for sensor in self.sensors.values() if sensor.quantity in POWERS}
        beside = [
            index
            for index, sensor in self.sensors.items()
            if sensor.quantity not in POWERS and sensor.place in with_power
        ]
        known = set(beside)
        return [(state, [index for index in self.sensors if index not in known]), (value, beside)]

    @property
    def refused(self) -> list[tuple[Place, str]]:
        """The places whose levels make no sense, and why."""
        return [(s.place, s.judged.refused) for s in self.sensors.values() if s.judged.refused]

    def readings(self, answers: TableRows) -> list[Reading]:
        """Return what the sensors say; where no power of a module is well, nothing of it is."""
        return [reading for _, reading in self.told(answers)]

    def told(self, answers: TableRows) -> list[tuple[tuple[str, Index], Reading]]:
        """Return the same, each beside column and index of the value that it comes from."""
        told = {i: number(row.get("status")) in (None, OK) for i, row in answers.items()}
        powers = [(s.place, told[i]) for i, s in self.sensors.items() if i in told and s.quantity in POWERS]
        silent = {place for place, _ in powers} - {place for place, well in powers if well}
        return [
            (("value", index), _reading(sensor, answers[index], self.source))
            for index, sensor in self.sensors.items()
            if index in answers and sensor.place not in silent
        ]

    def formulas(self) -> dict[tuple[str, Index], Formula | None]:
        """Return how each value becomes a reading, by column and index."""
        return {
            ("value", index): Formula.of(
                sensor.quantity, sensor.unit, self.source.no_reading, self.source.no_light_dbm
            )
            for index, sensor in self.sensors.items()
        }


async def learn(device: Device, name: str, source: Sensors, entities: Entities, names: Names) -> KnownSensors:
    """Return the sensors of a source that speak of a port."""
    found = await device.read(name, _columns(source, "type", "scale", "precision"), Table())
    limits = await _limits(device, name, source) if found else {}
    placed = {}
    for index, row in sorted(found.items()):
        sensor = _sensor(index, row, source, entities, names, limits.get(index, {}))
        if sensor is not None:
            placed[index] = sensor
    return KnownSensors(source, placed)


def _columns(source: Sensors, *kinds: str) -> dict[str, Oid]:
    return {str(kind): oid for kind, oid in source.columns.items() if kind in kinds}


async def _limits(device: Device, name: str, source: Sensors) -> dict[Index, dict[Level, int | None]]:
    """Return the raw levels by the sensor's index."""
    thresholds = source.thresholds
    if thresholds is None or not source.verified:
        return {}
    if isinstance(thresholds, ThresholdRows):
        columns = {
            "severity": thresholds.severity,
            "relation": thresholds.relation,
            "value": thresholds.value,
        }
        return _from_rows(await device.read(f"{name} thresholds", columns, Table()), thresholds)
    columns = {str(level): oid for level, oid in thresholds.columns.items()}
    found = await device.read(f"{name} thresholds", columns, Table())
    return {index: {level: number(row.get(level)) for level in LEVELS} for index, row in found.items()}


def _from_rows(found: TableRows, rule: ThresholdRows) -> dict[Index, dict[Level, int | None]]:
    limits: dict[Index, dict[Level, int | None]] = {}
    for index, row in sorted(found.items()):
        level = _level(number(row.get("severity")), number(row.get("relation")), rule)
        if level is not None:
            limits.setdefault(index[:-1], {}).setdefault(level, number(row.get("value")))
    return limits


def _level(severity: int | None, relation: int | None, rule: ThresholdRows) -> Level | None:
    if severity not in (rule.warn, rule.alarm):
        return None
    if relation in rule.below:
        return "low_alarm" if severity == rule.alarm else "low_warn"
    if relation in rule.above:
        return "high_alarm" if severity == rule.alarm else "high_warn"
    return None


def _sensor(
    index: Index,
    row: Row,
    source: Sensors,
    entities: Entities,
    names: Names,
    limits: Mapping[Level, int | None],
) -> Sensor | None:
    unit = Unit.of(*(number(row.get(kind)) for kind in ("type", "scale", "precision")))
    if unit is None:
        return None
    words, entity = entities.words(index[0]), index[0]
    numbered = source.number.match(str(entity)) if source.number else None
    parts = numbered.groupdict() if numbered else {}
    quantity = _quantity(unit, words, parts.get("kind"), source)
    if quantity is None:
        return None
    if_index, lane = _place(entity, parts, source, entities, names)
    place = _named(if_index, names)
    if place is None and unit.name == "dBm":  # power supplies speak of watts, too
        place = None, _written(words, entity, source, entities)
    if place is None:
        return None
    if unit.name == "W":
        unit = Unit("W", unit.exponent + source.exponent)
    none = source.thresholds.none if source.thresholds else ()
    judged = levels(limits, unit, none) if quantity in POWERS else Judged({})
    lane = lane if lane is not None else _lane(source, words)
    return Sensor(place, quantity, lane, unit, judged, *entities.module(entity))


def _named(if_index: int | None, names: Names) -> Place | None:
    if_name = names.name(if_index)
    return (if_index, if_name) if if_name is not None else None


def _written(words: str, entity: int, source: Sensors, entities: Entities) -> str:
    """Return what a sensor's words call a port that is no interface, else what holds the sensor."""
    match = source.port.search(words) if source.port else None
    if match and any(letter.isdigit() for letter in match.group(1)):
        return match.group(1)
    return entities.holder(entity) or words or f"entity {entity}"


def _place(
    entity: int, parts: Mapping[str, str | None], source: Sensors, entities: Entities, names: Names
) -> tuple[int | None, int | None]:
    """Return ifIndex and the lane, as far as number or name tell it."""
    if parts.get("port"):
        lane = int(parts.get("lane") or 0)
        return int(parts["port"] or 0), lane + 1 - source.first_lane if lane >= source.first_lane else None
    return entities.port(entity, names, source.port)


def _lane(source: Sensors, words: str) -> int | None:
    """Return the lane's number that the words tell; None where they tell none that a module can have."""
    match = source.lane.search(words) if source.lane else None
    lane = int(match.group(1)) if match else MAX_LANES
    return lane if lane < MAX_LANES else None


def _quantity(unit: Unit, words: str, kind: str | None, source: Sensors) -> Quantity | None:
    """Return what a sensor measures, by its unit and number or words; None where that is not told."""
    for quantity in QUANTITIES.get(unit.name, ()):
        if kind is not None and source.kinds:
            if source.kinds.get(int(kind)) == quantity:
                return quantity
        elif quantity in source.words and source.words[quantity].search(words):
            return quantity
    return None


def _reading(sensor: Sensor, row: Row, source: Sensors) -> Reading:
    raw = number(row.get("value"))
    value, dark = None, False
    if raw is not None and number(row.get("status")) in (None, OK) and raw not in source.no_reading:
        if sensor.quantity in POWERS:
            value, dark = power(raw, sensor.unit, source.no_light_dbm)
        else:
            value = sensor.unit.value(raw, MILLI if sensor.quantity == "bias" else 0)
    return Reading(
        sensor.place,
        sensor.quantity,
        sensor.lane,
        value,
        dark,
        sensor.judged.levels,
        sensor.module_type,
        sensor.module_serial,
    )
