"""Why a directed link loses packets: CorrOpt's signatures (SIGCOMM 2017) as one likelihood.

    P(cause | signs) ∝ share(cause) · Π P(sign | cause)

A sign is what was measured of the light this way and the other way, of the transmitter, of errors the
other way, of neighbours; one that was not measured is no factor. Page: docs/algorithms/causes.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from correlator.model import RootCause

Floats = npt.NDArray[np.float64]
Terms = Mapping[str, float]

CORRUPTIONS: tuple[RootCause, ...] = (
    "dirty_connector",
    "damaged_fiber",
    "failing_transmitter",
    "bad_transceiver",
    "shared_component",
)


@dataclass(frozen=True)
class SharedParams:
    """When several links that lose packets have one part in common."""

    spread: float = 0.35  # of ln rate among links that share a part: CorrOpt's "similar rates"
    decades: float = 2.0  # over which independent links' rates are spread that are high enough to hurt
    reach: int = 4  # ports that share a cage, a breakout cable or a chip lie this close
    by_chance: float = 0.05  # that a neighbour is sick at the same time for a reason of its own


@dataclass(frozen=True)
class Params:
    """How often each cause is the one, and how often each shows its signs.

    ``shares``: CorrOpt's tickets, the middle of each range. ``back``: the other direction loses as
    well; ``strands`` of damaged cables lose light on both fibres, half of those packets too.
    """

    shares: Mapping[RootCause, float] = field(
        default_factory=lambda: {
            "dirty_connector": 0.37,
            "damaged_fiber": 0.31,
            "failing_transmitter": 0.01,
            "bad_transceiver": 0.255,
            "shared_component": 0.18,
        }
    )
    back: Mapping[RootCause, float] = field(
        default_factory=lambda: {
            "dirty_connector": 0.02,  # two connectors at once; 8 % of corrupting links lose both ways
            "failing_transmitter": 0.02,
            "bad_transceiver": 0.1,
            "shared_component": 0.5,
        }
    )
    strands: float = 0.85
    back_of_strands: float = 0.5
    beside: float = 0.9  # of shared parts, some other link that shares it is seen to lose as well
    typical_change_db: float = 2.0
    alike: float = 0.5  # how far a damaged cable's two fibres may differ in what they lose
    least_change_db: float = 0.3  # smaller steps are not told from reading errors of other kinds
    most_nats: float = 12.0
    pairs_alone: float = 0.97  # how often a class is right that nothing but pairs tells (calibration.md)
    pairs_weight: float = 0.4  # of what pairs say of the way back: they are not independent (calibration.md)
    shared: SharedParams = field(default_factory=SharedParams)


@dataclass(frozen=True)
class Signs:
    """What was measured of a directed link that loses packets; NaN and None where it was not.

    ``lost_db``: light lost on the way, without what the transmitter sends less where that is told
    (``sent_db``, negative: less); ``other_db``: lost on the way back. ``back``: the other direction
    loses packets; ``back_nats``: log Bayes factor that it does, where only pairs tell; ``watched``:
    neighbouring links are counted as well, or pairs tell of them.
    """

    lost_db: float
    lost_sigma_db: float
    sent_db: float
    sent_sigma_db: float
    other_db: float
    other_sigma_db: float
    back: bool | None
    watched: bool
    back_nats: float = np.nan


def weighed(signs: Signs, params: Params) -> dict[RootCause, Terms]:
    """Return for each cause ln P of every sign, against a link of which no light is lost; and its share."""
    lost = _nats(signs.lost_db, signs.lost_sigma_db, params)
    sent = _nats(-signs.sent_db, signs.sent_sigma_db, params)
    seen = np.isfinite(signs.sent_db)
    light: Mapping[RootCause, tuple[float, float]] = {  # light this way, transmitter
        "dirty_connector": (lost, 0.0),
        "damaged_fiber": (lost, 0.0),
        "failing_transmitter": (0.0, sent) if seen else (lost, 0.0),
        "bad_transceiver": (0.0, 0.0),
        "shared_component": (0.0, 0.0),
    }
    answer: dict[RootCause, Terms] = {}
    for cause, (this_way, transmitter) in light.items():
        answer[cause] = {
            "share": float(np.log(params.shares[cause])),
            "light": this_way,
            "transmitter": transmitter,
            "other_way": _other_way(cause, signs, params),
            "beside": _beside(cause, signs, params),
        }
    return answer


def probabilities(terms: Mapping[RootCause, Terms]) -> dict[RootCause, float]:
    """Return the probability of each cause, likeliest first."""
    total = {cause: sum(parts.values()) for cause, parts in terms.items()}
    top = max(total.values())
    weights = {cause: float(np.exp(value - top)) for cause, value in total.items()}
    whole = sum(weights.values())
    return {cause: weight / whole for cause, weight in sorted(weights.items(), key=lambda item: -item[1])}


def _other_way(cause: RootCause, signs: Signs, params: Params) -> float:
    """Return ln P(light and errors of the other direction | cause): in a damaged cable they go together."""
    if cause != "damaged_fiber":
        return _loses_back(params.back[cause], signs, params)
    other = _nats(signs.other_db, signs.other_sigma_db, params, about=signs.lost_db)
    both = np.log(params.strands) + other + _loses_back(params.back_of_strands, signs, params)
    one = np.log(1.0 - params.strands) + _loses_back(params.back["dirty_connector"], signs, params)
    return float(np.logaddexp(both, one))


def _loses_back(chance: float, signs: Signs, params: Params) -> float:
    """Return ln P(this direction loses, and what is told of the other one | cause) + ln 2.

    Causes are shared out among faults, and a fault that loses both ways, with ``chance``, is met in two
    directions: 2 · chance where the other one loses, 1 − chance where it does not, between them as pairs say,
    1 + chance where nobody tells.
    """
    if signs.back is not None:
        return float(np.log(2.0 * chance if signs.back else 1.0 - chance))
    told = np.clip(params.pairs_weight * np.nan_to_num(signs.back_nats), -params.most_nats, params.most_nats)
    return float(np.logaddexp(np.log(1.0 - chance), np.log(2.0 * chance) + told))


def _beside(cause: RootCause, signs: Signs, params: Params) -> float:
    """Return ln P(no neighbour shares it | cause); those that do are weighed together (``shared``)."""
    return _happens(params.beside, False) if cause == "shared_component" and signs.watched else 0.0


def _happens(chance: float, so: bool | None) -> float:
    return 0.0 if so is None else float(np.log(chance if so else 1.0 - chance))


def _nats(change_db: float, sigma_db: float, params: Params, about: float = np.nan) -> float:
    """Return ln P(change | light lost) / P(change | not), 0 where it was not measured.

    Lost light is exponential with mean ``typical_change_db``, or, where a cable took ``about`` on its
    other fibre, within ``alike`` of that: noise is as likely small on one side as large on the other.
    """
    if not np.isfinite(change_db) or not np.isfinite(sigma_db):
        return 0.0
    if np.isfinite(about) and about >= params.least_change_db:
        lost = about * np.linspace(1.0 - params.alike, 1.0 + params.alike, 31)
        weight = np.ones_like(lost)
    else:
        lost = np.linspace(params.least_change_db, 12.0, 60)
        weight = np.exp(-lost / params.typical_change_db)
    sigma = max(sigma_db, params.least_change_db / 3.0)
    exponent = (2.0 * change_db * lost - lost**2) / (2.0 * sigma**2)
    peak = exponent.max()
    ratio = peak + np.log((weight * np.exp(exponent - peak)).sum() / weight.sum())
    return float(np.clip(ratio, -params.most_nats, params.most_nats))


def shared(members: Sequence[tuple[Mapping[RootCause, Terms], float]], params: Params) -> float:
    """Return ln odds that links lose packets by one part that they share, against each by itself.

    ``members``: each link's terms and loss rate. Rates of links that share a part are spread around one
    that is anywhere in ``decades``; those of others are each anywhere.
    """
    of_shared = params.shared
    rates = np.log([max(rate, 1e-12) for _, rate in members])
    together = float(np.log(params.shares["shared_component"]))
    apart = (len(members) - 1) * float(np.log(of_shared.by_chance))
    for terms, _ in members:
        mine = terms["shared_component"]
        together += sum(value for name, value in mine.items() if name not in ("share", "beside"))
        own = [sum(parts.values()) for cause, parts in terms.items() if cause != "shared_component"]
        apart += float(np.logaddexp.reduce(own))
    width = of_shared.decades * np.log(10.0) / (of_shared.spread * np.sqrt(2.0 * np.pi))
    off = ((rates - rates.mean()) ** 2).sum() / (2.0 * of_shared.spread**2)
    return together - apart + float((len(members) - 1) * np.log(width) - off - 0.5 * np.log(len(members)))
