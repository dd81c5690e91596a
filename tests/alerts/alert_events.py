"""Events to alert about, and names as an attacker would write them."""

import dataclasses
import re
from datetime import UTC, datetime, timedelta

from correlator.model import (
    Action,
    Candidate,
    End,
    Evidence,
    IncidentEvent,
    Link,
    PairImpact,
    Subject,
    Verdict,
    Window,
)

ONSET = datetime(2026, 11, 1, 3, 12, tzinfo=UTC)
HOSTILE = (
    'quote " bracket ] backslash \\ done',
    "line\nfeed\r\nand\ttab\x00nul\x7fdel",
    "right \u202eto\u202c left \u2066isolate\u2069 \u2028 line \u2029 paragraph",
    "emoji \U0001f600 é ß 漢字 \ufeff bom",
    '][correlator@32473 incident="forged"] \\] \\u202e <13>1 - - -',
    "lone \udc80 surrogate",
)
"""Names as somebody might write them into a label or an ifAlias."""


def link(device: str = "leaf2", if_name: str = "Ethernet49") -> Link:
    return Link.between(End(device, if_name), End("spine1", "Ethernet2"))


def pairs(count: int) -> tuple[PairImpact, ...]:
    return tuple(
        PairImpact(f"c{n}", f"d{n}", f"web-{n}", f"db-{n}", 5.2 - n / 100, 4.0, 6.0, 3.0, 1.0, 0.9)
        for n in range(count)
    )


DIRTY = Verdict(
    id="v1",
    kind="link",
    link=link(),
    direction="b_to_a",
    root_cause="dirty_connector",
    probability=0.98,
    severity="err",
    onset=ONSET,
    window=Window(ONSET - timedelta(minutes=30), ONSET + timedelta(minutes=5)),
    actions=(
        Action(1, "inspect_and_clean", "leaf2", "Ethernet49", None, "rx"),
        Action(2, "inspect_and_clean", "spine1", "Ethernet2", None, "tx"),
    ),
    evidence=(
        Evidence("utilisation", 0.1, -1.0, "the link is not busy"),
        Evidence("errors", 0.006, 30.0, "0.6 % of packets lost"),
    ),
    pairs=pairs(14),
)


def event(verdict: Verdict = DIRTY, **changes) -> IncidentEvent:
    told = IncidentEvent("incident-1", 1, ONSET + timedelta(minutes=5), "opened", "err", verdict, ONSET)
    return dataclasses.replace(told, **changes)


def hostile_event(name: str) -> IncidentEvent:
    """Return an event in which every name that comes from outside is ``name``."""
    verdict = dataclasses.replace(
        DIRTY,
        link=Link.between(End(name, name), End("spine1", "Ethernet2")),
        actions=(Action(1, "inspect_and_clean", name, name, 3, "rx", rack=name, panel=name),),
        evidence=(Evidence("errors", 0.006, 30.0, name),),
        pairs=(dataclasses.replace(pairs(1)[0], src_name=name, dst_name=name),),
        candidates=(Candidate(link(name, name), "a_to_b", "dirty_connector", 0.5),),
        missing=(name, name),
        subject=Subject(name, name, name, name, name),
    )
    return event(verdict, reason=name, incident="incident-1")


def restore(text: str) -> str:
    """Return what ``safe.printable`` was given, where it cut nothing."""
    return re.sub(
        r"\\(\\|u([0-9a-f]{4})|U([0-9a-f]{8}))",
        lambda found: "\\" if found[1] == "\\" else chr(int(found[2] or found[3], 16)),
        text,
    )
