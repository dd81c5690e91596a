"""The sentences that carry the report: the verdict of the day, titles of orders, what work should bring."""

from __future__ import annotations

from collections.abc import Sequence

from correlator.model import Do, End, RootCause, Verdict
from correlator.reports.content import BlindSpot, Content, Gain, WorkOrder
from correlator.reports.words import Clock, count, end_name, many, name, percent, slower

CAUSES: dict[RootCause, str] = {
    "dirty_connector": "dirty connector",
    "damaged_fiber": "damaged fibre",
    "failing_transmitter": "failing transmitter",
    "bad_transceiver": "bad transceiver",
    "shared_component": "shared component",
    "congestion": "congestion",
    "silent_drop": "silent drops",
    "host": "the host",
    "service": "the service itself",
    "unknown": "cause not found",
}

DEEDS: dict[Do, str] = {
    "inspect_and_clean": "Inspect and clean",
    "replace_cable": "Replace the cable",
    "reseat": "Reseat the transceiver",
    "replace_transceiver": "Replace the transceiver",
    "drain": "Move traffic away",
    "relieve": "Relieve the link",
    "none": "Nothing to do on the network",
}

BLIND_SPOTS: dict[BlindSpot, str] = {
    "day_not_over": "The day is not over",
    "nothing_polled": "Nothing answered",
    "poll_gap": "Gaps in polling",
    "agent_away": "Agents away",
    "unmapped_host": "Hosts without a known switch port",
    "no_light": "Interfaces without light readings",
    "no_usual": "Pairs without a usual yet",
    "unknown_peer": "Unknown peers",
    "incomplete_samples": "Incomplete samples",
    "verdict_missing": "Missing behind a verdict",
    "unreadable": "Verdicts that could not be read",
    "preloaded": "History that was preloaded, not measured",
}

METHOD = (
    "The switches' counters and the hosts' own TCP statistics are read every minute, the light at each port "
    "every few minutes; nothing else is sent into the network.",
    "Each container pair is compared with its own past at the same hour of the week, and only pairs that "
    "stand out clearly among all of them are called slow.",
    "For each direction of each link, the share of damaged packets and the light lost on the way are judged "
    "against their own past, apart from drops by full queues.",
    "Slow pairs vote along the paths that their packets can take; the fewest links, hosts or services that "
    "explain them best are named with their probability, or no name is given.",
    "Evidence is counted in decibans: 10 dB make a cause ten times as likely, 20 dB a hundred times, and "
    "negative numbers speak against it.",
)


def headline(content: Content) -> str:
    """Return the verdict of the day in one sentence, as plain text with harmless names."""
    if content.period.now <= content.period.since:
        return "This day has not begun yet: there is nothing to report."
    active = [order for order in content.orders if order.fault.cleared_at is None]
    if active:
        return f"{_harm(content, active)}{_work(active)}."
    if any(spot.kind == "nothing_polled" for spot in content.blind):
        return "Nothing could be seen on this day: no switch and no host answered."
    if content.orders:
        return f"Nothing hurts now: {_past(content)}."
    return f"Nothing is wrong with the network as far as we could see: {_seen(content)}."


def _harm(content: Content, active: Sequence[WorkOrder]) -> str:
    parts = []
    links = [order for order in active if order.fault.verdict.link or order.fault.verdict.kind == "class"]
    if links:
        verb = "hurts" if len(links) == 1 else "hurt"
        parts.append(f"{many(len(links), 'link')} {verb} {_pairs(links)}")
    for kind, noun in (("host", "host"), ("service", "service")):
        of_kind = [o for o in active if o not in links and o.fault.verdict.kind == kind]
        if of_kind:
            verb = "slows" if len(of_kind) == 1 else "slow"
            parts.append(f"{many(len(of_kind), noun)} {verb} {_pairs(of_kind)}, not the network")
    unknown = [o for o in active if o not in links and o.fault.verdict.kind == "unknown"]
    if unknown:
        parts.append(f"{_pairs(unknown)} slowed for a reason not found")
    return "; ".join(parts)


