"""What runs on the hosts: services, their lasting containers, short-lived ones with used addresses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from correlator.fabric.dice import Dice, hex_name
from correlator.fabric.layout import Layout
from correlator.fabric.parameters import Range, Work


@dataclass(frozen=True, slots=True)
class Service:
    """A service: how many replicas it has on eight hosts, and the median time that it takes, milliseconds."""

    name: str
    image: str
    replicas: int
    port: int
    median_ms: Range


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks whom: exchanges per second and pair, octets each way, pooled connections."""

    client: str
    server: str
    rate: Range
    request_octets: Range
    answer_octets: Range
    connections: tuple[int, int]


SERVICES = (
    Service("web", "nginx:1.27", 3, 8080, (2.0, 6.0)),
    Service("api", "registry.example/api:4", 4, 8000, (1.0, 4.0)),
    Service("cache", "redis:7", 2, 6379, (0.15, 0.5)),
    Service("db", "postgres:16", 2, 5432, (0.6, 2.5)),
    Service("search", "registry.example/search:2", 2, 9200, (2.0, 5.0)),
)
PORTS = {service.name: service.port for service in SERVICES}
CALLS = (
    Call("web", "api", (10, 40), (300, 1200), (2000, 9000), (2, 6)),
    Call("api", "cache", (30, 90), (80, 300), (100, 1200), (1, 4)),
    Call("api", "db", (10, 30), (200, 900), (1000, 12000), (1, 4)),
    Call("web", "search", (5, 20), (300, 900), (4000, 20000), (1, 4)),
)
BATCH = (
    Call("batch", "db", (20, 50), (200, 900), (1000, 6000), (1, 2)),
    Call("batch", "api", (10, 30), (300, 1200), (1000, 4000), (1, 2)),
)
FAN_OUT = 4  # replicas of a service that one client, or one host's batch jobs, ask
ALWAYS = math.inf


@dataclass(frozen=True, slots=True)
class Container:
    """A container on a macvlan network: its address is what the wire sees. Times are seconds of the run."""

    container_id: str
    name: str
    service: str
    image: str
    host: int
    address: str
    netns: str
    started: float
    ended: float = ALWAYS

    @property
    def mac(self) -> str:
        """The address that Docker makes of an IPv4 address: whoever gets the one gets the other."""
        return "02:42:" + ":".join(f"{int(part):02x}" for part in self.address.split("."))


@dataclass(frozen=True, slots=True)
class Pair:
    """A client container and a server container that talk, as drawn; times are seconds of the run."""

    client: Container
    server: Container
    port: int
    connections: int
    rate: float
    request_octets: int
    answer_octets: int
    started: float
    ended: float


@dataclass(frozen=True)
class Workload:
    """Containers and pairs that live as long as the run, and what is needed to draw the short-lived ones."""

    services: tuple[Service, ...]
    median_ms: dict[str, float]
    sigma: dict[str, float]
    containers: tuple[Container, ...]
    pairs: tuple[Pair, ...]
    batch: tuple[tuple[Call, float, int, int], ...]
    batch_servers: Mapping[tuple[int, str], tuple[Container, ...]]

    def replicas(self, service: str) -> list[Container]:
        """Return the containers of a service."""
        return [container for container in self.containers if container.service == service]


def workload(layout: Layout, dice: Dice, work: Work) -> Workload:
    """Return the services and long-lived containers of a fabric: four or five services and the batch jobs."""
    rng = dice.stream("workload")
    absent = str(rng.choice(["search", "cache", "none"]))
    services = tuple(service for service in SERVICES if service.name != absent)
    containers = tuple(_place(services, layout, work.crowded, rng))
    by_service = {s.name: [c for c in containers if c.service == s.name] for s in services}
    return Workload(
        services,
        {service.name: float(rng.uniform(*service.median_ms)) for service in services},
        {service.name: float(rng.uniform(*work.service_sigma)) for service in services},
        containers,
        tuple(_pairs(by_service, rng)),
        tuple(_batch(rng)),
        {
            (host, call.server): tuple(_some(by_service[call.server], rng))
            for host in range(len(layout.hosts))
            for call in BATCH
        },
    )


def _place(
    services: Sequence[Service], layout: Layout, crowded: float, rng: np.random.Generator
) -> Iterator[Container]:
    """Yield the replicas, spread over the hosts; the first api has neighbours in its host and its rack.

    A share ``crowded`` of them stands in the first two racks instead.
    """
    hosts = layout.hosts
    crowd = [n for n, machine in enumerate(hosts) if machine.leaf < 2]
    used = [0] * len(hosts)
    near: list[int] = []
    for service in services:
        count = max(2, round(service.replicas * len(hosts) / 8))
        order = [int(h) for h in rng.permutation(len(hosts))]
        if service.name == "api":
            near = [order[0], _rack_mate(layout, order[0])]
        first = near[service.name == "db"] if service.name in ("cache", "db") and near else order[0]
        order.sort(key=lambda h: (h != first, used[h]))
        for n in range(count):
            host = order[n % len(hosts)]
            if crowded and rng.random() < crowded:
                host = int(rng.choice(crowd))
            used[host] += 1
            started = -86_400.0 * float(rng.uniform(1, 20))
            yield _container(
                service.name, service.image, host, _address(layout, host, used[host]), started, rng
            )


