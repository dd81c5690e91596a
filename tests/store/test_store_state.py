"""What is particular to SQLite: bounds, threads, kill -9, a full disk, a damaged file."""

import sqlite3
import threading
from datetime import timedelta

import pytest
from store_incidents import START, event, incident
from store_tables import run

from correlator.ports import StoreError
from correlator.store.state import Params, SqliteState


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


def queued(state: SqliteState, sink: str) -> list[tuple[str, int]]:
    return [(out.event.incident, out.event.seq) for out in state.outgoing(sink, 10_000)]


def test_a_commit_is_on_the_disk_when_it_returns(path):
    state = SqliteState(path, ["syslog"])
    with state._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_a_url_or_a_path_with_odd_letters_is_as_good(tmp_path):
    odd = tmp_path / "a b?#%41" / "state.db"
    SqliteState(odd, ["syslog"]).commit([incident(1)], [])
    assert odd.exists()
    SqliteState(f"sqlite:///{tmp_path}/other.db", []).set_cursors({"a": {"b": "c"}})
    assert SqliteState(tmp_path / "other.db", []).cursor("a") == {"b": "c"}


def test_a_position_is_never_used_again(path):
    state = SqliteState(path, ["syslog"], Params(keep_days=0))
    state.commit([], [event(1)])
    first = state.outgoing("syslog", 1)[0].position
    state.delivered("syslog", first)
    state.commit([], [event(2, at=START + timedelta(days=1))])
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM outbox")
    state.commit([], [event(3, at=START + timedelta(days=2))])
    assert [out.position for out in state.outgoing("syslog", 10)] == [first + 2]


def test_beyond_its_bound_the_outbox_drops_the_oldest_and_counts_them(path):
    state = SqliteState(path, ["syslog", "file"], Params(max_outbox=10))
    state.commit([], [event(n) for n in range(8)])
    state.delivered("file", state.outgoing("file", 8)[-1].position)
    state.commit([], [event(n) for n in range(8, 15)])
    assert queued(state, "syslog") == [(f"i{n:03d}", 1) for n in range(5, 15)]
    assert (state.dropped("syslog"), state.dropped("file")) == (5, 0)
    assert (state.waiting("syslog"), state.waiting("file")) == (10, 7)
    state.commit([], [event(15)])
    assert (state.dropped("syslog"), state.dropped("pager")) == (6, 0)


def test_a_sink_that_is_no_longer_named_is_forgotten_and_starts_afresh(path):
    SqliteState(path, ["syslog", "file"]).commit([], [event(1)])
    assert queued(SqliteState(path, ["syslog"]), "file") == []
    assert queued(SqliteState(path, ["syslog", "file"]), "file") == []
    assert queued(SqliteState(path, ["syslog", "file"]), "syslog") == [("i001", 1)]


def test_cleared_incidents_are_forgotten_after_a_while_and_open_ones_are_not(path):
    state = SqliteState(path, [], Params(keep_days=7))
    state.commit([incident(1), incident(2, state="cleared")], [])
    state.commit([], [event(3, at=START + timedelta(days=8))])
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT id FROM incidents").fetchall() == [("i001",)]


def test_threads_may_share_a_state(path):
    state = SqliteState(path, ["syslog"])

    def work(thread: int) -> None:
        for n in range(10):
            state.commit([incident(100 * thread + n)], [event(100 * thread + n)])
            state.set_cursors({f"poller {thread}": {"after": str(n)}})
            assert state.cursor(f"poller {thread}") == {"after": str(n)}

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(state.incidents()) == 40
    assert sorted(queued(state, "syslog")) == sorted(
        (f"i{100 * t + n:03d}", 1) for t in range(4) for n in range(10)
    )


COMMITTER = """
    from correlator.store.state import SqliteState
    from store_incidents import event, incident

    state = SqliteState(sys.argv[1], ["syslog"])
    for seq in range(int(sys.argv[2]), 10_000):
        state.commit([incident(1, seq=seq)], [event(1, seq)])
        print(seq, flush=True)
"""


def test_a_killed_process_leaves_incident_and_events_in_agreement(path):
    acknowledged = 0
    for kill_after in (1, 4, 2, 6, 3):
        committer = run(COMMITTER, path, acknowledged + 1)
        for _ in range(kill_after):
            acknowledged = int(committer.stdout.readline())
        committer.kill()
        committer.communicate(timeout=60)
        state = SqliteState(path, ["syslog"])
        # a commit that was killed before it was acknowledged may be recovered between two reads
        before, told, (kept,) = state.incidents(), queued(state, "syslog"), state.incidents()
        if before != [kept]:
            told = queued(state, "syslog")
        assert kept.seq >= acknowledged
        assert told == [("i001", seq) for seq in range(1, kept.seq + 1)]


FULL = """
    import resource
    from correlator.ports import StoreError
    from correlator.store.state import SqliteState
    from store_incidents import event, incident

    state = SqliteState(sys.argv[1], ["syslog"])
    state.commit([incident(1, seq=1)], [event(1)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    for n in range(2, 1000):
        try:
            state.commit([incident(1, seq=n)], [event(1, n)])
        except StoreError as error:
            print(error)
            break
    print(n, state.incidents()[0].seq, len(state.outgoing("syslog", 10_000)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    state.commit([incident(1, seq=n)], [event(1, n)])
    print(state.incidents()[0].seq, len(state.outgoing("syslog", 10_000)))
"""


def test_a_full_disk_is_one_sentence_and_nothing_is_half_kept(path):
    said, _ = run(FULL, path).communicate(timeout=60)
    error, before, after = said.splitlines()
    assert error.startswith(f"cannot write the state in {path}: ")
    failed, kept, events = map(int, before.split())
    assert kept == events == failed - 1
    assert after == f"{failed} {failed}"


def test_a_file_that_is_no_database_is_one_sentence(path):
    path.write_text("this is not a database" * 100)
    with pytest.raises(
        StoreError, match=r"cannot (open|write) the state in .*state.db: it is damaged or no SQLite"
    ):
        SqliteState(path, [])


def test_a_folder_in_the_place_of_the_file_is_one_sentence(tmp_path):
    with pytest.raises(StoreError, match="no permission"):
        SqliteState(tmp_path, [])


def test_a_document_of_another_version_is_one_sentence(path):
    state = SqliteState(path, ["syslog"])
    state.commit([incident(1)], [event(1)])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE incidents SET document = '{\"colour\": 1}'")
        connection.execute("UPDATE outbox SET document = '{'")
    for read in (state.incidents, lambda: state.outgoing("syslog", 1)):
        with pytest.raises(StoreError, match="written by another version"):
            read()
