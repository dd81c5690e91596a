"""Intervals, containers and interfaces as rows of the tables pair_samples, containers and hosts.

The columns are those of ``correlator.frames``, which the agent does not load; a test compares them.
A value that is not known is left out of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from correlator.agent import ledger
from correlator.agent.addresses import Interface, Lldp, bond
from correlator.agent.collector import Interval
from correlator.agent.conntrack import address
from correlator.agent.fold import VIA_PROXY
from correlator.agent.namespaces import HOST
from correlator.agent.registry import Attachment, Container
from correlator.agent.sockets import TCP_INFO
from correlator.agent.tally import CLIENT, SERVER, Key
from correlator.agent.text import clean, stamp

Row = dict[str, Any]

MISSED = {
    ledger.OLDER: "connections older than the agent: what they did before is unknown",
    ledger.LOST: "close events were lost",
    ledger.GONE: "the namespace went before its last connections had closed",
}
RESENT = "times: segments were resent, so a response may have taken longer"
UNKNOWN = "the container of this namespace is not known"
OVERLAY = "overlay"
NEEDS = {  # column: field of struct tcp_info that it comes from
    "data_segments_sent": "data_segs_out",
    "data_segments_received": "data_segs_in",
    "retransmitted_bytes": "bytes_retrans",
    "dsack": "dsack_dups",
    "rto_count": "total_rto",
    "exchanges": "data_segs_out",
    "min_rtt_us": "min_rtt",
}
PAIR_COLUMNS = tuple(name for name in ledger.COUNTERS if name != "rto_ms")


@dataclass(frozen=True)
class Who:
    """What rows about an interval need to know besides it.

    ``container`` gives a container by its namespace's name, ``by_id`` by its id; ``gateways`` are the
    host's own addresses on bridges.
    """

    host: str
    container: Callable[[str], Container | None]
    by_id: Callable[[str], Container | None]
    gateways: frozenset[str] = frozenset()


def pair_rows(interval: Interval, who: Who) -> list[Row]:
    """Return the rows of pair_samples of one interval.

    A connection through docker-proxy has two halves on this host; the half on the wire stands for
    the pair, the half inside is left out.
    """
    proxied = {key.owner for key, _, _ in interval.rows if key.note == VIA_PROXY}
    direct = _from_the_host(interval)
    rows = []
    for key, ports, sums in interval.rows:
        container = _container(key, interval, who)
        inner = key.role == SERVER and container is not None and container.id in proxied
        if inner and key.note != VIA_PROXY and address(key.peer) in who.gateways and not direct & set(ports):
            continue
        rows.append(_pair_row(key, ports, sums, interval, container, who))
    return rows


def _from_the_host(interval: Interval) -> set[int]:
    """Return the source ports of connections that containers on the host's network opened."""
    host = [
        ports
        for key, ports, _ in interval.rows
        if interval.names.get(key.slot) == HOST and key.role == CLIENT
    ]
    return {port for ports in host for port in ports}


def _container(key: Key, interval: Interval, who: Who) -> Container | None:
    if key.owner is not None:
        return who.by_id(key.owner)
    return None if key.note else who.container(interval.names.get(key.slot, ""))


def _pair_row(
    key: Key, ports: Sequence[int], sums: Any, interval: Interval, container: Container | None, who: Who
) -> Row:
    missed = [text for bit, text in MISSED.items() if int(sums["why"]) & bit]
    missed += [note for note in (interval.note, interval.notes.get(key.slot)) if note]
    if container is None and key.owner is None:
        missed.append(key.note or UNKNOWN)
    remarks = [key.note] if key.note and key.note not in missed else []
    counters = dict(zip(ledger.COUNTERS, map(int, sums["counters"]), strict=True))
    if counters["retransmitted_segments"]:
        remarks.append(RESENT)
    peer = address(key.peer)
    row: Row = {
        "at": stamp(interval.at),
        "host": who.host,
        "netns": interval.names.get(key.slot),
        "container_id": container.id if container else key.owner,
        "role": key.role,
        "local_wire_address": address(key.local),
        "peer_wire_address": peer,
        "server_port": key.server_port,
        "interval_s": round(interval.seconds, 6),
        "complete": not missed,
        "why_incomplete": "; ".join(missed + remarks) or None,
        "peer_host": interval.overlay.get(peer) if container and _is_overlay(container, key) else None,
        "connections_open": int(sums["open"]),
        "connections_new": int(sums["new"]),
        "connections_closed": int(sums["closed"]),
        "source_ports": sorted(ports) or None,
    }
    row |= {name: counters[name] for name in PAIR_COLUMNS} | _times(key, sums)
    unsaid = {name for name, field in NEEDS.items() if _end(field) > interval.info_bytes}
    return {name: value for name, value in row.items() if value is not None and name not in unsaid}


