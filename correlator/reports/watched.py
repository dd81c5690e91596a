"""What was looked at on the day: how many switches, interfaces, links, hosts, pairs."""

from __future__ import annotations

from correlator.model import End
from correlator.ports import Tables
from correlator.reports.content import Period, Watched
from correlator.reports.network import PLACE, Network, places
from correlator.reports.tables import during, newest, table

ENDS = ["container_id", "peer_container_id"]
COUNTS = ["in_packets", "in_errors"]


def watched(tables: Tables, network: Network, period: Period) -> Watched:
    """Return what the day's tables show of the network and its hosts."""
    samples = table(tables, "pair_samples")[["at", "role", *ENDS]]
    clients = during(samples[samples["role"] == "client"], period)
    lit, counted = lit_ends(tables, period), counted_ends(tables, period)
    return Watched(
        switches=int(newest(tables, "devices", period)["device"].nunique()),
        interfaces=len(counted & network.up),
        links=len(network.links),
        hosts=int(newest(tables, "hosts", period)["host"].nunique()),
        containers=int(newest(tables, "containers", period)["container_id"].nunique()),
        pairs=len(clients[ENDS].dropna().drop_duplicates()),
        links_without_light=sum(link.a not in lit and link.b not in lit for link in network.links),
        links_counted=sum(network.receivers(link) <= counted for link in network.links),
    )


def counted_ends(tables: Tables, period: Period) -> frozenset[End]:
    """Return the interfaces whose packets, and the damaged ones among them, were counted on the day."""
    hours = table(tables, "link_hours")
    hours = hours[(hours["hour"] >= period.since) & (hours["hour"] < period.until)]
    hours = hours[(hours["metric"] == "errors") & (hours["exposure"] > 0)]
    rows = during(table(tables, "counters")[["at", *PLACE, *COUNTS]], period)
    return places(rows.dropna(subset=COUNTS)) | places(hours)


def ends_without_light(tables: Tables, network: Network, period: Period) -> list[End]:
    """Return the switches' ends of known links of whose light the day tells nothing, in order.

    Interfaces that lead to nothing known are left out: management ports and the like are copper.
    """
    ends = {end for link in network.links for end in (link.a, link.b)} & network.up
    return sorted(ends - lit_ends(tables, period))


def lit_ends(tables: Tables, period: Period) -> frozenset[End]:
    """Return the interfaces of whose light the day tells something, if only that there is none."""
    optics = table(tables, "optics")
    told = optics["rx_power_dbm"].notna() | optics["no_light"].fillna(False).astype(bool)
    return places(during(optics.loc[told, ["at", *PLACE]], period))
