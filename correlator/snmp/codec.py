"""SNMPv2c replies in bulk: read many at a time with numpy.

A reply is read against what its request can bring: ``Kinds`` says, for each kind of request and each
varbind of its answer, which bytes must stand there and which slot the value goes to. First the varbinds of
all replies are found step by step, then all of them are checked and read in one go.
Whatever is not exactly as expected is refused and counted; the control plane asks such a device anew.

BER as of X.690, messages as of RFC 3416 and RFC 1901. Lengths are believed only as far as the datagram goes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from correlator.snmp.ber import (
    COUNTER32,
    COUNTER64,
    GAUGE32,
    INTEGER,
    OBJECT,
    OCTETS,
    OPAQUE,
    RESPONSE,
    SEQUENCE,
    TIMETICKS,
)
from correlator.snmp.kinds import (
    ANY,
    BLOCK,
    COUNTER,
    EXACT,
    GIVEN,
    WORDS,
    Bytes,
    Flags,
    Ints,
    Kinds,
    Words,
)

STRIDE = 2048  # bytes kept of a datagram: replies are planned to fit an Ethernet frame
SLACK = 64  # bytes behind the last datagram, so that a look ahead stays within the buffer
FEW = 24  # replies that are cheaper to go through one by one

TOO_BIG = 1


class Refusal(IntEnum):
    """Why a datagram was not used. Those up to LATE say nothing about the device that was asked."""

    NONE = 0
    MALFORMED = 1  # no BER, lengths that do not fit, bytes behind the end
    OVERSIZED = 2  # longer than any reply that was planned
    FOREIGN = 3  # another version, community or kind of message
    SOURCE = 4  # from another address than was asked
    LATE = 5  # answered before, or given up: duplicates, late replies, strangers
    TOO_BIG = 6
    ERROR_STATUS = 7
    SHORT = 8  # not one whole row
    SURPLUS = 9  # more varbinds than were asked for
    OTHER_OBJECT = 10  # other OIDs, or another name at a known index
    ABSENT = 11  # noSuchObject, noSuchInstance, endOfMibView
    WRONG_TYPE = 12
    NEGATIVE = 13  # where a counter belongs
    OUT_OF_RANGE = 14


LOWEST = np.full(256, 1, np.int64)  # by tag, the least and the greatest value; the other tags have none
HIGHEST = np.full(256, 0, np.int64)
LOWEST[INTEGER], HIGHEST[INTEGER] = -(2**31), 2**31 - 1
LOWEST[[COUNTER32, GAUGE32, TIMETICKS, COUNTER64]] = 0
HIGHEST[[COUNTER32, GAUGE32, TIMETICKS]] = 2**32 - 1
HIGHEST[COUNTER64] = 2**63 - 1  # what is beyond has nine bytes
NUMERIC = HIGHEST > 0
TEXTUAL = np.zeros(256, dtype=bool)
TEXTUAL[[OCTETS, OPAQUE]] = True


class Datagrams:
    """A buffer for ``count`` datagrams of at most STRIDE bytes, one behind the other."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.bytes: Bytes = np.empty(count * STRIDE + SLACK + BLOCK, np.uint8)
        size = count * STRIDE + SLACK
        self.words: Words = np.ndarray((size,), "<u8", self.bytes, 0, (1,))
        self.blocks = np.ndarray((size,), f"V{BLOCK}", self.bytes, 0, (1,))
        self.pairs = np.ndarray((size,), "V16", self.bytes, 0, (1,))
        self.rows: Bytes = self.bytes[: count * STRIDE].reshape(count, STRIDE)
        self.frames: Words = self.rows.view("<u8")
        self.starts: Ints = np.arange(count, dtype=np.int64) * STRIDE


@dataclass(frozen=True, eq=False, slots=True)
class Heads:
    """What the messages say before their varbinds: ``first`` is where these begin, ``end`` where they end.

    ``id_at`` is where the request-id stands if it has four bytes, else -1.
    """

    refused: Ints
    request_id: Ints
    id_at: Ints
    status: Ints
    community: Ints
    community_length: Ints
    first: Ints
    end: Ints

    def some(self, which: Ints) -> Heads:
        """Return those of some messages."""
        return Heads(*(getattr(self, field.name)[which] for field in fields(self)))


