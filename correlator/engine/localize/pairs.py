"""What host pairs say of each link's loss rate and delay: many connections, spread over the paths.

For each end i of a host pair, with the retransmissions kᵢ that it sent

    kᵢ ~ NegativeBinomial(mean = usual + Σ_l α q_l e_il),   e_il = segments of i that l may cost

which is the mixture over paths of ``flows`` with the connections averaged: a pair of few connections
varies more, by (1−w)/(w m). Who sends again what had not arrived tells which way the loss was. Page:
docs/algorithms/localize.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.special import gammaln

from correlator.engine.localize.params import STEP, Bools, Floats, Ints, Params, Sick, grid, log_mean


@dataclass(frozen=True)
class PairNats:
    """Log likelihood ratios of a further sick link: candidates × rates, and candidates × delays.

    ``loss`` takes one retransmission a lost packet, ``scaled`` the mean over half to double.
    """

    loss: Floats
    scaled: Floats
    delay: Floats

    def of(self, rows: Ints) -> PairNats:
        """Return the same of some of the candidates."""
        return PairNats(self.loss[rows], self.scaled[rows], self.delay[rows])


def exposures(
    pairs: pd.DataFrame, forward: Floats, reverse: Floats, row: Ints, params: Params
) -> tuple[Floats, Floats]:
    """Return how many segments each pair's client, and server, would send again if the link lost all.

    An end's own data crosses the link, or the acknowledgements that it waits for; and some of what the
    other end lost it sends again as well. Where nobody tells which end had lost something, each stands
    for half of what both send.
    """
    client, server = pairs["segments_client"].to_numpy()[row], pairs["segments_server"].to_numpy()[row]
    by_client = client * (forward + params.ack_weight * reverse) + params.other_end * server * reverse
    by_server = server * (reverse + params.ack_weight * forward) + params.other_end * client * forward
    return _told_apart(by_client, by_server, _directed(pairs)[row])


def exposure(pairs: pd.DataFrame, forward: Floats, reverse: Floats, row: Ints, params: Params) -> Floats:
    """Return the same of both ends together."""
    by_client, by_server = exposures(pairs, forward, reverse, row, params)
    answer: Floats = by_client + by_server
    return answer


def variation(share: Floats, connections: Floats, params: Params) -> Floats:
    """Return cv² of the loss that a pair sees of a link: which of its connections cross, and model error."""
    share = np.clip(share, 1e-9, 1.0)
    return (1.0 - share) / (share * np.maximum(connections, 1.0)) + params.model_error**2


@dataclass(frozen=True)
class PairWitness:
    """Ends of host pairs and, as flat arrays, what links share them: *entries* and their *forms*.

    Ends are numbered 2·host pair (its client) and 2·host pair + 1 (its server). What waits is the client.
    An entry is a candidate (``column``) that an end crosses; candidates that it crosses alike, as those of
    one stage of equal-cost paths, have one ``form`` and are weighed once. Forms lie in the order of ``row``,
    all clients first.
    """

    params: Params
    numbers: Ints  # directed link of each candidate
    column: Ints
    form: Ints
    row: Ints  # end of each form
    exposure: Floats
    crossing: Floats
    variation: Floats  # cv² of what a pair sees of the link's loss
    count: Floats
    expected: Floats
    variance: Floats  # of the expected count, beyond Poisson
    delay: Floats
    delay_variance: Floats
    weighed: dict[tuple[Sick, ...], PairNats] = field(default_factory=dict, compare=False, repr=False)
    """What was weighed already, here or before candidates were left out: a search asks the same often."""

    @classmethod
    def of(
        cls, pairs: pd.DataFrame, forward: csr_array, reverse: csr_array, numbers: Ints, params: Params
    ) -> PairWitness:
        """Return what pairs, and their shares (host pairs × directed links), say of these links."""
        there, back = forward[:, numbers], reverse[:, numbers]
        entries = (there + back).tocoo()
        row, column = entries.row.astype(np.int64), entries.col.astype(np.int64)
        there, back = (np.asarray(way.tocsr()[row, column]).ravel() for way in (there, back))
        connections = pairs["connections"].to_numpy()[row]
        directed = _directed(pairs)
        ways = _told_apart(there, back, directed[row])
        shares = [np.where(own > 0.0, own, other) for own, other in zip(ways, ways[::-1], strict=True)]
        expected = _by_end(pairs, directed) * np.repeat(pairs["expected"].to_numpy(dtype=np.float64), 2)
        sigma = pairs["delay_sigma_ms"].to_numpy(dtype=np.float64)
        delay = np.where(sigma > 0, pairs["delay_ms"].to_numpy(dtype=np.float64), np.nan)
        ends = np.concatenate([2 * row, 2 * row + 1])
        told = (
            np.concatenate(exposures(pairs, there, back, row, params)),
            np.append(there + back, np.zeros(len(column))),
            np.concatenate(
                [
                    variation(share, connections, params) + params.other_error**2 * (own <= 0.0)
                    for share, own in zip(shares, ways, strict=True)
                ]
            ),
        )
        first, form = _forms(ends, *told)
        return cls(
            params=params,
            numbers=numbers,
            column=np.tile(column, 2),
            form=form,
            row=ends[first],
            exposure=told[0][first],
            crossing=told[1][first],
            variation=told[2][first],
            count=_interleaved(
                *_told_apart(pairs["retransmitted_client"], pairs["retransmitted_server"], directed)
            ),
            expected=expected,
            variance=expected**2 / np.repeat(pairs["shape"].to_numpy(dtype=np.float64), 2),
            delay=_interleaved(delay, np.full(len(delay), np.nan)),
            delay_variance=_interleaved(np.where(sigma > 0, sigma, np.nan) ** 2, np.full(len(delay), np.nan)),
        )

    def narrowed(self, numbers: Ints) -> PairWitness:
        """Return a witness for these candidates alone."""
        kept = np.isin(self.numbers[self.column], numbers)
        forms, form = np.unique(self.form[kept], return_inverse=True)
        places = np.searchsorted(self.numbers, numbers)
        return replace(
            self,
            numbers=numbers,
            column=np.searchsorted(numbers, self.numbers[self.column[kept]]),
            form=form,
            row=self.row[forms],
            exposure=self.exposure[forms],
            crossing=self.crossing[forms],
            variation=self.variation[forms],
            weighed={sick: nats.of(places) for sick, nats in self.weighed.items()},
        )

    def weigh(self, sick: Sequence[Sick]) -> PairNats:
        """Return what the pairs say of a further sick link, given these."""
        key = tuple(sick)
        if key not in self.weighed:
            loss = self._loss_nats(sick)
            self.weighed[key] = PairNats(loss, _over_scales(loss, self.params), self._delay_nats(sick))
        return self.weighed[key]

    def _crossing(self, link: int) -> Ints:
        """Return the forms of a link: one of each end that crosses it."""
        answer: Ints = self.form[self.numbers[self.column] == link]
        return answer

    def _given(self, sick: Sequence[Sick]) -> tuple[Floats, Floats]:
        """Return expected counts and their variance beyond Poisson, with the chosen links sick."""
        mean, variance = self.expected.copy(), self.variance.copy()
        for one in sick:
            mine = self._crossing(one.link)
            lost = one.rate * one.scale * self.exposure[mine]
            np.add.at(mean, self.row[mine], lost)
            np.add.at(variance, self.row[mine], lost**2 * self.variation[mine])
        return mean, variance

    def _loss_nats(self, sick: Sequence[Sick]) -> Floats:
        """Return Σ over pairs of ln P(k | link sick too) / P(k | chosen), candidates × rates."""
        mean, variance = self._given(sick)
        now = self._fit(self.count[self.row], mean[self.row], variance[self.row])[:, None]
        lost = grid(self.params)[None, :] * self.exposure[:, None]
        more = variance[self.row, None] + lost**2 * self.variation[:, None]
        then = self._fit(self.count[self.row, None], mean[self.row, None] + lost, more)
        return self._summed(then - now)

    def _fit(self, count: Any, mean: Any, variance: Any) -> Floats:
        """Return ln P(count) below the best that any mean could do, and not below the cap.

        Capped like this, one pair decides nothing alone, yet of two links that both explain it the
        better one still shows.
        """
        best = count * np.log(np.maximum(count, 1.0)) - count - gammaln(count + 1.0)
        answer: Floats = np.maximum(log_likelihood(count, mean, variance) - best, -self.params.most_pair_nats)
        return answer

    def _delay_nats(self, sick: Sequence[Sick]) -> Floats:
        """Return the same for extra delay, candidates × delays: normal, with the model's error added.

        Ends that no delay is known of (all servers) say nothing, and are left out.
        """
        mean, variance = np.zeros(len(self.delay)), self.delay_variance.copy()
        error = self.variation + self.params.model_error**2
        for one in sick:
            if one.delay_ms > 0.0:
                mine = self._crossing(one.link)
                extra = one.delay_ms * self.crossing[mine]
                np.add.at(mean, self.row[mine], extra)
                np.add.at(variance, self.row[mine], extra**2 * error[mine])
        told = np.flatnonzero(~np.isnan(self.delay + self.delay_variance)[self.row])
        row = self.row[told]
        extra = delays()[None, :] * self.crossing[told, None]
        wider = variance[row, None] + extra**2 * error[told, None]
        now = self._normal_fit(self.delay[row], mean[row], variance[row])[:, None]
        then = self._normal_fit(self.delay[row, None], mean[row, None] + extra, wider)
        nats = np.zeros((len(self.row), extra.shape[1]))
        nats[told] = np.nan_to_num(then - now, nan=0.0)
        return self._summed(nats)

    def _normal_fit(self, value: Any, mean: Any, variance: Any) -> Floats:
        nats = -0.5 * np.log(variance) - (value - mean) ** 2 / (2.0 * variance)
        answer: Floats = np.maximum(nats, -0.5 * np.log(variance) - self.params.most_pair_nats)
        return answer

    def _summed(self, nats: Floats) -> Floats:
        """Return the sum of the forms' nats over the entries of each candidate."""
        shape = (len(self.numbers), len(self.row))
        of_candidate = csr_array((np.ones(len(self.column)), (self.column, self.form)), shape=shape)
        answer: Floats = of_candidate @ nats
        return answer


