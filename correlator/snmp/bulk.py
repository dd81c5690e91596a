"""Many devices asked at once: each by its plan, one request in flight, at its own pace.

All of it is arrays over the devices: who may be asked now, what is on its way, what is overdue. An answer is
taken when its address, community and request-id are those of the request that is on its way to that
device. A request-id is (device, request, try): a repeated request has a new one, and either answer
counts, once. Nothing here waits for one device: what does not answer, or not as planned, is left to the
caller with the reason.
"""

from __future__ import annotations

import random
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from correlator.snmp import codec, wire
from correlator.snmp.codec import Flags, Heads, Ints, Refusal, Words
from correlator.snmp.plan import Plan, joined
from correlator.snmp.wire import Address, Wire

DEVICE_BITS, FIRST_DEVICE = 16, 0x200  # request-ids from 0x02000000: their four bytes are the fewest
SERIALS, TRY_BITS = 4096, 4
MOST_DEVICES = 2**15 - FIRST_DEVICE
MOST_TRIES = 2**TRY_BITS
SILENT, CHANGED = 15, 16
"""Beside ``codec.Refusal``: no answer to any try; restarted, or with other interfaces, since the plan."""
UPTIME_WRAPS = 2**32
TICK_S = 0.2  # how soon a stop is noticed
LINGER_S = 0.005  # wait for more answers before reading some: many at once are cheaper
WORTH = 8  # answers on their way for which that pays


