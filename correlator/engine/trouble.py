"""Devices in trouble: silent, or just restarted. What goes wrong around one is one fault, the device's."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd

from correlator.model import Verdict

CENTISECOND_MS = 10


class Trouble:
    """Which devices are in trouble at ``now``.

    Silent: its last three polls failed. Restarted: it is up for less than ``settles``, by the
    uptime that it told with its counters.
    """

    def __init__(
        self, polls: pd.DataFrame, counters: pd.DataFrame, now: datetime, settles: timedelta
    ) -> None:
        silent = dict.fromkeys(silent_targets(polls), "does not answer")
        self._why = _restarted(counters, now, settles) | silent

    def of(self, verdict: Verdict) -> tuple[str, str]:
        """Return the device in trouble that a verdict touches, and in which trouble; else empty."""
        links = [verdict.link, *(candidate.link for candidate in verdict.candidates)]
        ends = {end.device for link in links if link for end in (link.a, link.b)}
        for device in sorted(ends & self._why.keys()):
            return device, self._why[device]
        return "", ""


def silent_targets(polls: pd.DataFrame) -> dict[str, str]:
    """Return the targets whose last three polls all failed, each with its last error (may be empty)."""
    last = polls.sort_values("at", kind="stable").groupby("target").tail(3)
    by_target = last.groupby("target")["ok"].agg(["size", "any"])
    silent = by_target.index[(by_target["size"] == 3) & ~by_target["any"].astype(bool)]
    errors = last.dropna(subset=["error"]).drop_duplicates("target", keep="last")
    known = dict(zip(errors["target"], errors["error"], strict=True))
    return {str(target): known.get(target, "") for target in silent}


def _restarted(counters: pd.DataFrame, now: datetime, settles: timedelta) -> dict[str, str]:
    told = counters.dropna(subset=["uptime_cs"]).sort_values("at", kind="stable")
    last = told.drop_duplicates("device", keep="last")
    began = last["at"] - pd.to_timedelta(last["uptime_cs"].astype("int64") * CENTISECOND_MS, unit="ms")
    new = began > pd.Timestamp(now - settles)
    return {
        str(device): f"restarted at {at:%H:%MZ}"
        for device, at in zip(last["device"][new], began[new], strict=True)
    }
