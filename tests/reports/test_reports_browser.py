"""The page in a real browser: it asks for nothing, complains of nothing and fits every screen."""

import os
import re
from pathlib import Path

import pytest
from report_browser import Browser, chromium

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(chromium() is None, reason="Chromium is missing: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


PAGES = ["quiet_page", "dirty_page", "chaos_page", "hostile_page", "crowded_page"]
LOOKS = [(1280, False), (390, False), (1280, True)]


@pytest.fixture(params=PAGES)
def file(request, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(request.getfixturevalue(request.param), encoding="utf-8")
    return path


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_a_page_asks_for_nothing_complains_of_nothing_and_fits(browser, file, width, dark):
    browser.requests.clear()
    browser.complaints.clear()
    browser.open(file, width, dark=dark)
    assert browser.requests == [file.as_uri()]
    assert browser.complaints == []
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate("document.title").endswith("Correlator daily report")


def test_dark_is_dark_and_light_is_light(browser, file):
    ground = "getComputedStyle(document.body).backgroundColor"
    browser.open(file, dark=False)
    light = browser.evaluate(ground)
    browser.open(file, dark=True)
    assert (light, browser.evaluate(ground)) == ("rgb(255, 255, 255)", "rgb(19, 23, 27)")


def test_no_text_is_cut_off(browser, file):
    browser.open(file, 390)
    cut = browser.evaluate(
        "[...document.querySelectorAll('h1,h3,p,dd,dt,li,td,th,.port')]"
        ".filter(e => e.getClientRects().length && e.scrollWidth > e.clientWidth + 1)"
        ".map(e => e.outerHTML.slice(0, 200))"
    )
    assert cut == []


def test_paper_holds_the_whole_width(browser, file):
    a4_without_margins = 688
    browser.open(file, a4_without_margins, media="print")
    assert browser.evaluate("document.documentElement.scrollWidth") == a4_without_margins


@pytest.mark.parametrize(
    ("page", "least", "most"), [("quiet_page", 2, 5), ("dirty_page", 4, 9), ("chaos_page", 8, 20)]
)
def test_it_prints_on_few_pages(browser, tmp_path, request, page, least, most):
    file = tmp_path / "report.html"
    file.write_text(request.getfixturevalue(page), encoding="utf-8")
    browser.open(file)
    printed = browser.pdf()
    assert least <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= most
    assert len(printed) < 2_000_000  # filled patterns would be printed as bitmaps of tens of megabytes


def axe() -> Path | None:
    """Return where axe.min.js (npm install axe-core) is, None where it is not."""
    places = [os.environ.get("CORRELATOR_AXE", ""), "out/node_modules/axe-core/axe.min.js"]
    return next((Path(place) for place in places if place and Path(place).is_file()), None)


@pytest.mark.skipif(axe() is None, reason="axe-core is missing: npm install --prefix out axe-core")
@pytest.mark.parametrize(
    ("file", "width", "dark"),
    # the crowded page is a larger one of the same parts: once is enough
    [(page, *look) for page in PAGES[:-1] for look in LOOKS] + [(PAGES[-1], *LOOKS[0])],
    indirect=["file"],
)
def test_axe_finds_nothing_to_complain_of(browser, file, width, dark):
    browser.open(file, width, dark=dark)
    browser.evaluate(axe().read_text() + "; 0")
    answer = browser.call(
        "Runtime.evaluate",
        expression="axe.run({resultTypes: ['violations']})"
        ".then(found => found.violations.map(one => one.id + ' ' + one.nodes[0].html))",
        awaitPromise=True,
        returnByValue=True,
    )
    assert answer["result"]["value"] == []


def test_what_a_hostile_name_wants_to_run_does_not_run(browser, tmp_path, hostile_page):
    path = tmp_path / "report.html"
    path.write_text(hostile_page, encoding="utf-8")
    browser.open(path)
    assert browser.evaluate("document.querySelectorAll('img, iframe, [onload], [onerror]').length") == 0
    assert browser.evaluate("document.scripts.length") == 1
