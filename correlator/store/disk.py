"""The local disk: what must survive a power cut, and errors that a person can act on."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
from deltalake.exceptions import DeltaError

from correlator.ports import StoreError

REMEDIES: tuple[tuple[tuple[int, ...], tuple[str, ...], str], ...] = (
    (
        (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
        ("no space left", "quota exceeded", "file too large", "disk is full"),
        "no space is left; free some, what was stored before is safe",
    ),
    (
        (errno.EACCES, errno.EPERM),
        ("permission denied", "operation not permitted", "unable to open database"),
        "no permission; make the folder writable for the user that runs correlator",
    ),
    (
        (errno.EROFS,),
        ("read-only file system", "readonly database"),
        "it is read-only; make it writable for the user that runs correlator or choose another folder",
    ),
    ((), ("database is locked",), "another process has held it for too long; end that process"),
    ((), ("not a database", "malformed"), "it is damaged or no SQLite file; move it away"),
)


@contextlib.contextmanager
def store_errors(doing: str, path: Path) -> Iterator[None]:
    """Turn what the disk and the libraries raise into a StoreError of one sentence.

    ``doing`` says what was tried ("write table counters"), ``path`` where.
    """
    try:
        yield
    except (OSError, DeltaError, pa.ArrowException) as error:
        raise StoreError(f"cannot {doing} in {path}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """Return why something failed, in part of a sentence; with the remedy where one is known."""
    number = error.errno if isinstance(error, OSError) else None
    text = str(error).lower()
    for numbers, words, remedy in REMEDIES:
        if number in numbers or any(word in text for word in words):
            return remedy
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def sync(paths: Iterable[Path]) -> None:
    """Wait until files and directories are on the disk (fsync). Raises OSError."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make_directory(path: Path) -> None:
    """Create a directory, its parents too, so that a power cut does not lose it. Raises OSError."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    sync(folder.parent for folder in missing)
