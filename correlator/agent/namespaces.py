"""Network namespaces of containers: found by inotify as they are made, entered by setns(2).

Docker makes the file of a namespace about 0.1 s before the container's first packet; its `start`
event comes after a one-request container is gone. Only the collector's thread may call ``inside``:
setns changes the calling thread alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from correlator.agent.sockets import Diag

CLONE_NEWNET = 0x40000000
IN_CREATE, IN_DELETE, IN_MOVED_TO = 0x100, 0x200, 0x80
IN_DELETE_SELF, IN_MOVE_SELF, IN_Q_OVERFLOW, IN_IGNORED, IN_ONLYDIR = 0x400, 0x800, 0x4000, 0x8000, 0x1000000
WATCHED = IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR
EVENT = struct.Struct("iIII")
HOST = "host"  # the name of the agent's own namespace
# Made by overlay networks and ingress for themselves; no container lives there.
PLUMBING = ("1-", "lb_", "ingress_sbox")
MAX_NAME = 64

_libc = ctypes.CDLL(None, use_errno=True)


def is_sandbox(name: str) -> bool:
    """Return whether a file of Docker's directory is a container's: the first 12 digits of a sandbox id."""
    if name.startswith(PLUMBING) or name == "default" or len(name) > MAX_NAME:
        return False
    return bool(name) and all(c in "0123456789abcdef" for c in name)


def setns(descriptor: int) -> None:
    """Move the calling thread into a network namespace. Raises OSError (EINVAL: not one, or not yet)."""
    if _libc.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def inside(path: Path, home: int) -> Iterator[tuple[int, int]]:
    """Run the body in the namespace at ``path`` and return to ``home``; gives its (device, inode).

    Raises OSError where the namespace is gone or not there yet; RuntimeError where there is no way
    back, after which the thread must not go on.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        setns(descriptor)
        try:
            yield status.st_dev, status.st_ino
        finally:
            try:
                setns(home)
            except OSError as error:
                raise RuntimeError(f"{path}: the thread cannot leave this namespace: {error}") from error
    finally:
        os.close(descriptor)


@dataclass
class Namespace:
    """One namespace that is listened to.

    ``slot`` is its number among those that are open; ``from_birth`` says that it was listened to
    before its first connection, so that counters start from 0. ``dead_since`` is the monotonic time
    at which it was found gone, ``lost`` that destroy events were dropped since the last dump;
    ``closing`` that a connection was not found any more whose event is not known yet;
    ``in_use`` is how many sockets the kernel counts in it, ``unseen`` how many more those were than
    the connections of the last dump (listening ones, mostly).
    """

    name: str
    path: Path | None
    identity: tuple[int, int]
    slot: int
    diag: Diag
    from_birth: bool
    dumped_at: float = float("-inf")
    dead_since: float | None = None
    lost: bool = False
    closing: bool = False
    in_use: int = 0
    unseen: int = 0
    asked: bytes = field(default=b"", repr=False)
    raw: list[bytes] = field(default_factory=list, repr=False)

    def is_gone(self) -> bool:
        """Return whether its file no longer is this namespace (Docker unmounts it, the file stays)."""
        if self.path is None:
            return False
        try:
            status = os.stat(self.path)  # noqa: PTH116  each second for each namespace: half of Path.stat's cost
        except OSError:
            return True
        return (status.st_dev, status.st_ino) != self.identity


class Watch:
    """Names of files that appear in one directory, by inotify(7); the directory may come and go."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify cannot be opened")
        self._watch = -1
        self.was_missing = False  # what is there once it appears was made while it was waited for

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return int(self._descriptor)

    def attach(self) -> bool:
        """Start watching if the directory is there now; return True when that is new."""
        if self._watch >= 0:
            return False
        self._watch = self._add(self.directory, WATCHED)
        if self._watch < 0:
            self.was_missing = True
            for parent in self.directory.parents:  # wake up when the next part of the path appears
                if self._add(parent, IN_CREATE | IN_ONLYDIR) >= 0:
                    break
            self._watch = self._add(self.directory, WATCHED)  # it may have come between the two
        return self._watch >= 0

    def _add(self, path: Path, mask: int) -> int:
        return int(_libc.inotify_add_watch(self._descriptor, os.fsencode(path), mask))

    def names(self) -> set[str]:
        """Return the names that are there now; empty where there is no directory."""
        try:
            return {entry.name for entry in os.scandir(self.directory)}
        except OSError:
            return set()

    def created(self) -> list[str]:
        """Return the names that appeared since the last call; all that are there when events were dropped."""
        names: list[str] = []
        while data := self._read():
            offset = 0
            while offset < len(data):
                watch, mask, _, length = EVENT.unpack_from(data, offset)
                name = data[offset + EVENT.size : offset + EVENT.size + length].rstrip(b"\0")
                offset += EVENT.size + length
                if watch == self._watch and mask & (IN_CREATE | IN_MOVED_TO):
                    names.append(os.fsdecode(name))
                elif mask & IN_Q_OVERFLOW:
                    names.extend(self.names())
                elif watch == self._watch and mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED):
                    self._watch = -1
        return names

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, 1 << 16)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EINTR):
                return b""
            raise

    def close(self) -> None:
        """Stop watching."""
        os.close(self._descriptor)
