"""What was repaired on the day, and whether what was measured since proves it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

from correlator.model import Direction, End, Link, Verdict
from correlator.ports import Tables
from correlator.reports.content import Fault, Period
from correlator.reports.light import Spell, light_lost
from correlator.reports.loss import share_within
from correlator.reports.network import Network
from correlator.reports.overview import Mending, Repair
from correlator.reports.readings import Share
from correlator.reports.sentences import CAUSES, subject_name
from correlator.reports.tables import moment, newest, text

MOST_REPAIRS = 30

TO_PROVE = timedelta(minutes=10)
"""Before this much time after the work nothing is called unchanged."""

_DEEDS: dict[str, Literal["cleaned", "reseated", "closed"]] = {
    "cleaned": "cleaned",
    "reseated": "reseated",
    "closed": "closed",
}


def repairs(tables: Tables, network: Network, seen: Sequence[Fault], period: Period) -> tuple[Repair, ...]:
    """Return the day's repairs, newest first: faults that cleared, and work that people noted.

    Work and the fault that it was about are one repair.
    """
    noted = list(_noted(tables, network, seen, period))
    told = {id(fault) for _, fault in noted if fault is not None}
    cleared = [
        _cleared(tables, fault, period) for fault in seen if fault.cleared_at and id(fault) not in told
    ]
    found = [repair for repair, _ in noted] + cleared
    return tuple(sorted(found, key=lambda repair: repair.at, reverse=True)[:MOST_REPAIRS])


def noted_links(tables: Tables, network: Network, period: Period) -> set[End]:
    """Return the ends of the links on which somebody noted work."""
    notes = newest(tables, "annotations", period)
    subjects = notes.loc[notes["kind"].isin(_DEEDS) & (notes["at"] >= period.since), "subject"]
    links = (_link(str(subject), network) for subject in subjects)
    return {end for link in links if link for end in (link.a, link.b)}


def _cleared(tables: Tables, fault: Fault, period: Period) -> Repair:
    assert fault.cleared_at is not None
    verdict = fault.verdict
    onset = verdict.onset or fault.first_seen
    spells = (Spell(onset, fault.cleared_at), Spell(fault.cleared_at, period.until))
    before, after, gained = _measured(tables, verdict, verdict.link, spells, period)
    return Repair(
        subject=subject_name(verdict, 64),
        link=verdict.link,
        direction=verdict.direction,
        root_cause=verdict.root_cause,
        did=None,
        by=None,
        why=None,
        at=fault.cleared_at,
        mending="proven",
        proof=fault.cleared_why or "measured well again",
        before=before,
        after=after,
        light_gained_db=gained,
    )


def _noted(
    tables: Tables, network: Network, seen: Sequence[Fault], period: Period
) -> Iterator[tuple[Repair, Fault | None]]:
    notes = newest(tables, "annotations", period)
    notes = notes[notes["kind"].isin(_DEEDS) & (notes["at"] >= period.since)]
    columns = ["subject", "kind", "at", "by", "why"]
    for subject, kind, at, by, why in notes[columns].itertuples(index=False, name=None):
        done = moment(at)
        fault = next((one for one in seen if _means(str(subject), one.verdict)), None)
        link = fault.verdict.link if fault else _link(str(subject), network)
        onset = (fault.verdict.onset if fault else None) or period.since
        spells = (Spell(onset, done), Spell(done, period.until))
        before, after, gained = _measured(tables, fault.verdict if fault else None, link, spells, period)
        mending, proof = _outcome(fault, kind, done, period)
        repair = Repair(
            subject=str(subject),
            link=link,
            direction=fault.verdict.direction if fault else None,
            root_cause=fault.verdict.root_cause if fault else None,
            did=_DEEDS[kind],
            by=text(by),
            why=text(why),
            at=done,
            mending=mending,
            proof=proof,
            before=before,
            after=after,
            light_gained_db=gained,
        )
        yield repair, fault


def _outcome(fault: Fault | None, kind: str, done: datetime, period: Period) -> tuple[Mending, str]:
    """Return what became of the fault after the work."""
    if fault is None:
        return "waiting", "no fault of this day is known there, so nothing can be proven"
    if fault.cleared_at and fault.cleared_at >= done and kind == "closed":
        return "closed", "the incident was ended by hand, which proves no repair"
    if fault.cleared_at and fault.cleared_at >= done:
        return "proven", fault.cleared_why or "measured well again"
    if fault.last_seen > done + TO_PROVE:
        return "no_change", f"{CAUSES[fault.verdict.root_cause]} was still seen afterwards"
    if period.end < done + TO_PROVE:
        return "waiting", "the work is too recent to be judged"
    return "waiting", "not seen again since, and not yet measured well"


def _means(subject: str, verdict: Verdict) -> bool:
    """Return whether a note's subject is what a verdict is about: its link, an end of it, its id."""
    if subject == verdict.id:
        return True
    link = verdict.link
    return link is not None and subject in _names(link)


def _names(link: Link) -> set[str]:
    """Return the ways in which people and commands name a link."""
    ways = ((link.a, link.b), (link.b, link.a))
    both = {f"{one} {dash} {other}" for one, other in ways for dash in "-–"}
    return both | {f"{end.device}{between}{end.if_name}" for end in (link.a, link.b) for between in " :"}


def _link(subject: str, network: Network) -> Link | None:
    return next((link for link in (*network.links, *network.idle) if subject in _names(link)), None)


def _measured(
    tables: Tables,
    verdict: Verdict | None,
    link: Link | None,
    spells: tuple[Spell, Spell],
    period: Period,
) -> tuple[Share | None, Share | None, float | None]:
    """Return the packets lost in the trouble and since the work, and the light gained by it, dB."""
    if link is None:
        return None, None, None
    way: Direction = "b_to_a" if verdict and verdict.direction == "b_to_a" else "a_to_b"
    full = verdict is not None and verdict.root_cause == "congestion"
    end = link.sender(way) if full else link.receiver(way)
    shares = [share_within(tables, end, "discards" if full else "errors", spell, period) for spell in spells]
    lane = (verdict.lane if verdict else None) or 1
    lost = [None if full else light_lost(tables, link, way, lane, spell, period) for spell in spells]
    gained = None if lost[0] is None or lost[1] is None else round(lost[0] - lost[1], 3)
    return shares[0], shares[1], gained
