"""TCP connections of container pairs and the paths that hashing gives them, each direction apart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from correlator.fabric.dice import Bools, Dice, Floats, Ints
from correlator.fabric.layout import Layout
from correlator.fabric.links import HOPS
from correlator.fabric.parameters import Tcp, Wire
from correlator.fabric.workload import Pair

EPHEMERAL = (32768, 60999)  # Linux's ip_local_port_range


@dataclass(frozen=True)
class Flows:
    """Connections of pairs: ``pair`` is a row of the pairs they were made of, paths hold directed links.

    Both paths have ``HOPS`` columns, filled with ``layout.links`` ("no link").
    """

    pair: Ints
    port: Ints
    forward: Ints
    reverse: Ints

    def __len__(self) -> int:
        return len(self.pair)


@dataclass
class Router:
    """Chooses among equal-cost paths as switches do: each leaf hashes the 5-tuple with a salt of its own."""

    layout: Layout
    dice: Dice
    salts: list[bytes] = field(init=False)

    def __post_init__(self) -> None:
        rng = self.dice.stream("hash")
        self.salts = [rng.bytes(8) for _ in range(self.layout.size.leaves)]

    def paths(self, pair: Pair, port: int) -> tuple[list[int], list[int]]:
        """Return the directed links that requests from client port ``port`` and their answers cross."""
        client, server = pair.client.address, pair.server.address
        there = f"tcp {client}:{port} {server}:{pair.port}"
        back = f"tcp {server}:{pair.port} {client}:{port}"
        return self._path(pair.client.host, pair.server.host, there), self._path(
            pair.server.host, pair.client.host, back
        )

    def _path(self, source: int, target: int, key: str) -> list[int]:
        layout, none = self.layout, self.layout.links
        if source == target:
            return [none] * HOPS
        a, b = layout.hosts[source], layout.hosts[target]
        out, into = int(layout.out_of[a.number]), int(layout.into[b.number])
        if a.leaf == b.leaf:
            return [out, into, none, none]
        spine = self._choice(a.leaf, key)
        return [out, int(layout.up[a.leaf, spine]), int(layout.down[spine, b.leaf]), into]

    def _choice(self, leaf: int, key: str) -> int:
        digest = hashlib.blake2b(key.encode(), digest_size=4, key=self.salts[leaf]).digest()
        return int.from_bytes(digest, "big") % self.layout.size.spines


def opened(pairs: Sequence[Pair], first: int, router: Router, rng: np.random.Generator) -> Flows:
    """Return the connections that pairs open; the first of them has row ``first`` in the table of pairs."""
    rows, ports, forward, reverse = [], [], [], []
    for row, pair in enumerate(pairs, first):
        for port in rng.integers(EPHEMERAL[0], EPHEMERAL[1] + 1, pair.connections):
            there, back = router.paths(pair, int(port))
            rows.append(row)
            ports.append(int(port))
            forward.append(there)
            reverse.append(back)
    shape = (len(rows), HOPS)
    return Flows(
        np.array(rows, np.int64),
        np.array(ports, np.int64),
        np.array(forward, np.int64).reshape(shape),
        np.array(reverse, np.int64).reshape(shape),
    )


def reopened(
    flows: Flows, which: Bools, pairs: Sequence[Pair], router: Router, rng: np.random.Generator
) -> Flows:
    """Return the flows with those in ``which`` opened again from another port, maybe over another path."""
    ports, forward, reverse = flows.port.copy(), flows.forward.copy(), flows.reverse.copy()
    for row in np.flatnonzero(which):
        ports[row] = rng.integers(EPHEMERAL[0], EPHEMERAL[1] + 1)
        forward[row], reverse[row] = router.paths(pairs[flows.pair[row]], int(ports[row]))
    return Flows(flows.pair, ports, forward, reverse)


def kept(flows: Flows, alive: Bools) -> Flows:
    """Return the flows of the pairs that are ``alive`` (by row), with the rows that they have among those."""
    stay = alive[flows.pair]
    renumbered = np.cumsum(alive) - 1
    return Flows(renumbered[flows.pair[stay]], flows.port[stay], flows.forward[stay], flows.reverse[stay])


def joined(one: Flows, other: Flows) -> Flows:
    """Return both."""
    names = ("pair", "port", "forward", "reverse")
    return Flows(*(np.concatenate([getattr(one, n), getattr(other, n)]) for n in names))


@dataclass(frozen=True)
class Traits:
    """What does not change of a flow: frames, segments, times. Arrays by flow."""

    rate: Floats
    request_segments: Ints
    answer_segments: Ints
    request_octets: Ints
    answer_octets: Ints
    base_us: Floats
    jitter_us: Floats
    median_ms: Floats
    sigma: Floats
    service: Ints
    local: Bools


@dataclass(frozen=True)
class Hosts:
    """What is drawn once for each host and each hop."""

    stack_us: Floats
    jitter_us: Floats
    hop_us: float

    @classmethod
    def draw(cls, count: int, dice: Dice, wire: Wire, jitter: tuple[float, float]) -> Hosts:
        """Return the delays of ``count`` hosts."""
        rng = dice.stream("hosts")
        stack, jitters = rng.uniform(*wire.stack_us, count), rng.uniform(*jitter, count)
        return cls(stack, jitters, float(rng.uniform(*wire.hop_us)))


def traits(
    flows: Flows,
    pairs: Sequence[Pair],
    hosts: Hosts,
    services: dict[str, tuple[int, float, float]],
    none: int,
    tcp: Tcp,
) -> Traits:
    """Return the lasting properties of flows. ``services``: number, median and sigma by name."""
    mine = [pairs[row] for row in flows.pair]
    octets = np.array([(p.request_octets, p.answer_octets) for p in mine], np.int64).reshape(-1, 2)
    segments = -(-octets // tcp.mss)
    hosts_of = np.array([(p.client.host, p.server.host) for p in mine], np.int64).reshape(-1, 2)
    hops = (flows.forward != none).sum(axis=1) + (flows.reverse != none).sum(axis=1)
    of = np.array([services[p.server.service] for p in mine], float).reshape(-1, 3)
    frames = octets // np.maximum(segments, 1) + tcp.frame_octets
    return Traits(
        np.array([p.rate / p.connections for p in mine]),
        segments[:, 0],
        segments[:, 1],
        frames[:, 0],
        frames[:, 1],
        hosts.stack_us[hosts_of].sum(axis=1) + hops * hosts.hop_us,
        hosts.jitter_us[hosts_of].sum(axis=1),
        of[:, 1],
        of[:, 2],
        of[:, 0].astype(np.int64),
        hosts_of[:, 0] == hosts_of[:, 1],
    )
