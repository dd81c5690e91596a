"""A simulated switch's SNMP v2c agent: datagrams in, datagrams out (RFC 3416)."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from correlator.fabric import ber
from correlator.fabric.ber import Oid

GET, GET_NEXT, RESPONSE, SET, GET_BULK = 0xA0, 0xA1, 0xA2, 0xA3, 0xA5
VERSION_2C = 1
TOO_BIG, NOT_WRITABLE = 1, 17
MOST_OCTETS = 1400  # of an answer: it travels in one Ethernet frame
MOST_ROOM = 1300  # of the variables in it
MOST_VARIABLES = 512  # of a request

Read = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Moving:
    """A value that moves: the tag of its type, and a function that returns it now."""

    tag: int
    read: Read


@dataclass(frozen=True, slots=True)
class Words:
    """Text that may change: a function that returns it now."""

    read: Callable[[], str]


Value = bytes | Moving | Words
Object = tuple[Oid, Oid, Value]
"""An object's type, its index (0 alone for a scalar) and its value."""


class Mib:
    """The objects of one switch, in order. Values are encoded when asked for and kept until ``refresh``."""

    def __init__(self, objects: Iterable[Object]) -> None:
        rows = list(objects)
        ordered = sorted(((column + index, value) for column, index, value in rows), key=lambda pair: pair[0])
        self.oids = [name for name, _ in ordered]
        self._names = [ber.oid(name) for name in self.oids]
        self._values = [value for _, value in ordered]
        self._encoded: list[bytes | None] = [None] * len(ordered)
        self._moving = [n for n, (_, value) in enumerate(ordered) if not isinstance(value, bytes)]
        self._place = {name: n for n, name in enumerate(self.oids)}
        self._types = {column for column, _, _ in rows}

    def refresh(self) -> None:
        """Forget moving values: time has passed."""
        for number in self._moving:
            self._encoded[number] = None

    def after(self, name: Oid) -> int:
        """Return the place of the first object after ``name``; the number of objects where there is none."""
        return bisect.bisect_right(self.oids, name)

    def at(self, place: int) -> bytes:
        """Return the encoded variable (name and value) at a place."""
        encoded = self._encoded[place]
        if encoded is None:
            value = self._values[place]
            body = _encoded(value)
            encoded = self._encoded[place] = ber.encode(ber.SEQUENCE, self._names[place] + body)
        return encoded

    def exact(self, name: Oid) -> bytes:
        """Return the encoded variable ``name``, or why there is none."""
        if (place := self._place.get(name)) is not None:
            return self.at(place)
        known = any(name[:k] in self._types for k in range(1, len(name)))
        return _exception(name, ber.NO_SUCH_INSTANCE if known else ber.NO_SUCH_OBJECT)


def _encoded(value: Value) -> bytes:
    if isinstance(value, Words):
        return ber.octets(value.read())
    return ber.integer(value.read(), value.tag) if isinstance(value, Moving) else value


@dataclass(frozen=True, slots=True)
class Request:
    """A decoded request: of GETBULK, ``first`` are the non-repeaters and ``second`` the max-repetitions."""

    community: bytes
    kind: int
    number: int
    first: int
    second: int
    names: tuple[Oid, ...]
    variables: bytes


@dataclass
class SwitchAgent:
    """Answers datagrams from a ``Mib``; what is malformed or has the wrong community gets no answer.

    ``silent``: nothing does (it restarts, or nobody may ask it).
    """

    community: str
    mib: Mib
    silent: bool = False

    def answer(self, datagram: bytes) -> bytes | None:
        """Return the response to a request, or None for what an agent passes over in silence."""
        if self.silent:
            return None
        try:
            request = decode(datagram)
        except ber.BerError:
            return None
        if request.community != self.community.encode():
            return None
        if request.kind == SET:
            return _response(request, request.variables, NOT_WRITABLE, 1)
        if request.kind not in (GET, GET_NEXT, GET_BULK):
            return None
        body = b"".join(self._variables(request))
        return _response(request, body) if len(body) <= MOST_ROOM else _response(request, b"", TOO_BIG)

    def _variables(self, request: Request) -> Iterable[bytes]:
        if request.kind == GET_BULK:
            return self._bulk(request)
        one = self.mib.exact if request.kind == GET else self._next
        return (one(name) for name in request.names)

    def _next(self, name: Oid) -> bytes:
        place = self.mib.after(name)
        return self.mib.at(place) if place < len(self.mib.oids) else _exception(name, ber.END_OF_MIB_VIEW)

    def _bulk(self, request: Request) -> list[bytes]:
        """Return variables of a GETBULK in the order of RFC 3416, 4.2.3, as many as a datagram holds."""
        single = max(0, min(request.first, len(request.names)))
        found = [self._next(name) for name in request.names[:single]]
        room = MOST_ROOM - sum(map(len, found))
        rest = list(request.names[single:])
        places = [self.mib.after(name) for name in rest]
        for _ in range(max(0, request.second)):
            over = True
            for column, place in enumerate(places):
                ended = place >= len(self.mib.oids)
                one = _exception(rest[column], ber.END_OF_MIB_VIEW) if ended else self.mib.at(place)
                room -= len(one)
                if room < 0:
                    return found
                found.append(one)
                if not ended:
                    rest[column], places[column], over = self.mib.oids[place], place + 1, False
            if over:
                break
        return found


def decode(datagram: bytes) -> Request:
    """Return a request of SNMP v2c. Raises ber.BerError for anything else."""
    message, end = ber.expect(datagram, 0, ber.SEQUENCE)
    version, at = ber.read_integer(message, 0)
    if version != VERSION_2C or end != len(datagram):
        raise ber.BerError("not one message of SNMP v2c")
    community, at = ber.expect(message, at, ber.OCTET_STRING)
    kind, pdu, _ = ber.read(message, at)
    number, at = ber.read_integer(pdu, 0)
    first, at = ber.read_integer(pdu, at)
    second, at = ber.read_integer(pdu, at)
    variables, _ = ber.expect(pdu, at, ber.SEQUENCE)
    return Request(community, kind, number, first, second, tuple(_names(variables)), variables)


def _names(variables: bytes) -> Iterable[Oid]:
    at = count = 0
    while at < len(variables):
        one, at = ber.expect(variables, at, ber.SEQUENCE)
        name, value = ber.read_oid(one, 0)
        ber.read(one, value)
        count += 1
        if count > MOST_VARIABLES:
            raise ber.BerError("more variables than one datagram's answer could name")
        yield name


def _exception(name: Oid, value: bytes) -> bytes:
    return ber.encode(ber.SEQUENCE, ber.oid(name) + value)


def _response(request: Request, variables: bytes, status: int = 0, index: int = 0) -> bytes:
    head = ber.integer(request.number) + ber.integer(status) + ber.integer(index)
    pdu = ber.encode(RESPONSE, head + ber.encode(ber.SEQUENCE, variables))
    head = ber.integer(VERSION_2C) + ber.octets(request.community)
    return ber.encode(ber.SEQUENCE, head + pdu)
