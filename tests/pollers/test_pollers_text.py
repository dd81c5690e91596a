"""Names and addresses in one form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from correlator.pollers.text import address, chassis_id, mac, mac_of_text, physical_address, port_id, text

MAC = bytes.fromhex("001c7365 8e3a".replace(" ", ""))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"Ethernet1", "Ethernet1"),
        (b"  Ethernet1\x00", "Ethernet1"),
        (b"", None),
        (b"\x00\x00", None),
        ("caf\xe9".encode(), "café"),
        (b"caf\xe9", "café"),
        (b"a\x1b[31mb\r\nc", "a [31mb  c"),
        (None, None),
        (5, None),
        (b"x" * 5000, "x" * 1024),
    ],
)
def test_text_is_one_plain_line(value: object, expected: str | None) -> None:
    assert text(value) == expected  # type: ignore[arg-type]


@given(st.binary(max_size=300))
def test_no_control_character_survives(value: bytes) -> None:
    assert text(value) is None or text(value).isprintable()  # type: ignore[union-attr]


def test_six_octets_are_a_mac_and_nothing_else_is() -> None:
    assert mac(MAC) == "00:1c:73:65:8e:3a"
    assert mac((0, 28, 115, 101, 142, 58)) == "00:1c:73:65:8e:3a"
    assert mac((0, 28, 115, 101, 142, 300)) is None
    assert mac(b"") is None
    assert mac(b"1234567") is None


def test_addresses_are_written_as_usual() -> None:
    assert address(bytes([192, 0, 2, 1])) == "192.0.2.1"
    assert address(bytes.fromhex("20010db8000000000000000000000001")) == "2001:db8::1"
    assert address(b"123") is None


@pytest.mark.parametrize("written", ["00:1C:73:65:8E:3A", "00-1c-73-65-8e-3a", "001c.7365.8e3a"])
def test_a_mac_that_is_written_out_is_recognised(written: str) -> None:
    assert mac_of_text(written) == "00:1c:73:65:8e:3a"
    assert chassis_id(7, written.encode()) == "00:1c:73:65:8e:3a"


def test_a_physical_address_may_be_written_out() -> None:
    assert physical_address(MAC) == "00:1c:73:65:8e:3a"
    assert physical_address(b"0:1c:73:65:8e:3a") == "00:1c:73:65:8e:3a"
    assert physical_address(b"") is None
    assert physical_address(b"Ethernet1") is None
    assert physical_address(7) is None


@pytest.mark.parametrize("written", ["00:1c-73:65:8e:3a", "Ethernet1", "001c73658e3a", None])
def test_other_text_is_no_mac(written: str | None) -> None:
    assert mac_of_text(written) is None


def test_a_chassis_id_is_what_its_subtype_says() -> None:
    assert chassis_id(4, MAC) == "00:1c:73:65:8e:3a"
    assert chassis_id(5, b"\x01\xc0\x00\x02\x01") == "192.0.2.1"
    assert chassis_id(7, b"leaf1") == "leaf1"
    assert chassis_id(4, b"leaf1") == "leaf1"
    assert chassis_id(None, MAC) == "00:1c:73:65:8e:3a"
    assert chassis_id(4, None) is None
    assert chassis_id(7, b"switch") == "switch"


def test_port_ids_number_their_subtypes_differently() -> None:
    assert port_id(3, b"switch") == "73:77:69:74:63:68"
    assert port_id(5, b"switch") == "switch"
    assert port_id(4, b"\x01\xc0\x00\x02\x01") == "192.0.2.1"
