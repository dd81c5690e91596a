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

PLACE = ["device", "if_name"]
ENDS = ["container_id", "peer_container_id"]

STALE = timedelta(hours=2)
"""A reading older than this before the end of the report is no longer one."""


def watched(tables: Tables, period: Period) -> Watched:
    """Return what the day's tables show of the network and its hosts."""
    samples = table(tables, "pair_samples")[["at", "role", *ENDS]]
    clients = during(samples[samples["role"] == "client"], period)
    up = interfaces_up(tables, period)
    counted = during(table(tables, "counters")[["at", *PLACE]], period)[PLACE].drop_duplicates()
    return Watched(
        switches=int(newest(tables, "devices", period)["device"].nunique()),
        interfaces=len(up.merge(counted)) if len(up) else len(counted),
        links=_links(tables, period),
        hosts=int(newest(tables, "hosts", period)["host"].nunique()),
        containers=int(newest(tables, "containers", period)["container_id"].nunique()),
        pairs=len(clients[ENDS].dropna().drop_duplicates()),
        without_light=len(without_light(tables, period)),
    )


def interfaces_up(tables: Tables, period: Period) -> pd.DataFrame:
    """Return the (device, if_name) of Ethernet interfaces that are up at the end of the day."""
    rows = newest(tables, "interfaces", period).sort_values("at", kind="stable")
    rows = rows.drop_duplicates(PLACE, keep="last")
    ethernet = rows["if_type"].isna() | (rows["if_type"] == ETHERNET)
    return rows.loc[ethernet & (rows["oper_status"] == "up"), PLACE]


def without_light(tables: Tables, period: Period) -> pd.DataFrame:
    """Return the (device, if_name) of interfaces that are up and of whose light nothing is known."""
    up = interfaces_up(tables, period)
    optics = table(tables, "optics")
    recent = (optics["at"] >= period.end - STALE) & (optics["at"] < period.until)
    lit = optics.loc[recent & optics["rx_power_dbm"].notna(), PLACE].drop_duplicates()
    seen = up.merge(lit, how="left", indicator="seen")
    return seen.loc[seen["seen"] == "left_only", PLACE]


def _links(tables: Tables, period: Period) -> int:
    """Return how many links are known and carry traffic."""
    names = ("neighbors", "hosts", "cables", "interfaces", "devices")
    links = build_map(*(newest(tables, name, period) for name in names)).links
    return int(links["usable"].sum())
