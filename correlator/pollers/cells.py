"""Light told by columns of a table: one quantity and one unit each, as integers or as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from correlator.pollers.device import Device, Row, TableRows
from correlator.pollers.entities import Entities
from correlator.pollers.light import LEVELS, MILLI, POWERS, Formula, Judged, Place, Unit, levels, power, told
from correlator.pollers.light import Reading as Light
from correlator.pollers.names import Names
from correlator.pollers.text import number, text
from correlator.profiles.profile import Cells, IndexPattern, Port, Quantity, Reading, Table
from correlator.snmp.target import Index, Oid, Value, dotted

MAX_LANES = 64
LIT, DARKEST = 40, 60  # dBm: beyond these no list is in dBm
SLOT = 10_000  # ports of one slot, in the number that stands for slot and port
EXPONENT = " exponent"


@dataclass(frozen=True, slots=True)
class Cell:
    """One value that will be read: what it is about."""

    place: Place
    port: int
    lane: int | None
    reading: Reading
    judged: Judged
    module_type: str | None
    module_serial: str | None


@dataclass(frozen=True)
class KnownCells:
    """The values of one source, by column and index; ``unplaced`` names ports that are no interface."""

    source: Cells
    cells: Mapping[tuple[str, Index], Cell]
    unplaced: tuple[str, ...]

    @property
    def questions(self) -> list[tuple[dict[str, Oid], list[Index]]]:
        """Which columns to read, and for which rows: those that have the same rows together."""
        rows: dict[str, list[Index]] = {}
        for column, index in self.cells:
            rows.setdefault(column, []).append(index)
        columns = _columns(self.source)
        together: dict[tuple[Index, ...], dict[str, Oid]] = {}
        for column, indexes in rows.items():
            asked = together.setdefault(tuple(indexes), {})
            asked |= {c: oid for c, oid in columns.items() if c in (column, column + EXPONENT)}
        return [(asked, list(indexes)) for indexes, asked in together.items()]

    @property
    def refused(self) -> list[tuple[Place, str]]:
        """The places whose levels make no sense, and why."""
        return [(cell.place, cell.judged.refused) for cell in self.cells.values() if cell.judged.refused]

    def readings(self, answers: TableRows) -> list[Light]:
        """Return what the cells say.

        Where received and sent power and bias of a port are all zero, nothing is measured there.
        """
        return [light for _, light in self.told(answers)]

    def told(self, answers: TableRows) -> list[tuple[tuple[str, Index], Light]]:
        """Return the same, each beside column and index of the value that it comes from."""
        idle = _idle(self.cells, answers)
        return [
            ((column, index), light)
            for (column, index), cell in self.cells.items()
            if index in answers and (cell.port, cell.lane) not in idle
            for light in _lights(cell, answers[index], column, self.source)
        ]

    def formulas(self) -> dict[tuple[str, Index], Formula | None]:
        """Return how each value becomes a reading, by column and index; None where it takes more."""
        return {key: _formula(cell.reading, self.source) for key, cell in self.cells.items()}


def _formula(reading: Reading, source: Cells) -> Formula | None:
    if reading.listed or reading.exponent_oid or reading.positive_unit:
        return None
    none = (*source.no_reading, *reading.no_reading)
    return Formula.of(reading.quantity, Unit.written(reading.unit), none, source.no_light_dbm)


def _columns(source: Cells) -> dict[str, Oid]:
    """Return the columns to read, named by their OIDs: two readings may share one."""
    columns = {dotted(reading.oid): reading.oid for reading in source.readings}
    exponents = {
        dotted(reading.oid) + EXPONENT: reading.exponent_oid
        for reading in source.readings
        if reading.exponent_oid
    }
    return columns | exponents


async def learn(device: Device, name: str, source: Cells, entities: Entities, names: Names) -> KnownCells:
    """Return the cells that a source has on this device, each with its port."""
    found = await device.read(name, _columns(source), Table())
    if not found:
        return KnownCells(source, {}, ())
    ports = _Ports(source.port, await _port_words(device, name, source), entities, names)
    limits = await _limits(device, name, source)
    modules = await _modules(device, name, source)
    cells: dict[tuple[str, Index], Cell] = {}
    for index, row in sorted(found.items()):
        for reading in source.readings:
            column = dotted(reading.oid)
            parts = _parts(index, reading.index or source.index) if column in row else None
            place = ports.place(parts["port"]) if parts else None
            if parts is None or place is None:
                continue
            lane = reading.lane if reading.lane else _lane(parts.get("lane"), source)
            judged = Judged({})
            if reading.quantity in POWERS:
                judged = limits.judged(reading.quantity, parts["port"], parts.get("lane"))
            cells[column, index] = Cell(
                place, parts["port"], lane, reading, judged, *modules.get(parts["port"], (None, None))
            )
    return KnownCells(
        source, cells, tuple(sorted({c.place[1] for c in cells.values() if c.place[0] is None}))
    )


def _lane(raw: int | None, source: Cells) -> int | None:
    """Return the lane from 1; None for a number that no lane has (the module as a whole)."""
    if raw is None or raw < source.first_lane or raw > MAX_LANES:
        return None
    return raw + 1 - source.first_lane


def _parts(index: Index, pattern: IndexPattern) -> dict[str, int] | None:
    """Return the named parts of an index; None where it is not of that pattern."""
    if len(index) != len(pattern):
        return None
    parts: dict[str, int] = {}
    for value, part in zip(index, pattern, strict=True):
        if isinstance(part, int):
            if value != part:
                return None
        elif part != "any":
            parts[part] = value
    if "slot" in parts and "port" in parts:
        parts["port"] += SLOT * parts["slot"]
    return parts if "port" in parts else None


async def _port_words(device: Device, name: str, source: Cells) -> dict[int, Value]:
    """Return what the column that names ports says, by port part."""
    if source.port.column is None:
        return {}
    found = await device.read(f"{name} ports", {"name": source.port.column}, Table())
    words: dict[int, Value] = {}
    for index, row in found.items():
        parts = _parts(index, source.index) or _parts(index, source.module_index or ("port",))
        if parts:
            words.setdefault(parts["port"], row.get("name"))
    return words


class _Ports:
    """From the port part of an index to the interface."""

    def __init__(self, rule: Port, words: Mapping[int, Value], entities: Entities, names: Names) -> None:
        self._rule, self._words, self._entities, self._names = rule, words, entities, names

    def place(self, port: int) -> Place | None:
        """Return ifIndex and name; ifIndex None where no interface is found; None for no port at all."""
        if_index = self._if_index(port)
        name = self._names.name(if_index)
        if if_index is not None and name is not None:
            return if_index, name
        if self._rule.by == "entity":  # fans and boards may stand in the same table
            called = self._entities.port_name(port)
            return (None, called) if called else None
        return None, self._written(port) or f"port {port}"

    def _if_index(self, port: int) -> int | None:
        rule = self._rule
        if rule.by == "entity":
            return self._entities.port(port, self._names, rule.pattern)[0]
        if rule.by == "if_index" and port + rule.add in self._names.by_index:
            return port + rule.add
        return self._names.find(self._written(port))

    def _written(self, port: int) -> str | None:
        """Return the port's name as the device, or its numbering, tells it."""
        rule, said = self._rule, self._words.get(port)
        if rule.by == "slot":
            return "/".join(map(str, divmod(port, SLOT)))
        if rule.by == "prefix":
            return self._numbered(port, number(said) or 0)
        name = text(said)
        match = rule.pattern.search(name) if rule.pattern and name else None
        return match.group(1) if match else name

    def _numbered(self, port: int, kind: int) -> str | None:
        rule = self._rule
        known = kind in rule.prefixes and any(n.startswith(rule.where) for n in self._names.by_index.values())
        return f"{rule.prefixes[kind]}{port + rule.adds.get(kind, 0)}{rule.suffix}" if known else None


