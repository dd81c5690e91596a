"""A fault's life: pending, open, cleared; one opening, few updates, one proven clearing.

Opens when a fault was seen in two of three cycles; clears after three cycles in a row that
measured it and found it healthy, later where it keeps coming back. Silence clears nothing. All
memory is in the incidents themselves, so a restart forgets nothing. Page: docs/algorithms/incidents.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from correlator.model import (
    RANKS,
    Action,
    EventKind,
    Evidence,
    Incident,
    IncidentEvent,
    PairImpact,
    Severity,
    Subject,
    Verdict,
)


@dataclass(frozen=True)
class Severities:
    """How loud each kind of trouble is (``crit``, ``err``, ``warning`` or ``notice``)."""

    slow_link: Severity = "err"  # pairs are slow and a link, or one of a few, is to blame
    slow_service: Severity = "warning"
    slow_host: Severity = "warning"
    slow_unknown: Severity = "warning"
    sick_link: Severity = "warning"  # a link loses packets, nobody is slow yet
    light: Severity = "notice"  # light has changed, nothing is lost
    map: Severity = "notice"  # sources of the map contradict one another
    device: Severity = "warning"  # a device is silent, or restarted with trouble around it


@dataclass(frozen=True)
class Params:
    """Hysteresis, damping and severities."""

    bad_to_open: int = 2
    good_to_forget: int = 2  # so that two of three cycles open
    good_to_clear: int = 3
    well_for: timedelta = timedelta(seconds=100)  # before a clear; three cycles of a minute take two
    most_doublings: int = 5  # each return of the fault doubles well_for: 53 minutes at most
    surer: float = 0.05  # how much surer another cause or end must be before it is told
    tenfold: int = 10  # growth of the number of hurt pairs that is told
    calm: timedelta = timedelta(minutes=2)  # after the first update; each further one triples it
    blind_to_tell: int = 3  # cycles without a measurement, before a line says so
    most_pairs: int = 20  # named in an incident and its events, slowest first
    to_prove: timedelta = timedelta(minutes=10)  # after a cleaning, before "no change" is said
    children: int = 2  # new faults around a troubled device that are one incident, its own
    severity: Severities = field(default_factory=Severities)


@dataclass(frozen=True)
class Around:
    """What is known around a verdict in this cycle; each answer is empty where there is none.

    ``proof``: what shows that it is well, before and after. ``unseen``: why it cannot be measured.
    ``quiet``: why no line may be made of it (its ``id`` is the incident's). ``troubled``: the silent or
    just restarted device that it touches, and in which trouble that is. ``cleaned``: when, and by
    whom it was last cleaned.
    """

    proof: Callable[[Verdict], str] = lambda _: ""
    unseen: Callable[[Verdict], str] = lambda _: ""
    quiet: Callable[[Verdict], str] = lambda _: ""
    troubled: Callable[[Verdict], tuple[str, str]] = lambda _: ("", "")
    cleaned: Callable[[Verdict], tuple[datetime | None, str]] = lambda _: (None, "")


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
    healthy: Callable[[Verdict], bool | None],
    now: datetime,
    params: Params | None = None,
    around: Around | None = None,
) -> tuple[tuple[Incident, ...], tuple[IncidentEvent, ...], tuple[Verdict, ...]]:
    """Return the incidents that changed, their events, and ``seen`` with the ids of their incidents.

    ``known`` are the pending and open incidents; ``healthy`` says whether what a verdict is about
    was measured this cycle and found well, None where it was not measured.
    """
    life = _Life(now, params or Params(), around or Around())
    unmet = _Known(known)
    rated = [replace(verdict, severity=_severity(verdict, life.params)) for verdict in seen]
    gathered, parents = _gathered(rated, unmet, life)
    changes: list[tuple[Incident, list[IncidentEvent]]] = []
    ids: dict[str, str] = {}
    for verdict in gathered:
        after, events = life.met(unmet.take(verdict) or _new(verdict, now), verdict)
        changes.append((after, events))
        ids[key(verdict)] = after.id
    missed = [(before, *life.missed(before, healthy(before.verdict))) for before in unmet.left.values()]
    changes += [(after, events) for before, after, events in missed if after != before]
    named = tuple(replace(v, id=ids[parents.get(key(v), key(v))]) for v in rated)
    return tuple(one for one, _ in changes), tuple(e for _, events in changes for e in events), named


def _gathered(seen: Sequence[Verdict], known: _Known, life: _Life) -> tuple[list[Verdict], dict[str, str]]:
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


@dataclass(frozen=True)
class _Life:
    """What a cycle does to an incident."""

    now: datetime
    params: Params
    around: Around

    def met(self, before: Incident, verdict: Verdict) -> tuple[Incident, list[IncidentEvent]]:
        """Return the incident after a cycle that saw its fault, and what that is worth telling."""
        verdict = replace(_worst(verdict, self.params.most_pairs), id=before.id)
        came_back = before.state == "open" and before.good > 0
        course = replace(
            before.course,
            flaps=before.course.flaps + came_back,
            healthy_since=None,
            blind=0,
            blind_since=None,
            blind_told=False,
        )
        after = replace(before, last_seen=self.now, bad=before.bad + 1, course=course)
        if before.state == "pending":
            after = replace(after, verdict=verdict, key=key(verdict))
            if after.bad < self.params.bad_to_open:
                return after, []
            return self._told(replace(after, state="open", opened_at=self.now, good=0), "opened", "")
        after = replace(after, good=0)
        reason = _news(before.verdict, verdict, self.params)
        if reason and self._may_update(after, RANKS[verdict.severity] > RANKS[before.verdict.severity]):
            return self._told(replace(after, verdict=verdict, key=key(verdict)), "updated", reason)
        after = replace(after, verdict=_kept(before.verdict, verdict))
        return self._unchanged(after)

    def _unchanged(self, incident: Incident) -> tuple[Incident, list[IncidentEvent]]:
        """Return the incident with what else is due: what a silence held back, a cleaning in vain."""
        if incident.course.hushed and not self.around.quiet(incident.verdict):
            what: EventKind = "updated" if incident.course.told else "opened"
            return self._told(incident, what, "changed while it was silenced")
        at, by = self._cleaned(incident)
        if at is not None and at != incident.course.repair and self.now - at >= self.params.to_prove:
            marked = replace(incident, course=replace(incident.course, repair=at))
            return self._told(marked, "updated", f"no change since {by} cleaned it at {at:%H:%MZ}")
        return incident, []

    def _cleaned(self, incident: Incident) -> tuple[datetime | None, str]:
        """Return when and by whom it was cleaned since the incident opened."""
        at, by = self.around.cleaned(incident.verdict)
        return (at, by) if at and incident.opened_at and at >= incident.opened_at else (None, "")

    def missed(self, before: Incident, healthy: bool | None) -> tuple[Incident, list[IncidentEvent]]:
        """Return the incident after a cycle that did not see its fault."""
        if healthy is None:
            return self._blind(before)
        course = replace(before.course, blind=0, blind_since=None, blind_told=False)
        if not healthy:
            return replace(before, good=0, course=replace(course, healthy_since=None)), []
        since = course.healthy_since or self.now
        after = replace(before, good=before.good + 1, course=replace(course, healthy_since=since))
        if before.state == "pending":
            return (
                replace(after, state="cleared") if after.good >= self.params.good_to_forget else after
            ), []
        after = replace(after, bad=0)
        well_for = self.params.well_for * 2 ** min(course.flaps, self.params.most_doublings)
        if after.good < self.params.good_to_clear or self.now - since < well_for:
            return after, []
        return self._cleared(after)

    def _cleared(self, incident: Incident) -> tuple[Incident, list[IncidentEvent]]:
        """Return the incident cleared; one that was told and is silenced now waits until that ends."""
        if incident.course.told and self.around.quiet(incident.verdict):
            return incident, []
        at, by = self._cleaned(incident)
        proof = self.around.proof(incident.verdict) or "measured healthy"
        cleaned = f", {by} cleaned it at {at:%H:%MZ}" if at is not None else ""
        reason = f"{proof}, in {incident.good} cycles{cleaned}"
        return self._told(replace(incident, state="cleared", cleared_at=self.now), "cleared", reason)

    def _blind(self, before: Incident) -> tuple[Incident, list[IncidentEvent]]:
        """Return the incident after a cycle that measured nothing of it: no clear, and told once."""
        since = before.course.blind_since or self.now
        course = replace(before.course, blind=before.course.blind + 1, blind_since=since)
        after = replace(before, course=course)
        due = after.state == "open" and course.blind >= self.params.blind_to_tell and not course.blind_told
        if not due or not self._may_update(after, louder=False):
            return after, []
        why = self.around.unseen(after.verdict)
        reason = f"no data since {since:%H:%MZ}" + (f": {why}" if why else "")
        return self._told(replace(after, course=replace(course, blind_told=True)), "updated", reason)

    def _may_update(self, incident: Incident, louder: bool) -> bool:
        """Return whether an update may be sent: each makes the next one wait three times as long."""
        course = incident.course
        wait = self.params.calm * 3.0 ** (course.updates - 1)
        return louder or course.updated_at is None or self.now - course.updated_at >= wait

    def _told(self, incident: Incident, what: EventKind, reason: str) -> tuple[Incident, list[IncidentEvent]]:
        """Return the incident after an event, and the event."""
        assert incident.opened_at is not None
        quiet = self.around.quiet(incident.verdict)
        course = replace(incident.course, told=incident.course.told or not quiet, hushed=bool(quiet))
        if what == "updated":
            course = replace(course, updates=min(course.updates + 1, 9), updated_at=self.now)
        after = replace(incident, seq=incident.seq + 1, course=course)
        event = IncidentEvent(
            incident=after.id,
            seq=after.seq,
            at=self.now,
            event=what,
            severity="notice" if what == "cleared" else after.verdict.severity,
            verdict=after.verdict,
            opened_at=incident.opened_at,
            reason=reason,
            quiet=quiet,
        )
        return after, [event]


def _news(told: Verdict, verdict: Verdict, params: Params) -> str:
    """Return why a new verdict of an open incident is worth a line; empty where it is not."""
    if RANKS[verdict.severity] > RANKS[told.severity]:
        return f"severity {told.severity} -> {verdict.severity}"
    if RANKS[verdict.severity] < RANKS[told.severity]:
        return ""
    surer = verdict.probability >= told.probability + params.surer
    if verdict.kind != told.kind and surer:
        return f"{told.kind} -> {verdict.kind}"
    if verdict.root_cause != told.root_cause and surer:
        return f"cause {told.root_cause} -> {verdict.root_cause}"
    if (verdict.link, verdict.direction) != (told.link, told.direction) and surer:
        return "blamed end changed"
    if verdict.hurt >= params.tenfold * max(told.hurt, 1):
        return f"hurts {verdict.hurt} pairs, before {told.hurt}"
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
    if not same or verdict.hurt < told.hurt:
        return told
    return replace(verdict, onset=told.onset or verdict.onset, pairs=told.pairs, pairs_hurt=told.pairs_hurt)


def _worst(verdict: Verdict, most: int) -> Verdict:
    """Return the verdict with its slowest pairs only, and their whole number beside them."""
    if len(verdict.pairs) <= most:
        return verdict

    def slower(pair: PairImpact) -> float:
        return pair.slower_by or 0.0

    worst = sorted(verdict.pairs, key=slower, reverse=True)[:most]
    return replace(verdict, pairs=tuple(worst), pairs_hurt=verdict.hurt)
