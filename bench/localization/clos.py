"""Seeded traces of a three-tier Clos fabric, of our own making: who talks, over what, and what is lost.

Ten pods of five ToRs and five aggregation switches, 25 cores, 15 hosts a ToR: 2,500 directed links.
100 flows a host, Pareto sizes, equal-cost paths at random; every host probes every core both ways
with 40 packets. Good links lose up to ``noise``, failed ones ``loss``; a packet is lost on its way
with the chance that its links add up to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from localization.traces import FIRST_HOST, Ints, Trace

PACKET = 1500
PROBE_PACKETS = 40


@dataclass(frozen=True)
class Shape:
    """What a trace is drawn from."""

    pods: int = 10
    tors: int = 5
    aggs: int = 5
    cores: int = 25
    hosts: int = 15
    flows: int = 100  # a host
    loss: tuple[float, float] = (0.001, 0.01)
    noise: float = 1e-4
    skew: bool = False  # half of all ends in a twentieth of the racks
    alpha: float = 1.05  # of the Pareto sizes
    mean_bytes: float = 200 * 1024
    most_bytes: float = 100 * 2**20


SETS = {
    "uniform": Shape(),
    "skew": Shape(skew=True),
    "low": Shape(loss=(0.0005, 0.002), noise=1e-5),
}
SMALL = {
    name: replace(shape, pods=4, tors=3, aggs=2, cores=4, hosts=4, flows=60) for name, shape in SETS.items()
}


class _Fabric:
    """Links by number, and every equal-cost path between two racks as links (−1 pads)."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.racks = shape.pods * shape.tors
        self.first_agg, self.first_core = self.racks, self.racks + shape.pods * shape.aggs
        self.links: list[tuple[int, int]] = []
        self.number: dict[tuple[int, int], int] = {}
        for pod in range(shape.pods):
            for agg in range(shape.aggs):
                for tor in range(shape.tors):
                    self._join(self.tor(pod, tor), self.agg(pod, agg))
                for core in self.behind(agg):
                    self._join(self.agg(pod, agg), self.first_core + core)
        self.rack_of = np.repeat(np.arange(self.racks), shape.hosts)
        for host, rack in enumerate(self.rack_of):
            self._join(FIRST_HOST + host, int(rack))

    def tor(self, pod: int, tor: int) -> int:
        return pod * self.shape.tors + tor

    def agg(self, pod: int, agg: int) -> int:
        return self.first_agg + pod * self.shape.aggs + agg

    def behind(self, agg: int) -> range:
        cores, aggs = self.shape.cores, self.shape.aggs
        return range(agg * cores // aggs, (agg + 1) * cores // aggs)

    def _join(self, u: int, v: int) -> None:
        for link in ((u, v), (v, u)):
            self.number[link] = len(self.links)
            self.links.append(link)

    def along(self, *nodes: int) -> list[int]:
        return [self.number[hop] for hop in pairwise(nodes)]

    def between(self, s: int, d: int) -> list[list[int]]:
        """Return every equal-cost path of links from rack to rack."""
        pod_s, pod_d, shape = s // self.shape.tors, d // self.shape.tors, self.shape
        if s == d:
            return [[]]
        if pod_s == pod_d:
            return [self.along(s, self.agg(pod_s, a), d) for a in range(shape.aggs)]
        return [
            self.along(s, self.agg(pod_s, a), self.first_core + core, self.agg(pod_d, a), d)
            for a in range(shape.aggs)
            for core in self.behind(a)
        ]


def trace(shape: Shape, seed: int, failures: int) -> Trace:
    """Return the trace of a seed."""
    dice, fabric = np.random.default_rng(seed), _Fabric(shape)
    rate = dice.uniform(0.0, shape.noise, len(fabric.links))
    failed = dice.choice(len(fabric.links), failures, replace=False)
    rate[failed] = dice.uniform(*shape.loss, failures)
    paths, first, many = _paths(fabric)
    source, destination, sent = _traffic(fabric, dice)
    path_set = fabric.rack_of[source] * fabric.racks + fabric.rack_of[destination]
    taken = first[path_set] + (dice.random(len(sent)) * many[path_set]).astype(np.int64)
    up = np.array([fabric.number[FIRST_HOST + h, int(r)] for h, r in enumerate(fabric.rack_of)])
    ends = np.stack([up[source], up[destination] + 1], axis=1)  # _join numbers the way back next
    crossed = np.concatenate([ends[:, :1], paths[taken], ends[:, 1:]], axis=1)
    probes = _probes(fabric, dice, up)
    width = crossed.shape[1]
    probes = np.pad(probes, ((0, 0), (0, width - probes.shape[1])), constant_values=-1)
    crossed = np.concatenate([crossed, probes])
    sent = np.concatenate([sent, np.full(len(probes), PROBE_PACKETS)])
    good = np.where(crossed >= 0, np.log1p(-rate[crossed]), 0.0).sum(axis=1)
    size = len(fabric.links)
    return Trace(
        name=f"seed {seed}",
        links=fabric.links,
        failed={int(link): float(rate[link]) for link in failed},
        paths=_sparse(paths, size),
        set_of_path=np.repeat(np.arange(len(many)), many),
        sent=sent,
        lost=dice.binomial(sent, -np.expm1(good)),
        crossed=_sparse(crossed, size),
        ends=_sparse(np.concatenate([ends, np.full((len(probes), 2), -1)]), size),
        path_set=np.concatenate([path_set, np.full(len(probes), -1)]),
    )


def _paths(fabric: _Fabric) -> tuple[Ints, Ints, Ints]:
    """Return all paths (padded), and of each pair of racks its first path and how many it has."""
    sets = [fabric.between(s, d) for s in range(fabric.racks) for d in range(fabric.racks)]
    many = np.array([len(paths) for paths in sets], dtype=np.int64)
    padded = np.array([path + [-1] * (4 - len(path)) for paths in sets for path in paths], dtype=np.int64)
    return padded, np.cumsum(many) - many, many


def _traffic(fabric: _Fabric, dice: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """Return source, destination and packets of every flow."""
    shape, hosts = fabric.shape, len(fabric.rack_of)
    count = shape.flows * hosts
    hot_racks = dice.choice(fabric.racks, max(1, fabric.racks // 20), replace=False)
    hot = np.flatnonzero(np.isin(fabric.rack_of, hot_racks))

    def ends(number: int) -> Ints:
        anywhere = dice.integers(hosts, size=number)
        return np.where(
            dice.random(number) < 0.5 * shape.skew, hot[dice.integers(len(hot), size=number)], anywhere
        )

    source, destination = ends(count), ends(count)
    while (same := source == destination).any():
        destination[same] = ends(int(same.sum()))
    return source, destination, np.ceil(_sizes(shape, count, dice) / PACKET).astype(np.int64)


def _sizes(shape: Shape, count: int, dice: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return sizes in bytes: Pareto, drawn again above the largest."""
    least = shape.mean_bytes * (shape.alpha - 1.0) / shape.alpha
    sizes = np.full(count, np.inf)
    while (over := sizes > shape.most_bytes).any():
        sizes[over] = (dice.pareto(shape.alpha, int(over.sum())) + 1.0) * least
    return sizes


def _probes(fabric: _Fabric, dice: np.random.Generator, up: Ints) -> Ints:
    """Return the links of every probe: each host to each core and back, by the way that reaches it."""
    shape, rows = fabric.shape, []
    for host, rack in enumerate(fabric.rack_of.tolist()):
        pod = rack // shape.tors
        for agg in range(shape.aggs):
            for core in fabric.behind(agg):
                there = fabric.along(rack, fabric.agg(pod, agg), fabric.first_core + core)
                rows.append([int(up[host]), *there])
                rows.append([*(link ^ 1 for link in reversed(there)), int(up[host]) + 1])
    return np.array(rows, dtype=np.int64)


def _sparse(padded: Ints, width: int) -> csr_array:
    real = padded >= 0
    start = np.concatenate([[0], np.cumsum(real.sum(axis=1))])
    columns = padded[real]
    return csr_array((np.ones(len(columns), dtype=np.int8), columns, start), shape=(len(padded), width))
