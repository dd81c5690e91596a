"""Incidents and events that the state's tests keep."""

from datetime import UTC, datetime, timedelta

from correlator.model import End, Incident, IncidentEvent, Link, Verdict, Window

START = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)


def verdict(number: int) -> Verdict:
    link = Link.between(End("leaf2", "Ethernet49"), End("spine1", f"Ethernet{number}"))
    return Verdict(
        id=f"v{number}",
        kind="link",
        link=link,
        direction="b_to_a",
        root_cause="dirty_connector",
        probability=0.98,
        severity="err",
        onset=START,
        window=Window(START, START + timedelta(minutes=5)),
    )


def incident(number: int, seq: int = 0, state: str = "open", at: datetime = START) -> Incident:
    return Incident(
        id=f"i{number:03d}",
        key=f"link {number}",
        state=state,
        verdict=verdict(number),
        first_seen=START,
        last_seen=at,
        opened_at=START,
        cleared_at=at if state == "cleared" else None,
        seq=seq,
    )


def event(number: int, seq: int = 1, at: datetime = START) -> IncidentEvent:
    kind = "opened" if seq == 1 else "updated"
    return IncidentEvent(f"i{number:03d}", seq, at, kind, "err", verdict(number), START)
