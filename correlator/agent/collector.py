"""The one thread that enters namespaces and reads sockets, each second, and closes intervals.

It alone calls setns, so no other thread is ever in a wrong namespace. It waits for inotify only:
destroy events queue in the kernel's buffers. Those of connections that were never read tell the same
whenever they are fetched, and so are fetched many at a time: once some thousand wait, and at an
interval's end. Where a connection that is read has closed, they are fetched at that reading or the
next one; in a flood, twice as often as connections are read.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from correlator.agent import roster, sockets
from correlator.agent.conntrack import Conntrack, Entry, Nat
from correlator.agent.figures import Figures
from correlator.agent.fold import Fold, Listeners, Sharing
from correlator.agent.ledger import SHARE, Array, Ledger
from correlator.agent.namespaces import Namespace
from correlator.agent.owners import Owners
from correlator.agent.records import joined, picked
from correlator.agent.registry import Registry
from correlator.agent.tally import Limits, Rows, Tally

log = logging.getLogger(__name__)

ABORTED = "connections were refused or aborted before they were read, and the kernel forgets what they did"
TALLY_AT = 2000  # closed connections that may wait for the interval's end; about 200 bytes each
NEVER = float("-inf")  # when a namespace was dumped that was not
REMEMBER = 6  # intervals after which what NAT does to a connection is looked at again


@dataclass(frozen=True)
class Params:
    """How sockets are read. Origins: measured costs of a dump (0.2 ms a namespace) and a lookup (4 µs)."""

    interval_s: float = 10.0
    reading_s: float = 1.0
    jitter: float = 0.2  # share of reading_s, so that readings do not beat with a client's own period
    drain_s: float = 0.5  # in a flood: 8000 close events at 16,000 a second; the buffer holds about 37,000
    flood: int = 500  # close events or entries of conntrack since the last look
    leave: int = 2000  # close events that may wait in the kernel's buffers; about 1.3 kB each
    dump_every_s: float = 300.0  # even where nothing seems to be new
    counts_at_once: int = 25  # namespaces, in turn, that are asked at a reading how many sockets are theirs
    dumps_at_once: int = 10  # at a reading, of namespaces with new connections or an old dump
    dump_above: int = 600  # sockets of a namespace: beyond, one walk is cheaper than looking each up
    overlay_keep_s: float = 60.0
    patience_s: float = 5.0  # Docker tells of a container once it runs, and so after its first packets
    connections: int = 50_000
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Interval:
    """What was tallied: ``at`` is its end; ``names`` gives each slot's namespace, ``notes`` what it missed.

    All of it happened within ``seconds`` before ``at``, except for what connections did before it was
    known whose they are. Its last reading takes time, and what happens meanwhile may be in this
    interval or in the next, so the two overlap by as much. ``note`` is what was missed everywhere,
    empty where nothing was; ``info_bytes`` is how much of struct tcp_info the kernel sends;
    ``overlay`` gives the host's address of remote overlay addresses. ``whole_until`` is when the last
    reading began: what ended before it is in this interval or an earlier one.
    """

    at: datetime
    whole_until: datetime
    seconds: float
    rows: Rows
    names: dict[int, str]
    notes: dict[int, str]
    note: str
    info_bytes: int
    overlay: dict[str, str]


@dataclass
class _Clock:
    """An interval that runs: monotonic and wall time of its beginning, and what it missed."""

    began: float
    wall: datetime
    notes: dict[int, str] = field(default_factory=dict)
    note: str = ""


class Collector:
    """Reads sockets until stopped. Finished intervals go to ``finished``, at most a few wait there."""

    def __init__(
        self,
        params: Params,
        directory: Path,
        registry: Registry,
        figures: Figures,
        *,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._params = params
        self._registry = registry
        self._figures = figures
        self._now, self._wall = now, wall
        self.roster = roster.Roster(roster.Params(), directory, registry, figures, wall())
        self._ledger = Ledger(params.connections)
        self._tally = Tally(params.limits)
        self._closed: list[Array] = []
        self._random = random.Random()  # noqa: S311  no secret
        self._sharing = Sharing(Owners())
        self._is_last = False
        self._is_flooded = False
        self._left: set[int] = set()  # slots of namespaces whose events were left to wait
        self._turns = roster.Turns()
        self._finished = 0
        self._conntrack: Conntrack | None = None
        self.nat = Nat(lambda raw: False)
        self.nat_inbox: queue.SimpleQueue[Entry] = queue.SimpleQueue()
        self._overlay: dict[str, tuple[str, float]] = {}
        self.finished: queue.Queue[Interval] = queue.Queue(6)
        self.conntrack_lost = threading.Event()
        self._stop = threading.Event()
        self._fold = Fold(self.nat, self._sharing, roster.HOST_SLOT)
        self._clock = _Clock(self._now(), self._wall())
        self._next_clock: _Clock | None = None  # from an interval's last reading on

    # -- life -----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Read until ``stop``; then close the last interval. To be run in a thread of its own."""
        try:
            self.open()
            self._clock = _Clock(self._now(), self._wall())
            next_reading = next_interval = self._now()
            next_interval += self._params.interval_s
            while not self._stop.is_set():
                due = max(min(next_reading, next_interval) - self._now(), 0.0)
                self.roster.wait(min(due, self._params.drain_s) if self._is_flooded else due, self._now())
                if self._now() < min(next_reading, next_interval):
                    self.drain()
                elif self._now() >= next_interval:
                    self.read(last=True)
                    self.finish()
                    next_interval = max(next_interval + self._params.interval_s, self._now())
                    next_reading = self._next(self._now(), next_interval)
                else:
                    self.read()
                    next_reading = self._next(next_reading, next_interval)
            self.read(last=True)
            self.finish()
        finally:
            self.close()

    def _next(self, before: float, interval_ends: float) -> float:
        """Return when to read next: about a period on, from now where that has passed.

        A reading that is due shortly before the interval's last one is left to that.
        """
        period = self._params.reading_s
        low, high = 1 - self._params.jitter, 1 + self._params.jitter
        due = max(before, self._now() - period) + period * self._random.uniform(low, high)
        return due if due < interval_ends - period / 2 else interval_ends

    def stop(self) -> None:
        """Have ``run`` end soon."""
        self._stop.set()

    def open(self) -> None:
        """Open the host's namespace, conntrack and the directory of namespaces. Raises OSError."""
        self.roster.open(self._now())
        try:
            self._conntrack = Conntrack()
        except OSError as error:
            log.warning(
                "conntrack cannot be listened to: %s; published ports will not be joined", error.strerror
            )

    def close(self) -> None:
        """Let go of everything."""
        self.roster.close()
        if self._conntrack:
            self._conntrack.close()

    def conntrack_entries(self) -> list[Entry]:
        """Return the rewritten connections that conntrack holds; any thread of the host may ask."""
        if self._conntrack is None:
            return []
        try:
            return self._conntrack.all()
        except OSError as error:
            log.warning("conntrack cannot be read: %s", error)
            return []

    # -- reading --------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Fetch what the kernel queued: conntrack's new entries, and the destroy events that cannot wait."""
        told = self.roster.with_events()
        few = not (self._is_last or self._is_flooded) and (
            sum(namespace.diag.waiting() for namespace in told) <= self._params.leave
        )
        self._left = {namespace.slot for namespace in told if few and _can_wait(namespace)}
        self._fetch_events([namespace for namespace in told if namespace.slot not in self._left])
        waiting = sum(len(part) for namespace in told for part in namespace.raw)
        entries = self._drain_conntrack()
        self._is_flooded = max(waiting // sockets.EVENT, entries) > self._params.flood

    def _fetch_events(self, namespaces: Iterable[Namespace]) -> None:
        for namespace in namespaces:
            namespace.closing = False
            try:
                lost = namespace.diag.drain(namespace.raw)
            except OSError as error:
                self._kernel_failed(namespace, error)
                continue
            if lost:
                namespace.lost = True
                self._note(namespace.slot, "the kernel dropped close events")
                self._figures.count("close_events_lost")

    def _drain_conntrack(self) -> int:
        """Take in what NAT does to new connections; return how many of those there were."""
        if not self.nat_inbox.empty():
            self._fold.forget()
        while not self.nat_inbox.empty():
            self.nat.add(self.nat_inbox.get())
        if self._conntrack is None:
            return 0
        before = self._conntrack.lost
        entries = self._conntrack.new()
        for entry in entries:
            self.nat.add(entry)
            self._figures.count("conntrack_events")
        if self._conntrack.lost > before:
            self._figures.count("conntrack_lost")
            self.conntrack_lost.set()
        return len(entries)

    def read(self, *, last: bool = False) -> None:
        """Take in the events, read every connection once, and look after the namespaces.

        ``last``: the interval is about to be finished, so look for connections that are not known yet.
        """
        self._is_last = last
        if last:  # what happens from here on may be found by this reading or by the next
            self._next_clock = _Clock(self._now(), self._wall())
        self.drain()
        self.roster.look(self._now())
        self._share()
        if sum(map(len, self._closed)) > TALLY_AT:
            self._tally_closed()
        if self._take_events() > TALLY_AT:
            self.drain()  # in a flood of closes the steps take so long that the kernel's buffers fill
        self._take_readings()
        for gone in self.roster.bury(self._now()):
            self._closed.append(self._ledger.forget(gone.slot))
        self._figures.count("readings")

    def _take_events(self) -> int:
        """Take in the close events that were fetched; return how many those were."""
        told = [n for n in self.roster if n.raw]
        if not told:
            return 0
        events, part = sockets.decode_parts([b"".join(n.raw) for n in told])
        for namespace in told:
            namespace.raw.clear()
        self._figures.count("close_events", len(events))
        events, slots, born = self._without_listeners(told, events, part)
        forgotten = sockets.listening(events)[1]
        aborted = forgotten & ~self._ledger.knows(slots, events)
        for slot in np.unique(slots[aborted]).tolist():
            self._note(slot, ABORTED)
        self._figures.count("aborted", int(aborted.sum()))
        whole = ~aborted
        if whole.any():
            self._closed.append(
                self._ledger.close(slots[whole], picked(events, whole), born[whole], self._now())
            )
        return len(part)

    def _without_listeners(
        self, namespaces: Sequence[Namespace], samples: Array, part: Array
    ) -> tuple[Array, Array, Array]:
        """Learn which ports are listened on; return (samples, slots, from_birth) of the connections."""
        slots = np.array([n.slot for n in namespaces], "u2")
        # What a first dump does not show, or what begins in a namespace that was seen made, is new.
        born = np.array([n.from_birth or n.dumped_at > 0 for n in namespaces], bool)
        listening, _ = sockets.listening(samples)
        if listening.any():
            for sample, slot in zip(samples[listening], slots[part[listening]].tolist(), strict=True):
                self._fold.listeners.setdefault(slot, Listeners()).learn(
                    int(sample["sport"]), self._owner(slot, sample)
                )
            samples, part = picked(samples, ~listening), part[~listening]
        return samples, slots[part], born[part]

    def _owner(self, slot: int, sample: Any) -> str | None:
        if slot not in self._sharing.slots:
            return None
        owners = self._sharing.owners
        return owners.by_cgroup(int(sample["cgroup"])) or owners.by_inode(int(sample["inode"]))

    def _take_readings(self) -> None:
        due = self._due()
        self._ask_anew()
        read: list[Namespace] = []
        parts: list[bytes] = []
        for namespace in sorted(self.roster, key=lambda namespace: namespace.slot):  # the ledger's order
            answers = self._read_one(namespace, namespace.slot in due)
            if answers is not None:
                read.append(namespace)
                parts.append(answers)
        if not read or (not due and self._ledger.read_again(b"".join(parts), self._now())):
            return
        samples, slots, born = self._without_listeners(read, *sockets.decode_parts(parts))
        self._ledger.read(slots, samples, born, self._now())
        found = np.bincount(slots, minlength=max(namespace.slot for namespace in read) + 1)
        for namespace in read:
            if namespace.slot in due:
                self._dumped(namespace, samples[slots == namespace.slot])
            elif found[namespace.slot] < len(namespace.asked) // sockets.REQUEST.itemsize:
                namespace.closing = True

    def _dumped(self, namespace: Namespace, found: Array) -> None:
        """Note what a full dump showed."""
        namespace.closing |= self._ledger.missing(namespace.slot, found)
        namespace.dumped_at, namespace.lost = self._now(), False
        namespace.unseen = namespace.in_use - len(found)
        self._fold.listeners.setdefault(namespace.slot, Listeners()).complete = True

    def _ask_anew(self) -> None:
        """Write the requests for all known connections, if those have changed."""
        if not self._ledger.changed:
            return
        self._ledger.changed = False
        slots, samples = self._ledger.open()
        asked = memoryview(sockets.lookups(samples))
        size = sockets.REQUEST.itemsize
        own = np.array([namespace.slot for namespace in self.roster])
        first, end = (np.searchsorted(slots, own, side).tolist() for side in ("left", "right"))
        for namespace, a, b in zip(self.roster, first, end, strict=True):
            namespace.asked = bytes(asked[a * size : b * size])

    def _due(self) -> set[int]:
        """Return the slots of the namespaces that are to be walked, instead of looking connections up.

        The kernel counts the sockets of each namespace; a count that differs from what is known tells
        of new connections. At an interval's end all of those are walked, so that what moved is told of
        in the interval in which it moved; at other readings some are asked, and some of those walked.
        """
        slots = max((namespace.slot for namespace in self.roster), default=0) + 1
        counts = self._ledger.counts(slots)
        must: set[int] = set()
        might: list[Namespace] = []
        asked = self._in_turn()
        for namespace in self.roster:
            shared = namespace.slot in self._sharing.slots
            many = counts[namespace.slot] > self._params.dump_above
            if namespace.lost or namespace.dumped_at == NEVER or shared or many:
                must.add(namespace.slot)
            elif namespace.slot not in asked:
                continue
            namespace.in_use = namespace.diag.in_use()
            if self._seems_changed(namespace, counts):
                might.append(namespace)
        ended = [n for n in might if n.slot in self._left and n.in_use - counts[n.slot] < n.unseen]
        if ended:  # a connection that is known has closed
            self._left -= {namespace.slot for namespace in ended}
            self._fetch_events(ended)
            self._take_events()
            counts = self._ledger.counts(slots)
            might = [namespace for namespace in might if self._seems_changed(namespace, counts)]
        might.sort(key=lambda namespace: namespace.dumped_at)
        return must | {n.slot for n in might[: None if self._is_last else self._params.dumps_at_once]}

    def _seems_changed(self, namespace: Namespace, counts: Sequence[int]) -> bool:
        """Return whether other sockets are in a namespace than are known, or nobody looked for long."""
        stale = self._now() - namespace.dumped_at > self._params.dump_every_s and not self._is_last
        other = namespace.in_use - counts[namespace.slot] != namespace.unseen
        return stale or other or namespace.in_use < 0

    def _in_turn(self) -> set[int]:
        """Return the slots of the namespaces whose sockets are to be counted: all at an interval's end."""
        namespaces = list(self.roster)
        asked = namespaces if self._is_last else self._turns.of(namespaces, self._params.counts_at_once)
        return {namespace.slot for namespace in asked}

    def _read_one(self, namespace: Namespace, dump: bool) -> bytes | None:
        """Return the messages of a namespace's connections; None where there are none, or no answer."""
        try:
            if dump:
                self._figures.count("dumps")
                return namespace.diag.dump()
            if not namespace.asked:
                return None
            self._figures.count("lookups", len(namespace.asked) // sockets.REQUEST.itemsize)
            return namespace.diag.lookup(namespace.asked)
        except OSError as error:
            self._kernel_failed(namespace, error)
            return None

    def _kernel_failed(self, namespace: Namespace, error: OSError) -> None:
        self._figures.count("kernel_failures")
        self._note(namespace.slot, f"the kernel did not answer: {error.strerror or error}")
        log.debug("%s: %s", namespace.name, error)

    def _note(self, slot: int, missed: str) -> None:
        """Note what was missed of a namespace: in the interval that runs, and in one that has begun."""
        self._clock.notes[slot] = missed
        if self._next_clock is not None:
            self._next_clock.notes[slot] = missed

    # -- who shares a namespace -----------------------------------------------------------------------

    def _share(self) -> None:
        """Find out whose sockets those in shared namespaces are."""
        sharers = self._registry.sharers()
        slots = {self.roster.by_name[name].slot for name in sharers if name in self.roster.by_name}
        self._sharing.slots |= slots
        self._sharing.slots &= self.roster.names.keys()
        self._fold.published = self._registry.publishers()
        if not slots:
            return
        containers = [container for group in sharers.values() for container in group]
        self._sharing.owners.learn(containers)
        known = [self._ledger.known(slot) for slot in slots]
        unknown = [
            s for samples in known for s in samples if not self._sharing.owners.by_cgroup(int(s["cgroup"]))
        ]
        if not unknown:
            return
        self._sharing.owners.look(containers)
        for slot, samples in zip(slots, known, strict=True):
            for sample in samples:
                owner = self._sharing.owners.by_inode(int(sample["inode"]))
                if owner:
                    self._sharing.inodes[slot, int(sample["cookie"])] = owner

    # -- intervals ------------------------------------------------------------------------------------

    def _tally_closed(self) -> None:
        """Tally what has closed, once it is known which ports were listened on."""
        closed = joined(self._closed, SHARE)
        self._closed = []
        self._add(closed)
        for share in closed if self._sharing.inodes else ():
            self._sharing.inodes.pop((int(share["slot"]), int(share["cookie"])), None)

    def _undecided(self) -> list[int]:
        """Return the places of new connections that wait to be told of: whose they are may become known."""
        sharing = {roster.HOST_SLOT, *self._sharing.slots}
        begun = self._ledger.begun(sharing, self._now() - self._params.patience_s)
        return [place for place, slot, sample in begun if self._fold.undecided(slot, sample)]

    def _add(self, shares: Array) -> None:
        keys, ports, places = self._fold.keys(shares)
        self._tally.add(keys, ports, picked(shares, np.array(places, np.intp)))

    def finish(self) -> None:
        """Close the interval and hand it on; where nobody takes it, it is dropped and counted."""
        now, wall = self._now(), self._wall()
        self._finished += 1
        if self._finished % REMEMBER == 0:
            self._fold.forget()
        # The last reading also shows connections that began during it. What NAT does to a connection
        # is told before its first packet leaves, and so waits here by now.
        self._drain_conntrack()
        self._tally_closed()
        self._add(self._ledger.settle(self._undecided()))
        seconds = now - self._clock.began
        jump = (wall - self._clock.wall).total_seconds() - seconds
        note = self._clock.note
        if abs(jump) > 1.0:
            self._figures.count("clock_jumps")
            note = f"the clock jumped by {jump:+.0f} s"
        note = self._count_overflow() or note
        self._look_at_overlays()
        began, self._next_clock = self._next_clock or _Clock(now, wall), None
        interval = Interval(
            at=wall,
            whole_until=began.wall,
            seconds=seconds,
            rows=self._tally.rows(),
            names=dict(self.roster.names),
            notes=self._clock.notes,
            note=note,
            info_bytes=self._ledger.info_bytes,
            overlay={address: host for address, (host, _) in self._overlay.items()},
        )
        try:
            self.finished.put_nowait(interval)
        except queue.Full:
            self._figures.count("rows_lost", len(interval.rows))
        self._tally = Tally(self._params.limits)
        self._clock = began
        self._dig()
        self._figures.gauges["connections"] = len(self._ledger)
        self._figures.gauges["namespaces"] = len(self.roster.by_name)

    def _count_overflow(self) -> str:
        """Return what did not fit into this interval, as a note; empty where all did."""
        connections, rows = self._ledger.overflowed, self._tally.dropped
        self._ledger.overflowed = 0
        self._figures.count("connections_overflowed", connections)
        self._figures.count("rows_overflowed", rows)
        self._figures.count("unattributed", self._fold.unattributed)
        self._fold.unattributed = 0
        return f"{connections + rows} connections were too many to follow" if connections or rows else ""

    def _dig(self) -> None:
        """Forget what closed namespaces were called and listened on, once all has been told of them."""
        waiting = {int(slot) for shares in self._closed for slot in np.unique(shares["slot"])}
        for slot in self.roster.forget(waiting):
            self._fold.listeners.pop(slot, None)

    def _look_at_overlays(self) -> None:
        """Read which host each container of an overlay network is on; what is gone is kept for a while."""
        now = self._now()
        for path in self.roster.overlays():
            try:
                found = self.roster.visit(path)
            except OSError as error:
                log.debug("%s: %s", path, error)
                continue
            self._overlay |= {address: (host, now) for address, host in found.items()}
        keep = now - self._params.overlay_keep_s
        self._overlay = {
            address: (host, seen) for address, (host, seen) in self._overlay.items() if seen > keep
        }


def _can_wait(namespace: Namespace) -> bool:
    """Return whether a namespace's destroy events tell the same if they are fetched later."""
    is_known = namespace.dumped_at != NEVER  # else what closed may be older than the agent
    return is_known and not namespace.closing and namespace.dead_since is None
