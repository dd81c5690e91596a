"""Keeping a table small: old days dropped, small files merged, replaced files and old versions deleted."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from deltalake import DeltaTable, WriterProperties
from deltalake.exceptions import CommitFailedError

from correlator.store.commit import COMPRESSION, COMPRESSION_LEVEL, NO_HOOKS, ROWS_PER_GROUP
from correlator.store.disk import sync
from correlator.store.log import checkpoint
from correlator.store.params import Params

log = logging.getLogger(__name__)


def maintain(root: Path, name: str, params: Params, now: datetime) -> None:
    """Maintain the table at ``root`` beside its readers and appenders.

    Raises OSError and DeltaError. Where another process maintains it at the same time, that one
    is left to it.
    """
    table = DeltaTable(root)  # a handle of its own: appends go on meanwhile
    first_day = (now - params.kept(name)).astimezone(UTC).date()
    try:
        table.delete(f"day < DATE '{first_day}'", post_commithook_properties=NO_HOOKS)
        table.optimize.compact(
            target_size=params.compact_mb << 20,
            writer_properties=WriterProperties(
                compression=COMPRESSION,
                compression_level=COMPRESSION_LEVEL,
                max_row_group_size=ROWS_PER_GROUP,
            ),
            post_commithook_properties=NO_HOOKS,
        )
    except CommitFailedError as error:
        log.warning("%s: another process maintains the table too: %s", name, error)
        return
    # What replaces a file must be on the disk before the file goes.
    current = [Path(uri) for uri in table.file_uris()]
    sync({*current, *(file.parent for file in current)})
    _forget(table, root, params)


def _forget(table: DeltaTable, root: Path, params: Params) -> None:
    """Delete files and versions that nobody needs any more."""
    table.vacuum(
        params.vacuum_hours,
        dry_run=False,
        enforce_retention_duration=False,
        full=True,  # files of killed writers too, which no version names
        post_commithook_properties=NO_HOOKS,
    )
    table.update_incremental()
    sync((root / "_delta_log").iterdir())
    checkpoint(table, root)
    table.cleanup_metadata()
