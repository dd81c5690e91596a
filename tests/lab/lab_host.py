"""A Docker host of the lab: a real engine, lldpd and agent in its namespace, and containers with load."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import ssl
import urllib.request
from pathlib import Path

import agent_lab
from lab_machine import CGROUPS, Machine, netns, run, until
from lab_plan import ASKED, Plan
from lab_switch import start_lldpd

PORT = 9443
REQUEST, ANSWER = 1000, 1200
INTERVAL_S = 2
SWARM_PORT = 2377
SLICE_US = 1000  # the shortest that the kernel grants
RETRANSMITTED = re.compile(r"\bretrans:\d+/(\d+)")


class Host(agent_lab.Engine):
    """One Docker host; containers reach one another without NAT."""

    def __init__(self, machine: Machine, plan: Plan, name: str, papers: Path) -> None:
        super().__init__(name, plan.number(name), machine.home / name, netns(name))
        self._machine, self._plan, self._papers = machine, plan, papers
        self.docker_flags = "--ip-masq=false"
        self.management = plan.management(name)

    def start(self, image: Path) -> None:
        self.directory.mkdir(mode=0o755, exist_ok=True)
        start_lldpd(self._machine, self._plan, self.name)
        self.start_docker()
        self._machine.note(self.daemon.pid, f"{self.name}-docker")
        with contextlib.suppress(OSError, ValueError):
            self._machine.note(self.pid, f"{self.name}-dockerd")
        self.docker("import", str(image), agent_lab.IMAGE)
        self.start_agent(INTERVAL_S)

    def start_agent(self, interval: float = INTERVAL_S) -> None:
        settings = {
            "address": self.management,
            "certificate_file": self._papers / "agent.pem",
            "key_file": self._papers / "agent.key",
            "lldpd_socket": self.directory / "lldpd",
        }
        self.extra = [flag for key, value in settings.items() for flag in ("--set", f"{key}={value}")]
        environment = os.environ | {"PYTHONPATH": str(agent_lab.ROOT), "LAB_TOKEN": agent_lab.TOKEN}
        self.agent = self._machine.start(f"{self.name}-agent", self.agent_command(interval), env=environment)
        until(self.is_well, f"the agent of {self.name}")

    def is_well(self) -> bool:
        assert self.agent.poll() is None, (self._machine.home / f"{self.name}-agent.log").read_text()[-2000:]
        trusted = ssl.create_default_context(cafile=self._papers / "ca.pem")
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5, context=trusted) as answer:
                return answer.status == 200
        except OSError:
            return False

    @property
    def url(self) -> str:
        return f"https://{self.management}:{PORT}"

    def answer(self, service: str, service_ms: float, port: int = ASKED, flags: tuple[str, ...] = ()) -> None:
        """Start a container of a service that answers."""
        label = ("--label", f"com.docker.compose.service={service}")
        self.serve(f"{service}-{self.name}", service=service_ms, port=port, flags=(*label, *flags))

    def address_of(self, service: str) -> str:
        place = "{{.NetworkSettings.IPAddress}}"
        return self.docker("inspect", "-f", place, f"{service}-{self.name}").strip()

    def keep_asking(self, service: str, addresses: list[str], connections: int, think_ms: float) -> None:
        """Start a container of a service that asks, by so many connections each."""
        numbers = map(str, (connections, ASKED, think_ms, REQUEST, ANSWER))
        self.docker(
            "run", "-d", "--name", f"{service}-{self.name}",
            "--label", f"com.docker.compose.service={service}",
            agent_lab.IMAGE, "/load", "keep", *numbers, *addresses,
        )  # fmt: skip

    def load(self, name: str, address: str, connections: int, request: int) -> None:
        """Start a container that sends large requests, as many as get through."""
        numbers = map(str, (ASKED, 0, 3600, 0, request, ANSWER, connections))
        self.docker(
            "run", "-d", "--name", name, "--label", "com.docker.compose.service=bulk",
            "--sysctl", "net.ipv4.tcp_congestion_control=reno",
            agent_lab.IMAGE, "/load", "ask", address, *numbers,
        )  # fmt: skip

    def starve(self, percent: float | None) -> None:
        """Let the containers here have so much of a processor, all together; None: as much as they want.

        In slices of a millisecond, as where many wait for the same processor: with long ones all that a
        host answers, it answers in the same moments, and a reading a second may miss these.
        """
        period = 100_000 if percent is None else round(100 * SLICE_US / percent)
        quota = -1 if percent is None else SLICE_US
        old, new = CGROUPS / "cpu" / self.netns, CGROUPS / self.netns / "cpu.max"
        if old.exists():
            (old / "cpu.cfs_quota_us").write_text("-1")  # else the kernel may find the new share too large
            (old / "cpu.cfs_period_us").write_text(str(period))
            (old / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            new.write_text(f"{'max' if percent is None else quota} {period}")

    def flows(self, container: str) -> dict[tuple[str, str, int], int]:
        """Return what each connection of a container sent again: by own address, far address and own port."""
        pid = self.docker("inspect", "-f", "{{.State.Pid}}", container).strip()
        told = run("nsenter", "-t", pid, "-n", "ss", "-tniOH", "state", "established")
        found = {}
        for line in told.splitlines():
            _, _, own, far, *rest = line.split()
            address, port = own.rsplit(":", 1)
            again = RETRANSMITTED.search(" ".join(rest))
            found[address, far.rsplit(":", 1)[0], int(port)] = int(again[1]) if again else 0
        return found

    def join(self, manager: Host | None = None) -> None:
        """Begin a swarm, or join the one that another host has begun."""
        mine = self._plan.address(self.name)
        at = ("--advertise-addr", mine, "--listen-addr", mine, "--data-path-addr", mine)
        if manager is None:
            self.docker("swarm", "init", *at)
            return
        token = manager.docker("swarm", "join-token", "-q", "worker").strip()
        self.docker(
            "swarm", "join", *at, "--token", token, f"{self._plan.address(manager.name)}:{SWARM_PORT}"
        )

    def slow(self, service: str, is_slow: bool) -> None:
        """Have a service's container here take five times as long, or as long as usual again."""
        self.docker("kill", "-s", "USR1" if is_slow else "USR2", f"{service}-{self.name}")

    def end(self) -> None:
        """End agent, containers and engine."""
        with contextlib.suppress(Exception):
            self.stop_agent(signal.SIGKILL)
        with contextlib.suppress(Exception):
            ids = self.docker("ps", "-aq", timeout=20).split()
            if ids:
                self.docker("rm", "-f", *ids)
        with contextlib.suppress(Exception):
            self.stop_docker()


def image(folder: Path) -> Path:
    """Return an archive with the load program, to be imported as an image."""
    tree = folder / "image"
    tree.mkdir()
    run("gcc", "-O2", "-static", "-o", tree / "load", agent_lab.PROGRAMS / "load.c")
    run("tar", "-C", tree, "-cf", folder / "image.tar", ".")
    shutil.rmtree(tree)
    return folder / "image.tar"


def papers(folder: Path, addresses: list[str]) -> Path:
    """Return a folder with ca.pem, and agent.pem and agent.key for all the addresses."""
    folder.mkdir(mode=0o700)
    new = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    run(
        "openssl", *new, "-subj", "/CN=lab authority", "-keyout", folder / "ca.key", "-out", folder / "ca.pem"
    )
    names = ",".join(f"IP:{address}" for address in addresses)
    run(
        "openssl", *new, "-subj", "/CN=agents of the lab", "-addext", f"subjectAltName={names}",
        "-addext", "basicConstraints=critical,CA:FALSE", "-CA", folder / "ca.pem",
        "-CAkey", folder / "ca.key", "-keyout", folder / "agent.key", "-out", folder / "agent.pem",
    )  # fmt: skip
    return folder
