"""Who is meant: devices and ports by every name that others call them.

A neighbour names a device by chassis id, system name or address, and a port by name, description,
MAC address, alias, number or address. Names are looked for from the surest to the weakest; what two
things share there names neither. Page: docs/algorithms/topology.md.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pandas as pd

Place = tuple[str, str]
"""A device and one of its interfaces."""

SHORT = re.compile(r"^([a-z]{2})[a-z -]*(\d.*)$")
"""An interface's name in full or abbreviated: GigabitEthernet1/0/1 and Gi1/0/1 are one."""


@dataclass
class Tier:
    """Names of one kind; ``of`` has those that mean one thing, ``shared`` all others."""

    of: dict[object, str] = field(default_factory=dict)
    shared: dict[object, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, key: object, value: str) -> None:
        """Note that a name means something."""
        if key in self.shared:
            self.shared[key].add(value)
        elif self.of.setdefault(key, value) != value:
            self.shared[key] |= {self.of.pop(key), value}

    def add_all(self, names: Iterable[tuple[object, str]]) -> None:
        """Note many names: in one go where no two are alike, as those of a fabric's ports hardly ever are."""
        named = list(names)
        fresh = dict(named)
        if (
            len(fresh) == len(named)
            and fresh.keys().isdisjoint(self.of)
            and fresh.keys().isdisjoint(self.shared)
        ):
            self.of.update(fresh)
            return
        for key, value in named:
            self.add(key, value)


@dataclass
class Identities:
    """Finds devices and ports; ``hosts`` and ``switches`` are the devices' own names.

    ``nameless`` are switches whose chassis id is not known: who hears them cannot say whom.
    """

    switches: set[str] = field(default_factory=set)
    nameless: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    nics: dict[str, list[str]] = field(default_factory=dict)
    ports: set[Place] = field(default_factory=set)
    devices: tuple[Tier, ...] = field(default_factory=lambda: tuple(Tier() for _ in range(6)))
    port_names: tuple[Tier, ...] = field(default_factory=lambda: tuple(Tier() for _ in range(7)))
    found: dict[tuple[object, ...], str | None] = field(default_factory=dict)

    @classmethod
    def known(
        cls, devices: pd.DataFrame, interfaces: pd.DataFrame, hosts: pd.DataFrame, arp: pd.DataFrame
    ) -> Identities:
        """Return everybody that the current tables know."""
        names = cls()
        names._add_switches(devices, interfaces)
        names._add_hosts(hosts)
        names._add_addresses(arp)
        return names

    def device(self, *called: object) -> str | None:
        """Return the device that is meant by the first of these names that means just one."""
        if called not in self.found:
            some = (self._one(self.devices, name) for name in called)
            self.found[called] = next((one for one in some if one is not None), None)
        return self.found[called]

    def candidates(self, *called: object) -> set[str]:
        """Return the devices that share such a name; empty where none do."""
        for name in called:
            for tier in self.devices:
                if isinstance(name, str) and name in tier.shared:
                    return tier.shared[name]
        return set()

    def port(self, device: str, *called: object) -> str | None:
        """Return a device's interface by the first of these names that means just one."""
        for name in called:
            if isinstance(name, str):
                found = self._one(self.port_names, name, device)
                if found is not None:
                    return found
        only = self.nics.get(device, ())
        return only[0] if len(only) == 1 else None

    def _one(self, tiers: Sequence[Tier], name: object, device: str | None = None) -> str | None:
        if not isinstance(name, str) or not name:
            return None
        for written in (name, name.casefold()):
            for tier in tiers[:-1]:
                found = tier.of.get(written if device is None else (device, written))
                if found is not None:
                    return found
        short = _short(name) if device is not None else name.split(".")[0].casefold()
        return tiers[-1].of.get(short if device is None else (device, short))

    def _add_switches(self, devices: pd.DataFrame, interfaces: pd.DataFrame) -> None:
        own, _, chassis, system, address, short = self.devices
        for name, given, spoken, at in rows(devices, "device", "chassis_id", "sys_name", "address"):
            self.switches.add(name)
            _add(((own, name), (chassis, given), (system, spoken), (address, at)), name)
            _add(((short, part.split(".")[0]) for part in (name, spoken) if isinstance(part, str)), name)
            if not isinstance(given, str):
                self.nameless.add(name)
        for name in set(interfaces["device"].dropna()) - self.switches:
            self.switches.add(name)
            self.nameless.add(name)
            _add(((own, name),), name)
        self._add_interfaces(interfaces)

    def _add_interfaces(self, interfaces: pd.DataFrame) -> None:
        mac = self.devices[1]
        columns = ("if_name", "lldp_port_id", "if_descr", "mac", "if_alias", "if_index")
        known = [row for row in rows(interfaces, "device", *columns) if isinstance(row[1], str)]
        if not known:
            return
        device, if_name, given, text, own_mac, called, index = zip(*known, strict=True)
        said, names, descr, macs, alias, number, brief = self.port_names
        self.ports |= set(zip(device, if_name, strict=True))
        every = ((said, given), (names, if_name), (descr, text), (macs, own_mac), (alias, called))
        for tier, words in every:
            told = [one for one in zip(device, words, if_name, strict=True) if _said(one[1])]
            tier.add_all(((at, word), name) for at, word, name in told)
            tier.add_all(((at, low), name) for at, word, name in told if (low := word.casefold()) != word)
        for tier, keys in ((number, map(str, index)), (brief, map(_short, if_name))):
            tier.add_all(zip(zip(device, keys, strict=True), if_name, strict=True))
        mac.add_all((one, at) for one, at in zip(own_mac, device, strict=True) if isinstance(one, str))

    def _add_hosts(self, hosts: pd.DataFrame) -> None:
        own, mac, _, system, address, _ = self.devices
        _, names, _, macs, _, _, _ = self.port_names
        columns = ("host", "nic", "mac", "hostname", "addresses")
        for host, nic, own_mac, hostname, addresses in rows(hosts, *columns):
            self.hosts.add(host)
            known = addresses if isinstance(addresses, list) else []
            _add(((own, host), (mac, own_mac), (system, hostname)), host)
            if not isinstance(nic, str):
                continue
            self.ports.add((host, nic))
            self.nics.setdefault(host, []).append(nic)
            _add_ports(((names, nic), (macs, own_mac)), host, nic)
            for one in known:
                address.add(one, host)
                macs.add((host, one), nic)

    def _add_addresses(self, arp: pd.DataFrame) -> None:
        """Let addresses mean what their MAC addresses mean: of some ports nothing else is told."""
        _, mac, _, _, address, _ = self.devices
        macs = self.port_names[3]
        for ip, known in set(rows(arp, "ip", "mac")):
            device = mac.of.get(known) if isinstance(known, str) else None
            if device is None or not isinstance(ip, str):
                continue
            if ip not in address.of:
                address.add(ip, device)
            port = macs.of.get((device, known))
            if port is not None and (device, ip) not in macs.of:
                macs.add((device, ip), port)


