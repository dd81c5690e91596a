"""What the counters of a switch's interfaces show: what its links have carried, on top of an earlier life."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from correlator.fabric.dice import Dice, Ints, log_uniform
from correlator.fabric.layout import Layout, Switch
from correlator.fabric.links import Counts

MULTICAST_EVERY, BROADCAST_EVERY = 500, 1000  # one packet in so many
MANAGEMENT_PPS, MANAGEMENT_OCTETS = 3, 180  # what a management port hears and says a second
IN, OUT = 0, 1


@dataclass
class Interfaces:
    """The counters of every port: cumulative since the switch started, long before the run."""

    layout: Layout
    counts: Counts
    dice: Dice
    links: Ints = field(init=False)

    def __post_init__(self) -> None:
        rng, ports = self.dice.stream("counters"), len(self.layout.ports)
        cabled = np.zeros(ports, np.bool_)
        self.links = np.full((2, ports), -1)
        for link in range(self.layout.links):
            self.links[IN, self.layout.receiver(link).number] = link
            self.links[OUT, self.layout.sender(link).number] = link
            cabled[self.layout.receiver(link).number] = True
        packets = log_uniform(rng, (1e9, 1e13), (2, ports)) * cabled
        self.packets = packets.astype(np.int64)
        self.octets = (packets * rng.uniform(500, 900, (2, ports))).astype(np.int64)
        self.errors = rng.integers(0, 300, ports) * cabled
        self.discards = rng.integers(0, 500, ports) * cabled
        self.symbols, self.spoiled = np.zeros(ports, np.int64), np.zeros(ports, np.int64)
        self.uptime_cs = rng.integers(3 * 8_640_000, 300 * 8_640_000, len(self.layout.switches))

    def restart(self, switch: Switch, second: int) -> None:
        """Let the counters of a switch begin anew, and its uptime."""
        for port in switch.ports:
            for side in (IN, OUT):
                self.packets[side, port] -= self.good(port, side, second)
                self.octets[side, port] -= self.all_octets(port, side, second)
            self.errors[port] -= self.in_errors(port)
            self.discards[port] -= self.out_discards(port)
            self.symbols[port] -= self.symbol_errors(port)
            self.spoiled[port] -= self.out_errors(port)
        self.uptime_cs[switch.number] = -100 * second

    def good(self, port: int, side: int, second: int) -> int:
        """Return good packets received (``side`` IN) or sent (OUT)."""
        counter = self.counts.received if side == IN else self.counts.sent
        return int(self.packets[side, port]) + self._moved(counter, port, side, second, 1)

    def all_octets(self, port: int, side: int, second: int) -> int:
        """Return octets of good frames, framing included (RFC 3635, 3.2.9)."""
        counter = self.counts.received_octets if side == IN else self.counts.sent_octets
        return int(self.octets[side, port]) + self._moved(counter, port, side, second, MANAGEMENT_OCTETS)

    def multicast(self, port: int, side: int, second: int) -> int:
        """Return good multicast packets."""
        return self.good(port, side, second) // MULTICAST_EVERY

    def broadcast(self, port: int, side: int, second: int) -> int:
        """Return good broadcast packets; no step has one and a multicast, so that unicast never falls."""
        return (self.good(port, side, second) + MULTICAST_EVERY // 2) // BROADCAST_EVERY

    def unicast(self, port: int, side: int, second: int) -> int:
        """Return good unicast packets."""
        others = self.multicast(port, side, second) + self.broadcast(port, side, second)
        return self.good(port, side, second) - others

    def in_errors(self, port: int) -> int:
        """Return frames received with a bad check sequence."""
        return int(self.errors[port]) + self._of(self.counts.errors, port, IN)

    def out_errors(self, port: int) -> int:
        """Return bad frames that a cut-through switch passed on."""
        return int(self.spoiled[port]) + self._of(self.counts.spoiled, port, OUT)

    def symbol_errors(self, port: int) -> int:
        """Return frames received with an invalid symbol."""
        return int(self.symbols[port]) + self._of(self.counts.symbol_errors, port, IN)

    def out_discards(self, port: int) -> int:
        """Return good frames that found no room in the egress queue."""
        return int(self.discards[port]) + self._of(self.counts.discards, port, OUT)

    def uptime(self, switch: int, second: int) -> int:
        """Return sysUpTime, hundredths of a second."""
        return (int(self.uptime_cs[switch]) + 100 * second) % 2**32

    def _of(self, counter: Ints, port: int, side: int) -> int:
        link = int(self.links[side, port])
        return int(counter[link]) if link >= 0 else 0

    def _moved(self, counter: Ints, port: int, side: int, second: int, octets: int) -> int:
        if self.layout.ports[port].kind == "management":
            return MANAGEMENT_PPS * second * octets
        return self._of(counter, port, side)
