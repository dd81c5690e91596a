"""Which directed links explain what is slow or lost: one likelihood for symptoms and link evidence.

Each directed link l may lose packets at a rate q, in one of three ways that differ in who counts
the loss: *corruption* (errors at the receiver), *congestion* (discards at the sender), *silent*
(nobody). The same q feeds host pairs (``pairs``), single flows (``flows``) and the link's own
counters (``telemetry``): a lost packet is one event. Greedy by Bayes factor with exchanges
(``search``). Page: docs/algorithms/localize.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from correlator.engine.localize.alike import classes
from correlator.engine.localize.flows import FlowWitness
from correlator.engine.localize.pairs import PairWitness, exposure
from correlator.engine.localize.params import Floats, Ints, Mode, Params
from correlator.engine.localize.parts import Parts
from correlator.engine.localize.search import Search
from correlator.engine.localize.sets import Flows
from correlator.engine.localize.suspects import Suspect, suspects
from correlator.engine.localize.telemetry import link_nats, unseen_nats
from correlator.engine.localize.unfold import unfolded

__all__ = ["Evidence", "Flows", "Mode", "Params", "Suspect", "explained", "localize"]


@dataclass(frozen=True)
class Evidence:
    """What localisation knows.

    ``pairs``: one row a host pair: segments_client, segments_server, retransmitted_client,
    retransmitted_server (who sent again), undirected (of them, those that either end may have lost),
    expected (usual retransmissions), shape, connections, delay_ms (network part now − usual, NaN
    unknown), delay_sigma_ms, slow. ``forward``, ``reverse``: shares, host pairs × directed links.
    ``health``: one row a directed link (columns of ``health.health``), None where nobody polls.
    ``light_nats``: log Bayes factor of lost light a directed link, NaN unknown. ``flows``: single
    connections besides the pairs, where they are known one by one. ``neighbours``: sets of directed
    links that may share a part.
    """

    pairs: pd.DataFrame
    forward: csr_array
    reverse: csr_array
    health: pd.DataFrame | None
    light_nats: Floats
    flows: Flows | None = None
    neighbours: tuple[Ints, ...] = ()

    @classmethod
    def of_flows(cls, flows: Flows) -> Evidence:
        """Return what single flows alone tell, no link being polled."""
        links = flows.certain.shape[1]
        none = csr_array((0, links))
        return cls(pd.DataFrame({"slow": []}, dtype=bool), none, none, None, np.full(links, np.nan), flows)

    def of_pairs(self, rows: Ints) -> Evidence:
        """Return what is known where only these host pairs are asked."""
        pairs = self.pairs.iloc[rows].reset_index(drop=True)
        return replace(self, pairs=pairs, forward=self.forward[rows], reverse=self.reverse[rows])


def localize(evidence: Evidence, params: Params | None = None) -> list[Suspect]:
    """Return the sick links on the slow pairs' paths and the flows', the first found first.

    Empty where none is likelier than not. A suspect is sick; whether it explains a pair is asked
    with ``explained``; whether it is sure enough to be named, with its probabilities.
    """
    params = params or Params()
    numbers = _candidates(evidence)
    if evidence.flows is None and len(numbers) > params.most_weighed:
        slow = np.flatnonzero(evidence.pairs["slow"].to_numpy(dtype=bool))
        numbers = _search(evidence.of_pairs(slow), numbers, params).likely()
    if not len(numbers):
        return []
    search = _search(evidence, numbers, params)
    choices, rest = search.run()
    return unfolded(suspects(search, choices, rest), search.parts)


def _search(evidence: Evidence, numbers: Ints, params: Params) -> Search:
    parts = Parts.among(evidence.neighbours, numbers, evidence.forward.shape[1], _counted(evidence))
    alike = classes(evidence.flows, evidence.forward, evidence.reverse)
    every = np.append(numbers, parts.numbers)
    return Search(
        params=params,
        numbers=every,
        classes=np.append(alike[numbers], alike.max(initial=-1) + 1 + np.arange(len(parts.members))),
        links=parts.links,
        complaint=bool(evidence.pairs["slow"].any()),
        link_nats=parts.weighed(_link_nats(evidence, numbers, params)),
        pairs=_pair_witness(evidence, parts, every, params),
        flows=None if evidence.flows is None else FlowWitness(evidence.flows, params),
        parts=parts,
    )


def _candidates(evidence: Evidence) -> Ints:
    """Return the directed links that may be to blame: those that some slow pair crosses, or any flow."""
    if evidence.flows is not None:
        return np.arange(evidence.forward.shape[1])
    slow = np.flatnonzero(evidence.pairs["slow"].to_numpy(dtype=bool))
    crossed = (evidence.forward[slow] + evidence.reverse[slow]).tocsr()
    return np.unique(crossed.indices).astype(np.int64)


def _link_nats(evidence: Evidence, numbers: Ints, params: Params) -> dict[str, Floats]:
    if evidence.health is None:
        return unseen_nats(len(numbers), params)
    return link_nats(evidence.health.iloc[numbers], evidence.light_nats[numbers], params)


def _counted(evidence: Evidence) -> Ints:
    """Return the directed links whose errors are counted."""
    return np.flatnonzero([] if evidence.health is None else evidence.health["packets"].notna().to_numpy())


def _pair_witness(evidence: Evidence, parts: Parts, every: Ints, params: Params) -> PairWitness | None:
    if not len(evidence.pairs):
        return None
    forward, reverse = parts.widened(evidence.forward), parts.widened(evidence.reverse)
    return PairWitness.of(evidence.pairs, forward, reverse, every, params)


def explained(evidence: Evidence, suspect: Suspect, params: Params | None = None) -> pd.DataFrame:
    """Return, row for row of ``evidence.pairs``, what excess the suspect accounts for.

    Columns: crossing (share of the pair's traffic, both ways, 0 to 2), retransmissions_explained,
    delay_explained_ms.
    """
    params = params or Params()
    column = [suspect.number]
    forward = evidence.forward[:, column].toarray()[:, 0]
    reverse = evidence.reverse[:, column].toarray()[:, 0]
    crossed = exposure(evidence.pairs, forward, reverse, np.arange(len(forward)), params)
    return pd.DataFrame(
        {
            "crossing": forward + reverse,
            "retransmissions_explained": suspect.scale * suspect.rate * crossed,
            "delay_explained_ms": suspect.delay_ms * (forward + reverse),
        },
        index=evidence.pairs.index,
    )
