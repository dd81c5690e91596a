"""Two days made from the rich one: a single dirty link, and one on which nearly everything goes wrong."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import report_days as days
from report_days import END, FULL, MIDNIGHT, MINUTE, SICK

from correlator import frames
from correlator.model import Action, Candidate, End, Evidence, Link, Subject, Verdict

DEAD = Link(End("leaf4", "Ethernet50"), End("spine1", "Ethernet4"))
SILENT = Link(End("leaf1", "Ethernet49"), End("spine2", "Ethernet1"))


def dirty_day() -> dict[str, pd.DataFrame]:
    """One dirty connector from a quarter past three to the end of the day, and nothing else."""
    tables = days.rich()
    seen = [days.verdict_row(days.dirty(at), at) for at in (END - 200 * MINUTE, END - MINUTE)]
    return {
        **{name: table for name, table in tables.items() if name not in ("findings", "incident_events")},
        "polls": frames.frame("polls", days._polls()),
        "verdicts": frames.frame("verdicts", seen),
    }


def chaos() -> dict[str, pd.DataFrame]:
    """A dirty link, a full one, a dead one, one that loses in silence, a sick host, two slow services."""
    at = END - MINUTE
    found = [
        days.dirty(at), days.congested(at), days.slow_service(at),
        dead(at), silent(at), overloaded(at), slow_search(at), nameless(at),
    ]  # fmt: skip
    return {**days.rich(), "verdicts": frames.frame("verdicts", [days.verdict_row(one, at) for one in found])}


def dead(at) -> Verdict:
    return days.dirty(
        at,
        id="v-dead",
        link=DEAD,
        direction="both",
        root_cause="link_down",
        severity="crit",
        probability=1.0,
        onset=MIDNIGHT + 620 * MINUTE,
        lane=None,
        actions=(Action(1, "replace_cable", "leaf4", "Ethernet50"),),
        evidence=(Evidence("state", None, 60.0, "leaf4 Ethernet50 is down, and so is its far end"),),
        pairs=days.pairs_of(DEAD, 5, "x"),
        alternatives=(),
        missing=(),
    )


def silent(at) -> Verdict:
    links = (SILENT, SICK)
    return days.dirty(
        at,
        id="v-class",
        kind="class",
        link=None,
        direction=None,
        root_cause="silent_drop",
        probability=0.61,
        onset=MIDNIGHT + 800 * MINUTE,
        lane=None,
        actions=(Action(1, "drain", "leaf1", "Ethernet49"),),
        evidence=(Evidence("pairs", 4, 14.0, "4 pairs lose packets that no counter on their way has seen"),),
        pairs=days.pairs_of(SILENT, 4, "q"),
        candidates=tuple(Candidate(link, "a_to_b", "silent_drop", 0.3) for link in links),
        alternatives=(),
        missing=(),
    )


def overloaded(at) -> Verdict:
    return replace(
        days.slow_service(at),
        id="v-host",
        kind="host",
        root_cause="host",
        severity="err",
        onset=MIDNIGHT + 940 * MINUTE,
        actions=(Action(1, "none", text="Look at node-02: its processors, memory and NIC driver."),),
        evidence=(Evidence("pairs", 6, 21.0, "all 6 pairs that end at node-02 are slow, on every path"),),
        pairs=days.pairs_of(FULL, 6, "h"),
        subject=Subject(host="node-02"),
    )


def slow_search(at) -> Verdict:
    return replace(days.slow_service(at), id="v-search", subject=Subject(service="search"))


def nameless(at) -> Verdict:
    return replace(
        days.slow_service(at),
        id="v-unknown",
        kind="unknown",
        root_cause="unknown",
        probability=0.4,
        actions=(),
        evidence=(),
        pairs=days.pairs_of(None, 1, "u"),
        subject=Subject(),
    )
