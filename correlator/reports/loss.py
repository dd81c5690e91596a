"""The packets that a blamed link lost: errors where they arrive, discards where they leave."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from correlator.engine import rates as engine_rates
from correlator.model import Direction, End, Link
from correlator.ports import Tables
from correlator.reports.content import Counted, Fault, Period, Rate
from correlator.reports.light import Spell, directions, earlier
from correlator.reports.readings import Series, Share, Trace
from correlator.reports.tables import bins, during, number, of_interface, series, table

_COLUMNS: dict[Counted, tuple[str, str]] = {
    "errors": ("in_errors", "in_packets"),
    "discards": ("out_discards", "out_packets"),
}
"""What is lost, and what passed beside it: together they are all packets."""


def rates(tables: Tables, fault: Fault, period: Period) -> tuple[Rate, ...]:
    """Return the loss of both directions of the fault's link, the blamed one first.

    Errors are counted by the receiving interface, discards (for congestion) by the sending one.
    Empty without a link or where neither end counts anything.
    """
    verdict = fault.verdict
    if verdict.link is None:
        return ()
    bad = Spell(verdict.onset or period.since, fault.cleared_at or period.until)
    counted: Counted = "discards" if verdict.root_cause == "congestion" else "errors"
    both = tuple(_rate(tables, verdict.link, way, counted, bad, period) for way in directions(verdict))
    return both if any(rate.trace.hours or rate.trace.minutes for rate in both) else ()


def _rate(tables: Tables, link: Link, way: Direction, counted: Counted, bad: Spell, period: Period) -> Rate:
    end = link.sender(way) if counted == "discards" else link.receiver(way)
    minutes = _minutes(tables, end, counted, period)
    hours = of_interface(table(tables, "link_hours"), end)
    hours = earlier(hours[hours["metric"] == counted], minutes["at"], period)
    return Rate(
        direction=way,
        end=end,
        counted=counted,
        trace=Trace(_shares(hours["hour"], hours), _binned(minutes)),
        before=_before(hours, minutes, bad.since),
        now=_share(minutes[bad.holds(minutes["at"])]),
    )


def share_within(tables: Tables, end: End, counted: Counted, spell: Spell, period: Period) -> Share | None:
    """Return what an interface lost of all packets in a spell of the day, None where none passed."""
    minutes = _minutes(tables, end, counted, period)
    return _share(minutes[spell.holds(minutes["at"])])


def _minutes(tables: Tables, end: End, counted: Counted, period: Period) -> pd.DataFrame:
    """Return the day's intervals of one interface: at, count (lost packets), exposure (all packets)."""
    counters = during(of_interface(table(tables, "counters"), end), period)
    moved = engine_rates.rates(counters, of_interface(table(tables, "interfaces"), end))
    lost, passed = _COLUMNS[counted]
    moved = moved.dropna(subset=[lost, passed])
    count = moved[lost].astype("float64")
    return pd.DataFrame(
        {"at": moved["until"], "count": count, "exposure": count + moved[passed].astype("float64")}
    )


def _binned(minutes: pd.DataFrame) -> Series | None:
    """Return the intervals' shares, neighbours added up where there are too many for a picture."""
    summed = minutes.groupby(bins(minutes["at"]), sort=True)[["count", "exposure"]].sum()
    return _shares(summed.index.to_series(), summed)


def _shares(at: pd.Series[pd.Timestamp], lost: pd.DataFrame) -> Series | None:
    share = lost["count"] / lost["exposure"].where(lost["exposure"] > 0)
    # Nine decimals would flatten 1e-10: keep significant digits instead.
    return series(at, [None if pd.isna(value) else float(f"{value:.6g}") for value in share])


def _before(hours: pd.DataFrame, minutes: pd.DataFrame, onset: datetime) -> Share | None:
    earlier_hours = hours.loc[hours["hour"] < onset, ["count", "exposure"]]
    earlier_minutes = minutes.loc[minutes["at"] < onset, ["count", "exposure"]]
    return _share(pd.concat([earlier_hours, earlier_minutes]))


def _share(lost: pd.DataFrame) -> Share | None:
    exposure = number(lost["exposure"].sum(), 0)
    return Share(float(lost["count"].sum()), exposure) if exposure else None
