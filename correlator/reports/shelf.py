"""The folder of reports: a page a day, an index of them, and what is too old thrown away."""

from __future__ import annotations

import html
import re
from datetime import date, timedelta
from pathlib import Path

from correlator.reports.page import Entry, render_index
from correlator.reports.period import ReportError

INDEX = "index.html"

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\.html")
_DESCRIPTION = re.compile(r'<meta name="description" content="([^"]*)">')

HEAD_BYTES = 8192
"""Where a page's description stands."""


def path(folder: Path, day: date) -> Path:
    """Return where the report of a day is, or will be."""
    return folder / f"{day.isoformat()}.html"


def put(folder: Path, day: date, written: str, keep: timedelta) -> Path:
    """Write the page of a day, drop those older than ``keep`` before it, renew the index; return its path.

    Readers find an old page or the new one, never half of one. Raises ReportError where the folder
    cannot be written to.
    """
    place = path(folder, day)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(place, written)
        _drop(folder, before=day - keep)
        _replace(folder / INDEX, render_index(entries(folder)))
    except OSError as error:
        raise ReportError(
            f"{place}: {error.strerror}; make the report directory writable, or configure another"
        ) from error
    return place


def entries(folder: Path) -> list[Entry]:
    """Return the reports of a folder, the newest first."""
    return [Entry(day, file.name, _headline(file)) for day, file in sorted(_days(folder), reverse=True)]


def _days(folder: Path) -> list[tuple[date, Path]]:
    """Return the reports of a folder; other files are somebody else's."""
    found = []
    for file in folder.iterdir():
        if _DAY.fullmatch(file.name):
            try:
                found.append((date.fromisoformat(file.stem), file))
            except ValueError:
                continue
    return found


def _headline(file: Path) -> str:
    with file.open("rb") as opened:
        head = opened.read(HEAD_BYTES).decode(errors="replace")
    said = _DESCRIPTION.search(head)
    return html.unescape(said[1]) if said else "This file is not a report that correlator wrote."


def _drop(folder: Path, before: date) -> None:
    for day, file in _days(folder):
        if day < before:
            file.unlink(missing_ok=True)


def _replace(place: Path, written: str) -> None:
    whole = place.with_suffix(".html.new")
    whole.write_text(written, encoding="utf-8")
    whole.replace(place)
