"""``correlator run`` itself, killed again and again while a link flaps: nothing is lost, nothing doubled.

The service is the real one: its own process with the real wiring, clock, pollers, store, state and
engine, over SNMP and HTTP before it and a real rsyslog behind it, by TCP and by TLS at once.
``CORRELATOR_KILLS=50`` tells the whole story: as many kills, and 200 flaps.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import flapping_network
import pytest
import yaml
from certificates import certificates
from rsyslog import rsyslogd

from correlator import wiring
from correlator.config import load
from correlator.pipeline import COPY

KILLS = int(os.environ.get("CORRELATOR_KILLS", "4"))
FLAPS = 4 * KILLS
MORE_S = 2.0 if KILLS < 50 else 12.0
WAIT_S, ENDS_WITHIN_S = 180.0, 20.0
PERIODS = {"counters_s": 2, "cycle_s": 2, "hosts_s": 5, "optics_s": 60, "topology_s": 60}
ENGINE = {"window": 20, "incidents.well_for": 4, "incidents.most_doublings": 1}
MOMENTS = ("event=start", "event=cycle", "event=incident")  # so that kills hit every part of the chain
MOMENT_S = 30.0  # a moment that does not come (a slow machine has fewer cycles) is not waited for longer
LINK = " - ".join(" ".join(end) for end in flapping_network.LINK)
FACILITIES = {"tcp": 16, "tls": 17}  # local0, local1: a receiver each, for one rsyslog hears both


@pytest.mark.real
@pytest.mark.slow
def test_correlator_run_killed_while_a_link_flaps_and_hurts_10000_pairs_loses_and_doubles_nothing(tmp_path):
    dice, pems, log = random.Random(7), certificates(tmp_path), tmp_path / "service.log"
    with rsyslogd(tmp_path, pems) as receiver, network(tmp_path) as told, log.open("wb") as out:
        config = load(configure(tmp_path, told, receiver, pems))
        lines, history = Lines(receiver), flapping_network.history(datetime.now(UTC))
        wiring.open_store(config).append("pair_hours", history, source="history", sequence=0)
        for number in range(KILLS):
            with service(tmp_path, out, log, MOMENTS[number % len(MOMENTS)]) as process:
                time.sleep(dice.uniform(0, MORE_S))
                process.kill()
                assert process.wait(ENDS_WITHIN_S) == -signal.SIGKILL, log.read_text()[-2000:]
        with service(tmp_path, out, log, "event=start") as process:
            wait(lambda: "10000" in lines.hurt("tcp"), "the line that says so", log)
            wait(lambda: int((tmp_path / "flaps").read_text()) >= FLAPS, f"{FLAPS} flaps", log)
            (tmp_path / "well").touch()
            state = wiring.open_state(config)
            wait(
                lambda: not any(one.state == "open" for one in state.incidents()),
                "everything to be well",
                log,
            )
            queues = [COPY, *FACILITIES]
            wait(lambda: not any(map(state.waiting, queues)), "the outbox to be empty", log)
            process.terminate()
            assert process.wait(ENDS_WITHIN_S) == 0
        kept = copied(config)
        wait(lambda: all(set(lines.of(way)) >= set(kept) for way in FACILITIES), "every line", log)
    assert "Traceback" not in log.read_text()
    assert len(set(kept)) == len(kept)  # the store's own copy has each event, and each once
    for way in FACILITIES:
        once = dict.fromkeys(lines.of(way))  # equal incident and seq are repeats
        assert set(once) == set(kept)
        life = lines.flapping(way)
        assert len({incident for incident, _, _ in life}) == 1
        assert [seq for _, seq, _ in life] == list(range(1, len(life) + 1))
        assert [what for _, _, what in life] == ["opened", *["updated"] * (len(life) - 2), "cleared"]
        assert len(life) - 2 <= 6
        assert "10000" in lines.hurt(way)


class Lines:
    """What rsyslog has understood so far, by the way that it came."""

    def __init__(self, receiver) -> None:
        self._path = receiver.folder / "received"

    def of(self, way: str) -> list[tuple[str, int, str]]:
        """Return incident, seq and event of each line, repeats included."""
        return [_event(fields) for fields in self._fields(way)]

    def flapping(self, way: str) -> list[tuple[str, int, str]]:
        """Return those of the link that flaps, without repeats."""
        return list(dict.fromkeys(_event(fields) for fields in self._fields(way) if _is_of(fields)))

    def hurt(self, way: str) -> set[str]:
        """Return how many pairs the link that flaps was said to hurt."""
        return {fields["pairs"] for fields in self._fields(way) if _is_of(fields) and "pairs" in fields}

    def _fields(self, way: str) -> Iterator[dict[str, str]]:
        whole = self._path.read_text().rpartition("\n")[0] if self._path.exists() else ""
        for line in map(json.loads, whole.splitlines()):
            if int(line["facility"]) == FACILITIES[way]:
                yield json.loads(line["elements"])["correlator@32473"]


def _event(fields: dict[str, str]) -> tuple[str, int, str]:
    return fields["incident"], int(fields["seq"]), fields["event.action"]


def _is_of(fields: dict[str, str]) -> bool:
    return fields.get("link") == LINK


def copied(config) -> list[tuple[str, int, str]]:
    """Return incident, seq and event of each event in the store's own copy."""
    now = datetime.now(UTC)
    table = wiring.open_store(config).read("incident_events", now - timedelta(days=1), now)
    return list(zip(table["incident"], table["seq"], table["event"], strict=True))


