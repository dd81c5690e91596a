"""Which services are slow by themselves: their own time grew, and nothing they call explains it.

Page: docs/algorithms/services.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from correlator.engine import tally

GROUP = ["src_host", "dst_host", "src_service", "dst_service"]
SERVER = ["dst_host", "dst_service"]


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
    grown = slow["service_ms"] - slow["usual_service_ms"]
    response = slow["response_ms"] - slow["usual_response_ms"]
    share = (grown / response.where(response > 0)).clip(0.0, 1.0).fillna(1.0)
    passed_on = _waited(slow, symptoms) >= params.explained * grown.to_numpy() if len(slow) else False
    return slow[GROUP].assign(grown_ms=grown, share=share, passed_on=passed_on)


def _waited(table: pd.DataFrame, symptoms: pd.DataFrame) -> tally.Floats:
    """Return, row for row, how much longer each request now waits for what its service calls, in ms."""
    servers, served_by = tally.numbered(symptoms, SERVER)
    served = tally.total(symptoms["exchanges"], served_by, len(servers))
    calls = symptoms[symptoms["slow"]]
    caller = _at_servers(calls, ["src_host", "src_service"], servers)
    calls, caller = calls[caller >= 0], caller[caller >= 0]
    longer = (calls["response_ms"] - calls["usual_response_ms"]).fillna(0.0).to_numpy()
    wait = longer * calls["exchanges"].to_numpy() / np.maximum(served[caller], 1.0)
    waits: tally.Floats = tally.total(wait, caller, len(servers))[_at_servers(table, SERVER, servers)]
    return waits


def _at_servers(rows: pd.DataFrame, keys: list[str], servers: pd.DataFrame) -> tally.Ints:
    """Return the number of the server that each row means by ``keys``; −1 for one that nobody asks."""
    return tally.find_columns([rows[key] for key in keys], [servers[key] for key in SERVER])
