"""Counters of connections over readings and intervals, and the times that they tell."""

from __future__ import annotations

import numpy as np
import pytest
from agent_messages import message
from hypothesis import given
from hypothesis import strategies as st

from correlator.agent import ledger, sockets
from correlator.agent.ledger import COUNTERS, Ledger


def read(book, *messages, now=1.0, born=True, slot=1):
    samples = sockets.decode(b"".join(messages))
    book.read(np.full(len(samples), slot, "u2"), samples, np.full(len(samples), born), now)


def close(book, *messages, now=2.0, born=True, slot=1):
    events = sockets.decode(b"".join(messages))
    return book.close(np.full(len(events), slot, "u2"), events, np.full(len(events), born), now)


def moved(share):
    return dict(zip(COUNTERS, share["delta"].tolist(), strict=True))


def test_a_connection_from_birth_counts_from_zero():
    book = Ledger()
    read(book, message(bytes_sent=300, data_segs_out=3, data_segs_in=3, bytes_received=70))
    share = book.settle()[0]
    assert moved(share)["bytes_sent"] == 300
    assert moved(share)["exchanges"] == 3
    assert share["new"]
    assert share["why"] == 0


def test_a_connection_older_than_the_agent_counts_from_its_first_reading():
    book = Ledger()
    read(book, message(bytes_sent=300, data_segs_out=3, data_segs_in=3), born=False)
    first = book.settle()[0]
    read(book, message(bytes_sent=500, data_segs_out=5, data_segs_in=5), born=False)
    second = book.settle()[0]
    assert (moved(first)["bytes_sent"], moved(second)["bytes_sent"]) == (0, 200)
    assert moved(second)["exchanges"] == 2
    assert first["why"] == ledger.OLDER
    assert second["why"] == 0
    assert not first["new"]


def test_what_is_resent_is_not_sent_twice():
    book = Ledger()
    read(book, message(bytes_sent=3000, bytes_retrans=1000, total_retrans=1, data_segs_out=3, data_segs_in=2))
    share = moved(book.settle()[0])
    assert (share["bytes_sent"], share["retransmitted_bytes"], share["retransmitted_segments"]) == (
        2000,
        1000,
        1,
    )
    assert share["exchanges"] == 2


@pytest.mark.parametrize(
    ("resent", "resent_bytes", "info_bytes", "exchanges"),
    [(1, 0, 280, 3), (2, 1000, 280, 2), (1, 1000, 280, 2), (1, 0, 208, 2)],
    ids=["a SYN", "a SYN and a request", "a request", "a kernel that does not tell the bytes"],
)
def test_a_syn_that_was_sent_again_is_no_data_segment(resent, resent_bytes, info_bytes, exchanges):
    book = Ledger()
    counted = {"bytes_sent": 3000, "data_segs_out": 3, "data_segs_in": 3}
    again = {"total_retrans": resent, "bytes_retrans": resent_bytes}
    read(book, message(**counted, **again, info_bytes=info_bytes))
    assert moved(book.settle()[0])["exchanges"] == exchanges


def test_each_byte_is_counted_in_one_interval_only():
    book = Ledger()
    total = 0
    for size in (100, 250, 250, 900):
        read(book, message(bytes_sent=size))
        total += moved(book.settle()[0])["bytes_sent"]
    last = close(book, message(bytes_sent=1000, state=7))
    assert total + moved(last[0])["bytes_sent"] == 1000
    assert len(book) == 0
    assert len(book.settle()) == 0


def test_a_connection_that_was_never_read_is_counted_when_it_closes():
    share = close(Ledger(), message(bytes_sent=100, data_segs_out=1, data_segs_in=1, state=7))[0]
    assert moved(share)["bytes_sent"] == 100
    assert (share["new"], share["closed"], share["open"]) == (True, True, False)


def test_the_close_of_an_unknown_older_connection_counts_nothing():
    share = close(Ledger(), message(bytes_sent=10**9, state=7), born=False)[0]
    assert moved(share)["bytes_sent"] == 0
    assert share["why"] == ledger.OLDER


def test_a_port_that_is_used_again_is_another_connection():
    book = Ledger()
    read(book, message(cookie=1, bytes_sent=100))
    book.settle()
    close(book, message(cookie=1, bytes_sent=100, state=7))
    read(book, message(cookie=2, bytes_sent=30))
    assert moved(book.settle()[0])["bytes_sent"] == 30


def test_one_cookie_in_two_namespaces_is_two_connections():
    book = Ledger()
    read(book, message(cookie=1, bytes_sent=100), slot=1)
    read(book, message(cookie=1, bytes_sent=7), slot=2)
    assert sorted(share["delta"][0] for share in book.settle()) == [7, 100]


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**31 - 1))
def test_a_counter_that_wraps_moves_as_one_that_does_not(start, step):
    book = Ledger()
    read(book, message(data_segs_out=start), born=False)
    book.settle()
    read(book, message(data_segs_out=(start + step) % 2**32), born=False)
    assert moved(book.settle()[0])["data_segments_sent"] == step


