"""What goes wrong, and what only looks as if: a fault and its decoys, drawn by a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from correlator.fabric.background import Background, filling
from correlator.fabric.causes import Causes
from correlator.fabric.dice import Dice, Floats, log_uniform
from correlator.fabric.faults import FAULTS, Decoys, Fault, Mark, SickLink, Story, StoryName
from correlator.fabric.layout import Layout
from correlator.fabric.parameters import Trouble
from correlator.fabric.workload import Workload

WINDOW_S = 200.0  # a fault must hurt pairs within this time
SPARE_LOAD = 0.85  # no link but a full one is loaded more than this


def name_by_seed(seed: int, dice: Dice) -> StoryName:
    """Return the story of a seed: multiples of 5 are quiet, the next have decoys only, the rest a fault."""
    if seed % 5 == 0:
        return "nothing"
    if seed % 5 == 1:
        return "decoys"
    return FAULTS[int(dice.stream("story name").choice(3, p=[0.6, 0.2, 0.2]))]


@dataclass
class Author:
    """Draws a story for a fabric. ``segments`` are container segments per second on each directed link."""

    layout: Layout
    workload: Workload
    background: Background
    trouble: Trouble
    dice: Dice
    segments: Floats
    crossing: dict[int, set[int]] = field(default_factory=dict)

    def story(self, name: StoryName) -> Story:
        """Return the story of that name."""
        rng = self.dice.stream("onset")
        low, high = self.trouble.onset_minutes
        minutes = int(rng.integers(low, high + 1))
        onset = 60 * minutes + 10 * int(rng.integers(0, 6))
        fault = None
        if name == "dirty_connector":
            fault = self._dirty(onset)
        elif name == "congestion":
            fault = self._congestion(onset)
        elif name == "slow_service":
            fault = self._slow(onset)
        elif name not in ("nothing", "decoys"):
            fault = Causes(self.layout, self.trouble, self.dice, self.crossed).fault(name, onset)
        decoys = Decoys() if name == "nothing" else self._decoys(onset, fault)
        return Story(name, minutes, fault, decoys)

    def _dirty(self, onset: int) -> Fault:
        """Return a dirty end-face on a link into a switch that enough container traffic crosses."""
        rng, trouble, layout = self.dice.stream("dirty connector"), self.trouble, self.layout
        fabric = [int(k) for k in (*layout.up.ravel(), *layout.down.ravel())]
        hosts = [int(layout.out_of[machine.number]) for machine in layout.hosts]
        loss = float(log_uniform(rng, trouble.dirty_loss))
        links = fabric if rng.random() < 0.75 and self._any(fabric) else hosts
        link, loss = self.crossed(links, loss, trouble.dirty_loss[1], rng)
        drop, end = float(rng.uniform(*trouble.dirty_drop_db)), int(rng.integers(2))
        mark = Mark(link, loss=loss, way_db=drop)
        return Fault("dirty_connector", onset, loss, link, drop, end, marks=(mark,))

    def _congestion(self, onset: int) -> Fault:
        """Return a full egress of a switch that enough container traffic leaves through."""
        rng, trouble, layout = self.dice.stream("congestion"), self.trouble, self.layout
        fabric = [int(k) for k in (*layout.up.ravel(), *layout.down.ravel())]
        hosts = [int(layout.into[machine.number]) for machine in layout.hosts]
        loss = float(log_uniform(rng, trouble.congestion_loss))
        links = fabric if rng.random() < 0.4 and layout.size.leaves > 2 and self._any(fabric) else hosts
        link, loss = self.crossed(links, loss, trouble.congestion_loss[1], rng)
        return Fault("congestion", onset, loss, link)

    def crossed(
        self, links: list[int], loss: float, most: float, rng: np.random.Generator
    ) -> tuple[int, float]:
        """Return a link where ``loss`` hurts enough segments; if there is none, the fullest and more loss."""
        needed = self.trouble.lost_segments / WINDOW_S
        enough = [link for link in links if self.segments[link] * loss >= needed]
        if enough:
            return int(rng.choice(enough)), loss
        fullest = max(links, key=lambda link: float(self.segments[link]))
        return fullest, min(most, needed / max(float(self.segments[fullest]), 1e-9))

    def _any(self, links: list[int]) -> bool:
        """Return whether container traffic crosses any of the links."""
        return bool(self.segments[links].any())

    def _slow(self, onset: int) -> Fault:
        """Return a service that takes longer, on all its containers or on one, by a millisecond at least."""
        rng = self.dice.stream("slow service")
        factor = float(rng.uniform(*self.trouble.slow_factor))
        asked = {pair.server.service for pair in self.workload.pairs}
        slow = sorted(s for s in asked if (factor - 1) * self.workload.median_ms[s] >= 1.0)
        service = str(rng.choice(slow or ["api"]))
        replicas = self.workload.replicas(service)
        one = rng.random() < 0.4
        container = replicas[int(rng.integers(len(replicas)))].container_id if one else None
        return Fault("slow_service", onset, factor, service=service, container=container)

    def _decoys(self, onset: int, fault: Fault | None) -> Decoys:
        """Return some of the decoys, at least two kinds."""
        rng = self.dice.stream("decoys")
        kinds = [bool(x) for x in rng.random(4) < self.trouble.decoy_share]
        for n in rng.permutation(4):
            kinds[n] |= sum(kinds) < 2
        sick, ports, busy, cut = kinds
        shut, dark = self._ports(rng) if ports else (frozenset[int](), frozenset[int]())
        link = self._busy(fault, rng) if busy else None
        return Decoys(
            self._sick(onset, rng) if sick else None,
            shut,
            dark,
            link,
            float(rng.uniform(*self.trouble.busy_load)) if link is not None else 0.0,
            self._cut_through(fault, rng) if cut else frozenset(),
        )

    def _sick(self, onset: int, rng: np.random.Generator) -> SickLink:
        """Return a link between spines or from a box without containers, sick for days or of late."""
        layout = self.layout
        idle = [2 * c.number + side for c in layout.cables if c.kind == "peer" for side in (0, 1)]
        boxes = [int(layout.out_of[m.number]) for m in layout.machines if not m.docker]
        link = int(rng.choice(idle if idle and rng.random() < 0.5 else boxes))
        since = -math.inf if rng.random() < 0.5 else float(onset + 10 * int(rng.integers(-6, 7)))
        loss = float(log_uniform(rng, self.trouble.sick_loss))
        return SickLink(link, loss, float(rng.uniform(*self.trouble.sick_drop_db)), since)

    def _ports(self, rng: np.random.Generator) -> tuple[frozenset[int], frozenset[int]]:
        """Return spare ports with a module: some shut on purpose, some open and dark."""
        spare = [port.number for port in self.layout.ports if port.kind == "spare"]
        chosen = [int(n) for n in rng.permutation(spare)[:4]]
        return frozenset(chosen[:2]), frozenset(chosen[2:])

    def _busy(self, fault: Fault | None, rng: np.random.Generator) -> int | None:
        """Return a link that can be filled to four fifths without filling another, if there is one."""
        layout, trouble = self.layout, self.trouble
        places = [int(k) for k in (*layout.up.ravel(), *layout.down.ravel())]
        places += [int(layout.into[machine.number]) for machine in layout.hosts]
        base = self.background.base_bps * 1.3 / layout.ports[0].speed_bps
        if fault is not None and fault.kind == "congestion" and fault.link is not None:
            full = filling(layout, fault.link)
            base = base + full * max(0.0, 1.0 - base[fault.link])
            places = [k for k in places if full[k] == 0.0 and filling(layout, k)[fault.link] == 0.0]
        for link in rng.permutation(places)[:20]:
            load = base + filling(layout, int(link)) * max(0.0, trouble.busy_load[1] - base[link])
            others = np.arange(len(load)) != (fault.link if fault and fault.link is not None else -1)
            if float(load[others].max()) < SPARE_LOAD:
                return int(link)
        return None

    def _cut_through(self, fault: Fault | None, rng: np.random.Generator) -> frozenset[int]:
        """Return switches that pass bad frames on; a dirty link often ends at one of them."""
        switches = self.layout.switches
        chosen = {int(n) for n in rng.permutation(len(switches))[: 1 + int(rng.integers(2))]}
        if fault is not None and fault.link is not None and rng.random() < 0.6:
            end = self.layout.switch_of(self.layout.receiver(fault.link).number)
            chosen |= {end} if end is not None else set()
        return frozenset(chosen)
