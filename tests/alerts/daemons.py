"""Starting and ending the real receivers that tests send to."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

WAIT_S = 20.0


def wait_for(condition: Callable[[], bool], what: str, within_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {within_s} s for {what}"
        time.sleep(0.02)


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, ready: Callable[[], bool], environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen]:
    """Run a daemon until the body ends; AssertionError, with its log, where it does not start."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env={**os.environ, **(environment or {})}
        )
    try:
        wait_for(lambda: process.poll() is not None or ready(), f"{command[0]} to listen")
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.terminate()
        try:
            process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listens(port: tuple[str, int]) -> bool:
    """Return whether the kernel lists the port as bound (a connection would be a message of its own)."""
    kind, number = port
    table = Path("/proc/net/udp" if kind == "udp" else "/proc/net/tcp").read_text()
    return f"0100007F:{number:04X} 00000000:0000" in table
