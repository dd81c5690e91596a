"""SNMPv2c messages as bytes: the tags of BER (X.690), and requests written by them (RFC 3416, RFC 1901)."""

from __future__ import annotations

from collections.abc import Iterable

from correlator.snmp.target import Oid

INTEGER, OCTETS, NULL, OBJECT, SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
COUNTER32, GAUGE32, TIMETICKS, OPAQUE, COUNTER64 = 0x41, 0x42, 0x43, 0x44, 0x46
GET, RESPONSE, GETBULK = 0xA0, 0xA2, 0xA5


def tlv(tag: int, body: bytes) -> bytes:
    """Return a value with its tag and its length."""
    size = len(body)
    if size < 128:
        return bytes((tag, size)) + body
    long = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 128 | len(long))) + long + body


def integer(value: int, tag: int = INTEGER) -> bytes:
    """Return an integer in as few bytes as it needs."""
    return tlv(
        tag, value.to_bytes((value if value >= 0 else ~value).bit_length() // 8 + 1, "big", signed=True)
    )


def object_identifier(oid: Oid) -> bytes:
    """Return an OID. Raises ValueError where it is none."""
    if len(oid) < 2 or any(not 0 <= part < 2**32 for part in oid) or oid[0] > 2:
        raise ValueError(f"{oid} is no object identifier")
    return tlv(OBJECT, b"".join(_base128(part) for part in (oid[0] * 40 + oid[1], *oid[2:])))


def _base128(part: int) -> bytes:
    octets = [part & 127]
    while part := part >> 7:
        octets.append(part & 127 | 128)
    return bytes(reversed(octets))


def request(community: bytes, kind: int, oids: Iterable[Oid], first: int, second: int) -> tuple[bytes, int]:
    """Return a message and where in it the four bytes of the request-id stand.

    ``first`` and ``second`` are error-status and error-index, or non-repeaters and max-repetitions.
    """
    nothing = bytes((NULL, 0))
    binds = tlv(SEQUENCE, b"".join(tlv(SEQUENCE, object_identifier(oid) + nothing) for oid in oids))
    rest = integer(first) + integer(second) + binds
    message = tlv(SEQUENCE, integer(1) + tlv(OCTETS, community) + tlv(kind, tlv(INTEGER, bytes(4)) + rest))
    return message, len(message) - len(rest) - 4
