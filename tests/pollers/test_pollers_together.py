"""Switches polled together over the fast path: the same tables as each one's own poller makes."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from a_switch import IF, IFX, UPTIME, interface, switch
from pandas.testing import assert_frame_equal
from snmp_agent import Agent, counter64, ticks

from correlator import frames
from correlator.pollers.recognition import Recognition
from correlator.pollers.switches import SwitchPoller, SwitchTarget
from correlator.pollers.together import Together
from correlator.ports import Batch
from correlator.snmp.control import SnmpClient
from correlator.snmp.target import Community

pytestmark = pytest.mark.anyio
SHARED = Path(os.environ.get("CORRELATOR_SHARED", Path(__file__).parents[3] / "shared"))
RECORDINGS = sorted(path.stem for path in (SHARED / "recordings").glob("*.snmprec"))
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def pollers(client: SnmpClient, port: int, name: str = "leaf1", **more: Any) -> dict[str, SwitchPoller]:
    target = SwitchTarget(
        name, "127.0.0.1", port, **{"requests_per_second": 10_000, "timeout_s": 20.0} | more
    )
    known = Recognition()
    return {group: SwitchPoller(client, target, group, known, 60.0) for group in ("counters", "optics")}  # type: ignore[arg-type]


async def alone(poller: SwitchPoller, now: datetime = NOW) -> Batch:
    (batch,) = await poller.poll(now, {})
    return batch


async def at_once(group: str, *some: SwitchPoller, now: datetime = NOW) -> dict[str, list[Batch]]:
    return await Together(group).poll(some, now, {one.name: {} for one in some})  # type: ignore[arg-type]


def the_table(heard: dict[str, list[Batch]], name: str) -> pd.DataFrame:
    (table,) = [b.tables[name] for answer in heard.values() for b in answer if name in b.tables] or [
        frames.empty(name)
    ]
    return table


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True), rtol=1e-12)


@pytest.mark.parametrize("group", ["counters", "optics"])
async def test_the_tables_are_those_of_the_other_path(group: str) -> None:
    async with Agent(switch()) as agent, SnmpClient() as client:
        poller = pollers(client, agent.port)[group]
        expected = await alone(poller)
        before = agent.requests
        heard = await at_once(group, poller)
    same(the_table(heard, group), expected.tables[group])
    polls = the_table(heard, "polls")
    assert polls.dtypes.equals(expected.tables["polls"].dtypes)
    assert polls["ok"].all()
    assert polls["requests"].tolist() == [agent.requests - before]
    assert polls["rows"].tolist() == [len(expected.tables[group])]
    assert heard[poller.name][0].cursor["last_good"] == NOW.isoformat()
    for name in (group, "polls"):
        same(frames.validate(name, the_table(heard, name)), the_table(heard, name))


async def test_counters_above_half_of_64_bits_are_exact() -> None:
    wide = {f"{IFX}.6.{port}": counter64(2**64 - port) for port in (1, 2, 3, 4)}
    async with Agent(switch() | wide) as agent, SnmpClient() as client:
        poller = pollers(client, agent.port)["counters"]
        await alone(poller)
        heard = await at_once("counters", poller)
    assert the_table(heard, "counters")["in_octets"].tolist() == [2**64 - port for port in (1, 2, 3, 4)]


async def test_many_switches_make_one_table_and_a_row_of_polls_each() -> None:
    async with Agent(switch()) as one, Agent(switch(ports=6)) as two, SnmpClient() as client:
        first, second = pollers(client, one.port)["counters"], pollers(client, two.port, "leaf2")["counters"]
        for poller in (first, second):
            await alone(poller)
        heard = await at_once("counters", first, second)
    table = the_table(heard, "counters")
    assert table.groupby("device").size().to_dict() == {"leaf1": 4, "leaf2": 6}
    assert sorted(the_table(heard, "polls")["target"]) == ["leaf1", "leaf2"]
    assert set(heard) == {"leaf1 counters", "leaf2 counters"}


async def test_who_was_not_learned_and_who_speaks_another_version_is_left_to_its_own_poller() -> None:
    async with Agent(switch()) as agent, SnmpClient() as client:
        new = pollers(client, agent.port)["counters"]
        old = pollers(client, agent.port)["counters"]
        await alone(old)
        assert old.name in await at_once("counters", old)
        old._agent = replace(old._agent, credentials=Community("public", "1"))
        assert await at_once("counters", new, old) == {}


@pytest.mark.parametrize(
    "changes",
    [
        interface(2, name="Ethernet9"),
        interface(5),
        {UPTIME: ticks(100)},
        {"1.3.6.1.2.1.31.1.5.0": ticks(200)},
        {f"{IF}.14.3": "text"},
    ],
)
async def test_what_has_changed_is_left_to_its_own_poller_which_learns_anew(changes: dict[str, Any]) -> None:
    async with Agent(switch()) as agent, SnmpClient() as client:
        poller = pollers(client, agent.port)["counters"]
        await alone(poller)
        agent.set(switch() | changes)
        if f"{IFX}.1.5" in changes:  # nothing said so: the number of rows is learned anew in time
            assert poller.name in await at_once("counters", poller)
            return
        assert await at_once("counters", poller) == {}
        anew = await alone(poller)
        heard = await at_once("counters", poller)
    same(the_table(heard, "counters"), anew.tables["counters"])
    assert anew.tables["polls"]["requests"].iloc[0] > the_table(heard, "polls")["requests"].iloc[0]


async def test_a_silent_switch_leaves_the_row_that_its_own_poller_would() -> None:
    async with Agent(switch()) as agent, SnmpClient() as client:
        poller = pollers(client, agent.port, timeout_s=0.5, retries=1)["counters"]
        await alone(poller)
        agent.drop = lambda number: True
        heard = await at_once("counters", poller)
        again = await alone(poller)
    polls = the_table(heard, "polls")
    assert polls["error"].tolist() == again.tables["polls"]["error"].tolist()
    assert not polls["ok"].any()
    assert polls["requests"].tolist() == [4]  # two at a time, each sent twice


async def test_a_size_that_is_too_big_is_learned() -> None:
    async with Agent(switch()) as agent, SnmpClient() as client:
        poller = pollers(client, agent.port)["counters"]
        expected = await alone(poller)
        await alone(poller)
        agent.too_big_above = 30
        assert await at_once("counters", poller) == {}
        for _ in range(3):
            await alone(poller)
        heard = await at_once("counters", poller)
    same(the_table(heard, "counters"), expected.tables["counters"])


async def test_a_device_that_is_being_asked_is_asked_when_that_is_done() -> None:
    async with Agent(switch(), delay_s=0.02) as agent, SnmpClient() as client:
        both = pollers(client, agent.port)
        for poller in both.values():
            await alone(poller)
        agent.most_waiting = 0
        slow = asyncio.create_task(alone(both["optics"]))
        await asyncio.sleep(0.005)
        heard = await at_once("counters", both["counters"])
        await slow
    assert heard
    assert agent.most_waiting == 2  # of the fast path: not one more


async def test_what_it_takes_to_ask_a_device_is_the_same_until_something_changes() -> None:
    async with Agent(switch()) as agent, SnmpClient() as client:
        poller = pollers(client, agent.port)["counters"]
        await alone(poller)
        first = poller.prepared(NOW)
        assert first is not None
        assert poller.prepared(NOW) is first
        assert first.plan is first.plan
        first.peer.size.varbinds //= 2
        assert first.plan is not first.layout.plan(b"public", first.peer.size.varbinds * 2)
        first.peer.found = None
        assert poller.prepared(NOW) is None
        await first.peer.locate(first.target)
        assert poller.prepared(NOW) not in (None, first)


async def test_light_keeps_its_rows_while_only_numbers_move_and_changes_them_when_it_goes_dark() -> None:
    from a_switch import SENSOR

    async with Agent(switch()) as agent, SnmpClient() as client:
        poller, together = pollers(client, agent.port)["optics"], Together("optics")
        await alone(poller)
        names = [name for name in switch() if name.startswith(f"{SENSOR}.4.")]
        for step, value in enumerate((-2345, -5000, 1_000_000_000, -2345)):
            agent.set(switch() | dict.fromkeys(names[:2], value))
            now = NOW + timedelta(minutes=step)
            heard = await together.poll([poller], now, {poller.name: {}})
            same(
                the_table(heard, "optics"),
                (await alone(poller, now)).tables.get("optics", frames.empty("optics")),
            )


@pytest.mark.parametrize("group", ["counters", "optics"])
async def test_tables_of_a_round_stay_when_those_of_another_are_written_into(group: str) -> None:
    async with Agent(switch()) as agent, SnmpClient() as client:
        poller, together = pollers(client, agent.port)[group], Together(group)  # type: ignore[arg-type]
        expected = (await alone(poller)).tables[group]
        rounds = [await together.poll([poller], NOW, {poller.name: {}}) for _ in range(2)]
        for name in (group, "polls"):
            first, second = (the_table(heard, name) for heard in rounds)
            before = second.copy(deep=True)
            for column in first.columns:
                first.loc[first.index[-1], column] = first[column].iloc[0] if column == "at" else pd.NA
            first.index.name = "row"
            same(second, before)
        rounds.append(await together.poll([poller], NOW, {poller.name: {}}))
    for heard in rounds[1:]:
        same(the_table(heard, group), expected)
        assert the_table(heard, "polls")["ok"].tolist() == [True]
        assert the_table(heard, group).index.name is None


@pytest.mark.parametrize("group", ["counters", "optics"])
async def test_who_is_missing_in_a_round_is_in_no_table_of_it_and_back_in_the_next(group: str) -> None:
    patience = {"timeout_s": 2.0, "retries": 0}
    async with Agent(switch()) as one, Agent(switch(ports=6)) as two, SnmpClient() as client:
        both = [pollers(client, agent.port, name, **patience)[group]
                for agent, name in ((one, "leaf1"), (two, "leaf2"))]  # fmt: skip
        together = Together(group)  # type: ignore[arg-type]
        expected = {poller.target_name: (await alone(poller)).tables[group] for poller in both}
        for silent in (False, True, False):
            one.drop = lambda number, silent=silent: silent
            if both[0].prepared(NOW) is None:  # it was silent: who it is is asked alone
                await alone(both[0])
            heard = await together.poll(both, NOW, {poller.name: {} for poller in both})
            answers = [batch.tables for batches in heard.values() for batch in batches]
            (table,) = [tables[group] for tables in answers if group in tables]
            for name in {"leaf1", "leaf2"} - ({"leaf1"} if silent else set()):
                same(table[table["device"] == name], expected[name])
            assert set(table["device"]) == ({"leaf2"} if silent else {"leaf1", "leaf2"})
            polls = pd.concat([tables["polls"] for tables in answers if "polls" in tables])
            assert polls.set_index("target")["ok"].to_dict() == {"leaf1": not silent, "leaf2": True}
            assert polls["rows"].sum() == len(table)


async def test_interfaces_that_change_between_rounds_are_seen() -> None:
    async with Agent(switch()) as agent, SnmpClient() as client:
        poller, together = pollers(client, agent.port)["counters"], Together("counters")
        await alone(poller)
        assert poller.name in await together.poll([poller], NOW, {poller.name: {}})
        for changes in (interface(2, name="Ethernet9"), {UPTIME: ticks(100)}):
            agent.set(switch() | changes)
            assert await together.poll([poller], NOW, {poller.name: {}}) == {}
            anew = await alone(poller)
            heard = await together.poll([poller], NOW, {poller.name: {}})
            same(the_table(heard, "counters"), anew.tables["counters"])


async def test_a_gap_that_a_round_ends_is_told_of_those_that_had_it() -> None:
    before = NOW - timedelta(minutes=10)
    async with Agent(switch()) as one, Agent(switch()) as two, SnmpClient() as client:
        first, second = (pollers(client, a.port, n)["optics"] for a, n in ((one, "leaf1"), (two, "leaf2")))
        for poller in (first, second):
            await alone(poller)
        late, well = {"last_good": before.isoformat()}, {"last_good": NOW.isoformat()}
        together, told = Together("optics"), []
        for cursor in (well, late, well, late | {"failed": "yes"}):
            heard = await together.poll([first, second], NOW, {first.name: cursor, second.name: well})
            told.append(the_table(heard, "polls").set_index("target")["gap_from"])
            assert "failed" not in heard[first.name][0].cursor
    assert [one["leaf1"] for one in told] == [pd.NaT, before, pd.NaT, before]
    assert all(one["leaf2"] is pd.NaT for one in told)
    assert {one.dtype for one in told} == {frames.empty("polls")["gap_from"].dtype}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Serve all recordings on a free loopback port; the community chooses one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        number = int(probe.getsockname()[1])
    command = [sys.executable, SHARED / "bench" / "replay.py", SHARED / "recordings", "--port", str(number)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        yield number
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.mark.parametrize("group", ["counters", "optics"])
@pytest.mark.parametrize("recording", RECORDINGS)
async def test_recorded_switches_say_the_same_on_both_paths(port: int, recording: str, group: str) -> None:
    async with SnmpClient() as client:
        poller = pollers(client, port, credentials=Community(recording))[group]
        expected = (await alone(poller)).tables
        heard = await at_once(group, poller)
    if poller.prepared(NOW) is None:  # nothing there that could be asked without a walk
        assert heard == {}
        return
    assert heard, "left to its own poller"
    same(the_table(heard, group), expected.get(group, frames.empty(group)))
