"""Nothing at all, for long: the last of the stories, so that whatever an earlier one left would show."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.real, pytest.mark.root, pytest.mark.slow]

TEN_MINUTES, AN_HOUR = 600, 3600


@pytest.mark.all
def test_ten_minutes_of_nothing(lab, watch):
    nothing(watch, TEN_MINUTES)


@pytest.mark.hour
def test_an_hour_of_nothing(lab, watch):
    nothing(watch, AN_HOUR)


def nothing(watch, seconds):
    watch.settle()
    watch.until(lambda: not watch.service.incidents(), "everything to be well", 300)
    before = len(watch.service.lines())
    watch.calm_for(seconds)
    assert not watch.service.incidents()
    print(f"\nnothing for {seconds} s: {len(watch.service.lines()) - before} lines")
