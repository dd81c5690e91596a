"""The host poller: every row once, and each bad answer a row of polls that says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pandas as pd
import pytest
import zstandard
from an_agent import AT, TOKEN, Agent, client, header, host_row, lines, page, sample

from correlator.pollers.hosts import HostPoller, HostTarget, Params
from correlator.ports import Batch

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LAST_GOOD = "2026-03-01T11:59:30+00:00"
READ_TO_3 = {"agent": "host1", "epoch": "e1", "after": "3", "last_good": LAST_GOOD}
URL = "http://192.0.2.1:9443"


async def polled(
    answer: Callable[[httpx.Request], httpx.Response],
    cursor: Mapping[str, str] | None = None,
    token: str = TOKEN,
    **settings: Any,
) -> tuple[list[Batch], dict[str, Any]]:
    """Return the batches of data, and the row of polls."""
    agent_id = settings.pop("agent_id", None)
    async with client(answer) as http:
        poller = HostPoller(http, HostTarget("host1", URL, token, agent_id), params=Params(**settings))
        *data, last = await poller.poll(NOW, cursor or {})
    assert set(last.tables) == {"polls"}
    row: dict[str, Any] = last.tables["polls"].iloc[0].to_dict()
    assert not any("polls" in batch.tables for batch in data)
    return data, row | {"cursor": dict(last.cursor), "source": last.source, "sequence": last.sequence}


async def test_rows_arrive_in_their_tables_exactly() -> None:
    agent = Agent([host_row(), sample(1), sample(2)])
    (batch,), poll = await polled(agent)
    assert set(batch.tables) == {"hosts", "pair_samples"}
    samples = batch.tables["pair_samples"]
    assert samples.bytes_sent.tolist() == [2**63 + 1, 2**63 + 2]
    assert samples["at"].iloc[0] == pd.Timestamp(AT)
    assert samples.response_histogram.iloc[0] == [0] * 17
    assert batch.tables["hosts"].addresses.iloc[0] == ["192.0.2.1"]
    assert (batch.source, batch.sequence) == ("host1/e1", 3)
    assert (poll["ok"], poll["rows"], poll["requests"], poll["kind"]) == (True, 3, 1, "host")
    assert pd.isna(poll["error"])
    place = {"agent": "host1", "epoch": "e1", "after": "3", "measured": AT}
    assert poll["cursor"] == place | {"last_good": NOW.isoformat()}
    assert (poll["source"], poll["sequence"]) == ("host1/polls", 1_772_366_400_000)


async def test_the_next_poll_asks_for_what_comes_behind() -> None:
    agent = Agent([sample(n) for n in range(1, 6)])
    (batch,), poll = await polled(agent, READ_TO_3)
    assert dict(agent.asked[0].url.params) == {"epoch": "e1", "after": "3", "limit": "10000"}
    assert batch.tables["pair_samples"].bytes_sent.tolist() == [2**63 + 4, 2**63 + 5]
    assert pd.isna(poll["gap_from"])


async def test_nothing_new_is_a_good_poll_without_data() -> None:
    data, poll = await polled(Agent([sample(n) for n in range(1, 4)]), READ_TO_3)
    assert data == []
    assert (poll["ok"], poll["rows"]) == (True, 0)
    assert poll["cursor"]["after"] == "3"


async def test_pages_are_turned_until_there_is_no_more() -> None:
    agent = Agent([sample(n) for n in range(1, 26)])
    data, poll = await polled(agent, page_rows=10)
    assert [batch.sequence for batch in data] == [10, 20, 25]
    assert [batch.cursor["after"] for batch in data] == ["10", "20", "25"]
    assert (poll["rows"], poll["requests"]) == (25, 3)


async def test_a_page_that_was_being_stored_comes_with_the_same_end_and_then_the_rest() -> None:
    agent = Agent([sample(n) for n in range(1, 41)])
    data, poll = await polled(agent, READ_TO_3 | {"storing": '{"host1/e1": 25}'}, page_rows=10)
    assert [batch.sequence for batch in data] == [13, 23, 25, 35, 40]
    assert sum(len(batch.tables["pair_samples"]) for batch in data) == 37
    assert "storing" not in poll["cursor"]


async def test_where_an_unread_page_was_being_stored_its_end_is_remembered() -> None:
    ends = {"storing": '{"host1/e1": 25}'}
    _, poll = await polled(lambda _: httpx.Response(500), READ_TO_3 | ends)
    assert poll["cursor"]["storing"] == ends["storing"]
    agent = Agent([sample(n) for n in range(1, 41)])
    _, poll = await polled(agent, ends, page_rows=10, pages=1)
    assert (poll["cursor"]["after"], poll["cursor"]["storing"]) == ("10", ends["storing"])


@pytest.mark.parametrize("ends", ["", "{", "[]", '{"host1/e1": "x"}', '{"host1/e1": 2}', '{"host1/e0": 5}'])
async def test_ends_that_say_nothing_change_nothing(ends: str) -> None:
    agent = Agent([sample(n) for n in range(1, 6)])
    (batch,), _ = await polled(agent, READ_TO_3 | {"storing": ends})
    assert batch.sequence == 5


async def test_one_poll_does_not_turn_pages_for_ever() -> None:
    agent = Agent([sample(n) for n in range(1, 101)])
    data, poll = await polled(agent, page_rows=10, pages=4)
    assert len(data) == 4
    assert poll["ok"]
    assert poll["cursor"]["after"] == "40"


async def test_a_new_epoch_is_a_gap_that_is_said() -> None:
    agent = Agent([sample(1)])
    agent.epoch = "e2"
    (batch,), poll = await polled(agent, READ_TO_3)
    assert (batch.source, batch.sequence) == ("host1/e2", 1)
    assert poll["ok"]
    assert poll["gap_from"] == pd.Timestamp(LAST_GOOD)
    assert "began anew; what it had measured after row 3 may be lost" in poll["error"]


@pytest.mark.parametrize(
    ("measured", "since"),
    [
        ("2026-03-01T11:59:20+00:00", "2026-03-01T11:59:20+00:00"),
        ("2026-03-01T11:59:40+00:00", LAST_GOOD),
        ("1970-01-01T00:00:00+00:00", LAST_GOOD),
        ("lately", LAST_GOOD),
    ],
)
async def test_a_gap_begins_behind_the_newest_interval(measured: str, since: str) -> None:
    agent = Agent([sample(1)])
    agent.epoch = "e2"
    _, poll = await polled(agent, READ_TO_3 | {"measured": measured})
    assert poll["gap_from"] == pd.Timestamp(since)


async def test_rows_that_were_pruned_unread_are_a_gap_that_is_said() -> None:
    agent = Agent([sample(n) for n in range(1, 21)])
    agent.oldest = 11
    (batch,), poll = await polled(agent, READ_TO_3)
    assert len(batch.tables["pair_samples"]) == 10
    assert poll["ok"]
    assert poll["gap_from"] == pd.Timestamp(LAST_GOOD)
    assert "pruned 7 rows before they were read" in poll["error"]


async def test_another_agent_at_the_address_is_said() -> None:
    agent = Agent([sample(1)])
    agent.epoch = "e9"
    _, poll = await polled(agent, READ_TO_3 | {"agent": "host7"})
    assert "agent host1 answers where host7 did" in poll["error"]
    assert poll["gap_from"] == pd.Timestamp(LAST_GOOD)


async def test_the_first_poll_is_no_gap() -> None:
    _, poll = await polled(Agent([sample(1)]))
    assert pd.isna(poll["gap_from"])
    assert pd.isna(poll["error"])


async def refused(answer: httpx.Response, said: str, **settings: Any) -> None:
    """A bad answer is a row that says what is wrong; nothing of it is kept, the place stays."""
    data, poll = await polled(lambda _: answer, READ_TO_3, **settings)
    assert data == []
    assert not poll["ok"]
    assert said in poll["error"]
    assert URL in poll["error"]
    assert "\n" not in poll["error"]
    assert poll["cursor"] == READ_TO_3 | {"failed": "yes"}


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "token"), (404, "/v1/batches"), (413, "too large"), (429, "too often"), (500, "not the answer")],
)
async def test_a_refusal_says_what_to_do(status: int, said: str) -> None:
    await refused(httpx.Response(status, text="<html>"), said)


async def test_a_wrong_token_is_said_and_not_shown() -> None:
    _, poll = await polled(Agent([sample(1)]), token="wrong and secret")
    assert "refuses the token" in poll["error"]
    assert "secret" not in poll["error"]
    assert "secret" not in repr(HostTarget("host1", URL, "wrong and secret"))


async def test_html_is_no_answer() -> None:
    html = httpx.Response(200, html="<html>login</html>")
    await refused(html, "it is text/html encoded as nothing, not application/x-ndjson encoded as zstd")


async def test_a_redirect_is_not_followed() -> None:
    await refused(httpx.Response(302, headers={"Location": "http://198.51.100.1/"}), "HTTP status 302")


async def test_what_is_not_zstd_is_said() -> None:
    await refused(page(b"", packed=b"<html>" * 10), "not zstd")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
async def test_a_body_that_was_cut_is_refused_whole(share: float) -> None:
    whole = zstandard.ZstdCompressor().compress(lines([sample(n) for n in range(4, 500)], 4))
    data, poll = await polled(lambda _: page(b"", packed=whole[: int(len(whole) * share)]), READ_TO_3)
    assert data == []
    assert not poll["ok"]
    assert poll["cursor"]["after"] == "3"


async def test_a_bomb_is_stopped_at_the_bound() -> None:
    bomb = zstandard.ZstdCompressor(level=19).compress(b"0" * 50_000_000)
    assert len(bomb) < 10_000
    await refused(page(b"", packed=bomb), "larger than 1 MiB unpacked", unpacked_bytes=2**20)


async def test_an_endless_body_is_stopped_at_the_bound() -> None:
    await refused(page(b"", packed=b"x" * 3_000_000), "larger than 2 MiB", body_bytes=2 * 2**20)


GOOD = {"seq": 4, "table": "hosts", "row": host_row()[1]}


@pytest.mark.parametrize(
    ("head", "row", "said"),
    [
        ({"schema": "correlator-agent/2"}, GOOD, "line 1: schema"),
        ({"extra": 1}, GOOD, "line 1: extra: Extra inputs are not permitted"),
        ({"epoch": ""}, GOOD, "line 1: epoch"),
        ({"next_seq": "5"}, GOOD, "line 1: next_seq"),
        ({"next_seq": 9}, GOOD, "it ends before seq 8"),
        ({"first_seq": 2, "next_seq": 3}, GOOD | {"seq": 2}, "rows behind 3 were asked for"),
        ({}, GOOD | {"seq": 9}, "line 2 has seq 9 where 4 is due"),
        ({}, GOOD | {"table": "counters"}, "line 2: table"),
        ({}, GOOD | {"more": 1}, "line 2: more"),
        ({}, GOOD | {"row": [1]}, "line 2: row"),
        ({}, GOOD | {"row": GOOD["row"] | {"host": "host2"}}, "line 2 is of host 'host2', not 'host1'"),  # type: ignore[operator]
        ({}, GOOD | {"row": GOOD["row"] | {"colour": 1}}, "unknown columns colour"),  # type: ignore[operator]
        ({}, GOOD | {"row": GOOD["row"] | {"speed_bps": -1}}, "does not fit its table"),  # type: ignore[operator]
        ({}, GOOD | {"row": GOOD["row"] | {"speed_bps": "fast"}}, "does not fit its table"),  # type: ignore[operator]
        ({}, GOOD | {"row": GOOD["row"] | {"speed_bps": 2**70}}, "does not fit its table"),  # type: ignore[operator]
        ({}, GOOD | {"row": GOOD["row"] | {"at": "2026-03-01T12:00:00"}}, "no time zone"),  # type: ignore[operator]
        ({}, GOOD | {"row": GOOD["row"] | {"at": "noon"}}, "does not fit its table"),  # type: ignore[operator]
        ({}, GOOD | {"row": GOOD["row"] | {"at": None}}, "does not fit its table"),  # type: ignore[operator]
        ({}, GOOD | {"row": GOOD["row"] | {"at": 5}}, "does not fit its table"),  # type: ignore[operator]
    ],
)
async def test_a_page_that_does_not_hold_together_is_refused(
    head: dict[str, Any], row: dict[str, Any], said: str
) -> None:
    body = json.dumps(header(4, 5) | head) + "\n" + json.dumps(row) + "\n"
    await refused(page(body.encode()), said)


@pytest.mark.parametrize(
    "body", [b"", b"\n", b"[]\n", b"{\n", b"null\n", b"\xff\xfe\n", b'{"schema":' * 5000]
)
async def test_what_is_no_json_is_refused(body: bytes) -> None:
    data, poll = await polled(lambda _: page(body), READ_TO_3)
    assert data == []
    assert not poll["ok"]


async def test_an_agent_that_is_not_the_configured_one_is_refused() -> None:
    data, poll = await polled(Agent([sample(1)]), agent_id="host9")
    assert data == []
    assert "it is from agent 'host1', not 'host9'" in poll["error"]


async def test_good_pages_before_a_bad_one_are_kept() -> None:
    agent = Agent([sample(n) for n in range(1, 11)])
    answers = [agent, lambda _: httpx.Response(500)]
    data, poll = await polled(lambda request: answers.pop(0)(request), page_rows=10)
    assert [batch.sequence for batch in data] == [10]
    assert not poll["ok"]
    assert poll["rows"] == 10
    assert poll["cursor"]["after"] == "10"


async def test_an_agent_that_is_not_there_is_said() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    data, poll = await polled(away, READ_TO_3)
    assert data == []
    assert poll["error"] == f"no answer from {URL} (connection refused); check that the agent runs there"


@pytest.mark.parametrize("cursor", [{"epoch": "e1", "after": "many"}, {"epoch": "e1"}, {"after": "7"}])
async def test_a_cursor_that_cannot_be_read_starts_at_the_beginning(cursor: dict[str, str]) -> None:
    agent = Agent([sample(1)])
    (batch,), _ = await polled(agent, cursor)
    assert batch.sequence == 1
    assert "epoch" not in agent.asked[0].url.params
