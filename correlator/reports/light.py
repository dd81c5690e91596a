"""The light of a blamed link: what each end sent and received, before and since the onset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from correlator.model import Direction, End, Link, Verdict
from correlator.ports import Tables
from correlator.reports.content import Fault, Light, Period
from correlator.reports.readings import Series, Thresholds, Trace
from correlator.reports.tables import bins, during, number, of_interface, series, table

DAYS_BEFORE = timedelta(days=7)
"""How much hourly past stands beside the day: a week, so that each weekday has its like."""


@dataclass(frozen=True, slots=True)
class Spell:
    """How long a trouble lasted: from its onset until it was cleared, else until the end of the day."""

    since: datetime
    until: datetime

    def holds(self, at: pd.Series[Any]) -> pd.Series[bool]:
        """Return which times lie within."""
        return (at >= self.since) & (at < self.until)


@dataclass(frozen=True, slots=True)
class _Port:
    """An interface's light of the day and of the hours before, all its lanes."""

    minutes: pd.DataFrame
    hours: pd.DataFrame

    def lane(self, lane: int) -> _Port:
        return _Port(self.minutes[self.minutes["lane"] == lane], self.hours[self.hours["lane"] == lane])

    def trace(self, side: str) -> Trace:
        """Return the trace of one side, rx or tx."""
        hours = self.hours[self.hours["metric"] == f"{side}_power_dbm"]
        return Trace(_hourly(hours), _by_minute(self.minutes, f"{side}_power_dbm"))

    def before_and_now(self, side: str, bad: Spell) -> tuple[float | None, float | None]:
        """Return the median power before the trouble and in it, dBm.

        The minutes before the onset speak first; where there are fewer than three, the hours do.
        """
        power = self.minutes[f"{side}_power_dbm"]
        early = power[self.minutes["at"] < bad.since].dropna()
        if len(early) < 3:
            hours = self.hours[
                (self.hours["metric"] == f"{side}_power_dbm") & (self.hours["hour"] < bad.since)
            ]
            early = hours["sum"] / hours["count"]
        return number(early.median(), 3), number(power[bad.holds(self.minutes["at"])].median(), 3)


def directions(verdict: Verdict) -> tuple[Direction, Direction]:
    """Return a link's two directions, the blamed one first."""
    return ("b_to_a", "a_to_b") if verdict.direction == "b_to_a" else ("a_to_b", "b_to_a")


def light(tables: Tables, fault: Fault, period: Period) -> tuple[Light, ...]:
    """Return the light of both directions of the fault's link, the blamed one first.

    Empty without a link or without any reading at either end.
    """
    verdict = fault.verdict
    if verdict.link is None:
        return ()
    ports = {end: _port(tables, end, period) for end in (verdict.link.a, verdict.link.b)}
    if all(port.minutes.empty and port.hours.empty for port in ports.values()):
        return ()
    blamed = directions(verdict)[0]
    lane = verdict.lane or _dimmest(ports[verdict.link.receiver(blamed)])
    lit = {end: port.lane(lane) for end, port in ports.items()}
    bad = Spell(verdict.onset or period.since, fault.cleared_at or period.until)
    return tuple(_direction(verdict.link, way, lane, lit, bad) for way in directions(verdict))


def light_lost(
    tables: Tables, link: Link, way: Direction, lane: int, spell: Spell, period: Period
) -> float | None:
    """Return the light lost on the way within a spell of the day, dB: the median sent less that received."""
    sent, received = (
        _port(tables, end, period).lane(lane).minutes for end in (link.sender(way), link.receiver(way))
    )
    tx = number(sent.loc[spell.holds(sent["at"]), "tx_power_dbm"].median(), 3)
    rx = number(received.loc[spell.holds(received["at"]), "rx_power_dbm"].median(), 3)
    return _minus(tx, rx)


def _direction(link: Link, way: Direction, lane: int, ports: dict[End, _Port], bad: Spell) -> Light:
    sender, receiver = link.sender(way), link.receiver(way)
    tx = ports[sender].before_and_now("tx", bad)
    rx = ports[receiver].before_and_now("rx", bad)
    return Light(
        direction=way,
        sender=sender,
        receiver=receiver,
        lane=lane,
        tx=ports[sender].trace("tx"),
        rx=ports[receiver].trace("rx"),
        thresholds=_thresholds(ports[receiver].minutes),
        lost_before_db=_minus(tx[0], rx[0]),
        lost_now_db=_minus(tx[1], rx[1]),
        no_light=_is_dark(ports[receiver].minutes),
    )


def _port(tables: Tables, end: End, period: Period) -> _Port:
    minutes = during(of_interface(table(tables, "optics"), end), period)
    hours = of_interface(table(tables, "optics_hours"), end)
    return _Port(minutes, earlier(hours, minutes["at"], period))


def earlier(hours: pd.DataFrame, minutes: pd.Series[Any], period: Period) -> pd.DataFrame:
    """Return the hours that speak of the time before the first of ``minutes``, a week at most."""
    until = min(minutes.min(), period.until) if len(minutes) else period.until
    # An hour in which the minutes begin is drawn by the minutes.
    full = hours["hour"] + timedelta(hours=1) <= until
    return hours[full & (hours["hour"] >= period.since - DAYS_BEFORE)].sort_values("hour", kind="stable")


def _dimmest(port: _Port) -> int:
    """Return the lane that received least light last; 1 where none says."""
    last = port.minutes[port.minutes["lane"] > 0].drop_duplicates("lane", keep="last")
    last = last[last["rx_power_dbm"].notna()]
    return int(last.sort_values("rx_power_dbm")["lane"].iloc[0]) if len(last) else 1


def _hourly(hours: pd.DataFrame) -> Series | None:
    mean = hours["sum"] / hours["count"]
    return series(hours["hour"], [number(value, 3) for value in mean])


def _by_minute(minutes: pd.DataFrame, column: str) -> Series | None:
    if minutes[column].notna().sum() == 0:
        return None
    mean = minutes.groupby(bins(minutes["at"]), sort=True)[column].mean()
    return series(mean.index.to_series(), [number(value, 3) for value in mean])


def _is_dark(minutes: pd.DataFrame) -> bool:
    """Return whether the last that a receiver said of its light is that there is none."""
    dark = minutes["no_light"].fillna(False).astype(bool)
    told = dark[dark | minutes["rx_power_dbm"].notna()]
    return bool(len(told) and told.iloc[-1])


def _thresholds(minutes: pd.DataFrame) -> Thresholds:
    def level(name: str) -> float | None:
        said = minutes[f"rx_power_{name}_dbm"].dropna()
        return number(said.iloc[-1], 3) if len(said) else None

    return Thresholds(level("low_alarm"), level("low_warn"), level("high_warn"), level("high_alarm"))


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else round(one - other, 3)
