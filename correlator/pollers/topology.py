"""What a switch says about itself, its interfaces, and who is behind them."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from correlator.pollers import cdp, lldp, routes
from correlator.pollers.device import Device, Row, TableRows
from correlator.pollers.names import Names, if_name
from correlator.pollers.text import (
    MAC_LENGTH,
    address,
    chassis_id,
    mac,
    number,
    physical_address,
    text,
    unsigned,
)
from correlator.snmp.target import Value

log = logging.getLogger(__name__)

Rows = list[dict[str, Any]]

ADMIN = {1: "up", 2: "down", 3: "testing"}
OPER = ADMIN | {4: "unknown", 5: "dormant", 6: "not_present", 7: "lower_layer_down"}  # RFC 2863
STP = {2: "blocking", 3: "blocking", 4: "blocking", 5: "forwarding"}  # RFC 4188: only 5 forwards
SPEED_NOT_SAID = 2**32 - 1  # ifSpeed of what is faster than it can say
VIRTUAL, LAG = 53, 161  # IANAifType; 161 is ieee8023adLag
ETHERNET = (6, 26, 62, 69, 117)  # what older agents call fast and gigabit Ethernet, too
STACK_ACTIVE = 1  # RowStatus
LAG_NAME = re.compile(r"(?i)^(po|port-?channel|lag|ae|bond|trk|trunk|eth-trunk|bundle-ether|agg)[ -]?\d+$")
STATION_INVALID = 2  # dot1dTpFdbStatus
INET_OCTETS = {1: 4, 2: 16, 3: 4, 4: 16}  # by InetAddressType: ipv4, ipv6, and both with a zone


def chassis(system: Row) -> str | None:
    """Return the device's own chassis id: LLDP's, else the bridge's MAC address."""
    own = chassis_id(system.get("lldpLocChassisIdSubtype"), system.get("lldpLocChassisId"))
    return own or mac(system.get("dot1dBaseBridgeAddress"))


async def read(device: Device) -> dict[str, Rows]:
    """Return rows of interfaces, neighbors, stations, arp and routes, without ``at`` and ``device``."""
    found = await device.table("interfaces")
    names = Names.of(found)
    bridge_ports = await device.table("bridge_ports")
    lldp_ports = await device.table("lldp_ports")
    bridge = _bridge(bridge_ports, names)
    own_ids = lldp.own_ids(lldp_ports, names, bridge)
    rows = interfaces(found, await device.table("aggregates"), await device.table("stack"), bridge_ports)
    return {
        "interfaces": [row | {"lldp_port_id": own_ids.get(row["if_index"])} for row in rows],
        "neighbors": await neighbors(device, names, lldp_ports, bridge),
        "stations": await _stations(device, bridge_ports, names),
        "arp": await _arp(device, names),
        "routes": await routes.read(device, names),
    }


def interfaces(found: TableRows, aggregates: TableRows, stack: TableRows, bridge_ports: TableRows) -> Rows:
    """Return the rows of table interfaces."""
    names = Names.of(found)
    lag_of = _aggregates(aggregates) or _stacked(stack, found)
    stp = {
        number(row.get("dot1dBasePortIfIndex")): number(row.get("dot1dStpPortState"))
        for row in bridge_ports.values()
    }
    return [
        _interface(index[0], row)
        | {
            "aggregate_if_name": names.name(lag_of.get(index[0])),
            "stp_state": STP.get(stp.get(index[0]) or 0),
        }
        for index, row in sorted(found.items())
        if len(index) == 1 and if_name(row) is not None
    ]


def stations(found: TableRows, bridge_ports: TableRows, names: Names) -> Rows:
    """Return the rows of table stations; the index is a MAC address, perhaps behind an FDB id.

    A station that the device knows, but behind no port (its own address, or one seen elsewhere), has
    no interface.
    """
    rows = []
    for index, row in found.items():
        station, vlan = mac(index[-MAC_LENGTH:]), index[:-MAC_LENGTH]
        port = number(row.get("dot1qTpFdbPort", row.get("dot1dTpFdbPort")))
        status = number(row.get("dot1qTpFdbStatus", row.get("dot1dTpFdbStatus")))
        if station is None or port is None or status == STATION_INVALID:
            continue
        if_index = number(bridge_ports.get((port,), {}).get("dot1dBasePortIfIndex"))
        rows.append({"mac": station, "vlan": vlan[0] if vlan else None, **names.place(if_index)})
    return rows


def arp(found: TableRows, names: Names) -> Rows:
    """Return the rows of table arp, of ipNetToPhysicalTable or ipNetToMediaTable."""
    rows = []
    for index, row in found.items():
        new = "ipNetToPhysicalPhysAddress" in row
        said = row.get("ipNetToPhysicalPhysAddress", row.get("ipNetToMediaPhysAddress"))
        station = physical_address(said)
        ip = _inet_address(index[1:]) if new else address(index[1:])
        if station is not None and ip is not None:
            rows.append({"ip": ip, "mac": station, **names.place(index[0])})
    return rows


