"""The part of ASN.1's Basic Encoding Rules that SNMP uses (X.690; RFC 3417 section 8), both ways.

Our own few lines rather than the SNMP client's library: an agent that shared the client's codec would also
share its mistakes, and this one answers some tens of times faster.
"""

from __future__ import annotations

from collections.abc import Sequence

Oid = tuple[int, ...]

INTEGER, OCTET_STRING, NULL, OBJECT_IDENTIFIER, SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
IP_ADDRESS, COUNTER32, GAUGE32, TIME_TICKS, COUNTER64 = 0x40, 0x41, 0x42, 0x43, 0x46  # RFC 2578 section 2
NO_SUCH_OBJECT, NO_SUCH_INSTANCE, END_OF_MIB_VIEW = (
    b"\x80\x00",
    b"\x81\x00",
    b"\x82\x00",
)  # RFC 3416 section 3
MOST_SUB_IDENTIFIERS = 128  # RFC 2578 section 3.5


class BerError(ValueError):
    """The octets are no well-formed encoding of what was expected."""


def encode(tag: int, body: bytes) -> bytes:
    """Return tag, length and contents."""
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def integer(value: int, tag: int = INTEGER) -> bytes:
    """Return a number in two's complement; an unsigned type (Counter32 and so on) has only another tag."""
    return encode(tag, value.to_bytes(_width(value), "big", signed=True))


def octets(value: bytes | str) -> bytes:
    """Return an OCTET STRING; text as UTF-8."""
    return encode(OCTET_STRING, value.encode() if isinstance(value, str) else value)


def oid(value: Sequence[int]) -> bytes:
    """Return an OBJECT IDENTIFIER; one of a single arc gets a zero beside it."""
    first, second, *rest = (*value, 0) if len(value) == 1 else tuple(value)
    return encode(OBJECT_IDENTIFIER, b"".join(_arc(arc) for arc in (40 * first + second, *rest)))


def _width(value: int) -> int:
    """Return how many octets a number needs with its sign: 127 and -128 fit into one."""
    return (value if value >= 0 else ~value).bit_length() // 8 + 1


def _arc(arc: int) -> bytes:
    if arc < 0x80:
        return bytes((arc,))
    groups = [arc & 0x7F]
    while arc := arc >> 7:
        groups.append(0x80 | arc & 0x7F)
    return bytes(reversed(groups))


def read(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Return tag, contents and the place after one element. Raises BerError where it is cut short or odd."""
    if at + 2 > len(data):
        raise BerError("an element is cut short")
    tag, size = data[at], data[at + 1]
    at += 2
    if size & 0x80:
        more = size & 0x7F
        if not 1 <= more <= 4 or at + more > len(data):
            raise BerError("a length that SNMP does not use")
        size = int.from_bytes(data[at : at + more], "big")
        at += more
    if at + size > len(data):
        raise BerError("an element is longer than the message")
    return tag, data[at : at + size], at + size


def expect(data: bytes, at: int, tag: int) -> tuple[bytes, int]:
    """Return contents and the place after an element that must have ``tag``. Raises BerError."""
    found, body, after = read(data, at)
    if found != tag:
        raise BerError(f"tag {found:#x} where {tag:#x} was expected")
    return body, after


def read_integer(data: bytes, at: int) -> tuple[int, int]:
    """Return a number and the place after it. Raises BerError."""
    body, after = expect(data, at, INTEGER)
    if not 1 <= len(body) <= 5:
        raise BerError("a number of no sensible size")
    return int.from_bytes(body, "big", signed=True), after


def read_oid(data: bytes, at: int) -> tuple[Oid, int]:
    """Return an OBJECT IDENTIFIER and the place after it. Raises BerError."""
    body, after = expect(data, at, OBJECT_IDENTIFIER)
    if not body or body[-1] & 0x80 or len(body) > 5 * MOST_SUB_IDENTIFIERS:
        raise BerError("a broken object identifier")
    arcs, arc = [], 0
    for octet in body:
        arc = arc << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return (first, arcs[0] - 40 * first, *arcs[1:]), after
