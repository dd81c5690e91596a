"""A fault's life: pending, open, cleared; one opening, few updates, one proven clearing.

Opens when a fault was seen in two of three cycles; clears after three cycles in a row that
measured it and found it healthy. Silence clears nothing. All memory is in the incidents
themselves, so a restart forgets nothing. Page: docs/algorithms/incidents.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from correlator.model import Incident, IncidentEvent, Severity, Verdict

RANK: dict[Severity, int] = {"crit": 3, "err": 2, "warning": 1, "notice": 0}


@dataclass(frozen=True)
class Params:
    """Hysteresis."""

    bad_to_open: int = 2
    good_to_forget: int = 2  # so that two of three cycles open
    good_to_clear: int = 3
    surer: float = 0.05  # how much surer another cause or end must be before it is told
    tenfold: int = 10  # growth of the number of hurt pairs that is told


def key(verdict: Verdict) -> str:
    """Return the name of the fault itself: the same next cycle, whatever its cause is then thought to be."""
    if verdict.link is not None:
        return f"link {verdict.link} {verdict.direction}"
    subject = verdict.subject
    named = (subject.service, subject.host, subject.device, subject.if_name)
    if verdict.kind == "class":
        return "class " + "; ".join(sorted(f"{c.link} {c.direction}" for c in verdict.candidates))
    if verdict.kind == "service":
        named = (subject.service, None, None, None)
    about = " ".join(name for name in named if name)
    return f"{verdict.kind} {about}".strip()


def follow(
    known: Sequence[Incident],
    seen: Sequence[Verdict],
    healthy: Callable[[Verdict], bool],
    now: datetime,
    params: Params | None = None,
) -> tuple[tuple[Incident, ...], tuple[IncidentEvent, ...], tuple[Verdict, ...]]:
    """Return the incidents that changed, their events, and ``seen`` with the ids of their incidents.

    ``known`` are the pending and open incidents; ``healthy`` says whether what a verdict is about
    was measured this cycle and found well.
    """
    params = params or Params()
    left = {incident.id: incident for incident in known if incident.state != "cleared"}
    changed: list[Incident] = []
    events: list[IncidentEvent] = []
    named: list[Verdict] = []
    for verdict in seen:
        before = _same_fault(verdict, list(left.values()))
        if before is not None:
            del left[before.id]
        after, event = _met(before or _new(verdict, now), verdict, now, params)
        changed.append(after)
        events += event
        named.append(replace(verdict, id=after.id))
    for incident in left.values():
        gone, event = _missed(incident, healthy(incident.verdict), now, params)
        if gone != incident:
            changed.append(gone)
            events += event
    return tuple(changed), tuple(events), tuple(named)


def _same_fault(verdict: Verdict, incidents: list[Incident]) -> Incident | None:
    """Return the incident of this fault: by key, else the class that it was narrowed down from."""
    name = key(verdict)
    for incident in incidents:
        if incident.key == name:
            return incident
    mine = _suspected(verdict)
    for incident in incidents:
        theirs = _suspected(incident.verdict)
        if "class" in (verdict.kind, incident.verdict.kind) and not mine.isdisjoint(theirs):
            return incident
    return None


def _suspected(verdict: Verdict) -> set[tuple[str, str | None]]:
    if verdict.kind == "class":
        return {(str(c.link), c.direction) for c in verdict.candidates}
    return {(str(verdict.link), verdict.direction)} if verdict.link is not None else set()


def _new(verdict: Verdict, now: datetime) -> Incident:
    name = key(verdict)
    digest = hashlib.sha256(f"{name} {now.isoformat()}".encode()).hexdigest()
    return Incident(id=digest[:12], key=name, state="pending", verdict=verdict, first_seen=now, last_seen=now)


def _met(
    incident: Incident, verdict: Verdict, now: datetime, params: Params
) -> tuple[Incident, list[IncidentEvent]]:
    """Return the incident after a cycle that saw its fault."""
    verdict = replace(verdict, id=incident.id)
    after = replace(incident, last_seen=now, bad=incident.bad + 1)
    if incident.state == "pending":
        after = replace(after, verdict=verdict, key=key(verdict))
        if after.bad < params.bad_to_open:
            return after, []
        after = replace(after, state="open", opened_at=now, good=0, seq=1)
        return after, [_event(after, "opened", now, verdict.severity, "")]
    after = replace(after, good=0)
    told = incident.verdict
    reason = _news(told, verdict, params)
    if reason:
        after = replace(after, verdict=verdict, key=key(verdict), seq=incident.seq + 1)
        return after, [_event(after, "updated", now, verdict.severity, reason)]
    return replace(after, verdict=_kept(told, verdict)), []


def _news(told: Verdict, verdict: Verdict, params: Params) -> str:
    """Return why a new verdict of an open incident is worth a line; empty where it is not."""
    if RANK[verdict.severity] > RANK[told.severity]:
        return f"severity {told.severity} → {verdict.severity}"
    if RANK[verdict.severity] < RANK[told.severity]:
        return ""
    surer = verdict.probability >= told.probability + params.surer
    if verdict.kind != told.kind and surer:
        return f"{told.kind} → {verdict.kind}"
    if verdict.root_cause != told.root_cause and surer:
        return f"cause {told.root_cause} → {verdict.root_cause}"
    if (verdict.link, verdict.direction) != (told.link, told.direction) and surer:
        return "blamed end changed"
    if len(verdict.pairs) >= params.tenfold * max(len(told.pairs), 1):
        return f"hurts {len(verdict.pairs)} pairs, before {len(told.pairs)}"
    return ""


def _kept(told: Verdict, verdict: Verdict) -> Verdict:
    """Return what the incident remembers: the newer figures, unless they would change the story untold."""
    same = (told.kind, told.root_cause, told.link, told.direction, told.severity) == (
        verdict.kind,
        verdict.root_cause,
        verdict.link,
        verdict.direction,
        verdict.severity,
    )
    if not same or len(verdict.pairs) < len(told.pairs):
        return told
    return replace(verdict, onset=told.onset or verdict.onset, pairs=told.pairs)


def _missed(
    incident: Incident, healthy: bool, now: datetime, params: Params
) -> tuple[Incident, list[IncidentEvent]]:
    """Return the incident after a cycle that did not see its fault."""
    if not healthy:
        return incident, []
    after = replace(incident, good=incident.good + 1)
    if incident.state == "pending":
        return (replace(after, state="cleared") if after.good >= params.good_to_forget else after), []
    if after.good < params.good_to_clear:
        return replace(after, bad=0), []
    after = replace(after, state="cleared", cleared_at=now, seq=incident.seq + 1)
    reason = f"measured healthy in {after.good} cycles"
    return after, [_event(after, "cleared", now, "notice", reason)]


def _event(incident: Incident, what: str, now: datetime, severity: Severity, reason: str) -> IncidentEvent:
    if incident.opened_at is None:
        raise AssertionError("an event of an incident that never opened")
    return IncidentEvent(
        incident=incident.id,
        seq=incident.seq,
        at=now,
        event=what,  # type: ignore[arg-type]
        severity=severity,
        verdict=incident.verdict,
        opened_at=incident.opened_at,
        reason=reason,
    )
