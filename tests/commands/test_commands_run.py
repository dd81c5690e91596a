from __future__ import annotations

import asyncio
import os
import signal
import socket

import httpx
import pytest

from correlator.commands.run import serve
from correlator.config import load
from correlator.ports import CorrelatorError

LONG_ENOUGH_S = 30


@pytest.fixture
def config(tmp_path):
    def _config(port):
        path = tmp_path / "correlator.yaml"
        path.write_text(
            "store: {path: tables}\nstate: {path: state.sqlite}\nreport: {directory: reports}\n"
            f"metrics: {{address: 127.0.0.1, port: {port}}}\n"
        )
        return load(path)

    return _config


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


async def answer(port):
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                return (await client.get(f"http://127.0.0.1:{port}/metrics")).text
            except httpx.TransportError:
                await asyncio.sleep(0.05)


def test_the_service_tells_its_figures_and_ends_with_sigterm(config):
    port = free_port()

    async def story():
        service = asyncio.create_task(serve(config(port)))
        figures = await asyncio.wait_for(answer(port), LONG_ENOUGH_S)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(service, LONG_ENOUGH_S)
        return figures

    assert "correlator_cycles_total 0.0" in asyncio.run(story())


def test_a_port_that_is_taken_is_named(config):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = config(taken.getsockname()[1])
        with pytest.raises(CorrelatorError, match=r"metrics: 127\.0\.0\.1 port \d+: .*; choose another"):
            asyncio.run(serve(settings))
