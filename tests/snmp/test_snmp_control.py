"""The client against an agent of our own, well-behaved and not."""

from __future__ import annotations

import asyncio
import logging

import pytest
from snmp_agent import (
    GET,
    GETBULK,
    Agent,
    Oid,
    counter32,
    counter64,
    gauge,
    object_id,
    ticks,
)

from correlator.snmp.control import SnmpClient
from correlator.snmp.errors import (
    AddressError,
    BadAnswerError,
    NoAnswerError,
    RefusedError,
    SnmpError,
    TooBigError,
)
from correlator.snmp.target import Community, Tally, Target, parse_oid

pytestmark = pytest.mark.anyio

UPTIME = parse_oid("1.3.6.1.2.1.1.3.0")
IN, OUT = parse_oid("1.3.6.1.2.1.2.2.1.10"), parse_oid("1.3.6.1.2.1.2.2.1.16")


def switch(ports: int = 30) -> dict[str, object]:
    values: dict[str, object] = {"1.3.6.1.2.1.1.3.0": ticks(4711)}
    for port in range(1, ports + 1):
        values[f"1.3.6.1.2.1.2.2.1.10.{port}"] = counter32(1000 + port)
        values[f"1.3.6.1.2.1.2.2.1.16.{port}"] = counter32(2000 + port)
    return values | {"1.3.6.1.2.1.2.2.1.22.1": 0}


def target(agent: Agent, community: str = "public", timeout_s: float = 2.0, retries: int = 2) -> Target:
    return Target("127.0.0.1", agent.port, Community(community), timeout_s, retries, 100_000)


async def test_values_come_as_plain_python() -> None:
    values = {
        "1.3.6.1.4.1.1.1.0": -40000,
        "1.3.6.1.4.1.1.2.0": "Ethernet1",
        "1.3.6.1.4.1.1.3.0": counter32(2**32 - 1),
        "1.3.6.1.4.1.1.4.0": counter64(2**64 - 1),
        "1.3.6.1.4.1.1.5.0": gauge(4294967295),
        "1.3.6.1.4.1.1.6.0": object_id("1.3.6.1.4.1.30065.1"),
        "1.3.6.1.4.1.1.7.0": b"",
    }
    async with Agent(values) as agent, SnmpClient() as client:
        oids = [parse_oid(name) for name in values] + [parse_oid("1.3.6.1.4.1.1.8.0")]
        got = await client.get(target(agent), oids)
    assert list(got.values()) == [
        -40000,
        b"Ethernet1",
        2**32 - 1,
        2**64 - 1,
        4294967295,
        "1.3.6.1.4.1.30065.1",
        b"",
        None,
    ]


async def test_a_walk_reads_several_columns_at_once_and_ends_with_them() -> None:
    tally = Tally()
    async with Agent(switch()) as agent, SnmpClient() as client:
        walked = await client.walk_columns(target(agent), [IN, OUT], [UPTIME], tally=tally)
    assert walked.why_incomplete is None
    assert walked.rows == {(p,): {IN: 1000 + p, OUT: 2000 + p, UPTIME: 4711} for p in range(1, 31)}
    assert tally.requests == agent.requests <= 5


async def test_known_rows_are_fetched_whole() -> None:
    async with Agent(switch()) as agent, SnmpClient() as client:
        fetched = await client.get_rows(target(agent), [IN, OUT], [(3,), (99,), (5,)], [UPTIME])
    assert fetched.rows == {(p,): {IN: 1000 + p, OUT: 2000 + p, UPTIME: 4711} for p in (3, 5)}


async def test_sizes_grow_and_are_remembered() -> None:
    async with Agent(switch(200)) as agent, SnmpClient() as client:
        await client.walk_columns(target(agent), [IN, OUT])
        first = agent.sizes.copy()
        await client.walk_columns(target(agent), [IN, OUT])
    assert first[:4] == [10, 20, 40, 60]
    assert agent.sizes[len(first)] == 60


async def test_too_big_is_halved_until_it_fits() -> None:
    async with Agent(switch(), too_big_above=7) as agent, SnmpClient() as client:
        walked = await client.walk_columns(target(agent), [IN, OUT], [UPTIME])
        assert len(walked.rows) == 30
        agent.sizes.clear()
        await client.walk_columns(target(agent), [IN, OUT], [UPTIME])
    assert max(agent.sizes) <= 7


async def test_a_size_that_is_not_answered_is_halved_and_nothing_is_lost() -> None:
    tally = Tally()
    async with Agent(switch(100), silent_above=25) as agent, SnmpClient() as client:
        walked = await client.walk_columns(target(agent, timeout_s=0.1), [IN, OUT], tally=tally)
    assert len(walked.rows) == 100
    assert tally.retries >= 1


