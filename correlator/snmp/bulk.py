"""Many devices asked at once: each by its plan, one request in flight, at its own pace.

All of it is arrays over the devices: who may be asked now, what is on its way, what is overdue. An answer is
taken when its address, community and request-id are those of the request that is on its way to that
device. A request-id is (device, request, try): a repeated request has a new one, and either answer
counts, once. Nothing here waits for one device: what does not answer, or not as planned, is left to the
caller with the reason.
"""

from __future__ import annotations

import socket
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from correlator.snmp import codec, wire
from correlator.snmp.codec import Flags, Heads, Ints, Refusal, Words
from correlator.snmp.fleet import Asked, Fleet
from correlator.snmp.paces import Paces, Sent
from correlator.snmp.wire import Wire

__all__ = ["Asked", "Exchange", "Fleet", "Outcome", "Params"]

DEVICE_BITS, FIRST_DEVICE = 16, 0x200  # request-ids from 0x02000000: their four bytes are the fewest
SERIALS, TRY_BITS = 4096, 4
MOST_DEVICES = 2**15 - FIRST_DEVICE
MOST_TRIES = 2**TRY_BITS
SILENT, CHANGED = 15, 16
"""Beside ``codec.Refusal``: no answer to any try; restarted, or with other interfaces, since the plan."""
GROUP = 48  # answers of one kind for which it pays to read them apart from others
TICK_S = 0.2  # how soon a stop is noticed


@dataclass(frozen=True, slots=True)
class Params:
    """``in_flight``: requests on their way at one time, as far as the kernel's buffers hold the answers.

    ``plain``: ordinary socket calls, one a datagram.
    """

    in_flight: int = 1024
    plain: bool = False


