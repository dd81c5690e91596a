"""The map of links, and by what each is known.

Sources, strongest first: LLDP or CDP heard at both ends, a configured cable, heard at one end, forwarding
tables, ARP. What contradicts is told, never settled silently. The map is that of the time of the
tables: yesterday's tables give yesterday's map. Page: docs/algorithms/topology.md.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from correlator.engine.attachment import Attached, Ports, Sight, attach
from correlator.engine.hearsay import Box, listen
from correlator.engine.identities import Identities, Place, rows
from correlator.engine.settling import Known, Pair, Settled, hubs, one_sided, pair, settle

LINK = ["a_device", "a_if_name", "b_device", "b_if_name"]
CONFIDENCE = {
    "cable": 0.95,  # people forget to write down what they moved
    "lldp both": 0.99,
    "cdp both": 0.98,
    "lldp one": 0.9,
    "cdp one": 0.85,
    "stations": 0.8,
    "arp": 0.7,
    "hub": 0.6,
}
"""How sure a link is by its source; judgement, no measurement."""

CABLE_CONFIRMED, DOUBT, STALE = 0.995, 0.5, 0.8
"""A cable that LLDP hears; the factor for a contradicted link, and for one that was last seen long ago."""

BATCH = pd.Timedelta(seconds=30)  # rows of one poll are no further apart
LONG_AGO = pd.Timedelta(hours=1)
NEIGHBOR_TABLES = {"lldp_remotes", "lldp_v2_remotes", "lldp_ports", "cdp"}
DOWN = {"down", "not_present", "lower_layer_down", "dormant"}


@dataclass(frozen=True)
class Map:
    """The links of the fabric.

    ``links``: a_device, a_if_name, b_device, b_if_name, source (cable, lldp both, lldp one, cdp both,
    cdp one, stations, arp, hub), usable (False where an end is shut, down or blocked by spanning
    tree), idle (why it is not usable, else null), confidence (0 to 1), seen_at (when last told),
    a_aggregate and b_aggregate (the LAG or bond that the end is a member of, else null).
    ``directed``: two rows a link, in the order a_to_b, b_to_a, numbered from 0, so that the other
    direction of number n is n ^ 1; columns sender_device, sender_if_name, receiver_device,
    receiver_if_name, direction, link (row of ``links``), usable, bundle (links out of one device with
    the same number are one aggregate; -1: alone).
    ``contradictions``: device, if_name, text. ``boxes``: devices that are not asked: device, kind
    (unpolled, telephone, unknown, unmanaged), passes (whether traffic of others may go through it).
    """

    links: pd.DataFrame
    directed: pd.DataFrame
    contradictions: pd.DataFrame
    boxes: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["device", "kind", "passes"]).astype({"passes": bool})
    )

    @property
    def closed(self) -> list[str]:
        """The boxes that pass nothing on."""
        return list(self.boxes.loc[~self.boxes["passes"].astype(bool), "device"])


def build_map(
    neighbors: pd.DataFrame,
    hosts: pd.DataFrame,
    cables: pd.DataFrame,
    interfaces: pd.DataFrame,
    devices: pd.DataFrame,
    stations: pd.DataFrame | None = None,
    arp: pd.DataFrame | None = None,
) -> Map:
    """Return the map that these current tables tell (each with its newest rows)."""
    interfaces = current(interfaces, devices, {"interfaces"})
    neighbors = current(neighbors, devices, NEIGHBOR_TABLES)
    stations = (
        devices.iloc[:0].reindex(columns=["device", "if_name", "mac", "at"]) if stations is None else stations
    )
    arp = devices.iloc[:0].reindex(columns=["device", "ip", "mac", "if_name", "at"]) if arp is None else arp
    names = Identities.known(devices, interfaces, hosts, arp)
    ports = _ports(interfaces, hosts)
    told = listen(neighbors, hosts, names)
    shared = set(ports.members) | {claim.far for claim in told.claims if claim.far[0] in told.boxes}
    settled = settle(_cables(cables), told.claims, shared)
    odd = [*told.odd, *settled.odd, *_unknown_ends(cables, names), *_one_sided(settled, neighbors, devices)]
    sources = _Sources(settled.links, {ends: known.source for ends, known in settled.links.items()})
    boxes = dict(told.boxes)
    _join(boxes, cables)
    _bridge(sources, hubs(settled, shared), boxes)
    _mark_taken(ports, sources, names, boxes)
    found = attach(stations, arp, hosts, ports, sources.ends())
    _hang(sources, found, boxes)
    links = _links(sources, settled, ports, _idle(interfaces, ports), devices)
    return Map(links, _directed(links), _told([*odd, *found.odd]), _boxes(boxes))


def current(table: pd.DataFrame, devices: pd.DataFrame, read_from: set[str]) -> pd.DataFrame:
    """Return the rows that still held when their device was asked last.

    A row that a later poll did not bring again is gone; where that poll could not read the MIB tables
    ``read_from``, or was none of ours (``unread`` null), the last rows that came hold on.
    """
    if table.empty:
        return table
    at = table["at"]
    last = at.groupby(table["device"]).transform("max")
    if "unread" in devices:
        asked = devices.dropna(subset=["unread"]).drop_duplicates("device", keep="last")
        missed = asked["unread"].map(lambda text: bool(read_from & set(text.split(",")))).astype(bool)
        whole = asked[~missed].set_index("device")["at"]
        if len(whole):
            polled = table["device"].map(whole)
            last = last.where(polled.isna() | (polled < last), polled)
    return table[at >= last - BATCH]


@dataclass
class _Sources:
    """Links in the making: what is known of each, and by what."""

    known: dict[Pair, Known]
    source: dict[Pair, str]

    def ends(self) -> dict[Place, set[Place]]:
        """Return the other ends of each end."""
        answer: dict[Place, set[Place]] = defaultdict(set)
        for one, other in self.source:
            answer[one].add(other)
            answer[other].add(one)
        return answer

    def add(self, one: Place, other: Place, source: str, at: pd.Timestamp | None) -> None:
        ends = pair(one, other)
        self.known.setdefault(ends, Known(at=at))
        self.source[ends] = source

    def drop(self, one: Place, other: Place) -> Known | None:
        self.source.pop(pair(one, other), None)
        return self.known.pop(pair(one, other), None)


def _cables(cables: pd.DataFrame) -> Iterable[tuple[Place, Place, pd.Timestamp]]:
    for a, p, b, q, at in rows(cables, *LINK, "at"):
        if all(isinstance(part, str) for part in (p, b, q)):
            yield (a, p), (b, q), at


def _join(boxes: dict[str, Box], cables: pd.DataFrame) -> None:
    """Let configured cables be heard too: a box that they join to several switches passes traffic on."""
    for one, other, _ in _cables(cables):
        for end, far in ((one, other), (other, one)):
            if end[0] in boxes:
                boxes[end[0]].heard_by.add(far)


def _unknown_ends(cables: pd.DataFrame, names: Identities) -> Iterable[tuple[str, str, str]]:
    """Yield the configured ends that a known switch says it does not have."""
    have = {device for device, _ in names.ports}
    for one, other, _ in _cables(cables):
        for end in (one, other):
            if end[0] in have and end not in names.ports:
                yield (*end, f"a cable is configured at {' '.join(end)}, and {end[0]} has no such interface")


def _one_sided(
    settled: Settled, neighbors: pd.DataFrame, devices: pd.DataFrame
) -> Iterable[tuple[str, str, str]]:
    """Yield who ought to hear and does not; of devices that were asked later than they were claimed."""
    switches = set(devices["device"].dropna())
    hearing = dict.fromkeys(switches, 0) | Counter(
        device for device, _ in rows(neighbors, "device", "if_name") if device in switches
    )
    newest = devices.groupby("device")["at"].max()
    silent = set(newest.index[newest < newest.max() - LONG_AGO]) if len(newest) else set()
    return one_sided(settled, hearing, silent)


def _ports(interfaces: pd.DataFrame, hosts: pd.DataFrame) -> Ports:
    ports = Ports()
    for device, name, kind, aggregate in rows(
        interfaces, "device", "if_name", "if_type", "aggregate_if_name"
    ):
        if isinstance(name, str):
            ports.types[device, name] = None if pd.isna(kind) else int(kind)
            if isinstance(aggregate, str):
                ports.aggregate[device, name] = (device, aggregate)
                ports.members.setdefault((device, aggregate), []).append((device, name))
    for host, nic, bond in rows(hosts, "host", "nic", "bond"):
        if isinstance(nic, str) and isinstance(bond, str):
            ports.aggregate[host, nic] = (host, bond)
            ports.members.setdefault((host, bond), []).append((host, nic))
    return ports


def _bridge(sources: _Sources, groups: dict[Place, set[Place]], boxes: dict[str, Box]) -> None:
    """Put a device between ends that all hear each other: an unmanaged switch or a hub."""
    for first, together in sorted(groups.items()):
        name = _unmanaged(first, boxes)
        for one in together:
            for other in together:
                if one < other:
                    known = sources.drop(one, other)
                    at = known.at if known is not None else None
                    for end in (one, other) if known is not None else ():
                        sources.add(end, (name, f"to {' '.join(end)}"), "hub", at)


def _unmanaged(port: Place, boxes: dict[str, Box]) -> str:
    name = f"unmanaged switch at {' '.join(port)}"
    boxes[name] = Box(name)
    return name


def _mark_taken(ports: Ports, sources: _Sources, names: Identities, boxes: dict[str, Box]) -> None:
    """Note the ports with a switch behind them: no host hangs there."""
    switching = names.switches | {name for name, box in boxes.items() if box.passes}
    for one, other in sources.source:
        for end, far in ((one, other), (other, one)):
            if far[0] in switching and far[0] not in names.hosts:
                ports.taken.add(end)
    ports.taken |= {ports.aggregate[end] for end in ports.taken if end in ports.aggregate}


def _hang(sources: _Sources, found: Attached, boxes: dict[str, Box]) -> None:
    """Add the links of attached hosts; where several share a port, over an unmanaged switch."""
    for sight in found.links:
        sources.add(sight.port, sight.nic, sight.source, sight.at)
    for port, sights in sorted(found.crowds.items()):
        beside = sources.ends().get(port, set())
        box = next((far[0] for far in beside if far[0] in boxes), None)
        if box is None:
            box = _unmanaged(port, boxes)
            for far in sorted(beside):
                known = sources.drop(port, far)
                sources.add(far, (box, f"to {' '.join(far)}"), "hub", known.at if known else None)
            sources.add(port, (box, f"to {' '.join(port)}"), "hub", max(one.at for one in sights))
        boxes[box].seen_to = True
        for sight in sights:
            _behind(sources, sight, box)


def _behind(sources: _Sources, sight: Sight, box: str) -> None:
    sources.add(sight.nic, (box, f"to {' '.join(sight.nic)}"), sight.source, sight.at)


def _idle(interfaces: pd.DataFrame, ports: Ports) -> dict[Place, str]:
    """Return the ends that carry nothing, and why: shut, down or blocked, themselves or their aggregate.

    Some agents go on listing an interface that is gone beside its successor of the same name: one
    that carries is enough.
    """
    why: dict[Place, str] = {}
    carrying: set[Place] = set()
    columns = ("device", "if_name", "admin_status", "oper_status", "stp_state")
    for device, name, admin, oper, stp in rows(interfaces, *columns):
        if not isinstance(name, str):
            continue
        if isinstance(admin, str) and admin != "up":
            why[device, name] = "shut"
        elif oper in DOWN:
            why[device, name] = "down"
        elif stp == "blocking":
            why[device, name] = "blocked"
        else:
            carrying.add((device, name))
    for end in carrying & set(why):
        del why[end]
    for aggregate, members in ports.members.items():
        if aggregate in why:
            for member in members:
                why.setdefault(member, why[aggregate])
    return why


def _links(
    sources: _Sources, settled: Settled, ports: Ports, idle: dict[Place, str], devices: pd.DataFrame
) -> pd.DataFrame:
    ordered = sorted(sources.source)
    known = [sources.known[ends] for ends in ordered]
    source = [sources.source[ends] for ends in ordered]
    why = [idle.get(one) or idle.get(other) for one, other in ordered]
    long_ago = devices["at"].max() - LONG_AGO if len(devices) else None
    table = pd.DataFrame(
        {
            **{column: [ends[i // 2][i % 2] for ends in ordered] for i, column in enumerate(LINK)},
            "source": source,
            "usable": np.array([reason is None for reason in why], dtype=bool),
            "idle": why,
            "confidence": [
                _confidence(one, by, ends in settled.doubted, long_ago)
                for ends, one, by in zip(ordered, known, source, strict=True)
            ],
            "seen_at": pd.Series([one.at for one in known], dtype="datetime64[us, UTC]"),
            **{
                f"{side}_aggregate": [ports.aggregate.get(ends[i], (None, None))[1] for ends in ordered]
                for i, side in enumerate("ab")
            },
        }
    )
    texts = [*LINK, "source", "idle", "a_aggregate", "b_aggregate"]
    return table.astype(dict.fromkeys(texts, pd.StringDtype(na_value=np.nan)) | {"confidence": "float64"})


def _confidence(known: Known, source: str, doubted: bool, long_ago: pd.Timestamp | None) -> float:
    answer = CABLE_CONFIRMED if known.cable and known.heard else CONFIDENCE[source]
    if doubted:
        answer *= DOUBT
    if not known.cable and long_ago is not None and known.at is not None and known.at < long_ago:
        answer *= STALE
    return round(answer, 3)


def _directed(links: pd.DataFrame) -> pd.DataFrame:
    number = np.repeat(np.arange(len(links)), 2)
    forward = np.arange(len(number)) % 2 == 0
    table = pd.DataFrame({"direction": np.where(forward, "a_to_b", "b_to_a")}).astype("str")
    for end, one, other in (("sender", "a", "b"), ("receiver", "b", "a")):
        for part in ("device", "if_name"):
            first, second = (links[f"{side}_{part}"].to_numpy()[number] for side in (one, other))
            table[f"{end}_{part}"] = pd.Series(np.where(forward, first, second), dtype="str")
    table["link"] = number
    table["usable"] = links["usable"].to_numpy(dtype=bool)[number]
    table["bundle"] = _bundles(links, number, forward)
    return table


def _bundles(links: pd.DataFrame, number: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """Return which directed links leave a device as one aggregate: by its own word, else the far end's."""
    code: dict[tuple[str, ...], int] = {}
    bundle = np.full(len(number), -1, dtype=np.int64)
    columns = ["a_device", "a_aggregate", "b_device", "b_aggregate"]
    some = links[links["a_aggregate"].notna() | links["b_aggregate"].notna()]
    for row, a, own, b, far in zip(some.index, *(some[column] for column in columns), strict=True):
        for place, sender, mine, receiver, theirs in (
            (2 * row, a, own, b, far),
            (2 * row + 1, b, far, a, own),
        ):
            key = (sender, mine) if isinstance(mine, str) else (sender, receiver, theirs)
            bundle[place] = code.setdefault(key, len(code))
    return bundle


def _told(odd: list[tuple[str, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(list(dict.fromkeys(odd)), columns=["device", "if_name", "text"])


def _boxes(boxes: dict[str, Box]) -> pd.DataFrame:
    table = pd.DataFrame(
        [
            (name, "unmanaged", True)
            if name.startswith("unmanaged switch at ")
            else (name, box.kind, box.passes)
            for name, box in sorted(boxes.items())
        ],
        columns=["device", "kind", "passes"],
    )
    return table.astype({"device": "str", "kind": "str", "passes": bool})
