"""The map against real wiring: lldpd and snmpd in network namespaces, forwarding tables from a twin."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from namespaces import Namespaces, missing, until

from correlator import frames
from correlator.commands.poll import poll_once
from correlator.engine.paths import find_paths
from correlator.engine.topology import Map, build_map

pytestmark = pytest.mark.real

MAPPED = ("neighbors", "hosts", "cables", "interfaces", "devices", "stations", "arp")
START = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)

End = tuple[str, str]


@pytest.fixture
def wired() -> Iterator[Namespaces]:
    if missing():
        pytest.skip(f"missing: {missing()} (Debian packages snmpd, lldpd, iproute2)")
    with contextlib.ExitStack() as stack:
        yield Namespaces(stack)


class Watch:
    """Polls the switches and keeps, as a store does, the newest row of each key."""

    def __init__(self, wired: Namespaces, hosts: list[dict[str, Any]]) -> None:
        self.wired, self.polls, self.hosts = wired, 0, hosts
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in MAPPED}

    def poll(self) -> Map:
        """Return the map after one poll of every switch."""
        at = START + timedelta(minutes=self.polls)
        self.polls += 1
        for name, address in self.wired.addresses.items():
            said = asyncio.run(poll_once(address, 161, "public"))
            for table in MAPPED:
                for row in said.get(table, []):
                    self.rows[table].append(row | {"at": at, "device": name})
        self.rows["hosts"] = [row | {"at": START} for row in self.hosts]
        return build_map(*(self._newest(name) for name in MAPPED))

    def _newest(self, name: str) -> pd.DataFrame:
        table = frames.frame(name, self.rows[name]).sort_values("at", kind="stable")
        return table.drop_duplicates(list(frames.TABLES[name].key), keep="last", ignore_index=True)


def links(fabric: Map, devices: set[str]) -> set[frozenset[End]]:
    rows: Any = fabric.links.itertuples(index=False)
    ends = [((row.a_device, row.a_if_name), (row.b_device, row.b_if_name)) for row in rows]
    return {frozenset(pair) for pair in ends if {pair[0][0], pair[1][0]} <= devices}


def wiring(*cables: str) -> set[frozenset[End]]:
    found = set()
    for cable in cables:
        a, p, b, q = cable.split()
        found.add(frozenset({(a, p), (b, q)}))
    return found


ROUTED = ("leaf1 up1 spine1 d1", "leaf1 up2 spine2 d1", "leaf2 up1 spine1 d2", "leaf2 up2 spine2 d2",
          "h1 eth0 leaf1 p1", "h2 eth0 leaf2 p1")  # fmt: skip


def test_a_routed_fabric_is_mapped_with_its_equal_ways(wired: Namespaces) -> None:
    devices = {"leaf1", "leaf2", "spine1", "spine2", "h1", "h2"}
    for name in sorted(devices):
        wired.add(name)
    wired.add("patch")
    for cable in ROUTED:
        wired.patched(*cable.split())
    for name, ports in {
        "leaf1": "up1 up2 p1",
        "leaf2": "up1 up2 p1",
        "spine1": "d1 d2",
        "spine2": "d1 d2",
    }.items():
        wired.snmpd(name)
        wired.lldpd(name, *ports.split())
    for name in ("h1", "h2"):
        wired.lldpd(name, "eth0")
    watch = Watch(wired, [{"host": name, "nic": "eth0", "hostname": name} for name in ("h1", "h2")])
    until(lambda: _settled(watch, devices, wiring(*ROUTED)))
    fabric = watch.poll()
    assert links(fabric, devices) == wiring(*ROUTED)
    ecmp = find_paths(fabric.directed, ["h1", "h2"], [("h1", "h2")], fabric.closed).forward.toarray()[0]
    assert sorted(ecmp[ecmp > 0]) == [0.5, 0.5, 0.5, 0.5, 1.0, 1.0]


def _settled(watch: Watch, devices: set[str], wanted: set[frozenset[End]]) -> bool:
    watch.wired.refresh()
    return links(watch.poll(), devices) == wanted


def test_a_bridged_fabric_with_spare_links_has_one_way(wired: Namespaces) -> None:
    for name in ("sw1", "sw2", "h1", "h2"):
        wired.add(name)
    cables = ("sw1 x1 sw2 x1", "sw1 x2 sw2 x2", "h1 eth0 sw1 p1", "h2 eth0 sw2 p1")
    for cable in cables:
        wired.cable(*cable.split())
    for name in ("sw1", "sw2"):
        wired.bridge(name, "x1", "x2", "p1")
        wired.snmpd(name)
        wired.lldpd(name, "x1", "x2")
    for number, name in enumerate(("h1", "h2"), 1):
        wired.within(name, "ip", "address", "add", f"192.0.2.{number}/24", "dev", "eth0")
    macs = {name: wired.within(name, "cat", "/sys/class/net/eth0/address").strip() for name in ("h1", "h2")}
    watch = Watch(wired, [{"host": name, "nic": "eth0", "mac": mac} for name, mac in macs.items()])
    devices = {"sw1", "sw2", "h1", "h2"}

    def settled() -> bool:
        with contextlib.suppress(Exception):
            wired.within("h1", "ping", "-c", "1", "-W", "1", "192.0.2.2")
        made = watch.poll()
        return links(made, devices) == wiring(*cables) and int((~made.links["usable"]).sum()) == 1

    until(lambda: (wired.refresh(), settled())[1])
    fabric = watch.poll()
    by_end = fabric.links.set_index("a_if_name")
    assert set(fabric.links["source"]) == {"lldp both", "stations"}
    assert sorted(fabric.links["idle"].dropna()) == ["blocked"]
    assert not by_end.loc["eth0", "usable"].eq(False).any()
    found = find_paths(fabric.directed, ["h1", "h2"], [("h1", "h2")], fabric.closed)
    assert sorted(found.forward.toarray()[0])[-3:] == [1.0, 1.0, 1.0]
    assert found.forward.toarray()[0].sum() == 3.0
