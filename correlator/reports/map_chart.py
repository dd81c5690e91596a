"""The map as one drawing that stands alone: layers of switches above their hosts, links by health.

Health is told by colour and by dash, so that it can be read in grey. No script, no font, no file besides.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from correlator.reports import svg
from correlator.reports.words import many, name

State = Literal["sick", "congested", "unknown", "healthy", "idle"]
WORST: tuple[State, ...] = ("sick", "congested", "unknown", "healthy", "idle")
WORDS: Mapping[State, str] = {
    "sick": "loses packets",
    "congested": "full",
    "unknown": "not measured",
    "healthy": "healthy",
    "idle": "shut, down or blocked",
}
STYLE = """
svg{background:#fff;font:12px sans-serif}
.node{fill:#f4f6f8;stroke:#3b4652}.box{fill:#fff;stroke:#3b4652;stroke-dasharray:3 3}
.name{fill:#1b2229;text-anchor:middle}.note{fill:#1b2229}
.hung{fill:#1b2229;text-anchor:middle;paint-order:stroke;stroke:#fff;stroke-width:4}
line{stroke-width:1.6;fill:none}
.healthy{stroke:#2b7a4b;stroke-width:1.1;stroke-opacity:.6}
.unknown{stroke:#6b7580;stroke-dasharray:1 4;stroke-linecap:round}
.congested{stroke:#b25e00;stroke-width:3;stroke-dasharray:10 4}
.sick{stroke:#c01f2f;stroke-width:4;stroke-dasharray:4 3}
.idle{stroke:#a9b2bb;stroke-dasharray:10 5 2 5}
"""
FAINT = ".healthy{stroke-width:.8;stroke-opacity:.35}\n"
TOP, HIGH, GAP, LETTER = 60.0, 26.0, 14.0, 6.8
LEAST_WIDTH = 900.0
LAYER, STEEP = 120.0, 6.0  # a layer's height: at least, and as part of the width, or lines would lie flat
STAGGER = 56.0  # between the rows of one layer: a node, its hosts, and room
MESH = 120  # lines from which on the healthy ones are drawn fainter
MOST_HOSTS = 40
"""Hosts drawn one by one; of more, each switch tells how many hang on it."""
MOST_IN_ROW = 24
"""Nodes beside each other; a wider layer is staggered over several rows."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A link to draw: the devices at its ends, its health, and the sentence that a pointer shows."""

    a: str
    b: str
    state: State
    text: str


@dataclass(frozen=True, slots=True)
class _Place:
    x: float
    y: float
    width: float


def map_chart(wires: Sequence[Wire], hosts: Iterable[str], boxes: Iterable[str], title: str) -> Markup:
    """Return a whole SVG document of the map."""
    drawn, hung = _gathered(wires, set(hosts))
    layers = _layers(drawn, set(hosts))
    places, width, height = _places(layers)
    style = STYLE + (FAINT if len(drawn) > MESH else "")
    marks = [svg.element("title", title, id="t"), svg.element("style", Markup(style))]  # noqa: S704
    marks.append(svg.text(12, 22, title, "note"))
    marks += _legend(Counter(wire.state for wire in wires), width)
    for (a, b), some in sorted(drawn.items(), key=lambda one: -_rank(one[1])):
        marks += _line(places[a], places[b], some)
    apart = set(boxes)
    marks += [mark for one in places for mark in _node(one, places[one], one in apart, hung.get(one, 0))]
    return svg.element(
        "svg",
        *marks,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="img",
        aria_labelledby="t",
    )


def _gathered(
    wires: Sequence[Wire], hosts: set[str]
) -> tuple[dict[tuple[str, str], list[Wire]], Counter[str]]:
    """Return the wires between each two devices, and how many hosts hang where they are not drawn."""
    between: dict[tuple[str, str], list[Wire]] = defaultdict(list)
    hung: Counter[str] = Counter()
    many_hosts = len(hosts) > MOST_HOSTS
    for wire in wires:
        ends = {wire.a, wire.b}
        if many_hosts and ends & hosts and wire.state not in ("sick", "congested"):
            hung.update(ends - hosts)
        elif wire.a != wire.b:
            between[min(ends), max(ends)].append(wire)
    for device in set(hung) - {end for ends in between for end in ends}:
        between[device, device] = []
    return dict(between), hung


def _rank(some: Sequence[Wire]) -> int:
    return min((WORST.index(wire.state) for wire in some), default=len(WORST))


def _layers(drawn: Iterable[tuple[str, str]], hosts: set[str]) -> list[list[str]]:
    """Return the devices by layer, the highest first: by distance from hosts, else from the fewest links."""
    beside: dict[str, set[str]] = defaultdict(set)
    for a, b in drawn:
        beside[a].add(b)
        beside[b].add(a)
    tier = dict.fromkeys(sorted(set(beside) & hosts), 0)
    edge = list(tier)
    if not edge and beside:
        fewest = min(len(near - {one}) for one, near in beside.items())
        edge = sorted(one for one, near in beside.items() if len(near - {one}) == fewest)
        tier = dict.fromkeys(edge, 1)
    while edge:
        reached = sorted({near for one in edge for near in beside[one]} - set(tier))
        tier |= dict.fromkeys(reached, tier[edge[0]] + 1)
        edge = reached
    tier |= {one: 1 for one in beside if one not in tier}
    layers: list[list[str]] = []
    at: dict[str, float] = {}
    for level in sorted(set(tier.values()))[::-1]:
        row = [one for one in tier if tier[one] == level]
        row.sort(key=lambda one: (_middle(beside[one], at), _natural(one)))
        at |= {one: i / len(row) for i, one in enumerate(row)}
        layers.append(row)
    return layers


def _middle(near: set[str], at: Mapping[str, float]) -> float:
    """Return where a device's neighbours above it stand on average: fewer lines cross like this."""
    known = sorted(at[one] for one in near if one in at)
    return round(sum(known) / len(known), 2) if known else 0.0


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts leaf2 before leaf10."""
    parts = re.split(r"(\d+)", text)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


def _places(layers: list[list[str]]) -> tuple[dict[str, _Place], float, float]:
    """Return where each device stands, and the drawing's width and height.

    Devices of a layer are spread over the width in their order; of a wide layer each stands a row
    below the one before it, up to the last row.
    """
    wide = {one: min(max(len(one) * LETTER + 12, 44.0), 150.0) for layer in layers for one in layer}
    rows = [-(-len(layer) // MOST_IN_ROW) for layer in layers]
    steps = [max(wide[one] for one in layer) + GAP for layer in layers]
    needed = [step * (len(layer) / deep + 1) for step, layer, deep in zip(steps, layers, rows, strict=True)]
    width = max([LEAST_WIDTH, *needed])
    high = max(LAYER, width / STEEP)
    places: dict[str, _Place] = {}
    y = TOP
    for step, layer, deep in zip(steps, layers, rows, strict=True):
        for number, one in enumerate(layer):
            x = step / 2 + (number + 0.5) * (width - step) / len(layer)
            places[one] = _Place(x, y + STAGGER * (number % deep), wide[one])
        y += high + STAGGER * (deep - 1)
    lowest = max((place.y for place in places.values()), default=TOP)
    return places, width, lowest + HIGH + 30


def _line(a: _Place, b: _Place, some: Sequence[Wire]) -> Iterator[Markup]:
    """Yield one line for all links between two devices, in the state of the worst."""
    if not some:
        return
    state = WORST[_rank(some)]
    upper, lower = (a, b) if a.y <= b.y else (b, a)
    level = a.y == b.y
    y1 = upper.y + (0 if level else HIGH)
    y2 = lower.y
    told = "\n".join(wire.text for wire in some[:12])
    if level:  # beside each other: over the heads of those between
        middle = (a.x + b.x) / 2
        d = f"M{a.x:.0f} {y1:.0f}Q{middle:.0f} {y1 - 34:.0f} {b.x:.0f} {y2:.0f}"
        yield svg.element(
            "path", svg.element("title", told), d=d, class_=state, fill="none", stroke_width=1.6
        )
    else:
        ends = {"x1": upper.x, "y1": y1, "x2": lower.x, "y2": y2}
        yield svg.element("line", svg.element("title", told), class_=state, **ends)
    if len(some) > 1:
        x, y = upper.x + 0.3 * (lower.x - upper.x), y1 + 0.3 * (y2 - y1)
        yield svg.text(x + 4, y - 2, f"×{len(some)}", "note")


def _node(device: str, place: _Place, apart: bool, hung: int) -> Iterator[Markup]:
    yield svg.element(
        "rect",
        svg.element("title", name(device, 200)),
        x=place.x - place.width / 2,
        y=place.y,
        width=place.width,
        height=HIGH,
        rx=4,
        class_="box" if apart else "node",
    )
    shown = name(device, max(4, int((place.width - 8) / LETTER)))
    yield svg.text(place.x, place.y + HIGH / 2 + 4, shown, "name")
    if hung:
        yield svg.text(place.x, place.y + HIGH + 14, many(hung, "host"), "hung")


def _legend(count: Counter[State], width: float) -> Iterator[Markup]:
    x = 12.0
    for state in WORST:
        if count[state]:
            yield svg.line(x, 38, x + 34, 38, state)
            text = f"{WORDS[state]}: {count[state]}"
            yield svg.text(x + 40, 42, text, "note")
            x += 62 + len(text) * LETTER
