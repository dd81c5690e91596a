"""What becomes of segments that are lost: sent again, waited for, missed by the agents' clocks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from correlator.fabric.dice import Bools, Dice, Floats, Ints, log_uniform
from correlator.fabric.parameters import Physics
from correlator.fabric.tally import SERVER
from correlator.fabric.workload import Pair


@dataclass(frozen=True)
class Fate:
    """What became of a tick's segments, by direction (client's first) and flow."""

    first_sent: Ints
    rounds: tuple[Ints, ...]
    acks: Ints

    @property
    def resent(self) -> Ints:
        """Segments that their sender had to send again."""
        total: Ints = np.sum(self.rounds, axis=0)
        return total


@dataclass(frozen=True)
class Stalls:
    """One row for each wait for an acknowledgement: flow, end, how long, ended by the timer or not."""

    flow: Ints
    end: Ints
    wait_ms: Floats
    timer: Bools


def spread(stalls: Stalls, exchanges: Ints, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the stall of every exchange, flow by flow: all of it, and the answer's part."""
    first = np.cumsum(exchanges) - exchanges
    hit = first[stalls.flow] + (rng.random(len(stalls.flow)) * exchanges[stalls.flow]).astype(np.int64)
    total = int(exchanges.sum())
    both, answers = np.zeros(total), np.zeros(total)
    np.add.at(both, hit, stalls.wait_ms)
    np.add.at(answers, hit[stalls.end == SERVER], stalls.wait_ms[stalls.end == SERVER])
    return both, answers


@dataclass(frozen=True)
class Habits:
    """What a seed draws once for all TCP stacks and agents, and for each pair of services on two hosts."""

    rto_single: float
    rto_many: float
    other_end: float
    service_leak: float
    connection_life_s: float
    physics: Physics
    dice: Dice
    known: dict[tuple[str, str, int, int], tuple[float, float, float]] = field(default_factory=dict)

    @classmethod
    def draw(cls, dice: Dice, physics: Physics) -> Habits:
        """Return the habits of a seed."""
        rng, tcp, work = dice.stream("habits"), physics.tcp, physics.work
        spans = (
            tcp.rto_single,
            tcp.rto_many,
            tcp.resent_by_other_end,
            work.service_leak,
            tcp.connection_life_s,
        )
        one, many, other, leak, life = (float(rng.uniform(*span)) for span in spans)
        return cls(one, many, other, leak, life, physics, dice)

    def of(self, pair: Pair) -> tuple[float, float, float]:
        """Return coverage at client and server, and needless retransmissions a segment."""
        key = (pair.client.service, pair.server.service, pair.client.host, pair.server.host)
        if key not in self.known:
            rng = self.dice.stream("pair habits", *key)
            coverage = rng.uniform(*self.physics.work.coverage, 2)
            needless = float(log_uniform(rng, self.physics.tcp.needless))
            self.known[key] = (float(coverage[0]), float(coverage[1]), needless)
        return self.known[key]
