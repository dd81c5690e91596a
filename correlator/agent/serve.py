"""The agent protocol, version 1, over HTTP(S): rows after a cursor; /metrics and /healthz beside it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

import uvicorn
import zstandard
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from correlator.agent.figures import DESCRIPTIONS, Figures
from correlator.agent.spool import Answer, Spool

SCHEMA = "correlator-agent/1"
LIMIT, MOST = 10_000, 50_000  # rows of an answer: by default, at most
MAX_SEQUENCE = 2**62
MAX_PARAMETER = 64  # characters
DATED_S = 5.0  # between two looks at the clock for the Date header


@dataclass(frozen=True)
class Params:
    """How often one address may ask. Origin: a reader that catches up asks a few times a second."""

    per_second: float = 10.0
    burst: float = 30.0
    addresses: int = 1024  # remembered; the oldest is forgotten


class Pace:
    """How many more requests each address may send now (a token bucket each)."""

    def __init__(self, params: Params, now: Callable[[], float] = time.monotonic) -> None:
        self._params = params
        self._now = now
        self._left: dict[str, tuple[float, float]] = {}

    def allows(self, address: str) -> bool:
        """Take one request; return whether it may be answered."""
        now = self._now()
        left, then = self._left.pop(address, (self._params.burst, now))
        left = min(self._params.burst, left + (now - then) * self._params.per_second)
        if len(self._left) >= self._params.addresses:
            self._left.pop(next(iter(self._left)))
        self._left[address] = (max(0.0, left - 1.0), now)
        return left >= 1.0


@dataclass(frozen=True)
class Agent:
    """What the answers speak of. ``token`` None: the certificate alone lets readers in.

    ``healthy`` returns what is wrong, one sentence each.
    """

    spool: Spool
    figures: Figures
    identity: Callable[[], str | None]
    boot_id: str
    token: str | None
    healthy: Callable[[], list[str]]


class QuietServer(uvicorn.Server):  # type: ignore[misc]  # uvicorn comes without types here
    """uvicorn's server, woken to end, not looking ten times a second whether to: an idle host stays idle."""

    _wake: Callable[[], object] = staticmethod(lambda: None)

    async def main_loop(self) -> None:
        """Run until told to end. Answers carry a date that is at most DATED_S old."""
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        self._wake = functools.partial(loop.call_soon_threadsafe, told.set)
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), DATED_S)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal to end."""
        super().handle_exit(sig, frame)
        self.end()

    def end(self) -> None:
        """Have ``run`` end; any thread may ask."""
        self.should_exit = True
        with contextlib.suppress(RuntimeError):  # it has ended
            self._wake()


def application(agent: Agent, params: Params) -> Starlette:
    """Return the HTTP application."""
    pace = Pace(params)
    one_at_a_time = asyncio.Lock()

    async def batches(request: Request) -> Response:
        refused = _refusal(request, agent, pace)
        if refused is not None:
            agent.figures.count("requests_refused")
            return refused
        agent.figures.count("requests")
        epoch, after, limit = _asked(request)
        async with one_at_a_time:  # bounds what answers take of the memory
            body = await run_in_threadpool(lambda: _body(agent, epoch, after, limit))
        headers = {"Content-Encoding": "zstd", "Cache-Control": "no-store"}
        return Response(body, headers=headers, media_type="application/x-ndjson")

    routes: list[tuple[str, Callable[[Request], Awaitable[Response]]]] = [
        ("/v1/batches", batches),
        ("/healthz", _health(agent)),
        ("/metrics", _metrics(agent, pace)),
    ]
    return Starlette(routes=[Route(path, endpoint, methods=["GET"]) for path, endpoint in routes])


def _refusal(request: Request, agent: Agent, pace: Pace) -> Response | None:
    """Return the answer to a request that is not to be served; None where it is."""
    if not pace.allows(request.client.host if request.client else ""):
        return _say(429, "asked too often; ask again in a second", {"Retry-After": "1"})
    if not _is_let_in(request, agent):
        return _say(
            401, "give the agent's token: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
        )
    if agent.identity() is None:
        return _say(503, "the host's id is not known yet: Docker has not answered", {"Retry-After": "5"})
    try:
        limit = _asked(request)[2]
    except ValueError:
        return _say(400, "epoch is a text, after and limit are whole numbers from 0 and 1")
    return None if limit <= MOST else _say(413, f"limit is at most {MOST}")


def _is_let_in(request: Request, agent: Agent) -> bool:
    if agent.token is None:
        return True
    given = request.headers.get("authorization", "").encode("utf-8", "replace")
    return hmac.compare_digest(given, b"Bearer " + agent.token.encode())


def _asked(request: Request) -> tuple[str | None, int, int]:
    """Return (epoch, after, limit). Raises ValueError where one is not what it should be."""
    query = request.query_params
    epoch, after, limit = query.get("epoch"), query.get("after", "0"), query.get("limit", str(LIMIT))
    if any(len(text) > MAX_PARAMETER for text in (epoch or "", after, limit)):
        raise ValueError("too long")
    if not (after.isascii() and after.isdigit() and limit.isascii() and limit.isdigit()):
        raise ValueError("not a number")
    if not int(limit) >= 1 or int(after) > MAX_SEQUENCE:
        raise ValueError("out of range")
    return epoch, int(after), int(limit)


def _body(agent: Agent, epoch: str | None, after: int, limit: int) -> bytes:
    answer = agent.spool.read(epoch, after, limit)
    return zstandard.ZstdCompressor(level=3).compress(b"\n".join([*_lines(agent, answer), b""]))


def _lines(agent: Agent, answer: Answer) -> Iterator[bytes]:
    header: dict[str, Any] = {
        "schema": SCHEMA,
        "agent": agent.identity(),
        "boot_id": agent.boot_id,
        "epoch": answer.epoch,
        "first_seq": answer.first,
        "next_seq": answer.next,
        "dropped": answer.dropped,
    }
    yield json.dumps(header).encode()
    yield from answer.lines


def _say(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(sentence + "\n", status, headers)


def _health(agent: Agent) -> Callable[[Request], Awaitable[Response]]:
    async def health(request: Request) -> Response:
        wrong = agent.healthy()
        return _say(503 if wrong else 200, "\n".join(wrong) or "ok")

    return health


def _metrics(agent: Agent, pace: Pace) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of /metrics: the agent's own figures, and nothing of containers."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

    class Source:
        def collect(self) -> Iterator[Metric]:
            for name, value in agent.figures.counts().items():
                yield CounterMetricFamily(
                    f"correlator_agent_{name}", DESCRIPTIONS.get(name, name), value=value
                )
            for name, number in sorted(agent.figures.gauges.items()):
                yield GaugeMetricFamily(f"correlator_agent_{name}", name.replace("_", " "), value=number)

    registry = CollectorRegistry()
    registry.register(Source())

    async def metrics(request: Request) -> Response:
        if not pace.allows(request.client.host if request.client else ""):
            return _say(429, "asked too often; ask again in a second", {"Retry-After": "1"})
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    return metrics
