"""Polls many switches of one group at once, over the fast path; what cannot go there is left to each one's
own poller, which asks through pysnmp and learns on the way.

The control plane learns what a device holds; from then on its readings are planned requests, exchanged
with all the other devices' (``snmp.bulk``) and made into one table. A device is left to its own poller
when it was not learned yet, when its credentials are not those of version 2c, and when an answer was not
what the plan expects.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from correlator import frames
from correlator.pollers import columns, counter_layout
from correlator.pollers.attempt import gap_from
from correlator.pollers.columns import Array, Masked
from correlator.pollers.counter_layout import Layout, Part
from correlator.pollers.light import rows as light_rows
from correlator.pollers.light_layout import LightLayout, LightTable
from correlator.pollers.switches import Prepared, SwitchPoller
from correlator.ports import Batch, Poller, Tables
from correlator.snmp import bulk, wire
from correlator.snmp.bulk import Exchange, Outcome
from correlator.snmp.codec import Flags, Ints, Refusal
from correlator.snmp.control import Peer
from correlator.snmp.fleet import Asked, Fleet
from correlator.snmp.paces import recent
from correlator.snmp.plan import Plan
from correlator.snmp.target import Tally, Value

Measured = Literal["counters", "optics"]


MOST_PARTIES = 16  # sets of devices that are asked together: what is further back is put together anew


@dataclass(frozen=True, slots=True)
class _Device:
    """One device of a round: its poller, what is known of it, and the plan for it."""

    poller: SwitchPoller
    known: Prepared
    plan: Plan


class _Party:
    """Devices that are asked together, those of one plan behind each other, and what stays of that."""

    def __init__(self, devices: Sequence[_Device]) -> None:
        self.devices = sorted(devices, key=lambda one: (id(one.known.layout), id(one.plan)))
        self.fleet = Fleet([_asked(one) for one in self.devices], bulk.MOST_TRIES - 1)
        self.names = [one.poller.target_name for one in self.devices]
        self.layouts = [one.known.layout for one in self.devices]
        peers = sorted(self.devices, key=lambda one: (one.known.target.host, one.known.target.port))
        self._peers = [one.known.peer for one in peers]  # in one order, so that none waits in a ring
        self.paces = [one.known.peer.pace for one in self.devices]

    @cached_property
    def light(self) -> tuple[list[bool], Flags]:
        """Whose light comes of formulas alone, and which of all slots hold light."""
        simple = [isinstance(one, LightLayout) and one.simple for one in self.layouts]
        first = self.fleet.slots
        scalars = np.array([len(one.scalars) for one in self.layouts], np.int64)
        return simple, np.arange(first[-1]) - np.repeat(first[:-1] + scalars, np.diff(first)) >= 0

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


@dataclass
class Together:
    """Polls switches of one group at once. ``refused`` counts by reason what the last round did not use."""

    group: Measured
    params: bulk.Params = field(default_factory=bulk.Params)
    refused: Mapping[str, int] = field(default_factory=dict)
    _light: LightTable = field(default_factory=LightTable)
    _parties: dict[tuple[int, ...], _Party] = field(default_factory=dict)

    async def poll(
        self, pollers: Sequence[Poller], now: datetime, cursors: Mapping[str, Mapping[str, str]]
    ) -> dict[str, list[Batch]]:
        """Return what those of the pollers brought that could be asked together, by name.

        The tables of all come in the batch of the first; the others' hold their cursors. To each device
        one request is in flight, here and elsewhere: those that are being asked something else now are
        asked when the others are done.
        """
        ready: dict[int, tuple[SwitchPoller, Prepared]] = {}
        for poller in pollers:
            known = poller.prepared(now) if isinstance(poller, SwitchPoller) else None
            if known is not None:
                assert isinstance(poller, SwitchPoller)
                ready.setdefault(id(known.peer), (poller, known))
        busy = [one for one in ready.values() if one[1].peer.lock.locked()]
        free = [one for one in ready.values() if not one[1].peer.lock.locked()] if busy else [*ready.values()]
        heard: dict[str, list[Batch]] = {}
        self.refused = Counter()
        for some in (free, busy):
            if some:
                heard |= await self._go(self._party(some), now, cursors)
        return heard

    def _party(self, ready: Sequence[tuple[SwitchPoller, Prepared]]) -> _Party:
        """Return what was put together of the same devices before, where nothing of it has changed."""
        plans = [known.plan for _, known in ready]
        key = *(id(known) for _, known in ready), *map(id, plans)
        party = self._parties.pop(key, None)
        if party is None:
            party = _Party([_Device(*one, plan) for one, plan in zip(ready, plans, strict=True)])
        self._parties[key] = party  # the last seen stand last
        if len(self._parties) > MOST_PARTIES:
            del self._parties[next(iter(self._parties))]
        return party

    async def _go(
        self, party: _Party, now: datetime, cursors: Mapping[str, Mapping[str, str]]
    ) -> dict[str, list[Batch]]:
        async with party.held():
            started = time.time_ns()
            moment = asyncio.get_running_loop().time()
            exchange = Exchange(party.fleet, self.params, recent(party.paces, moment))
            try:
                outcome = await asyncio.to_thread(exchange.run)
            finally:
                exchange.stopped = True
        self.refused = Counter(self.refused) + outcome.refused
        return self._batches(party, outcome, started, now, cursors)

    def _batches(
        self,
        party: _Party,
        outcome: Outcome,
        started: int,
        now: datetime,
        cursors: Mapping[str, Mapping[str, str]],
    ) -> dict[str, list[Batch]]:
        heard: dict[str, list[Batch]] = {}
        read: list[int] = []
        why, requests, retries = outcome.why.tolist(), outcome.requests.tolist(), outcome.retries.tolist()
        for number, one in enumerate(party.devices):
            peer, poller = one.known.peer, one.poller
            peer.pace.went_elsewhere(outcome.sent, number)
            cursor = cursors[poller.name]
            if why[number] == 0:
                read.append(number)
                if peer.size.varbinds < peer.size.params.most:
                    _note_answers(one, requests[number])
                heard[poller.name] = [poller.read_elsewhere(now, cursor)]
            elif why[number] == bulk.SILENT and not outcome.heard[number]:
                heard[poller.name] = [poller.silent(now, cursor, requests[number], retries[number])]
            else:
                told_size = _note_size(one, why[number])
                poller.refused(Tally(requests[number], retries[number]), learn=not told_size)
        if read:
            tables = self._tables(party, read, outcome, started, now, cursors)
            first = heard[party.devices[read[0]].poller.name]
            first[0] = Batch(tables, first[0].source, first[0].sequence, first[0].cursor)
        return heard

    def _tables(
        self,
        party: _Party,
        read: list[int],
        outcome: Outcome,
        started: int,
        now: datetime,
        cursors: Mapping[str, Mapping[str, str]],
    ) -> Tables:
        """Return the tables of the devices that were read, the group's and their rows of polls."""
        at, which = pd.Timestamp(now), np.array(read)
        if self.group == "counters":
            table, sizes = _counters(party, read, outcome, at)
        else:
            table, sizes = self._optics(party, read, outcome, at)
        never = np.zeros(len(read), dtype=bool)
        pollers = [party.devices[number].poller for number in read]
        gaps = [gap_from(cursors[one.name], now, one.period_s) for one in pollers]
        polls = {
            "at": columns.times(at, len(read)),
            "target": columns.texts(pa.array([party.names[number] for number in read])),
            "kind": columns.texts(pa.repeat("switch", len(read))),
            "ok": pd.arrays.BooleanArray(~never, never),
            "duration_ms": np.maximum(outcome.times[which] - started, 0) / 1e6,
            "requests": Masked(outcome.requests[which], never),
            "retries": Masked(outcome.retries[which], never),
            "rows": Masked(np.array(sizes, np.int64), never),
            "gap_from": columns.moments(gaps),
        }
        tables = {"polls": columns.table("polls", polls, len(read))}
        return tables if table is None else {str(self.group): table, **tables}

    def _optics(
        self, party: _Party, read: list[int], outcome: Outcome, at: pd.Timestamp
    ) -> tuple[pd.DataFrame | None, list[int]]:
        """Return the rows of table optics and how many are each device's."""
        apart = [n for n in read if n in outcome.texts or not party.light[0][n]]
        one_by_one = {n: self._readings(party, n, outcome) for n in apart}
        rows = [{"at": at, "device": party.names[n]} | row for n, some in one_by_one.items() for row in some]
        sizes = {n: len(some) for n, some in one_by_one.items()}
        simple = [n for n in read if n not in sizes] if sizes else read
        tables = [frames.frame("optics", rows)] if rows else []
        if simple:
            names = [party.names[n] for n in simple]
            layouts: list[Any] = [party.layouts[n] for n in simple]
            table, counts = self._light.table(at, names, layouts, _light(party, simple, outcome))
            sizes |= dict(zip(simple, counts, strict=True))
            tables.insert(0, table)
        some = [table for table in tables if len(table)]
        return (pd.concat(some, ignore_index=True) if len(some) > 1 else some[0] if some else None), [
            sizes[number] for number in read
        ]

    def _readings(self, party: _Party, number: int, outcome: Outcome) -> list[dict[str, Any]]:
        """Return the rows of one device's light, made one by one."""
        layout = party.layouts[number]
        assert isinstance(layout, LightLayout)
        scalars = len(layout.scalars)
        values = outcome.values[outcome.slots[number] + scalars : outcome.slots[number + 1]]
        told: list[Value] = list(values.view(np.int64).tolist())
        for slot, octets in outcome.texts.get(number, ()):
            told[slot - scalars] = octets
        return light_rows(layout.readings(told))


