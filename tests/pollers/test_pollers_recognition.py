"""Which profile a device gets: by what it says of itself, then by which tables it answers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from a_switch import SENSOR, UPTIME, switch
from snmp_agent import Agent, object_id, ticks

from correlator.pollers.recognition import Recognition
from correlator.pollers.switches import GROUPS, Group, SwitchPoller, SwitchTarget
from correlator.ports import Batch
from correlator.snmp.control import SnmpClient

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SYS_OBJECT_ID, SYS_DESCR = "1.3.6.1.2.1.1.2.0", "1.3.6.1.2.1.1.1.0"
COMWARE = "1.3.6.1.4.1.25506.2.70.1.1.1"
MOST_PROBES = 10


def without_sensors() -> dict[str, Any]:
    return {oid: value for oid, value in switch().items() if not oid.startswith(f"{SENSOR}.")}


def comware() -> dict[str, Any]:
    """Hundredths of dBm: -3.45 received, -2.10 sent."""
    return {f"{COMWARE}.12.1": -345, f"{COMWARE}.9.1": -210}


def poller(
    client: SnmpClient, agent: Agent, group: Group = "optics", shared: Recognition | None = None
) -> SwitchPoller:
    target = SwitchTarget("leaf1", "127.0.0.1", agent.port, requests_per_second=100_000)
    return SwitchPoller(client, target, group, shared)


async def polled(values: dict[str, Any], group: Group = "optics") -> Batch:
    async with Agent(values) as agent, SnmpClient() as client:
        (batch,) = await poller(client, agent, group).poll(NOW, {})
    return batch


@pytest.mark.parametrize("values", [without_sensors(), switch()], ids=["alone", "beside the standard's"])
async def test_an_unknown_make_that_answers_a_vendors_table_is_read_by_it(values: dict[str, Any]) -> None:
    light = (await polled(values | comware())).tables["optics"]
    assert light[["if_name", "rx_power_dbm", "tx_power_dbm"]].to_numpy().tolist() == [
        ["Ethernet1", -3.45, -2.1]
    ]
    devices = (await polled(values | comware(), "topology")).tables["devices"]
    assert devices.profile.item() == "hpe-comware"


async def test_a_dialect_whose_tables_do_not_answer_gives_way_to_the_standards_sensors() -> None:
    values = switch() | {SYS_OBJECT_ID: object_id("1.3.6.1.4.1.25506.11.1.24")}
    light = (await polled(values)).tables["optics"]
    assert light.if_name.tolist() == ["Ethernet1", "Ethernet2"]
    assert light.rx_power_dbm.iloc[0] == pytest.approx(-3.0, abs=0.001)
    topology = (await polled(values, "topology")).tables
    assert topology["devices"].profile.item() == "hpe-comware+standard"
    assert len(topology["neighbors"]) == 1


async def test_a_dialect_that_answers_is_kept_whatever_else_answers() -> None:
    values = switch() | comware() | {SYS_OBJECT_ID: object_id("1.3.6.1.4.1.25506.11.1.24")}
    assert (await polled(values, "topology")).tables["devices"].profile.item() == "hpe-comware"


async def test_a_dialect_without_any_optics_stays_itself() -> None:
    values = without_sensors() | {SYS_OBJECT_ID: object_id("1.3.6.1.4.1.25506.11.1.24")}
    assert (await polled(values, "topology")).tables["devices"].profile.item() == "hpe-comware"


async def test_looking_for_tables_costs_a_few_requests_and_is_remembered() -> None:
    async with Agent(without_sensors() | comware()) as agent, SnmpClient() as client:
        reader = poller(client, agent, "topology")
        await reader.poll(NOW, {})
        assert 0 < reader.requests["profile"] <= MOST_PROBES
        await reader.poll(NOW + timedelta(days=1), {})
        assert reader.requests.get("profile", 0) == 0
        agent.set(agent.values | {SYS_DESCR: "Another switch"})
        await reader.poll(NOW + timedelta(days=2), {})
        assert reader.requests["profile"] > 0


async def test_three_pollers_of_one_switch_look_at_it_once() -> None:
    async with Agent(without_sensors() | comware()) as agent, SnmpClient() as client:
        alone = poller(client, agent)
        await alone.poll(NOW, {})
        looks = alone.requests["system"] + alone.requests["profile"]  # the first: sizes are not learned yet
        shared = Recognition()
        pollers = [poller(client, agent, group, shared) for group in GROUPS]
        batches = [batch for (batch,) in await asyncio.gather(*(one.poll(NOW, {}) for one in pollers))]
        asked = [one.requests.get("system", 0) + one.requests.get("profile", 0) for one in pollers]
        assert 1 < sum(asked) <= looks
        await asyncio.gather(*(one.poll(NOW + timedelta(minutes=15), {}) for one in pollers))
        again = [one.requests.get("system", 0) + one.requests.get("profile", 0) for one in pollers]
    assert all(batch.tables["polls"].ok.item() for batch in batches)
    assert batches[0].tables["devices"].profile.item() == "hpe-comware"
    assert batches[2].tables["optics"].rx_power_dbm.tolist() == [-3.45]
    assert again == [1, 0, 0]  # the devices table is read anew


async def test_what_one_poller_finds_changed_holds_for_the_others_at_once() -> None:
    shared = Recognition()
    async with Agent(without_sensors() | comware()) as agent, SnmpClient() as client:
        topology, optics = (poller(client, agent, group, shared) for group in ("topology", "optics"))
        await optics.poll(NOW, {})
        agent.set(switch() | {SYS_DESCR: "Another switch"})
        await topology.poll(NOW + timedelta(minutes=1), {})
        (batch,) = await optics.poll(NOW + timedelta(minutes=2), {})
    assert batch.tables["optics"].if_name.tolist() == ["Ethernet1", "Ethernet2"]


async def test_a_device_that_has_restarted_is_looked_at_again() -> None:
    async with Agent(without_sensors() | comware()) as agent, SnmpClient() as client:
        reader = poller(client, agent, "topology")
        await reader.poll(NOW, {})
        agent.set(switch() | {UPTIME: ticks(500)})  # other software, under the same name
        (batch,) = await reader.poll(NOW + timedelta(minutes=15), {})
    assert batch.tables["devices"].profile.item() == "standard"


async def test_a_first_module_is_found_within_the_hour() -> None:
    async with Agent(without_sensors()) as agent, SnmpClient() as client:
        reader = poller(client, agent)
        await reader.poll(NOW, {})
        agent.set(without_sensors() | comware())
        (batch,) = await reader.poll(NOW + timedelta(minutes=61), {})
    assert batch.tables["optics"].rx_power_dbm.tolist() == [-3.45]


async def test_a_device_that_refuses_to_be_looked_at_is_polled_as_what_it_says() -> None:
    async with Agent(switch(), refuse={"1.3.6.1.4.1": 16}) as agent, SnmpClient() as client:
        (batch,) = await poller(client, agent).poll(NOW, {})
    assert len(batch.tables["optics"]) == 2
    assert "table profile was not read" in batch.tables["polls"].error.item()
