"""Three whole days: a quiet one, one with a single dirty link, one on which nearly everything goes wrong.

Beside what ``report_days`` tells of a few links, every port counts and tells its light, some of it for
a month, and every service pair has its hours.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import report_days as days
from report_days import DIRTY, END, FULL, MIDNIGHT, MINUTE, SICK

from correlator import frames
from correlator.model import Action, Candidate, End, Evidence, Link, Subject, Verdict

DEAD = Link(End("leaf4", "Ethernet50"), End("spine1", "Ethernet4"))
SILENT = Link(End("leaf1", "Ethernet49"), End("spine2", "Ethernet1"))


DIED = MIDNIGHT + 620 * MINUTE
FALL_DB = 0.06
"""By so much a day the light from leaf2 falls at ``SICK``'s far end."""
FILLED = {"in_octets": 1.8e11, "out_octets": 1.8e11, "out_discards": 2160.0}
"""What a full link counts a minute: 97 % of 25 Gbit/s, one packet in 420 discarded."""
LEVELS = {
    "rx_power_low_warn_dbm": -9.9, "rx_power_low_alarm_dbm": -11.9,
    "rx_power_high_warn_dbm": 2.4, "rx_power_high_alarm_dbm": 3.4,
}  # fmt: skip


def quiet_day() -> dict[str, pd.DataFrame]:
    """A day on which nothing is wrong, and all of it was seen."""
    tables = days.quiet()
    rich = days.rich()
    early = rich["pair_samples"][rich["pair_samples"]["at"] < days.ONSET]
    calm = [early.assign(at=early["at"] + timedelta(hours=3) * part) for part in range(8)]
    return whole({**tables, "containers": rich["containers"], "pair_samples": pd.concat(calm)})


def dirty_day() -> dict[str, pd.DataFrame]:
    """One dirty connector from a quarter past three to the end of the day, and nothing else."""
    tables = days.rich()
    seen = [days.verdict_row(days.dirty(at), at) for at in (END - 200 * MINUTE, END - MINUTE)]
    return whole(
        {
            **{name: table for name, table in tables.items() if name not in ("findings", "incident_events")},
            "polls": frames.frame("polls", days._polls()),
            "verdicts": frames.frame("verdicts", seen),
        }
    )


def chaos() -> dict[str, pd.DataFrame]:
    """A dirty link, a full one, a dead one, one that loses in silence, a sick host, two slow services."""
    at = END - MINUTE
    found = [
        days.dirty(at), days.congested(at), days.slow_service(at),
        dead(at), silent(at), overloaded(at), slow_search(at), nameless(at),
    ]  # fmt: skip
    rows = [days.verdict_row(one, at) for one in found]
    tables = whole({**days.rich(), "verdicts": frames.frame("verdicts", rows)})
    tables |= died(tables)
    return {**tables, "counters": filled(tables["counters"])}


