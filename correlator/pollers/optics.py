"""Light at a switch's ports: which sensors there are, learned seldom, and what they say, read often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from correlator.pollers.counters import restarted
from correlator.pollers.device import Device, Row, TableRows
from correlator.pollers.entities import Entities
from correlator.pollers.light import LEVELS, POWERS, QUANTITIES, Place, Reading, Unit, levels, power, rows
from correlator.pollers.names import Names
from correlator.pollers.text import number
from correlator.profiles.profile import Level, Quantity, Sensors, Table
from correlator.snmp.target import Index, Oid

LEARN_AFTER = timedelta(hours=1)  # many agents never say that a module was changed
OK = 1  # EntitySensorStatus
MAX_LANES = 64
MILLI = 3  # amperes become milliamperes


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor that speaks of a port: where, what, in which unit, with which levels."""

    place: Place
    quantity: Quantity
    lane: int | None
    unit: Unit
    levels: Mapping[Level, float]
    module_type: str | None
    module_serial: str | None


@dataclass(frozen=True, slots=True)
class Inventory:
    """The sensors of a device by source and index, and when and in which state they were learned."""

    at: datetime
    uptime_cs: int | None
    last_change: int | None
    sensors: Mapping[str, Mapping[Index, Sensor]]


@dataclass
class OpticsReader:
    """Reads a device's light; keeps the inventory until the device says, or shows, that it changed."""

    inventory: Inventory | None = field(default=None)

    async def read(self, device: Device, now: datetime) -> list[dict[str, Any]]:
        """Return rows of table optics without ``at`` and ``device``."""
        if self.inventory is not None and now - self.inventory.at < LEARN_AFTER:
            found = await _readings(device, self.inventory)
            if found is not None:
                return rows(found)
        learned = await learn(device, now)
        self.inventory = None if device.failed else learned  # half an inventory would hide the rest
        return rows(await _readings(device, learned) or [])


async def learn(device: Device, now: datetime) -> Inventory:
    """Return the sensors that speak of a port."""
    found = await device.table("entities")
    names = Names.of(await device.table("names")) if found else Names()
    entities = Entities.of(found, await device.table("aliases") if found else {})
    some = next(iter(found.values()), {})
    return Inventory(
        now,
        number(some.get("sysUpTime")),
        number(some.get("entLastChangeTime")),
        {
            name: await _sensors(device, name, source, entities, names)
            for name, source in device.profile.optics.items()
            if found
        },
    )


async def _sensors(
    device: Device, name: str, source: Sensors, entities: Entities, names: Names
) -> dict[Index, Sensor]:
    found = await device.read(name, _columns(source, "type", "scale", "precision"), Table())
    placed: dict[Index, Sensor] = {}
    limits = await _limits(device, name, source) if found else {}
    for index, row in sorted(found.items()):
        sensor = _sensor(index, row, source, entities, names, limits.get(index, {}))
        if sensor is not None:
            placed[index] = sensor
    return placed


def _columns(source: Sensors, *kinds: str) -> dict[str, Oid]:
    return {str(kind): oid for kind, oid in source.columns.items() if kind in kinds}


async def _limits(device: Device, name: str, source: Sensors) -> TableRows:
    if source.thresholds is None:
        return {}
    return await device.read(
        f"{name} thresholds", {str(level): oid for level, oid in source.thresholds.columns.items()}, Table()
    )


def _sensor(
    index: Index, row: Row, source: Sensors, entities: Entities, names: Names, limits: Row
) -> Sensor | None:
    unit = Unit.of(*(number(row.get(kind)) for kind in ("type", "scale", "precision")))
    entity = index[0]
    words = entities.words(entity)
    quantity = _quantity(unit, words, source)
    if unit is None or quantity is None:
        return None
    if_index = entities.port(entity, names, source.port)
    if_name = names.name(if_index)
    if if_name is None:
        return None
    raw = {level: number(limits.get(level)) for level in LEVELS}
    return Sensor(
        (if_index, if_name),
        quantity,
        _lane(source, words),
        unit,
        levels(raw, unit, source.thresholds.none if source.thresholds else ()) if quantity in POWERS else {},
        *entities.module(entity),
    )


def _lane(source: Sensors, words: str) -> int | None:
    """Return the lane's number that the words tell; None where they tell none that a module can have."""
    match = source.lane.search(words) if source.lane else None
    lane = int(match.group(1)) if match else MAX_LANES
    return lane if lane < MAX_LANES else None


def _quantity(unit: Unit | None, words: str, source: Sensors) -> Quantity | None:
    """Return what a sensor measures, by its unit and words; None where that is not told."""
    for quantity in QUANTITIES.get(unit.name, ()) if unit else ():
        if quantity in source.words and source.words[quantity].search(words):
            return quantity
    return None


async def _readings(device: Device, inventory: Inventory) -> list[Reading] | None:
    """Return what the sensors say now; None where the inventory holds no longer."""
    found: list[Reading] = []
    for name, sensors in inventory.sensors.items():
        source = device.profile.optics[name]
        columns = _columns(source, "value", "status")
        table = Table(scalars=device.profile.tables["entities"].scalars)
        answers = await device.read(name, columns, table, sensors)
        if any(_changed(inventory, row) for row in answers.values()) or set(answers) != set(sensors):
            return None
        found += [_reading(sensor, answers[index], source) for index, sensor in sensors.items()]
    return found


def _changed(inventory: Inventory, row: Row) -> bool:
    return number(row.get("entLastChangeTime")) != inventory.last_change or restarted(
        inventory.uptime_cs, number(row.get("sysUpTime"))
    )


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
        sensor.levels,
        sensor.module_type,
        sensor.module_serial,
    )
