"""Whom to ask and with which credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Oid = tuple[int, ...]
Index = tuple[int, ...]
Value = int | bytes | str | None  # str is an OBJECT IDENTIFIER, dotted; None: no such object


AUTH = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")  # RFC 3414, RFC 7860
PRIV = ("des", "aes128", "aes192", "aes256", "aes192c", "aes256c")  # RFC 3414, RFC 3826; c: Cisco's keys
LEAST_PASSWORD = 8  # characters, RFC 3414 section 11.2


@dataclass(frozen=True, slots=True)
class Community:
    """SNMPv2c credentials (RFC 1901), or those of version 1. The name is a secret and is not shown."""

    name: str = field(default="public", repr=False)
    version: Literal["1", "2c"] = "2c"


@dataclass(frozen=True, slots=True)
class User:
    """SNMPv3 credentials (RFC 3414): without ``auth`` noAuth, with ``priv`` encrypted too.

    ``auth`` is one of AUTH, ``priv`` one of PRIV; aes192 and aes256 extend short keys as Blumenthal's
    draft has it, aes192c and aes256c as Cisco does. Raises CredentialsError where they do not fit.
    """

    name: str
    auth: str | None = None
    auth_password: str = field(default="", repr=False)
    priv: str | None = None
    priv_password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.name:
            raise CredentialsError("an SNMPv3 user needs a name")
        if self.priv and not self.auth:
            raise CredentialsError(f"user {self.name}: privacy needs authentication; give its protocol too")
        kinds = (("auth", self.auth, AUTH, self.auth_password), ("priv", self.priv, PRIV, self.priv_password))
        for what, chosen, known, password in kinds:
            if chosen is not None and chosen not in known:
                raise CredentialsError(f"user {self.name}: {what} {chosen!r} is none of {', '.join(known)}")
            if chosen is not None and len(password) < LEAST_PASSWORD:
                raise CredentialsError(
                    f"user {self.name}: the {what} password must have {LEAST_PASSWORD} characters or more"
                )


class CredentialsError(ValueError):
    """Credentials do not fit together; the message says what is wrong, never a secret."""


Credentials = Community | User


@dataclass(frozen=True, slots=True)
class Target:
    """One SNMP agent.

    ``timeout_s`` is the wait for one answer, ``retries`` how often a request is sent again.
    ``requests_per_second`` caps what the device is asked within any second; how many requests may be in
    flight to it at a time ``manners.Size`` says.
    """

    host: str
    port: int = 161
    credentials: Credentials = Community()
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
