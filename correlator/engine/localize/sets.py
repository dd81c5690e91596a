"""Path sets: in which *patterns* sick links and a further link lie on the equal-cost paths of a set.

Two links have one pattern where as many paths of their set carry each extra loss, crossing them or
not. Flows are weighed once a pattern and kind (packets sent, lost), not once a link.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array, csr_array

from correlator.engine.localize.params import Floats, Ints

Bools = npt.NDArray[np.bool_]
MOST = 1.0 - 1e-14  # of a rate: nothing loses everything for sure


@dataclass(frozen=True)
class Flows:
    """Flows of one connection each: packets ``sent`` and ``lost``, and where they went.

    ``certain``: flows × directed links, 1 where every path of the flow crosses the link; the whole
    path where it is known. ``path_set``: the set of paths one of which the flow took besides, −1
    where there is none. ``paths``: paths × directed links; ``set_of_path``: the set of each.
    """

    sent: Ints
    lost: Ints
    certain: csr_array
    path_set: Ints
    paths: csr_array
    set_of_path: Ints

    def cleaned(self) -> Flows:
        """Return the flows that sent something, no more lost than sent, and the path sets in use."""
        rows = np.flatnonzero(self.sent > 0)
        sets = self.path_set[rows]
        used = np.unique(sets[sets >= 0])
        kept = np.flatnonzero(np.isin(self.set_of_path, used))
        kept = kept[np.argsort(self.set_of_path[kept], kind="stable")]
        return Flows(
            sent=self.sent[rows],
            lost=np.clip(self.lost[rows], 0, self.sent[rows]),
            certain=csr_array(self.certain)[rows],
            path_set=np.where(sets >= 0, np.searchsorted(used, sets), -1),
            paths=csr_array(self.paths)[kept],
            set_of_path=np.searchsorted(used, self.set_of_path[kept]),
        )


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
    size: Ints  # of each set, paths
    set_of_path: Ints
    by_link: csc_array  # paths × links
    entry_set: Ints
    entry_link: Ints  # as a place among the candidates
    entry_form: Ints  # numbers (crossing paths, size of the set)
    incident_entry: Ints
    incident_path: Ints
    candidates: int

    @classmethod
    def of(cls, flows: Flows) -> PathSets:
        """Return the sets of cleaned flows; every link is a candidate."""
        paths, set_of_path = flows.paths, flows.set_of_path
        size = np.bincount(set_of_path, minlength=int(flows.path_set.max(initial=-1)) + 1)
        length = np.diff(paths.indptr)
        path = np.repeat(np.arange(len(length)), length)
        key = set_of_path[path] * np.int64(paths.shape[1]) + paths.indices
        entries, entry, crossing = np.unique(key, return_inverse=True, return_counts=True)
        entry_set, order = entries // paths.shape[1], np.argsort(entry, kind="stable")
        rows = np.flatnonzero(flows.path_set >= 0)
        sent, of_sent = np.unique(flows.sent[rows], return_inverse=True)
        lost, of_lost = np.unique(flows.lost[rows], return_inverse=True)
        kinds, of_kind = np.unique(of_sent * np.int64(len(lost)) + of_lost, return_inverse=True)
        kind = np.full(len(flows.sent), -1)
        kind[rows] = of_kind
        return cls(
            of_flow=flows.path_set,
            kind=kind,
            sent=sent[kinds // max(len(lost), 1)].astype(np.float64),
            lost=lost[kinds % max(len(lost), 1)].astype(np.float64),
            hops=np.bincount(set_of_path, length, len(size)) / np.maximum(size, 1),
            size=size,
            set_of_path=set_of_path,
            by_link=csc_array(paths),
            entry_set=entry_set,
            entry_link=entries % paths.shape[1],
            entry_form=np.unique(crossing * np.int64(len(length) + 1) + size[entry_set], return_inverse=True)[
                1
            ],
            incident_entry=entry[order],
            incident_path=path[order],
            candidates=paths.shape[1],
        )

    def narrowed(self, numbers: Ints) -> PathSets:
        """Return the sets with the entries of these candidates alone."""
        kept = np.isin(self.entry_link, numbers)
        place = np.cumsum(kept) - 1
        mine = kept[self.incident_entry]
        return replace(
            self,
            entry_set=self.entry_set[kept],
            entry_link=np.searchsorted(numbers, self.entry_link[kept]),
            entry_form=self.entry_form[kept],
            incident_entry=place[self.incident_entry[mine]],
            incident_path=self.incident_path[mine],
            candidates=len(numbers),
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

    def usual_share(self, sent: Floats, lost: Floats, usual: float, sure: float) -> Floats:
        """Return which share of its losses each kind of flow owes to the usual, and not to a sick link.

        ``sure``: what sick links add on every path.
        """
        rate = np.minimum(usual + sure + self.extra, MOST)
        nats = np.log(self.share) + np.outer(lost, np.log(rate)) + np.outer(sent - lost, np.log1p(-rate))
        path = np.exp(nats - nats.max(axis=1, keepdims=True))
        answer: Floats = (path / path.sum(axis=1, keepdims=True)) @ (usual / rate)
        return answer


class Split:
    """The patterns of all sets, given what sick links add to each path's loss."""

    def __init__(self, sets: PathSets, extra: Floats) -> None:
        self.sets = sets
        self.levels, self.level = distinct(extra)
        # sums of random whole numbers stand for multisets of levels; exact in float64 below 2^53
        marks = np.random.default_rng(0).integers(1, 2**40, len(self.levels)).astype(np.float64)[self.level]
        self.set_mark = np.bincount(sets.set_of_path, marks, len(sets.size)).astype(np.float64)
        self.sick = np.bincount(sets.set_of_path, self.level, len(sets.size)) > 0
        self.entry_mark = sets.entry_form.astype(np.float64)
        concerned = self.sick[sets.entry_set]
        mine = concerned[sets.incident_entry]
        crossing = np.bincount(
            sets.incident_entry[mine], marks[sets.incident_path[mine]], len(sets.entry_set)
        )
        self.entry_mark[concerned] = np.pi * crossing[concerned] + self.set_mark[sets.entry_set[concerned]]
        self.concerned = concerned

    def entry_patterns(self, used: Bools) -> Iterator[Pattern]:
        """Yield the patterns of the entries of these sets; members are entries."""
        mine = used[self.sets.entry_set]
        entries = np.flatnonzero(mine & self.concerned)
        yield from map(self._entry_pattern, _grouped(entries, self.entry_mark[entries]))
        entries = np.flatnonzero(mine & ~self.concerned)
        forms = self.sets.entry_form[entries]
        for form in np.flatnonzero(np.bincount(forms)):
            yield self._entry_pattern(entries[forms == form])

    def set_patterns(self, used: Bools) -> Iterator[Pattern]:
        """Yield the patterns of these sets for a link that all of a set's paths cross; members are sets."""
        chosen: Ints = np.flatnonzero(used)
        for members in _grouped(chosen, self.set_mark[chosen]):
            share = self._shares(members[0])
            yield self._pattern(share, share, members)

    def _entry_pattern(self, members: Ints) -> Pattern:
        first = members[0]
        number = self.sets.entry_set[first]
        begin, end = np.searchsorted(self.sets.incident_entry, [first, first + 1])
        crossing = self._counts(self.sets.incident_path[begin:end]) / self.sets.size[number]
        return self._pattern(self._shares(number), crossing, members)

    def _pattern(self, share: Floats, crossing: Floats, members: Ints) -> Pattern:
        seen = share > 0.0
        return Pattern(self.levels[seen], share[seen], crossing[seen], members)

    def _shares(self, number: int) -> Floats:
        begin, end = np.searchsorted(self.sets.set_of_path, [number, number + 1])
        answer: Floats = self._counts(np.arange(begin, end)) / self.sets.size[number]
        return answer

    def _counts(self, paths: Ints) -> Floats:
        return np.bincount(self.level[paths], minlength=len(self.levels)).astype(np.float64)


