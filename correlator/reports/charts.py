"""The pictures: light and lost packets over time, response times before and now. Numbers in, inline SVG out.

Each picture has a title and a description; hues only repeat what dash, label or place already say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from correlator.reports import svg
from correlator.reports.content import Light, Period, Rate, Series, SlowPair, Talk, Trace
from correlator.reports.svg import Scale, Span
from correlator.reports.words import Clock, decimals, end_name, power_of_ten, rare, significant

WIDTH, HEIGHT = 440.0, 216.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 356.0, 22.0, 180.0
"""The plot's box; to its right stand the lines' labels, below it the clock."""

DAYS_WIDTH, BETWEEN = 92.0, 12.0
"""Width of the panel of the days before, and the break between it and the day."""

SILENCE = 2.5
"""Usual steps without a reading after which the line is broken and the gap is hatched."""

ZERO_ROW = 14.0
"""Height of the row below a logarithmic axis on which zeros are drawn."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where time runs: one panel, or two where there are hours of the days before."""

    days: Span | None
    day: Span | None
    clock: Clock
    onset: datetime | None

    @property
    def panels(self) -> list[Span]:
        """The panels that there are, left to right."""
        return [panel for panel in (self.days, self.day) if panel]


def frame(traces: Sequence[Trace], onset: datetime | None, period: Period) -> Frame:
    """Return the panels that hold all the given traces."""
    hours = [trace.hours for trace in traces if trace.hours]
    minutes = [trace.minutes for trace in traces if trace.minutes]
    days = day = None
    split = LEFT + DAYS_WIDTH if minutes else RIGHT
    if hours:
        days = _span(hours, LEFT, split)
    if minutes:
        day = _span(minutes, split + BETWEEN if hours else LEFT, RIGHT)
    return Frame(days, day, Clock(period.timezone), onset)


def _span(series: Sequence[Series], left: float, right: float) -> Span:
    since, until = min(one.start for one in series), max(one.end for one in series)
    if since == until:
        since, until = since - timedelta(minutes=1), until + timedelta(minutes=1)
    return Span(since, until, left, right)


def light_chart(
    light: Light, both: Sequence[Light], onset: datetime | None, period: Period, uid: str
) -> Markup:
    """Return the picture of one direction's light. ``both`` directions share their scales."""
    over = frame([trace for one in both for trace in (one.tx, one.rx)], onset, period)
    scale = _light_scale(both)
    marks = [
        *_axes(
            over, scale, [(value, decimals(value, 0)) for value in svg.round_steps(scale.low, scale.high, 5)]
        ),
        *_silences(over, light.rx, uid),
        *_thresholds(light, over, scale),
        *_onset(over),
        *_lines(over, light.tx, scale, "tx"),
        *_lines(over, light.rx, scale, "rx"),
        *_labels([("Tx", "tx", light.tx), ("Rx", "rx", light.rx)], scale),
    ]
    return _picture(uid, _light_title(light), _light_description(light, over), marks)


def _light_title(light: Light) -> str:
    return f"Light from {end_name(light.sender)} to {end_name(light.receiver)}, lane {light.lane}, in dBm"


def _light_description(light: Light, over: Frame) -> str:
    said = [
        f"{side} now {_now(trace)} dBm" for side, trace in (("Tx", light.tx), ("Rx", light.rx)) if _now(trace)
    ]
    if light.lost_before_db is not None and light.lost_now_db is not None:
        said.append(
            f"lost on the way {light.lost_before_db:.1f} dB before and {light.lost_now_db:.1f} dB now"
        )
    if over.onset:
        said.append(f"onset {over.clock.when(over.onset)}")
    return "; ".join(said) or "no readings"


def _now(trace: Trace) -> str:
    last = _last(trace)
    return decimals(last, 1) if last is not None else ""


def _last(trace: Trace) -> float | None:
    for series in (trace.minutes, trace.hours):
        values = [value for value in series.values if value is not None] if series else []
        if values:
            return values[-1]
    return None


