"""What single flows say of each link's loss rate: a mixture over the paths that a flow may have taken.

A flow of n packets, k of them lost, on one of a set S of equal-cost paths (the likelihood of Flock,
CoNEXT 2023, with a grid of rates instead of one):

    P(k | q) = Σ_{p∈S} |S|⁻¹ (β + e_p)ᵏ (1 − β − e_p)ⁿ⁻ᵏ,   e_p = Σ_{l∈p} q_l,   β = μ · hops

A flow that surely crosses a link enters by sums. Page: docs/algorithms/localize.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array, csr_array

from correlator.engine.localize.params import Floats, Ints, Params, grid
from correlator.engine.localize.sets import MOST, PathSets, Split, entry_nats, flow_nats



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


class FlowWitness:
    """Weighs every rate of every link, given the links that are taken as sick already."""

    def __init__(self, flows: Flows, params: Params) -> None:
        flows = flows.cleaned()
        self.params, self.rates = params, grid(params)
        self.links = flows.certain.shape[1]
        self.sent, self.lost = flows.sent.astype(np.float64), flows.lost.astype(np.float64)
        self.certain, self.by_link = flows.certain, csc_array(flows.certain)
        self.sets = PathSets.of(flows.path_set, flows.sent, flows.lost, flows.paths, flows.set_of_path)
        self.hops = np.diff(flows.certain.indptr) + np.append(self.sets.hops, 0.0)[flows.path_set]
        self.kinds, self.kind = np.unique(self.hops, return_inverse=True)
        self.totals = self._sums(np.arange(len(self.sent)), self.kind, len(self.kinds))
        self.exposed = float(self.sent @ self.hops)

    def narrowed(self, links: Ints) -> FlowWitness:
        """Return a witness who weighs these links only; of the others what it says is incomplete."""
        other = FlowWitness.__new__(FlowWitness)
        other.__dict__ = self.__dict__ | {"sets": self.sets.narrowed(links)}
        return other

    def weigh(self, sick: Sequence[tuple[int, float]]) -> Floats:
        """Return ln P(flows | link sick too) − ln P(flows | sick), directed links × rates.

        ``sick``: (directed link, loss rate) of each that is taken as sick.
        −inf for rates too near the floor to be told from a link that usually loses more than others.
        """
        state = _State.of(self, sick)
        mu = self.floor(state)
        counted = self.rates >= self.params.floor_ratio * mu
        rates = self.rates[counted]
        nats = np.full((self.links, len(self.rates)), -np.inf)
        nats[:, counted] = self._sure_nats(state, mu, rates) + self._split_nats(state, mu, rates)
        return nats

    def floor(self, state: _State) -> float:
        """Return what a link usually loses, from the flows that cannot have crossed a sick one.

        Where there are hardly any such flows: from all, less what the sick links account for.
        """
        apart = ~state.touched
        lost, exposed = float(self.lost[apart].sum()), float(self.sent[apart] @ self.hops[apart])
        if exposed < 0.1 * self.exposed:
            lost = max(float(self.lost.sum() - self.sent @ state.expected), 0.0)
            exposed = self.exposed
        return (lost + 0.5) / (exposed + 0.5 / self.params.floor_rate)

    def _sums(self, rows: Ints, kind: Ints, kinds: int) -> tuple[Floats, Floats]:
        """Return packets lost and packets kept, directed links × kinds, of the links these surely cross."""
        part, lost = self.certain[rows], self.lost[rows]
        many = np.diff(part.indptr)
        where = part.indices.astype(np.int64) * kinds + np.repeat(kind, many)
        size, shape = self.links * kinds, (self.links, kinds)
        gone = np.bincount(where, np.repeat(lost, many), size).reshape(shape)
        kept = np.bincount(where, np.repeat(self.sent[rows] - lost, many), size).reshape(shape)
        return gone, kept

    def _sure_nats(self, state: _State, mu: float, rates: Floats) -> Floats:
        """Return the terms of links that flows surely cross, but for flows whose paths are partly sick."""
        touched = np.flatnonzero(state.touched)
        gone, kept = self._sums(touched, self.kind[touched], len(self.kinds))
        nats = _linear(self.totals[0] - gone, self.totals[1] - kept, mu * self.kinds, rates)
        rows = np.flatnonzero(state.touched & ~state.split)
        if len(rows):
            base, kind = np.unique(mu * self.hops[rows] + state.base[rows], return_inverse=True)
            nats += _linear(*self._sums(rows, kind, len(base)), base, rates)
        return nats

    def _split_nats(self, state: _State, mu: float, rates: Floats) -> Floats:
        """Return the terms of links in path sets, and of the sure links of flows whose paths are partly sick."""
        nats = np.zeros((self.links, len(rates)))
        split = Split(self.sets, state.extra)
        base = mu * self.hops + state.base
        for one in np.unique(base[self.sets.of_flow >= 0]):
            rows = np.flatnonzero((self.sets.of_flow >= 0) & (base == one))
            nats += entry_nats(split, rows, one, rates)
            rows = rows[state.split[rows]]
            nats += csr_array(self.certain[rows].T) @ flow_nats(split, rows, one, rates)
        return nats


@dataclass(frozen=True)
class _State:
    """What the sick links change: flows' certain extra loss, paths' extra loss, and who is concerned."""

    base: Floats  # of each flow, beyond the usual
    extra: Floats  # of each path
    split: npt.NDArray[np.bool_]  # flows whose paths differ
    expected: Floats  # of each flow, the share of its packets that sick links lose

    @property
    def touched(self) -> npt.NDArray[np.bool_]:
        """Return which flows crossed a sick link, or may have."""
        return self.split | (self.base > 0.0)

    @classmethod
    def of(cls, witness: FlowWitness, sick: Sequence[tuple[int, float]]) -> _State:
        sets = witness.sets
        base, extra = np.zeros(len(witness.sent)), np.zeros(len(sets.set_of_path))
        for link, rate in sick:
            base[_column(witness.by_link, link)] += rate
            extra[_column(sets.by_link, link)] += rate
        size = np.maximum(np.diff(sets.first_path), 1)
        mean = np.append(np.bincount(sets.set_of_path, extra, len(size)) / size, 0.0)[sets.of_flow]
        return cls(base, extra, mean > 0.0, base + mean)


def _column(matrix: csc_array, column: int) -> Ints:
    answer: Ints = matrix.indices[matrix.indptr[column] : matrix.indptr[column + 1]]
    return answer


def _linear(gone: Floats, kept: Floats, base: Floats, rates: Floats) -> Floats:
    """Return k ln((β+q)/β) + (n−k) ln((1−β−q)/(1−β)), summed over the kinds."""
    more = np.minimum(base[:, None] + rates, MOST)
    answer: Floats = gone @ np.log(more / base[:, None]) + kept @ (np.log1p(-more) - np.log1p(-base[:, None]))
    return answer
