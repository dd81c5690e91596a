"""What there is to see before anybody is blamed: the map, its health and light, the slow pairs.

The parts of the engine do not know each other; here they are put together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from correlator import frames
from correlator.engine import (
    baseline,
    bursts,
    corrected,
    diagnose,
    health,
    impacts,
    lanes,
    localize,
    measures,
    memory,
    optics,
    pairs,
    parts,
    paths,
    rates,
    routes,
    symptoms,
    tally,
    topology,
    traces,
)
from correlator.engine.settings import Params
from correlator.model import Window

HOSTS = ["src_host", "dst_host"]
MAPPED = ("neighbors", "hosts", "cables", "interfaces", "devices", "stations", "arp")
ROUTING = {
    "routes": ("route_numbers", "routes", "old_routes"),
    "arp": ("arp", "old_arp"),
    "stations": ("stations", "vlan_stations"),
}
"""What places next hops, and the MIB tables that each is read from."""
FIGURES = ["min_rtt_us", "response_ms_sum", "service_ms_sum", "exchanges", "data_segments_sent"]
ASKED_LATER = [
    "at", *symptoms.GROUP, *impacts.CONTAINERS, *impacts.TIMES, "seconds", "exchanges", "segments_client",
    "segments_server", "retransmitted_client", "retransmitted_server",
]  # fmt: skip
"""The columns of observations that are looked at again once groups are measured."""
MIXER = np.uint64(0xBF58476D1CE4E5B9)  # of splitmix64 (Steele and others, 2014)


@dataclass(frozen=True)
class Drawn:
    """A map, and the tables that it was drawn from."""

    tables: Mapping[str, pd.DataFrame]
    fabric: topology.Map


@dataclass(frozen=True)
class View:
    """The tables of a cycle and what the steps before localisation made of them.

    ``drawn`` is the map as the tables tell it, ``fabric`` with the ways that died within the window.
    ``health`` has a row a directed link, ``light`` one a directed link and lane, ``symptoms`` one a
    host pair × service pair, ``container_pairs`` one a container pair, ``host_pairs`` one a host pair;
    ``falls`` are the lanes whose light falls from day to day, ``corrected`` has a row an interface
    that corrects errors.
    """

    now: datetime
    window: Window
    tables: Mapping[str, pd.DataFrame]
    drawn: Drawn
    fabric: topology.Map
    health: pd.DataFrame
    light: pd.DataFrame
    symptoms: pd.DataFrame
    container_pairs: pd.DataFrame
    host_pairs: pd.DataFrame
    paths: paths.Paths
    evidence: localize.Evidence
    scene: diagnose.Scene
    falls: pd.DataFrame
    corrected: pd.DataFrame


def accepted(tables: Mapping[str, pd.DataFrame], now: datetime) -> dict[str, pd.DataFrame]:
    """Return every table of ``frames``: empty where absent, without rows from the future.

    Samples of pairs add up, so those that were read twice count once; all others are taken by key.
    """
    answer = {}
    for name in frames.TABLES:
        table = tables[name] if name in tables else frames.empty(name)
        answer[name] = tally.only(table, table["at"] <= pd.Timestamp(now)).reset_index(drop=True)
    samples = answer["pair_samples"]
    return answer | {"pair_samples": tally.only(samples, ~_repeated(samples)).reset_index(drop=True)}


def _repeated(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which rows say exactly what an earlier row said (a batch that was read twice).

    Rows that share no figure with another are told apart at once; only the others are compared whole.
    """
    mixed = table["at"].astype("int64").to_numpy().view(np.uint64)
    for column in FIGURES:
        figures = table[column].to_numpy(dtype=np.float64, na_value=np.nan)
        mixed = (mixed ^ (mixed >> np.uint64(29))) * MIXER + (figures + 0.0).view(np.uint64)
    answer = np.zeros(len(table), dtype=bool)
    ordered = np.sort(mixed)
    if (ordered[1:] == ordered[:-1]).any():
        alike = pd.Series(mixed).duplicated(keep=False).to_numpy()
        plain = table[alike].copy(deep=False)
        for column in {"response_histogram", "source_ports"} & set(plain.columns):
            plain[column] = plain[column].map(str)
        answer[alike] = plain.duplicated().to_numpy()
    return answer


