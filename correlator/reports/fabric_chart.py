"""The drawing of the fabric: hosts below, switches above, trouble by thickness, dash and number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from correlator.reports import svg
from correlator.reports.overview import Drawing, Edge, Standing
from correlator.reports.words import many, name

WIDTH, TIER, TOP, BOX = 1000.0, 132.0, 20.0, 30.0
LETTER = 7.2
"""Width of a letter of a name, px."""

BADGE, BADGE_ROOM = 11.0, 16.0
"""Radius of a badge, and how far it stays from other badges and lines, px."""

ALONG = (0.62, 0.74, 0.5, 0.82, 0.38, 0.26)
"""Where on its line a badge may stand, best first: off the middle, where the lines of a full mesh cross."""

WORDS: dict[Standing, str] = {
    "blamed": "blamed",
    "sick": "sick, slows nobody",
    "well": "well",
    "unseen": "not counted",
    "shut": "shut or down",
}

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Place:
    x: float
    y: float
    width: float


def fabric_chart(drawing: Drawing) -> Markup:
    """Return the drawing; an arrow at a blamed link shows its direction, the figure its order."""
    places = _places(drawing)
    tiers = {node.tier for node in drawing.nodes}
    height = TOP + TIER * (len(tiers) - 1) + BOX + 12
    calm_first = sorted(drawing.edges, key=lambda edge: edge.standing in ("blamed", "sick"))
    marks = [
        svg.element("title", "The fabric with its blamed links", id="fabric-title"),
        svg.element("desc", _description(drawing), id="fabric-desc"),
    ]
    for edge in calm_first:
        marks += _line(edge, places)
    marks += [mark for node in drawing.nodes for mark in _box(node.name, places[node.name])]
    for edge, point in _badge_places(calm_first, places):
        marks += _badge(edge, point)
    return svg.element(
        "svg",
        *marks,
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        role="img",
        class_="chart fabric",
        aria_labelledby="fabric-title",
        aria_describedby="fabric-desc",
    )


def _description(drawing: Drawing) -> str:
    parts = [
        f"{edge.a} to {edge.b} {WORDS[edge.standing]}"
        for edge in drawing.edges
        if edge.standing in ("blamed", "sick")
    ]
    said = "; ".join(name(part, 120) for part in parts[:10]) or "no link is blamed"
    return f"{many(len(drawing.nodes), 'node')} of {drawing.all_nodes} drawn; {said}"


def _places(drawing: Drawing) -> dict[str, _Place]:
    """Return each node's middle and width: the highest tier on top, evenly spread."""
    tiers = sorted({node.tier for node in drawing.nodes}, reverse=True)
    found = {}
    for row, tier in enumerate(tiers):
        names = [node.name for node in drawing.nodes if node.tier == tier]
        room = WIDTH / len(names)
        width = min(112.0, room - 8)
        for number, node in enumerate(names):
            found[node] = _Place(room * (number + 0.5), TOP + TIER * row, width)
    return found


def _box(node: str, place: _Place) -> list[Markup]:
    shown = name(node, max(3, int((place.width - 6) / LETTER)))
    return [
        svg.element(
            "rect",
            svg.element("title", name(node, 100)),
            x=place.x - place.width / 2,
            y=place.y,
            width=place.width,
            height=BOX,
            rx=4,
            class_="node",
        ),
        svg.text(place.x, place.y + BOX / 2 + 4, shown, "node-name", "middle"),
    ]


def _ends(edge: Edge, places: dict[str, _Place]) -> tuple[Point, Point]:
    """Return where a line starts and ends: upper box's bottom to lower box's top, sides within a tier."""
    a, b = places[edge.a], places[edge.b]
    if a.y == b.y:
        left, right = sorted((a, b), key=lambda place: place.x)
        points = ((left.x + left.width / 2, left.y + BOX / 2), (right.x - right.width / 2, right.y + BOX / 2))
        return points if left is a else (points[1], points[0])
    if a.y < b.y:
        return (a.x, a.y + BOX), (b.x, b.y)
    return (a.x, a.y), (b.x, b.y + BOX)


def _line(edge: Edge, places: dict[str, _Place]) -> Iterator[Markup]:
    (x1, y1), (x2, y2) = _ends(edge, places)
    yield svg.line(x1, y1, x2, y2, f"edge edge-{edge.standing}")
    if edge.into is not None:
        tip, tail = ((x2, y2), (x1, y1)) if edge.into == edge.b else ((x1, y1), (x2, y2))
        yield _arrow(tail, tip)


def _arrow(tail: Point, tip: Point) -> Markup:
    angle = math.atan2(tip[1] - tail[1], tip[0] - tail[0])
    corners = [tip] + [
        (tip[0] - 13 * math.cos(angle + turn), tip[1] - 13 * math.sin(angle + turn)) for turn in (0.42, -0.42)
    ]
    return svg.element("polygon", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in corners), class_="arrowhead")


def _badge_places(edges: Sequence[Edge], places: dict[str, _Place]) -> Iterator[tuple[Edge, Point]]:
    """Yield where on its line each edge's badge stands: off the other badges and the other heavy lines."""
    lines = {edge: _ends(edge, places) for edge in edges}
    heavy = [edge for edge in edges if edge.standing in ("blamed", "sick")]
    taken: list[Point] = []
    for edge in reversed(edges):
        others = [lines[other] for other in heavy if other is not edge]
        points = [_along(lines[edge], part) for part in ALONG]
        free = (one for one in points if _room(one, taken, others) >= BADGE_ROOM)
        taken.append(next(free, points[0]))
        yield edge, taken[-1]


def _along(line: tuple[Point, Point], part: float) -> Point:
    (x1, y1), (x2, y2) = line
    return x1 + part * (x2 - x1), y1 + part * (y2 - y1)


def _room(point: Point, taken: Sequence[Point], lines: Sequence[tuple[Point, Point]]) -> float:
    """Return how far a point is from the nearest badge (its radius less) and heavy line, px."""
    near = [math.dist(point, other) - BADGE for other in taken]
    near += [_distance(point, line) for line in lines]
    return min(near, default=math.inf)


def _distance(point: Point, line: tuple[Point, Point]) -> float:
    """Return the distance of a point from a line between two others."""
    (x1, y1), (x2, y2) = line
    length = math.dist(*line) ** 2 or 1.0
    part = ((point[0] - x1) * (x2 - x1) + (point[1] - y1) * (y2 - y1)) / length
    return math.dist(point, _along(line, min(1.0, max(0.0, part))))


def _badge(edge: Edge, point: Point) -> Iterator[Markup]:
    """Yield what stands on a line: its order's number, a cross where it is shut, how many cables it is."""
    x, y = point
    if edge.order is not None:
        yield svg.element("circle", cx=x, cy=y, r=BADGE, class_="badge")
        yield svg.text(x, y + 4.5, str(edge.order), "badge-figure", "middle")
    elif edge.standing == "shut":
        yield svg.text(x, y + 5, "×", "edge-cross", "middle")
    elif edge.standing == "sick":
        yield svg.text(x, y + 5, "!", "edge-cross", "middle")
    if edge.links > 1:
        yield svg.text(x + 14, y + 4, f"{edge.links} cables", "tick")
