"""Agents that the protocol's contract is held against: each entry starts one and says how to reach it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import httpx


@dataclass(frozen=True)
class Endpoint:
    """An agent that has rows; ``more`` makes it measure some more."""

    url: str
    token: str
    agent: str
    more: Callable[[], None]


@contextlib.contextmanager
def fabric(directory: Path) -> Iterator[Endpoint]:
    """A host of the simulated fabric."""
    command = [sys.executable, "-m", "correlator.fabric", "--directory", str(directory), "--seed", "5"]
    process = subprocess.Popen([*command, "--leaves", "2", "--hosts-per-leaf", "1"], stdin=subprocess.PIPE)
    try:
        told = json.loads(_written(directory / "fabric.json", process))
        host = told["hosts"][0]

        def more() -> None:
            httpx.post(f"{told['control']}/advance", json={"seconds": 60}, timeout=60).raise_for_status()

        more()
        yield Endpoint(host["url"], host["token"], host["id"], more)
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _written(path: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, "the fabric ended before it was ready"
        assert time.monotonic() < deadline, "the fabric was not ready within a minute"
        time.sleep(0.05)
    return path.read_text()


ENDPOINTS: Mapping[str, Callable[[Path], AbstractContextManager[Endpoint]]] = {"fabric": fabric}
