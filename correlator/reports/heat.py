"""The errors of every link, hour by hour: zero, missing and shut told apart."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeGuard

import pandas as pd

from correlator.engine import rates as engine_rates
from correlator.model import End
from correlator.ports import Tables
from correlator.reports.content import Period
from correlator.reports.network import Network
from correlator.reports.overview import HeatMap, LinkHours
from correlator.reports.readings import Share
from correlator.reports.tables import floor_hour, moment, table

MOST_ROWS = 30
"""Directions shown that lost or hid something: what an eye takes in at once; the rest is counted."""

LEAST_ROWS = 8
"""Directions shown where nothing happened, so that calm can be seen as well."""

HOUR = timedelta(hours=1)
FIRST_READING = timedelta(minutes=5)
"""How far before an hour its first interval may begin."""

INSTANT = timedelta(microseconds=1)

Counted = dict[End, dict[datetime, tuple[float, float]]]


def hour_starts(period: Period) -> tuple[datetime, ...]:
    """Return the starts of the whole hours (UTC) of which some part lies in the day and is over."""
    first = floor_hour(period.since)
    count = int((period.until - first - timedelta(microseconds=1)) // HOUR) + 1
    return tuple(first + HOUR * number for number in range(count))


def heat_map(tables: Tables, network: Network, period: Period) -> HeatMap:
    """Return the day's errors of every direction that a switch receives, the worst as rows."""
    hours = hour_starts(period)
    counted = _counted(tables, hours)
    rows = [
        _row(counted.get(receiver, {}), hours, receiver, sender, network)
        for _, sender, receiver in network.directions()
    ]
    return HeatMap(
        hours=hours,
        rows=_shown(rows),
        directions=len(rows),
        with_errors=sum(row.total.count > 0 for row in rows),
        without_errors=sum(row.total.count == 0 and row.total.exposure > 0 for row in rows),
        uncounted=sum(row.total.exposure == 0 for row in rows),
    )


def _shown(rows: Sequence[LinkHours]) -> tuple[LinkHours, ...]:
    told = sum(row.order is not None or row.total.count > 0 or len(set(row.states)) > 1 for row in rows)
    return tuple(sorted(rows, key=_rank)[: max(LEAST_ROWS, min(told, MOST_ROWS))])


def _rank(row: LinkHours) -> tuple[Any, ...]:
    """Return what sorts the blamed first, then the worst, then those with the longest gaps."""
    silent = row.states.count("m") % len(row.states)
    return (row.order is None, -(row.total.ratio or 0.0), -silent, row.receiver, row.sender)


def _row(
    seen: dict[datetime, tuple[float, float]],
    hours: tuple[datetime, ...],
    receiver: End,
    sender: End,
    network: Network,
) -> LinkHours:
    silent = "x" if receiver in network.shut else "m"
    cells = [seen.get(hour) for hour in hours]
    return LinkHours(
        receiver=receiver,
        sender=sender,
        order=network.blamed(sender, receiver),
        states="".join("s" if cell else silent for cell in cells),
        errors=tuple(cell[0] if cell else None for cell in cells),
        packets=tuple(cell[1] if cell else None for cell in cells),
        total=Share(sum(cell[0] for cell in cells if cell), sum(cell[1] for cell in cells if cell)),
    )


def _counted(tables: Tables, hours: tuple[datetime, ...]) -> Counted:
    """Return (errors, packets) by end and hour: from the hourly table, else from the counters themselves."""
    summed = table(tables, "link_hours")
    summed = summed[(summed["metric"] == "errors") & (summed["hour"] >= hours[0])]
    summed = summed[(summed["hour"] <= hours[-1]) & (summed["exposure"] > 0)]
    summed = summed.drop_duplicates(["device", "if_name", "hour"], keep="last")
    known = {moment(hour) for hour in summed["hour"].unique()}
    rows = pd.concat([summed[_CELL], *_moved(tables, [hour for hour in hours if hour not in known])])
    at = {pd.Timestamp(hour): hour for hour in hours}
    cells = zip(*(rows[column].to_list() for column in _CELL), strict=True)
    found: dict[tuple[object, object], dict[datetime, tuple[float, float]]] = {}
    for device, if_name, hour, errors, packets in cells:
        found.setdefault((device, if_name), {})[at[hour]] = (float(errors), float(packets))
    return {End(*place): counted for place, counted in found.items() if _is_named(place)}


def _is_named(place: tuple[object, object]) -> TypeGuard[tuple[str, str]]:
    return all(isinstance(part, str) for part in place)


_CELL = ["device", "if_name", "hour", "count", "exposure"]


def _moved(tables: Tables, hours: Collection[datetime]) -> list[pd.DataFrame]:
    """Return the errors of hours that are not summed up yet, as the counters moved.

    An interval belongs to the hour in which it ends, as in the hourly table.
    """
    counters = table(tables, "counters")
    wanted = pd.Index([pd.Timestamp(hour) for hour in hours])
    near = _hour(counters["at"]).isin(wanted) | _hour(counters["at"] + FIRST_READING).isin(wanted)
    if not near.any():
        return []
    moved = engine_rates.rates(counters[near], table(tables, "interfaces"))
    moved = moved.dropna(subset=["in_errors", "in_packets"])
    moved["hour"] = _hour(moved["until"])
    whole = moved["hour"].isin(wanted) & (moved["since"] > moved["hour"] - FIRST_READING)
    moved = moved[whole]
    moved["count"] = moved["in_errors"].astype("float64")
    moved["exposure"] = moved["count"] + moved["in_packets"].astype("float64")
    sums = moved.groupby(["device", "if_name", "hour"], as_index=False)[["count", "exposure"]].sum()
    return [sums.loc[sums["exposure"] > 0, _CELL]]


def _hour(at: pd.Series[pd.Timestamp]) -> pd.Series[pd.Timestamp]:
    return (at - INSTANT).dt.floor("h")
