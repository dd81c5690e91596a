from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from correlator import frames
from correlator.commands.folder import Given, read_folder
from correlator.ports import CorrelatorError

NOW = datetime(2026, 11, 1, 4, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def interface(at, name, status="up"):
    return {"at": at, "device": "leaf1", "if_index": 1, "if_name": name, "oper_status": status}


def counters(*times, errors=0):
    rows = [
        {"at": at, "device": "leaf1", "if_index": 1, "if_name": "e1", "in_errors": errors} for at in times
    ]
    return frames.frame("counters", rows)


def write(folder, name, table):
    pq.write_table(frames.to_arrow(name, table), folder / f"{name}.parquet")


def test_tables_are_read_as_a_store_reads_them():
    given = Given({"counters": counters(NOW + MINUTE, NOW, NOW - MINUTE)})
    rows = given.read("counters", NOW, NOW + MINUTE)
    assert list(rows["at"]) == [pd.Timestamp(NOW)]
    assert list(given.read("counters", NOW, NOW + MINUTE, ["device"]).columns) == ["device"]
    assert given.read("optics", NOW, NOW + MINUTE).empty


def test_the_newest_row_of_each_key_is_found():
    rows = [interface(NOW, "e1"), interface(NOW + MINUTE, "e1", "down"), interface(NOW - MINUTE, "e2")]
    given = Given({"interfaces": frames.frame("interfaces", rows)})
    newest = given.newest("interfaces", NOW + MINUTE)
    assert dict(zip(newest["if_name"], newest["oper_status"], strict=True)) == {"e2": "up", "e1": "up"}
    assert given.newest("interfaces", NOW + 2 * MINUTE).set_index("if_name")["oper_status"]["e1"] == "down"


def test_counters_of_64_bits_survive_a_folder(tmp_path):
    write(tmp_path, "counters", counters(NOW, errors=2**64 - 1))
    given = read_folder(tmp_path)
    assert given.tables["counters"]["in_errors"].iloc[0] == 2**64 - 1
    assert given.span() == (NOW, NOW)


def test_hours_are_summed_up_where_no_hourly_table_is_given(tmp_path):
    times = [NOW + n * MINUTE for n in range(0, 200, 5)]
    table = counters(*times).assign(uptime_cs=pd.array([n * 30_000 for n in range(40)], dtype="UInt64"))
    for column in ("in_packets", "out_packets", "in_octets", "out_octets"):
        table[column] = pd.array([n * 1000 for n in range(40)], dtype="UInt64")
    for column in ("out_discards", "discontinuity_cs"):
        table[column] = pd.array([0] * 40, dtype="UInt64")
    for column in ("octets_width_bits", "errors_width_bits"):
        table[column] = pd.array([64] * 40, dtype="Int64")
    write(tmp_path, "counters", table)
    hours = read_folder(tmp_path).tables["link_hours"]
    assert set(hours["hour"]) == {
        pd.Timestamp(NOW.replace(minute=0)) + n * timedelta(hours=1) for n in range(3)
    }


def test_hourly_tables_that_are_given_stay_as_they_are(tmp_path):
    write(tmp_path, "counters", counters(NOW, NOW + timedelta(hours=3)))
    write(tmp_path, "link_hours", frames.empty("link_hours"))
    assert read_folder(tmp_path).tables["link_hours"].empty


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(CorrelatorError, match="no \\*\\.parquet files there"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("colours", pa.table({"at": [1]}), "there is no table 'colours'"),
        ("counters", pa.table({"at": ["yesterday"]}), "counters.at"),
        ("counters", pa.table({"device": ["leaf1"]}), "counters.at: null in 1 rows"),
    ],
)
def test_a_file_that_is_no_table_of_the_house_is_named(tmp_path, name, content, said):
    pq.write_table(content, tmp_path / f"{name}.parquet")
    with pytest.raises(CorrelatorError, match=said):
        read_folder(tmp_path)


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "counters.parquet").write_text("<html>")
    with pytest.raises(CorrelatorError, match=r"counters\.parquet: not a Parquet file"):
        read_folder(tmp_path)