@dataclass(frozen=True, slots=True)
class Params:
    """``in_flight``: requests on their way at one time, as far as the kernel's buffers hold the answers.

    ``plain``: ordinary socket calls, one a datagram.
    """

    in_flight: int = 1024
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One device: where it is, what it is asked, how patiently, and what its plan was made on.

    ``uptime_cs`` and ``unchanging`` (what the scalars behind sysUpTime said) hold while the inventory does;
    ``sent`` are the times of the last requests to it, seconds of the monotonic clock.
    """

    plan: Plan
    address: Address
    timeout_s: float = 2.0
    retries: int = 2
    per_second: int = 50
    uptime_cs: int | None = None
    unchanging: tuple[int, ...] = ()
    sent: Sequence[float] = ()


@dataclass(eq=False)
class Outcome:
    """What came of asking; devices in the order in which they were given.

    ``values`` holds their slots one after another, ``slots`` where each begins; ``uptimes`` (hundredths of
    a second, -1: untold) and ``times`` (when the answer came in, nanoseconds since 1970) likewise their rows.
    ``why`` is 0 for a device that was read whole, else a Refusal, SILENT or CHANGED; ``heard`` is whether
    anything at all came from it. ``refused`` counts datagrams and devices by the reason's name.
    """

    values: Words
    slots: Ints
    uptimes: Ints
    times: Ints
    rows: Ints
    why: Ints
    heard: Flags
    requests: Ints
    retries: Ints
    sent: list[list[float]]
    texts: dict[int, list[tuple[int, bytes]]]
    refused: Counter[str] = field(default_factory=Counter)


class Exchange:
    """Asks devices; ``run`` once, in a thread of its own where an event loop must go on."""

    def __init__(self, asked: Sequence[Asked], params: Params | None = None) -> None:
        if len(asked) > MOST_DEVICES:
            raise ValueError(f"{len(asked)} devices at once; {MOST_DEVICES} at most")
        self.params = params or Params()
        self.stopped = False
        self._asked = asked
        self._plans = list({id(one.plan): one.plan for one in asked}.values())
        self._join()
        count = len(asked)
        self._count = np.array([one.plan.count for one in asked], np.int64)
        self._timeout = np.array([one.timeout_s for one in asked], np.float64)
        self._tries_allowed = np.array([min(one.retries, MOST_TRIES - 1) for one in asked], np.int64)
        self._address = np.frombuffer(b"".join(one.address[1] for one in asked), np.uint8).reshape(count, -1)
        self._family = np.array([one.address[0] for one in asked], np.uint64)
        self._sender = wire.sender(self._family, self._address)
        self._communities = _Communities([one.plan.community for one in asked])
        self._scalars = _Scalars(asked)
        self._pace = _Paces(asked)
        self._next = np.zeros(count, np.int64)  # number of the plan's next request
        self._number = np.zeros(count, np.int64)  # of the one on its way
        self._flying = np.zeros(count, dtype=bool)
        self._over = self._count == 0
        self._tries = np.zeros(count, np.int64)
        self._serial = np.array([random.randrange(SERIALS) for _ in asked], np.int64)  # noqa: S311 - no secret
        self._deadline = np.full(count, np.inf)
        self._pending: dict[int, int] = {}  # devices whose answer was cut, and what to ask for the rest
        slots = np.cumsum([0, *(one.plan.slots for one in asked)])
        rows = np.cumsum([0, *(one.plan.rows for one in asked)])
        self.outcome = Outcome(
            values=np.zeros(slots[-1], np.uint64),
            slots=slots,
            uptimes=np.full(rows[-1], -1, np.int64),
            times=np.zeros(rows[-1], np.int64),
            rows=rows,
            why=np.zeros(count, np.int64),
            heard=np.zeros(count, dtype=bool),
            requests=np.zeros(count, np.int64),
            retries=np.zeros(count, np.int64),
            sent=[],
            texts=defaultdict(list),
        )

    def run(self) -> Outcome:
        """Ask until every device is read or given up, or ``stopped`` is set; return what came."""
        wires = {
            family: Wire(socket.AddressFamily(family), self.params.plain)
            for family in np.unique(self._family).tolist()
        }
        try:
            while not self._over.all() and not self.stopped:
                self._turn(wires)
        finally:
            for one in wires.values():
                one.close()
        self.outcome.why[~self._over] = SILENT
        self.outcome.sent = self._pace.sent()
        return self.outcome

    def _turn(self, wires: dict[int, Wire]) -> None:
        """Send what may go, take in what has come, give up what is overdue."""
        now = time.monotonic()
        for family, one in wires.items():
            self._send(one, self._family == family, now)
        got = [self._receive(one) for one in wires.values()]
        self._overdue(time.monotonic())
        if any(got) or self._over.all():
            return
        flying = int(np.count_nonzero(self._flying))
        if wire.wait(list(wires.values()), self._idle_s(time.monotonic())) and flying >= WORTH:
            time.sleep(LINGER_S)

    def _idle_s(self, now: float) -> float:
        """Return how long nothing is due, seconds."""
        waiting = ~self._flying & ~self._over
        due = min(
            float(np.min(self._deadline, where=self._flying, initial=np.inf)),
            float(np.min(self._pace.free, where=waiting, initial=np.inf)),
        )
        return max(0.0, min(due - now, TICK_S))

    # -- sending --------------------------------------------------------------------------------------

    def _send(self, one: Wire, mine: Flags, now: float) -> None:
        overdue = self._flying & (self._deadline <= now) & (self._tries < self._tries_allowed)
        fresh = ~self._flying & ~self._over
        room = min(self.params.in_flight, one.room) - int(np.count_nonzero(self._flying & mine))
        may = (self._pace.free <= now) & mine
        devices = np.flatnonzero(overdue & may)
        self._transmit(one, devices, now)
        self._transmit(one, np.flatnonzero(fresh & may)[: max(0, room)], now)

    def _transmit(self, one: Wire, devices: Ints, now: float) -> None:
        for at in range(0, len(devices), wire.BATCH):
            some = devices[at : at + wire.BATCH]
            again = self._flying[some]
            if not again.all():
                self._begin(some[~again])
            tries = self._tries[some] + again
            kind = self._kind0[some] + self._number[some]
            messages = self._kinds.template[kind]
            ids = self._ids(some) | tries
            shifts = np.array([24, 16, 8, 0])
            where = self._kinds.id_at[kind][:, None] + np.arange(4)
            messages[np.arange(len(some))[:, None], where] = (ids[:, None] >> shifts) & 255
            sent = some[: one.send(messages, self._kinds.length[kind], self._address[some])]
            self._flying[sent] = True
            self._tries[sent] = tries[: len(sent)]
            self._deadline[sent] = now + self._timeout[sent]
            self.outcome.requests[sent] += 1
            self.outcome.retries[sent] += again[: len(sent)]
            self._pace.take(sent, now)
            if len(sent) < len(some):
                return  # the kernel's buffer is full: the others go with the next turn

    def _begin(self, devices: Ints) -> None:
        """Take up the next request of devices that have none on its way."""
        self._number[devices] = self._next[devices]
        for device in self._pending.keys() & set(devices.tolist()) if self._pending else ():
            self._number[device] = self._pending[device]
        self._serial[devices] = (self._serial[devices] + 1) % SERIALS
        self._tries[devices] = 0

    def _ids(self, devices: Ints) -> Ints:
        """Return the request-ids of the requests on their way, without the try."""
        ids: Ints = (devices + FIRST_DEVICE) << DEVICE_BITS | self._serial[devices] << TRY_BITS
        return ids

    # -- receiving ------------------------------------------------------------------------------------

    def _receive(self, one: Wire) -> int:
        count = one.receive()
        if not count:
            return 0
        told = codec.heads(one.data, one.sizes[:count])
        device, why = self._asked_for(one, told, count)
        if why.any():
            self._count_refused(why)
            self._note_strangers(one, why)
        good = np.flatnonzero(why == 0)
        if len(good):
            self._take(one, told, good, device[good])
        return count

    def _asked_for(self, one: Wire, told: Heads, count: int) -> tuple[Ints, Ints]:
        """Return the device that each datagram answers, and why it answers none (0: it does)."""
        device = (told.request_id >> DEVICE_BITS) - FIRST_DEVICE
        known = (device >= 0) & (device < len(self._asked))
        device = np.where(known, device, 0)
        mask = MOST_TRIES - 1
        known &= self._flying[device] & ((told.request_id & ~mask) == self._ids(device))
        known &= (told.request_id & mask) <= self._tries[device]
        families = np.full(count, one.family, np.uint64)
        here = (wire.sender(families, one.senders[:count]) == self._sender[device]).all(axis=1)
        why = told.refused.copy()
        why[(why == 0) & ~self._communities.match(one.data, told, device)] = Refusal.FOREIGN
        why[(why == 0) & known & ~here] = Refusal.SOURCE
        why[(why == 0) & ~known] = Refusal.LATE
        good = np.flatnonzero(why == 0)
        first = np.unique(device[good], return_index=True)[1]
        if len(first) < len(good):
            again = np.ones(len(good), dtype=bool)
            again[first] = False
            why[good[again]] = Refusal.LATE
        return device, why

    def _take(self, one: Wire, told: Heads, at: Ints, device: Ints) -> None:
        """Read answers (at most one a device) and move their devices on."""
        kind = self._kind0[device] + self._number[device]
        base = self.outcome.slots[device]
        status = told.status[at]
        why = np.where(
            status == codec.TOO_BIG, Refusal.TOO_BIG, np.where(status != 0, Refusal.ERROR_STATUS, 0)
        )
        well = np.flatnonzero(why == 0)
        found = codec.read(
            one.data,
            told.first[at[well]],
            told.end[at[well]],
            kind[well],
            base[well],
            self._kinds,
            self.outcome.values,
        )
        why[well] = found.refused
        rows = np.zeros(len(at), np.int64)
        rows[well] = found.rows
        uptime, changed = self._scalars.look(self.outcome.values, base, device)
        why[(why == 0) & changed] = CHANGED
        self.outcome.heard[device] = True
        self._flying[device] = False
        self._deadline[device] = np.inf
        bad = why != 0
        if bad.any():
            self._give_up(device[bad], why[bad])
        good = np.flatnonzero(~bad)
        self._stamp(device[good], kind[good], rows[good], uptime[good], one.times[at[good]])
        for slot, octets in found.texts:
            owner = int(np.searchsorted(self.outcome.slots, slot, "right")) - 1
            self.outcome.texts[owner].append((slot - int(self.outcome.slots[owner]), octets))
        self._advance(device[good], kind[good], rows[good])

    def _stamp(self, device: Ints, kind: Ints, rows: Ints, uptime: Ints, times: Ints) -> None:
        """Note sysUpTime and arrival of the rows that came."""
        number = self._kinds.rows[kind]
        bulk = self._kinds.width[kind] > 0
        told = (number >= 0) & (~bulk[:, None] | (np.arange(number.shape[1]) < rows[:, None]))
        place = (number + self.outcome.rows[device][:, None])[told]
        self.outcome.uptimes[place] = np.broadcast_to(uptime[:, None], told.shape)[told]
        self.outcome.times[place] = np.broadcast_to(times[:, None], told.shape)[told]

    def _advance(self, device: Ints, kind: Ints, rows: Ints) -> None:
        """Go on to each device's next request; where an answer was cut, to the rest of it."""
        wanted = (self._kinds.varbinds[kind] - self._kinds.scalars[kind]) // np.maximum(
            self._kinds.width[kind], 1
        )
        cut = (self._kinds.width[kind] > 0) & (rows < wanted)
        whole = device[~cut]
        if self._pending:
            for one in whole.tolist():
                self._pending.pop(one, None)
        self._next[whole] += 1
        self._over[whole] = self._next[whole] >= self._count[whole]
        for one, came in zip(device[cut].tolist(), rows[cut].tolist(), strict=True):
            self._continue(one, came)

    def _continue(self, device: int, rows: int) -> None:
        """Plan for what is missing behind so many rows of an answer."""
        plan = self._asked[device].plan
        before = len(plan.requests)
        self._pending[device] = plan.rest(int(self._number[device]), rows)
        if len(plan.requests) > before:
            self._join()

    def _join(self) -> None:
        self._kinds, first = joined(self._plans)
        self._kind0 = np.array([first[id(one.plan)] for one in self._asked], np.int64)

    # -- giving up ------------------------------------------------------------------------------------

    def _overdue(self, now: float) -> None:
        gone = self._flying & (self._deadline <= now) & (self._tries >= self._tries_allowed)
        if gone.any():
            devices = np.flatnonzero(gone)
            self._give_up(devices, np.full(len(devices), SILENT))

    def _give_up(self, devices: Ints, why: Ints) -> None:
        self._flying[devices] = False
        self._deadline[devices] = np.inf
        self._over[devices] = True
        self.outcome.why[devices] = why
        self._count_refused(why)

    def _count_refused(self, why: Ints) -> None:
        for reason, count in zip(*np.unique(why[why != 0], return_counts=True), strict=True):
            self.outcome.refused[reason_name(int(reason))] += int(count)

    def _note_strangers(self, one: Wire, why: Ints) -> None:
        """Note the devices from whose address came what cannot be read."""
        odd = np.flatnonzero((why != 0) & (why <= Refusal.FOREIGN))
        if len(odd):
            families = np.full(len(odd), one.family, np.uint64)
            told = np.unique(wire.sender(families, one.senders[odd]), axis=0)
            for sender in told:
                self.outcome.heard |= (self._sender == sender).all(axis=1)


