"""Alerts to a syslog receiver, over UDP (RFC 5426) or TCP (RFC 6587)."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from correlator.alerts.connection import Connection, Datagrams, Stream
from correlator.alerts.rfc5424 import Origin, message
from correlator.model import IncidentEvent
from correlator.ports import SinkError


@dataclass(frozen=True)
class SyslogParams:
    """One receiver, and how it wants to be spoken to."""

    host: str
    """Address or host name of the receiver."""
    port: int = 514
    """Its port; 514 is customary for both transports."""
    transport: Literal["udp", "tcp"] = "udp"
    """UDP cannot know whether a line arrived; TCP keeps it in the outbox until it did."""
    framing: Literal["octet", "lf"] = "lf"
    """Over TCP: octet counting or one line each (RFC 6587, 3.4.1 and 3.4.2); more receivers know lines."""
    facility: int = 21
    """Syslog facility; 21 is local5: 16 to 23 are free for local use (RFC 5424, table 1)."""
    app_name: str = "correlator"
    """APP-NAME of the header."""
    hostname: str = ""
    """HOSTNAME of the header; empty: this machine's name."""
    enterprise_number: int = 32473
    """Private enterprise number in the SD-ID; 32473 is IANA's for documentation (RFC 5612)."""
    timeout_s: float = 5.0
    """How long the receiver may take to connect and to accept lines, seconds."""
    name: str = "syslog"
    """Name of the sink in the outbox: give each receiver its own and keep it."""


class SyslogSink:
    """``ports.Sink`` to one syslog receiver; connects when there is something to send.

    Over UDP "handed over" means sent: nobody can know more. Over TCP it means that the receiver's
    machine has acknowledged the bytes. Not thread-safe.
    """

    def __init__(self, params: SyslogParams) -> None:
        self.name = params.name
        self._receiver = f"{params.host} port {params.port} ({params.transport})"
        self._framed = _framing(params)
        self._origin = Origin(
            params.facility,
            params.hostname or socket.gethostname(),
            params.app_name,
            str(os.getpid()),
            params.enterprise_number,
        )
        self._params = params
        self._connection: Connection | None = None

    def send(self, events: Sequence[IncidentEvent]) -> int:
        """Send events in order; return how many were handed over: all of them.

        Raises SinkError where the receiver cannot be reached or stops accepting; then none counts
        as handed over, though over TCP some may have arrived.
        """
        lines = [self._framed(message(event, self._origin)) for event in events]
        try:
            self._send(lines)
        except OSError as error:
            self.close()
            raise SinkError(
                f"syslog receiver {self._receiver} takes no alerts ({error}); they wait until it does"
            ) from error
        return len(events)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, lines: Sequence[bytes]) -> None:
        """Send the lines; where a connection died while it was not used, over a new one."""
        if self._connection is not None:
            try:
                self._connection.send(lines)
            except OSError:
                if not self._connection.ages:
                    raise
                self.close()
            else:
                return
        kind = Stream if self._params.transport == "tcp" else Datagrams
        self._connection = kind(self._params.host, self._params.port, self._params.timeout_s)
        self._connection.send(lines)


def _framing(params: SyslogParams) -> Callable[[bytes], bytes]:
    if params.transport == "udp":
        return lambda line: line
    if params.framing == "lf":
        return lambda line: line + b"\n"
    return lambda line: b"%d %s" % (len(line), line)
