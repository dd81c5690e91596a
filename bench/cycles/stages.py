"""A clock that is put around functions of the engine: seconds and peak memory of each stage."""

from __future__ import annotations

import ctypes
import gc
import sys
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
    """What a stage took without those within it: seconds, the processor's; highest memory, MB."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0


@dataclass
class Clock:
    """Stages by name, in the order in which they began first."""

    stages: dict[str, Stage] = field(default_factory=dict)
    _open: list[Stage] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens within for a stage."""
        told = self.stages.setdefault(name, Stage())
        self._credit()
        self._open.append(told)
        began, worked = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            spent, work = time.perf_counter() - began, time.process_time() - worked
            self._credit()
            self._open.pop()
            told.seconds += spent
            told.cpu_seconds += work
            if self._open:
                self._open[-1].seconds -= spent
                self._open[-1].cpu_seconds -= work

    def _credit(self) -> None:
        """Give the peak so far to all stages that are going on, and begin anew."""
        peak = peak_mb()
        for stage in self._open:
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
