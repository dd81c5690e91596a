"""Neighbours by LLDP (IEEE 802.1AB, LLDP-MIB)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from correlator.pollers.device import Row, TableRows
from correlator.pollers.names import Names
from correlator.pollers.text import address, chassis_id, port_id, text

IPV4, IPV6 = 1, 2  # AddressFamilyNumbers
TELLING = (1, 3, 5)  # LldpPortIdSubtype alias, MAC, name: what is not found by these is not guessed


CAPABILITY_OCTETS = 2
HEX_TEXT = re.compile(rb"^([0-9A-Fa-f]{2})(?: ?[0-9A-Fa-f]{2})? ?$")
CAPABILITIES = (  # LldpSystemCapabilitiesMap, bit 0 first
    None, "repeater", "bridge", "access_point", "router", "telephone", "docsis", "station",
)  # fmt: skip
STANDARD_INDEX = ("mark", "port", "remote")
NO_BRIDGE: Mapping[int, int] = {}
FAMILY_AND_LENGTH = 2  # parts of an address's index before its octets


@dataclass(frozen=True, slots=True)
class Key:
    """What an index says: which local port (a number of LLDP's own, or an ifIndex) and which peer."""

    mark: int
    port: int | None
    if_index: int | None
    remote: int

    @classmethod
    def of(cls, index: Sequence[int], pattern: Sequence[str]) -> Key:
        """Return the parts of an index; of one that is shorter than its MIB says, the last only."""
        if len(index) < len(pattern):
            return cls(0, None, None, index[-1])
        parts = dict(zip(pattern, index, strict=False))
        return cls(parts.get("mark", 0), parts.get("port"), parts.get("if_index"), parts["remote"])

    @property
    def place(self) -> tuple[int | None, int | None, int]:
        """The key without its time mark, which agents leave out, or move at will."""
        return self.port, self.if_index, self.remote


def neighbors(
    remotes: TableRows,
    ports: TableRows,
    addresses: TableRows,
    names: Names,
    pattern: Sequence[str] = STANDARD_INDEX,
    bridge: Mapping[int, int] = NO_BRIDGE,
) -> list[dict[str, Any]]:
    """Return the rows of table neighbors.

    Rows of an older time mark are passed over when the same neighbour has a newer one. A local port
    that cannot be found keeps the name that the device gives it and has no ifIndex. ``bridge`` gives
    ifIndex by bridge port, which a bridge's local port numbers are (LldpPortNumber).
    """
    newest: dict[tuple[Any, ...], tuple[Key, Row]] = {}
    for index, row in sorted(remotes.items()):
        key = Key.of(index, pattern)
        peer = row.get("lldpRemChassisId"), row.get("lldpRemPortId")
        if (*key.place, *peer) not in newest or newest[*key.place, *peer][0].mark <= key.mark:
            newest[*key.place, *peer] = key, row
    known = _addresses(addresses, pattern)
    return [
        _neighbor(row) | _where(key, ports, names, bridge) | {"remote_address": known.get(key.place)}
        for key, row in newest.values()
    ]


def _where(key: Key, ports: TableRows, names: Names, bridge: Mapping[int, int]) -> dict[str, Any]:
    if key.port is None:
        return names.place(key.if_index if key.if_index in names.by_index else None)
    return _local(key.port, ports.get((key.port,)), names, bridge)


def _neighbor(row: Row) -> dict[str, Any]:
    return {
        "protocol": "lldp",
        "remote_chassis_id": chassis_id(row.get("lldpRemChassisIdSubtype"), row.get("lldpRemChassisId")),
        "remote_port_id": port_id(row.get("lldpRemPortIdSubtype"), row.get("lldpRemPortId")),
        "remote_port_descr": text(row.get("lldpRemPortDesc")),
        "remote_sys_name": text(row.get("lldpRemSysName")),
        "remote_capabilities": _capabilities(row.get("lldpRemSysCapEnabled")),
    }


def _capabilities(bits: object) -> list[str] | None:
    """Return what a neighbour says that it does; None where it does not say."""
    if not isinstance(bits, bytes) or not bits:
        return None
    if len(bits) > CAPABILITY_OCTETS and (written := HEX_TEXT.match(bits)):  # some agents write them out
        bits = bytes.fromhex(written[1].decode())
    return [name for bit, name in enumerate(CAPABILITIES) if name and bits[0] & 0x80 >> bit]


def own_ids(ports: TableRows, names: Names, bridge: Mapping[int, int] = NO_BRIDGE) -> dict[int, str]:
    """Return what each interface calls itself, by ifIndex: what its neighbours hear as port id."""
    found = {}
    for index, row in ports.items():
        place = _local(index[-1], row, names, bridge)
        given = port_id(row.get("lldpLocPortIdSubtype"), row.get("lldpLocPortId"))
        if given is not None and isinstance(place["if_index"], int):
            found[place["if_index"]] = given
    return found


def _local(port: int, row: Row | None, names: Names, bridge: Mapping[int, int]) -> dict[str, Any]:
    """Return if_index and if_name of a local port number, which only some devices make the ifIndex."""
    number = bridge.get(port, port)  # a bridge's number, else an ifIndex, where nothing says more
    if row is None:
        return names.place(number if number in names.by_index else None)
    given = port_id(row.get("lldpLocPortIdSubtype"), row.get("lldpLocPortId"))
    found = names.find(given, text(row.get("lldpLocPortDesc")))
    if found is None and given is not None and given.isdecimal() and int(given) in names.by_index:
        found = int(given)  # subtype local, Junos: the port's ifIndex, written out
    if found is None and number in names.by_index and row.get("lldpLocPortIdSubtype") not in TELLING:
        found = number
    return names.place(found) if found is not None else {"if_index": None, "if_name": given}


def _addresses(addresses: TableRows, pattern: Sequence[str]) -> dict[tuple[int | None, int | None, int], str]:
    """Return management address by the neighbour's place, IPv4 before IPv6."""
    found: dict[tuple[int | None, int | None, int], tuple[int, str]] = {}
    for index in addresses:
        rest = index[len(pattern) :]
        if len(rest) < FAMILY_AND_LENGTH or rest[0] not in (IPV4, IPV6):
            continue
        octets = rest[2:] if len(rest) - 2 == rest[1] else rest[1:]  # some leave the length out
        written = address(octets)
        place = Key.of(index, pattern).place
        if written is not None and rest[0] <= found.get(place, (IPV6, ""))[0]:
            found[place] = rest[0], written
    return {place: written for place, (_, written) in found.items()}
