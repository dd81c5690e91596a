"""A leaf–spine fabric on paper: switches, ports, machines and cables, named and addressed by a seed."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from correlator.fabric.dice import Dice, Ints
from correlator.fabric.parameters import Wire
from correlator.model import Direction, End, Link

PortKind = Literal["machine", "fabric", "peer", "spare", "management", "loopback", "nic"]
NIC = "eth0"
UPLINKS_FROM = 49  # where a 48-port leaf has its uplinks


@dataclass(frozen=True)
class Size:
    """How large a fabric is. Raises ValueError for one that cannot be addressed here."""

    leaves: int = 4
    spines: int = 2
    hosts_per_leaf: int = 2

    def __post_init__(self) -> None:
        for name, least, most in (("leaves", 1, 200), ("spines", 1, 64), ("hosts_per_leaf", 1, 100)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be {least} to {most}, not {getattr(self, name)}")
        if self.leaves * self.hosts_per_leaf < 2:
            raise ValueError("a fabric needs two hosts at least")


@dataclass(frozen=True, slots=True)
class Port:
    """An interface of a switch, or a machine's network card. ``number``: its row in arrays of ports."""

    number: int
    device: str
    if_name: str
    if_index: int
    mac: str
    speed_bps: int
    kind: PortKind

    @property
    def end(self) -> End:
        """Return the port as the end of a link."""
        return End(self.device, self.if_name)


@dataclass(frozen=True, slots=True)
class Machine:
    """A computer at a leaf: a Docker host with an agent, or (``docker`` False) a box that nobody asks."""

    number: int
    name: str
    hostname: str
    leaf: int
    port: int
    address: str
    mac: str
    docker: bool


@dataclass(frozen=True, slots=True)
class Switch:
    """A switch: its identity and the numbers of its ports, in the order of ifIndex."""

    number: int
    name: str
    leaf: bool
    mac: str
    serial: str
    address: str
    rack: str
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cable:
    """Two ports with a fibre pair between them. Its directed links are 2·number (a to b) and 2·number + 1."""

    number: int
    a: int
    b: int
    kind: PortKind


