"""``correlator run`` before the lab, a real rsyslogd behind it; what it told, and a past to compare with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import agent_lab
import lab_switch
import pandas as pd
import yaml
from real_lab import Lab

from correlator import frames, wiring
from correlator.config import load
from correlator.engine.rollup import roll_up
from correlator.model import Incident

PERIOD_S = 5
PERIODS = dict.fromkeys(("counters_s", "optics_s", "hosts_s", "cycle_s"), PERIOD_S) | {"topology_s": 10}
ENGINE = {
    "window": 30,  # six polls, where the default is of five
    "measures.times_s": 12,  # two polls and a bit, as the default
    "bursts.times_s": 12,
    "incidents.good_to_clear": 4,
    "incidents.well_for": 15,
}
SIGNED = {
    "user": lab_switch.USER,
    "auth": "sha256",
    "auth_password_file": "auth",
    "priv": "aes128",
    "priv_password_file": "priv",
}
SLICE = timedelta(seconds=15)  # of measured time that stands for one hour of the past
HOURS = 24
ERR = 3


@dataclass(frozen=True)
class Told:
    """One line that rsyslogd understood."""

    severity: int
    text: str
    fields: dict[str, Any]

    @property
    def event(self) -> str:
        return str(self.fields.get("event.action"))

    @property
    def incident(self) -> str:
        return str(self.fields.get("incident"))


class Service:
    """The service's process, its store and state, and the lines that reached the receiver."""

    def __init__(self, lab: Lab, receiver: Any) -> None:
        self._lab, self._receiver = lab, receiver
        self._folder = lab.machine.home / "service"
        self._folder.mkdir(mode=0o755)
        self.file = self._folder / "correlator.yaml"
        self.config = load(self._configure())
        self.store = wiring.open_store(self.config)
        self.process: subprocess.Popen[bytes] | None = None

    def _configure(self) -> Path:
        plan, folder = self._lab.plan, self._folder
        (folder / "community").write_text(lab_switch.COMMUNITY)
        (folder / "token").write_text(agent_lab.TOKEN)
        (folder / "auth").write_text(lab_switch.AUTH)
        (folder / "priv").write_text(lab_switch.PRIV)
        switches = [
            {"name": name, "address": plan.management(name), "forwarding": "store_and_forward"}
            | (SIGNED if name in plan.signed else {})
            for name in plan.switches
        ]
        document = {
            "snmp": {"community_file": "community"},
            "switches": switches,
            "agents": {"token_file": "token", "ca_file": str(self._lab.papers / "ca.pem")},
            "hosts": [{"name": host.name, "url": host.url} for host in self._lab.hosts.values()],
            "periods": PERIODS,
            "engine": ENGINE,
            "store": {"path": "tables"},
            "state": {"path": "state.sqlite"},
            "report": {"directory": "reports"},
            "alerts": {
                "syslog": [
                    {
                        "name": "rsyslog",
                        "address": "127.0.0.1",
                        "port": self._receiver.tcp,
                        "transport": "tcp",
                    }
                ]
            },
        }
        self.file.write_text(yaml.safe_dump(document, sort_keys=False))
        return self.file

    def start(self) -> None:
        command = [sys.executable, "-m", "correlator.cli", "run", "-c", self.file]
        environment = os.environ | {"PYTHONPATH": str(agent_lab.ROOT)}
        self.process = self._lab.machine.start("service", command, env=environment)

    def end(self) -> int:
        """End the service; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    @property
    def log(self) -> str:
        return (self._lab.machine.home / "service.log").read_text()

    def cycles(self) -> int:
        """Return how many cycles have been run."""
        return self.log.count("event=cycle ")

    # -- what it concluded ------------------------------------------------------------------------------

    def incidents(self) -> list[Incident]:
        state = wiring.open_state(self.config)
        try:
            return [one for one in state.incidents() if one.state == "open"]
        finally:
            state.close()

    def lines(self) -> list[Told]:
        """Return the lines that the receiver has understood so far."""
        path = self._receiver.folder / "received"
        if not path.exists():
            return []
        return [_told(json.loads(line)) for line in path.read_text("utf-8").splitlines()]

    def read(self, name: str, since: datetime) -> pd.DataFrame:
        return self.store.read(name, since, datetime.now(UTC) + timedelta(seconds=1))

    def first_sentence(self, day: date) -> str:
        """Return how the report of a day (UTC) begins, as the command writes it."""
        return self.command("report", "--date", day.isoformat(), "--format", "md").splitlines()[0]

    def explain(self, one: str, other: str, at: datetime) -> dict[str, Any]:
        """Return what ``correlator explain`` says of two containers at a time."""
        said = self.command("explain", one, other, "--json", "--at", at.isoformat())
        answer: dict[str, Any] = json.loads(said)
        return answer

    def command(self, name: str, *arguments: str) -> str:
        """Return what one of the service's commands prints."""
        said = subprocess.run(
            [sys.executable, "-m", "correlator.cli", name, "-c", self.file, *arguments],
            env=os.environ | {"PYTHONPATH": str(agent_lab.ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert said.returncode == 0, said.stderr
        return said.stdout

    # -- the past ---------------------------------------------------------------------------------------

    def remember(self, since: datetime) -> int:
        """Store hours of the past, each made of a slice of what was measured since; return how many slices.

        The measured rows are moved in time, slice by slice, and summed up as the service sums up hours.
        """
        until = datetime.now(UTC)
        tables = {name: self.read(name, since) for name in ("counters", "optics", "pair_samples")}
        tables |= {name: self.store.newest(name, until) for name in ("interfaces", "containers", "hosts")}
        slices = list(_slices(since, until))
        last = until.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
        made: dict[str, list[pd.DataFrame]] = {}
        for number in range(HOURS):
            begin = slices[number % len(slices)]
            hour = last - timedelta(hours=number)
            for name, table in roll_up(_moved(tables, begin, hour), hour).items():
                made.setdefault(name, []).append(table)
        for name, parts in made.items():
            whole = frames.validate(name, pd.concat(parts, ignore_index=True))
            self.store.append(name, whole, source="past", sequence=0)
        return len(slices)


def _slices(since: datetime, until: datetime) -> Iterator[datetime]:
    while since + SLICE <= until:
        yield since
        since += SLICE


def _moved(tables: dict[str, pd.DataFrame], begin: datetime, hour: datetime) -> dict[str, pd.DataFrame]:
    """Return tables with the rows of the slice that begins at ``begin``, moved into an hour."""
    by = pd.Timestamp(hour) + pd.Timedelta(minutes=10) - pd.Timestamp(begin)
    moved = {}
    for name, table in tables.items():
        if name in ("counters", "optics", "pair_samples"):
            reach = timedelta(seconds=PERIOD_S * 1.5) if name == "counters" else timedelta(0)
            at = table["at"]
            table = table[(at > pd.Timestamp(begin - reach)) & (at <= pd.Timestamp(begin + SLICE))]
        times = {column: table[column] + by for column in ("at", "started_at", "ended_at") if column in table}
        moved[name] = table.assign(**times)
    return moved


def _told(line: dict[str, Any]) -> Told:
    elements = json.loads(line["elements"]) if line["elements"] else {}
    return Told(int(line["severity"]), line["text"], next(iter(elements.values()), {}))
