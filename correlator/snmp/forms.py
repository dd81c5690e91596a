"""What answers hold at each of their varbinds where it is known beforehand where these begin.

Then the lengths of the values are known too, and all of it is compared and read in one go: of each varbind
the 32 bytes are looked at that end eight behind its value's length, so that tag, length and value stand
at the same place whatever the OID's length is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from correlator.snmp import codec
from correlator.snmp.ber import COUNTER32, COUNTER64, GAUGE32, INTEGER, TIMETICKS
from correlator.snmp.codec import COUNTER, EXACT, Bytes, Datagrams, Flags, Ints, Kinds, Words

Spans = list[tuple[int, int, int]]
"""Of each varbind its bytes without the value, and the least and most that a value has."""
Table = TypeVar("Table", bound=npt.NDArray[Any])

BLOCK = 8 * codec.WORDS  # bytes looked at of each varbind
VALUE = BLOCK - 8  # where in them the value begins; in front of it its length and its tag
LENGTH, TAG = VALUE - 1, VALUE - 2
LONGEST = 8  # bytes of a value
SIGN = np.uint64(1 << 63)
NOWHERE = 2**62  # beyond any slot

FORBIDDEN = np.zeros(256, np.uint64)  # by tag, the bits that no value of its type has
FORBIDDEN[[COUNTER32, GAUGE32, TIMETICKS]] = 2**64 - 2**32
FORBIDDEN[COUNTER64] = SIGN


def measures(kinds: Kinds, entry: Ints) -> tuple[Flags, Ints, Ints]:
    """Return of varbinds which hold a value, where in them its tag stands, and their bytes without it.

    Where the very bytes are given there is no value to be read.
    """
    exact = kinds.exact.take(entry)
    free = kinds.want.take(entry) != EXACT
    return free, (exact + 2) * free, exact + 2 + 2 * free


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks of all expected varbinds of some kinds of requests, one a row, whatever tags values have.

    ``free``, ``behind``, ``span`` are their measures. A block begins at ``begin`` of its varbind, or at its
    head where the value is too far behind that (not ``near``); ``expect`` must stand where ``mask`` is set.
    ``sign`` is the bit that a counter must not have.
    """

    free: Flags
    behind: Ints
    span: Bytes
    near: Bytes
    begin: Ints
    expect: Words
    mask: Words
    sign: Words

    @classmethod
    def of(cls, kinds: Kinds) -> Blocks:
        """Return the blocks of the expected varbinds of ``kinds``."""
        free, behind, span = measures(kinds, np.arange(len(kinds.exact)))
        near = behind <= TAG
        moved = free & near
        begin = np.where(moved, behind - TAG, 0)
        expect, mask = (_moved(words, moved, begin) for words in (kinds.expect, kinds.mask))
        expect &= mask
        mask[moved, TAG : LENGTH + 1] = 255
        signed = free & (kinds.want == COUNTER)
        return cls(
            free,
            behind,
            span.astype(np.uint8),
            near.astype(np.uint8),
            begin,
            expect.view("<u8"),
            mask.view("<u8"),
            np.where(signed, SIGN, 0).astype(np.uint64),
        )


class Form:
    """The answers to some requests, all of so many varbinds: tables of requests × varbinds.

    ``kind`` are the requests' numbers in ``kinds``, ``tags`` the tags that their values have.
    """

    def __init__(self, kinds: Kinds, blocks: Blocks, kind: Ints, tags: Bytes) -> None:
        self.kinds, steps = kinds, int(kinds.varbinds[kind[0]])
        self.tags = tags[:, :steps]
        self.entry = entry = kinds.entry.take(kind, axis=0)[:, :steps]
        self.free, self.behind = blocks.free.take(entry), blocks.behind.take(entry)
        self.span, self.near = blocks.span.take(entry), blocks.near.take(entry)
        self.begin, self.mask = blocks.begin.take(entry), blocks.mask.take(entry, axis=0)
        self.expect: Words = blocks.expect.take(entry, axis=0)
        self.expect.view(np.uint8)[:, :, TAG] |= self.tags * self.near
        self.forbidden: Words = FORBIDDEN.take(self.tags) | blocks.sign.take(entry)
        self.slot = kinds.slot.take(kind, axis=0)[:, :steps]
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
        if not self.near.all():
            differ.append(self._far_numbers(data, place, lengths, numbers))
        differ.append((numbers & _each(self.forbidden)) != 0)
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
        told = data.blocks[place + _each(self.begin)].view("<u8").reshape(*place.shape, codec.WORDS)
        numbers = told[..., -1].byteswap()
        told.view(np.uint8)[..., LENGTH] ^= lengths * _each(self.near)
        told &= _each(self.mask)  # in place: these are the largest arrays of all
        differ = [told != _each(self.expect)]
        if (self.kinds.tail.take(self.entry) >= 0).any():
            entry = np.broadcast_to(_each(self.entry), place.shape).ravel()
            differ.append(codec.tails_differ(data, place.ravel(), entry, self.kinds).reshape(place.shape))
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


def _moved(words: Words, moved: Flags, begin: Ints) -> Bytes:
    """Return the bytes of expected varbinds as they stand in blocks; of the moved ones, up to the tag."""
    octets = words.view(np.uint8)
    blocks = np.where(moved[:, None], np.uint8(0), octets)
    for one in np.unique(begin[moved]).tolist():
        which = np.flatnonzero(moved & (begin == one))
        blocks[which, -one:TAG] = octets[which, : TAG + one]
    return blocks


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
