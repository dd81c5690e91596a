"""Whose a connection is, which end is the server, and what its addresses are on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from correlator.agent.conntrack import MAPPED, Nat, Tuple
from correlator.agent.ledger import Array
from correlator.agent.owners import Owners
from correlator.agent.tally import CLIENT, SERVER, Key

LOOPBACK_6 = bytes(15) + b"\x01"
VIA_PROXY = "via docker-proxy: times include the proxy"
NOBODY = "several containers share this network namespace, and the kernel did not say whose it was"
MAX_LISTENERS = 4096
MAX_KNOWN = 20_000  # connections whose key is remembered; about 300 bytes each
EPHEMERAL = 32_768  # net.ipv4.ip_local_port_range begins here by default
ADDRESSES = 32  # bytes of both addresses, with which a Tuple begins
Folded = tuple[list[Key], list[int], list[int]]
TUPLE = np.dtype([("src", "u1", 16), ("dst", "u1", 16), ("sport", ">u2"), ("dport", ">u2")])


@dataclass
class Listeners:
    """Ports that were listened on in one namespace, and whose they were where that had to be found out."""

    ports: dict[int, str | None] = field(default_factory=dict)
    complete: bool = False

    def learn(self, port: int, owner: str | None = None) -> None:
        """Note a port; a known owner is not forgotten."""
        if port and (len(self.ports) < MAX_LISTENERS or port in self.ports):
            self.ports[port] = owner or self.ports.get(port)


@dataclass
class Sharing:
    """What is known of namespaces that several containers use; ``slots`` are those namespaces."""

    owners: Owners
    slots: set[int] = field(default_factory=set)
    inodes: dict[tuple[int, int], str] = field(default_factory=dict)

    def owner(self, slot: int, cookie: int, cgroup: int) -> str | None:
        """Return the container that a connection in a shared namespace belongs to, None where unknown."""
        return self.owners.by_cgroup(cgroup) or self.inodes.get((slot, cookie))


class _End(NamedTuple):
    """One end of a connection, as its socket shows it."""

    slot: int
    cookie: int
    sport: int
    dport: int
    cgroup: int
    seen: Tuple


class Fold:
    """Turns shares into keys of rows. ``unattributed`` counts connections whose container nobody knows."""

    def __init__(self, nat: Nat, sharing: Sharing, host_slot: int) -> None:
        self._nat = nat
        self._sharing = sharing
        self._host = host_slot
        self._known: dict[tuple[int, int], tuple[Key, int] | tuple[()]] = {}
        self._keys: dict[tuple[int, str, int, bytes], Key | tuple[()]] = {}
        self._before: tuple[tuple[bytes, bytes], Folded] | None = None
        self.listeners: dict[int, Listeners] = {}
        self.published: Mapping[int, str] = {}
        self.unattributed = 0

    def keys(self, shares: Array) -> Folded:
        """Return (keys, client ports, places in ``shares``) of the connections that belong into rows.

        Left out: connections of a container with itself, and those of the host's own processes.
        """
        which = shares["slot"].tobytes(), shares["cookie"].tobytes()
        if self._before is None or self._before[0] != which:
            return self._folded(shares, which)
        return self._before[1]  # connections that last, as often

    def _folded(self, shares: Array, which: tuple[bytes, bytes]) -> Folded:
        keys: list[Key] = []
        ports: list[int] = []
        places: list[int] = []
        columns = (shares[name].tolist() for name in ("open", "slot", "cookie", "sport", "dport", "cgroup"))
        known, tuples, size = self._known, _tuples(shares), TUPLE.itemsize
        doubtful = {self._host, *self._sharing.slots}
        all_known = True
        for place, (lasts, slot, cookie, sport, dport, cgroup) in enumerate(zip(*columns, strict=True)):
            found = known.get((slot, cookie))
            if found is None:
                all_known = False
                seen = tuples[size * place : size * place + size]
                if slot in doubtful:
                    found = self._found(_End(slot, cookie, sport, dport, cgroup, seen))
                else:
                    found = self._alike(slot, sport, dport, seen)
                    if lasts and len(known) < MAX_KNOWN:
                        known[slot, cookie] = found
            if found:
                keys.append(found[0])
                ports.append(found[1])
                places.append(place)
        if all_known:
            self._before = which, (keys, ports, places)
        return keys, ports, places

    def undecided(self, slot: int, sample: Any) -> bool:
        """Return whether nobody knows yet whose a connection is, in a namespace that does not tell."""
        cookie, sport, dport, cgroup = (int(sample[n]) for n in ("cookie", "sport", "dport", "cgroup"))
        end = _End(slot, cookie, sport, dport, cgroup, b"")
        role = self._role(slot, end.sport, end.dport)
        return self._owned(end, role) is None and self._proxied(end, role) is None

    def forget(self) -> None:
        """Have all connections looked at anew: what NAT does to them may have become known."""
        self._before = None
        self._known.clear()
        self._keys.clear()

    def _alike(self, slot: int, sport: int, dport: int, seen: Tuple) -> tuple[Key, int] | tuple[()]:
        """Return what ``_found`` does where the namespace tells whose a connection is.

        Many such connections share a key, which is made once.
        """
        role, wire = self._role(slot, sport, dport), self._nat.wire(seen)
        if wire is not seen:
            return self._key(_End(slot, 0, sport, dport, 0, seen), role, wire)
        server_port, client_port = (sport, dport) if role == SERVER else (dport, sport)
        alike = slot, role, server_port, seen[:ADDRESSES]
        key = self._keys.get(alike)
        if key is None:
            found = self._key(_End(slot, 0, sport, dport, 0, seen), role, wire)
            key = found[0] if found else ()
            if len(self._keys) < MAX_KNOWN:
                self._keys[alike] = key
        return (key, client_port) if key else ()

    def _found(self, end: _End) -> tuple[Key, int] | tuple[()]:
        """Return (key, client's port) of a connection; nothing where it does not belong into rows."""
        return self._key(end, self._role(end.slot, end.sport, end.dport), self._nat.wire(end.seen))

    def _key(self, end: _End, role: str, wire: Tuple) -> tuple[Key, int] | tuple[()]:
        if _is_inside(end.seen[:16], end.seen[16:ADDRESSES]):
            return ()
        owner, note = self._owner(end, role)
        if end.slot == self._host and owner is None:
            return ()
        near, far = int.from_bytes(wire[32:34], "big"), int.from_bytes(wire[34:36], "big")
        server_port, client_port = (near, far) if role == SERVER else (far, near)
        return Key(end.slot, owner, role, wire[:16], wire[16:ADDRESSES], server_port, note), client_port

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

    def _owner(self, end: _End, role: str) -> tuple[str | None, str]:
        """Return (container where the namespace alone does not tell, note)."""
        if end.slot not in self._sharing.slots and end.slot != self._host:
            return None, ""
        owner = self._owned(end, role)
        if owner is not None:
            return owner, ""
        if end.slot == self._host:
            return self._proxied(end, role), VIA_PROXY
        self.unattributed += 1
        return None, NOBODY

    def _owned(self, end: _End, role: str) -> str | None:
        """Return the container, among those that share a namespace, whose a connection is."""
        owner = self._sharing.owner(end.slot, end.cookie, end.cgroup)
        listeners = self.listeners.get(end.slot)
        if owner is None and role == SERVER and listeners is not None:
            return listeners.ports.get(end.sport)
        return owner

    def _proxied(self, end: _End, role: str) -> str | None:
        """Return the container for which docker-proxy listens on the host."""
        return self.published.get(end.sport) if end.slot == self._host and role == SERVER else None


def _tuples(shares: Array) -> bytes:
    """Return the Tuple of each connection, one after another."""
    tuples = np.empty(len(shares), TUPLE)
    for name in TUPLE.names or ():
        tuples[name] = shares[name]
    return tuples.tobytes()


def _is_inside(local: bytes, peer: bytes) -> bool:
    if local in (peer, LOOPBACK_6):
        return True
    return local[:12] == MAPPED and (local[12] == 127 or peer[12] == 127)
