"""``correlator poll``: what it prints, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from a_switch import IF, optics, switch
from snmp_agent import Agent
from typer.testing import CliRunner, Result

from correlator import frames
from correlator.commands import poll as command
from correlator.ports import CorrelatorError

TABLES = ("devices", "interfaces", "counters", "optics", "neighbors", "stations", "arp")


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    """A switch that answers from a thread of its own: the command runs its own loop."""
    served = Agent(switch() | optics(2, rx=0), community="lab")
    ready, loop = threading.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        async with served:
            served.stop = asyncio.Event()  # type: ignore[attr-defined]
            ready.set()
            await served.stop.wait()  # type: ignore[attr-defined]

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(20)
    yield served
    loop.call_soon_threadsafe(served.stop.set)  # type: ignore[attr-defined]
    thread.join(20)
    loop.close()


def run(*arguments: str, community: str = "lab") -> Result:
    app = typer.Typer()
    app.command()(command.poll)
    return CliRunner().invoke(app, list(arguments), env={"CORRELATOR_COMMUNITY": community})


def polled(agent: Agent, *options: str) -> Any:
    result = run(f"127.0.0.1:{agent.port}", "--json", *options)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_json_has_every_table_with_every_column(agent: Agent) -> None:
    answer = polled(agent)
    assert tuple(answer) == (*TABLES, "routes")
    for name in TABLES:
        assert answer[name]
        assert all(list(row) == frames.TABLES[name].columns for row in answer[name])


def test_json_is_exact_and_says_null_for_what_is_not_there(agent: Agent) -> None:
    answer = polled(agent)
    counters = {row["if_name"]: row for row in answer["counters"]}
    assert counters["Ethernet2"]["in_octets"] == 2**63 + 2**40 + 2
    assert counters["Ethernet2"]["fec_corrected"] is None
    dark = [row for row in answer["optics"] if row["if_name"] == "Ethernet2"]
    assert [(row["no_light"], row["rx_power_dbm"]) for row in dark] == [(True, None)]
    assert answer["devices"][0]["at"].endswith("+00:00")


def test_the_device_is_called_by_its_own_name(agent: Agent) -> None:
    answer = polled(agent)
    assert {row["device"] for name in TABLES for row in answer[name]} == {"leaf1"}


def test_stats_are_requests_by_table(agent: Agent) -> None:
    before = agent.requests
    stats = polled(agent, "--stats")["stats"]
    again = stats["after_discovery"]
    assert stats["total"] == sum(stats["requests"].values())
    assert stats["total"] + sum(again.values()) == agent.requests - before
    assert set(again) == {"counters", "optics"}
    assert sum(again.values()) < stats["requests"]["counters"] + stats["requests"]["entity_sensors"]
    assert {"system", "interfaces", "counters", "entity_sensors"} <= set(stats["requests"])


def test_without_json_there_is_a_line_for_each_interface(agent: Agent) -> None:
    result = run(f"127.0.0.1:{agent.port}", "--stats")
    assert result.exit_code == 0
    line = next(line for line in result.stdout.splitlines() if "Ethernet1" in line)
    assert "-3.00" in line
    assert "25G" in line
    assert "spine1 Ethernet49" in line
    assert "dark" in next(line for line in result.stdout.splitlines() if "Ethernet2" in line)
    assert "requests" in result.stderr


def test_a_switch_that_does_not_answer_is_one_clear_sentence(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "TIMEOUT_S", 0.05)
    result = run(f"127.0.0.1:{agent.port}", community="wrong")
    assert isinstance(result.exception, CorrelatorError)
    assert result.exception.exit_code == 1
    assert str(result.exception).startswith(f"127.0.0.1:{agent.port} did not answer")
    assert "\n" not in str(result.exception)
    assert "wrong" not in str(result.exception)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", ("192.0.2.1", 161)),
        ("192.0.2.1:1161", ("192.0.2.1", 1161)),
        ("leaf1.example", ("leaf1.example", 161)),
        ("leaf1:1161", ("leaf1", 1161)),
        ("2001:db8::1", ("2001:db8::1", 161)),
        ("[2001:db8::1]:1161", ("2001:db8::1", 1161)),
        ("[2001:db8::1]", ("2001:db8::1", 161)),
    ],
)
def test_an_address_may_have_a_port(address: str, expected: tuple[str, int]) -> None:
    assert command.split(address) == expected


@pytest.mark.parametrize("address", ["", ":161", "leaf1:x", "leaf1:0", "leaf1:70000", "[]:161", "[::1]x"])
def test_what_is_no_address_is_wrong_usage(address: str) -> None:
    with pytest.raises(command.AddressError, match="is no address") as caught:
        command.split(address)
    assert caught.value.exit_code == 2


def test_a_table_that_fails_is_named_and_the_others_are_printed(agent: Agent) -> None:
    agent.refuse = {"1.0.8802": 16}
    try:
        result = run(f"127.0.0.1:{agent.port}", "--json")
    finally:
        agent.refuse = {}
    assert "authorizationError" in (result.stderr + str(result.exception))


def test_counters_that_fail_are_a_failure(agent: Agent) -> None:
    agent.refuse = {f"{IF}.10": 16}
    try:
        result = run(f"127.0.0.1:{agent.port}", "--json")
    finally:
        agent.refuse = {}
    assert result.exit_code == 1
    assert "table counters was not read" in result.stderr
    assert json.loads(result.stdout)["interfaces"]


def test_light_without_any_interface_is_an_answer(agent: Agent) -> None:
    values = dict(agent.values)
    light = "1.3.6.1.4.1.42229.1.2.3.6.1.1"
    agent.set(
        {oid: value for oid, value in values.items() if oid.startswith("1.3.6.1.2.1.1.")}
        | {f"{light}.4.1.3.0.1": "-7.4", f"{light}.5.1.3.0.1": "0.0", f"{light}.22.1.3.0.1": "port-1/3/1"}
    )
    try:
        result = run(f"127.0.0.1:{agent.port}", "--json")
    finally:
        agent.set(values)
    assert result.exit_code == 0, result.stderr
    (row,) = json.loads(result.stdout)["optics"]
    assert (row["if_name"], row["rx_power_dbm"], row["tx_power_dbm"]) == ("port-1/3/1", -7.4, 0.0)
    assert "no interfaces" in result.stderr
