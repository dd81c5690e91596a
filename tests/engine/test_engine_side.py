"""Steps side by side: both answers, whatever the threads do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_clos import SmallClos, Story, uplink

from correlator.engine import view
from correlator.engine.cycle import Cycle, run_cycle
from correlator.engine.side import beside

TABLES = ("pairs", "container_pairs", "links", "health", "light")


def test_both_answers_come_back_in_order() -> None:
    assert beside(lambda: "one", lambda: 2) == ("one", 2)


def test_both_go_on_at_the_same_time() -> None:
    met = threading.Barrier(2, timeout=30.0)
    assert sorted(beside(met.wait, met.wait)) == [0, 1]


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    beside(lambda: None, lambda: None)
    assert threading.active_count() == before


def fails(word: str) -> Callable[[], None]:
    def failing() -> None:
        raise ValueError(word)

    return failing


def test_what_either_raises_is_raised_and_the_first_s_first() -> None:
    with pytest.raises(ValueError, match="one"):
        beside(fails("one"), fails("other"))
    with pytest.raises(ValueError, match="other"):
        beside(lambda: None, fails("other"))


def test_the_other_heeds_the_caller_s_way_with_bad_numbers() -> None:
    with np.errstate(divide="raise"):
        assert beside(np.geterr, np.geterr)[1]["divide"] == "raise"


def first_one(one: Callable[[], Any], other: Callable[[], Any]) -> tuple[Any, Any]:
    return one(), other()


def last_one(one: Callable[[], Any], other: Callable[[], Any]) -> tuple[Any, Any]:
    told = other()
    return one(), told


@pytest.mark.parametrize("in_turn", [first_one, last_one])
def test_a_cycle_says_the_same_without_threads(in_turn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(seed=2, lossy={uplink(0, 1): 0.01}, dimmed_db={uplink(0, 1): 2.0})
    tables, now = SmallClos(story).tables()
    with_threads = run_cycle(tables, [], now)
    monkeypatch.setattr(view, "beside", in_turn)
    same(with_threads, run_cycle(tables, [], now))


def same(one: Cycle, other: Cycle) -> None:
    assert one.verdicts
    assert (one.verdicts, one.findings) == (other.verdicts, other.findings)
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)
