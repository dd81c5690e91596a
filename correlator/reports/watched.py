"""What was looked at on the day: how many switches, interfaces, links, hosts, pairs."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd

from correlator.engine.topology import build_map
from correlator.ports import Tables
from correlator.reports.content import Period, Watched
from correlator.reports.tables import during, newest, table

ETHERNET = 6
"""ifType of an Ethernet interface (IANAifType)."""

STALE = timedelta(hours=2)
"""A reading older than this before the end of the report is no longer one."""


def watched(tables: Tables, period: Period) -> Watched:
    """Return what the day's tables show of the network and its hosts."""
    samples = during(tables, "pair_samples", period)
    clients = samples[samples["role"] == "client"]
    up = interfaces_up(tables, period)
    counted = during(tables, "counters", period)[["device", "if_name"]].drop_duplicates()
    return Watched(
        switches=int(newest(tables, "devices", period)["device"].nunique()),
        interfaces=len(up.merge(counted)) if len(up) else len(counted),
        links=_links(tables, period),
        hosts=int(newest(tables, "hosts", period)["host"].nunique()),
        containers=int(newest(tables, "containers", period)["container_id"].nunique()),
        pairs=len(clients[["container_id", "peer_container_id"]].dropna().drop_duplicates()),
        without_light=len(without_light(tables, period)),
    )


def interfaces_up(tables: Tables, period: Period) -> pd.DataFrame:
    """Return the (device, if_name) of Ethernet interfaces that are up at the end of the day."""
    rows = newest(tables, "interfaces", period).sort_values("at", kind="stable")
    rows = rows.drop_duplicates(["device", "if_name"], keep="last")
    ethernet = rows["if_type"].isna() | (rows["if_type"] == ETHERNET)
    return rows.loc[ethernet & (rows["oper_status"] == "up"), ["device", "if_name"]]


def without_light(tables: Tables, period: Period) -> pd.DataFrame:
    """Return the (device, if_name) of interfaces that are up and of whose light nothing is known."""
    up = interfaces_up(tables, period)
    optics = table(tables, "optics")
    recent = (optics["at"] >= period.end - STALE) & (optics["at"] < period.until)
    lit = optics.loc[recent & optics["rx_power_dbm"].notna(), ["device", "if_name"]].drop_duplicates()
    seen = up.merge(lit, how="left", indicator="seen")
    return seen.loc[seen["seen"] == "left_only", ["device", "if_name"]]


def _links(tables: Tables, period: Period) -> int:
    """Return how many links are known and carry traffic."""
    names = ("neighbors", "hosts", "cables", "interfaces", "devices")
    links = build_map(*(newest(tables, name, period) for name in names)).links
    return int(links["usable"].sum())
