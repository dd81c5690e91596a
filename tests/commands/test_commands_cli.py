from __future__ import annotations

import json
import subprocess
import sys

import pytest

from correlator.commands import once
from correlator.commands.verdicts import Conclusions
from correlator.model import Verdict

LINK = {"a": {"device": "leaf2", "if_name": "Ethernet49"}, "b": {"device": "spine1", "if_name": "Ethernet2"}}
PAIR = dict.fromkeys(
    ("slower_by", "slower_by_low", "slower_by_high", "network_ms", "service_ms", "share_explained"), 2.0
) | dict.fromkeys(("src", "dst", "src_name", "dst_name"), "x")


def said(**changes) -> Verdict:
    document = {
        "id": "i1",
        "kind": "link",
        "link": LINK,
        "direction": "b_to_a",
        "root_cause": "dirty_connector",
        "probability": 0.98,
        "severity": "err",
        "onset": None,
        "window": {"since": "2026-11-01T04:00:00Z", "until": "2026-11-01T04:30:00Z"},
        "actions": [
            {"step": 1, "do": "inspect_and_clean", "device": "leaf2", "if_name": "Ethernet49", "side": "rx"}
        ],
        "pairs": [PAIR],
    }
    return Verdict.from_json({**document, **changes})


VERDICT, FINDING = said(), said(pairs=[], severity="warning", root_cause="damaged_fiber")


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "correlator.yaml"
    path.write_text("store: {path: tables}\nstate: {path: state.sqlite}\nreport: {directory: reports}\n")
    return path


@pytest.fixture
def concluding(monkeypatch):
    """Let ``once`` conclude what the test says."""

    def _concluding(verdicts=(), findings=()):
        async def concluded(_):
            return Conclusions(verdicts, findings)

        monkeypatch.setattr(once, "_once", concluded)

    return _concluding


def test_the_command_line_starts_without_the_heavy_libraries():
    heavy = {"pandas", "pyarrow", "pysnmp", "numpy"}
    code = f"import sys, correlator.cli; print(sorted({heavy} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


def test_without_a_command_the_commands_are_listed(correlator):
    _, out, _ = correlator()
    for name in ("demo", "poll", "check", "run", "once", "replay", "explain", "report"):
        assert name in out


def test_a_mistyped_command_is_wrong_usage(correlator):
    code, out, err = correlator("chek")
    assert (code, out) == (2, "")
    assert "chek" in err


@pytest.mark.parametrize("command", ["check", "run", "once", "report"])
def test_a_wrong_configuration_ends_each_command_with_one_line_and_2(correlator, tmp_path, command):
    path = tmp_path / "c.yaml"
    path.write_text("switchs: []\n")
    code, out, err = correlator(command, "-c", path)
    assert (code, out) == (2, "")
    assert err == f"correlator: {path}:1: switchs: unknown key; did you mean switches?\n"


def test_a_configuration_that_is_not_there_is_said(correlator, tmp_path):
    code, _, err = correlator("check", "-c", tmp_path / "no.yaml")
    assert code == 2
    assert "no.yaml: No such file or directory" in err


def test_a_report_that_cannot_be_written_ends_with_1_and_no_traceback(correlator, config, tmp_path):
    (tmp_path / "reports").write_text("a file where the folder should be")
    code, out, err = correlator("report", "-c", config)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_once_on_an_empty_configuration_finds_nothing(correlator, config):
    code, out, _ = correlator("once", "-c", config, "--json", "--fail-on", "finding")
    assert (code, json.loads(out)) == (0, {"verdicts": [], "findings": []})


@pytest.mark.parametrize(
    ("verdicts", "findings", "fail_on", "code"),
    [
        ([VERDICT], [], None, 0),
        ([VERDICT], [], "verdict", 1),
        ([VERDICT], [], "finding", 1),
        ([], [FINDING], "verdict", 0),
        ([], [FINDING], "finding", 1),
        ([], [], "finding", 0),
    ],
)
def test_scripts_say_what_they_fail_on(correlator, config, concluding, verdicts, findings, fail_on, code):
    concluding(verdicts, findings)
    option = ["--fail-on", fail_on] if fail_on else []
    assert correlator("once", "-c", config, *option)[0] == code


def test_a_verdict_is_told_in_a_line_with_its_steps(correlator, config, concluding):
    concluding([VERDICT], [FINDING])
    _, out, _ = correlator("once", "-c", config)
    assert out.splitlines() == [
        "verdict: dirty connector: spine1 Ethernet2 -> leaf2 Ethernet49 (98% sure, 1 pairs slow)",
        "  1. inspect and clean leaf2 Ethernet49 rx",
        "finding: damaged fiber: spine1 Ethernet2 -> leaf2 Ethernet49 (98% sure)",
    ]


def test_a_finding_about_what_cannot_be_seen_is_told_in_its_own_words(correlator, config, concluding):
    silent = "leaf1 has not answered three polls in a row"
    evidence = [{"kind": "telemetry", "value": None, "weight_db": 0.0, "text": silent}]
    about = {"kind": "unknown", "link": None, "direction": None, "root_cause": "unknown"}
    concluding([], [said(pairs=[], evidence=evidence, **about)])
    _, out, _ = correlator("once", "-c", config)
    assert out.splitlines()[-1] == f"finding: {silent}"


def test_a_verdict_in_json_is_the_stable_form(correlator, config, concluding):
    concluding([VERDICT])
    _, out, _ = correlator("once", "-c", config, "--json")
    assert Verdict.from_json(json.loads(out)["verdicts"][0]) == VERDICT


def test_check_says_what_can_be_written_and_what_cannot(correlator, config, tmp_path):
    assert correlator("check", "-c", config)[0] == 0
    (tmp_path / "reports").rmdir()
    (tmp_path / "reports").write_text("a file where the folder should be")
    code, out, _ = correlator("check", "-c", config, "--json")
    told = {one["target"]: one for one in json.loads(out)["checked"]}
    assert code == 1
    assert told["store.path"]["ok"]
    assert "make it writable" in told["report.directory"]["remedies"][0]


def test_check_names_each_target_that_does_not_answer_and_each_secret_that_is_not_there(
    correlator, config, monkeypatch, unused_udp_port
):
    monkeypatch.delenv("NO_TOKEN", raising=False)
    config.write_text(
        config.read_text()
        + "snmp: {timeout_s: 0.1, retries: 0}\nswitches:\n"
        + f"  - {{name: leaf1, address: 127.0.0.1, port: {unused_udp_port}}}\n"
        + "  - {name: leaf2, address: 127.0.0.1, community_env: NO_TOKEN}\n"
        + "hosts:\n  - {name: node1, url: 'http://127.0.0.1:1', token_env: NO_TOKEN}\n"
    )
    code, out, _ = correlator("check", "-c", config, "--json")
    told = {one["target"]: one for one in json.loads(out)["checked"]}
    assert code == 1
    assert "did not answer" in told["leaf1"]["remedies"][0]
    assert ":7: switches[1].community_env: the environment has no NO_TOKEN" in told["leaf2"]["remedies"][0]
    assert "the environment has no NO_TOKEN" in told["node1"]["remedies"][0]


def test_report_writes_the_day_and_prints_the_path(correlator, config, tmp_path):
    code, out, _ = correlator("report", "-c", config, "--date", "2026-11-01")
    assert (code, out) == (0, f"{tmp_path}/reports/2026-11-01.html\n")
    assert (tmp_path / "reports" / "2026-11-01.html").exists()


def test_a_date_that_is_none_is_wrong_usage(correlator, config):
    assert correlator("report", "-c", config, "--date", "yesterday")[0] == 2
