"""Which directed links explain what is slow or lost: one likelihood for symptoms and link evidence.

Each directed link l may lose packets at a rate q, in one of three ways that differ in who counts
the loss: *corruption* (errors at the receiver), *congestion* (discards at the sender), *silent*
(nobody). The same q feeds host pairs (``pairs``), single flows (``flows``) and the link's own
counters (``telemetry``): a lost packet is one event. Greedy by Bayes factor with exchanges
(``search``). Page: docs/algorithms/localize.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from correlator.engine.localize.flows import FlowWitness
from correlator.engine.localize.pairs import PairWitness, exposure, variation
from correlator.engine.localize.params import Floats, Mode, Params, log_prior
from correlator.engine.localize.search import Search
from correlator.engine.localize.sets import Flows
from correlator.engine.localize.suspects import Suspect, suspect
from correlator.engine.localize.telemetry import link_nats, unseen_nats

__all__ = ["Evidence", "Flows", "Mode", "Params", "Suspect", "explained", "localize", "localize_flows"]


@dataclass(frozen=True)
class Evidence:
    """What localisation knows.

    ``pairs``: one row a host pair: segments_client, segments_server, retransmissions,
    expected (usual retransmissions), shape, connections, delay_ms (network part now − usual, NaN
    unknown), delay_sigma_ms, slow. ``forward``, ``reverse``: shares, host pairs × directed links.
    ``health``: one row a directed link (columns of ``health.health``). ``light_nats``: log Bayes
    factor of lost light a directed link, NaN unknown.
    """

    pairs: pd.DataFrame
    forward: csr_array
    reverse: csr_array
    health: pd.DataFrame
    light_nats: Floats


def localize(evidence: Evidence, params: Params | None = None) -> list[Suspect]:
    """Return the sick links on the slow pairs' paths, strongest first; empty where none is worth naming.

    A suspect is sick; whether it explains a pair is asked with ``explained``.
    """
    params = params or Params()
    slow = np.flatnonzero(evidence.pairs["slow"].to_numpy(dtype=bool))
    crossed = (evidence.forward[slow] + evidence.reverse[slow]).tocsr()
    numbers = np.unique(crossed.indices).astype(np.int64)
    if not len(numbers):
        return []
    search = Search(
        params=params,
        numbers=numbers,
        prior=log_prior(params, evidence.forward.shape[1]),
        link_nats=link_nats(evidence.health.iloc[numbers], evidence.light_nats[numbers], params),
        pairs=PairWitness.of(evidence.pairs, evidence.forward, evidence.reverse, numbers, params),
        flows=None,
    )
    return [suspect(search, choice) for choice in search.run()]


def localize_flows(flows: Flows, params: Params | None = None) -> list[Suspect]:
    """Return the sick links that single flows tell of, where no link is polled."""
    params = params or Params()
    links = flows.certain.shape[1]
    numbers = np.arange(links)
    search = Search(
        params=params,
        numbers=numbers,
        prior=log_prior(params, links),
        link_nats=unseen_nats(links, params),
        pairs=None,
        flows=FlowWitness(flows, params),
    )
    return [suspect(search, choice) for choice in search.run()]


def explained(evidence: Evidence, suspect: Suspect, params: Params | None = None) -> pd.DataFrame:
    """Return, row for row of ``evidence.pairs``, what excess the suspect accounts for.

    Columns: crossing (share of the pair's traffic, both ways, 0 to 2), retransmissions_explained
    with its variation (cv²), delay_explained_ms.
    """
    params = params or Params()
    column = [suspect.number]
    forward = evidence.forward[:, column].toarray()[:, 0]
    reverse = evidence.reverse[:, column].toarray()[:, 0]
    crossed = exposure(evidence.pairs, forward, reverse, np.arange(len(forward)), params)
    share = np.maximum(forward, reverse)
    return pd.DataFrame(
        {
            "crossing": forward + reverse,
            "variation": variation(share, evidence.pairs["connections"].to_numpy(), params),
            "retransmissions_explained": suspect.scale * suspect.rate * crossed,
            "delay_explained_ms": suspect.delay_ms * (forward + reverse),
        },
        index=evidence.pairs.index,
    )
