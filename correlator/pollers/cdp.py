"""Neighbours by CDP (CISCO-CDP-MIB)."""

from __future__ import annotations

import re
from typing import Any

from correlator.pollers.device import Row, TableRows
from correlator.pollers.names import Names
from correlator.pollers.text import MAC_LENGTH, address, mac, mac_of_text, text

IP, IPV6 = 1, 20  # CiscoNetworkProtocol
CAPABILITIES = {0x01: "router", 0x0E: "bridge", 0x10: "station", 0x40: "repeater", 0x80: "telephone"}
SERIAL = re.compile(r"\([^()]*\)$")  # NX-OS puts its serial number behind the name


def neighbors(found: TableRows, names: Names) -> list[dict[str, Any]]:
    """Return the rows of table neighbors; the chassis id is the device id, which is a name or a MAC."""
    return [
        _neighbor(row) | names.place(index[0] if index[0] in names.by_index else None)
        for index, row in sorted(found.items())
        if len(index) == 2 and row.get("cdpCacheDeviceId")
    ]


def _neighbor(row: Row) -> dict[str, Any]:
    said = row.get("cdpCacheDeviceId")
    plain = text(said)
    chassis = mac_of_text(plain) or (mac(said) if _binary(said) else None) or plain
    return {
        "protocol": "cdp",
        "remote_chassis_id": chassis,
        "remote_port_id": text(row.get("cdpCacheDevicePort")),
        "remote_port_descr": None,
        "remote_sys_name": text(row.get("cdpCacheSysName")) or SERIAL.sub("", plain or "").strip() or None,
        "remote_address": _address(row),
        "remote_capabilities": _capabilities(row.get("cdpCacheCapabilities")),
    }


def _capabilities(value: object) -> list[str] | None:
    """Return what a neighbour says that it does (cdpCacheCapabilities); None where it does not say."""
    if not isinstance(value, bytes) or not value:
        return None
    said = int.from_bytes(value[-4:], "big")
    return [name for mask, name in CAPABILITIES.items() if said & mask]


def _binary(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == MAC_LENGTH and not value.isascii()


def _address(row: Row) -> str | None:
    value = row.get("cdpCacheAddress")
    if row.get("cdpCacheAddressType") not in (IP, IPV6, None) or not isinstance(value, bytes):
        return None
    return address(value)
