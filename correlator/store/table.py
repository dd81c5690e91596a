"""One Delta table: appended to exactly once, read by time, kept small."""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction, WriterProperties
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction

from correlator import frames
from correlator.ports import StoreError
from correlator.store.columns import stored_schema, table_schema, to_stored
from correlator.store.disk import make_directory, store_errors, sync
from correlator.store.files import DataFile, FileCache, live_files
from correlator.store.log import evolve, log_file, mend, written_since
from correlator.store.newest import Newest
from correlator.store.params import Params

log = logging.getLogger(__name__)
T = TypeVar("T")

# Checkpoints are written by maintain() alone, where they are also synced to the disk.
NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
ROWS_PER_GROUP = 128 * 1024
"""Rows in a Parquet row group: the grain at which a large file is skipped by time."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one source, to be written once: see ``ports.Store.append``."""

    source: str
    sequence: int
    rows: pa.Table


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
                new = _new_parts(table, parts)
                fresh = [
                    part for part, is_new in zip(parts, new, strict=True) if is_new and part.rows.num_rows
                ]
                if not fresh or self._write(table, fresh):
                    return new
        raise StoreError(f"cannot write table {self.name}: other processes keep writing the same source")

    def read(self, since: datetime, until: datetime, columns: Sequence[str]) -> pa.Table:
        """Return columns, ``at`` among them, of the rows with ``since <= at < until``, ordered by ``at``."""
        with store_errors(f"read table {self.name}", self.path):
            rows = self._current(
                since, until, lambda files: self._cache.rows(self.name, files, since, until, columns)
            )
        return rows.take(pc.sort_indices(rows, sort_keys=[("at", "ascending")]))

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
            if not DeltaTable.is_deltatable(str(self.path)):
                return
            table = DeltaTable(self.path)  # its own handle: appends go on meanwhile
            first_day = (now - self._params.kept(self.name)).astimezone(UTC).date()
            try:
                table.delete(f"day < DATE '{first_day}'", post_commithook_properties=NO_HOOKS)
                table.optimize.compact(
                    target_size=self._params.compact_mb << 20,
                    writer_properties=WriterProperties(
                        compression="ZSTD", compression_level=3, max_row_group_size=ROWS_PER_GROUP
                    ),
                    post_commithook_properties=NO_HOOKS,
                )
            except CommitFailedError as error:
                log.warning("%s: another process maintains the table too: %s", self.name, error)
                return
            self._forget_old_versions(table)

    def _forget_old_versions(self, table: DeltaTable) -> None:
        # Every file that the log names must be on the disk before the versions that it replaces go.
        current = [Path(uri) for uri in table.file_uris()]
        sync({*current, *(file.parent for file in current)})
        table.vacuum(
            self._params.vacuum_hours,
            dry_run=False,
            enforce_retention_duration=False,
            full=True,
            post_commithook_properties=NO_HOOKS,
        )
        table.update_incremental()
        table.create_checkpoint()
        folder = self.path / "_delta_log"
        sync([*folder.iterdir(), folder])
        table.cleanup_metadata()

    def _open(self) -> DeltaTable | None:
        if self._table is None and (self.path / "_delta_log").is_dir():
            mend(self.path)
            if not DeltaTable.is_deltatable(str(self.path)):
                return None
            self._table = evolve(DeltaTable(self.path), self.name, self.path)
        return self._table

    def _create(self) -> DeltaTable:
        make_directory(self.path)
        configuration = {"delta.logRetentionDuration": f"interval {self._params.log_days} days"}
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

    def _refresh(self, table: DeltaTable) -> None:
        """Take in what other handles committed; two ``stat`` calls where there is nothing."""
        mtime = (self.path / "_delta_log").stat().st_mtime_ns
        if mtime != self._log_mtime or log_file(self.path, table.version() + 1).exists():
            table.update_incremental()
            self._log_mtime = mtime

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

    def _write(self, table: DeltaTable, parts: Sequence[Part]) -> bool:
        """Return whether the parts are committed now; False where another process was faster."""
        stored = to_stored(self.name, pa.concat_tables([part.rows for part in parts]))
        version, written = table.version(), []
        try:
            for day, rows in _by_day(stored):
                written.append((self._write_file(version + 1, day, rows), rows))
            table.create_write_transaction(
                [_add_action(self.path, path, rows) for path, rows in written],
                "append",
                table.schema(),
                ["day"],
                commit_properties=CommitProperties(app_transactions=_transactions(parts)),
                post_commithook_properties=NO_HOOKS,
            )
        except (OSError, DeltaError, pa.ArrowException) as error:
            self._discard(table, parts, [path for path, _ in written])
            if isinstance(error, CommitFailedError):
                return False
            raise
        sync([*written_since(self.path, version), self.path / "_delta_log"])
        for path, rows in written:
            self._cache.put(path, rows)
        return True

    def _write_file(self, version: int, day: str, rows: pa.Table) -> Path:
        """Return the new data file of a day, safely on the disk; names sort as commits do."""
        folder = self.path / f"day={day}"
        make_directory(folder)
        path = folder / f"part-{version:012d}-{uuid.uuid4()}.zstd.parquet"
        try:
            pq.write_table(
                rows,
                path,
                compression="zstd",
                compression_level=3,
                row_group_size=ROWS_PER_GROUP,
                use_dictionary=[f.name for f in rows.schema if f.type == pa.string()],
                column_encoding={
                    f.name: "DELTA_BINARY_PACKED" for f in rows.schema if _is_delta_encoded(f.type)
                },
            )
            sync([path, folder])
        except (OSError, pa.ArrowException):
            path.unlink(missing_ok=True)
            raise
        return path

    def _discard(self, table: DeltaTable, parts: Sequence[Part], paths: Iterable[Path]) -> None:
        """Remove data files of a commit that failed; where that is not certain, leave them to the vacuum."""
        try:
            table.update_incremental()
            failed = all(_new_parts(table, parts))
        except (OSError, DeltaError):
            return
        if failed:
            for path in paths:
                path.unlink(missing_ok=True)


