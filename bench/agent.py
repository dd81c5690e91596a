"""What the host agent costs: CPU and memory at 1 Hz with 1,000 sockets in 10 and in 100 namespaces.

    python bench/agent.py [--seconds 60] [--sockets 1000] [--closes 150] [--namespaces 10 100]

The real agent runs as a process of its own against a stand-in for Docker's API (names only) and real
sockets: a request and an answer of 100 bytes a second on each connection, and connections that open
and close beside them. CPU is user and system time of the agent's process. Needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.request import Request, urlopen

from correlator.agent.namespaces import CLONE_NEWNET, inside

LIBC = ctypes.CDLL(None, use_errno=True)
MS_BIND, MNT_DETACH = 4096, 2
CLIENT, SERVER, PORT = "198.51.100.1", "198.51.100.2", 9000
TOKEN = "a-token-for-the-benchmark"


class Docker(BaseHTTPRequestHandler):
    """As much of Docker's API as the agent asks: every namespace is a container."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].removeprefix("/v1.41")
        if path == "/events":
            self.send_response(200)
            self.end_headers()
            time.sleep(3600)
            return
        answers = {
            "/version": {"ApiVersion": "1.41"},
            "/info": {"ID": "BENCH"},
            "/networks": [],
            "/containers/json": [{"Id": identity(name)} for name in self.server.names],
        }
        found = answers.get(path)
        if found is None:
            found = described(path.split("/")[2])
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return "unix"


