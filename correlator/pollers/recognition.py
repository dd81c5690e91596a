"""Which profile a device is read by: what it says of itself, then which tables it answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from correlator.pollers.device import Device, Row
from correlator.pollers.text import text
from correlator.profiles.profile import FALLBACK, Profile, Profiles, choose
from correlator.profiles.tables import by_tables, candidates, signs

LOOK_AGAIN_AFTER = timedelta(hours=1)  # where no table answered: a first module may have been plugged in


@dataclass(frozen=True, slots=True)
class _Settled:
    """What was found for a device that said this of itself."""

    identity: tuple[str, str]
    profile: Profile
    answered: bool
    at: datetime


class Recognition:
    """Finds a device's profile and remembers it as long as the device says the same of itself.

    A dialect whose tables answer costs one request; else all that tells dialects apart is asked for,
    which takes a few.
    """

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles
        self._settled: _Settled | None = None

    async def profile(self, device: Device, system: Row, now: datetime) -> Profile:
        """Return the profile of a device that has told its ``system`` scalars."""
        identity = text(system.get("sysObjectID")) or "", text(system.get("sysDescr")) or ""
        settled = self._settled
        if (
            settled is not None
            and settled.identity == identity
            and (settled.answered or now - settled.at < LOOK_AGAIN_AFTER)
        ):
            return settled.profile
        chosen = choose(self._profiles, *identity)
        before = len(device.failed)
        profile, answered = await self._by_tables(device, chosen)
        if len(device.failed) == before:
            self._settled = _Settled(identity, profile, answered, now)
        return profile

    async def _by_tables(self, device: Device, chosen: Profile) -> tuple[Profile, bool]:
        """Return the profile and whether anything that it reads light from answered."""
        if chosen.name != FALLBACK and await device.answering(signs(chosen)):
            return chosen, True
        standard = signs(self._profiles[FALLBACK])
        found = await device.answering(candidates(self._profiles) | standard)
        return by_tables(self._profiles, chosen, found), bool(found)
