"""Recordings of real switches: what the poller says is what they said, and nothing else.

The recordings are no part of this repository: ``CORRELATOR_SHARED``, else ``../shared``, has them and
the program that serves them.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from correlator.commands.poll import poll_once
from correlator.pollers.text import mac_of_text

SHARED = Path(os.environ.get("CORRELATOR_SHARED", Path(__file__).parents[3] / "shared"))
RECORDINGS = SHARED / "recordings"
NAMES = sorted(path.name.removesuffix(".snmprec") for path in RECORDINGS.glob("*.snmprec"))
LEVELS = ("low_alarm", "low_warn", "high_warn", "high_alarm")
DARK_DBM, TOLERANCE_DB = -40.0, 0.02
CONSTANTS = ("brocade-fos", "moxa")  # profiles whose expected levels are another tool's constants
LANES_FROM_0 = ("NPT-SYSTEM-MIB lane", "JUNIPER-DOM-MIB lane")
NO_MODULE = {"fibrolan": "6553", "huawei-yunshan": "-1"}  # raw values that say so, by profile
VENDOR_RAW = re.compile(r"^[0-9A-F]{12}$|^(?:[0-9a-f]{2}[ :-]){5}[0-9a-f]{2}$", re.IGNORECASE)

Row = dict[str, Any]

if not NAMES:
    pytest.skip("shared recordings are absent", allow_module_level=True)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Serve all recordings on a free loopback port; the community chooses one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        number = int(probe.getsockname()[1])
    command = [sys.executable, SHARED / "bench" / "replay.py", RECORDINGS, "--port", str(number)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        yield number
    finally:
        process.terminate()
        process.wait(timeout=20)


ANSWERS: dict[str, dict[str, Any]] = {}


def answer(port: int, name: str) -> dict[str, Any]:
    """Return what ``correlator poll --json`` says of a recording; each is polled once a session."""
    if name not in ANSWERS:
        ANSWERS[name] = asyncio.run(poll_once("127.0.0.1", port, name))
    return ANSWERS[name]


def expected(name: str) -> dict[str, Any]:
    """Return what is known of a recording."""
    document: dict[str, Any] = json.loads((RECORDINGS / f"{name}.expected.json").read_text())
    return document


def wanted_lane(row: Row) -> int | None:
    """Return our lane for the one that a MIB tells; None where it tells none."""
    lane: int | None = row["lane"]
    return lane + 1 if lane is not None and row["mib"] in LANES_FROM_0 else lane


def lit(row: Row, profile: str) -> bool:
    """Whether the device gives a power in this row."""
    nothing = row["dBm"] is None or row["dBm"] <= DARK_DBM or NO_MODULE.get(profile) == row["raw"]
    return not nothing and not row.get("suspect")


def matching(rows: list[Row], wanted: Row) -> Row | None:
    """Return our row for an expected one: the same interface and lane, else any lane that fits."""
    power = f"{wanted['direction']}_power_dbm"
    for row in rows:
        same = row["if_index"] == wanted["ifIndex"]
        lit_here = same and wanted_lane(wanted) in (None, row["lane"]) and row[power] is not None
        if lit_here and abs(row[power] - wanted["dBm"]) <= TOLERANCE_DB:
            return row
    return None


@pytest.mark.parametrize("name", NAMES)
def test_every_reading_with_light_is_right_and_there_is_no_other(port: int, name: str) -> None:
    rows, profile = answer(port, name)["optics"], answer(port, name)["devices"][0]["profile"]
    told = expected(name)["optics"]
    used = set()
    for wanted in told:
        if lit(wanted, profile):
            row = matching(rows, wanted)
            assert row is not None, wanted
            used.add((row["if_name"], row["lane"], wanted["direction"]))
    zeros = {wanted["ifIndex"] for wanted in told if wanted.get("suspect")}  # may be levels, may be not
    given = {
        (row["if_name"], row["lane"], way): row[f"{way}_power_dbm"]
        for row in rows
        for way in ("rx", "tx")
        if row[f"{way}_power_dbm"] is not None
        and not (row[f"{way}_power_dbm"] == 0 and row["if_index"] in zeros)
    }
    assert set(given) == used


@pytest.mark.parametrize("name", NAMES)
def test_what_is_dark_or_not_measured_has_no_power(port: int, name: str) -> None:
    rows, profile = answer(port, name)["optics"], answer(port, name)["devices"][0]["profile"]
    for wanted in expected(name)["optics"]:
        if lit(wanted, profile) or wanted.get("suspect"):
            continue
        lane = wanted_lane(wanted)
        mine = [r for r in rows if r["if_index"] == wanted["ifIndex"] and lane in (None, r["lane"])]
        assert all(row[f"{wanted['direction']}_power_dbm"] is None for row in mine), wanted
        if wanted["direction"] == "rx":
            assert all(row["no_light"] in (True, None) for row in mine), wanted


@pytest.mark.parametrize("name", NAMES)
def test_levels_are_those_of_the_module_or_none(port: int, name: str) -> None:
    rows, profile = answer(port, name)["optics"], answer(port, name)["devices"][0]["profile"]
    for wanted in expected(name)["optics"]:
        row = matching(rows, wanted) if lit(wanted, profile) else None
        if row is None or wanted.get("limits_suspect"):
            continue
        for level in LEVELS:
            said = wanted.get(level)
            mine = row[f"{wanted['direction']}_power_{level}_dbm"]
            if profile in CONSTANTS:
                assert mine is None
            elif said is not None:  # the other tool does not know all of them
                assert mine == pytest.approx(said, abs=TOLERANCE_DB), (wanted, level)


def test_refused_levels_are_told_with_their_reason(port: int) -> None:
    said = " ".join(answer(port, "zynos_xgs1935")["problems"])
    assert "levels of swp49 not used: the levels contradict each other" in said


def test_light_without_an_interface_keeps_its_name(port: int) -> None:
    for name, port_name in (("routeros", "sfp1"), ("procurve", "49")):
        (row,) = [row for row in answer(port, name)["optics"] if row["if_index"] is None]
        assert row["if_name"] == port_name
        assert any(f"no interface is called {port_name}" in text for text in answer(port, name)["problems"])


@pytest.mark.parametrize("name", NAMES)
def test_every_interface_has_its_error_and_discard_counters(port: int, name: str) -> None:
    rows = {row["if_index"]: row for row in answer(port, name)["counters"]}
    columns = {
        "ifInErrors": "in_errors",
        "ifOutErrors": "out_errors",
        "ifInDiscards": "in_discards",
        "ifOutDiscards": "out_discards",
        "dot3StatsFCSErrors": "fcs_errors",
    }
    for wanted in expected(name)["interfaces"]:
        for said, column in columns.items():
            if wanted.get(said) is not None:
                assert rows[wanted["ifIndex"]][column] == int(wanted[said]), (wanted["ifName"], said)


def normal(value: str | None) -> str | None:
    """Return an id as the expectations write it in our form: MAC addresses with colons."""
    if not value:
        return None
    if VENDOR_RAW.match(value):
        digits = re.sub(r"[ :-]", "", value).lower()
        return ":".join(digits[i : i + 2] for i in range(0, 12, 2))
    return mac_of_text(value.strip()) or unhexed(value) or value.strip()


def unhexed(value: str) -> str | None:
    """Return what is written in hex: an address with its family in front, or text."""
    if not re.fullmatch(r"(?:[0-9A-F]{2}){5,}", value):
        return None
    octets = bytes.fromhex(value)
    if octets[0] == 1 and len(octets) == 5:
        return ".".join(map(str, octets[1:]))
    text = octets.rstrip(b"\0")
    return text.decode() if text.isascii() and text.decode().isprintable() else None


@pytest.mark.parametrize("name", NAMES)
def test_neighbours_are_those_of_the_recording(port: int, name: str) -> None:
    rows = answer(port, name)["neighbors"]
    for wanted in expected(name)["neighbours"]:
        mine = [row for row in rows if row["if_index"] == wanted["local_ifIndex"]]
        assert wanted["protocol"] in {row["protocol"] for row in mine}, wanted
        if wanted["protocol"] == "cdp":
            assert wanted["remote_hostname"] in {row["remote_sys_name"] for row in mine}
            assert wanted["remote_port"] in {row["remote_port_id"] for row in mine}
    mine = {(row["remote_chassis_id"], row["remote_port_id"], row["remote_sys_name"]) for row in rows}
    for raw in expected(name)["lldp_remote_raw"]:
        if "chassis" in raw:
            assert (normal(raw["chassis"]), normal(raw.get("port")), raw.get("sysname") or None) in mine, raw


@pytest.mark.parametrize("name", NAMES)
def test_stations_are_those_of_the_recording(port: int, name: str) -> None:
    mine = {(row["mac"], row["if_index"]) for row in answer(port, name)["stations"]}
    for wanted in expected(name)["fdb"]:
        assert (wanted["mac"], wanted["ifIndex"]) in mine, wanted


@pytest.mark.parametrize("name", NAMES)
def test_spanning_tree_states_are_those_of_the_recording(port: int, name: str) -> None:
    document = expected(name)
    states = {row["if_index"]: row["stp_state"] for row in answer(port, name)["interfaces"]}
    bridge = {int(row["bridge_port"]): row["ifIndex"] for row in document["fdb"] if row["ifIndex"]}
    for wanted in document["stp_ports"]:
        if_index = bridge.get(wanted["port_index"])
        if if_index is not None:
            blocked = wanted["state"] != "forwarding"
            assert states[if_index] == ("blocking" if blocked else "forwarding"), wanted


def test_members_of_an_aggregate_know_it(port: int) -> None:
    said = {
        "ios_2960x": {"Gi1/0/52": "Po1", "Gi3/0/52": "Po1"},
        "iosxr_ncs55a2": {"TenGigE0/0/0/0": "Bundle-Ether1", "TenGigE0/0/0/1": "Bundle-Ether1"},
        "timos_ixr": {"1/1/2": "lag-1", "1/1/3": "lag-1"},
    }
    for name, members in said.items():
        mine = {row["if_name"]: row["aggregate_if_name"] for row in answer(port, name)["interfaces"]}
        assert {member: mine[member] for member in members} == members


def columns(name: str, *oids: str) -> list[dict[tuple[int, ...], str]]:
    """Return columns of a recording, values as recorded, by index."""
    found: list[dict[tuple[int, ...], str]] = [{} for _ in oids]
    for line in (RECORDINGS / f"{name}.snmprec").read_text(errors="replace").splitlines():
        for column, oid in zip(found, oids, strict=True):
            if line.startswith(f"{oid}."):
                index, _, value = line.removeprefix(f"{oid}.").split("|", 2)
                column[tuple(map(int, index.split(".")))] = value
    return found


@pytest.mark.parametrize("name", NAMES)
def test_what_runs_below_an_aggregate_is_its_member(port: int, name: str) -> None:
    stack, types = columns(name, "1.3.6.1.2.1.31.1.2.1.3", "1.3.6.1.2.1.2.2.1.3")
    mine = {row["if_index"]: row["aggregate_if_name"] for row in answer(port, name)["interfaces"]}
    names = {row["if_index"]: row["if_name"] for row in answer(port, name)["interfaces"]}
    for above, below in stack:
        if types.get((above,)) == "161" and types.get((below,)) == "6":
            assert mine[below] == names[above]
