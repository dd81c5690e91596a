"""The control of a running fabric over HTTP: its present, advances, fault and repair."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from correlator.fabric.simulation import Fabric

MOST_OCTETS = 10_000  # of a request


@dataclass(frozen=True)
class Control:
    """Answers ``/now``, ``/advance``, ``/fault``, ``/repair``; ``changed`` is called when the truth did."""

    fabric: Fabric
    real: bool
    changed: Callable[[], None]

    def app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/now", self.now),
                Route("/advance", self.advance, methods=["POST"]),
                Route("/fault", self.fault, methods=["POST"]),
                Route("/repair", self.repair, methods=["POST"]),
            ]
        )

    async def now(self, request: Request) -> JSONResponse:
        """Return ``{"now": …}``."""
        return self._present()

    async def advance(self, request: Request) -> JSONResponse:
        """Move the fabric by ``{"seconds": n}``; 409 in real time, 400 where that is no sensible number."""
        if self.real:
            return _refusal(409, "this fabric follows the wall clock and cannot be advanced")
        try:
            self.fabric.advance(_seconds(await request.body()))
        except ValueError as error:
            return _refusal(400, str(error))
        self.changed()
        return self._present()

    async def fault(self, request: Request) -> JSONResponse:
        """Start the story's fault now; 409 where it has none."""
        try:
            self.fabric.fault()
        except ValueError as error:
            return _refusal(409, str(error))
        self.changed()
        return self._present()

    async def repair(self, request: Request) -> JSONResponse:
        """End the fault now."""
        self.fabric.repair()
        self.changed()
        return self._present()

    def _present(self) -> JSONResponse:
        return JSONResponse({"now": self.fabric.now.isoformat()})


def _seconds(body: bytes) -> int:
    """Return the number of seconds that a request asks for. Raises ValueError with a sentence."""
    try:
        document = json.loads(body) if len(body) <= MOST_OCTETS else None
    except ValueError:
        document = None
    seconds = document.get("seconds") if isinstance(document, dict) else None
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise ValueError('the body must be {"seconds": a whole number}')
    return seconds


def _refusal(status: int, why: str) -> JSONResponse:
    return JSONResponse({"error": why}, status_code=status)
