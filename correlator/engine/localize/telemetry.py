"""What a link's own counters and light say of it, rate by rate: the same rate that the pairs feel.

Where nothing is measured there is no term: unknown is not healthy.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from correlator.engine.localize.pairs import log_likelihood
from correlator.engine.localize.params import STEP, Floats, Mode, Params, log_sum

MOST_SIGMAS = 3.5  # that a counter may be off from what pairs lose
HALF_STEP = 0.17  # of the grid of rates, as a share: what lies between two of its points
TELEMETRY: Mapping[Mode, tuple[str, str]] = {  # mode → its counter, its other witness
    "corruption": ("errors", "light"),
    "congestion": ("discards", "utilisation"),
}


def link_nats(health: pd.DataFrame, light_nats: Floats, params: Params) -> dict[str, Floats]:
    """Return log Bayes factors of each link, term → links × rates (× 1 for light and utilisation).

    ``health`` has the columns of ``health.health``, ``light_nats`` a value a link, NaN unknown.
    """
    column = {name: health[name].to_numpy(dtype=np.float64) for name in (
        "errors", "packets", "passed_on", "error_floor", "floor_shape", "discards", "sent",
        "discard_floor", "utilisation",
    )}  # fmt: skip
    errors = _counter_nats(
        column["errors"],
        column["packets"],
        column["passed_on"],
        column["error_floor"],
        column["floor_shape"],
        params,
    )
    nothing = np.zeros(len(health))
    discards = _counter_nats(
        column["discards"], column["sent"], nothing, column["discard_floor"], column["floor_shape"], params
    )
    share = np.log(params.light_weight)
    light = np.logaddexp(share + np.nan_to_num(light_nats), np.log1p(-params.light_weight))
    used = column["utilisation"]
    busy = np.where(used >= params.utilisation_busy, params.busy_nats, -params.busy_nats)
    busy = np.where(np.isnan(used), 0.0, busy)
    busy += np.where(np.isnan(column["sent"]), params.unseen_congestion_nats, 0.0)
    return {"errors": errors, "discards": discards, "light": light[:, None], "utilisation": busy[:, None]}


def unseen_nats(links: int, params: Params) -> dict[str, Floats]:
    """Return the same of links that nobody polls: a full queue that nobody counts is rare."""
    return {"utilisation": np.full((links, 1), params.unseen_congestion_nats)}


def _counter_nats(
    count: Floats, exposure: Floats, passed_on: Floats, floor: Floats, shape: Floats, params: Params
) -> Floats:
    """Return ln P(count | q) / P(count | 0) at each rate, profiled over how much was passed on.

    What is counted differs from what pairs lose by a factor near 1 (frames are of other lengths): log-normal,
    since a Gamma's long tail would let pairs convict a link at a hundred times the rate that it counts.
    """
    reach = int(np.ceil(MOST_SIGMAS * params.model_error / np.log(STEP)))
    rates = params.lowest_rate * STEP ** np.arange(-reach, params.rates + reach, dtype=np.float64)
    rates = np.concatenate([[0.0], rates])
    mean = exposure[:, None] * (floor[:, None] + rates)
    base = exposure * floor
    variance = (base**2 / shape)[:, None] + (HALF_STEP * exposure[:, None] * rates) ** 2
    own = np.clip(mean, (count - passed_on)[:, None], count[:, None])
    nats = np.nan_to_num(log_likelihood(own, mean, variance), nan=0.0)
    off = np.log(STEP) * np.arange(-reach, reach + 1) / params.model_error
    weight = -0.5 * off**2 - np.log(np.exp(-0.5 * off**2).sum())
    near = np.lib.stride_tricks.sliding_window_view(nats[:, 1:], 2 * reach + 1, axis=1)
    answer: Floats = log_sum(near + weight) - nats[:, :1]
    return answer
