"""Role, owner and wire tuple of connections; rows by key and port."""

from __future__ import annotations

import ipaddress
import math
import socket

import numpy as np
import pytest
from agent_messages import each, message

from correlator.agent import conntrack, sockets
from correlator.agent.conntrack import Entry, Nat, packed
from correlator.agent.fold import NOBODY, VIA_PROXY, Fold, Listeners, Sharing
from correlator.agent.ledger import Ledger
from correlator.agent.netlink import attribute
from correlator.agent.owners import Owners
from correlator.agent.registry import Container
from correlator.agent.tally import CLIENT_ROWS, MAX_PORTS, SERVER_ROWS, Key, Limits, Tally


def tup(source, sport, destination, dport):
    return packed(source) + packed(destination) + sport.to_bytes(2, "big") + dport.to_bytes(2, "big")


def shares(*messages, slot=1):
    book = Ledger()
    samples = sockets.decode(b"".join(messages))
    book.read(np.full(len(samples), slot, "u2"), samples, np.ones(len(samples), bool), 1.0)
    return book.settle()


@pytest.fixture
def owners(tmp_path):
    return Owners(roots=(), proc=tmp_path)


@pytest.fixture
def fold(owners):
    made = Fold(Nat(lambda raw: False), Sharing(owners), host_slot=0)
    made.listeners = {0: Listeners(complete=True), 1: Listeners(complete=True)}
    return made


def key_of(fold, *messages, slot=1):
    keys, ports, _ = fold.keys(shares(*messages, slot=slot))
    return keys[0], ports[0]


def test_the_end_whose_port_is_listened_on_is_the_server(fold):
    fold.listeners[1].learn(45000)
    key, port = key_of(fold, message(sport=45000, dport=33000))
    assert (key.role, key.server_port, port) == ("server", 45000, 33000)


def test_without_a_listening_port_it_is_the_client(fold):
    key, port = key_of(fold, message(sport=33000, dport=45000))
    assert (key.role, key.server_port, port) == ("client", 45000, 33000)


@pytest.mark.parametrize(("sport", "dport", "role"), [(9000, 40000, "server"), (40000, 9000, "client")])
def test_before_anything_is_known_the_ports_decide(fold, sport, dport, role):
    fold.listeners[1].complete = False
    assert key_of(fold, message(sport=sport, dport=dport))[0].role == role


@pytest.mark.parametrize(
    ("src", "dst"), [("127.0.0.1", "127.0.0.1"), ("192.0.2.1", "192.0.2.1"), ("127.0.0.1", "127.0.0.11")]
)
def test_a_container_s_talk_with_itself_is_no_pair(fold, src, dst):
    assert fold.keys(shares(message(src=src, dst=dst)))[0] == []


def test_both_ends_of_a_published_port_say_the_same_wire_tuple():
    """Client 172.21.0.2 on 10.77.0.1 asks port 8080, published on 10.77.0.2 for 172.22.0.2:9000."""
    client, server = (
        Nat(lambda raw: raw == packed("172.21.0.2")),
        Nat(lambda raw: raw == packed("172.22.0.2")),
    )
    client.add(Entry(tup("172.21.0.2", 56392, "10.77.0.2", 8080), tup("10.77.0.2", 8080, "10.77.0.1", 61000)))
    server.add(Entry(tup("10.77.0.1", 61000, "10.77.0.2", 8080), tup("172.22.0.2", 9000, "10.77.0.1", 61000)))
    seen_by_client = client.wire(tup("172.21.0.2", 56392, "10.77.0.2", 8080))
    seen_by_server = server.wire(tup("172.22.0.2", 9000, "10.77.0.1", 61000))
    assert seen_by_client == tup("10.77.0.1", 61000, "10.77.0.2", 8080)
    assert seen_by_server == conntrack.turned(seen_by_client)


def test_connections_that_last_are_looked_at_anew_once_nat_has_told_more():
    nat = Nat(lambda raw: raw == packed("172.17.0.2"))
    fold = Fold(nat, Sharing(Owners(roots=())), host_slot=0)
    fold.listeners[1] = Listeners(complete=True)
    lasting = shares(message(src="172.17.0.2", sport=33000, dst="10.0.0.9", dport=8080))
    found = [fold.keys(lasting) for _ in range(3)]
    assert found[0] == found[1] == found[2]
    assert found[0][0][0].local == packed("172.17.0.2")
    nat.add(Entry(tup("172.17.0.2", 33000, "10.0.0.9", 8080), tup("10.0.0.9", 8080, "10.0.0.1", 40000)))
    fold.forget()
    assert fold.keys(lasting)[0][0].local == packed("10.0.0.1")


