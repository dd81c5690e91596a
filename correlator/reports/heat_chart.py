"""The picture of hours × links: the figure in a cell is the power of ten, so that grey tells it too."""

from __future__ import annotations

import math
from collections.abc import Iterator

from markupsafe import Markup

from correlator.reports import svg
from correlator.reports.overview import HeatMap, LinkHours
from correlator.reports.words import Clock, end_name, many

LEFT, TOP = 236.0, 26.0
WIDTH = 1000.0
ROW = 36.0
MOST_NAME = 17


def exponent(errors: float, packets: float) -> int:
    """Return how rare damage is as a power of ten, rounded: 5 is one packet in 100,000."""
    return round(-math.log10(errors / packets))


def heat_chart(heat: HeatMap, clock: Clock) -> Markup:
    """Return the picture: hatched where nothing was counted, a cross where shut, a dot for zero."""
    cell = (WIDTH - LEFT) / max(len(heat.hours), 1)
    height = TOP + ROW * len(heat.rows) + 4
    marks = [
        svg.element("title", "Damaged packets by hour and direction of link", id="heat-title"),
        svg.element("desc", _description(heat), id="heat-desc"),
        *_clock(heat, clock, cell),
    ]
    for number, row in enumerate(heat.rows):
        marks += _row(row, TOP + ROW * number, cell)
    return svg.element(
        "svg",
        *marks,
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        role="img",
        class_="chart heat",
        aria_labelledby="heat-title",
        aria_describedby="heat-desc",
    )


def _description(heat: HeatMap) -> str:
    return (
        f"{many(len(heat.rows), 'direction')} of {heat.directions} shown over {len(heat.hours)} hours; "
        f"{heat.with_errors} lost packets, {heat.without_errors} lost none, {heat.uncounted} said nothing"
    )


def _clock(heat: HeatMap, clock: Clock, cell: float) -> list[Markup]:
    return [
        svg.text(LEFT + cell * (number + 0.5), TOP - 8, clock.time(hour)[:2], "tick", "middle")
        for number, hour in enumerate(heat.hours)
        if number % 2 == 0
    ]


def _row(row: LinkHours, y: float, cell: float) -> Iterator[Markup]:
    said = end_name(row.receiver, MOST_NAME) + (f" · order {row.order}" if row.order else "")
    yield svg.text(LEFT - 10, y + 16, said, "heat-name", "end")
    yield svg.text(LEFT - 10, y + 30, f"from {end_name(row.sender, MOST_NAME)}", "tick", "end")
    cells = zip(row.states, row.errors, row.packets, strict=True)
    for number, (state, errors, packets) in enumerate(cells):
        x = LEFT + cell * number
        yield from _box(x, y, cell, _class(state, errors, packets))
        if said := _said(state, errors, packets):
            dark = " on-dark" if state == "s" and errors and _level(errors, packets or 1.0) > 3 else ""
            yield svg.text(x + cell / 2, y + ROW / 2 + 4, said, f"heat-figure{dark}", "middle")


def _box(x: float, y: float, cell: float, class_: str) -> Iterator[Markup]:
    yield svg.element("rect", x=x + 0.5, y=y + 0.5, width=cell - 1, height=ROW - 1, class_=class_)
    if class_ == "heat-missing":
        yield svg.hatch(x + 0.5, y + 0.5, cell - 1, ROW - 1)


def _class(state: str, errors: float | None, packets: float | None) -> str:
    if state != "s" or errors is None or not packets:
        return "heat-shut" if state == "x" else "heat-missing"
    return f"heat-{_level(errors, packets)}" if errors else "heat-0"


def _level(errors: float, packets: float) -> int:
    """Return how dark a cell is: 1 (rarer than 1 in a hundred million) to 5 (more than 1 in 1,000)."""
    return max(1, min(5, 5 - (exponent(errors, packets) - 2) // 2))


def _said(state: str, errors: float | None, packets: float | None) -> str:
    if state == "s" and errors is not None and packets:
        return str(exponent(errors, packets)) if errors else "·"
    return "×" if state == "x" else ""
