"""A clock that is put around functions of the engine: seconds and peak memory of each stage.

Stages may go on in several threads. A stage's seconds are those of its own threads, without the stages
within it there; of two that go on side by side both count in full, so that the stages' seconds can add
up to more than the whole took.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow

CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass
class Stage:
    """What a stage took without those within it: seconds, the processor's; highest memory of all, MB."""

    name: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0


@dataclass
class Clock:
    """Stages by name, in the order in which they began first."""

    stages: dict[str, Stage] = field(default_factory=dict)
    _open: dict[int, list[Stage]] = field(default_factory=dict)  # by thread
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens within for a stage."""
        mine = self._begin(name)
        began, worked = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            self._end(mine, time.perf_counter() - began, time.thread_time() - worked)

    def _begin(self, name: str) -> list[Stage]:
        """Return the stages that go on in this thread, a new one the last."""
        with self._lock:
            self._credit()
            mine = self._open.setdefault(threading.get_ident(), [])
            mine.append(self.stages.setdefault(name, Stage(name)))
            return mine

    def _end(self, mine: list[Stage], seconds: float, work: float) -> None:
        """Count the last stage of a thread, and take its time from the one around it."""
        with self._lock:
            self._credit()
            told = mine.pop()
            told.seconds += seconds
            told.cpu_seconds += work
            if mine:
                mine[-1].seconds -= seconds
                mine[-1].cpu_seconds -= work

    def _credit(self) -> None:
        """Give the peak so far to all stages that are going on, and begin anew."""
        peak = peak_mb()
        for stage in (stage for mine in self._open.values() for stage in mine):
            stage.peak_mb = max(stage.peak_mb, peak)
        forget_peak()

    def around(self, room: Any, function: str, name: str) -> None:
        """Put the clock around a function of a module, where the module has it."""
        plain: Callable[..., Any] | None = getattr(room, function, None)
        if plain is None:
            return

        def timed(*given: Any, **named: Any) -> Any:
            with self.stage(name):
                return plain(*given, **named)

        setattr(room, function, timed)

    def beside(self, room: Any) -> None:
        """Let what a module does side by side (``side.beside``) count for the stage that asked for it."""
        plain = room.beside

        def counted(one: Callable[[], Any], other: Callable[[], Any]) -> Any:
            going_on = self._open.get(threading.get_ident())
            name = going_on[-1].name if going_on else "the rest"

            def named() -> Any:
                with self.stage(name):
                    return other()

            return plain(one, named)

        room.beside = counted


def let_go() -> None:
    """Give freed memory back to the system: what making the tables left behind is none of a cycle's."""
    gc.collect()
    pyarrow.default_memory_pool().release_unused()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    forget_peak()


def forget_peak() -> None:
    """Let the kernel measure the peak anew (proc(5), clear_refs); where it cannot, peaks only grow."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return


def peak_mb() -> float:
    """Return the highest resident memory since it was last forgotten, in MB."""
    for line in STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024.0
    return 0.0
