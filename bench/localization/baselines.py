"""What simpler methods name on the same flows, and on telemetry drawn for the same fabric."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from correlator.engine.localize import Flows
from localization.traces import Ints, Trace

Floats = npt.NDArray[np.float64]


def shares(flows: Flows) -> csr_array:
    """Return which share of each flow's paths crosses each link, flows × links."""
    sets = int(flows.set_of_path.max(initial=-1)) + 1
    size = np.bincount(flows.set_of_path, minlength=sets)
    where = (flows.set_of_path, np.arange(len(flows.set_of_path)))
    of_set = csr_array((1.0 / size[flows.set_of_path], where), shape=(sets, len(flows.set_of_path)))
    by_set = of_set @ flows.paths.astype(np.float64)
    rows = np.flatnonzero(flows.path_set >= 0)
    pick = csr_array((np.ones(len(rows)), (rows, flows.path_set[rows])), shape=(len(flows.sent), sets))
    return csr_array(flows.certain.astype(np.float64) + pick @ by_set)


def voting(flows: Flows, threshold: float = 0.0027) -> set[int]:
    """Return what 007 (NSDI 2018) would name: flows with a loss vote for the links of their paths.

    The link with most votes is taken and the flows through it are put aside, as long as it has 0.27 %
    of all votes (what served best on a few uniform traces).
    """
    crossed = shares(flows)[flows.lost > 0]
    votes = 1.0 / np.maximum(crossed.sum(axis=1), 1e-9)
    by_link = csr_array(crossed.T)
    total, left, named = float(votes.sum()), np.ones(len(votes)), set()
    while total and len(named) < 64:
        score = by_link @ (votes * left)
        best = int(score.argmax())
        if score[best] < threshold * float(by_link.sum(axis=0) @ votes):
            break
        named.add(best)
        left[by_link[[best]].indices] = 0.0
    return named


def cover(flows: Flows, ratio: float = 5.0) -> set[int]:
    """Return what a greedy set cover (SCORE, NSDI 2005) would name.

    Bad flows are those with a loss. The link with the largest share of bad flows is taken, then the
    flows through it are put aside, as long as that share is five times the fabric's.
    """
    crossed = shares(flows)
    bad, by_link = (flows.lost > 0).astype(np.float64), csr_array(crossed.T)
    left, named = np.ones(len(bad)), set()
    while len(named) < 64:
        through, hit = by_link @ left, by_link @ (left * bad)
        share = np.where(hit >= 3.0, hit / np.maximum(through, 1e-9), 0.0)
        best = int(share.argmax())
        if share[best] < ratio * float(bad @ left) / max(float(left.sum()), 1.0) or share[best] == 0.0:
            break
        named.add(best)
        left[by_link[[best]].indices] = 0.0
    return named


def any_error(trace: Trace, seed: int, noise: float) -> set[int]:
    """Return every link whose receiver counted an error: the alarm most operators have.

    The counter is drawn: all packets of the trace that crossed the link, at its rate of loss.
    """
    dice = np.random.default_rng([seed, 1])
    packets = trace.crossed.T.astype(np.int64) @ trace.sent
    rate = dice.uniform(0.0, noise, len(packets))
    rate[list(trace.failed)] = list(trace.failed.values())
    return set(np.flatnonzero(dice.binomial(packets, rate)).tolist())


def low_light(trace: Trace, seed: int) -> set[int]:
    """Return every link whose Rx is below a vendor's low warning of −9.9 dBm (10GBASE-SR).

    Drawn: −2.5 ± 1.2 dBm at a clean end with a monitor's offset of ± 1 dB; 1 to 6 dB less behind dirt.
    """
    dice = np.random.default_rng([seed, 2])
    rx = dice.normal(-2.5, 1.2, len(trace.links)) + dice.normal(0.0, 1.0, len(trace.links))
    failed: Ints = np.array(list(trace.failed), dtype=np.int64)
    rx[failed] -= dice.uniform(1.0, 6.0, len(failed))
    return set(np.flatnonzero(rx < -9.9).tolist())
