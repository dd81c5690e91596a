"""One attempt to poll a target, and the row of table ``polls`` that tells of it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from correlator import frames
from correlator.model import utc
from correlator.ports import Tables

GAP_AFTER_PERIODS = 1.5  # later than that, a poll was missed
MAX_ERROR = 500  # characters; what a device says about itself is not to be trusted with more


@dataclass
class Attempt:
    """What polling one target brought and cost so far.

    ``rows`` come out with the row of polls, ``received`` counts those that went another way.
    ``failed`` is why the target could not be used, ``remarks`` what is wrong besides. ``gap_from`` is
    the last good poll before a gap that this attempt ends, where it ends one.
    """

    target: str
    kind: Literal["switch", "host"]
    at: datetime
    requests: int = 0
    retries: int = 0
    failed: str | None = None
    received: int = 0
    remarks: list[str] = field(default_factory=list)
    gap_from: datetime | None = None
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def tables(self) -> Tables:
        """Return the tables that came out of it, ``polls`` among them, with the house's dtypes."""
        tables = {name: frames.frame(name, rows) for name, rows in self.rows.items() if rows}
        return tables | {"polls": frames.frame("polls", [self._poll(tables)])}

    def cursor(self, cursor: Mapping[str, str]) -> dict[str, str]:
        """Return what to remember: the attempt's time as ``last_good``, or that one has failed."""
        if self.failed:
            return {**cursor, "failed": "yes"}
        return good(cursor, self.at)

    def _poll(self, tables: Tables) -> dict[str, Any]:
        said = [self.failed] if self.failed else self.remarks
        return {
            "at": self.at,
            "target": self.target,
            "kind": self.kind,
            "ok": self.failed is None,
            "error": sentence("; ".join(said)) if said else None,
            "duration_ms": (time.monotonic() - self.started) * 1000,
            "requests": self.requests,
            "retries": self.retries,
            "rows": self.received + sum(len(table) for table in tables.values()),
            "gap_from": None if self.failed else self.gap_from,
        }


def good(cursor: Mapping[str, str], now: datetime) -> dict[str, str]:
    """Return what to remember of a good poll."""
    remembered = {**cursor, "last_good": written(now)}
    remembered.pop("failed", None)
    return remembered


@lru_cache(maxsize=8)  # all targets of a round have one time
def written(moment: datetime) -> str:
    """Return a time as ISO 8601."""
    return moment.isoformat()


def gap_from(cursor: Mapping[str, str], now: datetime, period_s: float | None) -> datetime | None:
    """Return the last good poll where there is a gap between it and ``now``, else None.

    There is one after a failed attempt, and where ``now`` is later than the period allows (the
    service was not running).
    """
    if period_s is None and "failed" not in cursor:
        return None
    good = last_good(cursor)
    return good if good is not None and ("failed" in cursor or _late(good, now, period_s)) else None


@lru_cache(maxsize=64)  # most targets were last read in one round
def _late(good: datetime, now: datetime, period_s: float | None) -> bool:
    """Return whether a poll was missed since the last good one."""
    return period_s is not None and now - good > timedelta(seconds=GAP_AFTER_PERIODS * period_s)


def last_good(cursor: Mapping[str, str]) -> datetime | None:
    """Return when the last good poll was; None where there was none or it cannot be read."""
    return moment(cursor, "last_good")


def moment(cursor: Mapping[str, str], key: str) -> datetime | None:
    """Return a remembered time; None where there is none or it cannot be read."""
    try:
        return _read(cursor[key])
    except (KeyError, ValueError):
        return None


@lru_cache(maxsize=64)  # most targets were last read in one round
def _read(text: str) -> datetime:
    return utc(datetime.fromisoformat(text))


def sentence(text: str) -> str:
    """Return text as one line of bounded length."""
    line = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text)).strip()
    return line if len(line) <= MAX_ERROR else line[: MAX_ERROR - 1] + "…"
