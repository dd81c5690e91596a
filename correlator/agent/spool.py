"""Rows kept on disk until their age or the space's end: each interval is there whole or not at all.

Every start of the agent begins an epoch; sequence numbers count from 1 within it. Earlier epochs stay
readable to their end, so that a restart loses nothing that was written, and is seen as a new epoch
by whoever reads on. Blocks of rows are zstd-compressed JSON lines in an SQLite file (WAL).
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import zstandard

BLOCK = 500  # rows in a block
SCHEMA = """
create table if not exists epochs (number integer primary key, name text unique not null);
create table if not exists blocks (
    epoch integer not null, first integer not null, last integer not null,
    at real not null, size integer not null, body blob not null, primary key (epoch, first)
) without rowid;
create table if not exists facts (name text primary key, value text not null);
"""


@dataclass(frozen=True)
class Params:
    """Bounds of the spool. Origin: a busy host writes about 1 MB a minute."""

    max_bytes: int = 256 << 20
    keep_s: float = 24 * 3600.0
    busy_s: float = 5.0


@dataclass(frozen=True)
class Answer:
    """JSON lines of rows ``first`` to ``next - 1`` of ``epoch``, of which ``dropped`` are missing."""

    epoch: str
    first: int
    next: int
    dropped: int
    lines: list[bytes]


class SpoolError(Exception):
    """The spool cannot be opened or written; the message is one sentence."""


class Spool:
    """One agent's rows. Safe for one writer and several readers in threads of one process."""

    def __init__(self, directory: Path, params: Params) -> None:
        """Open or make the spool and begin an epoch. Raises SpoolError."""
        self._params = params
        self._path = directory / "spool.sqlite"
        self._lock = threading.Lock()
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = self._open()
        except (OSError, sqlite3.DatabaseError) as error:
            raise SpoolError(f"{self._path}: {error}; give a folder that can be written") from error
        self._next = 1
        self.pruned = 0

    def _open(self) -> sqlite3.Connection:
        try:
            return self._begin(self._connect())
        except sqlite3.DatabaseError as error:
            if not _is_broken(error):
                raise
            for path in self._path.parent.glob(
                self._path.name + "*"
            ):  # a new epoch says that rows are missing
                path.replace(path.with_name(f"broken-{path.name}"))
            return self._begin(self._connect())

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._path, timeout=self._params.busy_s, check_same_thread=False, isolation_level=None
        )
        db.execute("pragma journal_mode=wal")
        db.execute("pragma synchronous=full")
        db.execute("pragma cache_size=-1024")
        db.execute(f"pragma journal_size_limit={4 << 20}")
        return db

    def _begin(self, db: sqlite3.Connection) -> sqlite3.Connection:
        db.executescript(SCHEMA)
        self.epoch = uuid.uuid4().hex[:16]
        self._number = int(db.execute("insert into epochs (name) values (?)", (self.epoch,)).lastrowid or 0)
        db.execute(
            "delete from epochs where number < (select coalesce(min(epoch), ?) from blocks)", (self._number,)
        )
        return db

    def fact(self, name: str) -> str | None:
        """Return what was remembered under a name."""
        with self._lock:
            found = self._db.execute("select value from facts where name = ?", (name,)).fetchone()
        return str(found[0]) if found else None

    def remember(self, name: str, value: str) -> None:
        """Remember a small text. Raises SpoolError."""
        with self._lock, self._writing():
            self._db.execute("insert or replace into facts values (?, ?)", (name, value))

    def append(self, rows: Sequence[tuple[str, str]], now: float | None = None) -> None:
        """Keep (table, row as a JSON object) pairs, all or none. ``now`` is in seconds of the epoch 1970.

        Raises SpoolError where they could not be written; their numbers are then missing for good, so
        that a reader sees how many were lost.
        """
        if not rows:
            return
        first, self._next = self._next, self._next + len(rows)
        now = time.time() if now is None else now
        blocks = list(_blocks(rows, first))
        with self._lock, self._writing():
            self._prune(now, sum(len(body) for _, _, body in blocks))
            self._db.executemany(
                "insert into blocks values (?, ?, ?, ?, ?, ?)",
                [(self._number, a, b, now, len(body), body) for a, b, body in blocks],
            )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._db.execute("begin immediate")
            yield
            self._db.execute("commit")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("rollback")
            raise SpoolError(f"{self._path}: {error}") from error

    def _prune(self, now: float, coming: int) -> None:
        """Drop the oldest blocks, by age (a clock that jumped ahead ages nothing at once) and by size."""
        newest = self._db.execute("select max(at) from blocks").fetchone()[0]
        if newest is not None and now - newest < self._params.keep_s:
            self._drop("at < ?", now - self._params.keep_s)
        total = self._db.execute("select coalesce(sum(size), 0) from blocks").fetchone()[0]
        over = int(total) + coming - self._params.max_bytes
        while over > 0:
            oldest = self._db.execute(
                "select epoch, first, size from blocks order by epoch, first limit 1"
            ).fetchone()
            if oldest is None:
                break
            self._drop("epoch = ? and first = ?", oldest[0], oldest[1])
            over -= int(oldest[2])

    def _drop(self, where: str, *values: float) -> None:
        found = self._db.execute(
            f"select coalesce(sum(last - first + 1), 0) from blocks where {where}",  # noqa: S608
            values,
        ).fetchone()
        self.pruned += int(found[0])
        self._db.execute(f"delete from blocks where {where}", values)  # noqa: S608

    def read(self, epoch: str | None, after: int, limit: int) -> Answer:
        """Return at most ``limit`` rows after ``after``, oldest first.

        Where the asked epoch is over and read to its end, or not known, the answer begins the oldest
        one that is kept after it.
        """
        with self._lock:
            number = self._db.execute("select number from epochs where name = ?", (epoch,)).fetchone()
            if number is not None:
                answer = self._stretch(int(number[0]), str(epoch), after, limit)
                if answer.lines or int(number[0]) == self._number:
                    return answer
            known = int(number[0]) if number else 0
            later = self._db.execute(
                "select number, name from epochs where number > ? and (number = ? or number in"
                " (select epoch from blocks)) order by number limit 1",
                (known, self._number),
            ).fetchone()
            return self._stretch(int(later[0]), str(later[1]), 0, limit)

    def _stretch(self, number: int, name: str, after: int, limit: int) -> Answer:
        lines: list[bytes] = []
        first, last = 0, after
        blocks = self._db.execute(
            "select first, last, body from blocks where epoch = ? and last > ? order by first",
            (number, after),
        )
        for begin, _, body in blocks:
            if lines and begin > last + 1:  # rows are missing here, and a page has none missing inside
                break
            skip = max(0, after + 1 - begin)
            part = zstandard.decompress(body).splitlines()[skip : skip + limit - len(lines)]
            first = first or begin + skip
            last = begin + skip + len(part) - 1
            lines += part
            if len(lines) >= limit:
                break
        blocks.close()
        if not lines:
            return Answer(name, after + 1, after + 1, 0, [])
        return Answer(name, first, last + 1, last - after - len(lines), lines)

    def size(self) -> int:
        """Return how many bytes of rows are kept."""
        with self._lock:
            return int(self._db.execute("select coalesce(sum(size), 0) from blocks").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _blocks(rows: Sequence[tuple[str, str]], first: int) -> Iterable[tuple[int, int, bytes]]:
    """Yield (first, last, body) of each block of rows."""
    packer = zstandard.ZstdCompressor(level=3, write_content_size=True)
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        begin = first + start
        lines = [
            f'{{"seq":{begin + i},"table":"{table}","row":{row}}}' for i, (table, row) in enumerate(part)
        ]
        yield begin, begin + len(part) - 1, packer.compress("\n".join(lines).encode())


def _is_broken(error: sqlite3.DatabaseError) -> bool:
    return error.sqlite_errorcode in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
