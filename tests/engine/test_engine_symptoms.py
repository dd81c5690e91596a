from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from correlator.engine.measures import measured
from correlator.engine.symptoms import GROUP, along, discoveries, host_pairs, onsets, prefixed, symptoms
from correlator.engine.tally import numbered

NOW = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)
SINCE = NOW - timedelta(minutes=5)
KEY = ("h1", "h2", "web", "api")
NUMBERS = ["segments_client", "segments_server", "retransmitted_client", "retransmitted_server", "undirected",
           "rto_client", "rto_server", "seconds", "exchanges", "connections_new", "connections_open",
           "response_ms", "responses", "service_ms", "services"]  # fmt: skip


def observed(minutes: int = 10, key: tuple[str, ...] = KEY, seed: int = 1, **of_minute: Any) -> pd.DataFrame:
    """Return a client's and a server's row a minute; ``of_minute`` gives figures by minutes ago."""
    dice, rows = np.random.default_rng(seed), []
    for ago in range(minutes):
        base = dict(zip(GROUP, key, strict=True)) | {"at": NOW - timedelta(minutes=ago), "min_rtt_us": 90.0}
        base |= dict.fromkeys(NUMBERS, 0.0)
        part = {name: value(ago) for name, value in of_minute.items()}
        response, service = (part.get("response", 10.0), part.get("service", 9.0))
        noise = dice.normal(1.0, 0.02)
        rows.append(base | {"segments_client": 1000.0, "retransmitted_client": part.get("retransmitted", 0.0),
                            "seconds": 60.0, "exchanges": 500.0, "connections_new": 10.0, "responses": 500.0,
                            "response_ms": 500.0 * response * noise})  # fmt: skip
        rows.append(base | {"segments_server": 1000.0, "retransmitted_server": part.get("again", 0.0),
                            "services": 500.0, "service_ms": 500.0 * service * noise})  # fmt: skip
    return pd.DataFrame(rows)


def usual(key: tuple[str, ...] = KEY, **columns: float) -> pd.DataFrame:
    row = dict(zip(GROUP, key, strict=True)) | {
        "retransmissions": 2e-5, "retransmissions_shape": 5.0, "exchanges": 8.3, "exchanges_shape": 5.0,
        "connections": 0.17, "connections_shape": 5.0, "response_ms": 10.0, "response_ms_spread": 0.05,
        "service_ms": 9.0, "service_ms_spread": 0.05, "min_rtt_us": 90.0, "min_rtt_us_spread": 0.05,
        "usual_from": "all hours",
    }  # fmt: skip
    return pd.DataFrame([row | columns])


def judged(rows: pd.DataFrame, past: pd.DataFrame) -> pd.DataFrame:
    """Return what the window's rows say, services measured apart by server."""
    recent = rows[rows["at"] > pd.Timestamp(SINCE)]
    keys = ["dst_host", "dst_service"]
    served = past.drop_duplicates(keys)[[*keys, "service_ms", "service_ms_spread"]]
    servers = measured(recent, *numbered(recent, keys), NOW).merge(
        prefixed(served, keys), on=keys, how="left"
    )
    table = symptoms(measured(recent, *numbered(recent, GROUP), NOW), past, [servers])
    return table.assign(onset=onsets(rows, table, NOW))


def look(rows: pd.DataFrame, past: pd.DataFrame | None = None) -> Any:
    return judged(rows, usual() if past is None else past).iloc[0]


def test_a_pair_as_usual_is_not_slow() -> None:
    seen = look(observed())
    assert not seen["slow"]
    assert seen["ratio_low"] < 1.0 < seen["ratio_high"]
    assert pd.isna(seen["grew"])


@pytest.mark.parametrize("end", ["retransmitted", "again"])
def test_loss_is_seen_whichever_end_sends_again(end: str) -> None:
    seen = look(observed(**{end: lambda ago: 12.0 if ago < 5 else 0.0}))
    assert seen["lossy"]
    assert seen["grew"] == "network"
    assert seen["retransmission_rate"] == pytest.approx(60 / 10_000)


def test_the_onset_of_loss_is_found() -> None:
    seen = look(observed(minutes=20, retransmitted=lambda ago: 12.0 if ago < 4 else 0.0))
    assert seen["onset"] == pd.Timestamp(NOW - timedelta(minutes=4))


def test_a_slow_service_is_not_the_network() -> None:
    seen = look(
        observed(response=lambda ago: 31.0 if ago < 3 else 10.0, service=lambda ago: 30.0 if ago < 3 else 9.0)
    )
    assert seen["slow_service"]
    assert seen["grew"] == "service"
    assert seen["network_ms"] == pytest.approx(1.0, abs=0.1)
    assert seen["ratio"] == pytest.approx(3.1, rel=0.05)
    assert seen["onset"] == pd.Timestamp(NOW - timedelta(minutes=3))


