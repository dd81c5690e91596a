"""Suspects: the chosen links with their probabilities, and what each kind of evidence weighs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp

from correlator.engine.localize.params import MODES, Floats, Mode, Params, Sick, grid, log_mean
from correlator.engine.localize.search import Choice, Search, Weighed
from correlator.engine.localize.telemetry import TELEMETRY

LEAST = 1e-4  # of an alternative's probability, to be told
BACK_AT_LEAST = 0.2  # of a direction's rate, what a fault of both takes from the other


@dataclass(frozen=True)
class Suspect:
    """A sick directed link: which, how, how much, how sure, and what each kind of evidence weighs.

    ``terms`` are log Bayes factors against "nothing is wrong there": pairs, flows, delay, errors,
    discards, light, utilisation. ``alternatives``: (directed link, mode, probability) of everything
    that could stand in its place, likeliest first, itself included; what they lack of 1 is the
    probability that nothing is wrong. ``rate`` and ``delay_ms`` are the estimates, ``scale`` the
    retransmissions a lost packet. ``back``: log Bayes factor, by the pairs, that the link's other direction
    loses as well, NaN where they were not asked. ``apart``: the links beside it, which may share a part with
    it, were weighed and do not lose with it.
    """

    number: int
    mode: Mode
    rate: float
    scale: float
    delay_ms: float
    probability: float
    terms: Mapping[str, float]
    alternatives: tuple[tuple[int, Mode, float], ...]
    back: float = np.nan
    apart: bool = False

    def by_link(self) -> tuple[tuple[int, float], ...]:
        """Return every directed link that could be meant with its probability, likeliest first."""
        answer: dict[int, float] = {}
        for number, _, probability in self.alternatives:
            answer[number] = answer.get(number, 0.0) + probability
        return tuple(sorted(answer.items(), key=lambda item: -item[1]))

    @property
    def mass(self) -> float:
        """Return the probability that anything at all is sick there."""
        return sum(probability for _, _, probability in self.alternatives)

    def candidates(self, params: Params) -> tuple[tuple[int, float], ...]:
        """Return directed links with probabilities that together reach the class's mass."""
        ordered = self.by_link()
        total = np.cumsum([probability for _, probability in ordered])
        enough = int(np.searchsorted(total, params.class_mass * total[-1] - 1e-9)) + 1
        return ordered[:enough]


def suspects(search: Search, choices: Sequence[Choice], rest: Weighed) -> list[Suspect]:
    """Return choices as suspects. ``rest``: what all candidates weigh given every choice.

    Where a full queue drops what goes the other way, pairs do not tell whether the cable does too.
    """
    weighed = {choice.sick.link: choice.weighed for choice in choices}
    full = {choice.sick.link for choice in choices if choice.sick.mode == "congestion"}
    answer = []
    for choice in choices:
        link = choice.sick.link
        other = weighed.get(link ^ 1, rest)
        back = np.nan if link ^ 1 in full else _back(search, other, choice.sick)
        apart = _apart(search, link, set(weighed) - {link, link ^ 1})
        answer.append(replace(_suspect(search, choice, rest), back=back, apart=apart))
    return answer


def _suspect(search: Search, choice: Choice, rest: Weighed) -> Suspect:
    """Return a choice as a suspect: its probability is its share among all that could stand in its place."""
    sick, numbers = choice.sick, choice.weighed.numbers
    instead = _instead(choice.weighed, rest)
    posterior: Floats = np.exp(instead - logsumexp(np.append(instead.ravel(), 0.0)))
    modes, places = np.nonzero(posterior > LEAST)
    ordered = sorted(zip(modes, places, strict=True), key=lambda at: -posterior[at])
    at = int(np.searchsorted(numbers, sick.link))
    return Suspect(
        number=sick.link,
        mode=sick.mode,
        rate=sick.rate,
        scale=sick.scale,
        delay_ms=sick.delay_ms,
        probability=float(posterior[MODES.index(sick.mode), at]),
        terms=_terms(search, choice.weighed, sick, at),
        alternatives=tuple((int(numbers[p]), MODES[m], float(posterior[m, p])) for m, p in ordered),
    )


def _apart(search: Search, link: int, others: set[int]) -> bool:
    """Return whether a part that a link may share was weighed, and none of its other links is sick."""
    mine = [set(members.tolist()) for members in search.parts.members if link in members]
    return bool(mine) and not any(members & others for members in mine)


def _back(search: Search, weighed: Weighed, sick: Sick) -> float:
    """Return what the pairs say of a loss the other way at a fifth of the link's rate up to all of it."""
    at = np.flatnonzero(weighed.numbers == (sick.link ^ 1))
    rates = grid(search.params)
    alike = (rates >= BACK_AT_LEAST * sick.rate) & (rates <= sick.rate)
    if weighed.pairs is None or sick.link >= search.parts.links or not len(at) or not alike.any():
        return np.nan
    return float(log_mean(weighed.pairs.scaled[at[0], alike]))


def _instead(without: Weighed, rest: Weighed) -> Floats:
    """Return log odds that a link is sick in the choice's place, modes × candidates.

    Of a link's odds without the choice, what is left with it speaks for one more fault, not for
    another in its place: odds(l | others) − odds(l | others and the choice).
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.nan_to_num(np.exp(rest.total - rest.prior - without.total + without.prior), nan=0.0)
        answer: Floats = without.total + np.log1p(-np.minimum(left, 1.0))
    return answer


def _terms(search: Search, weighed: Weighed, sick: Sick, at: int) -> dict[str, float]:
    terms = {}
    seen = float(weighed.by_rate[at, sick.place])
    if weighed.pairs is not None:
        terms["pairs"] = float(weighed.pairs.scaled[at, sick.place])
        terms["delay"] = max(float(weighed.pairs.delay[at].max()), 0.0) if sick.delay_ms > 0.0 else 0.0
    if search.flows is not None:
        terms["flows"] = seen - terms.get("pairs", 0.0)
    counter, other = TELEMETRY.get(sick.mode, ("", ""))
    at = int(np.searchsorted(search.numbers, sick.link))
    if counter in search.link_nats:
        terms[counter] = float(search.link_nats[counter][at, sick.place])
    if other in search.link_nats:
        terms[other] = float(search.link_nats[other][at, 0])
    return terms
