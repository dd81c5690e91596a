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
from correlator.engine.side import beside
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
    "at", *symptoms.GROUP, *impacts.TIMES, "seconds", "segments_client", "segments_server",
    "retransmitted_client", "retransmitted_server",
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
    past = past or memory.remember(tables, made.fabric, now, params)
    talk, wires = beside(
        lambda: _talk(tables, since), lambda: _wires(tables, made.fabric, past, since, now, params)
    )
    sums = _measured(talk, past.pairs, now, params)
    talk = replace(talk, observed=talk.observed[ASKED_LATER])  # a large fabric's others weigh 200 MB
    table, (host_pairs, found) = beside(
        lambda: _symptoms(sums, past.pairs, now, params),
        lambda: _paths(tables, wires.fabric, talk.groups, tally.only(talk.samples, talk.is_recent)),
    )
    talk = talk.of(symptoms.in_doubt(table, params.symptoms))
    by_hosts = symptoms.host_pairs(table)
    found = found.of(tally.find(by_hosts, host_pairs, HOSTS))
    sick = (wires.health["sick"] | wires.health["dropping"]).to_numpy()
    if sick.any():
        numbers = np.flatnonzero(sick)
        on_them = found.over(numbers)
        crossing = on_them.forward[:, numbers] + on_them.reverse[:, numbers]
        table = symptoms.along(table, by_hosts, crossing, params.symptoms)
        by_hosts = symptoms.host_pairs(table)
    table = table.assign(onset=symptoms.onsets(talk.observed, table, now, params.symptoms))
    recent, _ = talk.recent()
    table = table.join(bursts.lasting(recent, table, symptoms.GROUP, now, sums.interval, params.bursts))
    table[symptoms.GROUP] = tally.plain(table[symptoms.GROUP])
    sick = sick | wires.strongest["stepped"].to_numpy(dtype=bool)
    window = Window(since, now)
    return View(
        now=now,
        window=window,
        tables=tables,
        drawn=made,
        fabric=wires.fabric,
        health=wires.health,
        light=wires.light,
        symptoms=table,
        container_pairs=sums.container_pairs,
        host_pairs=by_hosts,
        paths=found,
        evidence=_evidence(found, by_hosts, wires.health, wires.strongest["nats"].to_numpy(), sick, params),
        scene=diagnose.Scene(wires.health, wires.strongest, window, then=wires.then),
        falls=past.falls,
        corrected=wires.corrected,
    )


@dataclass(frozen=True)
class _Wires:
    """What switches tell: the map with the ways that died, health, light, and what corrects errors.

    ``strongest``: light, one row a directed link; ``then``: the same while it was off, of links whose
    light has come back.
    """

    fabric: topology.Map
    health: pd.DataFrame
    light: pd.DataFrame
    strongest: pd.DataFrame
    then: pd.DataFrame
    corrected: pd.DataFrame


def _wires(
    tables: Mapping[str, pd.DataFrame],
    fabric: topology.Map,
    past: memory.Memory,
    since: datetime,
    now: datetime,
    params: Params,
) -> _Wires:
    """Return what switches tell of the map's links."""
    moved = rates.rates(tables["counters"], tables["interfaces"], params.rates)
    links = health.health(fabric.directed, moved, tables["devices"], past.links, since, params.health)
    grown = corrected.growth(moved, now, params.corrected)
    del moved
    read = lanes.read_lanes(tables["optics"], past.light, tables["interfaces"], now, params.lanes)
    light = optics.light(fabric.directed, read, params.lanes, params.optics)
    away = optics.while_off(fabric.directed, read, params.lanes, params.optics)
    strongest = optics.strongest(light, len(fabric.directed))
    fabric = _with_last_ways(fabric, links, tables["interfaces"])
    return _Wires(fabric, links, light, strongest, optics.stronger(away, strongest), grown)


@dataclass(frozen=True)
class _Talk:
    """What hosts tell: resolved ``samples``, and what was ``observed`` of groups, row for row.

    ``is_recent``: which samples are of the window; ``groups``: those that spoke in it, keys coded;
    ``number``: each observation's group, −1 for others.
    """

    samples: pd.DataFrame
    is_recent: npt.NDArray[np.bool_]
    observed: pd.DataFrame
    groups: pd.DataFrame
    number: tally.Ints
    since: datetime

    def recent(self) -> tuple[pd.DataFrame, tally.Ints]:
        """Return the observations of the window and their groups."""
        mine = _after(self.observed, self.since)
        return tally.only(self.observed, mine).reset_index(drop=True), tally.picked(self.number, mine)

    def of(self, groups: npt.NDArray[np.bool_]) -> _Talk:
        """Return the same with the observations of some groups alone."""
        kept = np.append(groups, False)[self.number]
        return replace(self, observed=tally.only(self.observed, kept), number=self.number[kept])


