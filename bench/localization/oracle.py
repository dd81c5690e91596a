"""A bound: what a judge could name who is told all that a localiser has to find out but for one link.

For every link in turn he knows each other failed link with its rate, what links usually lose on the
mean, how rates of failed links are distributed and how many failed. He weighs, on the same flows, all
hypotheses: nothing more, this link, any other link in its place, this link and any other; he names what
is likely enough. A localiser who has to find all of it from the flows cannot do better but by luck.
Shares no code with the engine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array, csr_array
from scipy.special import logsumexp

from correlator.engine.localize import Flows
from localization.clos import Shape
from localization.traces import Ints, Trace

Floats = npt.NDArray[np.float64]
RATES = 16


def oracle(trace: Trace, flows: Flows, shape: Shape, named: float, groups: Ints) -> set[int]:
    """Return the groups of links the judge names (``groups``: of each link; itself, or its class)."""
    judge, failed = _Judge(trace, flows, shape), list(trace.failed)
    prior = np.log(max(len(failed), 1) / len(trace.links))
    rates = judge.all_known()
    more, nothing = _by_group(rates, prior, failed, groups)
    answer = _likely(more, nothing, named)
    besides = more / max(nothing, 1e-300)
    for link in failed:
        known = [other for other in failed if other != link]
        instead, nothing = _by_group(rates + judge.unlearned(link), prior, known, groups)
        instead[groups[link]] *= 1.0 + besides.sum() - besides[groups[link]]
        answer |= _likely(instead, nothing, named)
    return answer


def _by_group(nats: Floats, prior: float, known: list[int], groups: Ints) -> tuple[Floats, float]:
    """Return how likely it is that each group holds one more sick link than the known, and that none does.

    Both to one scale.
    """
    odds = logsumexp(nats, axis=0) - np.log(RATES) + prior
    odds[known] = -np.inf
    top = max(float(odds.max()), 0.0)
    return np.bincount(groups, np.exp(odds - top)), float(np.exp(-top))


def _likely(groups: Floats, nothing: float, named: float) -> set[int]:
    return set(np.flatnonzero(groups >= named * (nothing + groups.sum())).tolist())


class _Judge:
    def __init__(self, trace: Trace, flows: Flows, shape: Shape) -> None:
        self.trace, self.flows = trace, flows
        self.floor = shape.noise / 2.0
        self.rates = np.linspace(*shape.loss, RATES)
        self.kept = (flows.sent - flows.lost).astype(np.float64)
        self.lost = flows.lost.astype(np.float64)
        self.certain = flows.certain.astype(np.float64)
        self.by_link = csc_array(self.certain)
        self.hops = np.diff(flows.certain.indptr).astype(np.float64)
        self.rows_of_set = _rows(flows.path_set)
        self.paths_of_set = _rows(flows.set_of_path)
        self.share = self._shares()

    def _shares(self) -> csr_array:
        """Return which share of its paths crosses each link, sets × links."""
        size = np.bincount(self.flows.set_of_path, minlength=int(self.flows.path_set.max(initial=-1)) + 1)
        path = np.arange(len(self.flows.set_of_path))
        where = (self.flows.set_of_path, path)
        of_set = csr_array((1.0 / size[self.flows.set_of_path], where), shape=(len(size), len(path)))
        return csr_array(of_set @ self.flows.paths.astype(np.float64))

    def all_known(self) -> Floats:
        """Return the log Bayes factor of each link at each rate, every failed one being known."""
        alone = np.flatnonzero(self.flows.path_set < 0)
        return self._nats(self._known(None), np.array(sorted(self.rows_of_set), dtype=np.int64), alone)

    def unlearned(self, link: int) -> Floats:
        """Return what not knowing a failed link changes: only flows that may have crossed it tell."""
        sets, alone = self._sets(link), self._sure(link)
        return self._nats(self._known(link), sets, alone) - self._nats(self._known(None), sets, alone)

    def _known(self, but: int | None) -> Floats:
        known = np.zeros(len(self.trace.links))
        for link, rate in self.trace.failed.items():
            known[link] = rate * (link != but)
        return known

    def _nats(self, known: Floats, sets: Ints, alone: Ints) -> Floats:
        """Return what flows of these sets, and these flows of known path, say, rates × links."""
        base = self.certain @ known + self.floor * self.hops
        sick = self.share @ known > 0.0
        nats = self._plain(sets[~sick[sets]], base)
        for number in sets[sick[sets]].tolist():
            ways = self.flows.paths[self.paths_of_set[number]].toarray().astype(np.float64)
            self._add_set(nats, self.rows_of_set[number], base, ways, ways @ known)
        for place, rate in enumerate(self.rates):
            nats[place] += self._ratio(base[alone], rate, alone) @ self.certain[alone]
        return nats

    def _plain(self, sets: Ints, base: Floats) -> Floats:
        """Return what flows say whose set has no known sick link: all of its paths are alike."""
        nats = np.zeros((RATES, len(self.trace.links)))
        asked = np.zeros(self.share.shape[0] + 1, dtype=bool)
        asked[sets] = True
        rows = np.flatnonzero(asked[self.flows.path_set])
        if not len(rows):
            return nats
        at = base[rows] + self.floor * self.share.sum(axis=1)[self.flows.path_set[rows]]
        more = np.stack([self._ratio(at, rate, rows) for rate in self.rates], axis=1)
        nats += (self.certain[rows].T @ more).T
        shape = (self.share.shape[0], len(rows))
        of_set = csr_array((np.ones(len(rows)), (self.flows.path_set[rows], np.arange(len(rows)))), shape)
        for share in np.unique(self.share.data):
            mixed = np.logaddexp(np.log1p(-share), np.log(share) + more) if share < 1.0 else more
            crossing = self.share.copy()
            crossing.data = (crossing.data == share).astype(np.float64)
            nats += (crossing.T @ (of_set @ mixed)).T
        return nats

    def _sets(self, link: int) -> Ints:
        """Return the path sets in use whose flows may have crossed a link."""
        paths = np.flatnonzero(self.flows.paths[:, [link]].toarray()[:, 0])
        found = {*self.flows.set_of_path[paths].tolist(), *self.flows.path_set[self._crossing(link)].tolist()}
        return np.array(sorted(found & self.rows_of_set.keys()), dtype=np.int64)

    def _sure(self, link: int) -> Ints:
        """Return the flows of known path that crossed a link."""
        rows = self._crossing(link)
        return rows[self.flows.path_set[rows] < 0]

    def _crossing(self, link: int) -> Ints:
        begin, end = self.by_link.indptr[link : link + 2]
        rows: Ints = self.by_link.indices[begin:end].astype(np.int64)
        return rows

    def _ratio(self, base: Floats, rate: float, rows: Ints) -> Floats:
        more = self.lost[rows] * np.log1p(rate / base)
        return more + self.kept[rows] * (np.log1p(-base - rate) - np.log1p(-base))

    def _add_set(self, nats: Floats, rows: Ints, base: Floats, ways: Floats, extra: Floats) -> None:
        """Add what the flows of one set say: the mean likelihood over its paths, with and without."""
        sure = self.certain[rows]
        links = np.flatnonzero(ways.any(axis=0))
        at = base[rows, None] + self.floor * ways.sum(axis=1).mean() + extra
        lost, kept = self.lost[rows, None], self.kept[rows, None]
        now = lost * np.log(at) + kept * np.log1p(-at)
        then = np.array([lost * np.log(at + q) + kept * np.log1p(-at - q) for q in self.rates])
        top = np.maximum(now.max(axis=1), then.max(axis=(0, 2)))
        now, then = np.exp(now - top[:, None]), np.exp(then - top[None, :, None])
        usual = np.log(np.maximum(now.mean(axis=1), 1e-300))
        crossing = ways[:, links] / len(ways)
        mixed = (now.mean(axis=1)[:, None] - now @ crossing)[None] + then @ crossing
        nats[:, links] += (np.log(np.maximum(mixed, 1e-300)) - usual[:, None]).sum(axis=1)
        nats += (np.log(np.maximum(then.mean(axis=2), 1e-300)) - usual) @ sure


def _rows(numbers: Ints) -> dict[int, Ints]:
    """Return the rows of each number from 0 up."""
    order = np.argsort(numbers, kind="stable")
    values, start = np.unique(numbers[order], return_index=True)
    parts = np.split(order, start[1:])
    return {int(value): part for value, part in zip(values, parts, strict=True) if value >= 0}
