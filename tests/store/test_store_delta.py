"""What is particular to Delta Lake on a local disk."""

import os
import shutil
import subprocess
import tempfile
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Field, TableFeatures
from store_tables import END, START, counters, run

from correlator import frames
from correlator.ports import StoreError
from correlator.store import commit as commit_module
from correlator.store.columns import from_stored, stored_schema, table_schema, to_stored
from correlator.store.delta import DeltaStore, Params
from correlator.store.log import log_file


@pytest.fixture
def store(tmp_path) -> DeltaStore:
    return DeltaStore(tmp_path)


def rows(store: DeltaStore) -> int:
    return len(store.read("counters", START, END))


def append(store: DeltaStore, sequence: int) -> bool:
    return store.append("counters", counters(sequence), source="leaf1", sequence=sequence)


def test_the_folder_is_an_ordinary_delta_table(store, tmp_path):
    append(store, 1)
    outside = DeltaTable(tmp_path / "counters")
    assert outside.protocol().min_reader_version == 1
    assert outside.metadata().partition_columns == ["day"]
    assert [partition["day"] for partition in outside.partitions()] == ["2026-11-01"]
    assert pa.table(outside.to_pyarrow_table()).num_rows == 4
    fields = {field.name: field.metadata for field in outside.schema().fields}
    assert fields["in_octets"]["unsigned"] == "true"
    assert fields["in_octets"]["description"] == "octets received"


def test_the_bits_of_a_counter_are_stored_and_marked(store, tmp_path):
    table = frames.frame("counters", [{"at": START, "in_octets": 2**63}, {"at": START}])
    stored = to_stored("counters", frames.to_arrow("counters", table))
    assert stored.schema == stored_schema("counters")
    assert stored.column("in_octets").to_pylist() == [-(2**63), None]
    assert from_stored("counters", stored).column("in_octets").to_pylist() == [2**63, None]


def test_data_files_are_small_and_delta_encoded(store, tmp_path):
    append(store, 1)
    (path,) = tmp_path.glob("counters/day=*/*.parquet")
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    assert columns["in_octets"].compression == "ZSTD"
    assert "DELTA_BINARY_PACKED" in columns["in_octets"].encodings
    assert "DELTA_BINARY_PACKED" in columns["at"].encodings


def test_everything_is_on_the_disk_before_it_is_acknowledged(store, monkeypatch):
    append(store, 1)
    synced = []
    real = commit_module.sync
    monkeypatch.setattr(commit_module, "sync", lambda paths: synced.append(list(paths)) or real(synced[-1]))
    append(store, 2)
    data, log = synced
    assert [path.suffix for path in data] == [".parquet", ""]
    assert [path.name for path in log] == [f"{2:020d}.json", "_delta_log"]


def test_a_commit_that_a_power_cut_tore_is_set_aside(tmp_path):
    for sequence in (1, 2):
        append(DeltaStore(tmp_path), sequence)
    last = log_file(tmp_path / "counters", 2)
    last.write_bytes(last.read_bytes()[:100])
    store = DeltaStore(tmp_path)
    assert rows(store) == 4
    assert append(store, 2)
    assert rows(store) == rows(DeltaStore(tmp_path)) == 8


def test_an_empty_commit_that_a_power_cut_left_is_set_aside(tmp_path):
    append(DeltaStore(tmp_path), 1)
    log_file(tmp_path / "counters", 1).write_bytes(b"")
    store = DeltaStore(tmp_path)
    assert rows(store) == 0
    assert append(store, 1)
    assert rows(DeltaStore(tmp_path)) == 4


def test_a_table_that_a_power_cut_left_without_its_first_commit_is_made_again(tmp_path):
    append(DeltaStore(tmp_path), 1)
    for version in (0, 1):
        log_file(tmp_path / "counters", version).unlink()
    store = DeltaStore(tmp_path)
    assert rows(store) == 0
    assert append(store, 1)
    assert rows(store) == 4


def test_a_column_that_the_house_gained_is_added(store, tmp_path, monkeypatch):
    table = frames.TABLES["counters"]
    older = frames.Table(table.name, table.description, table.key, table.schema.remove(len(table.schema) - 1))
    with monkeypatch.context() as past:
        past.setitem(frames.TABLES, "counters", older)
        stored_schema.cache_clear()
        table_schema.cache_clear()
        append(DeltaStore(tmp_path), 1)
    stored_schema.cache_clear()
    table_schema.cache_clear()
    assert append(store, 2)
    read = store.read("counters", START, END)
    assert list(read.columns) == table.columns
    assert read["fec_uncorrected"].isna().all()
    assert len(DeltaStore(tmp_path).newest("counters", END)) == 4


