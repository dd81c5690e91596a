"""FRR on a switch: BGP with each neighbour over the links' own addresses; what its hosts reach is told on."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab_machine import Machine, netns, run
from lab_plan import Plan

DAEMONS = Path("/usr/lib/frr")
SPINES_AS = 65000


def missing() -> str:
    """Return what this machine lacks for BGP, empty where it has everything."""
    absent = [name for name in ("zebra", "bgpd") if shutil.which(name, path=str(DAEMONS)) is None]
    return f"needs {', '.join(absent)} (Debian package frr)" if absent else ""


def start(machine: Machine, plan: Plan, switch: str) -> None:
    """Start zebra and bgpd of a switch."""
    folder = machine.home / switch / "frr"
    folder.mkdir(mode=0o755)
    shutil.chown(folder, "frr", "frr")  # the daemons will not be root
    for name, text in (("zebra", ""), ("bgpd", _configuration(plan, switch))):
        (folder / f"{name}.conf").write_text(f"hostname {switch}\n{text}")
        command = [DAEMONS / name, "-f", folder / f"{name}.conf", "-z", folder / "zserv", "-P", "0"]
        command += ["-i", folder / f"{name}.pid", "--vty_socket", folder]
        machine.start(f"{switch}-{name}", ["ip", "netns", "exec", netns(switch), *command])


def next_hops(switch: str, prefix: str) -> int:
    """Return over how many equal paths a switch reaches a prefix."""
    told = run("ip", "-n", netns(switch), "route", "show", prefix)
    return max(told.count(" via "), told.count("nexthop"))


def _configuration(plan: Plan, switch: str) -> str:
    lines = [
        f"router bgp {_as(plan, switch)}",
        f" bgp router-id {plan.management(switch)}",
        " no bgp ebgp-requires-policy",
        " bgp bestpath as-path multipath-relax",
        " timers bgp 1 3",
    ]
    for _, cable in plan.ports(switch):
        far = cable.other(switch).device
        if far in plan.switches:
            lines.append(f" neighbor {cable.address(far)} remote-as {_as(plan, far)}")
    lines.append(" address-family ipv4 unicast")
    for host in plan.leaves.get(switch, ()):
        lines += [
            f"  network {plan.containers(host)}",
            f"  network {plan.cable(host, switch).address(host)}/31",
        ]
    return "\n".join(lines) + "\n"


def _as(plan: Plan, switch: str) -> int:
    return SPINES_AS if switch in plan.spines else SPINES_AS + 1 + list(plan.leaves).index(switch)
