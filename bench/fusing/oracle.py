"""Judges who know how the fabric was made, on the same data: what no engine could tell, they cannot either.

The judge of places is told the true floors, habits of TCP, moment of the onset, every other fault with its
rate, and how this one's loss is spread in time and over frame lengths. It weighs each directed link, way
of losing and rate on what polled counters and the agents' pairs say. The judge of causes sees every
sign that is measured, without noise, and knows how often each cause shows each sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, logsumexp
from scipy.stats import binom

from correlator.fabric.faults import Fault, Mark
from correlator.fabric.layout import Port
from correlator.fabric.parameters import Trouble
from fusing import draw
from fusing.watch import Watched

Floats = npt.NDArray[np.float64]
Sign = str

TINY = 1e-9  # what a healthy egress discards
NAMED = 0.8  # as the engine names
FRAME = 70.0  # octets around a segment
STEPS = 16  # of the grid of rates


# -- causes ------------------------------------------------------------------------------------------


def shares(mix: draw.Mix) -> dict[str, float]:
    """Return how many faults of a set have each cause."""
    corrupting = 1.0 - mix.congestion - mix.silent
    total = sum(draw.CAUSES.values())
    return {str(name): corrupting * part / total for name, part in draw.CAUSES.items()} | {
        "congestion": mix.congestion,
        "silent_drop": mix.silent,
    }


def signs(trouble: Trouble) -> Mapping[str, Mapping[Sign, tuple[float, ...]]]:
    """Return how often each cause shows each sign; signs that go together are drawn together (``both``)."""
    return {
        "dirty_connector": {"errors": (1,), "dim": (1,)},
        "damaged_fiber": {"errors": (1,), "dim": (1,), "both": (trouble.both_strands,), "back": (0.5,)},
        "failing_transmitter": {"errors": (1,), "dim": (1,), "faint": (1,), "bias": (trouble.bias_shown,)},
        "bad_transceiver": {"errors": (1,), "back": (trouble.bad_both_ways,)},
        "shared_component": {"errors": (1,), "back": (0.5,), "beside": (1,)},
        "congestion": {"discards": (1,)},
        "silent_drop": {},
    }


SIGNS = ("errors", "discards", "dim", "both", "faint", "bias", "back", "beside")


def cause(watched: Watched, fault: Fault, coverage: float) -> dict[str, Any]:
    """Return which cause the judge would name, whether it is so, how sure it may be, and the signs it saw."""
    seen = _seen(watched, fault, coverage)
    told = _signs_of(fault)
    mix, trouble = watched.plan.mix, watched.world.setting.physics.trouble
    weight = {
        name: part * _chance(signs(trouble)[name], {sign: told[sign] for sign in seen})
        for name, part in shares(mix).items()
    }
    best = max(weight, key=lambda name: weight[name])
    sure = weight[best] / sum(weight.values())
    return {"says": best, "right": best == fault.kind, "sure": round(sure, 4), "signs": seen}


def _chance(shown: Mapping[Sign, tuple[float, ...]], told: Mapping[Sign, bool]) -> float:
    """Return the probability of what is seen; light is lost, or errors run, the other way only together."""
    total = 0.0
    for both in (True, False) if "both" in shown else (False,):
        chance = 1.0 if "both" not in shown else shown["both"][0] if both else 1.0 - shown["both"][0]
        for sign, so in told.items():
            rate = float(shown[sign][0]) if sign in shown else 0.0
            if sign == "both":
                rate = float(both)
            if sign == "back" and "both" in shown and not both:
                rate = 0.0
            chance *= rate if so else 1.0 - rate
        total += chance
    return total


def _signs_of(fault: Fault) -> dict[Sign, bool]:
    marks = {mark.link: mark for mark in fault.marks}
    link = fault.link if fault.link is not None else -2
    here, back = marks.get(link), marks.get(link ^ 1)
    losing = [mark.link for mark in fault.marks if mark.loss > 0]
    return {
        "errors": here is not None and here.loss > 0,
        "discards": fault.kind == "congestion",
        "dim": here is not None and (here.way_db > 0 or here.tx_db > 0),
        "both": back is not None and back.way_db > 0,
        "faint": here is not None and here.tx_db > 0,
        "bias": here is not None and here.bias != 1.0,
        "back": back is not None and back.loss > 0,
        "beside": any(one // 2 != link // 2 for one in losing),
    }


def _seen(watched: Watched, fault: Fault, coverage: float) -> list[Sign]:
    """Return which signs are measured: by who is polled, and what modules tell."""
    layout = watched.layout
    link = fault.link if fault.link is not None else 0
    rx, tx = layout.receiver(link), layout.sender(link)
    light = watched.seen(coverage)["optics"].groupby(["device", "if_name"])[["rx_power_dbm", "tx_power_dbm"]]
    told = light.max()
    polled = {end: watched.rank.get(end.device, 2.0) < coverage for end in (rx, tx)}

    def tells(end: Port, side: str) -> bool:
        place = (end.device, end.if_name)
        return place in told.index and bool(np.isfinite(told.at[place, side]))

    return [
        sign
        for sign, so in {
            "errors": polled[rx],
            "discards": polled[tx],
            "dim": tells(rx, "rx_power_dbm"),
            "both": tells(tx, "rx_power_dbm"),
            "faint": tells(tx, "tx_power_dbm"),
            "bias": polled[tx],
            "back": polled[tx],
            "beside": polled[rx],
        }.items()
        if so
    ]


# -- places ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ends:
    """What the agents' pairs sent since the onset: one row an end. ``way`` is 0 for clients.

    ``expected``: what they send again without this fault; ``cross``: of what the other end loses they
    send again as well.
    """

    sent: Floats
    count: Floats
    expected: Floats
    connections: Floats
    share: Floats  # rows × directed links: of the data that this end sends
    cross: float
    partner: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Place:
    """The likeliest directed link, how sure the judge is of it, and whether it names it."""

    link: int
    sure: float
    named: bool


def places(watched: Watched, fault: Fault, coverage: float) -> Place:
    """Return which directed link the judge would name for one fault, and how sure it is."""
    rates = np.geomspace(*_span(watched.plan.mix, fault), STEPS)
    if fault not in watched.told_by_pairs:
        watched.told_by_pairs[fault] = _pair_nats(ends(watched, fault), rates)
    pairs = watched.told_by_pairs[fault]
    counters = _counter_nats(watched, fault, coverage, rates)
    chance = _prior(watched, fault)
    nats = np.stack([chance[mode][:, None] + pairs + counters[mode] for mode in counters])
    by_link = logsumexp(nats, axis=(0, 2))
    sure = np.exp(by_link - logsumexp(by_link))
    best = int(np.argmax(sure))
    return Place(best, float(sure[best]), bool(sure[best] >= NAMED))


def _span(mix: draw.Mix, fault: Fault) -> tuple[float, float]:
    """Return the range of rates of a set; a part of several may lose somewhat more or less."""
    low, high = draw.LOSSES.get(mix.name, (fault.level / 3.0, fault.level * 3.0))
    return low / 2.0, high * 2.0


def _prior(watched: Watched, fault: Fault) -> dict[str, Floats]:
    """Return the log chance of each directed link for each way of losing."""
    layout, mix = watched.layout, watched.plan.mix
    crossed = watched.world.traffic.segments_per_second() > 0
    others = {mark.link for _, mark in _others(watched, fault)} - {fault.link}
    free = np.array([link not in others for link in range(layout.links)]) & crossed
    leaves_switch = np.array([layout.sender(link).kind != "nic" for link in range(layout.links)])
    parts = {"corruption": 1.0 - mix.congestion - mix.silent, "congestion": mix.congestion,
             "silent": mix.silent}  # fmt: skip
    answer = {}
    for mode, part in parts.items():
        where = free if mode == "corruption" else free & leaves_switch
        with np.errstate(divide="ignore"):
            answer[mode] = np.log(np.where(where, part / max(where.sum(), 1), 0.0))
    return answer


def _counter_nats(watched: Watched, fault: Fault, coverage: float, rates: Floats) -> dict[str, Floats]:
    """Return what polled counters say: directed links × rates, by way of losing."""
    layout, counts = watched.layout, watched.world.links.counts
    polled = {name for name, place in watched.rank.items() if place < coverage}
    rx = np.array([layout.receiver(link).device in polled for link in range(layout.links)])
    tx = np.array([layout.sender(link).device in polled for link in range(layout.links)])
    since = 1.0 - fault.onset / watched.world.second
    long = watched.world.background.octets / watched.world.setting.physics.wire.usual_octets
    factor = since * np.where(fault.by_size, long, 1.0)
    floor = _floors(watched, fault)
    errors, arrived = counts.errors[:-1], counts.errors[:-1] + counts.received[:-1]
    dropped, left = counts.discards[:-1], counts.discards[:-1] + counts.sent[:-1]
    spoiled = _poisson(errors, arrived, floor, factor[:, None] * rates) * rx[:, None]
    full = _poisson(dropped, left, np.full(len(left), TINY), since * rates[None, :]) * tx[:, None]
    nothing = np.zeros_like(spoiled)
    return {"corruption": spoiled, "congestion": full, "silent": nothing}


def _poisson(count: Floats, of: Floats, floor: Floats, more: Floats) -> Floats:
    """Return ln P(count | floor + more) / P(count | floor)."""
    usual = (of * floor)[:, None]
    answer: Floats = count[:, None] * np.log1p(more / floor[:, None]) - of[:, None] * more
    return np.where(usual + of[:, None] > 0, answer, 0.0)


def _others(watched: Watched, fault: Fault) -> list[tuple[Fault, Mark]]:
    """Return all marks but the one in question: the fault's other links are told too."""
    every = (*watched.plan.faults, *watched.plan.sick)
    return [(one, mark) for one in every for mark in one.marks if one is not fault or mark.link != fault.link]


