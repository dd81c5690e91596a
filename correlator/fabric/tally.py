"""What an interval has brought, counted pair by pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from correlator.fabric.dice import Floats, Ints

CLIENT, SERVER = 0, 1  # rows of two-ended arrays; an end sends towards the other
BUCKETS = 17  # edges 0.1 · 2^k ms, k = 0…15, and one open
ONCE = ("exchanges", "responses", "services", "opened", "closed")
AT_BOTH_ENDS = ("sent", "resent", "lost", "dsack", "rto")
TIMES = ("rtt_us", "response_ms", "service_ms")


@dataclass(frozen=True)
class Tally:
    """What one interval has brought, by pair; two-ended arrays have a row each for client and server."""

    exchanges: Ints
    sent: Ints
    resent: Ints
    lost: Ints
    dsack: Ints
    rto: Ints
    stall_ms: Floats
    min_rtt_us: Floats
    rtt_us: Floats
    response_ms: Floats
    responses: Ints
    histogram: Ints
    service_ms: Floats
    services: Ints
    opened: Ints
    closed: Ints

    @classmethod
    def empty(cls, pairs: int) -> Tally:
        """Return a tally of nothing for so many pairs."""
        columns: dict[str, Any] = {name: np.zeros(pairs, np.int64) for name in ONCE}
        columns |= {name: np.zeros((2, pairs), np.int64) for name in AT_BOTH_ENDS}
        columns |= {name: np.zeros(pairs) for name in TIMES}
        return cls(
            **columns,
            stall_ms=np.zeros((2, pairs)),
            min_rtt_us=np.full(pairs, np.inf),
            histogram=np.zeros((pairs, BUCKETS), np.int64),
        )


def bucket(response_ms: Floats) -> Ints:
    """Return the histogram bucket of each time: 0 up to 0.1 ms, k up to 0.1 · 2^k ms, the last one open."""
    number: Ints = np.clip(np.ceil(np.log2(response_ms / 0.1)), 0, BUCKETS - 1).astype(np.int64)
    return number
