"""Time-outs, stalls, round trips and exchanges; what is a host's own; the racks' past; memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from correlator import frames
from correlator.engine import baseline, rollup
from correlator.engine.measures import measured
from correlator.engine.symptoms import GROUP, host_pairs, symptoms
from correlator.engine.tally import numbered

NOW = datetime(2026, 5, 6, 10, 20, tzinfo=UTC)
KEY = ("h1", "h2", "web", "api")
NOTHING = ["segments_client", "segments_server", "retransmitted_client", "retransmitted_server", "undirected",
           "rto_client", "rto_server", "stalled", "intervals", "seconds", "exchanges", "connections_new",
           "connections_open", "response_ms", "responses", "service_ms", "services"]  # fmt: skip
USUAL = {
    "retransmissions": 2e-5, "retransmissions_shape": 5.0, "rto": 1e-6, "rto_shape": 5.0, "stalls": 1e-3,
    "stalls_shape": 5.0, "exchanges": 8.3, "exchanges_shape": 20.0, "connections": 0.17,
    "connections_shape": 5.0, "response_ms": np.nan, "response_ms_spread": np.nan, "service_ms": np.nan,
    "service_ms_spread": np.nan, "min_rtt_us": 90.0, "min_rtt_us_spread": 0.05, "usual_from": "all hours",
}  # fmt: skip


def table(key: tuple[str, ...] = KEY, usual: dict[str, Any] | None = None, **figures: float) -> pd.DataFrame:
    """Return the symptoms of one group without measured responses, five minutes of ``figures`` each."""
    row = dict.fromkeys(NOTHING, 0.0) | {"segments_client": 1000.0, "seconds": 60.0, "exchanges": 500.0,
                                         "intervals": 1.0, "min_rtt_us": 90.0}  # fmt: skip
    rows = pd.DataFrame(
        dict(zip(GROUP, key, strict=True)) | row | figures | {"at": NOW - timedelta(minutes=i)}
        for i in range(5)
    )
    past = pd.DataFrame([dict(zip(GROUP, key, strict=True)) | USUAL | (usual or {})])
    return symptoms(measured(rows, *numbered(rows, GROUP), NOW), past, [])


def test_a_pair_without_measured_responses_that_is_as_usual_is_not_slow() -> None:
    assert not table()["slow"].any()


def test_round_trips_that_grew_speak_for_a_pair_whose_responses_nobody_measures() -> None:
    seen = table(min_rtt_us=300.0).iloc[0]
    assert seen["slow_untimed"]
    assert seen["grew"] == "network"
    assert seen["rtt_ratio"] == pytest.approx(300 / 90)


def test_round_trips_are_not_asked_where_responses_are_measured() -> None:
    timed = {"response_ms": 10.0, "response_ms_spread": 0.05}
    assert not table(usual=timed, min_rtt_us=300.0, responses=500.0, response_ms=5000.0)["slow"].any()


def test_round_trips_that_swing_all_day_say_little() -> None:
    assert not table(usual={"min_rtt_us_spread": 0.8}, min_rtt_us=200.0)["slow"].any()


def test_stalled_intervals_are_slow() -> None:
    assert table(stalled=1.0)["slow_untimed"].all()


def test_fewer_exchanges_alone_are_less_load() -> None:
    seen = table(exchanges=50.0).iloc[0]
    assert seen["p_exchanges"] < 1e-6
    assert seen["interval_ratio"] == pytest.approx(10.0, rel=0.01)
    assert not seen["slow"]


def test_fewer_exchanges_beside_losses_are_slowness() -> None:
    assert table(exchanges=50.0, retransmitted_client=0.4)["slow_untimed"].all()


def test_time_outs_convict_where_retransmissions_hardly_do() -> None:
    usual = {"retransmissions": 2e-4, "retransmissions_shape": 0.5}
    assert not table(usual=usual, retransmitted_client=1.0)["lossy"].any()
    assert table(usual=usual, retransmitted_client=1.0, rto_client=1.0)["lossy"].all()


def test_no_usual_of_any_sign_is_no_symptom() -> None:
    unknown = dict.fromkeys([name for name in USUAL if name != "usual_from"], np.nan)
    seen = table(usual=unknown, min_rtt_us=9e9, stalled=1.0, rto_client=99.0, retransmitted_client=500.0)
    assert not seen["slow"].any()


def timed(key: tuple[str, ...], network_ms: float) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return a group's rows, whose usual is 1 ms in the network and 9 in the service, and its usual."""
    base = dict(zip(GROUP, key, strict=True)) | dict.fromkeys(NOTHING, 0.0)
    rows = []
    for ago in range(5):
        at = {"at": NOW - timedelta(minutes=ago), "min_rtt_us": 90.0, "intervals": 1.0}
        told = 500.0 * (9.0 + network_ms) * (1.0 + 0.001 * ago)
        rows.append(base | at | {"segments_client": 1000.0, "seconds": 60.0, "exchanges": 500.0,
                                 "responses": 500.0, "response_ms": told})  # fmt: skip
        rows.append(base | at | {"segments_server": 1000.0, "services": 500.0, "service_ms": 4500.0})
    past = {"response_ms": 10.0, "response_ms_spread": 0.05, "service_ms": 9.0, "service_ms_spread": 0.05}
    return rows, dict(zip(GROUP, key, strict=True)) | USUAL | past


