"""What the process that polls does about its memory."""

from __future__ import annotations

import gc

from correlator.pollers.memory import settle


def test_what_has_been_loaded_is_not_looked_through_again() -> None:
    try:
        settle()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
