"""Answers of sock_diag, made by hand, and rows one by one."""

from __future__ import annotations

import socket
import struct

import numpy as np

from correlator.agent import netlink, sockets


def message(
    *,
    kind=sockets.BY_FAMILY,
    family=socket.AF_INET,
    state=1,
    sport=40000,
    dport=9000,
    src="192.0.2.1",
    dst="192.0.2.2",
    cookie=7,
    inode=99,
    info_bytes=280,
    cgroup=None,
    **fields,
):
    """Return one answer as the kernel writes it, with a tcp_info of ``info_bytes``."""
    info = bytearray(280)
    for name, value in fields.items():
        offset, form = sockets.TCP_INFO[name]
        info[offset : offset + int(form[-1])] = value.to_bytes(int(form[-1]), "little")
    ends = b"".join(socket.inet_pton(family, text).ljust(16, b"\0") for text in (src, dst))
    body = struct.pack("=BBBBHH", family, state, 0, 0, socket.htons(sport), socket.htons(dport)) + ends
    body += struct.pack("=IQIIIII", 0, cookie, 0, 0, 0, 0, inode)
    if cgroup is not None:
        body += netlink.attribute(sockets.CGROUP_ID, struct.pack("=Q", cgroup))
    if info_bytes:
        body += netlink.attribute(sockets.INFO, bytes(info[:info_bytes]))
    whole = netlink.message(kind, 0, body)
    return whole + bytes(-len(whole) % 4)


def each(rows):
    """Return (key, client ports, sums by name) of each row of an interval."""
    return zip(rows.keys, rows.ports, rows.sums.view(np.recarray), strict=True)
