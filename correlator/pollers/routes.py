"""A switch's route table with its next hops: inetCidrRouteTable (RFC 4292), else ipCidrRouteTable (RFC 2096).

A table whose length the device does not tell, or that is longer than the profile's bound, is not walked:
it may be the whole internet's. Half a table is not used either: the longest prefix may be missing from it.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from correlator.pollers.device import Device, TableRows
from correlator.pollers.names import Names
from correlator.pollers.text import address, number, unsigned
from correlator.snmp.target import Index

Rows = list[dict[str, Any]]

TABLES = {"routes": "inetCidrRouteNumber", "old_routes": "ipCidrRouteNumber"}
"""The profile's tables, the better one first, and the scalars that say how long each is."""

IPV4_OCTETS = 4
INET_OCTETS = {1: (4, 4), 2: (16, 16), 3: (4, 8), 4: (16, 20)}
"""Octets of the address, and of it with its zone, by InetAddressType (RFC 4001): ipv4, ipv6, ipv4z, ipv6z."""

REMOTE = 4  # inetCidrRouteType and ipCidrRouteType: the next hop is not the destination


async def read(device: Device, names: Names) -> Rows:
    """Return the rows of table routes, without ``at`` and ``device``."""
    if set(TABLES) & set(device.resting):
        return []
    scalars = device.profile.tables["route_numbers"].scalars
    told = await device.values("route_numbers", scalars.values())
    for name, scalar in TABLES.items():
        length, most = unsigned(told.get(scalars[scalar]), 32), device.profile.tables[name].max_rows
        if length and length > most:
            device.remarks.append(f"table {name} was not read: {length} routes, more than {most}")
            return []
        if length:
            found = await device.table(name)
            return [] if name in device.failed else routes(found, names)
    return []


def routes(found: TableRows, names: Names) -> Rows:
    """Return the rows of table routes, of either MIB table; rows whose index makes no sense are left out."""
    rows = []
    for index, row in found.items():
        new = "inetCidrRouteType" in row
        where = _inet_index(index) if new else _index(index)
        kind = number(row.get("inetCidrRouteType", row.get("ipCidrRouteType")))
        if where is None or kind is None:
            continue
        prefix, next_hop = where
        if_index = number(row.get("inetCidrRouteIfIndex", row.get("ipCidrRouteIfIndex")))
        place = names.place(if_index or None)
        rows.append({"prefix": prefix, "next_hop": next_hop if kind == REMOTE else None, **place})
    return rows


def _index(index: Index) -> tuple[str, str | None] | None:
    """Return prefix and next hop of an index of destination, mask, TOS, next hop; None where it is none."""
    if len(index) != 3 * IPV4_OCTETS + 1:
        return None
    destination, mask, next_hop = (address(index[start : start + IPV4_OCTETS]) for start in (0, 4, 9))
    prefix = _prefix(destination, mask)
    return None if prefix is None else (prefix, next_hop)


def _inet_index(index: Index) -> tuple[str, str | None] | None:
    """Return prefix and next hop of an index of destination, length, policy, next hop; None if it is none."""
    destination, rest = _inet_address(index)
    if len(rest) < 2 or len(rest) < 2 + rest[1]:
        return None
    prefix = _prefix(destination, str(rest[0]))
    next_hop, _ = _inet_address(rest[2 + rest[1] :])
    return None if prefix is None else (prefix, next_hop)


def _inet_address(index: Index) -> tuple[str | None, Index]:
    """Return the address at an index's front (type, length, octets; a zone is left out), and the rest."""
    if len(index) < 2 or len(index) < 2 + index[1]:
        return None, ()
    octets, whole = INET_OCTETS.get(index[0], (0, 0))
    end = 2 + index[1]
    return address(index[2 : 2 + octets]) if index[1] == whole else None, index[end:]


def _prefix(destination: str | None, length: str | None) -> str | None:
    """Return address/length; ``length`` may be a mask. None where they make no network."""
    try:
        return str(ip_network(f"{destination}/{length}", strict=False))
    except ValueError:
        return None
