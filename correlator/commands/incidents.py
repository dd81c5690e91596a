"""``correlator incidents``: what is open now, who has it in hand, and what is kept silent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from correlator.commands.options import ConfigFile, Json, configuration, out, print_json

if TYPE_CHECKING:
    import pandas as pd

    from correlator.config import Config
    from correlator.engine.remarks import Remarks
    from correlator.model import Incident

HEADINGS = ("incident", "severity", "since", "what", "pairs", "sure", "remarks")


@dataclass(frozen=True)
class Known:
    """An open incident and what people said about it."""

    incident: Incident
    acknowledged: str
    quiet: str
    closed: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values: the incident's own, ``acknowledged``, ``quiet`` and ``closed``."""
        told = {"acknowledged": self.acknowledged, "quiet": self.quiet, "closed": self.closed}
        return {**self.incident.to_json(), **told}


def incidents(config: ConfigFile = None, as_json: Json = False) -> None:
    """List the open incidents, the most severe first; silenced and acknowledged ones say so."""
    found = open_incidents(configuration(config))
    if as_json:
        print_json({"incidents": [one.to_json() for one in found]})
    elif found:
        out.print(_table(found))
    else:
        out.print("no incident is open")


def open_incidents(config: Config) -> list[Known]:
    """Return the open incidents, the most severe first, then the oldest. Raises StoreError."""
    from correlator.engine.remarks import Remarks
    from correlator.model import RANKS
    from correlator.wiring import SystemClock, open_state, open_store
    from correlator.wiring import remarks as people_said

    now = SystemClock().now()
    store = open_store(config)
    said = people_said(store, config, now)
    remarks = Remarks(said, store.newest("devices", now), now)
    acks = _acknowledged(said)
    known = [
        Known(one, acks.get(one.id, ""), remarks.quiet(one.verdict), _closed(one, remarks))
        for one in open_state(config).incidents()
        if one.state == "open"
    ]
    return sorted(
        known,
        key=lambda one: (-RANKS[one.incident.verdict.severity], one.incident.opened_at, one.incident.id),
    )


def _closed(incident: Incident, remarks: Remarks) -> str:
    """Return who closed it, when and why; it is open until the next cycle, or until its fault is gone."""
    at, how = remarks.closed(incident.verdict)
    if at is None or (incident.opened_at and at < incident.opened_at):
        return ""
    return f"{how} ({_time(at)})"


def _acknowledged(said: pd.DataFrame) -> dict[str, str]:
    """Return who has each acknowledged incident in hand."""
    acks: Any = said[said["kind"] == "ack"].sort_values("at", kind="stable").itertuples(index=False)
    return {
        row.subject: f"{row.by}, {row.at:%Y-%m-%d %H:%MZ}"
        + (f": {row.why}" if isinstance(row.why, str) else "")
        for row in acks
    }


def _table(found: list[Known]) -> Table:
    table = Table()
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    for one in found:
        verdict = one.incident.verdict
        table.add_row(
            one.incident.id,
            verdict.severity,
            _time(one.incident.opened_at),
            Text(_what(one.incident)),
            str(verdict.hurt),
            f"{verdict.probability:.2f}",
            Text(_remarks(one)),
        )
    return table


def _what(incident: Incident) -> str:
    """Return the cause and where it is, names made printable."""
    from correlator.alerts.text import headline

    return headline(incident.verdict)


def _remarks(one: Known) -> str:
    from correlator.alerts.safe import printable

    told = [f"acknowledged by {one.acknowledged}" if one.acknowledged else "", one.quiet, one.closed]
    if one.incident.course.blind_since is not None:
        told.append(f"no data since {_time(one.incident.course.blind_since)}")
    return printable("; ".join(filter(None, told)), 200)


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%MZ}" if at else ""
