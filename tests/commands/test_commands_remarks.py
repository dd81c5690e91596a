from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from correlator import frames
from correlator.cli import app
from correlator.config import load
from correlator.model import Course, End, Incident, Link, Verdict, Window
from correlator.wiring import open_state, open_store, opened, write_report

OPENED = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
NOW = Window(OPENED, OPENED)
LINK = Link.between(End("leaf2", "Ethernet49"), End("spine1", "Ethernet2"))


def incident(number: int, severity: str = "err", state: str = "open", link: Link | None = LINK) -> Incident:
    verdict = Verdict(
        f"abc{number}",
        "link",
        link,
        "b_to_a",
        "dirty_connector",
        0.98,
        severity,
        OPENED,
        Window(OPENED, OPENED),
    )
    return Incident(f"abc{number}", f"link {number}", state, verdict, OPENED, OPENED, OPENED, course=Course())


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "correlator.yaml"
    path.write_text(
        "store: {path: tables}\nstate: {path: state.sqlite}\nreport: {directory: reports}\n"
        "switches: [{name: leaf2, address: 192.0.2.1, site: ams1}]\n"
    )
    devices = frames.frame("devices", [{"at": datetime.now(UTC), "device": "leaf2", "site": "ams1"}])
    open_store(load(path)).append("devices", devices, source="leaf2", sequence=1)
    open_state(load(path)).commit([incident(1, "warning"), incident(2), incident(3, "err", "pending")], [])
    return path


@pytest.fixture
def run(config):
    def _run(*words: str):
        return CliRunner().invoke(app, [*words, "--config", str(config)], env={"COLUMNS": "200"})

    return _run


def kept(config):
    settings = load(config)
    return open_store(settings).newest("annotations", datetime.now(UTC)).to_dict("records")


def test_incidents_lists_what_is_open_most_severe_first(run):
    read = json.loads(run("incidents", "--json").stdout)["incidents"]
    assert [one["id"] for one in read] == ["abc2", "abc1"]
    assert {"verdict", "opened_at", "acknowledged", "quiet"} <= set(read[0])
    shown = run("incidents").stdout
    assert "dirty_connector on spine1 Ethernet2 -> leaf2 Ethernet49" in shown
    assert "abc3" not in shown


def test_where_nothing_is_open_that_is_said(tmp_path, run, config):
    open_state(load(config)).commit([incident(1, state="cleared"), incident(2, state="cleared")], [])
    assert run("incidents").stdout.strip() == "no incident is open"


def test_an_acknowledgement_is_kept_with_who_when_and_why(run, config):
    assert run("ack", "abc1", "--by", "anna", "--reason", "ticket 7").exit_code == 0
    (row,) = kept(config)
    assert (row["subject"], row["kind"], row["by"], row["why"]) == ("abc1", "ack", "anna", "ticket 7")
    read = json.loads(run("incidents", "--json").stdout)["incidents"]
    assert read[1]["acknowledged"].startswith("anna, ")
    assert read[1]["acknowledged"].endswith(": ticket 7")
    assert read[0]["acknowledged"] == ""


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("leaf2", "leaf2"),
        ("ams1", "ams1"),
        ("leaf2 Ethernet49", "leaf2 Ethernet49"),
        ("spine1 Ethernet2 - leaf2 Ethernet49", "leaf2 Ethernet49 - spine1 Ethernet2"),
        ("abc1", "abc1"),
    ],
)
def test_a_silence_is_kept_and_the_incident_is_shown_as_silenced(run, config, subject, name):
    done = run("silence", subject, "--until", "8h", "--reason", "rebuilt", "--by", "anna")
    assert done.exit_code == 0, done.output
    (row,) = kept(config)
    assert (row["subject"], row["kind"], row["by"], row["why"]) == (name, "silence", "anna", "rebuilt")
    assert timedelta(hours=7) < row["until"] - datetime.now(UTC) < timedelta(hours=9)
    assert "silenced by anna: rebuilt" in run("incidents").stdout


def test_a_silence_can_be_ended(run, config):
    run("silence", "leaf2", "--until", "8h", "--reason", "rebuilt")
    assert run("silence", "leaf2", "--until", "now", "--reason", "done").exit_code == 0
    assert "silenced" not in run("incidents").stdout


def test_a_cleaning_is_kept(run, config):
    assert run("cleaned", "leaf2 Ethernet49", "--by", "bo").exit_code == 0
    (row,) = kept(config)
    assert (row["subject"], row["kind"], row["by"]) == ("leaf2 Ethernet49", "cleaned", "bo")


def concluded(config):
    """Run one cycle of the service on what is stored; return the events that it made."""

    async def cycle():
        async with opened(load(config)) as chain:
            made, _ = chain.conclude(datetime.now(UTC))
            chain.copy_events()
            return made.events

    return asyncio.run(cycle())


def test_a_closed_incident_is_kept_with_who_when_and_why_and_ends_with_the_next_cycle(run, config):
    done = run("close", "abc2", "--reason", "the link was taken away", "--by", "anna")
    assert done.exit_code == 0, done.output
    assert "closed: abc2, by anna" in done.output
    (row,) = kept(config)
    assert (row["subject"], row["kind"], row["by"]) == ("abc2", "closed", "anna")
    assert row["why"] == "the link was taken away"
    assert abs(row["at"] - datetime.now(UTC)) < timedelta(minutes=5)
    shown = {one["id"]: one for one in json.loads(run("incidents", "--json").stdout)["incidents"]}
    assert shown["abc2"]["closed"] == f"closed by anna: the link was taken away ({row['at']:%Y-%m-%d %H:%MZ})"
    assert shown["abc1"]["closed"] == ""
    assert "closed by anna" in run("incidents").stdout

    ended = [event for event in concluded(config) if event.event == "cleared"]
    assert [(event.incident, event.reason) for event in ended] == [
        ("abc2", "closed by anna: the link was taken away (not measured healthy)")
    ]
    assert [one["id"] for one in json.loads(run("incidents", "--json").stdout)["incidents"]] == ["abc1"]

    settings, now = load(config), datetime.now(UTC) + timedelta(seconds=1)
    page = write_report(open_store(settings), settings, row["at"].date(), now).read_text()
    assert "Closed by hand" in page
    assert "by anna: the link was taken away" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ack", "xyz"), "open are"),
        (("ack", "abc"), "is not one open incident"),
        (("close", "xyz", "--reason", "r"), "'xyz' is no open incident; open are: abc"),
        (("close", "abc3", "--reason", "r"), "'abc3' is no open incident"),
        (("close", "abc", "--reason", "r"), "is not one open incident"),
        (("close", "abc1"), "--reason"),
        (("cleaned", "leaf2"), "nothing here is called"),
        (("silence", "leaf3", "--until", "8h", "--reason", "r"), "did you mean"),
        (("silence", "leaf2", "--until", "friday", "--reason", "r"), "is no time"),
        (("silence", "leaf2", "--until", "2020-01-01", "--reason", "r"), "is past"),
        (("silence", "leaf2", "--until", "8h"), "--reason"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(run, config, words, said):
    done = run(*words)
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())
    assert kept(config) == []


@pytest.mark.parametrize("until", ["90m", "3d", "23:59", "2099-12-01", "2099-12-01T18:00+01:00"])
def test_times_may_be_given_in_many_ways(run, config, until):
    assert run("silence", "leaf2", "--until", until, "--reason", "r").exit_code == 0
    assert kept(config)[0]["until"] > datetime.now(UTC)
