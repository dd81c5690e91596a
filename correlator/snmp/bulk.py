"""Many devices asked at once: each by its plan, one or two requests in flight, at its own pace.

A device's requests go in two strands, every other one in each; where only one may be in flight, the first
strand has them all. All of it is arrays over the strands: which may be asked now, what is on its way, what
is overdue. An answer is taken when its address, community and request-id are those of the request that is
on its way. A request-id is (strand, request, try): a repeated request has a new one, and either answer
counts, once. Nothing here waits for one device: what does not answer, or not as planned, is left to the
caller with the reason.

An answer whose head is that of the last one to the same request lets its device go on at once; what it says
is checked and read later, together with others, as that is cheaper. Where it is not what it looked like,
its device is given up then, or asked for the rest.
"""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from correlator.snmp import codec, wire
from correlator.snmp.codec import Heads, Refusal
from correlator.snmp.fleet import Asked, Fleet
from correlator.snmp.kinds import Flags, Ints, Words
from correlator.snmp.paces import Paces, Sent
from correlator.snmp.unread import Unread, alike
from correlator.snmp.wire import Wire

__all__ = ["Asked", "Exchange", "Fleet", "Outcome", "Params"]

STRANDS = 2
STRAND_BITS, FIRST_STRAND = 16, 0x200  # request-ids from 0x02000000: their four bytes are the fewest
TRY_BITS = 4
SERIALS = 2 ** (STRAND_BITS - TRY_BITS)
MOST_DEVICES = (2**15 - FIRST_STRAND) // STRANDS
MOST_TRIES = 2**TRY_BITS
ID, TRIES, NUMBER, NEXT, STEP, COUNT, FIRST = range(7)
"""What is kept of each strand, a row of one table: what a step needs of it is gathered and put back at once.

The request-id of the request on its way, without the try; its try, NONE where none is on its way; its number;
the next one's; how much further the one after that is; how many there are; where the device's begin among
``Fleet.joined.kind``.
"""
NONE = -1
NOTHING = np.zeros(0, np.int64)
ALL = 2**31  # rows of an answer that was not cut
SILENT, CHANGED = 15, 16
"""Beside ``codec.Refusal``: no answer to any try; restarted, or with other interfaces, since the plan."""
ENOUGH = 800  # answers that are worth reading: more of them are hardly cheaper
TICK_S = 0.2  # how soon a stop is noticed
ROOM_S = 0.005  # how soon what found no room is tried again


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

    ``values`` holds their slots one after another, ``slots`` where each begins (zeros where a device was not
    read whole); ``uptimes`` (hundredths of a second, -1: untold) likewise their rows. ``times`` is when the
    last answer of each came in, nanoseconds since 1970.
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
        sent: Sent | None = None,
    ) -> None:
        """``asked`` are the devices, or what was put together of them; ``sent`` goes before theirs."""
        fleet = self.fleet = asked if isinstance(asked, Fleet) else Fleet(asked, MOST_TRIES - 1)
        count = len(fleet.asked)
        if count > MOST_DEVICES:
            raise ValueError(f"{count} devices at once; {MOST_DEVICES} at most")
        self.params = params or Params()
        self.stopped = False
        self._pace = Paces(fleet.per_second, sent or Sent.told([one.sent for one in fleet.asked]))
        self._strands = _strands(fleet)
        self._tries, self._id = self._strands[:, TRIES], self._strands[:, ID]
        self._timeout, self._most_tries = (np.repeat(one, STRANDS) for one in (fleet.timeout, fleet.tries))
        self._begun = 0  # requests in a strand, at most
        self._aloft = 0  # requests on their way
        self._came = False  # whether anything did when it was last looked
        self._cut = False  # whether any answer came cut
        self._waiting = self._strands[:, NEXT] < self._strands[:, COUNT]  # has a request to come
        self._deadline = np.full(STRANDS * count, np.inf)
        self._retries = np.zeros(STRANDS * count, np.int64)
        self._rest: dict[int, list[int]] = {}  # by strand, what to ask for the rest of answers that were cut
        self._unread: dict[Wire, Unread] = {}
        self._values = np.empty(fleet.slots[-1] + 1, np.uint64)  # the last is for what nobody wants
        self._values[fleet.unfilled] = 0
        self._uptimes = np.full(fleet.rows[-1] + 1, -1, np.int64)  # likewise
        self.outcome = Outcome(
            values=self._values[:-1],
            slots=fleet.slots,
            uptimes=self._uptimes[:-1],
            times=np.zeros(count, np.int64),
            rows=fleet.rows,
            why=np.zeros(count, np.int64),
            heard=np.zeros(count, dtype=bool),
            requests=np.zeros(count, np.int64),
            retries=np.zeros(count, np.int64),
            sent=Sent.told([()] * count),
            texts=defaultdict(list),
        )

    def run(self) -> Outcome:
        """Ask until every device is read or given up, or ``stopped`` is set; return what came."""
        families = self.fleet.families
        wires = {
            Wire.opened(family, self.params.plain): (
                np.repeat(self.fleet.family == family, STRANDS) if len(families) > 1 else None
            )
            for family in families
        }
        self._unread = {one: Unread() for one in wires}
        try:
            while self._goes_on() and not self.stopped:
                self._turn(wires)
            self._read_all()
        finally:
            for one in wires:
                one.close()
        unread = ((self._tries != NONE) | self._waiting).reshape(-1, STRANDS).any(axis=1)
        self.outcome.why[unread & (self.outcome.why == 0)] = SILENT
        for device in np.flatnonzero(self.outcome.why).tolist():
            self._values[self.fleet.slots[device] : self.fleet.slots[device + 1]] = 0
        self.outcome.sent, self.outcome.requests = self._pace.sent(), self._pace.count
        self.outcome.retries = self._retries.reshape(-1, STRANDS).sum(axis=1)
        return self.outcome

    def _goes_on(self) -> bool:
        """Return whether anything is to be asked or awaited; if there seems not, first read what came."""
        if not (self._aloft or self._waiting.any()):
            self._read_all()
        return bool(self._aloft or self._waiting.any())

    def _turn(self, wires: Mapping[Wire, Flags | None]) -> None:
        """Send what may go, take in what has come, give up what is overdue."""
        now = time.monotonic()
        due = float(self._deadline.min(initial=np.inf))
        for one, mine in wires.items():
            if due <= now:
                self._send_again(one, mine, now)
            self._send(one, mine, now)
        if not self._aloft:
            self._read_all()
        hopeful = self._came and self._aloft >= wire.WORTH  # then waiting for many is all that is needed
        for one in list(wires) if hopeful else wire.wait(list(wires), self._idle_s(now)):
            self._receive(one)
        if due <= now:
            self._overdue(time.monotonic())

    def _idle_s(self, now: float) -> float:
        """Return how long nothing is due, seconds."""
        due = float(self._deadline.min(initial=np.inf))
        if self._waiting.any():  # for their pace or, if that is not it, for room
            waiting = self._waiting.reshape(-1, STRANDS).any(axis=1)
            free = float(np.min(self._pace.free, where=waiting, initial=np.inf))
            due = min(due, free if free > now else now + ROOM_S)
        return max(0.0, min(due - now, TICK_S))

    # -- sending --------------------------------------------------------------------------------------

    def _send(self, one: Wire, mine: Flags | None, now: float) -> None:
        """Send the next requests of those who may be asked, as far as there is room."""
        fresh = self._waiting if mine is None else self._waiting & mine
        strands = self._in_pace(fresh, now)[: max(0, min(self.params.in_flight, one.room) - self._aloft)]
        for at in range(0, len(strands), wire.BATCH):
            some = strands[at : at + wire.BATCH]
            state = self._begin(some)
            count = self._transmit(one, some, state, now)
            self._aloft += count
            if count < len(some):
                self._put_back(some[count:], state[count:])
                return  # the kernel's buffer is full: the others go with the next turn

    def _send_again(self, one: Wire, mine: Flags | None, now: float) -> None:
        """Repeat the requests that are overdue, if they may be."""
        overdue = (self._deadline <= now) & (self._tries < self._most_tries)
        strands = self._in_pace(overdue if mine is None else overdue & mine, now)
        for at in range(0, len(strands), wire.BATCH):
            some = strands[at : at + wire.BATCH]
            state = self._strands.take(some, axis=0)
            state[:, TRIES] += 1
            sent = some[: self._transmit(one, some, state, now)]
            self._retries[sent] += 1
            if len(sent) < len(some):
                return

    def _in_pace(self, strands: Flags, now: float) -> Ints:
        """Return those of the strands whose devices may be asked: one of a device where its pace may bind."""
        if self._pace.binds:
            pairs = strands.reshape(-1, STRANDS) & (self._pace.free <= now)[:, None]
            pairs[:, 1:] &= ~pairs[:, :1]
            strands = pairs.reshape(-1)
        return np.flatnonzero(strands)

    def _begin(self, strands: Ints) -> Ints:
        """Return what is kept of strands, with none on its way, once the next request of each goes out."""
        state = self._strands.take(strands, axis=0)
        state[:, NUMBER] = state[:, NEXT]
        state[:, NEXT] += state[:, STEP]
        for strand in self._rest.keys() & set(strands.tolist()) if self._rest else ():
            place = int(np.flatnonzero(strands == strand)[0])
            state[place, NEXT] -= state[place, STEP]
            state[place, NUMBER] = self._rest[strand].pop(0)
            if not self._rest[strand]:
                del self._rest[strand]
        state[:, ID] += MOST_TRIES
        self._begun += 1
        if self._begun > SERIALS // 2:  # may have come into the strand's bits: serials begin anew
            state[:, ID] &= 2**STRAND_BITS - 1
            state[:, ID] |= (strands + FIRST_STRAND) << STRAND_BITS
        state[:, TRIES] = 0
        return state

    def _transmit(self, one: Wire, strands: Ints, state: Ints, now: float) -> int:
        """Send requests of strands, as they are in ``state``; note that and return how many went out.

        These are the first.
        """
        fleet, devices = self.fleet, strands // STRANDS
        kind = fleet.joined.kind.take(state[:, FIRST] + state[:, NUMBER])
        letters = one.letters(fleet.kinds.template.shape[1])
        fleet.kinds.write(kind, state[:, ID] | state[:, TRIES], letters[: len(kind)])
        count = one.send(fleet.kinds.length.take(kind), fleet.address, devices)
        if count < len(strands):
            strands, devices, state = strands[:count], devices[:count], state[:count]
        self._strands[strands] = state
        self._waiting[strands] = False
        self._deadline[strands] = self._timeout.take(strands) + now
        self._pace.take(devices, now)
        return count

    def _put_back(self, strands: Ints, state: Ints) -> None:
        """Give back what was begun and could not be sent: nothing but rests was taken from anywhere."""
        rests = state[:, NUMBER] >= state[:, COUNT]
        for strand, number in zip(strands[rests].tolist(), state[rests, NUMBER].tolist(), strict=True):
            self._rest.setdefault(strand, []).insert(0, number)

    # -- receiving ------------------------------------------------------------------------------------

    def _receive(self, one: Wire) -> None:
        unread = self._unread[one]
        count = one.receive(unread.end, self._aloft)
        self._came = count > 0
        if count:
            begin = unread.end
            left = self._recognised(one, begin, count)
            if len(left):
                self._look_into(one, left + begin)
            unread.end = begin + count if unread.count else 0
            if unread.count >= ENOUGH or unread.end + wire.BATCH > wire.KEPT:
                self._read(one)

    def _recognised(self, one: Wire, begin: int, count: int) -> Ints:
        """Keep the answers that look like the last ones to the same requests; return the other datagrams."""
        fleet, unread = self.fleet, self._unread[one]
        here = slice(begin, begin + count)
        strand, id_at = self._named(one, here)
        state, device = self._strands.take(strand, axis=0), strand // STRANDS
        number = state[:, NUMBER]
        if self._cut:
            id_at = np.where(number < state[:, COUNT], id_at, NONE)
        rows, kind = fleet.shapes.rows(device, number), fleet.joined.kind.take(state[:, FIRST] + number)
        ok = fleet.shapes.recall(one.data, begin, one.sizes[here], id_at, rows, kind, fleet.kinds)
        places, left, aloft = one.places[here], NOTHING, self._aloft
        if not ok.all():
            left = np.flatnonzero(~ok)
            strand, device, state, places = strand[ok], device[ok], state[ok], places[ok]
        self._landed(strand, state[:, NEXT] < state[:, COUNT])
        if aloft - self._aloft < len(strand):  # the same answer more than once
            first = np.unique(strand, return_index=True)[1]
            left = np.concatenate((left, np.delete(places, first) - begin))
            device, state, places = device[first], state[first], places[first]
        unread.keep(places, device, state[:, NUMBER])
        return left

    def _named(self, one: Wire, here: slice) -> tuple[Ints, Ints]:
        """Return the strand that each datagram answers, and where in it the request-id stands that says so.

        That is on its way, and the datagram comes from where it was sent. NONE: there is none where they
        stand in other answers.
        """
        strand = np.zeros(here.stop - here.start, np.int64)
        id_at = np.full(len(strand), NONE)
        for at in self.fleet.shapes.id_places:
            ids = one.data.rows[here, at : at + 4].copy().view(">u4")[:, 0].astype(np.int64)
            named = (ids >> STRAND_BITS) - FIRST_STRAND
            # of what is none of ours the first or last strand, whose requests are called something else
            fits = (ids ^ self._id.take(named, mode="clip")) <= self._tries.take(named, mode="clip")
            fits &= self.fleet.sent(one.family, one.senders[here], named // STRANDS)
            strand, id_at = np.where(fits, named, strand), np.where(fits, at, id_at)
        return strand, id_at

    def _read_all(self) -> None:
        for one, unread in self._unread.items():
            if unread.count:
                self._read(one)

    def _read(self, one: Wire) -> None:
        """Read the answers that were kept."""
        at, device, number = self._unread[one].taken()
        self.outcome.heard[device] = True
        right, scalars = self._read_as_remembered(one, at, device, number)
        well = slice(None) if right.all() else np.flatnonzero(right)
        whole = self.fleet.kinds.whole.take(self.fleet.kind(device, number))[well]
        none, times = np.zeros(len(whole), np.int64), one.times(at[well])
        self._settle(device[well], number[well], whole, none, scalars[well], times)
        if len(whole) < len(at):
            wrong = np.flatnonzero(~right)
            told = codec.heads(one.data, one.sizes[at[wrong]], at[wrong])
            self._take_all(one, told, at[wrong], device[wrong], number[wrong])

    def _read_as_remembered(self, one: Wire, at: Ints, device: Ints, number: Ints) -> tuple[Flags, Words]:
        """Take the values of answers that are what they looked like; return which are, and all's scalars."""
        fleet = self.fleet
        kind, base = fleet.kind(device, number), fleet.slots.take(device)
        rows = fleet.shapes.rows(device, number)
        start = one.data.starts.take(at)
        right = np.zeros(len(at), dtype=bool)
        scalars = np.zeros((len(at), fleet.scalars.most), np.uint64)
        for some in alike(kind, fleet.kinds.varbinds):
            where, asked = (start[some], rows[some], base[some]), kind[some[:, 0]]
            right[some], told = fleet.shapes.read(one.data, *where, asked, fleet.kinds, self._values)
            width = min(fleet.scalars.most, told.shape[2])
            scalars[some, :width] = told[:, :, :width]
        return right, scalars

    def _look_into(self, one: Wire, which: Ints) -> None:
        """Take in datagrams that have to be looked at one varbind after another, or that are none of ours."""
        told = codec.heads(one.data, one.sizes[which], which)
        strand, why = self._asked_for(one, told, which)
        if why.any():
            self._count_refused(why)
            self._note_strangers(one, which, why)
        good = np.flatnonzero(why == 0)
        if len(good):
            strand = strand[good]
            state = self._strands[strand]
            self.outcome.heard[strand // STRANDS] = True
            self._landed(strand, state[:, NEXT] < state[:, COUNT])
            self._take_all(one, told.some(good), which[good], strand // STRANDS, state[:, NUMBER])

    def _asked_for(self, one: Wire, told: Heads, which: Ints) -> tuple[Ints, Ints]:
        """Return the strand that each datagram answers, and why it answers none (0: it does)."""
        fleet = self.fleet
        strand = (told.request_id >> STRAND_BITS) - FIRST_STRAND
        known = (strand >= 0) & (strand < len(self._strands))
        strand = np.where(known, strand, 0)
        mask = MOST_TRIES - 1
        known &= (told.request_id & ~mask) == self._id[strand]
        known &= (told.request_id & mask) <= self._tries[strand]
        here = fleet.sent(one.family, one.senders[which], strand // STRANDS)
        why = told.refused.copy()
        why[(why == 0) & ~fleet.communities.match(one.data, told, strand // STRANDS)] = Refusal.FOREIGN
        why[(why == 0) & known & ~here] = Refusal.SOURCE
        why[(why == 0) & ~known] = Refusal.LATE
        good = np.flatnonzero(why == 0)
        first = np.unique(strand[good], return_index=True)[1]
        if len(first) < len(good):
            again = np.ones(len(good), dtype=bool)
            again[first] = False
            why[good[again]] = Refusal.LATE
        return strand, why

    def _take_all(self, one: Wire, told: Heads, which: Ints, device: Ints, number: Ints) -> None:
        """Read answers varbind by varbind, one of a device at a time, and move their devices on."""
        left = np.arange(len(which))
        while len(left):
            first = np.unique(device[left], return_index=True)[1]
            some = left[first]
            self._take(one, told.some(some), which[some], device[some], number[some])
            left = np.delete(left, first)

    def _take(self, one: Wire, told: Heads, which: Ints, device: Ints, number: Ints) -> None:
        """Read answers (at most one a device) to requests of those numbers and move their devices on."""
        fleet = self.fleet
        kind = fleet.kind(device, number)
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
        scalars = fleet.scalars.told(self._values, fleet.slots[device], device)
        self._settle(device, number, rows, why, scalars, one.times(which))

    def _landed(self, strand: Ints, more: Flags) -> None:
        """Note that what was on its way in these strands was answered; ``more``: there is a next request."""
        self._tries[strand] = NONE
        self._aloft = int(np.count_nonzero(self._tries != NONE))
        self._deadline[strand] = np.inf
        self._waiting[strand] = more
        if self._rest:
            self._waiting[list(self._rest)] = self._tries[list(self._rest)] == NONE

    def _settle(self, device: Ints, number: Ints, rows: Ints, why: Ints, scalars: Words, times: Ints) -> None:
        """Take note of answers that were read, with so many whole rows, or refused.

        ``scalars`` are the values that come with every message.
        """
        fleet = self.fleet
        uptime, changed = fleet.scalars.look(scalars, device)
        if np.count_nonzero(changed):
            why = np.where((why == 0) & changed, CHANGED, why)
        self.outcome.times[device] = times
        if np.count_nonzero(why):
            bad = why != 0
            self._give_up(device[bad], why[bad])
            device, number, rows, uptime = device[~bad], number[~bad], rows[~bad], uptime[~bad]
        kind = fleet.kind(device, number)
        short = rows < fleet.kinds.whole.take(kind)
        self._stamp(device, kind, np.where(short, rows, ALL), uptime)
        cut = np.flatnonzero(short)
        for one, asked, came in zip(*(part[cut].tolist() for part in (device, number, rows)), strict=True):
            self._ask_for_rest(one, fleet.rest(one, asked, came))

    def _ask_for_rest(self, device: int, number: int) -> None:
        """Note what is to be asked of a device because an answer was cut."""
        self._cut = True
        self._strands[:, FIRST] = np.repeat(self.fleet.first, STRANDS)  # requests were put together anew
        if self.outcome.why[device] == 0:
            strand = device * STRANDS
            self._rest.setdefault(strand, []).append(number)
            self._waiting[strand] = self._tries[strand] == NONE

    def _stamp(self, device: Ints, kind: Ints, rows: Ints, uptime: Ints) -> None:
        """Note sysUpTime of the first ``rows`` that came in answers."""
        number = self.fleet.kinds.rows.take(kind, axis=0)
        if number.shape[1]:
            there = (number >= 0) & (np.arange(number.shape[1]) < rows[:, None])
            place = np.where(there, number + self.fleet.rows.take(device)[:, None], len(self._uptimes) - 1)
            self._uptimes[place] = uptime[:, None]

    # -- giving up ------------------------------------------------------------------------------------

    def _overdue(self, now: float) -> None:
        """Give up those whose last try has gone unanswered."""
        strands = np.flatnonzero((self._deadline <= now) & (self._tries >= self._most_tries))
        self._give_up(strands // STRANDS, np.full(len(strands), SILENT))

    def _give_up(self, devices: Ints, why: Ints) -> None:
        """Ask devices nothing more; the first reason of each is the one that is told and counted."""
        devices, first = np.unique(devices, return_index=True)
        new = self.outcome.why[devices] == 0
        self.outcome.why[devices[new]] = why[first][new]
        self._count_refused(why[first][new])
        strands = (devices[:, None] * STRANDS + np.arange(STRANDS)).reshape(-1)
        self._tries[strands] = NONE
        self._aloft = int(np.count_nonzero(self._tries != NONE))
        self._deadline[strands] = np.inf
        self._waiting[strands] = False
        for strand in self._rest.keys() & set(strands.tolist()) if self._rest else ():
            del self._rest[strand]

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


def _strands(fleet: Fleet) -> Ints:
    """Return what is kept of each strand before the first request; request-ids begin anywhere."""
    count = STRANDS * len(fleet.asked)
    strands, number = np.zeros((count, 7), np.int64), np.arange(count) % STRANDS
    serial = np.frombuffer(os.urandom(2 * count), np.uint16).astype(np.int64) % (SERIALS // 2)
    at_once = np.repeat(fleet.at_once, STRANDS)
    strands[:, ID] = (np.arange(count) + FIRST_STRAND) << STRAND_BITS | serial << TRY_BITS
    strands[:, TRIES], strands[:, NEXT], strands[:, STEP] = NONE, number, at_once
    strands[:, COUNT] = np.where(number < at_once, np.repeat(fleet.count, STRANDS), 0)
    strands[:, FIRST] = np.repeat(fleet.first, STRANDS)
    return strands


def reason_name(why: int) -> str:
    """Return what a reason is called where reasons are counted."""
    return {SILENT: "silent", CHANGED: "changed"}.get(why) or Refusal(why).name.lower()
