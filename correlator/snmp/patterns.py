"""Requests of plans, written out: the bytes to send, and those that must stand in the answers.

A request that several plans make alike, of one community, is written and learned once: switches that are
much alike, but not the same, share most of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from correlator.snmp import ber
from correlator.snmp.kinds import BLOCK, COUNTER, EXACT, HEADER, MOST_GIVEN, Bytes, Ints, Kinds
from correlator.snmp.target import Index, Oid


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a row: its column, where it goes (-1: nowhere), and what it may be.

    ``octets`` is what an EXACT one must be.
    """

    column: Oid
    slot: int
    want: int = COUNTER
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
class Pattern:
    """One request of a community with the scalars that come with it, written out.

    ``message`` is the request, whose id stands at ``id_at``. Of each varbind of the answer: ``slot``, where
    its value goes (-1: nowhere), ``exact`` and ``want`` as in ``Kinds``, the first BLOCK bytes in ``octets``;
    ``tails`` are the further bytes of long ones. ``tags`` are those of the values as they were learned; 0:
    not yet, or none.
    """

    community: bytes
    request: Request
    scalars: int
    message: bytes
    id_at: int
    slot: npt.NDArray[np.int32]
    octets: Bytes
    exact: npt.NDArray[np.int16]
    want: Bytes
    tails: dict[int, bytes]
    tags: Bytes = field(init=False)

    def __post_init__(self) -> None:
        self.tags = np.zeros(len(self.slot), np.uint8)

    @property
    def width(self) -> int:
        """How many values each row of a GETBULK's answer has; 0 for a GET."""
        return 0 if self.request.start is None else len(self.request.lines[0].cells)

    @property
    def rows(self) -> list[int]:
        """The numbers of the device's rows that the answer tells."""
        return [line.number for line in self.request.lines if line.number >= 0]


_PATTERNS: WeakValueDictionary[tuple[bytes, tuple[Cell, ...], Request], Pattern] = WeakValueDictionary()


def pattern(community: bytes, scalars: tuple[Cell, ...], asked: Request) -> Pattern:
    """Return a request written out; the same for those that are alike."""
    key = community, scalars, asked
    found = _PATTERNS.get(key)
    if found is None:
        found = _PATTERNS[key] = _written(*key)
    return found


def _written(community: bytes, scalars: tuple[Cell, ...], asked: Request) -> Pattern:
    cells = list(_answer(scalars, asked))
    given = [_given(oid, cell) for oid, cell in cells]
    octets = np.zeros((len(cells), BLOCK), np.uint8)
    for row, told in zip(octets, given, strict=True):
        row[0], first = ber.SEQUENCE, told[:MOST_GIVEN]
        row[HEADER : HEADER + len(first)] = np.frombuffer(first, np.uint8)
    message, id_at = _message(community, [cell.column for cell in scalars], asked)
    return Pattern(
        community=community,
        request=asked,
        scalars=len(scalars),
        message=message,
        id_at=id_at,
        slot=np.array([cell.slot for _, cell in cells], np.int32),
        octets=octets,
        exact=np.array([len(told) for told in given], np.int16),
        want=np.array([cell.want for _, cell in cells], np.uint8),
        tails={n: told[MOST_GIVEN:] for n, told in enumerate(given) if len(told) > MOST_GIVEN},
    )


def _message(community: bytes, scalars: Sequence[Oid], asked: Request) -> tuple[bytes, int]:
    if asked.start is None:
        oids = [*scalars, *(cell.column + line.index for line in asked.lines for cell in line.cells)]
        return ber.request(community, ber.GET, oids, 0, 0)
    places = [cell.column + asked.start for cell in asked.lines[0].cells]
    before = [scalar[:-1] for scalar in scalars]
    return ber.request(community, ber.GETBULK, [*before, *places], len(before), len(asked.lines))


def _answer(scalars: Sequence[Cell], asked: Request) -> Iterator[tuple[Oid, Cell]]:
    """Return what a full answer holds, in order."""
    yield from ((cell.column, cell) for cell in scalars)
    for line in asked.lines:
        yield from ((cell.column + line.index, cell) for cell in line.cells)


def _given(oid: Oid, cell: Cell) -> bytes:
    """Return the bytes behind a varbind's header that are known beforehand."""
    name = ber.object_identifier(oid)
    return name + ber.tlv(ber.OCTETS, cell.octets) if cell.want == EXACT else name


def stacked(patterns: Sequence[Pattern]) -> Kinds:
    """Return requests as arrays, a row each."""
    count, steps = len(patterns), max((len(one.slot) for one in patterns), default=0)
    template = np.zeros((count, max((len(one.message) for one in patterns), default=0)), np.uint8)
    octets = np.zeros((count * steps + 2) * BLOCK, np.uint8)
    cells = octets[BLOCK:-BLOCK].reshape(count, steps, BLOCK)
    slot, tail = (np.full((count, steps), -1, np.int32) for _ in range(2))
    exact, want = np.zeros((count, steps), np.int16), np.zeros((count, steps), np.uint8)
    tails: list[bytes] = []
    for number, one in enumerate(patterns):
        mine = slice(0, len(one.slot))
        template[number, : len(one.message)] = np.frombuffer(one.message, np.uint8)
        cells[number, mine], slot[number, mine] = one.octets, one.slot
        exact[number, mine], want[number, mine] = one.exact, one.want
        for place, told in one.tails.items():
            tail[number, place] = len(tails)
            tails.append(told)
    words = -(-max(map(len, tails), default=0) // 8)
    return Kinds(
        template=template,
        length=np.array([len(one.message) for one in patterns], np.int64),
        id_at=np.array([one.id_at for one in patterns], np.int64),
        varbinds=np.array([len(one.slot) for one in patterns], np.int64),
        scalars=np.array([one.scalars for one in patterns], np.int64),
        width=np.array([one.width for one in patterns], np.int64),
        rows=_padded([one.rows for one in patterns]),
        slot=slot,
        octets=octets,
        exact=exact,
        want=want,
        tail=tail,
        tails=_words(tails, words),
        tail_masks=_words([b"\xff" * len(one) for one in tails], words),
    )


def _words(texts: Sequence[bytes], words: int) -> npt.NDArray[np.uint64]:
    """Return texts as rows of so many words, filled up with zeros."""
    whole = b"".join(text.ljust(8 * words, b"\0") for text in texts)
    return np.frombuffer(whole, "<u8").reshape(len(texts), words)


def _padded(lists: Sequence[Sequence[int]]) -> Ints:
    """Return lists of different lengths as rows, filled up with -1."""
    padded = np.full((len(lists), max(map(len, lists), default=0)), -1, np.int64)
    for number, values in enumerate(lists):
        padded[number, : len(values)] = values
    return padded
