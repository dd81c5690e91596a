"""What is left of a pair's losses and waits without its worst moment.

Routes that move, a port that is shut, a host that pauses: many pairs lose packets at once, and then no
more. Retransmissions of one moment are as many as those of a sick link, and point at whatever is not
measured; only that they do not go on tells them apart. Page: docs/algorithms/bursts.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from correlator.engine import tally
from correlator.engine.tally import Floats

COLUMNS = ["lasting_retransmissions", "lasting_ratio"]


@dataclass(frozen=True)
class Params:
    """What makes a moment."""

    longest_s: float = 20.0  # of an agent's interval; a longer one does not tell a moment from what goes on
    times_s: float = 120.0  # times are of the newest two minutes, as those that are tested


def usual_interval(observed: pd.DataFrame) -> float:
    """Return the agents' interval in seconds, by the observations that tell it; NaN where none does."""
    seconds = observed["seconds"].to_numpy()
    told = seconds[seconds > 0]
    return float(np.median(told)) if len(told) else np.nan


def lasting(
    observed: pd.DataFrame,
    table: pd.DataFrame,
    keys: list[str],
    now: datetime,
    interval: float,
    params: Params | None = None,
) -> pd.DataFrame:
    """Return, row for row of ``table`` (symptoms by ``keys``), what lasts; NaN where it is not slow.

    ``observed``: the slow groups' observations, others are not looked at; ``interval``: the agents', seconds.
    Columns: lasting_retransmissions, and lasting_ratio (of the mean response to the usual one).
    Time is cut into bins as long as the agents' intervals; the worst two neighbours are left out, for
    what happens at one moment is told by both ends, whose intervals end at different times.
    """
    params = params or Params()
    empty = pd.DataFrame(np.nan, index=table.index, columns=COLUMNS)
    slow = table[table["slow"].to_numpy(dtype=bool)]
    if slow.empty or not interval > 0.0:
        return empty
    of_slow = tally.find(observed, slow, keys)
    rows, number = observed[of_slow >= 0], of_slow[of_slow >= 0]
    seconds = (pd.Timestamp(now) - rows["at"]).dt.total_seconds().to_numpy()
    cells = _Cells(number, (seconds / interval).astype(np.int64), len(slow))
    again = cells.sums(rows["retransmitted_client"].to_numpy() + rows["retransmitted_server"].to_numpy())
    late = seconds < params.times_s
    response, responses = (cells.sums(np.where(late, rows[c], 0.0)) for c in ("response_ms", "responses"))
    moments = interval <= params.longest_s
    kept = again.sum(axis=1) - (_worst(again)[0] if moments else 0.0)
    usual = slow["usual_response_ms"].to_numpy(dtype=np.float64)[:, None]
    place = _worst(np.nan_to_num(response - usual * responses))[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = _without(response, place, moments) / _without(responses, place, moments) / usual[:, 0]
    return pd.DataFrame(dict(zip(COLUMNS, (kept, ratio), strict=True)), index=slow.index).reindex(table.index)


@dataclass(frozen=True)
class _Cells:
    """Rows by group and bin."""

    number: tally.Ints
    bin: tally.Ints
    groups: int

    def sums(self, values: Any) -> Floats:
        """Return the values' sums, groups × bins; there are two bins at least."""
        bins = max(int(self.bin.max(initial=0)) + 1, 2)
        return tally.total(values, self.number * bins + self.bin, self.groups * bins).reshape(-1, bins)


def _worst(values: Floats) -> tuple[Floats, tally.Ints]:
    """Return the largest sum of two neighbouring bins of each group, and where the first of them is."""
    both = values[:, :-1] + values[:, 1:]
    place = np.argmax(both, axis=1)
    return np.take_along_axis(both, place[:, None], axis=1)[:, 0], place


def _without(values: Floats, place: tally.Ints, moments: bool) -> Floats:
    """Return each group's sum, without the two bins from its place on where these are moments."""
    both = values[:, :-1] + values[:, 1:]
    left_out = np.take_along_axis(both, place[:, None], axis=1)[:, 0]
    answer: Floats = values.sum(axis=1) - (left_out if moments else 0.0)
    return answer
