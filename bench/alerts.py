"""What delivery does while a receiver is away for ten minutes, and while it is slow, in real time.

    python bench/alerts.py [away|slow|both] [--messages 60000] [--per-second 100] [--seconds 90]

``away``: messages arise at that rate, over TCP nobody listens; then somebody does. Prints how many came,
whether in order, and the memory; exits 1 where one is missing or doubled, or memory grew by more than 32 MB.
``slow``: ``correlator run`` over a simulated fabric, with 50,000 lines waiting for a receiver that takes 1 kB
a second, beside one that takes all at once. Prints how far apart polls and cycles were, with each.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from correlator.alerts.outbox import Delivery, Terms
from correlator.alerts.syslog import SyslogParams, SyslogSink
from correlator.commands.fabric import ready, running
from correlator.commands.play import write_configuration
from correlator.model import Action, End, Evidence, IncidentEvent, Link, PairImpact, Verdict, Window
from correlator.pipeline import COPY
from correlator.ports import SinkError
from correlator.store.state import SqliteState

SEQ = re.compile(rb'^<\d+>1 .* incident="bench" seq="(\d+)" .*p=0\.98$')
EACH_S, LOOK_S = 0.1, 5.0
"""How often messages arise, and how often the service looks for some that wait, seconds."""
MOST_GROWN_MB = 32
PERIOD_S, WAITING, SLOW_BYTES = 5, 50_000, 1000
LOGGED = re.compile(r"^(\S+ \S+) \S+ correlator\.\w+ event=(\w+) ?(?:group=(\w+))?")


def event(seq: int, at: datetime) -> IncidentEvent:
    """Return one of many events of an incident that hurts twenty pairs, as an outbox keeps it."""
    link = Link.between(End("leaf2", "Ethernet49"), End("spine1", "Ethernet2"))
    pairs = (PairImpact("c", "d", "web-1", "db-1", 5.2, 4.0, 6.0, 3.0, 1.0, 0.9),) * 20
    verdict = Verdict(
        id="v", kind="link", link=link, direction="b_to_a", root_cause="dirty_connector", probability=0.98,
        severity="err", onset=at, window=Window(at, at),
        actions=(Action(1, "inspect_and_clean", "leaf2", "Ethernet49", None, "rx"),),
        evidence=(Evidence("errors", 0.006, 30.0, "0.6 % of packets lost"),), pairs=pairs,
    )  # fmt: skip
    return IncidentEvent("bench", seq, at, "updated", "err", verdict, at, "severity warning -> err")


class Receiver:
    """Takes lines over TCP, ``bytes_s`` a second at most, and keeps the numbers that they carry."""

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", 0), bytes_s: int | None = None) -> None:
        self._listener = socket.create_server(address)
        self.address = self._listener.getsockname()
        self.lines, self.out_of_order, self.last = 0, 0, 0
        self._bytes_s = bytes_s
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            peer, _ = self._listener.accept()
            if self._bytes_s:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            threading.Thread(target=self._read, args=(peer,), daemon=True).start()

    def _read(self, peer: socket.socket) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while data := peer.recv(self._bytes_s or 65_536):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._note(line)
                if self._bytes_s:
                    time.sleep(1)

    def _note(self, line: bytes) -> None:
        found = SEQ.match(line)
        if found:
            self.lines += 1
            self.out_of_order += int(found[1]) != self.last + 1
            self.last = int(found[1])


def memory_mb() -> float:
    """Return what this process holds now, MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def away(messages: int, per_second: int) -> int:
    """Let messages arise while nobody listens; return the exit code."""
    with tempfile.TemporaryDirectory(prefix="bench-alerts-") as folder:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            address = probe.getsockname()
        state = SqliteState(Path(folder) / "state.sqlite", ["syslog"])
        sink = SyslogSink(SyslogParams(*address, transport="tcp"))
        delivery = Delivery(state, sink, Terms(per_minute=10**6))
        held, refused, took_s = _arise(state, delivery, messages, per_second)
        size_mb = sum(file.stat().st_size for file in Path(folder).iterdir()) / 2**20
        print(
            f"{messages} messages arose in {took_s:.0f} s, {refused} tries in vain; outbox {size_mb:.0f} MB"
        )
        receiver, begun = Receiver(address), time.monotonic()
        while state.waiting("syslog"):
            delivery.hand_over(datetime.now(UTC))
            held.append(memory_mb())
        sink.close()
        time.sleep(1)
        took_s = time.monotonic() - begun - 1
        print(f"then {receiver.lines} came within {took_s:.0f} s, {receiver.out_of_order} out of order")
        settled = held[len(held) // 20]
        print(
            f"memory: {settled:.1f} MB at first, {max(held):.1f} MB at most (at most {MOST_GROWN_MB} MB more)"
        )
        whole = (receiver.lines, receiver.out_of_order) == (messages, 0)
        return int(not whole or max(held) - settled > MOST_GROWN_MB)


def _arise(
    state: SqliteState, delivery: Delivery, messages: int, per_second: int
) -> tuple[list[float], int, float]:
    """Commit messages a few at a time; return the memory held, the tries in vain, and the seconds."""
    begun, looked, refused, held, seq = time.monotonic(), 0.0, 0, [memory_mb()], 0
    while seq < messages:
        upto = min(messages, int((time.monotonic() - begun) * per_second))
        now = datetime.now(UTC)
        state.commit([], [event(number, now) for number in range(seq + 1, upto + 1)])
        seq = upto
        if time.monotonic() - looked >= LOOK_S:
            looked = time.monotonic()
            try:
                delivery.hand_over(now)
            except SinkError:
                refused += 1
            held.append(memory_mb())
        time.sleep(EACH_S)
    return held, refused, time.monotonic() - begun


def slow(seconds: int) -> int:
    """Run the service with a slow receiver and with a prompt one; return the exit code."""
    for said, bytes_s in (("takes all at once", None), (f"takes {SLOW_BYTES} bytes a second", SLOW_BYTES)):
        with tempfile.TemporaryDirectory(prefix="bench-alerts-") as name:
            folder, receiver = Path(name), Receiver(bytes_s=bytes_s)
            with running(folder / "fabric", ["--seed", "2", "--speed", "real"]) as process:
                config = _configure(folder, ready(process, folder / "fabric"), receiver.address[1])
                state = SqliteState(folder / "state.sqlite", [COPY, "receiver"])
                state.commit([], [event(seq, datetime.now(UTC)) for seq in range(1, WAITING + 1)])
                log = _served(config, folder, seconds)
            print(f"a receiver that {said}: {receiver.lines} of {WAITING} lines taken in {seconds} s")
            for what in ("counters", "optics", "hosts", "cycle"):
                print(f"  {what}: {_apart(log, what)}")
            print(f"  left out: {log.count('event=missed')}, faults: {log.count('event=bug')}")
    return 0


def _configure(folder: Path, fabric: object, port: int) -> Path:
    path = write_configuration(folder, fabric, port)  # type: ignore[arg-type]
    periods = dict.fromkeys(("counters_s", "optics_s", "hosts_s", "cycle_s"), PERIOD_S) | {"topology_s": 30}
    sink = {"name": "receiver", "address": "127.0.0.1", "port": port, "transport": "tcp", "per_minute": 10**6}
    document = yaml.safe_load(path.read_text()) | {"periods": periods, "alerts": {"syslog": [sink]}}
    path.write_text(yaml.safe_dump(document))
    return path


def _served(config: Path, folder: Path, seconds: int) -> str:
    """Return what the service logged in so many seconds."""
    with (folder / "log").open("wb") as out:
        command = [sys.executable, "-m", "correlator.cli", "run", "-c", str(config)]
        with subprocess.Popen(command, stdout=out, stderr=out) as service:
            time.sleep(seconds)
            service.terminate()
    return (folder / "log").read_text()


def _apart(log: str, what: str) -> str:
    """Return how far apart the log's lines of a kind are, in words."""
    at = [datetime.fromisoformat(when.replace(",", ".")) for when, *kind in _lines(log) if what in kind]
    apart = [(later - earlier) / timedelta(seconds=1) for earlier, later in itertools.pairwise(at)]
    if len(apart) < 2:
        return "too few"
    return f"{len(at)} times, {statistics.median(apart):.1f} s apart (longest {max(apart):.1f} s)"


def _lines(log: str) -> Iterator[tuple[str, ...]]:
    for line in log.splitlines():
        if found := LOGGED.match(line):
            yield found.groups("")


def main() -> int:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("story", nargs="?", choices=("away", "slow", "both"), default="both")
    arguments.add_argument("--messages", type=int, default=60_000)
    arguments.add_argument("--per-second", type=int, default=100)
    arguments.add_argument("--seconds", type=int, default=90)
    given = arguments.parse_args()
    failed = 0
    if given.story != "slow":
        failed |= away(given.messages, given.per_second)
    if given.story != "away":
        failed |= slow(given.seconds)
    return failed


if __name__ == "__main__":
    sys.exit(main())
