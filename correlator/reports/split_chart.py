"""The picture of what slow pairs wait for: time to a response before and now, network and service apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from correlator.reports import svg
from correlator.reports.content import SlowPair, Talk
from correlator.reports.svg import Scale
from correlator.reports.words import HARD_SPACE, many, name, significant

WIDTH, LEFT, RIGHT, TOP = 1000.0, 250.0, 740.0, 30.0
"""Left of the bars stand the pairs, right of each bar its figures, above them the scale."""

ROW = 52.0
BARS = ((6.0, 12.0), (23.0, 18.0))
"""Top and thickness, within a row, of the bar of before and of the bar of now."""

MOST = 12
"""Pairs drawn, the worst first: what fits on a page beside its caption."""

MOST_NAME = 17


def measured(pairs: Sequence[SlowPair]) -> list[SlowPair]:
    """Return the pairs to draw, in their order: each order's first that was timed, then the first."""
    timed = [pair for pair in pairs if _response(pair.before) is not None or _response(pair.now) is not None]
    leaders = {pair.order: index for index, pair in reversed(list(enumerate(timed)))}
    others = (index for index in range(len(timed)) if index not in leaders.values())
    return [timed[index] for index in sorted([*sorted(leaders.values()), *others][:MOST])]


def split_chart(pairs: Sequence[SlowPair]) -> Markup:
    """Return the picture of ``measured`` pairs; each has two bars on one scale in milliseconds."""
    longest = max((_response(talk) or 0.0 for pair in pairs for talk in (pair.before, pair.now)), default=0.0)
    scale = Scale(0.0, longest or 1.0, LEFT, RIGHT)
    bottom = TOP + ROW * len(pairs)
    marks = [
        svg.element(
            "title", "Time to a response before and now, network and service apart", id="split-title"
        ),
        svg.element("desc", _description(pairs), id="split-desc"),
        *_axis(scale, bottom),
    ]
    for number, pair in enumerate(pairs):
        marks += _row(pair, TOP + ROW * number, scale)
    return svg.element(
        "svg",
        *marks,
        viewBox=f"0 0 {WIDTH:g} {bottom + 6:g}",
        role="img",
        class_="chart split",
        aria_labelledby="split-title",
        aria_describedby="split-desc",
    )


def _response(talk: Talk | None) -> float | None:
    return None if talk is None else talk.response_ms


def _description(pairs: Sequence[SlowPair]) -> str:
    said = "; ".join(
        f"{name(pair.impact.src_name, 32)} to {name(pair.impact.dst_name, 32)}: "
        f"{_figures(pair.before)} before, {_figures(pair.now)} now"
        for pair in pairs[:3]
    )
    return f"{many(len(pairs), 'pair')}, the worst first. {said}"


def _axis(scale: Scale, bottom: float) -> Iterator[Markup]:
    for value in svg.round_steps(scale.low, scale.high, 5):
        x = scale(value)
        yield svg.line(x, TOP - 8, x, bottom, "grid")
        yield svg.text(x, TOP - 14, f"{value:g}{HARD_SPACE}ms", "tick", "middle")


def _row(pair: SlowPair, y: float, scale: Scale) -> Iterator[Markup]:
    yield svg.text(LEFT - 62, y + 18, name(pair.impact.src_name, MOST_NAME), "heat-name", "end")
    yield svg.text(LEFT - 62, y + 36, f"→ {name(pair.impact.dst_name, MOST_NAME)}", "heat-name", "end")
    for when, talk, (top, thick) in zip(("before", "now"), (pair.before, pair.now), BARS, strict=True):
        middle = y + top + thick / 2 + 4
        yield svg.text(LEFT - 8, middle, when, "split-now" if when == "now" else "tick", "end")
        yield from _bar(talk, y + top, thick, scale)
        end = LEFT if _response(talk) is None else scale(_response(talk) or 0.0)
        yield svg.text(end + 8, middle, _figures(talk), "split-now" if when == "now" else "tick")


def _bar(talk: Talk | None, y: float, thick: float, scale: Scale) -> Iterator[Markup]:
    if talk is None or talk.response_ms is None:
        return
    if talk.network_ms is None:
        yield _box(LEFT, scale(talk.response_ms), y, thick, "bar-whole")
        return
    network = scale(min(talk.network_ms, talk.response_ms))
    yield _box(network, scale(talk.response_ms), y, thick, "bar-service")
    yield _box(LEFT, network, y, thick, "bar-network")


def _box(left: float, right: float, y: float, thick: float, class_: str) -> Markup:
    return svg.element("rect", x=left, y=y, width=right - left, height=thick, class_=class_)


def _figures(talk: Talk | None) -> str:
    """Return the figures of one bar: "31 ms: network 25, service 6"."""
    if talk is None or talk.response_ms is None:
        return "not measured"
    said = f"{significant(talk.response_ms)}{HARD_SPACE}ms"
    if talk.network_ms is None or talk.service_ms is None:
        return f"{said}, not split"
    return f"{said}: network {significant(talk.network_ms)}, service {significant(talk.service_ms)}"
