"""Text from outside, made harmless: names and aliases are written by whoever can name a container."""

from __future__ import annotations

import re

CUT = "..."
NAME = 48
"""Characters of a name in an alert's text: the longest interface names in use have about 30."""

_SIGN = re.compile(r"\\\\|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}|.")


def printable(text: str, limit: int = NAME) -> str:
    """Return text in printable ASCII, on one line, at most ``limit`` characters long.

    Everything else (controls, line ends, marks that reorder or hide text, letters beyond ASCII) becomes
    ``\\uXXXX`` or ``\\UXXXXXXXX``, a backslash ``\\\\``, so that what was not cut can be read back exactly.
    """
    if text.isascii() and text.isprintable() and "\\" not in text:
        return cut(text, limit)
    return cut("".join(map(_escaped, text[: limit + 1])), limit)


def cut(text: str, limit: int) -> str:
    """Return printable text, at most ``limit`` characters; a cut ends in ``...`` and splits no escape."""
    if len(text) <= limit:
        return text
    kept, room = "", limit - len(CUT)
    for sign in _SIGN.findall(text):
        if len(kept) + len(sign) > room:
            break
        kept += sign
    return kept + CUT


def _escaped(sign: str) -> str:
    if sign == "\\":
        return "\\\\"
    if " " <= sign <= "~":
        return sign
    return f"\\u{ord(sign):04x}" if ord(sign) <= 0xFFFF else f"\\U{ord(sign):08x}"
