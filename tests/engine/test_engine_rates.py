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
@given(st.integers(0, 2**64 - 1), st.lists(st.integers(1, 10**9), min_size=1, max_size=5), st.randoms())
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


# -- scenarios: what agents do to their counters --------------------------------------------------

BUSY = 9_000_000_000 // 8 * 60  # octets of a minute at 9 of 10 Gbit/s


def test_a_stale_cache_is_no_standstill_and_no_spike() -> None:
    busy = [{"in_octets": BUSY * n, "in_errors": 7 * n} for n in (1, 2, 2, 4, 5)]
    moved = rates(counters(*busy), interfaces())
    assert moved["seconds"].tolist() == [60, 120, 60]
    assert moved["in_octets"].tolist() == [BUSY, 2 * BUSY, BUSY]
    assert moved["in_errors"].tolist() == [7, 14, 7]


def test_one_idle_interface_is_idle_and_not_stale() -> None:
    idle = counters({"in_octets": 5}, {"in_octets": 5}, {"in_octets": 5})
    busy = counters({"in_octets": 1}, {"in_octets": 2}, {"in_octets": 3})
    busy["if_name"], busy["if_index"] = "Ethernet8", 8
    moved = rates(pd.concat([idle, busy]), interfaces())
    assert moved[moved["if_name"] == "Ethernet7"]["in_octets"].tolist() == [0, 0]


def test_an_agent_that_restarts_in_the_middle_of_a_poll_costs_the_rows_behind_it() -> None:
    first = counters({"in_errors": 100}, {"in_errors": 103}, {"in_errors": 0, "uptime_cs": 3000})
    second = counters(
        {"in_errors": 50}, {"in_errors": 0, "uptime_cs": 500}, {"in_errors": 4, "uptime_cs": 6500}
    )
    second["if_name"], second["if_index"] = "Ethernet8", 8
    moved = rates(pd.concat([first, second]), interfaces())
    kept = {(row.if_name, row.in_errors) for row in moved.itertuples()}
    assert kept == {("Ethernet7", 3), ("Ethernet8", 4)}


def test_an_uptime_that_wraps_after_497_days_is_no_restart() -> None:
    table = counters({"in_errors": 5, "uptime_cs": 2**32 - 1000}, {"in_errors": 9, "uptime_cs": 5000})
    assert rates(table, interfaces())["in_errors"].tolist() == [4]


def test_an_uptime_that_jumps_ahead_is_a_restart_too() -> None:
    table = counters({"in_errors": 5, "uptime_cs": 4_000_000_000}, {"in_errors": 9, "uptime_cs": 500_000_000})
    assert rates(table, interfaces()).empty


def test_renumbered_interfaces_are_compared_by_name_once_more() -> None:
    table = counters({"in_errors": 5}, {"in_errors": 3, "if_index": 9}, {"in_errors": 8, "if_index": 9})
    assert rates(table, interfaces())["in_errors"].tolist() == [5]


def test_a_cleared_counter_is_seen_though_no_discontinuity_is_told() -> None:
    table = counters(
        {"in_octets": 5 * BUSY, "in_errors": 5},
        {"in_octets": 100, "in_errors": 0},
        {"in_octets": 200, "in_errors": 2},
    )
    assert rates(table, interfaces())["in_errors"].tolist() == [2]


def test_a_missed_poll_loses_nothing() -> None:
    table = counters(
        {"in_errors": 5, "in_octets": 1}, {"in_errors": 6, "in_octets": 2}, {"in_errors": 9, "in_octets": 3}
    )
    moved = rates(table.iloc[[0, 2]], interfaces())
    assert (moved["in_errors"].tolist(), moved["seconds"].tolist()) == ([4], [120])


def test_rows_of_a_late_message_keep_their_errors() -> None:
    table = counters({"in_errors": 5}, {"in_errors": 6, "uptime_cs": 1_008_000}, {"in_errors": 9})
    assert rates(table, interfaces())["in_errors"].tolist() == [1, 3]


def test_packets_of_32_bits_beside_octets_of_64_wrap_and_cost_no_error() -> None:
    table = counters(
        {"in_octets": 10, "in_packets": 2**32 - 5, "in_errors": 1},
        {"in_octets": 2000, "in_packets": 15, "in_errors": 3},
    )
    moved = rates(table, interfaces())
    assert (moved["in_packets"].tolist(), moved["in_errors"].tolist()) == ([20], [2])


def test_codewords_beyond_32_bits_keep_their_width() -> None:
    table = counters({"fec_corrected": 2**40}, {"fec_corrected": 2**40 + 2**33})
    assert rates(table, interfaces())["fec_corrected"].tolist() == [2**33]


EVENTS = st.sampled_from(["fine", "fine", "fine", "missed", "stale", "boot", "clear", "renumber"])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(EVENTS, st.integers(1, BUSY // 1000), st.integers(0, 500)), min_size=1, max_size=12),
    st.integers(0, 2**32 - 1),
    st.sampled_from([32, 64]),
)
def test_no_sequence_of_resets_and_wraps_gives_an_impossible_rate_or_loses_an_error(
    story: list[tuple[str, int, int]], start: int, width: int
) -> None:
    packets = errors = start
    uptime, index, readings, whole = 2**32 - 30_000, 7, [], []
    last: dict[str, Any] | None = None
    pending = 0  # errors since the last reading that was told
    comparable = False
    for minute, (event, moved, wrong) in enumerate(story):
        uptime += 6000
        if event in ("boot", "clear"):
            packets = errors = 0
            uptime = 100 if event == "boot" else uptime
            comparable = False
        if event == "renumber":
            index, comparable = index + 1, False
        packets, errors, pending = packets + moved, errors + wrong, pending + wrong
        if event == "missed":
            continue
        now = {"in_packets": packets % 2**width, "in_errors": errors % 2**32, "uptime_cs": uptime % 2**32}
        stale = event == "stale" and last is not None
        told = dict(last) if stale and last else now
        readings.append(told | {"if_index": index, "at": START + timedelta(minutes=minute)})
        if stale:
            continue
        if comparable:
            whole.append((minute, pending))
        last, pending, comparable = now, 0, True
    moved_rows = rates(counters(*readings, width=width), interfaces())
    limit = 10e9 / 672 * 60 * (len(story) + 1) * 1.1 + 10e9 / 672 * 10
    assert (moved_rows["in_errors"].astype("float64") <= limit).all()
    assert (moved_rows["in_packets"].dropna().astype("float64") <= limit).all()
    kept = {
        int((until - START).total_seconds() // 60): int(n)
        for until, n in zip(moved_rows["until"], moved_rows["in_errors"], strict=True)
    }
    assert all(kept.get(minute) == count for minute, count in whole)
