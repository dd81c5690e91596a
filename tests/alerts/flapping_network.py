"""A small network of its own process, in real time: one link flaps and hurts 10,000 container pairs.

``python flapping_network.py FOLDER``: three switches (SNMP) and two hosts' agents (HTTP) on loopback;
FOLDER/network.json says where. Every packet from ``front`` to ``back`` crosses the one link
leaf8 – leaf9, which loses one in a hundred for a second, is well for a second, and so on; after each
tenth time it is well for ``CALM_S``. Beside it, spare links sicken one after the other, for a while
each. All is well from the moment when FOLDER/well exists; ``flaps`` in it counts what was until then.
It ends when its parent closes its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from correlator import frames
from correlator.fabric import ber
from correlator.fabric.host import PATH, HostAgent
from correlator.fabric.switch import Mib, Moving, Object, SwitchAgent

CONTAINERS = 100  # on each host: 10,000 pairs
SPARES = 8
TICK_S, INTERVAL_S = 0.1, 5.0
BAD_S, WELL_S, CALM_S, CALM_EACH = 1.0, 1.0, 6.0, 10
SPARE_S = 14.0  # for so long a spare link is sick, then the next one
PACKETS, LOSS = 100_000.0, 0.01  # a second and link; of them lost
SEGMENTS = 10.0  # a second and pair
MAC = {name: f"02:00:00:00:00:{number:02x}" for number, name in enumerate(("leaf8", "leaf9", "spine7"), 1)}
LINK = ("leaf8", "Ethernet1"), ("leaf9", "Ethernet1")
APART = 5  # ports: neighbours that lose alike would share a part
SPARE = [
    (("spine7", f"Ethernet{APART * n}"), ("leaf9", f"Ethernet{APART * n}")) for n in range(1, SPARES + 1)
]
PORTS = {name: [port for ends in (LINK, *SPARE) for device, port in ends if device == name] for name in MAC}
HOSTS = {"front": ("leaf8", 1), "back": ("leaf9", 2)}  # each on Ethernet48 of its leaf
IF, IFX, DOT3 = (1, 3, 6, 1, 2, 1, 2, 2, 1), (1, 3, 6, 1, 2, 1, 31, 1, 1, 1), (1, 3, 6, 1, 2, 1, 10, 7, 2, 1)
LLDP = (1, 0, 8802, 1, 1, 2, 1)


class World:
    """What time does: packets, errors at the receiving ends, and how much of an interval was bad."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.started = folder, time.time()
        self.last, self.packets, self.bad_s, self.flaps = self.started, 0.0, 0.0, 0
        self.errors = {receiver: 0.0 for _, receiver in (LINK, *SPARE)}
        self.mibs: list[Mib] = []
        self._was_bad = False

    def tick(self) -> None:
        """Move on to now."""
        now = time.time()
        passed, self.last = now - self.last, now
        self.packets += passed * PACKETS
        well = (self.folder / "well").exists()
        bad = not well and self._is_bad(now - self.started)
        self.flaps += bad and not self._was_bad
        self._was_bad = bad
        self.bad_s += bad * passed
        self.errors[LINK[1]] += bad * passed * PACKETS * LOSS
        if not well:
            spare = SPARE[int((now - self.started) / SPARE_S) % SPARES][1]
            self.errors[spare] += passed * PACKETS * LOSS
        for mib in self.mibs:
            mib.refresh()

    def _is_bad(self, second: float) -> bool:
        period = BAD_S + WELL_S
        within = second % (CALM_EACH * period + CALM_S)
        return within < CALM_EACH * period and within % period < BAD_S


