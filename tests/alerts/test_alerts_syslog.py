"""The syslog sink against sockets that behave, and that do not."""

import contextlib
import socket
import struct
import threading

import pytest
from alert_events import event
from rfc5424_reader import parse

from correlator.alerts.syslog import SyslogParams, SyslogSink
from correlator.ports import SinkError

WAIT_S = 10.0


@pytest.fixture
def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(WAIT_S)
        yield receiver


@pytest.fixture
def tcp():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_S)
        yield listener


@pytest.fixture
def sink_to():
    """Return a function that makes a sink to a socket; closed afterwards."""
    with contextlib.ExitStack() as stack:

        def make(receiver: socket.socket, **params) -> SyslogSink:
            host, port = receiver.getsockname()
            sink = SyslogSink(SyslogParams(host, port, **params))
            stack.callback(sink.close)
            return sink

        yield make


def accepted(listener: socket.socket) -> socket.socket:
    peer, _ = listener.accept()
    peer.settimeout(WAIT_S)
    return peer


def lines(peer: socket.socket, count: int) -> list[bytes]:
    with peer.makefile("rb") as stream:
        return [stream.readline() for _ in range(count)]


def seqs(wire: list[bytes]) -> list[str]:
    return [parse(line.rstrip(b"\n"))["elements"]["correlator@32473"]["seq"] for line in wire]


def test_a_datagram_a_line_without_trailer(udp, sink_to):
    assert sink_to(udp).send([event(), event(seq=2)]) == 2
    received = [udp.recv(65536) for _ in range(2)]
    assert seqs(received) == ["1", "2"]
    assert not any(wire.endswith((b"\n", b"\0")) for wire in received)


def test_datagrams_that_nobody_listens_to_are_an_error_where_that_is_told(udp, sink_to):
    sink = sink_to(udp)
    address = udp.getsockname()
    udp.close()
    with pytest.raises(SinkError, match=r"\(udp\) takes no alerts"):
        sink.send([event()])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(address)
        again.settimeout(WAIT_S)
        assert sink.send([event()]) == 1
        assert seqs([again.recv(65536)]) == ["1"]


def test_lines_are_framed_by_line_ends(tcp, sink_to):
    sink_to(tcp, transport="tcp").send([event(), event(seq=2)])
    with accepted(tcp) as peer:
        assert seqs(lines(peer, 2)) == ["1", "2"]


def test_octets_are_counted(tcp, sink_to):
    sink_to(tcp, transport="tcp", framing="octet").send([event(), event(seq=2)])
    with accepted(tcp) as peer, peer.makefile("rb") as stream:
        for seq in ("1", "2"):
            length = b"".join(iter(lambda: stream.read(1).strip(), b""))
            assert seqs([stream.read(int(length))]) == [seq]


def test_a_connection_is_kept_between_sends(tcp, sink_to):
    sink = sink_to(tcp, transport="tcp")
    sink.send([event()])
    with accepted(tcp) as peer:
        sink.send([event(seq=2)])
        assert seqs(lines(peer, 2)) == ["1", "2"]


def test_a_connection_that_the_receiver_closed_is_opened_anew_and_no_line_is_lost(tcp, sink_to):
    sink = sink_to(tcp, transport="tcp")
    sink.send([event()])
    with accepted(tcp) as peer:
        assert seqs(lines(peer, 1)) == ["1"]
    assert sink.send([event(seq=2)]) == 1
    with accepted(tcp) as peer:
        assert seqs(lines(peer, 1)) == ["2"]


def test_a_reset_connection_is_opened_anew(tcp, sink_to):
    sink = sink_to(tcp, transport="tcp")
    sink.send([event()])
    with accepted(tcp) as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert sink.send([event(seq=2)]) == 1
    with accepted(tcp) as peer:
        assert seqs(lines(peer, 1)) == ["2"]


def test_a_receiver_that_is_away_is_an_error_and_its_return_is_noticed(tcp, sink_to):
    sink = sink_to(tcp, transport="tcp")
    address = tcp.getsockname()
    tcp.close()
    with pytest.raises(SinkError, match="they wait until it does"):
        sink.send([event()])
    with socket.create_server(address) as again:
        again.settimeout(WAIT_S)
        assert sink.send([event()]) == 1
        with accepted(again) as peer:
            assert seqs(lines(peer, 1)) == ["1"]


def test_a_receiver_that_accepts_and_hangs_does_not_hang_us(tcp, sink_to):
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sink = sink_to(tcp, transport="tcp", timeout_s=0.2)
    batch = [event()] * 10_000  # far more than the buffers of both sides
    with pytest.raises(SinkError, match="takes no alerts"):
        sink.send(batch)


def test_what_the_receiver_says_is_not_listened_to(tcp, sink_to):
    sink = sink_to(tcp, transport="tcp")
    sink.send([event()])
    with accepted(tcp) as peer:
        peer.sendall(b"x" * 100_000)
        assert sink.send([event(seq=2)]) == 1
        assert seqs(lines(peer, 2)) == ["1", "2"]


def test_a_name_that_does_not_resolve_is_an_error():
    sink = SyslogSink(SyslogParams("no-such-host.invalid", transport="tcp"))
    with pytest.raises(SinkError, match=r"no-such-host\.invalid port 514 \(tcp\)"):
        sink.send([event()])


def test_a_slow_reader_gets_every_line_in_order(tcp, sink_to):
    sink = sink_to(tcp, transport="tcp")
    received: list[bytes] = []

    def read() -> None:
        with accepted(tcp) as peer:
            received.extend(lines(peer, 3000))

    reader = threading.Thread(target=read)
    reader.start()
    for first in range(1, 3001, 100):
        sink.send([event(seq=seq) for seq in range(first, first + 100)])
    reader.join(WAIT_S)
    assert seqs(received) == [str(seq) for seq in range(1, 3001)]


@pytest.mark.parametrize("framing", ["lf", "octet"])
def test_a_receiver_that_resets_in_mid_message_gets_every_line_whole_when_it_is_back(tcp, sink_to, framing):
    sink = sink_to(tcp, transport="tcp", framing=framing, timeout_s=2.0)
    batch = [event(seq=seq) for seq in range(1, 501)]
    received: list[bytes] = []
    sent = threading.Event()

    def receive() -> None:
        with accepted(tcp) as peer:
            peer.recv(100)  # a part of the first line
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with accepted(tcp) as peer, peer.makefile("rb") as stream:
            for _ in batch:
                length = b"".join(iter(lambda: stream.read(1).strip(), b"")) if framing == "octet" else b""
                received.append(stream.read(int(length)) if length else stream.readline())
            sent.wait(WAIT_S)

    reader = threading.Thread(target=receive)
    reader.start()
    with pytest.raises(SinkError, match="they wait until it does"):
        sink.send(batch)
    assert sink.send(batch) == len(batch)
    sent.set()
    reader.join(WAIT_S)
    assert seqs(received) == [str(seq) for seq in range(1, 501)]
