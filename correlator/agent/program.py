"""The agent put together: one thread enters namespaces, one writes, some ask Docker, the main one serves."""

from __future__ import annotations

import ctypes
import gc
import logging
import resource
import signal
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from correlator.agent import collector, containers, registry, spool, writer
from correlator.agent.figures import Figures
from correlator.agent.settings import Settings, SettingsError

if TYPE_CHECKING:
    from correlator.agent.serve import QuietServer

log = logging.getLogger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
YOUNG = 20_000  # new containers between two looks for cycles
M_ARENA_MAX = -8  # mallopt(3)
WAIT_FOR_DOCKER_S = 30.0
STALE_INTERVALS = 3  # intervals without a written one, after which the agent calls itself unwell


class Program:
    """One agent. ``serve`` runs it until SIGTERM or SIGINT and returns the process's exit code."""

    def __init__(self, settings: Settings) -> None:
        """Open the spool and the settings' files. Raises SettingsError or SpoolError."""
        self._settings = settings
        self._token = settings.token()
        self._figures = Figures()
        self._registry = registry.Registry()
        limits = spool.Params(settings.spool_max_mb << 20, settings.spool_keep_hours * 3600)
        self._spool = spool.Spool(settings.spool_directory, limits)
        self._host = settings.id or self._spool.fact("host")
        self._engine_id: str | None = None
        self._began = time.monotonic()
        self._broken: str | None = None
        self._server: QuietServer | None = None
        self._collector = collector.Collector(
            collector.Params(interval_s=settings.interval_s),
            settings.netns_directory,
            self._registry,
            self._figures,
        )
        self._resolver = containers.Resolver(
            containers.Params(url=settings.docker_url),
            self._registry,
            self._figures.count,
            self._docker_is_up,
        )
        self._writer = writer.Writer(
            writer.Params(lldpd_socket=settings.lldpd_socket),
            self._collector,
            self._registry,
            self._spool,
            self._figures,
            identity=self.identity,
            engine_id=lambda: self._engine_id,
            docker_up=lambda: self._resolver.up,
        )

    def identity(self) -> str | None:
        """Return the host's id: configured, else as at the first start, else Docker's, else the machine's."""
        waited = time.monotonic() - self._began
        if self._host is None and (self._engine_id or waited > WAIT_FOR_DOCKER_S):
            self._host = self._engine_id or writer.machine_id()
            if self._host is not None:
                self._spool.remember("host", self._host)
        return self._host

    def _docker_is_up(self, engine_id: str) -> None:
        self._engine_id = engine_id or None
        log.info("docker answers; engine %s", engine_id)

    def serve(self) -> int:
        """Run until told to stop; return 0, or 1 where a part of the agent broke."""
        _open_more_files()
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)  # an arena a thread would cost tens of megabytes
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn ends on them, then raises them again
            signal.signal(number, lambda *_: None)
        self._server = self._http()
        collecting = self._thread("collector", self._collector.run)
        writing = self._thread("writer", self._writer.run)
        self._resolver.start()
        gc.collect()
        gc.freeze()  # what was imported lives as long as the process
        gc.set_threshold(YOUNG)  # an interval's rows are thousands of small tuples, and hold no cycles
        try:
            self._server.run()
        finally:
            self._resolver.stop()
            self._collector.stop()
            collecting.join(10.0)
            self._writer.stop()
            writing.join(10.0)
            self._spool.close()
        if self._broken:
            log.error("%s", self._broken)
        return 1 if self._broken else 0

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Start a thread; if it breaks, the whole agent ends and says why."""

        def run() -> None:
            try:
                work()
            except Exception as error:
                log.exception("%s", name)
                self._broken = f"the {name} broke: {error}"
                if self._server is not None:
                    self._server.end()

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread

    def _http(self) -> QuietServer:
        import uvicorn

        from correlator.agent import connections, serve

        agent = serve.Agent(
            self._spool, self._figures, self.identity, _boot_id(), self._token, healthy=self.unwell
        )
        settings = self._settings
        config = uvicorn.Config(
            serve.application(agent, serve.Params()),
            host=settings.address,
            port=settings.port,
            ssl_certfile=settings.certificate_file,
            ssl_keyfile=settings.key_file,
            ssl_ca_certs=str(settings.client_ca_file) if settings.client_ca_file else None,
            ssl_cert_reqs=ssl.CERT_REQUIRED if settings.client_ca_file else ssl.CERT_NONE,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            loop="asyncio",
            http=connections.bounded(connections.Params()),
            ws="none",
            limit_concurrency=64,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=3,
        )
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"certificate_file, key_file or client_ca_file: {error}; give PEM files"
            ) from None

        return serve.QuietServer(config)

    def unwell(self) -> list[str]:
        """Return what is wrong now, one sentence each; empty where all is well."""
        wrong = []
        if not self._resolver.up:
            wrong.append("docker does not answer: containers are not named")
        if self.identity() is None:
            wrong.append("the host's id is not known yet")
        written = self._writer.last_written or self._began
        if time.monotonic() - written > (STALE_INTERVALS + 1) * self._settings.interval_s:
            wrong.append("no interval could be written for a while: see the log")
        return wrong


def _open_more_files() -> None:
    """Raise the soft limit of open files to the hard one: a namespace takes four."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
