"""Sums by group over plain arrays: the keys are looked at once, whatever is summed up afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def numbered(table: pd.DataFrame, keys: list[str]) -> tuple[pd.DataFrame, Ints]:
    """Return the groups (one row each, columns ``keys``, sorted) and the number of each row's group.

    Rows with a null key have the number −1.
    """
    number: Any = table.groupby(keys, sort=True).ngroup().to_numpy(dtype=np.int64, na_value=-1)
    groups, first = np.unique(number, return_index=True)
    return table[keys].iloc[first[groups >= 0]].reset_index(drop=True), number


def total(values: Any, number: Ints, size: int) -> Floats:
    """Return the sum of ``values`` in each of ``size`` groups; nulls add nothing."""
    kept = number >= 0
    weights = np.nan_to_num(np.asarray(values, dtype=np.float64)[kept])
    return np.bincount(number[kept], weights=weights, minlength=size).astype(np.float64)


def least(values: Any, number: Ints, size: int) -> Floats:
    """Return the smallest value in each group; NaN where there is none."""
    answer = np.full(size, np.nan)
    kept = number >= 0
    np.fmin.at(answer, number[kept], np.asarray(values, dtype=np.float64)[kept])
    return answer
