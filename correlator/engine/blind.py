"""What the map and the telemetry cannot see: absence of data is data. Page: docs/algorithms/blind.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

COLUMNS = ["kind", "device", "if_name", "text"]
ETHERNET = 6
HALF = ("lldp one", "cdp one")
Spot = tuple[str, str, str | None, str]


def blind_spots(
    links: pd.DataFrame, boxes: pd.DataFrame, light: pd.DataFrame, tables: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Return what cannot be seen, one row each: kind, device, if_name (null for a whole device), text.

    ``links`` and ``boxes`` are the map's; ``light`` has the ends (device, if_name) whose light is
    read; ``tables`` the current devices, interfaces (those that still exist), hosts and recent polls.
    Kinds: not_polled, not_attached, no_neighbor, one_sided, no_light.
    """
    ends = _ends(links)
    spots = [
        *_not_polled(boxes, tables["polls"]),
        *_not_attached(tables["hosts"], {device for device, _ in ends}),
        *_no_neighbor(tables["interfaces"], ends),
        *_one_sided(links),
        *_no_light(links, light, set(tables["devices"]["device"].dropna())),
    ]
    return pd.DataFrame(spots, columns=COLUMNS)


def coverage(
    known: np.ndarray[Any, np.dtype[np.bool_]], forward: csr_array, reverse: csr_array
) -> dict[str, float]:
    """Return which share of host pairs has its path observed fully, partly, not; and the number of pairs.

    ``known``: whether a directed link's errors are measured. A pair without a known path is not observed.
    """
    crossed = (forward + reverse) > 0
    links = np.asarray(crossed.sum(axis=1)).ravel()
    seen = np.asarray(crossed @ known.astype(np.float64)).ravel()
    pairs = max(crossed.shape[0], 1)
    fully = float(((links > 0) & (seen == links)).sum()) / pairs
    nothing = float((seen == 0).sum()) / pairs
    partly = (1.0 - fully - nothing) if crossed.shape[0] else 0.0
    return {
        "pairs": float(crossed.shape[0]),
        "fully": round(fully, 4),
        "partly": round(partly, 4),
        "not": round(nothing if crossed.shape[0] else 0.0, 4),
    }


def _ends(links: pd.DataFrame) -> set[tuple[str, str]]:
    rows: Any = links.itertuples(index=False)
    return {end for row in rows for end in ((row.a_device, row.a_if_name), (row.b_device, row.b_if_name))}


def _not_polled(boxes: pd.DataFrame, polls: pd.DataFrame) -> Iterator[Spot]:
    for name in boxes.loc[boxes["kind"] == "unpolled", "device"]:
        yield "not_polled", name, None, f"{name} is heard by others and not polled"
    switches = polls[polls["kind"] == "switch"].sort_values("at", kind="stable").groupby("target").tail(1)
    rows: Any = switches[~switches["ok"].fillna(False).astype(bool)].itertuples(index=False)
    for row in rows:
        why = f": {row.error}" if isinstance(row.error, str) else ""
        yield "not_polled", row.target, None, f"the last poll of {row.target} failed{why}"


def _not_attached(hosts: pd.DataFrame, attached: set[str]) -> Iterator[Spot]:
    for host in sorted(set(hosts["host"].dropna()) - attached):
        yield "not_attached", host, None, f"nothing tells where {host} is attached"


def _no_neighbor(interfaces: pd.DataFrame, ends: set[tuple[str, str]]) -> Iterator[Spot]:
    """Yield ports that are up though nobody is known behind them: their traffic cannot be placed."""
    up = interfaces[(interfaces["oper_status"] == "up") & (interfaces["if_type"] == ETHERNET)]
    known = {end[0] for end in ends}
    for device, name in (
        up[["device", "if_name"]].dropna().drop_duplicates().itertuples(index=False, name=None)
    ):
        if (device, name) not in ends and device in known:
            yield "no_neighbor", device, name, f"{device} {name} is up, and nobody is known behind it"
        elif (device, name) not in ends:
            yield "no_neighbor", device, name, f"{device} {name} is up, and {device} has no link on the map"


def _one_sided(links: pd.DataFrame) -> Iterator[Spot]:
    rows: Any = links[links["source"].isin(HALF)].itertuples(index=False)
    for row in rows:
        text = f"{row.a_device} {row.a_if_name} - {row.b_device} {row.b_if_name} is told by one end only"
        yield "one_sided", row.a_device, row.a_if_name, text


def _no_light(links: pd.DataFrame, light: pd.DataFrame, polled: set[str]) -> Iterator[Spot]:
    read = set(light[["device", "if_name"]].itertuples(index=False, name=None))
    for device, name in sorted(_ends(links[links["usable"]])):
        if device in polled and (device, name) not in read:
            yield "no_light", device, name, f"the light at {device} {name} is not read"
