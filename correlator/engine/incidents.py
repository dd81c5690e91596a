"""A fault's life: pending, open, cleared; one opening, few updates, one proven clearing.

Opens when a fault was seen in two of three cycles; clears after three cycles in a row that
measured it and found it healthy, later where it keeps coming back. Silence clears nothing. All
memory is in the incidents themselves, so a restart forgets nothing. What happens to each of them
is ``life``'s; here they are found again, and gathered. Page: docs/algorithms/incidents.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from correlator.engine.life import Around, Life, Params, Severities, key, relief
from correlator.model import RANKS, Action, Evidence, Incident, IncidentEvent, Severity, Subject, Verdict

__all__ = ["Around", "Params", "Severities", "follow", "key"]


def follow(
    known: Sequence[Incident],
    seen: Sequence[Verdict],
    healthy: Callable[[Verdict], bool | None],
    now: datetime,
    params: Params | None = None,
    around: Around | None = None,
) -> tuple[tuple[Incident, ...], tuple[IncidentEvent, ...], tuple[Verdict, ...]]:
    """Return the incidents that changed, their events, and ``seen`` with the ids of their incidents.

    ``known`` are the pending and open incidents; ``healthy`` says whether what a verdict is about
    was measured this cycle and found well, None where it was not measured.
    """
    life = Life(now, params or Params(), around or Around())
    unmet = _Known(known)
    rated = [replace(verdict, severity=_severity(verdict, life.params)) for verdict in seen]
    gathered, parents = _gathered(rated, unmet, life)
    changes: list[tuple[Incident, list[IncidentEvent]]] = []
    ids: dict[str, str] = {}
    for verdict in gathered:
        before = unmet.take(verdict) or _new(verdict, now)
        if _half_blind(before, verdict, healthy, life.params):
            unmet.left[before.key] = before
            ids[key(verdict)] = before.id
            continue
        after, events = life.met(before, verdict)
        changes.append((after, events))
        ids[key(verdict)] = after.id
    missed = [(before, *life.missed(before, healthy(before.verdict))) for before in unmet.left.values()]
    changes += _blind_together([one for one in missed if one[1] != one[0]], life.params)
    named = tuple(replace(v, id=ids[parents.get(key(v), key(v))]) for v in rated)
    return tuple(one for one, _ in changes), tuple(e for _, events in changes for e in events), named


def _half_blind(
    before: Incident, verdict: Verdict, healthy: Callable[[Verdict], bool | None], params: Params
) -> bool:
    """Return whether a fault only looks like less because what convicted it is not measured any more."""
    return (
        before.state == "open"
        and bool(relief(before.verdict, verdict, params))
        and healthy(before.verdict) is None
    )


def _blind_together(
    missed: Sequence[tuple[Incident, Incident, list[IncidentEvent]]], params: Params
) -> list[tuple[Incident, list[IncidentEvent]]]:
    """Return what happened to missed incidents; of many that go blind in one cycle the worst speaks for all.

    The others' events are kept, and name the incident that spoke.
    """
    blind = [
        events[0]
        for before, after, events in missed
        if events
        and events[0].event == "updated"
        and not events[0].quiet
        and after.course.blind_told
        and after.course.blind > 0
    ]
    if len(blind) <= params.most_blind:
        return [(after, events) for _, after, events in missed]
    worst = max(blind, key=lambda event: (RANKS[event.severity], event.verdict.hurt, event.incident))
    shared = {event.incident for event in blind}
    said = f"no data about {len(blind)} incidents, this one and {len(blind) - 1} more; here: {worst.reason}"

    def spoken(event: IncidentEvent) -> IncidentEvent:
        if event.incident == worst.incident:
            return replace(event, reason=said)
        return replace(event, quiet=f"told with {worst.incident}") if event.incident in shared else event

    return [(after, [spoken(event) for event in events]) for _, after, events in missed]


def _gathered(seen: Sequence[Verdict], known: _Known, life: Life) -> tuple[list[Verdict], dict[str, str]]:
    """Return the verdicts, the new ones around a troubled device made one, and each child's parent (keys)."""
    around: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in seen:
        trouble = life.around.troubled(verdict)
        before = known.find(verdict) if trouble[0] else None
        if trouble[0] and (before is None or before.state == "pending"):
            around.setdefault(trouble, []).append(verdict)
    parents: dict[str, str] = {}
    made: dict[str, Verdict] = {}
    for (device, why), children in around.items():
        if len(children) >= life.params.children:
            parent = _device_verdict(device, why, children, life.params)
            made[key(parent)] = parent
            parents |= {key(child): key(parent) for child in children}
    left = [verdict for verdict in seen if key(verdict) not in (parents.keys() | made.keys())]
    return [*left, *made.values()], parents


