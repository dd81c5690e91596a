"""The whole lab: fabric, switches, hosts, load; built, changed and given back."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import lab_host
import lab_switch
from lab_fabric import Fabric
from lab_machine import PREFIX, Machine, run, until
from lab_plan import Plan

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
        for switch in self.switches.values():
            switch.start()
        lab_host.papers(self.papers, [self.plan.management(host) for host in self.plan.hosts])
        archive = lab_host.image(self.machine.home)
        self.hosts = {h: lab_host.Host(self.machine, self.plan, h, self.papers) for h in self.plan.hosts}
        with ThreadPoolExecutor(len(self.hosts)) as all_at_once:
            list(all_at_once.map(lambda host: host.start(archive), self.hosts.values()))
        self._load()
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
