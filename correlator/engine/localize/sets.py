"""Path sets: in which *patterns* sick links and a further link lie on the equal-cost paths of a set.

Two links have one pattern where as many paths of their set carry each extra loss, crossing them or
not. Flows are weighed once a pattern and kind (packets sent, lost), not once a link.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array, csr_array

from correlator.engine.localize.params import Floats, Ints

Bools = npt.NDArray[np.bool_]
MOST = 1.0 - 1e-14  # of a rate: nothing loses everything for sure
LEAST = 1e-300  # of a likelihood, against that of nothing more being sick


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
    size: Ints  # of each set, paths
    set_of_path: Ints
    by_set: Ints  # flows in the order of their sets
    start: Ints  # of each set's, and the end
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
            size=size,
            set_of_path=set_of_path,
            by_set=rows[np.argsort(flows.path_set[rows], kind="stable")],
            start=np.append(0, np.cumsum(np.bincount(flows.path_set[rows], minlength=len(size)))),
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

    def entries(self, members: Ints) -> Ints:
        """Return the entries of these sets."""
        begin, end = (np.searchsorted(self.entry_set, members, side) for side in ("left", "right"))
        return _ranges(begin, end)[0]

    def flows(self, members: Ints) -> Ints:
        """Return the flows of these sets."""
        answer: Ints = self.by_set[_ranges(self.start[members], self.start[members + 1])[0]]
        return answer

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

    def nats(self, sent: Floats, lost: Floats, base: Floats, rates: Floats) -> Floats:
        """Return ln P(lost | a link of this pattern at the rate) − ln P(lost), flows × rates.

        ``base``: what each flow loses on every path.
        """
        values, place = np.unique(base, return_inverse=True)
        kept = sent - lost
        levels = np.minimum(values[:, None] + self.extra, MOST)
        alone = lost[:, None] * np.log(levels)[place] + kept[:, None] * np.log1p(-levels)[place]
        top = alone.max(axis=1, keepdims=True)
        path = np.exp(alone - top)
        through = [
            (crossing, _binomial(levels[:, [level]] + rates, place, lost, kept) - top)
            for level, crossing in enumerate(self.crossing)
            if crossing > 0.0
        ]
        beside = path @ (self.share - self.crossing).clip(0.0)
        most = np.max([nats for _, nats in through], axis=0)
        most = np.maximum(most, 0.0, where=beside[:, None] > 0.0, out=most)
        mixed = beside[:, None] * np.exp(np.minimum(-most, 0.0))
        for crossing, nats in through:
            mixed += crossing * np.exp(nats - most)
        answer: Floats = np.log(np.maximum(mixed, LEAST)) + most - np.log(path @ self.share)[:, None]
        return answer

    def usual_share(self, sent: Floats, lost: Floats, usual: Floats, sure: Floats) -> Floats:
        """Return which share of its losses each flow owes to the usual, and not to a sick link.

        ``sure``: what sick links add on every path.
        """
        rate = np.minimum((usual + sure)[:, None] + self.extra, MOST)
        nats = lost[:, None] * np.log(rate) + (sent - lost)[:, None] * np.log1p(-rate) + np.log(self.share)
        path = np.exp(nats - nats.max(axis=1, keepdims=True))
        answer: Floats = (path / rate).sum(axis=1) * usual / path.sum(axis=1)
        return answer


def _binomial(rate: Floats, place: Ints, lost: Floats, kept: Floats) -> Floats:
    """Return k ln p + (n−k) ln (1−p) of each flow, p in the row of ``rate`` at its place."""
    rate = np.minimum(rate, MOST)
    answer: Floats = np.log(rate)[place]
    answer *= lost[:, None]
    answer += np.log1p(-rate)[place] * kept[:, None]
    return answer


class Split:
    """The patterns of sets, given what sick links add to each path's loss."""

    def __init__(self, sets: PathSets, extra: Floats) -> None:
        self.sets = sets
        self.levels, self.level = distinct(extra)
        # sums of random whole numbers stand for multisets of levels; exact in float64 below 2^53
        self.marks = np.random.default_rng(0).integers(1, 2**40, len(self.levels)).astype(np.float64)

    def entry_patterns(self, members: Ints) -> Iterator[Pattern]:
        """Yield the patterns of these sets' entries; members are entries."""
        sets, entries = self.sets, self.sets.entries(members)
        begin, end = (np.searchsorted(sets.incident_entry, entries, side) for side in ("left", "right"))
        incident, owner = _ranges(begin, end)
        crossing = np.bincount(owner, self._mark(sets.incident_path[incident]), len(entries))
        whole = self._set_mark(members)[np.searchsorted(members, sets.entry_set[entries])]
        for mine in _grouped(np.arange(len(entries)), np.pi * crossing + whole):
            first = mine[0]
            share = self._shares(sets.entry_set[entries[first]])
            paths = sets.incident_path[begin[first] : end[first]]
            crossed = self._counts(paths) / sets.size[sets.entry_set[entries[first]]]
            yield self._pattern(share, crossed, entries[mine])

    def set_patterns(self, members: Ints) -> Iterator[Pattern]:
        """Yield the patterns of these sets for a link that all of a set's paths cross; members are sets."""
        for mine in _grouped(members, self._set_mark(members)):
            share = self._shares(mine[0])
            yield self._pattern(share, share, mine)

    def _mark(self, paths: Ints) -> Floats:
        answer: Floats = self.marks[self.level[paths]]
        return answer

    def _set_mark(self, members: Ints) -> Floats:
        begin, end = (np.searchsorted(self.sets.set_of_path, members, side) for side in ("left", "right"))
        paths, owner = _ranges(begin, end)
        answer: Floats = np.bincount(owner, self._mark(paths), len(members)).astype(np.float64)
        return answer

    def _pattern(self, share: Floats, crossing: Floats, members: Ints) -> Pattern:
        seen = share > 0.0
        return Pattern(self.levels[seen], share[seen], crossing[seen], members)

    def _shares(self, number: int) -> Floats:
        begin, end = np.searchsorted(self.sets.set_of_path, [number, number + 1])
        answer: Floats = self._counts(np.arange(begin, end)) / self.sets.size[number]
        return answer

    def _counts(self, paths: Ints) -> Floats:
        return np.bincount(self.level[paths], minlength=len(self.levels)).astype(np.float64)


