"""Slowness that is a host's own: its containers wait for one another too, though no link lies between them.

A host that is short of processor or memory makes all its pairs slow, and its links look guilty by
that. Pairs within the host tell: where they wait as well, the wait of the host's other pairs is no
evidence against any link. Page: docs/algorithms/symptoms.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from correlator.engine import tally


@dataclass(frozen=True)
class Params:
    """When a host is slow by itself."""

    least_share: float = 0.5  # of the pairs within the host that are slow
    everywhere: int = 3  # hosts that are slow by themselves, being most: then every host is taken to be


def hosts_of(table: pd.DataFrame, params: Params | None = None) -> pd.Series[str]:
    """Return, row for row of symptoms, the host whose own slowness this is; null for all others.

    A pair between two such hosts belongs to its server's.
    """
    params = params or Params()
    answer = pd.Series(pd.array([None], dtype=tally.TEXT).take(np.zeros(len(table), dtype=np.int64)))
    answer.index = table.index
    slow = table["slow"].to_numpy(dtype=bool) & (table["grew"] == "network").to_numpy(dtype=bool)
    inside = tally.same(table["src_host"], table["dst_host"])
    if not (slow & inside).any():
        return answer
    hosts, number = tally.numbered(table[inside], ["src_host"])
    told = np.bincount(number, minlength=len(hosts))
    waits = tally.total(slow[inside], number, len(hosts))
    by_itself = (waits >= params.least_share * told) & (waits > 0)
    sick = hosts["src_host"][by_itself]
    ends = tally.plain(table[["src_host", "dst_host"]])
    if by_itself.sum() >= max(
        params.everywhere, len(hosts) / 2.0
    ):  # agents that count wrong, or all is short
        return answer.mask(slow, ends["dst_host"])
    for end in ("src_host", "dst_host"):
        answer = answer.mask(slow & ends[end].isin(sick).to_numpy(), ends[end])
    return answer
