"""The preloaded week: valid tables, whole hours, and the same world as the run."""

import math
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from a_fabric import ran, rows

from correlator import frames
from correlator.fabric.history import history, write_history
from correlator.fabric.layout import Size
from correlator.fabric.simulation import Fabric

HOURLY = {"link_hours", "optics_hours", "pair_hours"}


@pytest.fixture(scope="module")
def week() -> dict[str, pd.DataFrame]:
    return history(Fabric(5, "nothing").world)


def mean(table: pd.DataFrame, metric: str) -> float:
    mine = table[table["metric"] == metric]
    return float(mine["sum"].sum() / mine["count"].sum())


def test_every_table_is_valid_and_read_back_whole(tmp_path, week):
    write_history(Fabric(5, "nothing").world, tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == HOURLY | {"annotations"}
    for name, table in week.items():
        read = frames.from_arrow(name, pq.read_table(tmp_path / f"{name}.parquet"))
        pd.testing.assert_frame_equal(read, frames.validate(name, table))
        assert list(read.columns) == frames.TABLES[name].columns


def test_it_covers_seven_days_of_whole_hours_up_to_the_start():
    fabric = Fabric(5, "nothing", start=datetime(2026, 7, 1, 10, 20, 5, tzinfo=UTC))
    for name in HOURLY:
        hours = history(fabric.world)[name]["hour"].drop_duplicates()
        assert len(hours) == 168
        assert hours.max() == pd.Timestamp("2026-07-01T09:00Z")
        assert hours.min() == pd.Timestamp("2026-06-24T10:00Z")


def test_keys_do_not_repeat(week):
    for name in HOURLY:
        assert not week[name].duplicated(list(frames.TABLES[name].key)).any()


def test_it_says_that_it_was_preloaded(week):
    notes = week["annotations"]
    assert set(notes["subject"]) == HOURLY
    assert (notes["kind"] == "preloaded").all()
    assert (notes["by"] == "fabric").all()


def test_metrics_are_those_of_the_contract(week):
    assert set(week["link_hours"]["metric"]) == {"errors", "discards", "utilisation_in", "utilisation_out"}
    powers = {"rx_power_dbm", "tx_power_dbm", "rx_power_squared", "tx_power_squared"}
    assert set(week["optics_hours"]["metric"]) == powers | {"bias_ma", "temperature_c"}
    assert set(week["pair_hours"]["metric"]) == {
        "retransmissions", "rto", "response_ms", "service_ms", "min_rtt_us", "exchanges", "connections"
    }  # fmt: skip


def test_histograms_count_the_timed_responses(week):
    table = week["pair_hours"]
    timed = table[table["metric"] == "response_ms"]
    assert (timed["histogram"].map(len) == 17).all()
    assert (timed["histogram"].map(sum) == timed["count"]).all()
    assert table.loc[table["metric"] != "response_ms", "histogram"].isna().all()


def test_the_run_goes_on_as_the_week_was(week):
    fabric = ran(5, "nothing")
    samples, pairs = rows(fabric, "pair_samples"), week["pair_hours"]
    now = samples["response_ms_sum"].sum() / samples["response_ms_count"].sum()
    assert now == pytest.approx(mean(pairs, "response_ms"), rel=0.1)
    served = samples["service_ms_sum"].sum() / samples["service_ms_count"].sum()
    assert served == pytest.approx(mean(pairs, "service_ms"), rel=0.1)
    assert samples["min_rtt_us"].mean() == pytest.approx(mean(pairs, "min_rtt_us"), rel=0.1)
    asked = pairs[pairs["metric"] == "exchanges"]
    client = samples[samples["role"] == "client"]
    rate = client["exchanges"].sum() / client["interval_s"].sum()
    assert rate / fabric.world.day(300) == pytest.approx(
        asked["count"].sum() / asked["exposure"].sum(), rel=0.15
    )
    lost = pairs[pairs["metric"] == "retransmissions"]
    floor = lost["count"].sum() / lost["exposure"].sum()
    needed = samples["retransmitted_segments"].sum() - samples["dsack"].sum()
    expected = floor * samples["data_segments_sent"].sum()
    assert abs(needed - expected) <= 4 * math.sqrt(expected) + 1  # a Poisson count


def test_errors_and_light_of_the_run_are_those_of_the_week(week):
    fabric = ran(5, "nothing")
    counts, links = fabric.world.links.counts, week["link_hours"]
    errors = links[links["metric"] == "errors"]
    of_the_week = errors["count"].sum() / errors["exposure"].sum()
    into = [k for k in range(fabric.layout.links) if fabric.layout.receiver(k).kind != "nic"]
    assert counts.errors[into].sum() / counts.sent[into].sum() == pytest.approx(of_the_week, rel=0.3)
    light = week["optics_hours"]
    port = next(p for p in fabric.layout.ports if p.kind == "fabric")
    mine = light[(light["device"] == port.device) & (light["if_name"] == port.if_name)]
    now = 10 * np.log10(fabric.world.readings.rx[port.number] * 1e-4)
    assert mean(mine, "rx_power_dbm") == pytest.approx(now, abs=2.5)


def test_a_link_that_has_long_been_sick_was_sick_all_week():
    fabric = next(
        f
        for f in (Fabric(s, "decoys") for s in range(1, 200, 5))
        if f.story.decoys.sick and f.story.decoys.sick.since < 0
    )
    sick = fabric.story.decoys.sick
    port = fabric.layout.receiver(sick.link)
    links = history(fabric.world)["link_hours"]
    errors = links[
        (links["metric"] == "errors") & (links["device"] == port.device) & (links["if_name"] == port.if_name)
    ]
    assert errors["count"].sum() / errors["exposure"].sum() == pytest.approx(sick.loss, rel=0.1)


def test_a_fault_of_the_run_casts_no_shadow_on_the_week():
    calm, faulty = Fabric(2, "nothing"), Fabric(2, "dirty_connector")
    one, other = (history(f.world)["optics_hours"] for f in (calm, faulty))
    port = faulty.layout.receiver(faulty.story.fault.link)
    mine = [t[(t["device"] == port.device) & (t["if_name"] == port.if_name)] for t in (one, other)]
    assert mean(mine[0], "rx_power_dbm") == mean(mine[1], "rx_power_dbm")


def test_a_larger_fabric_has_a_week_too():
    tables = history(Fabric(3, "congestion", Size(6, 3, 2)).world)
    for name in HOURLY:
        assert len(frames.validate(name, tables[name])) == len(tables[name]) > 0
