"""The whole lab: fabric, switches, hosts, load; built, changed and given back."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import lab_bgp
import lab_host
import lab_switch
from lab_fabric import Fabric
from lab_machine import PREFIX, Machine, netns, run, until
from lab_plan import Cable, Plan

PROGRAMS = (
    "ip",
    "nft",
    "nsenter",
    "unshare",
    "snmpd",
    "lldpd",
    "lldpcli",
    "dockerd",
    "docker",
    "gcc",
    "openssl",
    "rsyslogd",
    "tc",
    "ss",
)
PROBE = f"{PREFIX}probe"


def missing() -> str:
    """Return what this machine lacks for the lab, empty where it has everything."""
    if os.geteuid() != 0:
        return "needs root"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    absent = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
    if absent:
        return f"needs {', '.join(absent)}"
    tried = {
        "network namespaces": ("ip", "netns", "add", PROBE),
        "vxlan": ("ip", "-n", PROBE, "link", "add", "x", "type", "vxlan", "id", "1", "dstport", "4789"),
        "nftables' numgen": (
            "ip", "netns", "exec", PROBE, "nft",
            "add table ip t; add chain ip t c; add rule ip t c numgen random mod 2 < 1 ip ecn set ce",
        ),
    }  # fmt: skip
    try:
        for what, command in tried.items():
            try:
                run(*command)
            except RuntimeError as error:
                return f"needs {what} ({error})"
    finally:
        run("ip", "netns", "delete", PROBE, check=False)
    return ""


class Lab:
    """The parts by name. ``open`` clears first what an earlier lab left; ``close`` leaves nothing."""

    def __init__(self, machine: Machine, plan: Plan) -> None:
        self.machine, self.plan = machine, plan
        self.fabric = Fabric(plan)
        self.switches = {name: lab_switch.Switch(machine, plan, name) for name in plan.switches}
        self.papers = machine.home / "papers"
        self.hosts: dict[str, lab_host.Host] = {}

    def open(self) -> Lab:
        self.machine.clear()
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def _open(self) -> None:
        self.fabric.build()
        for name, switch in self.switches.items():
            switch.start()
            if self.plan.switching == "bgp":
                lab_bgp.start(self.machine, self.plan, name)
        lab_host.papers(self.papers, [self.plan.management(host) for host in self.plan.hosts])
        archive = lab_host.image(self.machine.home)
        self.hosts = {h: lab_host.Host(self.machine, self.plan, h, self.papers) for h in self.plan.hosts}
        with ThreadPoolExecutor(len(self.hosts)) as all_at_once:
            list(all_at_once.map(lambda host: host.start(archive), self.hosts.values()))
        self._load()
        if self.plan.switching == "bgp":
            until(self._is_routed, "BGP to find every way", 60)
        until(self.is_heard, "every port to hear its neighbour", 90)

    def _load(self) -> None:
        for service, told in self.plan.services.items():
            for host in told["hosts"]:
                self.hosts[host].answer(service, told["service_ms"])
        for client in self.plan.clients:
            asked = [
                self.hosts[host].address_of(service)
                for service in self.plan.services
                for host in client["asks"]
            ]
            self.hosts[client["host"]].keep_asking(
                client["service"], asked, client["connections"], client["think_ms"]
            )

    @contextlib.contextmanager
    def talking(self, cable: Cable, sender: str, per_second: int) -> Iterator[None]:
        """Have a device send datagrams to the other end of a link: traffic of no container."""
        address, talk = cable.address(cable.other(sender).device), lab_switch.PROGRAMS / "talk.py"
        command = [
            "ip",
            "netns",
            "exec",
            netns(sender),
            sys.executable,
            "-SE",
            talk,
            address,
            str(per_second),
        ]
        self.machine.start(f"{sender}-talk", command)
        try:
            yield
        finally:
            self.machine.end(f"{sender}-talk")

    def _is_routed(self) -> bool:
        """Return whether each leaf reaches the others' containers over every spine."""
        return all(
            lab_bgp.next_hops(leaf, self.plan.containers(host)) == len(self.plan.spines)
            for leaf in self.plan.leaves
            for other, hosts in self.plan.leaves.items()
            for host in hosts
            if other != leaf
        )

    def is_heard(self) -> bool:
        """Return whether LLDP says of every port what the plan says."""
        return all(
            lab_switch.neighbours(self.machine, device)
            == {name: cable.other(device).device for name, cable in self.plan.ports(device)}
            for device in self.plan.devices
        )

    def close(self) -> None:
        for host in self.hosts.values():
            host.end()
        self.machine.clear()
