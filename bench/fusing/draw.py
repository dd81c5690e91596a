"""What goes wrong in a fabric, drawn from CorrOpt's tables (SIGCOMM 2017) and our own additions."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from correlator.fabric.causes import Causes
from correlator.fabric.dice import Dice, log_uniform
from correlator.fabric.faults import Decoys, Fault, Mark, Story, StoryName
from correlator.fabric.layout import Layout, Size
from correlator.fabric.parameters import Physics
from correlator.fabric.stories import Author

CAUSES: dict[StoryName, float] = {  # shares of CorrOpt's tickets, the middle of each range
    "dirty_connector": 0.37,
    "damaged_fiber": 0.31,
    "failing_transmitter": 0.01,
    "bad_transceiver": 0.255,
    "shared_component": 0.18,
}
BUCKETS = ((1e-8, 1e-5, 0.4723), (1e-5, 1e-4, 0.1843), (1e-4, 1e-3, 0.2167), (1e-3, 1e-2, 0.1267))
"""Loss rates of corrupting links and how many have them: CorrOpt's table 1. Within one, even in ln q."""
IRRELEVANT = BUCKETS[:2]
LOSSES = {"uniform": (1e-3, 1e-2), "skew": (1e-3, 1e-2), "low": (5e-4, 2e-3)}
SETS = (*LOSSES, "corropt", "twins", "clean", "faint")
LONG_AGO = -30 * 86_400
FAINT = 1e-4  # the loss rate of the set of that name


@dataclass(frozen=True)
class Mix:
    """What a set is made of; ``scale`` multiplies the rates at which telemetry fails."""

    name: str
    scale: float = 1.0
    congestion: float = 0.10  # share of the faults
    silent: float = 0.03
    background: float = 0.01  # of the directed links are sick, irrelevantly
    onset_s: tuple[int, int] = (60, 130)
    end_s: int = 360

    @property
    def physics(self) -> Physics:
        """The fabric's ranges at this scale."""
        whole = scaled(Physics(), self.scale)
        crowd = 0.5 if self.name == "skew" else 0.0
        return replace(whole, work=replace(whole.work, crowded=crowd))


@dataclass(frozen=True)
class Plan:
    """What was drawn for a seed. ``sick`` are irrelevant faults; ``story`` holds both kinds."""

    mix: Mix
    seed: int
    size: Size
    faults: tuple[Fault, ...]
    sick: tuple[Fault, ...]

    def story(self) -> Story:
        """Return it as a story that a world can be given."""
        return Story("nothing", 5, None, Decoys(), (*self.faults, *self.sick))


NOISES = {  # what --scale widens or narrows; the top of a range, its bottom stays
    "light": ("monitor_offset_db", "drift_db_per_day", "temperature_sine_c", "reading_noise_db",
              "daily_sine_db"),
    "wire": ("loss_floor", "machine_load", "load_noise", "hop_us"),
    "tcp": ("resent_by_other_end", "needless", "recovery_ms"),
    "work": ("service_noise", "network_jitter_us", "clock_skew_s", "day_swing"),
}  # fmt: skip


def scaled(physics: Physics, factor: float) -> Physics:
    """Return physics whose noises, offsets and floors are ``factor`` times as large."""
    for part, names in NOISES.items():
        whole = getattr(physics, part)
        known = {field.name for field in fields(whole)}
        changed: dict[str, Any] = {
            name: tuple(factor * bound for bound in value) if isinstance(value, tuple) else factor * value
            for name in names
            if name in known and (value := getattr(whole, name)) is not None
        }
        physics = replace(physics, **{part: replace(whole, **changed)})
    return physics


def size(seed: int) -> Size:
    """Return the size of a seed's fabric: 9 to 15 hosts, two to four equal-cost paths."""
    rng = Dice(seed).stream("size")
    return Size(int(rng.integers(3, 6)), int(rng.integers(2, 5)), 3)


