"""The newest row of each key, without reading everything again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa

from correlator import frames
from correlator.store.files import DataFile

Read = Callable[[Sequence[DataFile], datetime, datetime], pa.Table]
FILES_AT_ONCE = 16
"""Files that are folded in together: bounds the memory of a first look at many."""


class Newest:
    """The newest row per key of one table, folded in file by file as files appear.

    Data files do not change, so a file that lies wholly before ``until`` need not be looked at
    again while ``until`` grows. Not thread-safe.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._until: datetime | None = None
        self._seen: set[Path] = set()
        self._rows = frames.empty(name)

    def rows(self, files: Sequence[DataFile], since: datetime, until: datetime, read: Read) -> pd.DataFrame:
        """Return the newest row with ``since <= at < until`` per key, ordered by ``at``.

        ``files``, oldest first, are those that may hold such rows; ``read`` reads some of them.
        """
        if self._until is not None and until < self._until:
            self._forget()
        self._until = until
        unseen = [file for file in files if file.path not in self._seen]
        for start in range(0, len(unseen), FILES_AT_ONCE):
            self._fold(
                frames.from_arrow(self._name, read(unseen[start : start + FILES_AT_ONCE], since, until))
            )
        self._seen = {file.path for file in files if file.last is not None and file.last < until}
        self._rows = self._rows[self._rows["at"] >= since].reset_index(drop=True)
        return self._rows.copy()

    def _forget(self) -> None:
        self._seen = set()
        self._rows = frames.empty(self._name)

    def _fold(self, rows: pd.DataFrame) -> None:
        both = pd.concat([self._rows, rows], ignore_index=True) if len(self._rows) else rows
        key = list(frames.TABLES[self._name].key)
        ordered = both.sort_values("at", kind="stable", ignore_index=True)
        self._rows = ordered.drop_duplicates(key, keep="last", ignore_index=True)
