"""Replies broken in every way that is cheap to do to many at once, and what the decoder makes of them."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
from snmp_agent import Agent, counter32, counter64, gauge, ticks

from correlator.snmp import codec
from correlator.snmp.codec import STRIDE, Datagrams, Refusal
from correlator.snmp.kinds import ANY, EXACT, NUMBER, Flags, Ints, Kinds, Words
from correlator.snmp.patterns import Cell, Line
from correlator.snmp.plan import Plan, gets, joined, table
from correlator.snmp.shapes import ID_AT, Memory, Shapes

UPTIME = (1, 3, 6, 1, 2, 1, 1, 3, 0)
NAME, IN, WIDE, SENSOR = (1, 3, 6, 1, 9, 1), (1, 3, 6, 1, 9, 2), (1, 3, 6, 1, 9, 3), (1, 3, 6, 1, 9, 9)
PORTS = (1, 2, 3, 200, 70_000, 2**31)
HOSTILE = np.array([0, 1, 2, 4, 0x30, 0x7F, 0x80, 0x81, 0x82, 0x83, 0x84, 0x88, 0xA2, 0xFE, 0xFF], np.uint8)


def switch(plain: bool = False) -> dict[str, object]:
    """Return a small switch: names, two counters, sensors that are numbers and text.

    ``plain``: as most are, without text and counters beyond 2^63.
    """
    values: dict[str, object] = {"1.3.6.1.2.1.1.3.0": ticks(4711)}
    for number, port in enumerate(PORTS):
        values[f"1.3.6.1.9.1.{port}"] = (
            f"Ethernet{number}" if number else "A name of more than thirty-two bytes"
        )
        values[f"1.3.6.1.9.2.{port}"] = counter32(2**32 - 1 - number)
        values[f"1.3.6.1.9.3.{port}"] = counter64(2**40 + number if plain else 2**64 - 1 - number)
        sensors = (-2500, -7 if plain else "-2.5 dBm", gauge(4294967295))
        values[f"1.3.6.1.9.9.{port}"] = sensors[number % 3]
    return values


def plan(varbinds: int = 20) -> Plan:
    """Return the plan of that switch."""
    values = switch()
    lines = [
        Line(
            (port,),
            number,
            (
                Cell(NAME, -1, EXACT, str(values[f"1.3.6.1.9.1.{port}"]).encode()),
                Cell(IN, 1 + 2 * number),
                Cell(WIDE, 2 + 2 * number),
            ),
        )
        for number, port in enumerate(PORTS)
    ]
    first = 1 + 2 * len(PORTS)
    kinds = (ANY, ANY, NUMBER)
    sensors = [Line((p,), -1, (Cell(SENSOR, first + n, kinds[n % 3]),)) for n, p in enumerate(PORTS)]
    requests = table(lines, varbinds) + gets(sensors, varbinds)
    return Plan(b"public", (Cell(UPTIME, 0),), requests, first + len(PORTS), len(PORTS))


def kinds_of(known: Plan) -> Kinds:
    """Return the requests of a plan as arrays."""
    return joined([known]).kinds


def replies(known: Plan, plain: bool = False) -> list[bytes]:
    """Return what an agent with another codec answers to the plan's requests."""
    agent = Agent(switch(plain))
    agent.set(agent.values)
    kinds = kinds_of(known)
    return [agent.answer(bytes(kinds.template[kind, : kinds.length[kind]]))[0] for kind in range(known.count)]


def loaded(datagrams: list[bytes]) -> tuple[Datagrams, Ints]:
    """Return a buffer that holds them, and their sizes."""
    data = Datagrams(len(datagrams))
    for number, datagram in enumerate(datagrams):
        kept = datagram[:STRIDE]
        data.bytes[number * STRIDE : number * STRIDE + len(kept)] = np.frombuffer(kept, np.uint8)
    return data, np.array([len(datagram) for datagram in datagrams], np.int64)


def read(data: Datagrams, sizes: Ints, kind: Ints, known: Plan) -> tuple[Ints, Words, codec.Read]:
    """Return why each datagram is refused (0: it is not), the values by device and slot, and the rest."""
    told = codec.heads(data, sizes)
    why = told.refused.copy()
    why[(why == 0) & (told.status != 0)] = Refusal.ERROR_STATUS
    good = np.flatnonzero(why == 0)
    values = np.zeros(len(sizes) * known.slots, np.uint64)
    found = codec.read(
        data, told.first[good], told.end[good], kind[good], good * known.slots, kinds_of(known), values
    )
    why[good] = found.refused
    return why, values.reshape(len(sizes), known.slots), found