async def test_an_answer_that_is_cut_is_continued() -> None:
    async with Agent(switch(100), max_message=300) as agent, SnmpClient() as client:
        walked = await client.walk_columns(target(agent), [IN, OUT], [UPTIME])
    assert walked.rows == {(p,): {IN: 1000 + p, OUT: 2000 + p, UPTIME: 4711} for p in range(1, 101)}


async def test_even_one_value_too_big_is_said() -> None:
    async with Agent(switch(), too_big_above=0) as agent, SnmpClient() as client:
        with pytest.raises(TooBigError, match=f"127.0.0.1:{agent.port} finds even one value too big"):
            await client.walk_columns(target(agent), [IN, OUT], [UPTIME])


async def test_a_lost_request_is_sent_again_and_counted() -> None:
    tally = Tally()
    async with Agent(switch(), drop=lambda number: number == 1) as agent, SnmpClient() as client:
        assert await client.get(target(agent), [UPTIME], tally) == {UPTIME: 4711}
    assert tally == Tally(requests=2, retries=1)


async def test_a_silent_target_is_named_with_what_to_check() -> None:
    tally = Tally()
    async with Agent(switch()) as agent, SnmpClient() as client:
        with pytest.raises(NoAnswerError, match=f"127.0.0.1:{agent.port} did not answer.*community"):
            await client.get(target(agent, "wrong", timeout_s=0.05, retries=1), [UPTIME], tally)
    assert tally == Tally(requests=2, retries=1)


async def test_errors_do_not_tell_the_community() -> None:
    async with Agent(switch()) as agent, SnmpClient() as client:
        asked = target(agent, "s3cret", timeout_s=0.05, retries=0)
        with pytest.raises(NoAnswerError) as caught:
            await client.get(asked, [UPTIME])
    assert "s3cret" not in f"{caught.value!r} {asked!r} {asked}"


async def test_a_name_without_address_is_said() -> None:
    async with SnmpClient() as client:
        with pytest.raises(AddressError, match=r"no-such-host\.invalid:161: there is no such address"):
            await client.get(Target("no-such-host.invalid"), [UPTIME])


