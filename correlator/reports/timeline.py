"""Pictures over time: where the clock runs, where nothing is known, where the trouble began.

Time runs in one panel, or in two beside each other: the hours of the days before and the minutes of
the day, so that a step of minutes can be seen beside a week of calm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from correlator.reports import svg
from correlator.reports.content import Period
from correlator.reports.readings import Series, Trace
from correlator.reports.svg import Span
from correlator.reports.words import Clock

WIDTH, HEIGHT = 440.0, 212.0
LEFT, RIGHT, TOP, BOTTOM = 42.0, 352.0, 24.0, 182.0
"""The plot's box; to its right stand the lines' labels, below it the clock."""

DAYS_WIDTH, BETWEEN = 88.0, 10.0
"""Width of the panel of the days before, and the break between it and the day."""

LEAST_SPAN = timedelta(hours=1)
"""Time that a panel covers at least: a lone reading does not fill a picture."""

SILENCE = 2.5
"""Usual steps without a reading after which a line is broken and the gap is hatched."""

LABEL_HEIGHT = 14.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """The panels of a picture, and the onset that is marked in one of them."""

    days: Span | None
    day: Span | None
    clock: Clock
    onset: datetime | None

    @property
    def panels(self) -> list[Span]:
        """The panels that there are, left to right."""
        return [panel for panel in (self.days, self.day) if panel]

    def parts(self, trace: Trace) -> list[tuple[Span, Series]]:
        """Return each part of a trace with the panel that it is drawn in."""
        both = ((self.days, trace.hours), (self.day, trace.minutes))
        return [(panel, series) for panel, series in both if panel and series]


def timeline(traces: Sequence[Trace], onset: datetime | None, period: Period) -> Timeline:
    """Return the timeline that holds all the given traces, and the day until its end, or until now."""
    hours = [trace.hours for trace in traces if trace.hours]
    minutes = [trace.minutes for trace in traces if trace.minutes]
    split = LEFT + DAYS_WIDTH if minutes else RIGHT
    days = _span(hours, LEFT, split) if hours else None
    day = _span(minutes, split + BETWEEN if hours else LEFT, RIGHT, period.end) if minutes else None
    return Timeline(days, day, Clock(period.timezone), onset)


def _span(series: Sequence[Series], left: float, right: float, end: datetime | None = None) -> Span:
    since, until = min(one.start for one in series), max(one.end for one in series)
    until = max(until, end or until)
    return Span(min(since, until - LEAST_SPAN), until, left, right)


def strokes(series: Series) -> list[list[tuple[datetime, float]]]:
    """Return the readings as unbroken stretches: a null or a silence ends one."""
    found: list[list[tuple[datetime, float]]] = [[]]
    silence = timedelta(seconds=series.step_s * SILENCE)
    for at, value in series.readings():
        if value is None or (found[-1] and at - found[-1][-1][0] > silence):
            found.append([])
        if value is not None:
            found[-1].append((at, value))
    return [stroke for stroke in found if stroke]


def axes(over: Timeline, ticks: Iterable[tuple[float, str]]) -> list[Markup]:
    """Return the grid with its labels (pixel and text of each), and the clock below."""
    marks = []
    for y, label in ticks:
        marks += [svg.line(panel.left, y, panel.right, y, "grid") for panel in over.panels]
        marks.append(svg.text(LEFT - 7, y + 4, label, "tick", "end"))
    return [*marks, *_dates(over), *_hours(over)]


def _dates(over: Timeline) -> list[Markup]:
    if over.days is None:
        return []
    since, until = over.clock.day(over.days.since), over.clock.day(over.days.until)
    said = since if since == until else f"{since} – {until}"
    if since != until and since.split()[1] == until.split()[1]:
        said = f"{since.split()[0]} – {until}"
    return [svg.text((over.days.left + over.days.right) / 2, BOTTOM + 20, said, "tick", "middle")]


def _hours(over: Timeline) -> list[Markup]:
    if over.day is None:
        return []
    marks = []
    local = over.clock.local
    for moment in svg.clock_steps(local(over.day.since), local(over.day.until), 4):
        x = over.day(moment)
        marks.append(svg.line(x, BOTTOM, x, BOTTOM + 5, "axis"))
        # At the panel's edge the label would run into the dates of the panel before.
        if over.days is None or x - over.day.left > 16:
            marks.append(svg.text(x, BOTTOM + 20, f"{moment:%H:%M}", "tick", "middle"))
    return marks


def onset_mark(over: Timeline) -> list[Markup]:
    """Return the line at the onset with its time, nothing where it lies outside."""
    panel = next((one for one in reversed(over.panels) if over.onset and one.holds(over.onset)), None)
    if panel is None or over.onset is None:
        return []
    x = panel(over.onset)
    anchor, off = ("start", 4.0) if x < (LEFT + RIGHT) / 2 else ("end", -4.0)
    said = f"onset {over.clock.time(over.onset)}"
    return [
        svg.line(x, TOP - 18, x, BOTTOM, "onset"),
        svg.text(x + off, TOP - 9, said, "onset-label", anchor),
    ]


def is_over(over: Timeline, trace: Trace) -> bool:
    """Return whether a trace ended before the picture does: its last reading is not that of now."""
    if over.day is None:
        return False
    known = [at for at, value in (trace.minutes.readings() if trace.minutes else ()) if value is not None]
    return not known or over.day.until - known[-1] > _patience(trace.minutes)


def _patience(series: Series | None) -> timedelta:
    """Return how long a silence of a series is usual."""
    return timedelta(seconds=series.step_s * SILENCE) if series else timedelta()


def silences(over: Timeline, trace: Trace, at_last: str = "no data") -> list[Markup]:
    """Return hatched boxes where nothing is known, which is not zero; ``at_last`` is said in the last."""
    marks = []
    for panel, series in ((over.days, trace.hours), (over.day, trace.minutes)):
        for left, right in _holes(panel, series) if panel else ():
            marks.append(svg.hatch(left, TOP, right - left, BOTTOM - TOP))
            if right - left > 50:
                said = at_last if right == RIGHT else "no data"
                marks.append(svg.text((left + right) / 2, (TOP + BOTTOM) / 2, said, "tick", "middle"))
    return marks


def _holes(panel: Span, series: Series | None) -> list[tuple[float, float]]:
    """Return the stretches of a panel, in pixels, between the strokes of a series."""
    edges = [panel.left]
    for stroke in strokes(series) if series else ():
        edges += [panel(stroke[0][0]), panel(stroke[-1][0])]
    edges.append(panel.right)
    holes = list(zip(edges[::2], edges[1::2], strict=True))
    usual = panel(panel.since + _patience(series)) - panel.left  # until the first reading, after the last
    least = [max(1.0, usual if number in (0, len(holes) - 1) else 0.0) for number in range(len(holes))]
    return [hole for hole, px in zip(holes, least, strict=True) if hole[1] - hole[0] >= px]


def labels(wanted: Iterable[tuple[float, str, str]]) -> list[Markup]:
    """Return labels (pixel, text, class) at the right of the plot, kept apart where they would overlap."""
    ordered = sorted(wanted)
    places: list[float] = []
    for y, _, _ in ordered:
        places.append(max(y, places[-1] + LABEL_HEIGHT) if places else y)
    highest = BOTTOM + LABEL_HEIGHT
    for index in range(len(places) - 1, -1, -1):
        highest = places[index] = min(places[index], highest - LABEL_HEIGHT)
    return [svg.text(RIGHT + 6, y + 4, said, c) for y, (_, said, c) in zip(places, ordered, strict=True)]


def picture(uid: str, title: str, description: str, marks: Iterable[Markup]) -> Markup:
    """Return the whole SVG; ``uid`` is unique within the page."""
    return svg.element(
        "svg",
        svg.element("title", title, id=f"{uid}-title"),
        svg.element("desc", description, id=f"{uid}-desc"),
        *marks,
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
        class_="chart",
        aria_labelledby=f"{uid}-title",
        aria_describedby=f"{uid}-desc",
    )
