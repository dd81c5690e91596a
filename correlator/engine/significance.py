"""How likely a measurement is by chance, and which of many to believe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, stdtr, stdtrit

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def at_least(count: Floats, expected: Floats, shape: Floats) -> Floats:
    """Return P(at least ``count``) of a Poisson whose rate varies by a Gamma of ``shape``; NaN without usual.

    The negative binomial's upper tail is I_x(k, shape) with x = mean/(shape + mean) (DLMF 8.17.24).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = betainc(np.maximum(count, 1.0), shape, expected / (shape + expected))
    return np.where(expected > 0, np.where(count > 0, tail, 1.0), np.nan)


def at_most(count: Floats, expected: Floats, shape: Floats) -> Floats:
    """Return P(at most ``count``) of the same: 1 − I_x(k + 1, shape)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = betainc(shape, count + 1.0, shape / (shape + expected))
    return np.where(expected > 0, tail, np.nan)


def longer(now: Any, usual: Any, sigma: Any, degrees: float) -> tuple[Floats, Floats, Floats]:
    """Return ln(now / usual), its reach (half a 95 % interval), and P(as large by chance): Student's t.

    ``sigma``: standard deviation of the logarithm.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log(np.asarray(now) / np.asarray(usual))
        logarithm = np.where(np.isfinite(logarithm), logarithm, np.nan)
        return logarithm, stdtrit(degrees, 0.975) * sigma, stdtr(degrees, -logarithm / sigma)


def discovered(families: Sequence[Floats], rate: float) -> list[Flags]:
    """Return, family by family, which tests to believe; the rate is controlled over all together."""
    every = discoveries(np.concatenate(families), rate)
    return np.split(every, np.cumsum([len(p) for p in families])[:-1])


def discoveries(p: Floats, rate: float) -> Flags:
    """Return which p-values to believe at false-discovery ``rate`` (Benjamini, Hochberg 1995); NaN never."""
    told = np.isfinite(p)
    ordered = np.sort(p[told])
    below = np.flatnonzero(ordered <= rate * np.arange(1, len(ordered) + 1) / max(len(ordered), 1))
    limit = ordered[below[-1]] if len(below) else -1.0
    answer: Flags = told & (np.where(told, p, 2.0) <= limit)
    return answer
