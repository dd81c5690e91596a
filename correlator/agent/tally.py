"""Shares of connections summed to rows: one interval, by namespace, owner, role and wire tuple.

Server rows are kept apart by client port where there are few, since behind NAT several containers
share one address; the engine joins both ends on addresses and ports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from correlator.agent import ledger
from correlator.agent.records import joined, picked

Array = npt.NDArray[Any]
CLIENT, SERVER = "client", "server"
MAX_PORTS = 32  # source ports in a row: pair_samples.source_ports
SERVER_ROWS = 256  # client ports of one key that get a server row each; one more row is for the rest
CLIENT_ROWS = 16  # rows of MAX_PORTS client ports each; one more row is for the rest


@dataclass(frozen=True)
class Limits:
    """Bounds of one interval: rows, origin: 20,000 rows take about 10 MB."""

    rows: int = 20_000


class Key(NamedTuple):
    """What the rows of one container pair share at this end. Addresses are 16 bytes.

    ``owner`` is a container's id where the namespace alone does not tell it; ``note`` says why a row
    is special, empty where it is not.
    """

    slot: int
    owner: str | None
    role: str
    local: bytes
    peer: bytes
    server_port: int
    note: str


SUMS = np.dtype(
    [
        ("counters", "u8", len(ledger.COUNTERS)),
        ("new", "u8"),
        ("closed", "u8"),
        ("open", "u8"),
        ("loop_ms", "f8"),
        ("looped", "u8"),
        ("response_ms", "f8"),
        ("responses", "u8"),
        ("service_ms", "f8"),
        ("services", "u8"),
        ("why", "u1"),
        ("min_rtt", "u4"),
        ("rtt", "f8"),
        ("rtts", "u8"),
        ("stall", "f4"),
    ]
)


@dataclass(frozen=True)
class Rows:
    """The rows of an interval, all parallel: keys, client ports (none where too many share a row), SUMS."""

    keys: list[Key]
    ports: list[list[int]]
    sums: Array

    def __len__(self) -> int:
        return len(self.keys)


SUMMED = ("new", "closed", "open", "looped", "responses", "services", "loop_ms", "response_ms", "service_ms")


class Tally:
    """The rows of one interval that is still running. ``dropped`` counts shares for which was no room."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._sums = _empty(256)
        self._keys: list[Key] = []
        self._ports: list[list[int]] = []
        self._of: dict[Key, tuple[dict[int, int], list[int]]] = {}  # row by port, all rows
        self.dropped = 0

    def add(self, keys: list[Key], ports: list[int], shares: Array) -> None:
        """Add shares to the rows of their keys; ``ports`` are the clients' ports. All are parallel."""
        places = np.fromiter(map(self._row, keys, ports), np.intp, len(keys))
        order = np.argsort(places, kind="stable")  # of one row side by side: many times faster than ufunc.at
        dropped = int(np.count_nonzero(places < 0))
        self.dropped += dropped
        order = order[dropped:]
        if not order.size:
            return
        places, shares = places[order], picked(shares, order)
        first = np.flatnonzero(np.concatenate([[True], places[1:] != places[:-1]]))
        rows, sums = places[first], self._sums
        sums["counters"][rows] += np.add.reduceat(shares["delta"], first, axis=0)
        for name in SUMMED:
            sums[name][rows] += np.add.reduceat(shares[name].astype(SUMS[name]), first)
        sums["rtt"][rows] += np.add.reduceat(shares["rtt"].astype("f8"), first)
        sums["rtts"][rows] += np.add.reduceat((shares["rtt"] > 0).astype("u8"), first)
        sums["why"][rows] |= np.bitwise_or.reduceat(shares["why"], first)
        sums["min_rtt"][rows] = np.minimum(
            sums["min_rtt"][rows], np.minimum.reduceat(shares["min_rtt"], first)
        )
        sums["stall"][rows] = np.fmax(sums["stall"][rows], np.fmax.reduceat(shares["stall"], first))

    def rows(self) -> Rows:
        """Return what was summed up; nothing may be added after."""
        return Rows(self._keys, self._ports, self._sums[: len(self._keys)])

    def _row(self, key: Key, port: int) -> int:
        """Return the row that a connection belongs to, made where there is none; -1 where none fits."""
        found = self._of.get(key)
        if found is None:
            found = self._of[key] = ({}, [])
        ports, mine = found
        if port in ports:
            return ports[port]
        apart, most = (1, SERVER_ROWS) if key.role == SERVER else (MAX_PORTS, CLIENT_ROWS)
        listed = self._ports[mine[-1]] if mine else None
        if len(mine) > most:  # the row of all the rest names no ports
            return mine[-1]
        if listed is None or len(listed) >= apart:
            if len(self._keys) >= self._limits.rows:
                return -1
            mine.append(self._new(key))
        if len(mine) > most:
            return mine[-1]
        ports[port] = mine[-1]
        self._ports[mine[-1]].append(port)
        return mine[-1]

    def _new(self, key: Key) -> int:
        place = len(self._keys)
        if place == len(self._sums):
            self._sums = joined([self._sums, _empty(place)], SUMS)
        self._keys.append(key)
        self._ports.append([])
        return place


def _empty(rows: int) -> Array:
    """Return the sums of rows to which nothing was added yet."""
    sums = np.zeros(rows, SUMS)
    sums["min_rtt"], sums["stall"] = ledger.NO_RTT, np.nan
    return sums
