"""The sentences that carry the report: the verdict of the day, titles of orders, what work should bring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from correlator.model import Action, Do, End, RootCause, Severity, Verdict
from correlator.reports.content import BlindKind, Content, Fault, Gain, Harm, Light, WorkOrder
from correlator.reports.overview import Mending
from correlator.reports.words import Clock, count, decimals, end_name, many, name, percent, slower

PAIR = "container pair"
UNNAMED = "pairs slow for no known reason"

MOST_NAMED = 3
"""Hosts or services that the first sentence names; of more, the first."""

LEAST_CHANGE_DB = 0.3
"""Less than this is a reading's own noise (and what one good connector may take)."""

CAUSES: dict[RootCause, str] = {
    "dirty_connector": "dirty connector",
    "damaged_fiber": "damaged fibre",
    "failing_transmitter": "failing transmitter",
    "bad_transceiver": "bad transceiver",
    "shared_component": "shared component",
    "congestion": "congestion",
    "silent_drop": "silent drops",
    "link_down": "link down",
    "host": "slow host",
    "service": "slow service",
    "unknown": "cause not found",
}

DEEDS: dict[Do, str] = {
    "inspect_and_clean": "inspect and clean",
    "replace_cable": "replace the cable at",
    "reseat": "reseat the transceiver in",
    "replace_transceiver": "replace the transceiver in",
    "drain": "move traffic away from",
    "relieve": "relieve",
    "none": "nothing to do in the network",
}

BLIND_SPOTS: dict[BlindKind, str] = {
    "day_not_over": "The day is not over",
    "nothing_polled": "Nothing answered",
    "poll_gap": "Gaps in polling",
    "agent_away": "Agents away",
    "rows_lost": "Measurements that were lost",
    "unmapped_host": "Hosts without a known switch port",
    "no_light": "Interfaces without light readings",
    "no_usual": "Pairs without a usual yet",
    "unknown_peer": "Unknown peers",
    "incomplete_samples": "Incomplete samples",
    "sampled": "Looked at now and then, not all day",
    "refused": "Thresholds that were refused",
    "acknowledged": "Acknowledged alerts",
    "silenced": "Silenced alerts",
    "maintenance": "Maintenance",
    "verdict_missing": "Missing behind a verdict",
    "unreadable": "Verdicts that could not be read",
    "preloaded": "History that was preloaded, not measured",
}

SEVERITIES: dict[Severity, str] = {
    "crit": "critical",
    "err": "serious",
    "warning": "warning",
    "notice": "notice",
}

MENDINGS: dict[Mending, str] = {
    "proven": "✓ Proven",
    "no_change": "✗ No change",
    "waiting": "… Not proven yet",
    "closed": "■ Closed by hand",
}

REMEDIES: dict[RootCause, str] = {
    "dirty_connector": "inspect and clean both ends",
    "damaged_fiber": "replace the cable: the fibre may be damaged",
    "failing_transmitter": "replace the sending transceiver: its laser may be failing",
    "bad_transceiver": "swap the transceivers end for end and see whether the errors follow",
    "shared_component": "look at what the affected links share: a panel, a trunk, a line card",
    "congestion": "move load away: the queue may be full, not the fibre dirty",
    "silent_drop": "drain the link and see whether the pairs recover: it may drop without counting",
    "link_down": "see that both ends are plugged in, then replace the cable",
    "host": "look at the hosts: processor, memory, NIC driver",
    "service": "look at the service itself",
    "unknown": "",
}

METHOD = (
    "The switches' counters and the hosts' own TCP statistics are read at a short, steady period (usually a "
    "minute), the light at each port every few minutes; nothing else is sent into the network.",
    "Each container pair is compared with its own past at the same hour of the week, and only pairs that "
    "stand out clearly among all of them are called slow.",
    "For each direction of each link, the share of damaged packets and the light lost on the way are judged "
    "against their own past, apart from drops by full queues.",
    "Slow pairs vote along the paths that their packets can take; the fewest links, hosts or services that "
    "explain them best are named with their probability, or no name is given.",
    "Evidence is counted in decibans: 10 make a cause ten times as likely, 20 a hundred times, and "
    "negative numbers speak against it.",
)


def mood(content: Content) -> Literal["bad", "calm", "unknown"]:
    """Return how the day looks: nothing seen is not the same as nothing wrong."""
    if any(order.fault.ongoing for order in content.orders):
        return "bad"
    not_begun = content.period.now <= content.period.since
    return "unknown" if not_begun or _saw_nothing(content) or _saw_little(content) else "calm"


