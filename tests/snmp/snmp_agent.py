"""A small SNMPv2c agent for tests, with a codec of its own, that can be told to misbehave."""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

GET, GETNEXT, RESPONSE, GETBULK = 0xA0, 0xA1, 0xA2, 0xA5
NO_SUCH_INSTANCE, END_OF_MIB = 0x81, 0x82
Oid = tuple[int, ...]


@dataclass(frozen=True)
class Typed:
    """A value with its ASN.1 tag (RFC 2578)."""

    tag: int
    value: Any


def counter32(value: int) -> Typed:
    return Typed(0x41, value)


def gauge(value: int) -> Typed:
    return Typed(0x42, value)


def ticks(value: int) -> Typed:
    return Typed(0x43, value)


def counter64(value: int) -> Typed:
    return Typed(0x46, value)


def object_id(text: str) -> Typed:
    return Typed(0x06, oid(text))


def oid(text: str) -> Oid:
    return tuple(int(part) for part in text.strip(".").split("."))


@dataclass
class Agent:
    """Serves ``values`` (dotted OID → int, bytes, str or Typed) on a free loopback port.

    ``too_big_above`` varbinds are answered with tooBig, ``silent_above`` not at all; answers longer
    than ``max_message`` are cut (GETBULK) or refused (GET). ``drop`` says which requests, counted from
    1, get no answer. ``reply`` may change the datagram, or give several or none. ``refuse`` maps OIDs to
    error statuses. ``next_oid`` may lead a walk astray. Answers leave after ``delay_s``, by
    ``sender`` where one is given; ``most_waiting`` is how many requests waited at one time.
    """

    values: Mapping[str, Any]
    community: str = "public"
    host: str = "127.0.0.1"
    max_message: int = 1472
    too_big_above: int = 10_000
    silent_above: int = 10_000
    drop: Callable[[int], bool] = lambda number: False
    reply: Callable[[bytes], list[bytes]] = lambda datagram: [datagram]
    refuse: Mapping[str, int] = field(default_factory=dict)
    next_oid: Callable[[Oid, Oid | None], Oid | None] = lambda asked, found: found
    delay_s: float = 0.0
    sender: asyncio.DatagramTransport | None = None
    requests: int = 0
    waiting: int = 0
    most_waiting: int = 0
    sizes: list[int] = field(default_factory=list)
    asked: list[tuple[int, list[Oid]]] = field(default_factory=list)
    port: int = 0

    async def __aenter__(self) -> Agent:
        self.set(self.values)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Protocol(self), local_addr=(self.host, self.port)
        )
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    def set(self, values: Mapping[str, Any]) -> None:
        """Serve other values from now on."""
        self.values = values
        self._tree = {oid(name): _value(value) for name, value in values.items()}
        self._keys = sorted(self._tree)

    def answer(self, datagram: bytes) -> list[bytes]:
        """Return the datagrams that a request is answered with."""
        version, community, kind, number, first, second, oids = _request(datagram)
        self.requests += 1
        self.asked.append((kind, oids))
        wanted = len(oids) if kind != GETBULK else first + second * (len(oids) - first)
        self.sizes.append(wanted)
        if community.decode() != self.community or wanted > self.silent_above or self.drop(self.requests):
            return []
        status, index, binds = 0, 0, b""
        if wanted > self.too_big_above:
            status = 1
        elif refused := [n for n, asked in enumerate(oids) if self._refusal(asked)]:
            status, index = self._refusal(oids[refused[0]]), refused[0] + 1
        elif kind == GETBULK:
            binds = self._bulk(first, second, oids, self.max_message - 40 - len(community))
        else:
            binds = b"".join(self._get(asked) if kind == GET else self._next(asked)[1] for asked in oids)
            if len(binds) > self.max_message - 40 - len(community):
                status, binds = 1, b""
        pdu = _tlv(2, number) + _integer(status) + _integer(index) + _tlv(0x30, binds)
        return self.reply(_tlv(0x30, _tlv(2, version) + _tlv(4, community) + _tlv(RESPONSE, pdu)))

    def _refusal(self, asked: Oid) -> int:
        return next((s for name, s in self.refuse.items() if asked[: len(oid(name))] == oid(name)), 0)

    def _get(self, asked: Oid) -> bytes:
        return _bind(asked, self._tree.get(asked, bytes([NO_SUCH_INSTANCE, 0])))

    def _next(self, asked: Oid) -> tuple[Oid, bytes]:
        place = bisect.bisect_right(self._keys, asked)
        found = self.next_oid(asked, self._keys[place] if place < len(self._keys) else None)
        if found is None:
            return asked, _bind(asked, bytes([END_OF_MIB, 0]))
        return found, _bind(found, self._tree.get(found, _value(0)))

    def _bulk(self, scalars: int, repetitions: int, oids: list[Oid], room: int) -> bytes:
        binds = [self._next(asked)[1] for asked in oids[:scalars]]
        places = oids[scalars:]
        for _ in range(repetitions):
            for column, place in enumerate(places):
                places[column], bind = self._next(place)
                if sum(map(len, binds)) + len(bind) > room:
                    return b"".join(binds)
                binds.append(bind)
        return b"".join(binds)


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        agent = self._agent
        agent.waiting += 1
        agent.most_waiting = max(agent.most_waiting, agent.waiting)
        answers = agent.answer(data)
        asyncio.get_running_loop().call_later(agent.delay_s, self._send, answers, addr)

    def _send(self, answers: list[bytes], addr: Any) -> None:
        self._agent.waiting -= 1
        for datagram in answers:
            (self._agent.sender or self._transport).sendto(datagram, addr)


