"""Counters of many devices as matrices: where each object of each interface is read, and the table it makes.

A layout is what a walk has found, written down once: which interfaces, which objects of each, and which
sums make the columns of table counters (``counters.rows`` says how). Devices that are alike share one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from correlator import frames
from correlator.pollers import columns
from correlator.pollers.columns import Masked
from correlator.profiles.profile import Counter
from correlator.snmp import plan
from correlator.snmp.codec import EXACT, Words
from correlator.snmp.plan import Cell, Line, Plan, Request
from correlator.snmp.target import Index, Oid

DISCONTINUITY = "ifCounterDiscontinuityTime"
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface: its row, the object and the very bytes that name it, and the objects it is asked for.

    ``objects`` gives the whole OID of each; ``ways`` the way of each column that its row has, ``bits`` the
    width that its sum is cut to; ``widths`` are octets_width_bits and errors_width_bits.
    """

    if_index: int
    if_name: str
    name_column: Oid
    name_octets: bytes
    objects: tuple[tuple[str, Oid], ...]
    elsewhere: tuple[tuple[str, Oid, tuple[int, ...]], ...]
    ways: tuple[tuple[str, Counter, int], ...]
    widths: tuple[int | None, int | None]


@dataclass(frozen=True, eq=False)
class Layout:
    """The interfaces of a device in order of ifIndex; ``scalars`` are asked for with each message.

    ``others`` are the indexes of rows that are not asked for, between which no GETBULK can go on.
    """

    scalars: tuple[Oid, ...]
    interfaces: tuple[Interface, ...]
    others: tuple[Index, ...] = ()
    objects: Mapping[str, int] = field(init=False)
    sums: tuple[tuple[str, tuple[int, ...], int, Mask], ...] = field(init=False)
    _plans: dict[tuple[bytes, int], Plan] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = sorted({name for one in self.interfaces for name, *_ in (*one.objects, *one.elsewhere)})
        object.__setattr__(self, "objects", {name: number for number, name in enumerate(names)})
        object.__setattr__(self, "sums", tuple(self._sums()))

    def plan(self, community: bytes, varbinds: int) -> Plan:
        """Return the requests for a community, of about so many varbinds each."""
        key = community, varbinds
        if key not in self._plans:
            size = max(1, varbinds - len(self.scalars))
            lines = [self._line(number, one) for number, one in enumerate(self.interfaces)]
            lines += [Line(index, -1, ()) for index in self.others]
            scalars = tuple(Cell(oid, slot) for slot, oid in enumerate(self.scalars))
            requests = plan.table(lines, size) + self._elsewhere(size)
            slots = len(scalars) + len(self.interfaces) * len(self.objects)
            self._plans[key] = Plan(community, scalars, requests, slots, len(self.interfaces))
        return self._plans[key]

    @cached_property
    def fixed(self) -> Mapping[str, tuple[npt.NDArray[np.int64], Mask]]:
        """The columns that say the same each time: numbers and nulls of each interface."""
        told: dict[str, list[int | None]] = {
            "if_index": [one.if_index for one in self.interfaces],
            "octets_width_bits": [one.widths[0] for one in self.interfaces],
            "errors_width_bits": [one.widths[1] for one in self.interfaces],
        }
        return {
            column: (
                np.array([value or 0 for value in values], np.int64),
                np.array([value is None for value in values], dtype=bool),
            )
            for column, values in told.items()
        }

    @cached_property
    def resets(self) -> Mask:
        """Which interfaces tell when their counters began anew."""
        return np.array(
            [any(n == DISCONTINUITY for n, _ in one.objects) for one in self.interfaces], np.bool_
        )

    def _slot(self, row: int, name: str) -> int:
        return len(self.scalars) + row * len(self.objects) + self.objects[name]

    def _line(self, row: int, one: Interface) -> Line:
        name = Cell(one.name_column, -1, EXACT, one.name_octets)
        cells = tuple(Cell(oid, self._slot(row, object_name)) for object_name, oid in one.objects)
        return Line((one.if_index,), row, (name, *cells))

    def _elsewhere(self, size: int) -> list[Request]:
        """Return the requests for objects that stand in tables of another index."""
        lines: dict[tuple[int, ...], list[Cell]] = {}
        for row, one in enumerate(self.interfaces):
            for name, oid, index in one.elsewhere:
                lines.setdefault(index, []).append(Cell(oid, self._slot(row, name)))
        return plan.gets([Line(index, -1, tuple(cells)) for index, cells in sorted(lines.items())], size)

    def _sums(self) -> Iterable[tuple[str, tuple[int, ...], int, Mask]]:
        """Return, for each way and width that a column is had by, its objects and the rows that do so."""
        rows: dict[tuple[str, tuple[str, ...], int], list[int]] = {}
        for row, one in enumerate(self.interfaces):
            for column, way, bits in one.ways:
                rows.setdefault((column, way.sum, bits), []).append(row)
        for (column, names, bits), which in rows.items():
            mask = np.zeros(len(self.interfaces), dtype=bool)
            mask[which] = True
            yield column, tuple(self.objects[n] for n in names if n in self.objects), bits, mask


