"""Choosing a profile by which tables a device answers, where what it says of itself does not decide."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from correlator.profiles.profile import FALLBACK, Cells, Profile, Profiles, Sensors, Source, Thresholds

Oid = tuple[int, ...]

POWERS = ("rx_power", "tx_power")


def signs(profile: Profile) -> frozenset[Oid]:
    """Return the columns that hold something where the light of a profile can be read.

    Those that count from the device's own sysObjectID begin with a negative number.
    """
    return frozenset(oid for source in profile.optics.values() for oid in _columns(source))


def candidates(profiles: Profiles) -> frozenset[Oid]:
    """Return the columns that tell the profiles apart: what to look for on a device of an unknown make."""
    return frozenset(oid for profile in profiles.values() for oid in _own(profile, profiles) if oid[0] >= 0)


def by_tables(profiles: Profiles, chosen: Profile, answering: Collection[Oid]) -> Profile:
    """Return the profile to read a device by, ``chosen`` being the one that it says it is.

    Of those whose columns answer that with most of them wins; between equals the verified one, then the
    one that asks for nothing in sysDescr. The standard's own sensors are the last resort. What wins over a
    dialect lends it its optics only, as tables of neighbours and the like are another matter.
    """
    ranked = sorted(_ranked(profiles, answering))
    winner = profiles[ranked[0][-1]] if ranked else None
    if winner is None and signs(profiles[FALLBACK]) & frozenset(answering):
        winner = profiles[FALLBACK]
    if winner is None or winner.name == chosen.name:
        return chosen
    if chosen.name != FALLBACK:
        return chosen.model_copy(update={"name": f"{chosen.name}+{winner.name}", "optics": winner.optics})
    tables = {**chosen.tables, "counters": winner.tables["counters"]}
    return winner.model_copy(update={"tables": tables})


def _ranked(profiles: Profiles, answering: Collection[Oid]) -> Iterable[tuple[int, bool, bool, str]]:
    """Yield what to sort by, best first, for each profile of which something answers."""
    for name, profile in profiles.items():
        found = len(_own(profile, profiles) & frozenset(answering))
        if found:
            unverified = any(not source.verified for source in profile.optics.values())
            yield -found, unverified, profile.match.sys_descr is not None, name


def _own(profile: Profile, profiles: Profiles) -> frozenset[Oid]:
    """Return the columns of a profile that are not the standard's."""
    return signs(profile) - signs(profiles[FALLBACK])


def _columns(source: Source) -> Iterable[Oid]:
    """Yield the first column of each power, or a sensor's value; and the sensors' levels, which are a
    vendor's own even where the sensors are the standard's."""
    if isinstance(source, Sensors):
        yield source.columns["value"]
        if isinstance(source.thresholds, Thresholds):
            yield from list(source.thresholds.columns.values())[:1]
    elif isinstance(source, Cells):
        for quantity in POWERS:
            yield from [r.oid for r in source.readings if r.quantity == quantity][:1]
