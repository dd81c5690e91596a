"""A crawl over a fabric of forty switches: all are found, nobody twice, and who is missed has a reason."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import AsyncIterator
from typing import Any

import pytest
from snmp_agent import Agent, object_id

from correlator.commands.check import _targets
from correlator.commands.discover import access, configuration, networks
from correlator.commands.poll import OptionError
from correlator.config import load as load_configuration
from correlator.pollers.discovery import Discovery, Params, crawl

pytestmark = pytest.mark.anyio

LLDP = "1.0.8802.1.1.2.1"
LEAVES, SPINES = 36, 4
REFUSING = {7, 21}  # leaves that know another community
ALLOWED = (ipaddress.ip_network("127.77.0.0/16"),)


def address(number: int) -> str:
    return f"127.77.{number // 250}.{number % 250 + 1}"


def mac(number: int) -> bytes:
    return bytes([2, 0, 0, 0, 1, number])


def switch(number: int, peers: dict[int, int | None]) -> dict[str, Any]:
    """Return the MIB of one switch: its peers by port; a peer of None tells no address."""
    values: dict[str, Any] = {
        "1.3.6.1.2.1.1.1.0": "A switch of no make",
        "1.3.6.1.2.1.1.2.0": object_id("1.3.6.1.4.1.99999.1"),
        "1.3.6.1.2.1.1.5.0": f"switch{number}",
        f"{LLDP}.3.1.0": 4,
        f"{LLDP}.3.2.0": mac(number),
    }
    for port, peer in peers.items():
        values[f"1.3.6.1.2.1.31.1.1.1.1.{port}"] = f"Ethernet{port}"
        row, told = f"0.{port}.1", 250 if peer is None else peer
        values |= {
            f"{LLDP}.4.1.1.4.{row}": 4,
            f"{LLDP}.4.1.1.5.{row}": mac(told),
            f"{LLDP}.4.1.1.6.{row}": 5,
            f"{LLDP}.4.1.1.7.{row}": "Ethernet1",
            f"{LLDP}.4.1.1.9.{row}": f"switch{told}",
        }
        if peer is not None:
            values[f"{LLDP}.4.2.1.3.{row}.1.4.{address(peer)}"] = 2
    return values


def fabric() -> dict[int, dict[str, Any]]:
    """Return 36 leaves below 4 spines; leaf 3 has a loop to itself, leaf 4 a peer without an address."""
    leaves = range(1, LEAVES + 1)
    spines = range(LEAVES + 1, LEAVES + SPINES + 1)
    peers: dict[int, dict[int, int | None]] = {leaf: dict(enumerate(spines, 1)) for leaf in leaves}
    peers |= {spine: dict(enumerate(leaves, 1)) for spine in spines}
    peers[3][9] = 3
    peers[4][9] = None
    return {number: switch(number, around) for number, around in peers.items()}


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """Serve the fabric, each switch at an address of its own, all on one port; gives the port."""
    async with contextlib.AsyncExitStack() as stack:
        port = 0
        for number, values in fabric().items():
            community = "other" if number in REFUSING else "public"
            agent = Agent(values, community=community, host=address(number), port=port)
            port = (await stack.enter_async_context(agent)).port
        yield port


async def crawled(port: int, allowed: Any = ALLOWED) -> Discovery:
    return await crawl([address(1)], Params(allowed, port=port, timeout_s=1.0, retries=1))


async def test_one_seed_finds_the_whole_fabric_and_names_who_refuses() -> None:
    seen: list[tuple[int, int]] = []
    async with serving() as port:
        params = Params(ALLOWED, port=port, timeout_s=1.0, retries=1)
        found = await crawl([address(1)], params, progress=lambda d, n: seen.append((len(d.found), n)))
    expected = {f"switch{n}" for n in range(1, LEAVES + SPINES + 1) if n not in REFUSING}
    assert sorted(device.name for device in found.found) == sorted(expected)
    missed = {m.name: m for m in found.missed}
    assert set(missed) == {"switch7", "switch21", "switch250"}
    assert "did not answer" in missed["switch7"].why
    assert "no management address" in missed["switch250"].why
    assert missed["switch250"].heard_by == "switch4"
    assert seen[0] == (0, 1)
    assert seen[-1] == (len(expected), 0)


async def test_what_is_outside_the_allowed_prefixes_is_named_and_not_asked() -> None:
    async with serving() as port:
        found = await crawled(port, (ipaddress.ip_network(f"{address(1)}/32"),))
    assert [device.name for device in found.found] == ["switch1"]
    assert len(found.missed) == SPINES
    assert all("outside the allowed prefixes" in missed.why for missed in found.missed)


async def test_the_configuration_that_is_written_can_be_loaded(tmp_path: Any) -> None:
    async with serving() as port:
        found = await crawled(port, (ipaddress.ip_network("127.77.0.0/29"),))
        file = tmp_path / "correlator.yaml"
        file.write_text(configuration(found, port, access(None, None, None, "2c", "public")))
    config = load_configuration(file)
    assert {(s.name, s.port) for s in config.switches} == {(d.name, port) for d in found.found}
    assert config.credentials(config.switches[0]).name == "public"


async def test_check_accepts_the_configuration_that_is_written(tmp_path: Any) -> None:
    async with serving() as port:
        found = await crawled(port, (ipaddress.ip_network(f"{address(1)}/32"),))
        file = tmp_path / "correlator.yaml"
        file.write_text(configuration(found, port, access(None, None, None, "2c", "public")))
        examined = list(await _targets(load_configuration(file)))
    assert [(one.name, one.ok) for one in examined] == [("switch1", True)]


def test_secrets_are_named_and_never_written() -> None:
    assert access(None, None, None, "2c", "hidden") == {"community_env": "CORRELATOR_COMMUNITY"}
    told = access("nms", "sha256", "aes128", "2c", "public")
    assert told["auth_password_env"] == "CORRELATOR_SNMP_AUTH_PASSWORD"
    assert told["priv_password_env"] == "CORRELATOR_SNMP_PRIV_PASSWORD"


def test_without_prefixes_the_surroundings_of_the_seeds_are_allowed() -> None:
    assert [str(n) for n in networks([], ["192.0.2.7", "2001:db8::1"])] == ["192.0.2.0/24", "2001:db8::/64"]
    with pytest.raises(OptionError, match="is a name"):
        networks([], ["leaf1.example.net"])
    with pytest.raises(OptionError, match="a port is given with --port"):
        networks([], ["192.0.2.7:1161"])
    with pytest.raises(OptionError, match="is no prefix"):
        networks(["10.0.0.0/99"], ["192.0.2.7"])
