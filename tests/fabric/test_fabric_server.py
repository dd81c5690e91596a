"""The process: files, sockets, control, and its end."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pysnmp.hlapi.v3arch.asyncio import (
    CommunityData,
    ContextData,
    ObjectIdentity,
    ObjectType,
    SnmpEngine,
    UdpTransportTarget,
    bulk_walk_cmd,
    get_cmd,
)

from correlator.fabric.server import Throttle

IF_NAME, IF_HC_IN = "1.3.6.1.2.1.31.1.1.1.1", "1.3.6.1.2.1.31.1.1.1.6"
SENSOR_VALUE, ENTITY_TEXT = "1.3.6.1.2.1.99.1.1.1.4", "1.3.6.1.2.1.47.1.1.1.1.2"
LLDP_NAME = "1.0.8802.1.1.2.1.4.1.1.9"


def start(directory: Path, *options: str, **how: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "correlator.fabric", "--directory", str(directory), *options]
    process = subprocess.Popen(command, **({"stdin": subprocess.PIPE} | how))
    deadline = time.monotonic() + 60
    while not (directory / "fabric.json").exists():
        assert process.poll() is None, "the fabric ended before it was ready"
        assert time.monotonic() < deadline, "the fabric was not ready within a minute"
        time.sleep(0.02)
    return process


def end(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    return process.wait(timeout=20)


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Iterator[dict[str, Any]]:
    directory = tmp_path_factory.mktemp("fabric")
    process = start(directory, "--seed", "2", "--story", "dirty_connector")
    yield json.loads((directory / "fabric.json").read_text())
    assert end(process) == 0


def advance(told: dict[str, Any], seconds: Any) -> httpx.Response:
    return httpx.post(f"{told['control']}/advance", json={"seconds": seconds}, timeout=60)


async def walk(switch: dict[str, Any], root: str) -> dict[str, Any]:
    engine = SnmpEngine()
    target = await UdpTransportTarget.create((switch["address"], switch["port"]))
    found = {}
    async for error, status, _, variables in bulk_walk_cmd(
        engine, CommunityData(switch["community"]), target, ContextData(), 0, 20,
        ObjectType(ObjectIdentity(root)), lexicographicMode=False, lookupMib=False,
    ):  # fmt: skip
        assert not error
        assert not status
        found |= {str(name): value for name, value in variables}
    engine.close_dispatcher()
    return found


def test_fabric_json_says_where_everything_is(told):
    assert {"seed", "control", "now", "history", "truth", "minutes_to_onset", "switches", "hosts"} <= set(
        told
    )
    assert len(told["switches"]) == 6
    assert len(told["hosts"]) == 8
    assert 4 <= told["minutes_to_onset"] <= 6
    assert {s["forwarding"] for s in told["switches"]} <= {"cut_through", "store_and_forward"}
    assert (Path(told["history"]) / "pair_hours.parquet").exists()
    assert json.loads(Path(told["truth"]).read_text())[0]["root_cause"] == "dirty_connector"


def test_time_moves_only_when_told(told):
    before = httpx.get(f"{told['control']}/now").json()["now"]
    after = advance(told, 30).json()["now"]
    assert datetime.fromisoformat(after) - datetime.fromisoformat(before) == timedelta(seconds=30)
    assert httpx.get(f"{told['control']}/now").json()["now"] == after


@pytest.mark.parametrize("seconds", [0, -1, 1.5, "60", None, True, 10**9])
def test_a_senseless_advance_is_refused_with_a_sentence(told, seconds):
    answer = advance(told, seconds)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_agents_answer_with_their_token_only(told):
    host = told["hosts"][3]
    url = f"{host['url']}/v1/batches"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers={"Authorization": "Bearer x"}).status_code == 401
    mine = {"Authorization": f"Bearer {host['token']}"}
    answer = httpx.get(url, headers=mine, params={"limit": 5})
    head, *lines = (json.loads(line) for line in answer.text.splitlines())
    assert head["agent"] == host["id"]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert all(line["row"]["host"] == host["id"] for line in lines)
    assert httpx.get(url, headers=mine, params={"limit": 10**9}).status_code == 413


def test_an_agent_answers_a_burst_and_then_a_hundred_requests_a_second():
    throttle = Throttle(last=50.0)
    assert [throttle.allowed(50.0) for _ in range(201)] == [True] * 200 + [False]
    assert [throttle.allowed(50.1) for _ in range(11)] == [True] * 10 + [False]
    assert sum(throttle.allowed(1000.0) for _ in range(500)) == 200


async def _ask(told, community):
    switch = told["switches"][0]
    engine = SnmpEngine()
    target = await UdpTransportTarget.create((switch["address"], switch["port"]), timeout=0.3, retries=0)
    error, _, _, variables = await get_cmd(
        engine,
        CommunityData(community),
        target,
        ContextData(),
        ObjectType(ObjectIdentity("1.3.6.1.2.1.1.5.0")),
    )
    engine.close_dispatcher()
    return error, variables


def test_pysnmp_reads_a_switch(told):
    switch = told["switches"][0]
    names = asyncio.run(walk(switch, IF_NAME))
    assert [str(v) for v in names.values()][-2:] == ["Management1", "Loopback0"]
    error, variables = asyncio.run(_ask(told, switch["community"]))
    assert not error
    assert str(variables[0][1]) == switch["name"]
    before = asyncio.run(walk(switch, IF_HC_IN))
    advance(told, 60)
    after = asyncio.run(walk(switch, IF_HC_IN))
    assert list(before) == list(after)
    assert all(int(after[name]) >= int(before[name]) for name in before)
    assert sum(int(after[name]) for name in before) > sum(int(v) for v in before.values())


def test_a_wrong_community_gets_silence(told):
    error, _ = asyncio.run(_ask(told, "public"))
    assert "No SNMP response" in str(error)


def test_pysnmp_finds_sensors_by_text_and_neighbours_by_name(told):
    switch = told["switches"][0]
    texts = asyncio.run(walk(switch, ENTITY_TEXT))
    values = asyncio.run(walk(switch, SENSOR_VALUE))
    receiving = [
        name.removeprefix(ENTITY_TEXT) for name, v in texts.items() if str(v).startswith("DOM RX Power")
    ]
    assert len(receiving) >= 5
    assert all(SENSOR_VALUE + index in values for index in receiving)
    neighbours = {str(v) for v in asyncio.run(walk(switch, LLDP_NAME)).values()}
    assert {"spine1", "spine2", "nas1"} <= neighbours


@pytest.mark.real
def test_net_snmp_walks_a_whole_switch(told):
    tool = shutil.which("snmpbulkwalk")
    if tool is None:
        pytest.skip("snmpbulkwalk (Debian package snmp) is not installed")
    switch = told["switches"][4]
    target = f"{switch['address']}:{switch['port']}"
    command = [tool, "-v2c", "-c", switch["community"], "-On", "-Cr30", target, ".1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(".1") and "No more" not in line]
    assert len(lines) > 500
    names = [tuple(map(int, line.split(" ")[0].strip(".").split("."))) for line in lines]
    assert names == sorted(set(names))
    assert "No more variables left" in done.stdout


def test_fault_and_repair_are_taken_and_the_truth_follows(tmp_path):
    process = start(tmp_path, "--seed", "2", "--story", "dirty_connector")
    told = json.loads((tmp_path / "fabric.json").read_text())
    advance(told, 10)
    now = httpx.post(f"{told['control']}/fault").json()["now"]
    assert json.loads((tmp_path / "truth.json").read_text())[0]["injected"]["onset"] == now
    advance(told, 20)
    now = httpx.post(f"{told['control']}/repair").json()["now"]
    assert json.loads((tmp_path / "truth.json").read_text())[0]["injected"]["repaired"] == now
    assert end(process) == 0


def test_a_fabric_in_real_time_moves_by_itself_and_cannot_be_pushed(tmp_path):
    process = start(tmp_path, "--seed", "5", "--speed", "real", "--leaves", "2", "--hosts-per-leaf", "1")
    told = json.loads((tmp_path / "fabric.json").read_text())
    first = httpx.get(f"{told['control']}/now").json()["now"]
    assert advance(told, 60).status_code == 409
    assert httpx.post(f"{told['control']}/fault").status_code == 409
    deadline = time.monotonic() + 30
    while httpx.get(f"{told['control']}/now").json()["now"] == first:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    now = datetime.fromisoformat(httpx.get(f"{told['control']}/now").json()["now"])
    assert abs((datetime.now(now.tzinfo) - now).total_seconds()) < 10
    assert end(process) == 0


def test_it_ends_when_its_parent_closes_its_input(tmp_path):
    process = start(tmp_path, "--seed", "5", "--leaves", "2", "--hosts-per-leaf", "1")
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=20) == 0


def test_an_input_that_is_no_pipe_is_left_alone(tmp_path):
    process = start(
        tmp_path, "--seed", "5", "--leaves", "2", "--hosts-per-leaf", "1", stdin=subprocess.DEVNULL
    )
    told = json.loads((tmp_path / "fabric.json").read_text())
    assert advance(told, 10).status_code == 200
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=20) == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--seed", "2", "--leaves", "0"),
        ("--seed", "-2"),
        ("--seed", "two"),
        ("--seed", "2", "--story", "fire"),
    ],
)
def test_arguments_that_cannot_be_are_refused_without_a_traceback(tmp_path, options):
    command = [sys.executable, "-m", "correlator.fabric", "--directory", str(tmp_path), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    command = [
        sys.executable,
        "-m",
        "correlator.fabric",
        "--seed",
        "5",
        "--directory",
        str(tmp_path / "file" / "x"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert done.stderr.startswith("fabric: ")