def test_a_column_of_another_type_is_refused(store, tmp_path):
    schema = pa.schema([("at", frames.AT), ("device", pa.int64()), ("day", pa.date32())])
    DeltaTable.create(tmp_path / "counters", schema, partition_by=["day"])
    with pytest.raises(StoreError, match="column device has another type"):
        append(store, 1)


def test_a_table_with_features_that_we_do_not_read_is_refused(store, tmp_path):
    append(DeltaStore(tmp_path), 1)
    DeltaTable(tmp_path / "counters").alter.add_feature(
        TableFeatures.DeletionVectors, allow_protocol_versions_increase=True
    )
    with pytest.raises(StoreError, match="Delta features"):
        rows(store)


def test_columns_that_the_house_does_not_know_are_left_alone(store, tmp_path):
    append(store, 1)
    DeltaTable(tmp_path / "counters").alter.add_columns([Field("theirs", "string")])
    other = DeltaStore(tmp_path)
    assert append(other, 2)
    assert list(other.read("counters", START, END).columns) == frames.TABLES["counters"].columns
    assert rows(store) == 8


@pytest.fixture
def hasty(tmp_path) -> DeltaStore:
    """Return a store that deletes replaced files at once."""
    return DeltaStore(tmp_path, Params(vacuum_hours=0))


def test_maintenance_merges_files_and_deletes_what_it_replaced(hasty, tmp_path):
    for sequence in range(8):
        append(hasty, sequence)
    assert len(list(tmp_path.glob("counters/day=*/*.parquet"))) == 8
    hasty.maintain(START)
    assert len(list(tmp_path.glob("counters/day=*/*.parquet"))) == 1
    assert rows(hasty) == rows(DeltaStore(tmp_path)) == 32
    assert (tmp_path / "counters/_delta_log/_last_checkpoint").exists()


def test_a_reader_whose_files_are_vacuumed_away_reads_the_new_ones(hasty, tmp_path):
    reader = DeltaStore(tmp_path, Params(cache_mb=0))
    for sequence in range(4):
        append(hasty, sequence)
    table = reader._table("counters")
    old = table.files(START, END)
    hasty.maintain(START)
    looks = iter([old])
    fresh = table.files
    table.files = lambda since, until: next(looks, None) or fresh(since, until)
    assert rows(reader) == 16


def test_orphans_of_killed_writers_are_deleted(hasty, tmp_path):
    append(hasty, 1)
    (committed,) = tmp_path.glob("counters/day=*/*.parquet")
    orphan = committed.with_name("part-orphan.parquet")
    shutil.copy(committed, orphan)
    assert rows(DeltaStore(tmp_path)) == 4
    hasty.maintain(START)
    assert not orphan.exists()
    assert committed.exists()


def test_the_log_does_not_grow_for_ever(tmp_path):
    store = DeltaStore(tmp_path, Params(log_hours=0))
    for sequence in range(6):
        append(store, sequence)
    store.maintain(START)
    commits = list((tmp_path / "counters/_delta_log").glob("*.json"))
    assert len(commits) < 6
    assert append(store, 6)
    assert not append(DeltaStore(tmp_path), 6)
    assert rows(DeltaStore(tmp_path)) == 28


def checkpoints(folder):
    return sorted((folder / "counters/_delta_log").glob("*.checkpoint.parquet"))


def test_many_appends_are_summed_up_on_the_way(tmp_path):
    """Else each append costs more than the one before, until maintenance is due."""
    store = DeltaStore(tmp_path, Params(checkpoint_every=5))
    for sequence in range(1, 13):
        assert append(store, sequence)
    assert [int(path.name.split(".")[0]) for path in checkpoints(tmp_path)] == [5, 10]
    assert not append(store, 12)
    assert rows(store) == rows(DeltaStore(tmp_path)) == 48
    assert not append(DeltaStore(tmp_path), 12)