def objects(world: World, switch: str) -> Iterator[Object]:
    """Yield what a switch answers: itself, its ports, its counters, its neighbours."""
    described = ((1, ber.octets("Arista Networks EOS")), (2, ber.oid((1, 3, 6, 1, 4, 1, 30065, 1, 1))))
    for column, value in (*described, (5, ber.octets(switch))):
        yield (1, 3, 6, 1, 2, 1, 1, column), (0,), value
    uptime = Moving(ber.TIME_TICKS, lambda: int((world.last - world.started) * 100) + 8_640_000)
    yield (1, 3, 6, 1, 2, 1, 1, 3), (0,), uptime
    yield (*LLDP, 3, 1), (0,), ber.integer(4)
    yield (*LLDP, 3, 2), (0,), ber.octets(bytes.fromhex(MAC[switch].replace(":", "")))
    far = {end: other for pair in (LINK, *SPARE) for end, other in (pair, pair[::-1])}
    for port in [*PORTS[switch], "Ethernet48"]:
        number = int(port.removeprefix("Ethernet"))
        yield from interface(world, (switch, port), number)
        yield (*LLDP, 3, 7, 1, 2), (number,), ber.integer(5)
        yield (*LLDP, 3, 7, 1, 3), (number,), ber.octets(port)
        if (switch, port) in far:
            device, name = far[switch, port]
            heard = (4, ber.integer(4)), (5, ber.octets(bytes.fromhex(MAC[device].replace(":", ""))))
            for column, value in (
                *heard, (6, ber.integer(5)), (7, ber.octets(name)), (9, ber.octets(device))
            ):  # fmt: skip
                yield (*LLDP, 4, 1, 1, column), (0, number, 1), value


def interface(world: World, place: tuple[str, str], number: int) -> Iterator[Object]:
    """Yield IF-MIB and EtherLike-MIB of one port."""

    def packets() -> int:
        return int(world.packets)

    def errors() -> int:
        return int(world.errors.get(place, 0.0))

    still = {2: ber.octets(place[1]), 3: ber.integer(6), 7: ber.integer(1), 8: ber.integer(1)}
    errs = {14: errors, 13: lambda: 0, 19: lambda: 0, 20: lambda: 0}
    for column, value in still.items():
        yield (*IF, column), (number,), value
    for column, read in errs.items():
        yield (*IF, column), (number,), Moving(ber.COUNTER32, read)
    yield (*IFX, 1), (number,), ber.octets(place[1])
    yield (*IFX, 15), (number,), ber.integer(25_000, ber.GAUGE32)
    for column in (6, 10):
        yield (*IFX, column), (number,), Moving(ber.COUNTER64, lambda: packets() * 500)
    for column, read in {7: packets, 8: lambda: 0, 9: lambda: 0}.items():
        yield (*IFX, column), (number,), Moving(ber.COUNTER64, read)
        yield (*IFX, column + 4), (number,), Moving(ber.COUNTER64, read)
    yield (*DOT3, 3), (number,), Moving(ber.COUNTER32, errors)


def history(now: datetime) -> pd.DataFrame:
    """Return a day of what the pairs lost before anything flapped: pair_hours."""
    key = {"src_host": "front", "dst_host": "back", "src_service": "web", "dst_service": "db"}
    figures = {"metric": "retransmissions", "exposure": 3e8, "count": 3e3}
    ends = [now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=back) for back in range(1, 25)]
    rows = [key | figures | {"at": end, "hour": end - timedelta(hours=1)} for end in ends]
    return frames.frame("pair_hours", rows)