class _Limits:
    """The levels of each quantity by port and lane, raw."""

    def __init__(self, source: Cells) -> None:
        self._source = source
        self._rows: dict[tuple[Quantity, int, int | None], Row] = {}

    def add(self, quantity: Quantity, found: TableRows) -> None:
        """Take up the rows of one quantity."""
        pattern = self._source.limits[quantity].index or self._source.index
        for index, row in found.items():
            if parts := _parts(index, pattern):
                self._rows[quantity, parts["port"], parts.get("lane")] = row

    def judged(self, quantity: Quantity, port: int, lane: int | None) -> Judged:
        """Return the levels of a lane, else those of its module."""
        row = self._rows.get((quantity, port, lane)) or self._rows.get((quantity, port, None))
        if row is None:
            return Judged({})
        limits = self._source.limits[quantity]
        raw = {level: _number(row.get(level)) for level in LEVELS}
        return levels(raw, Unit.written(limits.unit), limits.none)


async def _limits(device: Device, name: str, source: Cells) -> _Limits:
    limits = _Limits(source)
    if source.verified:
        for quantity, rule in source.limits.items():
            columns = {str(level): oid for level, oid in rule.columns.items()}
            limits.add(quantity, await device.read(f"{name} {quantity} levels", columns, Table()))
    return limits


