"""The bulk codec against another codec, and against everything that a reply can be beside right."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import PORTS, broken, kinds_of, loaded, plan, read, replies, switch
from snmp_agent import Agent, Typed, counter32, counter64, gauge

from correlator.snmp import ber
from correlator.snmp.codec import Refusal

EXAMPLES = int(os.environ.get("CORRELATOR_EXAMPLES", "300"))  # of each property; `make broken` takes more
KNOWN = plan()
KINDS = kinds_of(KNOWN)
SOUND = replies(KNOWN)


def why(*datagrams: bytes, kinds: list[int] | None = None) -> list[Refusal]:
    data, sizes = loaded(list(datagrams))
    kind = np.array(kinds if kinds is not None else [0] * len(datagrams), np.int64)
    return [Refusal(int(reason)) for reason in read(data, sizes, kind, KNOWN)[0]]


def answer(changes: dict[str, object], kind: int = 0, **manners: object) -> bytes:
    agent = Agent(switch() | changes, **manners)  # type: ignore[arg-type]
    agent.set(agent.values)
    return agent.answer(bytes(KINDS.template[kind, : KINDS.length[kind]]))[0]


def tlv(tag: int, body: bytes, form: int = 0) -> bytes:
    """Return a value whose length is written in so many bytes behind the first; 0: the short form."""
    if not form:
        return ber.tlv(tag, body)
    return bytes((tag, 0x80 | form)) + len(body).to_bytes(form, "big") + body


def message(binds: bytes, number: int = 1, form: int = 0, community: bytes = b"public") -> bytes:
    pdu = ber.integer(number) + ber.integer(0) + ber.integer(0) + tlv(0x30, binds, form)
    return tlv(0x30, ber.integer(1) + tlv(4, community) + tlv(0xA2, pdu, form), form)


def test_every_value_of_every_kind_of_request_is_read_exactly() -> None:
    data, sizes = loaded(SOUND)
    reasons, values, found = read(data, sizes, np.arange(len(SOUND)), KNOWN)
    assert not reasons.any()
    together = values.max(axis=0)  # each value is in one reply
    for number in range(len(PORTS)):
        assert int(together[1 + 2 * number]) == 2**32 - 1 - number
        assert int(together[2 + 2 * number]) == 2**64 - 1 - number
    first = 1 + 2 * len(PORTS)
    assert together.view(np.int64)[[first, first + 3]].tolist() == [-2500, -2500]
    assert [octets for _, octets in found.texts] == [b"-2.5 dBm", b"-2.5 dBm"]
    assert int(together[0]) == 4711


def test_requests_are_what_another_codec_understands() -> None:
    agent = Agent(switch())
    agent.set(agent.values)
    for kind in range(KNOWN.count):
        assert agent.answer(bytes(KINDS.template[kind, : KINDS.length[kind]]))
    assert {kind for kind, _ in agent.asked} == {0xA0, 0xA5}


@pytest.mark.parametrize("form", [1, 2])
def test_lengths_in_the_long_form_are_read_too(form: int) -> None:
    at = SOUND[0].index(ber.integer(4711, 0x43))
    binds = SOUND[0][SOUND[0].rindex(b"\x30\x0e\x06\x08", 0, at) :]
    wide, at = b"", 0
    while at < len(binds):
        size = binds[at + 1]
        wide += tlv(0x30, binds[at + 2 : at + 2 + size], form)
        at += 2 + size
    plain, long = message(binds), message(wide, form=2)
    data, sizes = loaded([plain, long])
    reasons, values, _ = read(data, sizes, np.array([0, 0]), KNOWN)
    assert reasons.tolist() == [0, 0]
    assert (values[0] == values[1]).all()


def test_what_is_wrong_is_refused_by_its_kind() -> None:
    first, second = f"1.3.6.1.9.2.{PORTS[1]}", f"1.3.6.1.9.3.{PORTS[2]}"
    assert why(answer({first: -1})) == [Refusal.NEGATIVE]
    assert why(answer({first: 7})) == [Refusal.NONE]
    assert why(answer({second: Typed(0x46, -(2**63))})) == [Refusal.NEGATIVE]
    assert why(answer({first: counter32(2**32)})) == [Refusal.OUT_OF_RANGE]
    assert why(answer({second: counter64(2**64)})) == [Refusal.OUT_OF_RANGE]
    assert why(answer({first: gauge(2**40)})) == [Refusal.OUT_OF_RANGE]
    assert why(answer({first: "7"})) == [Refusal.WRONG_TYPE]
    assert why(answer({f"1.3.6.1.9.1.{PORTS[1]}": "Ethernet9"})) == [Refusal.OTHER_OBJECT]
    assert why(answer({f"1.3.6.1.9.1.{PORTS[0]}": "A name of more than thirty-two bytez"})) == [
        Refusal.OTHER_OBJECT
    ]
    assert why(answer({f"1.3.6.1.9.2.{PORTS[0] + 4}": counter32(1)}), kinds=[0])[0] == Refusal.OTHER_OBJECT
    assert why(answer({}, max_message=70)) == [Refusal.SHORT]
    assert why(SOUND[0] + b"\0", SOUND[0][:-1], b"", bytes(2048)) == [Refusal.MALFORMED] * 4
    assert why(SOUND[0] + bytes(3000)) == [Refusal.OVERSIZED]


def test_an_object_that_is_gone_is_absent() -> None:
    last = KNOWN.count - 1
    values = switch()
    del values[f"1.3.6.1.9.9.{PORTS[0]}"]
    agent = Agent(values)
    agent.set(values)
    (datagram,) = agent.answer(bytes(KINDS.template[last, : KINDS.length[last]]))
    assert why(datagram, kinds=[last]) == [Refusal.ABSENT]


def test_more_than_was_asked_for_is_refused() -> None:
    assert why(SOUND[0], kinds=[KNOWN.count - 1])[0] in (Refusal.SURPLUS, Refusal.OTHER_OBJECT)


def test_other_messages_are_foreign() -> None:
    assert why(SOUND[0].replace(b"\x02\x01\x01\x04", b"\x02\x01\x00\x04", 1)) == [Refusal.FOREIGN]
    assert why(bytes(KINDS.template[0, : KINDS.length[0]])) == [Refusal.FOREIGN]


@pytest.mark.parametrize("size", [0x80, 0x81, 0x82, 0x83, 0x84, 0x88, 0xFF])
def test_no_length_leads_out_of_a_datagram(size: int) -> None:
    for place in range(1, 120):
        hostile = bytearray(SOUND[0])
        hostile[place] = size
        assert why(bytes(hostile))[0] in set(Refusal)


@pytest.mark.parametrize("plain", [False, True])
def test_a_hundred_thousand_broken_replies_are_each_refused_or_sound(plain: bool) -> None:
    count, refused, taken, quickly = broken(seed=1, batches=50, plain=plain)
    assert count == 50_000 == sum(refused.values()) + taken
    assert (quickly > 0) == plain
    assert {"MALFORMED", "OVERSIZED", "FOREIGN", "OTHER_OBJECT", "WRONG_TYPE"} <= set(refused)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=20))
def test_noise_is_refused(noise: list[bytes]) -> None:
    assert all(reason for reason in why(*noise))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 255), st.integers(0, 2), st.integers(0, 300))
def test_a_changed_byte_is_refused_or_changes_what_it_says(
    place: int, octet: int, kind: int, cut: int
) -> None:
    kind %= len(SOUND)
    changed = bytearray(SOUND[kind])
    changed[place % len(changed)] = octet
    datagrams = [bytes(changed), SOUND[kind][:cut]]
    data, sizes = loaded(datagrams)
    reasons, values, _ = read(data, sizes, np.array([kind, kind]), KNOWN)
    for reason, told in zip(reasons.tolist(), values, strict=True):
        if reason:
            assert reason in set(Refusal)
            assert not told.any()