def rows(table: pd.DataFrame, *columns: str) -> Iterable[tuple[Any, ...]]:
    """Return a table's rows as plain values; rows without a first one are left out."""
    parts = [values(table[column]) if column in table else [None] * len(table) for column in columns]
    return (row for row in zip(*parts, strict=True) if isinstance(row[0], str))


def values(column: pd.Series[Any]) -> list[Any]:
    """Return a column as plain values; strings at once, which costs a tenth of one by one."""
    text = isinstance(column.dtype, pd.StringDtype)
    answer: list[Any] = (column.to_numpy(dtype=object) if text else column).tolist()
    return answer


def _said(word: object) -> bool:
    return isinstance(word, str) and word != ""


def _add(keys: Iterable[tuple[Tier, object]], value: str) -> None:
    for tier, key in keys:
        if isinstance(key, str) and key:
            tier.add(key, value)
            if (folded := key.casefold()) != key:
                tier.add(folded, value)


def _add_ports(keys: Iterable[tuple[Tier, object]], device: str, value: str) -> None:
    for tier, key in keys:
        if isinstance(key, str) and key:
            tier.add((device, key), value)
            if (folded := key.casefold()) != key:
                tier.add((device, folded), value)


@lru_cache(maxsize=1 << 16)
def _short(name: str) -> str:
    """Return an interface's name as its first two letters and what begins with a digit."""
    found = SHORT.match(name.casefold())
    return found[1] + found[2] if found else name.casefold()