async def _modules(device: Device, name: str, source: Cells) -> dict[int, tuple[str | None, str | None]]:
    columns = {"type": source.module_type, "serial": source.module_serial}
    known = {what: oid for what, oid in columns.items() if oid is not None}
    if not known:
        return {}
    modules = {}
    for index, row in (await device.read(f"{name} modules", known, Table())).items():
        if parts := _parts(index, source.module_index or ("port",)):
            modules[parts["port"]] = text(row.get("type")), text(row.get("serial"))
    return modules


def _number(value: Value) -> float | None:
    """Return a number that is one or is written out."""
    if isinstance(value, bytes):
        return told(value.decode("latin-1"))
    return number(value)


def _idle(cells: Mapping[tuple[str, Index], Cell], answers: TableRows) -> set[tuple[int, int | None]]:
    """Return ports and lanes whose powers and bias are all zero."""
    seen: dict[tuple[int, int | None], list[float | None]] = {}
    kinds: dict[tuple[int, int | None], set[str]] = {}
    for (column, index), cell in cells.items():
        if cell.reading.quantity in (*POWERS, "bias") and not cell.reading.listed:
            key = cell.port, cell.lane
            seen.setdefault(key, []).append(_number(answers.get(index, {}).get(column)))
            kinds.setdefault(key, set()).add(cell.reading.quantity)
    return {k for k, values in seen.items() if set(POWERS) <= kinds[k] and all(v == 0 for v in values)}


def _lights(cell: Cell, row: Row, column: str, source: Cells) -> list[Light]:
    said = row.get(column)
    if cell.reading.listed:
        values = said.decode("latin-1").split(",") if isinstance(said, bytes) else []
        if len(values) < 2 and cell.reading.listed == "beside":
            return []  # one value only: the module's own columns have it
        numbers = [told(value) for value in values[:MAX_LANES]]
        cell = replace(cell, reading=_listed(cell.reading, numbers))
        return [_light(cell, number, lane, source) for lane, number in enumerate(numbers, 1)]
    exponent = number(row.get(column + EXPONENT)) if cell.reading.exponent_oid else 0
    raw = None if _says_nothing(said, source) else _number(said)
    if exponent is None or not -99 <= exponent <= 99:
        raw = None
    scaled = raw * 10.0**-exponent if raw is not None and exponent else raw
    return [_light(cell, scaled, cell.lane, source)]


def _listed(reading: Reading, numbers: Sequence[float | None]) -> Reading:
    """Return a reading in the unit that its list is in, where devices differ in that.

    In hundredths of dBm, lanes that are all that near to 0 dBm would be a rarity.
    """
    sizes = [abs(number) for number in numbers if number is not None and math.isfinite(number)]
    if reading.list_unit and sizes and min(sizes) <= LIT and max(sizes) <= DARKEST:
        return reading.model_copy(update={"unit": reading.list_unit})
    return reading


def _light(cell: Cell, raw: float | None, lane: int | None, source: Cells) -> Light:
    value, dark = _value(cell.reading, raw, source)
    return Light(
        cell.place,
        cell.reading.quantity,
        lane,
        value,
        dark,
        cell.judged.levels,
        cell.module_type,
        cell.module_serial,
    )


def _value(reading: Reading, raw: float | None, source: Cells) -> tuple[float | None, bool]:
    """Return the value in the unit of its column and whether it is darkness."""
    if raw is None or _marks_nothing(raw, (*source.no_reading, *reading.no_reading)):
        return None, False
    if reading.positive_unit and raw == 0:
        return None, False  # darkness in the one unit, a level in the other
    written = reading.positive_unit if reading.positive_unit and raw > 0 else reading.unit
    unit = Unit.written(written)
    if reading.quantity in POWERS:
        return power(raw, unit, source.no_light_dbm)
    if raw < -1e300:  # "-inf" of something that is no power
        return None, False
    return unit.value(raw, MILLI if reading.quantity == "bias" else 0), False


def _says_nothing(said: Value, source: Cells) -> bool:
    """Whether a text is one of those that say: no reading."""
    pattern = source.no_reading_text
    return bool(pattern and isinstance(said, bytes) and pattern.search(said.decode("latin-1")))


def _marks_nothing(raw: float, markers: Sequence[int]) -> bool:
    return any(raw == marker for marker in markers)
