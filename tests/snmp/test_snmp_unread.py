"""Answers are put in groups to be read together: each once, with those to the same request."""

from __future__ import annotations

import numpy as np
import pytest

from correlator.snmp.unread import FEW, GROUP, alike


@pytest.mark.parametrize("seed", range(60))
def test_each_answer_is_in_one_group_with_answers_of_as_many_varbinds(seed: int) -> None:
    dice = np.random.default_rng(seed)
    requests = int(dice.choice((1, 3, 2 * FEW, 200)))
    varbinds = dice.choice((5, 51, 51, 52), requests)
    share = dice.dirichlet(np.full(requests, dice.choice((0.1, 1.0, 100.0))))
    kind = dice.choice(requests, int(dice.integers(1, 900)), p=share)
    groups = alike(kind, varbinds)
    assert np.sort(np.concatenate([group.ravel() for group in groups])).tolist() == list(range(len(kind)))
    for group in groups:
        assert (kind[group] == kind[group[:, :1]]).all()
        assert len(np.unique(varbinds[kind[group]])) == 1


def test_answers_to_the_same_requests_make_a_rectangle_and_what_is_left_stands_alone() -> None:
    kind = np.repeat(np.arange(4), [100, 100, 90, GROUP - 1])
    groups = alike(kind, np.full(4, 51))
    assert [group.shape for group in groups] == [(3, 90), (2, 10), (GROUP - 1, 1)]


def test_as_many_answers_to_each_request_are_one_group() -> None:
    kind = np.tile(np.arange(3, 12), 100)
    (group,) = alike(kind, np.full(20, 51))
    assert group.shape == (9, 100)
    assert (kind[group] == np.arange(3, 12)[:, None]).all()