def _floors(watched: Watched, fault: Fault) -> Floats:
    """Return the share of frames that each link corrupts in the mean over the run, but for this mark."""
    loss = watched.world.links.floor[:-1].copy()
    for one, mark in _others(watched, fault):
        loss[mark.link] += mark.loss * (1.0 - max(one.onset, 0) / watched.world.second)
    return np.maximum(loss, 1e-10)


def ends(watched: Watched, fault: Fault) -> Ends:
    """Return what the ends of all pairs did since the onset of a fault."""
    world = watched.world
    rows = _sums(watched, fault.onset)
    shares_ = [_shares(watched, *row[:2]) for row in rows]
    own = np.array(shares_)
    habits = world.traffic.habits
    floor = _since_onset(watched, fault)
    usual = own @ floor
    partner = np.arange(len(rows)) ^ 1
    sent = np.array([row[2] for row in rows], float)
    expected = sent * (usual + np.array([row[5] for row in rows]))
    expected += habits.other_end * (sent * usual)[partner]
    lives = 1.0 + (world.second - fault.onset) / habits.connection_life_s
    links = np.array([row[4] for row in rows], float) * lives
    if fault.by_size:
        sent = sent * np.array([row[6] for row in rows]) / world.setting.physics.wire.usual_octets
    return Ends(sent, np.array([row[3] for row in rows], float), np.maximum(expected, 1e-9), links, own,
                habits.other_end, partner)  # fmt: skip


