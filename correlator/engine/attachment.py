"""Where hosts hang that LLDP does not tell: by their MAC addresses in forwarding tables, then by ARP.

A MAC address behind a port without a switch neighbour is a host at that port; where there are
several hosts behind one port, a switch that nobody manages stands between. Page:
docs/algorithms/topology.md.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd

from correlator.engine.identities import Place, rows

ETHERNET = {6, 62, 69, 117}
"""IANAifType of ports that take a cable: ethernetCsmacd, and older names of the same."""

LAG = 161


class Sight(NamedTuple):
    """A host's MAC address as it was seen behind a port."""

    port: Place
    nic: Place
    source: str
    at: pd.Timestamp


@dataclass
class Ports:
    """What is known of the interfaces: types, members of aggregates, and who has a switch behind it."""

    types: dict[Place, int | None] = field(default_factory=dict)
    members: dict[Place, list[Place]] = field(default_factory=dict)
    aggregate: dict[Place, Place] = field(default_factory=dict)
    taken: set[Place] = field(default_factory=set)

    def accessible(self, port: Place) -> bool:
        """Return whether a host may hang there: a port or aggregate with no switch behind it."""
        if port in self.taken or any(member in self.taken for member in self.members.get(port, ())):
            return False
        kind = self.types.get(port)
        return kind is None or kind in ETHERNET or kind == LAG or port in self.members


@dataclass
class Attached:
    """``links``: (switch's end, host's end, source, when seen); ``odd``: what cannot be decided.

    ``crowds``: by port, the hosts' ends that share it.
    """

    links: list[Sight] = field(default_factory=list)
    crowds: dict[Place, list[Sight]] = field(default_factory=dict)
    odd: list[tuple[str, str, str]] = field(default_factory=list)


def attach(
    stations: pd.DataFrame,
    arp: pd.DataFrame,
    hosts: pd.DataFrame,
    ports: Ports,
    linked: dict[Place, set[Place]],
) -> Attached:
    """Return where those of the hosts' ends hang that have no link yet.

    ``linked``: the other ends of each end that has links; a host's end at such a port shares it.
    """
    nic_of = _nics(hosts, linked)
    seen = _sights(stations, nic_of, "stations", ports)
    known = {sight.nic for sight in seen}
    seen += [one for one in _sights(arp, nic_of, "arp", ports) if one.nic not in known]
    found = Attached()
    crowd_at = _stations_by_port(stations)
    by_nic: dict[Place, list[Sight]] = defaultdict(list)
    for sight in seen:
        by_nic[sight.nic].append(sight)
    chosen: list[Sight] = []
    for nic, sights in sorted(by_nic.items()):
        chosen += _chosen(nic, sights, _bonded(hosts, nic), ports, crowd_at, found)
    _share(chosen, linked, found)
    return found


def _nics(hosts: pd.DataFrame, linked: dict[Place, set[Place]]) -> dict[str, Place]:
    """Return, by MAC address, the host's end that is meant; none where the address is linked, or shared."""
    masters = set(rows(hosts, "host", "bond"))
    meant: dict[str, set[Place]] = defaultdict(set)
    best: dict[tuple[str, str], tuple[tuple[bool, ...], str]] = {}
    done: set[str] = set()
    for host, nic, mac, bond, speed in rows(hosts, "host", "nic", "mac", "bond", "speed_bps"):
        if not isinstance(nic, str) or not isinstance(mac, str) or (host, nic) in masters:
            continue
        if (host, nic) in linked:
            done.add(mac)
        virtual = "." in nic or nic.startswith(("br", "vlan", "docker", "virbr"))
        rank = (not isinstance(bond, str), virtual, pd.isna(speed))
        best[host, mac] = min(best.get((host, mac), (rank, nic)), (rank, nic))
    for (host, mac), (_, nic) in best.items():
        meant[mac].add((host, nic))
    return {mac: ends.pop() for mac, ends in meant.items() if len(ends) == 1 and mac not in done}


def _sights(table: pd.DataFrame, nic_of: dict[str, Place], source: str, ports: Ports) -> list[Sight]:
    """Return the sights of hosts at ports where they may hang, by the newest word of each switch."""
    newest: dict[tuple[str, Place], Sight] = {}
    for device, if_name, mac, at in rows(table, "device", "if_name", "mac", "at"):
        nic = nic_of.get(mac)
        if nic is None or not isinstance(if_name, str):
            continue
        port = ports.aggregate.get((device, if_name), (device, if_name))
        if source == "arp" and ports.types.get((device, if_name)) not in ETHERNET:
            continue  # an address on a VLAN's interface tells no port
        if ports.accessible(port):
            sight = Sight(port, nic, source, at)
            if (device, nic) not in newest or newest[device, nic].at < at:
                newest[device, nic] = sight
    return list(newest.values())


def _stations_by_port(stations: pd.DataFrame) -> Counter[Place]:
    return Counter((device, name) for device, name in rows(stations, "device", "if_name"))


def _bonded(hosts: pd.DataFrame, nic: Place) -> list[Place]:
    """Return the ends that are bonded with this one, itself included; itself alone where it is not."""
    mine = hosts[hosts["host"] == nic[0]]
    bond = mine.loc[mine["nic"] == nic[1], "bond"]
    if bond.empty or not isinstance(bond.iloc[0], str):
        return [nic]
    return sorted((nic[0], str(name)) for name in mine.loc[mine["bond"] == bond.iloc[0], "nic"])


def _chosen(
    nic: Place,
    sights: list[Sight],
    bonded: list[Place],
    ports: Ports,
    crowd_at: Counter[Place],
    found: Attached,
) -> list[Sight]:
    """Return where one host's end hangs: the members of its bond side by side, else the likeliest port."""
    members = sorted({member for one in sights for member in ports.members.get(one.port, [one.port])})
    if len(bonded) > 1 and len(members) == len(bonded):
        at = max(one.at for one in sights)
        return [Sight(port, end, sights[0].source, at) for port, end in zip(members, bonded, strict=True)]
    latest = max(one.at for one in sights)
    now = [one for one in sights if one.at == latest]
    fewest = min(crowd_at[one.port] for one in now)
    now = [one for one in now if crowd_at[one.port] == fewest]
    if len(now) > 1:
        where = " and ".join(" ".join(one.port) for one in sorted(now)[:4])
        found.odd.append((*now[0].port, f"{' '.join(nic)} is seen behind {where} at the same time"))
        return []
    (one,) = now
    behind = ports.members.get(one.port, [one.port])
    return [one._replace(port=behind[0] if len(behind) == 1 else one.port)]


def _share(chosen: Iterable[Sight], linked: dict[Place, set[Place]], found: Attached) -> None:
    """Note each host at its port, and the ports that several share."""
    at_port: dict[Place, list[Sight]] = defaultdict(list)
    for sight in chosen:
        at_port[sight.port].append(sight)
    for port, sights in sorted(at_port.items()):
        if len({one.nic[0] for one in sights}) > 1 or linked.get(port):
            found.crowds[port] = sights
        else:
            found.links += sights
