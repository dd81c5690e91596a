from __future__ import annotations

import json
import socket
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from correlator.commands import demo
from correlator.commands.fabric import Fabric
from correlator.commands.play import Outcome, Receiver, split, write_configuration
from correlator.config import load
from correlator.model import End, Incident, Link, PairImpact, Verdict, Window
from correlator.ports import CorrelatorError

NOW = datetime(2026, 11, 1, 4, 30, tzinfo=UTC)
LINK = Link.between(End("leaf2", "Ethernet49"), End("spine1", "Ethernet2"))
PAIR = PairImpact("c1", "c2", "web-1", "db-1", 5.0, 4.0, 6.0, 3.0, 0.5, 0.9)
VERDICT = Verdict(
    "i1", "link", LINK, "b_to_a", "dirty_connector", 0.98, "err", NOW, Window(NOW, NOW), pairs=(PAIR,)
)
FINDING = replace(VERDICT, id="i2", pairs=(), root_cause="damaged_fiber")


def outcome(verdicts=(VERDICT,), truth=(VERDICT,)) -> Outcome:
    told = [{**fault.to_json(), "injected": {"loss": 0.01}} for fault in truth]
    return Outcome(told, list(verdicts), [FINDING], ["<171>1 clean it"], Path("r.html"), Path("c.yaml"), 9.87)


@pytest.fixture
def ending(monkeypatch):
    """Let the demo end with what the test says."""

    def _ending(end: Outcome) -> None:
        monkeypatch.setattr(demo, "played", lambda *_: end)

    return _ending


def test_the_verdict_is_printed_beside_the_truth(correlator, ending):
    ending(outcome())
    code, out, _ = correlator("demo")
    assert code == 0
    assert out.count("dirty_connector") == 2
    assert (
        "alert    <171>1 clean it\nreport   r.html\nexplain  correlator explain -c c.yaml web-1 db-1\n" in out
    )
    assert out.endswith("the verdict is the truth (9.9 s)\n")


def test_a_verdict_that_is_not_the_truth_ends_with_1(correlator, ending):
    ending(outcome(verdicts=()))
    code, out, _ = correlator("demo")
    assert code == 1
    assert "nothing is slow" in out
    assert "the verdict is not the truth" in out


def test_where_nothing_is_wrong_both_say_so(correlator, ending):
    ending(outcome((), ()))
    code, out, _ = correlator("demo")
    assert (code, out.count("nothing is slow")) == (0, 2)


def test_json_has_the_promised_keys(correlator, ending):
    ending(outcome())
    _, out, _ = correlator("demo", "--json")
    document = json.loads(out)
    assert document["right"]
    assert document["truth"][0]["injected"] == {"loss": 0.01}
    assert [finding["id"] for finding in document["findings"]] == ["i2"]
    assert (document["report"], document["seconds"], document["alerts"]) == (
        "r.html",
        9.87,
        ["<171>1 clean it"],
    )


def test_a_story_that_there_is_not_is_wrong_usage(correlator):
    assert correlator("demo", "--story", "earthquake")[0] == 2


def test_the_real_lab_tells_one_story_as_text(correlator):
    assert correlator("demo", "--lab", "--json")[0] == 2
    assert correlator("demo", "--lab", "--story", "congestion")[0] == 2


def test_without_its_source_there_is_no_real_lab(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "SHOW", tmp_path / "show.py")
    with pytest.raises(CorrelatorError, match="the lab is part of the source"):
        demo.demo(lab=True)


@pytest.mark.parametrize(("ends_with", "code"), [("pass", 0), ("raise SystemExit(3)", 1)])
def test_the_real_lab_is_shown_by_its_own_program(correlator, monkeypatch, tmp_path, ends_with, code):
    show = tmp_path / "show.py"
    show.write_text(f"import pathlib, sys\npathlib.Path(sys.argv[2] + '.told').touch()\n{ends_with}\n")
    monkeypatch.setattr(demo, "SHOW", show)
    assert correlator("demo", "--lab", "--directory", str(tmp_path))[0] == code
    assert (tmp_path / "lab.told").exists()


def test_a_fabric_that_does_not_start_is_said_with_its_last_words(tmp_path):
    with pytest.raises(CorrelatorError, match=r"did not start; it last said .*--leaves.* see .*fabric\.log"):
        demo.played(1, None, tmp_path, more=["--leaves", "nine"])


def test_what_an_earlier_demo_left_is_removed_and_nothing_else(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "state.sqlite").touch()
    (tmp_path / "mine.txt").touch()
    demo._clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_open_incidents_are_verdicts_where_they_hurt_pairs_and_else_findings():
    states = (("i1", "open", VERDICT), ("i2", "open", FINDING), ("i3", "pending", VERDICT))
    incidents = [Incident(name, name, state, said, NOW, NOW) for name, state, said in states]
    assert split(incidents) == ([VERDICT], [FINDING])


def test_lines_wait_at_the_receiver():
    with Receiver() as receiver, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for line in (b"one", b"tw\xff"):
            sender.sendto(line, ("127.0.0.1", receiver.port))
        assert receiver.lines() == ["one", "tw\ufffd"]
        assert receiver.lines() == []


def test_the_fabric_is_configured_as_a_user_would_with_its_secrets_in_files(tmp_path):
    switch = {
        "name": "leaf1",
        "address": "127.0.0.1",
        "port": 1161,
        "community": "hunter2",
        "site": "ams1",
        "rack": None,
        "forwarding": "cut_through",
    }
    description = {
        "switches": [switch],
        "hosts": [{"id": "host1", "url": "http://127.0.0.1:1", "token": "hunter3"}],
    }
    path = write_configuration(tmp_path, Fabric(tmp_path, description), 5514)
    config = load(path)
    assert "hunter" not in path.read_text()
    assert config.community(config.switches[0]) == "hunter2"
    assert config.token(config.hosts[0]) == "hunter3"
    assert (config.switches[0].forwarding, config.alerts.syslog[0].port) == ("cut_through", 5514)
    assert (tmp_path / "secrets" / "leaf1").stat().st_mode & 0o077 == 0
