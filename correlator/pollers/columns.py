"""Tables made of whole columns: numpy arrays in, the house's dtypes out, no Python object for a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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


def times(at: pd.Timestamp, count: int) -> pd.DatetimeIndex:
    """Return one time, so many times."""
    return pd.DatetimeIndex(np.full(count, at.value // 1000).view("M8[us]"), tz="UTC")


def moments(told: Sequence[datetime | None]) -> pd.DatetimeIndex:
    """Return times, which are in UTC, some of which are null."""
    naive = [None if one is None else one.replace(tzinfo=None) for one in told]
    return pd.DatetimeIndex(np.array(naive, "M8[us]"), tz="UTC")


def texts(values: pa.Array) -> Any:
    """Return texts in the house's dtype."""
    return frames.DTYPES[frames.STRING].__from_arrow__(values)


def table(name: str, given: Mapping[str, Any], count: int) -> pd.DataFrame:
    """Return the named table of so many rows from columns in the house's dtypes; absent ones are null."""
    columns: dict[str, Any] = {}
    for field in frames.TABLES[name].schema:
        values = given.get(field.name)
        dtype = frames.DTYPES.get(field.type)
        if isinstance(values, Masked):
            wanted = np.uint64 if field.type == frames.U64 else np.int64
            columns[field.name] = pd.arrays.IntegerArray(
                values.values.astype(wanted, copy=False), values.null
            )
        elif values is not None:
            columns[field.name] = values
        elif field.type == frames.FLOAT:
            columns[field.name] = np.full(count, np.nan)
        else:
            nulls = pa.nulls(count, field.type)
            columns[field.name] = dtype.__from_arrow__(nulls) if dtype is not None else nulls.to_pandas()
    return pd.DataFrame(columns, copy=False)