def whole(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return a day's tables with every port's counters and light, and the pairs' hours."""
    counted = tables["counters"].dropna(subset=["in_packets"])
    light = tables["optics"].dropna(subset=["tx_power_dbm"])
    added = {
        "counters": [counted, calm_counters(ends_without(counted))],
        "optics": [light, calm_light(ends_without(light))],
        "optics_hours": [*([tables["optics_hours"]] if "optics_hours" in tables else []), month()],
        "pair_hours": [*([tables["pair_hours"]] if "pair_hours" in tables else []), talk()],
    }
    return {
        **tables,
        **{name: frames.validate(name, pd.concat(p, ignore_index=True)) for name, p in added.items()},
    }


def ends_without(table: pd.DataFrame) -> list[tuple[str, str]]:
    known = set(zip(table["device"], table["if_name"], strict=True))
    return [place for place in days._ports() if place not in known]


def calm_counters(ends: list[tuple[str, str]]) -> pd.DataFrame:
    """Return five minutes' readings of ports that damage and discard nothing."""
    minute = np.tile(np.arange(0, 1441, 5), len(ends)).astype(np.uint64)
    place = pd.DataFrame(np.repeat(np.array(ends), 289, axis=0), columns=["device", "if_name"])
    count = {"packets": 900_000, "octets": 720_000_000, "errors": 0, "discards": 0}
    moved = {
        f"{way}_{what}": minute * np.uint64(each) for what, each in count.items() for way in ("in", "out")
    }
    widths = {"octets_width_bits": 64, "errors_width_bits": 64, "if_index": 1, "discontinuity_cs": 0}
    at = MIDNIGHT + pd.to_timedelta(minute.astype(np.int64), unit="min") + timedelta(seconds=1)
    rows = place.assign(at=at, uptime_cs=minute * np.uint64(6000) + np.uint64(10**7), **moved, **widths)
    return frames.validate("counters", rows)


def calm_light(ends: list[tuple[str, str]]) -> pd.DataFrame:
    """Return a quarter-hour's light of ports whose light is steady; the hosts below leaf4 have none."""
    rng = np.random.default_rng(11)
    rows = [
        {
            "at": MIDNIGHT + step * 15 * MINUTE, "device": device, "if_index": 1, "if_name": if_name,
            "lane": 1,
            "rx_power_dbm": round(-2.5 - number / 12 + rng.normal(0, 0.05), 2),
            "tx_power_dbm": round(-1.1 + rng.normal(0, 0.03), 2), **LEVELS,
        }
        for number, (device, if_name) in enumerate(ends)
        if (device, if_name) not in (("leaf4", "Ethernet1"), ("leaf4", "Ethernet2"))
        for step in range(96)
    ]  # fmt: skip
    return frames.frame("optics", rows)


def month() -> pd.DataFrame:
    """Return thirty days of light of three receivers; that of ``SICK``'s far end falls."""
    rng = np.random.default_rng(12)
    known = ((DIRTY.a, -3.1, 7), (SICK.b, -5.1, 0), (FULL.a, -2.8, 0))
    rows = [
        {
            "at": MIDNIGHT - timedelta(hours=back - 1), "hour": MIDNIGHT - timedelta(hours=back),
            "device": end.device, "if_name": end.if_name, "lane": 1, "metric": "rx_power_dbm",
            "exposure": 12.0, "count": 12.0,
            "sum": 12.0 * (level + (FALL_DB * back / 24 if end == SICK.b else 0.0) + rng.normal(0, 0.04)),
        }
        for end, level, days_known in known
        for back in range(30 * 24, days_known * 24, -2)
    ]  # fmt: skip
    return frames.frame("optics_hours", rows)


def talk() -> pd.DataFrame:
    """Return the day's hours of every service pair between two hosts."""
    places, rows = days._places(), []
    for number, pair in enumerate(days._all_pairs()):
        (src_host, src), (dst_host, dst) = places[pair.src], places[pair.dst]
        key = {
            "src_host": src_host, "dst_host": dst_host,
            "src_service": src.split("-")[0], "dst_service": dst.split("-")[0],
        }  # fmt: skip
        figures = {
            "exchanges": (3600.0, 54_000.0 + 2400.0 * number, None),
            "connections": (3600.0, 720.0, None),
            "response_ms": (54_000.0, 54_000.0, 54_000.0 * (8 + number / 2)),
            "service_ms": (54_000.0, 54_000.0, 54_000.0 * (6 + number / 4)),
        }
        for hour in range(24):
            begun = MIDNIGHT + timedelta(hours=hour)
            stamp = {"at": begun + timedelta(hours=1), "hour": begun}
            rows += [
                {**key, **stamp, "metric": metric, "exposure": exposure, "count": count, "sum": total}
                for metric, (exposure, count, total) in figures.items()
            ]
    return frames.frame("pair_hours", rows)


def died(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return what the dead link's ends tell: down, nothing counted any more, no light."""
    changed = {}
    for name in ("interfaces", "counters", "optics"):
        table = tables[name].copy()
        place = list(zip(table["device"], table["if_name"], strict=True))
        mine = np.array([End(*one) in (DEAD.a, DEAD.b) for one in place])
        late = mine & (table["at"] >= DIED).to_numpy()
        if name == "interfaces":
            table.loc[mine, "oper_status"] = "down"
        elif name == "optics":
            table.loc[late, ["rx_power_dbm", "no_light"]] = [np.nan, True]
        changed[name] = table[~late] if name == "counters" else table
    return changed


def filled(counters: pd.DataFrame) -> pd.DataFrame:
    """Return counters in which the full link is full from eleven o'clock on."""
    since = MIDNIGHT + timedelta(hours=11)
    ends = {FULL.a: ("out_octets", "out_discards"), FULL.b: ("in_octets",)}
    table = counters.copy()
    for end, columns in ends.items():
        mine = (table["device"] == end.device) & (table["if_name"] == end.if_name) & (table["at"] > since)
        minutes = ((table.loc[mine, "at"] - since) / MINUTE).to_numpy()
        for column in columns:
            before = table.loc[mine, column].astype("uint64")
            if column == "out_discards":
                before = before.iloc[0]
            table.loc[mine, column] = before + (minutes * FILLED[column]).astype(np.uint64)
    return table


def dead(at) -> Verdict:
    return days.dirty(
        at,
        id="v-dead",
        link=DEAD,
        direction="both",
        root_cause="link_down",
        severity="crit",
        probability=1.0,
        onset=DIED,
        lane=None,
        actions=(Action(1, "replace_cable", "leaf4", "Ethernet50"),),
        evidence=(Evidence("state", None, 60.0, "leaf4 Ethernet50 is down, and so is its far end"),),
        pairs=days.pairs_of(DEAD, 5, "x"),
        alternatives=(),
        missing=(),
    )


def silent(at) -> Verdict:
    links = (SILENT, SICK)
    return days.dirty(
        at,
        id="v-class",
        kind="class",
        link=None,
        direction=None,
        root_cause="silent_drop",
        probability=0.61,
        onset=MIDNIGHT + 800 * MINUTE,
        lane=None,
        actions=(Action(1, "drain", "leaf1", "Ethernet49"),),
        evidence=(Evidence("pairs", 4, 14.0, "4 pairs lose packets that no counter on their way has seen"),),
        pairs=days.pairs_of(SILENT, 4, "q"),
        candidates=tuple(Candidate(link, "a_to_b", "silent_drop", 0.3) for link in links),
        alternatives=(),
        missing=(),
    )


def overloaded(at) -> Verdict:
    return replace(
        days.slow_service(at),
        id="v-host",
        kind="host",
        root_cause="host",
        severity="err",
        onset=MIDNIGHT + 940 * MINUTE,
        actions=(Action(1, "none", text="Look at node-02: its processors, memory and NIC driver."),),
        evidence=(Evidence("pairs", 6, 21.0, "all 6 pairs that end at node-02 are slow, on every path"),),
        pairs=days.pairs_of(FULL, 6, "h"),
        subject=Subject(host="node-02"),
    )


def slow_search(at) -> Verdict:
    return replace(
        days.slow_service(at),
        id="v-search",
        actions=(Action(1, "none", text="Look at the service search itself: the network part is as ever."),),
        pairs=days.pairs_of(None, 2, "g"),
        subject=Subject(service="search"),
    )


def nameless(at) -> Verdict:
    return replace(
        days.slow_service(at),
        id="v-unknown",
        kind="unknown",
        root_cause="unknown",
        probability=0.4,
        actions=(),
        evidence=(),
        pairs=days.pairs_of(None, 1, "u"),
        subject=Subject(),
    )
