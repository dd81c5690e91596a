"""Two Docker engines on one machine, each in a network namespace of its own, joined by a wire that
delays and loses frames on demand; an agent on each. Needs root, dockerd, gcc.

Everything that is started is remembered by pid and ended by it; namespaces carry this process's id.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import zstandard

PROGRAMS = Path(__file__).parent / "programs"
ROOT = Path(__file__).parents[2]
TOKEN = "a-token-for-the-laboratory"
IMAGE = "lab:1"
NEEDED = ("dockerd", "docker", "nsenter", "unshare", "ip", "gcc", "mount")


def missing() -> str:
    """Return what the laboratory lacks on this machine, empty where it has everything."""
    if os.geteuid() != 0:
        return "needs root"
    absent = [program for program in NEEDED if shutil.which(program) is None]
    return f"needs {', '.join(absent)}" if absent else ""


def run(*command: str | Path, check: bool = True, timeout: float = 60) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=timeout)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@dataclass
class Reader:
    """Fetches an agent's rows as the service does, by cursor; ``gaps`` counts new epochs and drops."""

    url: tuple[str, int]
    enter: Path
    epoch: str | None = None
    after: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    epochs: list[str] = field(default_factory=list)
    dropped: int = 0

    def fetch(self) -> int:
        """Read all that is there; return how many rows came."""
        came = 0
        while True:
            query = f"/v1/batches?after={self.after}&limit=5000" + (
                f"&epoch={self.epoch}" if self.epoch else ""
            )
            header, rows = batch(self.enter, self.url, query)
            if header["epoch"] != self.epoch:
                self.epochs.append(header["epoch"])
            self.dropped += header["dropped"]
            moved = header["epoch"] != self.epoch or bool(rows)
            self.epoch, self.after = header["epoch"], header["next_seq"] - 1
            self.rows += [
                {"table": r["table"], "seq": r["seq"], "epoch": self.epoch, **r["row"]} for r in rows
            ]
            came += len(rows)
            if not moved:
                return came

    def table(self, name: str) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["table"] == name]


def batch(
    enter: Path, at: tuple[str, int], query: str, token: str = TOKEN
) -> tuple[dict[str, Any], list[Any]]:
    status, headers, body = get(enter, at, query, token)
    while status == 429:  # after many restarts there are many epochs to be read
        time.sleep(0.5)
        status, headers, body = get(enter, at, query, token)
    assert status == 200, (status, body)
    assert headers["content-encoding"] == "zstd"
    lines = zstandard.ZstdDecompressor().stream_reader(body).read().splitlines()
    return json.loads(lines[0]), [json.loads(line) for line in lines[1:]]


