"""Counters that stand in tables of their own, a device that stays silent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from a_switch import IF, switch
from snmp_agent import GET, Agent, counter32, counter64, object_id, ticks

from correlator.pollers.switches import SwitchPoller, SwitchTarget
from correlator.snmp.control import SnmpClient

pytestmark = pytest.mark.anyio

NOW, MINUTE = datetime(2026, 3, 1, 12, tzinfo=UTC), timedelta(minutes=1)
RMON, OTN = "1.3.6.1.2.1.16.1.1.1", "1.3.6.1.4.1.2636.3.73.1.3.3.8.1"
ETHERLIKE = "1.3.6.1.2.1.10.7."


def target(agent: Agent) -> SwitchTarget:
    return SwitchTarget("leaf1", "127.0.0.1", agent.port, timeout_s=0.2, retries=0)


def without_etherlike(**more: Any) -> dict[str, Any]:
    return {oid: value for oid, value in switch().items() if not oid.startswith(ETHERLIKE)} | more


async def test_rmon_stands_in_for_check_sums_where_etherlike_is_absent() -> None:
    rmon = {
        f"{RMON}.2.17": object_id("1.3.6.1.2.1.2.2.1.1.2"),
        f"{RMON}.8.17": counter32(41),
        f"{RMON}.2.18": object_id("1.3.6.1.2.1.2.2.1.1.99"),
        f"{RMON}.8.18": counter32(7),
    }
    async with Agent(without_etherlike(**rmon)) as agent, SnmpClient() as client:
        poller = SwitchPoller(client, target(agent), "counters")
        (first,) = await poller.poll(NOW, {})
        agent.set(agent.values | {f"{RMON}.8.17": counter32(44)})
        agent.asked.clear()
        (second,) = await poller.poll(NOW + MINUTE, {})
    for batch, count in ((first, 41), (second, 44)):
        table = batch.tables["counters"].set_index("if_index")
        assert table.loc[2, "fcs_errors"] == count
        assert table.drop(2).fcs_errors.isna().all()
    assert {kind for kind, _ in agent.asked} == {GET}


async def test_forward_error_correction_is_read_in_the_receiving_direction() -> None:
    otn = {
        "1.3.6.1.2.1.1.2.0": object_id("1.3.6.1.4.1.2636.1.1.1"),
        f"{OTN}.3.1.1": counter64(2**40),
        f"{OTN}.4.1.1": counter64(3),
        f"{OTN}.3.1.2": counter64(5),
    }
    async with Agent(switch() | otn) as agent, SnmpClient() as client:
        (batch,) = await SwitchPoller(client, target(agent), "counters").poll(NOW, {})
    row = batch.tables["counters"].set_index("if_index").loc[1]
    assert (row["fec_corrected"], row["fec_uncorrected"]) == (2**40, 3)


async def test_a_silent_device_is_asked_more_and_more_seldom() -> None:
    asked = []
    async with Agent(switch()) as agent, SnmpClient() as client:
        poller = SwitchPoller(client, target(agent), "counters", period_s=60)
        agent.drop = lambda number: True
        for minute in range(12):
            before = agent.requests
            (batch,) = await poller.poll(NOW + minute * MINUTE, {})
            assert not batch.tables["polls"].ok.item()
            asked += [minute] if agent.requests > before else []
        agent.drop = lambda number: False
        (batch,) = await poller.poll(NOW + 60 * MINUTE, {})
    assert asked == [0, 1, 2, 4, 8]
    assert batch.tables["polls"].ok.item()
    assert f"{IF}.14.1" in agent.values
    assert ticks(1).value == 1
