from datetime import timedelta

import report_days as days

from correlator.reports import daily, page


def test_a_day_without_tables_says_that_nothing_could_be_seen():
    html = daily.render({}, days.DAY, days.ZONE, days.NOW)
    assert "Nothing could be seen on this day" in html


def test_a_quiet_day_says_so_with_what_was_watched():
    html = daily.render(days.quiet(), days.DAY, days.ZONE, days.NOW)
    assert "Nothing is wrong with the network as far as we could see: 15 links watched" in html


def test_a_dirty_link_is_named_in_the_first_sentence():
    content = daily.content(days.rich(), days.DAY, days.ZONE, days.NOW)
    html = page.render(content)
    assert "1 link hurts 14 container pairs" in html
    assert "clean these 2 ends: leaf3 Ethernet49 and spine2 Ethernet3." in html


def test_tomorrow_has_no_report_yet():
    html = daily.render(days.rich(), days.DAY, days.ZONE, days.MIDNIGHT - timedelta(hours=5))
    assert "This day has not begun yet" in html


def test_a_page_is_the_same_when_rendered_from_its_own_data():
    html = daily.render(days.rich(), days.DAY, days.ZONE, days.NOW)
    assert page.verify(html)
