"""Traffic that no container sends: what machines have anyway, streams that fill a link, keep-alives."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from correlator.fabric.dice import Dice, Floats, Ints, log_uniform
from correlator.fabric.layout import Layout, Machine
from correlator.fabric.links import HOPS, Links
from correlator.fabric.parameters import Wire

CONTROL_OCTETS = 200  # a keep-alive's frame


@dataclass
class Background:
    """The load on each directed link, without the containers; arrays by link, without the "no link" entry."""

    layout: Layout
    wire: Wire
    dice: Dice
    base_bps: Floats = field(init=False)
    control_pps: Floats = field(init=False)
    octets: Ints = field(init=False)
    wander: Floats = field(init=False)

    def __post_init__(self) -> None:
        rng = self.dice.stream("background")
        size = self.layout.links
        idle = np.repeat([cable.kind == "peer" for cable in self.layout.cables], 2)
        pps = log_uniform(rng, self.wire.control_pps, size)
        self.control_pps = np.where(idle, log_uniform(rng, self.wire.idle_link_pps, size), pps)
        self.octets = np.where(idle, CONTROL_OCTETS, rng.uniform(*self.wire.packet_octets, size)).astype(
            np.int64
        )
        self.base_bps = gravity(self.layout, self.wire, rng)
        self.wander = np.zeros(size)

    def mean_bps(self, day: float | Floats = 1.0) -> Floats:
        """Return the usual load of every link at a time of day (``day``: the factor on all traffic)."""
        bps: Floats = self.base_bps * day + self.control_pps * self.octets * 8.0
        return bps

    def offered_bps(self, second: int, dt: int, day: float, streams: Floats) -> Floats:
        """Return the load offered to each egress now, after ``dt`` more seconds of wandering."""
        rng = self.dice.stream("load", second)
        keep = float(np.exp(-dt / self.wire.load_memory_s))
        fresh = rng.normal(0.0, self.wire.load_noise, len(self.wander))
        self.wander = keep * self.wander + np.sqrt(1 - keep**2) * fresh
        level = 1.0 + float(rng.normal(0.0, self.wire.stream_noise))
        bps: Floats = self.base_bps * day * np.exp(self.wander) + streams * level
        return bps + self.control_pps * self.octets * 8.0

    def send(self, links: Links, offered_bps: Floats, second: int, dt: int) -> None:
        """Put ``dt`` seconds of this load on the links; cut-through switches pass on what got corrupted."""
        rng = self.dice.stream("background frames", second)
        packets = rng.poisson(offered_bps * dt / 8.0 / self.octets)
        corrupted = links.carry_each(np.append(packets, 0), np.append(self.octets, 0), rng)
        for link in np.flatnonzero((corrupted > 0) & links.cut_through):
            self._pass_on(links, int(link), int(corrupted[link]), rng, HOPS)

    def _pass_on(self, links: Links, link: int, bad: int, rng: np.random.Generator, hops: int) -> None:
        """Let bad frames that arrived over ``link`` leave its cut-through switch, and so on."""
        onward, share = self._onward(link)
        if not hops or not len(onward):
            return
        split = rng.multinomial(bad, share)
        links.pass_on(onward, split)
        for next_link, amount in zip(onward, split, strict=True):
            if amount and links.cut_through[next_link]:
                self._pass_on(links, int(next_link), int(amount), rng, hops - 1)

    def expected_spoiled(self, links: Links, corrupted: Floats) -> Floats:
        """Return how many bad frames a second reach each link through cut-through switches.

        ``corrupted`` is how many each directed link corrupts a second.
        """
        total, arriving = np.zeros_like(corrupted), corrupted
        for _ in range(HOPS):
            passed = np.zeros_like(corrupted)
            for link in np.flatnonzero((arriving > 0) & links.cut_through[:-1]):
                onward, share = self._onward(int(link))
                passed[onward] += arriving[link] * share
            total, arriving = total + passed, passed
        return total

    def _onward(self, link: int) -> tuple[Ints, Floats]:
        """Return where frames that arrive over ``link`` go next, in which shares; keep-alives: nowhere."""
        layout = self.layout
        switch = layout.switch_of(layout.receiver(link).number)
        if switch is None or layout.cables[link // 2].kind == "peer":
            return np.array([], np.int64), np.array([])
        if layout.switches[switch].leaf:
            leaf = switch
            local = [layout.into[m.number] for m in layout.machines if m.leaf == leaf]
            up = layout.up[leaf] if layout.sender(link).kind == "nic" else []
            onward = np.array([k for k in (*local, *up) if k != link ^ 1], np.int64)
        else:
            down = layout.down[switch - layout.size.leaves]
            onward = down[down != link ^ 1]
        weights = self.base_bps[onward]
        return onward, weights / weights.sum() if len(onward) else weights


def gravity(layout: Layout, wire: Wire, rng: np.random.Generator) -> Floats:
    """Return bit/s on every directed link when each machine sends to all others by their size.

    T(i, j) = out(i) · in(j) / Σ in between leaves, split over the spines in nearly equal shares; what
    enters a switch leaves it.
    """
    load = np.zeros(layout.links)
    speed = np.array([layout.ports[machine.port].speed_bps for machine in layout.machines], float)
    leaf = np.array([machine.leaf for machine in layout.machines])
    out, into = (rng.uniform(*wire.machine_load, len(speed)) * speed for _ in range(2))
    into *= out.sum() / into.sum()
    load[layout.out_of], load[layout.into] = out, into
    leaves, spines = layout.size.leaves, layout.size.spines
    between = np.outer(np.bincount(leaf, out, leaves), np.bincount(leaf, into, leaves)) / into.sum()
    np.fill_diagonal(between, 0.0)
    share = rng.dirichlet(np.full(spines, wire.spine_skew), (leaves, leaves))
    load[layout.up] = np.einsum("ij,ijs->is", between, share)
    load[layout.down] = np.einsum("ij,ijs->sj", between, share)
    return load


def filling(layout: Layout, link: int) -> Floats:
    """Return the load on every link of streams between machines that put 1 on ``link``."""
    load = np.zeros(layout.links)
    sources, sinks, spines = _ends(layout, link)
    trips = [(a, b) for a, b in itertools.product(sources, sinks) if a.number != b.number]
    for a, b in trips:
        for spine in spines:
            for crossed in _path(layout, a, b, spine):
                load[crossed] += 1.0
    return load / load[link] if load[link] else load


def _ends(layout: Layout, link: int) -> tuple[Sequence[Machine], Sequence[Machine], Sequence[int]]:
    """Return sources, sinks and spines of streams that meet on ``link``."""
    machines, every = layout.machines, range(layout.size.spines)
    for machine in machines:
        if link == layout.into[machine.number]:
            return machines, [machine], every
        if link == layout.out_of[machine.number]:
            return [machine], machines, every
    if link in layout.up:
        leaf, spine = (int(n[0]) for n in np.nonzero(layout.up == link))
        return [m for m in machines if m.leaf == leaf], [m for m in machines if m.leaf != leaf], [spine]
    spine, leaf = (int(n[0]) for n in np.nonzero(layout.down == link))
    return [m for m in machines if m.leaf != leaf], [m for m in machines if m.leaf == leaf], [spine]


def _path(layout: Layout, a: Machine, b: Machine, spine: int) -> Iterator[int]:
    yield int(layout.out_of[a.number])
    if a.leaf != b.leaf:
        yield int(layout.up[a.leaf, spine])
        yield int(layout.down[spine, b.leaf])
    yield int(layout.into[b.number])