def test_both_ends_on_one_host_say_the_same_tuple():
    here = {packed("172.21.0.2"), packed("172.21.0.3"), packed("10.77.0.1")}
    nat = Nat(lambda raw: raw in here)
    nat.add(Entry(tup("172.21.0.2", 50000, "10.77.0.1", 8080), tup("172.21.0.3", 9000, "172.21.0.1", 50000)))
    client = nat.wire(tup("172.21.0.2", 50000, "10.77.0.1", 8080))
    server = nat.wire(tup("172.21.0.3", 9000, "172.21.0.1", 50000))
    assert server == conntrack.turned(client)


def test_the_oldest_nat_entries_are_forgotten_first():
    nat = Nat(lambda raw: False, limit=2)
    for port in (1, 2):
        nat.add(Entry(tup("172.21.0.2", port, "10.0.0.2", 80), tup("10.0.0.2", 80, "10.0.0.1", port)))
    assert len(nat) == 2
    assert nat.wire(tup("172.21.0.2", 1, "10.0.0.2", 80)) == tup("172.21.0.2", 1, "10.0.0.2", 80)


def test_a_long_connection_s_nat_entry_outlives_many_short_ones():
    nat = Nat(lambda raw: False, limit=6)
    long = tup("172.21.0.2", 1, "10.0.0.2", 80)
    for port in range(1, 20):
        nat.add(Entry(tup("172.21.0.2", port, "10.0.0.2", 80), tup("10.0.0.2", 80, "10.0.0.1", port)))
        assert nat.wire(long) == tup("10.0.0.1", 1, "10.0.0.2", 80)


def test_the_host_s_own_connections_are_left_out(fold):
    assert fold.keys(shares(message(), slot=0))[0] == []


def test_a_published_port_in_the_host_s_namespace_is_docker_proxy(fold):
    fold.listeners[0].learn(8080)
    fold.published = {8080: "c" * 64}
    key, _ = key_of(fold, message(sport=8080, dport=50000), slot=0)
    assert (key.owner, key.note, key.server_port) == ("c" * 64, VIA_PROXY, 8080)


def test_in_a_shared_namespace_nobody_is_named_without_proof(fold):
    fold._sharing.slots.add(1)
    key, _ = key_of(fold, message())
    assert (key.owner, key.note) == (None, NOBODY)
    assert fold.unattributed == 1


def test_in_a_shared_namespace_the_listening_port_s_owner_is_the_server(fold):
    fold._sharing.slots.add(1)
    fold.listeners[1].learn(9000, "d" * 64)
    assert key_of(fold, message(sport=9000, dport=50000))[0].owner == "d" * 64


def test_the_cgroup_names_the_owner(tmp_path):
    identity = "ab" * 32
    place = tmp_path / "system.slice" / f"docker-{identity}.scope"
    place.mkdir(parents=True)
    (tmp_path / "cgroup.controllers").touch()
    owners = Owners(roots=[tmp_path], proc=tmp_path)
    owners.learn([Container(identity)])
    assert owners.by_cgroup(place.stat().st_ino) == identity
    assert owners.by_cgroup(1) is None


def tallied(role, ports, rows=20_000):
    tally = Tally(Limits(rows))
    key = Key(1, None, role, packed("192.0.2.1"), packed("192.0.2.2"), 9000, "")
    one = shares(message(bytes_sent=10))
    for port in ports:
        tally.add([key], [port], one)
    return tally


def test_server_rows_are_kept_apart_by_client_port():
    rows = tallied("server", [1, 2, 2, 3]).rows()
    assert [(ports, sums.counters[0]) for _, ports, sums in each(rows)] == [([1], 10), ([2], 20), ([3], 10)]


def test_client_rows_name_at_most_their_number_of_ports():
    rows = tallied("client", range(1, 2 * MAX_PORTS + 2)).rows()
    assert [len(ports) for ports in rows.ports] == [MAX_PORTS, MAX_PORTS, 1]


