"""What is seen of a fabric: its world is moved, polled with skew and gaps, and hidden in part."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from correlator import frames
from correlator.engine import pairs
from correlator.fabric.dice import Dice
from correlator.fabric.faults import Fault
from correlator.fabric.history import history
from correlator.fabric.layout import Layout, Switch
from correlator.fabric.physics import World, setting
from correlator.fabric.simulation import some_hour
from correlator.fabric.stories import Author
from correlator.fabric.tables import Recorder
from fusing import draw

POLL_S = 60
MISSED, RESET, NO_TX, NO_RX, MISLAID = 0.01, 0.02, 0.10, 0.05, 0.01
"""Shares: polls without an answer, switches that restart, modules that tell no sent or received light, and
rows of the operator's cable list that are wrong."""
SEEN = ("counters", "optics", "polls", "devices", "interfaces", "neighbors", "link_hours", "optics_hours")


@dataclass
class Watched:
    """A fabric that was watched until ``now``: all tables, and what is really wrong with it.

    ``rank``: the coverage from which on each switch is polled. ``told_by_pairs``: what a judge worked out
    for each fault, which is the same at every coverage.
    """

    plan: draw.Plan
    world: World
    recorder: Recorder
    now: datetime
    tables: dict[str, pd.DataFrame]
    rank: dict[str, float]
    told_by_pairs: dict[Fault, npt.NDArray[np.float64]] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        """The fabric on paper."""
        return self.world.setting.layout

    def seen(self, coverage: float) -> dict[str, pd.DataFrame]:
        """Return the tables where a share ``coverage`` of the switches is polled, the same ones first."""
        known = {name for name, place in self.rank.items() if place < coverage}
        answer = dict(self.tables)
        for name in SEEN:
            column = "target" if name == "polls" else "device"
            answer[name] = answer[name][answer[name][column].isin(known)].reset_index(drop=True)
        return answer


def watch(mix: draw.Mix, seed: int) -> Watched:
    """Return the fabric of a seed after its faults have held for some minutes."""
    base = setting(seed, draw.size(seed), mix.physics)
    drawn: list[draw.Plan] = []

    def author(one: Author) -> draw.Story:
        drawn.append(draw.plan(mix, seed, one))
        return drawn[0].story()

    world = World(base, some_hour(base.dice), author, Dice(seed))
    recorder = Recorder(world)
    rng = Dice(seed).stream("watching", mix.name)
    _run(recorder, mix, rng)
    tables = recorder.tables(base.layout.switches)
    tables["pair_samples"] = pairs.resolve(tables["pair_samples"], tables["containers"], tables["hosts"])
    tables["cables"] = _mislaid(recorder.cables(), mix, rng)
    tables["optics"] = _partly_blind(tables["optics"], mix, rng)
    tables |= history(world)
    return Watched(drawn[0], world, recorder, recorder.now, tables, _rank(base.layout, rng))


def _run(recorder: Recorder, mix: draw.Mix, rng: np.random.Generator) -> None:
    """Move the world to the end, and poll each switch once a minute at a moment of its own."""
    world, switches = recorder.world, recorder.world.setting.layout.switches
    steps = POLL_S // world.interval
    offset = rng.integers(0, steps, len(switches))
    restart = _restarts(switches, mix, rng)
    while True:
        step = world.second // world.interval
        for switch in switches:
            if restart.get(switch.number) == step:
                recorder.interfaces.restart(switch, world.second)
            if step % steps == offset[switch.number]:
                missed = world.second > 0 and rng.random() < MISSED * mix.scale
                (recorder.missed if missed else recorder.poll)(switch)
        if world.second >= mix.end_s:
            return
        recorder.step()


def _restarts(switches: tuple[Switch, ...], mix: draw.Mix, rng: np.random.Generator) -> dict[int, int]:
    """Return at which step some switches' software starts anew."""
    last = mix.end_s // 10
    return {s.number: int(rng.integers(1, last)) for s in switches if rng.random() < RESET * mix.scale}


def _mislaid(cables: pd.DataFrame, mix: draw.Mix, rng: np.random.Generator) -> pd.DataFrame:
    """Return the operator's list of cables between switches, where some far ends are exchanged."""
    known = cables[~cables[["a_if_name", "b_if_name"]].eq("eth0").any(axis=1)].reset_index(drop=True)
    wrong = np.flatnonzero(rng.random(len(known)) < MISLAID * mix.scale)
    far = known[["b_device", "b_if_name"]].to_numpy(dtype=object)
    for row in wrong:
        other = int(rng.integers(len(known)))
        far[[row, other]] = far[[other, row]]
    known[["b_device", "b_if_name"]] = far
    return frames.validate("cables", known)


def _partly_blind(optics: pd.DataFrame, mix: draw.Mix, rng: np.random.Generator) -> pd.DataFrame:
    """Return light where some modules do not tell what they send, and others not what they receive."""
    ports = optics[["device", "if_name"]].drop_duplicates().reset_index(drop=True)
    answer = optics.merge(
        ports.assign(
            dumb=rng.random(len(ports)) < NO_TX * mix.scale, blind=rng.random(len(ports)) < NO_RX * mix.scale
        ),
        on=["device", "if_name"],
    )
    answer.loc[answer["dumb"], "tx_power_dbm"] = np.nan
    answer.loc[answer["blind"], ["rx_power_dbm", "no_light"]] = [np.nan, pd.NA]
    return answer.drop(columns=["dumb", "blind"])


def _rank(layout: Layout, rng: np.random.Generator) -> dict[str, float]:
    """Return for each switch the coverage from which on it is polled, even between 0 and 1."""
    order = rng.permutation(len(layout.switches))
    shift = rng.random()
    return {s.name: float((order[s.number] + shift) / len(layout.switches)) for s in layout.switches}
