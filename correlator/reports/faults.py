"""The day's verdicts and findings, each fault once, however many cycles repeated it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from correlator.model import Verdict
from correlator.ports import Tables
from correlator.reports.content import Fault, Period
from correlator.reports.tables import during, moment, table


@dataclass(frozen=True, slots=True)
class Faults:
    """What the day's tables say is wrong: explained slow pairs, sick things, and what could not be read."""

    verdicts: tuple[Fault, ...]
    findings: tuple[Fault, ...]
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Sighting:
    """One id's rows of one table, summed up."""

    id: str
    document: str
    explains: bool | None  # whether it explains pairs; None: its document says so
    first: datetime
    last: datetime
    cleared_at: datetime | None
    cleared_why: str = ""


def faults(tables: Tables, period: Period) -> Faults:
    """Return the day's faults, most severe first.

    The same fault over many cycles (same id, or same link, direction and cause) is one, in its newest
    form. A fault that explained pairs at any time of the day is a verdict, else a finding.
    """
    unreadable: list[str] = []
    merged: dict[tuple[Any, ...], tuple[bool, Fault]] = {}
    for sighting in sorted(_sightings(tables, period), key=lambda one: one.last):
        verdict = _read(sighting.document)
        if verdict is None:
            unreadable.append(sighting.id)
            continue
        explains = verdict.hurt > 0 if sighting.explains is None else sighting.explains
        fault = Fault(verdict, sighting.first, sighting.last, sighting.cleared_at, sighting.cleared_why)
        key = _key(verdict)
        merged[key] = _join(merged.get(key), (explains, fault))
    return Faults(
        _ranked(fault for explains, fault in merged.values() if explains),
        _ranked(fault for explains, fault in merged.values() if not explains),
        tuple(sorted(set(unreadable))),
    )


def _key(verdict: Verdict) -> tuple[Any, ...]:
    """Return what makes two verdicts speak of one fault."""
    return (verdict.link, verdict.direction, verdict.root_cause, None if verdict.link else verdict.subject)


def _join(old: tuple[bool, Fault] | None, new: tuple[bool, Fault]) -> tuple[bool, Fault]:
    """Return two sightings of one fault as one; what explains pairs speaks for both."""
    if old is None:
        return new
    explains = old[0] or new[0]
    newest = new[1] if new[0] or not old[0] else old[1]
    last = max(old[1].last_seen, new[1].last_seen)
    cleared = max((c for c in (old[1].cleared_at, new[1].cleared_at) if c), default=None)
    why = old[1].cleared_why or new[1].cleared_why
    return explains, dataclasses.replace(
        newest,
        cleared_why=why,
        first_seen=min(old[1].first_seen, new[1].first_seen),
        last_seen=last,
        # Seen again after it was cleared: it is open.
        cleared_at=cleared if cleared and cleared >= last else None,
    )


def _ranked(found: Iterable[Fault]) -> tuple[Fault, ...]:
    order = {"crit": 0, "err": 1, "warning": 2, "notice": 3}
    return tuple(
        sorted(
            found,
            key=lambda fault: (
                fault.cleared_at is not None,
                order[fault.verdict.severity],
                -fault.verdict.hurt,
                -fault.verdict.probability,
                fault.verdict.id,
            ),
        )
    )


def _sightings(tables: Tables, period: Period) -> Iterator[_Sighting]:
    for name, explains in (("verdicts", True), ("findings", False)):
        for id_, rows in during(table(tables, name), period).groupby("id", sort=True):
            newest = rows.iloc[-1]
            yield _Sighting(
                str(id_), newest["document"], explains, moment(rows["at"].iloc[0]), moment(newest["at"]), None
            )
    for id_, rows in during(table(tables, "incident_events"), period).groupby("incident", sort=True):
        yield _incident(str(id_), rows)


def _incident(id_: str, rows: pd.DataFrame) -> _Sighting:
    rows = rows.sort_values("seq", kind="stable")
    newest = rows.iloc[-1]
    seen = rows[rows["event"] != "cleared"]
    cleared = moment(newest["at"]) if newest["event"] == "cleared" else None
    span = seen if len(seen) else rows
    return _Sighting(
        id_,
        newest["document"],
        None,
        moment(span["at"].iloc[0]),
        moment(span["at"].iloc[-1]),
        cleared,
        _reason(newest["document"]) if cleared else "",
    )


def _reason(document: object) -> str:
    """Return why an event was sent, empty where its document does not say."""
    try:
        said = json.loads(str(document)).get("reason")
    except (AttributeError, ValueError, RecursionError):
        return ""
    return said if isinstance(said, str) else ""


def _read(document: object) -> Verdict | None:
    """Return the verdict of a document: an event's document carries it under ``verdict``."""
    try:
        said = json.loads(str(document))
        return Verdict.from_json(said.get("verdict", said))
    except (AttributeError, ValueError, TypeError, RecursionError):
        return None
