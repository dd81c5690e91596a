"""The map of links, and by what each is known.

Sources, strongest first: a configured cable, LLDP seen from both ends, LLDP seen from one end.
What contradicts is told, never settled silently. Page: docs/algorithms/topology.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from correlator.model import End, Link

LINK = ["a_device", "a_if_name", "b_device", "b_if_name"]
STRENGTH = ("cable", "lldp both", "lldp one")


@dataclass(frozen=True)
class Map:
    """The links of the fabric.

    ``links``: a_device, a_if_name, b_device, b_if_name, source (cable, lldp both, lldp one), usable
    (False where an end is shut, down or blocked by spanning tree).
    ``directed``: two rows a link, in the order a_to_b, b_to_a, numbered from 0, so that the other
    direction of number n is n ^ 1; columns sender_device, sender_if_name, receiver_device,
    receiver_if_name, direction, link (row of ``links``), usable.
    ``contradictions``: device, if_name, text.
    """

    links: pd.DataFrame
    directed: pd.DataFrame
    contradictions: pd.DataFrame


def build_map(
    neighbors: pd.DataFrame,
    hosts: pd.DataFrame,
    cables: pd.DataFrame,
    interfaces: pd.DataFrame,
    devices: pd.DataFrame,
) -> Map:
    """Return the map that these current tables tell (each with its newest rows)."""
    names = _Names.known(hosts, interfaces, devices)
    said: dict[Link, set[str]] = defaultdict(set)
    for link, source in [
        *_cabled(cables),
        *_heard_by_switches(neighbors, names),
        *_heard_by_hosts(hosts, names),
    ]:
        said[link].add(source)
    chosen, contradictions = _settle({link: _strength(sources) for link, sources in said.items()})
    links = pd.DataFrame(
        [
            (link.a.device, link.a.if_name, link.b.device, link.b.if_name, chosen[link])
            for link in sorted(chosen)
        ],
        columns=[*LINK, "source"],
    ).astype(dict.fromkeys([*LINK, "source"], "str"))
    idle = _idle(interfaces)
    links["usable"] = np.array(
        [link.a not in idle and link.b not in idle for link in sorted(chosen)], dtype=bool
    )
    return Map(links, _directed(links), contradictions)


@dataclass
class _Names:
    """What devices and ports are called by those who hear them."""

    device: dict[str, str] = field(default_factory=dict)
    port: dict[tuple[str, str], str] = field(default_factory=dict)
    only_port: dict[str, str] = field(default_factory=dict)

    @classmethod
    def known(cls, hosts: pd.DataFrame, interfaces: pd.DataFrame, devices: pd.DataFrame) -> _Names:
        names = cls()
        for column in ("sys_name", "chassis_id", "device"):
            names.device.update(_unique(zip(devices[column], devices["device"], strict=True)))
        for column in ("hostname", "mac", "host"):
            names.device.update(_unique(zip(hosts[column], hosts["host"], strict=True)))
        for column in ("if_alias", "mac", "if_descr", "if_name"):
            keys = zip(interfaces["device"], interfaces[column], strict=True)
            names.port.update(_unique(zip(keys, interfaces["if_name"], strict=True)))
        for column in ("mac", "nic"):
            keys = zip(hosts["host"], hosts[column], strict=True)
            names.port.update(_unique(zip(keys, hosts["nic"], strict=True)))
        names.only_port.update(_unique(zip(hosts["host"], hosts["nic"], strict=True)))
        return names

    def end(self, port: object, *devices: object) -> End | None:
        """Return the end that is meant by a port id and the first of the device's names that is known."""
        device = next(
            (self.device[name] for name in devices if isinstance(name, str) and name in self.device), None
        )
        if device is None:
            return None
        if_name = self.port.get((device, str(port)), self.only_port.get(device))
        return End(device, if_name) if if_name is not None else None