def test_a_slow_network_is_not_the_service() -> None:
    seen = look(observed(response=lambda _: 15.0))
    assert seen["slow_response"]
    assert seen["grew"] == "network"
    assert seen["network_ms"] == pytest.approx(6.0, abs=0.3)


def test_service_times_of_intervals_with_retransmissions_are_not_trusted() -> None:
    """A segment sent again restarts last_data_sent: loss of answers looks like service time."""
    seen = look(observed(again=lambda ago: 9.0 if ago % 2 else 0.0,
                         service=lambda ago: 20.0 if ago % 2 else 9.0,
                         response=lambda ago: 22.0 if ago % 2 else 10.0))  # fmt: skip
    assert seen["service_ms"] == pytest.approx(9.0, rel=0.05)
    assert seen["grew"] == "network"


def test_without_a_usual_nothing_is_slow() -> None:
    nothing = usual().assign(**dict.fromkeys(usual().columns.difference(GROUP), np.nan))
    seen = look(observed(retransmitted=lambda _: 50.0, response=lambda _: 100.0), nothing)
    assert not seen["slow"]


def test_few_responses_are_no_evidence_of_time() -> None:
    rows = observed(response=lambda _: 30.0)
    rows[["responses", "response_ms"]] /= 200.0
    assert not look(rows)["slow_response"]


def test_a_usual_that_swings_asks_for_more() -> None:
    rows = observed(response=lambda _: 14.0)
    assert look(rows)["slow_response"]
    assert not look(rows, usual(response_ms_spread=0.3))["slow_response"]


def test_losses_of_several_service_pairs_between_two_hosts_add_up() -> None:
    keys = [("h1", "h2", f"web{i}", "api") for i in range(12)]
    rows = pd.concat([observed(key=key, retransmitted=lambda ago: 1.0 if ago < 3 else 0.0) for key in keys])
    table = judged(rows, pd.concat([usual(key=key, retransmissions=4e-5) for key in keys]))
    assert table["p_host_pair"].iloc[0] < 1e-4 < table["p_loss"].iloc[0]


def test_chattiness_is_told_per_second_and_per_connection() -> None:
    seen = look(observed())
    assert seen["exchanges_per_s"] == pytest.approx(500 / 60)
    assert seen["exchanges_per_connection"] == pytest.approx(50.0)


def test_false_discoveries_stay_rare_over_many_tests() -> None:
    dice = np.random.default_rng(5)
    found = sum(discoveries(dice.random(10_000), 1e-3).any() for _ in range(200))
    assert found <= 3


def test_discoveries_ignore_tests_that_could_not_be_made() -> None:
    assert discoveries(np.array([np.nan, 1e-9, 0.5]), 1e-3).tolist() == [False, True, False]
    assert discoveries(np.array([]), 1e-3).tolist() == []


def test_host_pairs_leave_out_containers_that_share_a_host() -> None:
    rows = pd.concat([observed(), observed(key=("h1", "h1", "web", "api"))])
    past = pd.concat([usual(), usual(key=("h1", "h1", "web", "api"))])
    table = host_pairs(judged(rows, past))
    assert table[["src_host", "dst_host"]].to_numpy().tolist() == [["h1", "h2"]]
    assert table["expected"].iloc[0] == pytest.approx(2e-5 * 10_000)


def test_no_observations_are_answered() -> None:
    table = judged(observed().iloc[:0], usual().iloc[:0])
    assert table.empty
    assert host_pairs(table).empty


def test_pairs_that_lost_two_packets_each_are_lossy_together_on_a_sick_link() -> None:
    keys = [(f"h{i}", "h9", "web", "api") for i in range(8)]
    rows = pd.concat([observed(key=key, retransmitted=lambda ago: float(ago in (1, 2))) for key in keys])
    table = judged(rows, pd.concat([usual(key=key, retransmissions=1e-6) for key in keys]))
    assert not table["lossy"].any()
    by_hosts = host_pairs(table)
    on_it, beside_it = (csr_array(np.full((len(by_hosts), 1), share)) for share in (0.5, 0.0))
    assert along(table, by_hosts, on_it)["lossy"].all()
    assert not along(table, by_hosts, beside_it)["lossy"].any()


def test_a_service_asked_seldom_by_many_is_judged_by_all_of_them() -> None:
    keys = [(f"h{i}", "h9", "web", "api") for i in range(10)]
    rows = pd.concat([observed(key=key, response=lambda _: 31.0, service=lambda _: 30.0) for key in keys])
    rows[["responses", "response_ms", "services", "service_ms"]] /= 100.0
    table = judged(rows, pd.concat([usual(key=key) for key in keys]))
    assert table["slow_service"].all()
    assert set(table["grew"]) == {"service"}
