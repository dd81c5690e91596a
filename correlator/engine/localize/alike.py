"""Which links the network does not tell apart: those on the same paths of the same flows and pairs.

Links whose columns are equal in all that was observed from the ends (flows' certain links, path sets,
shares of host pairs) form a *class*. Columns are compared by a random projection of the rows.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from correlator.engine.localize.params import Floats, Ints
from correlator.engine.localize.sets import Flows

DIGITS = 7  # equal columns differ by rounding alone, 1e-11 or less; others by about one


def classes(flows: Flows | None, forward: csr_array, reverse: csr_array) -> Ints:
    """Return the class of each directed link, numbered from 0; a link that nothing crosses is alone.

    ``forward``, ``reverse``: shares, host pairs × directed links.
    """
    dice = np.random.default_rng(0)
    mark = _projected(forward, dice) + _projected(reverse, dice)
    if flows is not None:
        mark = mark + _projected(flows.certain, dice) + _of_sets(flows, dice)
    answer: Ints = np.unique(np.round(mark, DIGITS), return_inverse=True)[1].astype(np.int64)
    unseen = np.flatnonzero(mark == 0.0)
    answer[unseen] = answer.max(initial=-1) + 1 + np.arange(len(unseen))
    return answer


def _of_sets(flows: Flows, dice: np.random.Generator) -> Floats:
    """Return how many paths of each set in use cross each link, projected."""
    weight = np.zeros(max(flows.path_set.max(initial=-1), flows.set_of_path.max(initial=-1)) + 1)
    weight[flows.path_set[flows.path_set >= 0]] = 1.0
    weight *= dice.normal(size=len(weight))
    answer: Floats = weight[flows.set_of_path] @ flows.paths
    return answer


def _projected(matrix: csr_array, dice: np.random.Generator) -> Floats:
    answer: Floats = dice.normal(size=matrix.shape[0]) @ matrix
    return answer
