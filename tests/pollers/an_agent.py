"""A host agent's answers for tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import zstandard

TOKEN = "a token"
AT = "2026-03-01T11:59:30.000001+00:00"
Row = tuple[str, dict[str, Any]]


def host_row(number: int = 1) -> Row:
    return "hosts", {
        "at": AT,
        "host": "host1",
        "nic": f"eth{number}",
        "addresses": ["192.0.2.1"],
        "speed_bps": 10**10,
    }


def sample(number: int = 1) -> Row:
    row = {
        "at": AT,
        "host": "host1",
        "container_id": "c1",
        "role": "client",
        "server_port": 80,
        "bytes_sent": 2**63 + number,
        "min_rtt_us": 51.5,
        "response_histogram": [0] * 17,
        "source_ports": None,
    }
    return "pair_samples", row


def header(first: int, following: int, **changes: Any) -> dict[str, Any]:
    return {
        "schema": "correlator-agent/1",
        "agent": "host1",
        "boot_id": "b1",
        "epoch": "e1",
        "first_seq": first,
        "next_seq": following,
        "dropped": 0,
    } | changes


def lines(rows: Iterable[Row], first: int = 1, **changes: Any) -> bytes:
    """Return a page, not yet compressed."""
    numbered = [{"seq": n, "table": name, "row": row} for n, (name, row) in enumerate(rows, first)]
    head = header(first, first + len(numbered), **changes)
    return b"".join(json.dumps(line).encode() + b"\n" for line in (head, *numbered))


def page(body: bytes, packed: bytes | None = None) -> httpx.Response:
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "zstd"}
    packed = zstandard.ZstdCompressor().compress(body) if packed is None else packed
    return httpx.Response(200, headers=headers, stream=Bytes(packed))


class Bytes(httpx.AsyncByteStream):
    """A body that httpx passes on as it is."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> Any:
        yield self._body


class Agent:
    """Keeps rows and answers as the protocol says; ``epoch`` and ``dropped`` may be set."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = list(rows)
        self.epoch = "e1"
        self.oldest = 1
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.headers["authorization"] != f"Bearer {TOKEN}":
            return httpx.Response(401)
        after, limit = int(request.url.params["after"]), int(request.url.params["limit"])
        if request.url.params.get("epoch") != self.epoch:
            after = self.oldest - 1
        first = max(after + 1, self.oldest)
        rows = self.rows[first - 1 : first - 1 + limit]
        first = first if rows else after + 1
        return page(lines(rows, first, epoch=self.epoch, dropped=max(0, self.oldest - after - 1)))


def client(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(answer))