def _talk(tables: Mapping[str, pd.DataFrame], since: datetime) -> _Talk:
    """Return what hosts tell of who spoke to whom."""
    samples = pairs.resolve(tables["pair_samples"], tables["containers"], tables["hosts"])
    observed = pairs.observations(samples, tables["containers"])
    groups, number = tally.grouped(observed, pairs.PAIR)
    here = np.zeros(len(groups), dtype=bool)
    here[number[_after(observed, since)]] = True
    if not here.all():
        groups = groups[here].reset_index(drop=True)
        number = np.where(here, np.cumsum(here) - 1, -1)[number]
    return _Talk(samples, _after(samples, since), observed, groups, number, since)


def _after(table: pd.DataFrame, since: datetime) -> npt.NDArray[np.bool_]:
    answer: npt.NDArray[np.bool_] = (table["at"] > pd.Timestamp(since)).to_numpy(dtype=bool)
    return answer


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


@dataclass(frozen=True)
class _Sums:
    """What was measured in the window.

    ``services``: by server and altogether, with what is usual; ``interval``: the agents', in seconds.
    """

    groups: pd.DataFrame
    services: list[pd.DataFrame]
    container_pairs: pd.DataFrame
    interval: float


def _measured(talk: _Talk, past: baseline.Past, now: datetime, params: Params) -> _Sums:
    """Return what the window's observations sum up to."""
    recent, number = talk.recent()
    timed_since = now - timedelta(seconds=params.measures.times_s)

    def sums() -> tuple[pd.DataFrame, list[pd.DataFrame]]:
        table = measures.measured(recent, talk.groups, number, now, params.measures)
        return table, _services(recent, talk.groups, number, past, now, params)

    (table, services), by_containers = beside(
        sums, lambda: impacts.container_pairs(recent, number, timed_since)
    )
    return _Sums(table, services, by_containers, bursts.usual_interval(recent))


def _services(
    recent: pd.DataFrame,
    groups: pd.DataFrame,
    number: tally.Ints,
    past: baseline.Past,
    now: datetime,
    params: Params,
) -> list[pd.DataFrame]:
    """Return what was measured of services, by server and altogether, with what is usual."""
    answer = []
    for keys, known in ((["dst_host", "dst_service"], past.servers), (["dst_service"], past.services)):
        served, of_group = tally.grouped(groups, keys)
        pooled = measures.served(recent, served, of_group[number], now, params.measures)
        row = tally.find(pooled, known, keys)
        for column in ("service_ms", "service_ms_spread"):
            pooled[f"usual_{column}"] = np.append(known[column].to_numpy(), np.nan)[row]
        answer.append(pooled)
    return answer


def _symptoms(sums: _Sums, past: baseline.Past, now: datetime, params: Params) -> pd.DataFrame:
    """Return what is slower than usual."""
    usual = baseline.usual(past, sums.groups, now, params.baseline)
    return symptoms.symptoms(sums.groups, usual, sums.services, params.symptoms)


def _paths(
    tables: Mapping[str, pd.DataFrame], fabric: topology.Map, groups: pd.DataFrame, samples: pd.DataFrame
) -> tuple[pd.DataFrame, paths.Paths]:
    """Return all pairs of two hosts that have groups, one row each, and the paths between them."""
    hosts = sorted(set(tables["hosts"]["host"].dropna()))
    host_pairs, _ = tally.grouped(groups, HOSTS)
    host_pairs = host_pairs[~tally.same(*(host_pairs[end] for end in HOSTS))].reset_index(drop=True)
    ends = [host_pairs[end].array for end in HOSTS]
    wanted = list(
        zip(*(end.categories.to_numpy(dtype=object)[end.codes].tolist() for end in ends), strict=True)
    )
    found = paths.find_paths(fabric.directed, hosts, wanted, fabric.closed, routed(tables, fabric))
    return host_pairs, replace(
        found, followed=traces.followed(found, fabric.directed, wanted, tables, samples)
    )
