"""Who waits for whom, by service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from correlator.model import PairImpact
from correlator.ports import Tables
from correlator.reports.content import Blame, Period, WorkOrder
from correlator.reports.overview import Matrix, ServiceCell, Waits
from correlator.reports.tables import during, newest, table

MOST_SERVICES = 14
"""Rows and columns drawn: more are not legible on paper."""

Key = tuple[str, str]


@dataclass(frozen=True)
class _Slow:
    """The slow pairs of one cell, with who is to blame for each."""

    impacts: tuple[PairImpact, ...]
    blames: tuple[Blame, ...]

    def slower_by(self) -> float | None:
        return max((one.slower_by for one in self.impacts if one.slower_by is not None), default=None)

    def waits(self) -> Waits:
        """Return whom most of the pairs wait for; the network where as many wait for it as for another."""
        order: tuple[Blame, ...] = ("network", "service", "host", "unknown")
        return max(order, key=lambda blame: (self.blames.count(blame), -order.index(blame)))


def matrix(tables: Tables, orders: Sequence[WorkOrder], period: Period) -> Matrix:
    """Return the pairs that talked on the day and those that were slow at some time of it, by service."""
    services = _services(tables, period)
    slow = _slow(orders, services)
    talked = _talked(tables, services, period)
    keys = {*slow, *talked}
    clients = _first(slow, talked, 0)
    servers = _first(slow, talked, 1)
    cells = [
        _cell(key, slow.get(key), talked.get(key, 0))
        for key in sorted(keys, key=lambda key: (clients.index(key[0]), servers.index(key[1])))
        if key[0] in clients[:MOST_SERVICES] and key[1] in servers[:MOST_SERVICES]
    ]
    drawn = {(cell.client, cell.server) for cell in cells}
    return Matrix(
        clients=tuple(name for name in clients if name in {client for client, _ in drawn}),
        servers=tuple(name for name in servers if name in {server for _, server in drawn}),
        cells=tuple(cells),
        services=len({name for key in keys for name in key}),
    )


def _cell(key: Key, slow: _Slow | None, talked: int) -> ServiceCell:
    many = len({(one.src, one.dst) for one in slow.impacts}) if slow else 0
    return ServiceCell(
        client=key[0],
        server=key[1],
        pairs=max(talked, many),
        slow=many,
        slower_by=slow.slower_by() if slow else None,
        waits=slow.waits() if slow else None,
    )


def _first(slow: dict[Key, _Slow], talked: dict[Key, int], side: int) -> list[str]:
    """Return the services of one side: those with most slow pairs first, then the busiest."""
    ill: dict[str, int] = {}
    busy: dict[str, int] = {}
    for key, found in slow.items():
        ill[key[side]] = ill.get(key[side], 0) + len(found.impacts)
    for key, pairs in talked.items():
        busy[key[side]] = busy.get(key[side], 0) + pairs
    names = {*ill, *busy}
    return sorted(names, key=lambda name: (-ill.get(name, 0), -busy.get(name, 0), name))


def _services(tables: Tables, period: Period) -> dict[str, str]:
    """Return the service of each container, else its name."""
    rows = newest(tables, "containers", period).drop_duplicates("container_id", keep="last")
    names = rows["service"].fillna(rows["name"]).fillna(rows["container_id"])
    return dict(zip(rows["container_id"], names, strict=True))


def _slow(orders: Iterable[WorkOrder], services: dict[str, str]) -> dict[Key, _Slow]:
    found: dict[Key, list[tuple[PairImpact, Blame]]] = {}
    for order in orders:
        for impact in order.fault.verdict.pairs:
            key = (services.get(impact.src, impact.src_name), services.get(impact.dst, impact.dst_name))
            found.setdefault(key, []).append((impact, order.fault.blame))
    return {
        key: _Slow(tuple(one for one, _ in of), tuple(blame for _, blame in of)) for key, of in found.items()
    }


def _talked(tables: Tables, services: dict[str, str], period: Period) -> dict[Key, int]:
    """Return how many container pairs of each two services talked."""
    samples = table(tables, "pair_samples")
    columns = ["container_id", "peer_container_id"]
    clients = during(samples.loc[samples["role"] == "client", ["at", *columns]], period)
    ends = clients[columns].dropna().drop_duplicates()
    named = pd.DataFrame(
        {
            "client": ends["container_id"].map(services).astype("str"),
            "server": ends["peer_container_id"].map(services).astype("str"),
        }
    ).dropna()
    counted = named.groupby(["client", "server"]).size()
    return {(str(key[0]), str(key[1])): int(pairs) for key, pairs in counted.items()}  # type: ignore[index]
