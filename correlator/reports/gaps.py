"""When nothing was heard: gaps in polling, agents that did not answer, measurements that were lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from correlator.reports.content import BlindSpot, Period
from correlator.reports.tables import moment, text
from correlator.reports.words import many


@dataclass(frozen=True, slots=True)
class _Gap:
    """A gap that a poll ended: its span, why polls failed in it, and what the poll said was lost."""

    since: datetime
    until: datetime
    failed: str | None
    lost: str | None

    def holds(self, at: datetime) -> bool:
        return self.since <= at <= self.until


def nothing_polled(polls: pd.DataFrame, period: Period) -> Iterator[BlindSpot]:
    """Yield a spot where no poll of the day was good."""
    if period.now > period.since and not _good(polls).any():
        yield BlindSpot("all targets", "no successful poll on this day")


def switch_gaps(polls: pd.DataFrame, period: Period) -> Iterator[BlindSpot]:
    """Yield the times of which no counter and no light is known, target by target.

    A switch tells what is now, never what was: each gap is lost.
    """
    for target, rows in _targets(polls, "switch"):
        gaps = _gaps(rows)
        for gap in gaps:
            yield BlindSpot(
                target, f"no data: {gap.failed or 'it was not asked meanwhile'}", gap.since, gap.until
            )
        yield from _failures(target, rows, gaps, period)


def agents_away(polls: pd.DataFrame, period: Period) -> Iterator[BlindSpot]:
    """Yield the times in which an agent did not answer.

    An agent that nobody asked was not away, and one that answered later brings what it kept.
    """
    for target, rows in _targets(polls, "host"):
        gaps = _gaps(rows)
        for gap in gaps:
            if gap.failed:
                kept = gap.lost or "what it measured meanwhile came later"
                yield BlindSpot(target, f"{gap.failed}; {kept}", gap.since, gap.until)
        yield from _failures(target, rows, gaps, period)


def rows_lost(polls: pd.DataFrame) -> Iterator[BlindSpot]:
    """Yield what agents lost although they answered every poll."""
    for target, rows in _targets(polls, "host"):
        for gap in _gaps(rows):
            if gap.lost and not gap.failed:
                yield BlindSpot(target, gap.lost, gap.since, gap.until)


def _targets(polls: pd.DataFrame, kind: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the polls of each target that has anything to tell: a gap, or a poll that failed."""
    telling = polls["gap_from"].notna() | ~_good(polls)
    polls = polls[(polls["kind"] == kind) & polls["target"].isin(polls.loc[telling, "target"].unique())]
    for target, rows in polls.groupby("target", sort=True):
        yield str(target), rows


def _good(polls: pd.DataFrame) -> pd.Series[bool]:
    return polls["ok"].fillna(False).astype(bool)


def _gaps(rows: pd.DataFrame) -> list[_Gap]:
    """Return the gaps of one target, oldest first, those that touch as one."""
    closed = rows[rows["gap_from"].notna()]
    found: list[_Gap] = []
    for since, until, said in sorted(
        zip(
            map(moment, closed["gap_from"]),
            map(moment, closed["at"]),
            map(text, closed["error"]),
            strict=True,
        ),
        key=lambda gap: gap[:2],
    ):
        if found and since <= found[-1].until:
            since, until = found[-1].since, max(until, found[-1].until)
            said = said or found[-1].lost
            found.pop()
        found.append(_Gap(since, until, _why(_within(rows, since, until)), said))
    return found


def _within(rows: pd.DataFrame, since: datetime, until: datetime) -> pd.DataFrame:
    return rows[(rows["at"] >= since) & (rows["at"] <= until)]


def _why(rows: pd.DataFrame) -> str | None:
    """Return why the last of the failed polls failed, None where all were good."""
    bad = rows[~_good(rows)]
    return (text(bad["error"].iloc[-1]) or "no reason given") if len(bad) else None


def _failures(target: str, rows: pd.DataFrame, gaps: Iterable[_Gap], period: Period) -> Iterator[BlindSpot]:
    """Yield a gap that is still open, else the failed polls that no gap speaks of."""
    good = _good(rows)
    bad = rows[~good]
    if bad.empty:
        return
    why = _why(bad) or ""
    if not good.iloc[-1]:
        since = rows.loc[good, "at"]
        yield BlindSpot(target, why, moment(since.iloc[-1]) if len(since) else period.since, period.end)
        return
    alone = [at for at in map(moment, bad["at"]) if not any(gap.holds(at) for gap in gaps)]
    if alone:
        yield BlindSpot(target, f"{len(alone)} of {many(len(rows), 'poll')} failed, last: {why}")