def _pairs(orders: Sequence[WorkOrder]) -> str:
    return many(sum(order.gain.pairs for order in orders), "container pair")


def _work(active: Sequence[WorkOrder]) -> str:
    """Return what to do first, with names where there are few."""
    ends = ends_to_clean(active)
    if ends:
        which = "this end" if len(ends) == 1 else f"these {len(ends)} ends"
        return f"; clean {which}" + (f": {_listed(ends)}" if len(ends) <= 2 else "")
    firsts = [order for order in active if order.steps and order.steps[0].action.do != "none"]
    if len(firsts) == 1:
        action = firsts[0].steps[0].action
        where = f" at {end_name(End(action.device, action.if_name or ''), 32)}" if action.device else ""
        return f"; {DEEDS[action.do].lower()}{where}"
    named = [subject_name(order.fault.verdict) for order in active]
    return f": {', '.join(named)}" if len(named) <= 2 else ""


def ends_to_clean(orders: Sequence[WorkOrder]) -> list[End]:
    """Return the ends that the orders ask to clean, each once, in the order of the steps."""
    ends = {
        End(step.action.device, step.action.if_name or ""): None
        for order in orders
        for step in order.steps
        if step.action.do == "inspect_and_clean" and step.action.device
    }
    return list(ends)


def _listed(ends: Sequence[End]) -> str:
    return " and ".join(end_name(end, 32) for end in ends)


def _past(content: Content) -> str:
    clock = Clock(content.period.timezone)
    order = content.orders[0]
    if len(content.orders) > 1:
        return f"{len(content.orders)} faults of this day are clear again"
    cleared = clock.time(order.fault.cleared_at)
    return f"{subject_name(order.fault.verdict)} hurt {_pairs([order])} and is clear since {cleared}"


def _seen(content: Content) -> str:
    watched = content.watched
    seen = many(watched.links, "link") if watched.links else many(watched.interfaces, "interface")
    parts = [f"{seen} watched", f"{many(watched.without_light, 'interface')} without light readings"]
    if content.findings:
        parts.append(f"{many(len(content.findings), 'sick thing')} that slows nobody yet")
    return ", ".join(parts)


def subject_name(verdict: Verdict, most: int = 32) -> str:
    """Return whom or what a verdict is about: a link's ends, a host, a service."""
    if verdict.link is not None:
        return f"{end_name(verdict.link.a, most)} – {end_name(verdict.link.b, most)}"
    if verdict.kind == "class":
        return f"one of {many(len(verdict.candidates), 'link')}"
    subject = verdict.subject
    for value in (subject.service, subject.container, subject.host):
        if value:
            return name(value, most)
    if subject.device:
        return end_name(End(subject.device, subject.if_name or ""), most)
    return "unknown"


def title(order: WorkOrder) -> str:
    """Return an order's title: what is wrong and where."""
    cause = CAUSES[order.fault.verdict.root_cause]
    return f"{cause[0].upper()}{cause[1:]}: {subject_name(order.fault.verdict, 48)}"


def gain_sentence(gain: Gain) -> str:
    """Return what the work should bring, in words."""
    if not gain.pairs:
        return "No container pair is known to be slowed by this."
    said = f"{many(gain.pairs, 'container pair')} should come back to usual"
    if gain.slower_by_median is not None:
        worst = f", the worst {slower(gain.slower_by_max)}" if gain.pairs > 1 else ""
        middle = "half of them are" if gain.pairs > 2 else "now"
        at_least = " or more" if gain.pairs > 2 else ""
        said += f"; {middle} slowed {slower(gain.slower_by_median)}{at_least}{worst}"
    if gain.share_explained is not None:
        said += f". This fault explains {percent(gain.share_explained)} of their excess"
    return f"{said}."


def evidence_weight(decibans: float) -> str:
    """Return a weight with its sign: +12 dB."""
    return f"{'+' if decibans >= 0 else '−'}{abs(decibans):.0f} dB"


def leftover(shown: int, total: int, noun: str) -> str:
    """Return "100 of 2,000 pairs are listed", empty where all are."""
    return "" if shown >= total else f"{count(shown)} of {count(total)} {noun} are listed, the worst first."
