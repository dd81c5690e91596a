"""Sockets to a receiver that only listens: what is sent, and how far we can know that it arrived."""

from __future__ import annotations

import array
import fcntl
import os
import select
import socket
import ssl
import termios
import time
from collections.abc import Sequence
from typing import ClassVar, Protocol

REFUSAL_S = 0.02
"""How long a refusal of datagrams is waited for, seconds: a site's round trip is far shorter."""
LOOK_S = 0.001
"""How often unacknowledged bytes are looked at, seconds: the shortest wait of poll(2)."""
IN_FLIGHT = 32 * 1024
"""Bytes unacknowledged beyond which no further line is sent.

Far below any send buffer, so that the kernel takes each line whole: a process that is killed leaves
no half line behind.
"""
TOO_SLOW = 3
"""Time-outs after which a receiver that takes a byte now and then counts as one that takes nothing."""
VERDICT_S = 0.3
"""How long a new TLS connection is watched before its first line, seconds.

With TLS 1.3 the client is done before the server has judged its certificate; a refusal comes later.
"""


class Connection(Protocol):
    """An open way to the receiver. Every method raises OSError."""

    ages: ClassVar[bool]
    """Whether it may have ended while it was not used, so that a failure says nothing of the receiver."""

    def send(self, lines: Sequence[bytes]) -> int:
        """Hand lines over, in order; return how many were, at least one."""

    def close(self) -> None:
        """Let go of the socket."""


class Datagrams:
    """UDP: a datagram a line; lines count as sent unless a refusal comes back at once."""

    ages: ClassVar[bool] = False

    def __init__(self, address: str, port: int, timeout_s: float) -> None:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, where = found[0]
        self._socket = socket.socket(family, kind, protocol)
        self._socket.settimeout(timeout_s)
        self._socket.connect(where)  # only a connected socket is told of refusals
        self._poll = select.poll()
        self._poll.register(self._socket, 0)

    def send(self, lines: Sequence[bytes]) -> int:
        """Send each line; raise ConnectionRefusedError where word comes back that nobody listens."""
        for line in lines:
            self._socket.send(line)
        if self._poll.poll(REFUSAL_S * 1000):
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            raise OSError(number, os.strerror(number))
        return len(lines)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Local:
    """The machine's own log socket: a datagram a line, which waits while its queue is full."""

    ages: ClassVar[bool] = True

    def __init__(self, path: str, timeout_s: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise

    def send(self, lines: Sequence[bytes]) -> int:
        """Send lines until one is not taken; raise OSError where that is the first."""
        for count, line in enumerate(lines):
            try:
                self._socket.send(line)
            except OSError:
                if count:
                    return count
                raise
        return len(lines)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Stream:
    """TCP, with TLS where a context is given: lines count as sent once the receiver's machine has them."""

    ages: ClassVar[bool] = True

    def __init__(
        self, address: str, port: int, timeout_s: float, tls: ssl.SSLContext | None = None, name: str = ""
    ) -> None:
        self._timeout_s = timeout_s
        self._socket = socket.create_connection((address, port), timeout=timeout_s)
        try:
            if tls is not None:
                self._socket = tls.wrap_socket(self._socket, server_hostname=name or address)
            self._socket.setblocking(False)
            self._poll = select.poll()
            self._poll.register(self._socket, select.POLLIN)
            if tls is not None:
                self._look_for_end(VERDICT_S)
        except OSError:
            self._socket.close()
            raise

    def send(self, lines: Sequence[bytes]) -> int:
        """Send lines and wait until they are acknowledged; return how many were, at least one.

        A slow receiver gets fewer lines a call: none is begun after the time-out, and those that are
        on their way are waited for as long as any byte of them is taken. Raises ConnectionResetError
        where the receiver has closed, TimeoutError where it takes nothing: what its machine has
        acknowledged its program may never read, so that none of them counts.
        """
        self._look_for_end(0)
        begun, count = time.monotonic(), 0
        for line in lines:
            if count and time.monotonic() - begun > self._timeout_s:
                break
            self._drained(IN_FLIGHT)
            self._put(line)
            count += 1
        self._drained(0)
        self._look_for_end(0)
        return count

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _put(self, line: bytes) -> None:
        """Hand one line to the kernel, whole."""
        rest, deadline = memoryview(line), time.monotonic() + self._timeout_s
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                if time.monotonic() > deadline:
                    raise TimeoutError("it does not accept what is sent") from None
                self._look_for_end(LOOK_S)

    def _drained(self, most: int) -> None:
        """Wait until at most so many bytes are unacknowledged; TimeoutError where (almost) nothing moves."""
        begun = time.monotonic()
        left, deadline = self._unacknowledged(), begun + self._timeout_s
        while left > most:
            self._look_for_end(LOOK_S)
            now_left = self._unacknowledged()
            if now_left < left:
                left = now_left
                deadline = min(time.monotonic(), begun + TOO_SLOW * self._timeout_s) + self._timeout_s
            elif time.monotonic() > deadline:
                raise TimeoutError("it does not accept what is sent")

    def _look_for_end(self, wait_s: float) -> None:
        """Raise ConnectionResetError where the other side has closed; what it says is not listened to."""
        while self._poll.poll(wait_s * 1000):
            try:
                if not self._socket.recv(4096):
                    raise ConnectionResetError("it closed the connection")
            except (BlockingIOError, ssl.SSLWantReadError):
                return  # half a record, or a ticket for a later session

    def _unacknowledged(self) -> int:
        """Return how many bytes the other machine has not acknowledged (tcp(7), SIOCOUTQ)."""
        count = array.array("i", [0])
        fcntl.ioctl(self._socket, termios.TIOCOUTQ, count)
        return count[0]
