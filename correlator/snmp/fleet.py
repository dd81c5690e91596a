"""Devices that are asked together, as arrays: all that stays from one reading to the next.

Who they are and how patiently they are asked, what their plans were made on, and what their answers looked
like. It is put together once for the same devices; ``bulk.Exchange`` goes over it each time.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from correlator.snmp import codec, wire
from correlator.snmp.codec import Heads
from correlator.snmp.kinds import Bytes, Flags, Ints, Words
from correlator.snmp.plan import Plan, joined
from correlator.snmp.shapes import Memory, Shapes
from correlator.snmp.wire import Address

UPTIME_WRAPS = 2**32


@dataclass(frozen=True, slots=True)
class Asked:
    """One device: where it is, what it is asked, how patiently, and what its plan was made on.

    ``at_once``: requests that may be in flight to it, one or two. ``uptime_cs`` and ``unchanging`` (what the
    scalars behind sysUpTime said) hold while the inventory does; ``sent`` are the times of the last requests
    to it, seconds of the monotonic clock. ``memory`` is what its answers looked like.
    """

    plan: Plan
    address: Address
    timeout_s: float = 2.0
    retries: int = 2
    per_second: int = 50
    at_once: int = 1
    uptime_cs: int | None = None
    unchanging: tuple[int, ...] = ()
    sent: Sequence[float] = ()
    memory: Memory = field(default_factory=Memory)


class Fleet:
    """The devices, in the order in which they were given; ``tries`` bounds how often each may be asked again.

    ``slots`` and ``rows`` say where each one's values and rows begin, ``unfilled`` which slots no answer
    fills, ``kinds`` what is asked of any, ``first`` where each one's requests begin in ``joined.kind``.
    """

    def __init__(self, asked: Sequence[Asked], tries: int) -> None:
        count = len(asked)
        self.asked = asked
        self.count = np.array([one.plan.count for one in asked], np.int64)
        self.timeout = np.array([one.timeout_s for one in asked], np.float64)
        self.tries = np.array([min(one.retries, tries) for one in asked], np.int64)
        self.per_second = np.array([one.per_second for one in asked], np.int64)
        self.at_once = np.array([one.at_once for one in asked], np.int64)
        self.address = np.frombuffer(b"".join(one.address[1] for one in asked), np.uint8).reshape(count, -1)
        self.family = np.array([one.address[0] for one in asked], np.uint64)
        self.families = [socket.AddressFamily(one) for one in np.unique(self.family).tolist()]
        self.sender = wire.sender(self.family, self.address)
        self.communities = _Communities([one.plan.community for one in asked])
        self.scalars = _Scalars(asked)
        self.slots = np.cumsum([0, *(one.plan.slots for one in asked)])
        self.rows = np.cumsum([0, *(one.plan.rows for one in asked)])
        holes = [one.plan.unfilled + first for one, first in zip(asked, self.slots.tolist(), strict=False)]
        self.unfilled = np.concatenate([np.zeros(0, np.int64), *holes])
        self._plans = list({id(one.plan): one.plan for one in asked}.values())
        self.join()
        plans, memories = [one.plan for one in asked], [one.memory for one in asked]
        self.shapes = Shapes(plans, memories, self.joined.patterns)

    def join(self) -> None:
        """Put the plans' requests together, anew where one has more of them now."""
        self.joined = told = joined(self._plans)
        self.kinds = told.kinds
        self.first = np.array([told.first[id(one.plan)] for one in self.asked], np.int64)
        self._known = {id(plan): len(plan.patterns) for plan in self._plans}

    def kind(self, device: Ints, number: Ints) -> Ints:
        """Return which of ``kinds`` requests of devices are, by their numbers there."""
        kinds: Ints = self.joined.kind.take(self.first.take(device) + number)
        return kinds

    def rest(self, device: int, number: int, rows: int) -> int:
        """Return the number of a device's request for what is missing behind so many rows of an answer."""
        plan = self.asked[device].plan
        rest = plan.rest(number, rows)
        if rest >= self._known[id(plan)]:
            self.join()
        return rest

    def sent(self, family: int, addresses: Bytes, device: Ints) -> Flags:
        """Return which datagrams, that came from addresses, the devices sent; those that there are."""
        if family == socket.AF_INET:  # family, port and address are one word
            same: Flags = addresses.view("<u8")[:, 0] == self.sender[:, 0].take(device, mode="clip")
            return same
        told = wire.sender(np.full(len(addresses), family, np.uint64), addresses)
        return np.asarray((told == self.sender.take(device, axis=0, mode="clip")).all(axis=1))


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
    """sysUpTime and its companions: where they are stored and what they must be; ``most`` of a device."""

    def __init__(self, asked: Sequence[Asked]) -> None:
        self._slots = np.array(
            [one.plan.scalars[0].slot if one.plan.scalars else -1 for one in asked], np.int64
        )
        self._before = np.array([-1 if one.uptime_cs is None else one.uptime_cs for one in asked], np.int64)
        self._more = np.array([len(one.unchanging) for one in asked], np.int64)
        most = int(self._more.max(initial=0))
        self.most = most + 1
        self._slot = np.zeros((len(asked), most), np.int64)
        self._value = np.zeros((len(asked), most), np.uint64)
        for number, one in enumerate(asked):
            for place, value in enumerate(one.unchanging):
                self._slot[number, place] = one.plan.scalars[place + 1].slot
                self._value[number, place] = value % 2**64

    def told(self, values: Words, base: Ints, device: Ints) -> Words:
        """Return the scalars that were stored last of each device."""
        slots = np.column_stack((np.maximum(self._slots[device], 0), self._slot[device]))
        return values[slots + base[:, None]]

    def look(self, told: Words, device: Ints) -> tuple[Ints, Flags]:
        """Return sysUpTime (-1: untold) from the first values of answers, and which devices have changed."""
        uptime = told[:, 0].astype(np.int64)
        uptime[self._slots.take(device) < 0] = -1
        before = self._before.take(device)
        changed = (uptime - before) & (UPTIME_WRAPS - 1) >= UPTIME_WRAPS // 2
        changed &= (before >= 0) & (uptime >= 0)
        for place in range(min(self._slot.shape[1], told.shape[1] - 1)):
            differs = told[:, place + 1] != self._value[device, place]
            changed |= (place < self._more[device]) & differs
        return uptime, changed
