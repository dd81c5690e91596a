"""The pictures of a blamed link: its light and the packets it lost. Numbers in, inline SVG out.

Each picture has a title and a description; hues only repeat what dash, label or place already say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime

from markupsafe import Markup

from correlator.reports import svg
from correlator.reports.content import Light, Load, Period, Rate
from correlator.reports.readings import Trace
from correlator.reports.svg import Scale
from correlator.reports.timeline import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Timeline,
    axes,
    is_over,
    labels,
    onset_mark,
    picture,
    silences,
    strokes,
    timeline,
)
from correlator.reports.words import decimals, end_name, percent, power_of_ten, rare

ZERO_ROW = 16.0
"""Height of the row below a logarithmic axis on which zeros are drawn."""

LEAST_SPAN_DB = 5.0
"""Span of the axis of light at least: less would make mountains of a reading's noise."""

FAR_BELOW_DB = 8.0
"""Thresholds further than this below all light are left out: they would flatten what happened."""


def light_chart(
    light: Light, both: Sequence[Light], onset: datetime | None, period: Period, uid: str
) -> Markup:
    """Return the picture of one direction's light; ``both`` directions share their scales."""
    over = timeline([trace for one in both for trace in (one.tx, one.rx)], onset, period)
    scale = _light_scale(both)
    ticks = [(scale(value), decimals(value, 0)) for value in svg.round_steps(scale.low, scale.high, 5)]
    named = (("Tx", "tx", light.tx), ("Rx", "rx", light.rx))
    ends = [
        (
            scale(last),
            f"{said} {'was ' if is_over(over, trace) else ''}{decimals(last, 1)}",
            f"label-{class_}",
        )
        for said, class_, trace in named
        if (last := last_reading(trace)) is not None
    ]
    levels = _levels(light, scale)
    marks = [
        *axes(over, ticks),
        *silences(over, light.rx, "no light" if light.no_light else "no data"),
        *(svg.line(LEFT, y, RIGHT, y, "threshold") for y, _, _ in levels),
        *onset_mark(over),
        *_lines(over, light.tx, scale, "tx"),
        *_lines(over, light.rx, scale, "rx"),
        *labels([*ends, *levels]),
    ]
    return picture(uid, _light_title(light), _light_description(light, over), marks)


def _light_title(light: Light) -> str:
    return f"Light from {end_name(light.sender)} to {end_name(light.receiver)}, lane {light.lane}, in dBm"


def _light_description(light: Light, over: Timeline) -> str:
    said = [
        f"{side} now {decimals(last, 1)} dBm"
        for side, trace in (("Tx", light.tx), ("Rx", light.rx))
        if (last := last_reading(trace)) is not None
    ]
    if light.no_light:
        said.append("no light arrives any more")
    if light.lost_before_db is not None and light.lost_now_db is not None:
        said.append(f"lost on the way {light.lost_before_db:.1f} dB before, {light.lost_now_db:.1f} dB now")
    return _described(said, over)


def _described(said: Sequence[str], over: Timeline) -> str:
    onset = [f"onset {over.clock.when(over.onset)}"] if over.onset else []
    return "; ".join([*said, *onset]) or "no readings"


def last_reading(trace: Trace) -> float | None:
    """Return the newest value of a trace."""
    for series in (trace.minutes, trace.hours):
        for value in reversed(series.values if series else ()):
            if value is not None:
                return value
    return None


def _values(traces: Iterable[Trace]) -> list[float]:
    series = (one for trace in traces for one in (trace.hours, trace.minutes) if one)
    return [value for one in series for value in one.values if value is not None]


def _light_scale(both: Sequence[Light]) -> Scale:
    """Return a scale for all the light of a link, with the low thresholds unless they lie far below."""
    values = _values(trace for light in both for trace in (light.tx, light.rx)) or [0.0]
    low, high = min(values), max(values)
    known = (level for light in both for level in (light.thresholds.low_warn, light.thresholds.low_alarm))
    low = min([low, *(level for level in known if level is not None and level >= low - FAR_BELOW_DB)])
    margin = max(0.5, (high - low) * 0.08, (LEAST_SPAN_DB - (high - low)) / 2)
    return Scale(low - margin, high + margin, BOTTOM, TOP)


def _levels(light: Light, scale: Scale) -> list[tuple[float, str, str]]:
    """Return the receiver's low thresholds on the scale: pixel, label, class."""
    known = (("low warning", light.thresholds.low_warn), ("low alarm", light.thresholds.low_alarm))
    return [
        (scale(level), label, "label-level")
        for label, level in known
        if level is not None and scale.holds(level)
    ]


