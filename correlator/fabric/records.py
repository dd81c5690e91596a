"""Rows as a host's agent would write them: JSON-ready, with the columns of ``frames``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from correlator.fabric.dice import Dice, hex_name
from correlator.fabric.flows import Flows
from correlator.fabric.layout import NIC, Layout, Machine
from correlator.fabric.parameters import Physics
from correlator.fabric.tally import CLIENT, SERVER
from correlator.fabric.traffic import Traffic
from correlator.fabric.workload import Container, Pair

Row = dict[str, Any]
PORTS_KEPT = 32  # source ports that a row names at most


@dataclass(frozen=True)
class Clock:
    """Turns seconds of the run into a host's own time, which is a little wrong."""

    start: datetime
    skew_s: tuple[float, ...]

    @classmethod
    def draw(cls, start: datetime, hosts: int, dice: Dice, physics: Physics) -> Clock:
        """Return the clocks of ``hosts`` hosts."""
        return cls(start, tuple(dice.stream("clocks").uniform(*physics.work.clock_skew_s, hosts)))

    def at(self, second: float, host: int) -> str:
        """Return a moment of the run as ISO 8601 by the clock of a host."""
        moment = self.start + timedelta(seconds=second + self.skew_s[host])
        return moment.isoformat(timespec="microseconds")


def host_row(layout: Layout, host: int, identity: str, at: str) -> Row:
    """Return the row of ``hosts`` for a host's card, with the switch port that its LLDP hears."""
    machine = layout.hosts[host]
    port = layout.sender(int(layout.into[machine.number]))
    return {
        "at": at,
        "host": machine.name,
        "nic": NIC,
        "agent_id": machine.name,
        "engine_id": f"{identity[:8]}-{identity[8:12]}-{identity[12:16]}-{identity[16:20]}-{identity[20:32]}",
        "machine_id": identity[32:],
        "hostname": machine.hostname,
        "addresses": [machine.address],
        "mac": machine.mac,
        "speed_bps": layout.ports[machine.port].speed_bps,
        "lldp_chassis_id": layout.switches[machine.leaf].mac,
        "lldp_port_id": port.if_name,
        "lldp_sys_name": port.device,
    }


def identities(layout: Layout, dice: Dice) -> list[str]:
    """Return 64 hexadecimal digits for each host: what its engine and machine ids are made of."""
    rng = dice.stream("identities")
    return [hex_name(rng, 64) for _ in layout.hosts]


def container_row(container: Container, machine: Machine, clock: Clock, ended: bool) -> Row:
    """Return the row of ``containers`` that a start or an end brings."""
    moment = container.ended if ended else max(container.started, 0.0)
    return {
        "at": clock.at(moment, container.host),
        "host": machine.name,
        "container_id": container.container_id,
        "name": container.name,
        "image": container.image,
        "service": container.service,
        "network": "fabric",
        "driver": "macvlan",
        "address": container.address,
        "mac": container.mac,
        "netns": container.netns,
        "published_ports": [],
        "started_at": clock.at(container.started, container.host),
        "ended_at": clock.at(container.ended, container.host) if ended else None,
    }


def pair_rows(traffic: Traffic, second: int, length: int, clock: Clock) -> Iterator[tuple[int, Row]]:
    """Yield host and row of both ends of every pair for the interval that ends at ``second``."""
    names = [machine.name for machine in traffic.layout.hosts]
    ports = _ports(traffic.flows, len(traffic.pairs))
    rng = traffic.dice.stream("smoothed", second)
    smooth = rng.random((2, len(traffic.pairs)))
    for number, pair in enumerate(traffic.pairs):
        common = _common(traffic, number, pair, second, length, ports[number])
        for end, container in ((CLIENT, pair.client), (SERVER, pair.server)):
            row = {
                "at": clock.at(second, container.host),
                "host": names[container.host],
                **_ends(pair, end),
                **common,
                **_sent(traffic, number, pair, end),
                "srtt_us": _smoothed(traffic, number, end, float(smooth[end, number])),
                **(_responses(traffic, number) if end == CLIENT else _services(traffic, number)),
            }
            yield container.host, row


