"""Half-open connections, which anybody can make without end, against the real kernel (root)."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from correlator.agent import netlink, sockets
from correlator.agent.namespaces import CLONE_NEWNET

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces: needs root"),
]
SYNS = 1000
HERE = "192.0.2.1"
SYN_RECV = "03"


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def syn(source, port):
    """Return an IPv4 packet that asks HERE:9000 for a connection from where nobody answers."""
    ends = socket.inet_aton(source) + socket.inet_aton(HERE)
    bare = struct.pack(">HHIIBBHHH", port, 9000, 1, 0, 5 << 4, 2, 1000, 0, 0)
    whole = checksum(ends + struct.pack(">BBH", 0, 6, len(bare)) + bare)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(bare), 0, 0, 64, 6, 0) + ends
    return head + bare[:16] + struct.pack(">H", whole) + bare[18:]


def flooded():
    """Flood a listening port in a new namespace; return (half-open ones, what is read, what is counted)."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNET):
        pytest.skip("network namespaces cannot be made here")
    for command in (
        "link set lo up",
        f"address add {HERE}/32 dev lo",
        "link add far type veth peer name away",
        "link set far up",
        "link set away up",
        "route add 198.51.100.0/24 dev far",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    for device in ("all", "lo"):
        Path(f"/proc/sys/net/ipv4/conf/{device}/rp_filter").write_text("0")
    diag = sockets.Diag.open(netlink.Inbox())
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with raw, socket.create_server((HERE, 9000), backlog=4096):
        for i in range(SYNS):
            raw.sendto(syn(f"198.51.100.{1 + i % 200}", 20000 + i), (HERE, 0))
        table = Path("/proc/thread-self/net/tcp").read_text().splitlines()
        half_open = sum(line.split()[3] == SYN_RECV for line in table[1:])
        read, counted, events = sockets.decode(diag.dump()), diag.in_use(), []
        diag.drain(events)
    diag.close()
    return half_open, read, counted, events


def test_half_open_connections_are_neither_read_nor_counted():
    with ThreadPoolExecutor(1) as thread_of_its_own:
        half_open, read, counted, events = thread_of_its_own.submit(flooded).result()
    assert half_open > SYNS / 4
    assert read["state"].tolist() == [sockets.LISTEN]
    assert (counted, events) == (1, [])
