"""The clock of bench/cycle: every second counts once, for the stage of its own thread."""

from __future__ import annotations

import threading
from collections import defaultdict
from types import SimpleNamespace

import pytest
from cycles import stages
from cycles.stages import Clock

from correlator.engine.side import beside


class Time:
    """Time by thread, that passes when work is done there."""

    def __init__(self) -> None:
        self.passed: dict[int, float] = defaultdict(float)

    def now(self) -> float:
        return self.passed[threading.get_ident()]

    def work(self, seconds: float) -> None:
        self.passed[threading.get_ident()] += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(stages, "time", SimpleNamespace(perf_counter=made.now, thread_time=made.now))
    return made


def seconds(clock: Clock) -> dict[str, float]:
    assert all(one.seconds == one.cpu_seconds for one in clock.stages.values())
    return {name: one.seconds for name, one in clock.stages.items()}


def test_a_stage_within_another_is_taken_from_it(time: Time) -> None:
    clock = Clock()
    with clock.stage("outer"):
        time.work(1.0)
        with clock.stage("inner"):
            time.work(2.0)
        time.work(4.0)
    assert seconds(clock) == {"outer": 5.0, "inner": 2.0}


def test_stages_side_by_side_count_each_in_its_thread(time: Time) -> None:
    clock, met = Clock(), threading.Barrier(2, timeout=30.0)
    room = SimpleNamespace(beside=beside, one=lambda: time.work(2.0), other=lambda: time.work(8.0))
    clock.around(room, "one", "one")
    clock.around(room, "other", "other")
    clock.beside(room)

    def mine() -> None:
        met.wait()
        room.one()

    def theirs() -> None:
        met.wait()
        room.other()
        time.work(16.0)

    with clock.stage("view"):
        time.work(1.0)
        room.beside(mine, theirs)
    assert seconds(clock) == {"view": 17.0, "one": 2.0, "other": 8.0}
