"""Route tables with next hops: both MIBs, and tables that are too long to be walked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from a_switch import switch
from hypothesis import given
from hypothesis import strategies as st
from snmp_agent import Agent, gauge

from correlator.pollers.names import Names
from correlator.pollers.routes import routes
from correlator.pollers.switches import SwitchPoller, SwitchTarget
from correlator.ports import Batch
from correlator.snmp.control import SnmpClient

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FORWARD = "1.3.6.1.2.1.4.24"
NEW, OLD = f"{FORWARD}.7.1", f"{FORWARD}.4.1"
NAMES = Names(by_index={1: "Ethernet1", 2: "Ethernet2"})
VIA_1, VIA_2 = "1.4.10.1.0.0.16.2.0.0.1.4.192.0.2.1", "1.4.10.1.0.0.16.2.0.0.1.4.192.0.2.2"


def new_table(length: int = 3) -> dict[str, Any]:
    """Two next hops to one network, and a connected one."""
    connected = "1.4.192.0.2.0.24.2.0.0.1.4.0.0.0.0"
    values: dict[str, Any] = {f"{FORWARD}.6.0": gauge(length)}
    for index, if_index, kind in ((VIA_1, 1, 4), (VIA_2, 2, 4), (connected, 1, 3)):
        values |= {f"{NEW}.7.{index}": if_index, f"{NEW}.8.{index}": kind}
    return values


def old_table() -> dict[str, Any]:
    index = "10.1.0.0.255.255.0.0.0.192.0.2.1"
    return {f"{FORWARD}.3.0": gauge(1), f"{OLD}.5.{index}": 1, f"{OLD}.6.{index}": 4}


async def polled(values: dict[str, Any], times: int = 1) -> Batch:
    """Return the last of so many topology polls, a minute apart."""
    async with Agent(switch() | values) as agent, SnmpClient() as client:
        target = SwitchTarget("leaf1", "127.0.0.1", agent.port, requests_per_second=100_000)
        poller = SwitchPoller(client, target, "topology")
        for number in range(times):
            (batch,) = await poller.poll(NOW + number * timedelta(minutes=1), {})
    return batch


def told(table: pd.DataFrame) -> set[tuple[str, str | None, str]]:
    rows = table[["prefix", "next_hop", "if_name"]].astype(object).where(table.notna(), None)
    return set(rows.itertuples(index=False, name=None))


async def test_a_switch_tells_its_routes_with_all_next_hops() -> None:
    assert told((await polled(new_table())).tables["routes"]) == {
        ("10.1.0.0/16", "192.0.2.1", "Ethernet1"),
        ("10.1.0.0/16", "192.0.2.2", "Ethernet2"),
        ("192.0.2.0/24", None, "Ethernet1"),
    }


async def test_the_older_table_is_read_where_the_newer_is_empty() -> None:
    batch = await polled(old_table())
    assert told(batch.tables["routes"]) == {("10.1.0.0/16", "192.0.2.1", "Ethernet1")}
    both = await polled(old_table() | new_table())
    assert len(both.tables["routes"]) == 3


async def test_the_internet_is_not_walked_and_the_poll_says_so() -> None:
    batch = await polled(new_table(length=950_000))
    assert "routes" not in batch.tables
    (poll,) = batch.tables["polls"].itertuples()
    assert poll.ok
    assert poll.error == "table routes was not read: 950000 routes, more than 5000"
    assert batch.tables["devices"]["unread"].tolist() == [""]


async def test_a_table_whose_length_nobody_tells_is_not_walked() -> None:
    values = new_table()
    del values[f"{FORWARD}.6.0"]
    batch = await polled(values)
    assert "routes" not in batch.tables
    assert batch.tables["polls"]["error"].isna().all()


async def test_half_a_table_is_not_used() -> None:
    more = {
        f"{NEW}.{column}.1.4.10.{i // 250}.{i % 250}.0.24.2.0.0.1.4.192.0.2.1": value
        for i in range(5001)
        for column, value in ((7, 1), (8, 4))
    }
    batch = await polled(new_table(length=10) | more)
    assert "routes" not in batch.tables
    assert "routes" in batch.tables["devices"]["unread"][0]


async def test_routes_are_asked_for_four_times_an_hour_and_hold_on_between() -> None:
    again = await polled(new_table(), times=2)
    assert "routes" not in again.tables
    assert {"routes", "old_routes"} <= set(again.tables["devices"]["unread"][0].split(","))
    assert "routes" in (await polled(new_table(), times=16)).tables


def test_a_next_hop_of_the_other_family_and_one_with_a_zone_are_read() -> None:
    local = (1, 4, 10, 2, 0, 0, 24, 3, 0, 0, 7, 4, 20, 0xFE, 0x80, *[0] * 13, 1, 0, 0, 0, 2)
    (row,) = routes({local: {"inetCidrRouteType": 4, "inetCidrRouteIfIndex": 2}}, NAMES)
    assert row == {"prefix": "10.2.0.0/24", "next_hop": "fe80::1", "if_index": 2, "if_name": "Ethernet2"}


@given(st.lists(st.integers(0, 2**32 - 1), max_size=24), st.sampled_from([1, 4, 5, b"", None]))
def test_no_index_is_too_odd(index: list[int], kind: Any) -> None:
    for object_name in ("inetCidrRouteType", "ipCidrRouteType"):
        for row in routes({tuple(index): {object_name: kind}}, NAMES):
            assert "/" in row["prefix"]
