"""Decoding sock_diag's answers: recorded bytes, older kernels, damage."""

from __future__ import annotations

import errno
import socket
import struct
from pathlib import Path

import numpy as np
import pytest
from agent_messages import message
from hypothesis import given
from hypothesis import strategies as st

from correlator.agent import netlink, sockets


def test_an_answer_is_decoded_field_by_field():
    sample = sockets.decode(
        message(bytes_sent=1234, min_rtt=5100, data_segs_out=3, total_rto=2, cgroup=4711, last_data_sent=12)
    )[0]
    assert (sample["sport"], sample["dport"], sample["cookie"], sample["inode"]) == (40000, 9000, 7, 99)
    assert sample["src"].tobytes() == sockets.MAPPED + bytes([192, 0, 2, 1])
    counted = dict(zip(sockets.COUNTED, sample["counted"].tolist(), strict=True))
    assert (counted["bytes_sent"], counted["data_segs_out"], counted["total_rto"]) == (1234, 3, 2)
    assert (sample["min_rtt"], sample["last_data_sent"], sample["cgroup"], sample["known"]) == (
        5100,
        12,
        4711,
        280,
    )


AGAIN = [{"cookie": i, "sport": 40000 + i, "cgroup": 5, "bytes_sent": 10 * i} for i in range(1, 4)]


def read_again(*which, **fields):
    """Return (what is read again of these sockets, what a decoding of the same bytes says)."""
    before = sockets.decode(b"".join(message(**one) for one in AGAIN))
    told = b"".join(message(**AGAIN[i] | {"bytes_sent": 999} | fields) for i in which)
    return sockets.decode_again(told, before), sockets.decode(told)


def test_sockets_that_are_read_again_are_as_if_decoded_anew():
    again, anew = read_again(0, 1, 2, state=4, inode=0, total_rto=2, rtt=70, unacked=3, cgroup=6)
    for name in set(sockets.SAMPLE.names) - {"place"}:
        np.testing.assert_array_equal(again[name], anew[name])


@pytest.mark.parametrize(
    ("which", "fields"),
    [
        ((1, 0, 2), {}),
        ((0, 1), {}),
        ((0, 1, 2, 2), {}),
        ((), {}),
        ((0, 1, 2), {"kind": 2}),
        ((0, 1, 2), {"cgroup": None, "info_bytes": 0}),
    ],
)
def test_other_sockets_or_another_order_are_not_read_again(which, fields):
    assert read_again(*which, **fields)[0] is None


def test_one_answer_of_another_length_among_many_is_not_read_again():
    before = sockets.decode(b"".join(message(**one) for one in AGAIN))
    told = [message(**AGAIN[0]), message(**AGAIN[1], info_bytes=240), message(**AGAIN[2])]
    assert sockets.decode_again(b"".join(told), before) is None


@pytest.mark.parametrize("length", [104, 148, 160, 192, 232, 248])
def test_a_shorter_tcp_info_leaves_later_fields_empty(length):
    sample = sockets.decode(message(info_bytes=length, total_retrans=5, bytes_sent=77, total_rto_time=9))[0]
    counted = dict(zip(sockets.COUNTED, sample["counted"].tolist(), strict=True))
    assert sample["known"] == length
    assert counted["total_retrans"] == (5 if length >= 104 else 0)
    assert counted["bytes_sent"] == (77 if length >= 208 else 0)
    assert counted["total_rto_time"] == (9 if length >= 248 else 0)


def test_a_longer_tcp_info_of_a_newer_kernel_is_read():
    whole = message(min_rtt=1)
    longer = netlink.message(
        sockets.BY_FAMILY,
        0,
        whole[16:88] + netlink.attribute(sockets.INFO, bytes(148) + b"\x05\0\0\0" + bytes(200)),
    )
    assert sockets.decode(longer)[0]["min_rtt"] == 5


def test_messages_of_several_lengths_and_kinds_are_read_in_order():
    done = netlink.message(netlink.DONE, 0, bytes(4))
    data = b"".join(
        [
            message(cookie=1),
            message(cookie=2),
            message(cookie=3, cgroup=5),
            done,
            message(cookie=4, info_bytes=0),
            message(cookie=5, kind=sockets.GET_BOTH_FAMILIES),
            message(cookie=6, info_bytes=104),
        ]
    )
    assert sorted(sockets.decode(data)["cookie"].tolist()) == [1, 2, 3, 5, 6]


