"""The interfaces of a device by number and by every name that it goes by."""

from __future__ import annotations

from dataclasses import dataclass, field

from correlator.pollers.device import Row, TableRows
from correlator.pollers.text import physical_address, text


def if_name(row: Row) -> str | None:
    """Return an interface's lasting name: ifName, else ifDescr."""
    return text(row.get("ifName")) or text(row.get("ifDescr"))


@dataclass
class Names:
    """Finds interfaces: ``by_index`` gives the name, ``find`` the index by any of its names."""

    by_index: dict[int, str] = field(default_factory=dict)
    _tiers: tuple[dict[str, int | None], ...] = field(default_factory=lambda: ({}, {}, {}, {}))

    @classmethod
    def of(cls, rows: TableRows) -> Names:
        """Return the names in rows of table interfaces or names, whose index is ifIndex."""
        names = cls()
        for index, row in rows.items():
            if len(index) == 1:
                names._add(index[0], row)
        return names

    def name(self, if_index: int | None) -> str | None:
        """Return the name of an interface; None where it is not known."""
        return None if if_index is None else self.by_index.get(if_index)

    def find(self, *candidates: str | None) -> int | None:
        """Return the ifIndex of the first candidate that is an interface's name.

        A candidate is looked for among ifName, then ifDescr, MAC address and ifAlias; what two
        interfaces share there names neither.
        """
        for candidate in candidates:
            for tier in self._tiers:
                if candidate and (found := tier.get(candidate.casefold())) is not None:
                    return found
        return None

    def place(self, if_index: int | None) -> dict[str, int | str | None]:
        """Return the columns if_index and if_name."""
        return {"if_index": if_index, "if_name": self.name(if_index)}

    def _add(self, if_index: int, row: Row) -> None:
        name = if_name(row)
        if name is not None:
            self.by_index[if_index] = name
        aliases = (
            name,
            text(row.get("ifDescr")),
            physical_address(row.get("ifPhysAddress")),
            text(row.get("ifAlias")),
        )
        for tier, alias in zip(self._tiers, aliases, strict=True):
            if alias is not None:
                key = alias.casefold()
                tier[key] = if_index if tier.get(key, if_index) == if_index else None
