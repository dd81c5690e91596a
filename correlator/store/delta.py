"""The store on Delta Lake: a folder of tables that other programs can read too."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd

from correlator import frames
from correlator.model import utc
from correlator.ports import Batch, StoreError
from correlator.store.commit import Part
from correlator.store.files import FileCache
from correlator.store.params import Params
from correlator.store.table import StoredTable

__all__ = ["DeltaStore", "Params"]


class DeltaStore:
    """``ports.Store`` on a local folder: one Delta table under ``path`` for each house table.

    What was acknowledged survives ``kill -9`` and a power cut. Threads may share an instance;
    processes may share the folder.
    """

    def __init__(self, path: str | Path, params: Params | None = None) -> None:
        self._root = Path(path)
        self._params = params or Params()
        self._cache = FileCache(self._params.cache_mb << 20, self._params.cache_file_mb << 20)
        self._tables: dict[str, StoredTable] = {}
        self._lock = threading.Lock()

    def append(self, name: str, table: pd.DataFrame, *, source: str, sequence: int) -> bool:
        """Append rows once: see ``ports.Store``. ``sequence`` counts from 0."""
        return self._table(name).append([Part(source, sequence, frames.to_arrow(name, table))])[0]

    def append_batches(self, batches: Sequence[Batch]) -> None:
        """Append the tables of several polls in one commit for each table: cheaper than one by one.

        What a batch's source wrote before is skipped. Raises as ``append`` does; then some tables may be
        written and others not, and calling again writes what is missing.
        """
        parts: defaultdict[str, list[Part]] = defaultdict(list)
        for batch in batches:
            for name, table in batch.tables.items():
                parts[name].append(Part(batch.source, batch.sequence, frames.to_arrow(name, table)))
        for name, of_table in parts.items():
            self._table(name).append(of_table)

    def read(
        self,
        name: str,
        since: datetime,
        until: datetime,
        columns: Sequence[str] | None = None,
        only: Mapping[str, Collection[str]] | None = None,
    ) -> pd.DataFrame:
        """Return the rows with ``since <= at < until`` ordered by ``at``, all columns or those asked for.

        ``only`` keeps the rows in which each named column of strings has one of the given values.

        Raises StoreError where the table cannot be read, FrameError for an unknown table or column.
        """
        table = self._table(name)
        wanted = list(frames.TABLES[name].columns if columns is None else columns)
        unknown = sorted({*wanted, *(only or ())} - set(frames.TABLES[name].columns))
        if unknown:
            raise frames.FrameError(f"{name}: unknown columns {', '.join(unknown)}")
        rows = table.read(utc(since), utc(until), wanted if "at" in wanted else ["at", *wanted], only)
        return frames.from_arrow(name, rows, wanted)

    def newest(self, name: str, until: datetime) -> pd.DataFrame:
        """Return the newest row with ``at < until`` of each key, ordered by ``at``.

        Looks back as far as ``Params.look_back`` says: what was silent longer is gone. Raises
        StoreError where the table cannot be read.
        """
        return self._table(name).newest(utc(until))

    def maintain(self, now: datetime) -> None:
        """Drop days beyond their keep, merge small files, delete replaced ones.

        Every table is attended to; then the first trouble, if any, is raised as StoreError.
        """
        trouble: StoreError | None = None
        for name in frames.TABLES:
            try:
                self._table(name).maintain(utc(now))
            except StoreError as error:
                trouble = trouble or error
        if trouble:
            raise trouble

    def _table(self, name: str) -> StoredTable:
        if name not in frames.TABLES:
            raise frames.FrameError(f"there is no table {name!r}; known: {', '.join(frames.TABLES)}")
        with self._lock:
            if name not in self._tables:
                self._tables[name] = StoredTable(self._root, name, self._params, self._cache)
            return self._tables[name]
