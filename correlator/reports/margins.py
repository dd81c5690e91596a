"""How much light is left: every receiving end against its module's own low level, and levels that lie."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from correlator.model import End
from correlator.ports import Tables
from correlator.reports.content import Period
from correlator.reports.network import Network
from correlator.reports.overview import Margin, Refused
from correlator.reports.readings import Thresholds
from correlator.reports.tables import during, number, table

MOST_MARGINS = 20
"""Ends in the league, those nearest to their level."""

LEAST_DBM, MOST_DBM = -50.0, 20.0
"""No receiver's level lies outside: what does was meant in another unit (-40 stands for no light)."""

LANE = ["device", "if_name", "lane"]
LEVELS = ("low_alarm", "low_warn", "high_warn", "high_alarm")


def margins(tables: Tables, network: Network, period: Period) -> tuple[Margin, ...]:
    """Return the ends nearest to their low level by the day's newest reading, the nearest first."""
    links = network.links_by_end()
    found = []
    for row in _newest_light(tables, period).to_dict("records"):
        end = End(row["device"], row["if_name"])
        levels = thresholds(row)
        if isinstance(levels, str) or end in network.shut or pd.isna(row["rx_power_dbm"]):
            continue
        low = levels.low_alarm if levels.low_warn is None else levels.low_warn
        if low is None:
            continue
        link = links.get(end)
        sender = None if link is None else link.b if link.a == end else link.a
        rx = round(float(row["rx_power_dbm"]), 3)
        found.append(
            Margin(
                receiver=end,
                sender=sender,
                lane=int(row["lane"]),
                rx_dbm=rx,
                low_dbm=low,
                against="low_alarm" if levels.low_warn is None else "low_warn",
                margin_db=round(rx - low, 3),
                change_db=None,
                order=network.blamed(sender, end) if sender else None,
            )
        )
    found.sort(key=lambda margin: (margin.margin_db, margin.receiver, margin.lane))
    return tuple(found[:MOST_MARGINS])


def with_changes(margins: tuple[Margin, ...], tables: Tables, period: Period) -> tuple[Margin, ...]:
    """Return the margins with how far each reading is from the median of the hours before the day."""
    hours = table(tables, "optics_hours")
    hours = hours[(hours["metric"] == "rx_power_dbm") & (hours["hour"] < period.since) & (hours["count"] > 0)]
    mean = (hours["sum"] / hours["count"]).groupby([hours[column] for column in LANE]).median().to_dict()

    def changed(margin: Margin) -> Margin:
        usual = mean.get((margin.receiver.device, margin.receiver.if_name, margin.lane))
        change = None if usual is None else number(margin.rx_dbm - usual, 3)
        return Margin(**{name: getattr(margin, name) for name in Margin.__slots__} | {"change_db": change})

    return tuple(changed(margin) for margin in margins)


def refused(tables: Tables, period: Period) -> Iterator[Refused]:
    """Yield the thresholds of the day that cannot be meant."""
    for row in _newest_light(tables, period).to_dict("records"):
        levels = thresholds(row)
        if isinstance(levels, str):
            yield Refused(End(row["device"], row["if_name"]), int(row["lane"]), levels)


def thresholds(row: Mapping[Any, Any]) -> Thresholds | str:
    """Return a module's levels of received power, or in words why they cannot be meant."""
    levels = Thresholds(*(number(row[f"rx_power_{level}_dbm"], 3) for level in LEVELS))
    given = [getattr(levels, name) for name in LEVELS if getattr(levels, name) is not None]
    if len(given) > 1 and not any(given):
        return "all thresholds are zero"
    if far := [level for level in given if not LEAST_DBM <= level <= MOST_DBM]:
        return f"a threshold of {far[0]:g} dBm is beyond any receiver"
    falling = any(one > other for one, other in itertools.pairwise(given))
    if falling or (len(given) > 1 and given[0] == given[-1]):
        return f"thresholds in no order that can be meant ({', '.join(f'{level:g}' for level in given)} dBm)"
    return levels


def _newest_light(tables: Tables, period: Period) -> pd.DataFrame:
    """Return the day's newest row of each lane that has a receiver, in order."""
    rows = during(table(tables, "optics"), period)
    rows = rows[rows["lane"].notna() & rows["device"].notna() & rows["if_name"].notna()]
    receives = rows["rx_power_dbm"].notna()
    for level in LEVELS:
        receives |= rows[f"rx_power_{level}_dbm"].notna()
    newest = rows[receives].drop_duplicates(LANE, keep="last").sort_values(LANE)
    columns = [*LANE, "rx_power_dbm", *(f"rx_power_{level}_dbm" for level in LEVELS)]
    return newest[columns].replace([np.inf, -np.inf], np.nan)
