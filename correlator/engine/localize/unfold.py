"""Parts among what could stand in a suspect's place, as what verdicts are about: links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from correlator.engine.localize.params import Mode
from correlator.engine.localize.parts import Parts
from correlator.engine.localize.suspects import Suspect

Told = dict[tuple[int, Mode], float]


def unfolded(suspects: Sequence[Suspect], parts: Parts) -> list[Suspect]:
    """Return suspects that are links, and whose alternatives are: a part's probability is its links'."""
    return [_folded(one, parts) for one in suspects]


def _folded(one: Suspect, parts: Parts) -> Suspect:
    told: Told = {(number, mode): p for number, mode, p in one.alternatives if number < parts.links}
    own = dict(told)
    for number, _, p in one.alternatives:
        if number >= parts.links:
            for link, share in _shares(one.number, [int(link) for link in parts.of(number)], own):
                told[link, "corruption"] = told.get((link, "corruption"), 0.0) + p * share
    ordered = sorted(((number, mode, p) for (number, mode), p in told.items()), key=lambda at: -at[2])
    if one.number < parts.links:
        return replace(one, alternatives=tuple(ordered), probability=told.get((one.number, one.mode), 0.0))
    number, mode, p = ordered[0]
    return replace(one, number=number, mode=mode, alternatives=tuple(ordered), probability=p)


def _shares(suspect: int, members: list[int], own: Told) -> list[tuple[int, float]]:
    """Return how a part's probability is shared out among its links.

    The suspect, if it is one of them, is sick either way and has all. Else they have it as they have some of
    their own, evenly where none has.
    """
    if suspect in members:
        return [(suspect, 1.0)]
    weight = np.array([own.get((link, "corruption"), 0.0) for link in members])
    if weight.sum() <= 0.0:
        weight = np.ones(len(members))
    return list(zip(members, (weight / weight.sum()).tolist(), strict=True))
