"""What is usual for a pair of services between two hosts: its own past.

The same hour of the week, where enough of them are known; else the same hour of the day; else all
hours. A group without a past borrows: times from the same services between the same two racks, then
from its siblings anywhere; losses and round trips from its host pair, its rack pair, then siblings.
Below 30 exposures there is no usual yet. Page: docs/algorithms/baseline.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from correlator.engine import tally
from correlator.engine.hours import CYCLES, MEANS, RATES, Hours, Params, Usual, usual_at

__all__ = ["Params", "Past", "remember", "service_hours", "usual", "usual_service"]

GROUP = ["src_host", "dst_host", "src_service", "dst_service"]
SERVER = ["dst_host", "dst_service"]
HOUR = timedelta(hours=1)
LEVELS: Mapping[str, list[str]] = {
    "": GROUP,
    "host pair, ": ["src_host", "dst_host"],
    "rack pair, ": ["src_rack", "dst_rack"],
    "services between these racks, ": ["src_rack", "dst_rack", "src_service", "dst_service"],
    "siblings, ": ["src_service", "dst_service"],
}
# what services do differs from service to service, what the network does from place to place
OF_SERVICES = ("", "services between these racks, ", "siblings, ")
OF_PLACES = ("", "host pair, ", "rack pair, ", "siblings, ")
BORROWS = {
    metric: OF_PLACES if metric in ("retransmissions", "rto", "stalls", "min_rtt_us") else OF_SERVICES
    for metric in MEANS + RATES
}


@dataclass(frozen=True)
class Past:
    """What was usual by ``hour``, for everybody who has a past: made once an hour, asked each minute.

    ``keys``: by level, its places (coded); ``known``: by level and metric, what is usual at each of them;
    ``servers`` and ``services``: rows of ``usual_service``. ``racks``: host → rack, as the levels of
    racks were made of.
    """

    hour: datetime
    keys: Mapping[str, pd.DataFrame]
    known: Mapping[tuple[str, str], Usual]
    servers: pd.DataFrame
    services: pd.DataFrame
    racks: Mapping[str, str]


def remember(
    pair_hours: pd.DataFrame,
    now: datetime,
    params: Params | None = None,
    racks: Mapping[str, str] | None = None,
) -> Past:
    """Return what ``pair_hours`` say is usual at the hour of ``now``; hours to come are left out.

    The answer is the same for every moment of an hour and the same rows. ``racks``: host → rack.
    """
    params, racks = params or Params(), racks or {}
    begun = (pair_hours["hour"] < pd.Timestamp(now)) & (pair_hours["exposure"] > 0)
    hours = pair_hours[begun]
    groups, number = tally.numbered(hours, GROUP)
    rows = hours[["hour", "exposure", "count", "sum"]].assign(group=number, metric=hours["metric"].array)
    (metric,) = tally.coded(rows["metric"])
    rows = rows.assign(metric=metric)[number >= 0].drop_duplicates(["group", "metric", "hour"], keep="last")
    places = _with_racks(_coded(groups), racks)
    keys, place = {}, {}
    for level, columns in LEVELS.items():
        keys[level], place[level] = tally.grouped(places, columns)
    known = {}
    for name in BORROWS:
        mine = rows[rows["metric"] == name]
        told = Hours.of(mine, now)
        for level in BORROWS[name]:
            at = place[level][mine["group"].to_numpy()]
            known[level, name] = usual_at(told, at, len(keys[level]), name, params)
    served = _of_servers(rows[rows["metric"] == "service_ms"], groups)
    return Past(
        pd.Timestamp(now).floor("h").to_pydatetime(),
        keys,
        known,
        usual_service(served, served[SERVER].drop_duplicates(ignore_index=True), now, params),
        usual_service(served, served[SERVER[1:]].drop_duplicates(ignore_index=True), now, params),
        racks,
    )


def _coded(groups: pd.DataFrame) -> pd.DataFrame:
    """Return the groups with coded keys, hosts alike on both sides and services too."""
    hosts, services = (
        tally.coded(*(groups[f"{end}_{what}"] for end in ("src", "dst"))) for what in ("host", "service")
    )
    return pd.DataFrame(dict(zip(GROUP, (*hosts, *services), strict=True)), copy=False)


def usual(
    past: Past | pd.DataFrame, groups: pd.DataFrame, now: datetime, params: Params | None = None
) -> pd.DataFrame:
    """Return, row for row of ``groups`` (columns GROUP), what is usual for it at this hour.

    ``past``: what was remembered, or ``pair_hours`` to remember it from. Columns: retransmissions,
    rto, stalls, exchanges, connections (events per exposure), each with _shape (of the Gamma that the rate
    varies by); response_ms, service_ms, min_rtt_us (means), each with _spread (standard deviation of
    the logarithm of the hourly mean); usual_from (which past, of the response time or else of
    retransmissions). NaN where there is no usual yet.
    """
    if isinstance(past, pd.DataFrame):
        past = remember(past, now, params)
    rows = _with_racks(groups[GROUP], past.racks)
    place = {level: tally.find(rows, past.keys[level], columns) for level, columns in LEVELS.items()}
    answer = {key: groups[key].array for key in GROUP}
    sources = {}
    for metric, levels in BORROWS.items():
        found = past.known["", metric].at(place[""])
        level_of = np.where(found.cycle >= 0, 0, -1)
        for level in levels[1:]:
            left = np.isnan(found.value)
            if not left.any():
                break
            found = found.or_else(past.known[level, metric].at(place[level]))
            level_of[left & np.isfinite(found.value)] = list(LEVELS).index(level)
        answer[metric] = found.value
        answer[f"{metric}_spread" if metric in MEANS else f"{metric}_shape"] = found.variation
        sources[metric] = np.where(level_of >= 0, level_of * len(CYCLES) + found.cycle, -1)
    told = np.where(sources["response_ms"] >= 0, sources["response_ms"], sources["retransmissions"])
    answer["usual_from"] = SOURCES.take(told, allow_fill=True)
    return pd.DataFrame(answer, index=groups.index, copy=False)


SOURCES = pd.array([level + cycle for level in LEVELS for cycle, _ in CYCLES], dtype=tally.TEXT)


def _with_racks(groups: pd.DataFrame, racks: Mapping[str, str]) -> pd.DataFrame:
    """Return the groups with the racks of their hosts, coded; null where not known."""
    ends = tally.coded(groups["src_host"], groups["dst_host"])
    (rack,) = tally.coded(pd.Series([racks.get(host) for host in ends[0].categories], dtype=tally.TEXT))
    codes = np.append(rack.codes, -1)
    source, destination = (pd.Categorical.from_codes(codes[end.codes], dtype=rack.dtype) for end in ends)
    return groups.assign(src_rack=source, dst_rack=destination)


def service_hours(pair_hours: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """Return the past hours of service times by server, whoever called: dst_host, dst_service, hour, sums."""
    known = (pair_hours["metric"] == "service_ms") & (pair_hours["hour"] < pd.Timestamp(now))
    hours = pair_hours[known & (pair_hours["exposure"] > 0)]
    groups, number = tally.numbered(hours, GROUP)
    rows = hours[["hour", "exposure", "count", "sum"]].assign(group=number)[number >= 0]
    return _of_servers(rows.drop_duplicates(["group", "hour"], keep="last"), groups)


def _of_servers(rows: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """Return hours of service times (``group``: row of ``groups``) added up by server."""
    servers, number = tally.numbered(groups, SERVER)
    table = rows.assign(server=number[rows["group"].to_numpy()])
    hours, cell = tally.numbered(table, ["server", "hour"])
    sums = {column: tally.total(table[column], cell, len(hours)) for column in ("exposure", "count", "sum")}
    keyed = servers.iloc[hours["server"].to_numpy(dtype=np.int64)].reset_index(drop=True)
    return keyed.assign(hour=hours["hour"].array, **sums)


def usual_service(
    hours: pd.DataFrame, servers: pd.DataFrame, now: datetime, params: Params | None = None
) -> pd.DataFrame:
    """Return, row for row of ``servers``, the usual service time of a server or a service, whoever calls.

    ``hours`` are those of ``service_hours``; ``servers`` has dst_service, and dst_host where it means
    servers. Columns beside these: service_ms and service_ms_spread.
    """
    params = params or Params()
    keys = [key for key in SERVER if key in servers.columns]
    hourly, cell = tally.numbered(hours, [*keys, "hour"])
    for column in ("exposure", "count", "sum"):
        hourly[column] = tally.total(hours[column], cell, len(hourly))
    place = tally.find(hourly, servers, keys)
    found = usual_at(Hours.of(hourly, now), place, len(servers), "service_ms", params)
    return servers[keys].assign(service_ms=found.value, service_ms_spread=found.variation)
