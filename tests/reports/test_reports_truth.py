"""Every number of the page is that of the data it carries, and those are the store's."""

import csv
import io
import json
import re
from datetime import timedelta
from html.parser import HTMLParser

import pandas as pd
import pytest
import report_days as days

from correlator import frames
from correlator.reports import daily, formats, gather, page, period, shelf
from correlator.store.delta import DeltaStore

DIGITS = re.compile(r"\d[\d,]*(?:\.\d+)?")


class Visible(HTMLParser):
    """The rows of the page's tables, cell by cell, under the label of the region they stand in."""

    def __init__(self, html):
        super().__init__()
        self.label, self.regions, self.cell = None, {}, None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if attributes.get("role") == "region":
            self.label = attributes["aria-label"]
            self.regions.setdefault(self.label, [])
        elif tag == "tr" and self.label:
            self.regions[self.label].append([])
        elif tag in ("td", "th") and self.label:
            self.regions[self.label][-1].append("")
            self.cell = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.cell = None
        if tag == "table":
            self.label = None

    def handle_data(self, data):
        if self.cell and self.label:
            self.regions[self.label][-1][-1] += data

    def rows(self, label):
        return [[" ".join(cell.split()) for cell in row] for row in self.regions[label][1:]]


def embedded(html):
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1]
    )


def number(text):
    return float(DIGITS.search(text)[0].replace(",", "")) * (-1 if text.strip().startswith("−") else 1)


def test_the_pages_tables_say_the_embedded_numbers(rich_page):
    data, seen = embedded(rich_page), Visible(rich_page)
    rows = seen.rows("Damaged packets of all packets, by hour and link")
    assert len(rows) == len(data["heat"]["rows"])
    for cells, row in zip(rows, data["heat"]["rows"], strict=True):
        assert cells[0] == f"{row['receiver']['device']} {row['receiver']['if_name']}"
        assert number(cells[1]) == round(row["total"]["count"])
        for text, state, errors in zip(cells[3:], row["states"], row["errors"], strict=True):
            assert (number(text) == round(errors)) if state == "s" else text in ("–", "shut")
    for cells, margin in zip(seen.rows("Light, nearest to the limit"), data["margins"], strict=True):
        assert number(cells[3]) == pytest.approx(margin["margin_db"], abs=0.051)
        assert number(cells[1]) == pytest.approx(margin["rx_dbm"], abs=0.051)
    for cells, pair in zip(seen.rows("Every slow pair"), data["pairs"], strict=True):
        assert number(cells[1]) == pytest.approx(pair["impact"]["slower_by"], rel=0.02)
        assert number(cells[3].split("→")[1]) == pytest.approx(pair["now"]["network_ms"], rel=0.02)
        assert number(cells[4].split("→")[1]) == pytest.approx(pair["now"]["service_ms"], rel=0.02)
    for cells, cell in zip(seen.rows("Pairs by service"), data["matrix"]["cells"], strict=True):
        assert [number(cells[2]), number(cells[3])] == [cell["pairs"], cell["slow"]]


def test_every_reading_behind_a_picture_is_an_embedded_one(rich_page):
    data, seen = embedded(rich_page), Visible(rich_page)
    for label, light in zip(
        ("Light readings, blamed direction, order 1", "Light readings, other direction, order 1"),
        data["orders"][0]["light"],
        strict=True,
    ):
        values = [value for side in ("hours", "minutes") for value in light["rx"][side]["values"]]
        shown = [number(cells[2]) for cells in seen.rows(label) if cells[2] != "–"]
        assert shown == pytest.approx([v for v in values if v is not None], abs=0.0051)


def test_the_first_sentence_counts_what_is_embedded(rich_page):
    harm = embedded(rich_page)["harm"]
    said = re.search(r'<h1 id="verdict">([^<]*)</h1>', rich_page)[1]
    assert said.startswith(
        f"{harm['network']['faults']} link hurts {harm['network']['pairs']} container pairs"
    )
    assert f"these {harm['ends_to_clean']} ends" in said


