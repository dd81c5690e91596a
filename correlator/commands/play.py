"""One seed of the demo, from the start of the fabric to the judgement.

The chain knows of the fabric what it would know of a real one: addresses and credentials. The truth is
opened after the verdict, and the same number of steps is gone whatever the story, so that nothing leaks.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from correlator import frames, wiring
from correlator.commands.fabric import Fabric, ready
from correlator.commands.judge import right
from correlator.config import Config, load
from correlator.model import Incident, Verdict
from correlator.pipeline import HOSTS, Pipeline

MINUTES_AFTER_ONSET = 6
"""How long the chain looks on after the moment at which a fault would have set in."""
MINUTES = {"topology": 10, "counters": 1, "optics": 2, HOSTS: 1}
"""Minutes between polls of each group: denser than a service's, for the story takes a quarter of an hour."""
LAST_MINUTES = 4
"""In each of them there is a cycle, before in every second minute."""
STEP_S = 60

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What the chain found, and what was true."""

    truth: list[dict[str, Any]]
    verdicts: list[Verdict]
    findings: list[Verdict]
    alerts: list[str]
    report: Path
    config: Path
    seconds: float

    @property
    def right(self) -> bool:
        """Whether the verdicts are the truth."""
        return right(self.truth, [verdict.to_json() for verdict in self.verdicts])

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as plain JSON values."""
        return {
            "truth": self.truth,
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "findings": [finding.to_json() for finding in self.findings],
            "alerts": self.alerts,
            "report": str(self.report),
            "seconds": round(self.seconds, 2),
            "right": self.right,
        }


def play(process: subprocess.Popen[bytes], directory: Path, started: float, tell: Tell) -> Outcome:
    """Explain the fabric that ``process`` is about to be in ``directory``, then open its truth.

    ``started`` (time.monotonic) is where ``seconds`` count from. Raises CorrelatorError where the
    fabric does not start or the store cannot be written.
    """
    fabric = ready(process, directory / "fabric")
    with Receiver() as receiver:
        path = write_configuration(directory, fabric, receiver.port)
        verdicts, findings, report = asyncio.run(_watch(fabric, load(path), tell))
        alerts = receiver.lines()
    return Outcome(fabric.truth(), verdicts, findings, alerts, report, path, time.monotonic() - started)


async def _watch(fabric: Fabric, config: Config, tell: Tell) -> tuple[list[Verdict], list[Verdict], Path]:
    """Poll and conclude minute by minute; return the open verdicts and findings, and the report's path."""
    async with wiring.opened(config) as chain:
        tell("reading a week of history")
        await asyncio.to_thread(_remember, chain, fabric)
        now, minutes = fabric.now, fabric.minutes_to_onset + MINUTES_AFTER_ONSET
        concluding: asyncio.Future[None] = asyncio.ensure_future(asyncio.sleep(0))
        for minute in range(minutes + 1):
            tell(f"watching minute {minute} of {minutes}")
            if minute:
                now = await asyncio.to_thread(fabric.advance, STEP_S)
            groups = [group for group, every in MINUTES.items() if minute % every == 0]
            await asyncio.gather(*(chain.poll(group, now) for group in groups))
            await concluding
            left = minutes - minute
            if left < LAST_MINUTES or left % 2 == 0:
                # a cycle looks at what was measured until then, so the next minute may go on meanwhile
                concluding = asyncio.ensure_future(asyncio.to_thread(_conclude, chain, now))
        await concluding
        tell("writing the report")
        report = wiring.write_report(chain.store, config, now.date(), now)
        return *split(chain.state.incidents()), report


def _conclude(chain: Pipeline, now: datetime) -> None:
    chain.conclude(now)
    chain.deliver(now)


def _remember(chain: Pipeline, fabric: Fabric) -> None:
    """Put the fabric's preloaded history into the store."""
    for file in sorted(fabric.history.glob("*.parquet")):
        table = frames.from_arrow(file.stem, pq.read_table(file))
        chain.store.append(file.stem, table, source="history", sequence=0)


def split(incidents: Sequence[Incident]) -> tuple[list[Verdict], list[Verdict]]:
    """Return the verdicts of open incidents: those that explain slow pairs, and (findings) the others."""
    both = [incident.verdict for incident in incidents if incident.state == "open"]
    return [one for one in both if one.pairs], [one for one in both if not one.pairs]


def write_configuration(directory: Path, fabric: Fabric, syslog_port: int) -> Path:
    """Write the configuration that a user would write for this fabric; return its path."""
    secrets = directory / "secrets"
    secrets.mkdir(mode=0o700)
    document = {
        "switches": [_switch(secrets, switch) for switch in fabric.description["switches"]],
        "hosts": [_host(secrets, host) for host in fabric.description["hosts"]],
        "periods": {f"{group}_s": minutes * STEP_S for group, minutes in MINUTES.items()},
        "store": {"path": "tables"},
        "state": {"path": "state.sqlite"},
        "report": {"directory": "reports"},
        "alerts": {"syslog": [{"name": "demo", "address": "127.0.0.1", "port": syslog_port}]},
    }
    path = directory / "correlator.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def _switch(secrets: Path, switch: dict[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in switch.items() if key != "community" and value is not None}
    return {**told, "community_file": _secret(secrets / switch["name"], switch["community"])}


def _host(secrets: Path, host: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": host["id"],
        "url": host["url"],
        "token_file": _secret(secrets / host["id"], host["token"]),
    }


def _secret(path: Path, secret: str) -> str:
    path.touch(mode=0o600)
    path.write_text(secret)
    return f"{path.parent.name}/{path.name}"


class Receiver:
    """A syslog receiver on loopback: what arrives waits in its socket until ``lines`` asks."""

    def __enter__(self) -> Receiver:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def lines(self) -> list[str]:
        """Return the lines that have arrived since the last call."""
        arrived = []
        while True:
            try:
                arrived.append(self._socket.recv(65_536).decode(errors="replace"))
            except BlockingIOError:
                return arrived