def _ranges(begin: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Return the numbers of these ranges one after the other, and the range of each."""
    many = end - begin
    owner = np.repeat(np.arange(len(many)), many)
    return np.arange(len(owner)) + np.repeat(begin - np.cumsum(many) + many, many), owner


def distinct(values: Floats) -> tuple[Floats, Ints]:
    """Return zero and the distinct other values, and the place of each; zeros need no sorting."""
    some = np.flatnonzero(values)
    other, place = np.unique(values[some], return_inverse=True)
    number = np.zeros(len(values), dtype=np.int64)
    number[some] = place + 1
    return np.append(0.0, other), number


def _grouped(members: Ints, marks: Floats | Ints) -> Iterator[Ints]:
    """Yield the members that share a mark."""
    order = np.argsort(marks, kind="stable")
    for part in np.split(members[order], np.flatnonzero(np.diff(marks[order])) + 1):
        if len(part):
            yield part


def entry_nats(split: Split, members: Ints, base: Floats, rates: Floats) -> Floats:
    """Return the terms of these sets' flows for the candidates in their path sets, candidates × rates.

    ``members``: sets, ascending; ``base``: what each of their flows loses on every path.
    """
    sets, rows = split.sets, split.sets.flows(members)
    alike, place = _alike(sets, rows, base)
    start = np.append(0, np.cumsum(sets.start[members + 1] - sets.start[members]))
    of_set = csr_array((np.ones(len(rows)), place, start), shape=(len(members), len(alike[0])))
    answer = np.zeros((sets.candidates, len(rates)))
    for pattern in split.entry_patterns(members):
        terms = of_set @ pattern.nats(*alike, rates)
        where = (sets.entry_link[pattern.members], np.searchsorted(members, sets.entry_set[pattern.members]))
        shape = (sets.candidates, len(members))
        answer += csr_array((np.ones(len(pattern.members)), where), shape=shape) @ terms
    return answer


def sure_nats(split: Split, rows: Ints, base: Floats, rates: Floats) -> Floats:
    """Return the terms of these flows for a link that they surely cross, flows × rates."""
    nats, sets = np.zeros((len(rows), len(rates))), split.sets
    for pattern, mine in _by_pattern(split, rows):
        alike, place = _alike(sets, rows[mine], base[mine])
        nats[mine] = pattern.nats(*alike, rates)[place]
    return nats


def _alike(sets: PathSets, rows: Ints, base: Floats) -> tuple[tuple[Floats, Floats, Floats], Ints]:
    """Return packets sent, lost, and usual loss of the distinct of these flows, and the place of each."""
    values, level = np.unique(base, return_inverse=True)
    distinct_flows, place = np.unique(sets.kind[rows] * len(values) + level, return_inverse=True)
    kind, level = np.divmod(distinct_flows, len(values))
    return (sets.sent[kind], sets.lost[kind], values[level]), place


def usual_share(split: Split, rows: Ints, usual: Floats, sure: Floats) -> Floats:
    """Return which share of its losses each of these flows owes to the usual."""
    answer, sets = np.ones(len(rows)), split.sets
    for pattern, mine in _by_pattern(split, rows):
        kind = sets.kind[rows[mine]]
        answer[mine] = pattern.usual_share(sets.sent[kind], sets.lost[kind], usual[mine], sure[mine])
    return answer


def _by_pattern(split: Split, rows: Ints) -> Iterator[tuple[Pattern, Ints]]:
    """Yield the patterns of these flows' sets, with the places of its flows in ``rows``."""
    members, place = np.unique(split.sets.of_flow[rows], return_inverse=True)
    group = np.zeros(len(members), dtype=np.int64)
    for number, pattern in enumerate(split.set_patterns(members)):
        group[np.searchsorted(members, pattern.members)] = number
        yield pattern, np.flatnonzero((group[place] == number) & np.isin(members, pattern.members)[place])


@dataclass(frozen=True)
class SetTerms:
    """What the flows of each set say of a link in it, nothing in the set being sick: form → sets × rates."""

    by_form: Mapping[int, Floats]
    rates: int

    @classmethod
    def of(cls, sets: PathSets, usual: Floats, rates: Floats) -> SetTerms:
        """Return the terms of all flows in sets, given what flows of each set usually lose."""
        alike, place = _alike(sets, sets.by_set, usual[sets.of_flow[sets.by_set]])
        many = csr_array((np.ones(len(place)), place, sets.start), shape=(len(sets.size), len(alike[0])))
        by_form = {}
        for form, first in zip(*np.unique(sets.entry_form, return_index=True), strict=True):
            crossing = np.sum(sets.incident_entry == first) / sets.size[sets.entry_set[first]]
            pattern = Pattern(np.zeros(1), np.ones(1), np.array([crossing]), np.array([first]))
            by_form[int(form)] = many @ pattern.nats(*alike, rates)
        return cls(by_form, len(rates))

    def summed(self, sets: PathSets, entries: Ints) -> Floats:
        """Return the sums over these entries, candidates × rates."""
        answer, forms = np.zeros((sets.candidates, self.rates)), sets.entry_form[entries]
        for form, terms in self.by_form.items():
            mine = entries[forms == form]
            where = sets.entry_link[mine], sets.entry_set[mine]
            answer += csr_array((np.ones(len(mine)), where), shape=(sets.candidates, len(terms))) @ terms
        return answer


class Touched:
    """Which sets the flows of which sick links touch, and the groups of sets that the same ones touch."""

    def __init__(self, sets: int) -> None:
        dice = np.random.default_rng(0)
        self._name = dice.integers(1, 2**40, sets)  # sums of them stand for groups
        self._dice, self._mark = dice, np.zeros(sets, dtype=np.int64)
        self._by_link: dict[int, Bools] = {}

    def add(self, link: int, sets: Ints) -> None:
        """Take note of the sets of a link that is or was taken as sick."""
        there = np.zeros(len(self._mark), dtype=bool)
        there[sets] = True
        self._by_link[link] = there
        self._mark[there] += self._dice.integers(1, 2**50)

    def __contains__(self, link: int) -> bool:
        return link in self._by_link

    def groups(self, sick: Sequence[tuple[int, float]]) -> Iterator[tuple[Hashable, Ints]]:
        """Yield the sets that sick links touch, group by group, with what tells a group and its links."""
        near = np.zeros(len(self._mark), dtype=bool)
        for link, _ in sick:
            near |= self._by_link[link]
        chosen: Ints = np.flatnonzero(near)
        for members in _grouped(chosen, self._mark[chosen]):
            links = tuple(sorted(one for one in sick if self._by_link[one[0]][members[0]]))
            yield (int(self._name[members].sum()), links), members
