"""What each device's last answers looked like, so that the next ones can be read without looking for places.

In BER a value has as many bytes as it needs, so where a varbind stands depends on all those before it. From
one reading to the next few values change their length. An answer that is as long as the last one to the
same request is read as if each value had its length of last time; every byte that is not a value's own is
compared with what must stand there then: the head byte for byte with the last one's (which was checked),
headers, OIDs, tags and lengths of all varbinds with the plan's. Where one differs, or a value is beyond
its type, nothing is taken here: ``codec.read`` finds the varbinds one by one and says what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from correlator.snmp import codec
from correlator.snmp.codec import (
    COUNTER,
    EXACT,
    INTEGER,
    STRIDE,
    Bytes,
    Datagrams,
    Flags,
    Heads,
    Ints,
    Kinds,
    Words,
)
from correlator.snmp.look import look
from correlator.snmp.plan import Plan

HEAD = 48  # bytes kept of an answer's head; longer ones are not remembered
SIZE, FIRST, ID_AT, LENGTHS = 24, 50, 51, 56  # places in a row behind the head; SIZE in units of two bytes
LONGEST = 8  # bytes of a value
MOST_ODD = 64  # answers of a batch with values of another length that are cheaper to look at one by one
MOST_FOUND = 64  # kinds of answers that are looked up once
SIGN = np.uint64(1 << 63)

FORBIDDEN = np.zeros(256, np.uint64)  # by tag, the bits that no value of its type has
FORBIDDEN[[codec.COUNTER32, codec.GAUGE32, codec.TIMETICKS]] = 2**64 - 2**32
FORBIDDEN[codec.COUNTER64] = SIGN

_IN_FRONT = np.where(np.arange(HEAD) < np.arange(HEAD + 1)[:, None], 255, 0).astype(np.uint8).view("<u8")
_OFF_ID = np.where((np.arange(HEAD) - np.arange(256)[:, None]) // 4 == 0, 0, 255).astype(np.uint8).view("<u8")


@dataclass(eq=False, slots=True)
class Memory:
    """What is remembered of one device while it is asked by one plan: a row for each request."""

    plan: Plan | None = None
    table: Bytes | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Recalled:
    """What is remembered of answers: a row for each datagram; ``same`` says which look like it.

    ``looked`` are those that do not, but were looked at one by one: their rows are their own.
    """

    table: Bytes
    same: Flags
    looked: list[int]

    @property
    def id_at(self) -> Ints:
        """Where the request-id's four bytes stand."""
        return self.table[:, ID_AT].astype(np.int64)


