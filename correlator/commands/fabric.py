"""The simulated fabric as the demo and the tests drive it: a child process with an HTTP control."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from correlator.ports import CorrelatorError

READY_WITHIN_S = 60.0
ENDS_WITHIN_S = 5.0
LOOK_EVERY_S = 0.02


@dataclass(frozen=True)
class Fabric:
    """A running fabric: what it said of itself when it was ready."""

    directory: Path
    description: dict[str, Any]

    @property
    def now(self) -> datetime:
        """The simulated time at which it became ready."""
        return datetime.fromisoformat(self.description["now"])

    @property
    def minutes_to_onset(self) -> int:
        """Minutes from then to the moment at which a fault, if there is one, sets in."""
        return int(self.description["minutes_to_onset"])

    @property
    def history(self) -> Path:
        """Folder of the hourly tables that went before."""
        return Path(self.description["history"])

    def advance(self, seconds: int) -> datetime:
        """Move simulated time on; return what it is then."""
        return datetime.fromisoformat(self._control("advance", {"seconds": seconds})["now"])

    def fault(self) -> None:
        """Let the story's fault set in now."""
        self._control("fault", {})

    def repair(self) -> None:
        """End the story's fault."""
        self._control("repair", {})

    def truth(self) -> list[dict[str, Any]]:
        """Return what is really wrong, as verdicts. To be opened after the verdict."""
        told: list[dict[str, Any]] = json.loads(Path(self.description["truth"]).read_text())
        return told

    def _control(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        import httpx  # late, as the command line imports this module at its start

        try:
            answer = httpx.post(f"{self.description['control']}/{what}", json=body, timeout=60)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise CorrelatorError(
                f"the simulated fabric does not {what}: {error}; {_log(self.directory)}"
            ) from error
        told: dict[str, Any] = answer.json()
        return told


@contextlib.contextmanager
def running(directory: Path, arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a fabric in ``directory`` and return its process; it ends with the body, or with us.

    ``ready`` waits until it can be asked.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "fabric.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "correlator.fabric", "--directory", str(directory), *arguments]
    with (directory / "fabric.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)  # noqa: S603
    try:
        yield process
    finally:
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ready(process: subprocess.Popen[bytes], directory: Path) -> Fabric:
    """Return the fabric once it has said where it is. Raises CorrelatorError if it does not."""
    described = directory / "fabric.json"
    give_up = time.monotonic() + READY_WITHIN_S
    while not described.exists():
        if process.poll() is not None or time.monotonic() > give_up:
            raise CorrelatorError(f"the simulated fabric did not start; {_log(directory)}")
        time.sleep(LOOK_EVERY_S)
    return Fabric(directory, json.loads(described.read_text()))


def _log(directory: Path) -> str:
    """Return the last line that the fabric wrote, and where the rest is."""
    path = directory / "fabric.log"
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return f"it last said {lines[-1]!r}, see {path}" if lines else f"see {path}"
