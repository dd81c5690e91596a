"""LLDP rows of several devices' kinds."""

from __future__ import annotations

from typing import Any

from correlator.pollers.lldp import neighbors
from correlator.pollers.names import Names

NAMES = Names.of(
    {
        (1,): {"ifName": b"Ethernet1", "ifDescr": b"Ethernet1 10G", "ifPhysAddress": b"\x02\0\0\0\0\x01"},
        (7,): {"ifName": b"Ethernet7", "ifAlias": b"to spine1", "ifPhysAddress": b"\x02\0\0\0\0\x07"},
        (513,): {"ifName": b"xe-0/0/1"},
    }
)
REMOTE: dict[str, Any] = {
    "lldpRemChassisIdSubtype": 4,
    "lldpRemChassisId": b"\x00\x1c\x73\x65\x8e\x3a",
    "lldpRemPortIdSubtype": 5,
    "lldpRemPortId": b"Ethernet49",
    "lldpRemPortDesc": b"to leaf1",
    "lldpRemSysName": b"spine1",
}


def local(subtype: int, value: bytes, descr: bytes = b"") -> dict[tuple[int, ...], Any]:
    return {(12,): {"lldpLocPortIdSubtype": subtype, "lldpLocPortId": value, "lldpLocPortDesc": descr}}


def place(ports: dict[tuple[int, ...], Any], port: int = 12) -> tuple[Any, Any]:
    (row,) = neighbors({(0, port, 1): REMOTE}, ports, {}, NAMES)
    return row["if_index"], row["if_name"]


def test_a_neighbour_is_told_in_plain_words() -> None:
    (row,) = neighbors({(0, 12, 1): REMOTE}, local(5, b"Ethernet7"), {}, NAMES)
    assert row == {
        "protocol": "lldp",
        "remote_chassis_id": "00:1c:73:65:8e:3a",
        "remote_port_id": "Ethernet49",
        "remote_port_descr": "to leaf1",
        "remote_sys_name": "spine1",
        "if_index": 7,
        "if_name": "Ethernet7",
        "remote_address": None,
        "remote_capabilities": None,
    }


def test_the_local_port_is_found_by_each_kind_of_id() -> None:
    assert place(local(5, b"Ethernet7")) == (7, "Ethernet7")
    assert place(local(5, b"ethernet1 10g")) == (1, "Ethernet1")
    assert place(local(3, b"\x02\0\0\0\0\x07")) == (7, "Ethernet7")
    assert place(local(1, b"to spine1")) == (7, "Ethernet7")
    assert place(local(7, b"whatever", b"Ethernet7")) == (7, "Ethernet7")
    assert place(local(7, b"513")) == (513, "xe-0/0/1")


def test_without_a_port_table_the_number_may_be_the_if_index() -> None:
    assert place({}, port=7) == (7, "Ethernet7")
    assert place({}, port=99) == (None, None)


def test_without_a_port_table_a_bridges_number_is_its_own() -> None:
    remote = {(0, 5, 1): {"lldpRemChassisId": b"spine1", "lldpRemPortId": b"swp1"}}
    (row,) = neighbors(remote, {}, {}, NAMES, bridge={5: 7})
    assert (row["if_index"], row["if_name"]) == (7, "Ethernet7")
    opaque = {(5,): {"lldpLocPortIdSubtype": 7, "lldpLocPortId": b"p5"}}
    (row,) = neighbors(remote, opaque, {}, NAMES, bridge={5: 7})
    assert row["if_index"] == 7
    named = {(5,): {"lldpLocPortIdSubtype": 5, "lldpLocPortId": b"Gi0/9"}}
    (row,) = neighbors(remote, named, {}, NAMES, bridge={5: 7})
    assert (row["if_index"], row["if_name"]) == (None, "Gi0/9")


def test_a_port_that_cannot_be_found_keeps_the_devices_name_for_it() -> None:
    assert place(local(5, b"Gi0/9")) == (None, "Gi0/9")


def test_a_local_port_number_is_not_guessed_to_be_the_if_index() -> None:
    ports = {(7,): {"lldpLocPortIdSubtype": 5, "lldpLocPortId": b"Gi0/9"}}
    assert place(ports, port=7) == (None, "Gi0/9")
    opaque = {(7,): {"lldpLocPortIdSubtype": 7, "lldpLocPortId": b"p7"}}
    assert place(opaque, port=7) == (7, "Ethernet7")


def test_any_time_mark_will_do_and_the_newest_wins() -> None:
    old = REMOTE | {"lldpRemSysName": b"gone"}
    rows = neighbors({(500, 7, 1): old, (90000, 7, 1): REMOTE, (3, 1, 2): REMOTE}, {}, {}, NAMES)
    assert [(row["if_name"], row["remote_sys_name"]) for row in rows] == [
        ("Ethernet1", "spine1"),
        ("Ethernet7", "spine1"),
    ]


def test_two_neighbours_at_one_port_are_two_rows() -> None:
    assert len(neighbors({(0, 7, 1): REMOTE, (0, 7, 2): REMOTE}, {}, {}, NAMES)) == 2


def test_the_management_address_is_in_the_index() -> None:
    addresses: dict[tuple[int, ...], Any] = {
        (0, 7, 1, 2, 16, *bytes.fromhex("20010db8000000000000000000000001")): {},
        (0, 7, 1, 1, 4, 192, 0, 2, 1): {},
        (0, 1, 1, 1, 192, 0, 2, 9): {},  # a device that leaves out the length
        (0, 513, 1, 1, 4, 192, 0): {},  # cut short
        (0, 513, 1): {},
    }
    remotes = {(0, port, 1): REMOTE for port in (1, 7, 513)}
    rows = neighbors(remotes, {}, addresses, NAMES)
    assert [row["remote_address"] for row in rows] == ["192.0.2.9", "192.0.2.1", None]


def test_an_index_that_is_too_short_tells_a_neighbour_but_no_port() -> None:
    (row,) = neighbors({(1,): REMOTE}, {}, {}, NAMES)
    assert (row["if_index"], row["if_name"], row["remote_sys_name"]) == (None, None, "spine1")


def test_two_neighbours_with_one_number_are_both_told() -> None:
    other = REMOTE | {"lldpRemChassisId": b"\x00\x1c\x73\x65\x8e\x3b"}
    found = neighbors({(85, 12, 1): REMOTE, (105, 12, 1): other}, {}, {}, NAMES)
    assert {row["remote_chassis_id"] for row in found} == {"00:1c:73:65:8e:3a", "00:1c:73:65:8e:3b"}


def test_an_index_with_if_index_and_destination_is_understood() -> None:
    pattern = ("mark", "if_index", "destination", "remote")
    addresses = {(9, 7, 1, 3, 1, 4, 192, 0, 2, 1): {"lldpRemManAddrIfSubtype": 2}}
    (row,) = neighbors({(9, 7, 1, 3): REMOTE}, {}, addresses, NAMES, pattern)
    assert (row["if_index"], row["if_name"], row["remote_address"]) == (7, "Ethernet7", "192.0.2.1")
