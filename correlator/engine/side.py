"""Two steps that do not need each other, side by side.

numpy, pandas and pyarrow let go of Python's lock for most of what they do on large tables, so a thread
is enough for a second core to help. Page: docs/algorithms/cycle.md.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

One = TypeVar("One")
Other = TypeVar("Other")


def beside(one: Callable[[], One], other: Callable[[], Other]) -> tuple[One, Other]:
    """Return what both answer; ``other`` is asked in a thread of its own, and none is left behind.

    Neither may change what both look at, and tables that both look up by label have a plain range for
    an index (pandas makes other indices' hash tables when first asked, and not for two threads). Then
    the answers do not depend on which is done first. What either raises is raised once both have
    ended, ``one``'s first.
    """
    with ThreadPoolExecutor(1) as threads:  # within the caller's context: numpy's errstate is part of it
        later = threads.submit(copy_context().run, other)
        told = one()
    return told, later.result()
