"""The report of one day: tables in, one HTML page out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import date, datetime

import pandas as pd

from correlator.engine import pairs
from correlator.ports import Tables
from correlator.reports import page
from correlator.reports.blind import blind
from correlator.reports.chatter import chattiness
from correlator.reports.content import Blame, Content, Fault, Harm, Hurt, Period, WorkOrder
from correlator.reports.drawing import drawing
from correlator.reports.faults import Faults, faults
from correlator.reports.heat import heat_map
from correlator.reports.margins import margins, with_changes
from correlator.reports.matrix import matrix
from correlator.reports.network import network
from correlator.reports.orders import work_orders
from correlator.reports.period import period
from correlator.reports.repairs import repairs
from correlator.reports.slow import slow_pairs
from correlator.reports.tables import during, table
from correlator.reports.trends import trends, wanted_ends
from correlator.reports.watched import watched

MOST_PAIRS = 100
MOST_ORDERS = 40
MOST_FINDINGS = 100
"""How much is listed, the worst first: a longer list is read by nobody and weighs megabytes."""


def content(
    tables: Tables,
    day: date,
    timezone: str,
    now: datetime,
    digest: str | None = None,
    looks: Sequence[datetime] = (),
) -> Content:
    """Return all that the report of ``day`` (a calendar day in ``timezone``) says, as numbers.

    ``tables`` may lack any table; ``gather.gather`` reads from a store what is wanted. Rows outside
    are ignored. ``digest`` tells the configuration, ``looks`` when pairs were looked at (empty: always).
    Raises ReportError for an unknown time zone.
    """
    when = period(day, timezone, now)
    tables = {**tables, "pair_samples": _resolved(tables, when)}
    found = faults(tables, when)
    orders = work_orders(tables, found.verdicts[:MOST_ORDERS], when)
    net = network(tables, orders, found.findings, when)
    nearest = margins(tables, net, when)
    wanted = wanted_ends(found.verdicts, found.findings, nearest)
    return Content(
        version=page.version(),
        period=when,
        watched=watched(tables, net, when),
        harm=_harm(found),
        orders=tuple(_without_pairs(order) for order in orders),
        pairs=slow_pairs(tables, orders, when, MOST_PAIRS),
        findings=found.findings[:MOST_FINDINGS],
        blind=blind(tables, net, found, looks, when),
        repairs=repairs(tables, net, (*found.verdicts, *found.findings), when),
        matrix=matrix(tables, orders, when),
        drawing=drawing(tables, net, when),
        heat=heat_map(tables, net, when),
        margins=with_changes(nearest, tables, when),
        trends=trends(tables, net, wanted, when),
        chattiness=chattiness(tables, when),
        digest=digest,
    )


def render(tables: Tables, day: date, timezone: str, now: datetime, digest: str | None = None) -> str:
    """Return the report of ``day`` as one self-contained HTML page. Raises as ``content`` does."""
    return page.render(content(tables, day, timezone, now, digest))


def _resolved(tables: Tables, when: Period) -> pd.DataFrame:
    """Return the day's samples with their peers, found half an hour at a time: all at once would multiply."""
    samples = during(table(tables, "pair_samples"), when)
    containers, hosts = table(tables, "containers"), table(tables, "hosts")
    if samples["peer_container_id"].notna().all() or containers.empty or hosts.empty:
        return samples
    slices = samples.groupby(samples["at"].dt.floor("30min"), sort=True)
    return pd.concat([pairs.resolve(some, containers, hosts) for _, some in slices])


def _harm(found: Faults) -> Harm:
    def hurt(verdicts: Sequence[Fault]) -> Hurt:
        named = {(pair.src, pair.dst) for fault in verdicts for pair in fault.verdict.pairs}
        unnamed = sum(max(fault.verdict.hurt - len(fault.verdict.pairs), 0) for fault in verdicts)
        return Hurt(len(verdicts), len(named) + unnamed)

    blames: tuple[Blame, ...] = ("network", "host", "service", "unknown")
    now = {
        blame: hurt([fault for fault in found.verdicts if fault.ongoing and fault.blame == blame])
        for blame in blames
    }
    to_clean = {
        (action.device, action.if_name)
        for fault in found.verdicts
        if fault.ongoing
        for action in fault.verdict.actions
        if action.do == "inspect_and_clean"
    }
    return Harm(
        **now,
        of_the_day=hurt(found.verdicts),
        ends_to_clean=len(to_clean),
        findings=len(found.findings),
    )


def _without_pairs(order: WorkOrder) -> WorkOrder:
    """Return the order without its verdict's pairs: they have a list of their own."""
    verdict = dataclasses.replace(order.fault.verdict, pairs=())
    fault: Fault = dataclasses.replace(order.fault, verdict=verdict)
    return dataclasses.replace(order, fault=fault)