class Remembered:
    """The other way to read: by what answers looked like that were sound."""

    def __init__(self, known: Plan, data: Datagrams, sizes: Ints, kind: Ints) -> None:
        self.plan, self.memory = known, Memory()
        self.kinds = kinds_of(known)
        shapes = Shapes([known], [self.memory], known.patterns)
        told, base = codec.heads(data, sizes), np.arange(len(sizes)) * known.slots
        values = np.zeros(len(sizes) * known.slots + 1, np.uint64)
        found = codec.read(data, told.first, told.end, kind, base, self.kinds, values)
        which = np.flatnonzero(found.refused == 0)
        some = told.some(which), which, which * 0, kind[which], kind[which]
        shapes.learn(data, found.place[:, which], *some, self.kinds)

    def read(self, data: Datagrams, sizes: Ints, kind: Ints) -> tuple[Flags, Words]:
        """Return which datagrams are taken, and the values by device and slot."""
        known, count, slots = self.plan, len(sizes), self.plan.slots
        values, taken = np.zeros(count * slots + 1, np.uint64), np.zeros(count, dtype=bool)
        own = [dataclasses.replace(self.memory) for _ in range(count)]
        shapes = Shapes(
            [known] * count, own, known.patterns
        )  # a device for each: what one looks like is none of the others'
        device = np.arange(count)
        id_at, rows = self.memory.looks[0][kind, ID_AT].astype(np.int64), shapes.rows(device, kind)
        same = shapes.recall(data, 0, sizes, id_at, rows, kind, self.kinds)
        for one in np.unique(kind[same]):
            which = np.flatnonzero(same & (kind == one))[None]
            place = data.starts[which], rows[which], which * slots
            taken[which], _ = shapes.read(data, *place, np.array([one]), self.kinds, values)
        return taken, values[:-1].reshape(count, slots)


def mutate(rng: np.random.Generator, data: Datagrams, sizes: Ints, used: int) -> Ints:
    """Break each datagram in place, in one of seven ways; return the new sizes.

    ``used`` is how many bytes of a datagram may hold anything.
    """
    count = len(sizes)
    whole = data.bytes[: count * STRIDE].reshape(count, STRIDE)
    way = rng.integers(0, 7, count)
    rows = np.arange(count)
    for times in range(4):  # 1 to 4 bytes replaced: any, and such as lengths and tags are made of
        some = rows[(way <= 1) & (rng.integers(0, 4, count) >= times)]
        place = rng.integers(0, sizes[some])
        random = rng.integers(0, 256, len(some), dtype=np.uint8)
        whole[some, place] = np.where(way[some] == 0, random, rng.choice(HOSTILE, len(some)))
    some = rows[way == 2]  # one bit
    whole[some, rng.integers(0, sizes[some])] ^= (1 << rng.integers(0, 8, len(some))).astype(np.uint8)
    sizes = sizes.copy()
    some = rows[way == 3]  # cut
    sizes[some] = rng.integers(0, sizes[some])
    some = rows[way == 4]  # longer, up to beyond the buffer
    sizes[some] += rng.integers(1, STRIDE, len(some))
    some = rows[way == 5]  # nothing but noise
    whole[some, :used] = rng.integers(0, 256, (len(some), used), dtype=np.uint8)
    some = rows[way == 6]  # bytes moved by one: everything behind stands elsewhere
    columns = np.arange(used)
    moved = columns - (columns > rng.integers(0, 60, len(some))[:, None])
    whole[some, :used] = whole[some[:, None], moved]
    return sizes


def broken(
    seed: int, batches: int, plain: bool = False, size: int = 1000
) -> tuple[int, Counter[str], int, int]:
    """Return how many broken replies were read, how many were refused by kind, taken, and taken at once.

    Each is also read by what sound ones looked like: what is taken so is taken the long way too, and says
    the same.
    """
    rng, known = np.random.default_rng(seed), plan()
    sound = replies(known, plain)
    refused: Counter[str] = Counter()
    taken = quickly = 0
    kind = np.arange(size, dtype=np.int64) % len(sound)
    pristine, lengths = loaded([sound[k] for k in kind.tolist()])
    data, remembered = Datagrams(size), Remembered(known, pristine, lengths, kind)
    for _ in range(batches):
        data.bytes[:] = pristine.bytes
        sizes = mutate(rng, data, lengths, int(lengths.max()))
        why, values, found = read(data, sizes, kind, known)
        at_once, again = remembered.read(data, sizes, kind)
        assert not why[at_once].any()
        quickly += int(at_once.sum())
        assert (again == np.where(at_once[:, None], values, 0)).all()
        assert len(why) == size
        assert ((found.rows > 0) == (found.refused == 0)).all()
        for reason, count in zip(*np.unique(why, return_counts=True), strict=True):
            if reason:
                refused[Refusal(int(reason)).name] += int(count)
            else:
                taken += int(count)
    return batches * size, refused, taken, quickly
