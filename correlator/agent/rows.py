"""Intervals, containers and interfaces as rows of the tables pair_samples, containers and hosts.

The columns are those of ``correlator.frames``, which the agent does not load; a test compares them.
A value that is not known is left out of a row.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from correlator.agent import ledger
from correlator.agent.addresses import Interface, Lldp, bond
from correlator.agent.collector import Interval
from correlator.agent.conntrack import address
from correlator.agent.fold import VIA_PROXY
from correlator.agent.namespaces import HOST
from correlator.agent.registry import Attachment, Container
from correlator.agent.sockets import TCP_INFO
from correlator.agent.tally import CLIENT, SERVER, Array, Key, Rows
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


def pair_rows(interval: Interval, who: Who) -> list[str]:
    """Return the rows of pair_samples of one interval, each as a JSON object.

    A connection through docker-proxy has two halves on this host; the half on the wire stands for
    the pair, the half inside is left out. Text is put together by hand, many rows at a time: json
    takes five times as long, and a busy host has a thousand rows an interval.
    """
    rows = interval.rows
    keys = {id(key): key for key in rows.keys}  # most rows of a key hold the same one
    heads = {key: _head(key, interval, who) for key in set(keys.values())}
    proxied = {key.owner for key in heads if key.note == VIA_PROXY}
    inner = {key for key, head in heads.items() if _is_inner(key, head, proxied, who)}
    direct = _from_the_host(interval) if inner else set()
    numbers = _numbers(rows, interval.info_bytes)
    why, resent = rows.sums["why"].tolist(), (rows.sums["counters"][:, ledger.RESENT] > 0).tolist()
    texts = []
    told = {number: (heads[key], key in inner) for number, key in keys.items()}
    for key, ports, some, again, middle in zip(rows.keys, rows.ports, why, resent, numbers, strict=True):
        head, is_inner = told[id(key)]
        if not is_inner or direct & set(ports):
            texts.append(f"{head.text}{_remarks(head, some, again)}{middle}{_ports(ports)}")
    return texts


def _is_inner(key: Key, head: _Head, proxied: Set[str | None], who: Who) -> bool:
    """Return whether a key may be that of the half between docker-proxy and a container."""
    inner = key.role == SERVER and key.note != VIA_PROXY and head.container_id in proxied
    return inner and address(key.peer) in who.gateways


def _from_the_host(interval: Interval) -> set[int]:
    """Return the source ports of connections that containers on the host's network opened."""
    host = {slot for slot, name in interval.names.items() if name == HOST}
    each = zip(interval.rows.keys, interval.rows.ports, strict=True)
    return {port for key, ports in each if key.slot in host and key.role == CLIENT for port in ports}


class _Head(NamedTuple):
    """What all rows of a key share: the beginning of their text, and what was missed by all of them."""

    text: str
    container_id: str | None
    missed: tuple[str, ...]
    note: str


def _head(key: Key, interval: Interval, who: Who) -> _Head:
    container = _container(key, interval, who)
    local, peer = address(key.local), address(key.peer)
    missed = [note for note in (interval.note, interval.notes.get(key.slot)) if note]
    if container is None and key.owner is None:
        missed.append(key.note or UNKNOWN)
    remote = container is not None and _is_overlay(container, local)
    row = {
        "at": stamp(interval.at),
        "host": who.host,
        "netns": interval.names.get(key.slot),
        "container_id": container.id if container else key.owner,
        "role": key.role,
        "local_wire_address": local,
        "peer_wire_address": peer,
        "server_port": key.server_port,
        "interval_s": round(interval.seconds, 6),
        "peer_host": interval.overlay.get(peer) if remote else None,
    }
    text = json.dumps(
        {name: value for name, value in row.items() if value is not None}, separators=(",", ":")
    )
    note = key.note if key.note not in missed else ""
    return _Head(text[:-1], container.id if container else key.owner, tuple(missed), note)


def _container(key: Key, interval: Interval, who: Who) -> Container | None:
    if key.owner is not None:
        return who.by_id(key.owner)
    return None if key.note else who.container(interval.names.get(key.slot, ""))


def _is_overlay(container: Container, local: str) -> bool:
    return any(a.driver == OVERLAY and a.address == local for a in container.attachments)