def at(moment: float) -> str:
    """Return a moment as ISO 8601."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")


def inventory(host: str, agent: HostAgent, world: World) -> None:
    """Let a host tell of its card and of its containers."""
    switch, number = HOSTS[host]
    stamp = {"at": at(world.started), "host": host}
    card = {"nic": "eth0", "agent_id": host, "hostname": host, "addresses": [f"10.0.{number}.254"]}
    heard = {"lldp_chassis_id": MAC[switch], "lldp_port_id": "Ethernet48", "lldp_sys_name": switch}
    mac = {"mac": f"02:00:00:00:01:{number:02x}", "speed_bps": 25 * 10**9}
    agent.append(world.started, "hosts", stamp | card | heard | mac)
    for one in range(CONTAINERS):
        name = f"{'web' if host == 'front' else 'db'}-{one}"
        what = {"container_id": name, "name": name, "service": name.split("-")[0], "netns": name}
        where = {"network": "fabric", "driver": "macvlan", "address": f"10.0.{number}.{one}"}
        began = at(world.started - timedelta(days=1).total_seconds())
        agent.append(world.started, "containers", stamp | what | where | {"started_at": began})


def samples(agent: HostAgent, until: float, bad_share: float) -> None:
    """Let ``front`` tell what its 10,000 connections did in the interval that ends now."""
    segments = round(SEGMENTS * INTERVAL_S)
    lost = round(CONTAINERS**2 * segments * LOSS * bad_share)
    stamp = {"at": at(until), "host": "front", "role": "client", "server_port": 5432}
    same = {
        "interval_s": INTERVAL_S, "complete": True, "connections_open": 1, "bytes_sent": 500 * segments,
        "data_segments_sent": segments, "data_segments_received": segments, "rto_count": 0, "dsack": 0,
        "min_rtt_us": 80.0, "method": "difference",
    }  # fmt: skip
    for pair in range(CONTAINERS**2):
        client, server = divmod(pair, CONTAINERS)
        again = (lost * (pair + 1)) // CONTAINERS**2 - (lost * pair) // CONTAINERS**2
        ends = {"netns": f"web-{client}", "container_id": f"web-{client}"}
        ends |= {"local_wire_address": f"10.0.1.{client}", "peer_wire_address": f"10.0.2.{server}"}
        agent.append(until, "pair_samples", stamp | ends | same | {"retransmitted_segments": again})


class Snmp(asyncio.DatagramProtocol):
    """One switch's socket."""

    def __init__(self, agent: SwitchAgent) -> None:
        self.agent = agent

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self.agent.answer(data)
        if answer is not None:
            self.transport.sendto(answer, addr)


def http(agent: HostAgent) -> uvicorn.Server:
    async def batches(request: Request) -> Response:
        answer = agent.answer(request.query_params, request.headers.get("authorization"))
        return Response(answer.body, answer.status, dict(answer.headers))

    app = Starlette(routes=[Route(PATH, batches)])
    return uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="error", access_log=False))


async def serve(folder: Path) -> None:
    """Serve the network until standard input ends."""
    world, loop, told = World(folder), asyncio.get_running_loop(), {"switches": {}, "hosts": {}}
    for name in MAC:
        world.mibs.append(Mib(objects(world, name)))
        protocol = Snmp(SwitchAgent("public", world.mibs[-1]))
        transport, _ = await loop.create_datagram_endpoint(lambda p=protocol: p, local_addr=("127.0.0.1", 0))
        told["switches"][name] = transport.get_extra_info("sockname")[1]
    agents = {host: HostAgent(host, "token", "boot", "epoch") for host in HOSTS}
    served = set()
    for host, agent in agents.items():
        inventory(host, agent, world)
        server = http(agent)
        served.add(asyncio.ensure_future(server.serve()))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        told["hosts"][host] = server.servers[0].sockets[0].getsockname()[1]
    (folder / "network.new").write_text(json.dumps(told))
    (folder / "network.new").replace(folder / "network.json")
    ended = loop.run_in_executor(None, sys.stdin.read)
    due, bad_s = world.started + INTERVAL_S, 0.0
    while not ended.done():
        world.tick()
        (folder / "flaps.new").write_text(str(world.flaps))
        (folder / "flaps.new").replace(folder / "flaps")  # whoever reads it reads a number
        if world.last >= due:
            samples(agents["front"], world.last, min(1.0, (world.bad_s - bad_s) / INTERVAL_S))
            due, bad_s = due + INTERVAL_S, world.bad_s
        await asyncio.sleep(TICK_S)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
