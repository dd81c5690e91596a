"""Netlink sockets and messages, as far as the agent needs them (netlink(7), rtnetlink(7))."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterator

import numpy as np

ROUTE, SOCK_DIAG, NETFILTER = 0, 4, 12  # protocols, linux/netlink.h
REQUEST, DUMP = 0x1, 0x300  # NLM_F_REQUEST, NLM_F_DUMP
ERROR, DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port id
ATTRIBUTE = struct.Struct("=HH")  # length, type
TYPE_MASK = 0x3FFF  # NLA_TYPE_MASK: without the nested and byte-order flags
SO_RCVBUFFORCE = 33
ANSWER_S = 2.0  # the kernel answers within microseconds; this bounds a hang
LARGEST = 1 << 16  # a datagram of a dump is at most 32 KiB

SLOTS, SLOT = 256, 1024  # datagrams of one call, and bytes for each; a socket's message takes about 400
PART = np.dtype([("base", "u8"), ("length", "u8")])  # struct iovec
HEADER_OF_MANY = np.dtype(  # struct mmsghdr: struct msghdr, and how long what came is
    {
        "names": ["parts", "count", "length"],
        "formats": ["u8", "u8", "u4"],
        "offsets": [16, 24, 56],
        "itemsize": 64,
    }
)

Attributes = dict[int, memoryview]

_libc = ctypes.CDLL(None, use_errno=True)


class NetlinkError(OSError):
    """The kernel refused a request; ``errno`` says why."""


def open_socket(protocol: int, *, groups: int = 0, receive_buffer: int = 0) -> socket.socket:
    """Return a netlink socket in the calling thread's network namespace.

    ``groups`` is the bit mask of multicast groups; ``receive_buffer`` bytes are forced where
    CAP_NET_ADMIN allows it, else capped by net.core.rmem_max. Raises OSError.
    """
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    try:
        if receive_buffer:
            _widen(opened, receive_buffer)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(ANSWER_S), 0))
        opened.bind((0, groups))
    except OSError:
        opened.close()
        raise
    return opened


def _widen(opened: socket.socket, size: int) -> None:
    try:
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def message(kind: int, flags: int, body: bytes, sequence: int = 1) -> bytes:
    """Return one netlink message."""
    return HEADER.pack(HEADER.size + len(body), kind, flags, sequence, 0) + body


def messages(datagram: bytes | memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield (type, body) of each message in a datagram; what is cut short ends it."""
    view, offset = memoryview(datagram), 0
    while offset + HEADER.size <= len(view):
        length, kind = HEADER.unpack_from(view, offset)[:2]
        if length < HEADER.size or offset + length > len(view):
            return
        yield kind, view[offset + HEADER.size : offset + length]
        offset += (length + 3) & ~3


def attributes(body: memoryview) -> Attributes:
    """Return the attributes in ``body`` by type; what is cut short ends them."""
    found: Attributes = {}
    offset = 0
    while offset + 4 <= len(body):
        length, kind = ATTRIBUTE.unpack_from(body, offset)
        if length < 4 or offset + length > len(body):
            break
        found[kind & TYPE_MASK] = body[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute, padded."""
    return ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def dump(opened: socket.socket, kind: int, body: bytes) -> Iterator[tuple[int, memoryview]]:
    """Yield (type, body) of each message of a dump. Raises NetlinkError or TimeoutError."""
    opened.send(message(kind, REQUEST | DUMP, body))
    while True:
        for answered, content in messages(receive(opened)):
            if answered == DONE:
                return
            if answered == ERROR:
                raise_error(content)
            yield answered, content


def receive(opened: socket.socket) -> bytes:
    """Return the next datagram. Raises TimeoutError when none comes in time, else OSError."""
    try:
        return opened.recv(LARGEST)
    except BlockingIOError:
        raise TimeoutError("the kernel did not answer") from None


class Inbox:
    """Room for many small datagrams, which one call of recvmmsg(2) fills: a fraction of a call for each."""

    def __init__(self) -> None:
        self._slots = np.zeros((SLOTS, SLOT), "u1")
        self._parts = np.zeros(SLOTS, PART)
        self._parts["base"] = self._slots.ctypes.data + SLOT * np.arange(SLOTS, dtype="u8")
        self._parts["length"] = SLOT
        self._heads = np.zeros(SLOTS, HEADER_OF_MANY)
        self._heads["parts"] = self._parts.ctypes.data + PART.itemsize * np.arange(SLOTS, dtype="u8")
        self._heads["count"] = 1
        self._lengths = self._heads["length"]
        self._at = ctypes.c_void_p(self._heads.ctypes.data)

    def receive(self, descriptor: int) -> tuple[bytes, int]:
        """Return (the datagrams that wait at a socket, each padded to 4 bytes; their number).

        At most SLOTS of them; none where none waits. Raises OSError: ENOBUFS where the kernel dropped
        some before, EMSGSIZE where one did not fit.
        """
        flags = socket.MSG_DONTWAIT | socket.MSG_TRUNC  # the latter: say how long it was, not how much fit
        came = int(_libc.recvmmsg(descriptor, self._at, SLOTS, flags, None))
        if came < 0:
            number = ctypes.get_errno()
            if number in (errno.EAGAIN, errno.EINTR):
                return b"", 0
            raise OSError(number, os.strerror(number))
        sizes = self._lengths[:came].tolist()
        if max(sizes) > SLOT:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        if sizes.count(sizes[0]) == came:
            return self._slots[:came, : sizes[0] + 3 & ~3].tobytes(), came
        return b"".join([self._slots[i, : size + 3 & ~3].tobytes() for i, size in enumerate(sizes)]), came


def raise_error(content: memoryview) -> None:
    """Raise NetlinkError if an NLMSG_ERROR body carries an error."""
    number = -int(struct.unpack_from("=i", content)[0])
    if number:
        raise NetlinkError(number, errno.errorcode.get(number, str(number)))


def closed(*sockets: socket.socket) -> None:
    """Close sockets, whatever they say."""
    for one in sockets:
        with contextlib.suppress(OSError):
            one.close()
