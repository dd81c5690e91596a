"""The picture of a month of light: thresholds, the step, and where a steady fall leads."""

from __future__ import annotations

from datetime import datetime, timedelta

from markupsafe import Markup

from correlator.reports import svg
from correlator.reports.content import Period
from correlator.reports.overview import LightTrend
from correlator.reports.readings import Trace
from correlator.reports.svg import Scale, Span
from correlator.reports.timeline import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Timeline,
    labels,
    picture,
    silences,
    strokes,
)
from correlator.reports.words import Clock, count, decimals, duration, end_name

AHEAD = timedelta(days=14)
"""How far a forecast is drawn."""

WEEK = timedelta(days=7)
LEAST_READ = timedelta(days=5)
"""Readings over less time than this tell no trend."""
FAR_BELOW_DB = 8.0


def trend_chart(trend: LightTrend, period: Period, uid: str) -> Markup:
    """Return the picture of one end's received light over a month."""
    until = trend.light.end + (AHEAD if trend.forecast else timedelta())
    span = Span(trend.light.start, max(until, trend.light.start + timedelta(hours=1)), LEFT, RIGHT)
    over = Timeline(span, None, Clock(period.timezone), None)
    scale = _scale(trend)
    ticks = [(scale(value), decimals(value, 0)) for value in svg.round_steps(scale.low, scale.high, 5)]
    marks = [mark for y, said in ticks for mark in _tick(y, said)]
    past = Timeline(Span(span.since, trend.light.end, LEFT, span(trend.light.end)), None, over.clock, None)
    assert past.days is not None
    marks += silences(past, Trace(trend.light, None)) if past.days.right > LEFT else []
    marks += _dates(over, span)
    marks += [svg.line(LEFT, y, RIGHT, y, "threshold") for y, _, _ in _levels(trend, scale)]
    marks += _change(trend, span, over.clock)
    marks += [
        svg.path([[(span(at), scale(value)) for at, value in one] for one in strokes(trend.light)], "rx")
    ]
    marks += _forecast(trend, span, scale)
    last = next((value for value in reversed(trend.light.values) if value is not None), None)
    ends = [] if last is None else [(scale(last), f"Rx {decimals(last, 1)}", "label-rx")]
    marks += labels([*ends, *_levels(trend, scale)])
    return picture(
        uid, f"Light received at {end_name(trend.receiver)}, in dBm", said(trend, over.clock), marks
    )


def said(trend: LightTrend, clock: Clock) -> str:
    """Return in words what the picture shows: the step and the forecast."""
    parts = []
    if trend.change_at is not None and trend.change_db is not None:
        way = "fell" if trend.change_db < 0 else "rose"
        parts.append(f"{way} by {decimals(abs(trend.change_db))} dB on {clock.when(trend.change_at)}")
    if trend.forecast is not None:
        found = trend.forecast
        latest = "more than a year" if found.days_high is None else f"{count(found.days_high)}"
        level = "low warning" if found.level == "low_warn" else "low alarm"
        parts.append(
            f"falls by {decimals(-found.slope_db_per_day * 30)} dB a month and reaches the {level} in "
            f"{count(found.days)} days ({count(found.days_low)} to {latest})"
        )
    return "; ".join(parts) or _steady(trend)


def _steady(trend: LightTrend) -> str:
    """Return how much is behind a picture in which nothing happens: a day of calm is no month of it."""
    read = trend.light.end - trend.light.start
    if read < LEAST_READ:
        return f"no step in {duration(read)} of readings, too few for a trend"
    return f"steady over {duration(read)}: neither a step nor a lasting fall"


def _scale(trend: LightTrend) -> Scale:
    values = [value for value in trend.light.values if value is not None] or [0.0]
    low, high = min(values), max(values)
    known = (trend.thresholds.low_warn, trend.thresholds.low_alarm)
    low = min([low, *(level for level in known if level is not None and level >= low - FAR_BELOW_DB)])
    margin = max(0.5, (high - low) * 0.08)
    return Scale(low - margin, high + margin, BOTTOM, TOP)


def _tick(y: float, said: str) -> list[Markup]:
    return [svg.line(LEFT, y, RIGHT, y, "grid"), svg.text(LEFT - 7, y + 4, said, "tick", "end")]


def _dates(over: Timeline, span: Span) -> list[Markup]:
    marks = []
    at = over.clock.local(span.since).replace(hour=0, minute=0, second=0, microsecond=0)
    step = WEEK if span.until - span.since > 2 * WEEK else max(timedelta(days=1), WEEK / 3.5)
    while at <= span.until:
        if at >= span.since and span(at) < RIGHT - 8:
            marks.append(svg.line(span(at), BOTTOM, span(at), BOTTOM + 5, "axis"))
            marks.append(svg.text(span(at), BOTTOM + 20, over.clock.day(at), "tick", "middle"))
        at += step
    return marks


def _levels(trend: LightTrend, scale: Scale) -> list[tuple[float, str, str]]:
    known = (("low warning", trend.thresholds.low_warn), ("low alarm", trend.thresholds.low_alarm))
    return [
        (scale(level), label, "label-level")
        for label, level in known
        if level is not None and scale.holds(level)
    ]


def _change(trend: LightTrend, span: Span, clock: Clock) -> list[Markup]:
    if trend.change_at is None or trend.change_db is None or not span.holds(trend.change_at):
        return []
    x = span(trend.change_at)
    anchor, off = ("start", 4.0) if x < (LEFT + RIGHT) / 2 else ("end", -4.0)
    sign = "−" if trend.change_db < 0 else "+"
    said = f"{sign}{decimals(abs(trend.change_db))} dB, {clock.when(trend.change_at)}"
    return [
        svg.line(x, TOP - 18, x, BOTTOM, "onset"),
        svg.text(x + off, TOP - 9, said, "onset-label", anchor),
    ]


def _forecast(trend: LightTrend, span: Span, scale: Scale) -> list[Markup]:
    last = next((value for value in reversed(trend.light.values) if value is not None), None)
    if trend.forecast is None or last is None:
        return []
    ends: datetime = trend.light.end + AHEAD
    days = AHEAD / timedelta(days=1)
    reached = max(last + trend.forecast.slope_db_per_day * days, scale.low)
    line = [(span(trend.light.end), scale(last)), (span(ends), scale(reached))]
    return [svg.path([line], "forecast")]
