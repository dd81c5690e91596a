"""The laboratory of two Docker engines, made once for all tests that need it."""

from __future__ import annotations

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import agent_lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    lacking = agent_lab.missing()
    if lacking:
        pytest.skip(f"two Docker engines: {lacking}")
    made = agent_lab.Lab(tmp_path_factory.mktemp("lab"))
    try:
        made.open()
        yield made
    finally:
        made.close()


@pytest.fixture
def agents(lab):
    """The two engines with an agent of their own each, and a reader of each; agents end with the test."""
    lab.wire()

    def start(engine):
        shutil.rmtree(engine.directory / "spool", ignore_errors=True)
        engine.start_agent()
        return engine, engine.reader()

    def stop(engine):
        engine.stop_agent()
        engine.remove_all()

    with ThreadPoolExecutor(2) as both:
        yield list(both.map(start, lab.engines))
        list(both.map(stop, lab.engines))


@pytest.fixture(scope="session")
def swarm(lab):
    """Join both engines to a swarm with an attachable overlay network."""
    left, right = lab.engines
    left.docker("swarm", "init", "--advertise-addr", left.address, "--data-path-addr", left.address)
    token = left.docker("swarm", "join-token", "-q", "worker").strip()
    right.docker("swarm", "join", "--token", token, "--advertise-addr", right.address, f"{left.address}:2377")
    left.docker("network", "create", "-d", "overlay", "--attachable", "over")


@pytest.fixture
def networks(lab, request):
    """Return, by kind of network, (flags of the client, flags of the server, the server's address)."""
    right = lab.engines[1]

    def inspected(engine, container, network):
        place = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
        return engine.docker("inspect", "-f", place, container).strip()

    def make(kind):
        if kind == "published":
            return (), ("-p", "9001:9000"), lambda server: right.address
        if kind == "host":
            return ("--network", "host"), ("--network", "host"), lambda server: right.address
        if kind == "overlay":
            request.getfixturevalue("swarm")
            network = ("--network", "over")
            return network, network, lambda server: inspected(right, server, "over")
        for engine in lab.engines:
            subnet = f"172.31.{engine.number}.0/24" if kind == "routed" else "10.77.0.0/24"
            options = ["-o", "com.docker.network.bridge.enable_ip_masquerade=false"]
            if kind == "macvlan":
                options = [
                    "-d",
                    "macvlan",
                    "-o",
                    "parent=eth0",
                    "--ip-range",
                    f"10.77.0.{engine.number * 64}/26",
                ]
            engine.docker("network", "rm", kind, check=False)
            engine.docker("network", "create", "--subnet", subnet, *options, kind)
        network = ("--network", kind)
        return network, network, lambda server: inspected(right, server, kind)

    return make
