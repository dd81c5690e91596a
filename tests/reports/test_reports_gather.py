"""What a report fetches of the large tables."""

from __future__ import annotations

from correlator.engine import pairs
from correlator.reports import gather


def test_all_that_observations_are_made_of_is_fetched() -> None:
    assert gather.UNREAD["pair_samples"].isdisjoint(pairs.COLUMNS)
