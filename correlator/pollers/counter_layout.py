"""Counters of many devices as matrices: where each object of each interface is read, and the table it makes.

A layout is what a walk has found, written down once: which interfaces, which objects of each, and which
sums make the columns of table counters (``counters.rows`` says how). Devices that are alike share one.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby, islice
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from correlator import frames
from correlator.pollers import columns
from correlator.pollers.columns import Masked, Staying
from correlator.profiles.profile import Counter
from correlator.snmp import plan
from correlator.snmp.kinds import EXACT, Words
from correlator.snmp.patterns import Cell, Line, Request
from correlator.snmp.plan import Plan
from correlator.snmp.target import Index, Oid

DISCONTINUITY = "ifCounterDiscontinuityTime"
UPTIME, DISCONTINUITY_COLUMN = "uptime_cs", "discontinuity_cs"
MOVING = tuple(  # the columns that say something else each time, besides the time itself
    field.name
    for field in frames.TABLES["counters"].schema
    if field.name not in ("at", "device", "if_name", "if_index") and not field.name.endswith("width_bits")
)
AT_ONCE = 8  # devices: what is moved at once stays near the processor
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
            self._plans[key] = Plan(community, scalars, requests, self.slots, len(self.interfaces))
        return self._plans[key]

    @property
    def slots(self) -> int:
        """How many values a device has."""
        return len(self.scalars) + len(self.interfaces) * len(self.objects)

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
    def nulls(self) -> Mapping[str, Mask]:
        """The interfaces that have no value, by column, of those columns that any interface has."""
        there = {UPTIME: np.ones(len(self.interfaces), dtype=bool)}
        if self.resets.any():
            there[DISCONTINUITY_COLUMN] = self.resets
        for column, _, _, which in self.sums:
            there[column] = there[column] | which if column in there else which
        return {column: ~which for column, which in there.items()}

    @cached_property
    def make(self) -> tuple[Any, ...]:
        """Which objects there are, and which columns are made of which: those of one make are read alike."""
        return len(self.scalars), tuple(self.objects), tuple(known[:3] for known in self.sums)

    @cached_property
    def alone(self) -> frozenset[int]:
        """The objects that only one column is made of."""
        uses = Tally(place for _, objects, _, _ in self.sums for place in objects)
        return frozenset(place for place, count in uses.items() if count == 1)

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
_STAYING: WeakValueDictionary[tuple[tuple[Layout, int], ...], Staying] = WeakValueDictionary()


def layout(scalars: Sequence[Oid], interfaces: Sequence[Interface], others: Iterable[Index] = ()) -> Layout:
    """Return the layout of these interfaces; the same for those that are alike."""
    key = tuple(scalars), tuple(interfaces), tuple(others)
    found = _LAYOUTS.get(key)
    if found is None:
        found = _LAYOUTS[key] = Layout(*key)
    return found


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """What was read of the devices of one layout: devices × slots and devices × rows."""

    values: Words
    uptimes: npt.NDArray[np.int64]


class CounterTable:
    """Makes table counters of the same devices each time: of each layout, those that have it, by name.

    It is cheapest where layouts of one make stand behind each other.
    """

    def __init__(self, devices: Sequence[tuple[Layout, Sequence[str]]]) -> None:
        sizes = [(known, len(names)) for known, names in devices]
        self._runs = [_Run(list(some)) for _, some in groupby(sizes, lambda one: one[0].make)]
        self._moving = [name for name in MOVING if any(name in known.nulls for known, _ in devices)]
        self._staying = _staying(tuple(sizes), self._moving)
        self._null = np.empty((len(self._moving), self._staying.count), dtype=bool)
        ends = np.cumsum([len(known.interfaces) * count for known, count in sizes])
        for (known, count), mine in zip(sizes, np.split(self._null, ends[:-1], axis=1), strict=True):
            none = np.ones(len(known.interfaces), dtype=bool)
            without = np.array([known.nulls.get(name, none) for name in self._moving])
            mine.reshape(len(mine), count, len(none))[:] = without[:, None]
        self._device = self._staying.series(
            _texts([(names, len(known.interfaces), 1) for known, names in devices])
        )

    def table(self, at: pd.Timestamp, parts: Sequence[Part]) -> pd.DataFrame:
        """Return the rows, device by device; no value passes through a Python object."""
        uptimes = np.concatenate([part.uptimes.reshape(-1) for part in parts])
        null = self._null.copy()
        null[self._moving.index(UPTIME)] = uptimes < 0
        left = iter(parts)
        told = [run.values([part.values for part in islice(left, len(run.devices))]) for run in self._runs]
        moving = {UPTIME: np.maximum(uptimes, 0).view(np.uint64)}
        moving |= {name: self._joined(name, told) for name in self._moving if name != UPTIME}
        given = {name: Masked(moving[name], null[n]) for n, name in enumerate(self._moving)}
        at_all = columns.times(at, self._staying.count)
        return self._staying.table({"at": at_all, "device": self._device} | given)

    def _joined(self, name: str, told: Sequence[Mapping[str, Words]]) -> Words:
        """Return one column of all runs; those that have it not say 0."""
        if len(told) == 1:
            return told[0][name]
        pieces = zip(told, self._runs, strict=True)
        return np.concatenate(
            [mine[name] if name in mine else np.zeros(run.rows, np.uint64) for mine, run in pieces]
        )


class _Run:
    """Layouts of one make, and how many devices have each, as they stand behind each other."""

    def __init__(self, devices: Sequence[tuple[Layout, int]]) -> None:
        self.devices = devices
        self.rows = sum(len(known.interfaces) * count for known, count in devices)
        self._first = devices[0][0]
        had = [column for column, *_ in self._first.sums]
        self._which = {  # by way: the rows that have the column so, where others have it in another way
            n: np.concatenate([np.tile(known.sums[n][3], count) for known, count in devices])
            for n, column in enumerate(had)
            if column in had[:n]
        }

    def values(self, parts: Sequence[Words]) -> dict[str, Words]:
        """Return the values of the columns that there are, device by device, but for the uptime."""
        known, cells, told = self._first, self._by_object(parts), dict[str, Words]()
        if DISCONTINUITY in known.objects:
            told[DISCONTINUITY_COLUMN] = cells[known.objects[DISCONTINUITY]]
        for way, (column, objects, bits, _) in enumerate(known.sums):
            # in place where no other column is made of it
            total = cells[objects[0]] if objects[0] in known.alone else cells[objects[0]].copy()
            for one in objects[1:]:
                total += cells[one]
            if bits < 64:
                total &= np.uint64((1 << bits) - 1)
            if column in told:
                np.copyto(told[column], total, where=self._which[way])
            else:
                told[column] = total
        return told

    def _by_object(self, parts: Sequence[Words]) -> Words:
        """Return what was read by object and row: columns lie together then, and need no further copy."""
        objects, place = len(self._first.objects), 0
        apart = np.empty((objects, self.rows), np.uint64)
        for (known, count), values in zip(self.devices, parts, strict=True):
            rows = len(known.interfaces)
            cells = values[:, len(known.scalars) :].reshape(count, rows, objects).transpose(2, 0, 1)
            mine = apart[:, place : place + count * rows].reshape(objects, count, rows)
            for at in range(0, count, AT_ONCE):
                mine[:, at : at + AT_ONCE] = cells[:, at : at + AT_ONCE]
            place += count * rows
        return apart


def _staying(devices: tuple[tuple[Layout, int], ...], moving: Sequence[str]) -> Staying:
    """Return what stays of the table of so many devices of each layout; the same for sets that are alike."""
    found = _STAYING.get(devices)
    if found is None:
        same: dict[str, Any] = {
            "if_name": _texts([([one.if_name for one in k.interfaces], 1, count) for k, count in devices])
        }
        for column in devices[0][0].fixed:
            fixed = [[np.tile(array, count) for array in known.fixed[column]] for known, count in devices]
            same[column] = Masked(*map(np.concatenate, zip(*fixed, strict=True)))
        count = sum(len(known.interfaces) * count for known, count in devices)
        found = _STAYING[devices] = Staying("counters", count, same, ("at", "device", *moving))
    return found


def _texts(parts: Sequence[tuple[Sequence[str], int, int]]) -> Any:
    """Return texts, of each part each repeated so often and the whole of it so often."""
    texts: list[str] = []
    places = []
    for some, each, whole in parts:
        places.append(np.tile(np.repeat(np.arange(len(some)) + len(texts), each), whole))
        texts += some
    return columns.texts(pa.array(texts, pa.string()).take(pa.array(np.concatenate(places))))