def _forms(row: Ints, *told: Floats) -> tuple[Ints, Ints]:
    """Return an entry of each form, and the form of each entry: those of one end that tell the same.

    ``row``: the end of each entry. Forms are numbered by whether they are of clients or servers, then by end.
    """
    keys = (row % 2, row, *told)
    order = np.lexsort(keys[::-1])
    new = np.logical_or.reduce([np.diff(key[order], prepend=np.nan) != 0 for key in keys])
    form = np.empty(len(row), dtype=np.int64)
    form[order] = np.cumsum(new) - 1
    return order[new], form


def _interleaved(client: Any, server: Any) -> Floats:
    """Return the values of all ends, in their order."""
    answer: Floats = np.stack([client, server], axis=1).astype(np.float64).ravel()
    return answer


def _by_end(pairs: pd.DataFrame, directed: Bools) -> Floats:
    """Return each end's part of what both ends of its pair sent; half where they sent nothing."""
    ends = _interleaved(*_told_apart(pairs["segments_client"], pairs["segments_server"], directed))
    total = np.repeat(ends[0::2] + ends[1::2], 2)
    part: Floats = np.divide(ends, total, out=np.full(len(ends), 0.5), where=total > 0.0)
    return part


def _directed(pairs: pd.DataFrame) -> Bools:
    """Return for which pairs it is told which end had lost what it sent again."""
    answer: Bools = pairs["undirected"].to_numpy(dtype=np.float64) <= 0.0
    return answer


