"""Whose a connection is, which end is the server, and what its addresses are on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from correlator.agent.conntrack import MAPPED, Nat, Tuple
from correlator.agent.ledger import Array
from correlator.agent.owners import Owners
from correlator.agent.tally import CLIENT, SERVER, Key

LOOPBACK_6 = bytes(15) + b"\x01"
VIA_PROXY = "via docker-proxy: times include the proxy"
NOBODY = "several containers share this network namespace, and the kernel did not say whose it was"
MAX_LISTENERS = 4096
EPHEMERAL = 32_768  # net.ipv4.ip_local_port_range begins here by default


@dataclass
class Listeners:
    """Ports that were listened on in one namespace, and whose they were where that had to be found out."""

    ports: dict[int, str | None] = field(default_factory=dict)
    complete: bool = False

    def learn(self, port: int, owner: str | None = None) -> None:
        """Note a port; a known owner is not forgotten."""
        if len(self.ports) < MAX_LISTENERS or port in self.ports:
            self.ports[port] = owner or self.ports.get(port)


@dataclass
class Sharing:
    """What is known of namespaces that several containers use; ``since`` is when by slot (monotonic)."""

    owners: Owners
    slots: set[int] = field(default_factory=set)
    inodes: dict[tuple[int, int], str] = field(default_factory=dict)

    def owner(self, slot: int, share: Any) -> str | None:
        """Return the container that a connection in a shared namespace belongs to, None where unknown."""
        return self.owners.by_cgroup(int(share["cgroup"])) or self.inodes.get((slot, int(share["cookie"])))


class Fold:
    """Turns shares into keys of rows. ``unattributed`` counts connections whose container nobody knows."""

    def __init__(self, nat: Nat, sharing: Sharing, host_slot: int) -> None:
        self._nat = nat
        self._sharing = sharing
        self._host = host_slot
        self.listeners: dict[int, Listeners] = {}
        self.published: Mapping[int, str] = {}
        self.unattributed = 0

    def keys(self, shares: Array) -> tuple[list[Key], list[int], list[int]]:
        """Return (keys, client ports, places in ``shares``) of the connections that belong into rows.

        Left out: connections of a container with itself, and those of the host's own processes.
        """
        keys: list[Key] = []
        ports: list[int] = []
        places: list[int] = []
        for place, share in enumerate(shares):
            local, peer = share["src"].tobytes(), share["dst"].tobytes()
            if _is_inside(local, peer):
                continue
            found = self._key(share, local, peer)
            if found is not None:
                keys.append(found[0])
                ports.append(found[1])
                places.append(place)
        return keys, ports, places

    def _key(self, share: Any, local: bytes, peer: bytes) -> tuple[Key, int] | None:
        slot, sport, dport = int(share["slot"]), int(share["sport"]), int(share["dport"])
        role = self._role(slot, sport, dport)
        owner, note = self._owner(slot, sport, role, share)
        if slot == self._host and owner is None:
            return None
        seen: Tuple = local + peer + sport.to_bytes(2, "big") + dport.to_bytes(2, "big")
        wire = self._nat.wire(seen)
        near, far = int.from_bytes(wire[32:34], "big"), int.from_bytes(wire[34:36], "big")
        server_port, client_port = (near, far) if role == SERVER else (far, near)
        return Key(slot, owner, role, wire[:16], wire[16:32], server_port, note), client_port

    def _role(self, slot: int, sport: int, dport: int) -> str:
        """Return which end this is: the server is the one whose port was listened on."""
        listeners = self.listeners.get(slot)
        if listeners is not None:
            if sport in listeners.ports:
                return SERVER
            if listeners.complete:
                return CLIENT
        if (sport < EPHEMERAL) != (dport < EPHEMERAL):
            return SERVER if sport < EPHEMERAL else CLIENT
        return SERVER if sport < dport else CLIENT

    def _owner(self, slot: int, sport: int, role: str, share: Any) -> tuple[str | None, str]:
        """Return (container where the namespace alone does not tell, note)."""
        if slot not in self._sharing.slots and slot != self._host:
            return None, ""
        owner = self._sharing.owner(slot, share)
        listeners = self.listeners.get(slot)
        if owner is None and role == SERVER and listeners is not None:
            owner = listeners.ports.get(sport)
        if owner is not None:
            return owner, ""
        if slot == self._host:
            proxied = self.published.get(sport) if role == SERVER else None
            return proxied, VIA_PROXY
        self.unattributed += 1
        return None, NOBODY


def _is_inside(local: bytes, peer: bytes) -> bool:
    if local in (peer, LOOPBACK_6):
        return True
    return local[:12] == MAPPED and (local[12] == 127 or peer[12] == 127)
