"""The agent protocol as a reader sees it, and readers that misbehave."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from correlator.agent.figures import Figures
from correlator.agent.serve import MOST, SCHEMA, Agent, Pace, Params, application
from correlator.agent.spool import Params as SpoolParams
from correlator.agent.spool import Spool

TOKEN = "a-token-of-some-length"


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path, SpoolParams())
    yield made
    made.close()


@pytest.fixture
def ask(spool):
    """Return a function that asks the agent for a path, and its figures."""
    figures = Figures()
    troubles: list[str] = []

    def asking(path, *, token=TOKEN, identity="node1", agent_token=TOKEN, **headers):
        agent = Agent(spool, figures, lambda: identity, "boot-1", agent_token, lambda: troubles)
        application_ = application(agent, Params())
        if token is not None:
            headers["authorization"] = f"Bearer {token}"

        async def run():
            transport = httpx.ASGITransport(application_)
            async with httpx.AsyncClient(transport=transport, base_url="http://agent") as client:
                return await client.get(path, headers=headers)

        return asyncio.run(run())

    asking.figures, asking.troubles = figures, troubles
    return asking


def lines(response):
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def test_a_reader_gets_a_header_and_rows(ask, spool):
    spool.append([("hosts", '{"nic":"eth0"}'), ("pair_samples", '{"role":"client"}')])
    response = ask("/v1/batches")
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.headers["content-encoding"] == "zstd"
    header, *rows = lines(response)
    assert header == {
        "schema": SCHEMA,
        "agent": "node1",
        "boot_id": "boot-1",
        "epoch": spool.epoch,
        "first_seq": 1,
        "next_seq": 3,
        "dropped": 0,
    }
    assert rows[1] == {"seq": 2, "table": "pair_samples", "row": {"role": "client"}}


def test_the_cursor_leads_on(ask, spool):
    spool.append([("hosts", "{}")] * 5)
    header, *rows = lines(ask(f"/v1/batches?epoch={spool.epoch}&after=2&limit=2"))
    assert [row["seq"] for row in rows] == [3, 4]
    assert (header["first_seq"], header["next_seq"]) == (3, 5)
    header, *rows = lines(ask(f"/v1/batches?epoch={spool.epoch}&after=5"))
    assert (rows, header["first_seq"], header["next_seq"]) == ([], 6, 6)


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1], "ünïcödé".encode("latin-1")])
def test_a_wrong_token_gets_nothing(ask, spool, token):
    spool.append([("hosts", "{}")])
    token = token.decode("latin-1") if isinstance(token, bytes) else token
    response = ask("/v1/batches", token=None if token is None else token.encode("ascii", "replace").decode())
    assert response.status_code == 401
    assert "hosts" not in response.text
    assert ask.figures.counts()["requests_refused"] == 1


def test_where_certificates_let_readers_in_no_token_is_asked_for(ask):
    assert ask("/v1/batches", token=None, agent_token=None).status_code == 200


def test_too_large_a_limit_is_413(ask):
    assert ask(f"/v1/batches?limit={MOST + 1}").status_code == 413


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "limit=0", "after=1e3", "after=" + "9" * 30, "after=٣"]
)
def test_a_malformed_question_is_400(ask, query):
    assert ask(f"/v1/batches?{query}").status_code == 400


def test_a_strange_epoch_is_answered_from_the_oldest_row(ask, spool):
    spool.append([("hosts", "{}")])
    assert len(lines(ask("/v1/batches?epoch=%00%27;drop&after=9"))) == 2


def test_asking_too_often_is_429():
    now = [0.0]
    pace = Pace(Params(per_second=1, burst=2, addresses=2), lambda: now[0])
    assert [pace.allows("a") for _ in range(3)] == [True, True, False]
    assert pace.allows("b")
    now[0] = 1.0
    assert [pace.allows("a") for _ in range(2)] == [True, False]
    for address in "cdefgh":
        pace.allows(address)
    assert len(pace._left) <= 3


def test_before_the_host_is_known_rows_wait(ask):
    assert ask("/v1/batches", identity=None).status_code == 503


def test_only_reading_is_allowed(ask):
    assert ask("/nowhere").status_code == 404


def test_health_says_what_is_wrong(ask):
    assert ask("/healthz", token=None).text.strip() == "ok"
    ask.troubles.append("docker does not answer")
    response = ask("/healthz", token=None)
    assert (response.status_code, response.text.strip()) == (503, "docker does not answer")


def test_metrics_tell_of_the_agent_and_not_of_containers(ask, spool):
    ask.figures.count("close_events", 7)
    text = ask("/metrics", token=None).text
    assert "correlator_agent_close_events_total 7.0" in text
    assert TOKEN not in text
