"""What the lab takes of the machine: processes, namespaces, control groups; remembered, and given back.

Everything carries the prefix or is written down with its pid and start time, so that what a killed lab
left behind is found and removed by the next one, and nothing else ever is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

PREFIX = "clab-"
ROOT_LINK = "clab-mgmt"  # the only interface in the machine's own namespace
HOME = Path(tempfile.gettempdir()) / "correlator-lab"
CGROUPS = Path("/sys/fs/cgroup")
PATIENCE_S = 5.0


def run(*command: str | Path, stdin: str | None = None, check: bool = True, timeout: float = 60) -> str:
    """Return what a command printed. Raises RuntimeError with its complaint."""
    done = subprocess.run(
        [*map(str, command)], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
    )
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def until(true: Callable[[], Any], what: str, seconds: float = 60, pause: float = 0.2) -> None:
    """Wait until something is true. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(pause)


def netns(device: str) -> str:
    """Return the name of a device's namespace."""
    return PREFIX + device


@contextlib.contextmanager
def alone() -> Iterator[Path]:
    """Hold the lab's folder; there is one lab on a machine. Raises RuntimeError where there is another."""
    HOME.mkdir(mode=0o755, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"another lab runs on this machine ({HOME}/lock)") from None
        yield HOME


class Machine:
    """The lab's processes and names, in the folder that ``alone`` gives."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._ledger = home / "processes"

    def start(self, name: str, command: Sequence[str | Path], **more: Any) -> subprocess.Popen[bytes]:
        """Start a process and write it down; what it prints goes to NAME.log."""
        with (self.home / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*map(str, command)], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True, **more,
            )  # fmt: skip
        self.note(process.pid, name)
        return process

    def note(self, pid: int, name: str) -> None:
        """Write a process down that somebody else started."""
        with self._ledger.open("a") as ledger:
            ledger.write(f"{pid} {_began(pid)} {name}\n")

    def processes(self, name: str | None = None) -> list[int]:
        """Return the pids of what was started and still runs, the newest first."""
        if not self._ledger.exists():
            return []
        noted = [line.split(" ", 2) for line in self._ledger.read_text().splitlines()]
        live = [(int(pid), n) for pid, began, n in noted if began != "-" and _began(int(pid)) == began]
        return [pid for pid, n in reversed(live) if name in (None, n)]

    def end(self, name: str | None = None) -> None:
        """End what was started (all, or what bears a name): politely first."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            pids = self.processes(name)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            end = time.monotonic() + PATIENCE_S
            while self.processes(name) and time.monotonic() < end:
                for pid in pids:
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(pid, os.WNOHANG)
                time.sleep(0.05)

    def clear(self) -> None:
        """Remove everything of this lab, or of one that was killed."""
        self.end()
        for name in self.namespaces():
            _kill(map(int, run("ip", "netns", "pids", name, check=False).split()))
        for top in _cgroups():
            _kill(_members(top))
        until(lambda: not any(any(_members(top)) for top in _cgroups()), "containers to end", 20)
        for name in self.namespaces():
            run("ip", "netns", "delete", name, check=False)
        run("ip", "link", "delete", ROOT_LINK, check=False)
        for top in _cgroups():
            for directory, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    Path(directory).rmdir()
        for entry in self.home.iterdir():
            if entry.name != "lock":
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()

    def namespaces(self) -> list[str]:
        """Return the names of the lab's namespaces that are there."""
        return [
            name for line in run("ip", "netns").splitlines() if (name := line.split()[0]).startswith(PREFIX)
        ]

    def left(self) -> list[str]:
        """Return whatever of the lab is on the machine, empty where nothing is."""
        links = [ROOT_LINK] if Path("/sys/class/net", ROOT_LINK).exists() else []
        mounts = [
            line.split()[1]
            for line in Path("/proc/mounts").read_text().splitlines()
            if str(self.home) in line
        ]
        return [*self.namespaces(), *links, *map(str, self.processes()), *map(str, _cgroups()), *mounts]


def _began(pid: int) -> str:
    """Return when a process began, in ticks since the machine's start; "-" where it is gone or dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "-"
    return "-" if fields[0] == "Z" else fields[19]


def _cgroups() -> list[Path]:
    return [*CGROUPS.glob(f"{PREFIX}*"), *CGROUPS.glob(f"*/{PREFIX}*")]


def _members(top: Path) -> Iterator[int]:
    for file in top.rglob("cgroup.procs"):
        with contextlib.suppress(OSError):
            yield from map(int, file.read_text().split())


def _kill(pids: Any) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
