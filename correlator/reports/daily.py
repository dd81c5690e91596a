"""The report of one day: tables in, one HTML page out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import date, datetime
from importlib.metadata import PackageNotFoundError, version

import pandas as pd

from correlator.engine import pairs
from correlator.model import PairImpact
from correlator.ports import Tables
from correlator.reports import page
from correlator.reports.blind import blind
from correlator.reports.content import Content, Fault, Period, SlowPair, WorkOrder
from correlator.reports.faults import faults
from correlator.reports.orders import work_orders
from correlator.reports.period import period
from correlator.reports.slow import observed, slow_pairs
from correlator.reports.tables import during, table
from correlator.reports.watched import watched

MOST_PAIRS = 100
"""Slow pairs listed, the most slowed ones; a longer list is read by nobody and weighs megabytes."""


def content(tables: Tables, day: date, timezone: str, now: datetime) -> Content:
    """Return all that the report of ``day`` (a calendar day in ``timezone``) says, as numbers.

    ``tables`` may lack any table. Raw tables are wanted for the day, hourly ones for the week before
    it; rows outside are ignored. Raises ReportError for an unknown time zone.
    """
    when = period(day, timezone, now)
    tables = {**tables, "pair_samples": _resolved(tables, when)}
    found = faults(tables, when)
    orders = work_orders(tables, found.verdicts, when)
    return Content(
        version=_version(),
        period=when,
        watched=watched(tables, when),
        orders=tuple(_without_pairs(order) for order in orders),
        pairs=_pairs(tables, orders, when),
        slow=len({(pair.src, pair.dst) for fault in found.verdicts for pair in fault.verdict.pairs}),
        findings=found.findings,
        blind=blind(tables, (*found.verdicts, *found.findings), found.unreadable, when),
    )


def render(tables: Tables, day: date, timezone: str, now: datetime) -> str:
    """Return the report of ``day`` as one self-contained HTML page. Raises as ``content`` does."""
    return page.render(content(tables, day, timezone, now))


def _resolved(tables: Tables, when: Period) -> pd.DataFrame:
    """Return the day's samples with their peers, found half an hour at a time: all at once would multiply."""
    samples = during(tables, "pair_samples", when)
    if samples.empty:
        return samples
    containers, hosts = table(tables, "containers"), table(tables, "hosts")
    slices = samples.groupby(samples["at"].dt.floor("30min"), sort=True)
    return pd.concat([pairs.resolve(some, containers, hosts) for _, some in slices])


def _pairs(tables: Tables, orders: Sequence[WorkOrder], when: Period) -> tuple[SlowPair, ...]:
    """Return the most slowed pairs of all orders, worst first."""
    seen = observed(tables, when)
    impacts = [(order, impact) for order in orders for impact in order.fault.verdict.pairs]
    worst = sorted(impacts, key=lambda one: -(one[1].slower_by or 0.0))[:MOST_PAIRS]
    found = [
        pair
        for order in orders
        for pair in slow_pairs(tables, seen, order.number, order.fault, _of(order, worst))
    ]
    return tuple(sorted(found, key=lambda pair: -(pair.impact.slower_by or 0.0)))


def _of(order: WorkOrder, impacts: Sequence[tuple[WorkOrder, PairImpact]]) -> list[PairImpact]:
    return [impact for owner, impact in impacts if owner is order]


def _without_pairs(order: WorkOrder) -> WorkOrder:
    """Return the order without its verdict's pairs: they have a list of their own."""
    verdict = dataclasses.replace(order.fault.verdict, pairs=())
    fault: Fault = dataclasses.replace(order.fault, verdict=verdict)
    return dataclasses.replace(order, fault=fault)


def _version() -> str:
    try:
        return version("correlator")
    except PackageNotFoundError:
        return "unknown"
