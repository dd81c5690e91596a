"""One answer, gone through byte after byte: where a value has another length than last time.

For the few of a batch of which that is so this is cheaper than going through them all at once. Only what
agents usually write is understood; the rest goes the long way (``codec.read``).
"""

from __future__ import annotations

from collections.abc import Sequence

from correlator.snmp.ber import INTEGER, OCTETS, RESPONSE, SEQUENCE, tlv

VERSION = bytes((INTEGER, 1, 1))
NO_ERROR = bytes((INTEGER, 1, 0, INTEGER, 1))  # and one byte of error-index


def look(
    answer: bytes, community: bytes, spans: Sequence[tuple[int, int, int]]
) -> tuple[int, list[int]] | None:
    """Return where its request-id stands, and where each varbind begins and the last one ends; None: unusual.

    ``spans`` are, for each varbind, its bytes without the value and the least and most that a value has. The
    head is checked whole, of the varbinds only that their lengths make up the answer.
    """
    try:
        at, id_at = _head(answer, community)
        places = [at]
        for span, least, most in spans:
            size = answer[at + 1] + 2
            if not least <= size - span <= most or size > 129:
                return None
            at += size
            places.append(at)
    except (IndexError, ValueError):
        return None
    return (id_at, places) if at == len(answer) else None


def _head(answer: bytes, community: bytes) -> tuple[int, int]:
    """Return where varbinds begin and where the request-id stands. Raises ValueError, IndexError."""
    at = _enter(answer, 0, SEQUENCE)
    front = VERSION + tlv(OCTETS, community)
    if not answer.startswith(front, at):
        raise ValueError
    id_at = _enter(answer, at + len(front), RESPONSE) + 2
    if answer[id_at - 2] != INTEGER or answer[id_at - 1] != 4 or not answer.startswith(NO_ERROR, id_at + 4):
        raise ValueError
    return _enter(answer, id_at + 4 + len(NO_ERROR) + 1, SEQUENCE), id_at


def _enter(answer: bytes, at: int, tag: int) -> int:
    """Return where a value that goes to the answer's end begins. Raises ValueError, IndexError."""
    size, body = answer[at + 1], at + 2
    if size > 127:
        count = size - 128
        if not 1 <= count <= 2:
            raise ValueError
        size, body = int.from_bytes(answer[body : body + count], "big"), body + count
    if answer[at] != tag or body + size != len(answer):
        raise ValueError
    return body
