"""What delivery does while a receiver is away for ten minutes, in real time.

    python bench/alerts.py [--messages 60000] [--per-second 100]

Messages arise at that rate, over TCP nobody listens; then somebody does. Prints how many came, whether in
order, and the memory; exits 1 where one is missing or doubled, or memory grew by more than 32 MB.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import resource
import socket
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from correlator.alerts.outbox import Delivery, Terms
from correlator.alerts.syslog import SyslogParams, SyslogSink
from correlator.model import Action, End, Evidence, IncidentEvent, Link, PairImpact, Verdict, Window
from correlator.ports import SinkError
from correlator.store.state import SqliteState

SEQ = re.compile(rb'^<\d+>1 .* incident="bench" seq="(\d+)" .*p=0\.98$')
EACH_S, LOOK_S = 0.1, 5.0
"""How often messages arise, and how often the service looks for some that wait, seconds."""
MOST_GROWN_MB = 32


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


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--messages", type=int, default=60_000)
    arguments.add_argument("--per-second", type=int, default=100)
    given = arguments.parse_args()
    return away(given.messages, given.per_second)


if __name__ == "__main__":
    sys.exit(main())
