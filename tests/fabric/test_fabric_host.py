"""The host agent's protocol: paging, epochs, pruning, refusals."""

import json

import pytest
import zstandard

from correlator.fabric.host import MOST_ROWS, HostAgent

TOKEN = "Bearer t0ken"


def agent(rows: int = 10, **kept) -> HostAgent:
    made = HostAgent("host1", "t0ken", "boot", "e1", **kept)
    for n in range(rows):
        made.append(float(n), "pair_samples", {"at": f"2026-03-02T00:00:{n:02d}+00:00", "exchanges": n})
    return made


def batch(of: HostAgent, **query):
    answer = of.answer({key: str(value) for key, value in query.items()}, TOKEN)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    lines = zstandard.decompress(answer.body).decode().splitlines()
    head, *rows = map(json.loads, lines)
    return head, rows


def test_a_cursor_reads_everything_once_and_in_order():
    mine, after, seen = agent(25), 0, []
    while True:
        head, rows = batch(mine, epoch="e1", after=after, limit=10)
        assert head["next_seq"] == after + len(rows) + 1
        if not rows:
            break
        assert head["first_seq"] == rows[0]["seq"]
        seen += [row["seq"] for row in rows]
        after = head["next_seq"] - 1
    assert seen == list(range(1, 26))


def test_an_answer_without_rows_keeps_the_cursor_where_it_was():
    head, rows = batch(agent(3), epoch="e1", after=3)
    assert rows == []
    assert (head["first_seq"], head["next_seq"], head["dropped"]) == (4, 4, 0)


def test_reading_does_not_prune_because_somebody_else_may_read_too():
    mine = agent(5)
    assert batch(mine, epoch="e1")[1] == batch(mine, epoch="e1")[1]


def test_an_unknown_epoch_starts_at_the_oldest_row_and_says_its_own():
    mine = agent(20, kept_s=9.0)
    head, rows = batch(mine, epoch="other", after=18)
    assert head["epoch"] == "e1"
    assert head["first_seq"] == rows[0]["seq"] == mine.first_seq == 11
    assert batch(mine)[0]["first_seq"] == 11


def test_rows_that_were_pruned_unread_are_counted_as_dropped():
    head, rows = batch(agent(20, kept_s=9.0), epoch="e1", after=4)
    assert head["dropped"] == 6
    assert rows[0]["seq"] == 11


def test_a_spool_that_is_full_forgets_the_oldest():
    mine = agent(100, kept_octets=1000)
    assert mine.octets <= 1000
    assert batch(mine, epoch="e1", after=99)[1][0]["row"] == {
        "at": "2026-03-02T00:00:99+00:00",
        "exchanges": 99,
    }


@pytest.mark.parametrize("authorization", [None, "", "Bearer wrong", "t0ken", "Bearer t0ken "])
def test_a_wrong_token_is_refused(authorization):
    assert agent().answer({}, authorization).status == 401


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"limit": str(MOST_ROWS + 1)}, 413),
        ({"limit": "0"}, 400),
        ({"after": "-1"}, 400),
        ({"after": "many"}, 400),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_a_sentence(query, status):
    answer = agent().answer(query, TOKEN)
    assert answer.status == status
    assert json.loads(answer.body)["error"]
