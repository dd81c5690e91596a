"""Tables made of whole columns: numpy arrays in, the house's dtypes out, no Python object for a value."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from correlator import frames

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False, slots=True)
class Masked:
    """Integers, some of which are null."""

    values: Array
    null: npt.NDArray[np.bool_]


def times(at: datetime, count: int) -> Any:
    """Return one time, so many times."""
    return _time(at).repeat(count)


@lru_cache(maxsize=8)  # all tables of a round have one time
def _time(at: datetime) -> Any:
    """Return a time in the house's dtype."""
    time = _EPOCH.copy()
    time[0] = at
    return time


_EPOCH: Any = pd.DatetimeIndex([0], dtype="datetime64[us, UTC]").array  # to make others from one is dear


def moments(told: Sequence[datetime | None]) -> pd.DatetimeIndex:
    """Return times, which are in UTC, some of which are null."""
    naive = [None if one is None else one.replace(tzinfo=None) for one in told]
    return pd.DatetimeIndex(np.array(naive, "M8[us]"), tz="UTC")


def texts(values: pa.Array) -> Any:
    """Return texts in the house's dtype."""
    return frames.DTYPES[frames.STRING].__from_arrow__(values)


class Staying:
    """The columns of a table that say the same each time, for so many rows; those that nobody gives are null.

    A table that is given out shares them with the next ones, as Series: pandas knows that others have them,
    and gives who writes into a table a copy.
    """

    def __init__(self, name: str, count: int, same: Mapping[str, Any], moving: Collection[str]) -> None:
        """``same`` are columns in the house's dtypes, ``moving`` the names of those that come each time."""
        self.count = count
        self._index = pd.RangeIndex(count)
        self._names, self._kinds = _fields(name)
        nulls: dict[pa.DataType, pd.Series[Any]] = {}  # one for all columns of a type
        self._columns: dict[str, pd.Series[Any]] = {}
        for field, kind in self._kinds.items():
            if field in same:
                self._columns[field] = self.series(_column(same[field], kind))
            elif field not in moving:
                if kind not in nulls:
                    nulls[kind] = self.series(_nulls(kind, count))
                self._columns[field] = nulls[kind]

    def series(self, values: Any) -> pd.Series[Any]:
        """Return a column that may be given more than once."""
        return pd.Series(values, index=self._index, copy=False)

    def table(self, given: Mapping[str, Any]) -> pd.DataFrame:
        """Return the table: what is given, and what stays."""
        told = {**self._columns, **given}
        columns = [_column(told[name], kind) for name, kind in self._kinds.items()]
        # names are put on afterwards, as an index: from a dict's keys one would be made each time
        table = pd.DataFrame(dict(enumerate(columns)), index=self._index.view(), copy=False)
        table.columns = self._names.view()
        return table


@cache
def _fields(name: str) -> tuple[pd.Index[Any], dict[str, pa.DataType]]:
    """Return the names of a table's columns as an index, and the type of each."""
    schema = frames.TABLES[name].schema
    return pd.Index(schema.names), dict(zip(schema.names, schema.types, strict=True))


def _nulls(kind: pa.DataType, count: int) -> Any:
    """Return a column without any value, in the house's dtype."""
    if kind == frames.FLOAT:
        return np.full(count, np.nan)
    nulls, dtype = pa.nulls(count, kind), frames.DTYPES.get(kind)
    return nulls.to_pandas() if dtype is None else dtype.__from_arrow__(nulls)


def _column(values: Any, kind: pa.DataType) -> Any:
    """Return a column in the house's dtype."""
    if not isinstance(values, Masked):
        return values
    wanted = np.uint64 if kind == frames.U64 else np.int64
    return pd.arrays.IntegerArray(values.values.astype(wanted, copy=False), values.null)