def test_without_room_for_a_checkpoint_appends_go_on(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("correlator.store.table.checkpoint", full)
    store = DeltaStore(tmp_path, Params(checkpoint_every=2))
    assert all(append(store, sequence) for sequence in range(1, 6))
    assert rows(store) == 20
    assert [record.message.split(":")[1] for record in caplog.records] == [" no checkpoint"] * 2


def test_a_half_written_checkpoint_is_set_aside(tmp_path, caplog):
    store = DeltaStore(tmp_path, Params(checkpoint_every=3))
    for sequence in range(1, 8):
        append(store, sequence)
    torn = checkpoints(tmp_path)[-1]
    torn.write_bytes(torn.read_bytes()[:100])
    again = DeltaStore(tmp_path)
    assert rows(again) == 28
    assert append(again, 8)
    assert not append(again, 7)
    assert "half written" in caplog.text
    assert torn not in checkpoints(tmp_path)


def test_days_beyond_their_keep_leave_no_file(hasty, tmp_path):
    append(hasty, 1)
    hasty.maintain(START + timedelta(days=8))
    assert list(tmp_path.glob("counters/day=*/*.parquet")) == []
    assert rows(hasty) == 0


def test_one_sick_table_does_not_keep_the_others_from_their_care(hasty, tmp_path):
    for sequence in range(3):
        append(hasty, sequence)
    hasty.append("polls", frames.frame("polls", [{"at": START}]), source="x", sequence=1)
    log = log_file(tmp_path / "counters", 0)
    log.write_text("{broken")
    for commit in tmp_path.glob("counters/_delta_log/*1.json"):
        commit.write_text("{broken")
    with pytest.raises(StoreError, match="maintain table counters"):
        DeltaStore(tmp_path, Params(vacuum_hours=0)).maintain(START)
    assert (tmp_path / "polls/_delta_log/_last_checkpoint").exists()


FULL = """
    import resource, signal
    from correlator.store.delta import DeltaStore
    from correlator.ports import StoreError
    from store_tables import counters

    store = DeltaStore(sys.argv[1])
    print(store.append("counters", counters(1), source="leaf1", sequence=1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    try:
        store.append("counters", counters(2, ports=2000), source="leaf1", sequence=2)
    except StoreError as error:
        print(error)
    print(len(list(store._root.glob("counters/day=*/*.parquet"))))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(store.append("counters", counters(2), source="leaf1", sequence=2))
"""


def test_a_full_disk_is_one_sentence_and_costs_only_its_own_rows(tmp_path):
    said, _ = run(FULL, tmp_path, 4096).communicate(timeout=60)
    first, error, files, retried = said.splitlines()
    assert (first, files, retried) == ("True", "1", "True")
    assert error.startswith(f"cannot write table counters in {tmp_path}/counters: no space is left; ")
    assert rows(DeltaStore(tmp_path)) == 8


DENIED = """
    import os
    from correlator.store.delta import DeltaStore
    from correlator.ports import StoreError
    from store_tables import END, START, counters

    # whatever loads late is loaded now: the other user may not be allowed to enter the packages' folder
    ready, _ = counters(2), DeltaStore(sys.argv[1]).read("counters", START, END)
    if os.geteuid() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
    store = DeltaStore(sys.argv[1])
    for attempt in (
        lambda: store.append("counters", counters(2), source="leaf1", sequence=2),
        lambda: store.append("polls", counters(2)[["at"]], source="leaf1", sequence=2),
        lambda: store.maintain(START),
    ):
        try:
            attempt()
        except StoreError as error:
            print(error)
    print(len(store.read("counters", START, END)))
"""


@pytest.fixture
def public():
    """Return a new folder that every user may enter (pytest's own are for one user)."""
    with tempfile.TemporaryDirectory(prefix="store-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_folder_without_permission_is_one_sentence_and_still_readable(public):
    folder = public / "tables"
    append(DeltaStore(folder), 1)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        said, _ = run(DENIED, folder).communicate(timeout=60)
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    *errors, read = said.splitlines()
    assert read == "4"
    assert [" ".join(error.split()[:4]) for error in errors] == [
        "cannot write table counters",
        "cannot write table polls",
        "cannot maintain table counters",
    ]
    assert all("no permission; make the folder writable" in error for error in errors)


def test_a_file_where_the_folder_should_be_is_one_sentence(tmp_path):
    (tmp_path / "tables").write_text("not a folder")
    with pytest.raises(StoreError, match=r"cannot write table counters in .*tables/counters: "):
        append(DeltaStore(tmp_path / "tables"), 1)


def until_it_fails(store: DeltaStore) -> tuple[int, StoreError]:
    """Return how many appends went well, and why the next did not."""
    for stored in range(10_000):
        try:
            store.append("counters", counters(stored, ports=500), source="leaf1", sequence=stored)
        except StoreError as error:
            return stored, error
    raise AssertionError("the disk never filled up")


@pytest.mark.real
@pytest.mark.root
def test_a_disk_that_is_really_full_loses_nothing_and_recovers(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.strip()}")
    try:
        store = DeltaStore(disk)
        stored, error = until_it_fails(store)
        assert "no space is left" in str(error)
        assert stored > 2
        assert rows(DeltaStore(disk)) == 500 * stored
        assert not list(disk.rglob("*.tmp"))
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        assert store.append("counters", counters(stored, ports=500), source="leaf1", sequence=stored)
        assert rows(DeltaStore(disk)) == 500 * (stored + 1)
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