_LAYOUTS: WeakValueDictionary[tuple[Any, ...], Layout] = WeakValueDictionary()


def layout(scalars: Sequence[Oid], interfaces: Sequence[Interface], others: Iterable[Index] = ()) -> Layout:
    """Return the layout of these interfaces; the same for those that are alike."""
    key = tuple(scalars), tuple(interfaces), tuple(others)
    found = _LAYOUTS.get(key)
    if found is None:
        found = _LAYOUTS[key] = Layout(*key)
    return found


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """Devices of one layout: their names, and what was read, devices × slots and devices × rows."""

    layout: Layout
    devices: Sequence[str]
    values: Words
    uptimes: npt.NDArray[np.int64]


def table(at: pd.Timestamp, parts: Sequence[Part]) -> pd.DataFrame:
    """Return the rows of table counters, device by device; no value passes through a Python object."""
    told: dict[str, list[tuple[npt.NDArray[Any], Mask]]] = {}
    for part in parts:
        for name, values, null in _columns(part):
            told.setdefault(name, []).append((values.reshape(-1), null.reshape(-1)))
    count = sum(len(part.devices) * len(part.layout.interfaces) for part in parts)
    given: dict[str, Any] = {
        name: Masked(
            *(part[0] if len(part) == 1 else np.concatenate(part) for part in zip(*pieces, strict=True))
        )
        for name, pieces in told.items()
    }
    given["at"] = columns.times(at, count)
    given["device"] = _texts([(part.devices, len(part.layout.interfaces), 1) for part in parts])
    given["if_name"] = _texts(
        [([one.if_name for one in part.layout.interfaces], 1, len(part.devices)) for part in parts]
    )
    return columns.table("counters", given, count)


COLUMNS = tuple(
    field.name
    for field in frames.TABLES["counters"].schema
    if field.name not in ("at", "device", "if_name", "if_index", "uptime_cs", "discontinuity_cs")
    and not field.name.endswith("width_bits")
)


def _columns(part: Part) -> Iterable[tuple[str, npt.NDArray[Any], Mask]]:
    """Return name, values and nulls (devices × rows) of the columns that are numbers."""
    known, count, rows = part.layout, len(part.devices), len(part.layout.interfaces)
    shape = (count, rows)
    for column, (numbers, without) in known.fixed.items():
        yield column, np.broadcast_to(numbers, shape), np.broadcast_to(without, shape)
    yield "uptime_cs", np.maximum(part.uptimes, 0).astype(np.uint64), part.uptimes < 0
    cells = _by_object(part)
    none = np.zeros(shape, np.uint64)
    place = known.objects.get(DISCONTINUITY)
    told: dict[str, tuple[Words, Mask]] = {
        DISCONTINUITY_COLUMN: (none if place is None else cells[place], ~known.resets)
    }
    for column, objects, bits, which in known.sums:
        total = sum((cells[one] for one in objects[1:]), start=cells[objects[0]])
        if bits < 64:
            total = total & np.uint64((1 << bits) - 1)
        if column in told:
            values, null = told[column]
            told[column] = np.where(which, total, values), null & ~which
        else:
            told[column] = total, ~which
    for column in (DISCONTINUITY_COLUMN, *COLUMNS):
        values, null = told.get(column, (none, np.ones(rows, dtype=bool)))
        yield column, values, np.broadcast_to(null, shape)


def _by_object(part: Part) -> Words:
    """Return what was read by object, device and row: columns lie together then, and need no further copy."""
    known = part.layout
    shape = len(part.devices), len(known.interfaces), len(known.objects)
    cells = part.values[:, len(known.scalars) :].reshape(shape)
    return np.ascontiguousarray(np.moveaxis(cells, 2, 0))


DISCONTINUITY_COLUMN = "discontinuity_cs"


def _texts(parts: Sequence[tuple[Sequence[str], int, int]]) -> Any:
    """Return texts, of each part each repeated so often and the whole of it so often."""
    texts: list[str] = []
    places = []
    for some, each, whole in parts:
        places.append(np.tile(np.repeat(np.arange(len(some)) + len(texts), each), whole))
        texts += some
    return columns.texts(pa.array(texts, pa.string()).take(pa.array(np.concatenate(places))))