def _tlv(tag: int, body: bytes) -> bytes:
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def _integer(value: int, tag: int = 2) -> bytes:
    return _tlv(
        tag, value.to_bytes(((value if value >= 0 else ~value).bit_length()) // 8 + 1, "big", signed=True)
    )


def _oid_body(numbers: Oid) -> bytes:
    body = bytearray()
    for number in (numbers[0] * 40 + numbers[1], *numbers[2:]):
        septets = [number & 0x7F]
        while number := number >> 7:
            septets.append(number & 0x7F | 0x80)
        body += bytes(reversed(septets))
    return bytes(body)


def _value(value: Any) -> bytes:
    if isinstance(value, Typed):
        return _tlv(6, _oid_body(value.value)) if value.tag == 6 else _integer(value.value, value.tag)
    if isinstance(value, int):
        return _integer(value)
    return _tlv(4, value if isinstance(value, bytes) else value.encode())


def _bind(name: Oid, value: bytes) -> bytes:
    return _tlv(0x30, _tlv(6, _oid_body(name)) + value)


def _read(data: bytes, at: int = 0) -> tuple[int, bytes, int]:
    tag, length, at = data[at], data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, at = int.from_bytes(data[at : at + size], "big"), at + size
    return tag, data[at : at + length], at + length


def _oids(body: bytes) -> list[Oid]:
    found, at = [], 0
    while at < len(body):
        _, bind, at = _read(body, at)
        numbers, number = [], 0
        for octet in _read(bind)[1]:
            number = number << 7 | octet & 0x7F
            if not octet & 0x80:
                numbers.append(number)
                number = 0
        found.append((min(numbers[0] // 40, 2), numbers[0] - 40 * min(numbers[0] // 40, 2), *numbers[1:]))
    return found


def _request(datagram: bytes) -> tuple[bytes, bytes, int, bytes, int, int, list[Oid]]:
    _, message, _ = _read(datagram)
    _, version, at = _read(message)
    _, community, at = _read(message, at)
    kind, pdu, _ = _read(message, at)
    _, number, at = _read(pdu)
    _, first, at = _read(pdu, at)
    _, second, at = _read(pdu, at)
    _, binds, _ = _read(pdu, at)
    return (
        version,
        community,
        kind,
        number,
        int.from_bytes(first, "big"),
        int.from_bytes(second, "big"),
        _oids(binds),
    )
