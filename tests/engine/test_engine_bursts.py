"""What happened at one moment is told apart from what goes on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from correlator.engine.bursts import lasting, usual_interval
from correlator.engine.conclude import _lasts, _shown
from correlator.engine.settings import Params
from correlator.engine.symptoms import GROUP

NOW = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)
KEYS = dict(zip(GROUP, ("host1", "host2", "web", "api"), strict=True))
USUAL_MS = 5.0
SERVER_LAGS_S = 4.0  # the other agent's intervals end at other times


def left(
    client: Mapping[int, float],
    server: Mapping[int, float] | None = None,
    waits: Mapping[int, float] | None = None,
    interval: float = 10.0,
    slow: bool = True,
) -> pd.Series:
    """Return what lasts of retransmissions, and of milliseconds waited for 100 answers, by interval back."""
    server, waits = server or {}, waits or {}
    rows = []
    for back in range(int(300 / interval)):
        at = NOW - timedelta(seconds=back * interval)
        again = {"retransmitted_client": client.get(back, 0.0), "retransmitted_server": 0.0}
        times = {"response_ms": waits.get(back, 100 * USUAL_MS), "responses": 100.0}
        rows.append(KEYS | again | times | {"at": at, "seconds": interval})
        again = {"retransmitted_client": 0.0, "retransmitted_server": server.get(back, 0.0)}
        late = at - timedelta(seconds=SERVER_LAGS_S)
        rows.append(KEYS | again | {"response_ms": 0.0, "responses": 0.0, "at": late, "seconds": 0.0})
    table = pd.DataFrame([KEYS | {"slow": slow, "usual_response_ms": USUAL_MS}])
    observed = pd.DataFrame(rows)
    return lasting(observed, table, GROUP, NOW, usual_interval(observed)).iloc[0]


def test_what_was_lost_at_one_moment_does_not_last() -> None:
    assert left({12: 40.0})["lasting_retransmissions"] == 0.0


def test_a_moment_is_told_by_both_ends_and_by_their_next_intervals() -> None:
    assert left({12: 10.0, 11: 30.0}, {11: 5.0})["lasting_retransmissions"] == 0.0


def test_what_goes_on_lasts_but_for_its_worst_moment() -> None:
    every = dict.fromkeys(range(30), 2.0)
    assert left(every | {7: 20.0})["lasting_retransmissions"] == 60.0 - 4.0


def test_intervals_of_minutes_do_not_tell_a_moment() -> None:
    assert left({2: 40.0}, interval=60.0)["lasting_retransmissions"] == 40.0


def test_one_moments_wait_leaves_the_usual_time() -> None:
    assert left({}, waits={3: 90_000.0})["lasting_ratio"] == pytest.approx(1.0)


def test_a_lasting_wait_is_left() -> None:
    longer = dict.fromkeys(range(30), 900.0)
    assert left({}, waits=longer)["lasting_ratio"] == pytest.approx(1.8)


def test_pairs_that_are_not_slow_are_not_looked_at() -> None:
    assert left({12: 40.0}, slow=False).isna().all()


def test_nothing_observed_leaves_nothing() -> None:
    table = pd.DataFrame([KEYS | {"slow": True, "usual_response_ms": USUAL_MS}])
    none = pd.DataFrame(columns=[*GROUP, "at", "seconds"])
    assert lasting(none, table, GROUP, NOW, usual_interval(none)).isna().all(axis=None)


def groups(lost: float, ratio: float, lossy: bool = True) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "lossy": [lossy],
            "segments": [20_000.0],
            "usual_retransmissions": [2e-5],
            "usual_retransmissions_shape": [5.0],
            "lasting_retransmissions": [lost],
            "slow_response": [True],
            "lasting_ratio": [ratio],
        }
    )


@pytest.mark.parametrize(
    ("lost", "ratio", "lossy", "lasts"),
    [
        (0.0, 1.0, True, False),
        (2.0, 1.0, True, False),
        (12.0, 1.0, True, True),
        (0.0, 2.0, False, True),
        (0.0, float("nan"), False, False),
    ],
)
def test_pairs_accuse_a_link_by_what_lasts(lost: float, ratio: float, lossy: bool, lasts: bool) -> None:
    assert _lasts(groups(lost, ratio, lossy), Params()) is lasts


def test_a_link_is_shown_by_its_own_counter_or_light_and_not_by_what_a_port_discards() -> None:
    assert _shown({"pairs": 20.0, "errors": 50.0}, Params())
    assert _shown({"errors": -1.0, "light": 9.0}, Params())
    assert not _shown({"pairs": 20.0, "discards": 50.0}, Params())