def _same_heads(data: Datagrams, table: Bytes) -> Flags:
    """Return which of the first datagrams begin as remembered, but for the request-id."""
    told = data.frames[: len(table), : HEAD // 8] ^ table.view("<u8")[:, : HEAD // 8]
    told &= _IN_FRONT.take(table[:, FIRST], axis=0)
    told &= _OFF_ID.take(table[:, ID_AT], axis=0)
    same: Flags = np.bitwise_or.reduce(told, axis=1) == 0
    return same


class Shapes:
    """The answers of many devices, a row for each request of each; ``first`` is each device's first row."""

    def __init__(self, plans: Sequence[Plan], memories: Sequence[Memory]) -> None:
        distinct = list({id(plan): plan for plan in plans}.values())
        steps = max((plan.kinds.entry.shape[1] for plan in distinct), default=0)
        self.first = np.cumsum([0, *(plan.count for plan in plans)])
        self._table: Bytes = np.zeros((self.first[-1], -(-(LENGTHS + steps) // 8) * 8), np.uint8)
        for plan, memory, at in zip(plans, memories, self.first.tolist(), strict=False):
            mine = self._table[at : at + plan.count]
            if memory.plan is plan and memory.table is not None:
                width = min(mine.shape[1], memory.table.shape[1])
                mine[:, :width] = memory.table[:, :width]
            memory.plan, memory.table = plan, mine
        starts = dict(
            zip(map(id, distinct), np.cumsum([0, *(p.count for p in distinct)]).tolist(), strict=False)
        )
        self._plan_first = np.array([starts[id(plan)] for plan in plans], np.int64)
        self._tags: Bytes = np.zeros((sum(plan.count for plan in distinct), steps), np.uint8)
        for plan in distinct:
            at = starts[id(plan)]
            self._tags[at : at + plan.count, : plan.tags.shape[1]] = plan.tags
        self._plans = plans
        self._communities = [plan.community for plan in distinct for _ in range(plan.count)]
        self._found: dict[int, _Expected] = {}  # by request among those of all plans

    def pattern(self, device: Ints, number: Ints) -> Ints:
        """Return the numbers of the requests among those of all plans."""
        numbers: Ints = self._plan_first.take(device) + number
        return numbers

    def recall(
        self, data: Datagrams, sizes: Ints, may: Flags, device: Ints, number: Ints, kind: Ints, kinds: Kinds
    ) -> Recalled:
        """Return what is remembered of the first datagrams as answers of devices to requests of theirs.

        ``may`` says for which that is asked; ``number`` counts a device's requests, ``kind`` is theirs in
        ``kinds``.
        """
        table = self._table.take(self.first.take(device) + number, axis=0)
        known = table.view("<u2")[:, SIZE]
        same = may & (known == sizes) & (known > 0) & _same_heads(data, table)
        odd = np.flatnonzero(may & ~same & (sizes <= STRIDE))
        looked = [
            place
            for place in (odd.tolist() if len(odd) <= MOST_ODD else ())
            if self._look(data, place, int(sizes[place]), table[place], device, number, kind, kinds)
        ]
        same[looked] = True
        return Recalled(table, same, looked)

    def _look(
        self,
        data: Datagrams,
        place: int,
        size: int,
        row: Bytes,
        device: Ints,
        number: Ints,
        kind: Ints,
        kinds: Kinds,
    ) -> bool:
        """Put into ``row`` what a datagram looks like that is not as remembered; return whether it can be."""
        one = slice(place, place + 1)
        pattern = self.pattern(device[one], number[one])
        expected = self._expected(pattern, kind[one], kinds)
        octets = data.bytes[place * STRIDE : place * STRIDE + size].tobytes()
        seen = look(octets, self._communities[int(pattern[0])], expected.spans)
        if seen is None or seen[0] > HEAD:
            return False
        row[:LENGTHS] = np.frombuffer(octets[:HEAD].ljust(LENGTHS, b"\0"), np.uint8)
        row.view("<u2")[SIZE] = size
        row[FIRST], row[ID_AT] = seen[:2]
        row[LENGTHS : LENGTHS + len(seen[2])] = np.frombuffer(seen[2], np.uint8)
        return True

    def keep(self, device: Ints, number: Ints, known: Bytes) -> None:
        """Remember what answers looked like."""
        self._table[self.first[device] + number] = known

    def read(
        self,
        data: Datagrams,
        at: Ints,
        known: Bytes,
        pattern: Ints,
        kind: Ints,
        base: Ints,
        kinds: Kinds,
        values: Words,
    ) -> Flags:
        """Put the values of answers into ``values`` and return of which: of those that are as remembered.

        ``at`` are the datagrams' places, ``known`` what is remembered of them (their heads were compared),
        ``kind`` and ``base`` as for ``codec.read``. All have the same number of varbinds. The last of
        ``values`` is for what nobody wants.
        """
        expected = self._expected(pattern, kind, kinds)
        steps = expected.steps
        lengths = known[:, LENGTHS : LENGTHS + steps]
        wide = lengths.astype(np.int64)
        sizes = wide + expected.span
        place = np.cumsum(sizes, axis=1)
        place -= sizes
        place += (at + known[:, FIRST])[:, None]
        wrong = expected.headers_differ(data, place, sizes)
        place += expected.behind
        told = data.pairs[place].view("<u8").reshape(*place.shape, 2)
        odd = told.view("<u2")[:, :, 0] ^ (lengths.astype(np.uint16) << np.uint16(8))
        odd ^= expected.tags
        odd &= expected.tagged
        numbers = told[:, :, 0] >> np.uint64(16)
        numbers |= told[:, :, 1] << np.uint64(48)
        numbers.byteswap(inplace=True)
        signed = numbers.view(np.int64)
        signed >>= (64 - 8 * wide) & 63
        wrong |= np.bitwise_or.reduce((numbers & expected.forbidden) | odd, axis=1)
        slot = np.minimum(expected.slot + base[:, None], len(values) - 1)
        right: Flags = wrong == 0
        if np.count_nonzero(right) == len(right):
            values[slot] = numbers
        else:
            values[slot[right]] = numbers[right]
        return right

    def _expected(self, pattern: Ints, kind: Ints, kinds: Kinds) -> _Expected:
        """Return what answers of those kinds hold; where all are of one kind, as it was found before."""
        steps = int(kinds.varbinds[kind[0]])
        if np.count_nonzero(kind != kind[0]):
            return _Expected(kinds, kind, self._tags.take(pattern, axis=0)[:, :steps])
        one = int(pattern[0])
        found = self._found.pop(one, None)
        if found is None:
            found = _Expected(kinds, kind[:1], self._tags[one : one + 1, :steps])
        self._found[one] = found  # the last used stand last
        if len(self._found) > MOST_FOUND:
            del self._found[next(iter(self._found))]
        return found

    def learn(
        self,
        data: Datagrams,
        place: Ints,
        heads: Heads,
        which: Ints,
        device: Ints,
        number: Ints,
        kind: Ints,
        kinds: Kinds,
    ) -> None:
        """Remember answers that were found right, where that is possible.

        ``heads`` are those of the datagrams ``which``, ``place`` where their varbinds begin (``codec.read``).
        """
        starts, steps, place = data.starts[which], len(place) - 1, np.ascontiguousarray(place.T)
        here = np.arange(steps) < kinds.varbinds[kind][:, None]
        expected = _Expected(kinds, kind, np.zeros((len(kind), steps), np.uint8))
        sizes = np.diff(place, axis=1)
        value = np.minimum(place[:, :-1] + expected.behind, len(data.bytes) - 2)
        lengths, tags = sizes - expected.span, data.bytes[value]
        integers = codec.NUMERIC[tags] & (data.bytes[value + 1] == lengths) & (lengths >= 1)
        integers &= lengths <= np.where(tags == INTEGER, 4, LONGEST)
        free = expected.tagged > 0
        plain = (data.bytes[place[:, :-1] + 1] == sizes - 2) & (sizes < 130)  # the length in one byte
        fits = (~here | (plain & np.where(free, integers, lengths == 0))).all(axis=1)
        fits &= (heads.first - starts <= HEAD) & (heads.id_at >= 0)
        fits &= (place[:, :-1] < heads.end[:, None]).sum(axis=1) == kinds.varbinds[kind]
        tags = np.where(here & free, tags, 0).astype(np.uint8)
        fits[fits] = self._agreed(device[fits], number[fits], tags[fits])
        table = np.zeros((int(fits.sum()), self._table.shape[1]), np.uint8)
        table.view("<u8")[:, : HEAD // 8] = data.frames[which[fits], : HEAD // 8]
        table.view("<u2")[:, SIZE] = (heads.end - starts)[fits]
        table[:, FIRST] = (heads.first - starts)[fits]
        table[:, ID_AT] = (heads.id_at - starts)[fits]
        table[:, LENGTHS : LENGTHS + steps] = np.where(here, lengths, 0)[fits]
        self._table[self.first[device[fits]] + number[fits]] = table

    def _agreed(self, device: Ints, number: Ints, tags: Bytes) -> Flags:
        """Return whose tags are those that all devices of their plan have; the first to come says which."""
        pattern = self.pattern(device, number)
        steps = tags.shape[1]
        for one in np.unique(pattern[~self._tags[pattern].any(axis=1)]).tolist():
            teacher = int(np.flatnonzero(pattern == one)[0])
            self._tags[one, :steps] = tags[teacher]
            self._found.pop(one, None)
            plan = self._plans[int(device[teacher])]
            plan.tags[int(number[teacher])] = self._tags[one, : plan.tags.shape[1]]
        agreed: Flags = (self._tags[pattern, :steps] == tags).all(axis=1)
        return agreed


class _Expected:
    """What answers of some kinds hold at each of their varbinds: a row for each kind given.

    ``span`` is the bytes of a varbind without its value, ``behind`` where in it the value's tag stands;
    ``tagged`` is 0 where the very bytes are given and there is no value to be read.
    """

    def __init__(self, kinds: Kinds, kind: Ints, tags: Bytes) -> None:
        self.steps = steps = tags.shape[1]
        self._kinds = kinds
        self._entry = kinds.entry.take(kind, axis=0)[:, :steps]
        want, exact = kinds.want.take(self._entry), kinds.exact.take(self._entry)
        free = want != EXACT
        self.behind: Ints = (exact + 2) * free
        self.span: Ints = exact + 2 + 2 * free
        self.tagged = np.where(free, 0xFFFF, 0).astype(np.uint16)
        self.tags = tags.astype(np.uint16)
        self.forbidden: Words = FORBIDDEN.take(tags) | np.where(want == COUNTER, SIGN, 0).astype(np.uint64)
        self.forbidden[~free] = 0
        self._free, self._learned = free, tags
        self._expect = kinds.expect.take(self._entry, axis=0)
        self._mask = kinds.mask.take(self._entry, axis=0)
        self._mask[:, :, 0] |= np.uint64(0xFF00)
        self._tails = bool((kinds.tail.take(self._entry) >= 0).any())
        slot = kinds.slot.take(kind, axis=0)[:, :steps]
        self.slot: Ints = np.where(slot < 0, 2**62, slot)

    @cached_property
    def spans(self) -> list[tuple[int, int, int]]:
        """For each varbind of the first kind its ``span`` and the least and most bytes of a value."""
        most = np.where(self._learned[0] == INTEGER, 4, np.where(self._learned[0] > 0, LONGEST, -1))
        most = np.where(self._free[0], most, 0)
        return list(
            zip(self.span[0].tolist(), self._free[0].astype(int).tolist(), most.tolist(), strict=True)
        )

    def headers_differ(self, data: Datagrams, place: Ints, sizes: Ints) -> Words:
        """Return for each answer 0 where all varbinds begin as they should and say that they are so long."""
        told = data.blocks[place].view("<u8").reshape(*place.shape, codec.WORDS)
        told ^= self._expect
        told.view(np.uint8)[:, :, 1] ^= (sizes - 2).astype(np.uint8)
        told &= self._mask
        wrong: Words = np.bitwise_or.reduce(told.reshape(len(place), -1), axis=1)
        if self._tails:
            entry = np.broadcast_to(self._entry, place.shape).ravel()
            differ = codec.tails_differ(data, place.ravel(), entry, self._kinds)
            wrong |= differ.reshape(place.shape).any(axis=1).astype(np.uint64)
        return wrong
