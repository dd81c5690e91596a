"""Polls one switch for one group of tables: topology, counters or optics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

from correlator.pollers import topology
from correlator.pollers.attempt import Attempt, gap_from
from correlator.pollers.counter_layout import Layout
from correlator.pollers.counters import CounterReader
from correlator.pollers.device import Device, Row
from correlator.pollers.light_layout import LightLayout
from correlator.pollers.optics import OpticsReader
from correlator.pollers.recognition import Recognition
from correlator.pollers.text import text, unsigned
from correlator.ports import Batch, Tables
from correlator.profiles.profile import FALLBACK, Profile
from correlator.snmp.control import Peer, Place, SnmpClient
from correlator.snmp.errors import NoAnswerError, SnmpError
from correlator.snmp.plan import Plan
from correlator.snmp.shapes import Memory
from correlator.snmp.target import Community, Credentials, Tally, Target

Group = Literal["topology", "counters", "optics"]
GROUPS: tuple[Group, ...] = ("topology", "counters", "optics")

BOOT_TOLERANCE_S = 30.0  # between sysUpTime and our clock, within one period
SILENCES_BORNE = 3  # polls without any answer before a device is asked more seldom
REFUSALS_BORNE = 3  # answers in a row that are not as learned
LONGEST_REST = timedelta(minutes=10)
DEFAULT_PERIOD_S = 60.0
NO_TABLES: Tables = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SwitchTarget:
    """A switch as it is configured: how it is reached, and what is known of where it stands."""

    name: str
    address: str
    port: int = 161
    credentials: Credentials = field(default_factory=Community)
    site: str | None = None
    rack: str | None = None
    forwarding: Literal["cut_through", "store_and_forward"] | None = None
    timeout_s: float = 2.0
    retries: int = 2
    requests_per_second: int = 50

    @property
    def agent(self) -> Target:
        """The SNMP agent to ask."""
        return Target(
            self.address, self.port, self.credentials, self.timeout_s, self.retries, self.requests_per_second
        )


Known = tuple[Layout | LightLayout, int | None, tuple[int, ...]]


@dataclass(eq=False, slots=True)
class Prepared:
    """What is needed to read a device together with others: where it is and what was learned of it.

    ``found`` is its address; ``known`` are its layout, sysUpTime when that was made, and the values of its
    further scalars, which hold while the layout does. ``memory`` is what its answers looked like.
    """

    target: Target
    peer: Peer
    found: Place
    known: Known
    memory: Memory = field(default_factory=Memory)
    _planned: tuple[int, Plan] | None = None

    @property
    def layout(self) -> Layout | LightLayout:
        """The values that the device has."""
        return self.known[0]

    @property
    def plan(self) -> Plan:
        """What to ask it, in the size that it bears now."""
        size = self.peer.size.varbinds
        if self._planned is None or self._planned[0] != size:
            assert isinstance(self.target.credentials, Community)
            self._planned = size, self.layout.plan(self.target.credentials.name.encode(), size)
        return self._planned[1]


class SwitchPoller:
    """Asks one switch for one group of tables (``ports.Poller``).

    ``recognition`` is shared by those that poll one switch, so that it is looked at once. ``period_s``,
    where given, is how often it will be called: a longer silence is a gap. What the device has shown
    to answer is remembered between polls. ``requests`` counts the last poll's requests by table.
    """

    def __init__(
        self,
        client: SnmpClient,
        target: SwitchTarget,
        group: Group,
        recognition: Recognition | None = None,
        period_s: float | None = None,
    ) -> None:
        self.name = f"{target.name} {group}"
        self.target_name, self.period_s = target.name, period_s
        self.requests: Mapping[str, int] = {}
        self.spent = Tally()  # on the way to this poll by another path
        self._client, self._target, self._agent, self._group = client, target, target.agent, group
        self._recognition = recognition or Recognition()
        self._read_by: Profile | None = None
        self._read_at: dict[str, datetime] = {}
        self._counters, self._optics = CounterReader(), OpticsReader()
        self._source = f"{target.name}/{group}"
        self._prepared: Prepared | None = None
        self._refusals = 0
        self._silences, self._rest_until = 0, datetime.min.replace(tzinfo=UTC)

    async def poll(self, now: datetime, cursor: Mapping[str, str]) -> list[Batch]:
        """Return one batch: the group's tables and the row of polls. Never raises for the device."""
        attempt = Attempt(self._target.name, "switch", now, gap_from=gap_from(cursor, now, self.period_s))
        device = Device(self._client, self._agent, self._recognition.profiles[FALLBACK], self.spent)
        self.spent = Tally()
        remembered: dict[str, str] = {}
        if now < self._rest_until:
            attempt.failed = (
                f"{self._target.name} is silent; it is asked again at {self._rest_until:%H:%M:%S} UTC"
            )
            return [self._batch(attempt, cursor)]
        try:
            remembered = await self._read(device, attempt, cursor)
            self._silences = 0
        except SnmpError as error:
            attempt.failed = str(error)
            self._recognition.doubt()
            self._rest(error, now)
        attempt.remarks += device.remarks
        attempt.requests, attempt.retries = device.tally.requests, device.tally.retries
        self.requests = dict(device.requests)
        return [self._batch(attempt, cursor, remembered)]

    def prepared(self, now: datetime) -> Prepared | None:
        """Return what it takes to read the device together with others; None where it must be asked alone.

        That is so while it rests, before it was learned, when that was long ago, and for credentials
        that only the control plane speaks. It is the same object while nothing has changed.
        """
        if now < self._rest_until or not self._recognition.holds(self._read_by, now):
            return None
        known, kept = self._reader.known(now), self._prepared
        if (
            kept is None
            or kept.target is not self._agent
            or kept.found is not kept.peer.found
            or kept.known != known
        ):
            kept = self._prepared = None if known is None else self._prepare(known)
        return kept

    def _prepare(self, known: Known) -> Prepared | None:
        """Return what it takes to read the device with others, anew; None where it must be asked alone."""
        target = self._agent
        if not isinstance(target.credentials, Community) or target.credentials.version != "2c":
            return None
        peer = self._client.peer(target)
        return None if peer.found is None else Prepared(target, peer, peer.found, known)

    @property
    def _reader(self) -> CounterReader | OpticsReader:
        return self._counters if self._group == "counters" else self._optics

    def read_elsewhere(self, number: int, remembered: Mapping[str, str]) -> Batch:
        """Return a batch of that number, what to remember of it, and no tables: rows went with others'."""
        self._silences = self._refusals = 0
        self._reader.used()
        return Batch(NO_TABLES, self._source, number, remembered)

    def refused(self, spent: Tally, learn: bool) -> None:
        """Note that an answer was not as learned, after so many requests; ``learn``: nor will the next be.

        A device whose answers are never as learned is asked alone, until it is learned anew in due time.
        """
        self.spent = spent
        if learn:
            self._refusals += 1
            self._reader.doubt(for_good=self._refusals > REFUSALS_BORNE)

    def silent(self, now: datetime, cursor: Mapping[str, str], requests: int, retries: int) -> Batch:
        """Return the batch of a poll, so many requests long, that nothing came back from."""
        attempt = Attempt(self._target.name, "switch", now, requests, retries)
        agent = self._agent
        error = NoAnswerError(agent, agent.retries + 1, agent.timeout_s)
        attempt.failed = str(error)
        self._recognition.doubt()
        self._rest(error, now)
        return self._batch(attempt, cursor)

    def _batch(
        self,
        attempt: Attempt,
        cursor: Mapping[str, str],
        remembered: Mapping[str, str] | None = None,
    ) -> Batch:
        return Batch(
            attempt.tables(),
            self._source,
            sequence(attempt.at),
            attempt.cursor(cursor) | dict(remembered or {}),
        )

    def _rest(self, error: SnmpError, now: datetime) -> None:
        """Ask a device that stays silent more and more seldom, at most every ten minutes."""
        self._silences = self._silences + 1 if isinstance(error, NoAnswerError) else 0
        if self._silences >= SILENCES_BORNE:
            periods = 2 ** min(self._silences - SILENCES_BORNE + 1, 10)
            rest = timedelta(seconds=(self.period_s or DEFAULT_PERIOD_S) * (periods - 0.5))
            self._rest_until = now + min(rest, LONGEST_REST)

    async def _read(self, device: Device, attempt: Attempt, cursor: Mapping[str, str]) -> dict[str, str]:
        """Read the group's tables into the attempt; return what to remember besides."""
        remembered: dict[str, str] = {}
        if self._group == "topology":
            system = await self._recognition.identify(device, attempt.at)
            remembered = _boot(system, attempt.at, cursor)
            found = {"devices": [self._device(system, device.profile, remembered["boot_id"])]}
            device.resting = self._resting(device.profile, attempt.at)
            found |= await topology.read(device)
            unread = device.failed | set(device.resting)
            found["devices"][0]["unread"] = ",".join(sorted(unread & device.profile.tables.keys()))
            self._read_at |= dict.fromkeys(device.profile.tables.keys() - unread, attempt.at)
        else:
            await self._recognition.recognise(device, attempt.at)
            found = await self._measure(device, attempt.at)
        if self._group != "optics" and not any(found.values()):
            attempt.failed = "; ".join(device.remarks) or f"{self._target.name} has no interfaces"
        stamp = {"at": attempt.at, "device": self._target.name}
        attempt.rows = {name: [stamp | row for row in rows] for name, rows in found.items()}
        return remembered

    def _resting(self, profile: Profile, now: datetime) -> set[str]:
        """Return the tables whose own period is not over yet."""
        return {
            name
            for name, table in profile.tables.items()
            if name in self._read_at and now - self._read_at[name] < timedelta(seconds=table.period_s)
        }

    async def _measure(self, device: Device, now: datetime) -> dict[str, list[dict[str, Any]]]:
        if self._read_by != device.profile:
            self._counters, self._optics = CounterReader(), OpticsReader()
            self._read_by = device.profile
        if self._group == "counters":
            return {"counters": await self._counters.read(device)}
        return {"optics": await self._optics.read(device, now)}

    def _device(self, system: Row, profile: Profile, boot_id: str) -> dict[str, Any]:
        return {
            "address": self._target.address,
            "sys_name": text(system.get("sysName")),
            "sys_object_id": text(system.get("sysObjectID")),
            "sys_descr": text(system.get("sysDescr")),
            "sys_location": text(system.get("sysLocation")),
            "site": self._target.site,
            "rack": self._target.rack,
            "chassis_id": topology.chassis(system),
            "uptime_cs": unsigned(system.get("sysUpTime"), 32),
            "boot_id": boot_id or None,
            "profile": profile.name,
            "forwarding": self._target.forwarding,
        }