def drawn(tables: Mapping[str, pd.DataFrame], before: Drawn | None = None) -> Drawn:
    """Return the map that the tables tell: the one that was drawn before, where they say the same."""
    mine = {name: tables[name] for name in MAPPED}
    if before is not None and all(table.equals(before.tables[name]) for name, table in mine.items()):
        return before
    return Drawn(mine, topology.build_map(*mine.values()))


def routed(tables: Mapping[str, pd.DataFrame], fabric: topology.Map) -> routes.Routes:
    """Return what the route tables say of the links of the map that the same tables tell."""
    now = {
        name: topology.current(tables[name], tables["devices"], set(read_from))
        for name, read_from in ROUTING.items()
    }
    return routes.read_routes(now["routes"], fabric.links, fabric.directed, now | {"hosts": tables["hosts"]})


def look(
    tables: Mapping[str, pd.DataFrame],
    now: datetime,
    params: Params,
    past: memory.Memory | None = None,
    before: Drawn | None = None,
) -> View:
    """Return the view at ``now`` of tables that were accepted, against the past that is remembered.

    Without ``past`` it is made of the hourly tables; ``before`` is an earlier view's ``drawn``. Raises
    ValueError for a past of another hour.
    """
    if past is not None and past.hour != memory.hour_of(now):
        raise ValueError(f"what is remembered is of {past.hour:%H:%M}, not of {now:%H:%M}")
    since = now - params.window
    made = drawn(tables, before)
    fabric = made.fabric
    past = past or memory.remember(tables, fabric, now, params)
    moved = rates.rates(tables["counters"], tables["interfaces"], params.rates)
    links, light, away = _links(tables, fabric, moved, past, since, now, params)
    fabric = _with_last_ways(fabric, links, tables["interfaces"])
    samples = pairs.resolve(tables["pair_samples"], tables["containers"], tables["hosts"])
    observed = pairs.observations(samples, tables["containers"])
    recent = tally.only(observed, observed["at"] > pd.Timestamp(since))
    table = _symptoms(recent, past.pairs, now, params)
    observed, recent = observed[ASKED_LATER], recent[ASKED_LATER]  # a large fabric's others weigh 200 MB
    by_hosts = symptoms.host_pairs(table)
    found = _paths(tables, fabric, by_hosts, tally.only(samples, samples["at"] > pd.Timestamp(since)))
    sick = (links["sick"] | links["dropping"]).to_numpy()
    if sick.any():
        numbers = np.flatnonzero(sick)
        on_them = found.over(numbers)
        crossing = on_them.forward[:, numbers] + on_them.reverse[:, numbers]
        table = symptoms.along(table, by_hosts, crossing, params.symptoms)
        by_hosts = symptoms.host_pairs(table)
    table = table.assign(onset=symptoms.onsets(observed, table, now, params.symptoms))
    table = table.join(bursts.lasting(recent, table, symptoms.GROUP, now, params.bursts))
    strongest = optics.strongest(light, len(fabric.directed))
    sick = sick | strongest["stepped"].to_numpy(dtype=bool)
    return View(
        now=now,
        window=Window(since, now),
        tables=tables,
        drawn=made,
        fabric=fabric,
        health=links,
        light=light,
        symptoms=table,
        container_pairs=impacts.container_pairs(
            recent, table, now - timedelta(seconds=params.measures.times_s)
        ),
        host_pairs=by_hosts,
        paths=found,
        evidence=_evidence(found, by_hosts, links, strongest["nats"].to_numpy(), sick, params),
        scene=diagnose.Scene(links, strongest, Window(since, now), then=optics.stronger(away, strongest)),
        falls=past.falls,
        corrected=corrected.growth(moved, now, params.corrected),
    )


def _evidence(
    found: paths.Paths,
    by_hosts: pd.DataFrame,
    links: pd.DataFrame,
    light_nats: tally.Floats,
    sick: npt.NDArray[np.bool_],
    params: Params,
) -> localize.Evidence:
    """Return what localisation weighs: the links in question, and those beside them that may share a part."""
    slow = np.flatnonzero(by_hosts["slow"].to_numpy(dtype=bool))
    asked = _in_question(found.of(slow), sick, params.most_links)
    beside = _uncounted_beside(links, asked, params)
    told = found.over(np.unique(np.concatenate([asked, *beside, *(some ^ 1 for some in beside)])))
    return localize.Evidence(
        by_hosts, told.forward, told.reverse, links, light_nats, neighbours=tuple(beside)
    )


