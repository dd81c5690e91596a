"""Rows on disk: bounds, epochs, what survives kill -9, what a full disk costs."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from correlator.agent.spool import Params, Spool, SpoolError


def rows(first, number, size=0):
    return [("pair_samples", json.dumps({"n": first + i, "pad": "x" * size})) for i in range(number)]


def numbers(answer):
    return [json.loads(line)["row"]["n"] for line in answer.lines]


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path, Params())
    yield made
    made.close()


def test_rows_come_back_in_order_with_their_numbers(spool):
    spool.append(rows(1, 1200))
    answer = spool.read(spool.epoch, 0, 10_000)
    assert numbers(answer) == list(range(1, 1201))
    assert (answer.first, answer.next, answer.dropped) == (1, 1201, 0)
    assert [json.loads(line)["seq"] for line in answer.lines] == list(range(1, 1201))


@pytest.mark.parametrize("limit", [1, 7, 500, 501])
def test_reading_on_misses_and_repeats_nothing(spool, limit):
    spool.append(rows(1, 700))
    spool.append(rows(701, 3))
    seen, after = [], 0
    while lines := (answer := spool.read(spool.epoch, after, limit)).lines:
        assert len(lines) <= limit
        assert answer.first == after + 1
        seen += numbers(answer)
        after = answer.next - 1
    assert seen == list(range(1, 704))


def test_nothing_new_says_where_it_goes_on(spool):
    spool.append(rows(1, 3))
    answer = spool.read(spool.epoch, 3, 10)
    assert (answer.lines, answer.first, answer.next, answer.dropped) == ([], 4, 4, 0)


def test_two_readers_do_not_disturb_each_other(spool):
    spool.append(rows(1, 10))
    assert numbers(spool.read(spool.epoch, 0, 5)) == numbers(spool.read(spool.epoch, 0, 5))


def test_a_full_spool_drops_the_oldest_and_says_how_many(tmp_path):
    spool = Spool(tmp_path, Params(max_bytes=20_000))
    for i in range(40):
        spool.append([("pair_samples", json.dumps({"n": i, "pad": os.urandom(1000).hex()}))])
    answer = spool.read(spool.epoch, 0, 1000)
    assert spool.size() <= 20_000
    assert answer.dropped == answer.first - 1 == spool.pruned > 0
    assert numbers(answer)[-1] == 39
    spool.close()


def test_old_rows_go_by_age_but_not_all_at_once_when_the_clock_jumps(tmp_path):
    spool = Spool(tmp_path, Params(keep_s=100))
    spool.append(rows(1, 1), now=1000.0)
    spool.append(rows(2, 1), now=1050.0)
    spool.append(rows(3, 1), now=1120.0)
    assert numbers(spool.read(spool.epoch, 0, 10)) == [2, 3]
    spool.append(rows(4, 1), now=9_999_999.0)
    assert numbers(spool.read(spool.epoch, 0, 10)) == [2, 3, 4]
    spool.close()


def test_a_restart_begins_an_epoch_and_the_old_one_is_read_to_its_end(tmp_path):
    old = Spool(tmp_path, Params())
    old.append(rows(1, 3))
    old.close()
    new = Spool(tmp_path, Params())
    new.append(rows(4, 2))
    rest = new.read(old.epoch, 1, 100)
    assert (rest.epoch, numbers(rest)) == (old.epoch, [2, 3])
    then = new.read(rest.epoch, rest.next - 1, 100)
    assert (then.epoch, numbers(then), then.first) == (new.epoch, [4, 5], 1)
    new.close()


def test_without_an_epoch_or_with_an_unknown_one_reading_begins_with_the_oldest(tmp_path):
    old = Spool(tmp_path, Params())
    old.append(rows(1, 1))
    old.close()
    new = Spool(tmp_path, Params())
    for asked in (None, "somebody-elses"):
        answer = new.read(asked, 7, 100)
        assert (answer.epoch, numbers(answer)) == (old.epoch, [1])
    new.close()


def test_an_epoch_without_rows_is_stepped_over(tmp_path):
    spools = []
    for first in (1, None, 2):
        spool = Spool(tmp_path, Params())
        if first:
            spool.append(rows(first, 1))
        spools.append(spool)
        spool.close()
    last = Spool(tmp_path, Params())
    assert last.read(spools[0].epoch, 1, 10).epoch == spools[2].epoch
    assert last.read(spools[1].epoch, 0, 10).epoch == spools[2].epoch
    assert last.read(spools[2].epoch, 1, 10).epoch == last.epoch
    last.close()


def test_what_could_not_be_written_is_missing_for_good(spool):
    spool.append(rows(1, 2))
    spool._db.execute("pragma query_only=1")
    with pytest.raises(SpoolError, match=r"spool\.sqlite"):
        spool.append(rows(3, 5))
    spool._db.execute("pragma query_only=0")
    spool.append(rows(8, 1))
    answer = spool.read(spool.epoch, 2, 100)
    assert (numbers(answer), answer.first, answer.dropped) == ([8], 8, 5)
    # A page ends before the hole: its rows follow one another, as its header says.
    before = spool.read(spool.epoch, 0, 100)
    assert (numbers(before), before.first, before.next, before.dropped) == ([1, 2], 1, 3, 0)


def test_a_file_that_is_no_spool_is_put_aside(tmp_path):
    (tmp_path / "spool.sqlite").write_bytes(b"not a database at all" * 100)
    spool = Spool(tmp_path, Params())
    spool.append(rows(1, 1))
    assert numbers(spool.read(None, 0, 10)) == [1]
    assert list(tmp_path.glob("broken-*"))
    spool.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError, match="give a folder"):
        Spool(tmp_path / "file" / "below", Params())


WRITER = """
import json, sys
from pathlib import Path
from correlator.agent.spool import Params, Spool
spool = Spool(Path(sys.argv[1]), Params())
print(spool.epoch, flush=True)
for interval in range(100_000):
    spool.append([("pair_samples", json.dumps({"interval": interval, "n": i})) for i in range(700)])
    print(interval, flush=True)
"""


def test_kill_9_leaves_whole_intervals_only(tmp_path):
    for attempt in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        epoch = writer.stdout.readline().strip()
        told = [int(writer.stdout.readline()) for _ in range(3 + attempt)]
        writer.send_signal(signal.SIGKILL)
        told += map(int, writer.stdout.read().split())
        writer.wait()
        spool = Spool(tmp_path, Params())
        answer = spool.read(epoch, 0, 10**6)
        whole = [json.loads(line)["row"] for line in answer.lines]
        kept = len(whole) // 700
        assert [row["interval"] for row in whole] == [i for i in range(kept) for _ in range(700)]
        assert kept >= len(told)
        spool.close()


def test_the_file_can_be_read_by_others(spool, tmp_path):
    spool.append(rows(1, 3))
    with sqlite3.connect(tmp_path / "spool.sqlite") as db:
        assert db.execute("select first, last from blocks").fetchall() == [(1, 3)]