def distinct(values: Floats) -> tuple[Floats, Ints]:
    """Return zero and the distinct other values, and the place of each; zeros need no sorting."""
    some = np.flatnonzero(values)
    other, place = np.unique(values[some], return_inverse=True)
    number = np.zeros(len(values), dtype=np.int64)
    number[some] = place + 1
    return np.append(0.0, other), number


def _grouped(members: Ints, marks: Floats) -> Iterator[Ints]:
    """Yield the members that share a mark."""
    order = np.argsort(marks, kind="stable")
    for part in np.split(members[order], np.flatnonzero(np.diff(marks[order])) + 1):
        if len(part):
            yield part


def _renumbered(values: Ints, size: int) -> tuple[Ints, Ints]:
    """Return the distinct of some numbers below ``size``, ascending, and the place of each."""
    there = np.zeros(size, dtype=bool)
    there[values] = True
    answer: Ints = np.flatnonzero(there)
    return answer, (np.cumsum(there) - 1)[values]


def entry_nats(split: Split, rows: Ints, base: float, rates: Floats) -> Floats:
    """Return the terms of flows for the candidates in their path sets, candidates × rates.

    ``rows`` are flows that all have ``base`` as their usual loss.
    """
    sets = split.sets
    flows = _by_kind(sets, rows)
    terms, links, places, start = [], [], [], 0
    for pattern in split.entry_patterns(np.diff(flows.indptr) > 0):
        mine, place = _renumbered(sets.entry_set[pattern.members], len(sets.size))
        terms.append(_by_set(flows[mine], pattern, sets, base, rates))
        links.append(sets.entry_link[pattern.members])
        places.append(place + start)
        start += len(mine)
    if not terms:
        return np.zeros((sets.candidates, len(rates)))
    link, place = np.concatenate(links), np.concatenate(places)
    add = csr_array((np.ones(len(link)), (link, place)), shape=(sets.candidates, start))
    answer: Floats = add @ np.vstack(terms)
    return answer