def _new_parts(table: DeltaTable, parts: Sequence[Part]) -> list[bool]:
    """Return for each part whether its source has not written its sequence yet."""
    last: dict[str, int] = {}
    new = []
    for part in parts:
        if part.source not in last:
            known = table.transaction_version(part.source)
            last[part.source] = -1 if known is None else known
        new.append(part.sequence > last[part.source])
        last[part.source] = max(part.sequence, last[part.source])
    return new


def _transactions(parts: Sequence[Part]) -> list[Transaction]:
    last: dict[str, int] = {}
    for part in parts:
        last[part.source] = max(part.sequence, last.get(part.source, part.sequence))
    return [Transaction(source, sequence) for source, sequence in last.items()]


def _by_day(rows: pa.Table) -> list[tuple[str, pa.Table]]:
    """Return the rows of each UTC day, by ``YYYY-MM-DD``."""
    days = pc.cast(pc.floor_temporal(rows.column("at"), unit="day"), pa.date32())
    found = pc.unique(days).to_pylist()
    if len(found) == 1:
        return [(found[0].isoformat(), rows)]
    return [(day.isoformat(), rows.filter(pc.equal(days, pa.scalar(day)))) for day in sorted(found)]


def _is_delta_encoded(kind: pa.DataType) -> bool:
    return kind in (frames.INT, frames.AT)


def _add_action(root: Path, path: Path, rows: pa.Table) -> AddAction:
    span = pc.min_max(rows.column("at"))
    first, last = (_iso(span[bound].as_py()) for bound in ("min", "max"))
    statistics = {
        "numRecords": rows.num_rows,
        "minValues": {"at": first},
        "maxValues": {"at": last},
        "nullCount": {"at": 0},
    }
    relative = path.relative_to(root)
    return AddAction(
        path=str(relative),
        size=path.stat().st_size,
        partition_values={"day": relative.parts[0].removeprefix("day=")},
        modification_time=time.time_ns() // 1_000_000,
        data_change=True,
        stats=json.dumps(statistics),
    )


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
