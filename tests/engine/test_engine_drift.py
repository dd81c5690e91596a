"""Light that falls from day to day is told with a date; steps, waves and noise are not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from correlator import frames
from correlator.engine.cycle import run_cycle
from correlator.engine.drift import crossings, falls

NOW = datetime(2026, 5, 20, 10, 30, tzinfo=UTC)
DAYS = 14


def hours(level: Callable[[float], float], noise: float = 0.05, lanes: int = 2) -> pd.DataFrame:
    """Return hourly Rx of leaf3 Ethernet49: lane 2 at ``level`` (of days back), the others steady."""
    dice, rows = np.random.default_rng(1), []
    for back in range(1, 24 * DAYS + 1):
        hour = NOW.replace(minute=0) - timedelta(hours=back)
        for lane in range(1, lanes + 1):
            mean = (level(back / 24) if lane == 2 else -4.0) + dice.normal(0.0, noise)
            rows.append({"at": hour + timedelta(hours=1), "hour": hour, "device": "leaf3", "lane": lane,
                         "if_name": "Ethernet49", "metric": "rx_power_dbm", "exposure": 12, "count": 12,
                         "sum": 12 * mean})  # fmt: skip
    return frames.frame("optics_hours", rows)


def optics(warn: float | None = -10.0, alarm: float | None = -12.0) -> pd.DataFrame:
    rows = [
        {"at": NOW, "device": "leaf3", "if_name": "Ethernet49", "lane": lane, "rx_power_dbm": -8.0,
         "rx_power_low_warn_dbm": warn, "rx_power_low_alarm_dbm": alarm}
        for lane in (1, 2)
    ]  # fmt: skip
    return frames.frame("optics", rows)


def test_a_steady_fall_is_told_with_its_slope_and_the_days_that_are_left() -> None:
    (fall,) = falls(hours(lambda back: -8.0 + 0.15 * back), NOW).itertuples(index=False)
    assert (fall.device, fall.if_name, fall.lane, fall.metric) == ("leaf3", "Ethernet49", 2, "rx_power_dbm")
    assert fall.slope == pytest.approx(-0.15, abs=0.01)
    assert fall.steepest < fall.slope < fall.flattest < 0
    (row,) = crossings(falls(hours(lambda back: -8.0 + 0.15 * back), NOW), optics()).itertuples(index=False)
    assert row.days == pytest.approx(2.0 / 0.15, rel=0.1)
    assert row.days_low < row.days < row.days_high


@pytest.mark.parametrize(
    "level",
    [
        lambda back: -8.0,
        lambda back: -8.0 + 0.3 * np.sin(2 * np.pi * back),  # warm afternoons
        lambda back: -8.0 if back < 6 else -6.0,  # a step: dirt, not wear
        lambda back: -8.0 - 0.1 * back,  # it rises
        lambda back: -8.0 + 0.01 * back,  # ageing that nobody will live to see
    ],
)
def test_what_is_no_fall_is_not_told(level: Callable[[float], float]) -> None:
    assert falls(hours(level), NOW).empty


def test_without_a_level_nothing_is_crossed_and_the_alarm_stands_in_for_the_warning() -> None:
    falling = falls(hours(lambda back: -8.0 + 0.15 * back), NOW)
    assert crossings(falling, optics(None, None)).empty
    assert crossings(falling, frames.empty("optics")).empty
    assert list(crossings(falling, optics(None))["level"]) == ["rx_power_low_alarm_dbm"]


def test_a_few_days_tell_nothing() -> None:
    few = hours(lambda back: -8.0 + 0.3 * back)
    assert falls(few[few["hour"] > pd.Timestamp(NOW - timedelta(days=4))], NOW).empty
    assert falls(frames.empty("optics_hours"), NOW).empty


def test_the_finding_says_lane_level_and_date_and_sends_nobody() -> None:
    tables = {"optics_hours": hours(lambda back: -8.0 + 0.15 * back), "optics": optics()}
    (finding,) = run_cycle(tables, (), NOW).findings
    text = finding.evidence[0].text
    assert text.startswith(
        "Rx of leaf3 Ethernet49 lane 2 crosses its warning level in 13 to 14 days (2026-06-"
    )
    assert finding.severity == "notice"
    assert [action.do for action in finding.actions] == ["none"]
