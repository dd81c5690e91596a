"""The agent protocol's schema."""

from __future__ import annotations

from correlator import frames
from correlator.pollers.protocol import TABLES, agent_schema


def test_the_schema_names_every_column_of_every_table() -> None:
    _, *rows = agent_schema()["oneOf"]
    assert [row["title"] for row in rows] == list(TABLES)
    for row in rows:
        columns = row["properties"]["row"]["properties"]
        assert list(columns) == frames.TABLES[row["title"]].columns
        assert all(column["description"] for column in columns.values())


def test_the_schema_asks_for_the_whole_header() -> None:
    head = agent_schema()["oneOf"][0]
    assert set(head["required"]) == {
        "schema",
        "agent",
        "boot_id",
        "epoch",
        "first_seq",
        "next_seq",
        "dropped",
    }
    assert head["additionalProperties"] is False


def test_what_may_be_absent_may_be_null() -> None:
    _, hosts, *_ = agent_schema()["oneOf"]
    columns = hosts["properties"]["row"]["properties"]
    assert columns["nic"]["type"] == ["string", "null"]
    assert columns["at"]["type"] == "string"
