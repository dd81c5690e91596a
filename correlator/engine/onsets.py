"""Since when a slow group has been off: the start that makes the evidence up to now largest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from correlator.engine import tally
from correlator.engine.tally import Floats

TOTALS = ["response_ms", "responses", "service_ms", "services"]


def starts(
    observed: pd.DataFrame, table: pd.DataFrame, keys: list[str], now: datetime, bin_s: float
) -> pd.Series[Any]:
    """Return since when each slow row of ``table`` (symptoms by ``keys``) has been off; null for others.

    Each bin of ``bin_s`` seconds scores the log-likelihood ratio of *now* against usual, of
    retransmissions where the group is lossy, else of the mean time that grew (CUSUM, Page 1954).
    """
    slow = table[table["slow"]]
    if slow.empty:
        return pd.Series(pd.NaT, index=table.index, dtype="datetime64[us, UTC]")
    of_slow = tally.find(observed, slow, keys)
    rows, number = observed[of_slow >= 0], of_slow[of_slow >= 0]
    ago = ((pd.Timestamp(now) - rows["at"]).dt.total_seconds() / bin_s).to_numpy().astype(np.int64)
    bins = int(ago.max(initial=0)) + 1
    cell, size = number * bins + ago, len(slow) * bins
    sums = {column: tally.total(rows[column], cell, size).reshape(-1, bins) for column in TOTALS}
    for what, column in (("segments", "segments"), ("retransmissions", "retransmitted")):
        both = rows[f"{column}_client"].to_numpy() + rows[f"{column}_server"].to_numpy()
        sums[what] = tally.total(both, cell, size).reshape(-1, bins)
    told = np.bincount(cell, minlength=size).reshape(-1, bins) > 0
    evidence = np.where(told, np.cumsum(_score(sums, slow), axis=1), -np.inf)
    first = (np.argmax(evidence, axis=1) + 1.0) * bin_s
    start = pd.Timestamp(now) - pd.to_timedelta(np.where(told.any(axis=1), first, np.nan), unit="s")
    return pd.Series(start, index=slow.index).reindex(table.index)


def _score(sums: Mapping[str, Floats], slow: pd.DataFrame) -> Floats:
    """Return each bin's evidence, slow groups × bins, that its group was already as it is now."""

    def of(column: str) -> Floats:
        return slow[column].to_numpy(dtype=np.float64)[:, None]

    low = of("usual_retransmissions")
    high = np.maximum(of("retransmission_rate"), 1.5 * low)
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = sums["retransmissions"] * np.log(high / low) - sums["segments"] * (high - low)
        times = []
        for what, counted in (("response", "responses"), ("service", "services")):
            middle = (of(f"{what}_ms") + of(f"usual_{what}_ms")) / 2.0
            times.append((sums[f"{what}_ms"] - middle * sums[counted]) / of(f"{what}_ms"))
    time = np.where(slow["slow_response"].to_numpy(dtype=bool)[:, None], *times)
    return np.nan_to_num(
        np.where(slow["lossy"].to_numpy(dtype=bool)[:, None], loss, time), posinf=0, neginf=0
    )
