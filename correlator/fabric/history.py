"""Seven days of hourly tables from before the run, made by the same physics, written as Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from correlator import frames
from correlator.fabric.dice import Floats, Ints
from correlator.fabric.flows import Flows, Traits, opened, traits
from correlator.fabric.interfaces import Interfaces
from correlator.fabric.physics import World
from correlator.fabric.tally import BUCKETS, bucket
from correlator.fabric.workload import PORTS, Container, Pair

DAYS = 7
HOUR_S = 3600.0
POLLS_AN_HOUR = 60  # readings of light and load that an hour is made of
SAMPLES = 2000  # draws that a pair's usual histogram is made of
SQUARED = {"rx_power_dbm": "rx_power_squared", "tx_power_dbm": "tx_power_squared"}
LOAD_NOISE, SPEED_NOISE = 0.02, 0.01  # of hourly means: short noise averages out
WHY = "made by the simulator to stand for the week before the run"


@dataclass(frozen=True)
class Past:
    """The whole hours before the run: their starts, and their middles in (negative) seconds of the run."""

    world: World
    hours: pd.DatetimeIndex
    middle: Floats
    day: Floats

    @classmethod
    def of(cls, world: World) -> Past:
        """Return the last seven days of full hours before the world's start."""
        last = world.start.replace(minute=0, second=0, microsecond=0)
        first = last - timedelta(days=DAYS)
        hours = pd.date_range(first, last, freq="h", inclusive="left").as_unit("us")
        lead = (first - world.start).total_seconds() + HOUR_S / 2
        middle: Floats = lead + HOUR_S * np.arange(len(hours), dtype=np.float64)
        return cls(world, hours, middle, np.array([world.day(second) for second in middle]))

    def __len__(self) -> int:
        return len(self.hours)

    def rng(self, purpose: str) -> np.random.Generator:
        """Return a stream of dice for one part of the history."""
        return self.world.setting.dice.stream("history", purpose)

    def table(self, keys: Mapping[str, list[Any]], metric: str, values: Mapping[str, Any]) -> pd.DataFrame:
        """Return rows of one metric, thing by thing, hour by hour; ``values`` are (things, hours) arrays."""
        things = len(next(iter(keys.values())))
        columns: dict[str, Any] = {
            "at": np.tile(self.hours + pd.Timedelta(hours=1), things),
            **{name: np.repeat(np.array(value, object), len(self)) for name, value in keys.items()},
            "hour": np.tile(self.hours, things),
            "metric": metric,
        }
        for name in ("at", "hour"):
            columns[name] = pd.DatetimeIndex(columns[name])
        arrays = {name: np.broadcast_to(value, (things, len(self))).ravel() for name, value in values.items()}
        return pd.DataFrame(columns | arrays)