def _asked(one: _Device) -> Asked:
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


def _note_size(one: _Device, why: int) -> bool:
    """Note for the next plan what a refusal says about the size of requests; return whether it does."""
    if why == Refusal.TOO_BIG:
        one.known.peer.size.too_big(one.plan.varbinds)
    elif why in (bulk.SILENT, Refusal.OVERSIZED, Refusal.SHORT):
        one.known.peer.size.silent(one.plan.varbinds)
    else:
        return False
    return True


def _note_answers(one: _Device, count: int) -> None:
    """Note that so many requests were answered: a size that had been cut may grow again."""
    for _ in range(count):
        one.known.peer.size.answered(one.plan.varbinds)


def _light(party: _Party, some: Sequence[int], outcome: Outcome) -> Ints:
    """Return the light of some devices, one behind the other."""
    slots = party.light[1]
    if len(some) < len(party.devices):
        mine = np.zeros(len(party.devices), dtype=bool)
        mine[some] = True
        slots = slots & np.repeat(mine, np.diff(outcome.slots))
    return outcome.values[slots].view(np.int64)


def _each(values: Array, first: Ints, some: Sequence[int], size: int) -> Array:
    """Return the values of some devices, a device a row; without a copy where they lie together."""
    if some[-1] - some[0] + 1 == len(some):
        return values[first[some[0]] : first[some[-1] + 1]].reshape(len(some), size)
    apart: Array = values[first[list(some)][:, None] + np.arange(size)]
    return apart


def _counters(
    party: _Party, read: list[int], outcome: Outcome, at: pd.Timestamp
) -> tuple[pd.DataFrame | None, list[int]]:
    """Return the rows of table counters and how many are each device's."""
    parts: list[Part] = []
    groups: dict[int, list[int]] = {}
    for number in read:
        groups.setdefault(id(party.layouts[number]), []).append(number)
    for some in groups.values():
        layout, plan = party.layouts[some[0]], party.devices[some[0]].plan
        assert isinstance(layout, Layout)
        values = _each(outcome.values, outcome.slots, some, plan.slots)
        uptimes = _each(outcome.uptimes, outcome.rows, some, plan.rows)
        parts.append(Part(layout, [party.names[number] for number in some], values, uptimes))
    sizes: list[int] = np.diff(outcome.rows)[read].tolist()
    return (counter_layout.table(at, parts) if parts else None), sizes
