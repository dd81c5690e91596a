"""What every store keeps to, whatever it is made of."""

from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest

from correlator import frames
from correlator.ports import Batch, Store
from correlator.store.delta import DeltaStore, Params

BACK_ENDS = {
    "delta": DeltaStore,
    "delta, nothing in memory": lambda path: DeltaStore(path, Params(cache_file_mb=0)),
}
START = datetime(2026, 11, 1, 23, 50, tzinfo=UTC)
LATER = START + timedelta(days=1)


@pytest.fixture(params=BACK_ENDS)
def make(request, tmp_path):
    """Return a function that opens the same store, as a new process would."""
    return lambda: BACK_ENDS[request.param](tmp_path / "tables")


@pytest.fixture
def store(make) -> Store:
    return make()


def counters(minute: int, ports: int = 3, octets: int = 0, device: str = "leaf1") -> pd.DataFrame:
    at = START + timedelta(minutes=minute)
    return frames.frame(
        "counters",
        (
            {
                "at": at,
                "device": device,
                "if_index": port,
                "if_name": f"Ethernet{port}",
                "in_octets": octets + port,
            }
            for port in range(1, ports + 1)
        ),
    )


def everything(store: Store, name: str = "counters") -> pd.DataFrame:
    return store.read(name, START - timedelta(days=30), LATER)


def test_an_unknown_past_is_an_empty_table(store):
    pd.testing.assert_frame_equal(everything(store), frames.empty("counters"))
    pd.testing.assert_frame_equal(store.newest("devices", LATER), frames.empty("devices"))


def test_what_was_appended_is_read_by_this_and_by_another_process(store, make):
    table = counters(0)
    assert store.append("counters", table, source="leaf1", sequence=1)
    pd.testing.assert_frame_equal(everything(store), table)
    pd.testing.assert_frame_equal(everything(make()), table)


@pytest.mark.parametrize("name", frames.TABLES)
def test_every_table_comes_back_as_it_was_nulls_included(store, make, name):
    kinds = {
        frames.AT: START + timedelta(microseconds=123457),
        frames.STRING: 'naïve "name"\n\u202e',
        frames.BOOL: True,
        frames.FLOAT: -3.25,
        frames.INT: -7,
        frames.U64: 2**64 - 1,
        frames.STRINGS: ["a", "b"],
        frames.INTS: [1, 2, 3],
    }
    full = {field.name: kinds[field.type] for field in frames.TABLES[name].schema}
    table = frames.frame(name, [full, {"at": START + timedelta(seconds=1)}])
    store.append(name, table, source="test", sequence=0)
    pd.testing.assert_frame_equal(everything(store, name), table)
    pd.testing.assert_frame_equal(everything(make(), name), table)


@pytest.mark.parametrize("value", [0, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 5, 2**64 - 1])
def test_a_counter_keeps_all_its_64_bits(store, make, value):
    table = frames.frame("counters", [{"at": START, "device": "leaf1", "in_octets": value}])
    store.append("counters", table, source="leaf1", sequence=1)
    assert int(everything(make())["in_octets"].iloc[0]) == value
    assert int(make().newest("counters", LATER)["in_octets"].iloc[0]) == value


def test_a_repeated_append_writes_nothing(store, make):
    assert store.append("counters", counters(0), source="leaf1", sequence=5)
    assert not store.append("counters", counters(0), source="leaf1", sequence=5)
    assert not make().append("counters", counters(0), source="leaf1", sequence=5)
    assert not make().append("counters", counters(1), source="leaf1", sequence=4)
    assert len(everything(store)) == 3


def test_sources_count_apart(store):
    assert store.append("counters", counters(0), source="leaf1", sequence=5)
    assert store.append("counters", counters(0, device="leaf2"), source="leaf2", sequence=1)
    assert store.append("polls", frames.frame("polls", [{"at": START}]), source="leaf1", sequence=5)
    assert len(everything(store)) == 6
    assert len(everything(store, "polls")) == 1


def test_no_rows_leave_no_trace(store):
    assert store.append("counters", frames.empty("counters"), source="leaf1", sequence=1)
    assert store.append("counters", counters(0), source="leaf1", sequence=1)
    assert len(everything(store)) == 3


def test_another_process_sees_what_is_appended_after_it_looked(make):
    writer, reader = make(), make()
    for minute in range(4):
        writer.append("counters", counters(minute), source="leaf1", sequence=minute)
        assert len(everything(reader)) == 3 * (minute + 1)
        assert len(reader.newest("counters", LATER)) == 3


def test_the_window_is_half_open_and_ordered(store):
    for sequence, minute in enumerate((3, 1, 2, 0)):
        store.append("counters", counters(minute, ports=1), source="leaf1", sequence=sequence)
    rows = store.read("counters", START + timedelta(minutes=1), START + timedelta(minutes=3))
    assert list(rows["at"]) == [START + timedelta(minutes=1), START + timedelta(minutes=2)]


def test_a_window_may_be_given_in_any_time_zone(store):
    store.append("counters", counters(0), source="leaf1", sequence=1)
    kolkata = timezone(timedelta(hours=5, minutes=30))
    since = START.astimezone(kolkata)
    assert len(store.read("counters", since, since + timedelta(minutes=1))) == 3
    with pytest.raises(ValueError, match="no time zone"):
        store.read("counters", START.replace(tzinfo=None), LATER)


