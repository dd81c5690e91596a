"""The agent against real Docker engines, containers, NAT, delay and loss. The laboratory: agent_lab.py."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

import agent_lab
import agent_service
import pytest

pytestmark = [pytest.mark.real, pytest.mark.root, pytest.mark.slow]

ONE_SHOTS = int(os.environ.get("CORRELATOR_ONE_SHOTS", "30"))
MIXED = int(os.environ.get("CORRELATOR_MIXED", "12"))
LONGEST = float(
    os.environ.get("CORRELATOR_LONGEST", "10")
)  # seconds that a container of the mixed load lives
PATIENCE = 120.0  # seconds for what takes two intervals of 2 s where the machine is idle


def settled(agents, closed=0):
    """Return both agents' pair rows once all until now is written, ``closed`` ends of connections too."""
    asked = time.time()
    for engine, _ in agents:
        agent_lab.until(lambda one=engine: one.written_until() >= asked, PATIENCE)

    def ended():
        for _, reader in agents:
            reader.fetch()
        tables = [reader.table("pair_samples") for _, reader in agents]
        return sum(row["connections_closed"] for rows in tables for row in rows) >= closed

    agent_lab.until(ended, PATIENCE, 0.5)
    return [reader.table("pair_samples") for _, reader in agents]


def sums(rows, *columns):
    total = defaultdict(Counter)
    for row in rows:
        for column in columns:
            total[row.get("container_id"), row["role"]][column] += row.get(column, 0)
    return total


def test_containers_of_one_request_are_all_attributed_by_name(agents):
    (left, reader), (right, _) = agents
    server = right.serve("one-server", flags=("-p", "9000:9000"))
    sizes = {f"one-{i}": 1000 + i for i in range(ONE_SHOTS)}

    def live(name):
        return left.ask(name, right.address, count=1, request=sizes[name])

    with ThreadPoolExecutor(4) as some:
        counted = list(some.map(live, sizes))
    clients, servers = settled(agents, closed=2 * ONE_SHOTS)
    names = {row["container_id"]: row["name"] for row in reader.table("containers")}
    addresses = Counter(row.get("address") for row in reader.table("containers") if "ended_at" in row)
    seen = sums(clients, "bytes_sent", "connections_new", "connections_closed")
    right.remove("one-server")
    named = sum(1 for i, role in seen if role == "client" and i in names)
    print(
        f"{named} of {len(counted)} one-request containers attributed, "
        f"{addresses.pop(None, 0)} without address, "
        f"one address used up to {max(addresses.values())} times"
    )
    assert all(one["requests"] == 1 for one in counted)
    assert max(addresses.values()) > 1, "no address was used again"
    assert {names[i]: seen[i, "client"]["bytes_sent"] for i, _ in seen if (i, "client") in seen} == sizes
    assert {one["id"] for one in counted} == {container for container, _ in seen}
    by_server = sum(
        row["bytes_received"] - row["connections_closed"] for row in servers if row["container_id"] == server
    )
    assert by_server == sum(sizes.values())
    pairs = {(c["container_id"], s["container_id"]) for c, s in agent_lab.joined(clients, servers)}
    lonely = {one["id"] for one in counted} - {client for client, _ in pairs}
    for row in (row for row in clients if row["container_id"] in lonely):
        print("no other end:", row, [s for s in servers if set(s["source_ports"]) & set(row["source_ports"])])
    assert pairs == {(one["id"], server) for one in counted}


def test_bytes_and_retransmissions_of_a_mixed_load_are_attributed(agents, lab):
    (left, _), (right, _) = agents
    right.serve("mixed-server", service=2, flags=("-p", "9000:9000"))
    lab.wire(delay_ms=1, to_right=0.03, to_left=0.03)
    dice = random.Random(5)
    lives = [(f"mixed-{i}", dice.uniform(1, LONGEST) if i % 4 else LONGEST) for i in range(MIXED)]

    def live(one):
        time.sleep(dice.uniform(0, 2))
        request, answer = dice.choice([(100, 200), (1400, 1400), (200, 20_000)])
        return left.ask(one[0], right.address, seconds=one[1], think=20, request=request, answer=answer)

    with ThreadPoolExecutor(8) as some:
        counted = list(some.map(live, lives))
    lab.wire()
    clients, servers = settled(agents, closed=2 * MIXED)
    logged = right.answered("mixed-server", MIXED)
    right.remove("mixed-server")
    seen = sums(clients, "bytes_sent", "retransmitted_segments")
    wrong = [one for one in counted if seen[one["id"], "client"]["bytes_sent"] != one["sent"]]
    sent, resent = (sum(one[what] for one in counted) for what in ("sent", "resent"))
    got = Counter()
    for of_one in seen.values():
        got += of_one
    answers = sum(one["sent"] for one in logged)
    resent_by_server = sum(one["resent"] for one in logged)
    by_server = sums(servers, "bytes_sent", "retransmitted_segments")
    total = sum((Counter(v) for v in by_server.values()), Counter())
    print(
        f"bytes {got['bytes_sent']}/{sent} resent {got['retransmitted_segments']}/{resent}; "
        f"server bytes {total['bytes_sent']}/{answers} "
        f"resent {total['retransmitted_segments']}/{resent_by_server}; "
        f"{len(wrong)} of {len(counted)} containers not exact"
    )
    for one in wrong:
        print(one, dict(seen[one["id"], "client"]))
    assert resent > 20
    assert got["bytes_sent"] == pytest.approx(sent, rel=0.001)
    assert got["retransmitted_segments"] == pytest.approx(resent, rel=0.001, abs=0.5)
    assert total["bytes_sent"] == pytest.approx(answers, rel=0.001)
    assert total["retransmitted_segments"] == pytest.approx(resent_by_server, rel=0.001, abs=0.5)


