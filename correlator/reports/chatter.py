"""Who talks most and who waits longest: the service pairs' own figures of the day."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from correlator.engine import pairs
from correlator.ports import Tables
from correlator.reports.content import Period
from correlator.reports.overview import Chatter, Chattiness
from correlator.reports.tables import number, table

MOST = 10

LEAST_RESPONSES = 30
"""Timed responses below which a mean says too little to be ranked."""

_CELLS = (
    ("exchanges", "count"),
    ("exchanges", "exposure"),
    ("connections", "count"),
    ("response_ms", "sum"),
    ("response_ms", "count"),
    ("service_ms", "sum"),
    ("service_ms", "count"),
)


def chattiness(tables: Tables, period: Period) -> Chattiness:
    """Return the chattiest and the longest waiting service pairs of the day's hours."""
    totals = _totals(tables, period)
    totals = totals[totals["exchanges exposure"] > 0]
    busy = _talk(totals)
    most = busy.sort_values(["exchanges_per_s", *pairs.PAIR], ascending=[False, True, True, True, True])
    timed = busy[(totals["response_ms count"] >= LEAST_RESPONSES).to_numpy()]
    longest = timed.sort_values(["response_ms", *pairs.PAIR], ascending=[False, True, True, True, True])
    return Chattiness(len(busy), _rows(most), _rows(longest))


def _totals(tables: Tables, period: Period) -> pd.DataFrame:
    """Return the day's sums of each service pair, a column for each cell of ``_CELLS``."""
    rows = table(tables, "pair_hours")
    rows = rows[(rows["hour"] >= period.since) & (rows["hour"] < period.until)]
    metrics = sorted({metric for metric, _ in _CELLS})
    sums = (
        rows[rows["metric"].isin(metrics)]
        .groupby([*pairs.PAIR, "metric"], sort=False)[["exposure", "count", "sum"]]
        .sum()
        .unstack("metric")
    )
    wanted = {f"{metric} {part}": (part, metric) for metric, part in _CELLS}
    zeros = pd.Series(0.0, index=sums.index)
    columns = {name: sums[cell] if cell in sums.columns else zeros for name, cell in wanted.items()}
    return pd.DataFrame(columns, index=sums.index).fillna(0.0).reset_index()


def _talk(totals: pd.DataFrame) -> pd.DataFrame:
    def over(one: str, other: str) -> Any:
        below = totals[other].to_numpy()
        return np.divide(totals[one].to_numpy(), below, out=np.full(len(totals), np.nan), where=below > 0)

    talk = totals[pairs.PAIR].copy()
    # Seconds of an hour in which a pair's intervals were seen, added over its containers.
    talk["exchanges_per_s"] = over("exchanges count", "exchanges exposure")
    talk["per_connection"] = over("exchanges count", "connections count")
    talk["response_ms"] = over("response_ms sum", "response_ms count")
    talk["service_ms"] = over("service_ms sum", "service_ms count")
    talk["network_ms"] = (talk["response_ms"] - talk["service_ms"]).clip(lower=0.0)
    talk["waiting"] = talk["exchanges_per_s"] * talk["response_ms"] / 1000
    return talk


def _rows(talk: pd.DataFrame) -> tuple[Chatter, ...]:
    return tuple(
        Chatter(
            client=row["src_service"],
            server=row["dst_service"],
            src_host=row["src_host"],
            dst_host=row["dst_host"],
            exchanges_per_s=number(row["exchanges_per_s"], 3) or 0.0,
            per_connection=number(row["per_connection"], 1),
            response_ms=number(row["response_ms"], 3),
            network_ms=number(row["network_ms"], 3),
            service_ms=number(row["service_ms"], 3),
            waiting=number(row["waiting"], 3),
        )
        for row in talk.head(MOST).to_dict("records")
    )
