"""Which services are slow by themselves: their own time grew, and nothing they call explains it.

Page: docs/algorithms/services.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

GROUP = ["src_host", "dst_host", "src_service", "dst_service"]


@dataclass(frozen=True)
class Params:
    """When a callee explains its caller."""

    explained: float = 0.5  # of the caller's growth


def own_growth(symptoms: pd.DataFrame, params: Params | None = None) -> pd.DataFrame:
    """Return the slow groups whose service part grew, each with the service to blame or null.

    Columns: the group (row index of ``symptoms``), grown_ms, share (of the response's growth),
    passed_on (True where the service waits for its own slow callee, network or service alike).
    """
    params = params or Params()
    slow = symptoms[symptoms["slow"] & (symptoms["grew"] == "service")]
    table = slow[GROUP].copy()
    table["grown_ms"] = slow["service_ms"] - slow["usual_service_ms"]
    response = slow["response_ms"] - slow["usual_response_ms"]
    table["share"] = (table["grown_ms"] / response.where(response > 0)).clip(0.0, 1.0).fillna(1.0)
    table["passed_on"] = _waited(table, symptoms) >= params.explained * table["grown_ms"]
    return table


def _waited(table: pd.DataFrame, symptoms: pd.DataFrame) -> pd.Series[float]:
    """Return, row for row, how much longer each request now waits for what its service calls, in ms."""
    place = ["src_host", "src_service"]
    served = (
        symptoms.groupby(["dst_host", "dst_service"])["exchanges"].sum().rename_axis(place).rename("served")
    )
    calls = symptoms[symptoms["slow"]].merge(served.reset_index(), on=place)
    longer = (calls["response_ms"] - calls["usual_response_ms"]).fillna(0.0)
    calls["wait"] = longer * calls["exchanges"] / np.maximum(calls["served"], 1.0)
    waits = calls.groupby(place)["wait"].sum().rename_axis(["dst_host", "dst_service"]).reset_index()
    found = table[["dst_host", "dst_service"]].merge(waits, on=["dst_host", "dst_service"], how="left")
    return found["wait"].fillna(0.0).set_axis(table.index)