def _in_question(of_slow: paths.Paths, sick: npt.NDArray[np.bool_], most: int) -> tally.Ints:
    """Return the links that the slow pairs cross: nothing but such a link can explain them.

    Where they are more than ``most``, those that carry most of these pairs' traffic, and all sick ones:
    pairs spread over the core of a large fabric cross most of its links, each hardly at all.
    """
    traffic = of_slow.forward.sum(axis=0) + of_slow.reverse.sum(axis=0)
    crossed = np.flatnonzero(traffic > 0.0)
    busiest = crossed[np.argsort(-traffic[crossed], kind="stable")[:most]]
    return np.union1d(busiest, crossed[sick[crossed]])


def _uncounted_beside(links: pd.DataFrame, asked: tally.Ints, params: Params) -> list[tally.Ints]:
    """Return sets of links that may share a part with one in question, where errors of none are counted."""
    counted = links["errors_known"].to_numpy(dtype=bool)
    sets = parts.beside(links, asked[~counted[asked]], params.causes.shared.reach)
    return [some for some in sets if not counted[some].any()]


def _with_last_ways(fabric: topology.Map, links: pd.DataFrame, interfaces: pd.DataFrame) -> topology.Map:
    """Return the map, where a link that went down within the window is still a way: it carried packets in it.

    Else what pairs lost on it before it died would be laid on those links that are left. A port that
    spanning tree blocks hears packets, and carries none.
    """
    blocked = interfaces.loc[interfaces["stp_state"] == "blocking", ["device", "if_name"]]
    standing = pd.MultiIndex.from_frame(blocked)
    ends = (["sender_device", "sender_if_name"], ["receiver_device", "receiver_if_name"])
    carried = links["packets"] > 0
    for end in ends:
        carried &= ~pd.MultiIndex.from_frame(fabric.directed[end]).isin(standing)
    return replace(fabric, directed=fabric.directed.assign(usable=fabric.directed["usable"] | carried))


def _links(
    tables: Mapping[str, pd.DataFrame],
    fabric: topology.Map,
    moved: pd.DataFrame,
    past: memory.Memory,
    since: datetime,
    now: datetime,
    params: Params,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return health and light of every directed link, and the light that was off and has come back."""
    links = health.health(fabric.directed, moved, tables["devices"], past.links, since, params.health)
    read = lanes.read_lanes(tables["optics"], past.light, tables["interfaces"], now, params.lanes)
    light = optics.light(fabric.directed, read, params.lanes, params.optics)
    away = optics.while_off(fabric.directed, read, params.lanes, params.optics)
    return links, light, away


def _symptoms(recent: pd.DataFrame, past: baseline.Past, now: datetime, params: Params) -> pd.DataFrame:
    """Return what is slower than usual: groups by themselves, services by server and altogether."""
    table = measures.measured(recent, pairs.PAIR, now, params.measures)
    usual = baseline.usual(past, table, now, params.baseline)
    servers = []
    for keys, known in ((["dst_host", "dst_service"], past.servers), (["dst_service"], past.services)):
        pooled = measures.served(recent, keys, now, params.measures)
        row = tally.find(pooled, known, keys)
        for column in ("service_ms", "service_ms_spread"):
            pooled[f"usual_{column}"] = np.append(known[column].to_numpy(), np.nan)[row]
        servers.append(pooled)
    return symptoms.symptoms(table, usual, servers, params.symptoms)


def _paths(
    tables: Mapping[str, pd.DataFrame], fabric: topology.Map, by_hosts: pd.DataFrame, samples: pd.DataFrame
) -> paths.Paths:
    hosts = sorted(set(tables["hosts"]["host"].dropna()))
    wanted = list(zip(*(by_hosts[end].to_numpy(dtype=object) for end in HOSTS), strict=True))
    found = paths.find_paths(fabric.directed, hosts, wanted, fabric.closed, routed(tables, fabric))
    return replace(found, followed=traces.followed(found, fabric.directed, wanted, tables, samples))
