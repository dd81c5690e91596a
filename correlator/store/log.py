"""A Delta table's transaction log on the local disk, and what may be wrong with it at opening."""

from __future__ import annotations

import itertools
import json
import logging
from pathlib import Path

from deltalake import DeltaTable, Schema

from correlator.ports import StoreError
from correlator.store.columns import table_schema
from correlator.store.disk import sync

log = logging.getLogger(__name__)

LAST = "_last_checkpoint"  # the file that says which is the newest
PARQUET_ENDS = b"PAR1"


def log_file(table: Path, version: int) -> Path:
    """Return where the commit of a version is written."""
    return table / "_delta_log" / f"{version:020d}.json"


def _checkpoint_file(table: Path, version: int) -> Path:
    return table / "_delta_log" / f"{version:020d}.checkpoint.parquet"


def written_since(table: Path, version: int) -> list[Path]:
    """Return the commits that follow ``version``."""
    following = (log_file(table, number) for number in itertools.count(version + 1))
    return list(itertools.takewhile(Path.exists, following))


def checkpoint(table: DeltaTable, path: Path) -> None:
    """Write what the log amounts to as one file: who opens the table then reads that, not every commit.

    When it returns, the file is on the disk. Raises OSError and DeltaError.
    """
    table.create_checkpoint()
    folder = path / "_delta_log"
    sync([_checkpoint_file(path, table.version()), folder / LAST, folder])


def mend(table: Path) -> None:
    """Set aside a last commit or checkpoint that a power cut left half written.

    A commit is acknowledged only once it is on the disk, so nobody was told that this one was
    kept; its writer will send it again. A checkpoint says what the commits before it say. Raises OSError.
    """
    folder = table / "_delta_log"
    checkpoints = sorted(folder.glob("*.checkpoint.parquet"))
    if checkpoints and not checkpoints[-1].read_bytes().endswith(PARQUET_ENDS):
        log.warning("%s: last checkpoint %s is half written, set aside", table.name, checkpoints[-1].name)
        (folder / LAST).unlink(missing_ok=True)
        checkpoints[-1].rename(checkpoints[-1].with_suffix(".torn"))
    commits = sorted(folder.glob("*.json"))
    if not commits or _is_whole(commits[-1]):
        return
    log.warning("%s: last commit %s is half written, set aside", table.name, commits[-1].name)
    commits[-1].rename(commits[-1].with_suffix(".torn"))


def _is_whole(commit: Path) -> bool:
    try:
        lines = [json.loads(line) for line in commit.read_text("utf-8").splitlines()]
    except ValueError:
        return False
    return bool(lines)


def evolve(table: DeltaTable, name: str, path: Path) -> DeltaTable:
    """Return the table with the columns that ``frames`` has gained since it was made.

    Raises StoreError where a column has another type, or where another program has turned on
    features of Delta Lake that plain Parquet readers do not know.
    """
    if table.protocol().min_reader_version > 1:
        raise StoreError(
            f"table {name} in {path} uses Delta features (reader version > 1) that correlator does not read"
        )
    wanted = {field.name: field for field in Schema.from_arrow(table_schema(name)).fields}
    present = {field.name: field for field in table.schema().fields}
    for column, field in wanted.items():
        if column in present and present[column].type != field.type:
            raise StoreError(
                f"table {name} in {path}: column {column} has another type; move the folder away"
            )
    missing = [field for column, field in wanted.items() if column not in present]
    if missing:
        table.alter.add_columns(missing)
        table.update_incremental()
    return table
