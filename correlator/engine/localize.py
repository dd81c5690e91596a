"""Which directed links explain the slow pairs: one likelihood for symptoms and link evidence.

Each directed link l may lose packets at a rate q, in one of three ways that differ in who counts
the loss: *corruption* (errors at the receiver), *congestion* (discards at the sender), *silent*
(nobody). For host pair i with retransmissions kᵢ

    kᵢ ~ NegativeBinomial(mean = usual + Σ_l α q_l e_il),   e_il = share of i's segments on l

which is Flock's mixture over paths (CoNEXT 2023) with the connections averaged: a pair of few
connections varies more, by (1−w)/(w m). A lost packet is one event: the same q_l feeds the pairs
and the counter. Greedy by Bayes factor, with exchanges. Page: docs/algorithms/localize.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array
from scipy.special import gammaln, logsumexp

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mode = Literal["corruption", "congestion", "silent"]
MODES: tuple[Mode, ...] = ("corruption", "congestion", "silent")
TELEMETRY: Mapping[Mode, tuple[tuple[str, str], ...]] = {  # mode → its counter, its other witness
    "corruption": (("errors", "light"),),
    "congestion": (("discards", "utilisation"),),
}
STEP = 2**0.5


@dataclass(frozen=True)
class Params:
    """Priors and caps; natural logarithms. One setting for all fabrics."""

    lowest_rate: float = 1e-6
    rates: int = 40  # a grid in steps of √2: 1e-6 … 0.7
    scale_steps: int = 2  # retransmissions a lost packet: half to double, in steps of √2
    log_prior: Mapping[str, float] = field(
        default_factory=lambda: {"corruption": -9.2, "congestion": -9.2, "silent": -16.0}
    )  # one link in 10,000 at a time is newly sick (CoreSec: 0.3–1 % are sick in some way); silent is rare
    ack_weight: float = 0.25  # retransmissions a lost acknowledgement: the next one mostly makes up for it
    model_error: float = 0.4  # of an expected excess, one standard deviation
    most_pair_nats: float = 20.0  # one host pair decides nothing alone
    light_weight: float = 0.5  # half of all corruption shows in the light (CorrOpt)
    utilisation_busy: float = 0.9
    busy_nats: float = 3.0  # for or against congestion by utilisation
    unseen_congestion_nats: float = -6.8  # a full queue that nobody counts is as rare as a silent drop
    accept_nats: float = 2.3  # posterior odds of 10 : 1
    most_faults: int = 8
    named: float = 0.8  # above it the link is named
    class_mass: float = 0.95
    most_class: int = 16


@dataclass(frozen=True)
class Evidence:
    """What localisation knows.

    ``pairs``: one row a host pair: segments_client, segments_server, retransmissions,
    expected (usual retransmissions), shape, connections, delay_ms (network part now − usual, NaN
    unknown), delay_sigma_ms, slow. ``forward``, ``reverse``: shares, host pairs × directed links.
    ``health``: one row a directed link (columns of ``health.health``). ``light_nats``: log Bayes
    factor of lost light a directed link, NaN unknown.
    """

    pairs: pd.DataFrame
    forward: csr_array
    reverse: csr_array
    health: pd.DataFrame
    light_nats: Floats


@dataclass(frozen=True)
class Suspect:
    """A sick directed link: which, how, how much, how sure, and what each kind of evidence weighs.

    ``terms`` are log Bayes factors against "nothing is wrong there": pairs, delay, errors, discards,
    light, utilisation. ``alternatives``: (directed link, mode, probability) of everything that could
    stand in its place, likeliest first, itself included. ``rate`` and ``delay_ms`` are the estimates.
    """

    number: int
    mode: Mode
    rate: float
    scale: float
    delay_ms: float
    probability: float
    terms: Mapping[str, float]
    alternatives: tuple[tuple[int, Mode, float], ...]

    def candidates(self, params: Params) -> tuple[tuple[int, float], ...]:
        """Return directed links with probabilities that together reach the class's mass."""
        by_link: dict[int, float] = {}
        for number, _, probability in self.alternatives:
            by_link[number] = by_link.get(number, 0.0) + probability
        ordered = sorted(by_link.items(), key=lambda item: -item[1])
        total = np.cumsum([probability for _, probability in ordered])
        enough = int(np.searchsorted(total, params.class_mass * total[-1] - 1e-9)) + 1
        return tuple(ordered[:enough])


