"""What answers hold at each of their varbinds where it is known beforehand where these begin.

Then the lengths of the values are known too, and all of it is compared and read in one go: of each varbind
the 32 bytes are looked at that end eight behind its value's length, so that tag, length and value stand
at the same place whatever the OID's length is.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from correlator.snmp import codec
from correlator.snmp.ber import COUNTER32, COUNTER64, GAUGE32, INTEGER, TIMETICKS
from correlator.snmp.codec import Datagrams
from correlator.snmp.kinds import (
    BLOCK,
    COUNTER,
    EXACT,
    GIVEN,
    HEADER,
    WORDS,
    Bytes,
    Flags,
    Ints,
    Kinds,
    Words,
)

Spans = list[tuple[int, int, int]]
"""Of each varbind its bytes without the value, and the least and most that a value has."""
Table = TypeVar("Table", bound=npt.NDArray[Any])

VALUE = BLOCK - 8  # where in a block the value begins; in front of it its length and its tag
LENGTH, TAG = VALUE - 1, VALUE - 2
LONGEST = 8  # bytes of a value
SIGN = np.uint64(1 << 63)
NOWHERE = 2**62  # beyond any slot
FURTHEST = TAG - HEADER  # given bytes, of blocks that end at the value

FORBIDDEN = np.zeros(256, np.uint64)  # by tag, the bits that no value of its type has
FORBIDDEN[[COUNTER32, GAUGE32, TIMETICKS]] = 2**64 - 2**32
FORBIDDEN[COUNTER64] = SIGN


def measures(kinds: Kinds, cell: Ints) -> tuple[Flags, Ints, Ints]:
    """Return of cells which hold a value, where in them its tag stands, and their bytes without it.

    Where the very bytes are given there is no value to be read.
    """
    given = kinds.exact.take(cell).astype(np.int64) + HEADER
    free = kinds.want.take(cell) != EXACT
    return free, given * free, given + 2 * free


def _moved() -> Words:
    """Return which bytes of a block that ends at the value count, by how many are given of the varbind."""
    octets = np.zeros((FURTHEST + 1, BLOCK), np.uint8)
    for given, row in enumerate(octets):
        row[TAG - HEADER - given : TAG] = GIVEN.view(np.uint8)[given, : HEADER + given]
        row[TAG : LENGTH + 1] = 255
    return octets.view("<u8")


COUNTS = np.concatenate((_moved(), GIVEN))  # behind those of moved blocks those that begin with the varbind


class Form:
    """The answers to some requests, all of so many varbinds: tables of requests × varbinds.

    ``kind`` are the requests, ``tags`` the tags that their values have. A block begins ``begin`` bytes behind
    its varbind's head: in front of it, so as to end at the value, unless that is too far (not ``near``) or
    none; ``expect`` must stand where ``mask`` is set. ``forbidden`` are bits that a value must not have.
    """

    def __init__(self, kinds: Kinds, kind: Ints, tags: Bytes) -> None:
        self.kinds, steps = kinds, int(kinds.varbinds[kind[0]])
        self.tags = np.ascontiguousarray(tags[:, :steps])
        self.cell = kinds.cells(kind, steps)
        self.free, self.behind, span = measures(kinds, self.cell)
        self.span = span.astype(np.uint8)
        near = self.behind <= TAG
        moved = self.free & near
        self.near, self.all_near = near.astype(np.uint8), bool(near.all())
        self.begin = np.where(moved, self.behind - TAG, 0)
        given = np.minimum(kinds.exact.take(self.cell), len(GIVEN) - 1)
        self.mask: Words = COUNTS.take(np.where(moved, given, given + FURTHEST + 1), axis=0)
        blocks = kinds.blocks[(self.cell + 1) * BLOCK + self.begin].view("<u8")
        self.expect: Words = blocks.reshape(*self.cell.shape, WORDS) & self.mask
        self.expect.view(np.uint8)[:, :, TAG] |= self.tags * self.near
        counter = self.free & (kinds.want.take(self.cell) == COUNTER)
        self.forbidden: Words = FORBIDDEN.take(self.tags) | np.where(counter, SIGN, np.uint64(0))
        self.long = bool((kinds.tail.take(self.cell) >= 0).any())
        self.slot = kinds.slot.take(self.cell).astype(np.int64)
        self.slot[self.slot < 0] = NOWHERE

    @property
    def spans(self) -> Spans:
        """Of the first request."""
        most = np.where(self.tags[0] == INTEGER, 4, np.where(self.tags[0] > 0, LONGEST, -1))
        free = self.free[0]
        most = np.where(free, most, 0)
        return list(zip(self.span[0].tolist(), free.astype(int).tolist(), most.tolist(), strict=True))

    def read(
        self, data: Datagrams, place: Ints, sizes: Bytes, base: Ints, values: Words
    ) -> tuple[Flags, Words]:
        """Put the values of those answers into ``values`` that are as they should be; return which, and all.

        Answers are requests × answers to each. ``place`` is where each of their varbinds begins, ``sizes``
        how long it is, ``base`` where their slots begin. The last of ``values`` is for what nobody wants.
        """
        lengths = sizes - _each(self.span)
        numbers, differ = self._numbers(data, place, lengths)
        differ.append(data.bytes[1:].take(place) != sizes - np.uint8(2))
        wide = lengths * np.uint8(256 - 8)
        wide &= np.uint8(63)
        signed = numbers.view(np.int64)
        signed >>= wide.astype(np.int64)
        if not self.all_near:
            differ.append(self._far_numbers(data, place, lengths, numbers))
        beyond = numbers & _each(self.forbidden)
        if beyond.any():
            differ.append(beyond != 0)
        right = _right(differ)
        slot = _each(self.slot) + base[:, :, None]
        np.minimum(slot, len(values) - 1, out=slot)
        if right.all():
            values[slot] = numbers
        else:
            values[slot[right]] = numbers[right]
        return right, numbers

    def _numbers(self, data: Datagrams, place: Ints, lengths: Bytes) -> tuple[Words, list[Flags]]:
        """Return the last words of each block, and what differs from what must stand in it."""
        told = data.blocks[place + _each(self.begin)].view("<u8").reshape(*place.shape, WORDS)
        numbers = told[..., -1].byteswap()
        told.view(np.uint8)[..., LENGTH] ^= lengths * _each(self.near)
        told &= _each(self.mask)  # in place: these are the largest arrays of all
        differ = [told != _each(self.expect)]
        if self.long:
            cell = np.broadcast_to(_each(self.cell), place.shape).ravel()
            differ.append(codec.tails_differ(data, place.ravel(), cell, self.kinds).reshape(place.shape))
        return numbers, differ

    def _far_numbers(self, data: Datagrams, place: Ints, lengths: Bytes, numbers: Words) -> Flags:
        """Put the numbers that stand outside of their blocks where they belong; return whose head differs."""
        columns = np.flatnonzero(~self.near.all(axis=0))
        far = _each(self.free & ~self.near.astype(bool))[..., columns]
        at = (place + _each(self.behind))[..., columns]
        long = lengths[..., columns]
        head = data.pairs[np.minimum(at, len(data.pairs) - 1)].view("<u8").reshape(*at.shape, 2)
        found = (head[..., 0] >> np.uint64(16)) | (head[..., 1] << np.uint64(48))
        signed = found.byteswap().view(np.int64) >> ((64 - 8 * long.astype(np.int64)) & 63)
        numbers[..., columns] = np.where(far, signed.view(np.uint64), numbers[..., columns])
        octets = head.view(np.uint8)
        differs = (octets[..., 0] != _each(self.tags)[..., columns]) | (octets[..., 1] != long)
        return np.asarray(far & differs)


def _each(table: Table) -> Table:
    """Return what holds for requests for each answer to them."""
    return table[:, None]  # type: ignore[return-value]


def _right(differ: list[Flags]) -> Flags:
    """Return which answers have nothing that differs."""
    right = np.ones(differ[0].shape[:2], dtype=bool)
    for one in differ:
        if one.any():
            right &= ~one.reshape(*right.shape, -1).any(axis=2)
    return right
