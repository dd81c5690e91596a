"""The chain, a step a method: poll, keep, conclude, alert, sum up. ``service.py`` says when; this says how.

Times come in as arguments, parts come in ready-made, so that the service, the demo, ``once`` and the
tests run the very same steps. Steps that wait for the network are coroutines; all others block, and
belong in a thread where an event loop must go on.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zlib import crc32

import pandas as pd

from correlator import frames
from correlator.alerts.outbox import Delivery, Terms
from correlator.engine import pairs
from correlator.engine.cycle import Cycle, Drawn, Memory, remember, run_cycle
from correlator.engine.cycle import Params as EngineParams
from correlator.engine.rollup import roll_up
from correlator.figures import Figures, Line
from correlator.model import Incident, IncidentEvent, Verdict
from correlator.pollers.ends import STORING, noted
from correlator.ports import Batch, Poller, Sink, SinkError, State, Store, StoreError, Tables, Together

log = logging.getLogger(__name__)

SWITCH_GROUPS = ("topology", "counters", "optics")
HOSTS = "hosts"
RECENT = ("polls", "counters", "optics", "pair_samples", "traces")
CURRENT = (
    "devices",
    "interfaces",
    "neighbors",
    "stations",
    "arp",
    "routes",
    "hosts",
    "containers",
    "cables",
    "annotations",
)
HOURLY = ("link_hours", "optics_hours", "pair_hours")
NOTE = "hosts storing"
"""The name under which the state notes how far each host's rows go that are being stored."""
COLUMNS = {"pair_samples": pairs.COLUMNS}
"""The columns that a cycle looks at, where these are not all: lists of buckets are heavy."""
COPY = "store"
"""The name under which the state queues incident events for the store's own copy."""

INSTANT = timedelta(microseconds=1)
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Params:
    """Settings of the chain."""

    window: timedelta = timedelta(minutes=30)
    """How far back a cycle looks at raw rows: 30 polls of a minute's period, 6 of light's five."""
    past: timedelta = timedelta(days=28)
    """How far back hourly rows count as usual: four of each hour of the week."""
    patience: timedelta = timedelta(seconds=4)
    """How long a group's answers are waited for before those that have come are stored without the others."""
    at_once: int = 64
    """Targets asked at a time: bounds sockets, and what answers may weigh in memory."""
    late: timedelta = timedelta(minutes=10)
    """How long after its end an hour is summed up: agents may be away for a while."""
    hours_at_once: int = 168
    """Hours that one call of ``sum_up`` catches up at most: a week, as raw rows are kept."""
    events_at_once: int = 1000
    """Events handed to a sink, or to the store's copy, at most each time that ``deliver`` is called."""
    engine: EngineParams = field(default_factory=EngineParams)
    """The engine's own settings."""
    cables: pd.DataFrame = field(default_factory=lambda: frames.empty("cables"))
    """The configured cables; they come before any that are stored."""
    paths: pd.DataFrame = field(default_factory=lambda: frames.empty("traces"))
    """The configured paths, as traces; they stand beside those that were followed."""
    maintenance: Callable[[datetime], pd.DataFrame] = lambda _: frames.empty("annotations")
    """The configured maintenance windows at a time, as annotations; beside those that are stored."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of polling came to."""

    targets: int
    failed: int
    rows: int


