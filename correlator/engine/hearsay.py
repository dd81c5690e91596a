"""What switches and hosts hear by LLDP and CDP, as claims about links: who says it, whom it is about.

A neighbour that is not among the known devices is a *box*: it gets a name and its links are told as
far as they are known. Page: docs/algorithms/topology.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd

from correlator.engine.identities import Identities, Place, rows

MOST_BOXES_AT_A_PORT = 16
"""Unknown neighbours of one port that are told one by one: behind a hub there may be thousands."""

SWITCHING = {"bridge", "router"}
NEIGHBOR = (
    "device", "if_name", "protocol", "remote_chassis_id", "remote_port_id", "remote_port_descr",
    "remote_sys_name", "remote_address", "remote_capabilities", "at",
)  # fmt: skip


class Claim(NamedTuple):
    """``near`` says that it hears ``far``."""

    near: Place
    far: Place
    protocol: str
    at: pd.Timestamp


class Heard(NamedTuple):
    """A neighbour as it was heard, every part of it perhaps null."""

    near: Place
    protocol: str
    chassis: object
    port: object
    port_descr: object
    sys_name: object
    address: object
    capabilities: object
    at: pd.Timestamp


@dataclass
class Box:
    """A device that is only heard of: by which ports of which devices, under which ports of its own."""

    name: str
    capabilities: set[str] = field(default_factory=set)
    told: bool = False
    seen_to: bool = False
    ports: set[str] = field(default_factory=set)
    heard_by: set[Place] = field(default_factory=set)

    @property
    def passes(self) -> bool:
        """Whether traffic of others may go through it: ``seen_to`` do so, or likely.

        A switch that nobody polls does, and is heard by several; so is a server with two links, which
        mostly tells MAC addresses as its ports, and does not.
        """
        if self.seen_to:
            return True
        devices = {device for device, _ in self.heard_by}
        if (self.told and not self.capabilities & SWITCHING) or "telephone" in self.capabilities:
            return False
        return len(devices) > 2 or (
            len(devices) == 2 and not any(port.count(":") == 5 for port in self.ports)
        )

    @property
    def kind(self) -> str:
        """A telephone, a switch that is not polled, or unknown."""
        if "telephone" in self.capabilities:
            return "telephone"
        return "unpolled" if self.passes or self.capabilities & SWITCHING else "unknown"


@dataclass
class Hearsay:
    """All claims; ``boxes`` by name; ``odd``: (device, interface, text) of what cannot be believed."""

    claims: list[Claim] = field(default_factory=list)
    boxes: dict[str, Box] = field(default_factory=dict)
    odd: list[tuple[str, str, str]] = field(default_factory=list)


def listen(neighbors: pd.DataFrame, hosts: pd.DataFrame, names: Identities) -> Hearsay:
    """Return the claims of current rows of neighbors and hosts."""
    told = Hearsay()
    unclear: list[tuple[Heard, set[str]]] = []
    vague: list[tuple[Heard, str]] = []
    strangers: list[Heard] = []
    for heard in [*_by_switches(neighbors), *_by_hosts(hosts)]:
        called = (heard.chassis, heard.sys_name, heard.address)
        device = names.device(*called)
        if device is None:
            several = names.candidates(*called)
            if several:
                unclear.append((heard, several))
            else:
                strangers.append(heard)
            continue
        port = names.port(device, heard.port, heard.port_descr)
        if (port is None or device == heard.near[0]) and _is_another(heard, device, names):
            strangers.append(heard)
        elif port is None:
            vague.append((heard, device))
        else:
            _claim(told, heard, (device, port))
    strangers = _recognise(told, strangers, names)
    _choose(told, unclear, names)
    _vaguely(told, vague)
    _meet(told, strangers, names)
    return told


def _is_another(heard: Heard, device: str, names: Identities) -> bool:
    """Return whether a neighbour only has a name like the device that it was taken for.

    It has where its chassis id is nobody's we know; CDP, which tells names alone, never proves that
    a switch hears itself.
    """
    if heard.protocol != "lldp":
        return device == heard.near[0]
    return isinstance(heard.chassis, str) and names.device(heard.chassis) is None


def _by_switches(neighbors: pd.DataFrame) -> Iterator[Heard]:
    for device, if_name, protocol, *said in rows(neighbors, *NEIGHBOR):
        if isinstance(if_name, str):
            spoken = protocol if isinstance(protocol, str) else "lldp"
            yield Heard._make(((device, if_name), spoken, *said))


def _by_hosts(hosts: pd.DataFrame) -> Iterator[Heard]:
    columns = ("host", "nic", "lldp_chassis_id", "lldp_port_id", "lldp_sys_name", "at")
    for host, nic, chassis, port, sys_name, at in rows(hosts, *columns):
        if isinstance(nic, str) and (isinstance(chassis, str) or isinstance(sys_name, str)):
            yield Heard((host, nic), "lldp", chassis, port, None, sys_name, None, None, at)


def _claim(told: Hearsay, heard: Heard, far: Place) -> None:
    if far == heard.near:
        text = f"{' '.join(far)} hears itself: a loop"
        told.odd.append((*far, text))
        return
    told.claims.append(Claim(heard.near, far, heard.protocol, heard.at))


def _recognise(told: Hearsay, strangers: list[Heard], names: Identities) -> list[Heard]:
    """Claim the links to strangers who are known switches; return the others.

    A switch that does not tell its chassis id is known by what it hears itself: wherever the stranger
    is heard, it hears on that very port the port that hears the stranger.
    """
    hears: dict[tuple[object, object], set[str]] = defaultdict(set)
    for heard in strangers:
        if heard.near[0] in names.nameless:
            hears[heard.near[1], heard.port].add(heard.near[0])
    who: dict[object, set[str]] = {}
    for heard in strangers if hears else ():
        if heard.near[0] not in names.switches:
            continue  # what a host says is not answered
        same = hears.get((heard.port, heard.near[1]), set()) - {heard.near[0]}
        who[heard.chassis] = who.get(heard.chassis, same) & same
    left = []
    for heard in strangers:
        switch = next(iter(who[heard.chassis])) if len(who.get(heard.chassis, ())) == 1 else None
        port = names.port(switch, heard.port, heard.port_descr) if switch is not None else None
        if switch is None or port is None:
            left.append(heard)
        else:
            _claim(told, heard, (switch, port))
    return left


def _choose(told: Hearsay, unclear: list[tuple[Heard, set[str]]], names: Identities) -> None:
    """Tell namesakes apart by who hears the claimant in turn; else say that they cannot be told apart."""
    answers = {(claim.near, claim.far) for claim in told.claims}
    shared: dict[str, Heard] = {}
    for heard, several in unclear:
        places = [(one, port) for one in several if (port := names.port(one, heard.port, heard.port_descr))]
        mutual = [place for place in places if (place, heard.near) in answers]
        if len(mutual) == 1:
            _claim(told, heard, mutual[0])
        else:
            shared.setdefault(", ".join(sorted(several)[:4]), heard)
    for who, heard in sorted(shared.items()):
        called = heard.chassis if isinstance(heard.chassis, str) else heard.sys_name
        told.odd.append(
            (*heard.near, f"{' '.join(heard.near)} hears {called}, which is what {who} all go by")
        )


def _vaguely(told: Hearsay, vague: list[tuple[Heard, str]]) -> None:
    """Claim links to known devices whose port is unknown, where nothing better is known of the near end."""
    exact = {(claim.near, claim.far[0]) for claim in told.claims}
    exact |= {(claim.far, claim.near[0]) for claim in told.claims}
    for heard, device in vague:
        if (heard.near, device) not in exact:
            exact.add((heard.near, device))
            _claim(told, heard, (device, _port_text(heard)))


def _port_text(heard: Heard) -> str:
    for text in (heard.port, heard.port_descr):
        if isinstance(text, str) and text:
            return text
    return f"port to {' '.join(heard.near)}"


def _meet(told: Hearsay, strangers: list[Heard], names: Identities) -> None:
    """Give boxes their names, and claim the links to them; of a crowd at one port only some."""
    of_name: dict[str, set[str]] = defaultdict(set)
    for heard in strangers:
        if isinstance(heard.sys_name, str) and isinstance(heard.chassis, str) and heard.protocol == "lldp":
            of_name[heard.sys_name].add(heard.chassis)
    at_port: dict[Place, dict[str, None]] = defaultdict(dict)
    crowds: dict[Place, int] = defaultdict(int)
    for heard in sorted(strangers, key=lambda one: one.protocol != "lldp"):
        name = _box_name(heard, of_name, names)
        if name in at_port[heard.near]:
            continue
        if len(at_port[heard.near]) >= MOST_BOXES_AT_A_PORT:
            crowds[heard.near] += 1
            continue
        at_port[heard.near][name] = None
        box = told.boxes.setdefault(name, Box(name))
        box.heard_by.add(heard.near)
        box.ports.add(_port_text(heard))
        if isinstance(heard.capabilities, Iterable) and not isinstance(heard.capabilities, str):
            box.told = True
            box.capabilities |= set(heard.capabilities)
        _claim(told, heard, (name, _port_text(heard)))
    for near, more in sorted(crowds.items()):
        told.odd.append((*near, f"{' '.join(near)} hears {more + MOST_BOXES_AT_A_PORT} unknown neighbours"))


def _box_name(heard: Heard, of_name: dict[str, set[str]], names: Identities) -> str:
    """Return what a box is called: its system name where that is its own, else chassis id or address."""
    chassis, sys_name, address = (
        text if isinstance(text, str) and text else None
        for text in (heard.chassis, heard.sys_name, heard.address)
    )
    taken = sys_name in names.switches or sys_name in names.hosts
    if sys_name is not None and not taken and len(of_name.get(sys_name, ())) <= 1:
        return sys_name
    unique = chassis or address
    if unique is None:
        return f"unnamed neighbour of {' '.join(heard.near)}"
    name = unique if sys_name is None else f"{sys_name} ({unique})"
    return f"another {name}" if name in names.switches or name in names.hosts else name
