"""What the two ends of a link say of themselves: up, down, or shut on purpose (ifTable, RFC 2863)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from correlator.model import End, Link

DEAD = ("down", "not_present", "lower_layer_down")
"""``ifOperStatus`` of a port that should work and does not; dormant and testing are chosen states."""


class Status:
    """The newest rows of ``interfaces``, by end."""

    def __init__(self, interfaces: pd.DataFrame) -> None:
        rows: Any = interfaces.dropna(subset=["device", "if_name", "oper_status"])
        rows = rows[["device", "if_name", "at", "admin_status", "oper_status"]].itertuples(index=False)
        self._rows = {End(row.device, row.if_name): row for row in rows}

    def shut(self, end: End) -> bool:
        """Return whether somebody shut the port (``ifAdminStatus`` is not up)."""
        row = self._rows.get(end)
        return row is not None and not pd.isna(row.admin_status) and row.admin_status != "up"

    def up(self, link: Link) -> bool | None:
        """Return whether every end that is read is up; None where none is."""
        states = [self._rows[end].oper_status == "up" for end in (link.a, link.b) if end in self._rows]
        return all(states) if states else None

    def dead(self, link: Link) -> tuple[End, ...]:
        """Return the ends that are down although nobody shut either of them; empty where it is not so.

        Ports are not read in one moment. An end that was last seen up before the other was seen down
        may have been shut since: then nothing is said.
        """
        rows = {end: self._rows[end] for end in (link.a, link.b) if end in self._rows}
        down = {end: row for end, row in rows.items() if row.oper_status in DEAD}
        if not down or any(self.shut(end) or pd.isna(row.admin_status) for end, row in rows.items()):
            return ()
        newest = max(row.at for row in down.values())
        older = [end for end, row in rows.items() if end not in down and row.at < newest]
        return () if older else tuple(down)
