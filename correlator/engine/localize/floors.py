"""What each link usually loses, learned from the flows themselves: links differ, but not by much.

Each link's floor h has the prior Gamma(shape a, mean μ) and is bounded by a multiple of μ, so that a
sick link cannot pass for its own floor; the flows' packets are shared out by expectation-maximisation:

    h_l ← (a + Σ_i k_i s_il h_l / λ_i) / (a/μ + Σ_i n_i s_il),   λ_i = Σ_l s_il h_l + what sick links add

s_il is the share of flow i's paths on link l; k_i is bounded by what a healthy
flow might lose at the most. Without floors link by link, a busy rack whose links all lose a little
more than others would look like one sick link among them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, diags_array

from correlator.engine.localize.params import Floats, Ints, Params
from correlator.engine.localize.sets import Flows, PathSets

ROUNDS = 8
MOST_LOST = 3.0  # a healthy flow loses at most three packets, or three times the usual: more is not its floor
STEP = 1.2  # what flows usually lose is told apart to ± 10 %


@dataclass(frozen=True)
class Usual:
    """What is usually lost: by the mean link, the mean flow, each lossy flow, and each set on the mean."""

    mean: float
    mean_flow: float
    of_lossy: Floats
    of_set: Floats


@dataclass(frozen=True)
class Floors:
    """Flows that lost something, the links that they surely cross, and the shares of their sets' paths."""

    sent: Floats  # of each lossy flow
    certain: csr_array
    of_flow: Ints  # the set of each, −1 without
    shares: csr_array  # sets × links
    of_set: csr_array  # sets × links: how many times a packet of the set's flows crosses a link, on the mean
    packets: Floats  # of all flows, by link
    total: float  # packets of all flows

    @classmethod
    def of(cls, flows: Flows, sets: PathSets) -> Floors:
        """Return the floors of cleaned flows."""
        share = np.bincount(sets.incident_entry, minlength=len(sets.entry_set)) / sets.size[sets.entry_set]
        shape = (len(sets.size), sets.candidates)
        shares = csr_array((share, (sets.entry_set, sets.entry_link)), shape=shape)
        sent, rows = flows.sent.astype(np.float64), np.flatnonzero(flows.lost)
        certain = csr_array(flows.certain, dtype=np.float64)
        within = np.flatnonzero(flows.path_set >= 0)
        by_set = csr_array((sent[within], (flows.path_set[within], within)), shape=(shape[0], len(sent)))
        of_set = by_set.sum(axis=1)
        return cls(
            sent=sent[rows],
            certain=certain[rows],
            of_flow=flows.path_set[rows],
            shares=shares,
            of_set=csr_array(diags_array(1.0 / of_set) @ by_set @ certain) + shares,
            packets=sent @ certain + of_set @ shares,
            total=float(sent.sum()),
        )

    def usual(self, lost: Floats, added: Floats, params: Params) -> Usual:
        """Return what is usually lost.

        ``lost``: of each lossy flow, packets that the usual may account for. ``added``: the share of
        its packets that sick links lose, which accounts for some of them.
        """
        shape, exposed = params.floor_shape, float(self.packets.sum()) + 0.5 / params.floor_rate
        mu = (float(lost.sum()) + 0.5) / exposed
        floor = np.full(len(self.packets), mu)
        for _ in range(ROUNDS):
            usual = np.maximum(self._to_flows(floor), 1e-300)
            bounded = np.minimum(lost, MOST_LOST * (1.0 + self.sent * usual))
            explained = self._to_links(bounded / (usual + added)) * floor
            mu = (float(explained.sum()) + 0.5) / exposed
            floor = np.minimum((shape + explained) / (shape / mu + self.packets), params.floor_spread * mu)
        mean_flow = float(self.packets @ floor) / max(self.total, 1.0)
        return Usual(mu, mean_flow, _stepped(self._to_flows(floor), mu), _stepped(self.of_set @ floor, mu))

    def _to_links(self, values: Floats) -> Floats:
        """Return what lossy flows' values add up to at each link, by shares."""
        in_set = self.of_flow >= 0
        by_set = np.bincount(self.of_flow[in_set], values[in_set], self.shares.shape[0])
        answer: Floats = values @ self.certain + by_set @ self.shares
        return answer

    def _to_flows(self, values: Floats) -> Floats:
        """Return what links' values add up to on the way of each lossy flow, by shares."""
        answer: Floats = self.certain @ values + np.append(self.shares @ values, 0.0)[self.of_flow]
        return answer


def _stepped(usual: Floats, mu: float) -> Floats:
    """Return losses in steps; mu where no link is crossed."""
    steps = np.round(np.log(np.maximum(usual / mu, 1e-3)) / np.log(STEP))
    return np.where(usual > 0.0, mu * STEP**steps, mu)
