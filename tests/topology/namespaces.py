"""Switches of network namespaces: veth cables, a real lldpd and snmpd each, on an address of their own.

``lldpcli update`` is not used here. It reads lldpd's whole configuration and writes it back: while lldpd
starts, that puts back the pause that lldpd begins with and has just left, and it then hears nothing for
ever. Speaking every second makes it needless.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
PROGRAMS = ("snmpd", "lldpd", "lldpcli", "ip", "bridge")
WAIT_S = 60
LLDP = "configure lldp tx-interval 1\nconfigure lldp tx-hold 10\n"  # each second, kept for ten
TWIN = Path(__file__).with_name("bridge_twin.py")


def missing() -> str:
    """Return what is missing to run this; empty where nothing is."""
    absent = [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]
    return ", ".join([*absent, *([] if os.geteuid() == 0 else ["root"])])


class Namespaces:
    """Builds while it goes; everything ends with the stack."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.stack, self.tag = stack, f"t{os.getpid() % 100_000}"
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        self.folder.chmod(0o755)
        self.addresses: dict[str, str] = {}
        self.cables: list[tuple[str, ...]] = []

    def add(self, name: str) -> None:
        """Make a namespace."""
        self.ip("netns", "add", self.ns(name))
        self.stack.callback(self.ip, "netns", "del", self.ns(name))
        self.within(name, "ip", "link", "set", "lo", "up")

    def ns(self, name: str) -> str:
        return f"{self.tag}{name}"

    def cable(self, a: str, p: str, b: str, q: str) -> None:
        """Lay a cable between two ports."""
        self.ip("link", "add", p, "netns", self.ns(a), "type", "veth", "peer", "name", q, "netns", self.ns(b))
        for device, port in ((a, p), (b, q)):
            self.within(device, "ip", "link", "set", port, "up")

    def patched(self, a: str, p: str, b: str, q: str) -> None:
        """Lay a cable over the namespace ``patch``, where it can be moved without touching its ports."""
        for device, port in ((a, p), (b, q)):
            self.cable(device, port, "patch", f"{device}.{port}")
        self.plug(f"{a}.{p}", f"{b}.{q}")

    def plug(self, *ends: str) -> None:
        """Join two ends in the patch field, and let both have carrier."""
        name = f"c{len(self.cables)}"
        self.cables.append(ends)
        # a bridge keeps LLDP to itself unless it is told to pass it on: bit 14 is 01:80:c2:00:00:0e
        self.patch("add", name, "type", "bridge", "group_fwd_mask", "0x4000")
        for link in (name, *ends):
            if link != name:
                self.patch("set", link, "master", name)
            self.patch("set", link, "up")

    def unplug(self, *ends: str) -> None:
        """Take the cable away that joins these ends; both lose carrier."""
        for end in ends:
            self.patch("set", end, "down")
        self.patch("del", f"c{self.cables.index(ends)}")

    def patch(self, *arguments: str) -> None:
        self.within("patch", "ip", "link", *arguments)

    def bridge(self, name: str, *ports: str) -> None:
        """Make the ports a bridge with spanning tree."""
        self.within(
            name, "ip", "link", "add", "br0", "type", "bridge", "stp_state", "1", "forward_delay", "200"
        )
        self.within(name, "ip", "link", "set", "br0", "up")
        for port in ports:
            self.within(name, "ip", "link", "set", port, "master", "br0")

    def lldpd(self, name: str, *ports: str, more: tuple[str, ...] = ()) -> None:
        """Let it speak LLDP on these ports."""
        conf = self.folder / f"{name}.conf"
        conf.write_text(f"configure system hostname {name}\nconfigure lldp portidsubtype ifname\n{LLDP}")
        command = ["lldpd", "-d", "-u", str(self.folder / name), "-O", str(conf), "-I", ",".join(ports)]
        if name in self.addresses:
            command += ["-x", "-X", str(self.folder / f"{name}.agentx")]
        self._start(name, *command, *more)

    def heard(self, name: str) -> list[dict[str, Any]]:
        """Return what its lldpd says of its neighbours, one a port and neighbour (lldpcli's json0)."""
        command = ["lldpcli", "-u", str(self.folder / name), "-f", "json0", "show", "neighbors"]
        said = subprocess.run(command, env=env(), check=False, capture_output=True, text=True).stdout
        return [one for part in json.loads(said or "{}").get("lldp", []) for one in part.get("interface", [])]

    def neighbours(self, name: str, port: str) -> list[tuple[str, str]]:
        """Return the devices and ports that its lldpd hears on a port."""
        return [
            (one["chassis"][0]["name"][0]["value"], one["port"][0]["id"][0]["value"])
            for one in self.heard(name)
            if one["name"] == port
        ]

    def snmpd(self, name: str) -> None:
        """Give it an snmpd on an address that the test can reach, with the twin of BRIDGE-MIB."""
        number = len(self.addresses) + 1
        net = f"198.18.{os.getpid() % 250}.{4 * number}"
        ours, theirs = (f"{net.rpartition('.')[0]}.{4 * number + i}" for i in (1, 2))
        near = f"{self.tag}m{number}"
        self.ip("link", "add", near, "type", "veth", "peer", "name", "mgmt", "netns", self.ns(name))
        self.stack.callback(subprocess.run, ["ip", "link", "del", near], env=env(), stderr=subprocess.DEVNULL)
        self.ip("address", "add", f"{ours}/30", "dev", near)
        self.ip("link", "set", near, "up")
        self.within(name, "ip", "address", "add", f"{theirs}/30", "dev", "mgmt")
        self.within(name, "ip", "link", "set", "mgmt", "up")
        socket = self.folder / f"{name}.agentx"
        conf = self.folder / f"{name}.snmpd"
        conf.write_text(
            f"agentAddress udp:{theirs}:161\nrocommunity public\nmaster agentx\nagentXSocket {socket}\n"
            f"agentXPerms 0777 0777\nsysName {name}\n"
            f"pass_persist .1.3.6.1.2.1.17 {sys.executable} -S {TWIN}\n"
        )
        log = self.folder / f"{name}.log"
        self._start(
            name, "snmpd", "-f", "-Lf", str(log), "-C", "-c", str(conf), "-I", "-smux",
            "-p", str(self.folder / f"{name}.pid"), state=str(self.folder / f"{name}.state"),
        )  # fmt: skip
        self.addresses[name] = theirs
        until(socket.exists)

    def ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], env=env(), check=True, capture_output=True)

    def within(self, name: str, *command: str) -> str:
        """Run something in a namespace and return what it says."""
        whole = ["ip", "netns", "exec", self.ns(name), *command]
        return subprocess.run(whole, env=env(), check=True, capture_output=True, text=True).stdout

    def _start(self, name: str, *command: str, state: str = "") -> None:
        whole = ["ip", "netns", "exec", self.ns(name), *command]
        more = {"SNMP_PERSISTENT_DIR": state, "MIBS": ""}
        process = subprocess.Popen(
            whole, env=env() | more, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.stack.callback(process.wait, 20)
        self.stack.callback(process.terminate)


def env() -> dict[str, str]:
    return os.environ | {"PATH": PATH}


def until(happened: object) -> None:
    """Wait for a condition within generous bounds."""
    deadline = time.monotonic() + WAIT_S
    while not happened():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.3)
