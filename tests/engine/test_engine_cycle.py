"""What a cycle answers to bad and missing input."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd
import pytest
from small_clos import SmallClos, Story, uplink

from correlator import frames
from correlator.engine.cycle import run_cycle

STORY = Story(seed=2, lossy={uplink(0, 1): 0.01}, dimmed_db={uplink(0, 1): 2.0})


@pytest.fixture(scope="module")
def sick() -> SmallClos:
    return SmallClos(STORY)


def named(tables: dict[str, pd.DataFrame], now: datetime) -> list[str]:
    return [f"{v.kind} {v.link} {v.root_cause}" for v in run_cycle(tables, [], now).verdicts]


TRUTH = ["link leaf0 swp11 - spine1 swp0 dirty_connector"]


def test_no_tables_at_all_say_nothing(sick: SmallClos) -> None:
    _, now = sick.tables()
    cycle = run_cycle({}, [], now)
    assert (cycle.verdicts, cycle.findings, cycle.events) == ((), (), ())


@pytest.mark.parametrize("name", frames.TABLES)
def test_any_table_may_be_missing(sick: SmallClos, name: str) -> None:
    tables, now = sick.tables()
    cycle = run_cycle({key: table for key, table in tables.items() if key != name}, [], now)
    wrong = [v for v in cycle.verdicts if v.link is not None and str(v.link) != "leaf0 swp11 - spine1 swp0"]
    assert wrong == []


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        run_cycle({}, [], datetime(2026, 5, 6, 10, 0))


def test_rows_read_twice_and_shuffled_change_nothing(sick: SmallClos) -> None:
    tables, now = sick.tables()
    mixed = {
        name: pd.concat([table, table]).sample(frac=1.0, random_state=1).reset_index(drop=True)
        for name, table in tables.items()
    }
    once, twice = run_cycle(tables, [], now), run_cycle(mixed, [], now)
    assert [v.probability for v in once.verdicts] == [v.probability for v in twice.verdicts]
    assert [p.slower_by for v in once.verdicts for p in v.pairs] == [
        p.slower_by for v in twice.verdicts for p in v.pairs
    ]


def test_rows_from_the_future_are_left_out(sick: SmallClos) -> None:
    tables, _ = sick.tables()
    _, before_the_fault = sick.tables(6)
    assert named(tables, before_the_fault) == []


def test_gaps_cost_only_themselves(sick: SmallClos) -> None:
    tables, now = sick.tables()
    lost = tables["counters"]["at"] == pd.Timestamp(now - timedelta(minutes=3))
    assert named(tables | {"counters": tables["counters"][~lost]}, now) == TRUTH


def test_a_switch_that_reboots_amid_the_fault_raises_nothing_else(sick: SmallClos) -> None:
    tables, now = sick.tables()
    counters = tables["counters"].copy()
    after = (counters["device"] == "spine0") & (counters["at"] >= pd.Timestamp(now - timedelta(minutes=2)))
    for column in counters.columns[counters.dtypes == pd.UInt64Dtype()]:
        if not column.endswith("_cs"):
            counters.loc[after, column] = 5
    counters.loc[after, "uptime_cs"] = 3000
    assert named(tables | {"counters": counters}, now) == TRUTH


def test_devices_and_hosts_that_nobody_knows_are_harmless(sick: SmallClos) -> None:
    tables, now = sick.tables()
    strange = tables["neighbors"].iloc[:3].assign(device="ghost", remote_chassis_id="nobody")
    more = pd.concat([tables["neighbors"], strange], ignore_index=True)
    samples = (
        tables["pair_samples"]
        .iloc[:4]
        .assign(host="nowhere", peer_wire_address="203.0.113.9", container_id="x")
    )
    pairs = pd.concat([tables["pair_samples"], samples], ignore_index=True)
    assert named(tables | {"neighbors": more, "pair_samples": pairs}, now) == TRUTH


def test_one_pair_alone_gets_an_answer(sick: SmallClos) -> None:
    tables, now = sick.tables()
    one = tables["pair_samples"].iloc[[-2, -1]]
    assert run_cycle(tables | {"pair_samples": one}, [], now).pairs.shape[0] <= 1


def test_a_target_that_keeps_failing_is_a_finding(sick: SmallClos) -> None:
    _, now = sick.tables()
    rows = [
        {
            "at": now - timedelta(minutes=i),
            "target": "leaf9",
            "kind": "switch",
            "ok": False,
            "error": "no answer",
        }
        for i in range(3)
    ]
    cycle = run_cycle({"polls": frames.frame("polls", rows)}, [], now)
    assert [finding.subject.device for finding in cycle.findings] == ["leaf9"]
    assert cycle.findings[0].severity == "warning"


def test_the_same_input_gives_the_same_answer(sick: SmallClos) -> None:
    tables, now = sick.tables()
    one, other = run_cycle(tables, [], now), run_cycle(tables, [], now)
    assert [v.to_json() for v in one.verdicts] == [v.to_json() for v in other.verdicts]
    assert [i.to_json() for i in one.incidents] == [i.to_json() for i in other.incidents]


def test_a_map_is_drawn_anew_only_where_what_tells_it_is_new(sick: SmallClos) -> None:
    tables, now = sick.tables()
    one = run_cycle(tables, [], now)
    read_again = {name: table.copy(deep=True) for name, table in tables.items()}
    two = run_cycle(read_again, [], now, before=one.drawn)
    assert two.drawn is one.drawn
    assert [v.to_json() for v in two.verdicts] == [v.to_json() for v in one.verdicts]
    fewer = tables | {"neighbors": tables["neighbors"].iloc[:-1]}
    three = run_cycle(fewer, [], now, before=one.drawn)
    assert three.drawn is not one.drawn
    pd.testing.assert_frame_equal(three.links, run_cycle(fewer, [], now).links)
