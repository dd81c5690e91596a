"""What to ask a device each time: requests written once from what it has shown to hold.

Interfaces that answer the same columns and stand behind each other are asked for together by GETBULK, some
whole rows a message: a row's values share one message, and with it one capture time and one sysUpTime.
What fills no message that way is asked for by GET. A plan holds until the inventory changes; devices
with the same inventory share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from correlator.snmp import ber, codec
from correlator.snmp.codec import EXACT, Bytes, Kinds
from correlator.snmp.target import Index, Oid

LONGEST = 1400  # bytes of a request: one Ethernet frame with room for headers


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a row: its column, where it goes (-1: nowhere), and what it may be.

    ``octets`` is what an EXACT one must be.
    """

    column: Oid
    slot: int
    want: int = codec.COUNTER
    octets: bytes = b""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a device's table: its index, its number within the answer (-1: none), its cells."""

    index: Index
    number: int
    cells: tuple[Cell, ...]

    @property
    def columns(self) -> tuple[Oid, ...]:
        """The columns that it has."""
        return tuple(cell.column for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a plan. ``start`` is the index that a GETBULK goes on from; None for a GET."""

    lines: tuple[Line, ...]
    start: Index | None

    @property
    def varbinds(self) -> int:
        """How many values it brings, scalars apart."""
        return sum(len(line.cells) for line in self.lines)


@dataclass(eq=False)
class Plan:
    """The requests of one kind of device, ready to be sent.

    ``scalars`` come with every message; the first of them is sysUpTime. ``slots`` and ``rows`` is how many
    values and rows a device brings. A request is known by its number; ``rest`` adds further ones, for
    answers that came cut.
    """

    community: bytes
    scalars: tuple[Cell, ...]
    requests: list[Request]
    slots: int
    rows: int
    count: int = field(init=False)  # requests of one poll; what ``rest`` added stands behind them
    _rests: dict[tuple[int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.count = len(self.requests)

    def rest(self, number: int, rows: int) -> int:
        """Return the number of the request for what is missing where only so many rows came."""
        key = number, rows
        if key not in self._rests:
            asked = self.requests[number]
            self.requests.append(Request(asked.lines[rows:], asked.lines[rows - 1].index))
            self._rests[key] = len(self.requests) - 1
            self.__dict__.pop("kinds", None)
        return self._rests[key]

    @cached_property
    def kinds(self) -> Kinds:
        """The requests and their answers, byte by byte."""
        return _kinds(self)

    @cached_property
    def tags(self) -> Bytes:
        """The tags of the values in answers to each request, as they were learned; 0: not yet, or none."""
        return np.zeros((self.count, self.kinds.entry.shape[1]), np.uint8)

    @cached_property
    def unfilled(self) -> codec.Ints:
        """The slots that no answer fills."""
        filled = {cell.slot for cell in self.scalars}
        filled |= {cell.slot for one in self.requests for line in one.lines for cell in line.cells}
        return np.array(sorted(set(range(self.slots)) - filled), np.int64)

    @property
    def varbinds(self) -> int:
        """The varbinds of the largest request."""
        return max((len(self.scalars) + one.varbinds for one in self.requests[: self.count]), default=0)


def table(lines: Sequence[Line], varbinds: int, longest: int = LONGEST) -> list[Request]:
    """Return the requests for the rows of a table, about so many varbinds each.

    These are all the rows that it has; those without cells are there and not asked for.
    """
    requests: list[Request] = []
    left: list[Line] = []
    for start, run in _runs(sorted(lines, key=lambda line: line.index)):
        width = len(run[0].cells)
        size = max(1, varbinds // width)
        at = 0
        while len(run) - at >= size or (len(run) - at) * width * 2 > varbinds:
            requests.append(Request(tuple(run[at : at + size]), run[at - 1].index if at else start))
            at += size
        left += run[at:]
    return requests + gets(left, varbinds, longest)


def _runs(lines: Sequence[Line]) -> Iterator[tuple[Index, list[Line]]]:
    """Return rows behind each other that have the same columns, each run with the index before it."""
    before: Index = ()
    run: list[Line] = []
    start: Index = ()
    for line in lines:
        if run and run[-1].columns != line.columns:
            yield start, run
            run = []
        if not run:
            start = before
        if line.cells:
            run.append(line)
        before = line.index
    if run:
        yield start, run


def gets(lines: Iterable[Line], varbinds: int, longest: int = LONGEST) -> list[Request]:
    """Return GETs for rows, as many whole ones in each as make no more than so many varbinds."""
    requests: list[Request] = []
    packed: list[Line] = []
    count = size = 0
    for line in lines:
        more = sum(len(ber.object_identifier(cell.column + line.index)) + 4 for cell in line.cells)
        if packed and (count + len(line.cells) > varbinds or size + more > longest):
            requests.append(Request(tuple(packed), None))
            packed, count, size = [], 0, 0
        packed.append(line)
        count, size = count + len(line.cells), size + more
    return requests + ([Request(tuple(packed), None)] if packed else [])


def _kinds(plan: Plan) -> Kinds:
    """Return the byte tables of a plan's requests."""
    messages = [_message(plan, one) for one in plan.requests]
    known: dict[tuple[bytes, int], int] = {}
    steps = [
        [(known.setdefault(_expected(oid, cell), len(known)), cell.slot) for oid, cell in _answer(plan, one)]
        for one in plan.requests
    ]
    lines = [[line.number for line in one.lines if line.number >= 0] for one in plan.requests]
    template = np.zeros((len(messages), max((len(m) for m, _ in messages), default=0)), np.uint8)
    for number, (message, _) in enumerate(messages):
        template[number, : len(message)] = np.frombuffer(message, np.uint8)
    return Kinds(
        template=template,
        length=np.array([len(message) for message, _ in messages], np.int64),
        id_at=np.array([at for _, at in messages], np.int64),
        varbinds=np.array([len(one) for one in steps], np.int64),
        scalars=np.full(len(messages), len(plan.scalars), np.int64),
        width=np.array([0 if r.start is None else len(r.lines[0].cells) for r in plan.requests], np.int64),
        entry=_padded([[entry for entry, _ in one] for one in steps]),
        slot=_padded([[slot for _, slot in one] for one in steps]),
        rows=_padded(lines),
        **codec.entries(list(known)),
    )


def _message(plan: Plan, asked: Request) -> tuple[bytes, int]:
    scalars = [cell.column for cell in plan.scalars]
    if asked.start is None:
        oids = [*scalars, *(cell.column + line.index for line in asked.lines for cell in line.cells)]
        return ber.request(plan.community, ber.GET, oids, 0, 0)
    places = [cell.column + asked.start for cell in asked.lines[0].cells]
    before = [scalar[:-1] for scalar in scalars]
    return ber.request(plan.community, ber.GETBULK, [*before, *places], len(before), len(asked.lines))


def _answer(plan: Plan, asked: Request) -> Iterator[tuple[Oid, Cell]]:
    """Return what a full answer holds, in order."""
    yield from ((cell.column, cell) for cell in plan.scalars)
    for line in asked.lines:
        yield from ((cell.column + line.index, cell) for cell in line.cells)


def _expected(oid: Oid, cell: Cell) -> tuple[bytes, int]:
    name = ber.object_identifier(oid)
    return (name + ber.tlv(ber.OCTETS, cell.octets) if cell.want == EXACT else name), cell.want


def _padded(lists: Sequence[Sequence[int]]) -> codec.Ints:
    """Return lists of different lengths as rows, filled up with -1."""
    padded = np.full((len(lists), max(map(len, lists), default=0)), -1, np.int64)
    for number, values in enumerate(lists):
        padded[number, : len(values)] = values
    return padded


def joined(plans: Sequence[Plan]) -> tuple[Kinds, Mapping[int, int]]:
    """Return the tables of several plans as one, and the number of each plan's first request there.

    Plans are told apart by ``id``.
    """
    if len(plans) == 1:
        return plans[0].kinds, {id(plans[0]): 0}
    parts = [plan.kinds for plan in plans]
    kinds = np.cumsum([0, *(len(part.length) for part in parts)])
    entries = np.cumsum([0, *(len(part.exact) for part in parts)])
    tails = np.cumsum([0, *(len(part.tails) for part in parts)])

    def stacked(name: str, fill: int, offsets: Sequence[int] | None = None) -> codec.Ints:
        arrays = [getattr(part, name) for part in parts]
        width = max(array.shape[1] for array in arrays)
        whole = np.full((sum(len(array) for array in arrays), width), fill, arrays[0].dtype)
        row = 0
        for number, array in enumerate(arrays):
            shifted = array if offsets is None else np.where(array >= 0, array + offsets[number], array)
            whole[row : row + len(array), : array.shape[1]] = shifted
            row += len(array)
        return whole

    def chained(name: str) -> codec.Ints:
        return np.concatenate([getattr(part, name) for part in parts])

    tail = [np.where(p.tail >= 0, p.tail + tails[n], -1) for n, p in enumerate(parts)]
    return Kinds(
        template=stacked("template", 0).astype(np.uint8),
        length=chained("length"),
        id_at=chained("id_at"),
        varbinds=chained("varbinds"),
        scalars=chained("scalars"),
        width=chained("width"),
        entry=stacked("entry", -1, entries.tolist()),
        slot=stacked("slot", -1),
        rows=stacked("rows", -1),
        expect=chained("expect").view(np.uint64),
        mask=chained("mask").view(np.uint64),
        exact=chained("exact"),
        want=chained("want").astype(np.uint8),
        tail=np.concatenate(tail),
        tails=stacked("tails", 0).view(np.uint64),
        tail_masks=stacked("tail_masks", 0).view(np.uint64),
    ), {id(plan): int(first) for plan, first in zip(plans, kinds, strict=False)}
