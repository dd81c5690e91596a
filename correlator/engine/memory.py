"""What a cycle remembers of the weeks past: made of the hourly tables once an hour, asked each minute.

Weeks of hours are far more rows than a minute's. What they say of usual changes with the hour alone,
so it is made once and handed to the cycles of that hour; a cycle that is given none makes its own, and
says the same. Page: docs/algorithms/cycle.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from correlator.engine import baseline, drift, lanes, tally, topology
from correlator.engine.settings import Params

HOURLY = ("link_hours", "optics_hours", "pair_hours")
PLACE = ["device", "if_name"]
SUMS = ("exposure", "count", "sum")


@dataclass(frozen=True)
class Memory:
    """The past, as it is known by ``hour``.

    ``pairs``: what is usual of pairs; ``links``: rows of link_hours, all hours of an interface and
    metric in one; ``light``: what is usual of each lane (``lanes.usual_light``); ``falls``: the lanes
    whose light falls from day to day (``drift.falls``).
    """

    hour: datetime
    pairs: baseline.Past
    links: pd.DataFrame
    light: pd.DataFrame
    falls: pd.DataFrame


def remember(
    tables: Mapping[str, pd.DataFrame], fabric: topology.Map, now: datetime, params: Params
) -> Memory:
    """Return what the hourly tables say at ``now``: rows of the future are left out.

    ``tables`` has all of link_hours, optics_hours, pair_hours, devices and hosts.
    """
    link_hours, optics_hours, pair_hours = (_begun(tables[name], now) for name in HOURLY)
    racks = host_racks(fabric, tables["hosts"], tables["devices"])
    return Memory(
        hour_of(now),
        baseline.remember(pair_hours, now, params.baseline, racks),
        _whole(link_hours),
        lanes.usual_light(optics_hours, now, params.lanes),
        drift.falls(optics_hours, now, params.drift),
    )


def hour_of(now: datetime) -> datetime:
    """Return the start of the hour."""
    return now.replace(minute=0, second=0, microsecond=0)


def host_racks(fabric: topology.Map, hosts: pd.DataFrame, devices: pd.DataFrame) -> dict[str, str]:
    """Return host → rack: the rack of the switch that it hangs on, else that switch itself.

    A host on switches of several racks belongs to the first by name.
    """
    rack = dict(
        devices.dropna(subset=["device", "rack"])[["device", "rack"]].itertuples(index=False, name=None)
    )
    known = set(hosts["host"].dropna())
    ends = fabric.directed.loc[
        fabric.directed["sender_device"].isin(known), ["sender_device", "receiver_device"]
    ]
    places = sorted({(str(host), str(rack.get(near, near))) for host, near in ends.itertuples(index=False)})
    return dict(reversed(places))


def _begun(table: pd.DataFrame, now: datetime) -> pd.DataFrame:
    begun = (table["at"] <= pd.Timestamp(now)).to_numpy(dtype=bool)
    return table if begun.all() else table[begun]


def _whole(link_hours: pd.DataFrame) -> pd.DataFrame:
    """Return link_hours with all hours of an interface and metric summed up; hours told twice count once."""
    once = link_hours.drop_duplicates([*PLACE, "metric", "hour"], keep="last")
    keys, number = tally.numbered(once, [*PLACE, "metric"])
    for column in SUMS:
        keys[column] = tally.total(once[column], number, len(keys))
    newest = once["hour"].max() if len(once) else pd.NaT
    return keys.assign(hour=pd.Series(np.full(len(keys), newest), dtype=link_hours["hour"].dtype))