def _rack_mate(layout: Layout, host: int) -> int:
    """Return another host of the same rack, or the host itself where it is alone."""
    leaf = layout.hosts[host].leaf
    mates = [n for n, machine in enumerate(layout.hosts) if machine.leaf == leaf and n != host]
    return mates[0] if mates else host


def _address(layout: Layout, host: int, number: int) -> str:
    """Return an address of a host's long-lived containers: 10.(16 + leaf).(host in rack).number."""
    machine = layout.hosts[host]
    return f"10.{16 + machine.leaf}.{host % layout.size.hosts_per_leaf}.{number + 1}"


def _container(
    service: str,
    image: str,
    host: int,
    address: str,
    started: float,
    rng: np.random.Generator,
    life: float = ALWAYS,
) -> Container:
    identity = hex_name(rng, 64)
    name = f"{service}-{identity[:4]}"
    return Container(
        identity, name, service, image, host, address, hex_name(rng, 12), started, started + life
    )


def _pairs(containers: dict[str, list[Container]], rng: np.random.Generator) -> Iterator[Pair]:
    for call in CALLS:
        if call.client not in containers or call.server not in containers:
            continue
        for client in containers[call.client]:
            for server in _some(containers[call.server], rng):
                yield _pair(call, client, server, PORTS[call.server], rng)


def _some(servers: Sequence[Container], rng: np.random.Generator) -> list[Container]:
    """Return the servers that one client asks."""
    return [servers[n] for n in sorted(rng.permutation(len(servers))[:FAN_OUT])]


def _pair(call: Call, client: Container, server: Container, port: int, rng: np.random.Generator) -> Pair:
    low, high = call.connections
    return Pair(
        client,
        server,
        port,
        int(rng.integers(low, high + 1)),
        float(rng.uniform(*call.rate)),
        int(rng.uniform(*call.request_octets)),
        int(rng.uniform(*call.answer_octets)),
        client.started,
        client.ended,
    )


def _batch(rng: np.random.Generator) -> Iterator[tuple[Call, float, int, int]]:
    """Yield what each kind of batch job does: its call, exchanges per second, octets each way."""
    for call in BATCH:
        octets = int(rng.uniform(*call.request_octets)), int(rng.uniform(*call.answer_octets))
        yield call, float(rng.uniform(*call.rate)), *octets


@dataclass
class BatchJobs:
    """Starts short-lived containers, one after another on each host, with addresses that racks re-use."""

    layout: Layout
    workload: Workload
    work: Work
    dice: Dice
    next_start: list[float] = field(init=False)
    free: list[list[tuple[float, str]]] = field(init=False)

    def __post_init__(self) -> None:
        rng = self.dice.stream("batch starts")
        self.next_start = [float(t) for t in rng.uniform(0.0, self.work.pause_s, len(self.layout.hosts))]
        pool = range(1, self.layout.size.hosts_per_leaf + 3)  # two more than can be in use at once
        racks = range(self.layout.size.leaves)
        self.free = [[(-1.0, f"10.{16 + leaf}.255.{n}") for n in pool] for leaf in racks]

    def starting(self, since: float, until: float) -> list[Pair]:
        """Return one pair for each job that starts in ``[since, until)``; to be called in order of time."""
        starts = sorted(job for host in range(len(self.next_start)) for job in self._host(host, since, until))
        return [self._job(host, started, life) for started, host, life in starts]

    def _host(self, host: int, since: float, until: float) -> Iterator[tuple[float, int, float]]:
        """Yield start, host and life of a host's jobs."""
        while self.next_start[host] < until:
            started = max(self.next_start[host], since)
            rng = self.dice.stream("batch life", host, int(started * 1000))
            life = float(rng.uniform(*self.work.life_s))
            yield started, host, life
            self.next_start[host] = started + life + 0.5 + float(rng.exponential(self.work.pause_s))

    def _job(self, host: int, started: float, life: float) -> Pair:
        rng = self.dice.stream("batch job", host, int(started * 1000))
        call, rate, request, answer = self.workload.batch[int(rng.integers(len(self.workload.batch)))]
        servers = self.workload.batch_servers[host, call.server]
        server = servers[int(rng.integers(len(servers)))]
        address = self._lease(self.layout.hosts[host].leaf, started, started + life)
        client = _container("batch", "registry.example/batch:7", host, address, started, rng, life)
        connections = int(rng.integers(call.connections[0], call.connections[1] + 1))
        return Pair(
            client, server, PORTS[call.server], connections, rate, request, answer, started, client.ended
        )

    def _lease(self, leaf: int, started: float, ended: float) -> str:
        """Return the address of the rack that was last given back, and take it until ``ended``."""
        pool = self.free[leaf]
        back = [entry for entry in pool if entry[0] < started - 0.1]
        entry = max(back) if back else min(pool)
        pool.remove(entry)
        pool.append((ended, entry[1]))
        return entry[1]
