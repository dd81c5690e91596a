"""The second sink: a file of its own, a line in the registry, these tests."""

import json
from pathlib import Path

import pytest
from alert_events import HOSTILE, ONSET, event, hostile_event

from correlator.alerts.fields import fields
from correlator.alerts.jsonlines import JsonLinesParams, JsonLinesSink
from correlator.alerts.sinks import SINKS
from correlator.alerts.text import line
from correlator.ports import SinkError


def test_the_registry_knows_it():
    assert SINKS["json_lines"] is JsonLinesSink
    assert SINKS["json_lines"].params_type is JsonLinesParams


def test_an_event_is_one_json_object_with_the_fields_and_the_text(tmp_path):
    path = tmp_path / "alerts.json"
    sink = JsonLinesSink(JsonLinesParams(path))
    assert sink.send([event(), event(seq=2)]) == 2
    assert sink.send([hostile_event(name) for name in HOSTILE]) == len(HOSTILE)
    sink.remark(ONSET, "held_back", 7, "7 alerts held back")
    wire = path.read_bytes()
    assert wire.isascii()
    read = [json.loads(one) for one in wire.splitlines()]
    assert read[0] == {"@timestamp": "2026-11-01T03:17:00+00:00", **fields(event()), "message": line(event())}
    assert len(read) == 2 + len(HOSTILE) + 1
    assert (read[-1]["event.action"], read[-1]["count"]) == ("held_back", "7")


def test_a_file_that_was_moved_away_is_made_anew(tmp_path):
    path = tmp_path / "alerts.json"
    sink = JsonLinesSink(JsonLinesParams(path))
    sink.send([event()])
    path.rename(tmp_path / "alerts.json.1")
    sink.send([event(seq=2)])
    assert json.loads(path.read_text())["seq"] == "2"


def test_a_full_disk_is_an_error_and_the_lines_wait():

    with pytest.raises(SinkError, match="No space left on device; alerts wait"):
        JsonLinesSink(JsonLinesParams(Path("/dev/full"))).send([event()])


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(SinkError, match="No such file"):
        JsonLinesSink(JsonLinesParams(tmp_path / "no" / "alerts.json")).send([event()])