class Api(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    names: list[str]


def identity(name: str) -> str:
    return name.ljust(64, "0")


def described(container: str) -> dict[str, object]:
    name = container[:12]
    return {
        "Id": container,
        "Name": f"/bench-{name}",
        "Config": {"Image": "bench:1", "Labels": {}},
        "HostConfig": {"NetworkMode": "default"},
        "State": {"Running": True, "Pid": 0, "StartedAt": "2026-01-01T00:00:00Z"},
        "NetworkSettings": {"SandboxKey": f"/nowhere/{name}", "Networks": {}, "Ports": {}},
    }


def main() -> None:
    wanted = argparse.ArgumentParser()
    wanted.add_argument("--seconds", type=float, default=60)
    wanted.add_argument("--sockets", type=int, default=1000)
    wanted.add_argument("--closes", type=int, default=150)
    wanted.add_argument("--namespaces", type=int, nargs="+", default=[10, 100])
    given = wanted.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench/agent.py: needs root, for network namespaces")
    for number in given.namespaces:
        with tempfile.TemporaryDirectory() as name:
            print(json.dumps(measured(Path(name), number, given)), flush=True)


def measured(directory: Path, number: int, given: argparse.Namespace) -> dict[str, object]:
    names = [f"{i:012x}" for i in range(1, number + 1)]
    spaces = directory / "netns"
    spaces.mkdir()
    load = Load(spaces, names, given.sockets // 2, given.closes / 2)
    api = Api(str(directory / "docker.sock"), Docker)
    api.names = names
    threading.Thread(target=api.serve_forever, daemon=True).start()
    with contextlib.closing(load), agent(directory, spaces) as running:
        load.start()
        time.sleep(25)
        fetch(directory), metrics(directory)  # connections are known, imports are done
        before, began, closed = cpu(running.pid), time.monotonic(), load.closed
        end = began + given.seconds
        while time.monotonic() < end:
            time.sleep(min(10, end - time.monotonic()))
            fetched = fetch(directory)
        seconds = time.monotonic() - began
        used = cpu(running.pid) - before
        figures = metrics(directory)
        answer = {
            "namespaces": number,
            "sockets": given.sockets,
            "closes_per_second": round((load.closed - closed) / seconds * 2, 1),
            "cpu_percent": round(100 * used / seconds, 2),
            "rss_mib": round(memory(running.pid, "VmRSS") / 1024, 1),
            "peak_rss_mib": round(memory(running.pid, "VmHWM") / 1024, 1),
            "connections_known": figures["connections"],
            "close_events": figures["close_events_total"],
            "rows_in_last_fetch": fetched,
        }
    api.shutdown()
    api.server_close()
    return answer


class Load(threading.Thread):
    """Connections in namespaces of their own: one request a second on each, and some that come and go."""

    def __init__(self, spaces: Path, names: list[str], connections: int, per_second: float) -> None:
        super().__init__(daemon=True)
        self._spaces, self._names, self._per_second = spaces, names, per_second
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._listening: list[socket.socket] = []
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.closed = 0
        self._ended = threading.Event()
        for name in names:
            made(spaces / name, self._home)
            with inside(spaces / name, self._home):
                subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
                for address in (CLIENT, SERVER):
                    subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
                listening = socket.create_server((SERVER, PORT), backlog=1024)
            self._listening.append(listening)
        for i in range(connections):
            self._pairs.append(self._connect(i % len(names)))

    def _connect(self, place: int) -> tuple[socket.socket, socket.socket]:
        with inside(self._spaces / self._names[place], self._home):
            client = socket.create_connection((SERVER, PORT), source_address=(CLIENT, 0))
        return client, self._listening[place].accept()[0]

    def run(self) -> None:
        turn, next_turn = 0, time.monotonic()
        per_turn = max(1, len(self._pairs) // 10)
        owed = 0.0
        while not self._ended.is_set():
            for client, server in self._pairs[turn % 10 * per_turn :][:per_turn]:
                client.send(b"x" * 100)
                server.recv(200)
                server.send(b"y" * 100)
                client.recv(200)
            owed += self._per_second / 10
            while owed >= 1:
                owed -= 1
                for one in self._connect(self.closed % len(self._names)):
                    one.close()
                self.closed += 1
            turn += 1
            next_turn += 0.1
            time.sleep(max(0.0, next_turn - time.monotonic()))

    def close(self) -> None:
        self._ended.set()
        self.join(5)
        for one in (*self._listening, *(end for pair in self._pairs for end in pair)):
            one.close()
        for name in self._names:
            LIBC.umount2(os.fsencode(self._spaces / name), MNT_DETACH)


def made(path: Path, home: int) -> None:
    """Make a network namespace that stays at ``path``."""
    path.touch()
    from correlator.agent.namespaces import setns

    if LIBC.unshare(CLONE_NEWNET):
        sys.exit("bench/agent.py: network namespaces cannot be made here")
    try:
        own = b"/proc/thread-self/ns/net"
        if LIBC.mount(own, os.fsencode(path), None, MS_BIND, None):
            sys.exit(f"bench/agent.py: {os.strerror(ctypes.get_errno())}")
    finally:
        setns(home)


@contextlib.contextmanager
def agent(directory: Path, spaces: Path):
    settings = {
        "address": "127.0.0.1",
        "port": PORT + 443,
        "token_env": "BENCH_TOKEN",
        "spool_directory": directory / "spool",
        "docker_url": f"unix://{directory}/docker.sock",
        "netns_directory": spaces,
        "id": "bench",
    }
    flags = [flag for key, value in settings.items() for flag in ("--set", f"{key}={value}")]
    environment = os.environ | {"BENCH_TOKEN": TOKEN}
    running = subprocess.Popen([sys.executable, "-m", "correlator.agent", *flags], env=environment)
    try:
        yield running
    finally:
        running.terminate()
        running.wait(20)


def fetch(directory: Path) -> int:
    """Read as the service does, from the last cursor; return how many rows came."""
    cursor = directory / "cursor"
    after = cursor.read_text() if cursor.exists() else "0"
    import zstandard

    asked = Request(
        f"http://127.0.0.1:{PORT + 443}/v1/batches?{after}", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    lines = zstandard.ZstdDecompressor().stream_reader(urlopen(asked, timeout=20)).read().splitlines()
    header = json.loads(lines[0])
    cursor.write_text(f"epoch={header['epoch']}&after={header['next_seq'] - 1}")
    return len(lines) - 1


def metrics(directory: Path) -> dict[str, float]:
    text = urlopen(f"http://127.0.0.1:{PORT + 443}/metrics", timeout=20).read().decode()
    lines = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {name.removeprefix("correlator_agent_"): float(value) for name, value in lines}


def cpu(pid: int) -> float:
    """Return the user and system seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int, what: str) -> int:
    """Return a line of a process's status, kB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


if __name__ == "__main__":
    main()
