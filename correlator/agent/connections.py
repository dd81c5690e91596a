"""Readers' connections, bounded: whoever opens many, or sends no whole request, does not keep others out.

uvicorn bounds the time between requests, but neither the time until one is whole nor what one
address may hold open.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


@dataclass(frozen=True)
class Params:
    """Bounds of connections. Origin: a reader needs one, and its request takes a round trip."""

    per_address: int = 16
    request_s: float = 10.0  # until a request is whole, and between two of them at least


def bounded(params: Params) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol for a connection, within ``params``."""
    held: Counter[str] = Counter()

    class Bounded(H11Protocol):  # type: ignore[misc]  # uvicorn comes without types here
        """One connection; ends itself where its address has too many or its request does not come."""

        _answered: Any = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._address = self.client[0] if self.client else ""
            held[self._address] += 1
            self._look = self.loop.call_later(params.request_s, self._end_if_idle)
            if held[self._address] > params.per_address:
                transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            self._look.cancel()
            held[self._address] -= 1
            if not held[self._address]:
                del held[self._address]
            super().connection_lost(exc)

        def _end_if_idle(self) -> None:
            """Let go where no request is being answered and none was since the last look."""
            answered = self.cycle
            if answered is None or (answered.response_complete and answered is self._answered):
                self.transport.abort()
                return
            self._answered = answered
            self._look = self.loop.call_later(params.request_s, self._end_if_idle)

    return Bounded
