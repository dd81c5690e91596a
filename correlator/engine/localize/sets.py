"""Path sets: in which *patterns* sick links and a further link lie on the equal-cost paths of a set.

Two links have one pattern where as many paths of their set carry each extra loss, crossing them or
not. Flows are weighed once a pattern and kind (packets sent, lost), not once a link.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array, csr_array

from correlator.engine.localize.params import Floats, Ints

MOST = 1.0 - 1e-14  # of a rate: nothing loses everything for sure


@dataclass(frozen=True)
class PathSets:
    """The sets that flows use, and their *entries*: each a link on some of a set's paths.

    ``kind`` numbers the flows' (sent, lost). Paths lie in the order of their sets, incidences
    (paths on which an entry's link lies) in the order of their entries.
    """

    of_flow: Ints
    kind: Ints
    sent: Floats  # of each kind
    lost: Floats
    hops: Floats  # of each set: a path's links, on the mean
    set_of_path: Ints
    first_path: Ints  # of each set, and the end
    by_link: csc_array  # paths × links
    entry_set: Ints
    entry_link: Ints
    incident_entry: Ints
    incident_path: Ints

    @classmethod
    def of(cls, of_flow: Ints, sent: Ints, lost: Ints, paths: csr_array, set_of_path: Ints) -> PathSets:
        """Return the sets of these flows."""
        size = np.bincount(set_of_path, minlength=int(of_flow.max(initial=-1)) + 1)
        length = np.diff(paths.indptr)
        path = np.repeat(np.arange(len(length)), length)
        key = set_of_path[path] * np.int64(paths.shape[1]) + paths.indices
        entries, entry = np.unique(key, return_inverse=True)
        order = np.argsort(entry, kind="stable")
        sizes, of_sent = np.unique(sent, return_inverse=True)
        losses, of_lost = np.unique(lost, return_inverse=True)
        kinds, kind = np.unique(of_sent * len(losses) + of_lost, return_inverse=True)
        return cls(
            of_flow=of_flow,
            kind=kind,
            sent=sizes[kinds // max(len(losses), 1)].astype(np.float64),
            lost=losses[kinds % max(len(losses), 1)].astype(np.float64),
            hops=np.bincount(set_of_path, length, len(size)) / np.maximum(size, 1),
            set_of_path=set_of_path,
            first_path=np.concatenate([[0], np.cumsum(size)]),
            by_link=csc_array(paths),
            entry_set=entries // paths.shape[1],
            entry_link=entries % paths.shape[1],
            incident_entry=entry[order],
            incident_path=path[order],
        )

    def narrowed(self, links: Ints) -> PathSets:
        """Return the sets with the entries of these links alone."""
        kept = np.isin(self.entry_link, links)
        place = np.cumsum(kept) - 1
        mine = kept[self.incident_entry]
        return replace(
            self,
            entry_set=self.entry_set[kept],
            entry_link=self.entry_link[kept],
            incident_entry=place[self.incident_entry[mine]],
            incident_path=self.incident_path[mine],
        )


@dataclass(frozen=True)
class Pattern:
    """How sick paths and a further link lie in a set.

    ``extra``: the loss rates that sick links add; ``share`` of the set's paths with each, and
    ``crossing``: share of the paths with each that cross the link. ``members`` have this pattern.
    """

    extra: Floats
    share: Floats
    crossing: Floats
    members: Ints

    def nats(self, sent: Floats, lost: Floats, base: float, rates: Floats) -> Floats:
        """Return ln P(lost | a link of this pattern at the rate) − ln P(lost), kinds of flow × rates."""
        before = np.full(len(sent), -np.inf)
        beside = before.copy()
        through = np.full((len(sent), len(rates)), -np.inf)
        kept = sent - lost
        for extra, share, crossing in zip(self.extra, self.share, self.crossing, strict=True):
            rate = min(base + extra, MOST)
            alone = lost * np.log(rate) + kept * np.log1p(-rate)
            before = np.logaddexp(before, np.log(share) + alone)
            if share > crossing:
                beside = np.logaddexp(beside, np.log(share - crossing) + alone)
            if crossing > 0.0:
                more = np.minimum(rate + rates, MOST)
                with_it = np.outer(lost, np.log(more)) + np.outer(kept, np.log1p(-more))
                through = np.logaddexp(through, np.log(crossing) + with_it)
        answer: Floats = np.logaddexp(beside[:, None], through) - before[:, None]
        return answer


class Split:
    """The patterns of all sets, given what sick links add to each path's loss."""

    def __init__(self, sets: PathSets, extra: Floats) -> None:
        self.sets = sets
        self.levels, self.level = np.unique(extra, return_inverse=True)
        # sums of random whole numbers stand for multisets of levels; exact in float64 below 2^53
        marks = np.random.default_rng(0).integers(1, 2**40, len(self.levels)).astype(np.float64)[self.level]
        count = len(sets.first_path) - 1
        self.set_mark = np.bincount(sets.set_of_path, marks, count)
        self.entry_mark = np.bincount(
            sets.incident_entry, marks[sets.incident_path], len(sets.entry_set)
        )
        self.entry_start = np.searchsorted(sets.incident_entry, np.arange(len(sets.entry_set)))

    def entry_patterns(self, used: npt.NDArray[np.bool_]) -> Iterator[Pattern]:
        """Yield the patterns of the entries of these sets; members are entries."""
        entries = np.flatnonzero(used[self.sets.entry_set])
        marks = self.entry_mark[entries] * np.pi + self.set_mark[self.sets.entry_set[entries]]
        for members in _grouped(entries, marks):
            first = members[0]
            begin, end = np.searchsorted(self.sets.incident_entry, [first, first + 1])
            crossing = self._counts(self.sets.incident_path[begin:end])
            yield self._pattern(self.sets.entry_set[first], crossing, members)

    def set_patterns(self, used: npt.NDArray[np.bool_]) -> Iterator[Pattern]:
        """Yield the patterns of these sets for a link that all of a set's paths cross; members are sets."""
        chosen = np.flatnonzero(used)
        for members in _grouped(chosen, self.set_mark[chosen]):
            yield self._pattern(members[0], None, members)

    def _pattern(self, number: int, crossing: Floats | None, members: Ints) -> Pattern:
        begin, end = self.sets.first_path[number : number + 2]
        share = self._counts(np.arange(begin, end))
        crossing = share if crossing is None else crossing
        seen = share > 0
        many = max(int(end - begin), 1)
        return Pattern(self.levels[seen], share[seen] / many, crossing[seen] / many, members)

    def _counts(self, paths: Ints) -> Floats:
        return np.bincount(self.level[paths], minlength=len(self.levels)).astype(np.float64)


def _grouped(members: Ints, marks: Floats) -> Iterator[Ints]:
    """Yield the members that share a mark."""
    order = np.argsort(marks, kind="stable")
    for part in np.split(members[order], np.flatnonzero(np.diff(marks[order])) + 1):
        if len(part):
            yield part


def entry_nats(split: Split, rows: Ints, base: float, rates: Floats) -> Floats:
    """Return the terms of flows for the links of their path sets, directed links × rates.

    ``rows`` are flows that all have ``base`` as their usual loss.
    """
    sets = split.sets
    shape = (len(sets.hops), len(sets.sent))
    flows = csr_array((np.ones(len(rows)), (sets.of_flow[rows], sets.kind[rows])), shape=shape)
    terms, links, places, start = [], [], [], 0
    for pattern in split.entry_patterns(np.diff(flows.indptr) > 0):
        mine, place = np.unique(sets.entry_set[pattern.members], return_inverse=True)
        terms.append(_by_set(flows[mine], pattern, sets, base, rates))
        links.append(sets.entry_link[pattern.members])
        places.append(place + start)
        start += len(mine)
    width = sets.by_link.shape[1]
    if not terms:
        return np.zeros((width, len(rates)))
    link, place = np.concatenate(links), np.concatenate(places)
    answer: Floats = csr_array((np.ones(len(link)), (link, place)), shape=(width, start)) @ np.vstack(terms)
    return answer


def _by_set(flows: csr_array, pattern: Pattern, sets: PathSets, base: float, rates: Floats) -> Floats:
    """Return what the flows of each set say of a link of this pattern, sets × rates."""
    kinds, place = np.unique(flows.indices, return_inverse=True)
    flows = csr_array((flows.data, place, flows.indptr), shape=(flows.shape[0], len(kinds)))
    answer: Floats = flows @ pattern.nats(sets.sent[kinds], sets.lost[kinds], base, rates)
    return answer


def flow_nats(split: Split, rows: Ints, base: float, rates: Floats) -> Floats:
    """Return the terms of these flows for a link that they surely cross, flows × rates."""
    sets = split.sets
    nats = np.zeros((len(rows), len(rates)))
    used = np.zeros(len(sets.hops), dtype=bool)
    used[sets.of_flow[rows]] = True
    group = np.full(len(used), -1)
    for number, pattern in enumerate(split.set_patterns(used)):
        group[pattern.members] = number
        mine = np.flatnonzero(group[sets.of_flow[rows]] == number)
        kinds, place = np.unique(sets.kind[rows[mine]], return_inverse=True)
        nats[mine] = pattern.nats(sets.sent[kinds], sets.lost[kinds], base, rates)[place]
    return nats
