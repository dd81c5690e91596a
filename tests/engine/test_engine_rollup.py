from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from correlator import frames
from correlator.engine.rollup import roll_up

HOUR = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)


def counters(minutes: int = 130) -> pd.DataFrame:
    rows = []
    for i in range(minutes):
        rows.append(
            {
                "at": HOUR + timedelta(minutes=i - 30),
                "device": "leaf1",
                "if_name": "p",
                "if_index": 1,
                "uptime_cs": 10**6 + 6000 * i,
                "in_packets": 1000 * i,
                "in_errors": i,
                "out_packets": 500 * i,
                "out_discards": 2 * i,
                "in_octets": 75_000_000 * i,
                "out_octets": 0,
            }
        )
    return frames.frame("counters", rows)


INTERFACES = frames.frame(
    "interfaces", [{"at": HOUR, "device": "leaf1", "if_name": "p", "speed_bps": 100_000_000}]
)


def metric(table: pd.DataFrame, name: str) -> Any:
    rows = table[table["metric"] == name]
    assert len(rows) == 1
    return rows.iloc[0]


def test_an_hour_of_counters_sums_what_moved_within_it() -> None:
    links = roll_up({"counters": counters(), "interfaces": INTERFACES}, HOUR)["link_hours"]
    errors = metric(links, "errors")
    assert (errors["count"], errors["exposure"]) == (60, 60_060)
    assert metric(links, "discards")["count"] == 120
    used = metric(links, "utilisation_in")
    assert used["sum"] / used["count"] == pytest.approx(0.1)
    assert set(links["hour"]) == {pd.Timestamp(HOUR)}


def test_an_hour_of_light_keeps_its_mean() -> None:
    rows = [
        {
            "at": HOUR + timedelta(minutes=5 * i),
            "device": "a",
            "if_name": "p",
            "lane": 1,
            "rx_power_dbm": -5.0 - i / 10,
        }
        for i in range(1, 13)
    ]
    light = roll_up({"optics": frames.frame("optics", rows)}, HOUR)["optics_hours"]
    rx = metric(light, "rx_power_dbm")
    assert rx["count"] == 12
    assert rx["sum"] / rx["count"] == pytest.approx(-5.65)
    mean_square = metric(light, "rx_power_squared")["sum"] / 12
    assert mean_square - 5.65**2 == pytest.approx(143 / 1200)  # of 0, 0.1 … 1.1
    assert set(light["metric"]) == {"rx_power_dbm", "rx_power_squared"}


def samples() -> dict[str, pd.DataFrame]:
    ends = [
        ("h1", "web-1", "client", "10.0.0.1", "10.0.0.2"),
        ("h2", "api-1", "server", "10.0.0.2", "10.0.0.1"),
    ]
    rows: list[dict[str, Any]] = []
    for minute in range(1, 3):
        for host, container, role, local, peer in ends:
            row = {
                "at": HOUR + timedelta(minutes=minute),
                "interval_s": 60.0,
                "host": host,
                "container_id": container,
                "role": role,
                "local_wire_address": local,
                "peer_wire_address": peer,
                "server_port": 80,
                "data_segments_sent": 100,
                "retransmitted_segments": 1,
                "min_rtt_us": 90.0,
            }
            if role == "client":
                row |= {
                    "exchanges": 50,
                    "connections_new": 5,
                    "response_ms_sum": 500.0,
                    "response_ms_count": 50,
                    "response_histogram": [50] + [0] * 16,
                }
            else:
                row |= {"service_ms_sum": 400.0, "service_ms_count": 50}
            rows.append(row)
    containers = [
        {"at": HOUR, "host": host, "container_id": container, "name": container, "service": container[:3]}
        for host, container, *_ in ends
    ]
    return {
        "pair_samples": frames.frame("pair_samples", rows),
        "containers": frames.frame("containers", containers),
    }


def test_an_hour_of_pairs_has_every_metric_with_its_exposure() -> None:
    table = roll_up(samples(), HOUR)["pair_hours"]
    keys = ["src_host", "dst_host", "src_service", "dst_service"]
    assert table[keys].drop_duplicates().to_numpy().tolist() == [["h1", "h2", "web", "api"]]
    again = metric(table, "retransmissions")
    assert (again["count"], again["exposure"]) == (4, 400)
    response = metric(table, "response_ms")
    assert (response["count"], response["sum"]) == (100, 1000)
    assert response["histogram"] == [100] + [0] * 16
    assert metric(table, "service_ms")["sum"] == 800
    assert (metric(table, "exchanges")["count"], metric(table, "exchanges")["exposure"]) == (100, 120)
    assert metric(table, "connections")["count"] == 10
    assert metric(table, "min_rtt_us")["sum"] / metric(table, "min_rtt_us")["count"] == 90.0


def test_histograms_of_a_wrong_length_are_dropped() -> None:
    tables = samples()
    tables["pair_samples"]["response_histogram"] = [[1, 2]] * 4
    assert metric(roll_up(tables, HOUR)["pair_hours"], "response_ms")["histogram"] is None


def test_two_hours_share_no_interval() -> None:
    first = roll_up({"counters": counters(), "interfaces": INTERFACES}, HOUR)["link_hours"]
    second = roll_up({"counters": counters(), "interfaces": INTERFACES}, HOUR + timedelta(hours=1))[
        "link_hours"
    ]
    assert metric(first, "errors")["count"] + metric(second, "errors")["count"] == 99


def test_nothing_sums_up_to_nothing() -> None:
    assert {name: len(table) for name, table in roll_up({}, HOUR).items()} == {
        "link_hours": 0,
        "optics_hours": 0,
        "pair_hours": 0,
    }
