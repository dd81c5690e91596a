"""What answers hold at each of their varbinds where the lengths of the values are known beforehand.

Then the place of everything is known too, and all of it is compared and read in one go: of each varbind the
32 bytes are looked at that end eight behind its value's length, so that tag, length and value stand at
the same place whatever the OID's length is.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from correlator.snmp import codec
from correlator.snmp.ber import COUNTER32, COUNTER64, GAUGE32, INTEGER, TIMETICKS
from correlator.snmp.codec import COUNTER, EXACT, Bytes, Datagrams, Flags, Ints, Kinds, Words

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


class Form:
    """The answers to some requests, all of so many varbinds; a row for each request.

    ``kind`` are the requests' numbers in ``kinds``, ``tags`` the tags that their values have.
    """

    def __init__(self, kinds: Kinds, kind: Ints, tags: Bytes) -> None:
        self.steps = steps = tags.shape[1]
        self._kinds, self._tags = kinds, tags
        self._entry = kinds.entry.take(kind, axis=0)[:, :steps]
        self.free, self.behind, self.span = measures(kinds, self._entry)
        self._bare = (self.span - 2).astype(np.uint8)
        far = (self.behind > TAG).any(axis=0)
        self._far: Ints = np.flatnonzero(far)  # varbinds whose value is too far behind their beginning
        self._near = (~far).astype(np.uint8)
        self._from = np.where(self.free & ~far, self.behind - TAG, 0)
        self._lay_out(kinds, ~far & self.free)
        signed = np.where(kinds.want.take(self._entry) == COUNTER, SIGN, 0).astype(np.uint64)
        self._forbidden: Words = FORBIDDEN.take(tags) | signed
        self._forbidden[~self.free] = 0
        self._tails = bool((kinds.tail.take(self._entry) >= 0).any())
        slot = kinds.slot.take(kind, axis=0)[:, :steps]
        self._slot: Ints = np.where(slot < 0, NOWHERE, slot)

    def _lay_out(self, kinds: Kinds, moved: Flags) -> None:
        """Set the bytes that must stand in each block, and which of them count; ``moved``: up to the tag."""
        shape = *self._entry.shape, codec.WORDS
        place = np.arange(BLOCK) + np.where(moved, self._from, 0)[:, :, None]
        there = (place >= 0) & (~moved[:, :, None] | (np.arange(BLOCK) < TAG))
        place = np.where(there, place, 0)
        expect, mask = (
            np.take_along_axis(words.take(self._entry, axis=0).view(np.uint8), place, axis=2) * there
            for words in (kinds.expect, kinds.mask)
        )
        expect[:, :, TAG] = np.where(moved, self._tags, expect[:, :, TAG])
        mask[:, :, TAG] = np.where(moved, 255, mask[:, :, TAG])
        mask[:, :, LENGTH] = np.where(moved, 255, mask[:, :, LENGTH])
        expect &= mask
        self._expect: Words = expect.view("<u8").reshape(shape)
        self._mask: Words = mask.view("<u8").reshape(shape)

    @cached_property
    def spans(self) -> list[tuple[int, int, int]]:
        """For each varbind of the first request its ``span`` and the least and most bytes of a value."""
        most = np.where(self._tags[0] == INTEGER, 4, np.where(self._tags[0] > 0, LONGEST, -1))
        free = self.free[0]
        most = np.where(free, most, 0)
        return list(zip(self.span[0].tolist(), free.astype(int).tolist(), most.tolist(), strict=True))

    def read(
        self, data: Datagrams, first: Ints, lengths: Bytes, row: Ints | None, base: Ints, values: Words
    ) -> tuple[Flags, Words]:
        """Put the values of those answers into ``values`` that are as they should be; return which, and all.

        ``first`` is where their varbinds begin, ``lengths`` are those of the values (answers × varbinds),
        ``row`` says which request each answers (None: the first), ``base`` where its slots begin. The last
        of ``values`` is for what nobody wants.
        """
        place, wide = self._places(first, lengths, row)
        numbers, differ = self._numbers(data, place, lengths, row)
        wide *= -8
        wide &= 63
        signed = numbers.view(np.int64)
        signed >>= wide
        if len(self._far):
            differ.append(self._far_numbers(data, place, lengths, row, numbers))
        differ.append((numbers & self._of(self._forbidden, row)) != 0)
        right = self._right(differ, len(lengths))
        slot = self._of(self._slot, row) + base[:, None]
        np.minimum(slot, len(values) - 1, out=slot)
        if right.all():
            values[slot] = numbers
        else:
            values[slot[right]] = numbers[right]
        return right, numbers

    def _of(self, table: Table, row: Ints | None) -> Table:
        """Return a table's row for each answer, or the one that is all answers'."""
        return table[:1] if row is None else table.take(row, axis=0)  # type: ignore[return-value]

    def _places(self, first: Ints, lengths: Bytes, row: Ints | None) -> tuple[Ints, Ints]:
        """Return where each varbind begins, and the lengths as wider numbers."""
        wide = lengths.astype(np.int64)
        sizes = wide + self._of(self.span, row)
        place = np.add.accumulate(sizes, axis=1)
        place -= sizes
        place += first[:, None]
        return place, wide

    def _numbers(
        self, data: Datagrams, place: Ints, lengths: Bytes, row: Ints | None
    ) -> tuple[Words, list[Flags]]:
        """Return the last words of each block, and what differs from what must stand in it."""
        outer = data.bytes[1:].take(place)
        outer -= lengths
        differ = [outer != self._of(self._bare, row)]
        told = data.blocks[place + self._of(self._from, row)].view("<u8").reshape(*place.shape, codec.WORDS)
        numbers = told[:, :, -1].byteswap()
        told.view(np.uint8)[:, :, LENGTH] ^= lengths * self._near if len(self._far) else lengths
        told &= self._of(self._mask, row)  # in place: these are the largest arrays of all
        differ.append(told != self._of(self._expect, row))
        if self._tails:
            entry = np.broadcast_to(self._of(self._entry, row), place.shape).ravel()
            differ.append(codec.tails_differ(data, place.ravel(), entry, self._kinds).reshape(place.shape))
        return numbers, differ

    def _far_numbers(
        self, data: Datagrams, place: Ints, lengths: Bytes, row: Ints | None, numbers: Words
    ) -> Flags:
        """Put the numbers that stand outside of their blocks where they belong; return whose head differs."""
        at = (place + self._of(self.behind, row))[:, self._far]
        free, long = self._of(self.free, row)[:, self._far], lengths[:, self._far]
        head = data.pairs[np.minimum(at, len(data.pairs) - 1)].view("<u8").reshape(*at.shape, 2)
        found = (head[:, :, 0] >> np.uint64(16)) | (head[:, :, 1] << np.uint64(48))
        signed = found.byteswap().view(np.int64) >> ((64 - 8 * long.astype(np.int64)) & 63)
        numbers[:, self._far] = signed.view(np.uint64)
        octets = head.view(np.uint8)
        tags = self._of(self._tags, row)[:, self._far]
        return np.asarray(free & ((octets[:, :, 0] != tags) | (octets[:, :, 1] != long)))

    def _right(self, differ: list[Flags], count: int) -> Flags:
        """Return which answers have nothing that differs."""
        right = np.ones(count, dtype=bool)
        for one in differ:
            if one.any():
                right &= ~one.reshape(count, -1).any(axis=1)
        return right
