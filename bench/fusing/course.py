"""A fabric watched minute by minute, as the service does: polls, hours summed up, a cycle now and then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pandas as pd

from correlator import frames
from correlator.engine import pairs
from correlator.engine.cycle import Cycle, Memory, remember, run_cycle
from correlator.engine.rollup import roll_up
from correlator.fabric.dice import Dice
from correlator.fabric.faults import Fault, Story
from correlator.fabric.history import history
from correlator.fabric.layout import Size
from correlator.fabric.parameters import Physics
from correlator.fabric.physics import World, setting
from correlator.fabric.simulation import some_hour
from correlator.fabric.stories import Author
from correlator.fabric.tables import Recorder
from correlator.model import Incident
from fusing.draw import Decoys

RAW = timedelta(minutes=65)  # that is kept: an hour, to be summed up, and a reading before it
SEEN = timedelta(minutes=30)  # that a cycle is given
MISSED = 0.01  # of the polls get no answer
RECORDED = ("polls", "pair_samples", "counters", "optics")
HOURLY = ("link_hours", "optics_hours", "pair_hours")
AGENTS_S = 60  # agents' interval: a day costs a sixth of what it does at 10 s


@dataclass
class Course:
    """A fabric with faults, moved on by ``minutes``; ``cycle`` concludes, incidents live on.

    ``restarts``: minute → numbers of switches whose software starts anew. ``interval_s``: the agents'; bursts
    of loss are no shorter.
    """

    seed: int
    size: Size
    faults: Any  # Author → Sequence[Fault]
    restarts: dict[int, list[int]] = field(default_factory=dict)
    interval_s: int = AGENTS_S
    world: World = field(init=False)
    recorder: Recorder = field(init=False)
    hours: dict[str, pd.DataFrame] = field(init=False)
    drawn: tuple[Fault, ...] = ()
    kept: dict[str, pd.DataFrame] = field(default_factory=dict)
    incidents: dict[str, Incident] = field(default_factory=dict)
    opened: list[Any] = field(default_factory=list)
    memory: Memory | None = None

    def __post_init__(self) -> None:
        whole = Physics()
        base = setting(
            self.seed, self.size, replace(whole, work=replace(whole.work, interval_s=self.interval_s))
        )

        def author(one: Author) -> Story:
            self.drawn = tuple(self.faults(one))
            return Story("nothing", 5, None, Decoys(), self.drawn)

        self.world = World(base, some_hour(base.dice), author, Dice(self.seed))
        self.recorder = Recorder(self.world)
        self.hours = {name: table for name, table in history(self.world).items() if name in HOURLY}
        self.rng = Dice(self.seed).stream("course")
        self._poll(first=True)

    def minutes(self, count: int) -> Iterator[int]:
        """Move on minute by minute, poll every switch at the end of each, and yield how many have passed."""
        for minute in range(1, count + 1):
            for number in self.restarts.get(minute, ()):
                self.recorder.interfaces.restart(
                    self.world.setting.layout.switches[number], self.world.second
                )
            for _ in range(60 // self.world.interval):
                self.recorder.step()
            self._poll()
            if self.recorder.now.minute == 0:
                self._sum_up()
            yield minute

    def cycle(self) -> Cycle:
        """Return what the engine concludes now."""
        tables = self._tables(SEEN) | self.hours
        now = self.recorder.now
        hour = now.replace(minute=0, second=0, microsecond=0)
        if self.memory is None or self.memory.hour != hour:
            self.memory = remember(tables, now)
        told = run_cycle(tables, list(self.incidents.values()), now, past=self.memory)
        self.incidents |= {one.id: one for one in told.incidents}
        self.incidents = {key: one for key, one in self.incidents.items() if one.state != "cleared"}
        self.opened += [event for event in told.events if event.event == "opened"]
        return told

    def _poll(self, first: bool = False) -> None:
        for switch in self.world.setting.layout.switches:
            missed = not first and self.rng.random() < MISSED
            (self.recorder.missed if missed else self.recorder.poll)(switch)

    def _sum_up(self) -> None:
        """Add the hour that has just ended to the hourly tables, of the last week."""
        start = self.recorder.now - timedelta(hours=1)
        summed = roll_up(self._tables(RAW), start)
        week = pd.Timestamp(start - timedelta(days=7))
        for name in HOURLY:
            whole = pd.concat([self.hours[name], summed[name]], ignore_index=True)
            self.hours[name] = frames.validate(name, whole[whole["hour"] >= week].reset_index(drop=True))

    def _tables(self, back: timedelta) -> dict[str, pd.DataFrame]:
        """Return the tables of the last while; what was recorded is taken over, what is old forgotten."""
        recorder = self.recorder
        tables = recorder.tables(recorder.world.setting.layout.switches)
        for name in RECORDED:
            whole = pd.concat([self.kept[name], tables[name]]) if name in self.kept else tables[name]
            oldest = pd.Timestamp(recorder.now - RAW)
            self.kept[name] = whole[whole["at"] > oldest].reset_index(drop=True)
            recent = self.kept[name]["at"] > pd.Timestamp(recorder.now - back)
            tables[name] = self.kept[name][recent].reset_index(drop=True)
            (recorder.rows if name in recorder.rows else recorder.parts)[name] = []
        samples = pairs.resolve(tables["pair_samples"], tables["containers"], tables["hosts"])
        return tables | {"pair_samples": samples}
