"""Which profile a device is read by: what it says of itself, then which tables it answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from correlator.pollers.counters import restarted
from correlator.pollers.device import Device, Row
from correlator.pollers.text import number, text
from correlator.profiles.profile import FALLBACK, Profile, Profiles, choose, load
from correlator.profiles.tables import by_tables, candidates, signs
from correlator.snmp.target import Oid

IDENTIFY_AFTER = timedelta(hours=1)  # a device may have been replaced by another
LOOK_AGAIN_AFTER = timedelta(hours=1)  # where no table answered: a first module may have been plugged in


@dataclass(frozen=True, slots=True)
class _Settled:
    """What was found for a device that said this of itself."""

    identity: tuple[str, str]
    uptime_cs: int | None
    profile: Profile
    answered: bool
    at: datetime


class Recognition:
    """Finds a device's profile, for all that poll it, and remembers it while the device says the same.

    A dialect whose tables answer costs one request; else all that tells dialects apart is asked for,
    which takes a few. Who asks while another does waits for what that finds.
    """

    def __init__(self, profiles: Profiles | None = None) -> None:
        self.profiles = load() if profiles is None else profiles
        self._settled: _Settled | None = None
        self._seen: tuple[datetime, Profile, Oid] | None = None
        self._asking = asyncio.Lock()

    async def recognise(self, device: Device, now: datetime) -> None:
        """Give the device its profile, asking it who it is only once in a while. Raises SnmpError."""
        async with self._asking:
            if self._seen is None or now - self._seen[0] >= IDENTIFY_AFTER:
                await self._identify(device, now)
            else:
                _, device.profile, device.sys_object_id = self._seen

    async def identify(self, device: Device, now: datetime) -> Row:
        """Give the device its profile; return what it says of itself, its ``system`` scalars.

        Raises SnmpError.
        """
        async with self._asking:
            return await self._identify(device, now)

    def holds(self, profile: Profile | None, now: datetime) -> bool:
        """Return whether a device needs not be asked who it is, and that profile is still the one."""
        return self._seen is not None and now - self._seen[0] < IDENTIFY_AFTER and self._seen[1] is profile

    def doubt(self) -> None:
        """Ask the device who it is before it is read again: what answers next may be another."""
        self._seen = None

    async def _identify(self, device: Device, now: datetime) -> Row:
        system = await device.scalars("system")
        device.sys_object_id = _numbers(text(system.get("sysObjectID")))
        device.profile = await self._profile(device, system, now)
        self._seen = now, device.profile, device.sys_object_id
        return system

    async def _profile(self, device: Device, system: Row, now: datetime) -> Profile:
        identity = text(system.get("sysObjectID")) or "", text(system.get("sysDescr")) or ""
        uptime = number(system.get("sysUpTime"))
        if self._holds(identity, uptime, now):
            assert self._settled is not None
            return self._settled.profile
        chosen = choose(self.profiles, *identity)
        before = len(device.failed)
        profile, answered = await self._by_tables(device, chosen)
        if len(device.failed) == before:
            self._settled = _Settled(identity, uptime, profile, answered, now)
        return profile

    def _holds(self, identity: tuple[str, str], uptime_cs: int | None, now: datetime) -> bool:
        """Return whether what was found holds for a device that says this, and has been up so long."""
        settled = self._settled
        return (
            settled is not None
            and settled.identity == identity
            and not restarted(settled.uptime_cs, uptime_cs)
            and (settled.answered or now - settled.at < LOOK_AGAIN_AFTER)
        )

    async def _by_tables(self, device: Device, chosen: Profile) -> tuple[Profile, bool]:
        """Return the profile and whether anything that it reads light from answered."""
        if chosen.name != FALLBACK and await device.answering(signs(chosen)):
            return chosen, True
        standard = signs(self.profiles[FALLBACK])
        found = await device.answering(candidates(self.profiles) | standard)
        return by_tables(self.profiles, chosen, found), bool(found)


def _numbers(dotted: str | None) -> Oid:
    return tuple(int(part) for part in (dotted or "").split(".") if part.isdecimal())