def write_history(world: World, directory: Path) -> None:
    """Write the tables of ``history`` into ``directory`` as TABLE.parquet. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, table in history(world).items():
        pq.write_table(frames.to_arrow(name, table), directory / f"{name}.parquet")


def history(world: World) -> dict[str, pd.DataFrame]:
    """Return the hourly tables of the week before ``world`` began, and annotations that call them made."""
    past = Past.of(world)
    tables = {
        "link_hours": pd.concat(_link_hours(past), ignore_index=True),
        "optics_hours": pd.concat(_optics_hours(past), ignore_index=True),
        "pair_hours": pd.concat(_pair_hours(past), ignore_index=True),
    }
    notes = [
        {"at": world.start, "subject": name, "kind": "preloaded", "by": "fabric", "why": WHY}
        for name in tables
    ]
    return tables | {"annotations": frames.frame("annotations", notes)}


def _link_hours(past: Past) -> Iterator[pd.DataFrame]:
    world, layout = past.world, past.world.setting.layout
    interfaces = Interfaces(layout, world.links.counts, world.setting.dice)
    ports = [p for p in layout.ports if p.kind != "nic" and interfaces.links[0, p.number] >= 0]
    into, out = (interfaces.links[side, [p.number for p in ports]] for side in (0, 1))
    keys = {"device": [p.device for p in ports], "if_name": [p.if_name for p in ports]}
    packets, load = _packets(past), _load(past)
    errors = past.rng("errors").poisson(
        packets * world.losses(past.middle[-1])[:-1, None] + _spoiled(past, packets)
    )
    seen = packets[into] + errors[into]
    yield past.table(keys, "errors", {"exposure": seen, "count": errors[into].astype(float)})
    yield past.table(keys, "discards", {"exposure": packets[out], "count": 0.0})
    for metric, link in (("utilisation_in", into), ("utilisation_out", out)):
        values = {"exposure": 60.0, "count": 60.0, "sum": load[link] * POLLS_AN_HOUR}
        yield past.table(keys, metric, values)


def _bps(past: Past) -> Floats:
    """Return the mean load of each directed link and hour, bit/s, containers' own not counted."""
    world = past.world
    noise = np.exp(past.rng("load").normal(0.0, LOAD_NOISE, (world.setting.layout.links, len(past))))
    usual = world.background.mean_bps(past.day[:, None]).T * noise
    bps: Floats = usual + np.array([world.busy_bps(float(day)) for day in past.day]).T
    return bps


def _load(past: Past) -> Floats:
    load: Floats = _bps(past) / past.world.links.speed[:-1, None]
    return load


def _packets(past: Past) -> Floats:
    """Return frames on each directed link and hour."""
    world = past.world
    containers = world.traffic.segments_per_second()[:, None] * past.day * HOUR_S
    packets: Floats = np.rint(_bps(past) * HOUR_S / 8 / world.background.octets[:, None] + containers)
    return packets


def _spoiled(past: Past, packets: Floats) -> Floats:
    """Return bad frames that cut-through switches passed on to each link in each hour, on average."""
    world = past.world
    rate = packets.mean(axis=1) * world.losses(past.middle[-1])[:-1]
    passed = world.background.expected_spoiled(world.links, rate)
    spoiled: Floats = passed[:, None] * past.day / past.day.mean()
    return spoiled


def _optics_hours(past: Past) -> Iterator[pd.DataFrame]:
    world, rng, within = past.world, past.rng("light"), past.rng("light within hours")
    modules, light = world.modules, world.setting.physics.light
    ports = [p for p in world.setting.layout.ports if p.kind != "nic" and modules.far[p.number] >= 0]
    number = [p.number for p in ports]
    keys: dict[str, list[Any]] = {
        "device": [p.device for p in ports],
        "if_name": [p.if_name for p in ports],
        "lane": [1] * len(ports),
    }
    at = world.day_second(0.0) + past.middle
    rx, tx = (mean[:, number].T for mean in modules.means_dbm(at, world.shade(past.middle)))
    warm = light.temperature_sine_c * np.sin(2 * np.pi * (at / 86_400.0 - 0.4))
    noise = modules.noise[number][:, None]
    means = {
        "rx_power_dbm": (rx, noise),
        "tx_power_dbm": (tx, noise),
        "bias_ma": (modules.bias[number][:, None], light.bias_noise_ma),
        "temperature_c": (modules.warmth[number][:, None] + warm, light.temperature_noise_c),
    }
    for metric, (mean, spread) in means.items():
        fresh = rng.normal(0.0, 1.0, (len(ports), len(past))) * spread * np.sqrt(POLLS_AN_HOUR)
        total = mean * POLLS_AN_HOUR + fresh
        yield past.table(keys, metric, {"exposure": 60.0, "count": 60.0, "sum": total})
        if metric in SQUARED:
            squares = total**2 / POLLS_AN_HOUR + spread**2 * within.chisquare(POLLS_AN_HOUR - 1, total.shape)
            yield past.table(keys, SQUARED[metric], {"exposure": 60.0, "count": 60.0, "sum": squares})


