"""Alerts as JSON lines in a file: for collectors that read files, and for everybody's own scripts."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from correlator.alerts.fields import fields
from correlator.alerts.text import line
from correlator.model import IncidentEvent, utc
from correlator.ports import SinkError


@dataclass(frozen=True)
class JsonLinesParams:
    """One file. Raises ValueError where settings contradict."""

    path: Path
    """The file; others may move it away at any time (logrotate), the next line makes a new one."""
    name: str = "json_lines"
    """Name of the sink in the outbox: give each its own and keep it."""


class JsonLinesSink:
    """``ports.Sink`` to a file: one JSON object a line, on the disk when ``send`` returns."""

    params_type = JsonLinesParams

    def __init__(self, params: JsonLinesParams) -> None:
        self.name = params.name
        self._path = params.path

    def send(self, events: Sequence[IncidentEvent]) -> int:
        """Append all events; return how many. Raises SinkError where the file cannot be written.

        After a disk that ran full in the middle the file ends where it ended before.
        """
        self._append([_document(event) for event in events])
        return len(events)

    def remark(self, at: datetime, what: str, count: int, text: str) -> None:
        """Append a line about the alerts themselves. Raises SinkError."""
        self._append(
            [{"@timestamp": utc(at).isoformat(), "event.action": what, "count": str(count), "message": text}]
        )

    def close(self) -> None:
        """There is nothing to let go of: the file is open only while lines are written."""

    def _append(self, documents: Sequence[dict[str, str]]) -> None:
        wire = b"".join(json.dumps(document).encode("ascii") + b"\n" for document in documents)
        try:
            with self._path.open("ab") as file:
                end = file.tell()
                try:
                    file.write(wire)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    with contextlib.suppress(OSError):
                        os.truncate(self._path, end)
                    raise
        except OSError as error:
            raise SinkError(f"{self._path}: {error.strerror}; alerts wait until it can be written") from error


def _document(event: IncidentEvent) -> dict[str, str]:
    return {"@timestamp": utc(event.at).isoformat(), **fields(event), "message": line(event)}
