"""The fabric as a process: UDP sockets of switches, HTTP of hosts' agents and of the control, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from correlator.fabric.control import Control
from correlator.fabric.host import PATH, HostAgent, refusal
from correlator.fabric.simulation import MOST_SECONDS, Fabric
from correlator.fabric.switch import SwitchAgent
from correlator.fabric.truth import truth

LOOPBACK = "127.0.0.1"
REQUESTS_PER_S, BURST = 100.0, 200.0  # that one agent answers


@dataclass
class Throttle:
    """A token bucket: ``allowed`` says whether one more request may be answered."""

    last: float
    tokens: float = BURST

    def allowed(self, now: float) -> bool:
        """Take a token at ``now`` (seconds of any clock); return False where there is none left."""
        self.tokens = min(BURST, self.tokens + (now - self.last) * REQUESTS_PER_S)
        self.last = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class Server:
    """Serves a fabric until it is told to stop; ``directory`` takes fabric.json and truth.json."""

    def __init__(self, fabric: Fabric, directory: Path, real: bool) -> None:
        self.fabric, self.directory, self.real = fabric, directory, real

    async def run(self) -> None:
        """Open the sockets, write the files, serve; return after SIGTERM, SIGINT or the parent's end."""
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        parent = await _watch_parent(loop, stop)
        snmp = {name: await _switch(loop, agent) for name, agent in self.fabric.switches.items()}
        sockets = [_listening() for _ in range(1 + len(self.fabric.hosts))]
        http = _Http(uvicorn.Config(self._app(sockets), lifespan="off", log_level="error", access_log=False))
        serving = asyncio.create_task(http.serve(sockets=sockets))
        self._write_truth()
        self._write("fabric.json", self._description(sockets, snmp))
        clock = asyncio.create_task(self._follow_the_clock()) if self.real else None
        await stop.wait()
        if clock is not None:
            clock.cancel()
        http.should_exit = True
        await serving
        for transport in (*snmp.values(), *parent):
            transport.close()

    def _app(self, sockets: Sequence[socket.socket]) -> ASGIApp:
        """Return one application for all sockets: the control has the first, the hosts have the others."""
        apps: dict[int, ASGIApp] = {}
        apps[_port(sockets[0])] = Control(self.fabric, self.real, self._write_truth).app()
        for one, agent in zip(sockets[1:], self.fabric.hosts.values(), strict=True):
            apps[_port(one)] = _agent_app(agent)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await apps[scope["server"][1]](scope, receive, send)

        return app

    async def _follow_the_clock(self) -> None:
        """Move the fabric with the wall clock, a second at a time, or more at once after a sleep."""
        started = time.time() - self.fabric.world.second
        while True:
            behind = int(time.time() - started) - self.fabric.world.second
            if behind > 0:
                self.fabric.advance(min(behind, MOST_SECONDS))
            await asyncio.sleep(1.0 - (time.time() - started) % 1.0)

    def _description(
        self, sockets: Sequence[socket.socket], snmp: dict[str, asyncio.DatagramTransport]
    ) -> dict[str, Any]:
        """Return what fabric.json says."""
        fabric, url = self.fabric, f"http://{LOOPBACK}:"
        return {
            "seed": fabric.seed,
            "control": f"{url}{_port(sockets[0])}",
            "now": fabric.now.isoformat(),
            "history": str(self.directory / "history"),
            "truth": str(self.directory / "truth.json"),
            "minutes_to_onset": fabric.story.onset_minutes,
            "switches": [
                {
                    "name": switch.name,
                    "address": LOOPBACK,
                    "port": snmp[switch.name].get_extra_info("sockname")[1],
                    "community": fabric.switches[switch.name].community,
                    "site": fabric.layout.site,
                    "rack": switch.rack,
                    "forwarding": fabric.forwarding(switch.number),
                }
                for switch in fabric.layout.switches
            ],
            "hosts": [
                {"id": agent.agent, "url": f"{url}{_port(one)}", "token": agent.token}
                for one, agent in zip(sockets[1:], fabric.hosts.values(), strict=True)
            ],
        }

    def _write_truth(self) -> None:
        self._write("truth.json", truth(self.fabric))

    def _write(self, name: str, document: Any) -> None:
        """Write a file at once: a reader sees all of it or nothing."""
        draft = self.directory / f".{name}.new"
        draft.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        draft.replace(self.directory / name)


class _Http(uvicorn.Server):  # type: ignore[misc]
    """uvicorn without its signal handlers: the fabric has its own."""

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:
        """Leave signals alone."""
        return contextlib.nullcontext()


class _Snmp(asyncio.DatagramProtocol):
    """One switch's socket."""

    def __init__(self, agent: SwitchAgent) -> None:
        self.agent = agent
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Keep the socket to answer through."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Answer one request."""
        if (answer := self.agent.answer(data)) is not None:
            self.transport.sendto(answer, addr)


class _Parent(asyncio.Protocol):
    """Standard input: its end is the parent's."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.stop = stop

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop."""
        self.stop.set()


async def _watch_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> list[asyncio.BaseTransport]:
    """Stop when the parent closes our standard input; a terminal or /dev/null there says nothing."""
    try:
        kind = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return []
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)):
        return []
    transport, _ = await loop.connect_read_pipe(lambda: _Parent(stop), sys.stdin)
    return [transport]


async def _switch(loop: asyncio.AbstractEventLoop, agent: SwitchAgent) -> asyncio.DatagramTransport:
    transport, _ = await loop.create_datagram_endpoint(lambda: _Snmp(agent), local_addr=(LOOPBACK, 0))
    return transport


def _agent_app(agent: HostAgent) -> Starlette:
    throttle = Throttle(time.monotonic())

    async def batches(request: Request) -> Response:
        if not throttle.allowed(time.monotonic()):
            answer = refusal(429, f"at most {REQUESTS_PER_S:.0f} requests a second")
        else:
            answer = agent.answer(request.query_params, request.headers.get("authorization"))
        return Response(answer.body, answer.status, dict(answer.headers))

    return Starlette(routes=[Route(PATH, batches)])


def _listening() -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((LOOPBACK, 0))
    one.listen(128)
    return one


def _port(one: socket.socket) -> int:
    port: int = one.getsockname()[1]
    return port
