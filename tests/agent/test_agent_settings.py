"""Settings from file, environment and flags; what the check says; the collector without a kernel."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from correlator.agent.collector import Collector, Params
from correlator.agent.figures import DESCRIPTIONS, Figures
from correlator.agent.namespaces import Watch, is_sandbox
from correlator.agent.registry import Container, Registry
from correlator.agent.roster import Params as RosterParams
from correlator.agent.roster import Roster
from correlator.agent.settings import Settings, SettingsError, load

TOKEN = "token_env=AGENT_TEST_TOKEN"
LOCAL = (TOKEN, "address=127.0.0.1")


def refusal(*overrides, text=None, tmp_path=None, environment=None):
    path = None
    if text is not None:
        path = tmp_path / "agent.yaml"
        path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(path, overrides, environment or {})
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_defaults_are_those_of_docker():
    settings = load(None, LOCAL, {})
    assert settings.docker_url == "unix:///run/docker.sock"
    assert settings.netns_directory == Path("/run/docker/netns")


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path):
    path = tmp_path / "agent.yaml"
    path.write_text("token_env: T\naddress: 127.0.0.1\nport: 1\nid: file\nspool_max_mb: 3\n")
    settings = load(path, ["port=3"], {"CORRELATOR_AGENT_PORT": "2", "CORRELATOR_AGENT_ID": "env"})
    assert (settings.port, settings.id, settings.spool_max_mb) == (3, "env", 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot: 1\n", "agent.yaml:1: prot: unknown key; did you mean port?"),
        ("id: a\nport: many\n", "agent.yaml:2: port: must be a whole number"),
        ("port: 70000\n", "agent.yaml:1: port: must be between 0 and 65535"),
        ("port: [1]\n", "agent.yaml:1: port: must be one value"),
        ("port: 1\nport: 2\n", "agent.yaml:2: port: given twice"),
        ("- 1\n", "agent.yaml:1: must be a mapping"),
        ("a: [\n", "agent.yaml:2: not YAML"),
        ("token_env: A\ntoken_file: b\n", "agent.yaml:1: token_env: token_file is given as well"),
        ("token_env: A\n", "in the clear"),
        ("address: 127.0.0.1\n", "anybody could read"),
        ("token_env: A\ncertificate_file: c\n", "certificate_file and key_file go together"),
    ],
)
def test_an_error_names_its_place_and_the_remedy(tmp_path, text, said):
    assert said in refusal(text=text, tmp_path=tmp_path)


def test_a_token_comes_from_a_file_or_the_environment_and_is_long(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENT_TEST_TOKEN", "short")
    with pytest.raises(SettingsError, match="16 characters"):
        load(None, LOCAL, {}).token()
    monkeypatch.setenv("AGENT_TEST_TOKEN", "long-enough-for-a-token\n")
    assert load(None, LOCAL, {}).token() == "long-enough-for-a-token"
    (tmp_path / "token").write_text("another-long-enough-one\n")
    assert Settings(token_file=tmp_path / "token").token() == "another-long-enough-one"
    with pytest.raises(SettingsError, match="No such file"):
        Settings(token_file=tmp_path / "nowhere").token()


def test_wrong_settings_end_with_2_and_one_sentence():
    done = subprocess.run(
        [sys.executable, "-m", "correlator.agent", "--set", "prot=1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "correlator agent: --set prot: unknown key; did you mean port?\n"


def test_the_check_names_what_is_missing(tmp_path):
    settings = [
        *LOCAL,
        f"spool_directory={tmp_path}",
        "docker_url=unix:///nowhere.sock",
        "netns_directory=/nowhere",
    ]
    flags = [flag for one in settings for flag in ("--set", one)]
    done = subprocess.run(
        [sys.executable, "-m", "correlator.agent", "--check", *flags],
        capture_output=True, text=True, check=False, env={"AGENT_TEST_TOKEN": "x" * 20},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "MISSING  docker: unix:///nowhere.sock" in done.stdout
    assert "MISSING  namespaces: /nowhere: No such file or directory; mount" in done.stdout
    assert f"ok       spool: {tmp_path}" in done.stdout


# -- namespaces and intervals without a kernel ------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [("0123456789ab", True), ("1-abcdefghij", False), ("lb_0123456", False),
     ("ingress_sbox", False), ("default", False),
     ("", False), ("../../etc/x", False), ("0123456789ab\n", False), ("a" * 65, False)],
)  # fmt: skip
def test_only_sandboxes_are_entered(name, expected):
    assert is_sandbox(name) is expected


def test_a_folder_that_comes_later_is_watched_from_its_first_file(tmp_path):
    folder = tmp_path / "exec" / "netns"
    watch = Watch(folder)
    assert not watch.attach()
    assert watch.was_missing
    folder.mkdir(parents=True)
    watch.created()
    assert watch.attach()
    (folder / "0123456789ab").touch()
    assert watch.created() == ["0123456789ab"]
    (folder / "0123456789ab").unlink()
    folder.rmdir()
    assert watch.created() == []
    assert not watch.attach()
    watch.close()


@pytest.fixture
def collector(tmp_path):
    """A collector with clocks to be set, and no kernel behind it."""
    clocks = {"now": 100.0, "wall": datetime(2026, 11, 23, tzinfo=UTC)}
    made = Collector(
        Params(), tmp_path, Registry(), Figures(), now=lambda: clocks["now"], wall=lambda: clocks["wall"]
    )
    made.clocks = clocks
    return made


def passed(collector, seconds, jump=0.0):
    collector.clocks["now"] += seconds
    collector.clocks["wall"] += timedelta(seconds=seconds + jump)
    collector.finish()
    return collector.finished.get_nowait()


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_jumps_marks_one_interval_and_bends_none(collector, jump):
    assert passed(collector, 10).note == ""
    jumped = passed(collector, 10, jump)
    assert jumped.note == f"the clock jumped by {jump:+.0f} s"
    assert jumped.seconds == pytest.approx(10)
    assert passed(collector, 10).note == ""


def test_intervals_that_nobody_takes_are_dropped_and_counted_not_kept(collector):
    for _ in range(20):
        collector.finish()
    assert collector.finished.qsize() == 6


@pytest.fixture
def roster(tmp_path):
    made = Roster(RosterParams(), tmp_path, Registry(), Figures(), datetime(2026, 11, 23, tzinfo=UTC))
    made.by_name["host"] = type("Host", (), {"identity": (0, 0)})()
    return made


def test_a_namespace_that_never_can_be_entered_is_given_up_and_counted(roster, tmp_path):
    (tmp_path / "0123456789ab").touch()
    roster.expect("0123456789ab", 1.0, from_birth=True)
    roster.enter_pending(1.5)
    assert list(roster._pending) == ["0123456789ab"]
    roster.enter_pending(2.5)
    assert roster._pending == {}
    assert roster._figures.counts()["namespaces_missed"] == 1


def test_the_api_is_the_second_way_and_asked_once(roster):
    one = Container("cd" * 32, "a", sandbox="0123456789ab", sandbox_path="/x", pid=1)
    roster._registry.put(one, 1.0)
    roster.look(1.0)
    assert [str(path) for path in roster._pending["0123456789ab"].paths][1:] == ["/x"]
    roster._pending.clear()
    roster.look(2.0)
    assert roster._pending == {}


def test_every_figure_is_described():
    figures = Figures()
    figures.count("rows", 3)
    assert figures.counts().keys() == DESCRIPTIONS.keys()