def get(
    enter: Path, at: tuple[str, int], path: str, token: str | None = TOKEN, tls: ssl.SSLContext | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Ask over HTTP from within a network namespace."""
    with connection(enter, at) as plain:
        stream = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{authorization}Connection: close\r\n\r\n".encode())
        answer = b""
        while part := stream.recv(1 << 16):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    return int(first.split()[1]), headers, body


@contextlib.contextmanager
def connection(enter: Path, at: tuple[str, int]) -> Any:
    """Give a connection that was made inside a network namespace (a thread's own setns)."""
    with ThreadPoolExecutor(1) as one:
        made = one.submit(_connect_inside, enter, at).result()
    try:
        yield made
    finally:
        made.close()


def _connect_inside(enter: Path, at: tuple[str, int]) -> socket.socket:
    from correlator.agent.namespaces import setns

    with enter.open() as namespace:
        setns(namespace.fileno())
    return socket.create_connection(at, timeout=20)


@dataclass
class Engine:
    """One Docker host of the laboratory: its namespace, its dockerd, its agent."""

    name: str
    number: int
    directory: Path
    netns: str
    daemon: subprocess.Popen[bytes] | None = None
    agent: subprocess.Popen[bytes] | None = None
    extra: list[str] = field(default_factory=list)
    docker_flags: str = ""

    @property
    def namespace(self) -> Path:
        return Path("/run/netns") / self.netns

    @property
    def address(self) -> str:
        return f"10.77.0.{self.number}"

    @property
    def pid(self) -> int:
        return int((self.directory / "pid").read_text())

    def docker(self, *arguments: str, check: bool = True, timeout: float = 120) -> str:
        return run(
            "docker", "-H", f"unix://{self.directory}/docker.sock", *arguments, check=check, timeout=timeout
        )

    def start_docker(self) -> None:
        (self.directory / "daemon.json").write_text("{}")
        d = self.directory
        script = (
            f"mount -t tmpfs none /run && exec dockerd --config-file {d}/daemon.json --data-root {d}/docker "
            f"--exec-root {d}/exec -H unix://{d}/docker.sock --pidfile {d}/pid "
            f"--bip 172.30.{self.number}.1/24 "
            f"--fixed-cidr 172.30.{self.number}.0/24 --cgroup-parent /{self.netns} "
            "--exec-opt native.cgroupdriver=cgroupfs --storage-driver overlay2 --log-level warn "
            + self.docker_flags
        )
        inner = ["unshare", "-m", "--propagation", "private", "--", "sh", "-c", script]
        with (self.directory / "dockerd.log").open("ab") as log:
            self.daemon = subprocess.Popen(
                ["nsenter", f"--net={self.namespace}", *inner], stdout=log, stderr=log, start_new_session=True
            )
        until(lambda: self.docker("info", check=False) and (self.directory / "docker.sock").exists(), 30)

    def stop_docker(self) -> None:
        if self.daemon is None:
            return
        with contextlib.suppress(OSError, ValueError):
            os.kill(self.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.daemon.wait(20)
        if self.daemon.poll() is None:
            os.killpg(self.daemon.pid, signal.SIGKILL)
            self.daemon.wait(5)
        self.daemon = None

    def agent_command(self, interval: float) -> list[str]:
        settings = {
            "address": "127.0.0.1",
            "port": "9443",
            "token_env": "LAB_TOKEN",
            "spool_directory": self.directory / "spool",
            "docker_url": f"unix://{self.directory}/docker.sock",
            "netns_directory": f"/proc/{self.pid}/root{self.directory}/exec/netns",
            "interval_s": interval,
            "id": self.name,
        }
        flags = [flag for key, value in settings.items() for flag in ("--set", f"{key}={value}")]
        program = [sys.executable, "-m", "correlator.agent", *flags, *self.extra]
        return ["nsenter", f"--net={self.namespace}", *program]

    def start_agent(self, interval: float = 2.0) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "LAB_TOKEN": TOKEN}
        with (self.directory / "agent.log").open("ab") as log:
            self.agent = subprocess.Popen(
                self.agent_command(interval), stdout=log, stderr=log, env=environment
            )
        until(self.is_well, 30)

    def is_well(self) -> bool:
        assert self.agent is not None
        assert self.agent.poll() is None, (self.directory / "agent.log").read_text()[-2000:]
        try:
            return get(self.namespace, ("127.0.0.1", 9443), "/healthz")[0] == 200
        except OSError:
            return False

    def stop_agent(self, number: int = signal.SIGTERM) -> None:
        if self.agent is not None:
            self.agent.send_signal(number)
            self.agent.wait(20)
            self.agent = None

    def reader(self) -> Reader:
        return Reader(("127.0.0.1", 9443), self.namespace)

    def metric(self, name: str) -> float:
        text = get(self.namespace, ("127.0.0.1", 9443), "/metrics")[2].decode()
        for line in text.splitlines():
            if line.split(" ")[0] in (f"correlator_agent_{name}", f"correlator_agent_{name}_total"):
                return float(line.split(" ")[1])
        raise KeyError(name)

    def written_until(self) -> float:
        """Return up to when the running agent has written everything; 0 before its first interval."""
        try:
            return self.metric("written_until_timestamp_seconds")
        except KeyError:
            return 0.0

    def serve(self, name: str, *, service: float = 0, port: int = 9000, flags: tuple[str, ...] = ()) -> str:
        """Start a serving container; return its id."""
        made = self.docker(
            "run", "-d", "--name", name, *flags, IMAGE, "/load", "serve", str(port), str(service)
        ).strip()
        until(lambda: "ready" in self.docker("logs", made, check=False), 10)
        return made

    def ask(
        self,
        name: str,
        host: str,
        port: int = 9000,
        *,
        count: int = 0,
        seconds: float = 0,
        think: float = 0,
        request: int = 100,
        answer: int = 200,
        connections: int = 1,
        flags: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Run an asking container to its end; return what it counted, and its ``id``."""
        file = self.directory / f"{name}.cid"
        numbers = map(str, (port, count, seconds, think, request, answer, connections))
        text = self.docker(
            "run", "--rm", "--cidfile", str(file), "--name", name, *flags, IMAGE,
            "/load", "ask", host, *numbers, timeout=seconds + 300,
        )  # fmt: skip
        counted: dict[str, Any] = json.loads(text)
        counted["id"] = file.read_text()
        file.unlink()
        return counted

    def hasten(self, name: str) -> None:
        """Give a container that is there, or will be soon, a real-time priority."""

        def pid() -> int:
            return int(self.docker("inspect", "-f", "{{.State.Pid}}", name, check=False).strip() or 0)

        until(lambda: pid() > 0, 60)
        hasten(pid())

    def answered(self, name: str, connections: int) -> list[dict[str, Any]]:
        """Return what a serving container counted, one entry a connection, once that many have ended."""

        def lines() -> list[str]:
            return [line for line in self.docker("logs", name).splitlines() if "answered" in line]

        until(lambda: len(lines()) >= connections, 60)
        return [json.loads(line) for line in lines()]

    def remove(self, *names: str) -> None:
        """Remove containers, whether they run or not."""
        self.docker("rm", "-f", *names)

    def remove_all(self) -> None:
        """Remove what containers are left."""
        ids = self.docker("ps", "-aq").split()
        if ids:
            self.remove(*ids)


def hasten(pid: int) -> None:
    """Give a process, and those that it begins, a real-time priority: other load then costs it nothing.

    Under cgroup version 1 only the topmost group has time for such processes.
    """
    top = Path("/sys/fs/cgroup/cpu/cgroup.procs")
    if top.exists():
        top.write_text(str(pid))
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))


class Lab:
    """Two engines and the wire between them; ``close`` takes everything away again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        tag = f"ag{os.getpid()}"
        self.engines = [Engine(f"host{n}", n, directory / f"h{n}", f"{tag}h{n}") for n in (1, 2)]
        self._wire: subprocess.Popen[bytes] | None = None
        self._wire_netns = f"{tag}w"
        self._control = directory / "wire"

    def open(self) -> Lab:
        self.directory.mkdir(parents=True, exist_ok=True)
        for source, flags in (("load", ["-static"]), ("wire", [])):
            run("gcc", "-O2", *flags, "-o", self.directory / source, PROGRAMS / f"{source}.c")
        self._lay()
        self.wire()
        self._wire = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self._wire_netns}", str(self.directory / "wire.bin"), "w1", "w2",
             str(self._control)]
        )  # fmt: skip
        hasten(self._wire.pid)
        with ThreadPoolExecutor(2) as two:
            list(two.map(self._start, self.engines))
        return self

    def _lay(self) -> None:
        (self.directory / "wire").rename(self.directory / "wire.bin")
        run("ip", "netns", "add", self._wire_netns)
        for engine in self.engines:
            n = engine.number
            engine.directory.mkdir(exist_ok=True)
            run("ip", "netns", "add", engine.netns)
            run(
                "ip",
                "link",
                "add",
                "eth0",
                "netns",
                engine.netns,
                "type",
                "veth",
                "peer",
                "name",
                f"w{n}",
                "netns",
                self._wire_netns,
            )
            run("ip", "-n", engine.netns, "address", "add", f"{engine.address}/24", "dev", "eth0")
            for netns, links in ((engine.netns, ("lo", "eth0")), (self._wire_netns, (f"w{n}",))):
                for link in links:
                    run("ip", "-n", netns, "link", "set", link, "up")
            inside(engine.namespace, without_offloads, "eth0")
            run("ip", "-n", engine.netns, "route", "add", f"172.31.{3 - n}.0/24", "via", f"10.77.0.{3 - n}")
            run("ip", "-n", engine.netns, "route", "add", "default", "via", f"10.77.0.{3 - n}")
            run("ip", "netns", "exec", engine.netns, "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def _start(self, engine: Engine) -> None:
        engine.start_docker()
        tree = engine.directory / "image"
        tree.mkdir()
        shutil.copy(self.directory / "load", tree / "load")
        run("tar", "-C", tree, "-cf", engine.directory / "image.tar", ".")
        engine.docker("import", str(engine.directory / "image.tar"), IMAGE)

    def wire(
        self, delay_ms: float = 0.0, to_right: float = 0.0, to_left: float = 0.0
    ) -> list[dict[str, int]]:
        """Set the delay of each way and the share of data frames lost from host1 to host2 and back.

        Return what the wire did since the last call, host1 to host2 first.
        """
        done = self.directory / "wire.done"
        done.unlink(missing_ok=True)
        text = f"{delay_ms * 1000} {int(to_right * 1e6)} {int(to_left * 1e6)}\n"
        (self.directory / "wire.new").write_text(text)
        (self.directory / "wire.new").replace(self._control)
        if self._wire is None:
            return []
        until(done.exists, 5, 0.02)
        figures: list[dict[str, int]] = json.loads(done.read_text())
        return figures

    def close(self) -> None:
        for engine in self.engines:
            with contextlib.suppress(Exception):
                engine.stop_agent(signal.SIGKILL)
            with contextlib.suppress(Exception):
                engine.remove_all()
            with contextlib.suppress(Exception):
                engine.stop_docker()
        if self._wire is not None:
            self._wire.kill()
            self._wire.wait(5)
        for netns in (*(e.netns for e in self.engines), self._wire_netns):
            for pid in run("ip", "netns", "pids", netns, check=False).split():
                with contextlib.suppress(OSError):
                    os.kill(int(pid), signal.SIGKILL)
            run("ip", "netns", "delete", netns, check=False)
        for engine in self.engines:
            _remove_cgroups(engine.netns)


def _remove_cgroups(name: str) -> None:
    for top in [*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/{name}")]:
        for directory, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()


def inside(namespace: Path, work: Any, *arguments: Any) -> Any:
    """Run a function in a network namespace, in a thread of its own."""

    def enter() -> Any:
        from correlator.agent.namespaces import setns

        with namespace.open() as descriptor:
            setns(descriptor.fileno())
        return work(*arguments)

    with ThreadPoolExecutor(1) as one:
        return one.submit(enter).result()


def without_offloads(name: str) -> None:
    """Have an interface send real frames with real checksums: the wire passes frames as they are."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for command in (0x17, 0x1F, 0x24, 0x2C):  # ETHTOOL_STXCSUM, _STSO, _SGSO, _SGRO
            value = array.array("B", struct.pack("II", command, 0))
            request = struct.pack("16sP16x", name.encode(), value.buffer_info()[0])
            with contextlib.suppress(OSError):
                fcntl.ioctl(asking, 0x8946, request)


def until(true: Any, seconds: float, pause: float = 0.1) -> None:
    """Wait until something is true. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"not true within {seconds} s")
        time.sleep(pause)


def joined(
    clients: list[dict[str, Any]], servers: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return (client row, server row) of rows that share wire addresses, a source port and time."""
    found = []
    for client in (row for row in clients if row["role"] == "client"):
        for server in (row for row in servers if row["role"] == "server"):
            same = (
                client["local_wire_address"] == server["peer_wire_address"]
                and client["peer_wire_address"] == server["local_wire_address"]
                and client["server_port"] == server["server_port"]
            )
            if (
                same
                and set(client.get("source_ports", ())) & set(server.get("source_ports", ()))
                and _overlap(client, server)
            ):
                found.append((client, server))
    return found


def _overlap(one: dict[str, Any], two: dict[str, Any]) -> bool:
    ends = [datetime.fromisoformat(row["at"]).astimezone(UTC) for row in (one, two)]
    begins = [end - timedelta(seconds=row["interval_s"]) for end, row in zip(ends, (one, two), strict=True)]
    return begins[0] < ends[1] + timedelta(seconds=2) and begins[1] < ends[0] + timedelta(seconds=2)
