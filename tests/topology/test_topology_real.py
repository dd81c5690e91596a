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


UNPLUGGED = (("leaf1.up2", "spine2.d1"), ("leaf2.up2", "spine2.d2"))
REPLUGGED = (("leaf1.up2", "spine2.d2"), ("leaf2.up2", "spine2.d1"))
MOVED = (ROUTED[0], "leaf1 up2 spine2 d2", ROUTED[2], "leaf2 up2 spine2 d1", *ROUTED[4:])


def test_a_routed_fabric_is_mapped_and_a_moved_cable_followed_within_one_poll(wired: Namespaces) -> None:
    devices = {"leaf1", "leaf2", "spine1", "spine2", "h1", "h2"}
    _build_routed(wired, sorted(devices))
    watch = Watch(wired, [{"host": name, "nic": "eth0", "hostname": name} for name in ("h1", "h2")])
    until(lambda: _all_heard(wired, ROUTED) and links(watch.poll(), devices) == wiring(*ROUTED))
    fabric = watch.poll()
    ecmp = find_paths(fabric.directed, ["h1", "h2"], [("h1", "h2")], fabric.closed).forward.toarray()[0]
    assert sorted(ecmp[ecmp > 0]) == [0.5, 0.5, 0.5, 0.5, 1.0, 1.0]
    for ends in UNPLUGGED:
        wired.unplug(*ends)
    until(lambda: not any(wired.neighbours(*end.split(".")) for ends in UNPLUGGED for end in ends))
    for ends in REPLUGGED:
        wired.plug(*ends)
    until(lambda: _all_heard(wired, MOVED))
    assert links(watch.poll(), devices) == wiring(*MOVED)


def _build_routed(wired: Namespaces, devices: list[str]) -> None:
    for name in (*devices, "patch"):
        wired.add(name)
    for cable in ROUTED:
        wired.patched(*cable.split())
    for name in devices:
        ports = [end[1] for cable in wiring(*ROUTED) for end in cable if end[0] == name]
        if not name.startswith("h"):
            wired.snmpd(name)
        wired.lldpd(name, *sorted(ports))


def _all_heard(wired: Namespaces, cables: tuple[str, ...]) -> bool:
    """Return whether lldpd at both ends of every cable hears the other and nobody else: the wiring, told."""
    ends = [tuple(cable) for cable in wiring(*cables)]
    return all(wired.neighbours(*one) == [other] for pair in ends for one, other in (pair, pair[::-1]))


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

    until(settled)
    fabric = watch.poll()
    by_end = fabric.links.set_index("a_if_name")
    assert set(fabric.links["source"]) == {"lldp both", "stations"}
    assert sorted(fabric.links["idle"].dropna()) == ["blocked"]
    assert not by_end.loc["eth0", "usable"].eq(False).any()
    found = find_paths(fabric.directed, ["h1", "h2"], [("h1", "h2")], fabric.closed)
    assert sorted(found.forward.toarray()[0])[-3:] == [1.0, 1.0, 1.0]
    assert found.forward.toarray()[0].sum() == 3.0
