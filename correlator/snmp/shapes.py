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

import numpy as np

from correlator.snmp import codec
from correlator.snmp.ber import INTEGER
from correlator.snmp.codec import (
    STRIDE,
    Bytes,
    Datagrams,
    Flags,
    Heads,
    Ints,
    Kinds,
    Words,
)
from correlator.snmp.forms import LONGEST, Form, measures
from correlator.snmp.look import look
from correlator.snmp.plan import Plan

HEAD = 48  # bytes kept of an answer's head; longer ones are not remembered
SIZE, FIRST, ID_AT, LENGTHS = 24, 50, 51, 56  # places in a row behind the head; SIZE in units of two bytes
MOST_ODD = 64  # answers of a batch with values of another length that are cheaper to look at one by one
MOST_FOUND = 64  # kinds of answers that are looked up once

_IN_FRONT = np.where(np.arange(HEAD) < np.arange(HEAD + 1)[:, None], 255, 0).astype(np.uint8).view("<u8")
_OFF_ID = np.where((np.arange(HEAD) - np.arange(256)[:, None]) // 4 == 0, 0, 255).astype(np.uint8).view("<u8")


@dataclass(eq=False, slots=True)
class Memory:
    """What is remembered of one device while it is asked by one plan: a row for each request."""

    plan: Plan | None = None
    table: Bytes | None = None


@dataclass(eq=False, slots=True)
class Recalled:
    """What is remembered of answers: a row for each datagram; ``same`` says which look like it.

    ``looked`` are those of them that did not, but were looked at one by one: their rows are their own. None:
    there are none.
    """

    table: Bytes
    same: Flags
    looked: Flags | None = None

    def some(self, which: Flags) -> Recalled:
        """Return the same of some datagrams."""
        looked = None if self.looked is None else self.looked[which]
        return Recalled(self.table[which], self.same[which], looked)


def _same_heads(data: Datagrams, begin: int, table: Bytes) -> Flags:
    """Return which of the datagrams from ``begin`` on begin as remembered, but for the request-id."""
    told = data.frames[begin : begin + len(table), : HEAD // 8] ^ table.view("<u8")[:, : HEAD // 8]
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
        self._found: dict[bytes, Form] = {}  # by requests among those of all plans

    def pattern(self, device: Ints, number: Ints) -> Ints:
        """Return the numbers of the requests among those of all plans."""
        numbers: Ints = self._plan_first.take(device) + number
        return numbers

    def recall(
        self,
        data: Datagrams,
        begin: int,
        sizes: Ints,
        may: Flags,
        device: Ints,
        number: Ints,
        kind0: Ints,
        kinds: Kinds,
    ) -> Recalled:
        """Return what is remembered of the datagrams from ``begin`` on, as answers of devices.

        ``may`` says for which that is asked; ``number`` counts a device's requests, ``kind0`` says which of
        ``kinds`` is each device's first.
        """
        table = self._table.take(self.first.take(device) + number, axis=0, mode="clip")
        known = table.view("<u2")[:, SIZE]
        same = known == sizes
        same &= known > 0
        same &= _same_heads(data, begin, table)
        same &= may
        if same.all():
            return Recalled(table, same)
        odd = np.flatnonzero((may > same) & (sizes <= STRIDE))
        looked = np.zeros(len(same), dtype=bool)
        for place in odd.tolist() if len(odd) <= MOST_ODD else ():
            octets = data.bytes[(begin + place) * STRIDE :][: int(sizes[place])].tobytes()
            one = slice(place, place + 1)
            pattern, kind = self.pattern(device[one], number[one]), kind0[device[one]] + number[one]
            looked[place] = self._look(octets, table[place], pattern, kind, kinds)
        same |= looked
        return Recalled(table, same, looked)

    def _look(self, octets: bytes, row: Bytes, pattern: Ints, kind: Ints, kinds: Kinds) -> bool:
        """Put into ``row`` what an answer looks like that is not as remembered; return whether it can be."""
        form, _ = self._form(pattern, kind, kinds)
        seen = look(octets, self._communities[int(pattern[0])], form.spans)
        if seen is None or seen[0] > HEAD:
            return False
        row[:LENGTHS] = np.frombuffer(octets[:HEAD].ljust(LENGTHS, b"\0"), np.uint8)
        row.view("<u2")[SIZE] = len(octets)
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
    ) -> tuple[Flags, Words]:
        """Put into ``values`` those of answers that are as remembered; return which are, and all numbers.

        ``at`` are the datagrams' places, ``known`` what is remembered of them (their heads were compared),
        ``kind`` and ``base`` as for ``codec.read``. All have the same number of varbinds. The last of
        ``values`` is for what nobody wants.
        """
        form, row = self._form(pattern, kind, kinds)
        lengths = known[:, LENGTHS : LENGTHS + form.steps]
        return form.read(data, at + known[:, FIRST], lengths, row, base, values)

    def _form(self, pattern: Ints, kind: Ints, kinds: Kinds) -> tuple[Form, Ints | None]:
        """Return what the answers to some requests hold, as found before where it was, and which is whose.

        None: all answer the same request.
        """
        first = int(pattern[0])
        if np.count_nonzero(pattern != first) == 0:
            return self._found_form(np.array([first]), kind[:1], kinds), None
        some, index, row = np.unique(pattern, return_index=True, return_inverse=True)
        return self._found_form(some, kind[index], kinds), row

    def _found_form(self, pattern: Ints, kind: Ints, kinds: Kinds) -> Form:
        key = pattern.tobytes()
        found = self._found.pop(key, None)
        if found is None:
            steps = int(kinds.varbinds[kind[0]])
            found = Form(kinds, kind, self._tags.take(pattern, axis=0)[:, :steps])
        self._found[key] = found  # the last used stand last
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
        free, behind, span = measures(kinds, kinds.entry.take(kind, axis=0)[:, :steps])
        sizes = np.diff(place, axis=1)
        value = np.minimum(place[:, :-1] + behind, len(data.bytes) - 2)
        lengths, tags = sizes - span, data.bytes[value]
        integers = codec.NUMERIC[tags] & (data.bytes[value + 1] == lengths) & (lengths >= 1)
        integers &= lengths <= np.where(tags == INTEGER, 4, LONGEST)
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
            self._found.clear()
            plan = self._plans[int(device[teacher])]
            plan.tags[int(number[teacher])] = self._tags[one, : plan.tags.shape[1]]
        agreed: Flags = (self._tags[pattern, :steps] == tags).all(axis=1)
        return agreed
