"""A three-tier Clos fabric of any size, as the tables that its switches and hosts would have given.

Leaves with 32 hosts and 16 uplinks, pods of up to 16 leaves, 16 planes of cores: 64 links a leaf.
Everything is drawn at once from one seed. One link loses packets from the second minute on, in one
direction: its receiver counts them, its light is dimmed, and the pairs that cross it resend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from correlator import frames
from correlator.engine.pairs import COLUMNS

Ints = npt.NDArray[np.int64]

START = datetime(2026, 11, 3, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOSTS, UPLINKS, LEAVES_A_POD = 32, 16, 16
SPEED = 100_000_000_000
PACKETS = 40_000_000  # a minute and link
SEGMENTS = 2_000.0  # a minute, pair and end
LOSS = 0.005
USUAL_LOSS = 2e-5
TEXT = pd.StringDtype(na_value=float("nan"))


def texts(values: Sequence[Any] | npt.NDArray[Any]) -> Any:
    """Return strings as the tables have them."""
    return pd.array(values, dtype=TEXT)


@dataclass(frozen=True)
class Fabric:
    """About ``directed`` links, and the ``pairs`` of containers that speak across them in a minute."""

    directed: int
    pairs: int
    seed: int = 1
    minutes: int = 5
    replicas: int = 2  # containers of one service on one host: pairs come in groups of its square
    services: int = 200
    hours: int = 6  # of history

    @property
    def leaves(self) -> int:
        """How many leaves it takes."""
        return max(1, round(self.directed / 2 / (HOSTS + 2 * UPLINKS)))

    @property
    def hosts(self) -> int:
        """How many hosts hang on them."""
        return self.leaves * HOSTS

    @cached_property
    def now(self) -> datetime:
        """When the last minute is over."""
        return START + self.minutes * MINUTE

    @cached_property
    def wires(self) -> pd.DataFrame:
        """The cables: a_device, a_if_name, a_number (of the port, from 1), likewise b."""
        leaf = np.arange(self.leaves)
        host, below = np.repeat(leaf, HOSTS), np.tile(np.arange(HOSTS), self.leaves)
        up, plane = np.repeat(leaf, UPLINKS), np.tile(np.arange(UPLINKS), self.leaves)
        pods = -(-self.leaves // LEAVES_A_POD)
        pod, of_pod = np.repeat(np.arange(pods), UPLINKS * UPLINKS), np.arange(UPLINKS * UPLINKS)
        above, below_pod = up // LEAVES_A_POD, up % LEAVES_A_POD
        agg, core = np.tile(of_pod // UPLINKS, pods), np.tile(of_pod % UPLINKS, pods)
        parts = [
            (_names("leaf{}", host), below, _names("host{}", host * HOSTS + below), 0 * below),
            (_names("leaf{}", up), HOSTS + plane, _names("agg{}-{}", above, plane), below_pod),
            (_names("agg{}-{}", pod, agg), LEAVES_A_POD + core, _names("core{}-{}", agg, core), pod),
        ]  # fmt: skip
        a, p, b, q = (np.concatenate(column) for column in zip(*parts, strict=True))
        table = pd.DataFrame({"a_device": a, "a_number": p + 1, "b_device": b, "b_number": q + 1})
        for end in ("a", "b"):
            table[f"{end}_if_name"] = _names("swp{}", table[f"{end}_number"].to_numpy())
        table.loc[table["b_device"].str.startswith("host"), "b_if_name"] = "eth0"
        return table

    @cached_property
    def sick(self) -> tuple[str, str, str, str]:
        """The link that loses packets: device and interface of its sender and its receiver."""
        row = self.wires.loc[self.leaves * HOSTS + 3]  # the first leaf's uplink to the fourth plane
        return (row["a_device"], row["a_if_name"], row["b_device"], row["b_if_name"])

    @cached_property
    def ports(self) -> pd.DataFrame:
        """Every port of a switch: device, if_name, if_index, and what is at the other end."""
        wires = self.wires
        ends = []
        for near, far in (("a", "b"), ("b", "a")):
            ends.append(
                pd.DataFrame(
                    {
                        "device": wires[f"{near}_device"], "if_name": wires[f"{near}_if_name"],
                        "if_index": wires[f"{near}_number"], "peer": wires[f"{far}_device"],
                        "peer_if_name": wires[f"{far}_if_name"],
                    }
                )
            )  # fmt: skip
        both = pd.concat(ends, ignore_index=True)
        return both[~both["device"].str.startswith("host")].reset_index(drop=True)

    def inventory(self) -> dict[str, pd.DataFrame]:
        """Return devices, interfaces, neighbors, hosts and containers."""
        at = START - timedelta(hours=1)
        ports = self.ports
        devices = pd.DataFrame({"device": ports["device"].unique()})
        devices = devices.assign(at=at, sys_name=devices["device"], forwarding="store_and_forward")
        known = ports[["device", "if_name", "if_index"]].assign(at=at)
        state = known.assign(admin_status="up", oper_status="up", speed_bps=SPEED, if_type=6)
        heard = known.assign(
            protocol="lldp", remote_sys_name=ports["peer"], remote_port_id=ports["peer_if_name"]
        )
        names = self.host_names.to_numpy(dtype=object)
        hosts = pd.DataFrame({"at": at, "host": names, "nic": "eth0", "hostname": names})
        hosts["addresses"] = [[f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"] for n in range(self.hosts)]
        tables = {"devices": devices, "interfaces": state, "neighbors": heard, "hosts": hosts}
        return {name: frames.validate(name, table) for name, table in tables.items()} | {
            "containers": self.containers()
        }

    def containers(self) -> pd.DataFrame:
        """Return the containers that speak: ``replicas`` of each service of a host."""
        groups = self.groups
        ends = [groups[["src_host", "src_service"]], groups[["dst_host", "dst_service"]]]
        both = pd.concat([end.set_axis(["host", "service"], axis=1) for end in ends]).drop_duplicates()
        number = np.repeat(np.arange(len(both)), self.replicas)
        table = both.iloc[number].assign(replica=np.tile(np.arange(self.replicas), len(both)))
        names = _names("s{}-{}-{}", table["service"], table["host"], table["replica"])
        table = table.assign(at=START - timedelta(hours=1), started_at=START - timedelta(days=1))
        table = table.assign(container_id=names, name=names, host=self._host(table["host"].to_numpy()))
        table["service"] = _names("s{}", table["service"])
        return frames.validate("containers", table.drop(columns="replica").reset_index(drop=True))

    @cached_property
    def host_names(self) -> pd.Series[str]:
        """The hosts' names by number."""
        return pd.Series(texts(_names("host{}", np.arange(self.hosts))))

    def _host(self, number: Ints) -> Any:
        return self.host_names.array.take(number)

    # -- who speaks to whom ------------------------------------------------------------------------

    @cached_property
    def groups(self) -> pd.DataFrame:
        """Pairs of services between two hosts, by number: src_host, dst_host, src_service, dst_service."""
        dice = np.random.default_rng(self.seed)
        size = max(1, self.pairs // self.replicas**2)
        source = dice.integers(0, self.hosts, size)
        target = (source + dice.integers(1, self.hosts, size)) % self.hosts
        table = pd.DataFrame({"src_host": source, "dst_host": target})
        # a host runs five services: what it asks and what it serves follow from its number
        table["src_service"] = (source * 5 + dice.integers(0, 5, size)) % self.services
        table["dst_service"] = (target * 5 + dice.integers(0, 5, size)) % self.services
        return table.drop_duplicates(ignore_index=True)

    @cached_property
    def crossing(self) -> npt.NDArray[np.float64]:
        """Share of each group's request traffic that crosses the sick uplink."""
        leaf = self.groups["src_host"].to_numpy() // HOSTS
        inside = self.groups["dst_host"].to_numpy() // HOSTS == leaf
        return np.where((leaf == 0) & ~inside, 1.0 / UPLINKS, 0.0)

    def samples(self, minute: int, part: slice = slice(None)) -> pd.DataFrame:
        """Return both ends' rows of some groups' pairs in a minute: the columns that a cycle looks at."""
        groups = self.groups.iloc[part]
        dice = np.random.default_rng([self.seed, minute, part.start or 0])
        number = np.repeat(np.arange(len(groups)), self.replicas**2)
        rows = groups.iloc[number].reset_index(drop=True)
        which = np.tile(np.arange(self.replicas**2), len(groups))
        ids = [
            texts(_names("s{}-{}-{}", rows[f"{end}_service"], rows[f"{end}_host"], replica))
            for end, replica in (("src", which // self.replicas), ("dst", which % self.replicas))
        ]
        sick = self.crossing[part][number] * (LOSS if minute >= 1 else 0.0)
        sent = dice.poisson(SEGMENTS, (2, len(rows)))
        resent = [dice.binomial(sent[0], USUAL_LOSS + sick), dice.binomial(sent[1], USUAL_LOSS + 0.25 * sick)]
        ends = [self._end(role, rows, ids, sent[role], resent[role], dice) for role in (0, 1)]
        table = pd.concat(ends, ignore_index=True)
        ports = np.empty(len(table), dtype=object)
        ports[:] = [[40001]] * len(table)
        at = pd.Timestamp(START + (minute + 1) * MINUTE).as_unit("us")
        return table.assign(at=at, source_ports=ports)[COLUMNS]

    def _end(
        self, server: int, rows: pd.DataFrame, ids: list[Any], sent: Any, resent: Any, dice: Any
    ) -> pd.DataFrame:
        own, peer = ("dst", "src") if server else ("src", "dst")
        hosts = {end: self._host(rows[f"{end}_host"].to_numpy()) for end in ("src", "dst")}
        size = len(rows)
        count = pd.array(np.full(size, 0 if server else 500), dtype="UInt64")
        asked = pd.array(np.full(size, 500 if server else 0), dtype="UInt64")
        whole = pd.array(np.full(size, 10), dtype="Int64")
        return pd.DataFrame(
            {
                "host": hosts[own], "container_id": ids[server],
                "role": texts(np.array(["server" if server else "client"])).take(np.zeros(size, dtype=int)),
                "local_wire_address": hosts[own], "peer_wire_address": hosts[peer],
                "server_port": pd.array(np.full(size, 80), dtype="Int64"), "interval_s": 60.0,
                "peer_host": hosts[peer], "peer_container_id": ids[1 - server],
                "connections_open": whole, "connections_new": whole,
                "data_segments_sent": pd.array(sent.astype(np.uint64), dtype="UInt64"),
                "retransmitted_segments": pd.array(resent.astype(np.uint64), dtype="UInt64"),
                "dsack": pd.array(np.zeros(size, dtype=np.uint64), dtype="UInt64"),
                "rto_count": pd.array(np.zeros(size, dtype=np.uint64), dtype="UInt64"),
                "min_rtt_us": dice.normal(60.0, 5.0, size), "exchanges": count,
                "response_ms_sum": np.nan if server else 500 * dice.normal(10.0, 0.2, size),
                "response_ms_count": count,
                "service_ms_sum": 500 * dice.normal(8.0, 0.2, size) if server else np.nan,
                "service_ms_count": asked, "max_stall_ms": 0.0,
            }
        )  # fmt: skip

    # -- what switches count -----------------------------------------------------------------------

    def counters(self) -> pd.DataFrame:
        """Return a reading a minute of every port."""
        ports, dice = self.ports, np.random.default_rng([self.seed, 7])
        receives = (ports["device"] == self.sick[2]) & (ports["if_name"] == self.sick[3])
        rows = []
        packets = np.full(len(ports), 10**12, dtype=np.uint64)
        errors = np.zeros(len(ports), dtype=np.uint64)
        for minute in range(self.minutes + 1):
            table = ports[["device", "if_index", "if_name"]].assign(
                at=pd.Timestamp(START + minute * MINUTE), uptime_cs=8_640_000 + 6_000 * minute,
                discontinuity_cs=0, octets_width_bits=64, errors_width_bits=64,
                in_octets=packets * np.uint64(500), out_octets=packets * np.uint64(500),
                in_packets=packets, out_packets=packets, in_errors=errors, out_errors=0 * errors,
                in_discards=0 * errors, out_discards=0 * errors, fcs_errors=errors,
            )  # fmt: skip
            rows.append(frames.validate("counters", table))
            moved = dice.poisson(PACKETS, len(ports))
            packets = packets + moved.astype(np.uint64)
            rate = np.where(receives, LOSS if minute >= 1 else 0.0, 1e-9)
            errors = errors + dice.poisson(rate * moved).astype(np.uint64)
        return pd.concat(rows, ignore_index=True)

    def optics(self) -> pd.DataFrame:
        """Return two readings of light at every port, and the sick one's loss in the newer."""
        ports, dice = self.ports, np.random.default_rng([self.seed, 8])
        receives = ((ports["device"] == self.sick[2]) & (ports["if_name"] == self.sick[3])).to_numpy()
        rows = []
        for minute in (0, self.minutes):
            power = dice.normal(-2.5, 0.1, len(ports)) - np.where(receives & (minute > 0), 2.0, 0.0)
            table = ports[["device", "if_index", "if_name"]].assign(
                at=pd.Timestamp(START + minute * MINUTE), lane=1, rx_power_dbm=power, tx_power_dbm=-1.0,
                no_light=False,
            )  # fmt: skip
            rows.append(frames.validate("optics", table))
        return pd.concat(rows, ignore_index=True)

    # -- what was before ---------------------------------------------------------------------------

    def hours_past(self) -> dict[str, pd.DataFrame]:
        """Return the hourly tables of the last ``hours``."""
        ports, groups = self.ports[["device", "if_name"]], self.group_names()
        lanes = ports.assign(lane=pd.array(np.ones(len(ports), dtype=np.int64), dtype="Int64"))
        packets = 60.0 * PACKETS
        links = {"errors": (packets, 3.0, np.nan), "discards": (packets, 0.0, np.nan)}
        light = {"rx_power_dbm": (12.0, 12.0, -30.0), "tx_power_dbm": (12.0, 12.0, -12.0)}
        segments, asked = 120.0 * SEGMENTS * self.replicas**2, 30_000.0 * self.replicas**2
        speech = {
            "retransmissions": (segments, USUAL_LOSS * segments, np.nan),
            "response_ms": (asked, asked, 10.0 * asked), "service_ms": (asked, asked, 8.0 * asked),
            "min_rtt_us": (480.0, 480.0, 60.0 * 480.0),
            "exchanges": (14_400.0, asked, np.nan), "connections": (14_400.0, 2_400.0, np.nan),
        }  # fmt: skip
        return {
            "link_hours": self._hourly("link_hours", ports, links),
            "optics_hours": self._hourly("optics_hours", lanes, light),
            "pair_hours": self._hourly("pair_hours", groups, speech),
        }

    def group_names(self) -> pd.DataFrame:
        """Return the groups with names for numbers."""
        services = texts(_names("s{}", np.arange(self.services)))
        return pd.DataFrame(
            {
                column: self._host(values.to_numpy())
                if column.endswith("host")
                else services.take(values.to_numpy())
                for column, values in self.groups.items()
            }
        )

    def _hourly(
        self, name: str, keys: pd.DataFrame, figures: dict[str, tuple[float, float, float]]
    ) -> pd.DataFrame:
        parts = []
        for ago in range(self.hours, 0, -1):
            hour = pd.Timestamp(START - timedelta(hours=ago)).as_unit("us")
            for metric, (exposure, count, total) in figures.items():
                # no two hours are alike, whatever was drawn for them
                swing = 1.0 + 0.02 * np.sin(ago + np.arange(len(keys)) % 7)
                part = keys.assign(
                    at=hour + timedelta(hours=1), hour=hour,
                    metric=texts([metric]).take(np.zeros(len(keys), dtype=np.int32)),
                    exposure=exposure, count=count, sum=total * swing, histogram=None,
                )  # fmt: skip
                parts.append(part)
        return pd.concat(parts, ignore_index=True).reindex(columns=frames.TABLES[name].columns)


def _names(pattern: str, *numbers: Any) -> npt.NDArray[np.object_]:
    """Return names made of numbers."""
    return np.array([pattern.format(*row) for row in zip(*numbers, strict=True)], dtype=object)