def test_a_table_over_midnight_is_one_table(store, make):
    table = pd.concat([counters(minute) for minute in (0, 9, 10, 11, 60 * 20)], ignore_index=True)
    store.append("counters", table, source="leaf1", sequence=1)
    pd.testing.assert_frame_equal(everything(make()), table)
    assert len(store.read("counters", START, START + timedelta(minutes=10))) == 6


def test_columns_are_those_asked_for(store):
    store.append("counters", counters(0), source="leaf1", sequence=1)
    rows = store.read("counters", START, LATER, columns=["in_octets", "device"])
    assert list(rows.columns) == ["in_octets", "device"]
    assert list(rows["in_octets"]) == [1, 2, 3]
    with pytest.raises(frames.FrameError, match="no_such"):
        store.read("counters", START, LATER, columns=["no_such"])


def test_a_table_of_another_shape_is_refused_and_nothing_is_written(store):
    good = Batch({"counters": counters(0)}, "leaf1", 1, {})
    bad = Batch({"polls": pd.DataFrame({"at": [START], "colour": ["red"]})}, "leaf1", 1, {})
    with pytest.raises(frames.FrameError, match="colour"):
        store.append("polls", bad.tables["polls"], source="leaf1", sequence=1)
    with pytest.raises(frames.FrameError, match="colour"):
        store.append_batches([good, bad])
    with pytest.raises(frames.FrameError, match="no table 'nonsense'"):
        store.append("nonsense", counters(0), source="leaf1", sequence=1)
    assert everything(store).empty
    assert everything(store, "polls").empty


def test_newest_is_the_last_row_of_each_key_before_a_time(store):
    for minute in range(3):
        store.append("counters", counters(minute, octets=minute * 100), source="leaf1", sequence=minute)
    until = START + timedelta(minutes=2)
    assert list(store.newest("counters", until)["in_octets"]) == [101, 102, 103]
    assert list(store.newest("counters", LATER)["in_octets"]) == [201, 202, 203]
    assert list(store.newest("counters", until)["in_octets"]) == [101, 102, 103]


def test_newest_takes_late_rows_for_what_they_are(store):
    store.append("counters", counters(5, octets=500), source="leaf1", sequence=1)
    assert list(store.newest("counters", LATER)["in_octets"]) == [501, 502, 503]
    store.append("counters", counters(3, ports=4, octets=300), source="other", sequence=1)
    assert list(store.newest("counters", LATER)["in_octets"]) == [304, 501, 502, 503]


def test_newest_forgets_what_was_silent_for_long_but_not_what_people_said(store):
    store.append("counters", counters(0), source="leaf1", sequence=1)
    said = frames.frame("annotations", [{"at": START, "subject": "leaf1", "kind": "ack", "by": "ann"}])
    store.append("annotations", said, source="ann", sequence=1)
    much_later = START + timedelta(days=6)
    assert store.newest("counters", much_later).empty
    assert len(store.newest("annotations", much_later)) == 1


def test_what_newest_returned_may_be_changed_without_harm(store):
    store.append("counters", counters(0), source="leaf1", sequence=1)
    mine = store.newest("counters", LATER)
    mine["device"] = "spoiled"
    assert set(store.newest("counters", LATER)["device"]) == {"leaf1"}


def test_batches_are_stored_table_by_table_and_only_once(store):
    def batch(device: str, sequence: int) -> Batch:
        poll = frames.frame("polls", [{"at": START, "target": device, "ok": True}])
        return Batch({"polls": poll, "counters": counters(sequence, device=device)}, device, sequence, {})

    store.append_batches([batch("leaf1", 1), batch("leaf2", 1)])
    store.append_batches([batch("leaf1", 1), batch("leaf2", 2), batch("leaf2", 2)])
    store.append_batches([])
    assert len(everything(store)) == 9
    assert list(everything(store, "polls")["target"]) == ["leaf1", "leaf2", "leaf2"]


def test_maintenance_changes_no_row_that_is_kept(store, make):
    for minute in range(12):
        store.append("counters", counters(minute, octets=2**63), source="leaf1", sequence=minute)
    before = everything(store)
    store.maintain(START + timedelta(hours=1))
    pd.testing.assert_frame_equal(everything(store), before)
    pd.testing.assert_frame_equal(everything(make()), before)
    assert len(store.newest("counters", LATER)) == 3
    assert not store.append("counters", counters(11), source="leaf1", sequence=11)
    assert store.append("counters", counters(12), source="leaf1", sequence=12)
    assert len(everything(make())) == len(before) + 3


def test_maintenance_drops_what_is_beyond_its_keep(store, make):
    hour = frames.frame("link_hours", [{"at": START, "device": "leaf1", "metric": "errors"}])
    store.append("link_hours", hour, source="rollup", sequence=1)
    store.append("counters", counters(0), source="leaf1", sequence=1)
    store.append("counters", counters(60 * 24 * 20), source="leaf1", sequence=2)
    store.maintain(START + timedelta(days=20))
    kept = store.read("counters", START - timedelta(days=1), START + timedelta(days=30))
    assert len(kept) == 3
    assert len(everything(make(), "link_hours")) == 1
