"""Interfaces, aggregates, bridge ports and addresses out of the tables' rows."""

from __future__ import annotations

from typing import Any

import pytest

from correlator.pollers.names import Names
from correlator.pollers.topology import arp, chassis, interfaces, speed_bps, stations

FOUND: dict[tuple[int, ...], Any] = {
    (1,): {"ifName": b"Ethernet1", "ifType": 6, "ifAdminStatus": 1, "ifOperStatus": 1},
    (2,): {"ifDescr": b"Ethernet2", "ifType": 6, "ifAdminStatus": 2, "ifOperStatus": 7},
    (3,): {"ifType": 6},
    (50,): {"ifName": b"Port-Channel1", "ifType": 161},
    (60,): {"ifName": b"Vlan60", "ifType": 136},
}
NAMES = Names.of(FOUND)
MAC = b"\x02\x00\x00\x00\xbb\x01"


def aggregate(aggregates: Any = None, stack: Any = None) -> dict[str, str | None]:
    rows = interfaces(FOUND, aggregates or {}, stack or {}, {})
    return {row["if_name"]: row["aggregate_if_name"] for row in rows}


def test_an_interface_without_a_name_is_called_by_its_description() -> None:
    assert [row["if_name"] for row in interfaces(FOUND, {}, {}, {})] == [
        "Ethernet1",
        "Ethernet2",
        "Port-Channel1",
        "Vlan60",
    ]


def test_states_are_words() -> None:
    rows = {row["if_name"]: row for row in interfaces(FOUND, {}, {}, {})}
    assert (rows["Ethernet2"]["admin_status"], rows["Ethernet2"]["oper_status"]) == (
        "down",
        "lower_layer_down",
    )
    assert rows["Vlan60"]["oper_status"] is None


def test_a_port_is_a_member_of_the_aggregate_that_it_is_attached_to() -> None:
    attached = {(1,): {"dot3adAggPortAttachedAggID": 50, "dot3adAggPortSelectedAggID": 60}}
    assert aggregate(attached)["Ethernet1"] == "Port-Channel1"


def test_else_of_the_one_that_it_selected() -> None:
    selected = {(1,): {"dot3adAggPortAttachedAggID": 0, "dot3adAggPortSelectedAggID": 50}}
    assert aggregate(selected)["Ethernet1"] == "Port-Channel1"


def test_a_port_that_aggregates_itself_is_no_member() -> None:
    assert aggregate({(1,): {"dot3adAggPortAttachedAggID": 1}})["Ethernet1"] is None


def test_else_the_stack_tells_members() -> None:
    stack = {(50, 1): {"ifStackStatus": 1}, (60, 2): {"ifStackStatus": 1}, (50, 0): {"ifStackStatus": 1}}
    found = aggregate(stack=stack)
    assert found["Ethernet1"] == "Port-Channel1"
    assert found["Ethernet2"] is None  # a VLAN interface is no aggregate


@pytest.mark.parametrize(
    ("speed", "high_speed", "expected"),
    [
        (4294967295, 25000, 25_000_000_000),
        (1_000_000_000, 1000, 1_000_000_000),
        (64_000, 0, 64_000),
        (4294967295, 0, None),
        (4294967295, None, None),
        (0, 0, None),
        (None, 100, 100_000_000),
        (1215752192, 100_000, 100_000_000_000),  # 100 Gbit/s that ran over 32 bits
    ],
)
def test_the_speed_is_exact_where_it_can_be(
    speed: int | None, high_speed: int | None, expected: int | None
) -> None:
    assert speed_bps(speed, high_speed) == expected


BRIDGE: dict[tuple[int, ...], Any] = {(11,): {"dot1dBasePortIfIndex": 1, "dot1dStpPortState": 2}}


def test_a_bridge_port_is_not_an_if_index() -> None:
    found = stations({tuple(MAC): {"dot1dTpFdbPort": 11, "dot1dTpFdbStatus": 3}}, BRIDGE, NAMES)
    assert found == [{"mac": "02:00:00:00:bb:01", "vlan": None, "if_index": 1, "if_name": "Ethernet1"}]
    assert interfaces(FOUND, {}, {}, BRIDGE)[0]["stp_state"] == "blocking"


def test_a_bridge_port_that_is_not_known_leaves_the_place_open() -> None:
    found = stations({(7, *MAC): {"dot1qTpFdbPort": 12}}, BRIDGE, NAMES)
    assert found == [{"mac": "02:00:00:00:bb:01", "vlan": 7, "if_index": None, "if_name": None}]


@pytest.mark.parametrize(
    ("index", "row"),
    [
        (tuple(MAC), {"dot1dTpFdbPort": 11, "dot1dTpFdbStatus": 2}),
        ((1, 2, 3), {"dot1dTpFdbPort": 11}),
        ((*MAC[:5], 999), {"dot1dTpFdbPort": 11}),
    ],
)
def test_invalid_entries_and_nonsense_are_no_stations(index: tuple[int, ...], row: Any) -> None:
    assert stations({index: row}, BRIDGE, NAMES) == []


def test_addresses_of_both_families_are_read_from_the_index() -> None:
    six = (1, 2, 16, *bytes.fromhex("20010db8000000000000000000000001"))
    found = arp(
        {
            (1, 1, 4, 192, 0, 2, 1): {"ipNetToPhysicalPhysAddress": MAC},
            six: {"ipNetToPhysicalPhysAddress": MAC},
            (1, 192, 0, 2, 2): {"ipNetToMediaPhysAddress": MAC},
        },
        NAMES,
    )
    assert [row["ip"] for row in found] == ["192.0.2.1", "2001:db8::1", "192.0.2.2"]
    assert {row["if_name"] for row in found} == {"Ethernet1"}


@pytest.mark.parametrize(
    ("index", "row"),
    [
        ((1, 1, 4, 192, 0, 2), {"ipNetToPhysicalPhysAddress": MAC}),
        ((1, 9, 4, 192, 0, 2, 1), {"ipNetToPhysicalPhysAddress": MAC}),
        ((1, 1, 4, 192, 0, 2, 1), {"ipNetToPhysicalPhysAddress": b""}),
        ((1,), {"ipNetToPhysicalPhysAddress": MAC}),
        ((1, 192, 0, 2, 256), {"ipNetToMediaPhysAddress": MAC}),
    ],
)
def test_what_is_no_address_is_passed_over(index: tuple[int, ...], row: Any) -> None:
    assert arp({index: row}, NAMES) == []


def test_without_lldp_the_bridge_names_the_chassis() -> None:
    assert chassis({"dot1dBaseBridgeAddress": MAC}) == "02:00:00:00:bb:01"
    assert chassis({"lldpLocChassisIdSubtype": 7, "lldpLocChassisId": b"leaf1"}) == "leaf1"
    assert chassis({}) is None


def test_an_alias_that_is_another_interfaces_name_does_not_hide_it() -> None:
    names = Names.of({(1,): {"ifName": b"Ethernet1"}, (2,): {"ifName": b"x", "ifAlias": b"Ethernet1"}})
    assert names.find("Ethernet1") == 1


def test_what_two_interfaces_share_names_neither() -> None:
    names = Names.of({(1,): {"ifName": b"a", "ifAlias": b"up"}, (2,): {"ifName": b"b", "ifAlias": b"up"}})
    assert names.find("up") is None
    assert names.find("up", "b") == 2
