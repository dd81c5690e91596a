"""Datagrams out and in, many a system call: sendmmsg and recvmmsg through ctypes, else ordinary calls."""

from __future__ import annotations

import ctypes
import errno
import select
import socket
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from correlator.snmp.codec import STRIDE, Datagrams
from correlator.snmp.kinds import Bytes, Ints, Words

RECEIVE_BUFFER = 16 * 2**20  # bytes wanted of the kernel; it gives what net.core.rmem_max allows
KERNEL_COST = 2560  # bytes of that buffer which a reply takes up with what the kernel keeps beside it
BATCH = 500  # datagrams a call: what the service asks at a time goes out in whole batches, and stays in step
KEPT = 1300  # datagrams that the buffer holds: a batch more than are read at once
SOCKET_ADDRESS = 32  # bytes kept of each; the longest, that of IPv6, has 28
LINGER_S = 0.005  # wait for more answers before reading some: many at once are cheaper
LINGERS = 4  # at most, for one batch
WORTH = 8  # answers on their way for which that pays
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35  # Linux; without the right to force, SO_RCVBUF holds
MESSAGE = 8  # words of 8 bytes in struct mmsghdr, on machines of 64 bits
CONTROL = 4  # words of a control message with a struct timespec

Address = tuple[socket.AddressFamily, bytes]


def address(family: socket.AddressFamily, place: tuple[object, ...]) -> Address:
    """Return a socket address as the kernel writes it."""
    host, port = str(place[0]), int(str(place[1]))
    if family == socket.AF_INET:
        body = struct.pack("=H", family) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)
    else:
        scope = int(str(place[3])) if len(place) > 3 else 0
        packed = socket.inet_pton(family, host.partition("%")[0])
        body = struct.pack("=H", family) + struct.pack("!HI", port, 0) + packed + struct.pack("=I", scope)
    return family, body.ljust(SOCKET_ADDRESS, b"\0")


def sender(families: Words, addresses: Bytes) -> Words:
    """Return what tells one sender from another: three words of port and address, whatever else is there."""
    six = families == socket.AF_INET6
    words: Words = addresses.view("<u8").copy()
    words[~six, 1:] = 0
    words[six, 0] &= np.uint64(0xFFFFFFFF)  # the flow label is the sender's own affair
    words[six, 3] = 0  # the scope likewise: it is ours, and zero where the address is global
    return words[:, :3]


def _calls() -> tuple[Callable[..., int], Callable[..., int]] | None:
    """Return sendmmsg and recvmmsg, where the C library has them and lays out memory as is meant here."""
    fitting = sys.platform == "linux" and sys.byteorder == "little" and ctypes.sizeof(ctypes.c_void_p) == 8
    if not fitting:
        return None
    try:
        library = ctypes.CDLL(None, use_errno=True)
        return library.sendmmsg, library.recvmmsg
    except (OSError, AttributeError):
        return None


