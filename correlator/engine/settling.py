"""From claims to links: an end has one cable, so what contradicts is weighed, and told.

Sources, strongest first: both ends hearing each other, a configured cable, one end hearing the other: who
hear each other are joined whatever a list says, which people keep.
Where one port hears several that all hear it too, a hub stands between. Page:
docs/algorithms/topology.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pandas as pd

from correlator.engine.hearsay import Claim
from correlator.engine.identities import Place

Pair = tuple[Place, Place]
"""The ends of a link, in order."""

HEARD_BOTH = 3
"""The rank of a link that both ends hear."""

MOST_NAMED = 4
"""Links named in one sentence."""


@dataclass
class Known:
    """What is known of one link: whether it is configured, who hears it by what, when last."""

    cable: bool = False
    heard: dict[Place, set[str]] = field(default_factory=dict)
    at: pd.Timestamp | None = None

    @property
    def rank(self) -> int:
        """How strong: 3 heard from both ends (4 as configured), 2 a cable, 1 heard from one end."""
        return 3 + self.cable if len(self.heard) > 1 else 1 + self.cable

    @property
    def source(self) -> str:
        """By what it is known, in two words."""
        if self.cable:
            return "cable"
        protocols = set().union(*self.heard.values())
        return f"{'lldp' if 'lldp' in protocols else 'cdp'} {'both' if len(self.heard) > 1 else 'one'}"

    def seen(self, at: pd.Timestamp) -> None:
        """Note that it was seen at a time."""
        self.at = at if self.at is None else max(self.at, at)


@dataclass
class Settled:
    """The links that stand; ``odd``: (device, interface, text) of what was said against them.

    ``doubted``: links that have such words against them.
    """

    links: dict[Pair, Known]
    odd: list[tuple[str, str, str]]
    doubted: set[Pair] = field(default_factory=set)


def pair(one: Place, other: Place) -> Pair:
    """Return the link between two ends."""
    return (one, other) if one < other else (other, one)


def settle(
    cables: Iterable[tuple[Place, Place, pd.Timestamp]], claims: Iterable[Claim], shared: set[Place]
) -> Settled:
    """Return the links that stand.

    Ends in ``shared`` may have several: aggregates, and ports of which only others speak.
    """
    links: dict[Pair, Known] = defaultdict(Known)
    for one, other, at in cables:
        if one != other:
            links[pair(one, other)].cable = True
            links[pair(one, other)].seen(at)
    for claim in claims:
        known = links[pair(claim.near, claim.far)]
        known.heard.setdefault(claim.near, set()).add(claim.protocol)
        known.seen(claim.at)
    return _without_contradictions(dict(links), shared)


def _without_contradictions(links: dict[Pair, Known], shared: set[Place]) -> Settled:
    at_end: dict[Place, list[Pair]] = defaultdict(list)
    for ends in links:
        for end in ends:
            if end not in shared:
                at_end[end].append(ends)
    disputed = {end: some for end, some in at_end.items() if len(some) > 1}
    dropped = _beaten(links, at_end)
    odd = []
    for end, some in sorted(disputed.items()):
        dropped |= {ends for ends in some if _outdated(ends, end, some, links)}
        odd.append((*end, f"{' '.join(end)} is said to have several cables: {_list(some, links)}"))
    doubted = {ends for some in disputed.values() for ends in some} - dropped
    kept = {ends: known for ends, known in links.items() if ends not in dropped}
    loose = _exchanged(links, kept, dropped, at_end)
    return Settled(kept | loose, odd, doubted | set(loose))


def _exchanged(
    links: dict[Pair, Known], kept: dict[Pair, Known], dropped: set[Pair], at_end: dict[Place, list[Pair]]
) -> dict[Pair, Known]:
    """Return the links that two rows of a list mean whose far ends were exchanged, as one of the two shows.

    Where a link stands against one configured cable at each of its ends, what these leave loose hangs
    together, if nothing else stands at either.
    """
    taken = {end for ends in kept for end in ends}
    answer: dict[Pair, Known] = {}
    for ends, known in kept.items():
        rows = [[one for one in at_end[end] if one in dropped and links[one].cable] for end in ends]
        if known.rank >= HEARD_BOTH and all(len(some) == 1 for some in rows):
            loose = [next(far for far in some[0] if far != end) for end, some in zip(ends, rows, strict=True)]
            if loose[0] != loose[1] and not taken.intersection(loose):
                answer[pair(loose[0], loose[1])] = Known(cable=True, at=links[rows[0][0]].at)
    return answer


def _beaten(links: dict[Pair, Known], at_end: dict[Place, list[Pair]]) -> set[Pair]:
    """Return the links that a stronger one contradicts which stands itself; the strongest are settled first.

    Two rows of a list whose far ends were exchanged are both beaten where one end hears who is there: they
    do not beat what the ends say that hear one way only.
    """
    beaten: set[Pair] = set()
    for rank in (HEARD_BOTH + 1, HEARD_BOTH, HEARD_BOTH - 1):
        standing = {end: [ends for ends in some if ends not in beaten] for end, some in at_end.items()}
        beaten |= {
            ends
            for end, some in standing.items()
            if len(some) > 1 and any(links[one].rank == rank for one in some)
            for ends in some
            if links[ends].rank < rank and not _stands(ends, end, links, standing)
        }
    return beaten


def _stands(ends: Pair, end: Place, links: dict[Pair, Known], at_end: dict[Place, list[Pair]]) -> bool:
    """Return whether a weaker link at a disputed end is believed: behind a hub not everybody speaks.

    It is where the end itself hears it, no cable is configured there, and the other end, as far as it
    hears anybody, hears nobody else.
    """
    other = ends[1] if ends[0] == end else ends[0]
    if end not in links[ends].heard or any(links[some].cable for some in at_end[end]):
        return False
    return not any(other in links[some].heard for some in at_end[other] if some != ends)


def _outdated(ends: Pair, end: Place, some: list[Pair], links: dict[Pair, Known]) -> bool:
    """Return whether the end has since heard somebody else, and not the one who claims to hear it."""
    mine, at = links[ends], links[ends].at
    if mine.cable or end in mine.heard or at is None:
        return False
    since = [links[one].at for one in some if end in links[one].heard]
    return any(heard is not None and heard > at for heard in since)


def _list(some: Iterable[Pair], links: dict[Pair, Known]) -> str:
    ordered = sorted(some)
    told = [f"{_words(ends)} ({links[ends].source})" for ends in ordered[:MOST_NAMED]]
    more = [f"and {len(ordered) - MOST_NAMED} more"] if len(ordered) > MOST_NAMED else []
    return "; ".join([*told, *more])


def _words(ends: Pair) -> str:
    return " - ".join(" ".join(end) for end in ends)


def hubs(settled: Settled, shared: set[Place]) -> dict[Place, set[Place]]:
    """Return the ends that hang together on something that nobody hears, by the first of them.

    Such are the ends that hear several others, all of which stand, and those others.
    """
    heard: dict[Place, set[Place]] = defaultdict(set)
    for ends, known in settled.links.items():
        for near in known.heard:
            if near not in shared and not known.cable:
                heard[near].add(ends[1] if ends[0] == near else ends[0])
    crowded = {end: others for end, others in heard.items() if len(others) > 1}
    group: dict[Place, set[Place]] = {}
    for end, others in sorted(crowded.items()):
        together = {end} | others
        for member in list(together):
            together |= group.get(member, set())
        for member in together:
            group[member] = together
    return {min(together): together for together in group.values()}


def one_sided(settled: Settled, hearing: dict[str, int], silent: set[str]) -> Iterator[tuple[str, str, str]]:
    """Yield (device, interface, text) of ends that ought to hear their neighbour and do not.

    ``hearing``: how many neighbours each polled switch hears; one that hears none at all has LLDP
    switched off, which is a blind spot and no contradiction. ``silent``: devices whose last word is
    older than others' claims about them.
    """
    for ends, known in settled.links.items():
        if known.rank != 1:
            continue
        (near,) = known.heard
        far = ends[1] if ends[0] == near else ends[0]
        if near[0] in hearing and hearing.get(far[0], 0) > 0 and far[0] not in silent:
            yield (*far, f"{' '.join(far)} does not hear {' '.join(near)}, which hears it")
