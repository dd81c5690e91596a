"""Polls one host agent: pages of rows until it has no more, each of them kept once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx

from correlator.pollers.attempt import Attempt, gap_from, last_good, moment
from correlator.pollers.ends import STORING, ends, written
from correlator.pollers.protocol import CONTENT_TYPE, Header, Page, ProtocolError, parse, table, unpack
from correlator.ports import Batch, Tables

SAMPLES = "pair_samples"
LONGEST = timedelta(minutes=10)  # twice the longest interval of an agent
REFUSALS = {
    401: "refuses the token; check token_env or token_file of this host",
    403: "does not let us in; check which clients it allows",
    404: "has no /v1/batches; check what listens at this address",
    413: "finds the page too large",
    429: "is asked too often; raise periods.hosts_s",
}


@dataclass(frozen=True, slots=True)
class HostTarget:
    """A host agent as it is configured; ``agent_id``, where given, is the only one that is accepted."""

    name: str
    url: str
    token: str = field(repr=False)
    agent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Params:
    """Bounds of one poll.

    ``page_rows`` a page, the protocol's default; ``pages`` a poll, so that one host that was away does
    not hold up the others; ``body_bytes`` of a page as it comes, ``unpacked_bytes`` after zstd: 10 000
    rows take about 6 MB; ``timeout_s`` for each step of a request.
    """

    page_rows: int = 10_000
    pages: int = 20
    body_bytes: int = 16 * 2**20
    unpacked_bytes: int = 64 * 2**20
    timeout_s: float = 10.0


@dataclass
class _Stream:
    """Where we stand in an agent's rows.

    ``ends`` of pages yet to be read again are by source; ``measured`` is the end of the newest interval.
    """

    agent: str | None
    epoch: str | None
    after: int
    ends: dict[str, int]
    measured: datetime | None = None

    @classmethod
    def at(cls, cursor: Mapping[str, str]) -> _Stream:
        """Return the place that a cursor remembers; the beginning where it remembers none."""
        after = cursor.get("after", "")
        epoch = cursor.get("epoch") if after.isdecimal() else None
        place = int(after) if epoch is not None else 0
        return cls(cursor.get("agent"), epoch, place, ends(cursor), moment(cursor, "measured"))

    def follow(self, header: Header) -> None:
        """Move to behind a page; ends that were reached, or can no longer be, are forgotten."""
        if self.epoch is not None and (self.agent, self.epoch) != (header.agent, header.epoch):
            self.ends.pop(f"{self.agent}/{self.epoch}", None)
        self.agent, self.epoch, self.after = header.agent, header.epoch, header.next_seq - 1
        if self.ends.get(header.source, 0) <= self.after:
            self.ends.pop(header.source, None)

    def cursor(self) -> dict[str, str]:
        """Return what to remember of it."""
        place = {STORING: written(self.ends)} if self.ends else {}
        if self.agent is not None and self.epoch is not None:
            place |= {"agent": self.agent, "epoch": self.epoch, "after": str(self.after)}
        return place | ({"measured": self.measured.isoformat()} if self.measured else {})

    def measure(self, tables: Tables) -> None:
        """Note how far the intervals of a page go."""
        if SAMPLES in tables:
            self.measured = tables[SAMPLES]["at"].max().to_pydatetime()

    def lost_since(self, good: datetime | None) -> datetime | None:
        """Return where rows that are lost may begin: behind the newest interval, or the last good poll.

        An interval that ends long before the poll that fetched it tells of a clock, not of a loss.
        """
        if good is None or self.measured is None or self.measured < good - LONGEST:
            return good
        return min(good, self.measured)


class HostPoller:
    """Asks one agent for what it has measured since (``ports.Poller``).

    ``period_s``, where given, is how often it will be called: a longer silence is a gap, and so are a
    new epoch and rows that the agent had to prune.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        target: HostTarget,
        period_s: float | None = None,
        params: Params | None = None,
    ) -> None:
        self.name = target.name
        self._client, self._target, self._period_s = client, target, period_s
        self._params = params or Params()

    async def poll(self, now: datetime, cursor: Mapping[str, str]) -> list[Batch]:
        """Return the agent's rows, a batch an epoch, and then the row of polls in one of its own.

        Never raises for the agent: pages before a bad one are kept, the bad one is asked for again.
        A page that was about to be stored when the service ended comes with the same end (``ends``).
        """
        attempt = Attempt(self._target.name, "host", now, gap_from=gap_from(cursor, now, self._period_s))
        stream, batches = _Stream.at(cursor), []
        kept = {key: value for key, value in cursor.items() if key != STORING}
        try:
            for _ in range(self._params.pages):
                page, tables = await self._page(stream, attempt)
                self._follow(stream, page.header, attempt, cursor)
                stream.measure(tables)
                if tables:
                    batches.append(_batch(tables, page.header, {**kept, **stream.cursor()}))
                    attempt.received += page.count
                if page.count < self._params.page_rows and not page.is_cut:
                    break
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            attempt.failed = f"no answer from {self._target.url} ({reason}); check that the agent runs there"
        except ProtocolError as error:
            attempt.failed = f"the answer from {self._target.url} cannot be used: {error}"
        remembered = attempt.cursor({**kept, **stream.cursor()})
        sequence = int(now.timestamp() * 1000)
        return [*batches, Batch(attempt.tables(), f"{self.name}/polls", sequence, remembered)]

    async def _page(self, stream: _Stream, attempt: Attempt) -> tuple[Page, Tables]:
        """Return the next page and its tables. Raises httpx.HTTPError and ProtocolError."""
        params: dict[str, str | int] = {"after": stream.after, "limit": self._params.page_rows}
        if stream.epoch is not None:
            params["epoch"] = stream.epoch
        attempt.requests += 1
        request = self._client.build_request(
            "GET",
            f"{self._target.url.rstrip('/')}/v1/batches",
            params=params,
            headers={"Authorization": f"Bearer {self._target.token}", "Accept-Encoding": "zstd"},
            timeout=self._params.timeout_s,
        )
        response = await self._client.send(request, stream=True)
        try:
            body = await self._body(response)
        finally:
            await response.aclose()
        # in a thread: a full page takes half a second to read, which no other poll may wait for
        return await asyncio.to_thread(_read, body, self._params.unpacked_bytes, stream)

    async def _body(self, response: httpx.Response) -> bytes:
        """Return a good response's body as it came. Raises ProtocolError for any other response."""
        if response.status_code != httpx.codes.OK:
            reason = REFUSALS.get(response.status_code, "is not the answer of an agent")
            raise ProtocolError(f"HTTP status {response.status_code}: it {reason}")
        kind = response.headers.get("content-type", "nothing").partition(";")[0]
        encoding = response.headers.get("content-encoding", "nothing")
        if kind != CONTENT_TYPE or encoding != "zstd":
            raise ProtocolError(
                f"it is {kind} encoded as {encoding}, not {CONTENT_TYPE} encoded as zstd; "
                "check that an agent listens there"
            )
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._params.body_bytes:
                raise ProtocolError(f"its body is larger than {self._params.body_bytes // 2**20} MiB")
        return bytes(body)

    def _follow(self, stream: _Stream, header: Header, attempt: Attempt, cursor: Mapping[str, str]) -> None:
        """Move to behind a page; what was lost before it becomes a remark and a gap."""
        if self._target.agent_id not in (None, header.agent):
            raise ProtocolError(f"it is from agent {header.agent!r}, not {self._target.agent_id!r}")
        lost = _lost(stream, header)
        if lost:
            attempt.remarks.append(lost)
            since = stream.lost_since(last_good(cursor))
            attempt.gap_from = min(filter(None, (attempt.gap_from, since)), default=None)
        stream.follow(header)


def _read(body: bytes, most_bytes: int, stream: _Stream) -> tuple[Page, Tables]:
    """Return the page in a body, and its tables. Raises ProtocolError."""
    page = parse(unpack(body, most_bytes), stream.epoch, stream.after, stream.ends)
    return page, {name: table(name, rows) for name, rows in page.rows.items()}


def _lost(stream: _Stream, header: Header) -> str | None:
    """Return what was lost between the place in the stream and a page; None where nothing was."""
    if stream.agent is not None and stream.agent != header.agent:
        return f"agent {header.agent} answers where {stream.agent} did; rows that were not read are lost"
    if stream.epoch is not None and stream.epoch != header.epoch:
        return f"the agent began anew; what it had measured after row {stream.after} may be lost"
    skipped = header.first_seq - stream.after - 1 if stream.epoch is not None else 0
    dropped = max(header.dropped, skipped)
    return f"the agent pruned {dropped} rows before they were read" if dropped else None


def _batch(tables: Tables, header: Header, cursor: Mapping[str, str]) -> Batch:
    return Batch(tables, header.source, header.next_seq - 1, cursor)
