"""A real syslog-ng of our own: TCP and TLS on loopback, what it understood as JSON lines in a file.

Debian's syslog-ng and rsyslog exclude one another, so that this one is unpacked beside the system.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from daemons import free_port, listens, running, wait_for

PACKAGES = ("syslog-ng-core", "libivykis0", "libpcre3", "libnet1", "libwrap0", "libnsl2", "libtirpc3")
CONFIGURATION = """@version: 3.35
@module afsocket
@module affile
@module json-plugin
options {{ keep-hostname(yes); log-msg-size(8192); dns-cache(no); use-dns(no); }};
source lf {{ network(ip("127.0.0.1") port({lf}) transport("tcp") flags(syslog-protocol)); }};
source octet {{ syslog(ip("127.0.0.1") port({octet}) transport("tcp")); }};
source tls {{ syslog(ip("127.0.0.1") port({tls}) transport("tls") tls(
  key-file("{server_key}") cert-file("{server}") ca-file("{ca}") peer-verify(required-trusted))); }};
destination kept {{ file("{folder}/received"
  template("$(format-json --scope rfc5424 --key .SDATA.*)\\n")); }};
log {{ source(lf); source(octet); source(tls); destination(kept); }};
"""


@dataclass(frozen=True)
class SyslogNg:
    """A running receiver: its ports, and what it has understood so far."""

    folder: Path
    lf: int
    octet: int
    tls: int

    def received(self, count: int) -> list[dict]:
        """Return the first ``count`` messages, waiting for them; AssertionError where they do not come."""
        path = self.folder / "received"
        wait_for(lambda: path.exists() and path.read_bytes().count(b"\n") >= count, f"{count} messages")
        lines = path.read_text("utf-8", "surrogateescape").splitlines()
        assert len(lines) == count, lines[-3:]
        return [json.loads(line) for line in lines]


def unpacked(folder: Path) -> Path:
    """Return a folder with syslog-ng and its libraries; skips the test where it cannot be had."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        pytest.skip("syslog-ng is missing (Debian package syslog-ng-core)")
    got = subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, capture_output=True)
    if got.returncode:
        pytest.skip(f"syslog-ng is missing (apt-get download {' '.join(PACKAGES)} failed)")
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(folder / "root")], check=True)
    root = folder / "root"
    for binary in (root / "usr/sbin/syslog-ng", _modules(root) / "libafsocket.so"):
        told = subprocess.run(["ldd", str(binary)], env=_libraries(root), capture_output=True, text=True)
        if "not found" in told.stdout:
            pytest.skip(f"syslog-ng lacks libraries of this machine: {told.stdout}")
    return root


def _modules(root: Path) -> Path:
    return next(root.glob("usr/lib/syslog-ng/*/libafsocket.so")).parent


def _libraries(root: Path) -> dict[str, str]:
    """Return the environment in which the unpacked libraries are found."""
    folders = sorted({str(path.parent) for path in root.rglob("*.so*")})
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(folders)}


@contextlib.contextmanager
def syslog_ng(root: Path, folder: Path, pems: dict[str, Path]) -> Iterator[SyslogNg]:
    """Run syslog-ng in the foreground with files in ``folder``."""
    ports = {name: free_port(socket.SOCK_STREAM) for name in ("lf", "octet", "tls")}
    (folder / "ng.conf").write_text(CONFIGURATION.format(folder=folder, **ports, **pems))
    command = [str(root / "usr/sbin/syslog-ng"), "--foreground", "--no-caps"]
    command += [f"--module-path={_modules(root)}"]
    command += [f"--cfgfile={folder}/ng.conf", f"--persist-file={folder}/ng.persist"]
    command += [f"--pidfile={folder}/ng.pid", f"--control={folder}/ng.ctl"]

    def ready() -> bool:
        return all(listens(("tcp", port)) for port in ports.values())

    with running(command, folder / "ng.log", ready, _libraries(root)):
        yield SyslogNg(folder, **ports)
