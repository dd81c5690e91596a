from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from correlator import frames
from correlator.engine.baseline import GROUP, service_hours, usual, usual_service

NOW = datetime(2026, 5, 6, 10, 20, tzinfo=UTC)
KEY = ("h1", "h2", "web", "api")


def hours(
    days: int, value: Any, metric: str = "response_ms", count: float = 100, key: tuple[str, ...] = KEY
) -> pd.DataFrame:
    rows = []
    for back in range(1, 24 * days + 1):
        hour = NOW.replace(minute=0) - timedelta(hours=back)
        mean = value(hour) if callable(value) else value
        row = dict(zip(GROUP, key, strict=True)) | {
            "at": hour,
            "hour": hour,
            "metric": metric,
            "count": count,
            "exposure": count,
        }
        rows.append(
            row | ({"sum": mean * count} if metric.endswith(("_ms", "_us")) else {"count": mean * count})
        )
    return frames.frame("pair_hours", rows)


def asked(table: pd.DataFrame, *keys: tuple[str, ...]) -> pd.DataFrame:
    return usual(table, pd.DataFrame(list(keys or (KEY,)), columns=GROUP), NOW)


def test_the_same_hour_of_the_day_is_compared_with_itself() -> None:
    table = hours(7, lambda hour: 20.0 if 9 <= hour.hour <= 11 else 5.0)
    answer = asked(table).iloc[0]
    assert answer["response_ms"] == pytest.approx(20.0)
    assert answer["usual_from"] == "hour of day"


def test_the_same_hour_of_the_week_once_enough_weeks_are_known() -> None:
    weekday = NOW.weekday()
    table = hours(28, lambda hour: 30.0 if hour.weekday() == weekday else 5.0)
    answer = asked(table).iloc[0]
    assert answer["response_ms"] == pytest.approx(30.0)
    assert answer["usual_from"] == "hour of week"


def test_all_hours_where_the_past_is_short() -> None:
    table = hours(1, 8.0).iloc[3:8]
    assert asked(table).iloc[0]["usual_from"] == "all hours"


def test_below_thirty_exposures_there_is_no_usual_yet() -> None:
    answer = asked(hours(1, 8.0, count=1).iloc[:29]).iloc[0]
    assert np.isnan(answer["response_ms"])
    assert pd.isna(answer["usual_from"])


def test_a_new_pair_borrows_times_from_its_siblings_and_losses_from_its_host_pair() -> None:
    siblings = hours(7, 12.0, key=("h5", "h6", "web", "api"))
    beside = hours(7, 1e-3, metric="retransmissions", count=1e6, key=("h1", "h2", "cron", "mail"))
    answer = asked(pd.concat([siblings, beside])).iloc[0]
    assert answer["response_ms"] == pytest.approx(12.0)
    assert answer["usual_from"].startswith("siblings")
    assert answer["retransmissions"] == pytest.approx(1e-3, rel=0.01)


def test_a_clean_past_is_not_a_certain_zero() -> None:
    answer = asked(hours(7, 0.0, metric="retransmissions", count=1000)).iloc[0]
    assert 0 < answer["retransmissions"] < 1e-5


def test_a_past_that_varies_is_trusted_less() -> None:
    steady = asked(hours(7, 1e-3, metric="retransmissions", count=1e5)).iloc[0]
    wild = asked(
        hours(7, lambda hour: 4e-3 if hour.day % 2 == 0 else 1e-5, metric="retransmissions", count=1e5)
    ).iloc[0]
    assert wild["retransmissions_shape"] < steady["retransmissions_shape"] / 3


def test_an_hour_that_came_twice_counts_once_and_this_hour_not_at_all() -> None:
    table = hours(7, 10.0)
    coming = table.iloc[:1].assign(hour=pd.Timestamp(NOW + timedelta(hours=1)), sum=1e9)
    answer = asked(pd.concat([table, table, coming])).iloc[0]
    assert answer["response_ms"] == pytest.approx(10.0)


def test_each_row_gets_its_own_usual_in_its_own_place() -> None:
    other = ("h3", "h4", "web", "db")
    table = pd.concat([hours(7, 10.0), hours(7, 40.0, key=other)])
    assert asked(table, other, KEY)["response_ms"].tolist() == pytest.approx([40.0, 10.0])


def test_no_past_and_no_groups_are_answered() -> None:
    assert asked(frames.empty("pair_hours"))["response_ms"].isna().all()
    assert usual(hours(1, 1.0), pd.DataFrame(columns=GROUP, dtype="str"), NOW).empty


def test_a_services_usual_is_that_of_all_who_call_it() -> None:
    dice = np.random.default_rng(1)
    keys = [(f"h{i}", "h9", "web", "api") for i in range(16)]
    noisy = pd.concat(
        [hours(7, lambda _: float(dice.normal(10.0, 2.0)), "service_ms", key=key) for key in keys]
    )
    server = pd.DataFrame({"dst_host": ["h9"], "dst_service": ["api"]})
    for asked_of in (server, server[["dst_service"]]):
        answer = usual_service(service_hours(noisy, NOW), asked_of, NOW).iloc[0]
        assert answer["service_ms"] == pytest.approx(10.0, rel=0.05)
        assert answer["service_ms_spread"] < 0.1
    assert usual_service(service_hours(noisy, NOW), server.iloc[:0], NOW).empty
