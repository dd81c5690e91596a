"""Switches that are asked together, and what stays of that from one round to the next."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from correlator.pollers import columns
from correlator.pollers.columns import Staying
from correlator.pollers.counter_layout import CounterTable, Layout, Part
from correlator.pollers.light_layout import LightLayout, LightTable
from correlator.pollers.switches import Prepared, SwitchPoller
from correlator.snmp import bulk, wire
from correlator.snmp.bulk import Outcome
from correlator.snmp.control import Peer
from correlator.snmp.fleet import Asked, Fleet
from correlator.snmp.kinds import Flags, Ints
from correlator.snmp.plan import Plan

Place = slice | Ints
MOST_CHOICES = 2  # of a party's devices, of which something is kept


@dataclass(frozen=True, slots=True)
class Device:
    """One device of a round: its poller, what is known of it, and the plan for it."""

    poller: SwitchPoller
    known: Prepared
    plan: Plan


class Party:
    """Devices that are asked together, those of one make and one plan behind each other, and what stays."""

    def __init__(self, devices: Sequence[Device]) -> None:
        self.devices = sorted(devices, key=_kin)
        self.fleet = Fleet([_asked(one) for one in self.devices], bulk.MOST_TRIES - 1)
        self.names = [one.poller.target_name for one in self.devices]
        self.layouts = [one.known.layout for one in self.devices]
        peers = sorted(self.devices, key=lambda one: (one.known.target.host, one.known.target.port))
        self._peers = [one.known.peer for one in peers]  # in one order, so that none waits in a ring
        self.paces = [one.known.peer.pace for one in self.devices]
        self._choices: dict[tuple[int, ...], Choice] = {}

    @cached_property
    def simple(self) -> list[bool]:
        """Whose light comes of formulas alone."""
        return [isinstance(one, LightLayout) and one.simple for one in self.layouts]

    def choice(self, numbers: Sequence[int]) -> Choice:
        """Return some of the devices, in order: the same while they are the same."""
        key = tuple(numbers)
        found = self._choices.pop(key, None) or Choice(self, key)
        self._choices[key] = found  # the last seen stand last
        if len(self._choices) > MOST_CHOICES:
            del self._choices[next(iter(self._choices))]
        return found

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Ask the devices while nobody else does."""
        held: list[Peer] = []
        try:
            for peer in self._peers:
                await peer.lock.acquire()
                held.append(peer)
            yield
        finally:
            for peer in held:
                peer.lock.release()


class Choice:
    """Some devices of a party, and what stays of the tables that are made of them."""

    def __init__(self, party: Party, numbers: Sequence[int]) -> None:
        self.which = np.array(numbers)
        self._names = [party.names[number] for number in numbers]
        self._layouts: list[Any] = [party.layouts[number] for number in numbers]
        self._slots, self._rows = party.fleet.slots, party.fleet.rows

    @cached_property
    def polls(self) -> Staying:
        """Make rows of polls, one a device, all of which went well."""
        count = len(self._names)
        same = {
            "target": columns.texts(pa.array(self._names)),
            "kind": columns.texts(pa.repeat("switch", count)),
            "ok": pd.array(np.ones(count, dtype=bool), "boolean"),
        }
        moving = ("at", "duration_ms", "requests", "retries", "rows")
        return Staying("polls", count, same, moving)

    def counters(self, at: pd.Timestamp, outcome: Outcome) -> tuple[pd.DataFrame, Ints]:
        """Return the rows of table counters and how many are each device's."""
        parts = [
            Part(
                outcome.values[slots].reshape(-1, known.slots),
                outcome.uptimes[rows].reshape(-1, len(known.interfaces)),
            )
            for (known, _), (slots, rows) in zip(self._alike, self._places, strict=True)
        ]
        return self._counters.table(at, parts), np.diff(outcome.rows)[self.which]

    def light(self, at: pd.Timestamp, outcome: Outcome) -> tuple[pd.DataFrame, Ints]:
        """Return the rows of table optics and how many are each device's; all layouts are simple ones."""
        return self._light.table(at, outcome.values[self._lit].view(np.int64))

    @cached_property
    def _alike(self) -> list[tuple[Layout, Ints]]:
        """Each layout of counters, and whose it is."""
        first = [n for n, one in enumerate(self._layouts) if not n or one is not self._layouts[n - 1]]
        return [
            (self._layouts[n], some) for n, some in zip(first, np.split(self.which, first[1:]), strict=True)
        ]

    @cached_property
    def _places(self) -> list[tuple[Place, Place]]:
        """Where the slots of each layout's devices are, and where their rows."""
        return [(_place(self._slots, some), _place(self._rows, some)) for _, some in self._alike]

    @cached_property
    def _counters(self) -> CounterTable:
        ends = np.cumsum([len(some) for _, some in self._alike])
        return CounterTable(
            [
                (known, self._names[end - len(some) : end])
                for (known, some), end in zip(self._alike, ends, strict=True)
            ]
        )

    @cached_property
    def _light(self) -> LightTable:
        return LightTable(self._names, self._layouts)

    @cached_property
    def _lit(self) -> Flags:
        """Which of the slots of all of the party hold light of these devices."""
        lit = np.zeros(self._slots[-1], dtype=bool)
        for number, layout in zip(self.which, self._layouts, strict=True):
            lit[self._slots[number] + len(layout.scalars) : self._slots[number + 1]] = True
        return lit


def _kin(one: Device) -> tuple[int, ...]:
    """Return what is the same for devices that are asked, or read, the same."""
    layout = one.known.layout
    return hash(layout.make) if isinstance(layout, Layout) else 0, id(layout), id(one.plan)


def _asked(one: Device) -> Asked:
    target, known = one.known.target, one.known
    return Asked(
        one.plan,
        wire.address(*known.found),
        target.timeout_s,
        target.retries,
        target.requests_per_second,
        known.peer.size.at_once,
        *known.known[1:],
        memory=known.memory,
    )


def _place(first: Ints, some: Ints) -> Place:
    """Return where what belongs to some devices is; a slice, which copies nothing, where it lies together."""
    ends = first[some + 1]
    if some[-1] - some[0] + 1 == len(some):
        return slice(int(first[some[0]]), int(ends[-1]))
    return np.concatenate([np.arange(*both) for both in zip(first[some], ends, strict=True)])
