"""The tables' door."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from correlator import frames

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@given(st.lists(st.integers(0, 2**64 - 1) | st.none(), min_size=1, max_size=20))
def test_counters_survive_the_door_to_the_last_bit(values: list[int | None]) -> None:
    rows = [{"at": NOW, "device": "leaf1", "if_name": "Ethernet1", "in_octets": value} for value in values]
    table = frames.validate("counters", frames.frame("counters", rows))
    assert frames.to_arrow("counters", table).column("in_octets").to_pylist() == values


def test_a_validated_table_is_unchanged_by_a_second_validation() -> None:
    rows = [
        {"at": NOW, "host": "h1", "nic": "eth0", "addresses": ["192.0.2.1"]},
        {"at": NOW, "host": "h2"},
    ]
    once = frames.frame("hosts", rows)
    pd.testing.assert_frame_equal(frames.validate("hosts", once), once)


@pytest.mark.parametrize("name", frames.TABLES)
def test_an_empty_table_has_its_columns_and_types(name: str) -> None:
    table = frames.empty(name)
    assert list(table.columns) == frames.TABLES[name].columns
    assert frames.to_arrow(name, table).schema.equals(frames.TABLES[name].schema)


@pytest.mark.parametrize("name", frames.TABLES)
def test_every_column_says_what_it_means(name: str) -> None:
    table = frames.TABLES[name]
    assert set(table.key) <= set(table.columns)
    assert all(field.metadata[b"description"] for field in table.schema)


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(frames.FrameError, match="polls: unknown columns colour"):
        frames.frame("polls", [{"at": NOW, "colour": "red"}])
    with pytest.raises(frames.FrameError, match="polls: unknown columns colour"):
        frames.validate("polls", pd.DataFrame({"at": [NOW], "colour": ["red"]}))


def test_a_value_of_another_type_names_its_column() -> None:
    with pytest.raises(frames.FrameError, match=r"counters\.in_octets"):
        frames.validate("counters", pd.DataFrame({"at": [NOW], "in_octets": [1.5]}))
    with pytest.raises(frames.FrameError, match="counters"):
        frames.frame("counters", [{"at": NOW, "in_octets": -1}])


def test_a_time_without_a_zone_is_refused() -> None:
    naive = pd.DataFrame({"at": np.array(["2026-11-23T12:00:00"], dtype="datetime64[us]")})
    with pytest.raises(frames.FrameError, match="time zone"):
        frames.validate("polls", naive)


def test_a_row_without_a_time_is_refused() -> None:
    with pytest.raises(frames.FrameError, match=r"polls\.at: null in 1 rows"):
        frames.validate("polls", frames.frame("polls", [{"target": "leaf1"}]))


def test_an_unknown_table_is_named_with_those_that_exist() -> None:
    with pytest.raises(frames.FrameError, match="no table 'weather'; known: polls"):
        frames.empty("weather")


def test_older_files_with_fewer_columns_stay_readable() -> None:
    older = pa.table({"at": pa.array([NOW], pa.timestamp("us", "UTC")), "target": ["leaf1"], "gone": [1]})
    table = frames.from_arrow("polls", older)
    assert list(table.columns) == frames.TABLES["polls"].columns
    assert table.loc[0, "target"] == "leaf1"
    assert pd.isna(table.loc[0, "rows"])


def test_times_of_other_zones_come_back_in_utc() -> None:
    from zoneinfo import ZoneInfo

    local = NOW.astimezone(ZoneInfo("Asia/Kolkata"))
    table = frames.frame("polls", [{"at": local, "target": "leaf1"}])
    assert table.loc[0, "at"] == NOW
    assert table["at"].dt.tz is not None
    assert table.loc[0, "at"].utcoffset() == timedelta(0)