def localize(evidence: Evidence, params: Params | None = None) -> list[Suspect]:
    """Return the sick links on the slow pairs' paths, strongest first; empty where none is worth naming.

    A suspect is sick; whether it explains a pair is asked with ``explained``.
    """
    params = params or Params()
    problem = _Problem.of(evidence, params)
    if problem is None:
        return []
    chosen: list[_Choice] = []
    while len(chosen) < params.most_faults:
        best = problem.best(chosen)
        if best is None or best.gain < params.accept_nats:
            break
        chosen = problem.exchanged([*chosen, best])
    return [problem.suspect(i, chosen) for i in range(len(chosen))]


def explained(evidence: Evidence, suspect: Suspect, params: Params | None = None) -> pd.DataFrame:
    """Return, row for row of ``evidence.pairs``, what excess the suspect accounts for.

    Columns: crossing (share of the pair's traffic, both ways, 0 to 2), retransmissions_explained
    with its variation (cv²), delay_explained_ms.
    """
    params = params or Params()
    column = [suspect.number]
    forward = evidence.forward[:, column].toarray()[:, 0]
    reverse = evidence.reverse[:, column].toarray()[:, 0]
    exposure = _exposure(evidence.pairs, forward, reverse, np.arange(len(forward)), params)
    share = np.maximum(forward, reverse)
    return pd.DataFrame(
        {
            "crossing": forward + reverse,
            "variation": _variation(share, evidence.pairs["connections"].to_numpy(), params),
            "retransmissions_explained": suspect.scale * suspect.rate * exposure,
            "delay_explained_ms": suspect.delay_ms * (forward + reverse),
        },
        index=evidence.pairs.index,
    )


def _exposure(pairs: pd.DataFrame, forward: Floats, reverse: Floats, row: Ints, params: Params) -> Floats:
    """Return how many segments of each pair cross a link: data one way, acknowledgements the other."""
    client, server = pairs["segments_client"].to_numpy()[row], pairs["segments_server"].to_numpy()[row]
    answer: Floats = forward * (client + params.ack_weight * server) + reverse * (
        server + params.ack_weight * client
    )
    return answer


def _variation(share: Floats, connections: Floats, params: Params) -> Floats:
    """Return cv² of the loss that a pair sees of a link: which of its connections cross, and model error."""
    share = np.clip(share, 1e-9, 1.0)
    return (1.0 - share) / (share * np.maximum(connections, 1.0)) + params.model_error**2


@dataclass(frozen=True)
class _Choice:
    """One link taken as sick: its place among the candidates, mode, grid points and gain in nats."""

    candidate: int
    mode: Mode
    rate: int
    delay: int
    gain: float


