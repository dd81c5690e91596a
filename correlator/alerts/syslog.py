"""Alerts to a syslog receiver: UDP (RFC 5426), TCP (RFC 6587), TLS (RFC 5425), the local socket."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from correlator.alerts.connection import Connection, Datagrams, Local, Stream
from correlator.alerts.rfc5424 import Origin, message, remark
from correlator.model import IncidentEvent
from correlator.ports import SinkError

PORTS = {"udp": 514, "tcp": 514, "tls": 6514}
"""Customary ports; 6514 is RFC 5425's."""


@dataclass(frozen=True)
class SyslogParams:
    """One receiver, and how it wants to be spoken to. Raises ValueError where settings contradict."""

    address: str
    """Address or host name of the receiver; for ``local`` the path of the socket, such as /dev/log."""
    port: int | None = None
    """Its port; None: what is customary for the transport."""
    transport: Literal["udp", "tcp", "tls", "local"] = "udp"
    """UDP cannot know whether a line arrived; the others keep it in the outbox until it did."""
    framing: Literal["octet", "lf"] | None = None
    """Octet counting or one line each (RFC 6587, 3.4.1 and 3.4.2); None: lines over tcp, octets over tls."""
    facility: int = 21
    """Syslog facility; 21 is local5: 16 to 23 are free for local use (RFC 5424, table 1)."""
    app_name: str = "correlator"
    """APP-NAME of the header."""
    hostname: str = ""
    """HOSTNAME of the header; empty: this machine's name."""
    enterprise_number: int = 32473
    """Private enterprise number in the SD-ID; 32473 is IANA's for documentation (RFC 5612)."""
    timeout_s: float = 5.0
    """How long the receiver may take to connect, and to accept anything, seconds."""
    ca_file: Path | None = None
    """Over TLS: certificates to trust, PEM; None: the system's."""
    cert_file: Path | None = None
    """Over TLS: our certificate, where the receiver wants one, PEM."""
    key_file: Path | None = None
    """Over TLS: the key of our certificate; None: it is in ``cert_file``."""
    server_name: str = ""
    """Over TLS: the name that the receiver's certificate must have; empty: its address."""
    name: str = "syslog"
    """Name of the sink in the outbox: give each receiver its own and keep it."""

    def __post_init__(self) -> None:
        wrong = (
            (not self.address, "address is empty"),
            (self.port is not None and not 1 <= self.port <= 65535, "port is not in 1 to 65535"),
            (not 0 <= self.facility <= 23, "facility is not in 0 to 23"),
            (not 0 < self.timeout_s <= 60, "timeout_s is not in 0 to 60"),
            (not 1 <= self.enterprise_number < 2**32, "enterprise_number is not in 1 to 4294967295"),
            (self.transport == "local" and not self.address.startswith("/"), "address is not a path"),
            (self.transport != "tls" and self._speaks_of_tls(), "certificates are for transport tls"),
            (self.key_file is not None and self.cert_file is None, "key_file has no cert_file beside it"),
        )
        for is_wrong, text in wrong:
            if is_wrong:
                raise ValueError(text)

    def _speaks_of_tls(self) -> bool:
        return any((self.ca_file, self.cert_file, self.key_file, self.server_name))


class SyslogSink:
    """``ports.Sink`` to one syslog receiver; connects when there is something to send.

    Over UDP "handed over" means sent: nobody can know more. Over TCP and TLS it means that the
    receiver's machine has acknowledged the bytes. Not thread-safe. Raises ValueError where a
    certificate or key cannot be read.
    """

    params_type = SyslogParams

    def __init__(self, params: SyslogParams) -> None:
        self.name = params.name
        self._params = params
        self._port = params.port or PORTS.get(params.transport, 0)
        where = params.address if params.transport == "local" else f"{params.address} port {self._port}"
        self._receiver = f"{where} ({params.transport})"
        self._framed = _framing(params)
        self._tls = _context(params) if params.transport == "tls" else None
        self._origin = Origin(
            params.facility,
            params.hostname or socket.gethostname(),
            params.app_name,
            str(os.getpid()),
            params.enterprise_number,
        )
        self._connection: Connection | None = None

    def send(self, events: Sequence[IncidentEvent]) -> int:
        """Send events in order; return how many were handed over: fewer where the receiver is slow.

        Raises SinkError where the receiver cannot be reached or stops accepting; then none counts
        as handed over, though over TCP and TLS some may have arrived.
        """
        return self._handed_over([message(event, self._origin) for event in events])

    def remark(self, at: datetime, what: str, count: int, text: str) -> None:
        """Send a line about the alerts themselves. Raises SinkError."""
        self._handed_over([remark(self._origin, at, what, count, text)])

    def _handed_over(self, messages: Sequence[bytes]) -> int:
        lines = [self._framed(one) for one in messages]
        try:
            return self._send(lines)
        except OSError as error:
            self.close()
            raise SinkError(
                f"syslog receiver {self._receiver} takes no alerts ({_said(error)}); they wait until it does"
            ) from error

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, lines: Sequence[bytes]) -> int:
        """Send the lines; where a connection died while it was not used, over a new one."""
        if self._connection is not None:
            try:
                return self._connection.send(lines)
            except OSError:
                if not self._connection.ages:
                    raise
                self.close()
        self._connection = self._connect()
        return self._connection.send(lines)

    def _connect(self) -> Connection:
        params = self._params
        if params.transport == "local":
            return Local(params.address, params.timeout_s)
        if params.transport == "udp":
            return Datagrams(params.address, self._port, params.timeout_s)
        return Stream(params.address, self._port, params.timeout_s, self._tls, params.server_name)


def _framing(params: SyslogParams) -> Callable[[bytes], bytes]:
    if params.transport in ("udp", "local"):
        return lambda line: line
    if (params.framing or {"tcp": "lf", "tls": "octet"}[params.transport]) == "lf":
        return lambda line: line + b"\n"
    return lambda line: b"%d %s" % (len(line), line)


def _context(params: SyslogParams) -> ssl.SSLContext:
    """Return what TLS is to be like: version 1.2 or later, the receiver's name and certificate verified."""
    try:
        context = ssl.create_default_context(cafile=params.ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"ca_file {params.ca_file}: {_said(error)}; give certificates in PEM") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if params.cert_file is not None:
        try:
            context.load_cert_chain(params.cert_file, params.key_file, password=_no_password)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"cert_file {params.cert_file}: {_said(error)}; give it and its key in PEM, no password"
            ) from None
    return context


def _no_password() -> str:
    """Refuse a key with a password; the library would ask on the terminal, which a service has not."""
    raise ValueError("the key has a password")


def _said(error: Exception) -> str:
    """Return an error in words, without the library's numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or str(error)).lower().replace('_', ' ')}"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