def _saw_nothing(content: Content) -> bool:
    return any(blind.kind == "nothing_polled" for blind in content.blind)


def _saw_little(content: Content) -> bool:
    """Return whether most links said nothing: then nobody knows whether they are well."""
    return 2 * content.watched.links_counted < content.watched.links


def headline(content: Content) -> str:
    """Return the verdict of the day in one sentence, as plain text with harmless names."""
    if content.period.now <= content.period.since:
        return "This day has not begun yet: there is nothing to report."
    active = [order for order in content.orders if order.fault.ongoing]
    if active:
        return capital(f"{'; '.join(_harm(content.harm, active))}.")
    if _saw_nothing(content):
        return "Nothing could be seen on this day: no switch and no host answered."
    if content.orders:
        return f"Nothing hurts now: {_past(content)}."
    if _saw_little(content):
        return f"No fault was found, but too little was seen to call the network well: {_seen(content)}."
    return f"Nothing is wrong with the network as far as we could see: {_seen(content)}."


def _harm(harm: Harm, active: Sequence[WorkOrder]) -> Iterator[str]:
    """Yield who hurts how many pairs, the network first and with the work that ends it."""
    if harm.network.faults:
        verb = "hurts" if harm.network.faults == 1 else "hurt"
        yield f"{many(harm.network.faults, 'link')} {verb} {many(harm.network.pairs, PAIR)}"
        if links := [order for order in active if order.fault.blame == "network"]:
            yield _work(links, harm.ends_to_clean)
    for blame, hurt in (("host", harm.host), ("service", harm.service)):
        named = [subject_name(order.fault.verdict) for order in active if order.fault.blame == blame]
        if hurt.faults == 1 and named:
            yield f"the {blame} {named[0]} slows {many(hurt.pairs, PAIR)}, not the network"
        elif hurt.faults:
            worst = "" if hurt.faults == len(named) <= MOST_NAMED else "first "
            which = f" ({worst}{_in_words(named[:MOST_NAMED])})" if named else ""
            yield f"{many(hurt.faults, blame)}{which} slow {many(hurt.pairs, PAIR)}, not the network"
    if harm.unknown.faults:
        yield f"{many(harm.unknown.pairs, PAIR)} slow for a reason not found"


def _work(links: Sequence[WorkOrder], ends_to_clean: int) -> str:
    """Return what to do about the blamed links, with names where they are few."""
    if ends := _ends_to_clean(links):
        which = "this end" if ends_to_clean == 1 else f"these {ends_to_clean:,} ends"
        listed = _in_words([end_name(end, 32) for end in ends[:2]])
        first = ": " if ends_to_clean <= 2 else ", first "
        return f"clean {which}{first}{listed}{_besides(links)}"
    if len(links) > 1:
        return f"{many(len(links), 'work order')} below, first {_what(links[0])}"
    verdict, steps = links[0].fault.verdict, links[0].steps
    if not steps or steps[0].action.do == "none" or not steps[0].action.device:
        return f"it is {subject_name(verdict)}"
    return deed(steps[0].action, 32)


def deed(action: Action, most: int = 48) -> str:
    """Return what a step asks for: "inspect and clean leaf3 Ethernet49, receive side"."""
    if action.do == "none" or action.device is None:
        return DEEDS[action.do].removesuffix(" at").removesuffix(" in").removesuffix(" from")
    side = {"rx": ", receive side", "tx": ", send side", None: ""}[action.side]
    return f"{DEEDS[action.do]} {end_name(End(action.device, action.if_name or ''), most)}{side}"


def _ends_to_clean(orders: Sequence[WorkOrder]) -> list[End]:
    """Return the ends that the orders ask to clean, each once, in the order of the steps."""
    ends = {
        End(step.action.device, step.action.if_name or ""): None
        for order in orders
        for step in order.steps
        if step.action.do == "inspect_and_clean" and step.action.device
    }
    return list(ends)


def _besides(links: Sequence[WorkOrder]) -> str:
    """Return the blamed links that ask for other work than cleaning, a few of them."""
    others = [order for order in links if not _ends_to_clean([order])]
    if not others:
        return ""
    more = [many(len(others) - 2, "more", "more")] if len(others) > 2 else []
    return f"; also {_in_words([*map(_what, others[:2]), *more])}"


def _what(order: WorkOrder) -> str:
    """Return what is wrong and where: "congestion at leaf1 Ethernet50 – spine1 Ethernet1"."""
    verdict = order.fault.verdict
    return f"{CAUSES[verdict.root_cause]} at {subject_name(verdict)}"


