"""The page: one self-contained HTML file made of a ``Content``, and the way back to its data."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from correlator.reports import bars, charts, sentences, words
from correlator.reports import fabric_chart as fabric
from correlator.reports.content import Content
from correlator.reports.heat_chart import heat_chart
from correlator.reports.matrix_chart import matrix_chart
from correlator.reports.period import ReportError
from correlator.reports.readings import Trace
from correlator.reports.split_chart import measured, split_chart
from correlator.reports.trend_chart import said as trend_said
from correlator.reports.trend_chart import trend_chart

_DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """One report in the index: its day, the name of its file, its first sentence."""

    day: date
    file: str
    headline: str


def render(content: Content) -> str:
    """Return the page: no script, no request to anywhere, every number from ``content``, which it carries."""
    return (
        _environment()
        .get_template("daily.html")
        .render(
            content=content,
            clock=words.Clock(content.period.timezone),
            data=_inert_json(content),
            longest_ms=bars.longest_response(content.pairs),
        )
    )


def render_index(entries: Sequence[Entry]) -> str:
    """Return the page that lists the reports of a folder."""
    return _environment().get_template("index.html").render(entries=entries)


def embedded(html: str) -> Content:
    """Return the content that a page carries. Raises ReportError where it carries none."""
    found = _DATA.search(html)
    try:
        if found is None:
            raise ValueError("no data block")
        return Content.from_json(json.loads(found[1]))
    except ValueError as error:
        raise ReportError("this file carries no report data; give a page that correlator wrote") from error


def verify(html: str) -> bool:
    """Return whether the page says what its own data says: rendered again, it is the same to the letter."""
    return render(embedded(html)) == html


def version() -> str:
    """Return the version of the package that renders."""
    try:
        return importlib.metadata.version("correlator")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _inert_json(content: Content) -> Markup:
    """Return the content as JSON that can neither end its element nor begin another.

    It is plain ASCII; <, > and & occur within strings only and are written as escapes there.
    """
    written = json.dumps(content.to_json(), ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(written)  # noqa: S704 - escaped above


def _numbers_behind(traces: Sequence[Trace]) -> list[tuple[datetime, list[float | None]]]:
    """Return the readings behind a picture as (time, one value a trace), oldest first."""
    cells: dict[datetime, list[float | None]] = {}
    for column, trace in enumerate(traces):
        for series in (trace.hours, trace.minutes):
            for at, value in series.readings() if series else ():
                cells.setdefault(at, [None] * len(traces))[column] = value
    return sorted(cells.items())


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("correlator.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "bars": bars,
        "charts": charts,
        "sentences": sentences,
        "numbers_behind": _numbers_behind,
        "fabric_chart": fabric.fabric_chart,
        "fabric_words": fabric.WORDS,
        "heat_chart": heat_chart,
        "matrix_chart": matrix_chart,
        "split_chart": split_chart,
        "split_pairs": measured,
        "trend_chart": trend_chart,
        "trend_said": trend_said,
    }
    environment.filters |= _filters()
    return environment


def _filters() -> dict[str, Any]:
    names = (
        "clean", "name", "end_name", "count", "many", "decimals", "significant", "percent", "rare", "one_in",
        "slower", "weight", "interval", "duration",
    )  # fmt: skip
    return {name: getattr(words, name) for name in names} | {"capital": sentences.capital}
