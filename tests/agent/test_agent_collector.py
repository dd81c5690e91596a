"""Intervals of the collector, with clocks to be set and a kernel that does as the test says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from agent_messages import each, message

from correlator.agent.collector import Collector, Params
from correlator.agent.conntrack import Entry, packed
from correlator.agent.figures import Figures
from correlator.agent.fold import NOBODY
from correlator.agent.namespaces import Namespace
from correlator.agent.registry import Registry

CONTAINER, HOST, FAR = "172.30.1.2", "10.77.0.1", "10.77.0.2"


def tup(source, sport, destination, dport):
    return packed(source) + packed(destination) + sport.to_bytes(2, "big") + dport.to_bytes(2, "big")


class Kernel:
    """The sockets and conntrack of one namespace; ``during_dump`` is called while it is walked."""

    counted = 0
    used = 1

    def __init__(self):
        self.sockets, self.events, self.entries = b"", b"", []
        self.drops_events = False
        self.lost = 0  # of conntrack
        self.during_dump = lambda: None

    def in_use(self):
        self.counted += 1
        return self.used

    def dump(self):
        self.during_dump()
        return self.sockets

    def lookup(self, asked):
        return self.sockets

    def waiting(self):
        return len(self.events) // 400

    def drain(self, into):
        into += [] if self.drops_events else [self.events]
        self.events = b""
        return self.drops_events

    def new(self):
        found, self.entries = self.entries, []
        return found


@pytest.fixture
def kernel():
    return Kernel()


@pytest.fixture
def collector(tmp_path, kernel, monkeypatch):
    """A collector that listens to one namespace, of which ``kernel`` tells."""
    clocks = {"now": 100.0, "wall": datetime(2026, 11, 23, tzinfo=UTC)}
    made = Collector(
        Params(), tmp_path, Registry(), Figures(), now=lambda: clocks["now"], wall=lambda: clocks["wall"]
    )
    made.clocks = clocks
    made._conntrack = kernel
    namespace = Namespace("0123456789ab", None, (0, 0), 1, kernel, from_birth=True)
    made.roster.by_name[namespace.name] = namespace
    made.roster.names[1] = namespace.name
    monkeypatch.setattr(made.roster, "with_events", lambda: [namespace] if kernel.events else [])
    return made


def pass_time(collector, seconds):
    collector.clocks["now"] += seconds
    collector.clocks["wall"] += timedelta(seconds=seconds)


def finished(collector):
    collector.read(last=True)
    collector.finish()
    return collector.finished.get_nowait()


def test_what_nat_does_to_a_connection_that_began_during_the_last_reading_is_known(collector, kernel):
    """The kernel tells conntrack's entry before the first packet leaves: it waits when the dump ends."""

    def begin():
        kernel.sockets = message(src=CONTAINER, dst=FAR, sport=40000, dport=9000, bytes_sent=100, cookie=1)
        kernel.entries.append(
            Entry(tup(CONTAINER, 40000, FAR, 9000), tup(FAR, 9000, HOST, 41000)),
        )

    kernel.during_dump = begin
    began = finished(collector).rows
    assert [(key.local, ports) for key, ports, _ in each(began)] == [(packed(HOST), [41000])]
    kernel.during_dump = lambda: None
    kernel.events, kernel.sockets = message(state=7, src=CONTAINER, dst=FAR, cookie=1, bytes_sent=100), b""
    ended = finished(collector).rows
    assert [(key.local, ports, sums.closed) for key, ports, sums in each(ended)] == [
        (packed(HOST), [41000], 1)
    ]


def test_a_close_that_is_read_late_lies_within_its_interval(collector, kernel):
    """The machine is so slow that the last reading takes 5 s, in which a connection closes."""
    began = collector.clocks["wall"]
    closed_at = []

    def walk():
        pass_time(collector, 2)
        kernel.events = message(state=7, cookie=1, bytes_sent=100)
        closed_at.append(collector.clocks["wall"])
        pass_time(collector, 3)

    kernel.during_dump = walk
    pass_time(collector, 10)
    first = finished(collector)
    kernel.during_dump = lambda: None
    pass_time(collector, 10)
    second = finished(collector)
    assert (first.at - timedelta(seconds=first.seconds), first.seconds) == (began, 15)
    assert [sums.closed for _, _, sums in each(second.rows)] == [1]
    assert first.whole_until == second.at - timedelta(seconds=second.seconds) < closed_at[0]
    assert second.at - timedelta(seconds=second.seconds) <= closed_at[0] <= second.at


def test_close_events_lost_during_the_last_reading_mark_both_intervals(collector, kernel):
    kernel.drops_events, kernel.events = True, message(state=7)
    told = [finished(collector).notes for _ in range(3)]
    assert told == [{1: "the kernel dropped close events"}] * 2 + [{}]


def test_a_namespace_that_goes_between_opening_and_reading_marks_its_rows_and_costs_no_others(
    collector, kernel
):
    other = Kernel()
    other.sockets = message(cookie=2, bytes_sent=7)
    collector.roster.by_name["ba9876543210"] = Namespace("ba9876543210", None, (0, 1), 2, other, True)
    collector.roster.names[2] = "ba9876543210"
    kernel.sockets = message(cookie=1, bytes_sent=100)
    finished(collector)

    def gone(*_):
        raise OSError(19, "No such device")

    kernel.dump = kernel.lookup = kernel.drain = gone
    kernel.events, other.sockets = b"there are some", message(cookie=2, bytes_sent=9)
    told = finished(collector)
    assert told.notes == {1: "the kernel did not answer: No such device"}
    assert {key.slot: sums.counters[0] for key, _, sums in each(told.rows)} == {1: 0, 2: 2}