TOPOLOGIES = {"published": 9001, "routed": 9000, "macvlan": 9000, "host": 9002, "overlay": 9000}


def test_pairs_of_every_kind_of_network_are_right_and_counted_once(agents, networks):
    (left, _), (right, _) = agents
    made = {kind: networks(kind) for kind in TOPOLOGIES}

    def live(kind):
        flags_left, flags_right, address = made[kind]
        port = TOPOLOGIES[kind]
        server = right.serve(
            f"{kind}-server", service=2, port=9002 if kind == "host" else 9000, flags=flags_right
        )
        asked = left.ask(f"{kind}-client", address(server), port, count=150, think=20, flags=flags_left)
        return kind, (server, asked)

    with ThreadPoolExecutor(len(TOPOLOGIES)) as all_at_once:
        told = dict(all_at_once.map(live, TOPOLOGIES))
    clients, servers = settled(agents, closed=2 * len(TOPOLOGIES))
    right.remove(*(server for server, _ in told.values()))
    pairs = agent_lab.joined(clients, servers)
    assert {(c["host"], c["container_id"], s["host"], s["container_id"]) for c, s in pairs} == {
        ("host1", asked["id"], "host2", server) for server, asked in told.values()
    }
    for kind, (server, asked) in told.items():
        mine = [row for row in clients if row["container_id"] == asked["id"]]
        theirs = [row for row in servers if row["container_id"] == server]
        assert {row["role"] for row in mine} == {"client"}, kind
        assert {row["role"] for row in theirs} == {"server"}, kind
        for rows in (mine, theirs):
            assert sum(row["exchanges"] for row in rows) == asked["requests"], kind
        if kind == "overlay":
            assert {row["peer_host"] for row in mine} == {right.address}


SECONDS = float(os.environ.get("CORRELATOR_SECONDS", "12"))
TIMED = {5: (9000, 12), 20: (9001, 14), 100: (9002, 28)}  # service ms: port, connections for 100 readings


@pytest.mark.parametrize("network", [0.0, 5.0])
def test_response_service_and_network_times_are_those_injected(agents, lab, network):
    """The containers and the wire have real-time priorities, so that other load does not move the truth."""
    (left, _), (right, _) = agents
    lab.wire(delay_ms=network / 2)
    for service, (port, _) in TIMED.items():
        right.serve(f"timed-{service}", service=service, flags=("-p", f"{port}:9000"))
        right.hasten(f"timed-{service}")

    def live(service):
        port, connections = TIMED[service]
        sizes = {"request": 200, "answer": 400, "connections": connections, "flags": ("-e", "PROMPT=1")}
        return left.ask(f"asking-{service}", right.address, port, seconds=SECONDS, think=50, **sizes)

    with ThreadPoolExecutor(len(TIMED)) as all_at_once:
        asking = {service: all_at_once.submit(live, service) for service in TIMED}
        for service in TIMED:
            left.hasten(f"asking-{service}")
        counted = {service: one.result() for service, one in asking.items()}
    ends = sum(connections for _, connections in TIMED.values())
    clients, servers = settled(agents, closed=2 * ends)
    worked = {s: right.answered(f"timed-{s}", connections) for s, (_, connections) in TIMED.items()}
    right.remove(*(f"timed-{service}" for service in worked))
    failures = []
    for service, (port, _) in TIMED.items():
        asked = counted[service]
        truth = asked["mean_ms"], _mean(worked[service], "service_ms", "answered")
        response, responses = _measured(clients, port, "response_ms")
        own, services = _measured(servers, port, "service_ms")
        exchanges = sum(row["exchanges"] for row in clients if row["server_port"] == port)
        # A mean of n readings is as sure as the spread of what they are drawn from allows. Where a single
        # exchange that stalled makes up the spread, it may be among the n, and moves their mean by 1/n.
        spread = max(0.0, asked["square_ms"] - truth[0] ** 2) ** 0.5
        stalled = spread * asked["requests"] ** 0.5 / min(responses, services)
        error = 3 * spread * (1 / responses + 1 / services) ** 0.5 + stalled
        print(
            f"service {service} network {network}: "
            f"response {response:.2f} (true {truth[0]:.2f}, {responses}) "
            f"service {own:.2f} (true {truth[1]:.2f}, {services}) network {response - own:.2f} "
            f"(true {truth[0] - truth[1]:.2f}) as sure as {error:.2f}; "
            f"exchanges {exchanges} of {asked['requests']}"
        )
        assert exchanges == asked["requests"]
        for got, true in ((response, truth[0]), (own, truth[1]), (response - own, truth[0] - truth[1])):
            if abs(got - true) > max(1.0, 0.05 * true, error):
                failures.append((service, got, true))
    assert not failures


