"""Answers that look like the last ones are read at once, and only those."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import numpy as np
import pytest
from mutations import PORTS, Remembered, loaded, plan, replies, switch
from snmp_agent import Agent, counter32, counter64

from correlator.snmp import codec, wire
from correlator.snmp.bulk import Asked, Exchange, Outcome
from correlator.snmp.codec import Refusal
from correlator.snmp.fleet import Fleet
from correlator.snmp.kinds import Ints
from correlator.snmp.look import look
from correlator.snmp.manners import Pace
from correlator.snmp.paces import Paces, Sent, recent

pytestmark = pytest.mark.anyio


@pytest.fixture
def long_ways(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many answers went the long way, call by call."""
    calls: list[int] = []
    read = codec.read

    def counted(data: codec.Datagrams, first: Ints, *more: Any) -> codec.Read:
        calls.append(len(first))
        return read(data, first, *more)

    monkeypatch.setattr(codec, "read", counted)
    return calls


def fleet(*agents: Agent) -> Fleet:
    known = plan(9)
    places = [wire.address(socket.AF_INET, (one.host, one.port)) for one in agents]
    return Fleet([Asked(known, place, 30.0, 3, 1000) for place in places], 3)


async def polled(some: Fleet) -> Outcome:
    outcome = await asyncio.to_thread(Exchange(some).run)
    assert not outcome.why.any()
    return outcome


async def test_the_second_reading_of_a_device_is_read_at_once(long_ways: list[int]) -> None:
    async with Agent(switch(plain=True)) as one, Agent(switch(plain=True)) as two:
        both = fleet(one, two)
        first = await polled(both)
        assert sum(long_ways) >= first.requests[0]  # one of each kind teaches which types there are
        long_ways.clear()
        second = await polled(both)
    assert not long_ways
    assert (first.values == second.values).all()
    assert (first.uptimes == second.uptimes).all()


async def test_a_value_of_another_length_is_read_at_once_and_remembered(long_ways: list[int]) -> None:
    async with Agent(switch(plain=True)) as agent:
        one = fleet(agent)
        await polled(one)
        long_ways.clear()
        agent.set(switch(plain=True) | {f"1.3.6.1.9.2.{PORTS[1]}": counter32(5)})
        first, second = await polled(one), await polled(one)
    assert not long_ways
    assert first.values[3] == second.values[3] == 5


async def test_a_number_of_nine_bytes_and_text_go_the_long_way(long_ways: list[int]) -> None:
    async with Agent(switch()) as agent:
        one = fleet(agent)
        first = await polled(one)
        second = await polled(one)
    assert sum(long_ways) == first.requests.sum() + second.requests.sum()
    assert (first.values == second.values).all()
    assert second.texts[0] == first.texts[0]


async def test_a_counter_that_turns_negative_or_into_something_else_is_refused() -> None:
    for odd in (-1, "text", counter64(7)):
        async with Agent(switch(plain=True)) as agent:
            one = fleet(agent)
            await polled(one)
            agent.set(switch(plain=True) | {f"1.3.6.1.9.2.{PORTS[0]}": odd})
            outcome = await asyncio.to_thread(Exchange(one).run)
        assert outcome.why.all() == (odd in (-1, "text"))  # another width is no error


async def test_an_answer_that_is_not_what_it_looked_like_is_found_out_when_it_is_read() -> None:
    async with Agent(switch(plain=True)) as sound, Agent(switch(plain=True)) as odd:
        both = fleet(sound, odd)
        first = await polled(both)
        answer, there, elsewhere = odd.answer, bytes((0x2B, 6, 1, 9, 2, 1)), bytes((0x2B, 6, 1, 9, 5, 1))
        odd.answer = lambda asked: [told.replace(there, elsewhere) for told in answer(asked)]  # type: ignore[method-assign]
        outcome = await asyncio.to_thread(Exchange(both).run)
    assert outcome.why.tolist() == [0, Refusal.OTHER_OBJECT]
    assert outcome.refused == {"other_object": 1}
    assert outcome.requests.tolist() == first.requests.tolist()  # it had gone on by then
    slots = both.asked[0].plan.slots
    assert (outcome.values[:slots] == first.values[:slots]).all()
    assert not outcome.values[slots + 1]  # nothing of what it said


