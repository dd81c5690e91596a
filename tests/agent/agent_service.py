"""The service's half of the laboratory: a process that fetches and stores an agent's rows."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from agent_lab import PROGRAMS, ROOT, TOKEN, Engine, Reader, until

from correlator.store.delta import DeltaStore
from correlator.store.state import SqliteState

SAME = (
    "netns",
    "container_id",
    "role",
    "local_wire_address",
    "peer_wire_address",
    "server_port",
    "bytes_sent",
    "exchanges",
)
DAY = timedelta(days=1)
TOLERANCE = timedelta(seconds=0.5)
Span = tuple[datetime, datetime]


class Service:
    """Runs ``programs/engine.py`` beside an agent; ``kill`` and ``start`` as often as is wanted."""

    def __init__(self, agent: Engine, folder: Path) -> None:
        self._agent, self._folder = agent, folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = [sys.executable, str(PROGRAMS / "engine.py"), str(self._folder), self._agent.name]
        enter = ["nsenter", f"--net={self._agent.namespace}"]
        with (self._folder / "engine.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*enter, *program, "http://127.0.0.1:9443", TOKEN],
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n", (self._folder / "engine.log").read_text()[
            -2000:
        ]

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process.stdout.close()
            self._process = None

    def read_to(self, reader: Reader) -> None:
        """Wait until it has stored everything up to where a reader stands."""
        state = SqliteState(self._folder / "state.sqlite", [])

        def has() -> bool:
            cursor = state.cursor(self._agent.name)
            return cursor.get("epoch") == reader.epoch and int(cursor["after"]) >= reader.after

        until(has, 120)
        state.close()

    def stored(self, name: str) -> pd.DataFrame:
        now = datetime.now(UTC)
        return DeltaStore(self._folder / "tables").read(name, now - DAY, now + DAY)

    def gaps(self) -> list[Span]:
        polls = self.stored("polls")
        rows = polls[polls["gap_from"].notna()]
        return list(zip(rows["gap_from"], rows["at"], strict=True))


def identities(rows: Iterable[dict[str, object]]) -> list[tuple[object, ...]]:
    """Return what tells rows of pair_samples apart, in order."""
    found = []
    for row in rows:
        at = pd.Timestamp(row["at"]).isoformat()
        ports = row.get("source_ports")
        ports = tuple(ports) if isinstance(ports, list) else ()
        found.append((at, *(row[name] for name in SAME), ports))
    return sorted(found)


def lost(rows: Iterable[dict[str, object]]) -> list[Span]:
    """Return the times between the intervals of one container that belong to none."""
    spans = sorted(
        (end - timedelta(seconds=float(row["interval_s"])), end)
        for row in rows
        for end in [pd.Timestamp(row["at"])]
    )
    return [
        (before[1], after[0])
        for before, after in itertools.pairwise(spans)
        if after[0] - before[1] > TOLERANCE
    ]


def covered(span: Span, gaps: Iterable[Span]) -> bool:
    """Return whether gaps, one after another, leave nothing of a span."""
    reached = span[0] + TOLERANCE
    for since, till in sorted(gaps):
        if since <= reached:
            reached = max(reached, till)
    return reached + TOLERANCE >= span[1]
