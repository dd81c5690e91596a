"""One commit: data files on the disk first, then the log entry that makes them visible, then its own sync."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction

from correlator import frames
from correlator.store.columns import to_stored
from correlator.store.disk import make_directory, sync
from correlator.store.log import written_since

# Checkpoints are written by ``log.checkpoint`` alone, which also syncs them to the disk.
NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
ROWS_PER_GROUP = 128 * 1024
"""Rows in a Parquet row group: the grain at which a large file is skipped by time."""
COMPRESSION, COMPRESSION_LEVEL = "ZSTD", 3
"""Half the size of the libraries' default at the same speed (docs/storage.md)."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one source, to be written once: see ``ports.Store.append``."""

    source: str
    sequence: int
    rows: pa.Table


def new_parts(table: DeltaTable, parts: Sequence[Part]) -> list[bool]:
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


def commit(table: DeltaTable, root: Path, name: str, parts: Sequence[Part]) -> list[tuple[Path, pa.Table]]:
    """Write the parts as one commit to the table at ``root``; return its data files and what they hold.

    When it returns, everything is on the disk. Raises CommitFailedError where another process wrote
    one of the sources meanwhile, OSError, DeltaError or ArrowException where it cannot be written;
    then nothing of it is visible.
    """
    stored = to_stored(name, pa.concat_tables([part.rows for part in parts]))
    version = table.version()
    written: list[tuple[Path, pa.Table]] = []
    try:
        for day, rows in _by_day(stored):
            written.append((_write_file(root / f"day={day}", version + 1, rows), rows))
        table.create_write_transaction(
            [_add_action(root, path, rows) for path, rows in written],
            "append",
            table.schema(),
            ["day"],
            commit_properties=CommitProperties(app_transactions=_transactions(parts)),
            post_commithook_properties=NO_HOOKS,
        )
    except (OSError, DeltaError, pa.ArrowException):
        _discard(table, parts, [path for path, _ in written])
        raise
    sync([*written_since(root, version), root / "_delta_log"])
    return written


def _write_file(folder: Path, version: int, rows: pa.Table) -> Path:
    """Return a new data file in the folder, safely on the disk; names sort as commits do."""
    make_directory(folder)
    path = folder / f"part-{version:012d}-{uuid.uuid4()}.zstd.parquet"
    integers = [field.name for field in rows.schema if field.type in (frames.INT, frames.AT)]
    try:
        pq.write_table(
            rows,
            path,
            compression=COMPRESSION,
            compression_level=COMPRESSION_LEVEL,
            row_group_size=ROWS_PER_GROUP,
            use_dictionary=[field.name for field in rows.schema if field.type == frames.STRING],
            column_encoding=dict.fromkeys(integers, "DELTA_BINARY_PACKED"),
        )
        sync([path, folder])
    except (OSError, pa.ArrowException):
        path.unlink(missing_ok=True)
        raise
    return path


def _discard(table: DeltaTable, parts: Sequence[Part], paths: Iterable[Path]) -> None:
    """Remove data files of a commit that failed; where that is not certain, leave them to the vacuum."""
    try:
        table.update_incremental()
        failed = all(new_parts(table, parts))
    except (OSError, DeltaError):
        return
    if failed:
        for path in paths:
            path.unlink(missing_ok=True)


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