@dataclass(eq=False)
class Outcome:
    """What came of asking; devices in the order in which they were given.

    ``values`` holds their slots one after another, ``slots`` where each begins; ``uptimes`` (hundredths of
    a second, -1: untold) likewise their rows. ``times`` is when the last answer of each came in, nanoseconds
    since 1970.
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
    sent: Sent
    texts: dict[int, list[tuple[int, bytes]]]
    refused: Counter[str] = field(default_factory=Counter)


class Exchange:
    """Asks devices; ``run`` once, in a thread of its own where an event loop must go on."""

    def __init__(
        self,
        asked: Sequence[Asked] | Fleet,
        params: Params | None = None,
        sent: Sequence[Sequence[float]] | None = None,
    ) -> None:
        """``asked`` are the devices, or what was put together of them; ``sent`` goes before theirs."""
        fleet = self.fleet = asked if isinstance(asked, Fleet) else Fleet(asked, MOST_TRIES - 1)
        count = len(fleet.asked)
        if count > MOST_DEVICES:
            raise ValueError(f"{count} devices at once; {MOST_DEVICES} at most")
        self.params = params or Params()
        self.stopped = False
        self._pace = Paces(fleet.per_second, sent or [one.sent for one in fleet.asked])
        self._next = np.zeros(count, np.int64)  # number of the plan's next request
        self._number = np.zeros(count, np.int64)  # of the one on its way
        self._flying = np.zeros(count, dtype=bool)
        self._over = fleet.count == 0
        self._tries = np.zeros(count, np.int64)
        self._serial = np.random.default_rng().integers(0, SERIALS, count)
        self._id = np.zeros(count, np.int64)  # request-id of the one on its way, without the try
        self._deadline = np.full(count, np.inf)
        self._last = np.zeros(count, np.int64)  # place of the last datagram from each that was looked at
        self._pending: dict[int, int] = {}  # devices whose answer was cut, and what to ask for the rest
        self._values = np.zeros(fleet.slots[-1] + 1, np.uint64)  # the last is for what nobody wants
        self.outcome = Outcome(
            values=self._values[:-1],
            slots=fleet.slots,
            uptimes=np.full(fleet.rows[-1], -1, np.int64),
            times=np.zeros(count, np.int64),
            rows=fleet.rows,
            why=np.zeros(count, np.int64),
            heard=np.zeros(count, dtype=bool),
            requests=np.zeros(count, np.int64),
            retries=np.zeros(count, np.int64),
            sent=self._pace.sent(),
            texts=defaultdict(list),
        )

    def run(self) -> Outcome:
        """Ask until every device is read or given up, or ``stopped`` is set; return what came."""
        wires = {
            family: Wire(socket.AddressFamily(family), self.params.plain)
            for family in np.unique(self.fleet.family).tolist()
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
            self._send(one, self.fleet.family == family, now)
        got = [self._receive(one) for one in wires.values()]
        self._overdue(time.monotonic())
        if not any(got) and not self._over.all():
            wire.wait(list(wires.values()), self._idle_s(time.monotonic()))

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
        overdue = self._flying & (self._deadline <= now) & (self._tries < self.fleet.tries)
        fresh = ~self._flying & ~self._over
        room = min(self.params.in_flight, one.room) - int(np.count_nonzero(self._flying & mine))
        may = (self._pace.free <= now) & mine
        devices = np.flatnonzero(overdue & may)
        self._transmit(one, devices, now)
        self._transmit(one, np.flatnonzero(fresh & may)[: max(0, room)], now)

    def _transmit(self, one: Wire, devices: Ints, now: float) -> None:
        fleet = self.fleet
        for at in range(0, len(devices), wire.BATCH):
            some = devices[at : at + wire.BATCH]
            again = self._flying[some]
            if not again.all():
                self._begin(some[~again])
            tries = self._tries[some] + again
            kind = fleet.kind0[some] + self._number[some]
            messages = fleet.kinds.template.take(kind, axis=0)
            ids = (self._id[some] | tries).astype(">u4").view(np.uint8).reshape(-1, 4)
            place = np.arange(len(some)) * messages.shape[1] + fleet.kinds.id_at[kind]
            messages.reshape(-1)[place[:, None] + np.arange(4)] = ids
            sent = some[: one.send(messages, fleet.kinds.length[kind], fleet.address.take(some, axis=0))]
            self._flying[sent] = True
            self._tries[sent] = tries[: len(sent)]
            self._deadline[sent] = now + fleet.timeout[sent]
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
        serial = (self._serial[devices] + 1) % SERIALS
        self._serial[devices] = serial
        self._id[devices] = (devices + FIRST_DEVICE) << DEVICE_BITS | serial << TRY_BITS
        self._tries[devices] = 0

    # -- receiving ------------------------------------------------------------------------------------

    def _receive(self, one: Wire) -> int:
        count = one.receive(int(np.count_nonzero(self._flying)))
        if count:
            left = self._recognised(one, count)
            if len(left):
                self._look_into(one, left)
        return count

    def _recognised(self, one: Wire, count: int) -> Ints:
        """Read the answers that look like the last ones to the same requests; return the other datagrams."""
        fleet = self.fleet
        device, ok = fleet.directory(one.family).find(one.senders[:count])
        number = self._number[device]
        ok &= self._flying[device] & (number < fleet.count[device])
        number[~ok] = 0
        kind = fleet.kind0[device] + number
        known = fleet.shapes.recall(one.data, one.sizes[:count], ok, device, number, kind, fleet.kinds)
        ids = (
            one.data.words[one.data.starts[:count] + known.id_at]
            .astype(np.uint32)
            .byteswap()
            .astype(np.int64)
        )
        tries = ids ^ self._id[device]
        ok &= known.same & (tries >= 0) & (tries <= self._tries[device])
        which = np.flatnonzero(ok)
        self._last[device[which]] = which
        which = which[self._last[device[which]] == which]  # one a device, as ever
        taken = np.zeros(count, dtype=bool)
        for some in _alike(which, kind[which], fleet.kinds.varbinds):
            taken[some] = self._take_known(one, some, device[some], known.table[some])
        if known.looked:
            new = np.array(known.looked)[taken[known.looked]]
            fleet.shapes.keep(device[new], number[new], known.table[new])
        return np.flatnonzero(~taken)

    def _take_known(self, one: Wire, at: Ints, device: Ints, known: codec.Bytes) -> Flags:
        """Take answers whose heads look like the last ones', at most one a device; return which it took."""
        fleet, number = self.fleet, self._number[device]
        kind, base = fleet.kind0[device] + number, fleet.slots[device]
        pattern = fleet.shapes.pattern(device, number)
        right = fleet.shapes.read(
            one.data, one.data.starts[at], known, pattern, kind, base, fleet.kinds, self._values
        )
        some = slice(None) if np.count_nonzero(right) == len(right) else np.flatnonzero(right)
        whole = self.fleet.kinds.whole[kind[some]]
        self._settle(device[some], kind[some], whole, np.zeros(len(whole), np.int64), one.times[at[some]])
        return right

    def _look_into(self, one: Wire, which: Ints) -> None:
        """Take in datagrams that have to be looked at one varbind after another, or that are none of ours."""
        told = codec.heads(one.data, one.sizes[which], which)
        device, why = self._asked_for(one, told, which)
        if why.any():
            self._count_refused(why)
            self._note_strangers(one, which, why)
        good = np.flatnonzero(why == 0)
        if len(good):
            self._take(one, told.some(good), which[good], device[good])

    def _asked_for(self, one: Wire, told: Heads, which: Ints) -> tuple[Ints, Ints]:
        """Return the device that each datagram answers, and why it answers none (0: it does)."""
        fleet = self.fleet
        device = (told.request_id >> DEVICE_BITS) - FIRST_DEVICE
        known = (device >= 0) & (device < len(fleet.asked))
        device = np.where(known, device, 0)
        mask = MOST_TRIES - 1
        known &= self._flying[device] & ((told.request_id & ~mask) == self._id[device])
        known &= (told.request_id & mask) <= self._tries[device]
        families = np.full(len(which), one.family, np.uint64)
        here = (wire.sender(families, one.senders[which]) == fleet.sender[device]).all(axis=1)
        why = told.refused.copy()
        why[(why == 0) & ~fleet.communities.match(one.data, told, device)] = Refusal.FOREIGN
        why[(why == 0) & known & ~here] = Refusal.SOURCE
        why[(why == 0) & ~known] = Refusal.LATE
        good = np.flatnonzero(why == 0)
        first = np.unique(device[good], return_index=True)[1]
        if len(first) < len(good):
            again = np.ones(len(good), dtype=bool)
            again[first] = False
            why[good[again]] = Refusal.LATE
        return device, why

    def _take(self, one: Wire, told: Heads, which: Ints, device: Ints) -> None:
        """Read answers (at most one a device) and move their devices on."""
        fleet = self.fleet
        number, kind = self._number[device], fleet.kind0[device] + self._number[device]
        why = np.where(
            told.status == codec.TOO_BIG,
            Refusal.TOO_BIG,
            np.where(told.status != 0, Refusal.ERROR_STATUS, 0),
        )
        well = np.flatnonzero(why == 0)
        found = codec.read(
            one.data,
            told.first[well],
            told.end[well],
            kind[well],
            fleet.slots[device[well]],
            fleet.kinds,
            self._values,
        )
        why[well] = found.refused
        rows = np.zeros(len(which), np.int64)
        rows[well] = found.rows
        for slot, octets in found.texts:
            owner = int(np.searchsorted(fleet.slots, slot, "right")) - 1
            self.outcome.texts[owner].append((slot - int(fleet.slots[owner]), octets))
        good = np.flatnonzero((why == 0) & (number < fleet.count[device]))
        if len(good):
            place = found.place[:, np.searchsorted(well, good)]
            some = told.some(good), which[good], device[good], number[good], kind[good]
            fleet.shapes.learn(one.data, place, *some, fleet.kinds)
        self._settle(device, kind, rows, why, one.times[which])

    def _settle(self, device: Ints, kind: Ints, rows: Ints, why: Ints, times: Ints) -> None:
        """Move devices on whose answers were read, with so many whole rows, or refused."""
        uptime, changed = self.fleet.scalars.look(self._values, self.fleet.slots[device], device)
        if np.count_nonzero(changed):
            why = np.where((why == 0) & changed, CHANGED, why)
        self.outcome.heard[device] = True
        self.outcome.times[device] = times
        self._flying[device] = False
        self._deadline[device] = np.inf
        if np.count_nonzero(why):
            bad = why != 0
            self._give_up(device[bad], why[bad])
            device, kind, rows, uptime = device[~bad], kind[~bad], rows[~bad], uptime[~bad]
        self._stamp(device, kind, rows, uptime)
        self._advance(device, kind, rows)

    def _stamp(self, device: Ints, kind: Ints, rows: Ints, uptime: Ints) -> None:
        """Note sysUpTime of the rows that came."""
        number = self.fleet.kinds.rows.take(kind, axis=0)
        if not number.shape[1]:
            return
        bulk = self.fleet.kinds.width[kind] > 0
        told = (number >= 0) & (~bulk[:, None] | (np.arange(number.shape[1]) < rows[:, None]))
        place = (number + self.outcome.rows[device][:, None])[told]
        self.outcome.uptimes[place] = np.broadcast_to(uptime[:, None], told.shape)[told]

    def _advance(self, device: Ints, kind: Ints, rows: Ints) -> None:
        """Go on to each device's next request; where an answer was cut, to the rest of it."""
        cut = rows < self.fleet.kinds.whole[kind]
        if np.count_nonzero(cut):
            for one, came in zip(device[cut].tolist(), rows[cut].tolist(), strict=True):
                self._pending[one] = self.fleet.rest(one, int(self._number[one]), came)
            device = device[~cut]
        if self._pending:
            for one in device.tolist():
                self._pending.pop(one, None)
        following = self._next[device] + 1
        self._next[device] = following
        self._over[device] = following >= self.fleet.count[device]

    # -- giving up ------------------------------------------------------------------------------------

    def _overdue(self, now: float) -> None:
        gone = self._flying & (self._deadline <= now) & (self._tries >= self.fleet.tries)
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

    def _note_strangers(self, one: Wire, which: Ints, why: Ints) -> None:
        """Note the devices from whose address came what cannot be read."""
        odd = which[(why != 0) & (why <= Refusal.FOREIGN)]
        if len(odd):
            families = np.full(len(odd), one.family, np.uint64)
            for sender in np.unique(wire.sender(families, one.senders[odd]), axis=0):
                self.outcome.heard |= (self.fleet.sender == sender).all(axis=1)


def _alike(which: Ints, kind: Ints, varbinds: Ints) -> list[Ints]:
    """Return answers in groups of one kind or, where those would be small, of one number of varbinds."""
    kinds = np.unique(kind)
    if len(kinds) <= 1:
        return [which] * len(kinds)
    if len(which) < len(kinds) * GROUP:
        kind = varbinds[kind]
        kinds = np.unique(kind)
    return [which[kind == one] for one in kinds.tolist()]


def reason_name(why: int) -> str:
    """Return what a reason is called where reasons are counted."""
    return {SILENT: "silent", CHANGED: "changed"}.get(why) or Refusal(why).name.lower()
