"""Debian's snmpd: what the poller reads lies between what net-snmp reads before and after it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from correlator.commands.poll import poll_once
from correlator.pollers.switches import SwitchPoller, SwitchTarget
from correlator.pollers.together import Together
from correlator.snmp.control import SnmpClient
from correlator.snmp.target import Community

pytestmark = pytest.mark.real

SNMPD = shutil.which("snmpd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
COMMUNITY = "a-community"
SYSTEM, IF, IFX = "1.3.6.1.2.1.1", "1.3.6.1.2.1.2.2.1", "1.3.6.1.2.1.31.1.1.1"
LINE = re.compile(r"^\.([\d.]+) = (?:([\w-]+): ?)?(.*)$")
PACKETS = {"in": (7, 8, 9), "out": (11, 12, 13)}

Values = dict[str, Any]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start an snmpd of our own on a free loopback port; it ends with the tests."""
    if SNMPD is None:
        pytest.skip("snmpd is missing (Debian package snmpd)")
    if shutil.which("snmpbulkwalk") is None:
        pytest.skip("snmpbulkwalk is missing (Debian package snmp)")
    folder = tmp_path_factory.mktemp("snmpd")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    conf = folder / "snmpd.conf"
    conf.write_text(
        f"agentAddress udp:127.0.0.1:{number}\nrocommunity {COMMUNITY} 127.0.0.1\n"
        "sysName leaf-under-test\nsysLocation row 3, rack 7\n"
    )
    environment = os.environ | {"SNMP_PERSISTENT_DIR": str(folder / "state"), "MIBS": ""}
    command = [SNMPD, "-f", "-Lf", str(folder / "log"), "-C", "-c", str(conf), "-p", str(folder / "pid")]
    process = subprocess.Popen([*command, "-I", "-smux"], env=environment)
    try:
        _wait(number, process, folder / "log")
        yield number
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while not netsnmp(port, f"{SYSTEM}.3"):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def netsnmp(port: int, *subtrees: str) -> Values:
    """Return what snmpbulkwalk reads: numbers as int, strings as bytes, OIDs as text."""
    values: Values = {}
    for subtree in subtrees:
        command = ["snmpbulkwalk", "-v2c", "-c", COMMUNITY, "-Onet", "-Ox", "-t", "2", "-r", "1"]
        told = subprocess.run(
            [*command, f"127.0.0.1:{port}", subtree],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"MIBS": ""},
        )
        for line in told.stdout.replace("\n", "\x00").replace("\x00.", "\n.").split("\n"):
            if match := LINE.match(line.replace("\x00", " ")):
                values[match[1]] = _value(match[2] or "", match[3])
    return values


def _value(kind: str, said: str) -> Any:
    if kind == "Hex-STRING":
        return bytes.fromhex(said)
    if kind in ("OID", "STRING", "IpAddress"):
        return said.strip('"').removeprefix(".").encode() if kind == "STRING" else said.removeprefix(".")
    number = re.search(r"-?\d+", said)
    return int(number[0]) if number else said.strip('"').encode()


@pytest.fixture(scope="module")
def bracketed(port: int) -> tuple[Values, dict[str, Any], Values]:
    """Return a net-snmp read, a poll, and another net-snmp read."""
    subtrees = (SYSTEM, IF, IFX, "1.3.6.1.2.1.4.22", "1.3.6.1.2.1.4.35")
    before = netsnmp(port, *subtrees)
    polled = asyncio.run(poll_once("127.0.0.1", port, COMMUNITY, stats=True))
    return before, json.loads(json.dumps(polled)), netsnmp(port, *subtrees)


def interfaces(values: Values) -> list[int]:
    return [int(oid.rpartition(".")[2]) for oid in values if oid.startswith(f"{IF}.1.")]


def test_the_machine_has_interfaces_to_compare(bracketed: tuple[Values, dict[str, Any], Values]) -> None:
    before, polled, after = bracketed
    assert interfaces(before) == interfaces(after)
    assert [row["if_index"] for row in polled["interfaces"]] == interfaces(before)
    assert [row["if_index"] for row in polled["counters"]] == interfaces(before)
    assert polled["problems"] == []


def test_every_counter_lies_between_two_reads(bracketed: tuple[Values, dict[str, Any], Values]) -> None:
    before, polled, after = bracketed

    def total(values: Values, oids: list[str]) -> int | None:
        return sum(values[oid] for oid in oids if oid in values) if oids[0] in values else None

    compared = 0
    for row in polled["counters"]:
        n = row["if_index"]
        sources = {
            "in_octets": [f"{IFX}.6.{n}"],
            "out_octets": [f"{IFX}.10.{n}"],
            "in_packets": [f"{IFX}.{column}.{n}" for column in PACKETS["in"]],
            "out_packets": [f"{IFX}.{column}.{n}" for column in PACKETS["out"]],
            "in_errors": [f"{IF}.14.{n}"],
            "out_errors": [f"{IF}.20.{n}"],
            "in_discards": [f"{IF}.13.{n}"],
            "out_discards": [f"{IF}.19.{n}"],
            "discontinuity_cs": [f"{IFX}.19.{n}"],
            "uptime_cs": [f"{SYSTEM}.3.0"],
        }
        for column, oids in sources.items():
            low, high = total(before, oids), total(after, oids)
            if low is None or high is None:
                assert row[column] is None, (n, column)
            else:
                assert low <= row[column] <= high, (n, column)
                compared += 1
    assert compared >= 10