def _mean(counted, value, weight):
    return sum(one[value] * one[weight] for one in counted) / sum(one[weight] for one in counted)


def _measured(rows, port, what):
    mine = [row for row in rows if row["server_port"] == port]
    total, count = (sum(row.get(f"{what}_{kind}", 0) for row in mine) for kind in ("sum", "count"))
    return total / count, count


CONNECTIONS = 24
REQUESTS = int(os.environ.get("CORRELATOR_REQUESTS", "16000"))  # of which about 160 are lost


@pytest.mark.parametrize(("to_server", "to_client"), [(0.01, 0.0), (0.0, 0.01)])
def test_loss_is_read_where_it_was_injected(agents, lab, to_server, to_client):
    (left, _), (right, _) = agents
    server = right.serve("lossy", flags=("-p", "9000:9000"))
    lab.wire(delay_ms=0.5, to_right=to_server, to_left=to_client)
    sizes = {"request": 1000, "answer": 1000, "connections": CONNECTIONS}
    left.ask("losing", right.address, count=REQUESTS // CONNECTIONS, think=1, **sizes)
    wire = lab.wire()
    clients, servers = settled(agents, closed=2 * CONNECTIONS)
    right.remove(server)
    for rows, way in ((clients, wire[0]), (servers, wire[1])):
        sent, resent, twice = (
            sum(row[name] for row in rows)
            for name in ("data_segments_sent", "retransmitted_segments", "dsack")
        )
        read, true = (resent - twice) / sent, way["lost"] / way["data"]
        print(
            f"loss {true:.5f} ({way['lost']}) read {read:.5f}: of {sent} {resent} resent, {twice} needlessly"
        )
        assert read == pytest.approx(true, rel=0.1, abs=0.0003)
        for row in rows:
            assert bool(row["retransmitted_segments"]) == (
                "segments were resent" in row.get("why_incomplete", "")
            )
    assert wire[0]["lost"] + wire[1]["lost"] >= 100


KILLS = int(os.environ.get("CORRELATOR_KILLS", "4"))


def test_a_flood_of_closes_is_counted_to_the_last_or_the_interval_is_marked(agents):
    (left, _), _ = agents
    command = ("run", "-d", "--name", "taking", agent_lab.IMAGE, "/load", "take", "9000", "2")
    server = left.docker(*command).strip()
    address = left.docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", server).strip()
    before = left.metric("close_events")
    counts = left.docker(
        "exec", "taking", "/load", "churn", "127.0.0.1", "9000", "7", "3", "8000", timeout=60
    )
    inside = json.loads(counts)

    def told():
        return left.metric("close_events") - before >= 2 * inside["connections"]

    agent_lab.until(lambda: told() or left.metric("close_events_lost"), PATIENCE)
    events = left.metric("close_events") - before
    churn = ("/load", "churn", address, "9000", "3", "3", "8000")
    churned = left.docker("run", "--name", "churning", agent_lab.IMAGE, *churn)
    made = json.loads(churned)
    asking = left.docker("inspect", "-f", "{{.Id}}", "churning").strip()
    clients, _ = settled(agents)
    left.remove("taking", "churning")
    closed = sums(clients, "connections_closed")
    marked = [row for row in clients if not row["complete"]]
    counted = [
        closed[one, role]["connections_closed"] for one, role in ((asking, "client"), (server, "server"))
    ]
    lost = left.metric("close_events_lost")
    print(
        f"{2 * inside['connections'] / inside['seconds']:.0f} closes a second: {events:.0f} of "
        f"{2 * inside['connections']}; between containers "
        f"{2 * made['connections'] / made['seconds']:.0f} a second: "
        f"{counted} of {made['connections']} each; dropped {lost:.0f} times, {len(marked)} rows marked"
    )
    assert events >= 2 * inside["connections"] or lost
    assert counted == [made["connections"]] * 2 or marked


def test_kill_9_of_agent_and_engine_leaves_each_interval_once_or_a_gap(agents, tmp_path):
    (left, reader), (right, _) = agents
    dice = random.Random(9)
    right.serve("killed-server", flags=("-p", "9000:9000"))
    service = agent_service.Service(left, tmp_path)
    service.start()
    killed = Counter()
    try:
        with ThreadPoolExecutor(2) as some:
            names = [f"killed-{i}" for i in range(2)]
            loads = [some.submit(left.ask, name, right.address, seconds=3600, think=5) for name in names]
            for number in range(KILLS):
                time.sleep(dice.uniform(0.2, 3.5))
                victims = {"agent", "engine"} if dice.random() < 0.2 else {("agent", "engine")[number % 2]}
                killed.update(victims)
                if "engine" in victims:
                    service.kill()
                if "agent" in victims:
                    left.stop_agent(9)
                    left.start_agent()
                if "engine" in victims:
                    service.start()
            left.docker("kill", "-s", "TERM", *names)
            counted = [load.result() for load in loads]
        settled(agents, closed=4)
        service.read_to(reader)
    finally:
        service.kill()
        right.remove("killed-server")
    spooled = reader.table("pair_samples")  # the agent's spool has all that was ever written
    kept = service.stored("pair_samples").to_dict("records")
    assert agent_service.identities(kept) == agent_service.identities(spooled)
    for name in ("containers", "hosts"):
        assert len(service.stored(name)) == len(reader.table(name))
    gaps, seen, missing = service.gaps(), 0, []
    for one in counted:
        mine = [row for row in spooled if row["container_id"] == one["id"] and row["role"] == "client"]
        ends = [row["at"] for row in mine]
        assert len(ends) == len(set(ends))
        seen += sum(row["exchanges"] for row in mine)
        missing += agent_service.lost(mine)
    requests = sum(one["requests"] for one in counted)
    print(
        f"killed {dict(killed)}: {len(kept)} rows of {len(reader.epochs)} epochs, each stored once; "
        f"{seen} of {requests} exchanges, the rest in {len(missing)} stretches within {len(gaps)} gaps"
    )
    assert all(agent_service.covered(span, gaps) for span in missing), (missing, gaps)
    assert reader.dropped == 0
    assert seen <= requests


def test_docker_stopped_and_started_again_is_found_again(agents):
    (left, _), (right, _) = agents
    right.serve("steady", flags=("-p", "9000:9000"))
    left.ask("before", right.address, count=3)
    os.kill(left.pid, 19)  # SIGSTOP: an API that hangs
    try:
        time.sleep(3)
        assert left.agent.poll() is None
    finally:
        os.kill(left.pid, 18)
    left.stop_docker()
    agent_lab.until(lambda: agent_lab.get(left.namespace, ("127.0.0.1", 9443), "/healthz")[0] == 503, 70)
    left.start_docker()
    left.extra = []
    agent_lab.until(left.is_well, 90)
    # The new daemon's folder is another one: the namespace is found by Docker's API, the second way.
    counted = left.ask("after", right.address, count=200, think=20)
    clients, _ = settled(agents, closed=4)
    right.remove("steady")
    assert sums(clients, "exchanges")[counted["id"], "client"]["exchanges"] == counted["requests"]


def test_docker_proxy_and_shared_namespaces_are_told_apart(agents):
    (left, _), _ = agents
    server = left.serve("proxied", service=1, flags=("-p", "9100:9000"))
    owner = left.serve("owner", flags=("-p", "9200:9000"))
    guest = left.serve("guest", port=9001, flags=("--network", f"container:{owner}"))
    address = left.docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", owner).strip()
    through_host = ("--network", "host")  # through the loopback address only docker-proxy leads there
    cases = [("127.0.0.1", 9100, through_host), (address, 9000, ()), (address, 9001, ())]

    def live(case):
        host, port, flags = case
        return left.ask(f"to-{port}", host, port, count=200, think=20, flags=flags)

    with ThreadPoolExecutor(len(cases)) as all_at_once:
        through, *_ = all_at_once.map(live, cases)
    clients, _ = settled(agents, closed=5)  # through docker-proxy only the container's end is told of
    left.remove("proxied", "owner", "guest")
    exchanges = sums([row for row in clients if row["role"] == "server"], "exchanges")
    print({key: dict(value) for key, value in exchanges.items()}, through)
    assert exchanges[owner, "server"]["exchanges"] > 100
    assert exchanges[guest, "server"]["exchanges"] > 100
    assert not exchanges.get((None, "server"))
    assert exchanges[server, "server"]["exchanges"] == pytest.approx(through["requests"], rel=0.02)
