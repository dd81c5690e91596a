"""Keys as numbers: plain and coded columns answer the same."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from correlator.engine import tally

ROWS = ["b", "x", None, "a", "b"]
AMONG = ["c", "b", None, "a"]


def text(values: list[Any]) -> pd.Series:
    return pd.Series(values, dtype=tally.TEXT)


def code(values: list[Any]) -> pd.Series:
    return pd.Series(tally.coded(text(values))[0])


@pytest.mark.parametrize(("one", "other"), [*product([text, code], repeat=2)])
def test_rows_are_found_by_key_however_it_is_written(one: Any, other: Any) -> None:
    rows, among = pd.DataFrame({"key": one(ROWS)}), pd.DataFrame({"key": other(AMONG)})
    assert tally.find(rows, among, ["key"]).tolist() == [1, -1, -1, 3, 1]


@pytest.mark.parametrize(("one", "other"), [*product([text, code], repeat=2)])
def test_null_is_like_nothing(one: Any, other: Any) -> None:
    assert tally.same(one(["a", None, "b"]), other(["a", None, "c"])).tolist() == [True, False, False]


def test_a_name_is_placed_where_it_stands_last() -> None:
    assert tally.places(pd.Index(["a", "b", "z"]), text(["b", "a", None, "b"])).tolist() == [1, 3, -1]


@pytest.mark.parametrize("numbers", [[7, -3, 7, 100], [2**62, -(2**62), 2**62, 5]])
def test_groups_of_numbers_come_in_order(numbers: list[int]) -> None:
    table = pd.DataFrame({"key": np.array(numbers, dtype=np.int64)})
    groups, number = tally.numbered(table, ["key"])
    assert groups["key"].tolist() == sorted(set(numbers))
    assert groups["key"].to_numpy()[number].tolist() == numbers


def test_small_numbers_do_not_overflow() -> None:
    table = pd.DataFrame({"key": np.array([-100, 127, 0], dtype=np.int8)})
    assert tally.first_rows(table, ["key"])[1].tolist() == [0, 2, 1]


def test_coded_keys_stay_coded_in_groups_and_plain_ones_plain() -> None:
    table = pd.DataFrame({"one": code(["b", "a", "b"]), "two": text(["x", "x", "x"])})
    groups, _ = tally.grouped(table, ["one", "two"])
    assert [isinstance(dtype, pd.CategoricalDtype) for dtype in groups.dtypes] == [True, False]
    assert groups["one"].tolist() == ["a", "b"]
