"""A small Clos fabric with dice, the engine's own test bench: tables in the house's shape, and the truth.

Two spines, four leaves, eight hosts, services web → api → db. Counts are Poisson and binomial; it
shares nothing with the fabric that the demo runs on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from correlator import frames

START = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)
SPEED = 10_000_000_000
MINUTES = 12
ONSET = 6
RTO_MS = 220.0
OTHER_END = 0.1  # of what one end lost, the other sends again too: 5 to 30 % on Linux
MINUTE = timedelta(minutes=1)

End = tuple[str, str]
DirectedLink = tuple[End, End]


@dataclass(frozen=True)
class Story:
    """What is wrong. Directed links are (sender, receiver)."""

    seed: int = 1
    lossy: Mapping[DirectedLink, float] = field(default_factory=dict)  # corruption from the onset on
    dimmed_db: Mapping[DirectedLink, float] = field(default_factory=dict)
    full: Mapping[DirectedLink, float] = field(default_factory=dict)  # discards a packet from the onset on
    queue_ms: float = 0.0
    slow_service: str | None = None
    slow_factor: float = 3.0
    chronic: Mapping[DirectedLink, float] = field(default_factory=dict)  # corruption all week
    cut_through: frozenset[str] = frozenset()
    shut: frozenset[DirectedLink] = frozenset()
    quiet: frozenset[str] = frozenset()  # hosts without containers
    minutes: int = MINUTES
    onset: int = ONSET
    repaired: int | None = None
    unpolled: frozenset[str] = frozenset()
    no_light: bool = False
    connections: int = 12
    exchanges: float = 8.0  # a connection and minute
    swing: float = 0.03  # of an hour's mean times
    most_noise_db: float = 0.3


HOSTS = [f"host{i}" for i in range(8)]
LEAVES = [f"leaf{i}" for i in range(4)]
SPINES = ["spine0", "spine1"]


def wires() -> list[tuple[End, End]]:
    """Return the cables."""
    host = [((f"host{i}", "eth0"), (f"leaf{i // 2}", f"swp{i % 2}")) for i in range(8)]
    up = [((f"leaf{i}", f"swp{10 + j}"), (f"spine{j}", f"swp{i}")) for i in range(4) for j in range(2)]
    return host + up


def uplink(leaf: int, spine: int) -> DirectedLink:
    """Return the directed link from a leaf up to a spine."""
    return (f"leaf{leaf}", f"swp{10 + spine}"), (f"spine{spine}", f"swp{leaf}")


def downlink(spine: int, leaf: int) -> DirectedLink:
    """Return the directed link from a spine down to a leaf."""
    sender, receiver = uplink(leaf, spine)
    return receiver, sender


def to_host(host: int) -> DirectedLink:
    """Return the directed link from a leaf to its host."""
    return (f"leaf{host // 2}", f"swp{host % 2}"), (f"host{host}", "eth0")


def from_host(host: int) -> DirectedLink:
    """Return the directed link from a host to its leaf."""
    sender, receiver = to_host(host)
    return receiver, sender


def directed() -> list[DirectedLink]:
    """Return every directed link."""
    return [(a, b) for a, b in wires()] + [(b, a) for a, b in wires()]


class SmallClos:
    """A fabric that runs minute by minute and keeps what its devices and hosts would tell."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.dice = np.random.default_rng(story.seed)
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in frames.TABLES}
        self.counted: dict[End, dict[str, int]] = {
            end: dict.fromkeys(("in_ok", "out_ok", "in_err", "out_disc", "in_oct", "out_oct"), 1_000_000)
            for pair in wires()
            for end in pair
        }
        self.offset = {end: self.dice.uniform(-3, 3, 2) for end in self.counted}
        self.noise = {end: self.dice.uniform(0.02, story.most_noise_db) for end in self.counted}
        pairs = [
            (f"web{i}", i, f"api{j}", j) for i in range(8) for j in self.dice.choice(8, 3, replace=False)
        ]
        pairs += [
            (f"api{i}", i, f"db{j}", j) for i in range(8) for j in self.dice.choice(8, 2, replace=False)
        ]
        quiet = {int(host[4:]) for host in story.quiet}
        self.pairs = [pair for pair in pairs if not quiet & {pair[1], pair[3]}]
        self.service_ms = {"web": 3.0, "api": 8.0, "db": 4.0}
        self.inventory()
        self.history()
        for minute in range(story.minutes + 1):
            self.step(minute)
        self.whole = {name: frames.frame(name, rows) for name, rows in self.rows.items()}

    def tables(self, minute: int | None = None) -> tuple[dict[str, pd.DataFrame], datetime]:
        """Return the tables as they are after ``minute`` (default: the last), and the time then."""
        now = START + (self.story.minutes if minute is None else minute) * MINUTE
        return {
            name: table[table["at"] <= now].reset_index(drop=True) for name, table in self.whole.items()
        }, now

    # -- what is there ----------------------------------------------------------------------------

    def inventory(self) -> None:
        at = START - timedelta(hours=1)
        dead = {end for link in self.story.shut for end in link}
        for number, name in enumerate(LEAVES + SPINES):
            forwarding = "cut_through" if name in self.story.cut_through else "store_and_forward"
            self.rows["devices"].append(
                {"at": at, "device": name, "sys_name": f"{name}.lab",
                 "chassis_id": f"02:00:00:00:01:{number:02x}",
                 "forwarding": forwarding, "boot_id": "1"}
            )  # fmt: skip
        chassis = {row["device"]: row["chassis_id"] for row in self.rows["devices"]}
        for a, b in wires():
            for near, far in ((a, b), (b, a)):
                if near[0].startswith("host"):
                    number = int(near[0][4:])
                    self.rows["hosts"].append(
                        {"at": at, "host": near[0], "nic": "eth0", "mac": f"02:00:00:00:02:{number:02x}",
                         "hostname": near[0], "addresses": [f"10.0.{number}.1", "172.17.0.1"],
                         "lldp_chassis_id": chassis[far[0]], "lldp_port_id": far[1]}
                    )  # fmt: skip
                    continue
                up = "down" if near in dead else "up"
                self.rows["interfaces"].append(
                    {"at": at, "device": near[0], "if_index": hash_port(near[1]), "if_name": near[1],
                     "admin_status": up, "oper_status": up, "speed_bps": SPEED}
                )  # fmt: skip
                if far[0] in chassis and near not in dead:
                    self.rows["neighbors"].append(
                        {"at": at, "device": near[0], "if_name": near[1], "protocol": "lldp",
                         "remote_chassis_id": chassis[far[0]], "remote_port_id": far[1]}
                    )  # fmt: skip

    def history(self) -> None:
        for back in range(1, 73):
            hour = START - timedelta(hours=back)
            stamp = {"at": hour + timedelta(hours=1), "hour": hour}
            for sender, receiver in directed():
                if not receiver[0].startswith("host"):
                    lost = self.story.chronic.get((sender, receiver), 1e-7)
                    self.hourly("link_hours", receiver, stamp, "errors", 3e6, self.dice.poisson(3e6 * lost))
                    rx, _ = self.light_of((sender, receiver), None)
                    self.reading(receiver, stamp, "rx_power_dbm", rx + self.dice.normal(0, 0.05))
                if not sender[0].startswith("host"):
                    self.hourly("link_hours", sender, stamp, "discards", 3e6, 0)
                    _, tx = self.light_of((sender, receiver), None)
                    self.reading(sender, stamp, "tx_power_dbm", tx + self.dice.normal(0, 0.05))
            for source, i, destination, j in dict.fromkeys(self.pairs):
                key = {
                    "src_host": f"host{i}",
                    "dst_host": f"host{j}",
                    "src_service": source[:-1],
                    "dst_service": service_of(destination),
                }
                mean = self.service_ms[service_of(destination)]
                swing = max(self.dice.normal(1.0, self.story.swing), 0.1)
                values = {
                    "retransmissions": (40_000, self.dice.poisson(40_000 * 2e-5), np.nan),
                    "response_ms": (6000, 6000, 6000 * (mean + 0.4) * swing),
                    "service_ms": (6000, 6000, 6000 * mean * swing),
                    "exchanges": (3600.0, 6000, np.nan),
                    "connections": (3600.0, 720, np.nan),
                }
                for metric, (exposure, count, total) in values.items():
                    self.rows["pair_hours"].append(
                        key | stamp | {"metric": metric, "exposure": exposure, "count": count, "sum": total}
                    )

    def hourly(
        self, table: str, end: End, stamp: dict[str, Any], metric: str, exposure: float, count: float
    ) -> None:
        self.rows[table].append(
            stamp
            | {"device": end[0], "if_name": end[1], "metric": metric, "exposure": exposure, "count": count}
        )

    def reading(self, end: End, stamp: dict[str, Any], metric: str, mean: float) -> None:
        self.rows["optics_hours"].append(
            stamp | {"device": end[0], "if_name": end[1], "lane": 1, "metric": metric,
                     "exposure": 60, "count": 60, "sum": 60 * mean}
        )  # fmt: skip

    def light_of(self, link: DirectedLink, minute: int | None) -> tuple[float, float]:
        """Return (Rx at the receiver, Tx at the sender) of a directed link, without reading noise."""
        sender, receiver = link
        lost = self.story.dimmed_db.get(link, 0.0) if minute is not None and self.sick(minute) else 0.0
        return -4.0 + self.offset[receiver][0] - lost, -2.0 + self.offset[sender][1]

    def sick(self, minute: int) -> bool:
        story = self.story
        return minute > story.onset and (story.repaired is None or minute <= story.repaired)

    # -- a minute ---------------------------------------------------------------------------------

    def step(self, minute: int) -> None:
        at = START + minute * MINUTE
        if minute:
            self.traffic(minute, at)
        for end, counted in self.counted.items():
            if end[0].startswith("host") or end[0] in self.story.unpolled:
                continue
            self.rows["counters"].append(
                {"at": at, "device": end[0], "if_name": end[1], "if_index": hash_port(end[1]),
                 "uptime_cs": 10_000_000 + 6000 * minute, "discontinuity_cs": 0,
                 "octets_width_bits": 64, "errors_width_bits": 32,
                 "in_octets": counted["in_oct"], "out_octets": counted["out_oct"],
                 "in_packets": counted["in_ok"], "out_packets": counted["out_ok"],
                 "in_errors": counted["in_err"], "out_errors": 0, "in_discards": 0,
                 "out_discards": counted["out_disc"]}
            )  # fmt: skip
            if not self.story.no_light:
                self.light(end, minute, at)

    def light(self, end: End, minute: int, at: datetime) -> None:
        far = next(b if a == end else a for a, b in wires() if end in (a, b))
        rx, _ = self.light_of((far, end), minute)
        _, tx = self.light_of((end, far), minute)
        dark = any(end in link for link in self.story.shut)
        rx, tx = (round(value + self.dice.normal(0, self.noise[end]), 1) for value in (rx, tx))
        self.rows["optics"].append(
            {"at": at, "device": end[0], "if_name": end[1], "if_index": hash_port(end[1]), "lane": 1,
             "rx_power_dbm": None if dark else rx, "tx_power_dbm": tx, "no_light": dark}
        )  # fmt: skip

    def traffic(self, minute: int, at: datetime) -> None:
        carried = dict.fromkeys(directed(), 30_000)
        lost: dict[DirectedLink, int] = dict.fromkeys(directed(), 0)
        for link, rate in self.rates(minute).items():
            lost[link] += int(self.dice.binomial(carried[link], rate))
        for pair in self.pairs:
            self.talk(pair, minute, at, carried, lost)
        self.pass_on(lost)
        for (sender, receiver), packets in carried.items():
            if any((sender, receiver) in (link, link[::-1]) for link in self.story.shut):
                continue
            bad = lost[(sender, receiver)]
            full = (sender, receiver) in self.story.full and self.sick(minute)
            octets = int(SPEED / 8 * 60 * 0.985) if full else packets * 900
            self.counted[sender]["out_ok"] += packets - (bad if full else 0)
            self.counted[sender]["out_disc"] += bad if full else 0
            self.counted[sender]["out_oct"] += octets
            self.counted[receiver]["in_ok"] += packets - bad
            self.counted[receiver]["in_err"] += 0 if full else bad
            self.counted[receiver]["in_oct"] += octets

    def rates(self, minute: int) -> dict[DirectedLink, float]:
        rates = dict.fromkeys(directed(), 1e-7) | dict(self.story.chronic)
        return rates | dict(self.story.lossy) | dict(self.story.full) if self.sick(minute) else rates

    def pass_on(self, lost: dict[DirectedLink, int]) -> None:
        """Let cut-through switches hand bad frames on to their other ports."""
        for switch in self.story.cut_through:
            arrived = [(link, count) for link, count in lost.items() if link[1][0] == switch]
            for came, bad in [entry for entry in arrived if entry[0] not in self.story.full]:
                ways = [link for link in lost if link[0][0] == switch and link[1] != came[0]]
                shares = self.dice.multinomial(bad, [1 / len(ways)] * len(ways))
                for link, count in zip(ways, shares, strict=True):
                    lost[link] += int(count)

    def route(self, i: int, j: int) -> list[DirectedLink]:
        """Return the way of one connection, one direction, on a spine that the dice choose."""
        if i == j:
            return []
        if i // 2 == j // 2:
            return [from_host(i), to_host(j)]
        shut = {link for pair in self.story.shut for link in (pair, pair[::-1])}
        spines = [s for s in (0, 1) if uplink(i // 2, s) not in shut and uplink(j // 2, s) not in shut]
        spine = int(self.dice.choice(spines))
        return [from_host(i), uplink(i // 2, spine), downlink(spine, j // 2), to_host(j)]

    def talk(
        self,
        pair: tuple[str, int, str, int],
        minute: int,
        at: datetime,
        carried: dict[DirectedLink, int],
        lost: dict[DirectedLink, int],
    ) -> None:
        _, i, destination, j = pair
        rates = self.rates(minute)
        slow = self.story.slow_service == service_of(destination) and self.sick(minute)
        service = self.service_ms[service_of(destination)] * (self.story.slow_factor if slow else 1.0)
        total = {"sent": 0, "answered": 0, "again": [0, 0], "response": 0.0, "service": 0.0, "exchanges": 0}
        for _ in range(self.story.connections):
            ways = self.route(i, j), self.route(j, i)
            exchanges = int(self.dice.poisson(self.story.exchanges))
            for way, links in enumerate(ways):
                segments = exchanges * (2 if way == 0 else 4)
                total["sent" if way == 0 else "answered"] += segments
                for link in links:
                    carried[link] += segments
                    gone = int(self.dice.binomial(segments, rates[link]))
                    lost[link] += gone
                    total["again"][way] += gone
                    total["again"][1 - way] += int(self.dice.binomial(gone, OTHER_END))
                    total["response"] += gone * RTO_MS
            crossed = [link for links in ways for link in links]
            queue = sum(
                self.story.queue_ms for link in crossed if link in self.story.full and self.sick(minute)
            )
            took = service * float(self.dice.gamma(max(exchanges, 1) * 4, 0.25)) if exchanges else 0.0
            total["service"] += took
            total["response"] += took + exchanges * (0.4 + queue)
            total["exchanges"] += exchanges
        spurious = int(self.dice.poisson(2e-5 * (total["sent"] + total["answered"])))
        total["again"][0] += spurious
        self.told(pair, minute, at, total)

    def told(self, pair: tuple[str, int, str, int], minute: int, at: datetime, total: dict[str, Any]) -> None:
        source, i, destination, j = pair
        ends = []
        for name, host in ((source, i), (destination, j)):
            identity = f"{name}-{minute}-{host}"
            address = f"10.0.{host}.{20 + {'web': 0, 'api': 1, 'db': 2}[service_of(name)]}"
            ends.append((identity, address, f"host{host}"))
            self.born(identity, name, host, address, at)
        shared = {"at": at, "interval_s": 60.0, "complete": True, "server_port": 8000, "connections_open": 0,
                  "connections_new": self.story.connections, "min_rtt_us": 90.0,
                  "srtt_us": 5000.0}  # fmt: skip
        (a, address_a, host_a), (b, address_b, host_b) = ends
        self.rows["pair_samples"].append(
            shared | {"host": host_a, "netns": a, "container_id": a, "role": "client",
                      "local_wire_address": address_a, "peer_wire_address": address_b,
                      "data_segments_sent": total["sent"], "retransmitted_segments": total["again"][0],
                      "exchanges": total["exchanges"], "response_ms_sum": total["response"],
                      "response_ms_count": total["exchanges"]}
        )  # fmt: skip
        self.rows["pair_samples"].append(
            shared | {"host": host_b, "netns": b, "container_id": b, "role": "server",
                      "local_wire_address": address_b, "peer_wire_address": address_a,
                      "data_segments_sent": total["answered"], "retransmitted_segments": total["again"][1],
                      "service_ms_sum": total["service"], "service_ms_count": total["exchanges"]}
        )  # fmt: skip

    def born(self, identity: str, name: str, host: int, address: str, at: datetime) -> None:
        row = {"at": at - MINUTE, "host": f"host{host}", "container_id": identity, "name": identity,
               "service": service_of(name), "address": address, "started_at": at - MINUTE}  # fmt: skip
        self.rows["containers"].append(row)
        self.rows["containers"].append(row | {"at": at, "ended_at": at})


def service_of(name: str) -> str:
    return name.rstrip("0123456789")


def hash_port(name: str) -> int:
    return int(name.removeprefix("swp"))


def without_fault(story: Story) -> Story:
    """Return the story with its fault taken out, decoys left in."""
    return replace(story, lossy={}, dimmed_db={}, full={}, slow_service=None)
