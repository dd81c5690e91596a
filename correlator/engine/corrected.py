"""Codewords that forward error correction mends: a count that grows is the earliest sign of a sick link.

Behind error correction nothing is lost until nothing can be mended any more, so what counts is how fast
the corrected codewords grow, not how many they are: lanes of 50 Gbit/s and more always have some.

    ln(codewords a second) = a + b · t,   weighted by the counts        [b: per minute]

Page: docs/algorithms/corrected.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from correlator.engine import tally

PLACE = ["device", "if_name"]


@dataclass(frozen=True)
class Params:
    """When corrected codewords grow."""

    window: timedelta = timedelta(minutes=10)
    least_intervals: int = 4
    least_count: float = 30.0  # of the newest interval
    least_factor: float = 3.0  # over the window
    sigmas: float = 6.0


def growth(moved: pd.DataFrame, now: datetime, params: Params | None = None) -> pd.DataFrame:
    """Return one row an interface: PLACE, factor (a minute), sigmas (of b), corrected (a second), grows.

    ``moved``: rows of ``rates.rates``. Interfaces without the counter have no row.
    """
    params = params or Params()
    recent = moved["fec_corrected"].notna() & (moved["until"] > pd.Timestamp(now - params.window))
    rows = moved[recent]
    keys, number = tally.numbered(rows, PLACE)
    size = len(keys)
    count = rows["fec_corrected"].to_numpy(dtype=np.float64)
    seconds = rows["seconds"].to_numpy()
    until = (pd.Timestamp(now) - pd.DatetimeIndex(rows["until"])).total_seconds().to_numpy()
    minutes = -(until + seconds / 2.0) / 60.0
    weight, height = count + 0.5, np.log((count + 0.5) / seconds)

    def total(values: tally.Floats) -> tally.Floats:
        return tally.total(values, number, size)

    whole = np.maximum(total(weight), 1e-9)
    middle, level = total(weight * minutes) / whole, total(weight * height) / whole
    off = minutes - middle[number]
    spread = np.maximum(total(weight * off**2), 1e-9)
    slope = total(weight * off * (height - level[number])) / spread
    left = height - level[number] - slope[number] * off
    intervals = total(np.ones(len(rows)))
    dispersion = np.maximum(total(weight * left**2) / np.maximum(intervals - 2.0, 1.0), 1.0)
    keys["factor"], keys["sigmas"] = np.exp(slope), slope / np.sqrt(dispersion / spread)
    span = -tally.least(-minutes, number, size) - tally.least(minutes, number, size)
    newest = number[np.argsort(minutes, kind="stable")]
    last = np.zeros(size)
    last[newest] = count[np.argsort(minutes, kind="stable")]
    keys["corrected"] = np.exp(level + slope * (-middle))
    keys["grows"] = (
        (intervals >= params.least_intervals)
        & (last >= params.least_count)
        & (slope * span >= np.log(params.least_factor))
        & (keys["sigmas"] >= params.sigmas)
    )
    return keys
