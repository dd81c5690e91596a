"""What a fault costs each container pair: the rows beneath a slow group of services.

Page: docs/algorithms/impacts.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from correlator.engine import tally
from correlator.model import PairImpact

GROUP = ["src_host", "dst_host", "src_service", "dst_service"]
TIMES = ["responses", "response_ms", "services", "service_ms"]
IDS = ["src_container_id", "dst_container_id"]
CONTAINERS = [*IDS, "src_name", "dst_name"]


@dataclass(frozen=True)
class Params:
    """How many pairs are named."""

    least_responses: float = 30.0  # fewer say nothing of their own: the group's figures stand
    most: int = 50  # container pairs in one verdict, busiest first


def container_pairs(recent: pd.DataFrame, group: tally.Ints, timed_since: datetime) -> pd.DataFrame:
    """Return one row a container pair of recent observations, by group and ids; ``group``: each one's number.

    Columns: GROUP, group (its number), ids and names, exchanges, responses, response_ms,
    service_ms and network_ms (means after ``timed_since``, as the groups' are; NaN unknown), segments,
    retransmissions.
    """
    kept = tally.known(recent, IDS)
    recent, group = tally.only(recent, kept), tally.picked(group, kept)
    first, number = tally.first_rows(recent[IDS].assign(group=group), ["group", *IDS])
    size = len(first)
    late = (recent["at"] > pd.Timestamp(timed_since)).to_numpy(dtype=bool)
    table: dict[str, Any] = {key: recent[key].array[first] for key in (*GROUP, *CONTAINERS)}
    table["exchanges"] = tally.total(recent["exchanges"], number, size)
    for column in TIMES:
        table[column] = tally.total(np.where(late, recent[column].to_numpy(), 0.0), number, size)
    table["segments"] = _of_both_ends(recent, "segments", number, size)
    table["retransmissions"] = _of_both_ends(recent, "retransmitted", number, size)
    for time, count in (("response_ms", "responses"), ("service_ms", "services")):
        table[time] = table[time] / np.where(table[count] > 0, table[count], np.nan)
    table["network_ms"] = np.maximum(table["response_ms"] - table["service_ms"], 0.0)
    return pd.DataFrame(table | {"group": group[first]}, copy=False)


def _of_both_ends(rows: pd.DataFrame, what: str, number: tally.Ints, size: int) -> tally.Floats:
    return tally.total(rows[f"{what}_client"].to_numpy() + rows[f"{what}_server"].to_numpy(), number, size)


def pair_impacts(
    pairs: pd.DataFrame, symptoms: pd.DataFrame, shares: pd.Series[float], params: Params | None = None
) -> tuple[PairImpact, ...]:
    """Return the impact on the container pairs of the groups in ``shares`` (group → share), busiest first.

    A pair with too few responses of its own gets its group's figures.
    """
    params = params or Params()
    mine = pairs[pairs["group"].isin(shares.index)].sort_values(
        ["exchanges", "src_container_id", "dst_container_id"], ascending=[False, True, True], kind="stable"
    )
    answer = []
    rows: Any = mine.head(params.most)
    for pair in rows.itertuples(index=False):
        group: Any = symptoms.loc[pair.group]
        own = pair.responses >= params.least_responses and group["usual_response_ms"] > 0
        factor = float(pair.response_ms / group["response_ms"]) if own else 1.0
        timed = pair if own else group
        answer.append(
            PairImpact(
                src=pair.src_container_id,
                dst=pair.dst_container_id,
                src_name=pair.src_name,
                dst_name=pair.dst_name,
                slower_by=_number(group["ratio"] * factor),
                slower_by_low=_number(group["ratio_low"] * factor),
                slower_by_high=_number(group["ratio_high"] * factor),
                network_ms=_number(timed.network_ms),
                service_ms=_number(timed.service_ms),
                share_explained=_number(shares[pair.group]),
            )
        )
    return tuple(answer)


def _number(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def hurt(pairs: pd.DataFrame, shares: pd.Series[float]) -> int:
    """Return how many container pairs the groups in ``shares`` have: ``pair_impacts`` names some of them."""
    return int(pairs["group"].isin(shares.index).sum())
