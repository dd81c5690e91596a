"""Every single value that the fast path reads is what pysnmp, or net-snmp, reads of the same object.

Each device is read three times: the first reading teaches what its answers look like, the others are read
by that. What moves must lie between what the other reads before and after.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from test_pollers_snmpd import COMMUNITY, IF, SYSTEM, netsnmp
from test_pollers_snmpd import port as snmpd_port  # noqa: F401 - a fixture
from test_pollers_together import RECORDINGS, SHARED
from test_pollers_together import port as recordings_port  # noqa: F401 - a fixture

from correlator.pollers.recognition import Recognition
from correlator.pollers.switches import Prepared, SwitchPoller, SwitchTarget
from correlator.profiles.profile import load
from correlator.snmp import bulk, wire
from correlator.snmp.bulk import Asked, Exchange, Outcome
from correlator.snmp.control import SnmpClient
from correlator.snmp.plan import Plan
from correlator.snmp.target import Community, Oid, Value

pytestmark = pytest.mark.anyio
UPTIME = (1, 3, 6, 1, 2, 1, 1, 3, 0)
WRAPS = dict.fromkeys((IF, "1.3.6.1.2.1.10.7.2.1"), 2**32)  # tables of 32-bit counters
SUBTREES = (SYSTEM, "1.3.6.1.2.1.2", "1.3.6.1.2.1.31", "1.3.6.1.2.1.10")
SENSOR = "1.3.6.1.2.1.99.1.1.1.4."
SWITCHES = 2

Values = dict[Oid, int | bytes]


def objects(plan: Plan) -> dict[Oid, int]:
    """Return the slot of each object that a plan reads; -1 for names, which are compared as they come."""
    told = {cell.column: cell.slot for cell in plan.scalars}
    cells = (
        (cell.column + line.index, cell.slot)
        for one in plan.patterns
        for line in one.request.lines
        for cell in line.cells
    )
    return told | dict(cells)


def values(plan: Plan, outcome: Outcome, device: int) -> Values:
    """Return what was read of a device by object."""
    first = int(outcome.slots[device])
    texts = dict(outcome.texts.get(device, ()))
    return {
        oid: texts.get(slot, int(outcome.values[first + slot]))
        for oid, slot in objects(plan).items()
        if slot >= 0
    }


def told(value: Value) -> int | bytes:
    """Return what pysnmp says as the fast path keeps it: integers as 64 bits."""
    return value % 2**64 if isinstance(value, int) else bytes(value)  # type: ignore[arg-type]


def read(*known: Prepared) -> list[Values]:
    """Return what the fast path reads of devices, by what their answers looked like before."""
    asked = [Asked(one.plan, wire.address(*one.found), 20.0, 2, 10_000, memory=one.memory) for one in known]
    for _ in range(3):
        outcome = Exchange(bulk.Fleet(asked, 2)).run()
        assert not outcome.why.any(), [bulk.reason_name(int(why)) for why in outcome.why if why]
    return [values(one.plan, outcome, device) for device, one in enumerate(known)]


async def learned(client: SnmpClient, target: SwitchTarget, group: str) -> Prepared | None:
    poller = SwitchPoller(client, target, group, Recognition(load()))  # type: ignore[arg-type]
    now = datetime.now(UTC)
    await poller.poll(now, {})
    return poller.prepared(now)


@pytest.mark.parametrize("group", ["counters", "optics"])
@pytest.mark.parametrize("recording", RECORDINGS)
async def test_recorded_switches_say_to_pysnmp_what_they_say_to_the_fast_path(
    recordings_port: int,  # noqa: F811
    recording: str,
    group: str,
) -> None:
    target = SwitchTarget("a", "127.0.0.1", recordings_port, Community(recording), requests_per_second=10_000)
    async with SnmpClient() as client:
        known = await learned(client, target, group)
        if known is None or not known.plan.count:  # recorded without such tables, or told by a walk alone
            return
        (found,) = read(known)
        expected = await client.get(target.agent, [oid for oid in found if oid != UPTIME])
    found.pop(UPTIME, None)
    assert found == {oid: told(value) for oid, value in expected.items()}


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start the farm of synthetic switches on a free loopback port."""
    source = SHARED / "bench" / "snmpfarm.c"
    if not source.exists():
        pytest.skip("the farm's source is absent (CORRELATOR_SHARED)")
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing (Debian package gcc)")
    program: Path = tmp_path_factory.mktemp("farm") / "farm"
    subprocess.run(["gcc", "-O2", "-w", "-o", program, source], check=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        number = int(probe.getsockname()[1])
    process = subprocess.Popen([program, "-p", str(number), "-x", "600"], stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.3)
        yield number
    finally:
        process.terminate()
        process.wait(timeout=20)


def lies_between(oid: Oid, before: int, found: int, after: int) -> bool:
    """Return whether a value lies between two others; a counter of 32 bits may have wrapped."""
    dotted = ".".join(map(str, oid))
    if dotted.startswith(SENSOR):  # it wobbles
        return abs(found - 2**64 + 2500) <= 100
    wrap = next((wrap for table, wrap in WRAPS.items() if dotted.startswith(table + ".")), 2**64)
    return (found - before) % wrap <= (after - before) % wrap


@pytest.mark.parametrize("group", ["counters", "optics"])
async def test_the_farms_switches_say_to_pysnmp_what_they_say_to_the_fast_path(farm: int, group: str) -> None:
    profiles = load(Path(__file__).parents[2] / "bench" / "polling")
    async with SnmpClient() as client:
        targets = [
            SwitchTarget(f"s{n}", f"127.1.0.{n + 1}", farm, requests_per_second=10_000)
            for n in range(SWITCHES)
        ]
        known, now = [], datetime.now(UTC)
        for target in targets:
            poller = SwitchPoller(client, target, group, Recognition(profiles))  # type: ignore[arg-type]
            await poller.poll(now, {})
            prepared = poller.prepared(now)
            assert prepared is not None
            known.append(prepared)
        asked = [list(objects(one.plan)) for one in known]
        before = [await client.get(t.agent, oids) for t, oids in zip(targets, asked, strict=True)]
        found = read(*known)
        after = [await client.get(t.agent, oids) for t, oids in zip(targets, asked, strict=True)]
    compared = 0
    for first, values_, last in zip(before, found, after, strict=True):
        for oid, value in values_.items():
            assert isinstance(value, int)
            least, most = told(first[oid]), told(last[oid])
            assert isinstance(least, int)
            assert isinstance(most, int)
            assert lies_between(oid, least, value, most), (oid, least, value, most)
            compared += 1
    assert compared >= SWITCHES * (900 if group == "counters" else 128)


@pytest.mark.real
async def test_a_real_agent_says_to_net_snmp_what_it_says_to_the_fast_path(snmpd_port: int) -> None:  # noqa: F811
    target = SwitchTarget("a", "127.0.0.1", snmpd_port, Community(COMMUNITY), requests_per_second=10_000)
    async with SnmpClient() as client:
        known = await learned(client, target, "counters")
        assert known is not None
        before = netsnmp(snmpd_port, *SUBTREES)
        (found,) = read(known)
        after = netsnmp(snmpd_port, *SUBTREES)
    assert len(found) >= 10
    for oid, value in found.items():
        name = ".".join(map(str, oid))
        assert isinstance(value, int)
        assert lies_between(oid, before[name], value, after[name]), (name, before[name], value, after[name])