def _lines(over: Timeline, trace: Trace, scale: Scale, class_: str) -> list[Markup]:
    return [
        svg.path([[(panel(at), scale(value)) for at, value in stroke] for stroke in strokes(series)], class_)
        for panel, series in over.parts(trace)
    ]


def rate_chart(rate: Rate, both: Sequence[Rate], onset: datetime | None, period: Period, uid: str) -> Markup:
    """Return the picture of one direction's lost packets, on a logarithmic scale with a row for zero."""
    over = timeline([one.trace for one in both], onset, period)
    low, high = _decades(both)
    scale = Scale(low, high, BOTTOM - ZERO_ROW, TOP)
    every = 1 + (high - low) // 5
    ticks = [(scale(exponent), power_of_ten(exponent)) for exponent in range(low, high + 1, every)]
    marks = [
        *axes(over, [*ticks, (BOTTOM, "0")]),
        *silences(over, rate.trace),
        *onset_mark(over),
        *_rate_lines(over, rate.trace, scale),
        *labels(_rate_label(rate, scale, "at last" if is_over(over, rate.trace) else "now")),
    ]
    return picture(uid, _rate_title(rate), _rate_description(rate, over), marks)


def _rate_title(rate: Rate) -> str:
    return f"Share of packets with {rate.counted} at {end_name(rate.end)}"


def _rate_description(rate: Rate, over: Timeline) -> str:
    known = ((rate.before, "before the onset"), (rate.now, "since"))
    return _described([f"{rare(share.ratio)} {when}" for share, when in known if share], over)


def _decades(both: Sequence[Rate]) -> tuple[int, int]:
    """Return the powers of ten that hold all shares above zero: three decades at least."""
    shares = [value for value in _values(rate.trace for rate in both) if value > 0] or [1e-6]
    low, high = math.floor(math.log10(min(shares))), math.ceil(math.log10(max(shares)))
    return (low, high) if high - low >= 3 else (high - 3, high)


def _rate_lines(over: Timeline, trace: Trace, scale: Scale) -> list[Markup]:
    """Return shares above zero as one line, zeros as another on a row of their own."""
    marks = []
    for panel, series in over.parts(trace):
        zeros: list[list[tuple[float, float]]] = []
        above: list[list[tuple[float, float]]] = []
        for stroke in strokes(series):
            for kind, run in _runs(stroke):
                if kind == 0:
                    zeros.append([(panel(at), BOTTOM) for at, _ in run])
                else:
                    above.append([(panel(at), scale(math.log10(value))) for at, value in run])
        lone = [run for run in above if len(run) == 1]
        lines = [run for run in above if len(run) > 1]
        marks += [svg.path(zeros, "zeros"), svg.path(lines, "rx"), svg.path(lone, "rx dots")]
    return marks


def _runs(stroke: Sequence[tuple[datetime, float]]) -> list[tuple[int, list[tuple[datetime, float]]]]:
    """Return a stroke cut where it changes between zero (0) and above (1)."""
    runs: list[tuple[int, list[tuple[datetime, float]]]] = []
    for at, value in stroke:
        kind = int(value > 0)
        if not runs or runs[-1][0] != kind:
            runs.append((kind, []))
        runs[-1][1].append((at, value))
    return runs


def _rate_label(rate: Rate, scale: Scale, when: str) -> list[tuple[float, str, str]]:
    last = last_reading(rate.trace)
    if last is None:
        return [((TOP + BOTTOM) / 2, "no readings", "tick")]
    if last == 0:
        return [(BOTTOM, f"none {when}", "label-level")]
    y = scale(math.log10(last))
    return [(y, rare(last), "label-rx"), (y + 1, when, "label-rx")]


def load_chart(load: Load, both: Sequence[Load], onset: datetime | None, period: Period, uid: str) -> Markup:
    """Return the picture of how full one direction's sender is, 0 to 100 %."""
    over = timeline([one.trace for one in both], onset, period)
    scale = Scale(0.0, 1.0, BOTTOM, TOP)
    ticks = [(scale(share), f"{share * 100:.0f} %") for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    last = last_reading(load.trace)
    ends = (
        []
        if last is None
        else [
            (scale(last), f"{percent(last)} {'at last' if is_over(over, load.trace) else 'now'}", "label-rx")
        ]
    )
    known = ((load.before, "before the onset"), (load.now, "since"))
    said = [f"{percent(share)} {when}" for share, when in known if share is not None]
    marks = [
        *axes(over, ticks),
        *silences(over, load.trace),
        *onset_mark(over),
        *_lines(over, load.trace, scale, "rx"),
        *labels(ends),
    ]
    return picture(uid, f"Utilisation of {end_name(load.end)}, sending", _described(said, over), marks)
