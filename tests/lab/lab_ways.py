"""The ways that packets take in a routed lab: as the plan has them, and as ``correlator explain`` tells."""

from __future__ import annotations

from typing import Any

from lab_plan import Cable, Plan

Way = dict[tuple[str, str], float]


def routed(plan: Plan, source: str, destination: str) -> Way:
    """Return the share of each directed link on the way from a host to another over equal-cost paths."""
    first, last = plan.ports(source)[0][1], plan.ports(destination)[0][1]
    here, there = first.upper.device, last.upper.device
    way = {_up(first): 1.0, _down(last): 1.0}
    if here != there:
        for spine in plan.spines:
            way[_up(plan.cable(here, spine))] = way[_down(plan.cable(there, spine))] = 1 / len(plan.spines)
    return way


def told(said: dict[str, Any], source: str, destination: str) -> tuple[Way, Way]:
    """Return the ways there and back that an explanation tells of two hosts."""
    path = next(p for p in said["paths"] if (p["source"], p["destination"]) == (source, destination))
    there, back = (
        {(hop["from"], hop["to"]): hop["share"] for hop in path[w]} for w in ("forward", "reverse")
    )
    return there, back


def _up(cable: Cable) -> tuple[str, str]:
    return str(cable.lower), str(cable.upper)


def _down(cable: Cable) -> tuple[str, str]:
    return str(cable.upper), str(cable.lower)
