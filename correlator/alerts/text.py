"""An incident event as one line that a person can act on: what to do, where, who suffers, how sure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby

from correlator.alerts.safe import cut, printable
from correlator.model import Action, Candidate, End, IncidentEvent, PairImpact, Subject, Verdict, utc

LIMIT = 400
"""Characters of a line: what still reads as one on a wide screen, and leaves room for the fields."""
CLEARED = 480
"""Likewise of one that tells of a clear, which has its proof."""
DETAIL = 100
"""Characters of a piece that the engine wrote (evidence, what is missing)."""
NEWS = 300
"""Characters of a line that is nothing but what the engine wrote: it ends in what to do."""
REASON = 160
"""Characters of why an update is sent."""
PROOF = 360
"""Characters of what proves a clear: counters, light and the worst pair, before and after."""
PLACE = 32
"""Characters of the name of a rack or panel."""
TELLING = 1.1
"""How much longer a time is that the line tells of: a pair may lose packets at its usual mean time."""
STEPS = 3
"""Steps of a work order that the line names; the report has them all."""

VERBS = {
    "inspect_and_clean": "clean",
    "replace_cable": "replace the cable at",
    "reseat": "reseat",
    "replace_transceiver": "replace the transceiver in",
    "drain": "drain",
    "relieve": "relieve",
}


def line(event: IncidentEvent) -> str:
    """Return the event in printable ASCII, at most ``CLEARED`` characters, without a line end."""
    verdict = event.verdict
    if event.event == "cleared":
        return cut(_cleared(event), CLEARED)
    told = ""
    if event.event == "updated":
        told = f"update ({printable(event.reason, REASON)}): " if event.reason else "update: "
    since = _since(verdict.onset or event.opened_at, event.at)
    if news := _news(verdict):
        return cut(f"{told}{news} (since {since})", LIMIT)
    evidence = ", ".join(filter(None, (_fault(verdict), _strongest(verdict))))
    parts = (
        f"{evidence} since {since}",
        _sufferers(verdict),
        _sure(verdict),
        _missing(verdict),
    )
    return cut(f"{told}{_orders(verdict)}: " + "; ".join(filter(None, parts)), LIMIT)


def headline(verdict: Verdict) -> str:
    """Return the cause and where it is, or who is slow, printable: "dirty_connector on a -> b"."""
    subject = "" if verdict.link else _subject(verdict.subject)
    if verdict.kind in ("host", "service"):
        return f"slow {subject or verdict.kind}"
    return _fault(verdict) + (f" at {subject}" if subject else "")


def _cleared(event: IncidentEvent) -> str:
    told = "; ".join(filter(None, (headline(event.verdict), printable(event.reason, PROOF))))
    return f"cleared after {_duration(event.at - event.opened_at)}: {told}"


def _news(verdict: Verdict) -> str:
    """Return what a verdict says that blames nobody: a silent device, a map that contradicts itself."""
    if verdict.kind != "unknown" or verdict.pairs or not verdict.actions:
        return ""
    return printable(verdict.actions[0].text, NEWS) if verdict.actions[0].do == "none" else ""


def place(end: End | None) -> str:
    """Return an end as "device interface", printable; empty for none."""
    return f"{printable(end.device)} {printable(end.if_name)}" if end else ""


def way(candidate: Verdict | Candidate) -> str:
    """Return the directed link as "sender -> receiver", printable; empty where there is none."""
    link, direction = candidate.link, candidate.direction
    if link is None:
        return ""
    if direction in (None, "both"):
        return f"{place(link.a)} - {place(link.b)}"
    return f"{place(link.sender(direction))} -> {place(link.receiver(direction))}"


def _orders(verdict: Verdict) -> str:
    """Return what to do, in the order of the steps."""
    steps = [action for action in verdict.actions if action.do != "none"][:STEPS]
    if steps:
        return "; then ".join(_order(list(same)) for _, same in groupby(steps, lambda action: action.do))
    if verdict.kind == "class":
        return f"look at {len(verdict.candidates)} links that the network cannot tell apart"
    if verdict.kind == "unknown":
        return "no link to blame yet"
    subject = _subject(verdict.subject) or way(verdict)
    told = f"look at {subject}" if subject else "look at this"
    return f"{told}, not at the network" if verdict.kind in ("host", "service") else told


def _order(steps: list[Action]) -> str:
    return f"{VERBS[steps[0].do]} " + " then ".join(map(_step_place, steps))


def _step_place(action: Action) -> str:
    words = [printable(word) for word in (action.device, action.if_name) if word]
    if action.lane:
        words.append(f"lane {action.lane}")
    where = [
        f"{what} {printable(name, PLACE)}"
        for what, name in (("rack", action.rack), ("panel", action.panel))
        if name
    ]
    if where:
        words.append(f"[{', '.join(where)}]")
    if action.side:
        words.append(f"({action.side})")
    return " ".join(words) or "it"


def _fault(verdict: Verdict) -> str:
    """Return the cause and where it is; nothing of a host or service, which the order names."""
    lane = f" lane {verdict.lane}" if verdict.lane else ""
    if verdict.kind == "class":
        links = [way(candidate) for candidate in verdict.candidates]
        more = f" and {len(links) - 2} more" if len(links) > 2 else ""
        return f"{verdict.root_cause} on one of " + " | ".join(links[:2]) + more
    if where := way(verdict):
        return f"{verdict.root_cause} on {where}{lane}"
    return "" if verdict.kind in ("host", "service") else f"{verdict.root_cause} cause"


def _subject(subject: Subject) -> str:
    """Return whom a verdict is about: "service web on host2"."""
    return " on ".join(_subject_words(subject))


def _subject_words(subject: Subject) -> Iterator[str]:
    if subject.service:
        yield f"service {printable(subject.service)}"
    if subject.container and not subject.service:
        yield f"container {printable(subject.container)}"
    if subject.if_name:
        yield f"interface {printable(subject.if_name)}"
    if subject.device or subject.host:
        yield printable(subject.device or f"host {subject.host}")


def _strongest(verdict: Verdict) -> str:
    """Return the evidence that weighs most for the verdict."""
    speaking = [evidence for evidence in verdict.evidence if evidence.weight_db > 0 and evidence.text]
    return _detail(max(speaking, key=lambda evidence: evidence.weight_db).text) if speaking else ""


def _sufferers(verdict: Verdict) -> str:
    if not verdict.pairs:
        return "no slow container pair known"
    worst = max(verdict.pairs, key=lambda pair: pair.slower_by or 0)
    ratio = f" {worst.slower_by:.1f}x" if (worst.slower_by or 0.0) >= TELLING else ""
    if verdict.hurt == 1:
        return f"{_pair(worst)} slow{ratio}"
    up_to = f" up to{ratio}" if ratio else ""
    return f"{verdict.hurt} container pairs slow{up_to} (worst {_pair(worst)})"


def _pair(pair: PairImpact) -> str:
    return f"{printable(pair.src_name or pair.src)} -> {printable(pair.dst_name or pair.dst)}"


def _sure(verdict: Verdict) -> str:
    """Return how sure the cause is; nothing is certain, and there is no being sure of no cause."""
    if verdict.kind == "unknown":
        return ""
    return "p>0.99" if verdict.probability >= 0.995 else f"p={verdict.probability:.2f}"


def _missing(verdict: Verdict) -> str:
    if not verdict.missing:
        return ""
    more = f" and {len(verdict.missing) - 1} more" if len(verdict.missing) > 1 else ""
    return f"not seen: {_detail(verdict.missing[0])}{more}"


def _detail(text: str) -> str:
    return printable(text, DETAIL)


def _since(moment: datetime, now: datetime) -> str:
    """Return the time of day in UTC, with the date where that is not today's."""
    moment = utc(moment)
    return f"{moment:%H:%MZ}" if moment.date() == utc(now).date() else f"{moment:%Y-%m-%d %H:%MZ}"


def _duration(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    if minutes < 1:
        return f"{max(0, int(span.total_seconds()))} s"
    if minutes < 120:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