def _since_onset(watched: Watched, fault: Fault) -> Floats:
    """Return what each link loses while this fault holds, but for this mark: all ways of losing."""
    loss = watched.world.links.floor[:-1].copy()
    for _, mark in _others(watched, fault):
        loss[mark.link] += mark.loss + mark.silent
    for one in watched.plan.faults:
        if one is not fault and one.kind == "congestion" and one.link is not None:
            loss[one.link] += max(one.level, 0.0)
    answer: Floats = loss
    return answer


def _sums(watched: Watched, onset: int) -> list[tuple[int, int, float, float, float, float, float]]:
    """Return for each end, clients and servers in turn: host of sender and of receiver, first segments,
    segments sent again, connections, needless ones a segment, octets a frame.
    """
    since = watched.world.start.timestamp() + onset
    samples = watched.tables["pair_samples"]
    late = samples[samples["at"].astype("int64") / 1e6 > since + 1.0]
    number = {machine.name: n for n, machine in enumerate(watched.layout.hosts)}
    keys = ["role", "host", "peer_host", "container_id", "peer_container_id"]
    sums = late.groupby(keys).agg(
        sent=("data_segments_sent", "sum"), again=("retransmitted_segments", "sum"),
        links=("connections_open", "max"), octets=("bytes_sent", "sum"),
    )  # fmt: skip
    told = dict(zip(sums.index, sums.itertuples(index=False), strict=True))
    service = dict(zip(watched.tables["containers"]["container_id"], watched.tables["containers"]["service"],
                       strict=True))  # fmt: skip
    answer = []
    for key, row in told.items():
        if key[0] != "client" or key[1] == key[2]:
            continue
        back = told.get(("server", key[2], key[1], key[4], key[3]))
        if back is None:
            continue
        pair = (service.get(key[3]), service.get(key[4]), number[key[1]], number[key[2]])
        needless = _needless(watched, pair)
        for one, (sender, receiver) in ((row, pair[2:]), (back, pair[:1:-1])):
            first = float(one.sent - one.again)
            octets = float(one.octets) / max(first, 1.0) + FRAME
            links = max(float(row.links), 1.0)
            answer.append((sender, receiver, first, float(one.again), links, needless, octets))
    return answer