@dataclass(frozen=True)
class _Problem:
    """Candidates and, as flat arrays, the entries (host pair, candidate) that have a share."""

    params: Params
    numbers: Ints  # directed link of each candidate
    row: Ints
    column: Ints
    exposure: Floats
    crossing: Floats
    variation: Floats  # cv² of what a pair sees of the link's loss
    count: Floats
    expected: Floats
    variance: Floats  # of the expected count, beyond Poisson
    delay: Floats
    delay_variance: Floats
    link_nats: Mapping[str, Floats]  # term → candidates × rates

    @classmethod
    def of(cls, evidence: Evidence, params: Params) -> _Problem | None:
        pairs = evidence.pairs
        slow = np.flatnonzero(pairs["slow"].to_numpy(dtype=bool))
        both = (evidence.forward + evidence.reverse).tocsc()
        numbers = np.unique(both.tocsr()[slow].indices).astype(np.int64)
        if not len(numbers):
            return None
        entries = both[:, numbers].tocoo()
        row, column = entries.row.astype(np.int64), entries.col.astype(np.int64)
        forward = np.asarray(evidence.forward[:, numbers].tocsr()[row, column]).ravel()
        reverse = np.asarray(evidence.reverse[:, numbers].tocsr()[row, column]).ravel()
        connections = pairs["connections"].to_numpy()[row]
        expected = pairs["expected"].to_numpy()
        sigma = pairs["delay_sigma_ms"].to_numpy()
        return cls(
            params=params,
            numbers=numbers,
            row=row,
            column=column,
            exposure=_exposure(pairs, forward, reverse, row, params),
            crossing=forward + reverse,
            variation=_variation(np.maximum(forward, reverse), connections, params),
            count=pairs["retransmissions"].to_numpy(),
            expected=expected,
            variance=expected**2 / pairs["shape"].to_numpy(),
            delay=np.where(sigma > 0, pairs["delay_ms"].to_numpy(), np.nan),
            delay_variance=np.where(sigma > 0, sigma, np.nan) ** 2,
            link_nats=_link_nats(evidence.health.iloc[numbers], evidence.light_nats[numbers], params),
        )

    def best(self, chosen: Sequence[_Choice]) -> _Choice | None:
        """Return the choice that would add most, or None where no candidate is left."""
        total, parts = self._totals(chosen)
        mode, candidate = np.unravel_index(int(np.argmax(total)), total.shape)
        if not np.isfinite(total[mode, candidate]):
            return None
        return self._choice(int(candidate), int(mode), total, parts)

    def exchanged(self, chosen: list[_Choice]) -> list[_Choice]:
        """Return the choices after each was weighed anew, given the others: another may fit better now."""
        for i in range(len(chosen)):
            others = chosen[:i] + chosen[i + 1 :]
            better = self.best(others)
            if better is not None:
                chosen = [*others[:i], better, *others[i:]]
        return chosen

    def suspect(self, place: int, chosen: Sequence[_Choice]) -> Suspect:
        """Return a choice with its probability among everything that could stand in its place."""
        mine = chosen[place]
        others = [*chosen[:place], *chosen[place + 1 :]]
        total, parts = self._totals(others)
        posterior = np.exp(total - logsumexp(np.append(total.ravel(), 0.0)))
        modes, candidates = np.nonzero(posterior > 1e-4)
        ordered = sorted(zip(modes, candidates, strict=True), key=lambda at: -posterior[at])
        alternatives = tuple((int(self.numbers[c]), MODES[m], float(posterior[m, c])) for m, c in ordered)
        rate = _grid(self.params)[mine.rate]
        return Suspect(
            number=int(self.numbers[mine.candidate]),
            mode=mine.mode,
            rate=float(rate),
            scale=self._scale(mine, parts),
            delay_ms=float(_delays()[mine.delay]) if mine.delay >= 0 else 0.0,
            probability=float(posterior[MODES.index(mine.mode), mine.candidate]),
            terms=self._terms(mine, parts),
            alternatives=alternatives,
        )

    def _totals(self, chosen: Sequence[_Choice]) -> tuple[Floats, dict[str, Floats]]:
        """Return log posterior odds, modes × candidates, and the parts they are made of."""
        loss, delay = self._loss_nats(chosen), self._delay_nats(chosen)
        scaled = _over_scales(loss, self.params)
        delayed = np.logaddexp(np.log(0.5), np.log(0.5) + _log_mean(delay))
        total = np.empty((len(MODES), len(self.numbers)))
        for m, mode in enumerate(MODES):
            by_rate = scaled + self._counted(mode)
            total[m] = _log_mean(by_rate) + delayed + self.params.log_prior[mode] + self._flat(mode)
        for choice in chosen:
            total[:, choice.candidate] = -np.inf
        return total, {"loss": loss, "scaled": scaled, "delay": delay}

    def _counted(self, mode: Mode) -> Floats:
        """Return what the counters say of each rate, candidates × rates."""
        counters = [self.link_nats[counter] for counter, _ in TELEMETRY.get(mode, ())]
        return sum(counters, start=np.zeros((len(self.numbers), self.params.rates)))

    def _flat(self, mode: Mode) -> Floats:
        flats = [self.link_nats[flat][:, 0] for _, flat in TELEMETRY.get(mode, ())]
        return sum(flats, start=np.zeros(len(self.numbers)))

    def _choice(self, candidate: int, mode: int, total: Floats, parts: dict[str, Floats]) -> _Choice:
        by_rate = parts["scaled"][candidate] + self._counted(MODES[mode])[candidate]
        delay = parts["delay"][candidate]
        at = int(np.argmax(delay)) if delay.max() > 0 else -1
        gain = float(total[mode, candidate])
        return _Choice(candidate, MODES[mode], int(np.argmax(by_rate)), at, gain)

    def _scale(self, choice: _Choice, parts: dict[str, Floats]) -> float:
        """Return how many retransmissions a lost packet made, the likeliest of the grid."""
        reach = self.params.scale_steps
        shifts = np.clip(np.arange(choice.rate - reach, choice.rate + reach + 1), 0, self.params.rates - 1)
        return float(STEP ** (int(np.argmax(parts["loss"][choice.candidate, shifts])) - reach))

    def _terms(self, choice: _Choice, parts: dict[str, Floats]) -> dict[str, float]:
        terms = {"pairs": float(parts["scaled"][choice.candidate, choice.rate])}
        terms["delay"] = (
            max(float(parts["delay"][choice.candidate, choice.delay]), 0.0) if choice.delay >= 0 else 0.0
        )
        for counter, flat in TELEMETRY.get(choice.mode, ()):
            terms[counter] = float(self.link_nats[counter][choice.candidate, choice.rate])
            terms[flat] = float(self.link_nats[flat][choice.candidate, 0])
        return terms

    def _given(self, chosen: Sequence[_Choice]) -> tuple[Floats, Floats]:
        """Return expected counts and their variance beyond Poisson, with the chosen links sick."""
        mean, variance = self.expected.copy(), self.variance.copy()
        for choice in chosen:
            mine = self.column == choice.candidate
            lost = _grid(self.params)[choice.rate] * self.exposure[mine]
            np.add.at(mean, self.row[mine], lost)
            np.add.at(variance, self.row[mine], lost**2 * self.variation[mine])
        return mean, variance

    def _loss_nats(self, chosen: Sequence[_Choice]) -> Floats:
        """Return Σ over pairs of ln P(k | link sick too) / P(k | chosen), candidates × rates."""
        mean, variance = self._given(chosen)
        now = self._fit(self.count, mean, variance)[self.row, None]
        lost = _grid(self.params)[None, :] * self.exposure[:, None]
        more = variance[self.row, None] + lost**2 * self.variation[:, None]
        then = self._fit(self.count[self.row, None], mean[self.row, None] + lost, more)
        return self._summed(then - now)

    def _fit(self, count: Any, mean: Any, variance: Any) -> Floats:
        """Return ln P(count) below the best that any mean could do, and not below the cap.

        Capped like this, one pair decides nothing alone, yet of two links that both explain it the
        better one still shows.
        """
        best = count * np.log(np.maximum(count, 1.0)) - count - gammaln(count + 1.0)
        answer: Floats = np.maximum(
            _log_likelihood(count, mean, variance) - best, -self.params.most_pair_nats
        )
        return answer

    def _delay_nats(self, chosen: Sequence[_Choice]) -> Floats:
        """Return the same for extra delay, candidates × delays: normal, with the model's error added."""
        delays = _delays()
        mean, variance = np.zeros(len(self.delay)), self.delay_variance.copy()
        for choice in chosen:
            if choice.delay >= 0:
                mine = self.column == choice.candidate
                extra = delays[choice.delay] * self.crossing[mine]
                np.add.at(mean, self.row[mine], extra)
                np.add.at(
                    variance, self.row[mine], extra**2 * (self.variation[mine] + self.params.model_error**2)
                )
        extra = delays[None, :] * self.crossing[:, None]
        wider = variance[self.row, None] + extra**2 * (self.variation[:, None] + self.params.model_error**2)
        now = self._normal_fit(self.delay, mean, variance)[self.row, None]
        then = self._normal_fit(self.delay[self.row, None], mean[self.row, None] + extra, wider)
        return self._summed(np.nan_to_num(then - now, nan=0.0))

    def _normal_fit(self, value: Any, mean: Any, variance: Any) -> Floats:
        nats = -0.5 * np.log(variance) - (value - mean) ** 2 / (2.0 * variance)
        answer: Floats = np.maximum(nats, -0.5 * np.log(variance) - self.params.most_pair_nats)
        return answer

    def _summed(self, nats: Floats) -> Floats:
        """Return the sum over the entries of each candidate."""
        entries = np.arange(len(self.column))
        shape = (len(self.numbers), len(entries))
        of_candidate = csr_array((np.ones(len(entries)), (self.column, entries)), shape=shape)
        answer: Floats = of_candidate @ nats
        return answer


