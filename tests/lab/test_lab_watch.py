"""How long is waited: as many cycles as a machine that keeps up would have run."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from lab_watch import Watch


def watch(cycles_per_s: float) -> Watch:
    begun = time.monotonic()
    return Watch(
        SimpleNamespace(
            process=SimpleNamespace(poll=lambda: None),
            cycles=lambda: int((time.monotonic() - begun) * cycles_per_s),
            incidents=list,
            lines=list,
        )
    )


def test_where_cycles_are_missed_it_is_waited_longer():
    begun = time.monotonic()
    watch(cycles_per_s=0.0).until(lambda: time.monotonic() > begun + 0.5, "it", 0.3)


def test_where_cycles_are_kept_it_is_not_waited_longer():
    with pytest.raises(AssertionError, match=r"for it; open: \[\]; lines: \[\]"):
        watch(cycles_per_s=1000.0).until(lambda: False, "it", 0.3)