def _unique(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return key → value, without null keys and without keys that mean several things."""
    meant: dict[Any, set[Any]] = defaultdict(set)
    for key, value in pairs:
        parts = key if isinstance(key, tuple) else (key,)
        if all(isinstance(part, str) and part for part in parts) and isinstance(value, str):
            meant[key].add(value)
    return {key: values.pop() for key, values in meant.items() if len(values) == 1}


def _cabled(cables: pd.DataFrame) -> list[tuple[Link, str]]:
    ends = cables[LINK].dropna().itertuples(index=False, name=None)
    return [(Link.between(End(a, p), End(b, q)), "cable") for a, p, b, q in ends if (a, p) != (b, q)]


def _heard_by_switches(neighbors: pd.DataFrame, names: _Names) -> list[tuple[Link, str]]:
    heard = []
    rows: Any = neighbors.dropna(subset=["device", "if_name"])
    for row in rows.itertuples(index=False):
        near = End(row.device, row.if_name)
        far = names.end(row.remote_port_id, row.remote_chassis_id, row.remote_sys_name)
        far = far or names.end(row.remote_port_descr, row.remote_chassis_id, row.remote_sys_name)
        if far is not None and far != near:
            heard.append((Link.between(near, far), f"lldp {near}"))
    return heard


def _heard_by_hosts(hosts: pd.DataFrame, names: _Names) -> list[tuple[Link, str]]:
    heard = []
    rows: Any = hosts.dropna(subset=["host", "nic", "lldp_port_id"])
    for row in rows.itertuples(index=False):
        near = End(row.host, row.nic)
        far = names.end(row.lldp_port_id, row.lldp_chassis_id, row.lldp_sys_name)
        if far is not None and far != near:
            heard.append((Link.between(near, far), f"lldp {near}"))
    return heard


def _strength(sources: set[str]) -> str:
    if "cable" in sources:
        return "cable"
    return "lldp both" if len(sources) > 1 else "lldp one"


def _settle(said: dict[Link, str]) -> tuple[dict[Link, str], pd.DataFrame]:
    """Return the links that stand, and what was said against them: an end has one cable.

    The stronger source stands; of equals both stand, since nothing tells which is wrong.
    """
    at_end: dict[End, list[Link]] = defaultdict(list)
    for link in said:
        at_end[link.a].append(link)
        at_end[link.b].append(link)
    dropped: set[Link] = set()
    told = []
    for end, links in sorted(at_end.items()):
        if len(links) > 1:
            best = min(STRENGTH.index(said[link]) for link in links)
            dropped |= {link for link in links if STRENGTH.index(said[link]) > best}
            text = "; ".join(f"{link} ({said[link]})" for link in sorted(links))
            told.append((end.device, end.if_name, f"{end} is said to have several cables: {text}"))
    kept = {link: source for link, source in said.items() if link not in dropped}
    return kept, pd.DataFrame(told, columns=["device", "if_name", "text"])


def _idle(interfaces: pd.DataFrame) -> set[End]:
    """Return the ends that carry nothing: shut, down or blocked."""
    shut = interfaces["admin_status"].notna() & (interfaces["admin_status"] != "up")
    down = interfaces["oper_status"].isin(["down", "not_present", "lower_layer_down", "dormant"])
    blocked = interfaces["stp_state"] == "blocking"
    rows: Any = interfaces[shut | down | blocked.fillna(False)].dropna(subset=["device", "if_name"])
    return {End(row.device, row.if_name) for row in rows.itertuples(index=False)}


def _directed(links: pd.DataFrame) -> pd.DataFrame:
    number = np.repeat(np.arange(len(links)), 2)
    forward = np.arange(len(number)) % 2 == 0
    twice = links.iloc[number].reset_index(drop=True)
    table = pd.DataFrame({"direction": np.where(forward, "a_to_b", "b_to_a")}).astype("str")
    for end, one, other in (("sender", "a", "b"), ("receiver", "b", "a")):
        for part in ("device", "if_name"):
            table[f"{end}_{part}"] = twice[f"{one}_{part}"].where(forward, twice[f"{other}_{part}"])
    table["link"] = number
    table["usable"] = twice["usable"].to_numpy(dtype=bool)
    return table
