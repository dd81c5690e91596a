"""What single flows say of each link's loss rate: a mixture over the paths that a flow may have taken.

A flow of n packets, k of them lost, on one of a set S of equal-cost paths (the likelihood of Flock,
CoNEXT 2023, with a grid of rates instead of one):

    P(k | q) = Σ_{p∈S} |S|⁻¹ (β + e_p)ᵏ (1 − β − e_p)ⁿ⁻ᵏ,   e_p = Σ_{l∈p} q_l

β is what the flow usually loses (``floors``). One that surely crosses a link enters by sums.
Page: docs/algorithms/localize.md.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array, csr_array

from correlator.engine.localize.floors import Floors
from correlator.engine.localize.params import Floats, Ints, Params, grid
from correlator.engine.localize.sets import (
    MOST,
    Flows,
    PathSets,
    SetTerms,
    Split,
    Touched,
    distinct,
    entry_nats,
    sure_nats,
    usual_share,
)


class FlowWitness:
    """Weighs every rate of every candidate link, given the links that are taken as sick already."""

    def __init__(self, flows: Flows, params: Params) -> None:
        flows = flows.cleaned()
        self.params, self.rates = params, grid(params)
        self.numbers: Ints = np.arange(flows.certain.shape[1])
        self.sent, self.lost = flows.sent.astype(np.float64), flows.lost.astype(np.float64)
        self.certain, self.by_link = flows.certain, csc_array(flows.certain)
        self.lossy = np.flatnonzero(self.lost)
        self.lossy_certain = self.certain[self.lossy]
        self.kept: Floats = (self.sent - self.lost) @ self.certain
        self.sets = PathSets.of(flows)
        self.touched = Touched(len(self.sets.size))
        self.floors = Floors.of(flows, self.sets)
        self._learn(self.lost[self.lossy], np.zeros(len(self.lossy)))

    def _learn(self, lost: Floats, added: Floats) -> None:
        """Take what flows usually lose from the lossy flows: of what they lost, less what sick links add."""
        self.usual = self.floors.usual(lost, added, self.params)
        self._healthy: SetTerms | None = None
        self._sum: Floats | None = None
        self._told: dict[Hashable, Floats] = {}

    def learned(self, sick: Sequence[tuple[int, float]]) -> FlowWitness:
        """Return a witness who has learned what is usual anew, given these sick links (loss rates)."""
        state, share = _State.of(self, sick), np.ones(len(self.lossy))
        mine = np.flatnonzero(state.split[self.lossy])
        rows = self.lossy[mine]
        usual = self.usual.of_set[self.sets.of_flow[rows]]
        share[mine] = usual_share(Split(self.sets, state.extra), rows, usual, state.base[rows])
        added = state.base[self.lossy]
        added[mine] = 0.0
        other = copy(self)
        other._learn(self.lost[self.lossy] * share, added)
        return other

    def narrowed(self, numbers: Ints) -> FlowWitness:
        """Return a witness whose candidates are these links alone (in ascending order)."""
        other, place = copy(self), np.searchsorted(self.numbers, numbers)
        other.numbers = numbers
        other.certain = csr_array(self.by_link[:, numbers])
        other.lossy_certain = other.certain[self.lossy]
        other.kept = self.kept[place]
        other.sets = self.sets.narrowed(numbers)
        other._sum, other._told = None, {}
        return other

    def weigh(self, sick: Sequence[tuple[int, float]]) -> Floats:
        """Return ln P(flows | link sick too) − ln P(flows | sick), candidates × rates.

        ``sick``: (directed link, loss rate) of each that is taken as sick. −inf for rates too near
        the floor to be told from a link that usually loses more than others.
        """
        state = _State.of(self, sick)
        counted = self.rates >= self.params.floor_ratio * self.usual.mean
        rates = self.rates[counted]
        nats = np.full((len(self.numbers), len(self.rates)), -np.inf)
        nats[:, counted] = self._sure_nats(state, rates) + self._split_nats(state, rates)
        return nats

    def _sure_nats(self, state: _State, rates: Floats) -> Floats:
        """Return the terms of links that flows surely cross, but for flows whose paths are partly sick."""
        return self._lost_nats(state, rates) + self._kept_nats(state, rates)

    def _lost_nats(self, state: _State, rates: Floats) -> Floats:
        """Return what packets lost say: Σ k ln((β+q)/β)."""
        mine = np.flatnonzero(~state.split[self.lossy])
        rows = self.lossy[mine]
        base, kind = np.unique(self.usual.of_lossy[mine] + state.base[rows], return_inverse=True)
        gone = _by_link(self.lossy_certain[mine], self.lost[rows], kind, len(base))
        base = np.minimum(base, MOST)[:, None]
        return _times(gone, np.log(np.minimum(base + rates, MOST) / base))

    def _kept_nats(self, state: _State, rates: Floats) -> Floats:
        """Return what packets kept say: Σ (n−k) ln((1−β−q)/(1−β)), at the mean usual loss.

        A kept packet says −q/(1−β): what is usual there, far below 1, does not matter.
        """
        rows, crossed = state.concerned, self.certain[state.concerned]
        extra, level = distinct(state.base[rows])
        level = np.where(state.split[rows], len(extra), level)
        moved = _by_link(crossed, self.sent[rows] - self.lost[rows], level, len(extra) + 1)
        kept = moved[:, :-1]
        kept[:, 0] += self.kept - moved.sum(axis=1)
        left = np.maximum(1.0 - self.usual.mean_flow - extra, 1.0 - MOST)[:, None]
        return _times(kept, np.log(np.maximum(left - rates, 1.0 - MOST) / left))

    def _split_nats(self, state: _State, rates: Floats) -> Floats:
        """Return the terms of links in path sets, and of the sure links of flows whose paths are partly sick.

        What sets say changes with the sick links that concern them: each group of sets is weighed once
        with the same ones.
        """
        if not len(self.sets.size):
            return np.zeros((len(self.numbers), len(rates)))
        nats = self._all_healthy(rates).copy()
        split = Split(self.sets, state.extra)
        for group, members in self.touched.groups(state.sick):
            if group not in self._told:
                self._told[group] = self._changed(members, split, state, rates)
            nats += self._told[group]
        return nats

    def _of_healthy(self, rates: Floats) -> SetTerms:
        """Return what each set says where nothing in it is sick."""
        if self._healthy is None:
            self._healthy = SetTerms.of(self.sets, self.usual.of_set, rates)
        return self._healthy

    def _all_healthy(self, rates: Floats) -> Floats:
        """Return the terms of links in path sets, nothing sick being in any."""
        if self._sum is None:
            self._sum = self._of_healthy(rates).summed(self.sets, np.arange(len(self.sets.entry_set)))
        return self._sum

    def _changed(self, members: Ints, split: Split, state: _State, rates: Floats) -> Floats:
        """Return by how much sick links change what these sets say, and what they say of sure links."""
        rows = self.sets.flows(members)
        base = self.usual.of_set[self.sets.of_flow[rows]] + state.base[rows]
        nats = entry_nats(split, members, base, rates)
        nats -= self._of_healthy(rates).summed(self.sets, self.sets.entries(members))
        mine = np.flatnonzero(state.split[rows])
        nats += self.certain[rows[mine]].T @ sure_nats(split, rows[mine], base[mine], rates)
        return nats


@dataclass(frozen=True)
class _State:
    """What the sick links change: flows' certain extra loss, paths' extra loss, and who is concerned."""

    sick: Sequence[tuple[int, float]]
    base: Floats  # of each flow, beyond the usual
    extra: Floats  # of each path
    split: npt.NDArray[np.bool_]  # flows whose paths differ
    concerned: Ints  # flows that crossed a sick link, or may have

    @classmethod
    def of(cls, witness: FlowWitness, sick: Sequence[tuple[int, float]]) -> _State:
        sets = witness.sets
        base, extra = np.zeros(len(witness.sent)), np.zeros(len(sets.set_of_path))
        for link, rate in sick:
            flows, paths = _column(witness.by_link, link), _column(sets.by_link, link)
            base[flows] += rate
            extra[paths] += rate
            if link not in witness.touched:
                there = np.append(sets.of_flow[flows], sets.set_of_path[paths])
                witness.touched.add(link, there[there >= 0])
        sick_sets = np.bincount(sets.set_of_path, extra, len(sets.size)) > 0.0
        split = np.append(sick_sets, False)[sets.of_flow]
        return cls(sick, base, extra, split, np.flatnonzero(split | (base > 0.0)))


def _column(matrix: csc_array, column: int) -> Ints:
    answer: Ints = matrix.indices[matrix.indptr[column] : matrix.indptr[column + 1]]
    return answer


def _by_link(crossed: csr_array, weight: Floats, kind: Ints, kinds: int) -> Floats:
    """Return the flows' weights, summed over those that cross each link, links × kinds."""
    many, size = np.diff(crossed.indptr), crossed.shape[1] * kinds
    where = crossed.indices.astype(np.int64) * kinds + np.repeat(kind, many)
    answer = np.bincount(where, np.repeat(weight, many), size).astype(np.float64)  # of nothing: integers
    return answer.reshape(crossed.shape[1], kinds)


def _times(left: Floats, right: Floats) -> Floats:
    answer: Floats = np.einsum("lk,kr->lr", left, right)
    return answer  # einsum: the products are small, and a thread pool would only wait
