"""Many agents at once, well-behaved and not: what is read is theirs and right, the rest has a reason."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest
from mutations import PORTS, plan, switch
from snmp_agent import GET, GETBULK, Agent, counter32, ticks

from correlator.snmp import wire
from correlator.snmp.bulk import CHANGED, ID, SERIALS, SILENT, TRY_BITS, Asked, Exchange, Outcome, Params
from correlator.snmp.codec import Refusal
from correlator.snmp.kinds import Bytes, Ints

pytestmark = pytest.mark.anyio
FEW = 9  # varbinds a request: the switch takes five of them


def asked(agent: Agent, timeout_s: float = 30.0, retries: int = 15, **more: object) -> Asked:
    family = socket.AF_INET6 if ":" in agent.host else socket.AF_INET
    place = wire.address(family, (agent.host, agent.port))
    known = {"plan": plan(FEW), "per_second": 1000} | more
    return Asked(address=place, timeout_s=timeout_s, retries=retries, **known)  # type: ignore[arg-type]


async def exchanged(*asked: Asked, params: Params | None = None) -> Outcome:
    exchange = Exchange(asked, params)
    try:
        return await asyncio.to_thread(exchange.run)
    finally:
        exchange.stopped = True


def numbered(number: int) -> dict[str, object]:
    """Return a switch whose counters tell which one it is."""
    own = {f"1.3.6.1.9.2.{port}": counter32(number * 100 + row) for row, port in enumerate(PORTS)}
    return switch() | own


def told(outcome: Outcome, device: int) -> list[int]:
    first = int(outcome.slots[device])
    return outcome.values[first + 1 : first + 1 + 2 * len(PORTS) : 2].tolist()


def own(number: int) -> list[int]:
    return [number * 100 + row for row in range(len(PORTS))]


@contextlib.asynccontextmanager
async def agents(count: int, **manners: object) -> AsyncIterator[list[Agent]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Agent(numbered(n), **manners))  # type: ignore[arg-type]
            for n in range(count)
        ]


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_each_gets_its_own_values_over_either_family_and_kind_of_call(plain: bool, host: str) -> None:
    before = time.time_ns()
    async with agents(20, host=host) as some:
        outcome = await exchanged(*map(asked, some), params=Params(plain=plain))
    assert not outcome.why.any()
    assert [told(outcome, n) for n in range(20)] == [own(n) for n in range(20)]
    assert (outcome.uptimes == 4711).all()
    assert ((outcome.times >= before) & (outcome.times <= time.time_ns())).all()
    assert {kind for kind, _ in some[0].asked} == {GET, GETBULK}
    assert not outcome.retries.any()


@pytest.mark.parametrize("at_once", [1, 2])
async def test_so_many_requests_are_in_flight_to_a_device_and_its_pace_is_kept(at_once: int) -> None:
    async with agents(3, delay_s=0.02) as some:
        quick = await exchanged(*(asked(one, at_once=at_once) for one in some))
        outcome = await exchanged(*(asked(one, per_second=3, at_once=at_once) for one in some))
    assert [one.most_waiting for one in some] == [at_once] * 3
    assert quick.requests.tolist() == outcome.requests.tolist()
    assert (
        [told(quick, n) for n in range(3)]
        == [told(outcome, n) for n in range(3)]
        == [own(n) for n in range(3)]
    )
    for sent in outcome.sent:
        assert all(later - earlier >= 1.0 for earlier, later in zip(sent, sent[3:], strict=False))


async def test_requests_of_the_last_second_count_for_the_pace() -> None:
    async with agents(1) as (one,):
        began = time.monotonic()
        outcome = await exchanged(asked(one, per_second=50, sent=[began] * 50))
    assert min(time for time in outcome.sent[0] if time > began) >= began + 1.0


@pytest.mark.parametrize("at_once", [1, 2])
async def test_loss_duplicates_and_late_replies_misattribute_nothing(at_once: int) -> None:
    dice, late = random.Random(4), []

    def reply(datagram: bytes) -> list[bytes]:
        late.append(datagram)
        old = [late[dice.randrange(len(late))]]  # of anybody, from any time
        return [*old, datagram, datagram] if dice.random() > 0.1 else old

    async with agents(30, reply=reply) as some:
        outcome = await exchanged(*(asked(one, timeout_s=0.3, at_once=at_once) for one in some))
    assert not outcome.why.any()
    assert [told(outcome, n) for n in range(30)] == [own(n) for n in range(30)]
    assert outcome.retries.sum() > 0
    assert outcome.refused["late"] >= outcome.requests.sum()


@pytest.mark.parametrize("at_once", [1, 2])
async def test_what_finds_no_room_in_the_kernel_goes_out_later(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    send = wire.Wire.send

    def narrow(self: wire.Wire, sizes: Ints, addresses: Bytes, to: Ints) -> int:
        return send(self, sizes[:3], addresses, to[:3])

    monkeypatch.setattr(wire.Wire, "send", narrow)
    async with agents(8) as some:
        outcome = await exchanged(*(asked(one, at_once=at_once) for one in some))
    assert not outcome.why.any()
    assert [told(outcome, n) for n in range(8)] == [own(n) for n in range(8)]
    assert (outcome.requests == len(some[0].asked)).all()
    assert not outcome.retries.any()


async def test_an_answer_to_an_earlier_try_counts() -> None:
    async with agents(1, delay_s=0.35) as (one,):
        outcome = await exchanged(asked(one, timeout_s=0.2))
    assert told(outcome, 0) == own(0)
    assert outcome.retries[0] > 0


async def test_a_serial_that_comes_to_its_end_begins_anew() -> None:
    async with agents(3) as some:
        exchange = Exchange([asked(one) for one in some])
        exchange._strands[:, ID] |= (SERIALS - 1) << TRY_BITS
        exchange._begun = SERIALS
        outcome = await asyncio.to_thread(exchange.run)
    assert [told(outcome, n) for n in range(3)] == [own(n) for n in range(3)]
    assert not outcome.retries.any()
    assert not outcome.refused


@pytest.mark.parametrize("at_once", [1, 2])
async def test_the_right_number_from_a_wrong_address_is_refused(at_once: int) -> None:
    loop = asyncio.get_running_loop()
    elsewhere, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    async with agents(2) as (good, spoofed):
        spoofed.sender = elsewhere
        pairs = ((good, {}), (spoofed, {"timeout_s": 1.0, "retries": 1}))
        outcome = await exchanged(*(asked(one, at_once=at_once, **more) for one, more in pairs))
    elsewhere.close()
    assert outcome.why.tolist() == [0, SILENT]
    assert outcome.refused["source"] == 2 * at_once
    assert outcome.refused["silent"] == 1
    assert not outcome.heard[1]
    assert not any(told(outcome, 1))


@pytest.mark.parametrize("at_once", [1, 2])
async def test_a_cut_answer_is_continued_behind_its_last_whole_row(at_once: int) -> None:
    async with agents(2, max_message=190) as some:
        outcome = await exchanged(*(asked(one, plan=plan(30), at_once=at_once) for one in some))
    assert not outcome.why.any()
    assert [told(outcome, n) for n in range(2)] == [own(n) for n in range(2)]
    assert (outcome.uptimes == 4711).all()
    assert max(some[0].sizes) > 6


@pytest.mark.parametrize(
    ("changes", "manners", "reason"),
    [
        ({}, {"too_big_above": 3}, Refusal.TOO_BIG),
        ({}, {"refuse": {"1.3.6.1.9": 5}}, Refusal.ERROR_STATUS),
        ({f"1.3.6.1.9.2.{PORTS[0]}": -1}, {}, Refusal.NEGATIVE),
        ({f"1.3.6.1.9.2.{PORTS[0]}": "text"}, {}, Refusal.WRONG_TYPE),
        ({f"1.3.6.1.9.1.{PORTS[3]}": "moved"}, {}, Refusal.OTHER_OBJECT),
        ({"1.3.6.1.9.2.4": counter32(1)}, {}, Refusal.OTHER_OBJECT),
        ({"1.3.6.1.2.1.1.3.0": ticks(100)}, {}, CHANGED),
    ],
)
async def test_what_is_not_as_planned_has_its_reason_and_costs_the_others_nothing(
    changes: dict[str, object], manners: dict[str, object], reason: int
) -> None:
    async with agents(2) as (good, _), Agent(switch() | changes, **manners) as bad:  # type: ignore[arg-type]
        outcome = await exchanged(asked(good), asked(bad, uptime_cs=4000))
    assert outcome.why.tolist() == [0, reason]
    assert told(outcome, 0) == own(0)
    assert outcome.heard[1]
    assert sum(outcome.refused.values()) == 1


async def test_objects_that_are_gone_are_absent() -> None:
    gone = {name: value for name, value in switch().items() if not name.startswith("1.3.6.1.9.9")}
    async with Agent(gone) as agent:
        outcome = await exchanged(asked(agent))
    assert outcome.why[0] == Refusal.ABSENT


async def test_noise_and_strangers_are_counted_and_neither_stop_nor_crash_it() -> None:
    dice = random.Random(2)

    def reply(datagram: bytes) -> list[bytes]:
        noise = [dice.randbytes(dice.randrange(300)) for _ in range(20)]
        return [*noise, bytes(3000), datagram.replace(b"public", b"secret"), datagram]

    async with agents(5, reply=reply) as some:
        outcome = await exchanged(*map(asked, some))
    assert [told(outcome, n) for n in range(5)] == [own(n) for n in range(5)]
    assert outcome.refused["malformed"] >= 5 * 20
    assert outcome.refused["oversized"] >= 5
    assert outcome.refused["foreign"] >= 5


async def test_silence_is_told_from_an_answer_that_cannot_be_read() -> None:
    async with (
        agents(1, drop=lambda number: True) as (dead,),
        agents(1, reply=lambda _: [b"hello"]) as (odd,),
    ):
        outcome = await exchanged(*(asked(one, timeout_s=0.5, retries=1) for one in (dead, odd)))
    assert outcome.why.tolist() == [SILENT, SILENT]
    assert outcome.heard.tolist() == [False, True]
    assert outcome.requests.tolist() == [2, 2]


async def test_a_stop_ends_it_within_moments() -> None:
    async with agents(1, drop=lambda number: True) as (dead,):
        exchange = Exchange([asked(dead, timeout_s=60.0)])
        running = asyncio.create_task(asyncio.to_thread(exchange.run))
        await asyncio.sleep(0.05)
        exchange.stopped = True
        outcome = await asyncio.wait_for(running, 5)
    assert outcome.why[0] == SILENT


async def test_the_two_requests_of_a_device_may_both_be_refused_and_it_is_given_up_once() -> None:
    async with agents(1) as (good,), Agent(switch() | {f"1.3.6.1.9.2.{port}": -1 for port in PORTS}) as bad:
        outcome = await exchanged(asked(good, at_once=2), asked(bad, at_once=2))
    assert outcome.why.tolist() == [0, Refusal.NEGATIVE]
    assert outcome.refused["negative"] == 1
    assert told(outcome, 0) == own(0)
    assert not outcome.values[outcome.slots[1] :].any()  # nothing of what it said


def test_senders_differ_by_address_port_and_family_only() -> None:
    four = [
        wire.address(socket.AF_INET, place)[1]
        for place in (("127.0.0.1", 1), ("127.0.0.1", 2), ("127.0.0.2", 1))
    ]
    six = [
        wire.address(socket.AF_INET6, (host, 1, 0, scope))[1] for host, scope in (("::1", 0), ("fe80::1", 3))
    ]
    families = np.array([socket.AF_INET] * 3 + [socket.AF_INET6] * 2, np.uint64)
    raw = np.frombuffer(b"".join(four + six), np.uint8).reshape(5, -1)
    assert len(np.unique(wire.sender(families, raw), axis=0)) == 5