def _remarks(head: _Head, why: int, resent: bool) -> str:
    """Return whether a row is complete, and why not; what makes its times uncertain is a remark only."""
    if not why and not resent and not head.missed and not head.note:
        return ',"complete":true'
    return _missed(head.missed, head.note, why, resent)


@functools.lru_cache(maxsize=256)
def _missed(missed: tuple[str, ...], note: str, why: int, resent: bool) -> str:
    missed = (*missed, *(text for bit, text in MISSED.items() if why & bit))
    remarks = [*missed, *([note] if note else []), *([RESENT] if resent else [])]
    return f',"complete":{"false" if missed else "true"},"why_incomplete":{json.dumps("; ".join(remarks))}'


class _Column(NamedTuple):
    """Part of the text of rows: how a value is written, the values, the rows that have one (None: all)."""

    form: str
    values: Array
    present: Array | None = None


def _numbers(rows: Rows, info_bytes: int) -> list[str]:
    """Return the middle of each row: what was counted and timed, without what this kernel does not say."""
    unsaid = {name for name, field in NEEDS.items() if _end(field) > info_bytes}
    sums = rows.sums
    columns = [_Column(f',"connections_{name}":%d', sums[name]) for name in ("open", "new", "closed")]
    columns += [
        _Column(f',"{name}":%d', sums["counters"][:, place])
        for place, name in enumerate(ledger.COUNTERS)
        if name in PAIR_COLUMNS and name not in unsaid
    ]
    if "min_rtt_us" not in unsaid:
        columns.append(_Column(',"min_rtt_us":%d.0', sums["min_rtt"], sums["min_rtt"] != ledger.NO_RTT))
    srtt, some = sums["rtt"] / np.maximum(sums["rtts"], 1), sums["rtts"] > 0
    columns.append(_Column(',"srtt_us":%.1f', srtt, some))
    columns.append(_Column(',"max_stall_ms":%.1f', sums["stall"], ~np.isnan(sums["stall"])))
    return _texts([*columns, *_timed(rows)])


def _timed(rows: Rows) -> Iterator[_Column]:
    """Yield the columns of what was timed: a server's service, a client's response in one of two ways."""
    sums = rows.sums
    server = np.fromiter((key.role == SERVER for key in rows.keys), bool, len(rows))
    looping = ~server & (sums["looped"] > 0) & (sums["responses"] == 0)
    for what, total, count, method, which in (
        ("service", "service_ms", "services", "difference", server),
        ("response", "loop_ms", "looped", "closed_loop", looping),
        ("response", "response_ms", "responses", "difference", ~server & ~looping),
    ):
        yield _Column(f',"{what}_ms_sum":%.3f', sums[total], which)
        yield _Column(f',"{what}_ms_count":%d', sums[count], which)
        yield _Column(',"method":"%s"', np.where(sums[count] > 0, method, "none"), which)


def _texts(columns: Sequence[_Column]) -> list[str]:
    """Return the text of each row. Rows that have the same columns are formatted together."""
    shapes = np.zeros(len(columns[0].values), "u4")
    for bit, column in enumerate(columns):
        if column.present is not None:
            shapes |= column.present.astype("u4") << np.uint32(bit)
    texts = [""] * len(shapes)
    for shape in np.unique(shapes).tolist():
        mine = [one for bit, one in enumerate(columns) if one.present is None or shape >> bit & 1]
        places = np.flatnonzero(shapes == shape)
        form, values = _form([(column.form, column.values[places]) for column in mine])
        for place, text in zip(places.tolist(), map(form.__mod__, values), strict=True):
            texts[place] = text
    return texts


def _form(columns: Sequence[tuple[str, Array]]) -> tuple[str, Iterable[tuple[Any, ...]]]:
    """Return (form, values of each row); what is the same in all rows, as is usual, stands in the form."""
    form = ""
    varying: list[list[Any]] = []
    for text, values in columns:
        if (values == values[0]).all():
            form += (text % values[0]).replace("%", "%%")
        else:
            form += text
            varying.append(values.tolist())
    return form, zip(*varying, strict=True) if varying else repeat((), len(columns[0][1]))


def _ports(ports: Sequence[int]) -> str:
    if len(ports) == 1:  # as is usual
        return f',"source_ports":[{ports[0]}]}}'
    return f',"source_ports":[{",".join(map(str, sorted(ports)))}]}}' if ports else "}"


def _end(name: str) -> int:
    offset, kind = TCP_INFO[name]
    return offset + int(kind[-1])


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
