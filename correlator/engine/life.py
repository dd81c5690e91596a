"""What one cycle does to one incident: it opens, goes on, is updated, goes blind, clears.

All memory is in the incident itself (``model.Course``). Page: docs/algorithms/incidents.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from correlator.model import RANKS, Do, EventKind, Incident, IncidentEvent, PairImpact, Severity, Verdict

CLEANING = ("inspect_and_clean", "none")
WORDS: Mapping[Do, str] = {
    "replace_cable": "replace the cable at",
    "reseat": "reseat the transceiver in",
    "replace_transceiver": "replace the transceiver in",
}
"""Steps in words, where their names are none."""


@dataclass(frozen=True)
class Severities:
    """How loud each kind of trouble is (``crit``, ``err``, ``warning`` or ``notice``)."""

    dead_link: Severity = "crit"  # a link in use is down, and nobody shut it
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
    lower_to_tell: int = 10  # cycles in a row of a lower severity, or a tenth of the impact, before an update
    well_for: timedelta = timedelta(seconds=100)  # before a clear; three cycles of a minute take two
    most_doublings: int = 5  # each return of the fault doubles well_for: 53 minutes at most
    surer: float = 0.05  # how much surer another kind or end must be before it is told
    likelier: float = 0.2  # by how much another cause must by now be likelier than the told one
    tenfold: int = 10  # growth or decline of the number of hurt pairs that is told
    calm: timedelta = timedelta(minutes=2)  # after the first update; each further one triples it
    blind_to_tell: int = 3  # cycles without a measurement, before a line says so
    remind: timedelta = timedelta(days=1)  # between such lines, for as long as nothing is measured
    most_pairs: int = 20  # named in an incident and its events, slowest first
    to_prove: timedelta = timedelta(minutes=10)  # after a cleaning, before "no change" is said
    children: int = 2  # new faults around a troubled device that are one incident, its own
    most_blind: int = 2  # incidents that are told one by one when they go blind; more share one line
    severity: Severities = field(default_factory=Severities)


@dataclass(frozen=True)
class Around:
    """What is known around a verdict in this cycle; each answer is empty where there is none.

    ``proof``: what shows that it is well, before and after. ``unseen``: why it cannot be measured.
    ``quiet``: why no line may be made of it (its ``id`` is the incident's). ``troubled``: the silent or
    just restarted device that it touches, and in which trouble that is. ``cleaned``: when, and by
    whom it was last cleaned. ``closed``: when it was closed by hand, and by whom and why.
    """

    proof: Callable[[Verdict], str] = lambda _: ""
    unseen: Callable[[Verdict], str] = lambda _: ""
    quiet: Callable[[Verdict], str] = lambda _: ""
    troubled: Callable[[Verdict], tuple[str, str]] = lambda _: ("", "")
    cleaned: Callable[[Verdict], tuple[datetime | None, str]] = lambda _: (None, "")
    closed: Callable[[Verdict], tuple[datetime | None, str]] = lambda _: (None, "")


def key(verdict: Verdict) -> str:
    """Return the name of the fault itself: the same next cycle, whatever its cause is then thought to be."""
    if verdict.link is not None:
        return f"link {verdict.link} {verdict.direction}"
    subject = verdict.subject
    named = (subject.service, subject.host, subject.device, subject.if_name)
    if verdict.kind == "unknown" and not any(named) and not verdict.pairs:
        return f"unknown {verdict.evidence[0].kind}" if verdict.evidence else "unknown"
    if verdict.kind == "class":
        return "class " + "; ".join(sorted(f"{c.link} {c.direction}" for c in verdict.candidates))
    if verdict.kind == "service":
        named = (subject.service, None, None, None)
    about = " ".join(name for name in named if name)
    return f"{verdict.kind} {about}".strip()


@dataclass(frozen=True)
class Life:
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
        lower = relief(before.verdict, verdict, self.params)
        course = replace(after.course, lower=before.course.lower + 1 if lower else 0)
        after = replace(after, good=0, course=course)
        lasts = course.lower >= self.params.lower_to_tell
        reason = lower if lower and lasts else _news(before.verdict, verdict, self.params)
        if reason and self._may_update(after, RANKS[verdict.severity] > RANKS[before.verdict.severity]):
            after = replace(after, course=replace(course, lower=0))
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
            step = next_step(incident.verdict)
            reason = f"no change since {by} cleaned it at {at:%H:%MZ}" + (f", next: {step}" if step else "")
            return self._told(marked, "updated", reason)
        return incident, []

    def _cleaned(self, incident: Incident) -> tuple[datetime | None, str]:
        """Return when and by whom it was cleaned since the incident opened."""
        at, by = self.around.cleaned(incident.verdict)
        return (at, by) if at and incident.opened_at and at >= incident.opened_at else (None, "")

    def missed(self, before: Incident, healthy: bool | None) -> tuple[Incident, list[IncidentEvent]]:
        """Return the incident after a cycle that did not see its fault."""
        at, how = self.around.closed(before.verdict)
        if before.state == "open" and at and before.opened_at and at >= before.opened_at:
            reason = f"{how} ({'measured healthy' if healthy else 'not measured healthy'})"
            return self._told(replace(before, state="cleared", cleared_at=self.now), "cleared", reason)
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
        """Return the incident after a cycle that measured nothing of it: no clear, told once a day."""
        since = before.course.blind_since or self.now
        course = replace(before.course, blind=before.course.blind + 1, blind_since=since)
        after = replace(before, course=course)
        long = course.blind_told and (course.updated_at or since) <= self.now - self.params.remind
        due = course.blind >= self.params.blind_to_tell and (long or not course.blind_told)
        if after.state != "open" or not due or not self._may_update(after, louder=False):
            return after, []
        why = self.around.unseen(after.verdict)
        begun = f"{since:%H:%MZ}" if not long else f"{since:%Y-%m-%d %H:%MZ}"
        reason = f"{'still ' if long else ''}no data since {begun}" + (f": {why}" if why else "")
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
        told = incident.verdict if incident.course.repair is None else _after_cleaning(incident.verdict)
        course = replace(incident.course, told=incident.course.told or not quiet, hushed=bool(quiet))
        if what == "updated":
            course = replace(course, updates=min(course.updates + 1, 9), updated_at=self.now)
        after = replace(incident, seq=incident.seq + 1, course=course)
        event = IncidentEvent(
            incident=after.id,
            seq=after.seq,
            at=self.now,
            event=what,
            severity="notice" if what == "cleared" else told.severity,
            verdict=told,
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
    likelier = verdict.probability >= _held(told, verdict) + params.likelier
    if verdict.root_cause != told.root_cause and likelier:
        return f"cause {told.root_cause} -> {verdict.root_cause}"
    if (verdict.link, verdict.direction) != (told.link, told.direction) and surer:
        return "blamed end changed"
    if verdict.hurt >= params.tenfold * max(told.hurt, 1):
        return f"hurts {verdict.hurt} pairs, before {told.hurt}"
    return ""


def _held(told: Verdict, verdict: Verdict) -> float:
    """Return how likely the told cause is by what is known now: what was known then no longer counts."""
    named = sum(one.probability for one in verdict.alternatives if one.root_cause == told.root_cause)
    others = sum(one.probability for one in verdict.alternatives)
    return named or max(0.0, 1.0 - verdict.probability - others)


def relief(told: Verdict, verdict: Verdict, params: Params) -> str:
    """Return how a fault that goes on has become less; empty where it has not."""
    if RANKS[verdict.severity] > RANKS[told.severity]:
        return ""
    if RANKS[verdict.severity] < RANKS[told.severity]:
        return f"severity {told.severity} -> {verdict.severity}"
    if told.hurt >= params.tenfold * max(verdict.hurt, 1):
        return f"hurts {verdict.hurt} pairs, before {told.hurt}"
    return ""


def next_step(verdict: Verdict) -> str:
    """Return the first step of the work order that is not cleaning, in words; empty where there is none."""
    action = next((one for one in verdict.actions if one.do not in CLEANING), None)
    if action is None:
        return ""
    return f"{WORDS.get(action.do, action.do)} {action.device or ''} {action.if_name or ''}".strip()


def _after_cleaning(verdict: Verdict) -> Verdict:
    """Return the verdict, its work order without the cleaning that did not help, if anything is left."""
    left = [action for action in verdict.actions if action.do not in CLEANING]
    steps = tuple(replace(action, step=number) for number, action in enumerate(left, start=1))
    return replace(verdict, actions=steps or verdict.actions)


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