@dataclass(frozen=True)
class Usual:
    """The pairs of an ordinary hour, short-lived ones as one that does a part of the work all the time."""

    pairs: list[Pair]
    rows_an_hour: Floats
    connections_an_hour: Floats
    flows: Flows
    traits: Traits


def _usual(world: World) -> Usual:
    traffic, work = world.traffic, world.setting.physics.work
    lasting = list(world.setting.workload.pairs)
    jobs = list(_jobs(world))
    pairs = lasting + [pair for pair, _ in jobs]
    flows = opened(pairs, 0, traffic.router, world.setting.dice.stream("history", "ports"))
    per_hour = HOUR_S / work.interval_s
    life = traffic.habits.connection_life_s
    rows = [per_hour] * len(lasting) + [n * (sum(work.life_s) / 2 / work.interval_s + 1) for _, n in jobs]
    new = [pair.connections * HOUR_S / life for pair in lasting] + [n * 1.5 for _, n in jobs]
    none = world.setting.layout.links
    known = traits(flows, pairs, traffic.hosts, traffic.services, none, world.setting.physics.tcp)
    return Usual(pairs, np.array(rows), np.array(new), flows, known)


def _jobs(world: World) -> Iterator[tuple[Pair, float]]:
    """Yield for each host, kind of job and server the steady pair that does as much, and its jobs an hour."""
    load, work = world.setting.workload, world.setting.physics.work
    life = sum(work.life_s) / 2
    each_hour = HOUR_S / (life + 0.5 + work.pause_s) / len(load.batch)
    for host in range(len(world.setting.layout.hosts)):
        for call, rate, request, answer in load.batch:
            servers = load.batch_servers[host, call.server]
            for server in servers:
                jobs = each_hour / len(servers)
                client = Container("", "batch", "batch", "", host, f"10.0.0.{host % 250}", "", 0.0)
                duty = rate * jobs * life / HOUR_S
                yield Pair(client, server, PORTS[call.server], 4, duty, request, answer, 0.0, 0.0), jobs


def _pair_hours(past: Past) -> Iterator[pd.DataFrame]:
    world, usual = past.world, _usual(past.world)
    layout = world.setting.layout
    groups = sorted({_group(pair) for pair in usual.pairs})
    of_pair = np.array([groups.index(_group(pair)) for pair in usual.pairs])
    of_flow = of_pair[usual.flows.pair]
    names = [machine.name for machine in layout.hosts]
    keys = {
        "src_host": [names[group[0]] for group in groups],
        "dst_host": [names[group[1]] for group in groups],
        "src_service": [group[2] for group in groups],
        "dst_service": [group[3] for group in groups],
    }
    summed = _Summed(past, usual, of_flow, of_pair, len(groups))
    for metric, values in (*summed.losses(), *summed.times(), *summed.rates()):
        yield past.table(keys, metric, values)


def _group(pair: Pair) -> tuple[int, int, str, str]:
    return pair.client.host, pair.server.host, pair.client.service, pair.server.service


