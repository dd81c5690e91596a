"""What NAT does to connections: conntrack's entries, by events and dumps (nfnetlink_conntrack.h).

The two ends of a connection see different addresses when one of the hosts rewrites them. What both
can know is the tuple on the wire between the hosts; conntrack of each host has it.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from correlator.agent import netlink

NEW, DUMP_ALL = 0x100, 0x101  # (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_NEW, …_GET
GROUP_NEW = 1  # bit mask of NFNLGRP_CONNTRACK_NEW
EVENT_BUFFER = 8 << 20
ORIGINAL, REPLY, STATUS = 1, 2, 3  # CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_STATUS
REWRITTEN = 0x30  # IPS_SRC_NAT | IPS_DST_NAT
TUPLE_IP, TUPLE_PROTO = 1, 2
PROTO_NUMBER, SOURCE_PORT, DESTINATION_PORT = 1, 2, 3
TCP = 6
MAPPED = bytes(10) + b"\xff\xff"
MAX_ENTRIES = 32_768  # about 250 bytes each

Tuple = bytes  # 36 bytes: own address (16), peer's address (16), own port, peer's port (big endian)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Entry(NamedTuple):
    """One rewritten TCP connection: each way as (source, destination, source port, destination port)."""

    original: Tuple
    reply: Tuple


def address(raw: bytes) -> str:
    """Return a 16-byte address as text, IPv4 where it is a mapped one."""
    if raw[:12] == MAPPED:
        return socket.inet_ntop(socket.AF_INET, raw[12:])
    return socket.inet_ntop(socket.AF_INET6, raw)


def packed(text: str) -> bytes:
    """Return an address as 16 bytes, IPv4 mapped. Raises ValueError."""
    raw = ipaddress.ip_address(text.partition("%")[0]).packed
    return MAPPED + raw if len(raw) == 4 else raw


def turned(one: Tuple) -> Tuple:
    """Return the same connection as the other end sees it."""
    return one[16:32] + one[:16] + one[34:36] + one[32:34]


def parse(body: memoryview) -> Entry | None:
    """Return the entry in a conntrack message if NAT rewrote it and it is TCP, else None."""
    found = netlink.attributes(body[4:])
    status = found.get(STATUS)
    if status is None or not int.from_bytes(status[:4], "big") & REWRITTEN:
        return None
    original, reply = _tuple(found.get(ORIGINAL)), _tuple(found.get(REPLY))
    return Entry(original, reply) if original and reply else None


def _tuple(content: memoryview | None) -> Tuple | None:
    if content is None:
        return None
    parts = netlink.attributes(content)
    if TUPLE_IP not in parts or TUPLE_PROTO not in parts:
        return None
    addresses, protocol = netlink.attributes(parts[TUPLE_IP]), netlink.attributes(parts[TUPLE_PROTO])
    source, destination = (
        (addresses.get(1), addresses.get(2)) if 1 in addresses else (addresses.get(3), addresses.get(4))
    )
    ports = protocol.get(SOURCE_PORT), protocol.get(DESTINATION_PORT)
    if bytes(protocol.get(PROTO_NUMBER, b"")) != bytes([TCP]) or None in (source, destination, *ports):
        return None
    ends = [MAPPED + bytes(end) if len(end) == 4 else bytes(end) for end in (source, destination) if end]
    return b"".join([*ends, *(bytes(port) for port in ports if port)])


class Nat:
    """The wire tuples of connections that this host rewrites: the ``limit`` that were used last.

    ``is_local`` tells whether an address (16 bytes) is the host's own or a container's behind it.
    """

    def __init__(self, is_local: Callable[[bytes], bool], limit: int = MAX_ENTRIES) -> None:
        self._wire: OrderedDict[Tuple, Tuple] = OrderedDict()
        self.is_local = is_local
        self._limit = limit

    def __len__(self) -> int:
        return len(self._wire)

    def add(self, entry: Entry) -> None:
        """Remember one entry.

        The client's socket has the original tuple and the wire has the reply's, turned; the server's
        socket has the reply's and the wire has the original, turned. Where both ends are on this
        host there is no wire, and the server's view stands for both.
        """
        self._put(entry.original, turned(entry.reply))
        both_here = self.is_local(entry.original[:16]) and self.is_local(entry.reply[:16])
        if not both_here:
            self._put(entry.reply, turned(entry.original))

    def _put(self, key: Tuple, wire: Tuple) -> None:
        if key == wire:
            return
        self._wire[key] = wire
        self._wire.move_to_end(key)
        if len(self._wire) > self._limit:
            self._wire.popitem(last=False)

    def wire(self, seen: Tuple) -> Tuple:
        """Return the tuple on the wire of the connection that a socket sees as ``seen``."""
        wire = self._wire.get(seen)
        if wire is None:
            return seen
        self._wire.move_to_end(seen)  # a long connection is asked for again and again
        return wire


class Conntrack:
    """The host's conntrack, listened to. ``lost`` counts how often the kernel dropped events."""

    def __init__(self) -> None:
        self.events = netlink.open_socket(netlink.NETFILTER, groups=GROUP_NEW, receive_buffer=EVENT_BUFFER)
        self.events.setblocking(False)
        self.lost = 0

    def new(self, most: int = 20_000) -> list[Entry]:
        """Return rewritten connections that began since the last call, at most ``most`` messages of them."""
        entries: list[Entry] = []
        for _ in range(most):
            try:
                datagram = self.events.recv(netlink.LARGEST)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.lost += 1
                continue
            entries += _entries(datagram)
        return entries

    def all(self) -> list[Entry]:
        """Return the rewritten connections that conntrack holds. Raises OSError."""
        asking = netlink.open_socket(netlink.NETFILTER)
        try:
            entries: list[Entry] = []
            body = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)
            for kind, content in netlink.dump(asking, DUMP_ALL, body):
                entry = parse(content) if kind == NEW else None
                if entry:
                    entries.append(entry)
            return entries
        finally:
            asking.close()

    def close(self) -> None:
        """Stop listening."""
        netlink.closed(self.events)


def _entries(datagram: bytes) -> list[Entry]:
    parsed = (parse(body) for kind, body in netlink.messages(datagram) if kind == NEW)
    return [entry for entry in parsed if entry]


def within(networks: Sequence[Network]) -> Callable[[bytes], bool]:
    """Return a test whether a 16-byte address lies in one of ``networks``."""
    spans = [_span(network) for network in networks]

    def is_within(raw: bytes) -> bool:
        return any(first <= raw <= last for first, last in spans)

    return is_within


def _span(network: Network) -> tuple[bytes, bytes]:
    return packed(str(network.network_address)), packed(str(network.broadcast_address))
