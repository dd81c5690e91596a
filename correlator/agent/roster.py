"""The namespaces that are listened to: found, entered, given a slot, and closed when they are gone.

Used by the collector's thread alone, which is the only one to enter namespaces.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from correlator.agent import addresses, netlink, sockets
from correlator.agent.figures import Figures
from correlator.agent.namespaces import HOST, Namespace, Watch, inside, is_sandbox
from correlator.agent.registry import Registry

HOST_SLOT = 0
MAX_SLOT = 65_535
PROC = Path("/proc")


@dataclass(frozen=True)
class Params:
    """How namespaces are entered and left."""

    enter_within_s: float = 1.0  # the file is there before the namespace is mounted on it
    retry_s: float = 0.002
    linger_s: float = 2.0  # a namespace that is gone is kept open this long for its last events
    files_at_once: int = 25  # namespaces, in turn, of which it is looked whether they are gone


@dataclass
class _Pending:
    """A namespace that is to be entered: until when it is tried, and whether it was just made."""

    until: float
    from_birth: bool
    paths: tuple[Path, ...]


class Turns:
    """Whose turn it is among many."""

    def __init__(self) -> None:
        self._next = 0

    def of(self, everybody: list[Namespace], most: int) -> list[Namespace]:
        """Return those whose turn it is, at most ``most``."""
        if len(everybody) <= most:
            return everybody
        first = self._next % len(everybody)
        self._next = first + most
        return (everybody + everybody)[first : first + most]


class Roster:
    """The namespaces by name. ``names`` also knows, by slot, those that went lately.

    ``started`` is when the agent was: containers that began later are known from birth. All other
    times are monotonic seconds.
    """

    def __init__(
        self, params: Params, directory: Path, registry: Registry, figures: Figures, started: datetime
    ) -> None:
        self._params = params
        self._directory = directory
        self._registry = registry
        self._figures = figures
        self._started = started
        self._watch = Watch(directory)
        self._pending: dict[str, _Pending] = {}
        self._tried: set[str] = set()
        self._next_slot = 1
        self._inbox = netlink.Inbox()
        self._news = select.poll()
        self._events = select.epoll()
        self._by_descriptor: dict[int, Namespace] = {}
        self._buried: list[int] = []
        self._turns = Turns()
        self._home = -1
        self.by_name: dict[str, Namespace] = {}
        self.names: dict[int, str] = {}

    def __iter__(self) -> Iterator[Namespace]:
        return iter(self.by_name.values())

    def open(self, now: float) -> None:
        """Open the calling thread's namespace, the host's, and watch the directory. Raises OSError."""
        self._home = os.open(PROC / "thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self._home)
        diag = sockets.Diag.open(self._inbox)
        self._add(Namespace(HOST, None, (status.st_dev, status.st_ino), HOST_SLOT, diag, from_birth=False))
        self._news.register(self._watch.fileno(), select.POLLIN)
        self.attach(now)

    def close(self) -> None:
        """Let go of every namespace."""
        for namespace in self:
            namespace.diag.close()
        self.by_name.clear()
        self._watch.close()
        self._events.close()
        if self._home >= 0:
            os.close(self._home)

    def wait(self, seconds: float, now: float) -> None:
        """Wait for new namespaces and enter them, for ``seconds`` at most."""
        pause = self._params.retry_s if self._pending else seconds
        if self._news.poll(pause * 1000):
            for name in self._watch.created():
                self.expect(name, now, from_birth=True)
            self.attach(now)
        self.enter_pending(now)

    def attach(self, now: float) -> None:
        """Watch the directory if it is there and was not watched; expect what is in it."""
        if self._watch.attach():
            for name in sorted(self._watch.names()):
                self.expect(name, now, from_birth=self._watch.was_missing)

    def look(self, now: float) -> None:
        """Expect the namespaces that Docker's API names and the directory did not show: the second way."""
        self.attach(now)
        sandboxes = self._registry.sandboxes()
        self._tried &= sandboxes.keys()
        for name, (path, pid) in sandboxes.items():
            if name in self.by_name or name in self._pending or name in self._tried:
                continue
            owner = self._registry.owner(name)
            if owner is None:
                continue
            young = owner.started_at is not None and owner.started_at > self._started
            paths = [Path(path), *([PROC / str(pid) / "ns/net"] if _is_of(pid, owner.id) else [])]
            self.expect(name, now, from_birth=young, paths=tuple(paths))
            self._tried.add(name)

    def expect(self, name: str, now: float, *, from_birth: bool, paths: tuple[Path, ...] = ()) -> None:
        """Have a namespace entered as soon as it can be."""
        if is_sandbox(name) and name not in self.by_name:
            until = now + self._params.enter_within_s
            self._pending.setdefault(name, _Pending(until, from_birth, (self._directory / name, *paths)))

    def enter_pending(self, now: float) -> None:
        """Try to enter what is expected; give up and count what could not be entered for too long."""
        for name, pending in list(self._pending.items()):
            if any(self._enter(name, path, pending.from_birth) for path in pending.paths):
                del self._pending[name]
            elif now > pending.until:
                del self._pending[name]
                self._figures.count("namespaces_missed")

    def _enter(self, name: str, path: Path, from_birth: bool) -> bool:
        try:
            with inside(path, self._home) as identity:
                if identity == self.by_name[HOST].identity:
                    return False
                diag = sockets.Diag.open(self._inbox)
        except OSError:
            return False
        self._add(Namespace(name, path, identity, self._free_slot(), diag, from_birth))
        return True

    def _add(self, namespace: Namespace) -> None:
        self.by_name[namespace.name] = namespace
        self.names[namespace.slot] = namespace.name
        descriptor = namespace.diag.events.fileno()
        self._by_descriptor[descriptor] = namespace
        self._events.register(descriptor, select.EPOLLIN)
        self._figures.count("namespaces_opened")

    def _free_slot(self) -> int:
        while self._next_slot in self.names:
            self._next_slot = self._next_slot % MAX_SLOT + 1
        slot = self._next_slot
        self._next_slot = self._next_slot % MAX_SLOT + 1
        return slot

    def with_events(self) -> list[Namespace]:
        """Return the namespaces in which sockets have closed."""
        ready = self._events.poll(0, len(self._by_descriptor))
        return [self._by_descriptor[descriptor] for descriptor, _ in ready]

    def bury(self, now: float) -> list[Namespace]:
        """Close namespaces that have been gone for a while; return them. Many are looked at in turn."""
        gone = []
        for name, namespace in list(self.by_name.items()):
            if namespace.dead_since is not None and now - namespace.dead_since > self._params.linger_s:
                self._by_descriptor.pop(namespace.diag.events.fileno())
                namespace.diag.close()
                del self.by_name[name]
                self._tried.discard(name)
                self._buried.append(namespace.slot)
                gone.append(namespace)
        living = [namespace for namespace in self if namespace.dead_since is None]
        for namespace in self._turns.of(living, self._params.files_at_once):
            namespace.dead_since = now if namespace.is_gone() else None
        return gone

    def forget(self, needed: set[int]) -> list[int]:
        """Forget the names of closed namespaces but those of slots that are needed; return the slots."""
        done = [slot for slot in self._buried if slot not in needed]
        self._buried = [slot for slot in self._buried if slot in needed]
        for slot in done:
            self.names.pop(slot, None)
        return done

    def overlays(self) -> Iterator[Path]:
        """Yield the files of overlay networks' own namespaces, to be entered with ``visit``."""
        for name in self._watch.names():
            if name.startswith("1-"):
                yield self._directory / name

    def visit(self, path: Path) -> Mapping[str, str]:
        """Return what an overlay's namespace says of its containers' hosts. Raises OSError."""
        with inside(path, self._home):
            return addresses.overlay()


def _is_of(pid: int, container_id: str) -> bool:
    """Return whether a process belongs to a container (its number may be another one's by now)."""
    try:
        return pid > 0 and container_id in (PROC / str(pid) / "cgroup").read_text()
    except OSError:
        return False
