"""The world in motion: load, light, loss and work of the fabric, moved tick by tick as the story says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from correlator.fabric import effects
from correlator.fabric.background import Background, filling
from correlator.fabric.dice import Dice, Floats
from correlator.fabric.faults import Fault, Story, StoryName
from correlator.fabric.layout import Layout, Size, plan
from correlator.fabric.light import Modules, Readings, Shade
from correlator.fabric.links import Corrected, Links
from correlator.fabric.parameters import Physics
from correlator.fabric.stories import Author, name_by_seed
from correlator.fabric.traffic import Moment, Traffic, slowness
from correlator.fabric.workload import Workload, workload

MOST_OVERLOAD = 0.5  # of what is offered to a full egress, that finds no room in a burst
MOST_GROWTH_MINUTES = 10.0  # then error correction is about to fail; the story ends before


@dataclass(frozen=True)
class Setting:
    """What a seed draws before anything moves."""

    seed: int
    physics: Physics
    dice: Dice
    layout: Layout
    workload: Workload


@dataclass
class World:
    """Everything that moves. Times are whole seconds since ``start``.

    ``wanted`` is a story's name, or who else writes one (None: drawn by the seed). ``fault_from`` and
    ``fault_until`` bound the time in which the story's first fault holds.
    """

    setting: Setting
    start: datetime
    wanted: StoryName | Callable[[Author], Story] | None
    fault_dice: Dice
    second: int = 0
    story: Story = field(init=False)
    readings: Readings = field(init=False)
    fault_from: float = float("inf")
    fault_until: float = float("inf")
    swapped: bool = False

    def __post_init__(self) -> None:
        layout, physics, dice = self.setting.layout, self.setting.physics, self.setting.dice
        self.links = Links(layout, physics.wire, dice)
        self.background = Background(layout, physics.wire, dice)
        self.traffic = Traffic(layout, self.setting.workload, physics, dice)
        self.story = self._story()
        self.fault_from = self.story.fault.onset if self.story.fault else float("inf")
        self.modules = self._modules()
        self.streams = {link: filling(layout, link) for link in self._filled()}
        self.links.cut_through = self._cut_through()
        self.wander = dict.fromkeys(self.setting.workload.median_ms, 0.0)
        self.corrected = Corrected.draw(layout, physics.wire, dice)
        self.new_pairs = self.traffic.begin(0)
        self._read()

    def _story(self) -> Story:
        setting = self.setting
        author = Author(
            setting.layout,
            setting.workload,
            self.background,
            setting.physics.trouble,
            self.fault_dice,
            self.traffic.segments_per_second() * self.day(0.0),
        )
        if callable(self.wanted):
            return self.wanted(author)
        return author.story(self.wanted or name_by_seed(setting.seed, setting.dice))

    def _modules(self) -> Modules:
        ports, decoys = self.setting.layout.ports, self.story.decoys
        spare = decoys.shut | decoys.dark
        optical = ("machine", "fabric", "peer", "nic")
        fitted = np.array([port.kind in optical or port.number in spare for port in ports])
        lit = np.array([port.number not in decoys.shut for port in ports])
        return Modules(self.setting.layout, self.setting.physics.light, self.setting.dice, fitted, lit)

    def _filled(self) -> set[int]:
        """Return the links that streams fill, sometime."""
        busy = self.story.decoys.busy
        full = {fault.link for fault in self.faults if fault.kind == "congestion" and fault.link is not None}
        return full | ({busy} if busy is not None else set())

    def _cut_through(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        layout = self.setting.layout
        ends = [layout.switch_of(layout.receiver(link).number) for link in range(layout.links)]
        return np.array([end in self.story.decoys.cut_through for end in ends] + [False], np.bool_)

    @property
    def interval(self) -> int:
        """The length of an agent's interval, seconds; also how often modules are read."""
        return self.setting.physics.work.interval_s

    def tick(self, length: int) -> None:
        """Move on by ``length`` seconds, at most to the end of the interval."""
        self._disturb(length)
        late = effects.late_ms(self.holding(self.second), self.setting.layout)
        moment = Moment(self.second, length, self.day(self.second), self._slowness(length), late)
        self.traffic.tick(self.links, moment)
        self.corrected.tick(self.second, length, self._growth())
        self.second += length
        self._exchange_module()
        if self.second % self.interval == 0:
            self._read()

    def begin_interval(self) -> None:
        """Start the next interval: to be called when the last one's tally has been taken."""
        self.new_pairs = self.traffic.begin(self.second)

    def active(self, second: float) -> Fault | None:
        """Return the fault that holds at ``second``, if one does."""
        return self.story.fault if self.fault_from <= second < self.fault_until else None

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All faults of the story, whether they hold or not."""
        first = self.story.fault
        return (*((first,) if first is not None else ()), *self.story.more)

    def holding(self, second: float) -> list[Fault]:
        """Return all faults that hold at ``second``."""
        first = self.active(second)
        return [*([first] if first else []), *(fault for fault in self.story.more if fault.onset <= second)]

    def day(self, second: float) -> float:
        """Return the factor on all traffic at a second of the run: a daily sine, and weekends."""
        work, at = self.setting.physics.work, self.start + timedelta(seconds=second)
        hour = at.hour + at.minute / 60
        swing = 1.0 + work.day_swing * float(np.sin(2 * np.pi * (hour - 9) / 24))
        return swing * (work.weekend if at.weekday() >= 5 else 1.0)

    def day_second(self, second: float) -> float:
        """Return seconds since midnight (UTC) of the first day."""
        midnight = self.start.replace(hour=0, minute=0, second=0, microsecond=0)
        return (self.start - midnight).total_seconds() + second

    def losses(self, second: float) -> Floats:
        """Return the share of frames that each directed link corrupts, "no link" included."""
        loss, sick = self.links.floor.copy(), self.story.decoys.sick
        if sick is not None and second >= sick.since:
            loss[sick.link] += sick.loss
        return loss + self._corruption(second, by_size=False)

    def losses_by_size(self, second: float) -> Floats:
        """Return what each directed link corrupts more: the share of frames of the usual length."""
        return self._corruption(second, by_size=True)

    def _corruption(self, second: float, by_size: bool) -> Floats:
        loss = np.zeros_like(self.links.floor)
        for fault in self.holding(second):
            if fault.by_size == by_size:
                loss[:-1] += effects.corruption(fault, len(loss) - 1) * self._intensity(fault, second)
        return loss

    def _intensity(self, fault: Fault, second: float) -> float:
        return effects.intensity(fault, second, self.setting.dice, self.setting.physics.trouble)

    def dirt_db(self, second: float) -> Floats:
        """Return the light that is lost on the way of each directed link, dB."""
        return self.shade(second).way_db

    def shade(self, seconds: float | Floats) -> Shade:
        """Return what is wrong with the light at a second of the run; of several, as it is at the last."""
        last, layout = float(np.max(seconds)), self.setting.layout
        sick, holding = self.story.decoys.sick, self.holding(last)
        shade = effects.shade(None, False, seconds, layout)
        for fault in self.faults:
            shade = shade.and_also(effects.shade(fault, fault in holding, seconds, layout))
        if sick is not None and last >= sick.since:
            shade.way_db[sick.link] += sick.drop_db
        return shade

    def busy_bps(self, day: float) -> Floats:
        """Return what the stream of the busy link puts on every link."""
        decoys, zero = self.story.decoys, np.zeros(self.setting.layout.links)
        if decoys.busy is None:
            return zero
        room = decoys.busy_load * self.links.speed[decoys.busy] - self.background.mean_bps(day)[decoys.busy]
        return zero + self.streams[decoys.busy] * max(0.0, float(room))

    def _disturb(self, length: int) -> None:
        """Set loss, load, discards and queues for the next tick, and send what no container sends."""
        holding = self.holding(self.second)
        self.links.loss, self.links.by_size = self.losses(self.second), self.losses_by_size(self.second)
        if holding or self.links.silent.any():
            silent = [effects.silence(fault, self.setting.layout.links) for fault in holding]
            self.links.silent[:-1] = np.sum(silent, axis=0)
        day = self.day(self.second)
        streams = self.busy_bps(day)
        for fault in holding:
            if fault.kind == "congestion" and fault.link is not None:
                streams = streams + self._overload(fault, fault.link, day)
        offered = self.background.offered_bps(self.second, length, day, streams)
        self.links.load(np.append(offered, 0.0), np.append(self.background.octets, 1).astype(float))
        self.background.send(self.links, offered, self.second, length)

    def _overload(self, fault: Fault, link: int, day: float) -> Floats:
        """Return streams that fill what the others leave of a link: a share ``level`` of all finds no room.

        Offered over speed is ρ = 1/(1 − level); a level below zero leaves room. In bursts all of the loss
        falls into them.
        """
        level = min(fault.level * self._intensity(fault, self.second), MOST_OVERLOAD)
        if level == 0.0:
            return np.zeros(self.setting.layout.links)
        others = self.background.mean_bps(day) * np.exp(self.background.wander)
        wanted = self.links.speed[link] / (1.0 - level)
        room = max(0.0, float(wanted - others[link]))
        streams: Floats = self.streams[link] * room
        return streams

    def _slowness(self, length: int) -> Floats:
        """Return the factor on each pair's service time: a slow wander, and the fault."""
        work = self.setting.physics.work
        rng, keep = self.setting.dice.stream("services", self.second), np.exp(-length / work.service_memory_s)
        for name, value in self.wander.items():
            fresh = float(rng.normal(0.0, work.service_noise))
            self.wander[name] = float(keep * value + np.sqrt(1 - keep**2) * fresh)
        levels = {name: float(np.exp(value)) for name, value in self.wander.items()}
        for fault in self.holding(self.second):
            self._slow_down(fault, levels)
        return slowness(self.traffic.pairs, levels)

    def _slow_down(self, fault: Fault, levels: dict[str, float]) -> None:
        """Note by which factor a fault slows services or containers."""
        if fault.kind == "slow_service":
            slow = fault.container or str(fault.service)
            levels[slow] = levels.get(slow, 1.0) * fault.level
        if fault.host is not None:
            low, high = self.setting.physics.trouble.host_service
            luck = float(self.setting.dice.stream("slow host services").random())
            mine = [c.container_id for c in self.setting.workload.containers if c.host == fault.host]
            levels |= dict.fromkeys(mine, low + luck * (high - low))

    def _read(self) -> None:
        self.readings = self.modules.read(self.second, self.day_second(self.second), self.shade(self.second))

    def _exchange_module(self) -> None:
        """Put the new module in, when its time has come."""
        fault = self.active(self.second)
        if fault is not None and fault.kind == "module_swap" and fault.port is not None and not self.swapped:
            self.modules.swap(fault.port)
            self.swapped = True

    def _growth(self) -> Floats:
        """Return the factor on each directed link's corrected codewords: a fault makes them more and more."""
        growth = np.ones(self.setting.layout.links)
        for fault in self.holding(self.second):
            if fault.growth != 1.0 and fault.link is not None:
                since = self.fault_from if fault is self.story.fault else fault.onset
                minutes = (self.second - since) / 60.0
                growth[fault.link] = fault.growth ** min(minutes, MOST_GROWTH_MINUTES)
        return growth


def setting(seed: int, size: Size, physics: Physics) -> Setting:
    """Return what a seed draws for a fabric of a size."""
    dice = Dice(seed)
    layout = plan(size, dice, physics.wire)
    return Setting(seed, physics, dice, layout, workload(layout, dice, physics.work))