@pytest.fixture(scope="module")
def store(tmp_path_factory, rich_tables):
    store = DeltaStore(tmp_path_factory.mktemp("store"))
    for name, table in rich_tables.items():
        store.append(name, table, source="day", sequence=0)
    return store


@pytest.fixture(scope="module")
def stored(store):
    gathered = gather.gather(store, period.begun(days.DAY, days.ZONE, days.NOW))
    return daily.content(gathered.tables, days.DAY, days.ZONE, days.NOW, looks=gathered.looks).to_json()


def test_the_embedded_numbers_are_the_stores(store, stored):
    until = days.END + timedelta(hours=1)
    counters = store.read("counters", days.MIDNIGHT, days.END)
    for row in stored["heat"]["rows"]:
        mine = counters[(counters["device"] == row["receiver"]["device"])]
        mine = mine[mine["if_name"] == row["receiver"]["if_name"]].dropna(subset=["in_errors"])
        moved = int(mine["in_errors"].iloc[-1]) - int(mine["in_errors"].iloc[0]) if len(mine) else 0
        assert row["total"]["count"] == moved
    optics = store.read("optics", days.MIDNIGHT, days.END)
    for margin in stored["margins"]:
        mine = optics[optics["device"] == margin["receiver"]["device"]]
        mine = mine[mine["if_name"] == margin["receiver"]["if_name"]]
        assert margin["rx_dbm"] == mine["rx_power_dbm"].iloc[-1]
    samples = store.read("pair_samples", days.MIDNIGHT, until)
    for pair in stored["pairs"]:
        mine = samples[(samples["container_id"] == pair["impact"]["src"]) & (samples["role"] == "client")]
        onset = pd.Timestamp(stored["orders"][pair["order"] - 1]["fault"]["verdict"]["onset"])
        mine = mine[mine["at"] > onset]
        assert pair["now"]["response_ms"] == pytest.approx(
            mine["response_ms_sum"].sum() / mine["response_ms_count"].sum(), abs=0.001
        )
    assert stored["watched"]["switches"] == store.newest("devices", until)["device"].nunique()


def test_what_is_gathered_says_what_all_the_tables_say(stored, rich):
    whole = rich.to_json()
    for part in ("harm", "orders", "pairs", "matrix", "drawing", "heat", "margins", "trends", "repairs"):
        assert stored[part] == whole[part], part


def test_of_too_many_samples_some_minutes_are_looked_at(store, monkeypatch):
    monkeypatch.setattr(gather, "MOST_SAMPLES", 100)
    monkeypatch.setattr(gather, "MINUTE", timedelta(minutes=20))
    monkeypatch.setattr(gather, "MOST_PAIR_HOURS", 10)
    gathered = gather.gather(store, period.begun(days.DAY, days.ZONE, days.NOW))
    assert len(gathered.looks) == gather.LOOKS
    content = daily.content(gathered.tables, days.DAY, days.ZONE, days.NOW, looks=gathered.looks)
    assert len(content.pairs) == 19
    assert all(pair.now is not None for pair in content.pairs if pair.impact.src != "cd00")
    assert [blind.total for blind in content.blind if blind.kind == "sampled"] == [1]


def test_json_reads_back_and_csv_holds_its_numbers(rich):
    assert formats.as_json(rich).endswith("}\n")
    assert daily.Content.from_json(json.loads(formats.as_json(rich))) == rich
    rows = list(csv.DictReader(io.StringIO(formats.as_csv(rich))))
    margins = [
        float(row["value"]) for row in rows if (row["section"], row["quantity"]) == ("light", "margin")
    ]
    assert margins == [margin.margin_db for margin in rich.margins]
    damaged = sum(float(row["value"] or 0) for row in rows if row["quantity"] == "damaged packets")
    assert damaged == sum(row.total.count for row in rich.heat.rows)


