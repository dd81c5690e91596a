"""What is left for a verdict "unknown" once links were named."""

from __future__ import annotations

import pandas as pd
import pytest

from correlator.engine.conclude import Blame, _divided, _reach, _surely_unexplained
from correlator.engine.localize import Suspect
from correlator.engine.settings import Params


def left(retransmissions: float, most: float, lasting: float | None = None) -> bool:
    """Return whether a lossy group stays unexplained that may owe ``most`` retransmissions to a link.

    ``lasting``: retransmissions without those of the worst moment.
    """
    slow = pd.DataFrame(
        {
            "segments": [3000.0],
            "lasting_retransmissions": [retransmissions if lasting is None else lasting],
            "usual_retransmissions": [1e-5],
            "usual_retransmissions_shape": [1.5],
            "lossy": [True],
            "slow_response": [False],
            "p_response": [1.0],
            "ratio": [1.0],
            "lasting_ratio": [1.0],
        }
    )
    told = pd.Series([most])
    suspect = object.__new__(Suspect)  # who it is does not matter here
    blame = Blame(suspect, told * 0.0, told * 0.0, told / 2.0, told)
    (answer,) = _surely_unexplained(slow, [blame], Params())
    return bool(answer)


@pytest.mark.parametrize("retransmissions", [6.0, 12.0, 50.0])
def test_a_burst_on_a_named_link_is_no_second_fault(retransmissions: float) -> None:
    assert not left(retransmissions, most=12.0)


def test_far_more_than_a_named_link_can_lose_is_another_fault() -> None:
    assert left(400.0, most=12.0)


def test_what_crosses_no_named_link_is_unexplained_at_once() -> None:
    assert left(50.0, most=0.0)


def test_what_was_lost_at_one_moment_is_no_fault_that_goes_on() -> None:
    assert not left(50.0, most=0.0, lasting=0.0)


def reach(crossing: float, connections: float) -> float:
    (answer,) = _reach(pd.Series([crossing]), pd.Series([connections]))
    return float(answer)


def test_two_connections_over_two_paths_may_all_go_over_one() -> None:
    assert reach(0.5, connections=2.0) == 2.0


def test_of_many_connections_a_path_carries_its_part() -> None:
    assert reach(0.5, connections=1000.0) == pytest.approx(1.095, abs=1e-3)


def test_where_there_is_one_path_all_goes_over_it() -> None:
    assert reach(1.0, connections=1.0) == 1.0


def test_two_suspects_tell_of_no_more_than_there_is() -> None:
    suspect, none = object.__new__(Suspect), pd.Series([0.0, 0.0])
    told = [
        blame.told.tolist()
        for blame in _divided(
            [
                Blame(suspect, none, pd.Series([0.9, 0.4]), none, none),
                Blame(suspect, none, pd.Series([0.6, 0.0]), none, none),
            ]
        )
    ]
    assert told == [[0.6, 0.4], [0.4, 0.0]]
