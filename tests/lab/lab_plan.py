"""The lab as a description: devices, links, addresses and routes. Nothing here touches the machine.

``lab.yaml`` describes the lab, other files what differs in a variant of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from correlator.model import End, Link

HERE = Path(__file__).parent
VNI = 100  # of the first link; one more for each
UPLINK = 49  # number of a leaf's first port to a spine
NIC = "ens1f0"
ASKED = 9000  # where containers answer
MANAGEMENT = "192.168.241"
BRIDGED = "10.20.0"  # the one network of a bridged fabric


@dataclass(frozen=True)
class Cable:
    """One link: its number, and its ends; ``upper`` is nearer to the spines."""

    number: int
    lower: End
    upper: End

    @property
    def vni(self) -> int:
        return VNI + self.number

    def moved(self, onto: Cable) -> Cable:
        """Return this link once its upper end is where the other's was."""
        return Cable(self.number, self.lower, onto.upper)

    @property
    def link(self) -> Link:
        """The link as verdicts name it."""
        return Link.between(self.lower, self.upper)

    def address(self, device: str) -> str:
        """Return the address of a device on this link, a /31."""
        return f"10.10.{self.number}.{int(device == self.upper.device)}"

    def end(self, device: str) -> End:
        return self.lower if device == self.lower.device else self.upper

    def other(self, device: str) -> End:
        return self.upper if device == self.lower.device else self.lower


@dataclass(frozen=True)
class Route:
    """Where a device sends what is for a prefix: the far addresses of links, of equal cost."""

    prefix: str
    via: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What a file describes; ``switching`` is routed, bgp or bridged."""

    switching: str
    spines: tuple[str, ...]
    leaves: dict[str, tuple[str, ...]]
    signed: tuple[str, ...]
    services: dict[str, dict[str, Any]]
    clients: tuple[dict[str, Any], ...]
    cables: tuple[Cable, ...]

    @classmethod
    def read(cls, variant: str = "lab") -> Plan:
        document = yaml.safe_load((HERE / "lab.yaml").read_text())
        if variant != "lab":
            document |= yaml.safe_load((HERE / f"{variant}.yaml").read_text())
        leaves = {leaf: tuple(hosts) for leaf, hosts in document["leaves"].items()}
        spines = tuple(document["spines"])
        return cls(
            switching=document["switching"],
            spines=spines,
            leaves=leaves,
            signed=tuple(document["snmp_v3"]),
            services=document["services"],
            clients=tuple(document["clients"]),
            cables=tuple(_cables(spines, leaves, document["parallel"])),
        )

    @property
    def switches(self) -> tuple[str, ...]:
        return (*self.spines, *self.leaves)

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(host for hosts in self.leaves.values() for host in hosts)

    @property
    def devices(self) -> tuple[str, ...]:
        return (*self.switches, *self.hosts)

    @property
    def bridged(self) -> bool:
        return self.switching == "bridged"

    def number(self, host: str) -> int:
        return self.hosts.index(host) + 1

    def management(self, device: str) -> str:
        """Return the address by which a device is asked."""
        return f"{MANAGEMENT}.{self.devices.index(device) + 11}"

    def containers(self, host: str) -> str:
        """Return the network of a host's containers."""
        return f"172.30.{self.number(host)}.0/24"

    def address(self, host: str) -> str:
        """Return a host's address in the fabric."""
        if self.bridged:
            return f"{BRIDGED}.{self.number(host)}"
        ((_, cable),) = self.ports(host)
        return cable.address(host)

    def cable(self, one: str, two: str) -> Cable:
        """Return the link between two devices, the first of parallel ones."""
        return self.parallel(one, two)[0]

    def parallel(self, one: str, two: str) -> list[Cable]:
        """Return the links between two devices."""
        return [c for c in self.cables if {c.lower.device, c.upper.device} == {one, two}]

    def ports(self, device: str) -> list[tuple[str, Cable]]:
        """Return (interface, link) of each of a device's ports."""
        mine = (c for c in self.cables if device in (c.lower.device, c.upper.device))
        return [(cable.end(device).if_name, cable) for cable in mine]

    def routes(self, device: str, down: Collection[Cable] = ()) -> list[Route]:
        """Return a device's routes, as they would be with the links in ``down`` withdrawn."""
        if self.bridged:
            others = (host for host in self.hosts if device in self.hosts and host != device)
            return [Route(self.containers(host), (self.address(host),)) for host in others]
        if device in self.hosts:
            (_, cable), *_ = self.ports(device)
            return [Route("default", (cable.address(cable.upper.device),))]
        found = []
        for leaf, hosts in self.leaves.items():
            if self.switching == "bgp" and device != leaf:
                continue  # learned
            for host in hosts:
                via = self._towards(device, leaf, host, down)
                prefixes = [self.containers(host)]
                if device != leaf:
                    prefixes.append(f"{self.cable(host, leaf).address(host)}/32")
                found += [Route(prefix, via) for prefix in prefixes]
        return found

    def _towards(self, device: str, leaf: str, host: str, down: Collection[Cable]) -> tuple[str, ...]:
        if device == leaf:
            return (self.cable(host, leaf).address(host),)
        if device in self.spines:
            cable = self.cable(leaf, device)
            return () if cable in down else (cable.address(leaf),)
        both = ((self.cable(device, spine), self.cable(leaf, spine), spine) for spine in self.spines)
        return tuple(up.address(spine) for up, on, spine in both if up not in down and on not in down)


def _cables(spines: tuple[str, ...], leaves: dict[str, tuple[str, ...]], parallel: int) -> Iterator[Cable]:
    """Yield every link: of each leaf those to its hosts, then its uplinks, ``parallel`` to each spine."""
    numbers = count(1)
    for place, (leaf, hosts) in enumerate(leaves.items()):
        for port, host in enumerate(hosts, 1):
            yield Cable(next(numbers), End(host, NIC), End(leaf, f"Ethernet{port}"))
        uplinks = count(UPLINK)
        for spine in spines:
            for port in range(place * parallel + 1, (place + 1) * parallel + 1):
                ends = End(leaf, f"Ethernet{next(uplinks)}"), End(spine, f"Ethernet{port}")
                yield Cable(next(numbers), *ends)
