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
from typing import Any

import numpy as np
import numpy.typing as npt

from correlator.snmp import codec
from correlator.snmp.ber import INTEGER
from correlator.snmp.codec import STRIDE, Datagrams, Heads
from correlator.snmp.forms import LONGEST, Form, Spans, measures
from correlator.snmp.kinds import Bytes, Flags, Ints, Kinds, Words
from correlator.snmp.look import look
from correlator.snmp.patterns import Pattern
from correlator.snmp.plan import Plan

Places = npt.NDArray[np.uint16]

HEAD = 48  # bytes kept of an answer's head; longer ones are not remembered
SIZE, FIRST, ID_AT, ROW = 24, 50, 51, 56  # places in a row behind the head; SIZE in units of two bytes
MOST_ODD = 64  # answers of a batch with values of another length that are cheaper to look at one by one
MOST_FOUND = 1024  # requests of which it is kept how long varbinds may be, some 5 KB each
MOST_FORMS, MOST_TOGETHER = (
    64,
    16,
)  # forms that are kept, and of how many requests at most: some 6 KB for each

_IN_FRONT = np.where(np.arange(HEAD) < np.arange(HEAD + 1)[:, None], 255, 0).astype(np.uint8).view("<u8")
_OFF_ID = np.where((np.arange(HEAD) - np.arange(256)[:, None]) // 4 == 0, 0, 255).astype(np.uint8).view("<u8")


Looks = tuple[npt.NDArray[Any], ...]
"""Of answers, a row each: heads, where their varbinds begin, and how long these are."""


@dataclass(eq=False, slots=True)
class Memory:
    """What is remembered of one device while it is asked by one plan: from ``first`` on, a row a request."""

    plan: Plan | None = None
    looks: Looks = ()
    first: int = 0


def _same_heads(data: Datagrams, begin: int, heads: Bytes) -> Flags:
    """Return which of the datagrams from ``begin`` on begin as remembered, but for the request-id."""
    told = data.frames[begin : begin + len(heads), : HEAD // 8] ^ heads.view("<u8")[:, : HEAD // 8]
    told &= _IN_FRONT.take(heads[:, FIRST], axis=0)
    told &= _OFF_ID.take(heads[:, ID_AT], axis=0)
    same: Flags = np.bitwise_or.reduce(told, axis=1) == 0
    return same


class Shapes:
    """The answers of many devices, a row for each request of each; ``first`` is each device's first row.

    Of each the head, its size and where the request-id stands are remembered, and where its varbinds begin
    and how long they are.
    """

    def __init__(
        self, plans: Sequence[Plan], memories: Sequence[Memory], patterns: Sequence[Pattern]
    ) -> None:
        """``patterns`` are the plans' requests, each once: by their numbers here they are known."""
        steps = max((len(one.slot) for one in patterns), default=0)
        self.first = np.cumsum([0, *(plan.count for plan in plans)])
        self._heads: Bytes = np.zeros((self.first[-1], ROW), np.uint8)
        self._places: Places = np.zeros((self.first[-1], steps), np.uint16)
        self._sizes: Bytes = np.zeros((self.first[-1], steps), np.uint8)
        looks: Looks = (self._heads, self._places, self._sizes)
        for plan, memory, at in zip(plans, memories, self.first.tolist(), strict=False):
            if memory.plan is plan:
                for part, before in zip(looks, memory.looks, strict=True):
                    width = min(part.shape[1], before.shape[1])
                    part[at : at + plan.count, :width] = before[memory.first :][: plan.count, :width]
            memory.plan, memory.looks, memory.first = plan, looks, at
        self._patterns = patterns
        self._tags: Bytes = np.zeros((len(patterns), steps), np.uint8)
        for number, one in enumerate(patterns):
            self._tags[number, : len(one.tags)] = one.tags
        self.id_places = set(np.unique(self._heads[:, ID_AT]).tolist()) - {0}  # where ids stand in answers
        self._kinds: Kinds | None = None
        self._spans: dict[int, Spans] = {}  # by request
        self._forms: dict[bytes, Form] = {}  # by requests

    def rows(self, device: Ints, number: Ints) -> Ints:
        """Return where it is remembered what answers of devices to requests of theirs look like."""
        rows: Ints = self.first.take(device) + number
        return rows

    def recall(
        self,
        data: Datagrams,
        begin: int,
        sizes: Ints,
        id_at: Ints,
        rows: Ints,
        kind: Ints,
        kinds: Kinds,
    ) -> Flags:
        """Return which datagrams from ``begin`` on look like remembered answers.

        ``id_at`` is where their request-ids stand, -1 for those of which it is not asked; ``rows`` where it
        is remembered what they look like, ``kind`` which requests they answer. Those that have values of
        another length are looked at one by one, if they are few, and remembered.
        """
        heads = self._heads.take(rows, axis=0, mode="clip")
        known = heads.view("<u2")[:, SIZE]
        same: Flags = known == sizes
        same &= heads[:, ID_AT] == id_at
        same &= _same_heads(data, begin, heads)
        if not same.all():
            odd = np.flatnonzero(((id_at > 0) > same) & (sizes <= STRIDE))
            for place in odd.tolist() if len(odd) <= MOST_ODD else ():
                octets = data.bytes[(begin + place) * STRIDE :][: int(sizes[place])].tobytes()
                asked = int(kind[place])
                seen = look(octets, self._patterns[asked].community, self._lengths(asked, kinds))
                if seen is not None and seen[0] == id_at[place] and seen[1][0] <= HEAD:
                    self._remember(int(rows[place]), octets, *seen)
                    same[place] = True
        return same

    def _remember(self, row: int, octets: bytes, id_at: int, places: Sequence[int]) -> None:
        """Remember what an answer looks like, whose request-id and varbinds stand there."""
        head = self._heads[row]
        head[:HEAD] = np.frombuffer(octets[:HEAD].ljust(HEAD, b"\0"), np.uint8)
        head.view("<u2")[SIZE] = len(octets)
        head[FIRST], head[ID_AT] = places[0], id_at
        self._places[row, : len(places) - 1] = places[:-1]
        self._sizes[row, : len(places) - 1] = np.diff(places)

    def read(
        self,
        data: Datagrams,
        start: Ints,
        rows: Ints,
        base: Ints,
        kind: Ints,
        kinds: Kinds,
        values: Words,
    ) -> tuple[Flags, Words]:
        """Put into ``values`` those of answers that are as remembered; return which are, and all numbers.

        ``start`` is where datagrams begin, ``rows`` where it is remembered what they look like, ``base`` as
        for ``codec.read``: requests × answers; ``kind`` are the requests. All have the same number of
        varbinds, and heads that were compared. The last of ``values`` is for what nobody wants.
        """
        form = self._form(kind, kinds)
        steps = form.cell.shape[1]
        places = self._places.take(rows, axis=0)[:, :, :steps].astype(np.int64)
        places += start[:, :, None]
        sizes = np.ascontiguousarray(self._sizes.take(rows, axis=0)[:, :, :steps])
        return form.read(data, places, sizes, base, values)

    def _form(self, kind: Ints, kinds: Kinds) -> Form:
        """Return what the answers to some requests hold, as found before where these are few."""
        self._know(kinds)
        key = kind.tobytes()
        found = self._forms.get(key)
        if found is None:
            found = Form(kinds, kind, self._tags.take(kind, axis=0))
            if len(kind) <= MOST_TOGETHER:
                if len(self._forms) >= MOST_FORMS:
                    self._forms.clear()
                self._forms[key] = found
        return found

    def _lengths(self, kind: int, kinds: Kinds) -> Spans:
        """Return how long the varbinds of answers to one request may be, as found before where it was."""
        self._know(kinds)
        found = self._spans.get(kind)
        if found is None:
            if len(self._spans) >= MOST_FOUND:
                self._spans.clear()
            one = np.array([kind])
            found = self._spans[kind] = Form(kinds, one, self._tags.take(one, axis=0)).spans
        return found

    def _know(self, kinds: Kinds) -> None:
        """Forget what was found where requests were put together anew."""
        if kinds is not self._kinds:
            self._kinds, self._spans, self._forms = kinds, {}, {}

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
        free, behind, span = measures(kinds, kinds.cells(kind, steps))
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
        fits[fits] = self._agreed(kind[fits], tags[fits])
        known = np.zeros((int(fits.sum()), ROW), np.uint8)
        known.view("<u8")[:, : HEAD // 8] = data.frames[which[fits], : HEAD // 8]
        known.view("<u2")[:, SIZE] = (heads.end - starts)[fits]
        known[:, FIRST] = (heads.first - starts)[fits]
        known[:, ID_AT] = (heads.id_at - starts)[fits]
        self.id_places.update(np.unique(known[:, ID_AT]).tolist())
        rows = self.rows(device[fits], number[fits])
        self._heads[rows] = known
        self._places[rows, :steps] = np.minimum(place[:, :-1] - starts[:, None], STRIDE)[fits]
        self._sizes[rows, :steps] = sizes[fits]

    def _agreed(self, kind: Ints, tags: Bytes) -> Flags:
        """Return whose tags are those of all answers to that request; the first to come says which."""
        steps = tags.shape[1]
        for one in np.unique(kind[~self._tags[kind].any(axis=1)]).tolist():
            self._tags[one, :steps] = tags[int(np.flatnonzero(kind == one)[0])]
            self._patterns[one].tags[:] = self._tags[one, : len(self._patterns[one].tags)]
            self._spans.clear()
            self._forms.clear()
        agreed: Flags = (self._tags[kind, :steps] == tags).all(axis=1)
        return agreed