def test_a_reading_that_steps_back_counts_nothing():
    book = Ledger()
    read(book, message(data_segs_out=10, bytes_sent=1000))
    read(book, message(data_segs_out=9, bytes_sent=900))
    assert moved(book.settle()[0])["data_segments_sent"] == 10


def test_the_client_s_wait_is_the_response_and_the_server_s_work_the_service():
    book = Ledger()
    read(book, message(data_segs_out=1, data_segs_in=1, last_data_sent=52, last_data_recv=40))
    client = book.settle()[0]
    assert (client["response_ms"], client["responses"], client["services"]) == (12, 1, 0)
    book = Ledger()
    read(book, message(data_segs_out=1, data_segs_in=1, last_data_sent=40, last_data_recv=60))
    server = book.settle()[0]
    assert (server["service_ms"], server["services"], server["responses"]) == (20, 1, 0)


def test_an_exchange_is_timed_once_however_often_it_is_read():
    book = Ledger()
    for ago in (0, 1000, 2000):
        read(book, message(data_segs_out=1, data_segs_in=1, last_data_sent=52 + ago, last_data_recv=40 + ago))
    assert book.settle()[0]["responses"] == 1


def test_a_reading_with_something_resent_times_nothing():
    book = Ledger()
    read(
        book, message(data_segs_out=2, data_segs_in=1, total_retrans=1, last_data_sent=52, last_data_recv=40)
    )
    assert book.settle()[0]["responses"] == 0


def test_a_tie_is_a_quick_answer_only_where_all_is_answered():
    for answered, expected in ((1, 1), (0, 0)):
        book = Ledger()
        read(book, message(data_segs_out=2, data_segs_in=1 + answered, last_data_sent=8, last_data_recv=8))
        share = book.settle()[0]
        assert (share["responses"], share["response_ms"]) == (expected, 0)


def test_a_client_that_never_pauses_is_timed_by_its_exchanges():
    book = Ledger()
    for second in range(ledger.CLOSED_LOOP_READINGS + 1):
        read(
            book,
            message(
                data_segs_out=50 * second + 2,
                data_segs_in=50 * second + 1,
                last_data_sent=8,
                last_data_recv=8,
            ),
            now=float(second),
        )
        share = book.settle()[0]
    assert share["looped"] == 50
    assert share["loop_ms"] / share["looped"] == pytest.approx(20)


def test_an_unanswered_wait_is_a_stall():
    book = Ledger()
    read(book, message(data_segs_out=1, unacked=1, last_data_sent=340))
    assert book.settle()[0]["stall"] == 340
    read(book, message(data_segs_out=1, total_rto=1, total_retrans=1, total_rto_time=1200))
    assert book.settle()[0]["stall"] == 1200
    assert np.isnan(book.settle()[0]["stall"])


def test_what_a_dump_no_longer_shows_is_not_open_but_still_known():
    book = Ledger()
    read(book, message(cookie=1, bytes_sent=10), message(cookie=2, bytes_sent=10))
    book.settle()
    book.missing(1, sockets.decode(message(cookie=2)))
    assert book.known(1)["cookie"].tolist() == [2]
    share = close(book, message(cookie=1, bytes_sent=15, state=7))[0]
    assert moved(share)["bytes_sent"] == 5


def test_a_namespace_that_goes_takes_its_connections_along():
    book = Ledger()
    read(book, message(cookie=1, bytes_sent=10))
    read(book, message(cookie=1, bytes_sent=10), slot=2)
    gone = book.forget(1)
    assert gone["why"].tolist() == [ledger.GONE]
    assert len(book) == 1


def test_connections_beyond_the_limit_are_counted_not_kept():
    book = Ledger(limit=2)
    read(book, *(message(cookie=i) for i in range(1, 6)))
    assert (len(book), book.overflowed) == (2, 3)


def test_an_old_kernel_s_bytes_sent_are_those_acknowledged():
    book = Ledger()
    read(book, message(info_bytes=192, bytes_acked=555))
    assert moved(book.settle()[0])["bytes_sent"] == 555
    assert book.info_bytes == 192


def test_an_aborted_connection_keeps_what_was_read_before():
    book = Ledger()
    read(book, message(cookie=1, bytes_sent=100, data_segs_out=1))
    share = close(book, message(cookie=1, state=7, dport=0, pmtu=1500))[0]
    assert (moved(share)["bytes_sent"], share["dport"], share["closed"]) == (100, 9000, True)


def test_a_connection_that_is_still_being_made_waits_for_its_interval():
    book = Ledger()
    read(book, message(state=2, unacked=1, last_data_sent=9_000_000))
    assert len(book.settle()) == 0
    read(book, message(state=1, bytes_sent=10, data_segs_out=1))
    share = book.settle()[0]
    assert share["new"]
    assert np.isnan(share["stall"])
    assert moved(share)["bytes_sent"] == 10
