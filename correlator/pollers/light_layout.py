"""Light of many devices as arrays: raw numbers become readings, and readings the rows of table optics.

Which rows there are depends on what sensors say only through a few yes-or-noes (is there a reading, is it
dark, is it zero, is the sensor well). While these stay as they were, a device's rows keep their shape and
only numbers move; where one changes, ``light.rows`` says anew which reading goes where.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from correlator import frames
from correlator.pollers import cells, columns, sensors
from correlator.pollers.columns import Staying
from correlator.pollers.device import TableRows
from correlator.pollers.light import COLUMNS, Formula, Reading, rows
from correlator.snmp import plan
from correlator.snmp.kinds import ANY, COUNTER, Ints
from correlator.snmp.patterns import Cell, Line
from correlator.snmp.plan import Plan
from correlator.snmp.target import Index, Oid, Value

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Known = sensors.KnownSensors | cells.KnownCells
Place = tuple[str, Index, str]  # source, index, column
MEASURED = tuple(COLUMNS.values())
NO_FORMULA = Formula(1.0, 1.0, False, False, 0.0, ())
OK = 1

MOST_PLANS = 4096
EPOCH = pd.Timestamp(0, tz="UTC")
SCHEMA = frames.TABLES["optics"].schema

_PLANS: dict[tuple[Any, ...], Plan] = {}


@dataclass(frozen=True, eq=False)
class Shape:
    """The rows of one device: constant columns, and which reading each measured cell shows (-1: none)."""

    constant: pa.Table
    readings: Mapping[str, Ints]


NOTHING = Shape(pa.table({}), {})
_SHAPES: WeakValueDictionary[tuple[Any, ...], Shape] = WeakValueDictionary()


def _shape(constant: Sequence[Mapping[str, Any]], readings: Mapping[str, Sequence[int]]) -> Shape:
    """Return the shape of these rows; the same for devices that are alike."""
    key = tuple(tuple(row.items()) for row in constant), *map(tuple, readings.values())
    found = _SHAPES.get(key)
    if found is None:
        shown = {c: np.array(told, np.int64) for c, told in readings.items() if any(n >= 0 for n in told)}
        found = Shape(pa.Table.from_pylist(constant, schema=_present(constant)), shown)
        _SHAPES[key] = found
    return found


def _present(rows: Sequence[Mapping[str, Any]]) -> pa.Schema:
    """Return the schema of the columns that the rows have."""
    names = {name for row in rows for name, value in row.items() if value is not None}
    return pa.schema([field for field in SCHEMA if field.name in names])


@dataclass(eq=False)
class LightLayout:
    """The values that a device's light is made of, in the order in which they are asked for.

    ``formulas`` says how each becomes a reading; None for states, and for what takes more than a formula.
    """

    known: Mapping[str, Known]
    scalars: tuple[Oid, ...]
    places: tuple[tuple[Oid, Place], ...]
    simple: bool = field(init=False)
    formulas: list[Formula | None] = field(init=False)
    marks: bytes = b""
    shape: Shape = field(default_factory=lambda: NOTHING)
    _planned: tuple[tuple[bytes, int], Plan] | None = None

    def __post_init__(self) -> None:
        known = {name: source.formulas() for name, source in self.known.items()}
        self.formulas = [known[name].get((column, index)) for _, (name, index, column) in self.places]
        values = sum(map(len, known.values()))
        self.simple = values == sum(formula is not None for formula in self.formulas)

    def plan(self, community: bytes, varbinds: int) -> Plan:
        """Return the requests; devices that are asked the same share them."""
        if self._planned is None or self._planned[0] != (community, varbinds):
            self._planned = (community, varbinds), self._shared_plan(community, varbinds)
        return self._planned[1]

    def _shared_plan(self, community: bytes, varbinds: int) -> Plan:
        key = community, varbinds, self.scalars, tuple(oid for oid, _ in self.places)
        if key not in _PLANS:
            if len(_PLANS) >= MOST_PLANS:
                _PLANS.clear()
            first = len(self.scalars)
            scalars = tuple(Cell(oid, slot, COUNTER) for slot, oid in enumerate(self.scalars))
            lines = [
                Line((), -1, (Cell(oid, first + number, ANY),)) for number, (oid, _) in enumerate(self.places)
            ]
            requests = plan.gets(lines, max(1, varbinds - first))
            _PLANS[key] = Plan(community, scalars, requests, first + len(lines), 0)
        return _PLANS[key]

    def answers(self, numbers: Sequence[Value]) -> dict[str, TableRows]:
        """Return values in the order of ``places`` as the sources' own rows."""
        told: dict[str, TableRows] = {name: {} for name in self.known}
        for (_, (name, index, column)), value in zip(self.places, numbers, strict=True):
            told[name].setdefault(index, {})[column] = value
        return told

    def readings(self, numbers: Sequence[Value]) -> list[Reading]:
        """Return what all sources say."""
        answers = self.answers(numbers)
        return [light for name, known in self.known.items() for light in known.readings(answers[name])]

    def reshape(self, numbers: Sequence[Value], marks: bytes) -> None:
        """Find out anew which rows these values make, and which reading each cell shows."""
        number = {place: n for n, (_, place) in enumerate(self.places)}
        answers = self.answers(numbers)
        told = [
            replace(light, value=None if light.value is None else float(number[name, index, column]))
            for name, known in self.known.items()
            for (column, index), light in known.told(answers[name])
        ]
        found = rows(told)
        constant = [{k: v for k, v in row.items() if k not in MEASURED} | {"at": EPOCH} for row in found]
        told_by = {c: [-1 if row.get(c) is None else int(row[c]) for row in found] for c in MEASURED}
        self.shape = _shape(constant, told_by)
        self.marks = marks


