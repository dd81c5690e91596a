"""What container pairs do in each tick: exchanges, losses and what TCP makes of them, times to a response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from correlator.fabric.dice import Bools, Dice, Floats, Ints
from correlator.fabric.flows import Flows, Hosts, Router, joined, kept, opened, reopened, traits
from correlator.fabric.layout import Layout
from correlator.fabric.links import Links
from correlator.fabric.parameters import Physics
from correlator.fabric.tally import BUCKETS, CLIENT, SERVER, Tally, bucket
from correlator.fabric.tcp import Fate, Habits, Stalls, spread
from correlator.fabric.workload import BatchJobs, Pair, Workload

ROUNDS = 8  # a segment lost this often in a row is given up


@dataclass(frozen=True)
class Moment:
    """When a tick is and what holds in it: seconds of the run, traffic's daily factor, services' speed,
    and how much later each host answers, milliseconds.
    """

    second: int
    length: int
    day: float
    slowness: Floats
    late_ms: Floats


@dataclass
class Traffic:
    """All pairs and their connections, and the tally of the interval that runs."""

    layout: Layout
    workload: Workload
    physics: Physics
    dice: Dice
    pairs: list[Pair] = field(init=False)
    flows: Flows = field(init=False)
    tally: Tally = field(init=False)

    def __post_init__(self) -> None:
        self.router = Router(self.layout, self.dice)
        self.hosts = Hosts.draw(
            len(self.layout.hosts), self.dice, self.physics.wire, self.physics.work.network_jitter_us
        )
        self.jobs = BatchJobs(self.layout, self.workload, self.physics.work, self.dice)
        self.habits = Habits.draw(self.dice, self.physics)
        self.services = {
            service.name: (n, self.workload.median_ms[service.name], self.workload.sigma[service.name])
            for n, service in enumerate(self.workload.services)
        }
        self.pairs = list(self.workload.pairs)
        self.flows = opened(self.pairs, 0, self.router, self.dice.stream("first ports"))
        self.tally = Tally.empty(len(self.pairs))
        self._settle()

    def begin(self, second: int) -> list[Pair]:
        """Start an interval at ``second``: forget pairs that ended, start jobs; return the new pairs."""
        rng = self.dice.stream("connections", second)
        alive = np.array([pair.ended > second for pair in self.pairs], np.bool_)
        excess = self.excess_ms[alive]
        self.pairs = [pair for pair, lives in zip(self.pairs, alive, strict=True) if lives]
        self.flows = kept(self.flows, alive)
        closing = rng.random(len(self.flows)) < self.physics.work.interval_s / self.habits.connection_life_s
        closing &= np.array([p.ended == np.inf for p in self.pairs], np.bool_)[self.flows.pair]
        self.flows = reopened(self.flows, closing, self.pairs, self.router, rng)
        old, new = self.flows.pair[closing], self.jobs.starting(second, second + self.physics.work.interval_s)
        self.flows = joined(self.flows, opened(new, len(self.pairs), self.router, rng))
        self.pairs += new
        self.tally = Tally.empty(len(self.pairs))
        for count in (self.tally.opened, self.tally.closed):
            np.add.at(count, old, 1)
        self._settle(excess)
        return new

    def _settle(self, excess: Floats | None = None) -> None:
        """Work out what follows from the pairs; ``excess``: how much slower the first ones are."""
        self.traits = traits(
            self.flows, self.pairs, self.hosts, self.services, self.layout.links, self.physics.tcp
        )
        self.excess_ms = np.zeros(len(self.pairs))
        self.excess_ms[: 0 if excess is None else len(excess)] = 0.0 if excess is None else excess
        self.started = np.array([pair.started for pair in self.pairs])
        self.ended = np.array([pair.ended for pair in self.pairs])
        traits_ = [self.habits.of(pair) for pair in self.pairs]
        self.coverage = np.array([t[:2] for t in traits_]).reshape(-1, 2)
        self.needless = np.array([t[2] for t in traits_])

    def expected_ms(self) -> Floats:
        """Return the usual mean time to a response of each flow, milliseconds."""
        mean: Floats = self.service_ms() + (self.traits.base_us + self.traits.jitter_us) / 1000.0
        return mean

    def service_ms(self) -> Floats:
        """Return the usual mean time in the service of each flow's exchanges, milliseconds."""
        mean: Floats = self.traits.median_ms * np.exp(self.traits.sigma**2 / 2)
        return mean

    def segments_per_second(self) -> Floats:
        """Return how many data segments of containers cross each directed link now, both roles together."""
        load, t = np.zeros(self.layout.links + 1), self.traits
        for path, segments in (
            (self.flows.forward, t.request_segments),
            (self.flows.reverse, t.answer_segments),
        ):
            np.add.at(load, path.ravel(), np.repeat(t.rate * segments, path.shape[1]))
        return load[:-1]

    def tick(self, links: Links, moment: Moment) -> None:
        """Let all pairs work for one tick and count what they did."""
        rng = self.dice.stream("tcp", moment.second)
        exchanges = self._exchanges(moment)
        fate = self._deliver(links, exchanges, rng)
        needless = self._needless(links, fate, rng)
        stalls = self._stalls(fate, rng)
        self._count(exchanges, fate, needless, stalls)
        self._round_trips(links, exchanges, rng)
        self._answer(links, exchanges, stalls, moment)

    def _exchanges(self, moment: Moment) -> Ints:
        """Return the exchanges of each flow: clients think as long as ever, then wait for longer answers."""
        end = moment.second + moment.length
        alive = np.clip(np.minimum(self.ended, end) - np.maximum(self.started, moment.second), 0.0, None)
        period = 1.0 / self.traits.rate + self.excess_ms[self.flows.pair] / 1000.0
        rng = self.dice.stream("exchanges", moment.second)
        exchanges: Ints = rng.poisson(alive[self.flows.pair] * moment.day / np.maximum(period, 1e-4))
        return exchanges

    def _deliver(self, links: Links, exchanges: Ints, rng: np.random.Generator) -> Fate:
        """Carry requests, answers and acknowledgements, and again what was lost, until all has arrived."""
        t, flows, shape = self.traits, self.flows, (2, len(self.flows))
        data = np.stack([exchanges * t.request_segments, exchanges * t.answer_segments])
        acks = np.stack([exchanges * (t.answer_segments // 2), exchanges * (t.request_segments // 2)])
        paths = np.concatenate([flows.forward, flows.reverse] * 2)
        bare = np.full(2 * len(flows), self.physics.tcp.frame_octets)
        octets = np.concatenate([t.request_octets, t.answer_octets, bare])
        lost = links.carry(paths, np.concatenate([data, acks]).ravel(), octets, rng).reshape(2, *shape)
        rounds = [lost[0]]
        while rounds[-1].any() and len(rounds) < ROUNDS:
            again = np.zeros(2 * len(flows), np.int64)
            rows = np.flatnonzero(rounds[-1].ravel())
            again[rows] = links.carry(paths[rows], rounds[-1].ravel()[rows], octets[rows], rng)
            rounds.append(again.reshape(shape))
        return Fate(data, tuple(rounds), lost[1])

    def _needless(self, links: Links, fate: Fate, rng: np.random.Generator) -> Ints:
        """Return segments sent again though they had arrived: by a loss's other end, for a lost ack…"""
        share = np.array([self.habits.other_end] * 2)[:, None]
        by_other_end = rng.binomial(fate.rounds[0][::-1], share)
        by_lost_ack = rng.binomial(fate.acks[::-1], self.physics.tcp.lost_ack_resent)
        by_chance = rng.poisson(fate.first_sent * self.needless[self.flows.pair])
        needless: Ints = by_other_end + by_lost_ack + by_chance
        rows = np.flatnonzero(needless.ravel())
        paths = np.concatenate([self.flows.forward, self.flows.reverse])[rows]
        octets = np.concatenate([self.traits.request_octets, self.traits.answer_octets])[rows]
        links.carry(paths, needless.ravel()[rows], octets, rng)
        return needless

    def _stalls(self, fate: Fate, rng: np.random.Generator) -> Stalls:
        """Return what each lost segment costs: a retransmission time-out, or a quick repair."""
        tcp, t = self.physics.tcp, self.traits
        flow, end, wait, timer = [], [], [], []
        for number, lost in enumerate(fate.rounds):
            for side, segments in enumerate((t.request_segments, t.answer_segments)):
                rows = np.repeat(np.arange(len(self.flows)), lost[side])
                chance = np.where(segments[rows] <= 2, self.habits.rto_single, self.habits.rto_many)
                out = (rng.random(len(rows)) < chance) | (number > 0)
                quick = rng.uniform(*tcp.recovery_ms, len(rows)) + t.base_us[rows] / 1000.0
                flow.append(rows)
                end.append(np.full(len(rows), side))
                wait.append(np.where(out, rng.uniform(*tcp.rto_ms, len(rows)) * 2.0**number, quick))
                timer.append(out)
        return Stalls(*(np.concatenate(part) for part in (flow, end, wait, timer)))

    def _count(self, exchanges: Ints, fate: Fate, needless: Ints, stalls: Stalls) -> None:
        tally, pair = self.tally, self.flows.pair
        np.add.at(tally.exchanges, pair, exchanges)
        for end in (CLIENT, SERVER):
            again = fate.resent[end] + needless[end]
            np.add.at(tally.sent[end], pair, fate.first_sent[end] + again)
            np.add.at(tally.resent[end], pair, again)
            np.add.at(tally.lost[end], pair, fate.resent[end])
            np.add.at(tally.dsack[end], pair, needless[end])
            mine = stalls.end == end
            np.add.at(tally.rto[end], pair[stalls.flow[mine & stalls.timer]], 1)
            np.maximum.at(tally.stall_ms[end], pair[stalls.flow[mine]], stalls.wait_ms[mine])

    def _round_trips(self, links: Links, exchanges: Ints, rng: np.random.Generator) -> None:
        queue, seen = self._queue_us(links), exchanges > 0
        near = np.abs(rng.normal(0.0, 0.02, len(queue)))
        least = self.traits.base_us * (1.0 + near) + queue * self.physics.wire.emptiest_queue
        np.minimum.at(self.tally.min_rtt_us, self.flows.pair[seen], least[seen])
        self.tally.rtt_us[self.flows.pair] = self.traits.base_us + self.traits.jitter_us / 2 + queue

    def _queue_us(self, links: Links) -> Floats:
        """Return how long each flow's round trip waits in queues."""
        both = links.queue_us[self.flows.forward] + links.queue_us[self.flows.reverse]
        total: Floats = both.sum(axis=1)
        return total

    def _answer(self, links: Links, exchanges: Ints, stalls: Stalls, moment: Moment) -> None:
        """Draw service and network time of every exchange, and note what the agents catch of it."""
        rng, t = self.dice.stream("answers", moment.second), self.traits
        flow = np.repeat(np.arange(len(exchanges)), exchanges)
        service = t.median_ms[flow] * np.exp(t.sigma[flow] * rng.normal(size=len(flow)))
        service *= moment.slowness[self.flows.pair[flow]]
        fixed = t.base_us + self._queue_us(links)
        network = (fixed[flow] + t.jitter_us[flow] * rng.exponential(size=len(flow))) / 1000.0
        luck = rng.random((3, len(flow)))
        if moment.late_ms.any():
            network = network + self._late(moment, flow)
        stalled, answer_stalled = spread(stalls, exchanges, self.dice.stream("stalls", moment.second))
        response = service + network + stalled
        pair = self.flows.pair[flow]
        leaks = (answer_stalled > 0) & (luck[2] < self.habits.service_leak)
        untouched = (luck[1] < self.coverage[pair, SERVER]) & ((answer_stalled == 0) | leaks)
        self._time_responses(pair, response, luck[0] < self.coverage[pair, CLIENT])
        self._time_services(pair, service + answer_stalled * leaks, untouched)
        self._slow_down(pair, response)

    def _late(self, moment: Moment, flow: Ints) -> Floats:
        """Return what slow hosts add to each exchange, milliseconds; once where both ends are on one."""
        ends = np.array([(p.client.host, p.server.host) for p in self.pairs], np.int64).reshape(-1, 2)
        late = moment.late_ms[ends]
        mean = np.where(ends[:, 0] == ends[:, 1], late[:, 0], late.sum(axis=1))
        rng = self.dice.stream("slow host", moment.second)
        extra: Floats = mean[self.flows.pair[flow]] * rng.exponential(size=len(flow))
        return extra

    def _time_responses(self, pair: Ints, response: Floats, timed: Bools) -> None:
        tally, pairs = self.tally, len(self.pairs)
        pair, response = pair[timed], response[timed]
        tally.response_ms[:] += np.bincount(pair, response, pairs)
        tally.responses[:] += np.bincount(pair, minlength=pairs)
        cells = np.bincount(pair * BUCKETS + bucket(response), minlength=pairs * BUCKETS)
        tally.histogram[:] += cells.reshape(pairs, BUCKETS)

    def _time_services(self, pair: Ints, service: Floats, timed: Bools) -> None:
        self.tally.service_ms[:] += np.bincount(pair[timed], service[timed], len(self.pairs))
        self.tally.services[:] += np.bincount(pair[timed], minlength=len(self.pairs))

    def _slow_down(self, pair: Ints, response: Floats) -> None:
        """Remember by how much answers take longer than usual: the next tick's clients wait for them."""
        pairs = len(self.pairs)
        number = np.bincount(pair, minlength=pairs)
        usual = np.zeros(pairs)
        usual[self.flows.pair] = self.expected_ms()
        mean = np.bincount(pair, response, pairs) / np.maximum(number, 1)
        now = np.where(number > 0, np.maximum(mean - usual, 0.0), self.excess_ms)
        self.excess_ms = (self.excess_ms + now) / 2


def slowness(pairs: Sequence[Pair], levels: dict[str, float]) -> Floats:
    """Return the factor on each pair's service time; ``levels`` by service name or container id."""
    return np.array(
        [levels.get(p.server.service, 1.0) * levels.get(p.server.container_id, 1.0) for p in pairs]
    )
