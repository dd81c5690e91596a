"""Settings of the store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

HOURLY = frozenset({"link_hours", "optics_hours", "pair_hours"})
RECORDS = frozenset({"cables", "annotations", "verdicts", "findings", "incident_events"})


@dataclass(frozen=True)
class Params:
    """How long and how compactly rows are kept.

    Figures with "measured" come from docs/storage.md.
    """

    keep_raw_days: int = 7
    """Days that polled rows are kept: two weekends' reach for a person who looks back."""
    keep_container_days: int = 30
    """Days that a container's start row is kept: containers that run longer are told again by the agent."""
    keep_hours_days: int = 400
    """Days that hourly sums are kept: a year and a month, so that a season can be compared."""
    keep_records_days: int = 400
    """Days that verdicts, incident events, cables and annotations are kept."""
    look_back_days: int = 2
    """Days that ``newest`` looks back for polled tables: what was silent longer is gone."""
    vacuum_hours: int = 6
    """Hours that a replaced file stays for readers of an older version: longer than any read."""
    log_hours: int = 2
    """Hours that the log keeps old versions: each append lists its folder, 4 us a file (measured)."""
    compact_mb: int = 64
    """Size that compaction aims at, MB: 800,000 rows of counters (81 bytes a row, measured)."""
    checkpoint_every: int = 50
    """Commits after which the log is summed up: that costs 0.1 s, each since 0.5 ms an append (measured)."""
    cache_mb: int = 256
    """Memory for data files that were read before, MB."""
    cache_file_mb: int = 8
    """Largest file that is kept in memory, MB: a minute of 64,000 ports is 5.2 (measured)."""
    attempts: int = 5
    """How often an append is tried when other processes write the same source at the same moment."""

    def kept(self, name: str) -> timedelta:
        """Return how long rows of the named table are kept."""
        if name in HOURLY:
            return timedelta(days=self.keep_hours_days)
        if name in RECORDS:
            return timedelta(days=self.keep_records_days)
        return timedelta(days=self.keep_container_days if name == "containers" else self.keep_raw_days)

    def look_back(self, name: str) -> timedelta:
        """Return how far ``newest`` looks back: as long as a row is kept, where rows do not come again."""
        if name in RECORDS or name == "containers":
            return self.kept(name)
        return min(timedelta(days=self.look_back_days), self.kept(name))