def closes(first, number):
    return b"".join(message(state=7, cookie=i, bytes_sent=5) for i in range(first, first + number))


def test_closes_of_connections_that_were_never_read_wait_for_the_interval_s_end(collector, kernel):
    collector.read(last=True)
    collector.finish()
    collector.finished.get_nowait()
    kernel.events = closes(1, 30)
    collector.read()
    assert kernel.events
    told = finished(collector)
    assert not kernel.events
    assert [sums.closed for _, _, sums in each(told.rows)] == [30]


def test_closes_are_fetched_once_many_wait(collector, kernel):
    collector.read(last=True)
    kernel.events = closes(1, 2 * collector._params.leave)
    collector.read()
    assert not kernel.events


def test_the_close_of_a_connection_that_is_read_is_fetched_when_it_is_no_longer_counted(collector, kernel):
    kernel.sockets, kernel.used = message(cookie=1, bytes_sent=5), 2
    collector.read()
    kernel.sockets, kernel.events, kernel.used = b"", closes(1, 1), 1
    before = collector._figures.counts()["dumps"]
    collector.read()
    assert not kernel.events
    assert collector._figures.counts()["dumps"] == before


def test_a_close_that_another_connection_hides_is_fetched_at_the_next_reading(collector, kernel):
    """One closes and one opens, so that the kernel's count stays: the answer is missing."""
    kernel.sockets, kernel.used = message(cookie=1, bytes_sent=5), 2
    collector.read()
    kernel.sockets, kernel.events = b"", closes(1, 1)
    collector.read()
    assert kernel.events
    collector.read()
    assert not kernel.events


def test_what_closed_before_a_namespace_was_first_dumped_does_not_wait(collector, kernel):
    kernel.events = closes(1, 1)
    collector.read()
    assert not kernel.events


def test_the_sockets_of_many_namespaces_are_counted_in_turn_and_all_at_an_interval_s_end(tmp_path):
    made = Collector(Params(counts_at_once=50), tmp_path, Registry(), Figures(), now=lambda: 100.0)
    kernels = [Kernel() for _ in range(120)]
    for slot, one in enumerate(kernels, 1):
        name = f"{slot:012x}"
        made.roster.by_name[name] = Namespace(name, None, (0, slot), slot, one, True, dumped_at=99.0)
    made.roster.with_events = list
    for _ in range(3):
        made.read()
    assert {one.counted for one in kernels} == {1, 2}
    before = [one.counted for one in kernels]
    made.read(last=True)
    assert [one.counted for one in kernels] == [times + 1 for times in before]


def test_of_many_namespaces_some_are_looked_at_in_turn_whether_they_are_gone(collector, tmp_path):
    gone = [Namespace(f"{i:012x}", tmp_path / "gone", (0, i), i, Kernel(), True) for i in range(2, 62)]
    collector.roster.by_name |= {namespace.name: namespace for namespace in gone}
    found = []
    for _ in range(3):
        assert collector.roster.bury(100.0) == []
        found.append(sum(namespace.dead_since is not None for namespace in gone))
    assert 0 < found[0] <= 25 < found[1] < found[2] == 60


def test_old_dumps_are_made_anew_a_few_at_a_reading(tmp_path):
    clock = {"now": 100.0}
    made = Collector(
        Params(counts_at_once=100, dumps_at_once=10),
        tmp_path,
        Registry(),
        Figures(),
        now=lambda: clock["now"],
    )
    for slot in range(1, 26):
        name = f"{slot:012x}"
        made.roster.by_name[name] = Namespace(name, None, (0, slot), slot, Kernel(), True)
    made.roster.with_events = list

    def dumps(**how):
        before = made._figures.counts()["dumps"]
        made.read(**how)
        return made._figures.counts()["dumps"] - before

    assert [dumps(), dumps(), dumps(last=True)] == [25, 0, 0]
    clock["now"] += Params().dump_every_s + 1
    assert [dumps(last=True), *(dumps() for _ in range(4))] == [0, 10, 10, 5, 0]


def test_a_reading_shortly_before_an_interval_s_last_one_is_left_to_that(collector):
    due = [collector._next(100.0, interval_ends=ends) for ends in (110.0, 101.2, 100.9)]
    assert 100.8 <= due[0] <= 101.2
    assert due[1:] == [101.2, 100.9]
    assert (
        collector._next(80.0, interval_ends=110.0) >= 99.8
    )  # the machine slept: no readings are made up for


def test_a_connection_waits_until_docker_has_told_whose_it_is(collector, kernel):
    """In a shared namespace Docker tells of a container later than its first packet goes."""
    collector._sharing.slots.add(1)
    kernel.sockets = message(cookie=1, bytes_sent=100, cgroup=5)
    assert len(finished(collector).rows) == 0
    collector._sharing.owners._cgroups[5] = "c" * 64
    pass_time(collector, 2)
    kernel.sockets = message(cookie=1, bytes_sent=300, cgroup=5)
    told = each(finished(collector).rows)
    assert [(key.owner, int(sums.counters[0]), sums.new) for key, _, sums in told] == [("c" * 64, 300, 1)]


def test_a_connection_of_which_nobody_tells_is_not_held_back_for_long(collector, kernel):
    collector._sharing.slots.add(1)
    kernel.sockets = message(cookie=1, bytes_sent=100, cgroup=5)
    assert len(finished(collector).rows) == 0
    pass_time(collector, Params().patience_s)
    told = each(finished(collector).rows)
    assert [(key.owner, key.note, int(sums.counters[0])) for key, _, sums in told] == [(None, NOBODY, 100)]
