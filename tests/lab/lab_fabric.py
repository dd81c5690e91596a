"""The fabric: namespaces, links of vxlan, routes; directions made dirty, links shut.

Each link is a pair of vxlan interfaces whose outer packets cross one wire between two namespaces. Marking
an outer packet there as congested (ECN CE) makes the receiver's kernel drop the inner one, which is not
ECN-capable, and count an error on that very interface (RFC 6040): real loss, natively counted.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agent_lab import inside, without_offloads
from lab_machine import ROOT_LINK, netns, run
from lab_plan import MANAGEMENT, Cable, Plan

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


class Fabric:
    """The namespaces and links of a plan. ``shut`` links carry nothing, ``dirty`` ones lose some."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._dirty: dict[tuple[Cable, str], float] = {}
        self._down: set[Cable] = set()

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
        for name, cable in self.plan.ports(device):
            far = cable.other(device)
            lines += [
                f"address add {cable.address(device)}/31 dev {name}",
                f"link set {name} alias {far.device}:{far.if_name}",
                f"link set {name} up",
            ]
        _ip(device, lines)
        for name, _ in self.plan.ports(device):
            inside(Path("/run/netns") / netns(device), without_offloads, name)

    def _route(self, device: str) -> None:
        lines = []
        for route in self.plan.routes(device, self._down):
            hops = "".join(f" nexthop via {address}" for address in route.via)
            lines.append(f"route replace {route.prefix}{hops}" if hops else f"route delete {route.prefix}")
        _ip(device, lines, force=True)

    # -- faults ---------------------------------------------------------------------------------------

    def dirty(self, cable: Cable, receiver: str, share: float) -> None:
        """Have ``receiver`` lose a share of what it receives on a link; 0 makes it clean."""
        self._dirty[cable, receiver] = share
        for side, wire in WIRES.items():
            rules = [
                f"udp dport 4789 @th,96,24 {c.vni} numgen random mod {MILLION} < {int(lost * MILLION)}"
                " ip ecn set ce counter"
                for (c, device), lost in self._dirty.items()
                if lost and c.end(device) == (c.lower if side == "lower" else c.upper)
            ]
            chain = "\n".join(["type filter hook prerouting priority raw;", *rules])
            whole = f"table ip lab\ndelete table ip lab\ntable ip lab {{\nchain dirt {{\n{chain}\n}}\n}}\n"
            run("ip", "netns", "exec", netns(wire), "nft", "-f", "-", stdin=whole)

    def shut(self, cables: Collection[Cable], drained: bool = True) -> None:
        """Shut links on purpose, at both ends; links not named come back.

        ``drained``: what leads there is withdrawn before the link goes down, so that nothing is lost.
        """
        coming, going = self._down - set(cables), set(cables) - self._down
        self._set(coming, "up")
        if not drained:
            self._set(going, "down")
        self._down = set(cables)
        for device in self.plan.switches:
            self._route(device)
        self._set(going, "down")

    def _set(self, cables: Collection[Cable], state: str) -> None:
        for cable in cables:
            for end in (cable.lower, cable.upper):
                _ip(end.device, [f"link set {end.if_name} {state}"])

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


def _sysctl(device: str) -> None:
    run("ip", "netns", "exec", netns(device), "sysctl", "-qw", *SYSCTLS)