async def test_a_device_that_is_put_together_with_others_keeps_its_shapes(long_ways: list[int]) -> None:
    async with Agent(switch(plain=True)) as one, Agent(switch(plain=True)) as two:
        alone = fleet(one)
        await polled(alone)
        long_ways.clear()
        asked = [*fleet(two).asked, *alone.asked]
        asked[0] = Asked(asked[1].plan, asked[0].address, 30.0, 3, 1000)
        before = [part.copy() for part in alone.asked[0].memory.looks]
        both = Fleet(asked, 3)
        kept = asked[1].memory
        after = [part[kept.first :] for part in kept.looks]
        assert (len(after), kept.first) == (3, len(before[0]))
        assert all((one == other).all() for one, other in zip(after, before, strict=True))
        await polled(both)
    assert not long_ways


def test_every_byte_that_is_no_value_must_be_as_it_was() -> None:
    known = plan()
    sound = replies(known, plain=True)
    kind = np.arange(len(sound), dtype=np.int64)
    data, sizes = loaded(sound)
    remembered = Remembered(known, data, sizes, kind)
    for number, datagram in enumerate(sound):
        own = np.full(len(datagram), number, np.int64)
        changed = [bytes((*datagram[:n], datagram[n] ^ 1, *datagram[n + 1 :])) for n in range(len(datagram))]
        taken, values = remembered.read(*loaded(changed), own)
        _, before = remembered.read(*loaded([datagram]), own[:1])
        free = np.flatnonzero(taken)  # the request-id, the error index, and values
        same = (values[free] == before).all(axis=1)
        assert same.sum() <= 5
        assert 0 < len(free) < len(datagram) // 2


def test_an_unusual_answer_is_not_looked_at() -> None:
    datagram = replies(plan(), plain=True)[0]
    assert look(datagram, b"public", [(0, 0, 0)]) is None
    for cut in range(len(datagram)):
        assert look(datagram[:cut], b"public", [(17, 1, 8)] * 3) is None


def test_requests_that_went_elsewhere_count_for_the_pace() -> None:
    pace = Pace(per_second=2)
    pace.went_elsewhere(Sent.told([[9.0], [10.0, 10.5]]), 1)
    assert pace.wait_s(10.6) == pytest.approx(0.4)
    assert Pace(2).recent(10.6) == []
    pace.went_elsewhere(Sent.told([[], []]), 1)
    assert pace.recent(20.0) == []


def test_when_devices_were_asked_last_is_the_same_however_their_paces_know_it() -> None:
    sent, now = Sent.told([[9.0, 9.9], [], [9.1, 9.2, 9.3]]), 10.0
    paces = [Pace(per_second=5) for _ in range(3)]
    for pace, number in zip(paces, (2, 0, 1), strict=True):
        pace.went_elsewhere(sent, number)
    assert list(recent(paces, now)) == [[9.1, 9.2, 9.3], [9.9], []]
    assert list(recent(paces, 10.15)) == [[9.2, 9.3], [9.9], []]
    assert list(recent(paces, 11.0)) == [[], [], []]
    paces[2].went_elsewhere(Sent.told([[9.5]]), 0)
    assert list(recent(paces, now)) == [[9.1, 9.2, 9.3], [9.9], [9.5]]
    paces[1].take(10.0)
    assert list(recent(paces, now)) == [[9.1, 9.2, 9.3], [9.9, 10.0], [9.5]]


def test_what_is_known_of_a_pace_is_kept_by_the_next_exchange() -> None:
    paces = Paces(np.array([2, 3]), Sent.told([[1.0, 1.5, 1.7], [1.9]]))
    assert paces.free.tolist() == [2.5, -np.inf]
    paces.take(np.array([0, 1]), 2.6)
    assert list(paces.sent()) == [[1.0, 1.5, 1.7, 2.6], [1.9, 2.6]]
    assert paces.free.tolist() == [2.7, -np.inf]
    assert paces.count.tolist() == [1, 1]


def test_the_last_requests_of_devices_are_counted_only_from_when_a_pace_may_bind() -> None:
    paces = Paces(np.array([4, 5]), Sent.told([[], [0.5]]))
    paces.take(np.array([0, 0, 1]), 1.0)
    assert not paces.binds
    paces.take(np.array([0, 1, 1]), 1.5)
    assert paces.binds
    assert paces.free.tolist() == [-np.inf, -np.inf]
    paces.take(np.array([0, 1]), 1.7)
    assert paces.free.tolist() == [2.0, 1.5]
    paces.take(np.array([1]), 1.8)
    assert paces.free.tolist() == [2.0, 2.0]
