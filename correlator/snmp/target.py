"""Whom to ask and with which credentials."""

from __future__ import annotations

from dataclasses import dataclass, field

Oid = tuple[int, ...]
Index = tuple[int, ...]
Value = int | bytes | str | None  # str is an OBJECT IDENTIFIER, dotted; None: no such object


@dataclass(frozen=True, slots=True)
class Community:
    """SNMPv2c credentials (RFC 1901). The name is a secret and is not shown."""

    name: str = field(default="public", repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """One SNMP agent.

    ``timeout_s`` is the wait for one answer, ``retries`` how often a request is sent again.
    ``requests_per_second`` caps what the device is asked within any second; there is never more than
    one request in flight to it (most switches answer from one slow CPU: snmp_exporter issue 349).
    """

    host: str
    port: int = 161
    credentials: Community = Community()
    timeout_s: float = 2.0
    retries: int = 2
    requests_per_second: int = 50

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(slots=True)
class Tally:
    """What reading cost: counts requests sent and, among them, those sent again."""

    requests: int = 0
    retries: int = 0


def parse_oid(text: str) -> Oid:
    """Return a dotted OID, with or without leading dot, as numbers. Raises ValueError where it is none."""
    return tuple(int(part) for part in text.removeprefix(".").split("."))


def dotted(oid: Oid) -> str:
    """Return an OID as dotted text."""
    return ".".join(map(str, oid))
