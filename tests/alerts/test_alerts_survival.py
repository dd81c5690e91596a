"""Nothing is lost: not by kill -9, not while the receiver is away, not by a slow one."""

import json
import multiprocessing
import random
import re
import resource
import signal
import socket
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from alert_events import DIRTY, ONSET, event, pairs
from certificates import certificates
from daemons import wait_for
from flapping import HURT, STEPS, copied, serve
from rsyslog import rsyslogd

from correlator.alerts.outbox import Delivery, Terms
from correlator.alerts.syslog import SyslogParams, SyslogSink
from correlator.model import Incident, IncidentEvent
from correlator.ports import SinkError
from correlator.store.state import SqliteState

SECOND = timedelta(seconds=1)
SEQ = re.compile(
    rb'<171>1 \S+ \S+ correlator \d+ INCIDENT_OPENED \[correlator@32473 incident="\S+" seq="(\d+)" .*p=0.98$'
)
KILLS = 50
STEP_S = 180.0  # for hundreds of steps on a machine that has other work too


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_flapping_link_and_kill_9_of_the_service_fifty_times_lose_nothing_and_double_nothing(
    tmp_path, transport, monkeypatch
):
    monkeypatch.setattr("correlator.alerts.connection.VERDICT_S", 0.0)  # our certificate is the right one
    dice, fork = random.Random(7), multiprocessing.get_context("fork")
    IncidentEvent.from_json(event(HURT).to_json())  # pydantic's readers are built once, not in every process
    Incident.from_json(Incident("", "", "open", HURT, ONSET, ONSET).to_json())
    pems, copies = certificates(tmp_path), tmp_path / "copies"
    copies.touch()
    ends = [*sorted(dice.sample(range(1, STEPS), KILLS)), STEPS]
    reached = fork.Value("i", 0)
    with rsyslogd(tmp_path, pems) as daemon:
        files = {"ca_file": pems["ca"], "cert_file": pems["client"], "key_file": pems["client_key"]}
        settings = files if transport == "tls" else {}
        params = SyslogParams("127.0.0.1", getattr(daemon, transport), transport, **settings)
        for until in ends:
            service = fork.Process(target=serve, args=(tmp_path, params, until, reached))
            service.start()
            if until < STEPS:
                _kill_about(service, reached, dice.randint(reached.value + 1, until), dice.uniform(0, 0.02))
            service.join()
            assert service.exitcode == (-signal.SIGKILL if until < STEPS else 0)
        received = _received(daemon, f"beside-{STEPS - 1}")
    once = dict.fromkeys((one["incident"], int(one["seq"]), one["event.action"]) for one in received)
    beside = [incident for incident, _, _ in once if incident.startswith("beside")]
    assert beside == [f"beside-{number}" for number in range(STEPS)]
    life = [(seq, what) for incident, seq, what in once if not incident.startswith("beside")]
    assert [seq for seq, _ in life] == list(range(1, len(life) + 1))
    assert (life[0][1], life[-1][1]) == ("opened", "cleared")
    assert [what for _, what in life].count("updated") == len(life) - 2 <= 6
    kept = [tuple(event) for one in copied(copies) for event in one["events"]]
    assert len(set(kept)) == len(kept)  # the store's own copy has each event, and each once
    assert set(kept) == {(incident, seq) for incident, seq, _ in once}


def _kill_about(service, reached, number: int, later_s: float) -> None:
    """Kill -9 the service in whatever it does a moment after its step ``number``."""
    wait_for(lambda: reached.value >= number or service.exitcode is not None, f"step {number}", STEP_S)
    service.join(later_s)
    service.kill()


def _received(daemon, last: str) -> list[dict]:
    path = daemon.folder / "received"
    wait_for(lambda: path.exists() and f"{last}" in path.read_text(), last)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [json.loads(line["elements"])["correlator@32473"] for line in lines]


class Collector:
    """A receiver on TCP that keeps the seq of every line; ``reads`` is how many bytes it takes at a time."""

    def __init__(self, address=("127.0.0.1", 0), reads: int = 65_536) -> None:
        self.listener = socket.create_server(address)
        self.seqs: list[int] = []
        self._reads = reads
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        peer, _ = self.listener.accept()
        rest = b""
        while data := peer.recv(self._reads):
            *lines, rest = (rest + data).split(b"\n")
            self.seqs += [int(SEQ.match(line)[1]) for line in lines]

    def close(self) -> None:
        self._thread.join(20)
        self.listener.close()


@pytest.mark.slow
def test_60000_messages_while_the_receiver_is_away_come_in_order_afterwards_and_memory_is_flat(tmp_path):
    count, at_a_time = 60_000, 1000
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = probe.getsockname()
    state = SqliteState(tmp_path / "state.sqlite", ["syslog"])
    sink = SyslogSink(SyslogParams(*address, transport="tcp"))
    delivery = Delivery(state, sink, Terms(per_minute=10**6))
    small = replace(DIRTY, pairs=pairs(1))
    memory = []
    for first in range(1, count, at_a_time):  # ten seconds at 100 a second
        numbers = range(first, first + at_a_time)
        state.commit([], [event(small, seq=n, at=ONSET + n * SECOND / 100) for n in numbers])
        with pytest.raises(SinkError):
            delivery.hand_over(ONSET)
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert state.waiting("syslog") == count
    collector = Collector(address)
    while state.waiting("syslog"):
        delivery.hand_over(ONSET)
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    sink.close()
    collector.close()
    assert collector.seqs == list(range(1, count + 1))
    assert memory[-1] - memory[5] < 48 * 1024  # KiB: the collector's list, fragments of the heap


def test_a_slow_receiver_gets_every_line_in_order_and_no_call_takes_longer_than_its_time(tmp_path):
    state = SqliteState(tmp_path / "state.sqlite", ["syslog"])
    state.commit([], [event(seq=n) for n in range(1, 401)])
    collector = Collector(reads=256)
    sink = SyslogSink(SyslogParams(*collector.listener.getsockname(), transport="tcp", timeout_s=0.2))
    delivery = Delivery(state, sink)
    while state.waiting("syslog"):
        assert delivery.hand_over(ONSET) >= 1
    sink.close()
    collector.close()
    assert collector.seqs == list(range(1, 401))


class Kept:
    """A sink that keeps which incidents it was told of, and what was said about the lines themselves."""

    name = "syslog"

    def __init__(self) -> None:
        self.incidents: list[str] = []
        self.remarks: list[tuple[str, int]] = []

    def send(self, events) -> int:
        self.incidents += [event.incident for event in events]
        return len(events)

    def remark(self, at, what, count, text) -> None:
        self.remarks.append((what, count))

    def close(self) -> None:
        """There is nothing to let go of."""


def test_ten_thousand_incidents_at_once_come_in_order_as_fast_as_they_may_and_the_rest_is_announced(tmp_path):
    names = [f"incident-{number}" for number in range(10_000)]
    state, sink = SqliteState(tmp_path / "state.sqlite", ["syslog"]), Kept()
    small = replace(DIRTY, pairs=())
    state.commit([Incident(name, name, "open", small, ONSET, ONSET) for name in names],
                 [event(small, incident=name) for name in names])  # fmt: skip
    delivery = Delivery(state, sink)
    assert [delivery.hand_over(ONSET) for _ in range(8)] == [1000] * 6 + [0, 0]
    assert [delivery.hand_over(ONSET + 60 * SECOND) for _ in range(5)] == [1000] * 4 + [0]
    assert sink.incidents == names
    assert sink.remarks == [("held_back", 4000)]
    assert len(state.incidents()) == len(names)
