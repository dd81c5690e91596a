"""Several processes on one folder, and processes that are killed."""

import contextlib
from collections import Counter

import pandas as pd
from store_tables import END, START, counters, run

from correlator.store.delta import DeltaStore

APPENDER = """
    from correlator.store.delta import DeltaStore
    from store_tables import counters

    folder, source, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    store = DeltaStore(folder)
    print("ready", flush=True)
    for sequence in range(first, first + count):
        new = store.append("counters", counters(sequence, source), source=source, sequence=sequence)
        print(sequence, int(new), flush=True)
"""


def written(folder) -> Counter:
    """Return how many rows there are of each source and sequence."""
    rows = DeltaStore(folder).read("counters", START, END)
    return Counter(zip(rows["device"], rows["in_octets"].astype(int), strict=True))


def test_two_processes_append_at_once_and_nothing_is_lost(tmp_path):
    appenders = [run(APPENDER, tmp_path, source, 1, 15) for source in ("leaf1", "leaf2")]
    for appender in appenders:
        appender.communicate(timeout=60)
        assert appender.returncode == 0
    assert written(tmp_path) == {(s, n): 4 for s in ("leaf1", "leaf2") for n in range(1, 16)}


def test_two_processes_with_one_source_write_each_sequence_once(tmp_path):
    appenders = [run(APPENDER, tmp_path, "leaf1", 1, 15) for _ in range(2)]
    new = Counter()
    for appender in appenders:
        said, _ = appender.communicate(timeout=60)
        assert appender.returncode == 0
        new.update(line.split()[0] for line in said.splitlines()[1:] if line.endswith(" 1"))
    assert written(tmp_path) == {("leaf1", n): 4 for n in range(1, 16)}
    assert new == {str(n): 1 for n in range(1, 16)}


def test_a_killed_appender_loses_nothing_that_it_acknowledged_and_doubles_nothing(tmp_path):
    done = 0
    for kill_after in (1, 3, 2, 4, 2):
        appender = run(APPENDER, tmp_path, "leaf1", done + 1, 1000)
        assert appender.stdout.readline() == "ready\n"
        for _ in range(kill_after):
            done = int(appender.stdout.readline().split()[0])
        appender.kill()
        appender.communicate(timeout=60)
        found = written(tmp_path)
        assert set(found.values()) == {4}  # whole appends only
        assert {("leaf1", n) for n in range(1, done + 1)} <= set(found)
        assert len(found) <= done + 2  # at most what was on its way
    store = DeltaStore(tmp_path)
    again = store.append("counters", counters(done), source="leaf1", sequence=done)
    assert not again


def test_maintenance_beside_an_appender_harms_neither(tmp_path):
    with contextlib.closing(run(APPENDER, tmp_path, "leaf1", 1, 25).stdout) as said:
        assert said.readline() == "ready\n"
        store, seen = DeltaStore(tmp_path), 0
        while line := said.readline():
            if int(line.split()[0]) % 5 == 0:
                store.maintain(START)
            rows = store.read("counters", START, END)
            pd.testing.assert_index_equal(rows.index, pd.RangeIndex(len(rows)))
            assert len(rows) >= seen
            seen = len(rows)
    assert written(tmp_path) == {("leaf1", n): 4 for n in range(1, 26)}
