"""What single flows say of each link's loss rate: a mixture over the paths that a flow may have taken.

A flow of n packets, k of them lost, on one of a set S of equal-cost paths (the likelihood of Flock,
CoNEXT 2023, with a grid of rates instead of one):

    P(k | q) = Σ_{p∈S} |S|⁻¹ (β + e_p)ᵏ (1 − β − e_p)ⁿ⁻ᵏ,   e_p = Σ_{l∈p} q_l

β is what the flow usually loses (``floors``). One that surely crosses a link enters by sums.
Page: docs/algorithms/localize.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    distinct,
    entry_nats,
    flow_nats,
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
        self.floors = Floors.of(flows, self.sets)
        self._learn(self.lost[self.lossy], np.zeros(len(self.lossy)))

    def _learn(self, lost: Floats, added: Floats) -> None:
        """Take what flows usually lose from the lossy flows: of what they lost, less what sick links add."""
        self.usual = self.floors.usual(lost, added, self.params)
        self.kinds, self.set_kind = np.unique(self.usual.of_set, return_inverse=True)
        self._kept: SetTerms | None = None

    def learned(self, sick: Sequence[tuple[int, float]]) -> FlowWitness:
        """Return a witness who has learned what is usual anew, given these sick links (loss rates)."""
        state, lost = _State.of(self, sick), self.lost[self.lossy]
        split = Split(self.sets, state.extra)
        of_split, share = state.split[self.lossy], np.ones(len(self.sent))
        for base, mine in self._layers(self.lossy[of_split], state):
            sure = float(state.base[mine[0]])
            share[mine] = usual_share(split, mine, base - sure, sure)
        other = copy(self)
        other._learn(lost * share[self.lossy], np.where(of_split, 0.0, state.base[self.lossy]))
        return other

    def narrowed(self, numbers: Ints) -> FlowWitness:
        """Return a witness whose candidates are these links alone (in ascending order)."""
        other, place = copy(self), np.searchsorted(self.numbers, numbers)
        other.numbers = numbers
        other.certain = csr_array(self.by_link[:, numbers])
        other.lossy_certain = other.certain[self.lossy]
        other.kept = self.kept[place]
        other.sets = self.sets.narrowed(numbers)
        other._kept = None
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
        rows, touched = state.touched, self.certain[state.touched]
        extra, level = distinct(state.base[rows])
        level = np.where(state.split[rows], len(extra), level)
        moved = _by_link(touched, self.sent[rows] - self.lost[rows], level, len(extra) + 1)
        kept = moved[:, :-1]
        kept[:, 0] += self.kept - moved.sum(axis=1)
        left = np.maximum(1.0 - self.usual.mean_flow - extra, 1.0 - MOST)[:, None]
        return _times(kept, np.log(np.maximum(left - rates, 1.0 - MOST) / left))

    def _split_nats(self, state: _State, rates: Floats) -> Floats:
        """Return the terms of links in path sets, and of the sure links of flows whose paths are partly sick.

        Sets that nothing sick concerns say the same whatever else is sick: they are weighed once.
        """
        in_set = np.flatnonzero(self.sets.of_flow >= 0)
        if not len(in_set):
            return np.zeros((len(self.numbers), len(rates)))
        split = Split(self.sets, state.extra)
        concerned = split.sick.copy()
        concerned[self.sets.of_flow[in_set[state.base[in_set] > 0.0]]] = True
        nats = self._unconcerned(in_set, rates).summed(~concerned)
        rows = in_set[concerned[self.sets.of_flow[in_set]]]
        for base, mine in self._layers(rows, state):
            nats += entry_nats(split, mine, base, rates)
            mine = mine[state.split[mine]]
            nats += self.certain[mine].T @ flow_nats(split, mine, base, rates)
        return nats

    def _unconcerned(self, rows: Ints, rates: Floats) -> SetTerms:
        """Return the terms of sets with nothing sick in them."""
        if self._kept is None:
            healthy = Split(self.sets, np.zeros(len(self.sets.set_of_path)))
            kind = self.set_kind[self.sets.of_flow[rows]]
            layers = ((float(usual), rows[kind == one]) for one, usual in enumerate(self.kinds))
            self._kept = SetTerms.of(healthy, layers, rates)
        return self._kept

    def _layers(self, rows: Ints, state: _State) -> Iterator[tuple[float, Ints]]:
        """Yield flows by what they lose for sure: their set's usual, and what sure sick links add."""
        extra, layer = distinct(state.base[rows])
        kind = self.set_kind[self.sets.of_flow[rows]]
        for one in np.flatnonzero(np.bincount(kind[layer == 0])):
            yield float(self.kinds[one]), rows[(layer == 0) & (kind == one)]
        for number in range(1, len(extra)):
            mine = layer == number
            yield float(extra[number] + self.kinds[kind[mine]].mean()), rows[mine]


@dataclass(frozen=True)
class _State:
    """What the sick links change: flows' certain extra loss, paths' extra loss, and who is concerned."""

    base: Floats  # of each flow, beyond the usual
    extra: Floats  # of each path
    split: npt.NDArray[np.bool_]  # flows whose paths differ
    touched: Ints  # flows that crossed a sick link, or may have

    @classmethod
    def of(cls, witness: FlowWitness, sick: Sequence[tuple[int, float]]) -> _State:
        sets = witness.sets
        base, extra = np.zeros(len(witness.sent)), np.zeros(len(sets.set_of_path))
        for link, rate in sick:
            base[_column(witness.by_link, link)] += rate
            extra[_column(sets.by_link, link)] += rate
        sick_sets = np.bincount(sets.set_of_path, extra, len(sets.size)) > 0.0
        split = np.append(sick_sets, False)[sets.of_flow]
        return cls(base, extra, split, np.flatnonzero(split | (base > 0.0)))


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
