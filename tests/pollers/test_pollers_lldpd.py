"""The real lldpd through AgentX: what the poller says of a neighbour is what lldpd heard."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from correlator.commands.poll import poll_once

pytestmark = [pytest.mark.real, pytest.mark.anyio]

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
PROGRAMS = ("snmpd", "lldpd", "lldpcli", "ip")
PEER_ADDRESS = "192.0.2.7"
WAIT_S = 40


@pytest.fixture(scope="module")
def heard() -> Iterator[tuple[int, Any]]:
    """Two lldpd on a cable between network namespaces, one of them below an snmpd.

    Gives the snmpd's port and what lldpcli says of the neighbour.
    """
    missing = [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"missing: {', '.join(missing) or 'root'} (Debian packages snmpd, lldpd, iproute2)")
    namespace, near, far = (f"c{os.getpid() % 100_000}{end}" for end in ("n", "a", "b"))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        folder.chmod(0o755)  # lldpd gives up its rights, and must get at the sockets still
        if subprocess.run(["ip", "netns", "add", namespace], env=_env(), check=False).returncode:
            pytest.skip("network namespaces cannot be made here")
        stack.callback(_run, "ip", "netns", "del", namespace)
        _run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", namespace)
        _run("ip", "link", "set", near, "up")
        _run("ip", "netns", "exec", namespace, "ip", "link", "set", far, "up")
        number = _snmpd(stack, folder)
        agentx = ("-x", "-X", str(folder / "agentx"))
        _start(stack, "lldpd", "-d", "-u", str(folder / "a"), *agentx, "-I", near)
        peer = ("lldpd", "-d", "-u", str(folder / "b"), "-I", far, "-m", PEER_ADDRESS)
        _start(stack, "ip", "netns", "exec", namespace, *peer)
        yield number, _neighbour(folder, near)


def _env() -> dict[str, str]:
    return os.environ | {"PATH": PATH}


def _run(*command: str) -> None:
    subprocess.run(command, env=_env(), check=True)


def _start(stack: contextlib.ExitStack, *command: str, **more: str) -> None:
    process = subprocess.Popen(command, env=_env() | more, stderr=subprocess.DEVNULL)
    stack.callback(process.wait, 20)
    stack.callback(process.terminate)


def _snmpd(stack: contextlib.ExitStack, folder: Path) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        number = int(probe.getsockname()[1])
    conf = folder / "snmpd.conf"
    conf.write_text(
        f"agentAddress udp:127.0.0.1:{number}\nrocommunity public 127.0.0.1\n"
        f"master agentx\nagentXSocket {folder / 'agentx'}\nagentXPerms 0777 0777\nsysName leaf-under-test\n"
    )
    command = ["snmpd", "-f", "-Lf", str(folder / "log"), "-C", "-c", str(conf), "-p", str(folder / "pid")]
    _start(stack, *command, "-I", "-smux", SNMP_PERSISTENT_DIR=str(folder / "state"), MIBS="")
    _until(lambda: (folder / "agentx").exists())
    return number


def _neighbour(folder: Path, near: str) -> Any:
    """Return lldpcli's word on the neighbour, once there is one."""
    found: list[Any] = []

    def ask() -> bool:
        for end in ("a", "b"):
            subprocess.run(
                ["lldpcli", "-u", str(folder / end), "update"], env=_env(), check=False, capture_output=True
            )
        command = ["lldpcli", "-u", str(folder / "a"), "-f", "json0", "show", "neighbors"]
        said = subprocess.run(command, env=_env(), check=False, capture_output=True, text=True).stdout
        for lldp in json.loads(said or "{}").get("lldp", []):
            found.extend(one for one in lldp.get("interface", []) if one["name"] == near)
        return bool(found)

    _until(ask)
    return found[0]


def _until(happened: Any) -> None:
    deadline = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.2)


async def test_a_neighbour_is_told_as_lldpd_heard_it(heard: tuple[int, Any]) -> None:
    port, said = heard
    answer = await poll_once("127.0.0.1", port, "public")
    (row,) = answer["neighbors"]
    chassis, peer = said["chassis"][0], said["port"][0]
    assert (row["if_name"], row["protocol"]) == (said["name"], "lldp")
    assert row["remote_chassis_id"] == chassis["id"][0]["value"]
    assert row["remote_port_id"] == peer["id"][0]["value"]
    assert row["remote_port_descr"] == peer["descr"][0]["value"]
    assert row["remote_sys_name"] == chassis["name"][0]["value"]
    assert row["remote_address"] == PEER_ADDRESS
