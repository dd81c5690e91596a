"""A host's agent as the service sees it: numbered rows, read by cursor, pruned by age and size."""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import zstandard

SCHEMA = "correlator-agent/1"
DEFAULT_LIMIT, MOST_ROWS = 10_000, 50_000
KEPT_OCTETS = 64 * 2**20  # of spooled rows
KEPT_S = 24 * 3600  # of spooled rows
ENCODER = json.JSONEncoder(separators=(",", ":"))
PATH = "/v1/batches"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class HostAgent:
    """The agent of one host: ``append`` puts rows in, ``answer`` serves them by agent protocol v1."""

    agent: str
    token: str
    boot_id: str
    epoch: str
    kept_octets: int = KEPT_OCTETS
    kept_s: float = KEPT_S
    rows: deque[tuple[float, bytes]] = field(default_factory=deque)
    next_seq: int = 1
    octets: int = 0

    def append(self, second: float, table: str, row: Mapping[str, Any]) -> None:
        """Spool one row of ``table`` that was measured at ``second``; forget what is too old or too much."""
        line = ENCODER.encode({"seq": self.next_seq, "table": table, "row": row}).encode()
        self.rows.append((second, line))
        self.next_seq += 1
        self.octets += len(line)
        while len(self.rows) > 1 and (
            self.octets > self.kept_octets or self.rows[0][0] < second - self.kept_s
        ):
            self.octets -= len(self.rows.popleft()[1])

    @property
    def first_seq(self) -> int:
        """The number of the oldest row that is still kept; ``next_seq`` where there is none."""
        return self.next_seq - len(self.rows)

    def answer(self, query: Mapping[str, str], authorization: str | None) -> Answer:
        """Return the answer to ``GET /v1/batches``: 200 with rows, 401, 400 or 413 with a sentence."""
        if authorization != f"Bearer {self.token}":
            return refusal(401, "the token is missing or wrong")
        try:
            after, limit = int(query.get("after", "0")), int(query.get("limit", str(DEFAULT_LIMIT)))
        except ValueError:
            return refusal(400, "after and limit must be whole numbers")
        if after < 0 or limit < 1:
            return refusal(400, "after must be 0 or more, limit 1 or more")
        if limit > MOST_ROWS:
            return refusal(413, f"limit must be at most {MOST_ROWS}")
        known = query.get("epoch", "") == self.epoch
        return self._batch(after if known else self.first_seq - 1, limit)

    def _batch(self, after: int, limit: int) -> Answer:
        """Return the rows after ``after``; a cursor from the future gets nothing and keeps its place."""
        first = max(after + 1, self.first_seq)
        start = first - self.first_seq
        lines = [line for _, line in itertools.islice(self.rows, start, start + limit)]
        head = {
            "schema": SCHEMA,
            "agent": self.agent,
            "boot_id": self.boot_id,
            "epoch": self.epoch,
            "first_seq": first if lines else after + 1,
            "next_seq": first + len(lines) if lines else after + 1,
            "dropped": first - after - 1,
        }
        body = b"\n".join([json.dumps(head).encode(), *lines, b""])
        headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "zstd"}
        return Answer(200, headers, zstandard.compress(body, 3))


def refusal(status: int, why: str) -> Answer:
    """Return an answer that says in one sentence why there is no other."""
    return Answer(status, {"Content-Type": "application/json"}, json.dumps({"error": why}).encode())
