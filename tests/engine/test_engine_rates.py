from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from correlator import frames
from correlator.engine.rates import rates, wrapped_delta

START = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)


def counters(*readings: dict[str, Any], width: int = 64) -> pd.DataFrame:
    rows = []
    for i, reading in enumerate(readings):
        row = {"at": START + timedelta(minutes=i), "device": "leaf1", "if_index": 7, "if_name": "Ethernet7",
               "uptime_cs": 1_000_000 + 6000 * i, "discontinuity_cs": 0, "octets_width_bits": width,
               "errors_width_bits": 32}  # fmt: skip
        rows.append(row | reading)
    return frames.frame("counters", rows)


def interfaces(speed: int | None = 10_000_000_000) -> pd.DataFrame:
    return frames.frame(
        "interfaces",
        [{"at": START, "device": "leaf1", "if_index": 7, "if_name": "Ethernet7", "speed_bps": speed}],
    )


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**31 - 1), st.sampled_from([32, 64]))
def test_a_wrapped_counter_moves_like_an_unwrapped_one(start: int, moved: int, width: int) -> None:
    before = start % 2**width
    after = (before + moved) % 2**width
    arrays = (np.array([value], dtype=np.uint64) for value in (before, after, width))
    assert wrapped_delta(*arrays)[0] == moved


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 10**9), min_size=1, max_size=5), st.randoms())
def test_rows_in_any_order_give_the_same_rates(start: int, steps: list[int], random: Any) -> None:
    values = [start]
    for step in steps:
        values.append((values[-1] + step) % 2**64)
    table = counters(*({"in_octets": value} for value in values))
    order = list(range(len(table)))
    random.shuffle(order)
    moved = rates(table.iloc[order], interfaces())
    assert moved["in_octets"].tolist() == steps


def test_counters_above_two_to_the_53_keep_every_unit() -> None:
    moved = rates(counters({"in_packets": 2**63 + 1}, {"in_packets": 2**63 + 4}), interfaces())
    assert moved["in_packets"].tolist() == [3]


@pytest.mark.parametrize(
    "change",
    [
        {"uptime_cs": 100},
        {"discontinuity_cs": 1_003_000},
        {"if_index": 8},
        {"in_octets": 10},
        {"in_errors": 0},
    ],
    ids=["a reboot", "a discontinuity", "another index", "cleared octets", "cleared errors"],
)
def test_no_rate_spans(change: dict[str, Any]) -> None:
    table = counters(
        {"in_octets": 5_000_000, "in_errors": 1000}, {"in_octets": 6_000_000, "in_errors": 1000} | change
    )
    assert rates(table, interfaces()).empty


def test_a_reboot_within_a_long_gap_is_seen_though_the_uptime_grew() -> None:
    table = counters({"in_octets": 0, "uptime_cs": 1000}, {"in_octets": 10, "uptime_cs": 5000})
    table.loc[1, "at"] = pd.Timestamp(START + timedelta(hours=2))
    assert rates(table, interfaces()).empty


def test_octets_that_may_have_wrapped_twice_are_unknown_and_the_errors_beside_them_are_not() -> None:
    table = counters({"in_octets": 5, "in_errors": 1}, {"in_octets": 6, "in_errors": 4}, width=32)
    moved = rates(table, interfaces())
    assert moved["in_octets"].isna().tolist() == [True]
    assert moved["in_errors"].tolist() == [3]


def test_utilisation_is_the_share_of_the_speed() -> None:
    octets = 10_000_000_000 // 8 * 60 // 2
    moved = rates(counters({"out_octets": 0}, {"out_octets": octets}), interfaces())
    assert moved["utilisation_out"].tolist() == pytest.approx([0.5])


def test_an_unknown_speed_gives_no_utilisation() -> None:
    moved = rates(counters({"out_octets": 0}, {"out_octets": 1000}), interfaces(None))
    assert moved["out_octets"].tolist() == [1000]
    assert moved["utilisation_out"].isna().all()


def test_a_reading_that_came_twice_counts_once() -> None:
    table = counters({"in_packets": 10}, {"in_packets": 30})
    assert rates(pd.concat([table, table]), interfaces())["in_packets"].tolist() == [20]


def test_a_counter_that_the_device_lacks_stays_null() -> None:
    moved = rates(counters({"in_packets": 1}, {"in_packets": 2}), interfaces())
    assert moved["fcs_errors"].isna().all()


def test_no_rows_give_no_rates() -> None:
    assert rates(frames.empty("counters"), frames.empty("interfaces")).empty
