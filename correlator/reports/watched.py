"""What was looked at on the day: how many switches, interfaces, links, hosts, pairs."""

from __future__ import annotations

import pandas as pd

from correlator.engine.topology import build_map
from correlator.model import End
from correlator.ports import Tables
from correlator.reports.content import Period, Watched
from correlator.reports.tables import during, newest, table

ETHERNET = 6
"""ifType of an Ethernet interface (IANAifType)."""

PLACE = ["device", "if_name"]
ENDS = ["container_id", "peer_container_id"]


def watched(tables: Tables, period: Period) -> Watched:
    """Return what the day's tables show of the network and its hosts."""
    samples = table(tables, "pair_samples")[["at", "role", *ENDS]]
    clients = during(samples[samples["role"] == "client"], period)
    counted = _places(during(table(tables, "counters")[["at", *PLACE]], period))
    links, lit = _links(tables, period), lit_ends(tables, period)
    return Watched(
        switches=int(newest(tables, "devices", period)["device"].nunique()),
        interfaces=len(counted & _up(tables, period)),
        links=len(links),
        hosts=int(newest(tables, "hosts", period)["host"].nunique()),
        containers=int(newest(tables, "containers", period)["container_id"].nunique()),
        pairs=len(clients[ENDS].dropna().drop_duplicates()),
        links_without_light=sum(a not in lit and b not in lit for a, b in links),
    )


def ends_without_light(tables: Tables, period: Period) -> list[End]:
    """Return the switches' ends of known links of whose light the day tells nothing, in order.

    Interfaces that lead to nothing known are left out: management ports and the like are copper.
    """
    switches = _up(tables, period)
    ends = {end for link in _links(tables, period) for end in link} & switches
    return sorted(ends - lit_ends(tables, period))


def lit_ends(tables: Tables, period: Period) -> set[End]:
    """Return the interfaces of whose light the day tells something, if only that there is none."""
    optics = table(tables, "optics")
    told = optics["rx_power_dbm"].notna() | optics["no_light"].fillna(False).astype(bool)
    return _places(during(optics.loc[told, ["at", *PLACE]], period))


def _up(tables: Tables, period: Period) -> set[End]:
    """Return the Ethernet interfaces that are up at the end of the day."""
    rows = newest(tables, "interfaces", period).drop_duplicates(PLACE, keep="last")
    ethernet = rows["if_type"].isna() | (rows["if_type"] == ETHERNET)
    return _places(rows[ethernet & (rows["oper_status"] == "up")])


def _places(rows: pd.DataFrame) -> set[End]:
    unique = rows[PLACE].dropna().drop_duplicates()
    return {End(device, if_name) for device, if_name in unique.itertuples(index=False, name=None)}


def _links(tables: Tables, period: Period) -> list[tuple[End, End]]:
    """Return the ends of the links that are known and carry traffic."""
    names = ("neighbors", "hosts", "cables", "interfaces", "devices")
    links = build_map(*(newest(tables, name, period) for name in names)).links
    rows = links.loc[links["usable"], ["a_device", "a_if_name", "b_device", "b_if_name"]]
    return [(End(a, p), End(b, q)) for a, p, b, q in rows.itertuples(index=False, name=None)]
