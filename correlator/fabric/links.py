"""Directed links: what they lose, how long their queues are, what they have carried and counted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from correlator.fabric.dice import Bools, Dice, Floats, Ints, log_uniform
from correlator.fabric.layout import Layout
from correlator.fabric.parameters import Wire

HOPS = 4  # host, leaf, spine, leaf, host


@dataclass(frozen=True)
class Counts:
    """What has happened on each directed link since the start; arrays by link, and one entry for "no link".

    A frame leaves as ``sent`` (good) or ``spoiled`` (a cut-through switch passes a bad one on), and arrives
    as ``received`` or ``errors``:  sent + spoiled = received + errors.  ``discards`` never left.
    """

    sent: Ints
    sent_octets: Ints
    spoiled: Ints
    received: Ints
    received_octets: Ints
    errors: Ints
    symbol_errors: Ints
    discards: Ints

    @classmethod
    def zero(cls, links: int) -> Counts:
        """Return counts of nothing."""
        return cls(*(np.zeros(links, np.int64) for _ in range(8)))


@dataclass
class Links:
    """The state of all directed links in this moment. Entry ``layout.links`` stands for "no link"."""

    layout: Layout
    wire: Wire
    dice: Dice
    counts: Counts = field(init=False)
    floor: Floats = field(init=False)
    loss: Floats = field(init=False)
    by_size: Floats = field(init=False)
    silent: Floats = field(init=False)
    drop: Floats = field(init=False)
    queue_us: Floats = field(init=False)
    cut_through: Bools = field(init=False)

    def __post_init__(self) -> None:
        size = self.layout.links + 1
        self.counts = Counts.zero(size)
        self.floor = np.append(
            log_uniform(self.dice.stream("loss floor"), self.wire.loss_floor, size - 1), 0.0
        )
        self.loss = self.floor.copy()
        self.by_size = np.zeros(size)
        self.silent = np.zeros(size)
        self.drop = np.zeros(size)
        self.queue_us = np.zeros(size)
        self.cut_through = np.zeros(size, np.bool_)
        self.speed = np.array([self.layout.sender(link).speed_bps for link in range(size - 1)] + [1], float)
        self.from_switch = np.array([self.layout.sender(k).kind != "nic" for k in range(size - 1)] + [False])

    def load(self, offered_bps: Floats, packet_octets: Floats) -> None:
        """Set discards and queues from the load offered to each egress: an M/M/1/K queue of one buffer.

        With ρ = offered / speed and room for K frames the share ρ^K (1−ρ)/(1−ρ^(K+1)) is discarded and
        ρ/(1−ρ) − (K+1) ρ^(K+1)/(1−ρ^(K+1)) frames wait on average (any text on queues; Kleinrock 1975,
        3.6). A host waits instead of discarding: its card pushes back into its sockets.
        """
        room = np.maximum(8.0, np.floor(self.wire.buffer_octets / packet_octets))
        load = np.clip(offered_bps / self.speed, 0.0, 4.0)
        load = np.where(np.abs(load - 1.0) < 1e-6, 1.0 + 1e-6, load)
        last = np.exp(np.clip((room + 1) * np.log(np.maximum(load, 1e-9)), -700.0, 700.0))
        blocked = last / np.maximum(load, 1e-9) * (1 - load) / (1 - last)
        waiting = load / (1 - load) - (room + 1) * last / (1 - last)
        self.drop = np.where(self.from_switch, np.clip(blocked, 0.0, 1.0), 0.0)
        self.drop[-1] = 0.0
        self.queue_us = np.clip(waiting, 0.0, room) * packet_octets * 8e6 / self.speed
        self.queue_us[-1] = 0.0

    def carry(self, paths: Ints, packets: Ints, octets: Ints, rng: np.random.Generator) -> Ints:
        """Send ``packets[i]`` frames of ``octets[i]`` along ``paths[i]``; return how many are lost.

        ``paths`` has ``HOPS`` columns of directed links, filled with "no link". Every frame that is lost is
        a discard at its egress or an error at the receiving interface, and at each further one that a
        cut-through switch passes the bad frame on to; or it vanishes, counted by nobody (``silent``).
        """
        good, bad = packets.copy(), np.zeros_like(packets)
        for hop in range(paths.shape[1]):
            link = paths[:, hop]
            discarded = rng.binomial(good, self.drop[link])
            good -= discarded + self._vanished(link, good - discarded, rng)
            self._left(link, good, bad, good * octets)
            corrupted = rng.binomial(good, self._loss(link, octets))
            good -= corrupted
            self._arrived(link, good, good * octets, corrupted + bad)
            self._add(self.counts.discards, link, discarded)
            self._symbols(link, corrupted, rng)
            bad = np.where(self.cut_through[link], corrupted + bad, 0)
        lost: Ints = packets - good
        return lost

    def carry_each(self, packets: Ints, octets: Ints, rng: np.random.Generator) -> Ints:
        """Send frames over each directed link alone (arrays by link); return how many each one corrupted."""
        every = np.arange(len(packets))
        good = packets - (discarded := rng.binomial(packets, self.drop))
        good -= self._vanished(every, good, rng)
        corrupted: Ints = rng.binomial(good, self._loss(every, octets))
        self._left(every, good, np.zeros_like(good), good * octets)
        self._arrived(every, good - corrupted, (good - corrupted) * octets, corrupted)
        self._add(self.counts.discards, every, discarded)
        self._symbols(every, corrupted, rng)
        return corrupted

    def _loss(self, link: Ints, octets: Ints) -> Floats:
        """Return the share of frames of these lengths that a link corrupts: bit errors hit long ones more."""
        share: Floats = self.loss[link] + self.by_size[link] * octets / self.wire.usual_octets
        return np.minimum(share, 1.0)

    def _vanished(self, link: Ints, packets: Ints, rng: np.random.Generator) -> Ints:
        """Return how many packets vanish in a switch before their egress counts them."""
        if not self.silent.any():
            return np.zeros_like(packets)
        vanished: Ints = rng.binomial(packets, self.silent[link])
        return vanished

    def pass_on(self, link: Ints, bad: Ints) -> None:
        """Count bad frames that a cut-through switch let through onto ``link``."""
        self._left(link, np.zeros_like(bad), bad, np.zeros_like(bad))
        self._arrived(link, np.zeros_like(bad), np.zeros_like(bad), bad)

    def _left(self, link: Ints, good: Ints, bad: Ints, octets: Ints) -> None:
        self._add(self.counts.sent, link, good)
        self._add(self.counts.spoiled, link, bad)
        self._add(self.counts.sent_octets, link, octets)

    def _arrived(self, link: Ints, good: Ints, octets: Ints, errors: Ints) -> None:
        self._add(self.counts.received, link, good)
        self._add(self.counts.received_octets, link, octets)
        self._add(self.counts.errors, link, errors)

    def _symbols(self, link: Ints, corrupted: Ints, rng: np.random.Generator) -> None:
        self._add(self.counts.symbol_errors, link, rng.binomial(corrupted, self.wire.symbol_share))

    @staticmethod
    def _add(counter: Ints, link: Ints, amount: npt.NDArray[np.int64]) -> None:
        np.add.at(counter, link, amount)


@dataclass
class Corrected:
    """Codewords that error correction mended, cumulative by directed link; links never stop sending them."""

    share: Floats
    per_second: Floats
    dice: Dice
    total: Ints

    @classmethod
    def draw(cls, layout: Layout, wire: Wire, dice: Dice) -> Corrected:
        """Return links that have corrected nothing yet."""
        share = log_uniform(dice.stream("corrected codewords"), wire.corrected, layout.links)
        speed = np.array([layout.sender(link).speed_bps for link in range(layout.links)], float)
        return cls(share, speed / wire.codeword_bits, dice, np.zeros(layout.links, np.int64))

    def tick(self, second: int, length: int, growth: Floats) -> None:
        """Count ``length`` seconds of codewords; ``growth`` is the factor on each link's share."""
        mean = self.per_second * length * np.minimum(self.share * growth, 0.5)
        self.total += self.dice.stream("corrected", second).poisson(mean)
