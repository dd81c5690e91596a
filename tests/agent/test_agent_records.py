"""Structured arrays copied as blocks are what numpy's own copies are."""

from __future__ import annotations

import numpy as np
import pytest

from correlator.agent import sockets
from correlator.agent.records import copied, joined, picked, put


@pytest.fixture(params=[sockets.SAMPLE, np.dtype("u4")], ids=["structured", "plain"])
def table(request):
    size = 7 * request.param.itemsize
    return np.random.default_rng(1).integers(0, 256, size, "u1").view(request.param)


@pytest.mark.parametrize(
    "which", [np.array([4, 0, 4]), np.arange(7) % 2 == 0, np.array([], np.intp), np.zeros(7, bool)]
)
def test_what_is_picked_and_put_is_as_numpy_does_it(table, which):
    assert (picked(table, which) == table[which]).all()
    changed, wanted = copied(table), table.copy()
    put(changed, which, picked(table[::-1], which))
    wanted[which] = table[::-1][which]
    assert (changed == wanted).all()


def test_a_copy_and_what_is_joined_share_nothing(table):
    one, two = copied(table), joined([table, table[:2]], table.dtype)
    one[:], two[:] = table[0], table[0]
    assert not (one == table).all()
    assert not (two[:7] == table).all()
    assert len(two) == 9
