"""The agent protocol, version 1, as any agent must speak it (``agent_endpoints`` lists those that exist)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from agent_endpoints import ENDPOINTS, Endpoint

from correlator.pollers.hosts import HostPoller, HostTarget
from correlator.pollers.protocol import CONTENT_TYPE, Page, parse, table, unpack

MOST = 64 * 2**20


@pytest.fixture(scope="module", params=sorted(ENDPOINTS))
def agent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with ENDPOINTS[request.param](tmp_path_factory.mktemp(request.param)) as endpoint:
        yield endpoint


def ask(agent: Endpoint, token: str | None = None, **params: str | int) -> httpx.Response:
    """Ask for a page; the body is not unpacked."""
    headers = {"Authorization": f"Bearer {token or agent.token}", "Accept-Encoding": "zstd"}
    with httpx.stream("GET", f"{agent.url}/v1/batches", params=params, headers=headers, timeout=20) as answer:
        answer._content = b"".join(answer.iter_raw())
    return answer


def page(agent: Endpoint, epoch: str | None = None, after: int = 0, limit: int | None = None) -> Page:
    """Return a page that holds together; ``parse`` checks header, order and ends."""
    params: dict[str, str | int] = {"after": after}
    params |= {} if epoch is None else {"epoch": epoch}
    params |= {} if limit is None else {"limit": limit}
    answer = ask(agent, **params)
    assert answer.status_code == 200
    return parse(unpack(answer.content, MOST), epoch, after)


def test_an_answer_is_json_lines_in_zstd(agent: Endpoint) -> None:
    answer = ask(agent)
    assert answer.headers["content-type"].partition(";")[0] == CONTENT_TYPE
    assert answer.headers["content-encoding"] == "zstd"


def test_the_rows_are_of_its_tables_and_of_its_host(agent: Endpoint) -> None:
    whole = page(agent)
    assert whole.header.agent == agent.agent
    assert whole.count > 0
    for name, rows in whole.rows.items():
        made = table(name, rows)
        assert set(made["host"]) == {agent.agent}
        assert len(made) == len(rows)


def test_a_limit_is_kept_and_pages_make_the_whole(agent: Endpoint) -> None:
    whole = page(agent)
    epoch, after, rows = whole.header.epoch, whole.header.first_seq - 1, 0
    while after < whole.header.next_seq - 1:
        part = page(agent, epoch, after, limit=7)
        assert 0 < part.count <= 7
        assert part.header.first_seq == after + 1
        after, rows = part.header.next_seq - 1, rows + part.count
    assert rows >= whole.count


def test_reading_takes_nothing_away(agent: Endpoint) -> None:
    first = page(agent)
    again = page(agent, first.header.epoch, first.header.first_seq - 1)
    assert again.rows == first.rows


def test_who_has_read_all_gets_an_empty_page(agent: Endpoint) -> None:
    header = page(agent).header
    rest = page(agent, header.epoch, header.next_seq - 1)
    assert rest.count == 0
    assert rest.header.next_seq == rest.header.first_seq == header.next_seq
    assert rest.header.dropped == 0


def test_what_is_measured_later_comes_behind(agent: Endpoint) -> None:
    before = page(agent).header
    agent.more()
    later = page(agent, before.epoch, before.next_seq - 1)
    assert later.count > 0
    assert later.header.first_seq == before.next_seq
    assert later.header.epoch == before.epoch
    assert later.header.boot_id == before.boot_id


@pytest.mark.parametrize("epoch", ["another", None])
def test_another_epoch_starts_at_the_oldest_row(agent: Endpoint, epoch: str | None) -> None:
    whole = page(agent)
    params: dict[str, str | int] = {"after": whole.header.next_seq - 1}
    answer = ask(agent, **(params | ({"epoch": epoch} if epoch else {})))
    found = parse(unpack(answer.content, MOST), epoch, 0)
    assert found.header.epoch == whole.header.epoch
    assert found.header.first_seq == whole.header.first_seq


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", "Basic eDp5", "Bearer \u00e9"])
def test_without_the_token_nothing_is_told(agent: Endpoint, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode()}
    answer = httpx.get(f"{agent.url}/v1/batches", headers=headers)
    assert answer.status_code == 401
    assert agent.agent not in answer.text


def test_too_large_a_limit_is_refused(agent: Endpoint) -> None:
    assert ask(agent, limit=10**9).status_code == 413


@pytest.mark.parametrize(
    "params",
    [
        {"after": "many"},
        {"after": -1},
        {"limit": 0},
        {"limit": "x"},
        {"after": "9" * 400},
        {"epoch": "\x00" * 3},
    ],
)
def test_nonsense_is_refused_and_harms_nothing(agent: Endpoint, params: dict[str, str | int]) -> None:
    assert ask(agent, **params).status_code < 500
    assert page(agent).count > 0


def test_other_paths_lead_nowhere(agent: Endpoint) -> None:
    headers = {"Authorization": f"Bearer {agent.token}"}
    assert httpx.get(f"{agent.url}/", headers=headers).status_code == 404
    assert httpx.post(f"{agent.url}/v1/batches", headers=headers).status_code in (404, 405)


def test_the_poller_reads_every_row_once(agent: Endpoint) -> None:
    whole = page(agent)

    async def polled() -> tuple[int, int]:
        async with httpx.AsyncClient() as client:
            poller = HostPoller(client, HostTarget(agent.agent, agent.url, agent.token, agent.agent))
            first = await poller.poll(datetime(2026, 3, 1, tzinfo=UTC), {})
            second = await poller.poll(datetime(2026, 3, 1, tzinfo=UTC), first[-1].cursor)
            return first[-1].tables["polls"]["rows"].item(), second[-1].tables["polls"]["rows"].item()

    assert asyncio.run(polled()) == (whole.count, 0)
