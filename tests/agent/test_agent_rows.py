"""Rows have the tables' columns; what comes from outside is made harmless."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from agent_messages import message

from correlator import frames
from correlator.agent import addresses, ledger, sockets
from correlator.agent.addresses import Interface, Lldp
from correlator.agent.collector import Interval
from correlator.agent.conntrack import packed
from correlator.agent.containers import Params as DockerParams
from correlator.agent.containers import Resolver, described
from correlator.agent.fold import NOBODY, VIA_PROXY
from correlator.agent.ledger import Ledger
from correlator.agent.registry import Attachment, Container, Registry
from correlator.agent.rows import Machine, Who, container_row, host_rows, pair_rows
from correlator.agent.tally import Key, Limits, Rows, Tally
from correlator.agent.text import clean, moment

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ME = "ab" * 32
CONTAINER = Container(
    ME, "web-1", "web:1", "web", sandbox="0123456789ab",
    attachments=(Attachment("bridge", "bridge", "172.17.0.2", "02:42:ac:11:00:02", "172.17.0.1"),),
    published=((8080, "tcp"),), started_at=AT,
)  # fmt: skip


def interval(key, *messages, born=True, info_bytes=280, ports=(40000,), **more):
    book = Ledger()
    samples = sockets.decode(b"".join(messages))
    slots = np.full(len(samples), key.slot, "u2")
    book.read(slots, samples, np.full(len(samples), born), 1.0)
    tally = Tally(Limits())
    tally.add([key] * len(samples), list(ports), book.settle())
    values = {"names": {1: "0123456789ab", 0: "host"}, "notes": {}, "note": "", "overlay": {}} | more
    return Interval(at=AT, whole_until=AT, seconds=10.0, rows=tally.rows(), info_bytes=info_bytes, **values)


def together(one, other):
    """Return an interval with the rows of two."""
    a, b = one.rows, other.rows
    rows = Rows(a.keys + b.keys, a.ports + b.ports, np.concatenate([a.sums, b.sums]))
    return replace(one, rows=rows)


def table(name, rows):
    """Return rows as the service makes a table of them: times are read."""
    times = ("at", "started_at", "ended_at")
    read = [{k: datetime.fromisoformat(v) if k in times else v for k, v in row.items()} for row in rows]
    return frames.frame(name, read)


def key(role="client", owner=None, note="", slot=1, local="10.0.0.1", peer="10.0.0.2"):
    return Key(slot, owner, role, packed(local), packed(peer), 9000, note)


WHO = Who(
    "node1",
    lambda name: CONTAINER if name == "0123456789ab" else None,
    lambda i: CONTAINER if i == ME else None,
)


def rows_of(*arguments, who=WHO, **keywords):
    return [json.loads(text) for text in pair_rows(interval(*arguments, **keywords), who)]


BUSY = message(
    bytes_sent=5000, bytes_received=700, data_segs_out=5, data_segs_in=4, total_retrans=1, bytes_retrans=1000,
    dsack_dups=1, total_rto=1, total_rto_time=230, min_rtt=5100, rtt=9000, unacked=1,
    last_data_sent=52, last_data_recv=40,
)  # fmt: skip


def test_every_column_of_pair_samples_is_known_and_fits():
    rows = rows_of(key(), BUSY) + rows_of(key("server"), BUSY) + rows_of(key(), BUSY, born=False)
    assert len(table("pair_samples", rows)) == 3
    filled = set().union(*rows)
    from_elsewhere = {"peer_host", "peer_container_id", "response_histogram"}
    assert filled == set(frames.TABLES["pair_samples"].columns) - from_elsewhere


def test_a_row_says_what_was_counted():
    row = rows_of(key(), BUSY)[0]
    assert row["container_id"] == ME
    assert (row["bytes_sent"], row["retransmitted_segments"], row["rto_count"]) == (4000, 1, 1)
    assert row["max_stall_ms"] == 230
    assert row["complete"]
    assert "segments were resent" in row["why_incomplete"]


def test_what_was_missed_is_said():
    assert "older than the agent" in rows_of(key(), BUSY, born=False)[0]["why_incomplete"]
    dropped = rows_of(key(), message(), notes={1: "the kernel dropped close events"})[0]
    assert (dropped["complete"], dropped["why_incomplete"]) == (False, "the kernel dropped close events")
    assert rows_of(key(), message(), note="the clock jumped by +3600 s")[0]["complete"] is False
    unknown = rows_of(key(slot=2), message())[0]
    assert (unknown["complete"], unknown.get("container_id")) == (False, None)
    assert rows_of(key(note=NOBODY), message())[0]["why_incomplete"] == NOBODY


def test_columns_that_an_old_kernel_does_not_fill_are_null_not_zero():
    row = rows_of(key(), message(info_bytes=160, bytes_acked=10), info_bytes=160)[0]
    for column in ("retransmitted_bytes", "dsack", "rto_count"):
        assert column not in row
    assert row["data_segments_sent"] == 0
    table("pair_samples", [row])


def test_through_docker_proxy_the_half_on_the_wire_stands_for_the_pair():
    outer = key("server", owner=ME, note=VIA_PROXY, slot=0, local="10.77.0.1", peer="10.77.0.9")
    inner = key("server", local="172.17.0.2", peer="172.17.0.1")
    who = Who("node1", WHO.container, WHO.by_id, frozenset({"172.17.0.1"}))
    both = together(interval(outer, message()), interval(inner, message(), ports=(41000,)))
    rows = [json.loads(text) for text in pair_rows(both, who)]
    assert [row["local_wire_address"] for row in rows] == ["10.77.0.1"]
    assert rows[0]["container_id"] == ME
    alone = [json.loads(text) for text in pair_rows(interval(inner, message()), who)]
    assert len(alone) == 1


def test_the_other_host_of_an_overlay_is_told():
    over = Container(ME, "a", attachments=(Attachment("over", "overlay", "10.0.1.4", None, None),))
    who = Who("node1", lambda name: over, WHO.by_id)
    place = key(local="10.0.1.4", peer="10.0.1.2")
    row = json.loads(pair_rows(interval(place, message(), overlay={"10.0.1.2": "10.77.0.2"}), who)[0])
    assert row["peer_host"] == "10.77.0.2"


def test_containers_and_hosts_have_their_columns():
    row = container_row(CONTAINER, AT, "node1")
    table("containers", [row, container_row(Container(ME, shares="host"), AT, "node1")])
    assert row["published_ports"] == ["8080/tcp"]
    nic = Interface(2, "eth0", "", "02:00:00:00:00:01", 3, False, ("10.77.0.1",), (), 10**10)
    bond = Interface(3, "bond0", "bond", None, None, False)
    heard = {"eth0": Lldp("02:00:00:00:00:09", "Ethernet1", "leaf1\n")}
    rows = host_rows(Machine("node1", "E", "M", "H"), [nic, bond], [nic, bond], heard, AT)
    hosts = table("hosts", rows)
    assert set(rows[0]) == set(frames.TABLES["hosts"].columns)
    assert (hosts["bond"][0], hosts["lldp_sys_name"][0]) == ("bond0", "leaf1")


def test_the_agent_loads_neither_pandas_nor_pyarrow_nor_pysnmp():
    program = (
        "import sys, correlator.agent.__main__, correlator.agent.program, correlator.agent.serve, "
        "correlator.agent.check, correlator.commands.agent; "
        "heavy = ('pandas', 'pyarrow', 'pysnmp', 'pydantic', 'correlator.frames'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- texts and Docker's answers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web\n1", "web1"),
        ("\x1b[31mred\x9b", "[31mred"),
        ("a\u202eb\u2028c", "abc"),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_texts_are_harmless(text, expected):
    assert clean(text) == expected


def test_texts_are_short():
    assert len(clean("x" * 10_000)) == 255


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "", None, "yesterday", "2026-13-01T00:00:00Z", 7])
def test_a_time_that_is_none_is_none(text):
    assert moment(text) is None


def test_nanoseconds_and_zones_are_read():
    assert moment("2026-11-23T13:00:00.123456789+01:00") == AT.replace(microsecond=123456)


def inspected(**changes):
    document = {
        "Id": ME,
        "Name": "/web\n-1",
        "Config": {
            "Image": "web:1",
            "Labels": {"com.docker.compose.service": "web", "secret": "hunter2"},
            "Env": ["PASSWORD=hunter2"],
        },
        "HostConfig": {"NetworkMode": "default"},
        "State": {
            "Running": True,
            "Pid": 12,
            "StartedAt": "2026-11-23T12:00:00Z",
            "FinishedAt": "0001-01-01T00:00:00Z",
        },
        "NetworkSettings": {
            "SandboxKey": "/var/run/docker/netns/0123456789ab",
            "Networks": {
                "bridge": {"NetworkID": "n1", "IPAddress": "172.17.0.2", "MacAddress": "02:42:ac:11:00:02"}
            },
            "Ports": {"9000/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "53/udp": None},
        },
    }
    return document | changes


def test_an_inspection_becomes_a_container():
    one = described(inspected(), {"n1": "bridge"})
    assert (one.name, one.service, one.sandbox, one.pid) == ("web-1", "web", "0123456789ab", 12)
    assert one.attachments[0].driver == "bridge"
    assert one.published == ((8080, "tcp"),)


def test_neither_environment_nor_other_labels_are_kept():
    assert "hunter2" not in repr(described(inspected(), {}))


@pytest.mark.parametrize(("mode", "shares"), [("host", "host"), (f"container:{ME}", ME)])
def test_a_shared_namespace_is_known_as_such(mode, shares):
    one = described(inspected(HostConfig={"NetworkMode": mode}), {})
    assert (one.shares, one.sandbox) == (shares, "")


@pytest.mark.parametrize("document", [None, [], "x", {}, {"Id": 7}, {"Id": "short"}, {"Id": "z" * 64}])
def test_an_answer_that_is_no_inspection_is_refused(document):
    with pytest.raises(ValueError, match="something else"):
        described(document, {})


def test_an_inspection_of_the_wrong_shape_costs_its_parts_only():
    one = described(inspected(NetworkSettings=[], State="?", Config=None, HostConfig=3), {})
    assert (one.id, one.sandbox, one.attachments) == (ME, "", ())


def test_a_container_that_dies_before_it_is_described_is_not_running():
    registry = Registry()
    registry.end(ME, AT + timedelta(seconds=1), now=5.0)
    registry.put(described(inspected(), {}), now=6.0)
    assert registry.running() == set()
    told = registry.untold(7.0)
    assert [one.ended_at for one in told] == [None, AT + timedelta(seconds=1)]
    assert registry.untold(8.0) == []
    assert registry.owner("0123456789ab").name == "web-1"


def test_what_ended_is_remembered_for_a_while_only():
    registry = Registry()
    registry.put(described(inspected(), {}), now=1.0)
    registry.end(ME, AT, now=2.0)
    registry.untold(3.0)
    registry.untold(1000.0)
    assert registry.get(ME) is None
    assert registry.owner("0123456789ab") is None


def test_a_container_started_again_is_told_again():
    registry = Registry()
    registry.put(described(inspected(), {}), now=1.0)
    registry.end(ME, AT + timedelta(seconds=5), now=2.0)
    registry.untold(3.0)
    again = inspected(State={"Running": True, "Pid": 13, "StartedAt": "2026-11-23T12:00:09Z"})
    again["NetworkSettings"]["SandboxKey"] = "/var/run/docker/netns/ba9876543210"
    registry.put(described(again, {}), now=4.0)
    assert registry.running() == {ME}
    assert [one.ended_at for one in registry.untold(5.0)] == [None]
    assert registry.owner("ba9876543210").id == ME


def test_events_have_inspected_what_begins_and_end_what_died():
    registry = Registry()
    counted = []
    resolver = Resolver(DockerParams(waiting=2), registry, counted.append, lambda engine: None)
    registry.put(described(inspected(), {}), now=1.0)
    for number in range(5):
        actor = {"ID": "net", "Attributes": {"container": f"{number:064x}"}}
        resolver.event({"Type": "network", "Action": "connect", "Actor": actor, "timeNano": number})
    resolver.event({"Type": "container", "Action": "die", "Actor": {"ID": ME}, "timeNano": 10**18})
    assert counted.count("inspections_put_off") == 3
    assert registry.running() == set()


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"Actor": 3},
        {"Type": "container", "Action": "die", "Actor": {"Attributes": []}},
        {"Type": "network", "Action": "connect", "Actor": {"Attributes": {"container": "../x"}}},
    ],
)
def test_a_strange_event_is_passed_over(event):
    registry = Registry()
    Resolver(DockerParams(), registry, lambda name: None, lambda engine: None).event(event)
    assert registry.running() == set()


def test_lldp_is_read_whatever_shape_it_has():
    port = {"id": [{"type": "ifname", "value": "Ethernet1"}]}
    chassis = {"id": [{"type": "mac", "value": "02:00:00:AA:00:01"}], "name": [{"value": "leaf1"}]}
    document = {"lldp": [{"interface": [{"name": "eth0", "chassis": [chassis], "port": [port]}]}]}
    assert addresses.heard(document) == {"eth0": Lldp("02:00:00:aa:00:01", "Ethernet1", "leaf1")}
    for strange in (None, [], {"lldp": 3}, {"lldp": [{"interface": [{"name": 7}]}]}, {"lldp": [[]]}):
        assert addresses.heard(strange) == {}


def test_only_interfaces_that_leave_the_host_are_told():
    made = [
        Interface(1, "lo", "", None, None, True, ("127.0.0.1",)),
        Interface(2, "eth0", "", None, 5, False),
        Interface(3, "docker0", "bridge", None, None, False, ("172.17.0.1",)),
        Interface(4, "veth1", "veth", None, 3, False),
        Interface(5, "bond0", "bond", None, 6, False),
        Interface(6, "br0", "bridge", None, None, False, ("10.0.0.1",)),
    ]
    assert {one.name for one in addresses.nics(made)} == {"eth0", "br0"}
    assert addresses.bond(made[1], {one.index: one for one in made}) == "bond0"


def test_counters_are_named_as_the_table_names_them():
    assert set(ledger.COUNTERS) - {"rto_ms"} <= set(frames.TABLES["pair_samples"].columns)
