"""The host's network interfaces, their addresses and what they hear by LLDP; overlay forwarding tables.

Read by rtnetlink(7), not from /sys, which shows the namespace that mounted it.
"""

from __future__ import annotations

import array
import fcntl
import ipaddress
import json
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from correlator.agent import netlink
from correlator.agent.conntrack import Network

GET_LINK, GET_ADDRESS, GET_NEIGHBOUR = 18, 22, 30
LINK_MAC, LINK_NAME, LINK_MASTER, LINK_KIND = 1, 3, 10, 18  # IFLA_ADDRESS, _IFNAME, _MASTER, _LINKINFO
KIND_NAME = 1  # IFLA_INFO_KIND
ADDRESS, LOCAL = 1, 2  # IFA_ADDRESS, IFA_LOCAL
NEIGHBOUR_ADDRESS, NEIGHBOUR_MAC = 1, 2  # NDA_DST, NDA_LLADDR
IFF_LOOPBACK = 0x8
ETHTOOL, GET_SETTINGS = 0x8946, 0x1  # SIOCETHTOOL, ETHTOOL_GSET
UNKNOWN_SPEED = 0xFFFF_FFFF
LLDP_S = 5.0
MAX_LLDP_BYTES = 1 << 20
VIRTUAL_KINDS = {"veth", "tun"}  # what joins containers and virtual machines to a bridge


@dataclass(frozen=True)
class Interface:
    """One network interface. ``kind`` is the kernel's name of a virtual one, else empty."""

    index: int
    name: str
    kind: str
    mac: str | None
    master: int | None
    loopback: bool
    addresses: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    speed_bps: int | None = None


@dataclass(frozen=True)
class Lldp:
    """The neighbour that one interface hears."""

    chassis_id: str | None = None
    port_id: str | None = None
    system_name: str | None = None


def interfaces() -> list[Interface]:
    """Return the interfaces of the calling thread's namespace. Raises OSError."""
    with netlink.open_socket(netlink.ROUTE) as asking:
        links = [_link(body) for _, body in netlink.dump(asking, GET_LINK, bytes(16))]
        held: dict[int, list[tuple[str, Network]]] = {}
        for _, body in netlink.dump(asking, GET_ADDRESS, bytes(8)):
            index, address, network = _held(body)
            if address is not None and network is not None:
                held.setdefault(index, []).append((address, network))
    found = []
    for link in links:
        of_link = held.get(link.index, [])
        found.append(
            Interface(
                link.index, link.name, link.kind, link.mac, link.master, link.loopback,
                tuple(a for a, _ in of_link), tuple(n for _, n in of_link), _speed(link.name),
            )
        )  # fmt: skip
    return found


def _link(body: memoryview) -> Interface:
    _, _, index, flags = struct.unpack_from("=BxHiI", body)
    found = netlink.attributes(body[16:])
    kind = netlink.attributes(found[LINK_KIND]).get(KIND_NAME, b"") if LINK_KIND in found else b""
    master = found.get(LINK_MASTER)
    mac = bytes(found.get(LINK_MAC, b""))
    return Interface(
        index=index,
        name=_text(found.get(LINK_NAME, b"")),
        kind=_text(kind),
        mac=mac.hex(":") if len(mac) == 6 else None,
        master=int.from_bytes(master, "little") if master is not None else None,
        loopback=bool(flags & IFF_LOOPBACK),
    )


def _text(raw: bytes | memoryview) -> str:
    return bytes(raw).rstrip(b"\0").decode("utf-8", "replace")


def _held(body: memoryview) -> tuple[int, str | None, Network | None]:
    """Return (interface index, address, its network); without link-local addresses."""
    _, prefix, _, _, index = struct.unpack_from("=BBBBI", body)
    found = netlink.attributes(body[8:])
    raw = found.get(LOCAL, found.get(ADDRESS))
    if raw is None or len(raw) not in (4, 16):
        return index, None, None
    address = ipaddress.ip_address(bytes(raw))
    if address.is_link_local:
        return index, None, None
    return index, str(address), ipaddress.ip_network(f"{address}/{prefix}", strict=False)