def reason_name(why: int) -> str:
    """Return what a reason is called where reasons are counted."""
    return {SILENT: "silent", CHANGED: "changed"}.get(why) or Refusal(why).name.lower()


class _Communities:
    """The community of each device, as words to compare."""

    def __init__(self, names: Sequence[bytes]) -> None:
        words = max(1, -(-max(map(len, names), default=0) // 8))
        known = {name: number for number, name in enumerate(dict.fromkeys(names))}
        octets, masks = (
            np.zeros((len(known), words * 8), np.uint8),
            np.zeros((len(known), words * 8), np.uint8),
        )
        for name, number in known.items():
            octets[number, : len(name)] = np.frombuffer(name, np.uint8)
            masks[number, : len(name)] = 255
        self._expect, self._mask = octets.view("<u8"), masks.view("<u8")
        self._length = np.array([len(name) for name in known], np.int64)
        self._of = np.array([known[name] for name in names], np.int64)

    def match(self, data: codec.Datagrams, told: Heads, device: Ints) -> Flags:
        """Return which messages bear the community of their device."""
        which = self._of[device]
        right: Flags = told.community_length == self._length[which]
        for word in range(self._expect.shape[1]):
            at = np.minimum(told.community + 8 * word, len(data.words) - 1)
            right &= ((data.words[at] ^ self._expect[which, word]) & self._mask[which, word]) == 0
        return right


class _Scalars:
    """sysUpTime and its companions: where they are stored and what they must be."""

    def __init__(self, asked: Sequence[Asked]) -> None:
        self._slots = np.array(
            [one.plan.scalars[0].slot if one.plan.scalars else -1 for one in asked], np.int64
        )
        self._before = np.array([-1 if one.uptime_cs is None else one.uptime_cs for one in asked], np.int64)
        self._more = np.array([len(one.unchanging) for one in asked], np.int64)
        most = int(self._more.max(initial=0))
        self._slot = np.zeros((len(asked), most), np.int64)
        self._value = np.zeros((len(asked), most), np.uint64)
        for number, one in enumerate(asked):
            for place, value in enumerate(one.unchanging):
                self._slot[number, place] = one.plan.scalars[place + 1].slot
                self._value[number, place] = value % 2**64

    def look(self, values: Words, base: Ints, device: Ints) -> tuple[Ints, Flags]:
        """Return sysUpTime of the answers just read (-1: untold), and which devices have changed."""
        slot = self._slots[device]
        uptime = np.where(slot >= 0, values[base + np.maximum(slot, 0)].astype(np.int64), -1)
        before = self._before[device]
        changed = (before >= 0) & (uptime >= 0) & ((uptime - before) % UPTIME_WRAPS >= UPTIME_WRAPS // 2)
        for place in range(self._slot.shape[1]):
            told = values[base + self._slot[device, place]]
            changed |= (place < self._more[device]) & (told != self._value[device, place])
        return uptime, changed


class _Paces:
    """The pace of each device, as ``manners.Pace`` keeps it: so many requests within any second.

    ``free`` is when its next request may go.
    """

    def __init__(self, asked: Sequence[Asked]) -> None:
        self._per_second = np.array([one.per_second for one in asked], np.int64)
        self._ring = np.full((len(asked), int(self._per_second.max(initial=1))), -np.inf)
        self._taken = np.zeros(len(asked), np.int64)
        for number, one in enumerate(asked):
            if one.sent:
                sent = one.sent[-one.per_second :]
                self._ring[number, : len(sent)] = sent
                self._taken[number] = len(sent)
        each = np.arange(len(asked))
        self.free = self._ring[each, self._taken % self._per_second] + 1.0
        self._known = self._taken.copy()

    def take(self, devices: Ints, now: float) -> None:
        """Note that a request goes out to each of the devices."""
        limit = self._per_second[devices]
        self._ring[devices, self._taken[devices] % limit] = now
        self._taken[devices] += 1
        self.free[devices] = self._ring[devices, self._taken[devices] % limit] + 1.0

    def sent(self) -> list[list[float]]:
        """Return the times of the last requests to each device that were not known before, oldest first."""
        kept = np.minimum(self._taken - self._known, self._per_second)
        rows = zip(self._ring, self._taken.tolist(), kept.tolist(), self._per_second.tolist(), strict=True)
        return [
            [float(ring[place % limit]) for place in range(taken - new, taken)]
            for ring, taken, new, limit in rows
        ]
