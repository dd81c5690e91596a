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
DENSE = 2**32  # numbers that span less are codes as they are
TEXT = pd.StringDtype(na_value=float("nan"))


def coded(*columns: pd.Series[Any]) -> tuple[pd.Categorical, ...]:
    """Return the columns as categoricals over one and the same sorted categories; null is −1."""
    dtype = columns[0].dtype
    if isinstance(dtype, pd.CategoricalDtype) and all(column.dtype == dtype for column in columns[1:]):
        return tuple(column.array for column in columns)
    every = columns[0]
    if len(columns) > 1:
        every = pd.concat([_plain(one) for one in columns], ignore_index=True)
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
    groups, number = grouped(table, keys)
    return plain(groups), number


def grouped(table: pd.DataFrame, keys: list[str]) -> tuple[pd.DataFrame, Ints]:
    """Return what ``numbered`` does, coded keys left coded: asked by key again, they cost nothing."""
    first, number = first_rows(table, keys)
    return table[keys].iloc[first].reset_index(drop=True), number


def first_rows(table: pd.DataFrame, keys: list[str]) -> tuple[Ints, Ints]:
    """Return the position of each group's first row, in order of the keys, and each row's group as above."""
    rank, _, first = _ranked(_combined([_codes(table[key]) for key in keys]))
    return first, rank


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


def same(one: pd.Series[Any], other: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    """Return where two columns say the same; null is like nothing."""
    mine, theirs, _ = _alike(one, other)
    answer: npt.NDArray[np.bool_] = (mine == theirs) & (mine >= 0)
    return answer


def picked(values: Ints, flags: npt.NDArray[np.bool_]) -> Ints:
    """Return the values that are flagged; where all are, the very array, uncopied."""
    return values if flags.all() else values[flags]


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
            both, groups, _ = _ranked(np.concatenate([wanted, known]))
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
    """Return both columns' codes over common names, in any order, and how many these are, 1 at least.

    What only one of them has may have no code: it is not found in the other anyway.
    """
    if isinstance(one.dtype, pd.CategoricalDtype):
        names = one.cat.categories
        return one.array.codes, _among(names, other), max(len(names), 1)
    if isinstance(other.dtype, pd.CategoricalDtype):
        theirs, mine, width = _alike(other, one)
        return mine, theirs, width
    codes, names = pd.factorize(pd.concat([one, other], ignore_index=True))
    return codes[: len(one)], codes[len(one) :], max(len(names), 1)


def _among(names: pd.Index[Any], column: pd.Series[Any]) -> npt.NDArray[Any]:
    """Return the place of each of a column's values among names that all differ, −1 where it is none."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return _place(names, column)
    codes: npt.NDArray[Any] = column.array.codes
    if not names.equals(column.cat.categories):
        codes = np.append(_place(names, pd.Series(column.cat.categories)), -1)[codes]
    return codes


def _place(names: pd.Index[Any], column: pd.Series[Any]) -> Ints:
    """Return what ``_among`` does, of a plain column: names that come first are numbered as they stand."""
    codes = pd.factorize(pd.concat([pd.Series(names), column], ignore_index=True))[0][len(names) :]
    return np.where(codes < len(names), codes, -1).astype(np.int64, copy=False)


def places(names: pd.Index[Any], column: pd.Series[Any]) -> Ints:
    """Return, for each of ``names``, the last place at which the column has it, −1 where it never does."""
    place = np.full(len(names) + 1, -1, dtype=np.int64)
    place[_among(names, column)] = np.arange(len(column))
    return place[:-1]


def _codes(column: pd.Series[Any]) -> tuple[npt.NDArray[Any], int]:
    """Return a column's codes in order of its values, −1 for null, and more than the highest, 1 at least."""
    if len(column) and isinstance(column.dtype, np.dtype) and column.dtype.kind == "i":
        numbers = column.to_numpy()
        low, high = int(numbers.min()), int(numbers.max())
        if high - low < DENSE:
            return numbers.astype(np.int64) - low if low else numbers, high - low + 1
    (categorical,) = coded(column)
    return categorical.codes, max(len(categorical.categories), 1)


def _combined(columns: list[tuple[npt.NDArray[Any], int]]) -> Ints:
    """Return one number for each combination of the columns' codes, in their order; −1 where one is null."""
    number, span = np.zeros(len(columns[0][0]), dtype=np.int64), 1
    for codes, width in columns:
        if span > WIDEST // width:
            number, groups, _ = _ranked(number)
            span = max(len(groups), 1)
        _add(number, codes, width)
        span *= width
    return number


def _ranked(number: Ints) -> tuple[Ints, Ints, Ints]:
    """Return each number's rank among the distinct ones, −1 for negative ones; these; where each is first.

    Sorting costs the same whatever there is; a hash table of a million pairs costs three times as much.
    """
    order = np.argsort(number)
    ordered = number[order]
    start = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    groups = ordered[start]
    del ordered
    negative = int(np.searchsorted(groups, 0))
    count = np.diff(start, append=len(order))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.repeat(np.maximum(np.arange(len(start)) - negative, -1), count)
    first = np.minimum.reduceat(order, start) if len(start) else start
    return rank, groups[negative:], first[negative:]


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
