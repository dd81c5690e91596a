"""What the service did and failed to do: counted always, told in one structured line an event."""

from __future__ import annotations

import json
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

EVERY = 20
"""A store or sink that goes on failing is logged the first time and every so many times after."""


class Figures:
    """Counters in a registry of their own, for one service in this process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._polls = self._counter("polls", "Targets asked, by what came of it.", "group", "outcome")
        self._rows = self._counter("rows_stored", "Rows stored.")
        self._store_errors = self._counter("store_errors", "Times that the store could not read or write.")
        self._replies = self._counter("replies_refused", "Replies and devices left to the slow path.", "why")
        self._cycles = self._counter("cycles", "Cycles concluded.")
        self.alerts_sent = self._counter("alerts_sent", "Alerts handed to a sink.", "sink")
        self.alerts_failed = self._counter("alerts_failed", "Times that a sink could not be reached.", "sink")
        self.jobs_missed = self._counter("jobs_missed", "Runs left out since the one before went on.", "job")
        self.bugs = self._counter("bugs", "Errors that nobody foresaw; the log has them whole.")
        self._verdicts = Gauge("correlator_verdicts", "Verdicts of the last cycle.", registry=self.registry)
        self._findings = Gauge("correlator_findings", "Findings of the last cycle.", registry=self.registry)
        self._failures_in_a_row = 0
        self._sink_failures: dict[str, int] = {}

    def polled(self, group: str, targets: int, failed: int) -> None:
        """Count a round of polling."""
        self._polls.labels(group, "ok").inc(targets - failed)
        self._polls.labels(group, "failed").inc(failed)

    def refused(self, counts: Mapping[str, int]) -> None:
        """Count what was not used of the answers to requests that went out together, by reason."""
        for why, count in counts.items():
            self._replies.labels(why).inc(count)

    def stored(self, rows: int) -> None:
        """Count rows that were stored."""
        self._rows.inc(rows)
        self._failures_in_a_row = 0

    def store_failed(self) -> bool:
        """Count a failure of the store; return whether this one is to be logged."""
        self._store_errors.inc()
        self._failures_in_a_row += 1
        return self._failures_in_a_row % EVERY == 1

    def sink_failed(self, sink: str) -> bool:
        """Count a time that a sink could not be reached; return whether this one is to be logged."""
        self.alerts_failed.labels(sink).inc()
        self._sink_failures[sink] = self._sink_failures.get(sink, 0) + 1
        return self._sink_failures[sink] % EVERY == 1

    def sink_took(self, sink: str, lines: int) -> None:
        """Count lines that were handed to a sink."""
        self.alerts_sent.labels(sink).inc(lines)
        self._sink_failures.pop(sink, None)

    def concluded(self, verdicts: int, findings: int) -> None:
        """Count a cycle."""
        self._cycles.inc()
        self._verdicts.set(verdicts)
        self._findings.set(findings)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"correlator_{name}", text, labels, registry=self.registry)


class Line:
    """A structured log line, ``event=poll group=counters rows=12``, written out only if it is logged.

    Values that are null or empty are left out; those with spaces, quotes or control characters are
    written as JSON strings, so that a line stays a line.
    """

    __slots__ = ("_event", "_values")

    def __init__(self, event: str, **values: object) -> None:
        self._event = event
        self._values = values

    def __str__(self) -> str:
        told = ((key, value) for key, value in self._values.items() if value is not None and value != "")
        return " ".join([f"event={self._event}", *(f"{key}={_value(value)}" for key, value in told)])


def _value(value: object) -> str:
    text = str(value)
    plain = text.isascii() and text.isprintable() and not any(sign in text for sign in ' "=\\')
    return text if plain else json.dumps(text)
