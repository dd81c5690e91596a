"""An incident event as named fields: what a collector searches for (docs/alerts.md lists them).

Where the Elastic Common Schema has a name for a thing, the field has that name; the others are our
own, and none is a name that the schema gives to an object.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from correlator.model import IncidentEvent, Verdict, utc

MICROSECOND = timedelta(microseconds=1)


def fields(event: IncidentEvent) -> dict[str, str]:
    """Return the event's fields by name, those that receivers need most first; nothing known, no field.

    Values are as they came: escaping and cutting is the sink's part. Names are at most 32
    characters of printable ASCII without ``= ] "`` and space (RFC 5424, SD-NAME).
    """
    return {name: value for name, value in _all(event) if value}


def _all(event: IncidentEvent) -> Iterator[tuple[str, str]]:
    verdict = event.verdict
    yield "incident", event.incident
    yield "seq", str(event.seq)
    yield "event.action", event.event
    yield "log.level", event.severity
    yield "kind", verdict.kind
    yield "root_cause", verdict.root_cause
    yield "probability", f"{verdict.probability:.3f}"
    yield from _where(verdict)
    yield "pairs", str(verdict.hurt)
    yield from _worst_pair(verdict)
    yield "event.start", utc(verdict.onset).isoformat() if verdict.onset else ""
    yield "opened_at", utc(event.opened_at).isoformat()
    yield "event.duration", str((event.at - event.opened_at) // MICROSECOND * 1000)
    yield "event.reason", event.reason


def _where(verdict: Verdict) -> Iterator[tuple[str, str]]:
    """Yield the place to act at first (device, interface), then the link and the subject."""
    subject = verdict.subject
    first = next(iter(verdict.actions), None)
    device, interface = subject.device, subject.if_name
    if first is not None and first.device:
        device, interface = first.device, first.if_name
    elif verdict.link is not None and verdict.direction is not None and not device:
        end = verdict.link.receiver(verdict.direction)
        device, interface = end.device, end.if_name
    yield "action", first.do if first else ""
    yield "observer.name", device or ""
    yield "observer.ingress.interface.name", interface or ""
    yield "rack", (first.rack or "") if first else ""
    yield "panel", (first.panel or "") if first else ""
    yield "lane", "" if verdict.lane is None else str(verdict.lane)
    yield from _link(verdict)
    yield "host.name", subject.host or ""
    yield "service.name", subject.service or ""
    yield "container.id", subject.container or ""


def _link(verdict: Verdict) -> Iterator[tuple[str, str]]:
    if verdict.link is None:
        return
    yield "link", str(verdict.link)
    yield "direction", verdict.direction or ""
    if verdict.direction in ("a_to_b", "b_to_a"):
        sender, receiver = verdict.link.sender(verdict.direction), verdict.link.receiver(verdict.direction)
        yield "sender_device", sender.device
        yield "sender_interface", sender.if_name
        yield "receiver_device", receiver.device
        yield "receiver_interface", receiver.if_name


def _worst_pair(verdict: Verdict) -> Iterator[tuple[str, str]]:
    if not verdict.pairs:
        return
    worst = max(verdict.pairs, key=lambda pair: pair.slower_by or 0)
    yield "slower_by", f"{worst.slower_by:.2f}" if worst.slower_by else ""
    yield "worst_src", worst.src_name or worst.src
    yield "worst_dst", worst.dst_name or worst.dst