@dataclass(frozen=True)
class Layout:
    """The whole fabric on paper.

    Directed links are counted 2·cable (from ``a``) and 2·cable + 1 (from ``b``). ``up[leaf, spine]``,
    ``down[spine, leaf]``, ``into[machine]`` (leaf to machine) and ``out_of[machine]`` are directed links.
    """

    size: Size
    site: str
    switches: tuple[Switch, ...]
    machines: tuple[Machine, ...]
    ports: tuple[Port, ...]
    cables: tuple[Cable, ...]
    up: Ints
    down: Ints
    into: Ints
    out_of: Ints

    @property
    def links(self) -> int:
        """The number of directed links."""
        return 2 * len(self.cables)

    @functools.cached_property
    def hosts(self) -> tuple[Machine, ...]:
        """The machines that run containers and an agent."""
        return tuple(machine for machine in self.machines if machine.docker)

    def sender(self, link: int) -> Port:
        """Return the port that a directed link leaves."""
        cable = self.cables[link // 2]
        return self.ports[cable.b if link % 2 else cable.a]

    def receiver(self, link: int) -> Port:
        """Return the port at which a directed link arrives."""
        return self.sender(link ^ 1)

    def directed(self, link: int) -> tuple[Link, Direction]:
        """Return a directed link in the words of the model."""
        whole = Link.between(self.sender(link).end, self.receiver(link).end)
        return whole, whole.direction_into(self.receiver(link).end)

    def switch_of(self, port: int) -> int | None:
        """Return the number of the switch that has ``port``; None for a machine's card."""
        return self._switch_of[self.ports[port].device] if self.ports[port].kind != "nic" else None

    @functools.cached_property
    def _switch_of(self) -> dict[str, int]:
        return {switch.name: switch.number for switch in self.switches}


def plan(size: Size, dice: Dice, wire: Wire) -> Layout:
    """Return the fabric of the given size; speeds, addresses and names come from the seed."""
    return _Plan(size, dice, wire).layout()


class _Plan:
    """Collects ports and cables while switches are drawn one by one."""

    def __init__(self, size: Size, dice: Dice, wire: Wire) -> None:
        self.size, self.rng = size, dice.stream("layout")
        self.speed = int(self.rng.choice(wire.speeds_bps))
        self.ports: list[Port] = []
        self.cables: list[Cable] = []
        self.switches: list[Switch] = []
        self.machines: list[Machine] = []
        self.up = np.zeros((size.leaves, size.spines), np.int64)
        self.down = np.zeros((size.spines, size.leaves), np.int64)

    def layout(self) -> Layout:
        leaves = [self._leaf(number) for number in range(self.size.leaves)]
        spines = [self._spine(number) for number in range(self.size.spines)]
        into = [self._cable(leaf[m], port, "machine") for leaf in leaves for m, port in self._attached(leaf)]
        for leaf, ports in enumerate(leaves):
            for spine, others in enumerate(spines):
                self.up[leaf, spine] = self._cable(ports[f"up{spine}"], others[f"leaf{leaf}"], "fabric")
        self.down = self.up.T + 1
        for one, other in itertools.pairwise(spines):
            self._cable(one["next"], other["previous"], "peer")
        return Layout(
            self.size,
            f"dc{self.rng.integers(1, 9)}",
            tuple(self.switches),
            tuple(self.machines),
            tuple(self.ports),
            tuple(self.cables),
            self.up,
            self.down,
            np.array(into, np.int64),
            np.array(into, np.int64) + 1,
        )

    def _attached(self, leaf: dict[str, int]) -> Iterator[tuple[str, int]]:
        """Yield the name of each port of a leaf that has a machine, and the machine's own port."""
        names = {machine.name: machine.port for machine in self.machines}
        return ((name, names[name]) for name in leaf if name in names)

    def _leaf(self, number: int) -> dict[str, int]:
        hosts = [f"host{number + 1}-{n + 1}" for n in range(self.size.hosts_per_leaf)]
        wanted = {name: position for position, name in enumerate([*hosts, f"nas{number + 1}"], 1)}
        spare = len(wanted) + 3
        wanted |= {"spare0": spare, "spare1": spare + 1}
        first = max(UPLINKS_FROM, spare + 3)
        wanted |= {f"up{spine}": first + spine for spine in range(self.size.spines)}
        ports = self._switch(f"leaf{number + 1}", True, f"rack{number + 1}", wanted)
        for position, name in enumerate([*hosts, f"nas{number + 1}"]):
            self._machine(name, number, position)
        return ports

    def _spine(self, number: int) -> dict[str, int]:
        leaves = self.size.leaves
        wanted = {f"leaf{leaf}": leaf + 1 for leaf in range(leaves)}
        wanted |= {"previous": leaves + 1} if number > 0 else {}
        wanted |= {"next": leaves + 2} if number + 1 < self.size.spines else {}
        wanted |= {"spare0": leaves + 5, "spare1": leaves + 6}
        return self._switch(f"spine{number + 1}", False, "network", wanted)

    def _switch(self, name: str, leaf: bool, rack: str, wanted: dict[str, int]) -> dict[str, int]:
        number = len(self.switches)
        base = bytes([0x00, 0x1C, 0x73, *self.rng.bytes(2), 0x00])
        shift = int(
            self.rng.choice([0, 100, 1000])
        )  # an index that happens to equal the port's number misleads
        ports = {
            role: self._port(name, f"Ethernet{n}", shift + n, _mac(base, n), self.speed, _kind(role))
            for role, n in sorted(wanted.items(), key=lambda item: item[1])
        }
        management = self._port(name, "Management1", 999001, _mac(base, 255), 1_000_000_000, "management")
        loopback = self._port(name, "Loopback0", 5000000, "", 0, "loopback")
        serial = f"JPE{self.rng.integers(10**7, 10**8)}"
        address = f"172.20.{number // 250}.{number % 250 + 1}"
        numbers = (*ports.values(), management, loopback)
        self.switches.append(Switch(number, name, leaf, _mac(base, 0), serial, address, rack, numbers))
        return ports

    def _machine(self, name: str, leaf: int, position: int) -> None:
        mac = _mac(bytes([0x3C, 0xEC, 0xEF, *self.rng.bytes(3)]), 0)
        docker = name.startswith("host")
        # Host names are no keys: two hosts share one.
        hostname = "docker-a" if docker and position == 0 and leaf < 2 else name
        port = self._port(name, NIC, 2, mac, self.speed, "nic")
        address = f"10.1.{leaf + 1}.{position + 10}"
        number = len(self.machines)
        self.machines.append(Machine(number, name, hostname, leaf, port, address, mac, docker))

    def _port(self, device: str, name: str, index: int, mac: str, speed: int, kind: PortKind) -> int:
        self.ports.append(Port(len(self.ports), device, name, index, mac, speed, kind))
        return len(self.ports) - 1

    def _cable(self, a: int, b: int, kind: PortKind) -> int:
        """Lay a cable; return its directed link from ``a`` to ``b``."""
        self.cables.append(Cable(len(self.cables), a, b, kind))
        return 2 * (len(self.cables) - 1)


def _kind(role: str) -> PortKind:
    if role.startswith("spare"):
        return "spare"
    if role in ("next", "previous"):
        return "peer"
    return "fabric" if role[:2] == "up" or role[:4] == "leaf" else "machine"


def _mac(base: bytes, number: int) -> str:
    """Return the ``number``-th address of a block of 256."""
    return ":".join(f"{octet:02x}" for octet in (*base[:5], (base[5] + number) % 256))
