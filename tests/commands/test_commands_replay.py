from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from correlator import frames
from correlator.commands.replay import moments

NOW = datetime(2026, 11, 1, 4, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def folder(tmp_path):
    rows = [
        {"at": NOW + n * MINUTE, "device": "leaf1", "if_index": 1, "if_name": "e1", "in_errors": 0}
        for n in range(3)
    ]
    pq.write_table(frames.to_arrow("counters", frames.frame("counters", rows)), tmp_path / "counters.parquet")
    pq.write_table(frames.to_arrow("pair_hours", frames.empty("pair_hours")), tmp_path / "pair_hours.parquet")
    return tmp_path


def test_cycles_are_at_each_period_and_at_the_end():
    assert moments(NOW, NOW + 2.5 * MINUTE, MINUTE) == [
        NOW,
        NOW + MINUTE,
        NOW + 2 * MINUTE,
        NOW + 2.5 * MINUTE,
    ]
    assert moments(NOW, NOW, MINUTE) == [NOW]


def test_tables_of_a_folder_are_judged_without_configuration(correlator, folder):
    code, out, err = correlator("replay", "--tables", folder, "--json")
    assert (code, json.loads(out)) == (0, {"verdicts": [], "findings": []})
    assert "Traceback" not in err


def test_a_folder_without_tables_ends_with_1_and_one_sentence(correlator, tmp_path):
    code, out, err = correlator("replay", "--tables", tmp_path)
    assert (code, out) == (1, "")
    assert err == f"correlator: {tmp_path}: no *.parquet files there; name the folder that holds them\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--since", "yesterday"], "is no time; write 2026-11-22T06:00Z"),
        ([], "give --since and --until, or a folder with --tables"),
        (["--since", "2026-11-02", "--until", "2026-11-01"], "--since must be before --until"),
    ],
)
def test_wrong_times_are_wrong_usage(correlator, tmp_path, options, said):
    config = tmp_path / "correlator.yaml"
    config.write_text("store: {path: tables}\n")
    code, _, err = correlator("replay", "-c", config, *options)
    assert code == 2
    assert said in " ".join(err.replace("│", " ").split())


def test_the_store_is_replayed_between_two_times(correlator, tmp_path):
    config = tmp_path / "correlator.yaml"
    config.write_text("store: {path: tables}\nperiods: {cycle_s: 600}\n")
    options = ["--since", "2026-11-01T04:00", "--until", "2026-11-01T05:00+01:00"]
    assert correlator("replay", "-c", config, *options)[:2] == (
        0,
        "no verdict: no slow pair is explained by a link, a host or a service\n",
    )
