"""Work orders: each verdict's steps, where to take them, and what they should bring."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from correlator.model import Action, End, Link, Verdict
from correlator.ports import Tables
from correlator.reports.content import Fault, Gain, Light, Period, Place, Step, WorkOrder
from correlator.reports.light import light
from correlator.reports.loads import loads
from correlator.reports.loss import rates
from correlator.reports.tables import newest, text

MOST_PICTURES = 10
"""Orders with pictures, the most severe ones: each weighs about 100 kB with the numbers behind them."""


def work_orders(tables: Tables, faults: Sequence[Fault], period: Period) -> tuple[WorkOrder, ...]:
    """Return one work order a verdict, numbered from 1 in the given order."""
    places = _places(tables, period)
    panels = _panels(tables, period)
    return tuple(
        WorkOrder(
            number=number,
            fault=fault,
            steps=_steps(fault.verdict, places, panels),
            gain=_gain(fault.verdict),
            light=_light(tables, fault, period) if number <= MOST_PICTURES else (),
            rates=rates(tables, fault, period) if number <= MOST_PICTURES else (),
            loads=loads(tables, fault, period) if number <= MOST_PICTURES else (),
        )
        for number, fault in enumerate(faults, start=1)
    )


def _light(tables: Tables, fault: Fault, period: Period) -> tuple[Light, ...]:
    """Return the link's light; a full queue has nothing to do with it."""
    return () if fault.verdict.root_cause == "congestion" else light(tables, fault, period)


def _steps(verdict: Verdict, places: dict[str, Place], panels: dict[End, str]) -> tuple[Step, ...]:
    return tuple(
        _step(action, verdict.link, places, panels)
        for action in sorted(verdict.actions, key=lambda action: action.step)
    )


def _step(action: Action, link: Link | None, places: dict[str, Place], panels: dict[End, str]) -> Step:
    if action.device is None:
        return Step(action, None, None, None)
    end = End(action.device, action.if_name or "")
    peer = None
    if link is not None and end in (link.a, link.b):
        peer = link.b if end == link.a else link.a
    return Step(action, places.get(action.device), panels.get(end), peer)


def _gain(verdict: Verdict) -> Gain:
    slower = [pair.slower_by for pair in verdict.pairs if pair.slower_by is not None]
    shares = [pair.share_explained for pair in verdict.pairs if pair.share_explained is not None]
    return Gain(
        pairs=verdict.hurt,
        slower_by_median=round(statistics.median(slower), 3) if slower else None,
        slower_by_max=max(slower, default=None),
        share_explained=round(statistics.median(shares), 3) if shares else None,
    )


def _places(tables: Tables, period: Period) -> dict[str, Place]:
    rows = newest(tables, "devices", period)
    return {
        device: Place(device, text(site), text(rack))
        for device, site, rack in zip(rows["device"], rows["site"], rows["rack"], strict=True)
    }


def _panels(tables: Tables, period: Period) -> dict[End, str]:
    rows = newest(tables, "cables", period)
    found: dict[End, str] = {}
    for side in ("a", "b"):
        ends = zip(rows[f"{side}_device"], rows[f"{side}_if_name"], rows[f"{side}_panel"], strict=True)
        found |= {End(device, if_name): panel for device, if_name, panel in ends if isinstance(panel, str)}
    return found