def _told_apart(client: Any, server: Any, directed: Bools) -> tuple[Floats, Floats]:
    """Return both ends' values; half of their sum for each where they are not told apart."""
    client, server = np.asarray(client, np.float64), np.asarray(server, np.float64)
    half = (client + server) / 2.0
    return np.where(directed, client, half), np.where(directed, server, half)


def delays() -> Floats:
    """Return the extra delays that are considered, milliseconds a crossing."""
    return 0.02 * STEP ** np.arange(34, dtype=np.float64)


def _over_scales(loss: Floats, params: Params) -> Floats:
    """Return the mean likelihood over how many retransmissions a lost packet makes."""
    reach = params.scale_steps
    padded = np.pad(loss, ((0, 0), (reach, reach)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=1)
    return log_mean(windows)


def likeliest_scale(loss: Floats, rate: int, params: Params) -> float:
    """Return how many retransmissions a lost packet made, the likeliest of the grid.

    ``loss``: a link's log likelihood ratios by rate; ``rate``: the place of its rate on the grid.
    """
    reach = params.scale_steps
    shifts = np.clip(np.arange(rate - reach, rate + reach + 1), 0, params.rates - 1)
    return float(STEP ** (int(np.argmax(loss[shifts])) - reach))


def log_likelihood(count: Any, mean: Any, variance: Any) -> Floats:
    """Return ln P(count) of a negative binomial with this mean and variance beyond Poisson."""
    mean = np.maximum(mean, 1e-12)
    size = mean**2 / np.maximum(variance, 1e-12 * mean**2)
    answer: Floats = np.array(size * np.log(size / (size + mean)))
    # most ends sent nothing again: all other terms of theirs are zero, and dear
    some = np.broadcast_to(np.asarray(count) != 0.0, answer.shape)
    k, m, s = (np.broadcast_to(part, answer.shape)[some] for part in (count, mean, size))
    answer[some] = gammaln(k + s) - gammaln(s) - gammaln(k + 1.0) + answer[some] + k * np.log(m / (s + m))
    return answer
