"""Parts that neighbouring links share, as candidates beside the links: all of a part's links lose alike.

Without them, four links that lose for one reason are four faults, and one innocent link behind them that most
of the same pairs cross is thought likelier. Where errors are counted, each link is told by its own counter,
so that parts are of links that nobody counts. A part takes a number after the last link's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, hstack

from correlator.engine.localize.params import MODES, Bools, Floats, Ints, Params


@dataclass(frozen=True)
class Parts:
    """``members``: the links of each part; the i-th part has the number ``links`` + i."""

    links: int
    members: tuple[Ints, ...] = ()

    @classmethod
    def among(cls, neighbours: Sequence[Ints], numbers: Ints, links: int, counted: Ints) -> Parts:
        """Return the parts: sets with two or more of these links, that hold none that is ``counted``.

        With the ways back of a set too, where none of those is. The others of a set may be well: pairs that
        cross them then speak against the part.
        """
        blind = [some for some in neighbours if not np.isin(some, counted).any()]
        both = [np.union1d(some, some ^ 1) for some in blind if not np.isin(some ^ 1, counted).any()]
        suspected = set((numbers // 2).tolist())
        told = {
            tuple(some.tolist())
            for some in (*blind, *both)
            if len(suspected.intersection((some // 2).tolist())) > 1
        }
        return cls(links, tuple(np.array(some, dtype=np.int64) for some in sorted(told)))

    @property
    def numbers(self) -> Ints:
        """The numbers of the parts."""
        return self.links + np.arange(len(self.members), dtype=np.int64)

    def of(self, number: int) -> Ints:
        """Return the links of a part; of a link itself."""
        return self.members[number - self.links] if number >= self.links else np.array([number])

    def within(self, sick: Sequence[int], numbers: Ints) -> Bools:
        """Return which candidates are sick already: those, a sick part's links, and parts that share one."""
        answer: Bools = np.isin(numbers, sick)
        inside = [link for one in sick if one >= self.links for link in self.of(one)]
        if inside:
            answer |= np.array([bool(np.isin(self.of(int(one)), inside).any()) for one in numbers])
        return answer

    def widened(self, shares: csr_array) -> csr_array:
        """Return shares, pairs × links, with a column for each part: the sum of its links'."""
        if not self.members:
            return shares
        return csr_array(hstack([shares, *(shares[:, some].sum(axis=1)[:, None] for some in self.members)]))

    def weighed(self, nats: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return what telemetry says of links, with rows for the parts, of which it says nothing."""
        nothing = {term: np.zeros((len(self.members), told.shape[1])) for term, told in nats.items()}
        return {term: np.vstack([told, nothing[term]]) for term, told in nats.items()}

    def odds(self, numbers: Ints, params: Params) -> Floats:
        """Return what a candidate's log odds are less or more for being a part, modes × candidates."""
        answer = np.zeros((len(MODES), len(numbers)))
        answer[:, numbers >= self.links] = -np.inf
        answer[MODES.index("corruption"), numbers >= self.links] = params.shared_nats
        return answer
