"""Sockets to a receiver that only listens: what is sent, and how far we can know that it arrived."""

from __future__ import annotations

import array
import fcntl
import os
import select
import socket
import termios
import time
from collections.abc import Sequence
from typing import ClassVar, Protocol

REFUSAL_S = 0.02
"""How long a refusal of datagrams is waited for, seconds: a site's round trip is far shorter."""
LOOK_S = 0.02
"""How often unacknowledged bytes are looked at, seconds: a round trip within a site is far shorter."""


class Connection(Protocol):
    """An open way to the receiver. Every method raises OSError."""

    ages: ClassVar[bool]
    """Whether it may have ended while it was not used, so that a failure says nothing of the receiver."""

    def send(self, lines: Sequence[bytes]) -> None:
        """Hand all lines over, in order."""

    def close(self) -> None:
        """Let go of the socket."""


class Datagrams:
    """UDP: a datagram a line; lines count as sent unless a refusal comes back at once."""

    ages: ClassVar[bool] = False

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, kind, protocol)
        self._socket.settimeout(timeout_s)
        self._socket.connect(address)  # only a connected socket is told of refusals
        self._poll = select.poll()
        self._poll.register(self._socket, 0)

    def send(self, lines: Sequence[bytes]) -> None:
        """Send each line; raise ConnectionRefusedError where word comes back that nobody listens."""
        for line in lines:
            self._socket.send(line)
        if self._poll.poll(REFUSAL_S * 1000):
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            raise OSError(number, os.strerror(number))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Stream:
    """TCP: lines count as sent once the receiver's machine has acknowledged them."""

    ages: ClassVar[bool] = True

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._socket = socket.create_connection((host, port), timeout=timeout_s)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def send(self, lines: Sequence[bytes]) -> None:
        """Send the lines and wait until they are acknowledged.

        Raises ConnectionResetError where the receiver has closed, TimeoutError where it stops taking.
        """
        self._look_for_end(0)
        self._socket.sendall(b"".join(lines))
        deadline = time.monotonic() + self._timeout_s
        while self._unacknowledged():
            if time.monotonic() > deadline:
                raise TimeoutError("it does not accept what is sent")
            self._look_for_end(LOOK_S)
        self._look_for_end(0)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _look_for_end(self, wait_s: float) -> None:
        """Raise ConnectionResetError where the other side has closed; what it says is not listened to."""
        while self._poll.poll(wait_s * 1000):
            if not self._socket.recv(4096):
                raise ConnectionResetError("it closed the connection")

    def _unacknowledged(self) -> int:
        """Return how many bytes the other machine has not acknowledged (tcp(7), SIOCOUTQ)."""
        count = array.array("i", [0])
        fcntl.ioctl(self._socket, termios.TIOCOUTQ, count)
        return count[0]
