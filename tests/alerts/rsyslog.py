"""A real rsyslogd of our own: every way in, on loopback; what it understood is JSON lines in a file."""

import contextlib
import json
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from daemons import free_port, listens, running, wait_for

DEPLOYED = Path(__file__).parents[2] / "deploy" / "rsyslog" / "correlator.conf"
CONFIGURATION = """
global(workDirectory="{folder}" net.enableDNS="off" maxMessageSize="8k"
       defaultNetstreamDriverCAFile="{ca}" defaultNetstreamDriverCertFile="{server}"
       defaultNetstreamDriverKeyFile="{server_key}")
module(load="imudp")
module(load="imtcp")
module(load="imptcp")
module(load="imuxsock" sysSock.use="off")
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
  call correlator
}}
input(type="imudp" address="127.0.0.1" port="{udp}" ruleset="keep")
input(type="imtcp" address="127.0.0.1" port="{tls}" ruleset="keep" streamDriver.name="gtls"
      streamDriver.mode="1" streamDriver.authMode="x509/name" permittedPeer=["localhost"])
input(type="imtcp" address="127.0.0.1" port="{tcp}" ruleset="keep")
input(type="imptcp" address="127.0.0.1" port="{ptcp}" ruleset="keep")
input(type="imuxsock" socket="{folder}/log.sock" ruleset="keep" useSpecialParser="off" parseHostname="on"
      rateLimit.interval="0" ignoreTimestamp="off")
"""


@dataclass(frozen=True)
class Rsyslog:
    """A running receiver: its ports and socket, and what it has understood so far."""

    folder: Path
    udp: int
    tcp: int
    ptcp: int
    tls: int

    @property
    def local(self) -> Path:
        """The log socket."""
        return self.folder / "log.sock"

    def received(self, count: int) -> list[dict]:
        """Return the first ``count`` messages, waiting for them; AssertionError where they do not come."""
        return self._lines("received", count)

    def deployed(self, count: int) -> list[dict]:
        """Return what the shipped configuration made of the first ``count`` messages."""
        return self._lines("correlator.json", count)

    def _lines(self, name: str, count: int) -> list[dict]:
        path = self.folder / name
        wait_for(lambda: path.exists() and path.read_bytes().count(b"\n") >= count, f"{count} messages")
        lines = path.read_text("utf-8", "surrogateescape").splitlines()
        assert len(lines) == count, lines[-3:]
        return [json.loads(line) for line in lines]


@contextlib.contextmanager
def rsyslogd(folder: Path, pems: dict[str, Path]) -> Iterator[Rsyslog]:
    """Run rsyslogd in the foreground with files in ``folder``; skips the test where it is missing."""
    program = shutil.which("rsyslogd", path="/usr/sbin:/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("rsyslogd is missing (Debian package rsyslog)")
    if not list(Path("/usr/lib").glob("*/rsyslog/lmnsd_gtls.so")):
        pytest.skip("rsyslog's TLS is missing (Debian package rsyslog-gnutls)")
    ports = {"udp": free_port(socket.SOCK_DGRAM)}
    ports |= {name: free_port(socket.SOCK_STREAM) for name in ("tcp", "ptcp", "tls")}
    shipped = DEPLOYED.read_text().replace("/var/log/", f"{folder}/")
    configuration = folder / "rsyslog.conf"
    configuration.write_text(shipped + CONFIGURATION.format(folder=folder, **ports, **pems))
    command = [program, "-n", "-f", str(configuration), "-i", str(folder / "pid")]

    def ready() -> bool:
        return all(map(listens, ports.items())) and (folder / "log.sock").exists()

    with running(command, folder / "log", ready):
        yield Rsyslog(folder, **ports)
