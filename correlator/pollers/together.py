"""Polls many switches of one group at once, over the fast path; what cannot go there is left to each one's
own poller, which asks through pysnmp and learns on the way.

The control plane learns what a device holds; from then on its readings are planned requests, exchanged
with all the other devices' (``snmp.bulk``) and made into one table. A device is left to its own poller
when it was not learned yet, when its credentials are not those of version 2c, and when an answer was not
what the plan expects.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pandas as pd

from correlator import frames
from correlator.pollers import columns
from correlator.pollers.attempt import gap_from, good
from correlator.pollers.columns import Masked
from correlator.pollers.light import rows as light_rows
from correlator.pollers.light_layout import LightLayout
from correlator.pollers.party import Device, Party
from correlator.pollers.switches import Prepared, SwitchPoller, sequence
from correlator.ports import Batch, Poller, Tables
from correlator.snmp import bulk
from correlator.snmp.bulk import Exchange, Outcome
from correlator.snmp.codec import Refusal
from correlator.snmp.control import Peer
from correlator.snmp.kinds import Ints
from correlator.snmp.paces import recent
from correlator.snmp.plan import Plan
from correlator.snmp.target import Tally, Value

Measured = Literal["counters", "optics"]


MOST_PARTIES = 16  # sets of devices that are asked together: what is further back is put together anew


@dataclass
class Together:
    """Polls switches of one group at once. ``refused`` counts by reason what the last round did not use."""

    group: Measured
    params: bulk.Params = field(default_factory=bulk.Params)
    refused: Mapping[str, int] = field(default_factory=dict)
    _parties: dict[tuple[Prepared | Plan, ...], Party] = field(default_factory=dict)

    async def poll(
        self, pollers: Sequence[Poller], now: datetime, cursors: Mapping[str, Mapping[str, str]]
    ) -> dict[str, list[Batch]]:
        """Return what those of the pollers brought that could be asked together, by name.

        The tables of all come in the batch of the first; the others' hold their cursors. No device is asked
        here and elsewhere at a time: those that are being asked something else now are asked when the
        others are done.
        """
        ready: dict[Peer, tuple[SwitchPoller, Prepared]] = {}
        for poller in pollers:
            if isinstance(poller, SwitchPoller) and (known := poller.prepared(now)) is not None:
                ready.setdefault(known.peer, (poller, known))
        busy = [one for peer, one in ready.items() if peer.lock.locked()]
        free = [one for peer, one in ready.items() if not peer.lock.locked()] if busy else [*ready.values()]
        heard: dict[str, list[Batch]] = {}
        self.refused = Counter()
        for some in (free, busy):
            if some:
                heard |= await self._go(self._party(some), now, cursors)
        return heard

    def _party(self, ready: Sequence[tuple[SwitchPoller, Prepared]]) -> Party:
        """Return what was put together of the same devices before, where nothing of it has changed."""
        plans = [known.plan for _, known in ready]
        key: tuple[Prepared | Plan, ...] = (*(known for _, known in ready), *plans)
        party = self._parties.pop(key, None)
        if party is None:
            party = Party([Device(*one, plan) for one, plan in zip(ready, plans, strict=True)])
        self._parties[key] = party  # the last seen stand last
        if len(self._parties) > MOST_PARTIES:
            del self._parties[next(iter(self._parties))]
        return party

    async def _go(
        self, party: Party, now: datetime, cursors: Mapping[str, Mapping[str, str]]
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
        party: Party,
        outcome: Outcome,
        started: int,
        now: datetime,
        cursors: Mapping[str, Mapping[str, str]],
    ) -> dict[str, list[Batch]]:
        heard: dict[str, list[Batch]] = {}
        read: list[int] = []
        gaps: list[datetime | None] = []
        before: Mapping[str, str] | None = None
        remembered: Mapping[str, str] = {}
        period_s, gap = None, None
        why, requests, retries = outcome.why.tolist(), outcome.requests.tolist(), outcome.retries.tolist()
        for number, one in enumerate(party.devices):
            peer, poller = one.known.peer, one.poller
            peer.pace.went_elsewhere(outcome.sent, number)
            cursor = cursors[poller.name]
            if why[number] == 0:
                # most were last read in one round: what is remembered is the same
                if cursor is not before or period_s != poller.period_s:
                    if cursor != before:
                        remembered = good(cursor, now)
                    before, period_s = cursor, poller.period_s
                    gap = gap_from(cursor, now, period_s)
                read.append(number)
                gaps.append(gap)
                if peer.size.varbinds < peer.size.params.most:
                    _note_answers(one, requests[number])
                heard[poller.name] = [poller.read_elsewhere(sequence(now), remembered)]
            elif why[number] == bulk.SILENT and not outcome.heard[number]:
                heard[poller.name] = [poller.silent(now, cursor, requests[number], retries[number])]
            else:
                told_size = _note_size(one, why[number])
                poller.refused(Tally(requests[number], retries[number]), learn=not told_size)
        if read:
            tables = self._tables(party, read, gaps, outcome, started, now)
            first = heard[party.devices[read[0]].poller.name]
            first[0] = Batch(tables, first[0].source, first[0].sequence, first[0].cursor)
        return heard

    def _tables(
        self,
        party: Party,
        read: list[int],
        gaps: list[datetime | None],
        outcome: Outcome,
        started: int,
        now: datetime,
    ) -> Tables:
        """Return the tables of the devices that were read, the group's and their rows of polls.

        ``gaps`` is where a gap began that this round ends, of each device.
        """
        at, some = pd.Timestamp(now), party.choice(read)
        table: pd.DataFrame | None
        if self.group == "counters":
            table, sizes = some.counters(at, outcome)
        else:
            table, sizes = self._optics(party, read, outcome, at)
        never = np.zeros((3, len(read)), dtype=bool)
        polls = {
            "at": columns.times(at, len(read)),
            "duration_ms": np.maximum(outcome.times[some.which] - started, 0) / 1e6,
            "requests": Masked(outcome.requests[some.which], never[0]),
            "retries": Masked(outcome.retries[some.which], never[1]),
            "rows": Masked(sizes, never[2]),
        }
        if any(gaps):
            polls["gap_from"] = columns.moments(gaps)
        tables = {"polls": some.polls.table(polls)}
        return tables if table is None else {str(self.group): table, **tables}

    def _optics(
        self, party: Party, read: list[int], outcome: Outcome, at: pd.Timestamp
    ) -> tuple[pd.DataFrame | None, Ints]:
        """Return the rows of table optics and how many are each device's."""
        apart = [n for n in read if n in outcome.texts or not party.simple[n]]
        one_by_one = {n: self._readings(party, n, outcome) for n in apart}
        rows = [{"at": at, "device": party.names[n]} | row for n, some in one_by_one.items() for row in some]
        sizes = np.zeros(len(party.devices), np.int64)
        sizes[apart] = [len(some) for some in one_by_one.values()]
        simple = [n for n in read if n not in one_by_one] if apart else read
        tables = [frames.frame("optics", rows)] if rows else []
        if simple:
            table, sizes[simple] = party.choice(simple).light(at, outcome)
            tables.insert(0, table)
        told = [table for table in tables if len(table)]
        whole = pd.concat(told, ignore_index=True) if len(told) > 1 else told[0] if told else None
        return whole, sizes[read]

    def _readings(self, party: Party, number: int, outcome: Outcome) -> list[dict[str, Any]]:
        """Return the rows of one device's light, made one by one."""
        layout = party.layouts[number]
        assert isinstance(layout, LightLayout)
        scalars = len(layout.scalars)
        values = outcome.values[outcome.slots[number] + scalars : outcome.slots[number + 1]]
        told: list[Value] = list(values.view(np.int64).tolist())
        for slot, octets in outcome.texts.get(number, ()):
            told[slot - scalars] = octets
        return light_rows(layout.readings(told))


def _note_size(one: Device, why: int) -> bool:
    """Note for the next plan what a refusal says about the size of requests; return whether it does."""
    if why == Refusal.TOO_BIG:
        one.known.peer.size.too_big(one.plan.varbinds)
    elif why in (bulk.SILENT, Refusal.OVERSIZED, Refusal.SHORT):
        one.known.peer.size.silent(one.plan.varbinds)
    else:
        return False
    return True


def _note_answers(one: Device, count: int) -> None:
    """Note that so many requests were answered: a size that had been cut may grow again."""
    for _ in range(count):
        one.known.peer.size.answered(one.plan.varbinds)
