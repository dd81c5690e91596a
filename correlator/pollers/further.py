"""Counters of interfaces that stand in tables with an index of their own (RMON, OTN)."""

from __future__ import annotations

from dataclasses import dataclass, field

from correlator.pollers.device import Device, Row, TableRows
from correlator.profiles.profile import Further, Table
from correlator.snmp.target import Index, Oid

IF_INDEX = "1.3.6.1.2.1.2.2.1.1."  # etherStatsDataSource points here
SOURCE = "data source"


@dataclass
class FurtherReader:
    """Reads such tables; remembers which rows a device has, so that only these are asked for."""

    rows: dict[str, dict[Index, int]] = field(default_factory=dict)
    _columns: dict[str, dict[str, Oid]] = field(default_factory=dict)

    async def learn(self, device: Device, found: TableRows) -> None:
        """Walk the profile's tables and add their objects to the interfaces' rows in ``found``."""
        self.rows, self._columns = {}, {}
        for name, table in device.profile.further_counters.items():
            if table.unless and any(table.unless in row for row in found.values()):
                continue
            columns = table.columns | ({SOURCE: table.data_source} if table.data_source else {})
            told = await device.read(name, dict(columns), Table())
            placed = {index: _if_index(index, row, table) for index, row in told.items()}
            self.rows[name] = {i: if_index for i, if_index in placed.items() if (if_index,) in found}
            self._columns[name] = {n: device.whole(oid) for n, oid in table.columns.items()}
            self._add(name, told, found)

    def places(self) -> dict[tuple[str, int], tuple[Oid, Index]]:
        """Return column and index of the objects of each interface, by object name and ifIndex."""
        return {
            (object_name, if_index): (oid, index)
            for name, known in self.rows.items()
            for index, if_index in known.items()
            for object_name, oid in self._columns[name].items()
        }

    async def add(self, device: Device, found: TableRows) -> None:
        """Add the objects of the rows that are known."""
        for name, known in self.rows.items():
            if known:
                columns = dict(device.profile.further_counters[name].columns)
                told = await device.read(name, columns, device.profile.tables["counters"], known)
                self._add(name, told, found)

    def _add(self, name: str, told: TableRows, found: TableRows) -> None:
        for index, if_index in self.rows[name].items():
            cells = {k: v for k, v in told.get(index, {}).items() if k not in (SOURCE, "sysUpTime")}
            if (if_index,) in found:
                found[if_index,].update(cells)


def _if_index(index: Index, row: Row, table: Further) -> int:
    """Return the ifIndex that a row is about; -1 where it is about none."""
    if len(index) != len(table.index):
        return -1
    if table.data_source is not None:
        pointed = row.get(SOURCE)
        tail = pointed.removeprefix(IF_INDEX) if isinstance(pointed, str) else ""
        return int(tail) if tail.isdecimal() else -1
    if any(isinstance(part, int) and part != value for part, value in zip(table.index, index, strict=True)):
        return -1
    return index[table.index.index("port")]