Metric = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class _Summed:
    """Sums over the flows of each group of pairs, hour by hour: arrays (groups, hours)."""

    past: Past
    usual: Usual
    of_flow: Ints
    of_pair: Ints
    groups: int

    def _total(self, per_flow: Floats) -> Floats:
        """Return the hourly sum of a rate per second and flow, moved by the time of day."""
        total = np.bincount(self.of_flow, per_flow, self.groups)[:, None] * self.past.day * HOUR_S
        hourly: Floats = total
        return hourly

    def losses(self) -> Iterator[Metric]:
        """Yield needed retransmissions and time-outs among the data segments of both ends."""
        world, t, flows = self.past.world, self.usual.traits, self.usual.flows
        loss, habits, rng = world.losses(self.past.middle[-1]), world.traffic.habits, self.past.rng("losses")
        lost = [
            t.rate * segments * loss[path].sum(axis=1)
            for segments, path in ((t.request_segments, flows.forward), (t.answer_segments, flows.reverse))
        ]
        segments = t.rate * (t.request_segments + t.answer_segments)
        timers = lost[0] * np.where(t.request_segments <= 2, habits.rto_single, habits.rto_many)
        timers += lost[1] * np.where(t.answer_segments <= 2, habits.rto_single, habits.rto_many)
        exposure = rng.poisson(self._total(segments)).astype(float)
        for metric, rate in (("retransmissions", sum(lost)), ("rto", timers)):
            count = rng.poisson(self._total(rate)).astype(float)
            yield metric, {"exposure": exposure, "count": count}

    def times(self) -> Iterator[Metric]:
        """Yield response time with its histogram, service time and the least round-trip time."""
        world, t, rng = self.past.world, self.usual.traits, self.past.rng("times")
        coverage = np.array([world.traffic.habits.of(pair)[:2] for pair in self.usual.pairs])[
            self.usual.flows.pair
        ]
        served = t.median_ms * np.exp(t.sigma**2 / 2)
        speed = np.exp(rng.normal(0.0, SPEED_NOISE, (self.groups, len(self.past))))
        shares = self._histogram(t.rate * coverage[:, 0])
        counts = rng.poisson(shares[:, None, :] * (self.past.day * HOUR_S)[:, None])
        answered = counts.sum(axis=2).astype(float)
        mean = self._mean(served + (t.base_us + t.jitter_us) / 1000.0, t.rate)[:, None]
        lists = np.empty(counts.shape[:2], object)
        lists[:] = [[list(map(int, cell)) for cell in row] for row in counts]
        values = {"exposure": answered, "count": answered, "sum": answered * mean * speed, "histogram": lists}
        yield "response_ms", values
        timed = rng.poisson(self._total(t.rate * coverage[:, 1])).astype(float)
        total = timed * self._mean(served, t.rate)[:, None] * speed
        yield "service_ms", {"exposure": timed, "count": timed, "sum": total}
        samples = np.rint(np.bincount(self.of_pair, self.usual.rows_an_hour, self.groups))[:, None]
        least = self._mean(t.base_us * 1.005, t.rate)[:, None]
        yield "min_rtt_us", {"exposure": samples, "count": samples, "sum": samples * least}

    def rates(self) -> Iterator[Metric]:
        """Yield exchanges and new connections, against the seconds that clients were watched."""
        rng, usual = self.past.rng("rates"), self.usual
        watched = np.rint(np.bincount(self.of_pair, usual.rows_an_hour, self.groups))[:, None]
        seconds = watched * self.past.world.setting.physics.work.interval_s
        exchanges = rng.poisson(self._total(usual.traits.rate)).astype(float)
        yield "exchanges", {"exposure": seconds, "count": exchanges}
        opened_ = np.bincount(self.of_pair, usual.connections_an_hour, self.groups)[:, None]
        count = rng.poisson(np.broadcast_to(opened_, exchanges.shape)).astype(float)
        yield "connections", {"exposure": seconds, "count": count}

    def _mean(self, value: Floats, weight: Floats) -> Floats:
        total = np.bincount(self.of_flow, value * weight, self.groups)
        mean: Floats = total / np.bincount(self.of_flow, weight, self.groups)
        return mean

    def _histogram(self, weight: Floats) -> Floats:
        """Return responses per second of each group by bucket, from draws of the same times as in the run."""
        t, rng = self.usual.traits, self.past.rng("histogram")
        shape = (len(weight), SAMPLES)
        service = t.median_ms[:, None] * np.exp(t.sigma[:, None] * rng.normal(size=shape))
        network = (t.base_us[:, None] + t.jitter_us[:, None] * rng.exponential(size=shape)) / 1000.0
        cell = np.repeat(self.of_flow, SAMPLES) * BUCKETS + bucket(service + network).ravel()
        share = np.bincount(cell, np.repeat(weight / SAMPLES, SAMPLES), self.groups * BUCKETS)
        return np.asarray(share, np.float64).reshape(self.groups, BUCKETS)
