"""Verdicts against the truth: which link, which cause, how sure, and who was blamed for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from correlator.engine.cycle import Cycle
from correlator.fabric.faults import Fault
from correlator.model import Action, Direction, Link, Verdict
from fusing import oracle
from fusing.watch import Watched

Way = tuple[str, str]  # a link as text, and a direction
CORRUPTIONS = (
    "dirty_connector",
    "damaged_fiber",
    "failing_transmitter",
    "bad_transceiver",
    "shared_component",
)


@dataclass(frozen=True)
class Wrong:
    """One fault in the words of a verdict: the directed links that lose, and what mends it."""

    fault: Fault
    ways: frozenset[Way]
    mends: frozenset[tuple[str, str | None, str | None]]


def ways(link: Link | None, direction: Direction | None) -> frozenset[Way]:
    """Return the directed links that a verdict names."""
    if link is None or direction is None:
        return frozenset()
    told = ("a_to_b", "b_to_a") if direction == "both" else (direction,)
    return frozenset((str(link), one) for one in told)


def truth(watched: Watched) -> list[Wrong]:
    """Return what is wrong and hurts: faults that lose packets, without the irrelevant ones."""
    return [_wrong(watched, fault) for fault in watched.plan.faults if fault.level > 0]


def _wrong(watched: Watched, fault: Fault) -> Wrong:
    layout = watched.layout
    losing = [mark.link for mark in fault.marks if mark.loss > 0 or mark.silent > 0] or [fault.link or 0]
    named = frozenset(way for link in losing for way in ways(*layout.directed(link)))
    link = fault.link if fault.link is not None else losing[0]
    rx, tx = layout.receiver(link), layout.sender(link)
    bad = rx if fault.end else tx
    mends = {
        "dirty_connector": {("inspect_and_clean", bad.device, bad.if_name)},
        "damaged_fiber": {("replace_cable", end.device, end.if_name) for end in (rx, tx)},
        "failing_transmitter": {("replace_transceiver", tx.device, tx.if_name)},
        "bad_transceiver": {(do, bad.device, bad.if_name) for do in ("reseat", "replace_transceiver")},
        "congestion": {("relieve", tx.device, tx.if_name)},
        "silent_drop": {("drain", tx.device, tx.if_name)},
    }.get(fault.kind, set())
    return Wrong(fault, named, frozenset(mends))


def claims(watched: Watched, cycle: Cycle, coverage: float, bound: bool) -> dict[str, Any]:
    """Return what was told at a coverage, and whether it is so, as JSON; with ``bound``, the judges' word."""
    wrong = truth(watched)
    sick = {
        way
        for fault in watched.plan.sick
        for mark in fault.marks
        for way in ways(*watched.layout.directed(mark.link))
    }
    judged: dict[Fault, Any] = {one.fault: oracle.cause(watched, one.fault, coverage) for one in wrong}
    told = [_claim(verdict, wrong, sick, judged) for verdict in cycle.verdicts]
    found = [_claim(one, wrong, sick, judged) for one in cycle.findings if _about_a_link(one)]
    return {
        "set": watched.plan.mix.name,
        "seed": watched.plan.seed,
        "coverage": coverage,
        "slow": int(cycle.pairs["slow"].sum()),
        "verdicts": told,
        "findings": found,
        "faults": [
            _met(one, cycle.verdicts, cycle.findings) | (_bound(watched, one, coverage) if bound else {})
            for one in wrong
        ],
    }


def _bound(watched: Watched, one: Wrong, coverage: float) -> dict[str, Any]:
    """Return what the judges say who know how the fabric was made."""
    where = oracle.places(watched, one.fault, coverage)
    named = ways(*watched.layout.directed(where.link))
    return {
        "judge": {"named": where.named, "right": named <= one.ways, "sure": round(where.sure, 4)},
    }


def _about_a_link(finding: Verdict) -> bool:
    return finding.link is not None and finding.severity != "notice"


def _candidates(verdict: Verdict) -> frozenset[Way]:
    return frozenset(way for one in verdict.candidates for way in ways(one.link, one.direction))


def _claim(
    verdict: Verdict, wrong: Sequence[Wrong], sick: set[Way], judged: dict[Fault, Any]
) -> dict[str, Any]:
    """Return a verdict as a claim: ``right`` about the place, ``whole`` about the cause too."""
    named = ways(verdict.link, verdict.direction) or _candidates(verdict)
    meant = next((one for one in wrong if named & one.ways), None)
    right = meant is not None and (verdict.kind == "class" or named <= meant.ways)
    shared = verdict.root_cause == "shared_component"
    if meant is not None and shared:
        right = 2 * len(named & meant.ways) > len(named)
    return {
        "kind": verdict.kind,
        "link": str(verdict.link),
        "cause": verdict.root_cause,
        "probability": verdict.probability,
        "pairs": len(verdict.pairs),
        "right": right,
        "sick": bool(named & sick),
        "true_cause": meant.fault.kind if meant else None,
        "whole": right and meant is not None and _cause_is(verdict, meant),
        "step": _step(verdict.actions, meant) if right and meant else None,
        "judge": judged[meant.fault] if right and meant else None,
        "alternatives": _alternatives(verdict, meant) if verdict.kind == "link" else [],
    }


def _cause_is(verdict: Verdict, meant: Wrong) -> bool:
    if verdict.kind == "class" and verdict.root_cause == "unknown":
        return True
    return verdict.root_cause == meant.fault.kind


def _step(actions: Iterable[Action], meant: Wrong) -> int | None:
    """Return the first step that mends the fault; a shared part is met by any step that names it."""
    for action in sorted(actions, key=lambda one: one.step):
        if (action.do, action.device, action.if_name) in meant.mends:
            return action.step
        if (
            meant.fault.kind == "shared_component"
            and action.do == "replace_transceiver"
            and "shared" in action.text
        ):
            return action.step
    return None


def _alternatives(verdict: Verdict, meant: Wrong | None) -> list[tuple[float, bool]]:
    """Return what else was held for possible, with its probability, and whether it is so."""
    return [
        (
            one.probability,
            meant is not None
            and bool(ways(one.link, one.direction) & meant.ways)
            and one.root_cause == meant.fault.kind,
        )
        for one in verdict.alternatives
    ]


def _met(one: Wrong, verdicts: Iterable[Verdict], findings: Iterable[Verdict]) -> dict[str, Any]:
    """Return by what a fault was met: named as a link, in a class, as a finding, or not at all."""
    named = [v for v in verdicts if ways(v.link, v.direction) & one.ways]
    shared = [v for v in verdicts if v.root_cause == "shared_component" and _candidates(v) & one.ways]
    classes = [v for v in verdicts if v.kind == "class" and _candidates(v) & one.ways]
    found = [f for f in findings if _about_a_link(f) and ways(f.link, f.direction) & one.ways]
    by = "link" if named or shared else "finding" if found else "class" if classes else "nothing"
    return {
        "cause": one.fault.kind,
        "loss": one.fault.level,
        "links": sorted(f"{link} {direction}" for link, direction in one.ways),
        "met": by,
    }