def _ports(flows: Flows, pairs: int) -> list[list[int]]:
    ports: list[list[int]] = [[] for _ in range(pairs)]
    for pair, port in zip(flows.pair.tolist(), flows.port.tolist(), strict=True):
        ports[pair].append(port)
    return [sorted(each)[:PORTS_KEPT] for each in ports]


def _ends(pair: Pair, end: int) -> Row:
    mine, other = (pair.client, pair.server) if end == CLIENT else (pair.server, pair.client)
    return {
        "netns": mine.netns,
        "container_id": mine.container_id,
        "role": "client" if end == CLIENT else "server",
        "local_wire_address": mine.address,
        "peer_wire_address": other.address,
        "server_port": pair.port,
    }


def _common(traffic: Traffic, number: int, pair: Pair, second: int, length: int, ports: list[int]) -> Row:
    tally = traffic.tally
    born, gone = pair.started > second - length, pair.ended <= second
    rtt = float(tally.min_rtt_us[number])
    return {
        "interval_s": float(length),
        "complete": True,
        "connections_open": 0 if gone else pair.connections,
        "connections_new": int(tally.opened[number]) + (pair.connections if born else 0),
        "connections_closed": int(tally.closed[number]) + (pair.connections if gone else 0),
        "exchanges": int(tally.exchanges[number]),
        "min_rtt_us": round(rtt, 1) if math.isfinite(rtt) else None,
        "method": "difference",
        "source_ports": ports,
    }


def _sent(traffic: Traffic, number: int, pair: Pair, end: int) -> Row:
    tally, other = traffic.tally, 1 - end
    octets = (pair.request_octets, pair.answer_octets)
    exchanges, resent = int(tally.exchanges[number]), int(tally.resent[end, number])
    size = min(octets[end], traffic.physics.tcp.mss)
    return {
        "bytes_sent": exchanges * octets[end],
        "bytes_received": exchanges * octets[other],
        "data_segments_sent": int(tally.sent[end, number]),
        "data_segments_received": int(tally.sent[other, number] - tally.lost[other, number]),
        "retransmitted_segments": resent,
        "retransmitted_bytes": resent * size,
        "dsack": int(tally.dsack[end, number]),
        "rto_count": int(tally.rto[end, number]),
        "max_stall_ms": round(max(float(tally.stall_ms[end, number]), _rtt_ms(traffic, number)), 3),
    }


def _rtt_ms(traffic: Traffic, number: int) -> float:
    return float(traffic.tally.rtt_us[number]) / 1000.0


def _smoothed(traffic: Traffic, number: int, end: int, luck: float) -> float:
    """Return the smoothed RTT: at the server waiting for the next request is smoothed in with it."""
    rtt = float(traffic.tally.rtt_us[number])
    extra = 0.5 * rtt if end == CLIENT else traffic.physics.tcp.answer_wait_us
    return round(rtt + luck * extra, 1)


def _responses(traffic: Traffic, number: int) -> Row:
    tally = traffic.tally
    return {
        "response_ms_sum": round(float(tally.response_ms[number]), 4),
        "response_ms_count": int(tally.responses[number]),
        "response_histogram": tally.histogram[number].tolist(),
    }


def _services(traffic: Traffic, number: int) -> Row:
    tally = traffic.tally
    return {
        "service_ms_sum": round(float(tally.service_ms[number]), 4),
        "service_ms_count": int(tally.services[number]),
    }


def events(containers: list[Container], since: float, until: float) -> list[tuple[float, Container, bool]]:
    """Return moment, container and whether it ended, in order, for what happened in ``(since, until]``."""
    found = [(max(c.started, 0.0), c, False) for c in containers if since < max(c.started, 0.0) <= until]
    found += [(c.ended, c, True) for c in containers if since < c.ended <= until]
    return sorted(found, key=lambda event: (event[0], event[1].container_id))
