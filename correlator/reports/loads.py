"""How full the ends of a congested link are."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from correlator.engine import rates as engine_rates
from correlator.model import Direction, End, Link
from correlator.ports import Tables
from correlator.reports.content import Fault, Load, Period
from correlator.reports.light import Spell, directions, earlier
from correlator.reports.readings import Series, Trace
from correlator.reports.tables import bins, during, number, of_interface, series, table


def loads(tables: Tables, fault: Fault, period: Period) -> tuple[Load, ...]:
    """Return the utilisation of both senders of a congested link, the blamed one first; else nothing."""
    verdict = fault.verdict
    if verdict.link is None or verdict.root_cause != "congestion":
        return ()
    bad = Spell(verdict.onset or period.since, fault.cleared_at or period.until)
    both = tuple(_load(tables, verdict.link, way, bad, period) for way in directions(verdict))
    return both if any(load.trace.hours or load.trace.minutes for load in both) else ()


def _load(tables: Tables, link: Link, way: Direction, bad: Spell, period: Period) -> Load:
    end = link.sender(way)
    minutes = _minutes(tables, end, period)
    hours = of_interface(table(tables, "link_hours"), end)
    hours = hours[(hours["metric"] == "utilisation_out") & (hours["count"] > 0)]
    hours = earlier(hours, minutes["at"], period)
    return Load(
        direction=way,
        end=end,
        trace=Trace(_series(hours["hour"], hours["sum"] / hours["count"]), _binned(minutes)),
        before=_before(hours, minutes, bad.since),
        now=number(minutes.loc[bad.holds(minutes["at"]), "load"].mean(), 4),
    )


def _minutes(tables: Tables, end: End, period: Period) -> pd.DataFrame:
    counters = during(of_interface(table(tables, "counters"), end), period)
    moved = engine_rates.rates(counters, of_interface(table(tables, "interfaces"), end))
    return pd.DataFrame({"at": moved["until"], "load": moved["utilisation_out"]}).dropna()


def _binned(minutes: pd.DataFrame) -> Series | None:
    mean = minutes.groupby(bins(minutes["at"]), sort=True)["load"].mean()
    return _series(mean.index.to_series(), mean)


def _series(at: pd.Series[pd.Timestamp], values: pd.Series[float]) -> Series | None:
    return series(at, [number(value, 4) for value in values])


def _before(hours: pd.DataFrame, minutes: pd.DataFrame, onset: datetime) -> float | None:
    early = minutes.loc[minutes["at"] < onset, "load"]
    if len(early) < 3:
        past = hours[hours["hour"] < onset]
        early = past["sum"] / past["count"]
    return number(early.mean(), 4)
