from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from correlator import frames
from correlator.engine.health import health
from correlator.engine.rates import rates

NOW = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)
SINCE = NOW - timedelta(minutes=5)


def chain(*devices: str) -> pd.DataFrame:
    """Return the directed links a → b → c …, each from port "out" to port "in"."""
    hops = list(itertools.pairwise(devices))
    return pd.DataFrame(
        [(a, "out", b, "in") for a, b in hops],
        columns=["sender_device", "sender_if_name", "receiver_device", "receiver_if_name"],
    )


def counted(device: str, port: str, minutes: int = 6, **per_minute: int) -> list[dict[str, Any]]:
    rows = []
    for i in range(minutes):
        at = NOW - timedelta(minutes=minutes - 1 - i)
        row = {"at": at, "device": device, "if_name": port, "if_index": 1, "uptime_cs": 10**6 + 6000 * i}
        base = {"in_packets": 0, "out_packets": 0, "in_errors": 0, "out_discards": 0} | per_minute
        rows.append(row | {name: 1000 + value * i for name, value in base.items()})
    return rows


def look(directed: pd.DataFrame, *rows: list[dict[str, Any]], forwarding: dict[str, str] | None = None,
         past: list[dict[str, Any]] | None = None) -> pd.DataFrame:  # fmt: skip
    counters = frames.frame("counters", [row for several in rows for row in several])
    modes = [{"at": NOW, "device": name, "forwarding": mode} for name, mode in (forwarding or {}).items()]
    hours = frames.frame("link_hours", past or [])
    moved = rates(counters, frames.empty("interfaces"))
    return health(directed, moved, frames.frame("devices", modes), hours, SINCE)


def test_errors_count_at_the_receiver() -> None:
    seen = look(chain("a", "b"), counted("b", "in", in_packets=10_000, in_errors=100)).iloc[0]
    assert seen["errors"] == 500
    assert seen["error_rate"] == pytest.approx(0.0099, rel=0.01)
    assert seen["error_low"] < seen["error_rate"] < seen["error_high"]
    assert seen["sick"]


def test_no_errors_among_few_packets_bound_the_rate_loosely_and_among_many_tightly() -> None:
    few = look(chain("a", "b"), counted("b", "in", in_packets=100)).iloc[0]
    many = look(chain("a", "b"), counted("b", "in", in_packets=10**7)).iloc[0]
    assert few["error_high"] > 1e-3
    assert many["error_high"] < 1e-6
    assert not few["sick"]
    assert not many["sick"]


def test_a_good_link_at_one_in_a_million_is_not_sick() -> None:
    assert not look(chain("a", "b"), counted("b", "in", in_packets=10**6, in_errors=1)).iloc[0]["sick"]


def test_what_is_not_polled_is_unknown_not_healthy() -> None:
    seen = look(chain("a", "b")).iloc[0]
    assert not seen["errors_known"]
    assert not seen["discards_known"]
    assert pd.isna(seen["error_rate"])
    assert not seen["sick"]


def test_discards_belong_to_the_sender() -> None:
    seen = look(chain("a", "b"), counted("a", "out", out_packets=10_000, out_discards=50)).iloc[0]
    assert seen["dropping"]
    assert seen["discard_rate"] == pytest.approx(0.00498, rel=0.01)
    assert not seen["sick"]


@pytest.mark.parametrize(
    ("mode", "blamed"), [("cut_through", [True, False]), ("store_and_forward", [True, True])]
)
def test_a_cut_through_switch_passes_bad_frames_on(mode: str, blamed: list[bool]) -> None:
    seen = look(
        chain("a", "b", "c"),
        counted("b", "in", in_packets=10_000, in_errors=100),
        counted("c", "in", in_packets=10_000, in_errors=80),
        forwarding={"b": mode},
    )
    assert seen["sick"].tolist() == blamed


def test_bad_frames_pass_through_three_switches_and_the_first_hop_is_blamed() -> None:
    bad = [counted(name, "in", in_packets=10_000, in_errors=100) for name in ("b", "c", "d")]
    seen = look(chain("a", "b", "c", "d"), *bad, forwarding=dict.fromkeys("bcd", "cut_through"))
    assert seen["sick"].tolist() == [True, False, False]


def test_more_errors_than_came_in_are_the_links_own() -> None:
    seen = look(
        chain("a", "b", "c"),
        counted("b", "in", in_packets=10_000, in_errors=1),
        counted("c", "in", in_packets=10_000, in_errors=100),
        forwarding={"b": "cut_through"},
    )
    assert seen["sick"].tolist() == [True, True]
    assert seen.loc[1, "passed_on"] == 5


def test_the_floor_is_learned_from_the_links_own_past() -> None:
    past = [
        {
            "at": NOW,
            "hour": NOW,
            "device": "b",
            "if_name": "in",
            "metric": "errors",
            "exposure": 1e7,
            "count": 1000,
        }
    ]
    assert look(chain("a", "b"), past=past).iloc[0]["error_floor"] == pytest.approx(1e-4, rel=0.5)
    assert look(chain("a", "b")).iloc[0]["error_floor"] == pytest.approx(1e-7)


def test_the_onset_is_where_the_errors_began() -> None:
    rows = counted("b", "in", minutes=20, in_packets=10_000)
    for i, row in enumerate(rows):
        row["in_errors"] = 1000 + 100 * max(0, i - 15)
    seen = look(chain("a", "b"), rows).iloc[0]
    assert seen["error_onset"] == pd.Timestamp(NOW - timedelta(minutes=4))


def test_no_links_and_no_readings_are_answered() -> None:
    assert look(chain()).empty