class Readable(Protocol):
    """What a cycle needs of a store."""

    def read(
        self, name: str, since: datetime, until: datetime, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Return rows as ``ports.Store`` does."""

    def newest(self, name: str, until: datetime) -> pd.DataFrame:
        """Return rows as ``ports.Store`` does."""


def read_tables(store: Readable, now: datetime, params: Params) -> dict[str, pd.DataFrame]:
    """Return what a cycle at ``now`` looks at: recent raw rows, the newest inventory, the hours past.

    Rows stamped ``now`` are included. Raises StoreError.
    """
    return read_window(store, now, params) | read_hours(store, now, params)


def read_hours(store: Readable, now: datetime, params: Params) -> dict[str, pd.DataFrame]:
    """Return the hours past, as of ``now``. Raises StoreError."""
    return {name: store.read(name, now - params.past, now + INSTANT) for name in HOURLY}


def read_window(store: Readable, now: datetime, params: Params) -> dict[str, pd.DataFrame]:
    """Return recent raw rows and the newest inventory, rows stamped ``now`` included. Raises StoreError."""
    until = now + INSTANT
    tables = {name: store.read(name, now - params.window, until, COLUMNS.get(name)) for name in RECENT}
    tables |= {name: store.newest(name, until) for name in CURRENT}
    if len(params.cables):
        tables["cables"] = params.cables
    if len(params.paths):
        tables["traces"] = pd.concat([params.paths, tables["traces"]], ignore_index=True)
    configured = params.maintenance(now)
    if len(configured):
        tables["annotations"] = pd.concat([tables["annotations"], configured], ignore_index=True)
    return tables


class Pipeline:
    """The parts of the chain, wired together."""

    def __init__(
        self,
        store: Store,
        state: State,
        *,
        pollers: Mapping[str, Sequence[Poller]] | None = None,
        together: Mapping[str, Together] | None = None,
        sinks: Sequence[Sink] = (),
        terms: Mapping[str, Terms] | None = None,
        params: Params | None = None,
        figures: Figures | None = None,
    ) -> None:
        self.store = store
        self.state = state
        self.pollers = pollers or {}
        self.together = together or {}
        self.params = params or Params()
        self.sinks = sinks
        usual = Terms(at_once=self.params.events_at_once)
        self.deliveries = [Delivery(state, sink, (terms or {}).get(sink.name, usual)) for sink in sinks]
        self.figures = figures or Figures()
        self._inventory: dict[str, pd.DataFrame] = {}
        self._memory: tuple[object, Memory] | None = None
        self._drawn: Drawn | None = None
        self._hours_stored = 0

    async def poll(self, group: str, now: datetime, part: int = 0, parts: int = 1) -> Round:
        """Ask every target of a group and keep what they say; return what it came to.

        Of several ``parts``, counted from 0, only one is asked: a target's name says which it is in.
        A target that fails costs its own rows, and one that is slow or silent holds up no others': what
        has come within ``patience`` is kept then. Where the store cannot write, cursors stay where they
        were: agents are asked for the same rows again, and a switch's gap is said by its next row.
        """
        pollers = [one for one in self.pollers.get(group, ()) if crc32(one.name.encode()) % parts == part]
        try:
            cursors = await asyncio.to_thread(self._cursors, group, pollers)
        except StoreError as error:
            self.store_failed(error)
            return Round(len(pollers), len(pollers), 0)
        quick = await self._ask_together(group, pollers, cursors, now)
        heard: dict[str, list[Batch]] = {}
        async for some in self._ask([one for one in pollers if one.name not in quick], cursors, now):
            kept = some if heard else quick | some
            await asyncio.to_thread(self.keep, group, kept, now)
            heard |= kept
        done = _round(len(pollers), heard)
        self.figures.polled(group, done.targets, done.failed)
        log.info("%s", Line("poll", group=group, targets=done.targets, failed=done.failed, rows=done.rows))
        return done

    def keep(self, group: str, heard: Mapping[str, Sequence[Batch]], now: datetime) -> None:
        """Store what pollers brought, then move their cursors; where the store cannot write, neither."""
        try:
            self._keep(group, heard, now)
        except StoreError as error:
            self.store_failed(error)
        except frames.FrameError as error:
            if len(heard) == 1:
                self._bug(f"keep {next(iter(heard))}", error)
            else:  # one poller's table is not of its schema: the others' are kept
                for name, answer in heard.items():
                    self.keep(group, {name: answer}, now)

    def conclude(self, now: datetime) -> tuple[Cycle, Tables]:
        """Run one cycle on what the store holds and keep its conclusions; return it and its tables.

        The hourly tables are not among these: what they say is remembered from the hour's first cycle.
        Incidents and events are kept in one transaction, before anything else is told of them.
        Raises StoreError; then the next cycle concludes anew from what was kept.
        """
        tables = read_window(self.store, now, self.params)
        past = self._remembered(tables, now)
        cycle = run_cycle(tables, self.state.incidents(), now, self.params.engine, past, self._drawn)
        self._drawn = cycle.drawn
        self.state.commit(cycle.incidents, cycle.events)
        for event in cycle.events:
            log.warning("%s", _incident_line(event))
        sequence = _sequence(now)
        for name, verdicts in (("verdicts", cycle.verdicts), ("findings", cycle.findings)):
            self._append(name, document_rows(name, verdicts, now), "cycle", sequence)
        self.figures.concluded(len(cycle.verdicts), len(cycle.findings))
        log.info("%s", Line("cycle", verdicts=len(cycle.verdicts), findings=len(cycle.findings)))
        return cycle, tables

    def deliver(self, now: datetime) -> int:
        """Hand waiting events to every sink and to the store's copy; return how many lines went.

        A sink that cannot be reached keeps its queue; the others do not wait for it.
        """
        sent = sum(self.hand_over(delivery, now) for delivery in self.deliveries)
        self.copy_events()
        return sent

    def hand_over(self, delivery: Delivery, now: datetime) -> int:
        """Hand waiting events to one sink; return how many lines went, 0 where it cannot be reached."""
        try:
            sent = delivery.hand_over(now)
        except SinkError as error:
            if self.figures.sink_failed(delivery.name):
                log.warning("%s", Line("alert", sink=delivery.name, error=str(error)))
            return 0
        except StoreError as error:
            self.store_failed(error)
            return 0
        self.figures.sink_took(delivery.name, sent)
        return sent

    def copy_events(self) -> None:
        """Copy incident events into the store; where it cannot write, they wait."""
        try:
            self._copy_events()
        except StoreError as error:
            self.store_failed(error)

    def sum_up(self, now: datetime) -> int:
        """Sum up the finished hours that are not yet; return how many hours were done.

        Raises StoreError; what was done before stays done.
        """
        last = _floor_hour(now - self.params.late) - HOUR
        done = self.state.cursor("sum_up").get("hour")
        first = datetime.fromisoformat(done) + HOUR if done else last
        first = max(first, last - (self.params.hours_at_once - 1) * HOUR)
        count = 0
        while (hour := first + count * HOUR) <= last:
            self._sum_up_hour(hour)
            self.state.set_cursors({"sum_up": {"hour": hour.isoformat()}})
            count += 1
        return count

    def know(self, tables: Tables, source: str, now: datetime) -> None:
        """Store tables that are known without polling: configured cables, a preloaded history."""
        for name, table in tables.items():
            self._append(name, table, source, _sequence(now))

    # -- the past ---------------------------------------------------------------------------------

    def _remembered(self, tables: Tables, now: datetime) -> Memory:
        """Return what the hourly tables say: read anew when the hour, or what is stored of them, is new."""
        known = (_floor_hour(now), self.state.cursor("sum_up").get("hour"), self._hours_stored)
        if self._memory is None or self._memory[0] != known:
            hours = read_hours(self.store, now, self.params)
            self._memory = known, remember({**tables, **hours}, now, self.params.engine)
        return self._memory[1]

    # -- polling ----------------------------------------------------------------------------------

    def _cursors(self, group: str, pollers: Sequence[Poller]) -> dict[str, Mapping[str, str]]:
        cursors = self.state.cursors(poller.name for poller in pollers)
        note = self.state.cursor(NOTE) if group == HOSTS else {}
        for name in note.keys() & cursors.keys():
            cursors[name][STORING] = note[name]
        return dict(cursors)

    def _note(self, heard: Mapping[str, Sequence[Batch]]) -> None:
        """Note how far the rows go that are about to be stored.

        After a crash between storing and moving the cursors the very same rows are asked for again,
        under the same numbers, and count as written.
        """
        before = self.state.cursor(NOTE)
        note = {name: before[name] for p in self.pollers.get(HOSTS, ()) if (name := p.name) in before}
        note |= {name: noted(answer) for name, answer in heard.items()}
        note = {name: text for name, text in note.items() if text}
        if note != before:
            self.state.set_cursors({NOTE: note})

    async def _ask_together(
        self, group: str, pollers: Sequence[Poller], cursors: Mapping[str, Mapping[str, str]], now: datetime
    ) -> dict[str, list[Batch]]:
        """Return what those pollers brought that can be asked at once; the others are to be asked alone."""
        together = self.together.get(group)
        if together is None:
            return {}
        try:
            heard = await together.poll(pollers, now, cursors)
        except Exception as error:  # noqa: BLE001 - the other way is still there
            self._bug(f"poll {group} together", error)
            return {}
        self.figures.refused(together.refused)
        log.debug(
            "%s", Line("together", group=group, targets=len(pollers), read=len(heard), **together.refused)
        )
        return heard

    async def _ask(
        self, pollers: Sequence[Poller], cursors: Mapping[str, Mapping[str, str]], now: datetime
    ) -> AsyncIterator[dict[str, list[Batch]]]:
        """Yield what pollers brought, by name: of those who are quick, then of all others if there are any.

        One that broke down is shown and left out.
        """
        limit = asyncio.Semaphore(self.params.at_once)

        async def ask(poller: Poller) -> list[Batch]:
            async with limit:
                return await poller.poll(now, cursors[poller.name])

        asked: dict[asyncio.Future[list[Batch]], str] = {
            asyncio.ensure_future(ask(poller)): poller.name for poller in pollers
        }
        done: Set[asyncio.Future[list[Batch]]] = set()
        left: Set[asyncio.Future[list[Batch]]] = set(asked)
        try:
            if left:
                done, left = await asyncio.wait(left, timeout=self.params.patience.total_seconds())
            yield self._brought({asked[one]: one for one in done})
            if left:
                done, _ = await asyncio.wait(left)
                yield self._brought({asked[one]: one for one in done})
        finally:
            for one in asked:
                one.cancel()

    def _brought(self, done: Mapping[str, asyncio.Future[list[Batch]]]) -> dict[str, list[Batch]]:
        heard: dict[str, list[Batch]] = {}
        for name, answer in done.items():
            error = answer.exception()
            if error is None:
                heard[name] = answer.result()
            else:
                self._bug(f"poll {name}", error)
        return heard

    def _keep(self, group: str, heard: Mapping[str, Sequence[Batch]], now: datetime) -> None:
        batches = [batch for answer in heard.values() for batch in answer]
        if group == HOSTS:
            self._learn(_joined(batch.tables for batch in batches), now)
            batches = self._resolved(batches)
            self._note(heard)
        self.store.append_batches(batches)
        self.state.set_cursors({name: answer[-1].cursor for name, answer in heard.items() if answer})
        self.figures.stored(sum(len(table) for batch in batches for table in batch.tables.values()))

    # -- keeping ----------------------------------------------------------------------------------

    def _learn(self, tables: Tables, now: datetime) -> None:
        """Remember the containers and hosts that are known by now; forget containers long gone."""
        for name in ("containers", "hosts"):
            if name not in self._inventory:
                self._inventory[name] = self.store.newest(name, now)
            if name in tables:
                known = _joined([{name: self._inventory[name]}, {name: tables[name]}])[name]
                key = list(frames.TABLES[name].key)
                self._inventory[name] = known.sort_values("at", kind="stable").drop_duplicates(
                    key, keep="last"
                )
        containers = self._inventory["containers"]
        gone = containers["ended_at"] < pd.Timestamp(now - self.params.window)
        self._inventory["containers"] = containers[~gone.fillna(False)]

    def _resolved(self, batches: Sequence[Batch]) -> list[Batch]:
        """Return batches with the far ends of their pairs filled in; each end may be the other's witness."""
        joined = _joined(batch.tables for batch in batches).get("pair_samples")
        if joined is None:
            return list(batches)
        known = (self._inventory["containers"], self._inventory["hosts"])
        samples, done = pairs.resolve(joined, *known), []
        for batch in batches:
            if "pair_samples" in batch.tables:
                count = len(batch.tables["pair_samples"])
                own, samples = samples.iloc[:count], samples.iloc[count:]
                batch = replace(batch, tables={**batch.tables, "pair_samples": own})
            done.append(batch)
        return done

    def _append(self, name: str, table: pd.DataFrame, source: str, sequence: int) -> None:
        if len(table) and self.store.append(name, table, source=source, sequence=sequence):
            self.figures.stored(len(table))
            self._hours_stored += name in HOURLY

    # -- telling ----------------------------------------------------------------------------------

    def _copy_events(self) -> None:
        """Copy events into the store, each exactly once.

        Which events the next append holds is noted first: after a crash between the append and
        ``delivered`` the very same ones go under the same number again, and count as written.
        """
        while waiting := self.state.outgoing(COPY, self.params.events_at_once):
            noted = int(self.state.cursor("copy").get("until", "0"))
            again = [outgoing for outgoing in waiting if outgoing.position <= noted]
            batch = again or waiting
            until = batch[-1].position
            self.state.set_cursors({"copy": {"until": str(until)}})
            self._append("incident_events", event_rows([o.event for o in batch]), "incidents", until)
            self.state.delivered(COPY, until)

    # -- summing up -------------------------------------------------------------------------------

    def _sum_up_hour(self, hour: datetime) -> None:
        """Store the hourly rows of one hour; a gap without rows makes none."""
        since, until = hour - HOUR, hour + HOUR  # an hour's first interval begins in the hour before
        tables = {name: self.store.read(name, since, until) for name in RECENT}
        tables |= {name: self.store.newest(name, until) for name in CURRENT}
        for name, table in roll_up(tables, hour).items():
            self._append(name, table, "sum_up", _sequence(hour))
        log.info("%s", Line("sum_up", hour=hour.isoformat()))

    # -- what goes wrong --------------------------------------------------------------------------

    def store_failed(self, error: StoreError) -> None:
        """Count a store that could not read or write; log it the first time and once in a while."""
        if self.figures.store_failed():
            log.error("%s", Line("store", error=str(error)))

    def _bug(self, doing: str, error: BaseException) -> None:
        """Count and show an error that nobody foresaw; the other targets go on. A cancellation goes up."""
        if not isinstance(error, Exception):
            raise error
        self.figures.bugs.inc()
        log.error("%s", Line("bug", doing=doing, error=repr(error)), exc_info=error)


def document_rows(name: str, verdicts: Sequence[Verdict], now: datetime) -> pd.DataFrame:
    """Return verdicts or findings as the rows of their table, stamped ``now``."""
    return frames.frame(name, [{"at": now, "id": verdict.id, **_document(verdict)} for verdict in verdicts])


def event_rows(events: Sequence[IncidentEvent]) -> pd.DataFrame:
    """Return incident events as rows of ``incident_events``; ``document`` is the whole event."""
    rows = [
        {
            "at": event.at,
            "incident": event.incident,
            "seq": event.seq,
            "event": event.event,
            **_document(event.verdict),
            "severity": event.severity,
            "document": json.dumps(event.to_json(), ensure_ascii=False),
        }
        for event in events
    ]
    return frames.frame("incident_events", rows)


def open_verdicts(incidents: Iterable[Incident]) -> list[Verdict]:
    """Return the verdicts of the incidents that are open."""
    return [incident.verdict for incident in incidents if incident.state == "open"]


def _document(verdict: Verdict) -> dict[str, object]:
    return {
        "kind": verdict.kind,
        "root_cause": verdict.root_cause,
        "probability": verdict.probability,
        "severity": verdict.severity,
        "document": json.dumps(verdict.to_json(), ensure_ascii=False),
    }


def _incident_line(event: IncidentEvent) -> Line:
    verdict = event.verdict
    return Line(
        "incident",
        incident=event.incident,
        seq=event.seq,
        what=event.event,
        severity=event.severity,
        cause=verdict.root_cause,
        link=verdict.link,
        direction=verdict.direction,
        probability=round(verdict.probability, 3),
        reason=event.reason,
    )


def _round(targets: int, heard: Mapping[str, Sequence[Batch]]) -> Round:
    """Return what a round came to; a target without a good ``polls`` row has failed."""
    good, rows = 0, 0
    for answer in heard.values():
        rows += sum(len(table) for batch in answer for table in batch.tables.values())
        polls = [batch.tables["polls"] for batch in answer if "polls" in batch.tables]
        good += int(polls[-1].groupby("target")["ok"].all().sum()) if polls else 0
    return Round(targets, targets - good, rows)


def _joined(tables: Iterable[Tables]) -> dict[str, pd.DataFrame]:
    """Return tables of one name as one, in order."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for some in tables:
        for name, table in some.items():
            if len(table):
                parts.setdefault(name, []).append(table)
    return {name: pd.concat(found, ignore_index=True) for name, found in parts.items()}


def _sequence(at: datetime) -> int:
    """Return a moment as a number that grows: microseconds since 1970."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // INSTANT


def _floor_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
