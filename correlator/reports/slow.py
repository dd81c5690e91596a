"""The slow pairs: how each talked before and since the onset of what slows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pandas as pd

from correlator.engine import pairs
from correlator.model import PairImpact
from correlator.ports import Tables
from correlator.reports.content import Period, Reading, SlowPair, Talk, WorkOrder
from correlator.reports.tables import during, number, table

LEAST_RESPONSES = 30
"""Timed responses below which the minutes before the onset say too little, and the hours speak instead."""

HOURS_OF_USUAL = timedelta(days=7)

Pair = tuple[str, str]
PAIR = ["src_container_id", "dst_container_id"]


def slow_pairs(
    tables: Tables, orders: Sequence[WorkOrder], period: Period, most: int
) -> tuple[SlowPair, ...]:
    """Return the ``most`` most slowed pairs of all orders, worst first, with their talk before and now."""
    suffered = [(order, impact) for order in orders for impact in order.fault.verdict.pairs]
    worst = sorted(suffered, key=lambda one: -(one[1].slower_by or 0.0))[:most]
    seen = _observed(tables, {end for _, impact in worst for end in (impact.src, impact.dst)}, period)
    found = []
    for order in orders:
        impacts = [impact for owner, impact in worst if owner is order]
        found += _of_order(tables, seen, order, impacts)
    return tuple(sorted(found, key=lambda pair: -(pair.impact.slower_by or 0.0)))


def _observed(tables: Tables, containers: set[str], period: Period) -> pd.DataFrame:
    """Return the day's observations of these containers: one row an end, pair and interval."""
    samples = table(tables, "pair_samples")
    samples = during(samples[samples["container_id"].isin(containers)], period)
    return pairs.observations(samples, table(tables, "containers"))


def _of_order(
    tables: Tables, seen: pd.DataFrame, order: WorkOrder, impacts: Sequence[PairImpact]
) -> list[SlowPair]:
    """Return an order's pairs, their talk before its onset apart from that since.

    Where too few responses were timed on the day before the onset, the hours of the week before say
    how the pair's services usually talk.
    """
    if not impacts:
        return []
    verdict = order.fault.verdict
    onset = verdict.onset or verdict.window.since
    wanted = pd.MultiIndex.from_tuples([(one.src, one.dst) for one in impacts])
    seen = seen[pd.MultiIndex.from_frame(seen[PAIR]).isin(wanted)]
    before = _talks(seen[seen["at"] <= onset])
    now = _talks(seen[(seen["at"] > onset) & (seen["at"] <= order.fault.last_seen)])
    usual = _usual(tables, seen, onset)
    hosts = _hosts(seen)
    found = []
    for impact in impacts:
        pair = (impact.src, impact.dst)
        early = before.get(pair)
        if early is None or early.responses < LEAST_RESPONSES:
            early = usual.get(pair, early)
        src_host, dst_host = hosts.get(pair, (None, None))
        found.append(SlowPair(order.number, impact, src_host, dst_host, early, now.get(pair)))
    return found


def _hosts(seen: pd.DataFrame) -> dict[Pair, tuple[str, str]]:
    """Return the hosts on which the containers of each pair were last seen."""
    last = seen.drop_duplicates(PAIR, keep="last")
    rows = last[[*PAIR, "src_host", "dst_host"]].itertuples(index=False, name=None)
    return {(src, dst): (src_host, dst_host) for src, dst, src_host, dst_host in rows}


def _talks(seen: pd.DataFrame) -> dict[Pair, Talk]:
    """Return each pair's talk over the given observations."""
    sums = pd.DataFrame(
        {
            "exchanges": seen["exchanges"],
            "connections": seen["connections_new"],
            "response_ms": seen["response_ms"],
            "responses": seen["responses"],
            "service_ms": seen["service_ms"],
            "services": seen["services"],
            "segments": seen["segments_client"] + seen["segments_server"],
            "retransmitted": seen["retransmitted_client"] + seen["retransmitted_server"],
        }
    )
    keys = [seen[column] for column in PAIR]
    sums = sums.groupby(keys).sum()
    # Rows of one pair and interval add up, but they share its length.
    sums["seconds"] = seen.groupby([*PAIR, "at"])["seconds"].max().groupby(level=PAIR).sum()
    records = zip(sums.index.to_list(), sums.to_dict("records"), strict=True)
    return {pair: _talk({str(key): value for key, value in row.items()}, "minutes") for pair, row in records}


def _usual(tables: Tables, seen: pd.DataFrame, onset: datetime) -> dict[Pair, Talk]:
    """Return how the pairs' services talked between their hosts in the hours of the week before."""
    rows = table(tables, "pair_hours")
    rows = rows[(rows["hour"] < onset) & (rows["hour"] >= onset - HOURS_OF_USUAL)]
    sums = rows.groupby([*pairs.PAIR, "metric"])[["exposure", "count", "sum"]].sum()
    cells = sums.stack().to_dict()
    named = seen.drop_duplicates(PAIR, keep="last")[[*PAIR, *pairs.PAIR]].itertuples(index=False, name=None)
    found = {}
    for src, dst, *key in named:
        hours = {name: cells.get((*key, *cell), 0.0) for name, cell in _IN_HOURS.items()}
        if any(hours.values()):
            found[src, dst] = _talk(hours, "hours")
    return found


_IN_HOURS = {
    "seconds": ("exchanges", "exposure"),
    "exchanges": ("exchanges", "count"),
    "connections": ("connections", "count"),
    "response_ms": ("response_ms", "sum"),
    "responses": ("response_ms", "count"),
    "service_ms": ("service_ms", "sum"),
    "services": ("service_ms", "count"),
    "segments": ("retransmissions", "exposure"),
    "retransmitted": ("retransmissions", "count"),
}
"""Where the hourly table keeps each sum: metric and column."""


def _talk(sums: Mapping[str, float], reading: Reading) -> Talk:
    response = _over(sums["response_ms"], sums["responses"])
    service = _over(sums["service_ms"], sums["services"])
    return Talk(
        reading=reading,
        seconds=round(sums["seconds"], 1),
        exchanges_per_s=number(_over(sums["exchanges"], sums["seconds"]), 3),
        per_connection=number(_over(sums["exchanges"], sums["connections"]), 1),
        responses=int(sums["responses"]),
        response_ms=number(response, 3),
        service_ms=number(service, 3),
        network_ms=None if response is None or service is None else round(max(response - service, 0.0), 3),
        retransmitted=number(_over(sums["retransmitted"], sums["segments"]), 6),
    )


def _over(one: float, other: float) -> float | None:
    return one / other if other > 0 else None
