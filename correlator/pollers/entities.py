"""From a sensor to its port: the containment of physical entities (ENTITY-MIB, RFC 6933)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from re import Pattern

from correlator.pollers.device import TableRows
from correlator.pollers.names import Names
from correlator.pollers.text import number, text

IF_INDEX = "1.3.6.1.2.1.2.2.1.1."  # entAliasMappingIdentifier points here
MAX_DEPTH = 16
CHASSIS, STACK = 3, 11  # PhysicalClass: above these no port is to be looked for


@dataclass(frozen=True, slots=True)
class Entities:
    """The entities of a device, and which of them are interfaces."""

    rows: TableRows
    if_index: dict[int, int]

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
        return cls(rows, found)

    def words(self, entity: int) -> str:
        """Return an entity's name and description."""
        row = self.rows.get((entity,), {})
        return " ".join(filter(None, (text(row.get("entPhysicalName")), text(row.get("entPhysicalDescr")))))

    def port(self, entity: int, names: Names, pattern: Pattern[str] | None) -> int | None:
        """Return the ifIndex of the port that holds an entity, None where none can be found.

        Climbing from the entity, the first that is mapped to an interface or bears an interface's
        name; else what ``pattern`` finds in the entity's words.
        """
        for above in self._above(entity):
            row = self.rows.get((above,), {})
            if (mapped := self.if_index.get(above)) in names.by_index:
                return mapped
            named = names.find(text(row.get("entPhysicalName")), text(row.get("entPhysicalDescr")))
            if named is not None:
                return named
        match = pattern.search(self.words(entity)) if pattern else None
        return names.find(match.group(1)) if match else None

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

    def _above(self, entity: int) -> Iterator[int]:
        """Yield an entity and those that contain it; ends at a loop or at one that is not there."""
        seen: set[int] = set()
        here: int | None = entity
        while here and here not in seen and (here,) in self.rows and len(seen) < MAX_DEPTH:
            yield here
            seen.add(here)
            here = number(self.rows[here,].get("entPhysicalContainedIn"))
