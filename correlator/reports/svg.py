"""SVG from numbers: elements, scales, clocks. Colours and dashes live in the page's style sheet, by class."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup, escape


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """Return one element; children that are not Markup and all attributes are escaped.

    A trailing underscore is dropped from an attribute's name (``class_``), others become hyphens;
    an attribute that is None is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(escape(child) for child in children)
    return Markup(f"<{tag}{written}>{inner}</{tag}>")  # noqa: S704 - every part is escaped above


def _plain(value: object) -> str:
    """Return an attribute's value; one decimal is finer than any screen draws."""
    if isinstance(value, float):
        return f"{round(value, 1):g}"
    return str(value)


def text(x: float, y: float, said: str, class_: str = "tick", anchor: str | None = None) -> Markup:
    """Return a text element."""
    return element("text", said, x=x, y=y, class_=class_, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Return a line element."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def path(points: Iterable[Sequence[tuple[float, float]]], class_: str) -> Markup:
    """Return one path of several unconnected strokes; a stroke of one point is drawn as a dot."""
    drawn = "".join(_stroke(stroke) for stroke in points if stroke)
    return element("path", d=drawn, class_=class_) if drawn else Markup("")


def _stroke(points: Sequence[tuple[float, float]]) -> str:
    (x, y), *rest = points
    if not rest:
        return f"M{x:.1f} {y:.1f}h.01"  # with round caps, a dot as thick as the line
    return f"M{x:.1f} {y:.1f}" + "".join(f"L{x:.1f} {y:.1f}" for x, y in rest)


def hatch(x: float, y: float, width: float, height: float, gap: float = 7.0) -> Markup:
    """Return a box hatched with slanted strokes.

    Strokes, not a pattern: a browser that prints paints each filled pattern as a large bitmap.
    """
    count = math.ceil((width + height) / gap) - 1
    drawn = "".join(_slant(x, y, width, height, gap * (number + 1)) for number in range(count))
    return element("path", d=drawn, class_="hatch")


def _slant(x: float, y: float, width: float, height: float, along: float) -> str:
    """Return the stroke that meets the box's left and upper edge, prolonged, ``along`` from its corner."""
    left, low = max(0.0, along - height), min(along, height)
    run = min(along, width) - left
    return f"M{x + left:.0f} {y + low:.0f}l{run:.0f}-{run:.0f}"


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from values to pixels."""

    low: float
    high: float
    at_low: float
    at_high: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        return self.at_low + (value - self.low) / (self.high - self.low) * (self.at_high - self.at_low)

    def holds(self, value: float) -> bool:
        """Return whether the value lies on the scale."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time drawn from pixel ``left`` to pixel ``right``."""

    since: datetime
    until: datetime
    left: float
    right: float

    def __call__(self, moment: datetime) -> float:
        """Return the pixel of a moment."""
        return self.left + (moment - self.since) / (self.until - self.since) * (self.right - self.left)

    def holds(self, moment: datetime) -> bool:
        """Return whether the moment is drawn here."""
        return self.since <= moment <= self.until


def round_steps(low: float, high: float, most: int) -> list[float]:
    """Return at most ``most`` round values (1, 2 or 5 times a power of ten apart) within low..high."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step)
    return [index * step for index in range(first, math.floor(high / step) + 1)]


_CLOCK_STEPS_MIN = (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720)


def clock_steps(since: datetime, until: datetime, most: int) -> list[datetime]:
    """Return at most ``most`` round times of day between two local times."""
    minutes = (until - since) / timedelta(minutes=1)
    step = next((s for s in _CLOCK_STEPS_MIN if minutes / s <= most), 1440)
    day = since.replace(hour=0, minute=0, second=0, microsecond=0)
    first = math.ceil((since - day) / timedelta(minutes=step))
    times = (day + timedelta(minutes=step * (first + index)) for index in range(most + 1))
    return [moment for moment in times if since <= moment <= until]
