import itertools
import re
from html.parser import HTMLParser

import pytest
import report_days as days

from correlator.reports import daily, page
from correlator.reports.period import ReportError

VOID = {"meta", "link", "br", "img", "input", "hr"}
CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


class Outline(HTMLParser):
    """Every element in order, ids, headings, and whether tags nest."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.ids, self.open, self.text = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(params=["rich_page", "hostile_page", "crowded_page"])
def outline(request):
    return Outline(request.getfixturevalue(request.param))


def test_the_page_nests_and_its_ids_are_unique(outline):
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))


def test_references_between_elements_lead_somewhere(outline):
    wanted = {
        one
        for _, attributes in outline.elements
        for key in ("aria-labelledby", "aria-describedby")
        for one in (attributes.get(key) or "").split()
    }
    wanted |= {a["href"][1:] for a in outline.all("a")}
    assert wanted <= set(outline.ids)


def test_nothing_runs_and_nothing_is_fetched(outline):
    assert [script["type"] for script in outline.all("script")] == ["application/json"]
    assert not {"img", "iframe", "object", "embed", "form", "base", "video", "audio"} & {
        t for t, _ in outline.elements
    }
    assert [link["href"] for link in outline.all("link")] == ["data:,"]
    handlers = [key for _, attributes in outline.elements for key in attributes if key.startswith("on")]
    assert handlers == []
    policy = next(meta["content"] for meta in outline.all("meta") if "http-equiv" in meta)
    assert policy == CSP


def test_headings_descend_one_level_at_a_time(outline):
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_every_picture_has_a_table_behind_it(outline):
    charts = [a for a in outline.all("svg") if (a.get("class") or "").split()[0] == "chart"]
    figures = [tag for tag, _ in outline.elements if tag == "figure"]
    assert len(charts) == len(figures)
    assert len(outline.all("details")) >= len(charts)


def test_the_language_is_said(outline):
    assert outline.all("html")[0]["lang"] == "en"


def test_hostile_names_are_text_and_nothing_else(hostile_page):
    said = "".join(Outline(hostile_page).text)
    assert "<script>document.title='owned'</script>" in said
    assert "{{ 7 * 7 }}" in said
    assert "\u202e" not in hostile_page
    assert "n" * 255 not in said.replace("\n", "").replace(" ", "").split("errorsat")[0]


def test_the_sections_come_in_the_readers_order(rich_page):
    headings = re.findall(r"<h2[^>]*>([^<]+)</h2>", rich_page)
    assert headings == [
        "Work orders",
        "Repaired",
        "Slow pairs",
        "Links by health",
        "Chattiness",
        "What could not be seen",
        "Method",
    ]


def test_a_page_carries_the_data_that_it_was_made_of(rich, rich_page):
    assert page.embedded(rich_page) == rich
    assert page.verify(rich_page)


@pytest.mark.parametrize("name", ["hostile_page", "crowded_page"])
def test_pages_say_what_their_data_say(name, request):
    assert page.verify(request.getfixturevalue(name))


def test_a_changed_number_is_noticed(rich_page):
    assert not page.verify(rich_page.replace("6.2 dB more light lost", "1.2 dB more light lost"))


@pytest.mark.parametrize(
    "html", ["", "<html></html>", '<script type="application/json" id="data">{}</script>']
)
def test_a_file_without_data_is_one_sentence(html):
    with pytest.raises(ReportError, match="carries no report data"):
        page.verify(html)


def test_a_crowded_day_stays_below_two_megabytes(crowded_page):
    assert len(crowded_page.encode()) < 2_000_000


def test_a_page_is_the_same_every_time(rich_tables, rich_page):
    assert daily.render(rich_tables, days.DAY, days.ZONE, days.NOW) == rich_page


def colours(css):
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", css))


def luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_and_marks_stand_out_in_light_dark_and_print(rich_page):
    roots = re.findall(r":root \{(.*?)\}", rich_page, re.DOTALL)
    assert len(roots) == 3
    for scheme in map(colours, roots):
        for ink in ("ink", "muted", "fault", "calm", "cool"):
            for ground in ("paper", "panel"):
                assert contrast(scheme[ink], scheme[ground]) >= 4.5, (ink, ground, scheme)
        assert contrast(scheme["edge"], scheme["paper"]) >= 3
