"""What there is to see before anybody is blamed: the map, its health and light, the slow pairs.

The parts of the engine do not know each other; here they are put together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from correlator import frames
from correlator.engine import (
    baseline,
    diagnose,
    health,
    impacts,
    lanes,
    localize,
    measures,
    optics,
    pairs,
    paths,
    rates,
    symptoms,
    topology,
)
from correlator.engine.settings import Params
from correlator.model import Window

HOSTS = ["src_host", "dst_host"]
MAPPED = ("neighbors", "hosts", "cables", "interfaces", "devices", "stations", "arp")


@dataclass(frozen=True)
class View:
    """The tables of a cycle and what the steps before localisation made of them.

    ``health`` has a row a directed link, ``light`` one a directed link and lane, ``symptoms`` one a
    host pair × service pair, ``container_pairs`` one a container pair, ``host_pairs`` one a host pair.
    """

    now: datetime
    window: Window
    tables: Mapping[str, pd.DataFrame]
    fabric: topology.Map
    health: pd.DataFrame
    light: pd.DataFrame
    symptoms: pd.DataFrame
    container_pairs: pd.DataFrame
    host_pairs: pd.DataFrame
    paths: paths.Paths
    evidence: localize.Evidence
    scene: diagnose.Scene


def accepted(tables: Mapping[str, pd.DataFrame], now: datetime) -> dict[str, pd.DataFrame]:
    """Return every table of ``frames``: empty where absent, without rows from the future.

    Samples of pairs add up, so those that were read twice count once; all others are taken by key.
    """
    answer = {}
    for name in frames.TABLES:
        table = tables[name] if name in tables else frames.empty(name)
        answer[name] = table[table["at"] <= pd.Timestamp(now)].reset_index(drop=True)
    samples = answer["pair_samples"]
    return answer | {"pair_samples": samples[~_repeated(samples)].reset_index(drop=True)}


def _repeated(table: pd.DataFrame) -> pd.Series[bool]:
    """Return which rows say exactly what an earlier row said (a batch that was read twice)."""
    plain = table.copy(deep=False)
    for column in ("response_histogram", "source_ports"):
        plain[column] = plain[column].map(str)
    return plain.duplicated()


def look(tables: Mapping[str, pd.DataFrame], now: datetime, params: Params) -> View:
    """Return the view at ``now`` of tables that were accepted."""
    since = now - params.window
    fabric = topology.build_map(*(tables[name] for name in MAPPED))
    links, light = _links(tables, fabric, since, now, params)
    samples = pairs.resolve(tables["pair_samples"], tables["containers"], tables["hosts"])
    observed = pairs.observations(samples, tables["containers"])
    table = _symptoms(observed, tables["pair_hours"], since, now, params)
    found = _paths(tables, fabric, symptoms.host_pairs(table))
    sick = (links["sick"] | links["dropping"]).to_numpy()
    crossing = (found.forward + found.reverse)[:, np.flatnonzero(sick)]
    table = symptoms.along(table, symptoms.host_pairs(table), crossing, params.symptoms)
    table = table.assign(onset=symptoms.onsets(observed, table, now, params.symptoms))
    by_hosts = symptoms.host_pairs(table)
    strongest = optics.strongest(light, len(fabric.directed))
    return View(
        now=now,
        window=Window(since, now),
        tables=tables,
        fabric=fabric,
        health=links,
        light=light,
        symptoms=table,
        container_pairs=impacts.container_pairs(
            observed, table, since, now - timedelta(seconds=params.measures.times_s)
        ),
        host_pairs=by_hosts,
        paths=found,
        evidence=localize.Evidence(
            by_hosts, found.forward, found.reverse, links, strongest["nats"].to_numpy()
        ),
        scene=diagnose.Scene(links, strongest, Window(since, now)),
    )


def _links(
    tables: Mapping[str, pd.DataFrame], fabric: topology.Map, since: datetime, now: datetime, params: Params
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return health and light of every directed link."""
    moved = rates.rates(tables["counters"], tables["interfaces"], params.rates)
    links = health.health(
        fabric.directed, moved, tables["devices"], tables["link_hours"], since, params.health
    )
    read = lanes.read_lanes(tables["optics"], tables["optics_hours"], tables["interfaces"], now, params.lanes)
    light = optics.light(fabric.directed, read, params.lanes, params.optics)
    return links, light


def _symptoms(
    observed: pd.DataFrame, pair_hours: pd.DataFrame, since: datetime, now: datetime, params: Params
) -> pd.DataFrame:
    """Return what is slower than usual: groups by themselves, services by server and altogether."""
    recent = observed[observed["at"] > pd.Timestamp(since)]
    table = measures.measured(recent, pairs.PAIR, now, params.measures)
    usual = baseline.usual(pair_hours, table, now, params.baseline)
    service_hours = baseline.service_hours(pair_hours, now)
    servers = []
    for keys in (["dst_host", "dst_service"], ["dst_service"]):
        pooled = measures.measured(recent, keys, now, params.measures)
        known = baseline.usual_service(service_hours, pooled, now, params.baseline)
        servers.append(pooled.join(symptoms.prefixed(known, keys).drop(columns=keys)))
    return symptoms.symptoms(table, usual, servers, params.symptoms)


def _paths(tables: Mapping[str, pd.DataFrame], fabric: topology.Map, by_hosts: pd.DataFrame) -> paths.Paths:
    hosts = sorted(set(tables["hosts"]["host"].dropna()))
    wanted = list(by_hosts[HOSTS].itertuples(index=False, name=None))
    return paths.find_paths(fabric.directed, hosts, wanted, fabric.closed)
