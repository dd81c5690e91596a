from __future__ import annotations

import pytest

from correlator.engine.identities import Tier

NAMES = [("swp1", "leaf1"), ("swp2", "leaf1"), ("swp1", "leaf2"), ("swp2", "leaf1"), ("swp1", "leaf3")]


@pytest.mark.parametrize("cut", range(len(NAMES) + 1))
def test_many_names_at_once_mean_what_they_mean_one_by_one(cut: int) -> None:
    slowly, at_once = Tier(), Tier()
    for key, value in NAMES:
        slowly.add(key, value)
    at_once.add_all(NAMES[:cut])
    at_once.add_all(NAMES[cut:])
    assert (at_once.of, at_once.shared) == (slowly.of, slowly.shared)
    assert at_once.of == {"swp2": "leaf1"}