def plan(mix: Mix, seed: int, author: Author) -> Plan:
    """Return what goes wrong in a fabric."""
    rng = Dice(seed).stream("fusion", mix.name)
    onset = 10 * int(rng.integers(mix.onset_s[0] // 10, mix.onset_s[1] // 10 + 1))
    taken: set[int] = set()
    count = 0 if mix.name == "clean" else 1 if mix.name in ("twins", "faint") else int(rng.integers(1, 3))
    faults: list[Fault] = []
    for number in range(count):
        fault = _fault(mix, author, onset, Dice(seed * 1000 + number), taken, rng)
        faults += fault
        taken |= {mark.link for one in fault for mark in one.marks}
    sick = _background(mix, author.layout, onset, taken, rng)
    return Plan(mix, seed, author.layout.size, tuple(faults), tuple(sick))


def loss(name: str, rng: np.random.Generator) -> float:
    """Return a loss rate of a set."""
    if name == "faint":
        return FAINT
    if name == "twins":
        return float(log_uniform(rng, (5e-4, 1e-2)))
    return float(rng.uniform(*LOSSES[name])) if name in LOSSES else bucketed(BUCKETS, rng)


def bucketed(buckets: tuple[tuple[float, float, float], ...], rng: np.random.Generator) -> float:
    """Return a loss rate of CorrOpt's table."""
    shares = np.array([share for _, _, share in buckets])
    low, high, _ = buckets[int(rng.choice(len(buckets), p=shares / shares.sum()))]
    return float(log_uniform(rng, (low, high)))


def crossed(author: Author, taken: set[int]) -> list[int]:
    """Return the directed links that containers' packets cross and nothing else is wrong with."""
    busy = np.flatnonzero(author.segments > 0)
    return [int(link) for link in busy if not {int(link), int(link) ^ 1} & taken]


def _fault(
    mix: Mix, author: Author, onset: int, dice: Dice, taken: set[int], rng: np.random.Generator
) -> list[Fault]:
    """Return a fault, with the load that goes with it in the set of twins."""
    rate = loss(mix.name, rng)
    if mix.name == "twins":
        return _twin(author, onset, rate, rng)
    luck = rng.random() if mix.name != "faint" else 1.0
    if luck < mix.congestion:
        return [_full(author, onset, rate, taken, rng)]
    if luck < mix.congestion + mix.silent:
        link = int(rng.choice(_egresses(author, taken)))
        return [Fault("silent_drop", onset, rate, link, marks=(Mark(link, silent=rate),))]
    names = [name for name in CAUSES if mix.name != "faint" or name != "shared_component"]
    shares = np.array([CAUSES[name] for name in names])
    return [corrupting(names[int(rng.choice(len(names), p=shares / shares.sum()))], author, onset, rate,
                       dice, taken)]  # fmt: skip


def corrupting(
    name: StoryName, author: Author, onset: int, rate: float, dice: Dice, taken: set[int]
) -> Fault:
    """Return a fault of that cause on a link that containers' packets cross, at that rate."""
    rng, trouble = dice.stream("where"), author.trouble
    anywhere = crossed(author, taken)

    def here(links: list[int], loss: float, most: float, _: np.random.Generator) -> tuple[int, float]:
        some = sorted(set(links) & set(anywhere)) if name == "shared_component" else anywhere
        return int(rng.choice(some or anywhere)), rate

    if name != "dirty_connector":
        return Causes(author.layout, trouble, dice, here).fault(name, onset)
    link, drop = int(rng.choice(anywhere)), float(rng.uniform(*trouble.dirty_drop_db))
    burst = float(rng.uniform(*trouble.burst)) if rng.random() < trouble.bursty else 1.0
    by_size, end = bool(rng.random() < trouble.by_size), int(rng.integers(2))
    mark = Mark(link, loss=rate, way_db=drop)
    return Fault(name, onset, rate, link, drop, end, marks=(mark,), burst=burst, by_size=by_size)


def _egresses(author: Author, taken: set[int]) -> list[int]:
    """Return the crossed links that leave a switch."""
    return [link for link in crossed(author, taken) if author.layout.sender(link).kind != "nic"]


def _full(author: Author, onset: int, rate: float, taken: set[int], rng: np.random.Generator) -> Fault:
    """Return an egress that overflows all the time, or in bursts."""
    trouble = author.trouble
    burst = float(rng.uniform(*trouble.burst)) if rng.random() < trouble.bursty else 1.0
    return Fault("congestion", onset, rate, int(rng.choice(_egresses(author, taken))), burst=burst)


def _twin(author: Author, onset: int, rate: float, rng: np.random.Generator) -> list[Fault]:
    """Return dirt or congestion; loss, mean load of the link and its bursts are drawn alike for both."""
    link, burst = int(rng.choice(_egresses(author, set()))), float(rng.uniform(0.2, 1.0))
    dirty, drop = bool(rng.random() < 0.5), float(rng.uniform(*author.trouble.dirty_drop_db))
    if not dirty:
        return [Fault("congestion", onset, rate, link, burst=burst)]
    load = burst + (1.0 - burst) * float(
        author.background.mean_bps()[link] / author.layout.sender(link).speed_bps
    )
    busy = Fault("congestion", onset, 1.0 - 1.0 / min(load, 0.985), link)
    mark = Mark(link, loss=rate, way_db=drop)
    dirt = Fault("dirty_connector", onset, rate, link, drop, marks=(mark,), burst=burst)
    return [dirt, busy]


def _background(
    mix: Mix, layout: Layout, onset: int, taken: set[int], rng: np.random.Generator
) -> list[Fault]:
    """Return sick links that hurt nobody much: CorrOpt's lower buckets, half of them since long ago."""
    links = np.flatnonzero(rng.random(layout.links) < mix.background * mix.scale)
    answer = []
    for link in (int(one) for one in links if int(one) not in taken and int(one) ^ 1 not in taken):
        rate, dim = bucketed(IRRELEVANT, rng), bool(rng.random() < 0.6)
        since = LONG_AGO if rng.random() < 0.5 else onset - 10 * int(rng.integers(0, 6))
        mark = Mark(link, loss=rate, way_db=float(rng.uniform(1.0, 4.0)) if dim else 0.0)
        kind: StoryName = "dirty_connector" if dim else "bad_transceiver"
        answer.append(Fault(kind, since, rate, link, mark.way_db, marks=(mark,)))
    return answer