def _device_verdict(device: str, why: str, children: Sequence[Verdict], params: Params) -> Verdict:
    """Return the verdict that stands for all that is wrong around a device in trouble."""
    pairs = {(pair.src, pair.dst): pair for child in children for pair in child.pairs}
    text = f"{device} {why}: {len(children)} signs of trouble around it"
    first = children[0]
    return Verdict(
        id="",
        kind="unknown",
        link=None,
        direction=None,
        root_cause="unknown",
        probability=1.0,
        severity=max((params.severity.device, *(c.severity for c in children)), key=RANKS.__getitem__),
        onset=min((child.onset for child in children if child.onset), default=None),
        window=first.window,
        actions=(Action(step=1, do="none", text=text),),
        evidence=(Evidence("telemetry", None, 0.0, text),),
        pairs=tuple(pairs.values()),
        pairs_hurt=max(len(pairs), *(child.hurt for child in children)),
        subject=Subject(device=device),
    )


def _severity(verdict: Verdict, params: Params) -> Severity:
    """Return how loud the trouble is, as configured."""
    loud = params.severity
    kinds = {evidence.kind for evidence in verdict.evidence}
    if verdict.root_cause == "link_down":
        return loud.dead_link
    if verdict.pairs:
        slow: dict[str, Severity] = {
            "service": loud.slow_service,
            "host": loud.slow_host,
            "unknown": loud.slow_unknown,
        }
        return slow.get(verdict.kind, loud.slow_link)
    if "telemetry" in kinds:
        return loud.device
    if "topology" in kinds:
        return loud.map
    # the engine itself tells a change of light, a notice, from a link that loses packets
    return loud.light if verdict.severity == "notice" else loud.sick_link


class _Known:
    """The incidents that are pending or open, and not yet met in this cycle."""

    def __init__(self, incidents: Sequence[Incident]) -> None:
        self.left: dict[str, Incident] = {}
        for one in incidents:
            if (
                one.state != "cleared"
            ):  # of two that were narrowed down to one fault, one has its id for a name
                self.left[one.id if one.key in self.left else one.key] = one
        self._classes = {name: one for name, one in self.left.items() if one.verdict.kind == "class"}

    def find(self, verdict: Verdict) -> Incident | None:
        """Return the incident of this fault: by key, else the class it was narrowed down from, or to."""
        found = self.left.get(key(verdict))
        if found is not None:
            return found
        if verdict.root_cause == "link_down":  # a sick link that dies stays one incident
            return next((one for one in self.left.values() if one.verdict.link == verdict.link), None)
        mine = _suspected(verdict)
        others = self.left if verdict.kind == "class" else self._classes
        return next((one for one in others.values() if not mine.isdisjoint(_suspected(one.verdict))), None)

    def take(self, verdict: Verdict) -> Incident | None:
        """Return the incident of this fault, which then is met."""
        found = self.find(verdict)
        for name in (found.key, found.id) if found is not None else ():
            if self.left.get(name) is found:
                del self.left[name]
                self._classes.pop(name, None)
        return found


def _suspected(verdict: Verdict) -> set[tuple[str, str | None]]:
    if verdict.kind == "class":
        return {(str(c.link), c.direction) for c in verdict.candidates}
    return {(str(verdict.link), verdict.direction)} if verdict.link is not None else set()


def _new(verdict: Verdict, now: datetime) -> Incident:
    name = key(verdict)
    digest = hashlib.sha256(f"{name} {now.isoformat()}".encode()).hexdigest()
    return Incident(id=digest[:12], key=name, state="pending", verdict=verdict, first_seen=now, last_seen=now)