def wait(condition, what: str, log: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_S} s for {what}: {log.read_text()[-2000:]}"
        time.sleep(0.2)


@contextlib.contextmanager
def network(folder: Path) -> Iterator[dict[str, dict[str, int]]]:
    """Run the network until the body ends; return the ports of its switches and hosts."""
    program, told = flapping_network.__file__, folder / "network.json"
    with (folder / "network.log").open("wb") as out:
        process = subprocess.Popen([sys.executable, program, str(folder)], stdin=subprocess.PIPE, stderr=out)
    try:
        wait(told.exists, "the network", folder / "network.log")
        yield json.loads(told.read_text())
    finally:
        process.communicate(b"", ENDS_WITHIN_S)


@contextlib.contextmanager
def service(folder: Path, out, log: Path, event: str) -> Iterator[subprocess.Popen]:
    """Start the service; yield it once it logged such an event, or ``MOMENT_S`` after its start.

    It ends with the body at the latest.
    """
    before = len(log.read_bytes())
    command = [sys.executable, "-m", "correlator.cli", "run", "-c", str(folder / "correlator.yaml")]
    process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        wait(
            lambda: b"event=start" in log.read_bytes()[before:] or process.poll() is not None, "a start", log
        )
        told, late = event.encode(), time.monotonic() + MOMENT_S
        wait(lambda: told in log.read_bytes()[before:] or time.monotonic() > late, event, log)
        assert process.poll() is None, log.read_text()[-2000:]
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def configure(folder: Path, told: dict[str, dict[str, int]], receiver, pems: dict[str, Path]) -> Path:
    """Write the configuration of a service for that network, with rsyslog behind it; return its path."""
    (folder / "community").write_text("public")
    (folder / "token").write_text("token")
    files = {"ca_file": "ca", "cert_file": "client", "key_file": "client_key"}
    sinks = [
        {
            "name": way,
            "address": "127.0.0.1",
            "port": getattr(receiver, way),
            "transport": way,
            "facility": number,
        }
        for way, number in FACILITIES.items()
    ]
    sinks[1] |= {key: str(pems[name]) for key, name in files.items()}
    document = {
        "switches": [
            {"name": name, "address": "127.0.0.1", "port": port, "community_file": "community"}
            for name, port in told["switches"].items()
        ],
        "hosts": [
            {"name": name, "url": f"http://127.0.0.1:{port}", "token_file": "token"}
            for name, port in told["hosts"].items()
        ],
        "snmp": {"requests_per_second": 1000},
        "periods": PERIODS,
        "engine": ENGINE,
        "store": {"path": "tables"},
        "state": {"path": "state.sqlite"},
        "report": {"directory": "reports"},
        "alerts": {"syslog": sinks},
    }
    path = folder / "correlator.yaml"
    path.write_text(yaml.safe_dump(document))
    return path