async def neighbors(
    device: Device, names: Names, lldp_ports: TableRows, bridge: Mapping[int, int] = lldp.NO_BRIDGE
) -> Rows:
    """Return what LLDP tells, by its second MIB where the first is not there, and what CDP tells.

    ``lldp_ports``: the table of that name, which says what LLDP's local port numbers mean; ``bridge``:
    ifIndex by bridge port, which they are where nothing else is said.
    """
    pattern = device.profile.tables["lldp_remotes"].index
    told = lldp.neighbors(
        await device.table("lldp_remotes"),
        lldp_ports,
        await device.table("lldp_addresses"),
        names,
        pattern,
        bridge,
    )
    if not told:
        told = lldp.neighbors(
            await device.table("lldp_v2_remotes"),
            {},
            await device.table("lldp_v2_addresses"),
            names,
            device.profile.tables["lldp_v2_remotes"].index,
        )
    return told + cdp.neighbors(await device.table("cdp"), names)


def _bridge(bridge_ports: TableRows, names: Names) -> dict[int, int]:
    """Return ifIndex by bridge port, of interfaces that there are."""
    found = {index[0]: number(row.get("dot1dBasePortIfIndex")) for index, row in bridge_ports.items()}
    return {port: if_index for port, if_index in found.items() if if_index in names.by_index and if_index}


async def _stations(device: Device, bridge_ports: TableRows, names: Names) -> Rows:
    """Return the stations of both tables; what the one with VLANs has told is not told again."""
    rows = stations(await device.table("vlan_stations"), bridge_ports, names)
    known = {(row["mac"], row["if_index"]) for row in rows}
    further = stations(await device.table("stations"), bridge_ports, names)
    return rows + [row for row in further if (row["mac"], row["if_index"]) not in known]


async def _arp(device: Device, names: Names) -> Rows:
    rows = arp(await device.table("arp"), names) + arp(await device.table("old_arp"), names)
    return list({(row["ip"], row["if_index"]): row for row in reversed(rows)}.values())[::-1]


def _interface(if_index: int, row: Row) -> dict[str, Any]:
    return {
        "if_index": if_index,
        "if_name": if_name(row),
        "if_descr": text(row.get("ifDescr")),
        "if_alias": text(row.get("ifAlias")),
        "if_type": number(row.get("ifType")),
        "admin_status": ADMIN.get(number(row.get("ifAdminStatus")) or 0),
        "oper_status": OPER.get(number(row.get("ifOperStatus")) or 0),
        "speed_bps": speed_bps(row.get("ifSpeed"), row.get("ifHighSpeed")),
        "mac": physical_address(row.get("ifPhysAddress")),
    }


def speed_bps(if_speed: Value, if_high_speed: Value) -> int | None:
    """Return the speed in bit/s: exact where ifSpeed can say it, else ifHighSpeed's millions."""
    fast, slow = unsigned(if_high_speed, 32) or 0, unsigned(if_speed, 32) or 0
    if fast * 1_000_000 >= SPEED_NOT_SAID:
        return fast * 1_000_000
    return (slow if slow < SPEED_NOT_SAID else 0) or fast * 1_000_000 or None


def _aggregates(aggregates: TableRows) -> dict[int, int]:
    """Return aggregate's ifIndex by member's: whom the port is attached to, else whom it selected."""
    lag_of = {}
    for index, row in aggregates.items():
        attached = number(row.get("dot3adAggPortAttachedAggID"))
        selected = number(row.get("dot3adAggPortSelectedAggID"))
        aggregate = attached or selected
        if aggregate and aggregate != index[0]:
            lag_of[index[0]] = aggregate
    return lag_of


def _stacked(stack: TableRows, found: TableRows) -> dict[int, int]:
    """Return aggregate's ifIndex by member's, from which interface runs above which.

    An aggregate is of its type, or is called like one: IOS and others call it virtual.
    """
    return {
        index[1]: index[0]
        for index, row in stack.items()
        if len(index) == 2
        and index[1]
        and row.get("ifStackStatus") == STACK_ACTIVE
        and _is_lag(found.get((index[0],), {}))
        and found.get((index[1],), {}).get("ifType") in (*ETHERNET, None)
    }


def _is_lag(row: Row) -> bool:
    if row.get("ifType") == LAG:
        return True
    return row.get("ifType") in (VIRTUAL, None) and bool(LAG_NAME.match(if_name(row) or ""))


def _inet_address(index: Sequence[int]) -> str | None:
    """Return the address in an index of type, length, octets (RFC 4001); a zone is left out."""
    if len(index) < 2 or len(index) != index[1] + 2:
        return None
    return address(index[2 : 2 + INET_OCTETS.get(index[0], 0)])
