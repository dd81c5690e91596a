"""Texts from outside made harmless, and times as the rows have them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

MAX_TEXT = 255
# C0 and C1 controls, line and paragraph separators, bidirectional overrides, lone surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_TIME = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$")


def clean(text: object, most: int = MAX_TEXT) -> str | None:
    """Return a text without control characters and at most ``most`` long; None where none is left."""
    if not isinstance(text, str):
        return None
    return _UNSAFE.sub("", text[: 4 * most])[:most] or None


def moment(text: object) -> datetime | None:
    """Return Docker's RFC 3339 time (up to nanoseconds) in UTC; None where there is none (year 1)."""
    found = _TIME.match(text) if isinstance(text, str) else None
    if found is None:
        return None
    base, fraction, zone = found.groups()
    try:
        read = datetime.fromisoformat(f"{base}.{(fraction or '0')[:6]:0<6}{zone.replace('Z', '+00:00')}")
        return read.astimezone(UTC) if read.year > 1 else None
    except (ValueError, OverflowError):
        return None


def stamp(at: datetime) -> str:
    """Return a time as rows have it: ISO 8601, microseconds, with its offset."""
    return at.isoformat(timespec="microseconds")
