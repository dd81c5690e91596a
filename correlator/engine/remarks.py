"""What people have said about things: silences, maintenance windows, cleanings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from correlator.model import End, Link, Verdict

QUIET = ("silence", "maintenance")


class Remarks:
    """The ``annotations`` that hold at ``now``, and which of them are about a verdict.

    A subject is an incident's id, a link (``leaf2 Ethernet49 - spine1 Ethernet2``), an interface
    (``leaf2 Ethernet49``), a device, a host, a service, or a site or rack of ``devices``.
    """

    def __init__(self, annotations: pd.DataFrame, devices: pd.DataFrame, now: datetime) -> None:
        begun = annotations[annotations["at"] <= pd.Timestamp(now)]
        holds = begun["until"] > pd.Timestamp(now)
        self._quiet = begun[begun["kind"].isin(QUIET) & holds]
        self._cleaned = begun[begun["kind"] == "cleaned"]
        self._closed = begun[begun["kind"] == "closed"]
        self._places = _places(devices)

    def quiet(self, verdict: Verdict) -> str:
        """Return why no line may be made of a verdict: "silenced by anna: rebuilt on Friday"; else empty."""
        rows: Any = self._about(self._quiet, verdict).itertuples(index=False)
        for row in rows:
            word = "silenced" if row.kind == "silence" else "maintenance"
            by = f" by {row.by}" if not pd.isna(row.by) else ""
            return f"{word}{by}" + (f": {row.why}" if not pd.isna(row.why) else "")
        return ""

    def cleaned(self, verdict: Verdict) -> tuple[datetime | None, str]:
        """Return when, and by whom, what the verdict is about was last cleaned."""
        rows = self._about(self._cleaned, verdict)
        if rows.empty:
            return None, ""
        last = rows.sort_values("at", kind="stable").iloc[-1]
        return last["at"].to_pydatetime(), "somebody" if pd.isna(last["by"]) else str(last["by"])

    def closed(self, verdict: Verdict) -> tuple[datetime | None, str]:
        """Return when an incident was last closed by hand, by whom and why; its ``id`` is the subject."""
        rows = self._closed[self._closed["subject"] == verdict.id]
        if rows.empty:
            return None, ""
        last = rows.sort_values("at", kind="stable").iloc[-1]
        why = "" if pd.isna(last["why"]) else f": {last['why']}"
        by = "somebody" if pd.isna(last["by"]) else last["by"]
        return last["at"].to_pydatetime(), f"closed by {by}{why}"

    def _about(self, rows: pd.DataFrame, verdict: Verdict) -> pd.DataFrame:
        return rows if rows.empty else rows[rows["subject"].isin(set(self._names(verdict)))]

    def _names(self, verdict: Verdict) -> Iterator[str]:
        """Yield everything by which people may mean what the verdict is about."""
        subject = verdict.subject
        links = [verdict.link, *(candidate.link for candidate in verdict.candidates)]
        devices = {subject.device, subject.host}
        for link in filter(None, links):
            yield from (str(link), str(link.a), str(link.b), str(_turned(link)))
            devices |= {link.a.device, link.b.device}
        yield from filter(None, (verdict.id, subject.service, subject.container))
        if subject.device and subject.if_name:
            yield str(End(subject.device, subject.if_name))
        for device in filter(None, devices):
            yield device
            yield from self._places.get(device, ())


def _turned(link: Link) -> str:
    """Return the link with its ends in the other order: people do not sort them."""
    return f"{link.b} - {link.a}"


def _places(devices: pd.DataFrame) -> Mapping[str, tuple[str, ...]]:
    """Return the site and rack of each device."""
    rows: Any = devices[["device", "site", "rack"]].itertuples(index=False)
    return {row.device: tuple(place for place in row[1:] if not pd.isna(place)) for row in rows}
