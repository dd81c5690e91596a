"""What the agent needs of its host, tried one by one: ``correlator agent --check``."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from correlator.agent import addresses, containers, netlink, sockets
from correlator.agent.conntrack import Conntrack
from correlator.agent.namespaces import inside, is_sandbox
from correlator.agent.settings import Settings, SettingsError

ACCOUNTING = Path("/proc/sys/net/netfilter/nf_conntrack_events")


@dataclass(frozen=True)
class Finding:
    """One thing that was tried. ``needed`` False: the agent works without it, and knows less."""

    what: str
    ok: bool
    text: str
    needed: bool = True

    @property
    def is_missing(self) -> bool:
        """Whether the agent cannot do its work without what was not found."""
        return self.needed and not self.ok

    @property
    def mark(self) -> str:
        """The finding in one word."""
        return "ok     " if self.ok else "MISSING" if self.needed else "without"


def findings(settings: Settings) -> list[Finding]:
    """Return what was found, in the order in which the agent needs it."""
    tried: list[Callable[[], Finding]] = [
        lambda: _token(settings),
        lambda: _spool(settings),
        _sockets,
        lambda: _namespaces(settings),
        lambda: _docker(settings),
        _conntrack,
        lambda: _lldp(settings),
    ]
    return [one() for one in tried]


def _token(settings: Settings) -> Finding:
    try:
        settings.token()
    except SettingsError as error:
        return Finding("token", False, str(error))
    files = (settings.certificate_file, settings.key_file, settings.client_ca_file)
    for path in files:
        if path is not None and not os.access(path, os.R_OK):
            return Finding("certificate", False, f"{path} cannot be read")
    return Finding("token", True, "readers are let in by " + ("token" if settings.token() else "certificate"))


def _spool(settings: Settings) -> Finding:
    directory = settings.spool_directory
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        return Finding(
            "spool", False, f"{directory}: {error.strerror}; give spool_directory a writable folder"
        )
    return Finding("spool", True, str(directory))


def _sockets() -> Finding:
    try:
        with _diag() as diag:
            samples = sockets.decode(diag.dump())
    except OSError as error:
        return Finding(
            "sockets", False, f"sock_diag: {error.strerror or error}; the kernel needs INET_TCP_DIAG"
        )
    known = int(samples["known"].max(initial=0))
    text = f"{len(samples)} TCP sockets, tcp_info of {known} bytes"
    newest = max(offset + int(kind[-1]) for offset, kind in sockets.TCP_INFO.values())
    short = "; older than this agent knows: some columns stay empty" if 0 < known < newest else ""
    return Finding("sockets", True, text + short)


@contextlib.contextmanager
def _diag() -> Iterator[sockets.Diag]:
    diag = sockets.Diag.open(netlink.Inbox())
    try:
        yield diag
    finally:
        diag.close()


def _namespaces(settings: Settings) -> Finding:
    directory = settings.netns_directory
    try:
        names = [entry.name for entry in os.scandir(directory) if is_sandbox(entry.name)]
    except OSError as error:
        text = (
            f"{directory}: {error.strerror}; mount Docker's folder there (ro,rslave), "
            "else containers that live for under a second are missed"
        )
        return Finding("namespaces", False, text)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    entered, why = 0, ""
    try:
        for name in names:
            try:
                with inside(directory / name, home):
                    entered += 1
            except OSError as error:
                why = f"{name}: {error.strerror}"
    finally:
        os.close(home)
    if names and not entered:
        return Finding("namespaces", False, f"{why}; give CAP_SYS_ADMIN, and mount {directory} with rslave")
    return Finding("namespaces", True, f"{entered} of {len(names)} in {directory} entered")


def _docker(settings: Settings) -> Finding:
    try:
        with contextlib.closing(containers.client(containers.Params(url=settings.docker_url))) as api:
            info: Any = api.info()
            running = len(api.containers())
    except containers.FAILURES as error:
        return Finding("docker", False, f"{settings.docker_url}: {error}; give docker_url Docker's socket")
    return Finding(
        "docker", True, f"{info.get('ServerVersion')}, engine {info.get('ID')}, {running} containers"
    )


def _conntrack() -> Finding:
    try:
        conntrack = Conntrack()
    except OSError as error:
        text = f"{error.strerror}; give CAP_NET_ADMIN, else published ports are not joined"
        return Finding("conntrack", False, text, needed=False)
    try:
        entries = conntrack.all()
    except OSError as error:
        return Finding("conntrack", False, f"{error.strerror}; is nf_conntrack_netlink there?", needed=False)
    finally:
        conntrack.close()
    off = ACCOUNTING.exists() and ACCOUNTING.read_text().strip() == "0"
    return Finding(
        "conntrack",
        not off,
        "nf_conntrack_events is 0; set it to 1" if off else f"{len(entries)} rewritten",
        False,
    )


def _lldp(settings: Settings) -> Finding:
    heard = addresses.lldp(settings.lldpd_socket)
    text = ", ".join(f"{nic} hears {one.system_name or one.chassis_id}" for nic, one in heard.items())
    return Finding(
        "lldp", bool(heard), text or "no neighbour; with lldpd the host finds its switch port", False
    )
