"""The switch poller against a whole switch, and against switches that are not well."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from a_switch import (
    DOT3,
    ENTITIES_CHANGED,
    IF,
    IFX,
    INTERFACES_CHANGED,
    UPTIME,
    interface,
    optics,
    switch,
)
from snmp_agent import GET, GETBULK, Agent, counter32, counter64, object_id, ticks

from correlator import frames
from correlator.pollers.recognition import Recognition
from correlator.pollers.switches import GROUPS, Group, SwitchPoller, SwitchTarget
from correlator.ports import Batch
from correlator.profiles.profile import Profile, load
from correlator.snmp.control import SnmpClient
from correlator.snmp.target import Community

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def target(agent: Agent, community: str = "public", timeout_s: float = 0.5) -> SwitchTarget:
    return SwitchTarget(
        "leaf1",
        "127.0.0.1",
        agent.port,
        Community(community),
        site="hall 2",
        rack="r7",
        forwarding="cut_through",
        timeout_s=timeout_s,
        retries=1,
        requests_per_second=100_000,
    )


async def polled(
    agent: Agent, group: Group, cursor: Mapping[str, str] | None = None, community: str = "public"
) -> Batch:
    async with SnmpClient() as client:
        (batch,) = await SwitchPoller(client, target(agent, community), group).poll(NOW, cursor or {})
    return batch


def only(table: pd.DataFrame) -> dict[str, Any]:
    """Return the one row of a table without its nulls."""
    assert len(table) == 1
    row: dict[str, Any] = table.iloc[0].to_dict()
    return {key: value for key, value in row.items() if value is not None and not pd.isna(value)}


async def test_a_switch_describes_itself() -> None:
    async with Agent(switch()) as agent:
        batch = await polled(agent, "topology")
    assert only(batch.tables["devices"]) == {
        "at": pd.Timestamp(NOW),
        "device": "leaf1",
        "address": "127.0.0.1",
        "sys_name": "leaf1",
        "sys_object_id": "1.3.6.1.4.1.99999.1",
        "sys_descr": "A switch of no make",
        "sys_location": "row 3",
        "site": "hall 2",
        "rack": "r7",
        "chassis_id": "02:00:00:00:ff:00",
        "uptime_cs": 360_000,
        "boot_id": "2026-03-01T11:00:00+00:00",
        "profile": "standard",
        "forwarding": "cut_through",
        "unread": "",
    }


async def test_interfaces_have_their_names_states_and_speeds() -> None:
    async with Agent(switch() | {f"{IF}.7.2": 2, f"{IF}.8.2": 2}) as agent:
        interfaces = (await polled(agent, "topology")).tables["interfaces"]
    assert only(interfaces[interfaces.if_index == 3]) == {
        "at": pd.Timestamp(NOW),
        "device": "leaf1",
        "if_index": 3,
        "if_name": "Ethernet3",
        "if_descr": "Ethernet3",
        "if_alias": "to spine3",
        "if_type": 6,
        "admin_status": "up",
        "oper_status": "up",
        "speed_bps": 25_000_000_000,
        "mac": "02:00:00:00:ff:03",
        "stp_state": "forwarding",
    }
    assert interfaces.admin_status.tolist() == ["up", "down", "up", "up"]


async def test_neighbours_stations_and_addresses_are_at_their_interfaces() -> None:
    async with Agent(switch()) as agent:
        tables = (await polled(agent, "topology")).tables
    neighbor = only(tables["neighbors"])
    assert (neighbor["if_name"], neighbor["remote_sys_name"], neighbor["remote_port_id"]) == (
        "Ethernet1",
        "spine1",
        "Ethernet49",
    )
    assert neighbor["remote_address"] == "192.0.2.7"
    stations = tables["stations"]
    station = only(stations[stations.if_name.notna()])
    assert (station["mac"], station["vlan"], station["if_name"]) == ("02:00:00:00:bb:01", 10, "Ethernet3")
    arp = tables["arp"]
    assert dict(zip(arp.ip, arp.mac, strict=True)) == {
        "192.0.2.50": "02:00:00:00:bb:01",
        "192.0.2.51": "02:00:00:00:bb:02",
    }
    assert set(arp.if_name) == {"Ethernet3"}


async def test_counters_of_64_bits_are_exact_and_packets_are_of_all_kinds() -> None:
    async with Agent(switch()) as agent:
        counters = (await polled(agent, "counters")).tables["counters"]
    row = counters[counters.if_name == "Ethernet2"].iloc[0]
    assert row["in_octets"] == 2**63 + 2**40 + 2
    assert row["out_octets"] == 2**41 + 2
    assert (row["in_packets"], row["out_packets"]) == (1112, 2222)
    assert (row["in_errors"], row["out_errors"], row["in_discards"], row["out_discards"]) == (12, 22, 32, 42)
    assert (row["fcs_errors"], row["alignment_errors"], row["symbol_errors"]) == (7, 1, 2)
    assert (row["octets_width_bits"], row["errors_width_bits"]) == (64, 32)
    assert (row["uptime_cs"], row["discontinuity_cs"]) == (360_000, 0)
    assert pd.isna(row["fec_corrected"])
    assert counters["in_octets"].dtype == "UInt64"


async def test_where_there_are_no_64_bits_the_width_says_so() -> None:
    values = switch(ports=1) | interface(1, wide=False)
    values = {
        oid: value
        for oid, value in values.items()
        if not oid.startswith(tuple(f"{IFX}.{c}." for c in range(6, 14)))
    }
    async with Agent(values) as agent:
        row = only((await polled(agent, "counters")).tables["counters"])
    assert row["octets_width_bits"] == 32
    assert row["in_octets"] == (2**40 + 1) % 2**32
    assert (row["in_packets"], row["out_packets"]) == (1111, 2221)


async def test_a_sum_of_32_bit_counters_wraps_as_they_do() -> None:
    values = {
        oid: value
        for oid, value in switch(ports=1).items()
        if not oid.startswith(tuple(f"{IFX}.{c}." for c in range(6, 14)))
    }
    async with Agent(values | {f"{IF}.11.1": counter32(2**32 - 1)}) as agent:
        row = only((await polled(agent, "counters")).tables["counters"])
    assert row["in_packets"] == 109


async def test_known_rows_are_fetched_and_each_knows_its_uptime() -> None:
    async with Agent(switch(ports=64)) as agent, SnmpClient() as client:
        poller = SwitchPoller(client, target(agent, timeout_s=10), "counters")
        await poller.poll(NOW, {})
        agent.asked.clear()
        agent.set(agent.values | {UPTIME: ticks(366_000), f"{IF}.14.7": counter32(99)})
        (batch,) = await poller.poll(NOW + MINUTE, {})
    counters = batch.tables["counters"]
    assert set(counters.uptime_cs) == {366_000}
    assert counters[counters.if_index == 7].in_errors.item() == 99
    assert {kind for kind, _ in agent.asked} == {GET}
    columns = 17
    assert len(agent.asked) <= 1 + -(-64 * columns // 40)


async def test_light_is_in_dbm_and_darkness_is_no_power() -> None:
    async with Agent(switch() | optics(2, rx=0)) as agent:
        light = (await polled(agent, "optics")).tables["optics"]
    first, second = (light[light.if_index == port].iloc[0] for port in (1, 2))
    assert first["rx_power_dbm"] == pytest.approx(-3.0, abs=0.001)
    assert first["tx_power_dbm"] == pytest.approx(-1.0, abs=0.001)
    assert (first["temperature_c"], first["bias_ma"], first["voltage_v"]) == (31.2, 33.45, 3.31)
    assert (first["lane"], first["if_name"], first["no_light"]) == (1, "Ethernet1", False)
    assert (first["module_type"], first["module_serial"]) == ("SFP-25G-LR", "SN1")
    assert second["no_light"]
    assert pd.isna(second["rx_power_dbm"])
    assert second["tx_power_dbm"] == pytest.approx(-1.0, abs=0.001)


async def test_a_sensor_that_is_unavailable_gives_no_reading() -> None:
    async with Agent(switch() | optics(1, status=2)) as agent:
        light = (await polled(agent, "optics")).tables["optics"]
    assert set(light.if_index) == {2}


async def test_the_inventory_of_sensors_is_read_once() -> None:
    async with Agent(switch()) as agent, SnmpClient() as client:
        poller = SwitchPoller(client, target(agent), "optics")
        await poller.poll(NOW, {})
        agent.asked.clear()
        agent.set(agent.values | optics(1, rx=10000))
        (batch,) = await poller.poll(NOW + MINUTE, {})
    assert batch.tables["optics"].rx_power_dbm.iloc[0] == 0.0
    assert [kind for kind, _ in agent.asked] == [GET]


@pytest.mark.parametrize(
    "change",
    [
        {UPTIME: ticks(100)},
        {ENTITIES_CHANGED: ticks(365_000)},
    ],
    ids=["restart", "inventory"],
)
async def test_a_changed_inventory_is_read_anew(change: dict[str, Any]) -> None:
    async with Agent(switch()) as agent, SnmpClient() as client:
        poller = SwitchPoller(client, target(agent), "optics")
        await poller.poll(NOW, {})
        agent.set(switch() | optics(3) | change)
        (batch,) = await poller.poll(NOW + MINUTE, {})
    assert batch.tables["optics"].if_name.tolist() == ["Ethernet1", "Ethernet2", "Ethernet3"]


async def test_a_module_that_was_pulled_is_gone_from_the_next_reading() -> None:
    async with Agent(switch()) as agent, SnmpClient() as client:
        poller = SwitchPoller(client, target(agent), "optics")
        await poller.poll(NOW, {})
        agent.set({oid: value for oid, value in switch().items() if ".200" not in oid})
        (batch,) = await poller.poll(NOW + MINUTE, {})
    assert batch.tables["optics"].if_name.tolist() == ["Ethernet1"]
    assert batch.tables["polls"].ok.item()


async def test_a_switch_without_optics_is_polled_well() -> None:
    values = {
        oid: v for oid, v in switch().items() if not oid.startswith(("1.3.6.1.2.1.47", "1.3.6.1.2.1.99"))
    }
    async with Agent(values) as agent:
        batch = await polled(agent, "optics")
    assert "optics" not in batch.tables
    assert batch.tables["polls"].ok.item()


async def test_interfaces_that_changed_numbers_are_never_mixed_up() -> None:
    async with Agent(switch(ports=2)) as agent, SnmpClient() as client:
        poller = SwitchPoller(client, target(agent), "counters")
        await poller.poll(NOW, {})
        agent.set(switch(ports=2) | interface(1, name="Ethernet2") | interface(2, name="Ethernet1"))
        (batch,) = await poller.poll(NOW + MINUTE, {})
    counters = batch.tables["counters"]
    assert dict(zip(counters.if_name, counters.in_errors, strict=True)) == {"Ethernet2": 11, "Ethernet1": 12}
    assert dict(zip(counters.if_name, counters.if_index, strict=True)) == {"Ethernet2": 1, "Ethernet1": 2}


async def test_a_new_interface_is_found_when_the_table_says_that_it_changed() -> None:
    async with Agent(switch(ports=2)) as agent, SnmpClient() as client:
        poller = SwitchPoller(client, target(agent), "counters")
        await poller.poll(NOW, {})
        agent.set(switch(ports=3) | {INTERFACES_CHANGED: ticks(365_000)})
        (batch,) = await poller.poll(NOW + MINUTE, {})
    assert batch.tables["counters"].if_name.tolist() == ["Ethernet1", "Ethernet2", "Ethernet3"]


async def test_a_poll_is_a_row_and_its_batch_is_named_and_numbered() -> None:
    async with Agent(switch()) as agent:
        batch = await polled(agent, "counters")
    row = batch.tables["polls"].iloc[0]
    assert (row["target"], row["kind"], row["ok"], row["rows"]) == ("leaf1", "switch", True, 4)
    assert row["requests"] == agent.requests
    assert row["retries"] == 0
    assert row["duration_ms"] > 0
    assert pd.isna(row["error"])
    assert pd.isna(row["gap_from"])
    assert (batch.source, batch.sequence) == ("leaf1/counters", 1_772_366_400_000)
    assert batch.cursor == {"last_good": "2026-03-01T12:00:00+00:00"}


@pytest.mark.parametrize("group", ["topology", "counters", "optics"])
async def test_a_wrong_community_is_a_row_that_says_so(group: Group) -> None:
    async with Agent(switch(), community="secret") as agent:
        batch = await polled(agent, group, {"last_good": "2026-03-01T11:00:00+00:00"})
    assert set(batch.tables) == {"polls"}
    row = batch.tables["polls"].iloc[0]
    assert not row["ok"]
    assert "did not answer" in row["error"]
    assert "community" in row["error"]
    assert (row["requests"], row["retries"], row["rows"]) == (2, 1, 0)
    assert batch.cursor == {"last_good": "2026-03-01T11:00:00+00:00", "failed": "yes"}


async def test_the_row_that_ends_a_gap_says_since_when() -> None:
    async with Agent(switch()) as agent:
        batch = await polled(agent, "counters", {"last_good": "2026-03-01T11:00:00+00:00", "failed": "yes"})
    assert batch.tables["polls"].gap_from.item() == pd.Timestamp("2026-03-01T11:00:00Z")
    assert "failed" not in batch.cursor


@pytest.mark.parametrize(("away_s", "gap"), [(60, False), (89, False), (91, True), (86400, True)])
async def test_a_longer_silence_than_the_period_is_a_gap(away_s: int, gap: bool) -> None:
    last = NOW - timedelta(seconds=away_s)
    async with Agent(switch()) as agent, SnmpClient() as client:
        poller = SwitchPoller(client, target(agent), "counters", period_s=60)
        (batch,) = await poller.poll(NOW, {"last_good": last.isoformat()})
    assert pd.notna(batch.tables["polls"].gap_from.item()) == gap


@pytest.mark.parametrize(
    "cursor", [{"last_good": "rubbish"}, {"last_good": "2026-03-01T11:00:00"}, {"x": "y"}]
)
async def test_a_cursor_that_cannot_be_read_counts_as_none(cursor: dict[str, str]) -> None:
    async with Agent(switch()) as agent:
        batch = await polled(agent, "topology", cursor)
    assert batch.tables["polls"].ok.item()
    assert pd.isna(batch.tables["polls"].gap_from.item())


async def test_a_table_that_fails_costs_only_itself_and_is_named() -> None:
    async with Agent(switch(), refuse={"1.0.8802.1.1.2.1.4": 16}) as agent:
        batch = await polled(agent, "topology")
    row = batch.tables["polls"].iloc[0]
    assert row["ok"]
    assert "table lldp_remotes was not read" in row["error"]
    assert "authorizationError" in row["error"]
    assert len(batch.tables["interfaces"]) == 4
    assert "neighbors" not in batch.tables


async def test_counters_that_cannot_be_read_are_a_failed_poll() -> None:
    async with Agent(switch(), refuse={IF: 16, IFX: 16}) as agent:
        batch = await polled(agent, "counters")
    row = batch.tables["polls"].iloc[0]
    assert not row["ok"]
    assert "table counters was not read" in row["error"]


async def test_a_switch_that_falls_silent_is_not_asked_on_and_on() -> None:
    async with Agent(switch(), drop=lambda number: number > 1) as agent:
        batch = await polled(agent, "topology")
    row = batch.tables["polls"].iloc[0]
    assert not row["ok"]
    assert row["requests"] <= 5


async def test_a_restart_changes_the_boot_id_and_nothing_else_does() -> None:
    boots, cursor = [], {}
    steps = [(0, 2**32 - 3000), (60, 3000), (120, 9000), (180, 500), (240, 6500)]
    async with Agent(switch()) as agent, SnmpClient() as client:
        poller = SwitchPoller(client, target(agent), "topology")
        for seconds, uptime in steps:
            agent.set(agent.values | {UPTIME: ticks(uptime)})
            (batch,) = await poller.poll(NOW + timedelta(seconds=seconds), cursor)
            cursor = dict(batch.cursor)
            boots.append(batch.tables["devices"].boot_id.item())
    assert boots[0] == boots[1] == boots[2]  # sysUpTime wrapped between the first two
    assert boots[3] == boots[4] != boots[2]


async def test_a_switch_with_a_dialect_is_read_by_it() -> None:
    arista = {"1.3.6.1.2.1.1.2.0": object_id("1.3.6.1.4.1.30065.1.3011"), **levels(1002)}
    async with Agent(switch() | arista) as agent:
        light = (await polled(agent, "optics")).tables["optics"]
        device = (await polled(agent, "topology")).tables["devices"]
    row = light[light.if_index == 1].iloc[0]
    assert device.profile.item() == "arista-eos"
    assert round(row["rx_power_low_alarm_dbm"], 1) == -16.4
    assert round(row["rx_power_high_warn_dbm"], 1) == 2.5
    assert pd.isna(row["tx_power_low_alarm_dbm"])


def levels(sensor: int) -> dict[str, Any]:
    table = "1.3.6.1.4.1.30065.3.12.1.1.1"
    raw = {1: 363, 2: 229, 3: 17783, 4: 22387}
    return {f"{table}.{column}.{sensor}": value for column, value in raw.items()}


async def test_text_with_control_characters_is_made_plain() -> None:
    async with Agent(switch() | {f"{IFX}.18.1": b"\x1b[31mred\n<script>\xff"}) as agent:
        interfaces = (await polled(agent, "topology")).tables["interfaces"]
    assert interfaces.if_alias.iloc[0] == "[31mred <script>ÿ"


async def test_a_first_reading_walks() -> None:
    async with Agent(switch()) as agent:
        await polled(agent, "counters")
    assert {kind for kind, _ in agent.asked[1:]} == {GETBULK}


async def test_an_interface_without_ethernet_counters_has_none() -> None:
    values = {oid: value for oid, value in switch().items() if oid != f"{DOT3}.3.4"}
    async with Agent(values) as agent, SnmpClient() as client:
        poller = SwitchPoller(client, target(agent), "counters")
        (first,) = await poller.poll(NOW, {})
        (second,) = await poller.poll(NOW + MINUTE, {})
    for batch in (first, second):
        assert batch.tables["counters"].fcs_errors.isna().tolist() == [False, False, False, True]


async def test_a_table_that_was_read_in_part_is_walked_again() -> None:
    async with Agent(switch(ports=3), refuse={f"{IFX}.6": 5}) as agent, SnmpClient() as client:
        poller = SwitchPoller(client, target(agent), "counters")
        (first,) = await poller.poll(NOW, {})
        agent.refuse = {}
        (second,) = await poller.poll(NOW + MINUTE, {})
    assert "table counters is incomplete" in first.tables["polls"].error.item()
    assert first.tables["counters"].octets_width_bits.tolist() == [32, 32, 32]
    assert second.tables["counters"].octets_width_bits.tolist() == [64, 64, 64]


async def test_half_an_inventory_of_sensors_is_not_kept() -> None:
    async with Agent(switch(), refuse={"1.3.6.1.2.1.99": 16}) as agent, SnmpClient() as client:
        poller = SwitchPoller(client, target(agent), "optics")
        (first,) = await poller.poll(NOW, {})
        agent.refuse = {}
        (second,) = await poller.poll(NOW + MINUTE, {})
    assert "optics" not in first.tables
    assert len(second.tables["optics"]) == 2


@pytest.mark.parametrize("seed", range(14, 26))
async def test_whatever_a_device_says_a_poll_is_a_row(seed: int) -> None:
    dice = random.Random(seed)
    strange: list[Any] = [
        -1,
        2**31 - 1,
        -(2**31),
        counter32(2**32 - 1),
        counter64(2**64 - 1),
        ticks(2**32 - 1),
        object_id("1.3.6.1.2.1.2.2.1.1.4294967295"),
        b"",
        b"\xff\x00" * 40,
        "Lane 99999999999999999999999 rx",
        "\u00b2\u0663",
    ]
    values = {oid: dice.choice(strange) if dice.random() < 0.4 else v for oid, v in switch().items()}
    async with Agent(values) as agent, SnmpClient() as client:
        for group in GROUPS:
            (batch,) = await SwitchPoller(client, target(agent), group).poll(NOW, {})
            assert len(batch.tables["polls"]) == 1
            for name, table in batch.tables.items():
                frames.validate(name, table)


def bound(ports: int, columns: int, sensors: int) -> int:
    """Return how many requests the minute's counters and optics may need."""
    return 1 + -(-ports * columns // 40) + -(-sensors // 40)


@pytest.mark.parametrize(("ports", "lanes"), [(4, 1), (54, 1), (33, 4)])
async def test_a_minutes_counters_and_light_need_few_requests(ports: int, lanes: int) -> None:
    values = switch(ports=ports)
    for port in range(1, ports + 1):
        for lane in range(lanes):
            values |= optics(port, entity=port + 100 * lane)
    async with Agent(values) as agent, SnmpClient() as client:
        pollers = [
            SwitchPoller(client, target(agent, timeout_s=10), group) for group in ("counters", "optics")
        ]
        for poller in pollers:
            await poller.poll(NOW, {})
        agent.asked.clear()
        batches = [(await poller.poll(NOW + MINUTE, {}))[0] for poller in pollers]
    assert len(batches[0].tables["counters"]) == ports
    assert batches[1].tables["optics"].rx_power_dbm.notna().sum() == ports * lanes
    columns = 17  # eight of traffic, four of errors and discards, three of Ethernet, name and discontinuity
    assert len(agent.asked) <= bound(ports, columns, 5 * ports * lanes)
    assert sum(sum(poller.requests.values()) for poller in pollers) == len(agent.asked)


def bounded(**bounds: Any) -> dict[str, Profile]:
    """Return the profiles with other bounds of the table of stations."""
    standard = load()["standard"]
    tables = standard.tables | {"vlan_stations": standard.tables["vlan_stations"].model_copy(update=bounds)}
    return {"standard": standard.model_copy(update={"tables": tables})}


async def test_a_table_of_a_million_rows_is_cut_and_harms_neither_other_tables_nor_other_devices() -> None:
    column = (1, 3, 6, 1, 2, 1, 17, 7, 1, 2, 2, 1, 2)

    def endless(asked: tuple[int, ...], found: tuple[int, ...] | None) -> tuple[int, ...] | None:
        inside = asked[: len(column)] == column and len(asked) > len(column)
        return (*asked[:-1], asked[-1] + 1) if inside else found

    async with (
        Agent(switch(), next_oid=endless) as sick,
        Agent(switch()) as well,
        SnmpClient() as client,
    ):
        profiles = bounded(max_rows=300)
        pollers = [
            SwitchPoller(client, target(agent), "topology", Recognition(profiles)) for agent in (sick, well)
        ]
        (first,), (second,) = await asyncio.gather(*(poller.poll(NOW, {}) for poller in pollers))
    told = first.tables["polls"]
    assert told.ok.item()
    assert "table vlan_stations is incomplete: more than 300 rows" in told.error.item()
    assert (len(first.tables["interfaces"]), len(first.tables["neighbors"])) == (4, 1)
    assert second.tables["polls"].error.isna().all()
    assert len(second.tables["stations"]) == 2


async def test_a_table_that_takes_too_long_is_cut_and_the_others_are_read() -> None:
    station = "1.3.6.1.2.1.17.7.1.2.2.1"
    many = {f"{station}.{c}.10.2.0.0.1.{n // 250}.{n % 250}": 11 for c in (2, 3) for n in range(300)}
    async with Agent(switch() | many) as agent, SnmpClient() as client:
        poller = SwitchPoller(client, target(agent), "topology", Recognition(bounded(timeout_s=1e-9)))
        (batch,) = await poller.poll(NOW, {})
    assert "table vlan_stations is incomplete: not read to its end" in batch.tables["polls"].error.item()
    assert len(batch.tables["neighbors"]) == 1


async def test_a_table_with_a_period_of_its_own_rests_in_between() -> None:
    async with Agent(switch()) as agent, SnmpClient() as client:
        poller = SwitchPoller(client, target(agent), "topology", Recognition(bounded(period_s=3600)))
        told = []
        for minutes in (0, 15, 30, 60):
            (batch,) = await poller.poll(NOW + minutes * MINUTE, {})
            told.append(("vlan_stations" in poller.requests, "stations" in batch.tables))
    assert told == [(True, True), (False, False), (False, False), (True, True)]


async def test_a_device_that_becomes_another_is_read_as_that() -> None:
    async with Agent(switch()) as agent, SnmpClient() as client:
        pollers = [SwitchPoller(client, target(agent), group) for group in GROUPS]
        for poller in pollers:
            await poller.poll(NOW, {})
        agent.set(
            switch(ports=2, uptime=500)
            | {"1.3.6.1.2.1.1.5.0": "leaf9", "1.3.6.1.2.1.1.2.0": object_id("1.3.6.1.4.1.30065.1.3011")}
        )
        (topology,), (counters,), (light,) = [await p.poll(NOW + 61 * MINUTE, {}) for p in pollers]
    assert topology.tables["devices"].profile.item() == "arista-eos"
    assert (topology.tables["devices"].sys_name.item(), topology.tables["devices"].uptime_cs.item()) == (
        "leaf9",
        500,
    )
    assert counters.tables["counters"].if_name.tolist() == ["Ethernet1", "Ethernet2"]
    assert len(light.tables["polls"]) == 1
