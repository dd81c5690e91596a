"""The SNMP agent, judged by pysnmp's codec and by RFC 3416."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto.api import v2c

from correlator.fabric import ber
from correlator.fabric.switch import Mib, Moving, SwitchAgent

SCALAR, TEXT, TABLE, LAST = (
    (1, 3, 6, 1, 2, 1, 1, 1),
    (1, 3, 6, 1, 2, 1, 1, 5),
    (1, 3, 6, 1, 2, 1, 2, 2, 1, 10),
    (2, 1, 9),
)
NOW = {"value": 5}


def agent(rows: int = 3) -> SwitchAgent:
    objects = [
        (SCALAR, (0,), ber.octets("a switch")),
        (TEXT, (0,), ber.octets("x" * 200)),
        *(
            (TABLE, (n * 100,), Moving(ber.COUNTER32, lambda n=n: NOW["value"] * n))
            for n in range(1, rows + 1)
        ),
        (LAST, (7,), ber.integer(-3)),
    ]
    return SwitchAgent("secret", Mib(objects))


def ask(pdu, names, community="secret", first=0, second=0, of: SwitchAgent | None = None):
    """Return what pysnmp understands of the answer: error status, and names with values."""
    api = v2c.apiBulkPDU if isinstance(pdu, v2c.GetBulkRequestPDU) else v2c.apiPDU
    api.set_defaults(pdu)
    if api is v2c.apiBulkPDU:
        api.set_non_repeaters(pdu, first)
        api.set_max_repetitions(pdu, second)
    api.set_varbinds(pdu, [(name, v2c.null) for name in names])
    message = v2c.Message()
    v2c.apiMessage.set_defaults(message)
    v2c.apiMessage.set_community(message, community)
    v2c.apiMessage.set_pdu(message, pdu)
    data = (of or agent()).answer(encoder.encode(message))
    if data is None:
        return None
    answer, rest = decoder.decode(data, asn1Spec=v2c.Message())
    assert not rest
    response = v2c.apiMessage.get_pdu(answer)
    assert v2c.apiPDU.get_request_id(response) == v2c.apiPDU.get_request_id(pdu)
    found = [(tuple(name), value) for name, value in v2c.apiPDU.get_varbinds(response)]
    return int(v2c.apiPDU.get_error_status(response)), found, len(data)


def test_get_returns_exact_instances_and_says_what_is_missing_and_how():
    status, found, _ = ask(
        v2c.GetRequestPDU(), [(*SCALAR, 0), (*TABLE, 200), (*TABLE, 3), (1, 3, 6, 1, 9, 0)]
    )
    assert status == 0
    assert bytes(found[0][1]) == b"a switch"
    assert int(found[1][1]) == 10
    assert isinstance(found[2][1], v2c.NoSuchInstance)
    assert isinstance(found[3][1], v2c.NoSuchObject)


def test_get_next_walks_in_order_to_the_end_of_the_view():
    name, seen = (1, 3), []
    while True:
        _, [(name, value)], _ = ask(v2c.GetNextRequestPDU(), [name])
        if isinstance(value, v2c.EndOfMibView):
            break
        seen.append(name)
    assert len(seen) == 6
    assert all(a < b for a, b in pairwise(seen))


def test_get_bulk_interleaves_repeaters_after_the_non_repeaters():
    _, found, _ = ask(v2c.GetBulkRequestPDU(), [SCALAR, TABLE, (*TABLE, 100)], first=1, second=2)
    assert [name for name, _ in found] == [
        (*SCALAR, 0), (*TABLE, 100), (*TABLE, 200), (*TABLE, 200), (*TABLE, 300)
    ]  # fmt: skip


def test_get_bulk_past_the_end_repeats_the_last_name_with_end_of_mib_view():
    _, found, _ = ask(v2c.GetBulkRequestPDU(), [(*TABLE, 200), (*TABLE, 300)], second=9)
    assert found[1][0] == (*LAST, 7)
    assert int(found[1][1]) == -3
    assert isinstance(found[3][1], v2c.EndOfMibView)
    assert found[3][0] == (*LAST, 7)
    assert isinstance(found[-1][1], v2c.EndOfMibView)
    assert isinstance(found[-2][1], v2c.EndOfMibView)


def test_get_bulk_is_cut_to_what_one_datagram_holds():
    status, found, octets = ask(v2c.GetBulkRequestPDU(), [TABLE], second=1000, of=agent(500))
    assert status == 0
    assert 20 < len(found) < 100
    assert octets <= 1400


def test_get_whose_answer_does_not_fit_is_too_big():
    status, found, _ = ask(v2c.GetRequestPDU(), [(*TEXT, 0)] * 9)
    assert status == 1
    assert found == []


def test_a_wrong_community_gets_no_answer():
    assert ask(v2c.GetRequestPDU(), [(*SCALAR, 0)], community="public") is None


def test_set_is_refused():
    assert ask(v2c.SetRequestPDU(), [(*SCALAR, 0)])[0] == 17


def test_a_moving_value_moves_only_when_time_does():
    mine = agent()
    NOW["value"] = 5
    before = ask(v2c.GetRequestPDU(), [(*TABLE, 100)], of=mine)[1][0][1]
    NOW["value"] = 6
    cached = ask(v2c.GetRequestPDU(), [(*TABLE, 100)], of=mine)[1][0][1]
    mine.mib.refresh()
    after = ask(v2c.GetRequestPDU(), [(*TABLE, 100)], of=mine)[1][0][1]
    NOW["value"] = 5
    assert (int(before), int(cached), int(after)) == (5, 5, 6)


@given(st.binary(max_size=80))
def test_noise_gets_no_answer_and_does_no_harm(data):
    assert agent().answer(data) is None


@given(st.integers(0, 119), st.integers(0, 1))
def test_a_broken_request_never_raises(at, bit):
    message = v2c.Message()
    pdu = v2c.GetRequestPDU()
    v2c.apiPDU.set_defaults(pdu)
    v2c.apiPDU.set_varbinds(pdu, [((*TABLE, 100), v2c.null), ((*SCALAR, 0), v2c.null)])
    v2c.apiMessage.set_defaults(message)
    v2c.apiMessage.set_community(message, "secret")
    v2c.apiMessage.set_pdu(message, pdu)
    data = bytearray(encoder.encode(message))
    data[at % len(data)] ^= 0x80 >> bit
    answer = agent().answer(bytes(data))
    assert answer is None or answer[0] == ber.SEQUENCE


@given(st.integers(-(2**31), 2**31 - 1))
def test_pysnmp_reads_our_integers(value):
    # pyasn1 itself spends an octet too much on -128 and its like (X.690, 8.3.2)
    assert int(decoder.decode(ber.integer(value), asn1Spec=v2c.Integer())[0]) == value
    assert len(ber.integer(value)) <= len(encoder.encode(v2c.Integer(value)))
    assert ber.read_integer(ber.integer(value), 0)[0] == value


@given(st.integers(0, 2**64 - 1))
def test_counters_are_encoded_as_pysnmp_does(value):
    assert ber.integer(value, ber.COUNTER64) == encoder.encode(v2c.Counter64(value))


@given(st.lists(st.integers(0, 2**32 - 1), max_size=12))
def test_names_are_encoded_as_pysnmp_does(arcs):
    name = (1, 3, *arcs)
    assert ber.oid(name) == encoder.encode(v2c.ObjectIdentifier(name))
    assert ber.read_oid(ber.oid(name), 0)[0] == name


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65_535])
def test_long_texts_are_encoded_as_pysnmp_does(size):
    assert ber.octets(b"x" * size) == encoder.encode(v2c.OctetString(b"x" * size))