def test_markdown_says_the_first_sentence_and_every_order(rich):
    said = formats.as_markdown(rich)
    assert said.startswith("# 1 link hurts 14 container pairs; clean these 2 ends")
    assert said.count("## Order ") == len(rich.orders)
    assert "If it does not help: Swap the transceivers" in said
    assert "1. Nothing to do in the network: Look at the service recommend itself" in said
    assert "(panel PP-B12/17): Inspect before you mate again" in said


def test_hostile_names_are_neither_marks_nor_formulas():
    content = daily.content(days.hostile(), days.DAY, days.ZONE, days.NOW)
    said = formats.as_markdown(content)
    assert "<script>" not in said
    assert "\\<script\\>" in said
    assert "\u202e" not in said
    cells = [cell for row in csv.reader(io.StringIO(formats.as_csv(content))) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "@", "+"))]


def test_the_shelf_lists_its_reports_and_drops_the_old(tmp_path, rich_page):
    keep = timedelta(days=30)
    (tmp_path / "2026-10-01.html").write_text(rich_page)
    (tmp_path / "notes.html").write_text("somebody else's")
    (tmp_path / "2026-11-16.html").write_text("no report at all")
    written = shelf.put(tmp_path, days.DAY, rich_page, keep)
    assert written.name == "2026-11-17.html"
    names = {"2026-11-16.html", "2026-11-17.html", "index.html", "notes.html"}
    assert {file.name for file in tmp_path.iterdir()} == names
    index = (tmp_path / "index.html").read_text()
    assert index.index("2026-11-17.html") < index.index("2026-11-16.html")
    assert "1 link hurts 14 container pairs" in index
    assert "not a report that correlator wrote" in index


def test_the_index_has_the_whole_first_sentence(tmp_path, chaos_page):
    shelf.put(tmp_path, days.DAY, chaos_page, timedelta(days=1))
    assert "1 container pair slow for a reason not found.</span>" in (tmp_path / "index.html").read_text()
    assert "\N{HORIZONTAL ELLIPSIS}" not in (tmp_path / "index.html").read_text()


def test_a_hostile_first_sentence_is_text_in_the_index(tmp_path, hostile_page):
    harmful = hostile_page.replace(
        'name="description" content="', 'name="description" content="&lt;script&gt;'
    )
    shelf.put(tmp_path, days.DAY, harmful, timedelta(days=1))
    index = (tmp_path / "index.html").read_text()
    assert "<script" not in index
    assert "&lt;script&gt;" in index


def test_a_day_that_has_not_begun_is_one_sentence():
    with pytest.raises(period.DayError, match="has not begun in Europe/Berlin; ask for 2026-11-18"):
        period.begun(days.DAY + timedelta(days=2), days.ZONE, days.NOW)


@pytest.mark.parametrize("day", [days.date.min, days.date.max])
def test_the_ends_of_the_calendar_are_one_sentence(day):
    with pytest.raises(period.ReportError):
        period.begun(day, "Asia/Tokyo", days.NOW)


def test_a_page_whose_data_were_changed_is_noticed(rich_page):
    changed = rich_page.replace('"margin_db":0.64', '"margin_db":4.64')
    assert changed != rich_page
    assert not page.verify(changed)


def test_the_days_last_hour_is_read_as_summed_up(tmp_path):
    hours = [days.MIDNIGHT + timedelta(hours=hour) for hour in range(-1, 24)]
    rows = [
        {
            "at": hour + timedelta(hours=1),
            "hour": hour,
            "device": "leaf3",
            "if_name": "Ethernet49",
            "metric": "errors",
            "exposure": 1e6,
            "count": 0.0,
        }
        for hour in hours
    ]
    store = DeltaStore(tmp_path)
    store.append("link_hours", frames.frame("link_hours", rows), source="test", sequence=0)
    gathered = gather.gather(store, period.begun(days.DAY, days.ZONE, days.NOW))
    assert [hour.to_pydatetime() for hour in gathered.tables["link_hours"]["hour"]] == hours[1:]
