"""``correlator run`` as its own process: a fabric in real time before it, a real rsyslog behind it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from certificates import certificates
from rsyslog import rsyslogd

from correlator import frames, wiring
from correlator.commands.fabric import ready, running
from correlator.commands.play import write_configuration
from correlator.config import load

PERIOD_S = 5
WAIT_S = 180
ENDS_WITHIN_S = 15
DOWN_S = 20
PERIODS = dict.fromkeys(("counters_s", "optics_s", "hosts_s", "cycle_s"), PERIOD_S) | {"topology_s": 30}
ENGINE = {
    "window": 30,  # six polls, where the default is of five
    "incidents.bad_to_open": 6,  # cycles come twelve times as often: a reading's noise must not open
    "incidents.well_for": 15,  # three cycles, as the default is of nearly two
}


class Service:
    """The service's process, and what it is told to end with."""

    def __init__(self, config, log):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "correlator.cli", "run", "-c", str(config)], stderr=log, stdout=log
        )

    def end(self, number):
        self.process.send_signal(number)
        return self.process.wait(ENDS_WITHIN_S)


@contextlib.contextmanager
def ended(services):
    """Kill at the end whatever a failed test left running."""
    try:
        yield
    finally:
        for service in services:
            if service.process.poll() is None:
                service.process.kill()
                service.process.wait()


def wait_for(condition, what, service, log):
    give_up = time.monotonic() + WAIT_S
    while not condition():
        assert service.process.poll() is None, f"the service ended: {log.read_text()[-2000:]}"
        assert time.monotonic() < give_up, f"waited {WAIT_S} s for {what}: {log.read_text()[-2000:]}"
        time.sleep(0.2)


def configure(directory, fabric, port):
    """Write a configuration of five-second periods, and store the fabric's history; return its path."""
    path = write_configuration(directory, fabric, port)
    document = yaml.safe_load(path.read_text()) | {"periods": PERIODS, "engine": ENGINE}
    document["alerts"]["syslog"][0] |= {"transport": "tcp", "name": "rsyslog"}
    path.write_text(yaml.safe_dump(document))
    store = wiring.open_store(load(path))
    for file in fabric.history.glob("*.parquet"):
        table = frames.from_arrow(file.stem, pq.read_table(file))
        store.append(file.stem, table, source="history", sequence=0)
    return path


class Lines:
    """What rsyslog has understood so far."""

    def __init__(self, receiver):
        self.path = receiver.folder / "received"

    def of(self, event):
        """Return the fields of each line about a link that tells of such an event."""
        told = self.path.read_text("utf-8").splitlines() if self.path.exists() else []
        fields = [next(iter(json.loads(json.loads(line)["elements"]).values())) for line in told]
        return [one for one in fields if (one["event.action"], one["kind"]) == (event, "link")]


@pytest.mark.real
@pytest.mark.slow
def test_a_fault_is_told_once_across_kill_9_and_cleared_once_after_its_repair(tmp_path):
    log, services = tmp_path / "service.log", []
    with (
        ended(services),
        log.open("wb") as out,
        rsyslogd(tmp_path, certificates(tmp_path)) as receiver,
        running(
            tmp_path / "fabric", ["--seed", "2", "--story", "dirty_connector", "--speed", "real"]
        ) as process,
    ):
        fabric, lines = ready(process, tmp_path / "fabric"), Lines(receiver)
        config = load(configure(tmp_path, fabric, receiver.tcp))
        store, state = wiring.open_store(config), wiring.open_state(config)
        targets = 3 * len(config.switches) + len(config.hosts)

        def polls():
            now = datetime.now(UTC)
            return store.read("polls", now - timedelta(hours=1), now)

        def started():
            service, before = Service(tmp_path / "correlator.yaml", out), len(polls())
            services.append(service)
            wait_for(lambda: len(polls()) >= before + 3 * targets, "three rounds of polls", service, log)
            return service

        service = started()
        fabric.fault()
        wait_for(lambda: lines.of("opened"), "an opening", service, log)
        truth = fabric.truth()[0]
        service.end(signal.SIGKILL)
        killed, known = datetime.now(UTC), opened_in(state)
        time.sleep(DOWN_S)

        service = started()
        assert opened_in(state) == known
        fabric.repair()
        wait_for(lambda: lines.of("cleared"), "a clearing", service, log)
        assert service.end(signal.SIGTERM) == 0
        assert opened_in(state) == []

    (opened,), (cleared,) = lines.of("opened"), lines.of("cleared")
    assert opened["incident"] == cleared["incident"] == known[0]
    assert opened["root_cause"] == truth["root_cause"]
    assert {opened["observer.name"], opened["observer.ingress.interface.name"]} == {
        truth["actions"][0][key] for key in ("device", "if_name")
    }
    assert_one_gap(polls(), killed)
    assert "Traceback" not in log.read_text()


def opened_in(state):
    return [
        incident.id for incident in state.incidents() if incident.state == "open" and incident.verdict.link
    ]


def assert_one_gap(polls: pd.DataFrame, killed: datetime) -> None:
    """Assert that every target was polled all along but for one time, and that this time is said."""
    often = polls[polls["ok"]].drop_duplicates(["target", "at"])
    for target, rows in often.groupby("target"):
        at = rows["at"].sort_values(ignore_index=True)
        pauses = at.diff().dt.total_seconds()
        (ended_gap,) = at[pauses > DOWN_S]
        assert pauses[at != ended_gap].max() < DOWN_S - PERIOD_S, target  # a busy machine misses a poll
        before = at[at < pd.Timestamp(killed)].max()
        said = polls[(polls["target"] == target) & (polls["at"] >= ended_gap)].dropna(subset="gap_from")
        assert said["gap_from"].min() >= before - timedelta(seconds=PERIODS["topology_s"]), target
        assert said["gap_from"].min() <= before, target