def _grid(params: Params) -> Floats:
    return params.lowest_rate * STEP ** np.arange(params.rates, dtype=np.float64)


def _delays() -> Floats:
    """Return the extra delays that are considered, milliseconds a crossing."""
    return 0.02 * STEP ** np.arange(34, dtype=np.float64)


def _log_mean(nats: Floats) -> Floats:
    answer: Floats = logsumexp(nats, axis=-1) - np.log(nats.shape[-1])
    return answer


def _over_scales(loss: Floats, params: Params) -> Floats:
    """Return the mean likelihood over how many retransmissions a lost packet makes."""
    reach = params.scale_steps
    padded = np.pad(loss, ((0, 0), (reach, reach)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=1)
    return _log_mean(windows)


def _log_likelihood(count: Any, mean: Any, variance: Any) -> Floats:
    """Return ln P(count) of a negative binomial with this mean and variance beyond Poisson."""
    mean = np.maximum(mean, 1e-12)
    size = mean**2 / np.maximum(variance, 1e-12 * mean**2)
    answer: Floats = (
        gammaln(count + size)
        - gammaln(size)
        - gammaln(count + 1.0)
        + size * np.log(size / (size + mean))
        + count * np.log(mean / (size + mean))
    )
    return answer


def _link_nats(health: pd.DataFrame, light_nats: Floats, params: Params) -> dict[str, Floats]:
    """Return what each candidate's own telemetry says, term → candidates × rates; 0 where it says nothing."""
    column = {name: health[name].to_numpy(dtype=np.float64) for name in (
        "errors", "packets", "passed_on", "error_floor", "floor_shape", "discards", "sent",
        "discard_floor", "utilisation",
    )}  # fmt: skip
    errors = _counter_nats(
        column["errors"],
        column["packets"],
        column["passed_on"],
        column["error_floor"],
        column["floor_shape"],
        params,
    )
    nothing = np.zeros(len(health))
    discards = _counter_nats(
        column["discards"], column["sent"], nothing, column["discard_floor"], column["floor_shape"], params
    )
    share = np.log(params.light_weight)
    light = np.logaddexp(share + np.nan_to_num(light_nats), np.log1p(-params.light_weight))
    used = column["utilisation"]
    busy = np.where(used >= params.utilisation_busy, params.busy_nats, -params.busy_nats)
    busy = np.where(np.isnan(used), 0.0, busy)
    busy += np.where(np.isnan(column["sent"]), params.unseen_congestion_nats, 0.0)
    return {"errors": errors, "discards": discards, "light": light[:, None], "utilisation": busy[:, None]}


def _counter_nats(
    count: Floats, exposure: Floats, passed_on: Floats, floor: Floats, shape: Floats, params: Params
) -> Floats:
    """Return ln P(count | q) / P(count | 0) at each rate, profiled over how much was passed on."""
    rates = np.concatenate([[0.0], _grid(params)])
    mean = exposure[:, None] * (floor[:, None] + rates)
    base = exposure * floor
    variance = (base**2 / shape)[:, None] + (params.model_error * exposure[:, None] * rates) ** 2
    own = np.clip(mean, (count - passed_on)[:, None], count[:, None])
    nats = _log_likelihood(own, mean, variance)
    return np.nan_to_num(nats[:, 1:] - nats[:, :1], nan=0.0)
