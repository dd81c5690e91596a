from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from scipy.stats import nbinom

from correlator.engine.localize import Params
from correlator.engine.localize.pairs import PairWitness, log_likelihood
from correlator.engine.localize.params import Sick

PAIRS, LINKS, WAYS = 12, 10, 4
SICK = Sick(link=2, mode="silent", place=3, rate=0.01, scale=1.4, delay_ms=0.5)


def pairs(seed: int = 1) -> pd.DataFrame:
    dice = np.random.default_rng(seed)
    figures: dict[str, Any] = {
        "segments_client": dice.uniform(1e3, 1e4, PAIRS), "segments_server": dice.uniform(1e3, 1e4, PAIRS),
        "retransmitted_client": dice.poisson(1.0, PAIRS), "retransmitted_server": dice.poisson(1.0, PAIRS),
        "undirected": 0.0, "expected": 0.4, "shape": 10.0, "connections": 20.0,
        "delay_ms": np.where(np.arange(PAIRS) % 3, dice.normal(0.3, 0.1, PAIRS), np.nan),
        "delay_sigma_ms": 0.1,
    }  # fmt: skip
    return pd.DataFrame(figures)


def shares() -> tuple[csr_array, csr_array]:
    """Return all pairs over four equal ways there, and over one link of their own back."""
    there, back = np.zeros((PAIRS, LINKS)), np.zeros((PAIRS, LINKS))
    there[:, :WAYS] = 1.0 / WAYS
    back[np.arange(PAIRS), WAYS + np.arange(PAIRS) % (LINKS - WAYS)] = 1.0
    return csr_array(there), csr_array(back)


def witness(numbers: Any = range(LINKS)) -> PairWitness:
    return PairWitness.of(pairs(), *shares(), np.array(numbers), Params())


def same(one: Any, other: Any) -> None:
    for part in ("loss", "scaled", "delay"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


@pytest.mark.parametrize("sick", [(), (SICK,)])
def test_links_that_are_crossed_alike_are_weighed_once_and_say_what_each_says_alone(sick: Any) -> None:
    whole = witness()
    assert len(whole.row) == 4 * PAIRS  # of each end: the four ways together, the way back
    assert len(whole.column) == 2 * PAIRS * (WAYS + 1)
    for place in range(LINKS):
        alone = witness([place] if not sick else sorted({place, SICK.link}))
        at = int(np.searchsorted(alone.numbers, place))
        same(whole.weigh(sick).of(np.array([place])), alone.weigh(sick).of(np.array([at])))


@pytest.mark.parametrize("before", [True, False])
def test_fewer_candidates_weigh_what_they_weighed_among_all(before: bool) -> None:
    whole, numbers = witness(), np.array([1, 2, 5, 9])
    if before:
        whole.weigh((SICK,))
    same(whole.narrowed(numbers).weigh((SICK,)), whole.weigh((SICK,)).of(numbers))


def test_an_end_that_sent_nothing_again_is_as_likely_as_the_distribution_says() -> None:
    count = np.array([[0.0], [1.0], [7.0]])
    mean, variance = np.full((3, 2), [0.2, 3.0]), np.full((3, 2), [0.1, 4.0])
    size = mean**2 / variance
    told = nbinom.logpmf(count, size, size / (size + mean))
    np.testing.assert_allclose(log_likelihood(count, mean, variance), told, rtol=1e-9)