def heads(data: Datagrams, sizes: Ints, which: Ints | None = None) -> Heads:
    """Return the heads of datagrams, whose sizes are given: those of ``which``, else the first.

    Sizes above STRIDE are refused.
    """
    octets, count = data.bytes, len(sizes)
    at = data.starts[:count] if which is None else data.starts[which]
    ends = at + np.minimum(sizes, STRIDE)
    bad = np.zeros(count, dtype=bool)
    foreign = np.zeros(count, dtype=bool)

    def enter(at: Ints, tag: int, wrong: Flags) -> tuple[Ints, Ints]:
        """Return where a value begins and ends; what has another tag is noted as wrong."""
        first = octets[at + 1].astype(np.int64)
        body = at + 2
        if (first > 127).any():
            body, first = _long(octets, body, first)
        end = body + first
        outside = end > ends
        np.logical_or(bad, outside, out=bad)
        np.logical_or(wrong, octets[at] != tag, out=wrong)
        return np.where(outside, at, body), np.where(outside, at, end)

    body, end = enter(at, SEQUENCE, bad)
    bad |= end != ends
    version, end = enter(body, INTEGER, bad)
    foreign |= (end - version != 1) | (octets[version] != 1)
    community, end = enter(end, OCTETS, bad)
    community_length = end - community
    body, end = enter(end, RESPONSE, foreign)
    bad |= end != ends
    place, end = enter(body, INTEGER, bad)
    request_id = _small(data, place, end, bad)
    id_at = np.where(end - place == 4, place, -1)
    place, end = enter(end, INTEGER, bad)
    status = _small(data, place, end, bad)
    place, end = enter(end, INTEGER, bad)
    first, end = enter(end, SEQUENCE, bad)
    bad |= end != ends
    refused = np.where(foreign, Refusal.FOREIGN, Refusal.NONE)
    refused[bad] = Refusal.MALFORMED
    refused[sizes > STRIDE] = Refusal.OVERSIZED
    return Heads(refused, request_id, id_at, status, community, community_length, first, end)


def _long(octets: Bytes, body: Ints, first: Ints) -> tuple[Ints, Ints]:
    """Return where values begin and their lengths, some of which are in the long form (X.690, 8.1.3.5).

    One or two bytes of length are read; a longer or indefinite one fits no datagram.
    """
    one = octets[body].astype(np.int64)
    two = one * 256 + octets[body + 1]
    length = np.where(first < 128, first, np.where(first == 0x81, one, np.where(first == 0x82, two, 2**20)))
    return body + np.where(first == 0x81, 1, np.where(first == 0x82, 2, 0)), length


def _small(data: Datagrams, begin: Ints, end: Ints, bad: Flags) -> Ints:
    """Return integers of at most four bytes; others are noted as bad."""
    size = end - begin
    wrong = (size < 1) | (size > 4)
    np.logical_or(bad, wrong, out=bad)
    return _shifted(data.words[begin].byteswap(), np.where(wrong, 1, size))


def _shifted(words: Words, size: Ints) -> Ints:
    """Return the integers in the first bytes of words in network order, with their sign."""
    signed: Ints = words.view(np.int64) >> (64 - 8 * size)
    return signed


@dataclass(frozen=True, eq=False, slots=True)
class Read:
    """What came of replies: refusals, and how many whole rows each told (0 where refused).

    ``texts`` are values that are no integers: device's slot and octets. ``place`` is where each varbind
    begins (steps + 1 × replies; the end where there is none).
    """

    refused: Ints
    rows: Ints
    texts: list[tuple[int, bytes]]
    place: Ints


