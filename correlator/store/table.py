"""One Delta table: appended to exactly once, read by time, kept small."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from correlator import frames
from correlator.ports import StoreError
from correlator.store.columns import stored_schema, table_schema
from correlator.store.commit import Part, commit, new_parts
from correlator.store.disk import make_directory, store_errors, sync
from correlator.store.files import DataFile, FileCache, live_files
from correlator.store.log import checkpoint, evolve, log_file, mend
from correlator.store.newest import Newest
from correlator.store.params import Params
from correlator.store.upkeep import maintain

log = logging.getLogger(__name__)

T = TypeVar("T")


class StoredTable:
    """The table ``name`` under ``root``; it comes into being with the first append. Thread-safe."""

    def __init__(self, root: Path, name: str, params: Params, cache: FileCache) -> None:
        self.name = name
        self.path = root / name
        self._params = params
        self._cache = cache
        self._lock = threading.RLock()
        self._newest_lock = threading.Lock()
        self._maintaining = threading.Lock()
        self._table: DeltaTable | None = None
        self._summed = 0  # version from which on the table's handle holds each commit
        self._log_mtime = 0
        self._files: tuple[int, list[DataFile]] = (-1, [])
        self._newest = Newest(name)

    def append(self, parts: Sequence[Part]) -> list[bool]:
        """Write the parts in one commit; return for each whether it was new.

        A part without rows is nothing to write: it counts as new and leaves no trace.
        """
        with self._lock, store_errors(f"write table {self.name}", self.path):
            table = self._open() or self._create()
            for _ in range(self._params.attempts):
                self._refresh(table)
                new = new_parts(table, parts)
                fresh = [
                    part for part, is_new in zip(parts, new, strict=True) if is_new and part.rows.num_rows
                ]
                if not fresh or self._write(table, fresh):
                    self._sum_up(table)
                    return new
        raise StoreError(f"cannot write table {self.name}: other processes keep writing the same source")

    def read(
        self,
        since: datetime,
        until: datetime,
        columns: Sequence[str],
        only: Mapping[str, Collection[str]] | None = None,
    ) -> pa.Table:
        """Return columns, ``at`` among them, of the rows with ``since <= at < until``, ordered by ``at``.

        ``only`` keeps the rows in which each named column has one of the given values.
        """
        with store_errors(f"read table {self.name}", self.path):
            rows = self._current(
                since, until, lambda files: self._cache.rows(self.name, files, since, until, columns, only)
            )
        return _ordered(rows)

    def newest(self, until: datetime) -> pd.DataFrame:
        """Return the newest row with ``at < until`` per key, as far back as the table's look-back."""
        since = until - self._params.look_back(self.name)
        with self._newest_lock, store_errors(f"read table {self.name}", self.path):
            return self._current(
                since, until, lambda files: self._newest.rows(files, since, until, self._whole_rows)
            )

    def files(self, since: datetime, until: datetime) -> list[DataFile]:
        """Return the live files that may hold rows of the time, oldest first."""
        with self._lock:
            table = self._open()
            if table is None:
                return []
            self._refresh(table)
            if self._files[0] != table.version():
                self._files = (table.version(), live_files(table, self.path))
            return [file for file in self._files[1] if file.overlaps(since, until)]

    def maintain(self, now: datetime) -> None:
        """Drop days beyond their keep, merge small files, delete what no version needs."""
        with self._maintaining, store_errors(f"maintain table {self.name}", self.path):
            with self._lock:
                exists = self._open() is not None
            if exists:
                maintain(self.path, self.name, self._params, now)

    def _open(self) -> DeltaTable | None:
        if self._table is None and (self.path / "_delta_log").is_dir():
            mend(self.path)
            if not DeltaTable.is_deltatable(str(self.path)):
                return None
            self._table = evolve(DeltaTable(self.path), self.name, self.path)
            self._summed = self._table.version()
        return self._table

    def _create(self) -> DeltaTable:
        make_directory(self.path)
        configuration = {"delta.logRetentionDuration": f"interval {self._params.log_hours} hours"}
        self._table = DeltaTable.create(
            self.path,
            table_schema(self.name),
            mode="ignore",
            partition_by=["day"],
            name=self.name,
            description=frames.TABLES[self.name].description,
            configuration=configuration,
        )
        sync([log_file(self.path, 0), self.path / "_delta_log", self.path])
        return self._table

    def _sum_up(self, table: DeltaTable) -> None:
        """Write a checkpoint where many commits came since the last one, and go on from it.

        A handle reads all the commits since it was opened again for each new one: it is opened anew.
        What was appended is safe already, so what fails here is told and tried again later.
        """
        if table.version() - self._summed < self._params.checkpoint_every:
            return
        self._summed = table.version()
        try:
            checkpoint(table, self.path)
            self._table = DeltaTable(self.path)
        except (OSError, DeltaError) as error:
            log.warning("table %s in %s: no checkpoint: %s", self.name, self.path, error)

    def _refresh(self, table: DeltaTable) -> None:
        """Take in what other handles committed; two ``stat`` calls where there is nothing."""
        mtime = (self.path / "_delta_log").stat().st_mtime_ns
        if mtime != self._log_mtime or log_file(self.path, table.version() + 1).exists():
            table.update_incremental()
            self._log_mtime = mtime

    def _write(self, table: DeltaTable, parts: Sequence[Part]) -> bool:
        """Return whether the parts are committed now; False where another process was faster."""
        try:
            written = commit(table, self.path, self.name, parts)
        except CommitFailedError:
            return False
        for path, rows in written:
            self._cache.put(path, rows)
        return True

    def _current(self, since: datetime, until: datetime, read: Callable[[list[DataFile]], T]) -> T:
        """Return what ``read`` makes of the files, once more where they were vacuumed away meanwhile."""
        try:
            return read(self.files(since, until))
        except FileNotFoundError:
            with self._lock:
                self._log_mtime = 0
            return read(self.files(since, until))

    def _whole_rows(self, files: Sequence[DataFile], since: datetime, until: datetime) -> pa.Table:
        return self._cache.rows(self.name, files, since, until, stored_schema(self.name).names)


def _ordered(rows: pa.Table) -> pa.Table:
    """Return the rows ordered by ``at``; files come in that order, so that most often nothing moves."""
    at = rows.column("at").to_numpy().view("i8")
    if (at[1:] >= at[:-1]).all():
        return rows
    return rows.take(pa.array(at.argsort(kind="stable")))
