"""Docker told who is who: events, inspection and listing, each on a thread that nothing else waits for.

An inspection blocks while its container is starting, and so never runs where events are read. Docker
replays at most 256 events after a reconnection, so a listing puts right what they missed. Of a
container's labels only those in ``SERVICE_LABELS`` are kept, of its environment nothing.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import docker
import docker.errors
import requests

from correlator.agent.registry import Attachment, Container, Registry
from correlator.agent.text import clean, moment

log = logging.getLogger(__name__)

SERVICE_LABELS = ("com.docker.swarm.service.name", "com.docker.compose.service")
FAILURES = (docker.errors.DockerException, requests.exceptions.RequestException, OSError, ValueError)
MAX_ATTACHMENTS, MAX_PORTS = 16, 64
HOST_MODE = "host"


@dataclass(frozen=True)
class Params:
    """How Docker is asked. Origins: an inspection waits for a start, which takes 0.25 s and more."""

    url: str = "unix:///run/docker.sock"
    timeout_s: float = 10.0
    list_every_s: float = 60.0
    retry_s: float = 1.0
    inspectors: int = 4
    waiting: int = 4096  # containers waiting for inspection; beyond, the next listing finds them


def client(params: Params) -> Any:
    """Return Docker's low-level client. Raises what FAILURES names."""
    return docker.APIClient(base_url=params.url, timeout=params.timeout_s, version="auto")


class Resolver:
    """Keeps the registry true. ``counted`` is told the name of whatever happens."""

    def __init__(
        self,
        params: Params,
        registry: Registry,
        counted: Callable[[str], None],
        when_up: Callable[[str], None],
    ) -> None:
        self._params = params
        self._registry = registry
        self._counted = counted
        self._when_up = when_up
        self._stop = threading.Event()
        self._list_now = threading.Event()
        self._waiting: queue.Queue[str] = queue.Queue(params.waiting)
        self._queued: set[str] = set()
        self._drivers: dict[str, str] = {}
        self._since = 0  # timeNano of the newest event
        self.up = False

    def start(self) -> None:
        """Start the threads."""
        targets: list[tuple[str, Callable[[], None]]] = [
            ("events", self._follow),
            ("listing", self._reconcile),
        ]
        targets += [(f"inspect-{i}", self._inspect) for i in range(self._params.inspectors)]
        for name, target in targets:
            threading.Thread(target=target, name=f"docker-{name}", daemon=True).start()

    def stop(self) -> None:
        """Have the threads end; one that waits for Docker ends with the process."""
        self._stop.set()

    # -- events ---------------------------------------------------------------------------------------

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self._events(client(self._params))
            except FAILURES as error:
                self._failed("events", error)
            self._list_now.set()  # Docker repeats at most 256 events: the listing puts the rest right
            self._stop.wait(self._params.retry_s)

    def _events(self, api: Any) -> None:
        kinds = {"type": ["container", "network"]}
        since = f"{self._since // 10**9}.{self._since % 10**9:09d}" if self._since else None
        stream = api.events(since=since, filters=kinds, decode=True)
        with contextlib.closing(api):
            for event in stream:
                if self._stop.is_set():
                    return
                if isinstance(event, dict):
                    self.event(event)

    def event(self, event: Mapping[str, Any]) -> None:
        """Take in one event: have inspected what begins, end what died."""
        self._counted("docker_events")
        nano = event.get("timeNano")
        self._since = max(self._since, nano) if isinstance(nano, int) else self._since
        actor = event.get("Actor")
        actor = actor if isinstance(actor, dict) else {}
        attributes = actor.get("Attributes")
        attributes = attributes if isinstance(attributes, dict) else {}
        action = event.get("Action")
        if event.get("Type") == "network" and action == "connect":
            self.ask(attributes.get("container"))
        elif event.get("Type") == "container" and action in ("start", "rename"):
            self.ask(actor.get("ID"))
        elif event.get("Type") == "container" and action == "die":
            at = datetime.fromtimestamp(nano / 1e9, UTC) if isinstance(nano, int) else datetime.now(UTC)
            self._registry.end(str(actor.get("ID")), at, time.monotonic())

    def ask(self, container_id: object) -> None:
        """Have a container inspected soon."""
        if not _is_id(container_id) or container_id in self._queued:
            return
        try:
            self._waiting.put_nowait(str(container_id))
            self._queued.add(str(container_id))
        except queue.Full:
            self._counted("inspections_put_off")

    # -- inspection -----------------------------------------------------------------------------------

    def _inspect(self) -> None:
        api: Any = None
        while not self._stop.is_set():
            try:
                container_id = self._waiting.get(timeout=10.0)
            except queue.Empty:
                continue
            self._queued.discard(container_id)
            try:
                api = api or client(self._params)
                container = self._described(api, api.inspect_container(container_id))
                self._registry.put(container, time.monotonic())
                self._counted("inspections")
            except docker.errors.NotFound:
                self._counted("inspections_too_late")
            except FAILURES as error:
                api = None
                self._failed("inspect", error)

    def _described(self, api: Any, document: Any) -> Container:
        networks = _at(document, "NetworkSettings", "Networks")
        wanted = (
            {str(_at(one, "NetworkID") or "") for one in networks.values()} if _is_map(networks) else set()
        )
        if not wanted <= self._drivers.keys():
            self._learn_drivers(api)
        return described(document, self._drivers)

    def _learn_drivers(self, api: Any) -> None:
        for network in api.networks():
            if isinstance(network.get("Id"), str):
                self._drivers[network["Id"]] = str(clean(network.get("Driver"), 32) or "")

    # -- listing --------------------------------------------------------------------------------------

    def _reconcile(self) -> None:
        while not self._stop.is_set():
            pause = self._params.list_every_s
            try:
                with contextlib.closing(client(self._params)) as api:
                    self._list(api)
            except FAILURES as error:
                self._failed("list", error)
                pause = self._params.retry_s
            self._list_now.wait(pause)
            if self._list_now.is_set():
                self._list_now.clear()
                self._stop.wait(self._params.retry_s)

    def _list(self, api: Any) -> None:
        if not self.up:
            self._when_up(str(api.info().get("ID") or ""))
        listed = {one["Id"] for one in api.containers() if _is_id(one.get("Id"))}
        before = self._registry.running()
        for container_id in listed - before:
            self.ask(container_id)
        now = datetime.now(UTC)
        for container_id in before - {one["Id"] for one in api.containers()}:
            self._registry.end(container_id, now, time.monotonic())
        self.up = True

    def _failed(self, what: str, error: Exception) -> None:
        self._counted("docker_failures")
        if self.up or what == "list":
            log.warning("docker %s: %s", what, clean(str(error), 200))
        self.up = False