def _values(traces: Iterable[Trace]) -> list[float]:
    series = (one for trace in traces for one in (trace.hours, trace.minutes) if one)
    return [value for one in series for value in one.values if value is not None]


def _light_scale(both: Sequence[Light]) -> Scale:
    """Return a scale for all the light of a link, low thresholds included unless they lie far below."""
    values = _values(trace for light in both for trace in (light.tx, light.rx)) or [0.0]
    low, high = min(values), max(values)
    near = [
        level
        for light in both
        for level in (light.thresholds.low_warn, light.thresholds.low_alarm)
        if level is not None and low - 8 <= level <= high
    ]
    low = min([low, *near])
    margin = max(0.5, (high - low) * 0.08)
    return Scale(low - margin, high + margin, BOTTOM, TOP)


def _thresholds(light: Light, over: Frame, scale: Scale) -> list[Markup]:
    marks = []
    levels = (("low warning", light.thresholds.low_warn), ("low alarm", light.thresholds.low_alarm))
    for label, level in levels:
        if level is not None and scale.holds(level):
            marks.append(svg.line(LEFT, scale(level), RIGHT, scale(level), "threshold"))
            marks.append(svg.text(RIGHT + 5, scale(level) + 4, label, "threshold-label"))
    return marks


def rate_chart(rate: Rate, both: Sequence[Rate], onset: datetime | None, period: Period, uid: str) -> Markup:
    """Return the picture of one direction's lost packets, on a logarithmic scale with a row for zero."""
    over = frame([one.trace for one in both], onset, period)
    low, high = _decades(both)
    scale = Scale(low, high, BOTTOM - ZERO_ROW, TOP)
    ticks = [(float(e), power_of_ten(e)) for e in range(low, high + 1, 1 + (high - low) // 6)]
    marks = [
        *_axes(over, scale, ticks),
        svg.line(LEFT, BOTTOM, RIGHT, BOTTOM, "grid"),
        svg.text(LEFT - 6, BOTTOM + 4, "0", "tick", "end"),
        *_silences(over, rate.trace, uid),
        *_onset(over),
        *_rate_lines(over, rate.trace, scale),
        *_rate_label(rate, scale),
    ]
    return _picture(uid, _rate_title(rate), _rate_description(rate, over), marks)


def _rate_title(rate: Rate) -> str:
    return f"Share of packets with {rate.counted} at {end_name(rate.end)}"


def _rate_description(rate: Rate, over: Frame) -> str:
    said = [
        f"{rare(share.ratio)} {when}"
        for share, when in ((rate.before, "before the onset"), (rate.now, "since"))
        if share
    ]
    if over.onset:
        said.append(f"onset {over.clock.when(over.onset)}")
    return "; ".join(said) or "no readings"


def _decades(both: Sequence[Rate]) -> tuple[int, int]:
    """Return the powers of ten that hold all shares above zero: three at least."""
    shares = [value for value in _values(rate.trace for rate in both) if value > 0] or [1e-6]
    low, high = math.floor(math.log10(min(shares))), math.ceil(math.log10(max(shares)))
    return (low, high) if high - low >= 3 else (high - 3, high)


def _rate_lines(over: Frame, trace: Trace, scale: Scale) -> list[Markup]:
    """Return shares above zero as one line, zeros as another on their own row."""
    marks = []
    for panel, series in _drawn(over, trace):
        strokes = _strokes(series)
        above = [[(panel(at), scale(math.log10(v))) for at, v in s] for s in _split(strokes, zero=False)]
        zeros = [[(panel(at), BOTTOM) for at, _ in s] for s in _split(strokes, zero=True)]
        marks += [svg.path(zeros, "zeros"), svg.path(above, "rx")]
    return marks


def _split(
    strokes: Iterable[Sequence[tuple[datetime, float]]], zero: bool
) -> list[list[tuple[datetime, float]]]:
    """Return the stretches of the strokes whose values are zero, or are above it."""
    found: list[list[tuple[datetime, float]]] = []
    for stroke in strokes:
        run: list[tuple[datetime, float]] = []
        for at, value in stroke:
            if (value == 0) == zero:
                run.append((at, value))
            elif run:
                found.append(run)
                run = []
        found.append(run)
    return [run for run in found if run]


def _rate_label(rate: Rate, scale: Scale) -> list[Markup]:
    last = _last(rate.trace)
    if last is None:
        return [svg.text(RIGHT + 5, (TOP + BOTTOM) / 2, "no readings", "label-muted")]
    if last == 0:
        return [svg.text(RIGHT + 5, BOTTOM - 4, "now none", "label-muted")]
    y = scale(math.log10(last))
    return [svg.text(RIGHT + 5, y, "now", "label-rx"), svg.text(RIGHT + 5, y + 14, rare(last), "label-rx")]


def _axes(over: Frame, scale: Scale, ticks: Sequence[tuple[float, str]]) -> list[Markup]:
    marks = []
    for value, label in ticks:
        y = scale(value)
        marks += [svg.line(panel.left, y, panel.right, y, "grid") for panel in over.panels]
        marks.append(svg.text(LEFT - 6, y + 4, label, "tick", "end"))
    return marks + _time_axis(over)


def _time_axis(over: Frame) -> list[Markup]:
    marks = []
    if over.days:
        since, until = over.clock.day(over.days.since), over.clock.day(over.days.until)
        marks.append(svg.text(over.days.left, BOTTOM + 18, since, "tick"))
        if until != since:
            marks.append(svg.text(over.days.right, BOTTOM + 18, until, "tick", "end"))
        marks.append(svg.text(over.days.left, BOTTOM + 32, "hours", "tick"))
    if over.day:
        local = over.clock.local
        for moment in svg.clock_steps(local(over.day.since), local(over.day.until), 4):
            marks.append(svg.line(over.day(moment), BOTTOM, over.day(moment), BOTTOM + 4, "axis"))
            marks.append(svg.text(over.day(moment), BOTTOM + 18, f"{moment:%H:%M}", "tick", "middle"))
    return marks


def _onset(over: Frame) -> list[Markup]:
    panel = next((one for one in reversed(over.panels) if over.onset and one.holds(over.onset)), None)
    if panel is None or over.onset is None:
        return []
    x = panel(over.onset)
    anchor = "start" if x < (LEFT + RIGHT) / 2 else "end"
    said = f"onset {over.clock.time(over.onset)}"
    return [
        svg.line(x, TOP - 8, x, BOTTOM, "onset"),
        svg.text(x + (4 if anchor == "start" else -4), TOP - 10, said, "onset-label", anchor),
    ]


def _drawn(over: Frame, trace: Trace) -> list[tuple[Span, Series]]:
    pairs = ((over.days, trace.hours), (over.day, trace.minutes))
    return [(panel, series) for panel, series in pairs if panel and series]


def _lines(over: Frame, trace: Trace, scale: Scale, class_: str) -> list[Markup]:
    return [
        svg.path([[(panel(at), scale(value)) for at, value in stroke] for stroke in _strokes(series)], class_)
        for panel, series in _drawn(over, trace)
    ]


def _strokes(series: Series) -> list[list[tuple[datetime, float]]]:
    """Return the readings as unbroken stretches: a null or a silence ends one."""
    strokes: list[list[tuple[datetime, float]]] = [[]]
    silence = timedelta(seconds=series.step_s * SILENCE)
    for at, value in series.readings():
        if value is None or (strokes[-1] and at - strokes[-1][-1][0] > silence):
            strokes.append([])
        if value is not None:
            strokes[-1].append((at, value))
    return [stroke for stroke in strokes if stroke]


def _silences(over: Frame, trace: Trace, uid: str) -> list[Markup]:
    """Return hatched boxes where nothing is known, which is not the same as zero."""
    marks = []
    for panel, series in ((over.days, trace.hours), (over.day, trace.minutes)):
        if panel is None:
            continue
        for left, right in _holes(panel, series):
            if right - left >= 1:
                marks.append(
                    svg.element(
                        "rect",
                        x=left,
                        y=TOP,
                        width=right - left,
                        height=BOTTOM - TOP,
                        fill=f"url(#{uid}-hatch)",
                    )
                )
            if right - left >= 46:
                middle = (left + right) / 2
                marks.append(svg.text(middle, (TOP + BOTTOM) / 2, "no data", "hole-label", "middle"))
    return marks


def _holes(panel: Span, series: Series | None) -> list[tuple[float, float]]:
    strokes = _strokes(series) if series else []
    edges = [panel.left]
    for stroke in strokes:
        edges += [panel(stroke[0][0]), panel(stroke[-1][0])]
    edges.append(panel.right)
    return [(left, right) for left, right in zip(edges[::2], edges[1::2], strict=True) if right > left]


def _labels(named: Sequence[tuple[str, str, Trace]], scale: Scale) -> list[Markup]:
    """Return each line's name and last value at its end, kept apart where the lines meet."""
    ends = [
        (scale(last), said, class_, last)
        for said, class_, trace in named
        if (last := _last(trace)) is not None
    ]
    marks, lowest = [], -math.inf
    for y, said, class_, last in sorted(ends):
        lowest = max(y + 4, lowest + 15)
        marks.append(svg.text(RIGHT + 5, lowest, f"{said} {decimals(last, 1)}", f"label-{class_}"))
    return marks


def _picture(uid: str, title: str, description: str, marks: Iterable[Markup]) -> Markup:
    hatch = svg.element(
        "pattern",
        svg.element("path", d="M0 6L6 0", class_="hatch"),
        id=f"{uid}-hatch", width=6, height=6, patternUnits="userSpaceOnUse",
    )  # fmt: skip
    return svg.element(
        "svg",
        svg.element("title", title, id=f"{uid}-title"),
        svg.element("desc", description, id=f"{uid}-desc"),
        svg.element("defs", hatch),
        *marks,
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}", role="img", class_="chart",
        aria_labelledby=f"{uid}-title {uid}-desc",
    )  # fmt: skip


BAR_WIDTH, BAR_HEIGHT = 132.0, 30.0


def response_bars(pair: SlowPair, longest_ms: float) -> Markup:
    """Return a pair's time to a response before (upper bar) and now (lower), its two parts apart."""
    scale = Scale(0, longest_ms or 1, 0, BAR_WIDTH)
    marks = [
        mark for row, talk in enumerate((pair.before, pair.now)) for mark in _bar(talk, row * 16.0, scale)
    ]
    said = ", ".join(
        f"{when} {significant(talk.response_ms)} ms"
        for when, talk in (("before", pair.before), ("now", pair.now))
        if talk and talk.response_ms is not None
    )
    return svg.element(
        "svg",
        svg.element("title", f"Time to a response: {said or 'not measured'}"),
        *marks,
        viewBox=f"0 0 {BAR_WIDTH:g} {BAR_HEIGHT:g}", role="img", class_="bars",
    )  # fmt: skip


def _bar(talk: Talk | None, y: float, scale: Scale) -> list[Markup]:
    if talk is None or talk.response_ms is None:
        return [svg.line(0.0, y + 7, BAR_WIDTH, y + 7, "bar-unknown")]
    if talk.network_ms is None:
        return [svg.element("rect", x=0, y=y, width=scale(talk.response_ms), height=13, class_="bar-whole")]
    network, service = scale(talk.network_ms), scale(talk.service_ms or 0)
    return [
        svg.element("rect", x=0, y=y, width=network, height=13, class_="bar-network"),
        svg.element("rect", x=network, y=y + 0.5, width=service, height=12, class_="bar-service"),
    ]


def longest_response(pairs: Iterable[SlowPair]) -> float:
    """Return the longest time to a response among the pairs, which their bars share as scale."""
    talks = (talk for pair in pairs for talk in (pair.before, pair.now))
    return max((talk.response_ms for talk in talks if talk and talk.response_ms is not None), default=0.0)