def read(
    data: Datagrams, first: Ints, end: Ints, kind: Ints, base: Ints, kinds: Kinds, values: Words
) -> Read:
    """Check the varbinds of replies and put their values into ``values``, each at its slot from ``base``.

    ``first`` and ``end`` are those of ``heads``, ``kind`` says which answers these are. Integers are
    stored as 64 bits, negative ones as two's complement. Of a refused reply nothing is stored.
    """
    wanted = kinds.varbinds[kind]
    steps = int(wanted.max(initial=0))
    place, found, bad = _places(data.bytes, first, end, steps)
    refused = np.where(bad, Refusal.MALFORMED, np.where(found > wanted, Refusal.SURPLUS, Refusal.NONE))
    width = kinds.width[kind]
    rows = np.where(width > 0, (found - kinds.scalars[kind]) // np.maximum(width, 1), found == wanted)
    refused[(refused == 0) & (rows < 1)] = Refusal.SHORT
    here = np.arange(steps) < np.where(refused == 0, found, 0)[:, None]
    picked = slice(None) if here.all() else np.flatnonzero(here)
    cell = kinds.cells(kind, steps).ravel()[picked]
    at, following = (np.ascontiguousarray(p.T).ravel()[picked] for p in (place[:-1], place[1:]))
    number, why, textual = _cells(data, at, following, cell, kinds)
    reply = np.repeat(np.arange(len(kind)), steps)[picked] if why is not None else None
    if why is not None and reply is not None:
        wrong = np.flatnonzero(why)[::-1]
        refused[reply[wrong]] = why[wrong]  # the first wrong varbind of a reply says why
    slot = kinds.slot[:, :steps].take(kind, axis=0).astype(np.int64)
    kept = slot.ravel()[picked] >= 0
    if reply is not None:
        kept &= refused[reply] == 0
    slot += base[:, None]
    target = slot.ravel()[picked]
    values[target[kept]] = number[kept]
    texts = _texts(data.bytes, textual[kept[textual]], at, cell, target, kinds)
    return Read(refused, np.where(refused == 0, rows, 0), texts, place)


def _places(octets: Bytes, first: Ints, end: Ints, steps: int) -> tuple[Ints, Ints, Flags]:
    """Return where each varbind begins (steps + 1 × replies; the end where there is none), how many there
    are, and which replies' varbinds do not fill them exactly.
    """
    if len(first) <= FEW:
        return _few_places(octets, first, end, steps)
    place = np.empty((steps + 1, len(first)), np.int64)
    sizes = np.empty((steps, len(first)), np.uint8)
    place[0] = first
    second = octets[1:]
    for step in range(steps):
        size, following = sizes[step], place[step + 1]
        second.take(place[step], out=size, mode="clip")
        np.add(place[step], size, out=following)
        following += 2
        np.minimum(following, end, out=following)
    here = place[:-1] < end
    if np.any((sizes > 127) & here):
        return _long_places(octets, first, end, steps)
    bad = (here & (place[:-1] + sizes + 2 > end)).any(axis=0)
    return place, (place < end).sum(axis=0), np.asarray(bad)


def _few_places(octets: Bytes, first: Ints, end: Ints, steps: int) -> tuple[Ints, Ints, Flags]:
    """Return the same for a few replies, one after another: cheaper for them than many at each step."""
    place = np.repeat(end[None, :], steps + 1, axis=0)
    bad = np.zeros(len(first), dtype=bool)
    for number, (begin, stop) in enumerate(zip(first.tolist(), end.tolist(), strict=True)):
        lengths, at = octets[begin : stop + 2].tobytes(), begin  # the look at a length may go past the end
        told: list[int] = []
        while at < stop and len(told) < steps:
            told.append(at)
            size = lengths[at - begin + 1]
            if size > 127:
                return _long_places(octets, first, end, steps)
            at += size + 2
            bad[number] |= at > stop
        place[: len(told), number] = told
        place[len(told) :, number] = min(at, stop)
    return place, (place < end).sum(axis=0), bad


def _long_places(octets: Bytes, first: Ints, end: Ints, steps: int) -> tuple[Ints, Ints, Flags]:
    """Return the same where some lengths are in the long form."""
    place = np.empty((steps + 1, len(first)), np.int64)
    bad = np.zeros(len(first), dtype=bool)
    place[0] = first
    for step in range(steps):
        at = place[step]
        body, size = _long(octets, at + 2, octets[at + 1].astype(np.int64))
        bad |= (body + size > end) & (at < end)
        place[step + 1] = np.minimum(body + size, end)
    return place, (place < end).sum(axis=0), bad


def _cells(
    data: Datagrams, at: Ints, following: Ints, cell: Ints, kinds: Kinds
) -> tuple[Words, Ints | None, Ints]:
    """Return the number that each varbind holds, why it is refused (None: none is), and which hold octets."""
    given = kinds.exact.take(cell)
    body, differs = _begin(data, at, cell, given, kinds)
    want = kinds.want.take(cell)
    exact = want == EXACT
    value = np.minimum(body + given, len(data.pairs) - 1)
    head = data.pairs[value].view("<u8").reshape(-1, 2)
    tag = head[:, 0].astype(np.uint8)
    size = (head[:, 0] >> np.uint64(8)).astype(np.uint8).astype(np.int64)
    number, beyond = _numbers(head, tag, size)
    ends = value + np.where(exact, 0, size + 2)
    negative = (number < 0) & ((want == COUNTER) | (tag != INTEGER)) & (size < 9)
    octets = want == ANY
    octets &= TEXTUAL.take(tag)
    wrong = beyond | negative
    wrong &= ~(exact | octets)
    wrong |= differs
    wrong |= ends != following
    wrong |= size > 127
    textual = np.flatnonzero(octets)
    if not wrong.any():
        return number.view(np.uint64), None, textual
    why = np.where(beyond, Refusal.OUT_OF_RANGE, np.where(negative, Refusal.NEGATIVE, Refusal.NONE))
    why[~NUMERIC.take(tag)] = Refusal.WRONG_TYPE
    why[(tag & 0xFC) == 0x80] = Refusal.ABSENT
    why[octets | exact] = Refusal.NONE
    why[(ends != following) | (~exact & (size > 127))] = Refusal.MALFORMED
    if differs.any():
        why[differs] = _difference(data.bytes, body[differs], following[differs])
    return number.view(np.uint64), why, textual


def _begin(
    data: Datagrams, at: Ints, cell: Ints, given: npt.NDArray[np.int16], kinds: Kinds
) -> tuple[Ints, Flags]:
    """Return where varbinds begin behind their header, and which do not begin as they should."""
    octets, body = data.bytes, at + 2
    mask = GIVEN.take(given, axis=0, mode="clip")
    long = octets.take(at + 1) > 127
    if long.any():  # the header is longer: look from where a short one would stand
        skipped = np.where(long, octets[at + 1].astype(np.int64) - 128, 0)
        body = np.minimum(body + skipped, len(data.words) - 2)
        mask[:, 0] &= np.uint64(0xFFFFFFFFFFFFFF00)
    told = data.blocks[body - 2].view("<u8").reshape(-1, WORDS)
    told ^= kinds.expect.take(cell, axis=0)
    told &= mask
    differs = (told[:, 0] | told[:, 1] | told[:, 2] | told[:, 3]) != 0
    if long.any():
        differs |= octets[at] != SEQUENCE
    if len(kinds.tails):
        differs |= tails_differ(data, body - 2, cell, kinds)
    return body, differs


def _numbers(head: Words, tag: Bytes, size: Ints) -> tuple[Ints, Flags]:
    """Return the integers in the first 16 bytes of values, and which of them their type cannot hold."""
    fits = (size >= 1) & (size <= 8)
    octets = (head[:, 0] >> np.uint64(16)) | (head[:, 1] << np.uint64(48))
    number = _shifted(octets.byteswap(), np.where(fits, size, 8))
    beyond = ~fits | (number > HIGHEST.take(tag)) | ((number < LOWEST.take(tag)) & (tag == INTEGER))
    nine = (size == 9) & (tag == COUNTER64)
    if nine.any():
        first = octets[nine]
        rest = (first >> np.uint64(8)) | ((head[nine, 1] << np.uint64(40)) & np.uint64(0xFF00000000000000))
        number[nine] = rest.byteswap().view(np.int64)
        beyond[nine] = (first & np.uint64(255)) != 0
    return number, beyond


def tails_differ(data: Datagrams, header: Ints, cell: Ints, kinds: Kinds) -> Flags:
    """Return which of the long cells differ behind their first WORDS words."""
    differ = np.zeros(len(cell), dtype=bool)
    tail = kinds.tail.take(cell)
    long = np.flatnonzero(tail >= 0)
    tail, at = tail[long], header[long] + 8 * WORDS
    for word in range(kinds.tails.shape[1]):
        told = data.words[np.minimum(at + 8 * word, len(data.words) - 1)]
        differ[long] |= ((told ^ kinds.tails[tail, word]) & kinds.tail_masks[tail, word]) != 0
    return differ


def _difference(octets: Bytes, body: Ints, following: Ints) -> Ints:
    """Return why varbinds are refused whose first bytes are not those expected."""
    value = body + 2 + octets[body + 1].astype(np.int64)
    inside = (octets[body] == OBJECT) & (octets[body + 1] < 128) & (value + 2 <= following)
    absent = inside & ((octets[np.where(inside, value, body)] & 0xFC) == 0x80)
    return np.where(absent, Refusal.ABSENT, np.where(inside, Refusal.OTHER_OBJECT, Refusal.MALFORMED))


def _texts(
    octets: Bytes, textual: Ints, at: Ints, cell: Ints, target: Ints, kinds: Kinds
) -> list[tuple[int, bytes]]:
    """Return slot and octets of the values that are octets."""
    texts = []
    for one in textual.tolist():
        first = int(octets[at[one] + 1])
        value = int(at[one]) + 2 + (first - 128 if first > 127 else 0) + int(kinds.exact.take(cell[one]))
        texts.append((int(target[one]), octets[value + 2 : value + 2 + int(octets[value + 1])].tobytes()))
    return texts