class Wire:
    """An unconnected UDP socket of one family, with a buffer for what comes in.

    ``room`` is how many replies may be on their way at a time without loss in our own kernel. What is laid
    out once serves one socket after another.
    """

    room: int
    _socket: socket.socket

    def __init__(self, family: socket.AddressFamily, plain: bool) -> None:
        """Lay out the buffers; ``opened`` gives one that has a socket."""
        self.family, self._plain = family, plain
        self.data = Datagrams(KEPT)
        self.sizes: Ints = np.zeros(KEPT, np.int64)
        self.senders: Bytes = np.zeros((KEPT, SOCKET_ADDRESS), np.uint8)
        self.places: Ints = np.arange(KEPT)
        self._times: Ints = np.zeros(KEPT, np.int64)
        self._paper: Bytes = np.zeros(0, np.uint8)
        self._letters: Bytes = self._paper.reshape(BATCH, 0)
        self._addresses: Bytes | None = None
        self._calls = None if plain else _calls()
        if self._calls is not None:
            self._lay_out()

    @classmethod
    def opened(cls, family: socket.AddressFamily, plain: bool = False) -> Wire:
        """Return one with a fresh socket."""
        try:
            one = _IDLE[family, plain].pop()
        except IndexError:
            one = cls(family, plain)
        one._open()
        return one

    def _open(self) -> None:
        self._socket = socket.socket(self.family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        for option in (socket.SO_RCVBUF, SO_RCVBUFFORCE):
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, option, RECEIVE_BUFFER)
            except OSError:
                continue
        self.room = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // KERNEL_COST
        anywhere = "::" if self.family == socket.AF_INET6 else "0.0.0.0"  # noqa: S104 - any route
        self._socket.bind((anywhere, 0))
        if self._calls is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def fileno(self) -> int:
        """Return the socket's number."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket; what was received is no more."""
        self._socket.close()
        _IDLE[self.family, self._plain].append(self)

    def letters(self, width: int) -> Bytes:
        """Return the buffer that messages to be sent are written to, BATCH of so many bytes at most."""
        if self._letters.shape[1] != width:
            if BATCH * width > len(self._paper):
                self._paper = np.zeros(BATCH * width, np.uint8)
            self._letters = self._paper[: BATCH * width].reshape(BATCH, width)
            if self._calls is not None:
                self._out_vectors[:, 0] = self._letters.ctypes.data + self._each[:BATCH] * width
        return self._letters

    def send(self, sizes: Ints, addresses: Bytes, to: Ints) -> int:
        """Send the first of ``letters`` to those of the addresses; return how many the kernel took.

        These are the first. One that cannot be sent (no route) counts as taken: it will be missed like a
        lost one.
        """
        if self._calls is None:
            return self._send_one_by_one(sizes, addresses[to])
        count = len(sizes)
        if self._addresses is not addresses:
            self._addresses, self._addresses_at = addresses, addresses.ctypes.data
        self._out_vectors[:count, 1] = sizes
        self._out[:count, 0] = to * SOCKET_ADDRESS + self._addresses_at
        sent = 0
        while sent < count:
            at = ctypes.c_void_p(self._out_at + sent * MESSAGE * 8)
            done = self._calls[0](self._socket.fileno(), at, count - sent, 0)
            if done >= 0:
                sent += done
            elif ctypes.get_errno() in (errno.EAGAIN, errno.ENOBUFS):
                return sent
            elif ctypes.get_errno() != errno.EINTR:
                sent += 1
        return sent

    def receive(self, begin: int, hoped: int) -> int:
        """Take in what has come from ``begin`` of ``data`` on, at most BATCH datagrams; return how many.

        Where many are hoped for, wait some moments for them first. ``sizes`` are theirs (larger than STRIDE
        where cut), ``senders`` their addresses.
        """
        take = self._receive_one_by_one if self._calls is None else self._receive_many
        end = min(begin + BATCH, KEPT)
        hoped = min(hoped, end - begin)
        count = 0
        for _ in range(LINGERS):
            if hoped - count < WORTH:
                break
            time.sleep(LINGER_S)
            more = take(begin + count, end)
            count += more
            if not more:
                break
        return count or take(begin, end)

    def times(self, which: Ints) -> Ints:
        """Return when the kernel had datagrams, nanoseconds of the system's clock."""
        if self._calls is None:
            return self._times[which]
        stamp = self._control[which].view(np.int64)
        told = self._headers[which, 5] >= CONTROL * 8
        return np.where(told, stamp[:, 2] * 10**9 + stamp[:, 3], time.time_ns())

    def _receive_many(self, begin: int, end: int) -> int:
        """Take in datagrams from one place on, up to another; return how many."""
        assert self._calls is not None
        self._headers[begin:end, 1] = SOCKET_ADDRESS
        self._headers[begin:end, 5] = CONTROL * 8
        at = ctypes.c_void_p(self._headers_at + begin * MESSAGE * 8)
        count = max(0, int(self._calls[1](self._socket.fileno(), at, end - begin, socket.MSG_DONTWAIT, None)))
        head = self._headers[begin : begin + count]
        sizes = self.sizes[begin : begin + count]
        np.bitwise_and(head[:, 7], np.uint64(0xFFFFFFFF), out=sizes, casting="unsafe")
        sizes += STRIDE * ((head[:, 6] & np.uint64(socket.MSG_TRUNC)) != 0)
        return count

    def _lay_out(self) -> None:
        """Point the kernel's structures at the buffers, once."""
        self._each = each = np.arange(KEPT, dtype=np.uint64)
        self._vectors = np.empty((KEPT, 2), np.uint64)
        self._control: Words = np.zeros((KEPT, CONTROL), np.uint64)
        self._headers: Words = np.zeros((KEPT, MESSAGE), np.uint64)
        self._vectors[:, 0] = self.data.bytes.ctypes.data + each * STRIDE
        self._vectors[:, 1] = STRIDE
        self._headers[:, 0] = self.senders.ctypes.data + each * SOCKET_ADDRESS
        self._headers[:, 2] = self._vectors.ctypes.data + each * 16
        self._headers[:, 3] = 1
        self._headers[:, 4] = self._control.ctypes.data + each * (CONTROL * 8)
        self._headers_at = self._headers.ctypes.data
        self._out_vectors = np.empty((BATCH, 2), np.uint64)
        self._out: Words = np.zeros((BATCH, MESSAGE), np.uint64)
        self._out[:, 1] = 28 if self.family == socket.AF_INET6 else 16
        self._out[:, 2] = self._out_vectors.ctypes.data + each[:BATCH] * 16
        self._out[:, 3] = 1
        self._out_at = self._out.ctypes.data

    def _send_one_by_one(self, sizes: Ints, addresses: Bytes) -> int:
        for number, (size, raw) in enumerate(zip(sizes.tolist(), addresses, strict=True)):
            try:
                self._socket.sendto(self._letters[number, :size].data, _place(self.family, raw.tobytes()))
            except BlockingIOError:
                return number
            except OSError:
                continue
        return len(sizes)

    def _receive_one_by_one(self, begin: int, end: int) -> int:
        whole = self.data.bytes.data
        for number in range(begin, end):
            at = number * STRIDE
            try:
                size, _, flags, place = self._socket.recvmsg_into([whole[at : at + STRIDE]])
            except BlockingIOError:
                return number - begin
            except OSError:
                continue
            self.sizes[number] = size + STRIDE * bool(flags & socket.MSG_TRUNC)
            self._times[number] = time.time_ns()
            self.senders[number] = np.frombuffer(address(self.family, place)[1], np.uint8)
        return end - begin


_IDLE: dict[tuple[socket.AddressFamily, bool], list[Wire]] = defaultdict(list)


def _place(family: socket.AddressFamily, raw: bytes) -> tuple[str, int] | tuple[str, int, int, int]:
    port = int.from_bytes(raw[2:4], "big")
    if family == socket.AF_INET:
        return socket.inet_ntoa(raw[4:8]), port
    return socket.inet_ntop(family, raw[8:24]), port, 0, int.from_bytes(raw[24:28], sys.byteorder)


def wait(wires: Sequence[Wire], seconds: float) -> list[Wire]:
    """Wait until one of the sockets has something to read; return those that have."""
    poller = select.poll()
    for one in wires:
        poller.register(one, select.POLLIN)
    told = {number for number, _ in poller.poll(max(0.0, seconds) * 1000)}
    return [one for one in wires if one.fileno() in told]
