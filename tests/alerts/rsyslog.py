"""A real rsyslogd of our own: UDP and TCP on loopback, what it understood as JSON lines in a file."""

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

WAIT_S = 20.0
CONFIGURATION = """
global(workDirectory="{folder}" net.enableDNS="off" maxMessageSize="8k")
module(load="imudp")
module(load="imtcp")
module(load="imptcp")
module(load="mmpstrucdata")
template(name="understood" type="list" option.jsonf="on") {{
  property(outname="pri" name="pri" format="jsonf")
  property(outname="severity" name="syslogseverity" format="jsonf")
  property(outname="facility" name="syslogfacility" format="jsonf")
  property(outname="timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="hostname" name="hostname" format="jsonf")
  property(outname="app_name" name="app-name" format="jsonf")
  property(outname="process_id" name="procid" format="jsonf")
  property(outname="message_id" name="msgid" format="jsonf")
  property(outname="text" name="msg" format="jsonf")
  property(outname="elements" name="$!rfc5424-sd" format="jsonf")
}}
ruleset(name="keep") {{
  action(type="mmpstrucdata")
  action(type="omfile" file="{folder}/received" template="understood")
}}
input(type="imudp" address="127.0.0.1" port="{udp}" ruleset="keep")
input(type="imtcp" address="127.0.0.1" port="{tcp}" ruleset="keep")
input(type="imptcp" address="127.0.0.1" port="{ptcp}" ruleset="keep")
"""


@dataclass(frozen=True)
class Rsyslog:
    """A running receiver: its ports, and what it has understood so far."""

    folder: Path
    udp: int
    tcp: int
    ptcp: int

    def received(self, count: int) -> list[dict]:
        """Return the first ``count`` messages, waiting for them; AssertionError where they do not come."""
        path = self.folder / "received"
        wait_for(lambda: path.exists() and path.read_bytes().count(b"\n") >= count, f"{count} messages")
        lines = path.read_text("utf-8", "surrogateescape").splitlines()
        assert len(lines) == count, lines
        return [json.loads(line) for line in lines]


def wait_for(condition, what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_S} s for {what}"
        time.sleep(0.02)


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def rsyslogd(folder: Path) -> Iterator[Rsyslog]:
    """Run rsyslogd in the foreground with files in ``folder``; skips the test where it is missing."""
    program = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin:/sbin")
    if program is None:
        pytest.skip("rsyslogd is missing (Debian package rsyslog)")
    ports = {
        "udp": free_port(socket.SOCK_DGRAM),
        "tcp": free_port(socket.SOCK_STREAM),
        "ptcp": free_port(socket.SOCK_STREAM),
    }
    configuration = folder / "rsyslog.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, **ports))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-n", "-f", str(configuration), "-i", str(folder / "pid")], stdout=log, stderr=log
        )
    try:
        wait_for(lambda: process.poll() is None and all(map(listens, ports.items())), "rsyslogd to listen")
        yield Rsyslog(folder, **ports)
    finally:
        process.terminate()
        try:
            process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listens(port: tuple[str, int]) -> bool:
    """Return whether the kernel lists the port as bound (a connection would be a message of its own)."""
    kind, number = port
    table = Path("/proc/net/udp" if kind == "udp" else "/proc/net/tcp").read_text()
    return f"0100007F:{number:04X} 00000000:0000" in table