@pytest.mark.parametrize(
    "rubbish",
    [b"<html>not here</html>", b"", b"0", b"\x30\x82\xff\xff", bytes(range(256)) * 8, b"\x30\x80" * 600],
)
async def test_rubbish_is_no_answer_and_does_no_harm(
    rubbish: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    agent = Agent(switch(), reply=lambda datagram: [rubbish])
    async with agent, SnmpClient() as client:
        with caplog.at_level(logging.WARNING), pytest.raises(NoAnswerError):
            await client.get(target(agent, timeout_s=0.05, retries=0), [UPTIME])
        agent.reply = lambda datagram: [datagram]
        assert await client.get(target(agent), [UPTIME]) == {UPTIME: 4711}
    assert caplog.text == ""


async def test_who_answers_but_not_in_snmp_is_told_apart_from_silence() -> None:
    async with Agent(switch(), reply=lambda _: [b"<html>"]) as agent, SnmpClient() as client:
        with pytest.raises(NoAnswerError, match="answers, but not in SNMP"):
            await client.get(target(agent, timeout_s=0.05, retries=0), [UPTIME])


async def test_an_answer_that_is_damaged_anywhere_does_no_harm() -> None:
    async with Agent(switch()) as agent, SnmpClient() as client:
        whole: list[bytes] = []
        agent.reply = lambda datagram: whole.append(datagram) or [datagram]  # type: ignore[func-returns-value]
        await client.walk_columns(target(agent), [IN, OUT], [UPTIME])
        for place in range(0, len(whole[0]), 9):
            damaged = bytearray(whole[0])
            damaged[place] ^= 0xFF
            agent.reply = lambda _, damaged=bytes(damaged): [damaged]  # type: ignore[misc]
            with pytest.raises(SnmpError):
                await client.get(target(agent, timeout_s=0.005, retries=0), [UPTIME])


async def test_an_answer_about_something_else_is_refused() -> None:
    async with Agent(switch()) as agent, SnmpClient() as client:
        agent.reply = lambda datagram: [datagram.replace(b"\x02\x01\x01\x03", b"\x02\x01\x01\x05")]
        with pytest.raises(BadAnswerError, match="other objects than were asked for"):
            await client.get(target(agent), [UPTIME])


async def test_the_answer_to_a_request_that_is_over_is_no_answer_to_the_next() -> None:
    answers: list[bytes] = []
    async with Agent(switch()) as agent, SnmpClient() as client:
        agent.reply = lambda datagram: answers.append(datagram) or [datagram]  # type: ignore[func-returns-value]
        assert await client.get(target(agent), [UPTIME]) == {UPTIME: 4711}
        agent.reply = lambda _: answers[:1]
        with pytest.raises(NoAnswerError):
            await client.get(target(agent, timeout_s=0.05, retries=0), [UPTIME])


async def test_answers_that_come_twice_count_once() -> None:
    async with Agent(switch(100), reply=lambda datagram: [datagram] * 3) as agent, SnmpClient() as client:
        walked = await client.walk_columns(target(agent), [IN, OUT])
    assert len(walked.rows) == 100


async def test_an_answer_to_an_earlier_try_is_taken() -> None:
    held: list[bytes] = []

    def late(datagram: bytes) -> list[bytes]:
        held.append(datagram)
        return held[:1] if len(held) == 2 else []

    async with Agent(switch(), reply=late) as agent, SnmpClient() as client:
        assert await client.get(target(agent, timeout_s=0.1), [UPTIME]) == {UPTIME: 4711}


async def test_nobody_else_can_answer() -> None:
    loop = asyncio.get_running_loop()
    async with Agent(switch()) as agent, SnmpClient() as client:
        agent.sender, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        with pytest.raises(NoAnswerError, match="did not answer"):
            await client.get(target(agent, timeout_s=0.05, retries=0), [UPTIME])
        agent.sender.close()


async def test_a_walk_that_goes_in_circles_ends() -> None:
    def circle(asked: Oid, found: Oid | None) -> Oid | None:
        return (*IN, 3) if asked == (*IN, 9) else found

    async with Agent(switch(), next_oid=circle) as agent, SnmpClient() as client:
        walked = await client.walk_columns(target(agent), [IN])
    assert len(walked.rows) == 9
    assert "does not come after" in str(walked.why_incomplete)


async def test_a_table_without_end_is_cut_at_its_bound() -> None:
    def endless(asked: Oid, found: Oid | None) -> Oid:
        return (*asked[:-1], asked[-1] + 1) if len(asked) > len(IN) else (*asked, 1)

    async with Agent(switch(), next_oid=endless) as agent, SnmpClient() as client:
        walked = await client.walk_columns(target(agent), [IN], max_rows=500)
    assert len(walked.rows) == 500
    assert walked.why_incomplete == "more than 500 rows"


async def test_a_column_that_is_refused_costs_only_itself() -> None:
    async with Agent(switch(), refuse={"1.3.6.1.2.1.2.2.1.16": 5}) as agent, SnmpClient() as client:
        walked = await client.walk_columns(target(agent), [IN, OUT])
    assert all(row == {IN: 1000 + index[0]} for index, row in walked.rows.items())
    assert len(walked.rows) == 30
    assert walked.why_incomplete == "1.3.6.1.2.1.2.2.1.16: genErr"


async def test_a_refusal_of_access_is_said() -> None:
    async with Agent(switch(), refuse={"1.3.6": 16}) as agent, SnmpClient() as client:
        with pytest.raises(RefusedError, match="authorizationError"):
            await client.get(target(agent), [UPTIME])


async def test_a_target_has_one_request_in_flight() -> None:
    async with Agent(switch(), delay_s=0.002) as agent, SnmpClient() as client:
        await asyncio.gather(*(client.get(target(agent), [UPTIME]) for _ in range(10)))
    assert agent.requests == 10
    assert agent.most_waiting == 1


async def test_many_targets_are_asked_side_by_side() -> None:
    agents = [Agent(switch()) for _ in range(5)]
    async with SnmpClient() as client:
        for agent in agents:
            await agent.__aenter__()
        got = await asyncio.gather(*(client.get(target(agent), [UPTIME]) for agent in agents))
        for agent in agents:
            await agent.__aexit__()
    assert got == [{UPTIME: 4711}] * 5


async def test_communities_are_kept_apart() -> None:
    async with (
        Agent(switch(), community="one") as first,
        Agent(switch(), community="two") as second,
        SnmpClient() as client,
    ):
        assert await client.get(target(first, "one"), [UPTIME]) == {UPTIME: 4711}
        assert await client.get(target(second, "two"), [UPTIME]) == {UPTIME: 4711}
        with pytest.raises(NoAnswerError):
            await client.get(target(second, "one", timeout_s=0.05, retries=0), [UPTIME])


async def test_ipv6_is_spoken() -> None:
    try:
        agent = await Agent(switch(), host="::1").__aenter__()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    async with SnmpClient() as client:
        got = await client.get(Target("::1", agent.port), [UPTIME])
    await agent.__aexit__()
    assert got == {UPTIME: 4711}
    assert str(Target("::1", 161)) == "[::1]:161"


async def test_a_closed_client_leaves_no_task_behind() -> None:
    async with Agent(switch()) as agent:
        before = asyncio.all_tasks()
        client = SnmpClient()
        await client.get(target(agent), [UPTIME])
        await client.close()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
        await client.close()


async def test_get_asks_with_get_and_walks_with_getbulk() -> None:
    async with Agent(switch(3)) as agent, SnmpClient() as client:
        await client.get(target(agent), [UPTIME])
        await client.walk_columns(target(agent), [IN])
    assert [kind for kind, _ in agent.asked] == [GET, GETBULK]
