"""Faults beyond dirt, full queues and slow services: each is drawn with what it shows and what it hides.

Signatures follow CorrOpt (SIGCOMM 2017) and overlap as they do there: some damaged cables dim one strand
only, some dying lasers keep their power by ever more current, some bad modules are wrong both ways.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from correlator.fabric.dice import Dice, log_uniform
from correlator.fabric.faults import Fault, Mark, StoryName
from correlator.fabric.layout import Layout, Port
from correlator.fabric.parameters import Trouble

Crossed = Callable[[list[int], float, float, np.random.Generator], tuple[int, float]]


@dataclass(frozen=True)
class Causes:
    """Draws a fault. ``crossed`` returns, of some links, one where a loss rate hurts, and that rate."""

    layout: Layout
    trouble: Trouble
    dice: Dice
    crossed: Crossed

    def fault(self, name: StoryName, onset: int) -> Fault:
        """Return the fault of a story. Raises KeyError for a story that has none of these."""
        rng = self.dice.stream(name.replace("_", " "))
        draw = {
            "damaged_fiber": self._damaged,
            "failing_transmitter": self._fading,
            "bad_transceiver": self._bad,
            "shared_component": self._shared,
            "silent_drop": self._silent,
            "slow_host": self._host,
            "reboot": self._reboot,
            "module_swap": self._swap,
            "fec": self._fec,
        }[name]
        return self._textured(draw(onset, rng), rng)

    def _textured(self, fault: Fault, rng: np.random.Generator) -> Fault:
        """Return a corrupting fault that may come in bursts, and may spare short frames."""
        burst = float(rng.uniform(*self.trouble.burst)) if rng.random() < self.trouble.bursty else 1.0
        by_size = bool(rng.random() < self.trouble.by_size)
        corrupts = any(mark.loss > 0 for mark in fault.marks)
        return replace(fault, burst=burst, by_size=by_size) if corrupts else fault

    def _lossy(self, rng: np.random.Generator) -> tuple[int, float]:
        """Return a link into a switch, and a loss rate, that hurt; three in four are between switches."""
        fabric = [int(k) for k in (*self.layout.up.ravel(), *self.layout.down.ravel())]
        hosts = [int(self.layout.out_of[machine.number]) for machine in self.layout.hosts]
        links = fabric if rng.random() < 0.75 and self.layout.size.leaves > 1 else hosts
        loss = float(log_uniform(rng, self.trouble.dirty_loss))
        return self.crossed(links, loss, self.trouble.dirty_loss[1], rng)

    def _damaged(self, onset: int, rng: np.random.Generator) -> Fault:
        """Return a bent or broken cable: mostly both strands lose light, half of those frames."""
        link, loss = self._lossy(rng)
        drop = float(rng.uniform(*self.trouble.fiber_drop_db))
        both = rng.random() < self.trouble.both_strands
        other_db = drop * float(rng.uniform(*self.trouble.strand_ratio)) if both else 0.0
        lossy = both and rng.random() < 0.5
        other = loss * float(rng.uniform(0.2, 1.0)) if lossy else 0.0
        marks = (Mark(link, loss=loss, way_db=drop), Mark(link ^ 1, loss=other, way_db=other_db))
        return Fault("damaged_fiber", onset, loss, link, drop, marks=marks)

    def _fading(self, onset: int, rng: np.random.Generator) -> Fault:
        """Return a dying laser: less light is sent, mostly by more current; it has been fading for days."""
        link, loss = self._lossy(rng)
        drop = float(rng.uniform(*self.trouble.laser_drop_db))
        shown = rng.random() < self.trouble.bias_shown
        bias = float(rng.uniform(*self.trouble.bias_factor)) if shown else 1.0
        fade = float(rng.uniform(*self.trouble.fade_db_per_day))
        mark = Mark(link, loss=loss, tx_db=drop, bias=bias)
        return Fault(
            "failing_transmitter", onset, loss, link, drop, end=0, marks=(mark,), fade_db_per_day=fade
        )

    def _bad(self, onset: int, rng: np.random.Generator) -> Fault:
        """Return a bad or loose transceiver: frames are lost and all light is as ever."""
        link, loss = self._lossy(rng)
        other = loss * float(rng.uniform(0.2, 1.0)) if rng.random() < self.trouble.bad_both_ways else 0.0
        marks = (Mark(link, loss=loss), Mark(link ^ 1, loss=other))
        return Fault("bad_transceiver", onset, loss, link, end=int(rng.integers(2)), marks=marks)

    def _shared(self, onset: int, rng: np.random.Generator) -> Fault:
        """Return neighbouring ports that lose alike: what they share, a breakout or a line card, is bad."""
        loss = float(log_uniform(rng, self.trouble.dirty_loss))
        blocks = self._blocks()
        link, loss = self.crossed([b[0] for b in blocks], loss, self.trouble.dirty_loss[1], rng)
        links = next(block for block in blocks if block[0] == link)
        if rng.random() < 0.5:
            links = [*links, *(k ^ 1 for k in links)]
        rates = loss * np.exp(rng.normal(0.0, self.trouble.shared_spread, len(links)))
        marks = tuple(Mark(k, loss=float(rate)) for k, rate in zip(links, rates, strict=True))
        switch = self.layout.switch_of(self.layout.receiver(link).number)
        return Fault("shared_component", onset, loss, link, marks=marks, switch=switch)

    def _blocks(self) -> list[list[int]]:
        """Return the directed links into each block of four neighbouring ports, two or more of them used."""
        answer = []
        for switch in self.layout.switches:
            used = [self.layout.ports[n] for n in switch.ports]
            into: dict[int, list[int]] = {}
            for port in used:
                if port.kind in ("machine", "fabric"):
                    into.setdefault(_block(port), []).append(self._into(port))
            answer += [block for block in into.values() if len(block) > 1]
        return answer

    def _into(self, port: Port) -> int:
        links = range(self.layout.links)
        return next(k for k in links if self.layout.receiver(k).number == port.number)

    def _silent(self, onset: int, rng: np.random.Generator) -> Fault:
        """Return an egress of a switch before which packets vanish, counted by nobody."""
        layout = self.layout
        fabric = [int(k) for k in (*layout.up.ravel(), *layout.down.ravel())]
        hosts = [int(layout.into[machine.number]) for machine in layout.hosts]
        loss = float(log_uniform(rng, self.trouble.dirty_loss))
        links = fabric if rng.random() < 0.75 and layout.size.leaves > 1 else hosts
        link, loss = self.crossed(links, loss, self.trouble.dirty_loss[1], rng)
        return Fault("silent_drop", onset, loss, link, marks=(Mark(link, silent=loss),))

    def _host(self, onset: int, rng: np.random.Generator) -> Fault:
        """Return a host that answers late: processor stolen, interrupts late; some drop packets as well."""
        host = int(rng.integers(len(self.layout.hosts)))
        level = float(log_uniform(rng, self.trouble.host_ms))
        lost = float(log_uniform(rng, self.trouble.host_loss)) if rng.random() < 0.3 else 0.0
        marks = (Mark(int(self.layout.into[self.layout.hosts[host].number]), silent=lost),)
        return Fault("slow_host", onset, level, marks=marks, host=host)

    def _reboot(self, onset: int, rng: np.random.Generator) -> Fault:
        """Return a switch whose software restarts: counters begin anew, frames are forwarded all along."""
        switch = int(rng.integers(len(self.layout.switches)))
        return Fault("reboot", onset, float(rng.uniform(*self.trouble.restart_s)), switch=switch)

    def _swap(self, onset: int, rng: np.random.Generator) -> Fault:
        """Return a healthy module that is exchanged for another on a drained link."""
        ports = [port.number for port in self.layout.ports if port.kind in ("machine", "fabric")]
        return Fault("module_swap", onset, 0.0, port=int(rng.choice(ports)))

    def _fec(self, onset: int, rng: np.random.Generator) -> Fault:
        """Return dirt that error correction still makes up for: ever more corrected codewords, no loss."""
        fabric = [int(k) for k in (*self.layout.up.ravel(), *self.layout.down.ravel())]
        hosts = [int(self.layout.out_of[machine.number]) for machine in self.layout.hosts]
        link = int(rng.choice(fabric if self.layout.size.leaves > 1 else hosts))
        drop = float(rng.uniform(*self.trouble.fec_drop_db))
        growth = float(rng.uniform(*self.trouble.fec_growth))
        return Fault("fec", onset, 0.0, link, drop, marks=(Mark(link, way_db=drop),), growth=growth)


def _block(port: Port) -> int:
    """Return which block of four neighbouring ports a port is in: they share one gearbox or breakout."""
    return (int(port.if_name.removeprefix("Ethernet")) - 1) // 4
