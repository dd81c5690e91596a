"""Buffers serve one socket after another; nothing of what one received is taken for another's."""

from __future__ import annotations

import socket
import time

import numpy as np
import pytest

from correlator.snmp import wire
from correlator.snmp.wire import Wire


def received(one: Wire, count: int) -> int:
    until = time.monotonic() + 5
    while not (got := one.receive(0, count)) and time.monotonic() < until:
        time.sleep(0.01)
    return got


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_what_is_laid_out_once_serves_a_fresh_socket_each_time(
    family: socket.AddressFamily, host: str, plain: bool
) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as agent:
        agent.bind((host, 0))
        addresses = np.frombuffer(wire.address(family, agent.getsockname())[1], np.uint8).reshape(1, -1)
        ports, buffers = set(), set()
        for text in (b"a long first one", b"short"):
            one = Wire.opened(family, plain)
            letters = one.letters(16)
            letters[0, : len(text)] = np.frombuffer(text, np.uint8)
            assert one.send(np.array([len(text)]), addresses, np.array([0])) == 1
            asked, place = agent.recvfrom(100)
            agent.sendto(asked.upper(), place)
            assert received(one, 1) == 1
            assert bytes(one.data.rows[0, : one.sizes[0]]) == text.upper()
            assert abs(int(one.times(np.array([0]))[0]) - time.time_ns()) < 10**10
            ports.add(place[1])
            buffers.add(id(one.data))
            one.close()
    assert (len(ports), len(buffers)) == (2, 1)


def test_two_that_are_open_share_nothing() -> None:
    one, other = Wire.opened(socket.AF_INET), Wire.opened(socket.AF_INET)
    try:
        assert one is not other
        assert not np.shares_memory(one.data.bytes, other.data.bytes)
    finally:
        one.close()
        other.close()