@pytest.mark.parametrize(("role", "fit"), [("server", SERVER_ROWS), ("client", CLIENT_ROWS * MAX_PORTS)])
def test_ports_beyond_share_a_row_that_names_none(role, fit):
    rows = tallied(role, range(1, fit + 21)).rows()
    assert rows.ports[-1] == []
    assert sum(sums.counters[0] for _, _, sums in each(rows)) == 10 * (fit + 20)
    assert rows.sums["counters"][-1, 0] == 200


def test_connections_of_one_row_are_summed_whatever_their_order():
    readings = [
        message(cookie=1, bytes_sent=10, min_rtt=900, rtt=40),
        message(cookie=2, bytes_sent=5, min_rtt=0, rtt=0),
        message(cookie=3, bytes_sent=7, min_rtt=300, rtt=20, unacked=1, data_segs_out=1, last_data_sent=70),
        message(cookie=4, bytes_sent=100, min_rtt=100, rtt=80),
    ]
    key = Key(1, None, "server", packed("192.0.2.1"), packed("192.0.2.2"), 9000, "")
    ports = {1: 40001, 2: 40001, 3: 40001, 4: 40002}

    def rows(order):
        tally, all_at_once = Tally(Limits()), shares(*(readings[i] for i in order))
        tally.add([key] * 4, [ports[int(one["cookie"])] for one in all_at_once], all_at_once)
        return {
            tuple(p): (s.counters[0], s.min_rtt, s.rtt, s.rtts, s.stall, s.open)
            for _, p, s in each(tally.rows())
        }

    told = rows([0, 1, 2, 3])
    assert told[40001,] == (22, 300, 60.0, 2, 70.0, 3)
    assert told[40002,][:4] == (100, 100, 80.0, 1)
    assert math.isnan(told[40002,][4])
    assert rows([2, 3, 1, 0]).keys() == told.keys()
    assert rows([2, 3, 1, 0])[40001,] == told[40001,]


def test_rows_beyond_the_limit_are_counted():
    tally = tallied("server", range(1, 8), rows=3)
    assert (len(tally.rows()), tally.dropped) == (3, 4)


def conntrack_message(status, original, reply, protocol=6):
    """Return the body of a conntrack message (nfgenmsg and attributes) for two tuples."""

    def one(kind, source, sport, destination, dport):
        ends = attribute(1, socket.inet_aton(source)) + attribute(2, socket.inet_aton(destination))
        ports = attribute(1, bytes([protocol]))
        ports += attribute(2, sport.to_bytes(2, "big")) + attribute(3, dport.to_bytes(2, "big"))
        return attribute(kind | 0x8000, attribute(1 | 0x8000, ends) + attribute(2 | 0x8000, ports))

    return memoryview(bytes(4) + one(1, *original) + one(2, *reply) + attribute(3, status.to_bytes(4, "big")))


TO_PUBLISHED = (("172.21.0.2", 56392, "10.77.0.2", 8080), ("10.77.0.2", 8080, "10.77.0.1", 61000))


def test_a_rewritten_connection_is_read_from_conntrack():
    entry = conntrack.parse(conntrack_message(0x1BE, *TO_PUBLISHED))
    assert entry == Entry(tup(*TO_PUBLISHED[0]), tup(*TO_PUBLISHED[1]))


@pytest.mark.parametrize(("status", "protocol"), [(0x18E, 6), (0x1BE, 17)])
def test_what_is_not_rewritten_or_not_tcp_is_passed_over(status, protocol):
    assert conntrack.parse(conntrack_message(status, *TO_PUBLISHED, protocol=protocol)) is None


def test_a_cut_conntrack_message_is_passed_over():
    whole = conntrack_message(0x1BE, *TO_PUBLISHED)
    for length in range(len(whole)):
        assert conntrack.parse(whole[:length]) is None or length >= len(whole) - 4


def test_networks_hold_their_addresses():
    is_local = conntrack.within([ipaddress.ip_network("172.17.0.0/16"), ipaddress.ip_network("fd00::/64")])
    assert is_local(packed("172.17.3.4"))
    assert is_local(packed("fd00::9"))
    assert not is_local(packed("172.18.0.1"))
    assert conntrack.address(packed("fd00::9")) == "fd00::9"
