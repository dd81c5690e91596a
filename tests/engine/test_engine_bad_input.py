"""Tables that no part expects: every cycle answers, and blames nobody for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_clos import SmallClos, Story, uplink

from correlator import frames
from correlator.engine import tally
from correlator.engine.cycle import Cycle, Memory, Params, remember, run_cycle

LINK = "leaf0 swp11 - spine1 swp0"
MEASURED = ("counters", "optics", "pair_samples", "link_hours", "optics_hours", "pair_hours")
Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def sick() -> tuple[Tables, datetime]:
    return SmallClos(Story(seed=2, lossy={uplink(0, 1): 0.01}, dimmed_db={uplink(0, 1): 2.0})).tables()


@pytest.fixture(scope="module")
def past(sick: tuple[Tables, datetime]) -> Memory:
    return remember(*sick)


def blamed(cycle: Cycle) -> set[str]:
    for verdict in (*cycle.verdicts, *cycle.findings):
        verdict.to_json()
    return {str(verdict.link) for verdict in cycle.verdicts if verdict.link is not None}


def every_number(table: pd.DataFrame, value: float | None) -> pd.DataFrame:
    """Return the table with ``value`` in every column of numbers; whole ones as near as they can be."""
    new = {}
    for column, kind in table.dtypes.items():
        if kind in (pd.Int64Dtype(), pd.UInt64Dtype()):
            whole = None if value is None else int(min(value, 2.0**62))
            new[column] = pd.array([whole] * len(table), dtype=kind)
        elif kind == np.float64:
            new[column] = np.full(len(table), np.nan if value is None else value)
    return table.assign(**new)


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("value", [None, 0.0, 7.0, np.inf])
def test_columns_that_are_empty_zero_constant_or_endless_blame_no_innocent_link(
    sick: tuple[Tables, datetime], past: Memory, name: str, value: float | None
) -> None:
    tables, now = sick
    with np.errstate(all="ignore"):
        tables = tables | {name: every_number(tables[name], value)}
        cycle = run_cycle(tables, [], now, past=None if name.endswith("_hours") else past)
    assert blamed(cycle) <= {LINK}


@pytest.mark.parametrize("name", MEASURED)
def test_rows_that_name_nothing_are_as_good_as_none(sick: tuple[Tables, datetime], name: str) -> None:
    tables, now = sick
    table = tables[name]
    nameless = {
        column: pd.array([None] * len(table), dtype=kind)
        for column, kind in table.dtypes.items()
        if isinstance(kind, pd.StringDtype)
    }
    assert blamed(run_cycle(tables | {name: table.assign(**nameless)}, [], now)) <= {LINK}


def late(table: pd.DataFrame, by: timedelta) -> pd.DataFrame:
    """Return the table as hosts tell it whose clocks are off, every other one."""
    odd = table["host"].str[-1].isin(list("1357")).to_numpy(dtype=bool)
    return table.assign(at=table["at"].where(~odd, table["at"] + by))


@pytest.mark.parametrize("minutes", [-3, -1, 1, 3])
def test_clocks_that_are_minutes_off_change_no_verdict(sick: tuple[Tables, datetime], minutes: int) -> None:
    tables, now = sick
    samples = late(tables["pair_samples"], timedelta(minutes=minutes))
    assert blamed(run_cycle(tables | {"pair_samples": samples}, [], now)) == {LINK}


CUTS: Mapping[str, Callable[[pd.DataFrame, datetime], Any]] = {
    "every second minute is missing": lambda table, now: (now - table["at"]).dt.seconds // 60 % 2 == 0,
    "servers tell nothing": lambda table, now: table["role"] == "client",
    "clients tell nothing": lambda table, now: table["role"] == "server",
    "half the hosts tell nothing": lambda table, now: table["host"].str[-1].isin(list("0123")),
}


@pytest.mark.parametrize("cut", CUTS)
def test_what_is_left_of_the_samples_is_enough(sick: tuple[Tables, datetime], cut: str) -> None:
    tables, now = sick
    samples = tables["pair_samples"]
    left = samples[CUTS[cut](samples, now).to_numpy(dtype=bool)]
    assert blamed(run_cycle(tables | {"pair_samples": left}, [], now)) == {LINK}


def test_a_sick_link_without_any_pair_is_a_finding(sick: tuple[Tables, datetime]) -> None:
    tables, now = sick
    cycle = run_cycle(tables | {"pair_samples": frames.empty("pair_samples")}, [], now)
    assert cycle.verdicts == ()
    assert LINK in {str(finding.link) for finding in cycle.findings}


def test_without_a_past_nothing_is_slow(sick: tuple[Tables, datetime]) -> None:
    tables, now = sick
    cycle = run_cycle(tables | {"pair_hours": frames.empty("pair_hours")}, [], now)
    assert not cycle.pairs["slow"].any()
    assert cycle.pairs["usual_from"].isna().all()


def test_what_was_remembered_gives_the_same_answer(sick: tuple[Tables, datetime]) -> None:
    tables, now = sick
    past = remember(tables, now.replace(minute=1))
    raw = {name: table for name, table in tables.items() if not name.endswith("_hours")}
    one, other = run_cycle(tables, [], now), run_cycle(raw, [], now, past=past)
    assert [v.to_json() for v in one.verdicts] == [v.to_json() for v in other.verdicts]
    pd.testing.assert_frame_equal(one.pairs, other.pairs)
    pd.testing.assert_frame_equal(one.light, other.light)
    with pytest.raises(ValueError, match="what is remembered is of"):
        run_cycle(raw, [], now + timedelta(hours=1), past=past)


def test_few_links_in_question_are_the_right_ones(sick: tuple[Tables, datetime]) -> None:
    tables, now = sick
    assert blamed(run_cycle(tables, [], now, Params(most_links=6))) == {LINK}


def test_keys_are_numbered_in_order_and_nulls_are_nowhere() -> None:
    table = pd.DataFrame({"a": ["y", "x", None, "y", "x"], "b": ["2", "1", "1", "2", "0"]}).astype("str")
    coded = table.assign(a=tally.coded(table["a"])[0], b=tally.coded(table["b"])[0])
    for rows in (table, coded):
        groups, number = tally.numbered(rows, ["a", "b"])
        assert groups.to_numpy().tolist() == [["x", "0"], ["x", "1"], ["y", "2"]]
        assert number.tolist() == [2, 1, -1, 2, 0]
        assert tally.find(rows, groups, ["a", "b"]).tolist() == [2, 1, -1, 2, 0]
        assert tally.find(rows, groups.iloc[:0], ["a", "b"]).tolist() == [-1] * 5


def test_columns_of_many_values_are_combined_without_overflow() -> None:
    size = 70_000
    values = np.arange(size).astype(str)
    table = pd.DataFrame(dict.fromkeys("abcd", values)).astype("str")
    groups, number = tally.numbered(table, list("abcd"))
    assert len(groups) == size
    assert len(np.unique(number)) == size