def test_what_came_from_which_part_is_known():
    parts = [message(cookie=1) + message(cookie=2), b"", message(cookie=3), message(cookie=4, cgroup=1)]
    samples, part = sockets.decode_parts(parts)
    assert dict(zip(samples["cookie"].tolist(), part.tolist(), strict=True)) == {1: 0, 2: 0, 3: 2, 4: 3}


def test_ipv6_and_mapped_addresses_keep_their_form():
    six = sockets.decode(message(family=socket.AF_INET6, src="2001:db8::1", dst="::ffff:192.0.2.9"))[0]
    assert six["src"].tobytes() == socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    assert six["dst"].tobytes() == sockets.MAPPED + bytes([192, 0, 2, 9])


@given(st.binary(max_size=600))
def test_any_bytes_are_passed_over_without_an_error(noise):
    assert len(sockets.decode(noise)) == 0 or len(noise) >= 88


@given(st.integers(0, 400))
def test_a_cut_message_costs_itself_only(cut):
    data = message(cookie=1) + message(cookie=2)[:cut]
    assert 1 in sockets.decode(data)["cookie"]


@given(st.integers(16, 395), st.integers(0, 255))
def test_a_flipped_byte_never_raises(place, value):
    data = bytearray(message(cookie=1) + message(cookie=2) + message(cookie=3))
    data[place] = value
    assert len(sockets.decode(bytes(data))) <= 3


def test_lookups_ask_for_what_was_read():
    samples = np.concatenate(
        [
            sockets.decode(message(cookie=5)),
            sockets.decode(
                message(family=socket.AF_INET6, src="::ffff:192.0.2.1", dst="::ffff:192.0.2.2", cookie=6)
            ),
        ]
    )
    asked = np.frombuffer(sockets.lookups(samples), sockets.REQUEST)
    assert asked["cookie"].tolist() == [5, 6]
    assert asked[0]["src"].tobytes() == bytes([192, 0, 2, 1]) + bytes(12)
    assert asked[1]["src"].tobytes() == sockets.MAPPED + bytes([192, 0, 2, 1])
    assert asked["sport"][:1].tobytes() == struct.pack(">H", 40000)


def test_addresses_of_both_families_are_mapped_side_by_side():
    data = message(src="192.0.2.7", dst="192.0.2.8", cookie=1)
    data += message(family=socket.AF_INET6, src="2001:db8::1", dst="::ffff:192.0.2.9", cookie=2)
    data += message(src="192.0.2.9", cookie=3)
    read = [(sample["src"].tobytes(), sample["dst"].tobytes()) for sample in sockets.decode(data)]
    mapped = [socket.inet_pton(socket.AF_INET6, f"::ffff:192.0.2.{n}") for n in (7, 8, 9, 2)]
    six = socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    assert read == [(mapped[0], mapped[1]), (six, mapped[2]), (mapped[2], mapped[3])]


def test_half_open_and_dead_states_are_not_asked_for():
    for state in (3, 6, 7, 12):  # SYN_RECV, TIME_WAIT, CLOSE, NEW_SYN_RECV
        assert not sockets.STATES & 1 << state


def test_the_kernels_own_sockets_are_read_and_found_again():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        other = server.accept()[0]
        try:
            diag = sockets.Diag.open(netlink.Inbox())
        except OSError as error:
            other.close()
            pytest.skip(f"needs sock_diag: {error}")
        try:
            client.sendall(b"x" * 100)
            samples = sockets.decode(diag.dump())
            mine = samples[samples["sport"] == client.getsockname()[1]]
            again = sockets.decode(diag.lookup(sockets.lookups(mine)))
            assert again["cookie"].tolist() == mine["cookie"].tolist()
            assert again["counted"][0][sockets.PLACE["bytes_sent"]] == 100
            assert diag.in_use() >= 3
        finally:
            diag.close()
            other.close()


