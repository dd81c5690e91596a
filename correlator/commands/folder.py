"""A folder of Parquet files, one a table, as something that cycles can be run over."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from correlator import frames
from correlator.engine.rollup import roll_up
from correlator.pipeline import HOURLY, RECENT
from correlator.ports import CorrelatorError

HOUR = timedelta(hours=1)


class Given:
    """Tables in memory, read as a store is."""

    def __init__(self, tables: Mapping[str, pd.DataFrame]) -> None:
        self.tables = {
            name: table.sort_values("at", kind="stable", ignore_index=True) for name, table in tables.items()
        }

    def read(
        self,
        name: str,
        since: datetime,
        until: datetime,
        columns: Sequence[str] | None = None,
        only: Mapping[str, Collection[str]] | None = None,
    ) -> pd.DataFrame:
        """Return the rows with ``since <= at < until``, as ``ports.Store`` does."""
        table = self._table(name)
        first, end = (table["at"].searchsorted(pd.Timestamp(moment)) for moment in (since, until))
        rows = table.iloc[first:end]
        for column, values in (only or {}).items():
            rows = rows[rows[column].isin(values)]
        rows = rows.reset_index(drop=True)
        return rows if columns is None else rows[list(columns)]

    def newest(self, name: str, until: datetime) -> pd.DataFrame:
        """Return each key's newest row with ``at < until``, as ``ports.Store`` does."""
        table = self._table(name)
        rows = table.iloc[: table["at"].searchsorted(pd.Timestamp(until))]
        key = list(frames.TABLES[name].key)
        return rows.drop_duplicates(key, keep="last").reset_index(drop=True)

    def span(self) -> tuple[datetime, datetime]:
        """Return when the first and the last polled row were measured. Raises CorrelatorError without any."""
        times = [table["at"] for name, table in self.tables.items() if name in RECENT and len(table)]
        if not times:
            raise CorrelatorError(
                f"no rows in any of {', '.join(RECENT)}; give at least counters and pair_samples"
            )
        return (
            min(at.iloc[0] for at in times).to_pydatetime(),
            max(at.iloc[-1] for at in times).to_pydatetime(),
        )

    def _table(self, name: str) -> pd.DataFrame:
        return self.tables[name] if name in self.tables else frames.empty(name)


def read_folder(folder: Path) -> Given:
    """Return the tables of a folder: TABLE.parquet each, with the columns of docs/tables.md.

    Where no hourly table is given, the hours are summed up from the rest. Raises CorrelatorError for a
    folder without tables, a file of an unknown name and one that is not of its table's form.
    """
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise CorrelatorError(f"{folder}: no *.parquet files there; name the folder that holds them")
    given = Given({file.stem: _read(file) for file in files})
    if not set(HOURLY) & set(given.tables):
        given = Given({**given.tables, **_summed_up(given)})
    return given


def _read(file: Path) -> pd.DataFrame:
    name = file.stem
    try:
        return frames.validate(name, frames.from_arrow(name, pq.read_table(file)))
    except frames.FrameError as error:
        raise CorrelatorError(f"{file}: {error}; docs/tables.md has the tables and columns") from None
    except (OSError, pa.ArrowException) as error:
        raise CorrelatorError(f"{file}: not a Parquet file that can be read: {error}") from None


def _summed_up(given: Given) -> dict[str, pd.DataFrame]:
    """Return the hourly tables of the whole hours that the polled tables span."""
    first, last = given.span()
    hour = first.replace(minute=0, second=0, microsecond=0)
    hours: dict[str, list[pd.DataFrame]] = {name: [] for name in HOURLY}
    while hour + HOUR <= last:
        tables = {name: given.read(name, hour - HOUR, hour + HOUR) for name in RECENT}
        tables |= {name: given.newest(name, hour + HOUR) for name in ("interfaces", "containers", "hosts")}
        for name, table in roll_up(tables, hour).items():
            hours[name].append(table)
        hour += HOUR
    return {name: pd.concat(parts, ignore_index=True) for name, parts in hours.items() if parts}
