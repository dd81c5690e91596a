"""Which container a socket belongs to where several use one network namespace.

The kernel says it by cgroup (version 2, INET_DIAG_CGROUP_ID), or the socket's inode leads to a
process and that to its cgroup. A socket that closed before it was read once is a server's if its
port is; else nobody can tell, and nobody is named.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from correlator.agent.registry import Container

CGROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
PROC = Path("/proc")
MAX_DEPTH = 6
MAX_FILES = 20_000  # file descriptors looked at in one pass


class Owners:
    """Cgroup ids and socket inodes of containers that share a namespace."""

    def __init__(self, roots: Iterable[Path] = CGROUPS, proc: Path = PROC) -> None:
        self._roots = [root for root in roots if (root / "cgroup.controllers").exists()]
        self._proc = proc
        self._cgroups: dict[int, str] = {}
        self._known: frozenset[str] = frozenset()
        self._inodes: dict[int, str] = {}

    def learn(self, containers: Iterable[Container]) -> None:
        """Find the cgroups of containers; cheap where they are known already."""
        wanted = {container.id for container in containers}
        if wanted == self._known:
            return
        self._cgroups = {c: i for c, i in self._cgroups.items() if i in wanted}
        for root in self._roots:
            self._walk(root, wanted)
        found = set(self._cgroups.values())
        self._known = frozenset(wanted) if wanted <= found or not self._roots else frozenset(found & wanted)

    def _walk(self, root: Path, wanted: set[str]) -> None:
        for directory, names, _ in os.walk(root):
            depth = len(Path(directory).relative_to(root).parts)
            for name in names:
                owner = next((i for i in wanted if i in name), None)
                if owner:
                    self._cgroups.update(dict.fromkeys(_inodes(Path(directory, name)), owner))
            if depth >= MAX_DEPTH:
                names.clear()

    def by_cgroup(self, cgroup: int) -> str | None:
        """Return the container of a cgroup id."""
        return self._cgroups.get(cgroup)

    def by_inode(self, inode: int) -> str | None:
        """Return the container of a socket's inode, as ``look`` saw it last."""
        return self._inodes.get(inode)

    def look(self, containers: Iterable[Container]) -> None:
        """Note the sockets that the processes of containers hold now (needs the host's /proc)."""
        found: dict[int, str] = {}
        left = MAX_FILES
        for container in containers:
            for pid in self._processes(container):
                inodes = _sockets(self._proc / str(pid) / "fd", left)
                left -= len(inodes)
                found.update(dict.fromkeys(inodes, container.id))
        self._inodes = found

    def _processes(self, container: Container) -> list[int]:
        """Return the processes of a container: those of its cgroup, else its first alone."""
        if not container.pid:
            return []
        try:
            lines = (self._proc / str(container.pid) / "cgroup").read_text().splitlines()
        except OSError:
            return []
        if not any(container.id in line for line in lines):
            return []  # the number is another process's by now, or another pid namespace's
        for line in lines:
            _, controllers, path = (*line.split(":", 2), "", "")[:3]
            for root in (CGROUPS[0] / controllers, *CGROUPS):
                try:
                    text = (root / path.lstrip("/") / "cgroup.procs").read_text()
                except OSError:
                    continue
                return [int(pid) for pid in text.split() if pid.isdecimal()]
        return [container.pid]


def _inodes(top: Path) -> list[int]:
    """Return the inode of a cgroup's directory, which is its id, and of those below it."""
    try:
        return [top.stat().st_ino, *(Path(d).stat().st_ino for d, _, _ in os.walk(top) if Path(d) != top)]
    except OSError:
        return []


def _sockets(directory: Path, most: int) -> list[int]:
    found: list[int] = []
    try:
        for entry in os.scandir(directory):
            if len(found) >= most:
                break
            try:
                target = str(Path(entry.path).readlink())
            except OSError:
                continue
            if target.startswith("socket:["):
                found.append(int(target[8:-1]))
    except OSError:
        return found
    return found