@dataclass(frozen=True)
class SetTerms:
    """What the flows of each set say of a link in it, nothing in the set being sick: form → sets × rates."""

    sets: PathSets
    by_form: Mapping[int, Floats]
    rates: int

    @classmethod
    def of(cls, healthy: Split, layers: Iterable[tuple[float, Ints]], rates: Floats) -> SetTerms:
        """Return the terms of flows, given in layers of what they usually lose."""
        sets = healthy.sets
        by_form: dict[int, Floats] = {}
        for base, rows in layers:
            flows = _by_kind(sets, rows)
            for pattern in healthy.entry_patterns(np.diff(flows.indptr) > 0):
                form = int(sets.entry_form[pattern.members[0]])
                mine, _ = _renumbered(sets.entry_set[pattern.members], len(sets.size))
                terms = by_form.setdefault(form, np.zeros((len(sets.size), len(rates))))
                terms[mine] += _by_set(flows[mine], pattern, sets, base, rates)
        return cls(sets, by_form, len(rates))

    def summed(self, kept: Bools) -> Floats:
        """Return the sums over these sets, candidates × rates."""
        sets = self.sets
        answer = np.zeros((sets.candidates, self.rates))
        mine = kept[sets.entry_set]
        for form, terms in self.by_form.items():
            entries = np.flatnonzero(mine & (sets.entry_form == form))
            where = sets.entry_link[entries], sets.entry_set[entries]
            answer += csr_array((np.ones(len(entries)), where), shape=(sets.candidates, len(terms))) @ terms
        return answer


def _by_kind(sets: PathSets, rows: Ints) -> csr_array:
    """Return how many of these flows there are, sets × kinds."""
    shape = (len(sets.size), len(sets.sent))
    return csr_array((np.ones(len(rows)), (sets.of_flow[rows], sets.kind[rows])), shape=shape)


def _by_set(flows: csr_array, pattern: Pattern, sets: PathSets, base: float, rates: Floats) -> Floats:
    """Return what the flows of each set say of a link of this pattern, sets × rates."""
    kinds, place = _renumbered(flows.indices, len(sets.sent))
    flows = csr_array((flows.data, place, flows.indptr), shape=(flows.shape[0], len(kinds)))
    answer: Floats = flows @ pattern.nats(sets.sent[kinds], sets.lost[kinds], base, rates)
    return answer


def flow_nats(split: Split, rows: Ints, base: float, rates: Floats) -> Floats:
    """Return the terms of these flows for a link that they surely cross, flows × rates."""
    nats = np.zeros((len(rows), len(rates)))
    for pattern, mine, kinds, place in _by_pattern(split, rows):
        nats[mine] = pattern.nats(split.sets.sent[kinds], split.sets.lost[kinds], base, rates)[place]
    return nats


def usual_share(split: Split, rows: Ints, usual: float, sure: float) -> Floats:
    """Return which share of its losses each of these flows owes to the usual."""
    answer = np.ones(len(rows))
    for pattern, mine, kinds, place in _by_pattern(split, rows):
        answer[mine] = pattern.usual_share(split.sets.sent[kinds], split.sets.lost[kinds], usual, sure)[place]
    return answer


def _by_pattern(split: Split, rows: Ints) -> Iterator[tuple[Pattern, Ints, Ints, Ints]]:
    """Yield flows by their sets' patterns: places in ``rows``, kinds, and the place of each flow's kind."""
    sets = split.sets
    of_flow, kind = sets.of_flow[rows], sets.kind[rows]
    used = np.zeros(len(sets.size), dtype=bool)
    used[of_flow] = True
    group = np.full(len(used), -1)
    for number, pattern in enumerate(split.set_patterns(used)):
        group[pattern.members] = number
        mine = np.flatnonzero(group[of_flow] == number)
        kinds, place = _renumbered(kind[mine], len(sets.sent))
        yield pattern, mine, kinds, place
