"""What a report reads of a store: little of what is large, everything of what is small.

Ten thousand pairs leave thirty million samples a day, a thousand links three million counter rows.
The hours speak for all of them; minutes are read of what is blamed, and of pairs at a few looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from correlator import frames
from correlator.engine import pairs
from correlator.model import End
from correlator.ports import Store, Tables
from correlator.reports.content import Fault, Period
from correlator.reports.faults import Faults, faults
from correlator.reports.heat import FIRST_READING, HOUR, hour_starts
from correlator.reports.light import DAYS_BEFORE
from correlator.reports.margins import margins
from correlator.reports.network import network
from correlator.reports.repairs import noted_links
from correlator.reports.tables import moment
from correlator.reports.trends import MONTH, wanted_ends

RECORDS = ("polls", "verdicts", "findings", "incident_events")
CURRENT = (
    "devices",
    "interfaces",
    "neighbors",
    "stations",
    "arp",
    "hosts",
    "containers",
    "cables",
    "annotations",
    "optics",
)
LIGHT = ("rx_power_dbm", "tx_power_dbm")

UNREAD: dict[str, frozenset[str]] = {
    "pair_samples": frozenset(
        {
            "connections_closed", "bytes_sent", "bytes_received", "retransmitted_bytes", "srtt_us",
            "response_histogram", "method",
        }
    ),
    "optics": frozenset(
        {
            "pre_fec_ber", "bias_ma", "temperature_c", "voltage_v", "module_type", "module_serial",
            "tx_power_low_alarm_dbm", "tx_power_low_warn_dbm", "tx_power_high_warn_dbm",
            "tx_power_high_alarm_dbm",
        }
    ),
    "link_hours": frozenset({"histogram"}),
    "optics_hours": frozenset({"histogram", "exposure"}),
    "pair_hours": frozenset({"histogram"}),
}  # fmt: skip
"""Columns of the large tables that no report reads: they are not fetched."""

INSTANT = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)

MOST_SAMPLES = 400_000
"""Pair samples of a day that are all read: about 150 pairs with both their ends."""

MOST_PAIR_HOURS = 1_000_000
"""Rows of pair_hours that are all read, a week's; beyond, two days are, some hours summed up at a time."""

SUMMED = timedelta(hours=4)
METRICS = ("retransmissions", "exchanges", "connections", "response_ms", "service_ms")
"""What reports read of pairs, the first of them of the day before too."""

BOTH = {"role": ("client", "server")}
"""All samples: rows that are picked are read alone, without the rest of their file."""

LOOKS = 8
"""Minutes of the day that are looked at where there are more samples."""

AROUND = timedelta(minutes=30)
"""How long before a fault's onset, and before it was last seen, its pairs' samples are read."""

MOST_FAULTS = 12
"""Faults whose pairs' samples are read, the most severe ones."""

MOST_PAIRS = 100
MOST_ENDS = 200


@dataclass(frozen=True)
class Gathered:
    """Tables for ``daily.content``; ``looks`` says when pairs were looked at, empty where always."""

    tables: Tables
    looks: tuple[datetime, ...]


def gather(store: Store, when: Period, given: Tables | None = None) -> Gathered:
    """Return what the report of a day is made of; ``given`` tables replace the store's. Raises StoreError."""
    until = min(when.until, when.now + INSTANT)
    tables = {name: store.read(name, when.since, until) for name in RECORDS}
    tables |= {name: store.newest(name, until) for name in CURRENT}
    tables["optics"] = tables["optics"][_columns("optics")]
    tables |= given or {}
    found = faults(tables, when)
    net = network(tables, (), (), when)
    ends = _ends(found, noted_links(tables, net, when))
    weak = wanted_ends(found.verdicts, found.findings, margins(tables, net, when))
    watched = ends | {end for end, _ in weak}
    tables["link_hours"] = _link_hours(store, ends, when, until)
    tables["optics_hours"] = _of(
        store, "optics_hours", watched, when.since - MONTH, until + HOUR, only={"metric": LIGHT}
    )
    tables["optics"] = _together(
        "optics", [tables["optics"], _of(store, "optics", watched, when.since, until)]
    )
    tables["counters"] = _counters(store, ends, tables["link_hours"], when, until)
    tables["pair_hours"] = _pair_hours(store, when, until)
    tables["pair_samples"], looks = _samples(store, found.verdicts, when, until)
    return Gathered(tables, looks)


def _ends(found: Faults, noted: Iterable[End]) -> set[End]:
    """Return the ends whose minutes are drawn: those of blamed links, and of links somebody worked on."""
    ends: dict[End, None] = dict.fromkeys(noted)
    for fault in (*found.verdicts, *found.findings):
        link = fault.verdict.link
        if link is not None and (fault.verdict.hurt or fault.cleared_at):
            ends |= {link.a: None, link.b: None}
    return set(list(ends)[:MOST_ENDS])


