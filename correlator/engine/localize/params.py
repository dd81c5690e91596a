"""The localiser's settings, and the grid of loss rates that every kind of evidence is weighed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mode = Literal["corruption", "congestion", "silent"]
MODES: tuple[Mode, ...] = ("corruption", "congestion", "silent")
STEP = 2**0.5


@dataclass(frozen=True)
class Params:
    """Priors and caps; natural logarithms. One setting for all fabrics."""

    lowest_rate: float = 1e-6
    rates: int = 40  # a grid in steps of √2: 1e-6 … 0.7
    heavy_rate: float = (
        0.01  # few links lose more: a sixth of those above 1e-4 (CorrOpt, SIGCOMM 2017, table 1)
    )
    faults_expected: float = 4.0  # in a fabric at a time, where some pair is slow: so there are likely some
    faults_unasked: float = 0.25  # the same of the first, where nobody complains: see log_prior
    most_prior: float = 2e-3  # of one link: CoreSec (OSDI 2026) sees 0.3–1 % sick in some way, few newly so
    rarity: Mapping[str, float] = field(
        default_factory=lambda: {"corruption": 0.0, "congestion": 0.0, "silent": -3.6}
    )  # a loss that nobody counts: one in 36
    shared_nats: float = -0.6  # of a part that links share, against one link: 0.16 of the faults that corrupt
    # (CorrOpt), and there is one part for about 3.5 links
    floor_rate: float = (
        1e-5  # what links are taken to lose before any flow was seen, with half an event of weight
    )
    floor_shape: float = 3.0  # links' usual losses differ by ± 58 %
    floor_spread: float = 2.0  # and are at most twice the mean
    floor_ratio: float = (
        8.0  # above a floor that was learned, not known: links differ in what they usually lose
    )
    scale_steps: int = 2  # retransmissions a lost packet: half to double, in steps of √2
    ack_weight: float = 0.05  # retransmissions a lost acknowledgement: the next one mostly makes up for it
    other_end: float = 0.05  # of what one end lost, the other sends again too, and no DSACK says so
    other_error: float = 1.0  # of both, one standard deviation as a share
    model_error: float = 0.4  # of an expected excess, one standard deviation
    most_pair_nats: float = 20.0  # one host pair decides nothing alone
    light_weight: float = 0.5  # half of all corruption shows in the light (CorrOpt)
    utilisation_busy: float = 0.9
    busy_nats: float = 3.0  # for or against congestion by utilisation
    unseen_congestion_nats: float = -2.2  # a full queue that nobody counts: one in nine
    most_faults: int = 16
    most_weighed: int = 128  # links: of more, those that the slow pairs alone do not suspect are left out
    named: float = 0.9  # above it the link is named; below, those that could stand in its place are a class
    class_mass: float = 0.95
    most_class: int = 16


@dataclass(frozen=True)
class Sick:
    """A directed link that is taken as sick: how, and how much.

    ``place`` is the rate's on the grid; ``scale`` retransmissions a lost packet; ``delay_ms`` extra.
    """

    link: int
    mode: Mode
    place: int
    rate: float
    scale: float = 1.0
    delay_ms: float = 0.0


def grid(params: Params) -> Floats:
    """Return the loss rates that are considered."""
    return params.lowest_rate * STEP ** np.arange(params.rates, dtype=np.float64)


def log_prior(params: Params, links: int, sick: int, complaint: bool) -> float:
    """Return the log prior odds that one more of ``links`` directed links is sick, ``sick`` being so.

    Where some pair is slow, or a link sick, the number of faults is Poisson: one more has the odds
    mean / links, whatever their number. Where nobody complains, one fabric in five is taken to have
    none besides (zero-inflated, w = 0.78): P(1) / P(0) = 4 e⁻⁴ w / (1 − w + w e⁻⁴) = 0.25 for the first.
    """
    expected = params.faults_expected if complaint or sick else params.faults_unasked
    return float(np.log(min(params.most_prior, expected / max(links, 1))))


def over_rates(nats: Floats, params: Params) -> Floats:
    """Return the log of the mean likelihood over the rates (last axis) that are not −inf.

    A rate's weight is even in its logarithm, and falls with it above ``heavy_rate``.
    """
    weight = np.minimum(np.log(params.heavy_rate / grid(params)), 0.0)
    counted = np.isfinite(nats)
    total = np.log((counted * np.exp(weight)).sum(axis=-1).clip(min=1e-300))
    answer: Floats = log_sum(nats + weight) - total
    return answer


def log_mean(nats: Floats) -> Floats:
    """Return the log of the mean likelihood over the last axis."""
    answer: Floats = log_sum(nats) - np.log(nats.shape[-1])
    return answer


def log_sum(nats: Floats) -> Floats:
    """Return the log of the summed likelihood over the last axis."""
    best = nats.max(axis=-1, keepdims=True)
    best = np.where(np.isfinite(best), best, 0.0)
    with np.errstate(divide="ignore"):
        answer: Floats = np.log(np.exp(nats - best).sum(axis=-1))
    return answer + best[..., 0]
