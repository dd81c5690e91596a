"""How the process that polls keeps its memory."""

from __future__ import annotations

import contextlib
import ctypes
import gc

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # mallopt(3)
MMAP_THRESHOLD = 32 * 2**20  # the most that there can be: where glibc goes once something so large is freed
TRIM_THRESHOLD = 2 * MMAP_THRESHOLD
ARENAS = 2  # one a thread would cost some megabytes each


def settle() -> None:
    """Keep what a round lets go for the next one, and look for no cycles in what has been loaded by now.

    Else the kernel takes tables' memory back each time and gives it anew, page by page, all zeros.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library has other ways
        library = ctypes.CDLL(None)
        library.mallopt(M_ARENA_MAX, ARENAS)
        library.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
        library.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD)
    gc.collect()
    gc.freeze()
