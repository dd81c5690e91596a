"""Weekly maintenance windows: when they begin and end, over midnight and where clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from correlator.config import ConfigError, load
from correlator.config.sections import Maintenance

BERLIN = ZoneInfo("Europe/Berlin")
KATHMANDU = ZoneInfo("Asia/Kathmandu")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def weekly(*days: str, at: str, hours: float) -> Maintenance:
    return Maintenance(subject="leaf7", days=days, at=at, hours=hours)


def windows(window: Maintenance, since: str, until: str, zone=BERLIN) -> list[tuple[str, str]]:
    found = window.windows(zone, utc(since), utc(until))
    return [(f"{begins:%m-%d %H:%M}", f"{ends:%m-%d %H:%M}") for begins, ends in found]


def test_a_window_comes_on_each_of_its_days_in_the_zone_of_the_site():
    window = weekly("tuesday", "saturday", at="02:00", hours=3)
    found = windows(window, "2026-06-01T00:00", "2026-06-10T00:00")
    assert found == [
        ("06-02 00:00", "06-02 03:00"),
        ("06-06 00:00", "06-06 03:00"),
        ("06-09 00:00", "06-09 03:00"),
    ]


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins():
    window = weekly("sunday", at="23:00", hours=4)
    found = [("05-31 21:00", "06-01 01:00")]
    assert windows(window, "2026-06-01T00:30", "2026-06-01T00:30") == found  # monday, 02:30 there
    assert windows(window, "2026-06-01T01:00", "2026-06-01T01:00") == []  # over at that moment
    assert windows(window, "2026-05-31T20:59", "2026-05-31T20:59") == []  # not begun


def test_a_day_is_the_sites_not_that_of_utc():
    window = weekly("monday", at="03:00", hours=1)  # still sunday in UTC
    assert windows(window, "2026-05-31T00:00", "2026-06-01T12:00", KATHMANDU) == [
        ("05-31 21:15", "05-31 22:15")
    ]


def test_a_window_of_a_whole_week_always_holds():
    window = weekly("wednesday", at="12:00", hours=168)
    for hour in range(0, 24 * 8, 5):
        now = (utc("2026-06-01T00:00") + timedelta(hours=hour)).isoformat()[:16]
        assert windows(window, now, now)


def test_it_begins_at_the_same_hour_of_the_clock_in_summer_and_in_winter():
    window = weekly("saturday", at="02:00", hours=1)
    assert windows(window, "2026-10-22T00:00", "2026-11-01T00:00") == [
        ("10-24 00:00", "10-24 01:00"),
        ("10-31 01:00", "10-31 02:00"),
    ]


def test_one_over_the_change_of_clocks_lasts_as_long_as_any_other():
    window = weekly("saturday", at="22:00", hours=8)
    assert windows(window, "2026-03-28T12:00", "2026-03-29T12:00") == [("03-28 21:00", "03-29 05:00")]
    assert windows(window, "2026-10-24T12:00", "2026-10-25T12:00") == [("10-24 20:00", "10-25 04:00")]


def test_an_hour_that_is_left_out_or_comes_twice_begins_it_once():
    window = weekly("sunday", at="02:30", hours=1)
    assert windows(window, "2026-03-28T12:00", "2026-03-29T12:00") == [("03-29 01:30", "03-29 02:30")]
    assert windows(window, "2026-10-24T12:00", "2026-10-25T12:00") == [("10-25 00:30", "10-25 01:30")]


BAD = {
    '{subject: a, days: [monday], at: "02:00"}': "[0]: give since and until, or days, at and hours",
    '{subject: a, days: [], at: "02:00", hours: 1}': "[0]: give since and until, or days, at and hours",
    '{subject: a, days: [monday], at: "2:00", hours: 1, until: 2026-12-01T00:00Z}': "[0].at: input should",
    '{subject: a, days: [monday], at: "02:00", hours: 1, until: 2026-12-01T00:00Z}': "[0]: give since and",
    '{subject: a, days: [mon], at: "02:00", hours: 1}': "[0].days[0]: input should be 'monday', 'tuesday'",
    '{subject: a, days: monday, at: "02:00", hours: 1}': "[0].days: input should be a list",
    '{subject: a, days: [monday], at: "25:00", hours: 1}': "hour value is outside expected range of 0-23",
    '{subject: a, days: [monday], at: "02:00+01:00", hours: 1}': "[0].at: give hours and minutes in quotes",
    "{subject: a, days: [monday], at: 7200, hours: 1}": "[0].at: give hours and minutes in quotes, and no",
    '{subject: a, days: [monday], at: "02:00", hours: 0}': "[0].hours: input should be greater than 0",
    '{subject: a, days: [monday], at: "02:00", hours: -1}': "[0].hours: input should be greater than 0",
    '{subject: a, days: [monday], at: "02:00", hours: 169}': "less than or equal to 168",
    '{subject: a, days: [monday], at: "02:00", hours: .nan}': "[0].hours: input should be a valid number",
    '{subject: "", days: [monday], at: "02:00", hours: 1}': "[0].subject: string should have at least 1",
    '{subject: a, days: [monday], at: "02:00", hour: 1}': "[0].hour: unknown key; did you mean hours?",
    "{subject: a}": "[0]: give since and until, or days, at and hours",
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_window_is_refused_with_line_key_and_remedy(tmp_path, bad):
    path = tmp_path / "c.yaml"
    path.write_text(f"maintenance:\n- {bad}\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    said = str(caught.value)
    assert f"c.yaml:2: maintenance{BAD[bad]}" in said if BAD[bad].startswith("[0]") else BAD[bad] in said


def test_a_time_without_quotes_is_a_time_of_the_clock_all_the_same(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("maintenance:\n- {subject: a, days: [monday], at: 22:00, hours: 1}\n")
    assert load(path).maintenance[0].at.hour == 22


def test_a_zone_that_does_not_exist_is_refused(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("report: {timezone: Europe/Atlantis}\n")
    with pytest.raises(ConfigError, match=r"report\.timezone: there is no such time zone"):
        load(path)
