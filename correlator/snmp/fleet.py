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
from correlator.snmp.codec import Bytes, Flags, Heads, Ints, Words
from correlator.snmp.plan import Plan, joined
from correlator.snmp.shapes import Memory, Shapes
from correlator.snmp.wire import Address

UPTIME_WRAPS = 2**32
NOBODY = np.uint64(2**64 - 1)
MIX = np.array([1, 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64)  # odd, so that no bit is lost


@dataclass(frozen=True, slots=True)
class Asked:
    """One device: where it is, what it is asked, how patiently, and what its plan was made on.

    ``uptime_cs`` and ``unchanging`` (what the scalars behind sysUpTime said) hold while the inventory does;
    ``sent`` are the times of the last requests to it, seconds of the monotonic clock. ``memory`` is what
    its answers looked like.
    """

    plan: Plan
    address: Address
    timeout_s: float = 2.0
    retries: int = 2
    per_second: int = 50
    uptime_cs: int | None = None
    unchanging: tuple[int, ...] = ()
    sent: Sequence[float] = ()
    memory: Memory = field(default_factory=Memory)


class Fleet:
    """The devices, in the order in which they were given; ``tries`` bounds how often each may be asked again.

    ``slots`` and ``rows`` say where each one's values and rows begin, ``kind0`` which of ``kinds`` is its
    first request.
    """

    def __init__(self, asked: Sequence[Asked], tries: int) -> None:
        count = len(asked)
        self.asked = asked
        self.count = np.array([one.plan.count for one in asked], np.int64)
        self.timeout = np.array([one.timeout_s for one in asked], np.float64)
        self.tries = np.array([min(one.retries, tries) for one in asked], np.int64)
        self.per_second = np.array([one.per_second for one in asked], np.int64)
        self.address = np.frombuffer(b"".join(one.address[1] for one in asked), np.uint8).reshape(count, -1)
        self.family = np.array([one.address[0] for one in asked], np.uint64)
        self.sender = wire.sender(self.family, self.address)
        self.communities = _Communities([one.plan.community for one in asked])
        self.scalars = _Scalars(asked)
        self.slots = np.cumsum([0, *(one.plan.slots for one in asked)])
        self.rows = np.cumsum([0, *(one.plan.rows for one in asked)])
        self._plans = list({id(one.plan): one.plan for one in asked}.values())
        self._directories: dict[int, Directory] = {}
        self.join()
        self.shapes = Shapes([one.plan for one in asked], [one.memory for one in asked])

    def join(self) -> None:
        """Put the plans' requests together, anew where one has more of them now."""
        self.kinds, first = joined(self._plans)
        self.kind0 = np.array([first[id(one.plan)] for one in self.asked], np.int64)
        self._known = {id(plan): len(plan.kinds.length) for plan in self._plans}

    def rest(self, device: int, number: int, rows: int) -> int:
        """Return the number of a device's request for what is missing behind so many rows of an answer."""
        plan = self.asked[device].plan
        rest = plan.rest(number, rows)
        if rest >= self._known[id(plan)]:
            self.join()
        return rest

    def directory(self, family: int) -> Directory:
        """Return who is where, of one address family."""
        if family not in self._directories:
            devices = np.flatnonzero(self.family == family)
            self._directories[family] = Directory(family, self.sender, devices)
        return self._directories[family]


class Directory:
    """Which device has an address of one family; those that share theirs with others are not in it."""

    def __init__(self, family: int, senders: Words, devices: Ints) -> None:
        self._family = family
        self._senders = senders
        keys, first, many = np.unique(self._mixed(senders[devices]), return_index=True, return_counts=True)
        alone = many == 1
        self._keys = np.append(keys[alone], NOBODY)  # no address: each has a place where it would stand
        self._device = np.append(devices[first[alone]], 0)

    def find(self, addresses: Bytes) -> tuple[Ints, Flags]:
        """Return the device that each address is, and for which of them that is so."""
        if self._family == socket.AF_INET:
            told = keys = addresses.view("<u8")[:, 0]  # family, port and address are one word
        else:
            told = wire.sender(np.full(len(addresses), self._family, np.uint64), addresses)
            keys = self._mixed(told)
        place = self._keys[:-1].searchsorted(keys)
        device = self._device.take(place)
        known: Flags = self._keys.take(place) == keys
        if self._family != socket.AF_INET:
            known &= (self._senders[device] == told).all(axis=1)
        return device, known

    def _mixed(self, senders: Words) -> Words:
        """Return one word for each sender, seldom the same for two; with IPv4 never."""
        if self._family == socket.AF_INET:
            return senders[:, 0]
        mixed: Words = (senders * MIX).sum(axis=1, dtype=np.uint64)
        return mixed


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
        uptime = np.where(self._slots[device] >= 0, told[:, 0].astype(np.int64), -1)
        before = self._before[device]
        changed = (before >= 0) & (uptime >= 0) & ((uptime - before) % UPTIME_WRAPS >= UPTIME_WRAPS // 2)
        for place in range(min(self._slot.shape[1], told.shape[1] - 1)):
            differs = told[:, place + 1] != self._value[device, place]
            changed |= (place < self._more[device]) & differs
        return uptime, changed
