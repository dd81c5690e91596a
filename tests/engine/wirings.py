"""Fabrics on paper for tests: cables, aggregates, blocked ports, and what their devices would tell.

``walk`` and ``shares`` follow a flow hop by hop in plain Python: a second opinion on the engine's arrays.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from hypothesis import strategies as st

from correlator import frames

AT = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)

End = tuple[str, str]
Hop = tuple[End, End]
"""A directed link: sender, receiver."""


@dataclass
class Wiring:
    """Who is cabled to whom; ``aggregates`` names the LAG or bond of an end."""

    cables: list[Hop] = field(default_factory=list)
    aggregates: dict[End, str] = field(default_factory=dict)
    blocked: set[End] = field(default_factory=set)
    hosts: list[str] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def port(self, device: str) -> End:
        """Return the device's next free port."""
        self.used[device] += 1
        return device, f"{'eth' if device in self.hosts else 'swp'}{self.used[device]}"

    def join(self, one: str, other: str, members: int = 1, aggregate: bool = False) -> None:
        """Lay so many cables between two devices, perhaps as one aggregate."""
        for _ in range(members):
            a, b = self.port(one), self.port(other)
            self.cables.append((a, b))
            if aggregate:
                self.aggregates[a], self.aggregates[b] = f"po-{other}", f"po-{one}"

    def host(self, name: str, *leaves: str) -> None:
        """Hang a host on one switch, or bonded on several."""
        self.hosts.append(name)
        for leaf in leaves:
            a, b = self.port(name), self.port(leaf)
            self.cables.append((a, b))
            if len(leaves) > 1:
                self.aggregates[a], self.aggregates[b] = "bond0", f"po-{name}"

    def without(self, cable: int) -> Wiring:
        """Return the fabric with one cable gone."""
        kept = self.cables[:cable] + self.cables[cable + 1 :]
        return Wiring(kept, self.aggregates, self.blocked, self.hosts, self.used)

    def switches(self) -> list[str]:
        return sorted({end[0] for cable in self.cables for end in cable} - set(self.hosts))

    def hops(self) -> list[Hop]:
        """Return the directed links that carry traffic."""
        carrying = [cable for cable in self.cables if not set(cable) & self.blocked]
        return carrying + [(b, a) for a, b in carrying]

    # -- what is told -----------------------------------------------------------------------------

    def tables(self, forgotten: frozenset[End] = frozenset()) -> dict[str, pd.DataFrame]:
        """Return the tables that the devices' words make; the ends in ``forgotten`` say nothing."""
        number = {name: f"02:00:00:00:{i // 256:02x}:{i % 256:02x}" for i, name in enumerate(self.switches())}
        rows: dict[str, list[dict[str, Any]]] = {"neighbors": [], "interfaces": [], "hosts": []}
        for a, b in self.cables:
            for near, far in ((a, b), (b, a)):
                heard = near not in forgotten and far[0] in number
                if near[0] in number:
                    rows["interfaces"].append(self._interface(near))
                    if near not in forgotten:
                        chassis = number.get(far[0], f"mac of {far[0]}")
                        told = {"remote_chassis_id": chassis, "remote_port_id": far[1]}
                        told["remote_sys_name"] = far[0]
                        place = {"at": AT, "device": near[0], "if_name": near[1]}
                        rows["neighbors"].append(place | told | {"protocol": "lldp"})
                else:
                    nic = {"at": AT, "host": near[0], "nic": near[1], "hostname": near[0]}
                    nic |= {"bond": self.aggregates.get(near), "mac": f"mac of {near[0]}"}
                    heard_by = {"lldp_chassis_id": number[far[0]], "lldp_port_id": far[1]}
                    rows["hosts"].append(nic | (heard_by if heard else {}))
        devices = [{"at": AT, "device": d, "chassis_id": c, "unread": ""} for d, c in number.items()]
        told_frames = {name: frames.frame(name, some) for name, some in rows.items()}
        return told_frames | {
            "devices": frames.frame("devices", devices),
            "cables": frames.empty("cables"),
        }

    def _interface(self, end: End) -> dict[str, Any]:
        return {
            "at": AT, "device": end[0], "if_name": end[1], "if_type": 6, "oper_status": "up",
            "aggregate_if_name": self.aggregates.get(end),
            "stp_state": "blocking" if end in self.blocked else None,
        }  # fmt: skip

    # -- second opinion ---------------------------------------------------------------------------

    def distances(self, destination: str) -> dict[str, int]:
        """Return each device's hops to a host, over switches only."""
        distance, edge = {destination: 0}, [destination]
        while edge:
            reached = []
            for sender, receiver in self.hops():
                passes = receiver[0] not in self.hosts or receiver[0] == destination
                if receiver[0] in edge and passes and sender[0] not in distance:
                    distance[sender[0]] = distance[receiver[0]] + 1
                    reached.append(sender[0])
            edge = reached
        return distance

    def choices(self, device: str, distance: dict[str, int], first: bool) -> dict[Hop, float]:
        """Return which part of what leaves a device for the destination takes which link."""
        ways: dict[object, list[Hop]] = defaultdict(list)
        for hop in self.hops():
            if hop[0][0] != device or hop[1][0] not in distance:
                continue
            if first or distance[hop[1][0]] == distance[device] - 1:
                ways[self.aggregates.get(hop[0], hop)].append(hop)
        return {hop: 1 / len(ways) / len(group) for group in ways.values() for hop in group}

    def shares(self, source: str, destination: str) -> dict[Hop, float]:
        """Return the share of each directed link; empty where there is no way."""
        distance = self.distances(destination)
        found: dict[Hop, float] = defaultdict(float)
        waiting = [(source, 1.0)] if source in distance else []
        while waiting:
            device, mass = waiting.pop()
            for hop, part in self.choices(device, distance, device == source).items():
                found[hop] += mass * part
                if hop[1][0] != destination:
                    waiting.append((hop[1][0], mass * part))
        return dict(found)

    def walk(self, source: str, destination: str, dice: random.Random) -> list[Hop]:
        """Return the path of one flow: at each device its hash takes one of the ways."""
        distance, device, path = self.distances(destination), source, []
        while device != destination:
            ways = self.choices(device, distance, device == source)
            hop = dice.choices(list(ways), list(ways.values()))[0]
            path.append(hop)
            device = hop[1][0]
        return path


