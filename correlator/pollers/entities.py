"""From a sensor to its port: the containment of physical entities (ENTITY-MIB, RFC 6933)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from re import Pattern

from correlator.pollers.device import TableRows
from correlator.pollers.names import Names
from correlator.pollers.text import number, text

IF_INDEX = "1.3.6.1.2.1.2.2.1.1."  # entAliasMappingIdentifier points here
MAX_DEPTH = 16
CHASSIS, STACK = 3, 11  # PhysicalClass: above these no port is to be looked for
PORT = 10
CAGES = (5, 9, PORT)  # container, module, port
LANE_NAME = re.compile(r"^(.*/)([2-8])$")


@dataclass(frozen=True, slots=True)
class Entities:
    """The entities of a device, and which of them are interfaces."""

    rows: TableRows
    if_index: dict[int, int]
    children: dict[int, list[int]]

    @classmethod
    def of(cls, rows: TableRows, aliases: TableRows) -> Entities:
        """Return the entities in rows of tables entities and aliases."""
        found = {}
        for index, row in aliases.items():
            target = row.get("entAliasMappingIdentifier")
            if isinstance(target, str) and target.startswith(IF_INDEX) and index:
                tail = target.removeprefix(IF_INDEX)
                if tail.isdecimal():
                    found[index[0]] = int(tail)
        children: dict[int, list[int]] = {}
        for index, row in rows.items():
            if parent := number(row.get("entPhysicalContainedIn")):
                children.setdefault(parent, []).append(index[0])
        return cls(rows, found, children)

    def words(self, entity: int) -> str:
        """Return an entity's name and description."""
        row = self.rows.get((entity,), {})
        return " ".join(filter(None, (text(row.get("entPhysicalName")), text(row.get("entPhysicalDescr")))))

    def port(self, entity: int, names: Names, pattern: Pattern[str] | None) -> tuple[int | None, int | None]:
        """Return ifIndex of the port that holds an entity, and the lane where its name tells it.

        Climbing from the entity, the first that is mapped to an interface, that holds a child that is
        (some routers map what is in the cage), or that bears an interface's name; else what ``pattern``
        finds in the entity's words. A name such as Ethernet49/2 that is no interface is lane 2 of
        Ethernet49/1.
        """
        for above in self._above(entity):
            row = self.rows.get((above,), {})
            if (mapped := self.if_index.get(above)) in names.by_index:
                return mapped, None
            named = names.find(text(row.get("entPhysicalName")), text(row.get("entPhysicalDescr")))
            if named is None and number(row.get("entPhysicalClass")) in CAGES:
                named = self._only_child(above, names)
            if named is not None:
                return named, None
        match = pattern.search(self.words(entity)) if pattern else None
        return _named(match.group(1), names) if match else (None, None)

    def holder(self, entity: int) -> str | None:
        """Return the name of what directly holds an entity."""
        above = number(self.rows.get((entity,), {}).get("entPhysicalContainedIn")) or 0
        return text(self.rows.get((above,), {}).get("entPhysicalName"))

    def port_name(self, entity: int) -> str | None:
        """Return what an entity that is a port is called; None for anything else."""
        row = self.rows.get((entity,), {})
        return text(row.get("entPhysicalName")) if number(row.get("entPhysicalClass")) == PORT else None

    def module(self, entity: int) -> tuple[str | None, str | None]:
        """Return model and serial number of the module that holds an entity, as far as told."""
        for above in self._above(entity):
            row = self.rows.get((above,), {})
            if number(row.get("entPhysicalClass")) in (CHASSIS, STACK):
                break
            model, serial = text(row.get("entPhysicalModelName")), text(row.get("entPhysicalSerialNum"))
            if model or serial:
                return model, serial
        return None, None

    def _only_child(self, entity: int, names: Names) -> int | None:
        """Return the one interface that entities directly within an entity are mapped to."""
        mapped = {self.if_index.get(child) for child in self.children.get(entity, ())} - {None}
        found = mapped.pop() if len(mapped) == 1 else None
        return found if found in names.by_index else None

    def _above(self, entity: int) -> Iterator[int]:
        """Yield an entity and those that contain it; ends at a loop or at one that is not there."""
        seen: set[int] = set()
        here: int | None = entity
        while here and here not in seen and (here,) in self.rows and len(seen) < MAX_DEPTH:
            yield here
            seen.add(here)
            here = number(self.rows[here,].get("entPhysicalContainedIn"))


def _named(name: str, names: Names) -> tuple[int | None, int | None]:
    found = names.find(name)
    lane = LANE_NAME.match(name)
    if found is not None or lane is None:
        return found, None
    whole = names.find(f"{lane.group(1)}1")
    return whole, int(lane.group(2)) if whole is not None else None
