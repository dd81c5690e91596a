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
from scipy.sparse import csr_array

from correlator.engine.localize.params import Floats, Ints, Params
from correlator.engine.localize.sets import Flows, PathSets

ROUNDS = 8
MOST_LOST = 3.0  # a healthy flow loses at most three packets, or three times the usual: more is not its floor
STEP = 1.2  # what flows usually lose is told apart to ± 10 %


@dataclass(frozen=True)
class Floors:
    """Flows, the links they surely cross, and the shares of their sets' paths on each link."""

    sent: Floats
    certain: csr_array
    of_flow: Ints  # the set of each, −1 without
    shares: csr_array  # sets × links

    @classmethod
    def of(cls, flows: Flows, sets: PathSets) -> Floors:
        """Return the floors of cleaned flows."""
        share = np.bincount(sets.incident_entry, minlength=len(sets.entry_set)) / sets.size[sets.entry_set]
        shape = (len(sets.size), sets.candidates)
        shares = csr_array((share, (sets.entry_set, sets.entry_link)), shape=shape)
        return cls(
            flows.sent.astype(np.float64), csr_array(flows.certain, dtype=np.float64), flows.path_set, shares
        )

    def usual(self, lost: Floats, added: Floats, params: Params) -> tuple[float, Floats]:
        """Return μ, the mean link's usual loss, and what each flow usually loses.

        ``lost``: of each flow, packets that the usual may account for. ``added``: the share of its
        packets that sick links lose, which accounts for some of them.
        """
        packets = self._to_links(self.sent)
        hops = self._to_flows(np.ones(len(packets)))
        shape, exposed = params.floor_shape, float(packets.sum()) + 0.5 / params.floor_rate
        mu = (float(lost.sum()) + 0.5) / exposed
        floor = np.full(len(packets), mu)
        for _ in range(ROUNDS):
            usual = np.maximum(self._to_flows(floor), 1e-300)
            bounded = np.minimum(lost, MOST_LOST * (1.0 + self.sent * usual))
            explained = self._to_links(bounded / (usual + added)) * floor
            mu = (float(explained.sum()) + 0.5) / exposed
            floor = np.minimum((shape + explained) / (shape / mu + packets), params.floor_spread * mu)
        steps = np.round(np.log(np.maximum(self._to_flows(floor) / mu, 1e-3)) / np.log(STEP))
        return mu, np.where(hops > 0.0, mu * STEP**steps, mu)

    def _to_links(self, values: Floats) -> Floats:
        """Return what flows' values add up to at each link, by shares."""
        in_set = self.of_flow >= 0
        by_set = np.bincount(self.of_flow[in_set], values[in_set], self.shares.shape[0])
        answer: Floats = values @ self.certain + by_set @ self.shares
        return answer

    def _to_flows(self, values: Floats) -> Floats:
        """Return what links' values add up to on the way of each flow, by shares."""
        answer: Floats = self.certain @ values + np.append(self.shares @ values, 0.0)[self.of_flow]
        return answer