def clos(draw: Any) -> Wiring:
    """Two or three stages, not all leaves alike, some links aggregates, some doubled without being one."""
    made = Wiring()
    spines = [f"spine{i}" for i in range(draw(st.integers(1, 3)))]
    for pod in range(draw(st.integers(1, 2))):
        leaves = [f"leaf{pod}-{i}" for i in range(draw(st.integers(1, 2)))]
        middle = [f"agg{pod}-{i}" for i in range(draw(st.integers(0, 2)))]
        for leaf in leaves:
            for upper in middle or spines:
                made.join(leaf, upper, draw(st.integers(1, 2)), draw(st.booleans()))
            for number in range(draw(st.integers(1, 2))):
                made.host(f"host-{leaf}-{number}", leaf)
        for one in middle:
            for upper in draw(st.lists(st.sampled_from(spines), min_size=1, unique=True)):
                made.join(one, upper)
    return made


def tree(draw: Any) -> Wiring:
    """A bridged tree with spare links that spanning tree blocks."""
    made, switches = Wiring(), ["root"]
    for number in range(draw(st.integers(1, 5))):
        parent = draw(st.sampled_from(switches))
        members = draw(st.integers(1, 3))
        made.join(f"sw{number}", parent, members, aggregate=members > 1)
        if draw(st.booleans()):
            made.join(f"sw{number}", draw(st.sampled_from(switches)))
            made.blocked.add(made.cables[-1][0])
        switches.append(f"sw{number}")
    for number in range(draw(st.integers(2, 4))):
        made.host(f"host{number}", draw(st.sampled_from(switches)))
    return made


def mlag(draw: Any) -> Wiring:
    """Pairs of leaves with a link between them and hosts bonded across both, below spines."""
    made = Wiring()
    spines = [f"spine{i}" for i in range(draw(st.integers(1, 2)))]
    for number in range(draw(st.integers(1, 2))):
        pair = [f"leaf{number}a", f"leaf{number}b"]
        made.join(*pair, members=2, aggregate=True)
        for leaf in pair:
            for spine in spines:
                made.join(leaf, spine)
        made.host(f"host{number}-both", *pair)
        made.host(f"host{number}-one", draw(st.sampled_from(pair)))
    return made


@st.composite
def wirings(draw: Any) -> Wiring:
    """Draw a random fabric with at least two hosts."""
    made = draw(st.sampled_from([clos, tree, mlag]))(draw)
    if len(made.hosts) < 2:
        made.host("host-more", made.switches()[0])
    return made