def _needless(watched: Watched, pair: tuple[object, ...]) -> float:
    known = watched.world.traffic.habits.known.get(pair)  # type: ignore[call-overload]
    return float(known[2]) if known else 1e-5


def _shares(watched: Watched, source: int, target: int) -> Floats:
    """Return the share of what one host sends another that crosses each directed link."""
    layout = watched.layout
    a, b = layout.hosts[source], layout.hosts[target]
    share = np.zeros(layout.links)
    share[[layout.out_of[a.number], layout.into[b.number]]] = 1.0
    if a.leaf != b.leaf:
        ways = layout.up.shape[1]
        share[layout.up[a.leaf]] = 1.0 / ways
        share[layout.down[:, b.leaf]] = 1.0 / ways
    return share


def _pair_nats(ends: Ends, rates: Floats) -> Floats:
    """Return what all ends say of each directed link and rate: which connections cross is not known.

    P(k | link, q) = Σ_j Binomial(j; m, w) Poisson(k; usual + q · segments · j / m)
    """
    links = ends.share.shape[1]
    answer = np.zeros((links, len(rates)))
    for row, (count, usual) in enumerate(zip(ends.count, ends.expected, strict=True)):
        cross = ends.cross * ends.sent[ends.partner[row]]
        for share in np.unique(ends.share[row][ends.share[row] > 0.0]):
            nats = _mixture(count, usual, ends.sent[row] * rates, float(share), ends.connections[row])
            answer[ends.share[row] == share] += nats
        back = (ends.share[ends.partner[row]] > 0.0) & (ends.share[row] == 0.0)
        for share in np.unique(ends.share[ends.partner[row]][back]):
            nats = _mixture(count, usual, cross * rates, float(share), ends.connections[row])
            answer[back & (ends.share[ends.partner[row]] == share)] += nats
    return answer


def _mixture(count: float, usual: float, lost: Floats, share: float, connections: float) -> Floats:
    whole = max(round(connections), 1)
    crossing = np.arange(whole + 1)
    weight = binom.logpmf(crossing, whole, min(share, 1.0))
    mean = usual + lost[:, None] * crossing[None, :] / whole
    nats = count * np.log(mean) - mean - gammaln(count + 1.0)
    now = count * np.log(usual) - usual - gammaln(count + 1.0)
    answer: Floats = logsumexp(weight[None, :] + nats, axis=1) - now
    return answer