def _end(name: str) -> int:
    offset, kind = TCP_INFO[name]
    return offset + int(kind[-1])


def _is_overlay(container: Container, key: Key) -> bool:
    local = address(key.local)
    return any(a.driver == OVERLAY and a.address == local for a in container.attachments)


def _times(key: Key, sums: Any) -> Row:
    """Return round-trip, response and service times of a row, and how they were measured."""
    stall, rtts = float(sums["stall"]), int(sums["rtts"])
    row: Row = {
        "min_rtt_us": float(sums["min_rtt"]) if int(sums["min_rtt"]) != ledger.NO_RTT else None,
        "srtt_us": float(sums["rtt"]) / rtts if rtts else None,
        "max_stall_ms": stall if stall == stall else None,  # NaN: none was seen
        "method": "none",
    }
    if key.role == SERVER:
        row |= {"service_ms_sum": float(sums["service_ms"]), "service_ms_count": int(sums["services"])}
        row["method"] = "difference" if int(sums["services"]) else "none"
    elif int(sums["responses"]) or not int(sums["looped"]):
        row |= {"response_ms_sum": float(sums["response_ms"]), "response_ms_count": int(sums["responses"])}
        row["method"] = "difference" if int(sums["responses"]) else "none"
    else:
        row |= {"response_ms_sum": float(sums["loop_ms"]), "response_ms_count": int(sums["looped"])}
        row["method"] = "closed_loop"
    return row


def container_row(container: Container, at: datetime, host: str) -> Row:
    """Return the row of containers for one container's start or end."""
    main = _main(container.attachments)
    row: Row = {
        "at": stamp(at),
        "host": host,
        "container_id": container.id,
        "name": container.name,
        "image": container.image,
        "service": container.service,
        "network": main.network if main else None,
        "driver": main.driver if main else None,
        "address": main.address if main else None,
        "mac": main.mac if main else None,
        "netns": container.sandbox or (HOST if container.shares == HOST else None),
        "published_ports": [f"{port}/{protocol}" for port, protocol in container.published] or None,
        "started_at": stamp(container.started_at) if container.started_at else None,
        "ended_at": stamp(container.ended_at) if container.ended_at else None,
    }
    return {name: value for name, value in row.items() if value is not None}


def _main(attachments: Sequence[Attachment]) -> Attachment | None:
    """Return the network that a container is reached by: one with an address, by its name's order."""
    return min(attachments, key=lambda a: (a.address is None, a.network), default=None)


@dataclass(frozen=True)
class Machine:
    """What identifies the host."""

    host: str
    engine_id: str | None
    machine_id: str | None
    hostname: str | None


def host_rows(
    machine: Machine,
    nics: Iterable[Interface],
    everything: Iterable[Interface],
    heard: Mapping[str, Lldp],
    at: datetime,
) -> list[Row]:
    """Return the rows of hosts: one an interface."""
    by_index = {one.index: one for one in everything}
    rows = []
    for nic in nics:
        neighbour = heard.get(nic.name, Lldp())
        row: Row = {
            "at": stamp(at),
            "host": machine.host,
            "nic": nic.name,
            "agent_id": machine.host,
            "engine_id": machine.engine_id,
            "machine_id": machine.machine_id,
            "hostname": machine.hostname,
            "addresses": list(nic.addresses) or None,
            "mac": nic.mac,
            "speed_bps": nic.speed_bps,
            "bond": bond(nic, by_index),
            "lldp_chassis_id": clean(neighbour.chassis_id),
            "lldp_port_id": clean(neighbour.port_id),
            "lldp_sys_name": clean(neighbour.system_name),
        }
        rows.append({name: value for name, value in row.items() if value is not None})
    return rows
