"""The fabric: namespaces, links of vxlan, routes; directions made dirty, links shut.

Each link is a pair of vxlan interfaces whose outer packets cross one wire between two namespaces. Marking
an outer packet there as congested (ECN CE) makes the receiver's kernel drop the inner one, which is not
ECN-capable, and count an error on that very interface (RFC 6040): real loss, natively counted.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agent_lab import inside, without_offloads
from lab_machine import ROOT_LINK, netns, run
from lab_plan import ASKED, MANAGEMENT, Cable, Plan

from correlator.model import End

WIRES = {"lower": "wa", "upper": "wb"}  # where the ends' outer packets come in
OUTER = {"wa": "10.9.0.1", "wb": "10.9.0.2"}
STATION = "ops"  # the management network's bridge lives there
SYSCTLS = (
    "net.ipv4.ip_forward=1",
    "net.ipv4.conf.all.rp_filter=0",
    "net.ipv4.conf.default.rp_filter=0",
    "net.ipv4.fib_multipath_hash_policy=3",  # a flow keeps its way; with policy 1 it does not
    "net.ipv4.fib_multipath_hash_fields=55",
    "net.ipv6.conf.all.disable_ipv6=1",
    "net.ipv6.conf.default.disable_ipv6=1",
    "net.ipv4.tcp_ecn=0",
)
MILLION = 1_000_000
USUAL_MBPS = 10_000
BRIDGE, FORWARDING = "br0", 3
TREE = "stp_state 1 forward_delay 200 hello_time 100 max_age 600"  # hundredths of a second: the least


class Fabric:
    """The namespaces and links of a plan. ``shut`` links carry nothing, ``dirty`` ones lose some."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._dirty: dict[tuple[Cable, str], float] = {}
        self._unused: set[Cable] = set()
        self._shut: set[Cable] = set()
        self._swapped: tuple[Cable, ...] = ()

    def build(self) -> None:
        names = [*OUTER, STATION, *self.plan.devices]
        _ip(None, [f"netns add {netns(name)}" for name in names])
        _ip(None, [self._veth("w", "wa", "w", "wb"), *map(self._management, self.plan.devices)])
        _ip(None, [f"link add {ROOT_LINK} type veth peer name root netns {netns(STATION)}"])
        with ThreadPoolExecutor(4) as some:
            list(some.map(_sysctl, names))
        self._station()
        for side, wire in WIRES.items():
            self._wire(side, wire)
        for device in self.plan.devices:
            self._device(device)
        for device in self.plan.devices:
            self._route(device)

    def _veth(self, name: str, here: str, peer: str, there: str) -> str:
        return f"link add {name} netns {netns(here)} type veth peer name {peer} netns {netns(there)}"

    def _management(self, device: str) -> str:
        return self._veth("mgmt0", device, f"m-{device}", STATION)

    def _station(self) -> None:
        ports = ["root", *(f"m-{device}" for device in self.plan.devices)]
        joined = [f"link set {port} master hub up" for port in ports]
        _ip(STATION, ["link add hub type bridge", "link set hub up", *joined])
        _ip(None, [f"address add {MANAGEMENT}.1/24 dev {ROOT_LINK}", f"link set {ROOT_LINK} up"])

    def _wire(self, side: str, wire: str) -> None:
        far = OUTER["wb" if wire == "wa" else "wa"]
        lines = ["link set lo up", f"address add {OUTER[wire]}/24 dev w", "link set w mtu 9000 up"]
        for cable in self.plan.cables:
            end = cable.lower if side == "lower" else cable.upper
            lines += [
                f"link add x{cable.vni} type vxlan id {cable.vni} local {OUTER[wire]} remote {far}"
                " dstport 4789 dev w nolearning",
                f"link set x{cable.vni} mtu 1500",
                f"link set x{cable.vni} netns {netns(end.device)} name {end.if_name}",
            ]
        _ip(wire, lines)

    def _device(self, device: str) -> None:
        lines = [
            "link set lo up",
            f"address add {self.plan.management(device)}/24 dev mgmt0",
            "link set mgmt0 up",
        ]
        bridged = self.plan.bridged and device in self.plan.switches
        if bridged:
            first = 4096 if device in self.plan.spines else 32768
            lines += [f"link add {BRIDGE} type bridge {TREE} priority {first}", f"link set {BRIDGE} up"]
        for name, cable in self.plan.ports(device):
            far = cable.other(device)
            lines.append(f"link set {name} alias {far.device}:{far.if_name}")
            if bridged:
                lines.append(f"link set {name} master {BRIDGE}")
            else:
                lines.append(f"address add {self._address(cable, device)} dev {name}")
            lines.append(f"link set {name} up")
        _ip(device, lines)
        for name, _ in self.plan.ports(device):
            inside(Path("/run/netns") / netns(device), without_offloads, name)

    def _address(self, cable: Cable, device: str) -> str:
        return f"{self.plan.address(device)}/24" if self.plan.bridged else f"{cable.address(device)}/31"

    def _route(self, device: str) -> None:
        lines = []
        for route in self.plan.routes(device, self._unused):
            hops = "".join(f" nexthop via {address}" for address in route.via)
            lines.append(f"route replace {route.prefix}{hops}" if hops else f"route delete {route.prefix}")
        _ip(device, lines, force=True)

    # -- faults ---------------------------------------------------------------------------------------

    def dirty(self, cable: Cable, receiver: str, share: float) -> None:
        """Have ``receiver`` lose a share of what its end of a link receives; 0 makes it clean."""
        self._dirty[cable, receiver] = share
        self._rule()

    def swap(self, one: Cable, other: Cable) -> None:
        """Have two cables change places at their upper ends, as if pulled and put.

        Nothing leads there meanwhile, and the upper ends' addresses move with the cables.
        """
        self.unuse([one, other])
        for end, cable in ((one.upper, other), (other.upper, one)):
            _ip(end.device, [f"address flush dev {end.if_name}"])
            for device, port in ((end.device, end), (cable.lower.device, cable.lower)):
                _ip(device, [f"neighbour flush dev {port.if_name}"])
            _ip(end.device, [f"address add {cable.address(end.device)}/31 dev {end.if_name}"])
        self._swapped = (one, other)
        self._rule()
        self.unuse([])

    def _rule(self) -> None:
        """Write what happens to the packets of each wire: first where they go, then which are lost."""
        for side, wire in WIRES.items():
            there = [cable.vni for cable in self._swapped]
            moved = [
                f"udp dport 4789 @th,96,24 {one} @th,96,24 set {other} accept"
                for one, other in zip(there, reversed(there), strict=True)
            ]
            lost = [
                f"udp dport 4789 @th,96,24 {c.vni} numgen random mod {MILLION} < {int(share * MILLION)}"
                " ip ecn set ce counter"
                for (c, device), share in self._dirty.items()
                if share and c.end(device) == (c.lower if side == "lower" else c.upper)
            ]
            chains = _chain("moved", "raw - 10", moved) + _chain("dirt", "raw", lost)
            whole = f"table ip lab\ndelete table ip lab\ntable ip lab {{\n{chains}}}\n"
            run("ip", "netns", "exec", netns(wire), "nft", "-f", "-", stdin=whole)

    def unuse(self, cables: Collection[Cable]) -> None:
        """Withdraw what leads over links; links not named are used again."""
        self._unused = set(cables)
        for device in self.plan.switches:
            self._route(device)

    def shut(self, cables: Collection[Cable]) -> None:
        """Shut links on purpose, at both ends; links not named come back.

        What leads there is withdrawn before a link goes down, so that nothing is lost.
        """
        coming, going = self._shut - set(cables), set(cables) - self._shut
        self._set(coming, "up")
        self.unuse(cables)
        self._set(going, "down")
        self._shut = set(cables)

    def _set(self, cables: Collection[Cable], state: str) -> None:
        for cable in cables:
            for end in (cable.lower, cable.upper):
                _ip(end.device, [f"link set {end.if_name} {state}"])

    def narrow(self, end: End, mbps: int) -> None:
        """Have a port send no faster, and drop what does not wait in a short queue.

        The queue stays, for what it dropped is counted in it: wide again is ``USUAL_MBPS``.
        """
        queue = ["tbf", "rate", f"{mbps}mbit", "burst", f"{max(16, mbps)}kb", "latency", "20ms"]
        run("tc", "-n", netns(end.device), "qdisc", "replace", "dev", end.if_name, "root", *queue)

    def uplink_of(self, host: str, source: str, destination: str, port: int) -> Cable | None:
        """Return the uplink that the host's leaf sends a connection's packets to; None: it stays there."""
        ((_, cable),) = self.plan.ports(host)
        leaf, port_in = cable.upper.device, cable.upper.if_name
        flow = ["ipproto", "tcp", "sport", str(port), "dport", str(ASKED)]
        told = run(
            "ip", "-j", "-n", netns(leaf), "route", "get", destination, "from", source, "iif", port_in, *flow
        )
        out = json.loads(told)[0]["dev"]
        return next((c for name, c in self.plan.ports(leaf) if name == out and c.lower.device == leaf), None)

    def forwards(self, end: End) -> bool:
        """Return whether the spanning tree has a bridge's port forward."""
        path = f"/sys/class/net/{end.if_name}/brport/state"
        return int(run("ip", "netns", "exec", netns(end.device), "cat", path)) == FORWARDING

    def counter(self, cable: Cable, device: str, name: str = "rx_errors") -> int:
        """Return what the kernel counts at a link's end."""
        path = f"/sys/class/net/{cable.end(device).if_name}/statistics/{name}"
        return int(run("ip", "netns", "exec", netns(device), "cat", path))


def _ip(device: str | None, lines: list[str], force: bool = False) -> None:
    """Run lines of ip(8) in a device's namespace, at once."""
    where = ["-n", netns(device)] if device else []
    run(
        "ip",
        *where,
        *(["-force"] if force else []),
        "-batch",
        "-",
        stdin="\n".join(lines) + "\n",
        check=not force,
    )


def _chain(name: str, priority: str, rules: list[str]) -> str:
    lines = [f"type filter hook prerouting priority {priority};", *rules]
    return f"chain {name} {{\n" + "\n".join(lines) + "\n}\n"


def _sysctl(device: str) -> None:
    run("ip", "netns", "exec", netns(device), "sysctl", "-qw", *SYSCTLS)
