"""Neighbours by LLDP (IEEE 802.1AB, LLDP-MIB)."""

from __future__ import annotations

from typing import Any

from correlator.pollers.device import Row, TableRows
from correlator.pollers.names import Names
from correlator.pollers.text import address, chassis_id, port_id, text

IPV4, IPV6 = 1, 2  # AddressFamilyNumbers
TELLING = (1, 3, 5)  # LldpPortIdSubtype alias, MAC, name: what is not found by these is not guessed


def neighbors(
    remotes: TableRows, ports: TableRows, addresses: TableRows, names: Names
) -> list[dict[str, Any]]:
    """Return the rows of table neighbors.

    Rows of an older time mark are passed over when the same neighbour has a newer one. A local port
    that cannot be found keeps the name that the device gives it and has no ifIndex.
    """
    newest: dict[tuple[int, int], int] = {}
    for time_mark, port, remote in (index for index in remotes if len(index) == 3):
        newest[port, remote] = max(time_mark, newest.get((port, remote), 0))
    known = _addresses(addresses)
    return [
        _neighbor(remotes[time_mark, port, remote])
        | _local(port, ports.get((port,)), names)
        | {"remote_address": known.get((port, remote))}
        for (port, remote), time_mark in sorted(newest.items())
    ]


def _neighbor(row: Row) -> dict[str, Any]:
    return {
        "protocol": "lldp",
        "remote_chassis_id": chassis_id(row.get("lldpRemChassisIdSubtype"), row.get("lldpRemChassisId")),
        "remote_port_id": port_id(row.get("lldpRemPortIdSubtype"), row.get("lldpRemPortId")),
        "remote_port_descr": text(row.get("lldpRemPortDesc")),
        "remote_sys_name": text(row.get("lldpRemSysName")),
    }


def _local(port: int, row: Row | None, names: Names) -> dict[str, Any]:
    """Return if_index and if_name of a local port number, which only some devices make the ifIndex."""
    if row is None:
        return names.place(port if port in names.by_index else None)
    given = port_id(row.get("lldpLocPortIdSubtype"), row.get("lldpLocPortId"))
    found = names.find(given, text(row.get("lldpLocPortDesc")))
    if found is None and given is not None and given.isdecimal() and int(given) in names.by_index:
        found = int(given)  # subtype local, Junos: the port's ifIndex, written out
    if found is None and port in names.by_index and row.get("lldpLocPortIdSubtype") not in TELLING:
        found = port
    return names.place(found) if found is not None else {"if_index": None, "if_name": given}


def _addresses(addresses: TableRows) -> dict[tuple[int, int], str]:
    """Return management address by local port and remote index, IPv4 before IPv6."""
    found: dict[tuple[int, int], tuple[int, str]] = {}
    for index in addresses:
        if len(index) < 5 or index[3] not in (IPV4, IPV6):
            continue
        octets = index[5:] if len(index) - 5 == index[4] else index[4:]  # some leave the length out
        written = address(octets)
        place = index[1], index[2]
        if written is not None and index[3] <= found.get(place, (IPV6, ""))[0]:
            found[place] = index[3], written
    return {place: written for place, (_, written) in found.items()}
