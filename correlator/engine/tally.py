"""Keys become numbers, once; sums by group are then sums over plain arrays.

A column of strings costs far more than the figures beside it. So strings are coded where they come
in (``coded``: a categorical, its categories sorted), and whatever is asked by key afterwards is asked
by number. All functions take plain and coded columns alike and answer the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WIDEST = 2**62  # of numbers made of several columns' numbers
TEXT = pd.StringDtype(na_value=float("nan"))


def coded(*columns: pd.Series[Any]) -> tuple[pd.Categorical, ...]:
    """Return the columns as categoricals over one and the same sorted categories; null is −1."""
    if len(columns) == 1 and isinstance(columns[0].dtype, pd.CategoricalDtype):
        return (columns[0].array,)
    every = columns[0] if len(columns) == 1 else pd.concat([_plain(one) for one in columns])
    codes, names = pd.factorize(every, sort=True)
    kind = pd.CategoricalDtype(names, ordered=False)
    ends = np.cumsum([len(one) for one in columns])[:-1]
    return tuple(pd.Categorical.from_codes(part, dtype=kind) for part in np.split(codes, ends))


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with plain columns in the place of coded ones."""
    return pd.DataFrame({name: _plain(table[name]) for name in table.columns}, index=table.index)


def _plain(column: pd.Series[Any]) -> pd.Series[Any]:
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return column
    return pd.Series(
        column.cat.categories.array.take(column.cat.codes.to_numpy(), allow_fill=True), column.index
    )


def numbered(table: pd.DataFrame, keys: list[str]) -> tuple[pd.DataFrame, Ints]:
    """Return the groups (one row each, columns ``keys``, sorted, plain) and the number of each row's group.

    Rows with a null key have the number −1.
    """
    first, number = first_rows(table, keys)
    return plain(table[keys].iloc[first]).reset_index(drop=True), number


def first_rows(table: pd.DataFrame, keys: list[str]) -> tuple[Ints, Ints]:
    """Return the position of each group's first row, in order of the keys, and each row's group as above."""
    number = _combined([coded(table[key])[0] for key in keys])
    ranked, groups = _ranked(number)
    first = np.zeros(len(groups), dtype=np.int64)
    kept = np.flatnonzero(ranked >= 0)[::-1]
    first[ranked[kept]] = kept
    return first, ranked


def known(table: pd.DataFrame, keys: list[str]) -> npt.NDArray[np.bool_]:
    """Return which rows have all of ``keys``."""
    answer = np.ones(len(table), dtype=bool)
    for key in keys:
        answer &= table[key].notna().to_numpy(dtype=bool)
    return answer


def only(table: pd.DataFrame, flags: Any) -> pd.DataFrame:
    """Return the rows that are flagged; where all are, the very table, uncopied."""
    kept = np.asarray(flags, dtype=bool)
    return table if kept.all() else table[kept]


def find(rows: pd.DataFrame, among: pd.DataFrame, keys: list[str]) -> Ints:
    """Return, for each of ``rows``, the position of the row of ``among`` with its keys, −1 where none.

    Rows of ``among`` are taken to differ in their keys; null keys are never found.
    """
    return find_columns([rows[key] for key in keys], [among[key] for key in keys])


def find_columns(rows: list[pd.Series[Any]], among: list[pd.Series[Any]]) -> Ints:
    """Return what ``find`` does, of columns in order, whatever they are called."""
    wanted, known = (np.zeros(len(side[0]), dtype=np.int64) for side in (rows, among))
    span = 1
    for mine, other in zip(rows, among, strict=True):
        one, two, width = _alike(mine, other)
        if span > WIDEST // width:
            both, groups = _ranked(np.concatenate([wanted, known]))
            wanted, known = both[: len(wanted)].copy(), both[len(wanted) :].copy()
            span = max(len(groups), 1)
        _add(wanted, one, width)
        _add(known, two, width)
        span *= width
    return _positions(wanted, known)


def _positions(wanted: Ints, known: Ints) -> Ints:
    """Return where each wanted number stands among the known ones, −1 where it does not."""
    if not len(known):
        return np.full(len(wanted), -1, dtype=np.int64)
    order = np.argsort(known, kind="stable")
    ordered = known[order]
    place = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    found = (ordered[place] == wanted) & (wanted >= 0)
    return np.where(found, order[place], -1)


def _add(number: Ints, codes: npt.NDArray[Any], width: int) -> None:
    """Let numbers, in place, tell the next column's codes as well; null where either is."""
    null = (number < 0) | (codes < 0)
    number *= width
    number += codes
    number[null] = -1


def _alike(one: pd.Series[Any], other: pd.Series[Any]) -> tuple[Any, Any, int]:
    """Return both columns' codes over common categories, and how many these are, 1 at least."""
    if isinstance(one.dtype, pd.CategoricalDtype):
        names = one.cat.categories
        codes = coded(other)[0]
        place = np.append(names.get_indexer(codes.categories), -1)
        return one.array.codes, place[codes.codes], max(len(names), 1)
    mine, theirs = coded(one, other)
    return mine.codes, theirs.codes, max(len(mine.categories), 1)


def _combined(columns: list[pd.Categorical]) -> Ints:
    """Return one number for each combination of the columns' codes, in their order; −1 where one is null."""
    number, span = np.zeros(len(columns[0]), dtype=np.int64), 1
    for column in columns:
        width = max(len(column.categories), 1)
        if span > WIDEST // width:
            number, groups = _ranked(number)
            span = max(len(groups), 1)
        _add(number, column.codes, width)
        span *= width
    return number


def _ranked(number: Ints) -> tuple[Ints, Ints]:
    """Return each number's rank among the distinct ones, −1 for negative ones, and these in order."""
    codes, groups = pd.factorize(number)
    order = np.argsort(groups)
    negative = int(np.count_nonzero(groups < 0))
    rank = np.empty(len(groups), dtype=np.int64)
    rank[order] = np.maximum(np.arange(len(groups)) - negative, -1)
    return rank[codes], groups[order][negative:]


def total(values: Any, number: Ints, size: int) -> Floats:
    """Return the sum of ``values`` in each of ``size`` groups; nulls add nothing."""
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all():
        values = np.nan_to_num(values)
    if len(number) and number.min() < 0:
        kept = number >= 0
        number, values = number[kept], values[kept]
    return np.bincount(number, weights=values, minlength=size).astype(np.float64, copy=False)


def least(values: Any, number: Ints, size: int) -> Floats:
    """Return the smallest value in each group; NaN where there is none."""
    answer = np.full(size, np.nan)
    kept = number >= 0
    np.fmin.at(answer, number[kept], np.asarray(values, dtype=np.float64)[kept])
    return answer


def any_of(flags: Any, number: Ints, size: int) -> npt.NDArray[np.bool_]:
    """Return which groups have a row that is flagged."""
    answer = np.zeros(size, dtype=bool)
    answer[number[np.asarray(flags, dtype=bool) & (number >= 0)]] = True
    return answer
