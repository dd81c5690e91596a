"""Further signs of a slow network: time-outs, stalls, longer round trips, rarer exchanges.

Each against its usual. Time-outs are losses of the worst kind and count as such. Round trips and
exchanges speak for pairs whose times to a response nobody measures: a client that waits for each
answer asks less often when answers take longer; but less may simply be wanted, so that rarer exchanges
count only beside another sign. Page: docs/algorithms/symptoms.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from correlator.engine.significance import Flags, Floats, at_least, at_most, longer

COUNTS = {  # test: count, what it is judged against, its usual
    "rto": ("rto", "segments", "usual_rto"),
    "stalls": ("stalled", "intervals", "usual_stalls"),
}


@dataclass(frozen=True)
class Params:
    """When a further sign is one."""

    least_events: float = 3.0  # time-outs or stalled intervals
    least_ratio: float = 1.15  # of round trips, and of the time from one exchange to the next
    least_rtt_us: float = 50.0  # round trips of containers on one host vary by so much
    rtt_sigma: float = 0.05  # of the logarithm of a window's smallest round trip
    own_p: float = 0.05  # of the sign beside rarer exchanges
    degrees: float = 10.0  # of freedom: hours that make a usual, roughly


def signs(table: pd.DataFrame, params: Params | None = None) -> dict[str, Floats]:
    """Return, row for row of symptoms, the P of each further sign; NaN where it or its usual is not known.

    Keys: p_rto, p_stalls, p_min_rtt, p_exchanges, and rtt_ratio and interval_ratio, now to usual.
    """
    params = params or Params()
    answer = {}
    for name, (count, exposure, usual) in COUNTS.items():
        expected = _column(table, exposure) * _column(table, usual)
        answer[f"p_{name}"] = at_least(_column(table, count), expected, _column(table, f"{usual}_shape"))
    usual_rtt, spread = _column(table, "usual_min_rtt_us"), _column(table, "usual_min_rtt_us_spread")
    sigma = np.hypot(spread, params.rtt_sigma)
    logarithm, _, answer["p_min_rtt"] = longer(_column(table, "min_rtt_us"), usual_rtt, sigma, params.degrees)
    answer["rtt_ratio"] = np.exp(logarithm)
    expected = _column(table, "seconds") * _column(table, "usual_exchanges")
    asked = _column(table, "exchanges")
    answer["p_exchanges"] = at_most(asked, expected, _column(table, "usual_exchanges_shape"))
    with np.errstate(divide="ignore", invalid="ignore"):
        answer["interval_ratio"] = expected / np.where(asked > 0, asked, np.nan)
    return answer


def timed_out(table: pd.DataFrame, passed: Mapping[str, Flags], params: Params | None = None) -> Flags:
    """Return which rows had more time-outs than usual."""
    params = params or Params()
    more: Flags = passed["p_rto"] & (_column(table, "rto") >= params.least_events)
    return more


def slow_untimed(
    table: pd.DataFrame,
    found: Mapping[str, Floats],
    passed: Mapping[str, Flags],
    params: Params | None = None,
) -> Flags:
    """Return which rows without measured responses are slow by their other signs."""
    params = params or Params()
    untimed = ~(np.isfinite(_column(table, "ratio")))
    further = _column(table, "min_rtt_us") - _column(table, "usual_min_rtt_us") >= params.least_rtt_us
    trips = passed["p_min_rtt"] & (found["rtt_ratio"] >= params.least_ratio) & further
    stalls = passed["p_stalls"] & (_column(table, "stalled") >= params.least_events)
    beside = trips | stalls
    for p in (found["p_rto"], found["p_stalls"], found["p_min_rtt"], _column(table, "p_loss")):
        beside |= p < params.own_p
    rarer = passed["p_exchanges"] & (found["interval_ratio"] >= params.least_ratio) & beside
    slow: Flags = untimed & (trips | stalls | rarer)
    return slow


def _column(table: pd.DataFrame, name: str) -> Floats:
    """Return a column's figures; NaN where the table has none."""
    if name not in table.columns:
        return np.full(len(table), np.nan)
    return table[name].to_numpy(dtype=np.float64)
