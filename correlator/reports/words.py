"""Numbers, times and names as a reader wants them. Names come from outside and are made harmless here."""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from correlator.model import End

HARD_SPACE = "\u00a0"
"""Stands between a number and its unit, which belong on one line."""

NOTHING = "–"
"""Stands where nothing is known; never a zero."""

MOST_NAME = 64
"""Characters shown of a name: the longest interface names in use are half of that."""

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_ACCENTS = "\\u0300-\\u036f\\u0483-\\u0489\\u1ab0-\\u1aff\\u1dc0-\\u1dff\\u20d0-\\u20ff\\ufe20-\\ufe2f"
_STACKED = re.compile(f"([{_ACCENTS}]{{2}})[{_ACCENTS}]+")
_SPACE = re.compile(r"\s+")
FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"


def clean(text: str, most: int | None = None) -> str:
    """Return text on one line, harmless, at most ``most`` characters long.

    Bidirectional controls, zero-width characters and lone surrogates could reorder or hide what
    stands beside them; each becomes a visible mark. Of stacked accents two are kept. Where text is
    too long its middle is left out: names differ at their ends.
    """
    text = _STACKED.sub(r"\1", unicodedata.normalize("NFC", text))
    plain = "".join(
        "\ufffd"
        if unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Cn", "Co"} and not sign.isspace()
        else sign
        for sign in text
    )
    plain = _SPACE.sub(" ", plain).strip()
    if most is None or len(plain) <= most:
        return plain
    head = (most - 1) * 2 // 3
    return f"{plain[:head]}…{plain[len(plain) - (most - 1 - head) :]}"


def name(text: str | None, most: int = MOST_NAME) -> str:
    """Return a name made harmless; one that may run right to left is isolated from its neighbours."""
    if text is None:
        return NOTHING
    plain = clean(text, most)
    return plain if plain.replace("…", "").isascii() else f"{FIRST_STRONG_ISOLATE}{plain}{POP_ISOLATE}"


def end_name(end: End | None, most: int = MOST_NAME) -> str:
    """Return an end as "device interface"."""
    return NOTHING if end is None else f"{name(end.device, most)} {name(end.if_name, most)}".strip()


def count(value: float | None) -> str:
    """Return a whole number with thousands set apart: 12,400."""
    return NOTHING if value is None else f"{value:,.0f}"


def many(value: int, one: str, several: str | None = None) -> str:
    """Return a number with its noun: "1 link", "3 links"."""
    return f"{value:,} {one if value == 1 else several or one + 's'}"


def decimals(value: float | None, digits: int = 1) -> str:
    """Return a number with so many decimals, a real minus sign, and no "-0.0"."""
    if value is None:
        return NOTHING
    rounded = round(value, digits) or 0.0
    return f"{rounded:,.{digits}f}".replace("-", "−")


def significant(value: float | None) -> str:
    """Return a positive number with as many decimals as help: 0.42, 7.3, 118."""
    if value is None:
        return NOTHING
    return decimals(value, 2 if abs(value) < 1 else 1 if abs(value) < 100 else 0)


MOST_WEIGHT = 999
"""Evidence heavier than this, in decibans, is beyond words; the exact figure is in the data."""


def weight(decibans: float) -> str:
    """Return the weight of evidence with its sign: +12, −3, 0, > +999."""
    rounded = round(max(-MOST_WEIGHT, min(MOST_WEIGHT, decibans)))
    beyond = f">{HARD_SPACE}" if abs(decibans) > MOST_WEIGHT else ""
    sign = "−" if rounded < 0 else "+" if rounded > 0 else ""
    return f"{beyond}{sign}{abs(rounded)}"


def percent(share: float | None) -> str:
    """Return a share as a percentage; what is less than certain never reads 100 %."""
    if share is None:
        return NOTHING
    rounded = round(share * 100)
    if rounded == 100 and share < 1:
        return f">{HARD_SPACE}99{HARD_SPACE}%"
    if rounded == 0 and share > 0:
        return f"<{HARD_SPACE}1{HARD_SPACE}%"
    return f"{rounded}{HARD_SPACE}%"


def power_of_ten(exponent: int) -> str:
    """Return 10 to a power, as set in print."""
    return f"10{str(exponent).translate(_SUPERSCRIPT)}"


def rare(share: float | None) -> str:
    """Return a small share as a power of ten: 8.1 × 10⁻⁵; zero is 0."""
    if share is None:
        return NOTHING
    if share == 0:
        return "0"
    exponent = math.floor(math.log10(share))
    mantissa = share / 10.0**exponent
    if round(mantissa, 1) >= 10:
        mantissa, exponent = mantissa / 10, exponent + 1
    return f"{mantissa:.1f}{HARD_SPACE}×{HARD_SPACE}{power_of_ten(exponent)}"


def one_in(share: float | None) -> str:
    """Return a share as "1 in 12,000", two digits kept; "none" for zero."""
    if share is None:
        return NOTHING
    if share == 0:
        return "none"
    size = 1 / share
    digits = max(0, math.floor(math.log10(size)) - 1)
    return f"1 in {round(size, -digits):,.0f}"


def slower(ratio: float | None) -> str:
    """Return a ratio of now to usual: 3.4 ×."""
    return NOTHING if ratio is None else f"{significant(ratio)}{HARD_SPACE}×"


def interval(low: float | None, high: float | None) -> str:
    """Return the interval of a ratio, empty where there is none."""
    return "" if low is None or high is None else f"{significant(low)} to {significant(high)}"


def duration(span: timedelta) -> str:
    """Return a span in its two largest units: 6 h 40 min."""
    seconds = max(0, round(span.total_seconds()))
    if seconds < 60:
        return f"{seconds}{HARD_SPACE}s"
    minutes, hours, days = seconds // 60 % 60, seconds // 3600 % 24, seconds // 86400
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    first = next(index for index, (amount, _) in enumerate(parts) if amount)
    return " ".join(f"{amount}{HARD_SPACE}{unit}" for amount, unit in parts[first : first + 2] if amount)


class Clock:
    """Moments in the reader's time zone."""

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)

    def time(self, moment: datetime | None) -> str:
        """Return the time of day: 03:12."""
        return NOTHING if moment is None else f"{moment.astimezone(self._zone):%H:%M}"

    def day(self, moment: datetime) -> str:
        """Return the short date: 16 Nov."""
        local = moment.astimezone(self._zone)
        return f"{local.day}{HARD_SPACE}{local:%b}"

    def when(self, moment: datetime | None) -> str:
        """Return date and time: 16 Nov 03:12."""
        return NOTHING if moment is None else f"{self.day(moment)} {self.time(moment)}"

    def machine(self, moment: datetime) -> str:
        """Return the moment in ISO 8601 with its offset, for the page's time elements."""
        return moment.astimezone(self._zone).isoformat(timespec="seconds")

    def local(self, moment: datetime) -> datetime:
        """Return the moment in the reader's time zone."""
        return moment.astimezone(self._zone)
