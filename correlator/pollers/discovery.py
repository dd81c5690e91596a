"""From one switch to all: neighbours are followed breadth-first, within what is allowed."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from correlator.pollers import topology
from correlator.pollers.device import Device
from correlator.pollers.names import Names
from correlator.pollers.text import text
from correlator.profiles.profile import FALLBACK, Profiles, choose, load
from correlator.snmp.control import SnmpClient
from correlator.snmp.errors import SnmpError
from correlator.snmp.target import Community, Credentials, Target

log = logging.getLogger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Params:
    """How far a crawl goes, and how gently.

    ``allowed``: addresses outside these networks are named, not asked. ``credentials`` are tried in
    order. ``most`` bounds the devices that are asked, ``at_once`` how many of them at one time.
    """

    allowed: tuple[Network, ...]
    credentials: tuple[Credentials, ...] = (Community(),)
    port: int = 161
    timeout_s: float = 2.0
    retries: int = 1
    at_once: int = 16
    most: int = 10_000


@dataclass(frozen=True)
class Found:
    """A device that let us in; ``credentials`` is the place of those that it took in Params."""

    name: str
    address: str
    sys_descr: str | None
    profile: str
    credentials: int
    neighbors: int


@dataclass(frozen=True)
class Missed:
    """A neighbour that was not entered, who hears it, and why."""

    name: str
    address: str | None
    heard_by: str
    why: str


@dataclass
class Discovery:
    """What a crawl brought."""

    found: list[Found] = field(default_factory=list)
    missed: list[Missed] = field(default_factory=list)


@dataclass(frozen=True)
class _Lead:
    """An address to ask, and who told it."""

    address: str
    name: str
    heard_by: str
    chassis: str | None = None


@dataclass(frozen=True)
class _Answer:
    """What an address said: the device and its neighbours, or why not."""

    lead: _Lead
    identity: str | None = None
    found: Found | None = None
    neighbors: Sequence[dict[str, Any]] = ()
    why: str = ""


Progress = Callable[[Discovery, int], None]


async def crawl(
    seeds: Sequence[str],
    params: Params,
    profiles: Profiles | None = None,
    progress: Progress = lambda discovery, waiting: None,
) -> Discovery:
    """Return all devices that can be reached from the seeds over LLDP and CDP.

    A device that is reached on several ways, or at several addresses, is told once: it is known by its
    chassis id, else by its name. ``progress`` is called after each level with what there is so far and
    how many addresses wait.
    """
    async with SnmpClient() as client:
        return await _Crawl(client, params, profiles or load(), progress).run(seeds)


class _Crawl:
    """One crawl in progress."""

    def __init__(self, client: SnmpClient, params: Params, profiles: Profiles, progress: Progress) -> None:
        self._client, self._params, self._profiles, self._progress = client, params, profiles, progress
        self._discovery = Discovery()
        self._asked: set[str] = set()
        self._identities: set[str] = set()
        self._unreachable: list[_Answer] = []
        self._slots = asyncio.Semaphore(params.at_once)

    async def run(self, seeds: Sequence[str]) -> Discovery:
        """Go level by level until nobody new is heard."""
        level = [_Lead(seed, seed, "the command line") for seed in seeds]
        while level:
            self._progress(self._discovery, len(level))
            self._asked |= {lead.address for lead in level}
            answers = await asyncio.gather(*(self._ask(lead) for lead in level))
            level = self._next(answers)
        known = {found.name for found in self._discovery.found}
        for one in self._unreachable:  # perhaps entered by another address
            if one.lead.chassis not in self._identities and one.lead.name not in known:
                self._miss(one.lead, one.why)
        self._progress(self._discovery, 0)
        return self._discovery

    def _next(self, answers: Sequence[_Answer]) -> list[_Lead]:
        leads: dict[str, _Lead] = {}
        for answer in answers:
            if answer.found is None:
                self._unreachable.append(answer)
                continue
            if answer.identity in self._identities:
                continue  # the same device at another address
            self._identities.add(answer.identity or answer.lead.address)
            self._discovery.found.append(answer.found)
            for neighbor in answer.neighbors:
                lead = self._lead(answer.found.name, neighbor)
                if lead is not None and lead.address not in self._asked:
                    leads.setdefault(lead.address, lead)
        return list(leads.values())

    def _lead(self, heard_by: str, neighbor: dict[str, Any]) -> _Lead | None:
        """Return the neighbour's address as the next to ask; note why where it is none."""
        chassis, address = neighbor["remote_chassis_id"], neighbor["remote_address"]
        name = neighbor["remote_sys_name"] or chassis or address or "a neighbour without a name"
        lead = _Lead(address or "", name, heard_by, chassis)
        if chassis in self._identities:
            return None
        if address is None:
            why = "it tells no management address; give it as a seed if it is to be polled"
        elif not self._may(address):
            why = "its address is outside the allowed prefixes; allow them if it is to be polled"
        elif len(self._asked) >= self._params.most:
            why = f"{self._params.most} devices have been asked, which is the bound"
        else:
            return lead
        self._unreachable.append(_Answer(lead, why=why))
        return None

    def _may(self, address: str) -> bool:
        try:
            plain = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(plain in network for network in self._params.allowed)

    def _miss(self, lead: _Lead, why: str) -> None:
        missed = Missed(lead.name, lead.address or None, lead.heard_by, why)
        if all((m.name, m.address) != (missed.name, missed.address) for m in self._discovery.missed):
            self._discovery.missed.append(missed)

    async def _ask(self, lead: _Lead) -> _Answer:
        why = ""
        async with self._slots:
            for number, credentials in enumerate(self._params.credentials):
                try:
                    return await self._enter(lead, number, credentials)
                except SnmpError as error:
                    log.info("%s", error)
                    why = str(error)
        return _Answer(lead, why=why)

    async def _enter(self, lead: _Lead, number: int, credentials: Credentials) -> _Answer:
        """Return what a device says to one of the credentials. Raises SnmpError."""
        params = self._params
        target = Target(lead.address, params.port, credentials, params.timeout_s, params.retries)
        device = Device(self._client, target, self._profiles[FALLBACK])
        system = await device.scalars("system")
        descr = text(system.get("sysDescr"))
        device.profile = choose(self._profiles, text(system.get("sysObjectID")) or "", descr or "")
        names = Names.of(await device.table("names"))
        neighbors = await topology.neighbors(device, names, await device.table("lldp_ports"))
        name = text(system.get("sysName")) or lead.address
        found = Found(name, lead.address, descr, device.profile.name, number, len(neighbors))
        return _Answer(lead, topology.chassis(system) or name, found, neighbors)
