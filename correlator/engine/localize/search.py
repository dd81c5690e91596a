"""The search: which links are sick together. Greedy by Bayes factor, then exchanges until none gains.

    odds(l, mode | sick) = prior · mean over q of P(pairs, flows | q) P(counter | q) · P(light or utilisation)

A greedy search alone keeps an early choice that a later one made needless: each chosen link is
weighed anew given the others, and replaced, corrected or taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from correlator.engine.localize.flows import FlowWitness
from correlator.engine.localize.pairs import PairNats, PairWitness, delays, likeliest_scale
from correlator.engine.localize.params import (
    MODES,
    STEP,
    Floats,
    Ints,
    Mode,
    Params,
    Sick,
    grid,
    log_mean,
    log_prior,
    over_rates,
)
from correlator.engine.localize.parts import Parts
from correlator.engine.localize.telemetry import TELEMETRY

ROUNDS = 5  # in practice two or three
UNLIKELY = -5.0  # log odds, of links that are looked at with the slow pairs alone: one in 150
SURELY = 8.0  # nats, by which a counter convicts, or rules out a rate: four standard deviations
HOPELESS = -15.0  # log odds: a link this unlikely by itself is looked at again only at the end


@dataclass(frozen=True, eq=False)
class Weighed:
    """Every candidate given some sick links: log posterior odds (modes × candidates) and their parts."""

    numbers: Ints
    prior: float
    total: Floats  # prior included
    by_rate: Floats  # candidates × rates, pairs and flows
    pairs: PairNats | None


@dataclass(frozen=True, eq=False)
class Choice:
    """A sick link, and the weighing of all candidates that it came from.

    ``gain``: log posterior odds that it is sick, or in its place one that the network does not tell from it.
    """

    sick: Sick
    gain: float
    weighed: Weighed


@dataclass(frozen=True)
class Search:
    """Candidates, and those who tell of them."""

    params: Params
    numbers: Ints  # directed link of each candidate
    classes: Ints  # of each: those of one class the network does not tell apart
    links: int  # directed links in all
    complaint: bool  # some pair is slow
    link_nats: dict[str, Floats]  # term → candidates × rates, or × 1
    pairs: PairWitness | None
    flows: FlowWitness | None
    parts: Parts

    def run(self) -> tuple[list[Choice], Weighed]:
        """Return the sick links, the first found first, and what all candidates weigh given them all.

        Most links are beyond hope: each round grows and exchanges among the others, then what is usual
        is learned anew, until a round changes nothing.
        """
        chosen: list[Choice] = []
        whole = hopeful = self
        near = np.zeros(len(self.numbers), dtype=bool)
        for _ in range(ROUNDS):
            sick = [choice.sick for choice in chosen]
            whole = whole._learned(sick)
            weighed = whole._weigh(sick)
            if not sick and by_class(weighed.total, whole.classes).max(initial=-np.inf) <= 0.0:
                return [], weighed
            near |= (
                weighed.total.max(axis=0) > HOPELESS
            )  # what a sick link's siblings say of it is kept from the round before
            hopeful = whole._narrowed(np.flatnonzero(near))
            # rates first: what a chosen link's rate leaves over would be taken for another's
            chosen, changed = hopeful._exchanged(chosen)
            grown = hopeful._grown(chosen)
            if len(grown) == len(chosen) and not changed:
                break
            chosen, _ = hopeful._exchanged(grown)
        chosen = hopeful._opened(chosen)
        return chosen, hopeful._weigh([choice.sick for choice in chosen])

    def likely(self) -> Ints:
        """Return the sick links, and those that are not unlikely to be one more; none where none is sick."""
        choices, rest = self.run()
        if not choices:
            return np.empty(0, dtype=np.int64)
        chosen = np.unique(np.concatenate([self.parts.of(choice.sick.link) for choice in choices]))
        near = rest.numbers[rest.total.max(axis=0, initial=-np.inf) > UNLIKELY]
        alike = np.isin(self.classes, self.classes[np.isin(self.numbers, chosen)])
        every = np.union1d(np.union1d(chosen, near), self.numbers[alike])
        return every[every < self.parts.links]

    def _learned(self, sick: Sequence[Sick]) -> Search:
        """Return a search that knows what flows usually lose, these links being sick."""
        if self.flows is None or not sick:
            return self
        return replace(self, flows=self.flows.learned([(one.link, one.rate) for one in sick]))

    def _narrowed(self, kept: Ints) -> Search:
        numbers = self.numbers[kept]
        return replace(
            self,
            numbers=numbers,
            classes=self.classes[kept],
            link_nats={term: nats[kept] for term, nats in self.link_nats.items()},
            pairs=None if self.pairs is None else self.pairs.narrowed(numbers),
            flows=None if self.flows is None else self.flows.narrowed(numbers),
        )

    def _grown(self, chosen: list[Choice]) -> list[Choice]:
        """Return the choices with the best further ones, as long as one is worth it."""
        while len(chosen) < self.params.most_faults:
            best = self._best([choice.sick for choice in chosen])
            if best is None or best.gain <= 0.0:
                break
            chosen = [*chosen, best]
        return chosen

    def _exchanged(self, chosen: list[Choice]) -> tuple[list[Choice], bool]:
        """Return the choices after each was weighed anew, and whether another link took some place."""
        changed = False
        kept = list(chosen)
        for choice in chosen:
            others = [other for other in kept if other is not choice]
            better = self._best([other.sick for other in others])
            place = kept.index(choice)
            if better is None or better.gain <= 0.0:
                kept, changed = others, True
                continue
            changed |= (better.sick.link, better.sick.mode) != (choice.sick.link, choice.sick.mode)
            kept[place] = better
        return kept, changed

    def _opened(self, chosen: list[Choice]) -> list[Choice]:
        """Return the choices, where a part is its links that are sick, each weighed given all others.

        A part shows the search the way; whether its links lose alike, and by what, is asked of verdicts.
        """
        answer: list[Choice] = []
        for choice in chosen:
            others = [other.sick for other in chosen if other is not choice]
            links = self._members(choice.sick, others)
            answer += links if len(links) > 1 else [choice]
        return answer

    def _members(self, part: Sick, others: Sequence[Sick]) -> list[Choice]:
        links = {int(link): replace(part, link=int(link)) for link in self.parts.of(part.link)}
        kept = []
        for at in np.flatnonzero(np.isin(self.numbers, list(links))):
            rest = [one for link, one in links.items() if link != self.numbers[at]]
            weighed = self._weigh([*others, *rest])
            gain = float(weighed.total[MODES.index(part.mode), at])
            if gain > 0.0:
                kept.append(self._choice(int(at), part.mode, gain, weighed))
        return kept

    def _best(self, sick: Sequence[Sick]) -> Choice | None:
        """Return the likeliest link of the likeliest class, or None where no candidate is left."""
        weighed = self._weigh(sick)
        odds = by_class(weighed.total, self.classes)
        mode, place = np.unravel_index(int(np.argmax(odds)), odds.shape)
        if not np.isfinite(odds[mode, place]):
            return None
        members = np.flatnonzero(self.classes == np.unique(self.classes)[place])
        at = members[np.argmax(weighed.total[mode, members])]
        return self._choice(int(at), MODES[mode], float(odds[mode, place]), weighed)

    def _weigh(self, sick: Sequence[Sick]) -> Weighed:
        pairs = None if self.pairs is None else self.pairs.weigh(sick)
        by_rate = np.zeros((len(self.numbers), self.params.rates)) if pairs is None else pairs.scaled
        delayed = 0.0 if pairs is None else np.logaddexp(0.0, log_mean(pairs.delay)) - np.log(2.0)
        if self.flows is not None:
            by_rate = by_rate + self.flows.weigh([(one.link, one.rate) for one in sick])
        uncounted = over_rates(by_rate, self.params)
        prior = log_prior(self.params, self.links, len(sick), self.complaint)
        total = np.stack([self._odds(by_rate, uncounted, mode) for mode in MODES]) + delayed + prior
        total += self.parts.odds(self.numbers, self.params)
        total[:, self.parts.within([one.link for one in sick], self.numbers)] = -np.inf
        return Weighed(self.numbers, prior, total, by_rate, pairs)

    def _odds(self, by_rate: Floats, uncounted: Floats, mode: Mode) -> Floats:
        """Return log odds before prior and delay: the mean over the rates, with the mode's own telemetry."""
        counter, other = TELEMETRY.get(mode, ("", ""))
        answer = (
            over_rates(by_rate + self.link_nats[counter], self.params)
            if counter in self.link_nats
            else uncounted
        )
        if other in self.link_nats:
            answer = answer + self.link_nats[other][:, 0]
        return answer + self.params.rarity[mode]

    def _choice(self, at: int, mode: Mode, gain: float, weighed: Weighed) -> Choice:
        by_rate = weighed.by_rate[at]
        counter, _ = TELEMETRY.get(mode, ("", ""))
        told = np.ones(len(by_rate), dtype=bool)
        if counter in self.link_nats:
            own = self.link_nats[counter][at]
            by_rate = by_rate + own
            # what convicts by itself tells the rate: else pairs that lost elsewhere would be explained by it
            told = own >= (own.max() - SURELY if own.max() > SURELY else -np.inf)
        place = int(np.argmax(np.where(told, by_rate, -np.inf)))
        sick = Sick(int(self.numbers[at]), mode, place, _peak(by_rate, place, self.params))
        if weighed.pairs is not None:
            delay = weighed.pairs.delay[at]
            sick = replace(
                sick,
                scale=likeliest_scale(weighed.pairs.loss[at], place, self.params),
                delay_ms=float(delays()[np.argmax(delay)]) if delay.max() > 0.0 else 0.0,
            )
        return Choice(sick, gain, weighed)


def by_class(total: Floats, classes: Ints) -> Floats:
    """Return the log of the summed odds of each class, modes × classes in ascending order."""
    order = np.argsort(classes, kind="stable")
    start = np.flatnonzero(np.diff(classes[order], prepend=-1))
    answer: Floats = np.logaddexp.reduceat(total[:, order], start, axis=1)
    return answer


def _peak(by_rate: Floats, place: int, params: Params) -> float:
    """Return the likeliest rate, between the points of the grid: the top of the parabola around the best.

    Where a counter rules out a better neighbour of ``place``, it is the grid's own.

    To 2 %: the data tell no more, and what was weighed with the same rate need not be weighed again.
    """
    rate = float(grid(params)[place])
    if not 0 < place < len(by_rate) - 1 or not np.isfinite(by_rate[place - 1]):
        return rate
    left, middle, right = by_rate[place - 1 : place + 2]
    if middle < max(left, right):
        return rate
    bend = left - 2.0 * middle + right
    return rate * STEP ** (round(8.0 * (left - right) / bend) / 16.0) if bend < 0.0 else rate
