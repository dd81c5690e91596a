"""The agent's own counters, thread-safe, for /metrics and the log."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

DESCRIPTIONS: Mapping[str, str] = {
    "readings": "passes over the sockets of all namespaces",
    "dumps": "full dumps of a namespace's sockets",
    "lookups": "sockets looked up exactly",
    "close_events": "destroy events of sockets",
    "aborted": "connections that were refused or aborted before they were read once",
    "close_events_lost": "times that the kernel dropped destroy events, so that a dump had to follow",
    "kernel_failures": "requests that the kernel refused or did not answer",
    "namespaces_opened": "network namespaces that were listened to",
    "namespaces_missed": "network namespaces that could not be entered in time",
    "connections_overflowed": "connections for which the ledger had no room",
    "rows_overflowed": "connections for which the interval had no row",
    "unattributed": "connections in shared namespaces whose container the kernel did not say",
    "conntrack_events": "rewritten connections that conntrack told of",
    "conntrack_lost": "times that the kernel dropped conntrack events",
    "clock_jumps": "times that the wall clock jumped by over a second",
    "docker_events": "events that Docker sent",
    "docker_failures": "requests to Docker that failed",
    "inspections": "containers inspected",
    "inspections_too_late": "containers that were gone before they could be inspected",
    "inspections_put_off": "inspections left to the next listing, the queue being full",
    "intervals": "intervals written",
    "rows": "rows written",
    "rows_lost": "rows that could not be written",
    "rows_pruned": "rows dropped unread or read, by size or age",
    "requests": "HTTP requests for rows",
    "requests_refused": "HTTP requests refused: wrong token, too often or malformed",
}


class Figures:
    """Counts by name; every name stands in DESCRIPTIONS. ``gauges`` are values of now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter(dict.fromkeys(DESCRIPTIONS, 0))
        self.gauges: dict[str, float] = {}

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counts[name] += by

    def counts(self) -> dict[str, int]:
        """Return all counters."""
        with self._lock:
            return dict(self._counts)
