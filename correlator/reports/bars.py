"""A pair's time to a response as two bars: before and now, each split into network and service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from correlator.reports import svg
from correlator.reports.content import SlowPair
from correlator.reports.overview import Margin
from correlator.reports.svg import Scale
from correlator.reports.words import significant

WIDTH, HEIGHT = 132.0, 24.0
ROWS = ((0.0, 7.0), (11.0, 12.0))
"""Top and thickness of the bar of before and of the bar of now."""

Parts = tuple[float | None, float | None]
"""Time to a response and the network's part of it, ms; None where not measured."""


def longest_response(pairs: Iterable[SlowPair]) -> float:
    """Return the longest time to a response among the pairs, ms: the scale that their bars share."""
    known = (ms for pair in pairs for ms, _ in _before_and_now(pair))
    return max((ms for ms in known if ms is not None), default=0.0)


def response_bars(pair: SlowPair, longest_ms: float) -> Markup:
    """Return the bars of one pair: the upper one before the onset, the lower one since."""
    scale = Scale(0, longest_ms or 1, 0, WIDTH)
    both = _before_and_now(pair)
    marks = [mark for row, parts in zip(ROWS, both, strict=True) for mark in _bar(*parts, row, scale)]
    said = ", ".join(
        f"{when} {significant(response_ms)} ms"
        for when, (response_ms, _) in zip(("before", "now"), both, strict=True)
        if response_ms is not None
    )
    title = svg.element("title", f"Time to a response: {said or 'not measured'}")
    return svg.element(
        "svg",
        title,
        *marks,
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        preserveAspectRatio="none",
        role="img",
        class_="bars",
    )


def _before_and_now(pair: SlowPair) -> tuple[Parts, Parts]:
    before = (pair.before.response_ms, pair.before.network_ms) if pair.before else (None, None)
    return before, (pair.response_now_ms, pair.network_now_ms)


def _bar(
    response_ms: float | None, network_ms: float | None, row: tuple[float, float], scale: Scale
) -> list[Markup]:
    if response_ms is None:
        middle = row[0] + row[1] / 2
        return [svg.line(0.0, middle, WIDTH, middle, "bar-unknown")]
    if network_ms is None:
        return [_box(0.0, row, scale(response_ms), "bar-whole")]
    network, service = scale(network_ms), scale(response_ms - network_ms)
    return [_box(0.0, row, network, "bar-network"), _box(network, row, service, "bar-service")]


def _box(x: float, row: tuple[float, float], width: float, class_: str) -> Markup:
    return svg.element("rect", x=x, y=row[0], width=width, height=row[1], class_=class_)


THIN_DB = 2.0
"""Margin below which a bar is marked: a dirty connector takes that much."""


def margin_bar(margin: Margin, league: Sequence[Margin]) -> Markup:
    """Return the margin of one end as a bar, on the scale of the widest of the league."""
    widest = max([1.0, *(one.margin_db for one in league)])
    scale = Scale(0, widest, 0, WIDTH)
    width = max(scale(margin.margin_db), 1.5)
    thin = " thin" if margin.margin_db < THIN_DB else ""
    return svg.element(
        "svg",
        svg.element("rect", x=0.0, y=6.0, width=width, height=10.0, class_=f"bar-margin{thin}"),
        svg.line(0.0, 1.0, 0.0, 21.0, "bar-zero"),
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        preserveAspectRatio="none",
        aria_hidden="true",
        class_="bars",
    )