def _of(
    store: Store,
    name: str,
    ends: set[End],
    since: datetime,
    until: datetime,
    only: dict[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Return the rows about some interfaces (and a few more, of like names)."""
    places = {
        "device": sorted({end.device for end in ends}),
        "if_name": sorted({end.if_name for end in ends}),
    }
    columns = _columns(name)
    if not ends:
        return frames.empty(name)[columns]
    return store.read(name, since, until, columns, only={**places, **(only or {})})


def _columns(name: str) -> list[str]:
    """Return the columns of a table that reports read."""
    unread = UNREAD.get(name, frozenset())
    return [column for column in frames.TABLES[name].columns if column not in unread]


def _link_hours(store: Store, ends: set[End], when: Period, until: datetime) -> pd.DataFrame:
    """Return the day's hours of every link, and the week's of those whose minutes are drawn."""
    # An hour's row is stamped with the hour's end: the day's last one with the end of the day.
    since = when.since + INSTANT
    day = store.read("link_hours", since, until + INSTANT, _columns("link_hours"))
    return _together("link_hours", [_of(store, "link_hours", ends, since - DAYS_BEFORE, since), day])


def _counters(
    store: Store, ends: set[End], hours: pd.DataFrame, when: Period, until: datetime
) -> pd.DataFrame:
    """Return the day's readings of the ends to draw, and all those of hours that are not summed up yet."""
    known = {moment(hour) for hour in hours.loc[hours["metric"] == "errors", "hour"].unique()}
    parts = [_of(store, "counters", ends, when.since, until)]
    parts += [
        store.read("counters", hour - FIRST_READING, min(hour + HOUR + INSTANT, until))
        for hour in hour_starts(when)
        if hour not in known and hour < until
    ]
    return _together("counters", parts)


def _pair_hours(store: Store, when: Period, until: datetime) -> pd.DataFrame:
    """Return the week's hours of the pairs; where they are too many, the sums of some hours of two days."""
    columns = _columns("pair_hours")
    counted = store.read("pair_hours", when.since, until + HOUR, ["at"], only={"metric": METRICS[:1]})
    if len(counted) * len(METRICS) * 8 <= MOST_PAIR_HOURS:
        return store.read("pair_hours", when.since - DAYS_BEFORE, until + HOUR, columns)
    starts = [when.since + SUMMED * number for number in range(-(-(until - when.since) // SUMMED))]
    parts = [_summed(store, columns, at, at + SUMMED, METRICS) for at in starts]
    parts += [
        _summed(store, columns, at - timedelta(days=1), at - timedelta(days=1) + SUMMED, METRICS[:1])
        for at in starts
    ]
    return pd.concat(parts, ignore_index=True)


def _summed(
    store: Store, columns: Sequence[str], since: datetime, until: datetime, metrics: Sequence[str]
) -> pd.DataFrame:
    """Return the sums of some hours as if they were the last of them."""
    # An hour's row is stamped with the hour's end.
    rows = store.read("pair_hours", since + INSTANT, until + INSTANT, columns, only={"metric": metrics})
    keys = [*pairs.PAIR, "metric"]
    sums = rows.groupby(keys, sort=False)[["exposure", "count", "sum"]].sum().reset_index()
    last = pd.Timestamp(since) if rows.empty else rows["hour"].max()
    return sums.assign(at=last, hour=last)


def _samples(
    store: Store, verdicts: Sequence[Fault], when: Period, until: datetime
) -> tuple[pd.DataFrame, tuple[datetime, ...]]:
    """Return the day's samples, and at which looks where there are too many for all."""
    columns = _columns("pair_samples")
    span = when.end - when.since
    looks = tuple(when.since + span * (2 * number + 1) / (2 * LOOKS) for number in range(LOOKS))
    seen = [store.read("pair_samples", at, min(at + MINUTE, until), columns, only=BOTH) for at in looks]
    if sum(map(len, seen)) / LOOKS * (span / MINUTE) <= MOST_SAMPLES:
        return store.read("pair_samples", when.since, until, columns), ()
    containers = {end for fault in verdicts[:MOST_FAULTS] for end in _hurt(fault)}
    hurt = {"container_id": sorted(containers)}
    for since, end in _windows(verdicts[:MOST_FAULTS], when):
        near = store.read("pair_samples", since, min(end, until), columns, only=hurt)
        seen.append(near[~_looked_at(near["at"], looks)])
    return pd.concat(seen, ignore_index=True).sort_values("at", kind="stable", ignore_index=True), looks


def _looked_at(at: pd.Series[pd.Timestamp], looks: Sequence[datetime]) -> npt.NDArray[np.bool_]:
    """Return which times lie in a minute of which all samples are there already."""
    found = np.zeros(len(at), dtype=np.bool_)
    for look in looks:
        found |= ((at >= look) & (at < look + MINUTE)).to_numpy()
    return found


def _hurt(fault: Fault) -> Iterable[str]:
    worst = sorted(fault.verdict.pairs, key=lambda pair: -(pair.slower_by or 0.0))[:MOST_PAIRS]
    return (end for pair in worst for end in (pair.src, pair.dst))


def _windows(verdicts: Sequence[Fault], when: Period) -> list[tuple[datetime, datetime]]:
    """Return the times around onsets and last sights, oldest first, those that touch as one."""
    ends = [fault.verdict.onset or fault.first_seen for fault in verdicts]
    ends += [fault.last_seen + INSTANT for fault in verdicts]
    found: list[tuple[datetime, datetime]] = []
    for end in sorted(ends):
        since, last = max(when.since, end - AROUND), min(when.until, end)
        if last <= since:
            continue
        if found and since <= found[-1][1]:
            found[-1] = (found[-1][0], last)
        else:
            found.append((since, last))
    return found


def _together(name: str, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return tables as one, rows that several hold once, ordered by time."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return frames.empty(name)
    if len(parts) == 1:
        return parts[0]
    key = [column for column in ("at", "hour", "metric", *frames.TABLES[name].key) if column in parts[0]]
    rows = pd.concat(parts, ignore_index=True).sort_values("at", kind="stable", ignore_index=True)
    return rows.drop_duplicates(list(dict.fromkeys(key)), ignore_index=True)