@lru_cache(maxsize=8)  # all switches of a round have one time
def sequence(now: datetime) -> int:
    """Return the number of a poll's batch: milliseconds since 1970."""
    return int(now.timestamp() * 1000)


def _boot(system: Row, now: datetime, cursor: Mapping[str, str]) -> dict[str, str]:
    """Return boot_id (the time of the start, as first seen) and the uptime that it was seen with.

    It stays while sysUpTime moves as our clock does, across its wrap at 497 days too.
    """
    uptime = unsigned(system.get("sysUpTime"), 32)
    if uptime is None:
        return {"boot_id": ""}
    seen = {"boot_id": _started(uptime, now), "uptime_cs": str(uptime), "uptime_at": now.isoformat()}
    try:
        moved_s = (uptime - int(cursor["uptime_cs"])) % 2**32 / 100
        passed_s = (now - datetime.fromisoformat(cursor["uptime_at"])).total_seconds()
        if abs(moved_s - passed_s) <= BOOT_TOLERANCE_S:
            seen["boot_id"] = cursor["boot_id"]
    except (KeyError, ValueError, TypeError):
        pass  # nothing, or nothing legible, is remembered: this is the first reading
    return seen


def _started(uptime_cs: int, now: datetime) -> str:
    return (now - timedelta(seconds=uptime_cs / 100)).replace(microsecond=0).isoformat()