def several(*groups: tuple[tuple[str, ...], float]) -> pd.DataFrame:
    told = [timed(*group) for group in groups]
    rows = pd.DataFrame([row for mine, _ in told for row in mine])
    return symptoms(
        measured(rows, *numbered(rows, GROUP), NOW), pd.DataFrame([past for _, past in told]), []
    ).set_index(["src_host", "dst_host"], drop=False)


def test_a_host_whose_own_containers_wait_for_one_another_is_slow_by_itself() -> None:
    seen = several((("h1", "h1", "web", "cache"), 9.0), (KEY, 9.0), (("h3", "h1", "web", "api"), 9.0),
                   (("h3", "h2", "web", "api"), 9.0))  # fmt: skip
    assert seen["slow"].all()
    assert seen["at_host"].to_dict() == {("h1", "h1"): "h1", ("h1", "h2"): "h1", ("h3", "h1"): "h1",
                                         ("h3", "h2"): pytest.approx(np.nan, nan_ok=True)}  # fmt: skip
    told = host_pairs(seen.reset_index(drop=True)).set_index(["src_host", "dst_host"])
    assert told["slow"].to_dict() == {("h1", "h2"): False, ("h3", "h1"): False, ("h3", "h2"): True}
    assert np.isnan(told.loc[("h1", "h2"), "delay_ms"])
    assert told.loc[("h3", "h2"), "delay_ms"] == pytest.approx(8.0, rel=0.05)


def test_a_host_whose_own_pairs_are_well_is_not_to_blame() -> None:
    seen = several((("h1", "h1", "web", "cache"), 1.0), (KEY, 9.0))
    assert seen["at_host"].isna().all()


def hours(key: tuple[str, ...], metric: str, each: float, exposure: float = 1000.0) -> pd.DataFrame:
    rows = []
    for back in range(1, 49):
        hour = NOW.replace(minute=0) - timedelta(hours=back)
        told = {"at": hour + timedelta(hours=1), "hour": hour, "metric": metric, "exposure": exposure}
        told |= (
            {"count": exposure, "sum": each * exposure}
            if metric in baseline.MEANS
            else {"count": each * exposure}
        )
        rows.append(dict(zip(GROUP, key, strict=True)) | told)
    return frames.frame("pair_hours", rows)


RACKS = {"h1": "r1", "h2": "r2", "h5": "r1", "h6": "r2", "h7": "r7", "h8": "r8"}


def test_a_pair_without_a_past_borrows_from_its_racks_before_its_siblings_elsewhere() -> None:
    past = pd.concat(
        [
            hours(("h5", "h6", "web", "api"), "response_ms", 12.0),
            hours(("h7", "h8", "web", "api"), "response_ms", 40.0),
            hours(("h5", "h6", "cron", "mail"), "retransmissions", 1e-3, 1e6),
            hours(("h7", "h8", "web", "api"), "retransmissions", 1e-5, 1e6),
            hours(("h5", "h6", "cron", "mail"), "min_rtt_us", 75.0),
        ]
    )
    groups = pd.DataFrame([KEY], columns=GROUP)
    seen = baseline.usual(baseline.remember(past, NOW, racks=RACKS), groups, NOW).iloc[0]
    assert seen["response_ms"] == pytest.approx(12.0)
    assert seen["usual_from"].startswith("services between these racks, ")
    assert seen["retransmissions"] == pytest.approx(1e-3, rel=0.02)
    assert seen["min_rtt_us"] == pytest.approx(75.0)
    anywhere = baseline.usual(baseline.remember(past, NOW), groups, NOW).iloc[0]
    assert 12.0 < anywhere["response_ms"] < 40.0
    assert anywhere["usual_from"].startswith("siblings")


def test_what_was_remembered_holds_all_the_hour() -> None:
    past = pd.concat([hours(KEY, "response_ms", 12.0), hours(KEY, "retransmissions", 1e-4, 1e6)])
    groups = pd.DataFrame([KEY], columns=GROUP)
    early, late = NOW.replace(minute=0, second=1), NOW.replace(minute=59)
    told = [baseline.usual(baseline.remember(past, at, racks=RACKS), groups, late) for at in (early, late)]
    pd.testing.assert_frame_equal(*told)


def test_an_hour_keeps_its_stalls() -> None:
    ends = [
        ("h1", "web-1", "client", "10.0.0.1", "10.0.0.2"),
        ("h2", "api-1", "server", "10.0.0.2", "10.0.0.1"),
    ]
    hour = NOW.replace(minute=0)
    samples = [
        {"at": hour + timedelta(minutes=i), "host": host, "container_id": container, "role": role,
         "interval_s": 60.0, "local_wire_address": own, "peer_wire_address": peer, "server_port": 80,
         "data_segments_sent": 10, "max_stall_ms": 250.0 if i == 3 and role == "client" else 1.0}
        for i in (1, 2, 3) for host, container, role, own, peer in ends
    ]  # fmt: skip
    rows = rollup.roll_up({"pair_samples": frames.frame("pair_samples", samples)}, hour)["pair_hours"]
    stalls = rows[rows["metric"] == "stalls"]
    assert stalls[["exposure", "count"]].to_numpy().tolist() == [[6.0, 1.0]]
