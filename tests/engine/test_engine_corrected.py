"""Corrected codewords that grow are the early sign; many of them, or a wobble, are none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from correlator import frames
from correlator.engine.corrected import growth
from correlator.engine.rates import rates

NOW = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)


def grown(counts: Sequence[float] | np.ndarray) -> pd.DataFrame:
    """Return the growth of a port that corrected so many codewords in each minute up to now."""
    total = np.cumsum([1000, *counts]).astype(int)
    rows = [
        {"at": NOW - timedelta(minutes=len(total) - 1 - n), "device": "leaf1", "if_name": "p", "if_index": 1,
         "uptime_cs": 6000 * (n + 1), "in_packets": 1000 * n, "fec_corrected": int(value)}
        for n, value in enumerate(total)
    ]  # fmt: skip
    return growth(rates(frames.frame("counters", rows), frames.empty("interfaces")), NOW)


@pytest.mark.parametrize("factor", [1.3, 2.0, 3.0])
def test_codewords_that_grow_minute_by_minute_are_seen(factor: float) -> None:
    (row,) = grown(np.random.default_rng(2).poisson(40 * factor ** np.arange(10))).itertuples()
    assert row.grows
    assert row.factor == pytest.approx(factor, rel=0.1)


def test_many_corrected_codewords_that_stay_as_many_are_usual() -> None:
    dice = np.random.default_rng(3)
    for level in (0.5, 50, 5e6):
        assert not grown(dice.poisson(level, 10))["grows"].any()
        assert not grown(dice.poisson(level * np.exp(dice.normal(0, 0.4, 10))))["grows"].any()


def test_codewords_that_become_fewer_and_too_few_intervals_say_nothing() -> None:
    assert not grown(40 * 2.0 ** -np.arange(10) * 1000)["grows"].any()
    assert not grown([40, 400, 4000])["grows"].any()


def test_a_port_without_the_counter_has_no_row() -> None:
    rows = [
        {"at": NOW - timedelta(minutes=n), "device": "a", "if_name": "p", "if_index": 1, "in_packets": 9 - n}
        for n in range(5)
    ]
    assert growth(rates(frames.frame("counters", rows), frames.empty("interfaces")), NOW).empty
