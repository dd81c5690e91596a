"""Light at a switch's ports: which sensors there are, learned seldom, and what they say, read often."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from correlator.pollers import cells, sensors
from correlator.pollers.counters import restarted
from correlator.pollers.device import Device, Row, TableRows
from correlator.pollers.entities import Entities
from correlator.pollers.light import Reading, rows
from correlator.pollers.light_layout import LightLayout, Place
from correlator.pollers.names import Names
from correlator.pollers.text import number
from correlator.profiles.profile import Cells
from correlator.snmp.target import Oid

LEARN_AFTER = timedelta(hours=1)  # many agents never say that a module was changed
SAID_AT_MOST = 8  # ports that one remark names

Known = sensors.KnownSensors | cells.KnownCells


@dataclass(frozen=True)
class Inventory:
    """The sensors of a device by source, and when and in which state they were learned.

    ``remarks`` tell which of its ports are no interfaces and whose levels were refused, and why.
    """

    at: datetime
    uptime_cs: int | None
    last_change: int | None
    known: Mapping[str, Known]
    remarks: tuple[str, ...] = ()
    layout: LightLayout | None = None

    @cached_property
    def prepared(self) -> tuple[LightLayout, int | None, tuple[int, ...]] | None:
        """Layout, sysUpTime when it was made, and its companions' values; None without a layout."""
        if self.layout is None:
            return None
        change = () if self.last_change is None else (self.last_change,)
        return self.layout, self.uptime_cs, change[: len(self.layout.scalars[1:])]


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
        answered: set[Oid] = set()
        found = await _readings(device, learned, answered)
        device.remarks += learned.remarks
        if self.inventory is not None and not device.failed:
            self.inventory = replace(learned, layout=_layout(device, learned, answered))
        return rows(found or [])

    def known(self, now: datetime) -> tuple[LightLayout, int | None, tuple[int, ...]] | None:
        """Return layout, sysUpTime when it was made, and its companions' values; None if due anew."""
        learned = self.inventory
        return None if learned is None or now - learned.at >= LEARN_AFTER else learned.prepared

    def doubt(self, for_good: bool) -> None:
        """Learn anew at the next reading or, ``for_good``, read this device alone until that is due."""
        if self.inventory is not None:
            self.inventory = replace(self.inventory, layout=None) if for_good else None

    def used(self) -> None:
        """Note a reading: the inventory's age is all that counts."""


async def learn(device: Device, now: datetime) -> Inventory:
    """Return the sensors that speak of a port."""
    sources = device.profile.optics
    wanted = any(_needs_entities(source) for source in sources.values())
    found = await device.table("entities") if wanted else {}
    names = Names.of(await device.table("names")) if found or not wanted or len(sources) > 1 else Names()
    entities = Entities.of(found, await device.table("aliases") if found else {})
    some = next(iter(found.values()), {})
    known: dict[str, Known] = {}
    for name, source in sources.items():
        if isinstance(source, Cells):
            known[name] = await cells.learn(device, name, source, entities, names)
        elif found or source.number:
            known[name] = await sensors.learn(device, name, source, entities, names)
    return Inventory(
        now, number(some.get("sysUpTime")), number(some.get("entLastChangeTime")), known, _remarks(known)
    )


def _layout(device: Device, inventory: Inventory, answered: Container[Oid]) -> LightLayout | None:
    """Return how what has answered is read together with other devices' light.

    None where a sensor has answered nothing: then the inventory does not hold.
    """
    places = _places(device, inventory)
    known = {oid: place for oid, place in places.items() if oid in answered}
    if {place[:2] for place in known.values()} != {place[:2] for place in places.values()}:
        return None
    states = device.profile.tables["entities"].scalars
    said = {"sysUpTime": inventory.uptime_cs, "entLastChangeTime": inventory.last_change}
    scalars = tuple(states[name] for name, value in said.items() if name in states and value is not None)
    return LightLayout(
        inventory.known, scalars if inventory.uptime_cs is not None else (), tuple(known.items())
    )


def _needs_entities(source: Any) -> bool:
    return not isinstance(source, Cells) or source.port.by == "entity"


def _remarks(known: Mapping[str, Known]) -> tuple[str, ...]:
    """Return sentences about ports without interface and about refused levels."""
    unplaced = sorted({name for source in known.values() for name in source.unplaced})
    reasons: dict[str, list[str]] = {}
    for source in known.values():
        for place, why in source.refused:
            names = reasons.setdefault(why, [])
            if place[1] not in names:
                names.append(place[1])
    remarks = [f"no interface is called {_some(unplaced)}: its light has no ifIndex"] if unplaced else []
    remarks += [f"levels of {_some(names)} not used: {why}" for why, names in sorted(reasons.items())]
    return tuple(remarks)


def _some(names: list[str]) -> str:
    more = len(names) - SAID_AT_MOST
    return ", ".join(names[:SAID_AT_MOST]) + (f" and {more} more" if more > 0 else "")


async def _readings(
    device: Device, inventory: Inventory, answered: set[Oid] | None = None
) -> list[Reading] | None:
    """Return what the sensors say now; None where the inventory holds no longer.

    It holds no longer where a sensor is gone, unless it was just learned: then the objects that answered
    are put into ``answered``.

    All sources are asked for together, so that no request goes out half full.
    """
    places = _places(device, inventory)
    if not places:
        return []
    states = device.profile.tables["entities"].scalars
    said = await device.values("optics", [*states.values(), *places])
    if _changed(inventory, {state: said.get(oid) for state, oid in states.items()}):
        return None
    answers: dict[str, TableRows] = {name: {} for name in inventory.known}
    for oid, (name, index, column) in places.items():
        if oid in said:
            answers[name].setdefault(index, {})[column] = said[oid]
    if answered is not None:
        answered.update(said)
    elif any(index not in answers[name] for name, index, _ in places.values()):
        return None
    return [light for name, known in inventory.known.items() for light in known.readings(answers[name])]


def _places(device: Device, inventory: Inventory) -> dict[Oid, Place]:
    """Return the objects that the inventory's values are read from: source, index and column of each."""
    return {
        device.whole(oid) + index: (name, index, column)
        for name, known in inventory.known.items()
        for columns, indexes in known.questions
        for index in indexes
        for column, oid in columns.items()
    }


def _changed(inventory: Inventory, row: Row) -> bool:
    if inventory.last_change is None and inventory.uptime_cs is None:
        return False  # nothing was walked that told them
    return number(row.get("entLastChangeTime")) != inventory.last_change or restarted(
        inventory.uptime_cs, number(row.get("sysUpTime"))
    )