def _speed(name: str) -> int | None:
    """Return an interface's speed in bit/s, None where it has none (ethtool; 0 and all ones mean unknown)."""
    settings = array.array("B", struct.pack("=I40x", GET_SETTINGS))
    request = struct.pack("16sP16x", name.encode()[:15], settings.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            fcntl.ioctl(asking, ETHTOOL, request)
        except OSError:
            return None
    low, high = struct.unpack_from("=H", settings, 12)[0], struct.unpack_from("=H", settings, 28)[0]
    mbps = high << 16 | low
    return None if mbps in (0, 0xFFFF, 0xFFFF_FFFF) else mbps * 1_000_000


def nics(found: Iterable[Interface]) -> list[Interface]:
    """Return the interfaces by which the host reaches others: physical ones, and those with an address.

    Left out: the bridges and veth pairs that join containers only.
    """
    by_index = {one.index: one for one in found}
    carrying = {one.master for one in by_index.values() if one.kind not in VIRTUAL_KINDS and one.master}
    kept = []
    for one in by_index.values():
        physical = not one.kind and not one.loopback
        outward = bool(_outward(one)) and (one.kind != "bridge" or one.index in carrying)
        if physical or outward or is_member(one, by_index):
            kept.append(one)
    return kept


def _outward(one: Interface) -> list[str]:
    return [text for text in one.addresses if not ipaddress.ip_address(text).is_loopback]


def is_member(one: Interface, by_index: Mapping[int, Interface]) -> bool:
    """Return whether an interface is a member of a bond."""
    return bond(one, by_index) is not None


def bond(one: Interface, by_index: Mapping[int, Interface]) -> str | None:
    """Return the name of the bond that an interface is a member of."""
    master = by_index.get(one.master) if one.master else None
    return master.name if master and master.kind in ("bond", "team") else None


def container_networks(found: Iterable[Interface]) -> list[Network]:
    """Return the networks of bridges, behind which containers are, and the host's own addresses."""
    own: list[Network] = []
    for one in found:
        own += one.networks if one.kind == "bridge" else map(ipaddress.ip_network, one.addresses)
    return own


def lldp(control: Path | None = None) -> dict[str, Lldp]:
    """Return, by interface name, the neighbour that lldpd hears; empty where lldpd does not run.

    ``control`` is lldpd's socket where that is not the usual one.
    """
    program = shutil.which("lldpcli")
    if program is None:
        return {}
    command = [program, *(["-u", str(control)] if control else []), "-f", "json0", "show", "neighbors"]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=LLDP_S, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return {}
    try:
        return heard(json.loads(answer.stdout[:MAX_LLDP_BYTES]))
    except (ValueError, RecursionError):
        return {}


def heard(document: Any) -> dict[str, Lldp]:
    """Return the neighbours in what ``lldpcli -f json0 show neighbors`` printed."""
    neighbours: dict[str, Lldp] = {}
    for part in _listed(document, "lldp"):
        for interface in _listed(part, "interface"):
            chassis = next(iter(_listed(interface, "chassis")), {})
            port = next(iter(_listed(interface, "port")), {})
            name = interface.get("name")
            if isinstance(name, str) and name not in neighbours:
                neighbours[name] = Lldp(_value(chassis, "id"), _value(port, "id"), _value(chassis, "name"))
    return neighbours


def _listed(document: Any, key: str) -> list[dict[str, Any]]:
    inner = document.get(key) if isinstance(document, dict) else None
    return [one for one in inner if isinstance(one, dict)] if isinstance(inner, list) else []


def _value(document: Any, key: str) -> str | None:
    first = next(iter(_listed(document, key)), {})
    text = first.get("value")
    if not isinstance(text, str) or not text:
        return None
    return text.lower() if first.get("type") == "mac" else text


def overlay() -> dict[str, str]:
    """Return address of a container → address of the host it is on, as this overlay namespace forwards.

    To be called inside the namespace of an overlay network: its bridge's forwarding table gives
    the tunnel's end for each MAC, its neighbour table the MAC of each address. Raises OSError.
    """
    with netlink.open_socket(netlink.ROUTE) as asking:
        tunnels: dict[bytes, str] = {}
        for mac, peer in _neighbours(asking, socket.AF_BRIDGE):
            if len(peer) in (4, 16):
                tunnels[mac] = str(ipaddress.ip_address(peer))
        found = {}
        for mac, address in _neighbours(asking, socket.AF_INET):
            if mac in tunnels and len(address) in (4, 16):
                found[str(ipaddress.ip_address(address))] = tunnels[mac]
    return found


def _neighbours(asking: socket.socket, family: int) -> Iterable[tuple[bytes, bytes]]:
    """Yield (MAC, address) of each entry of a neighbour or forwarding table."""
    for _, body in netlink.dump(asking, GET_NEIGHBOUR, struct.pack("=BxxxiHBB", family, 0, 0, 0, 0)):
        found = netlink.attributes(body[12:])
        if NEIGHBOUR_MAC in found and NEIGHBOUR_ADDRESS in found:
            yield bytes(found[NEIGHBOUR_MAC]), bytes(found[NEIGHBOUR_ADDRESS])