def test_an_idle_interface_is_read_exactly(bracketed: tuple[Values, dict[str, Any], Values]) -> None:
    before, polled, after = bracketed
    rows = {row["if_index"]: row for row in polled["counters"]}
    idle = [n for n in interfaces(before) if before[f"{IFX}.6.{n}"] == after[f"{IFX}.6.{n}"]]
    for n in idle:
        assert rows[n]["in_octets"] == before[f"{IFX}.6.{n}"]
    for column in (14, 20, 13, 19):
        same = [n for n in rows if before[f"{IF}.{column}.{n}"] == after[f"{IF}.{column}.{n}"]]
        name = {14: "in_errors", 20: "out_errors", 13: "in_discards", 19: "out_discards"}[column]
        assert [rows[n][name] for n in same] == [before[f"{IF}.{column}.{n}"] for n in same]


def test_names_and_states_are_those_of_the_agent(bracketed: tuple[Values, dict[str, Any], Values]) -> None:
    before, polled, _ = bracketed
    states = {1: "up", 2: "down", 3: "testing", 4: "unknown", 5: "dormant", 6: "not_present"}
    for row in polled["interfaces"]:
        n = row["if_index"]
        octets = before[f"{IF}.6.{n}"]
        assert row["if_name"].encode() == before[f"{IFX}.1.{n}"]
        assert row["if_type"] == before[f"{IF}.3.{n}"]
        assert row["admin_status"] == states[before[f"{IF}.7.{n}"]]
        assert row["oper_status"] == states.get(before[f"{IF}.8.{n}"], "lower_layer_down")
        assert row["mac"] == (":".join(f"{octet:02x}" for octet in octets) or None)
        if before[f"{IF}.5.{n}"] < 2**32 - 1:
            assert row["speed_bps"] == (before[f"{IF}.5.{n}"] or None)


def test_the_device_is_what_it_says_it_is(bracketed: tuple[Values, dict[str, Any], Values]) -> None:
    before, polled, after = bracketed
    (device,) = polled["devices"]
    assert device["sys_name"] == device["device"] == "leaf-under-test"
    assert device["sys_location"] == "row 3, rack 7"
    assert device["sys_object_id"] == before[f"{SYSTEM}.2.0"]
    assert device["sys_descr"].encode() == before[f"{SYSTEM}.1.0"]
    assert before[f"{SYSTEM}.3.0"] <= device["uptime_cs"] <= after[f"{SYSTEM}.3.0"]


def test_addresses_are_those_of_the_agent(bracketed: tuple[Values, dict[str, Any], Values]) -> None:
    before, polled, after = bracketed
    table = "1.3.6.1.2.1.4.22.1.2."

    def known(values: Values) -> set[tuple[str, str]]:
        return {
            (".".join(oid.split(".")[-4:]), ":".join(f"{octet:02x}" for octet in octets))
            for oid, octets in values.items()
            if oid.startswith(table) and len(octets) == 6
        }

    found = {(row["ip"], row["mac"]) for row in polled["arp"] if ":" not in row["ip"]}
    assert known(before) & known(after) <= found <= known(before) | known(after)


def test_a_wrong_community_is_one_clear_sentence(port: int) -> None:
    from correlator.ports import CorrelatorError

    with pytest.raises(CorrelatorError, match=f"127.0.0.1:{port} did not answer") as caught:
        asyncio.run(poll_once("127.0.0.1", port, "wrong"))
    assert "\n" not in str(caught.value)


def test_the_fast_path_reads_what_net_snmp_reads(port: int) -> None:
    async def polled() -> tuple[Values, list[dict[str, Any]], Values]:
        target = SwitchTarget("leaf", "127.0.0.1", port, Community(COMMUNITY))
        async with SnmpClient() as client:
            poller, now = SwitchPoller(client, target, "counters"), datetime.now(UTC)
            await poller.poll(now, {})
            before = netsnmp(port, IF, IFX)
            heard = await Together("counters").poll([poller], now, {poller.name: {}})
            (batch,) = heard[poller.name]
            return before, batch.tables["counters"].to_dict("records"), netsnmp(port, IF, IFX)

    before, rows, after = asyncio.run(polled())
    assert [row["if_index"] for row in rows] == interfaces(before)
    objects = {"octets": (6, 10, IFX), "errors": (14, 20, IF), "discards": (13, 19, IF)}
    for row in rows:
        for what, (received, sent, table) in objects.items():
            for way, column in (("in", received), ("out", sent)):
                oid = f"{table}.{column}.{row['if_index']}"
                assert before[oid] <= row[f"{way}_{what}"] <= after[oid], (row["if_name"], way, what)
        for way, columns in PACKETS.items():
            least, most = (
                sum(v.get(f"{IFX}.{c}.{row['if_index']}", 0) for c in columns) for v in (before, after)
            )
            assert least <= row[f"{way}_packets"] <= most, (row["if_name"], way)