def _in_words(names: Sequence[str]) -> str:
    """Return names as a list in a sentence: "a, b and c"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _past(content: Content) -> str:
    clock = Clock(content.period.timezone)
    order = content.orders[0]
    if len(content.orders) > 1:
        return f"{many(content.harm.of_the_day.faults, 'fault')} of this day are clear again"
    cleared = clock.time(order.fault.cleared_at)
    harmed = many(order.gain.pairs, PAIR)
    return f"{subject_name(order.fault.verdict)} hurt {harmed} and is clear since {cleared}"


def _seen(content: Content) -> str:
    watched = content.watched
    seen = many(watched.links, "link") if watched.links else many(watched.interfaces, "interface")
    of = "" if watched.links_counted == watched.links else f"{count(watched.links_counted)} of "
    parts = [f"{of}{seen} watched, {count(watched.links_without_light)} without light readings"]
    parts.append(f"{many(watched.pairs, PAIR) if watched.pairs else f'no {PAIR}'} measured")
    if content.harm.findings:
        slows = "slows" if content.harm.findings == 1 else "slow"
        parts.append(f"{many(content.harm.findings, 'sick thing')} that {slows} nobody yet")
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
    return UNNAMED


def title(fault: Fault) -> str:
    """Return a fault's title: what is wrong and where."""
    verdict = fault.verdict
    subject = subject_name(verdict, 48)
    if verdict.root_cause == "unknown":
        return f"Cause not found: {subject}" if subject != UNNAMED else "Slow for a reason not found"
    return f"{capital(CAUSES[verdict.root_cause])}: {subject}"


def light_change(light: Sequence[Light]) -> str | None:
    """Return how the light lost on the way changed in the first direction, None where that is not known.

    The change, not the level: monitors are 2 to 3 dB off, each by an amount of its own that stays.
    """
    if not light or light[0].lost_now_db is None or light[0].lost_before_db is None:
        return None
    change = light[0].lost_now_db - light[0].lost_before_db
    if abs(change) < LEAST_CHANGE_DB:
        return "light as before"
    return f"{decimals(abs(change))} dB {'more' if change > 0 else 'less'} light lost"


def if_not_helped(order: WorkOrder) -> str:
    """Return what to try next, the likeliest other cause first; empty where nothing else is likely."""
    verdict = order.fault.verdict
    tried = {_TRIED.get(step.action.do, verdict.root_cause) for step in order.steps}
    others = sorted(verdict.alternatives, key=lambda other: -other.probability)
    causes = [other.root_cause for other in others] or _NEXT.get(verdict.root_cause, [])
    said = [REMEDIES[cause] for cause in causes if cause not in {*tried, verdict.root_cause, "unknown"}]
    return capital(f"{'; then '.join(dict.fromkeys(said[:2]))}.") if said else ""


_TRIED: dict[Do, RootCause] = {
    "replace_cable": "damaged_fiber",
    "inspect_and_clean": "dirty_connector",
    "replace_transceiver": "bad_transceiver",
    "drain": "silent_drop",
    "relieve": "congestion",
}
"""Which cause each deed has dealt with."""

_NEXT: dict[RootCause, list[RootCause]] = {
    "dirty_connector": ["damaged_fiber", "bad_transceiver"],
    "damaged_fiber": ["bad_transceiver"],
    "failing_transmitter": ["dirty_connector", "bad_transceiver"],
    "bad_transceiver": ["damaged_fiber"],
    "silent_drop": ["bad_transceiver"],
}
"""What is usual next where a verdict names no other cause."""


def gain_sentence(gain: Gain) -> str:
    """Return what the work should bring, in words."""
    if not gain.pairs:
        return "No container pair is known to be slowed by this."
    said = f"{many(gain.pairs, PAIR)} should come back to usual"
    if gain.slower_by_median is not None:
        worst = f", the worst {slower(gain.slower_by_max)}" if gain.pairs > 1 else ""
        middle = "half of them are" if gain.pairs > 2 else "now"
        at_least = " or more" if gain.pairs > 2 else ""
        said += f"; {middle} slowed {slower(gain.slower_by_median)}{at_least}{worst}"
    if gain.share_explained is not None:
        said += f". This fault explains {percent(gain.share_explained)} of their excess"
    return f"{said}."


def capital(sentence: str) -> str:
    """Return a sentence with a capital letter."""
    return sentence[:1].upper() + sentence[1:]