def described(document: Any, drivers: Mapping[str, str]) -> Container:
    """Return the container in an inspection's answer; ``drivers`` names the driver of each network id.

    Raises ValueError where the answer is not one.
    """
    container_id = _at(document, "Id")
    if not _is_id(container_id):
        raise ValueError("docker answered an inspection with something else")
    mode = str(_at(document, "HostConfig", "NetworkMode") or "")
    key = str(_at(document, "NetworkSettings", "SandboxKey") or "")
    own = mode != HOST_MODE and not mode.startswith("container:")
    pid = _at(document, "State", "Pid")
    return Container(
        id=str(container_id),
        name=clean(str(_at(document, "Name") or "").lstrip("/")),
        image=clean(_at(document, "Config", "Image")),
        service=_service(_at(document, "Config", "Labels")),
        sandbox=clean(key.rpartition("/")[2], 64) or "" if own else "",
        sandbox_path=key if own else "",
        pid=pid if isinstance(pid, int) and pid > 0 else 0,
        shares=HOST_MODE if mode == HOST_MODE else mode.partition(":")[2] if not own else "",
        attachments=_attachments(document, drivers) if own else _host_attachment(mode),
        published=_published(_at(document, "NetworkSettings", "Ports")),
        started_at=moment(_at(document, "State", "StartedAt")),
        ended_at=moment(_at(document, "State", "FinishedAt"))
        if not _at(document, "State", "Running")
        else None,
    )


def _host_attachment(mode: str) -> tuple[Attachment, ...]:
    return (Attachment("host", "host", None, None, None),) if mode == HOST_MODE else ()


def _attachments(document: Any, drivers: Mapping[str, str]) -> tuple[Attachment, ...]:
    networks = _at(document, "NetworkSettings", "Networks")
    found = []
    for name, one in list(networks.items())[:MAX_ATTACHMENTS] if _is_map(networks) else ():
        found.append(
            Attachment(
                network=clean(name) or "",
                driver=drivers.get(str(_at(one, "NetworkID") or "")) or None,
                address=clean(_at(one, "IPAddress") or _at(one, "GlobalIPv6Address"), 64),
                mac=clean(_at(one, "MacAddress"), 32),
                gateway=clean(_at(one, "Gateway"), 64),
            )
        )
    return tuple(found)


def _published(ports: Any) -> tuple[tuple[int, str], ...]:
    found: dict[tuple[int, str], None] = {}
    for inner, outer in list(ports.items())[:MAX_PORTS] if _is_map(ports) else ():
        protocol = str(inner).partition("/")[2] or "tcp"
        for one in outer if isinstance(outer, list) else ():
            port = str(_at(one, "HostPort") or "")
            if port.isdecimal() and 0 < int(port) < 65536 and protocol in ("tcp", "udp", "sctp"):
                found[int(port), protocol] = None
    return tuple(found)


def _service(labels: Any) -> str | None:
    values = (clean(_at(labels, label)) for label in SERVICE_LABELS)
    return next((value for value in values if value), None)


def _at(document: Any, *keys: str) -> Any:
    """Return what stands at a place in a document of unknown shape; None where nothing does."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _is_map(value: Any) -> bool:
    return isinstance(value, dict)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and all(c in "0123456789abcdef" for c in value)