def test_a_close_that_waits_is_counted_and_is_many_where_the_buffer_is_small():
    try:
        diag = sockets.Diag.open(netlink.Inbox())
    except OSError as error:
        pytest.skip(f"needs sock_diag: {error}")
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname()).close()
            server.accept()[0].close()
        assert 2 <= diag.waiting() < sockets.EVENT_BUFFER
        diag.events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert diag.waiting() == sockets.EVENT_BUFFER
        assert diag.drain([]) is False
        assert diag.waiting() == 0
    finally:
        diag.close()


@pytest.fixture
def queue():
    """Two ends of a queue of datagrams: (to write, to read)."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    yield ends
    for end in ends:
        end.close()


def test_many_datagrams_are_read_at_one_call(queue):
    sent = [message(cookie=1), b"12345", message(cookie=2), message(cookie=3)]
    for one in sent:
        queue[0].send(one)
    came, number = netlink.Inbox().receive(queue[1].fileno())
    assert number == 4
    assert came == b"".join([sent[0], b"12345\0\0\0", *sent[2:]])


def test_a_long_queue_is_read_in_turns_and_then_is_empty(queue):
    inbox, sizes = netlink.Inbox(), (message(cookie=1), message(cookie=2, info_bytes=104))
    for size in sizes:
        for _ in range(5):
            queue[0].send(size)
    taken = [inbox.receive(queue[1].fileno()) for _ in range(2)]
    assert taken == [(sizes[0] * 5 + sizes[1] * 5, 10), (b"", 0)]


def test_a_datagram_that_does_not_fit_is_an_error_and_not_half_a_socket(queue):
    queue[0].send(bytes(netlink.SLOT + 1))
    with pytest.raises(OSError, match="Message too long"):
        netlink.Inbox().receive(queue[1].fileno())


def test_an_answer_that_does_not_come_is_a_kernel_that_did_not_answer(queue):
    diag = sockets.Diag(queue[1], queue[1], (), netlink.Inbox())
    with pytest.raises(TimeoutError, match="did not answer"):
        diag.lookup(sockets.lookups(sockets.decode(message())))


def test_a_netlink_error_is_raised_with_its_number():
    with pytest.raises(netlink.NetlinkError) as caught:
        netlink.raise_error(memoryview(struct.pack("=i", -errno.EPERM)))
    assert caught.value.errno == errno.EPERM


RECORDED = Path(__file__).parent / "recorded"


def test_a_recorded_dump_shows_both_ends_of_a_dual_stack_connection():
    """Linux 6.18: three requests of 100 bytes answered by 250, a server listening on ``::``."""
    samples = sockets.decode((RECORDED / "dump-linux-6.18.bin").read_bytes())
    connected = samples[samples["state"] == 1]
    assert sorted(connected["family"].tolist()) == [socket.AF_INET, socket.AF_INET6]
    assert {sample["src"].tobytes() for sample in connected} == {sockets.MAPPED + bytes([127, 0, 0, 1])}
    client, server = sorted(connected, key=lambda sample: sample["family"])
    assert client["counted"][: sockets.PLACE["total_retrans"] + 1].tolist() == [300, 750, 3, 3, 0]
    assert server["counted"][: sockets.PLACE["total_retrans"] + 1].tolist() == [750, 300, 3, 3, 0]
    assert samples["known"].tolist() == [280] * len(samples)
    assert (samples["state"] == sockets.LISTEN).sum() == 1


def test_recorded_destroy_events_carry_the_last_counters():
    events = sockets.decode((RECORDED / "destroy-linux-6.18.bin").read_bytes())
    listening, _ = sockets.listening(events)
    assert listening.sum() == 2  # one of them never got a port
    ended = events[events["dport"] != 0]
    assert sorted(ended["counted"][:, sockets.PLACE["bytes_sent"]].tolist()) == [300, 750]
    assert set(ended["state"].tolist()) == {7}


def test_a_refused_connection_is_no_listening_socket():
    events = sockets.decode(
        message(state=7, sport=40001, dport=0, pmtu=1500, cookie=1)
        + message(state=7, sport=9000, dport=0, cookie=2)
        + message(state=7, sport=0, dport=0, cookie=3)
        + message(state=7, cookie=4)
    )
    listening, forgotten = sockets.listening(events)
    assert events["cookie"][listening].tolist() == [2, 3]
    assert events["cookie"][forgotten].tolist() == [1]
