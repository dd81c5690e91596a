"""A Delta table's data files: immutable Parquet, so that what was read once need not be read again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable

from correlator.frames import AT
from correlator.store.columns import from_stored, stored_schema


@dataclass(frozen=True, slots=True)
class DataFile:
    """One live file: where it is, its size, and the span of its ``at`` (None: not known)."""

    path: Path
    size: int
    first: datetime | None
    last: datetime | None

    def overlaps(self, since: datetime, until: datetime) -> bool:
        """Return whether the file may hold rows with ``since <= at < until``."""
        return (self.last is None or self.last >= since) and (self.first is None or self.first < until)


def live_files(table: DeltaTable, root: Path) -> list[DataFile]:
    """Return the files of the table's current version, oldest first."""
    actions = pa.table(table.get_add_actions(flatten=True))
    unknown = pa.nulls(actions.num_rows)
    spans = [
        (actions.column(name) if name in actions.column_names else unknown).to_pylist()
        for name in ("min.at", "max.at")
    ]
    paths, sizes = actions.column("path").to_pylist(), actions.column("size_bytes").to_pylist()
    files = [DataFile(root / path, *rest) for path, *rest in zip(paths, sizes, *spans, strict=True)]
    return sorted(files, key=lambda file: (file.first is not None, file.first, str(file.path)))


class FileCache:
    """Small data files as Arrow tables, the least recently used dropped beyond ``max_bytes``. Thread-safe."""

    def __init__(self, max_bytes: int, max_file_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._max_file_bytes = max_file_bytes
        self._tables: OrderedDict[Path, pa.Table] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def rows(
        self,
        name: str,
        files: Sequence[DataFile],
        since: datetime,
        until: datetime,
        columns: Sequence[str],
        only: Mapping[str, Collection[str]] | None = None,
    ) -> pa.Table:
        """Return the columns of the rows with ``since <= at < until`` of the files, as the house has them.

        ``only`` keeps the rows in which each named column has one of the given values.

        Raises FileNotFoundError where a file has been vacuumed away, OSError and ArrowException
        where one cannot be read.
        """
        small = [
            _within(self._whole(name, file), file, since, until) for file in files if self._keeps(file, only)
        ]
        large = [file for file in files if not self._keeps(file, only)]
        parts = [table.select(columns) for table in small]
        if large:
            within = (pc.field("at") >= pa.scalar(since, AT)) & (pc.field("at") < pa.scalar(until, AT))
            for column, values in (only or {}).items():
                within &= pc.field(column).isin(pa.array(values, pa.string()))
            parts.append(_scan(name, large, columns, within))
        return from_stored(
            name, pa.concat_tables([stored_schema(name).empty_table().select(columns), *parts])
        )

    def put(self, path: Path, table: pa.Table) -> None:
        """Remember the content of a file that was just read or written."""
        size = table.nbytes
        with self._lock:
            if path in self._tables or size > self._max_bytes:
                return
            self._tables[path] = table
            self._bytes += size
            while self._bytes > self._max_bytes:
                self._bytes -= self._tables.popitem(last=False)[1].nbytes

    def _keeps(self, file: DataFile, only: Mapping[str, Collection[str]] | None) -> bool:
        """Return whether a file is read whole and remembered; not where a few of its rows are wanted."""
        return not only and file.size <= self._max_file_bytes

    def _whole(self, name: str, file: DataFile) -> pa.Table:
        with self._lock:
            if file.path in self._tables:
                self._tables.move_to_end(file.path)
                return self._tables[file.path]
        table = _scan(name, [file], stored_schema(name).names, None)
        self.put(file.path, table)
        return table


def _scan(
    name: str, files: Sequence[DataFile], columns: Sequence[str], within: pc.Expression | None
) -> pa.Table:
    """Return columns of the files; those that an older file lacks are null."""
    paths = [str(file.path) for file in files]
    dataset = ds.dataset(paths, schema=stored_schema(name), format="parquet")
    return dataset.to_table(columns=list(columns), filter=within)


def _within(table: pa.Table, file: DataFile, since: datetime, until: datetime) -> pa.Table:
    if file.first is not None and file.last is not None and since <= file.first and file.last < until:
        return table
    # A mask, not an expression: an expression runs on several threads and shuffles rows of equal time.
    at = table.column("at")
    return table.filter(
        pc.and_(pc.greater_equal(at, pa.scalar(since, AT)), pc.less(at, pa.scalar(until, AT)))
    )