class LightTable:
    """Makes table optics of the same devices each time; keeps what stays of it while their light does."""

    def __init__(self, devices: Sequence[str], layouts: Sequence[LightLayout]) -> None:
        """All layouts are simple ones."""
        self._devices, self._layouts = devices, layouts
        self._constants = _Constants(layouts)
        self._marks: npt.NDArray[np.uint8] | None = None

    def table(self, at: pd.Timestamp, numbers: Ints) -> tuple[pd.DataFrame, Ints]:
        """Return the rows and how many are each device's.

        ``numbers`` are the devices' values, one behind the other.
        """
        values, marks = self._constants.read(numbers)
        if self._marks is None or not np.array_equal(marks, self._marks):
            self._reshape(numbers, marks)
        rows = self._rows
        padded = np.append(values, np.nan)
        measured = {column: padded.take(places) for column, places in rows.readings.items()}
        given = {"at": columns.times(at, rows.staying.count), "device": self._device} | measured
        return rows.staying.table(given), self._sizes

    def _reshape(self, numbers: Ints, marks: npt.NDArray[np.uint8]) -> None:
        """Find out anew which rows devices have whose marks are others than theirs were made of."""
        first, octets = self._constants.first, marks.tobytes()
        for one, begin, end in zip(self._layouts, first[:-1], first[1:], strict=True):
            if octets[begin:end] != one.marks:
                one.reshape(numbers[begin:end].tolist(), octets[begin:end])
        shapes = tuple(one.shape for one in self._layouts)
        self._marks, self._rows = marks, _rows(shapes, tuple(first))
        self._sizes = np.array([shape.constant.num_rows for shape in shapes])
        device = pa.array(self._devices, pa.string())
        owners = pa.array(np.repeat(np.arange(len(shapes)), self._sizes))
        self._device = self._rows.staying.series(columns.texts(device.take(owners)))


