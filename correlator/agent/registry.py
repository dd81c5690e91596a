"""Who is who: containers by id, by sandbox and by what they share, as Docker told; nothing here asks Docker.

The resolver's threads write, the collector and the writer read; one lock keeps it whole. What ended
is kept for a while, since its connections are told of later.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import datetime

KEEP_ENDED_S = 300.0
MAX_CONTAINERS = 20_000


@dataclass(frozen=True)
class Attachment:
    """A container's end on one network."""

    network: str
    driver: str | None
    address: str | None
    mac: str | None
    gateway: str | None


@dataclass(frozen=True)
class Container:
    """One container as Docker describes it. Texts from outside are already harmless and short.

    ``sandbox`` is the name of its network namespace's file (empty: it has none of its own),
    ``shares`` the id of the container whose namespace it uses, or "host".
    """

    id: str
    name: str | None = None
    image: str | None = None
    service: str | None = None
    sandbox: str = ""
    sandbox_path: str = ""
    pid: int = 0
    shares: str = ""
    attachments: tuple[Attachment, ...] = ()
    published: tuple[tuple[int, str], ...] = ()
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass
class _Entry:
    container: Container
    ended: float | None = None
    told: set[str] = field(default_factory=set)


class Registry:
    """The containers of this host. All times are monotonic seconds unless they are datetimes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[str, _Entry] = {}
        self._by_sandbox: dict[str, str] = {}
        self._ended_early: dict[str, datetime] = {}
        self.changed = threading.Event()

    def put(self, container: Container, now: float) -> None:
        """Remember or renew a container; what ended stays ended, unless it was started again."""
        with self._lock:
            entry = self._by_id.get(container.id)
            if entry is None:
                if len(self._by_id) >= MAX_CONTAINERS:
                    return
                self._by_id[container.id] = entry = _Entry(container)
            elif entry.ended is not None and _is_restart(entry.container, container):
                self._by_id[container.id] = entry = _Entry(container)
            else:
                entry.container = _merged(entry.container, container)
            if entry.container.sandbox:
                self._by_sandbox[entry.container.sandbox] = container.id
            died = self._ended_early.pop(container.id, None) or container.ended_at
            if died is not None and entry.ended is None:
                entry.container = replace(entry.container, ended_at=died)
                entry.ended = now
        self.changed.set()

    def end(self, container_id: str, at: datetime, now: float) -> None:
        """Note that a container ended; its description may still be on its way."""
        with self._lock:
            entry = self._by_id.get(container_id)
            if entry is None:
                if len(self._ended_early) < MAX_CONTAINERS:
                    self._ended_early[container_id] = at
            elif entry.ended is None:
                entry.container = replace(entry.container, ended_at=at)
                entry.ended = now

    def running(self) -> set[str]:
        """Return the ids of the containers that have not ended."""
        with self._lock:
            return {i for i, entry in self._by_id.items() if entry.ended is None}

    def get(self, container_id: str) -> Container | None:
        """Return a container by id."""
        with self._lock:
            entry = self._by_id.get(container_id)
            return entry.container if entry else None

    def owner(self, sandbox: str) -> Container | None:
        """Return the container that a namespace was made for."""
        with self._lock:
            found = self._by_id.get(self._by_sandbox.get(sandbox, ""))
            return found.container if found else None

    def sandboxes(self) -> dict[str, tuple[str, int]]:
        """Return the namespaces of running containers: name → (Docker's path to it, a process in it)."""
        with self._lock:
            entries = [e for e in self._by_id.values() if e.ended is None and e.container.sandbox]
            return {e.container.sandbox: (e.container.sandbox_path, e.container.pid) for e in entries}

    def sharers(self) -> dict[str, list[Container]]:
        """Return, by namespace, the containers in those that more than one use; "host" is the host's."""
        with self._lock:
            guests = [e.container for e in self._by_id.values() if e.container.shares]
            found: dict[str, list[Container]] = {}
            for guest in guests:
                place = guest.shares
                if place != "host":
                    owner = self._by_id.get(place)
                    if owner is None or not owner.container.sandbox:
                        continue
                    place = owner.container.sandbox
                    found.setdefault(place, [owner.container])
                found.setdefault(place, []).append(guest)
            return found

    def publishers(self) -> dict[int, str]:
        """Return host port → id of the running container that publishes it (TCP)."""
        with self._lock:
            running = [e.container for e in self._by_id.values() if e.ended is None]
        return {port: c.id for c in running for port, protocol in c.published if protocol == "tcp"}

    def untold(self, now: float) -> list[Container]:
        """Return containers whose start or end has not been written yet, and drop what ended long ago."""
        due: list[Container] = []
        with self._lock:
            for container_id, entry in list(self._by_id.items()):
                if "start" not in entry.told:
                    due.append(replace(entry.container, ended_at=None))
                if entry.ended is not None and "end" not in entry.told:
                    due.append(entry.container)
                entry.told |= {"start"} if entry.ended is None else {"start", "end"}
                if entry.ended is not None and now - entry.ended > KEEP_ENDED_S:
                    self._drop(container_id, entry)
        return due

    def all(self) -> list[Container]:
        """Return the containers that have not ended."""
        with self._lock:
            return [entry.container for entry in self._by_id.values() if entry.ended is None]

    def retell(self) -> None:
        """Have all running containers written again."""
        with self._lock:
            for entry in self._by_id.values():
                entry.told.discard("start")

    def _drop(self, container_id: str, entry: _Entry) -> None:
        del self._by_id[container_id]
        if self._by_sandbox.get(entry.container.sandbox) == container_id:
            del self._by_sandbox[entry.container.sandbox]


def _merged(old: Container, new: Container) -> Container:
    """Return ``new`` with what only ``old`` knows: a dead container has neither sandbox nor addresses."""
    return replace(
        new,
        name=new.name or old.name,
        image=new.image or old.image,
        service=new.service or old.service,
        sandbox=new.sandbox or old.sandbox,
        sandbox_path=new.sandbox_path or old.sandbox_path,
        attachments=new.attachments if any(a.address for a in new.attachments) else old.attachments,
        published=new.published or old.published,
        started_at=new.started_at or old.started_at,
        ended_at=old.ended_at or new.ended_at,
    )


def _is_restart(old: Container, new: Container) -> bool:
    if not new.pid or new.started_at is None or old.ended_at is None:
        return False
    return new.started_at > old.ended_at
