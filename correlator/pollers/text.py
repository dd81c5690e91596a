"""Names and addresses as devices write them, in one form each."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from correlator.snmp.target import Value

MAX_TEXT = 1024  # characters: longer than any name that a MIB allows
MAC_LENGTH = 6

# LldpChassisIdSubtype and LldpPortIdSubtype agree on these two meanings, not on their numbers.
CHASSIS_MAC, CHASSIS_ADDRESS = 4, 5
PORT_MAC, PORT_ADDRESS = 3, 4

_MAC_TEXT = re.compile(
    r"^(?:[0-9a-f]{2}([: -]))(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}$|^[0-9a-f]{4}([.-])[0-9a-f]{4}\2[0-9a-f]{4}$",
    re.IGNORECASE,
)
_SHORT_MAC = re.compile(r"^[0-9a-f]{1,2}(?::[0-9a-f]{1,2}){5}$", re.IGNORECASE)  # 0:1c:73:65:8e:3a


def text(value: Value) -> str | None:
    """Return a DisplayString as text without control characters; None where there is none.

    What is not UTF-8 is read as Latin-1, which older devices speak.
    """
    if not isinstance(value, bytes):
        return value if isinstance(value, str) else None
    try:
        decoded = value.decode("utf-8")
    except UnicodeDecodeError:
        decoded = value.decode("latin-1")
    shown = "".join(c if c.isprintable() else " " for c in decoded[:MAX_TEXT]).strip()
    return shown or None


def number(value: Value) -> int | None:
    """Return an integer of 64 bits; None where the value is none."""
    return value if isinstance(value, int) and -(2**63) <= value < 2**63 else None


def unsigned(value: Value, bits: int = 64) -> int | None:
    """Return an unsigned integer of so many bits; None where the value is none."""
    return value if isinstance(value, int) and 0 <= value < 1 << bits else None


def mac(octets: Value | Sequence[int]) -> str | None:
    """Return six octets as aa:bb:cc:dd:ee:ff; None for anything else."""
    if octets is None or isinstance(octets, int | str) or len(octets) != MAC_LENGTH:
        return None
    if any(not 0 <= octet <= 255 for octet in octets):
        return None
    return ":".join(f"{octet:02x}" for octet in octets)


def physical_address(value: Value) -> str | None:
    """Return a PhysAddress that is a MAC address, in octets or, as some agents have it, written out."""
    return mac(value) or (mac_of_text(text(value)) if isinstance(value, bytes) else None)


def address(octets: Sequence[int]) -> str | None:
    """Return 4 or 16 octets as an IP address; None for anything else."""
    if len(octets) not in (4, 16) or any(not 0 <= octet <= 255 for octet in octets):
        return None
    return str(ipaddress.ip_address(bytes(octets)))


def chassis_id(subtype: Value, value: Value) -> str | None:
    """Return an LLDP chassis id: MACs as aa:bb:cc:dd:ee:ff, addresses as such, the rest as text."""
    return _identity(value, subtype == CHASSIS_MAC, subtype == CHASSIS_ADDRESS)


def port_id(subtype: Value, value: Value) -> str | None:
    """Return an LLDP port id, likewise."""
    return _identity(value, subtype == PORT_MAC, subtype == PORT_ADDRESS)


def _identity(value: Value, is_mac: bool, is_address: bool) -> str | None:
    if not isinstance(value, bytes):
        return None
    if is_mac and (plain := mac(value)):
        return plain
    if is_address and (plain := address(value[1:])):  # octet 0 is the IANA address family
        return plain
    if len(value) == MAC_LENGTH and not _is_text(value):
        return mac(value)
    written = text(value)
    return mac_of_text(written) or written


def mac_of_text(written: str | None) -> str | None:
    """Return a MAC address that is written out, in the house's form; None where it is none."""
    if written is None:
        return None
    if _SHORT_MAC.match(written):
        return mac([int(part, 16) for part in written.split(":")])
    return mac(bytes.fromhex(re.sub(r"[:. -]", "", written))) if _MAC_TEXT.match(written) else None


def _is_text(value: bytes) -> bool:
    return all(32 <= octet < 127 for octet in value)