class _Constants:
    """The formulas of all values of some devices: there are few, and of each value it is kept which."""

    def __init__(self, layouts: Sequence[LightLayout]) -> None:
        self.first = np.cumsum([0, *(len(one.places) for one in layouts)]).tolist()
        every = [formula for one in layouts for formula in one.formulas]
        known = {formula: number for number, formula in enumerate(dict.fromkeys(every))}
        self._which = np.array([known[one] for one in every], np.int32)
        used = [formula or NO_FORMULA for formula in known]
        self._times = np.array([one.times for one in used])
        self._over = np.array([one.over for one in used])
        # what is no power is never so low
        self._no_light = np.array([one.no_light_dbm if one.is_power else -np.inf for one in used])
        watts = np.array([one.is_power and one.is_watts for one in used], dtype=bool)
        self._watts = np.flatnonzero(watts.take(self._which))
        self._state = np.array([one is None for one in known], dtype=bool)
        most = max((len(one.none) for one in used), default=0)
        self._none = np.zeros((most, len(used)), np.int64)
        self._marked = np.zeros((most, len(used)), dtype=bool)
        for number, one in enumerate(used):
            self._none[: len(one.none), number] = one.none
            self._marked[: len(one.none), number] = True

    def read(self, numbers: Ints) -> tuple[Floats, npt.NDArray[np.uint8]]:
        """Return the readings (NaN: none), and of each value its yes-or-noes as bits."""
        which = self._which
        none = np.zeros(len(numbers), dtype=bool)
        for marked, said in zip(self._marked, self._none, strict=True):
            none |= marked.take(which) & (said.take(which) == numbers)
        values = numbers * self._times.take(which)
        values /= self._over.take(which)
        watts = self._watts
        if len(watts):
            raw = values[watts]
            none[watts] |= raw < 0
            with np.errstate(divide="ignore", invalid="ignore"):
                values[watts] = 10 * np.log10(raw * 1000)
        dark = values <= self._no_light.take(which)
        dark &= ~none
        values[none | dark] = np.nan
        marks = none.view(np.uint8) + dark.view(np.uint8) * 2  # numpy multiplies faster than it shifts
        marks += (numbers == 0).view(np.uint8) * 4
        marks += (self._state.take(which) & (numbers == OK)).view(np.uint8) * 8
        return values, marks


@dataclass(eq=False)
class _Rows:
    """The rows of devices: the columns that stay, and of the measured ones which reading each cell shows."""

    staying: Staying
    readings: Mapping[str, npt.NDArray[np.int32]]


_ROWS: WeakValueDictionary[tuple[tuple[Shape, ...], tuple[int, ...]], _Rows] = WeakValueDictionary()


def _rows(shapes: tuple[Shape, ...], first: tuple[int, ...]) -> _Rows:
    """Return the rows of such shapes, whose readings begin there; the same for sets that are alike."""
    found = _ROWS.get((shapes, first))
    if found is None:
        sizes = [shape.constant.num_rows for shape in shapes]
        measured = [column for column in MEASURED if any(column in shape.readings for shape in shapes)]
        readings = {}
        for column in measured:
            places = [
                np.where((known := shape.readings.get(column, np.full(size, -1))) < 0, -1, known + at)
                for shape, size, at in zip(shapes, sizes, first, strict=False)
            ]
            readings[column] = np.concatenate(places).astype(np.int32)
        whole = _repeated(shapes) if any(sizes) else pa.table({})
        kept = [name for name in whole.column_names if name not in ("at", *MEASURED)]
        table = frames.from_arrow("optics", whole, kept)
        same = {name: table[name].array for name in kept}
        staying = Staying("optics", sum(sizes), same, ("at", "device", *measured))
        found = _ROWS[shapes, first] = _Rows(staying, readings)
    return found


def _repeated(shapes: Sequence[Shape]) -> pa.Table:
    """Return the constant columns of all devices' rows, put together from one copy of each shape."""
    distinct = list({id(shape): shape for shape in shapes}.values())
    ends = np.cumsum([shape.constant.num_rows for shape in distinct]).tolist()
    rows = {
        id(shape): np.arange(end - shape.constant.num_rows, end)
        for shape, end in zip(distinct, ends, strict=True)
    }
    whole = pa.concat_tables([shape.constant for shape in distinct], promote_options="default")
    return whole.take(pa.array(np.concatenate([rows[id(shape)] for shape in shapes])))
