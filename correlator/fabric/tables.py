"""What pollers would have read of a world, as the tables of ``frames`` and with no wire in between.

For benchmarks: a minute of a small fabric costs milliseconds. The demo and the tests of pollers ask the
simulated switches and agents over SNMP and HTTP instead; both ways tell the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from correlator import frames
from correlator.fabric.dice import Floats, Ints
from correlator.fabric.interfaces import IN, OUT, Interfaces
from correlator.fabric.layout import NIC, Port, Switch
from correlator.fabric.physics import World
from correlator.fabric.records import Clock, Row, container_row, events, host_row, identities, pair_rows
from correlator.fabric.workload import Container

COUNTED = ("machine", "fabric", "peer", "spare")  # kinds of ports whose counters are read
ERRORS_BITS = 32  # of dot3StatsFCSErrors and ifOutDiscards
MASK = 2**ERRORS_BITS - 1
ALL_OCTETS = 64
TIMES = ("at", "started_at", "ended_at")


@dataclass
class Recorder:
    """Moves a world and keeps what its switches and agents say; ``tables`` returns it.

    ``interfaces`` are the counters of its ports. Agents' rows carry their hosts' clocks.
    """

    world: World
    interfaces: Interfaces = field(init=False)
    clock: Clock = field(init=False)
    rows: dict[str, list[Row]] = field(init=False)
    parts: dict[str, list[pd.DataFrame]] = field(init=False)
    living: list[Container] = field(init=False)

    def __post_init__(self) -> None:
        base = self.world.setting
        self.interfaces = Interfaces(base.layout, self.world.links.counts, base.dice)
        self.clock = Clock.draw(self.world.start, len(base.layout.hosts), base.dice, base.physics)
        self.rows = {name: [] for name in ("polls", "hosts", "containers", "pair_samples")}
        self.parts = {name: [] for name in ("counters", "optics")}
        self.living = list(base.workload.containers)
        names = identities(base.layout, base.dice)
        self.rows["hosts"] = [
            host_row(base.layout, n, name, self.clock.at(0, n)) for n, name in enumerate(names)
        ]
        self._tell_containers(-1.0, 0.0)

    @property
    def now(self) -> datetime:
        """The simulated present."""
        return self.world.start + timedelta(seconds=self.world.second)

    def step(self) -> None:
        """Move on by one of the agents' intervals, and let all agents write it down."""
        world, since = self.world, self.world.second
        world.tick(world.interval)
        self._tell_containers(since, world.second)
        self.rows["pair_samples"] += [
            row for _, row in pair_rows(world.traffic, world.second, world.interval, self.clock)
        ]
        world.begin_interval()
        self.living = [one for one in self.living if one.ended > world.second]
        self.living += [pair.client for pair in world.new_pairs]

    def poll(self, switch: Switch) -> None:
        """Read a switch's counters and light, now."""
        self.rows["polls"].append({"at": self.now, "target": switch.name, "kind": "switch", "ok": True})
        ports = [port for port in self._ports(switch) if port.kind in COUNTED]
        self.parts["counters"].append(self._counters(switch, ports))
        fitted = [port for port in ports if self.world.modules.fitted[port.number]]
        self.parts["optics"].append(self._optics(fitted))

    def missed(self, switch: Switch) -> None:
        """Note that a switch was asked now and did not answer."""
        silent = {"at": self.now, "target": switch.name, "kind": "switch", "ok": False, "error": "no answer"}
        self.rows["polls"].append(silent)

    def tables(self, switches: Iterable[Switch]) -> dict[str, pd.DataFrame]:
        """Return what was kept, with the inventory of ``switches``: those that answer at all."""
        answer = {name: frames.frame(name, _timed(rows)) for name, rows in self.rows.items()}
        for name, parts in self.parts.items():
            answer[name] = pd.concat(parts, ignore_index=True) if parts else frames.empty(name)
        asked = list(switches)
        answer["devices"] = frames.frame("devices", [self._device(switch) for switch in asked])
        answer["interfaces"] = frames.frame("interfaces", self._each(asked, self._interface))
        answer["neighbors"] = frames.frame("neighbors", self._each(asked, self._neighbor))
        return answer

    def cables(self) -> pd.DataFrame:
        """Return the cables as a careful operator would have written them down."""
        layout = self.world.setting.layout
        rows = [
            {
                "at": self.world.start,
                "a_device": layout.ports[cable.a].device,
                "a_if_name": layout.ports[cable.a].if_name,
                "b_device": layout.ports[cable.b].device,
                "b_if_name": layout.ports[cable.b].if_name,
            }
            for cable in layout.cables
        ]
        return frames.frame("cables", rows)

    def _tell_containers(self, since: float, until: float) -> None:
        layout = self.world.setting.layout
        self.rows["containers"] += [
            container_row(container, layout.hosts[container.host], self.clock, ended)
            for _, container, ended in events(self.living, since, until)
        ]

    def _ports(self, switch: Switch) -> list[Port]:
        return [self.world.setting.layout.ports[number] for number in switch.ports]

    def _each(self, switches: Sequence[Switch], tell: Any) -> list[Row]:
        rows = (tell(switch, port) for switch in switches for port in self._ports(switch))
        return [row for row in rows if row is not None]

    def _named(self, ports: Sequence[Port]) -> dict[str, Any]:
        return {
            "at": pd.Timestamp(self.now),
            "device": [port.device for port in ports],
            "if_index": [port.if_index for port in ports],
            "if_name": [port.if_name for port in ports],
        }

    def _counters(self, switch: Switch, ports: Sequence[Port]) -> pd.DataFrame:
        counts, second = self.interfaces, self.world.second

        def read(tell: Any) -> list[int]:
            return [tell(port.number) for port in ports]

        columns = self._named(ports) | {
            "uptime_cs": counts.uptime(switch.number, second),
            "discontinuity_cs": 0,
            "octets_width_bits": ALL_OCTETS,
            "errors_width_bits": ERRORS_BITS,
            "in_octets": read(lambda n: counts.all_octets(n, IN, second)),
            "out_octets": read(lambda n: counts.all_octets(n, OUT, second)),
            "in_packets": read(lambda n: counts.good(n, IN, second)),
            "out_packets": read(lambda n: counts.good(n, OUT, second)),
            "in_errors": read(lambda n: counts.in_errors(n) & MASK),
            "out_errors": read(lambda n: counts.out_errors(n) & MASK),
            "in_discards": 0,
            "out_discards": read(lambda n: counts.out_discards(n) & MASK),
            "fcs_errors": read(lambda n: counts.in_errors(n) & MASK),
            "symbol_errors": read(lambda n: counts.symbol_errors(n) & MASK),
            "alignment_errors": 0,
        }
        return frames.validate("counters", pd.DataFrame(columns))

    def _optics(self, ports: Sequence[Port]) -> pd.DataFrame:
        world = self.world
        number = [port.number for port in ports]
        light, said, modules = world.setting.physics.light, world.readings, world.modules
        rx, tx = (_dbm(raw[number], light.quantum_w) for raw in (said.rx, said.tx))
        columns = self._named(ports) | {
            "lane": 1,
            "rx_power_dbm": rx,
            "tx_power_dbm": tx,
            "bias_ma": said.bias[number] / 100.0,
            "temperature_c": said.temperature[number] / 10.0,
            "voltage_v": said.voltage[number] / 100.0,
            "no_light": np.isnan(rx),
            "module_type": [modules.types[n] for n in number],
            "module_serial": [modules.serials[n] for n in number],
        }
        for side, limits in (("rx", light.rx_limits_dbm), ("tx", light.tx_limits_dbm)):
            for level, limit in zip(
                ("low_warn", "low_alarm", "high_warn", "high_alarm"), limits, strict=True
            ):
                columns[f"{side}_power_{level}_dbm"] = limit
        return frames.validate("optics", pd.DataFrame(columns))

    def _device(self, switch: Switch) -> Row:
        cut = switch.number in self.world.story.decoys.cut_through
        return {
            "at": self.world.start,
            "device": switch.name,
            "address": switch.address,
            "sys_name": switch.name,
            "rack": switch.rack,
            "site": self.world.setting.layout.site,
            "chassis_id": switch.mac,
            "uptime_cs": self.interfaces.uptime(switch.number, 0),
            "boot_id": "1",
            "forwarding": "cut_through" if cut else "store_and_forward",
        }

    def _interface(self, switch: Switch, port: Port) -> Row:
        shut = port.number in self.world.story.decoys.shut
        dark = shut or port.kind == "spare"
        return {
            "at": self.world.start,
            "device": switch.name,
            "if_index": port.if_index,
            "if_name": port.if_name,
            "if_descr": port.if_name,
            "if_type": 24 if port.kind == "loopback" else 6,
            "admin_status": "down" if shut else "up",
            "oper_status": "down" if dark else "up",
            "speed_bps": port.speed_bps,
            "mac": port.mac or None,
            "lldp_port_id": port.if_name,
        }

    def _neighbor(self, switch: Switch, port: Port) -> Row | None:
        """Return what a port hears by LLDP; None where nobody speaks."""
        layout, far = self.world.setting.layout, int(self.world.modules.far[port.number])
        if far < 0:
            return None
        peer, is_host = layout.ports[far], layout.ports[far].kind == "nic"
        machine = next((m for m in layout.machines if m.port == far), None) if is_host else None
        other = next((s for s in layout.switches if s.name == peer.device), None)
        return {
            "at": self.world.start,
            "device": switch.name,
            "if_index": port.if_index,
            "if_name": port.if_name,
            "protocol": "lldp",
            "remote_chassis_id": machine.mac if machine else other.mac if other else None,
            "remote_port_id": peer.mac if is_host else peer.if_name,
            "remote_port_descr": NIC if is_host else None,
            "remote_sys_name": machine.hostname if machine else peer.device,
            "remote_address": machine.address if machine else other.address if other else None,
            "remote_capabilities": ["station"] if is_host else ["bridge", "router"],
        }


def _timed(rows: Iterable[Row]) -> list[Row]:
    """Return agents' rows with moments for their texts."""
    known: dict[str, datetime] = {}

    def moment(said: Any) -> Any:
        if not isinstance(said, str):
            return said
        if said not in known:
            known[said] = datetime.fromisoformat(said)
        return known[said]

    return [row | {name: moment(row[name]) for name in TIMES if name in row} for row in rows]


def _dbm(raw: Ints, quantum_w: float) -> Floats:
    """Return power in dBm, null where there is none."""
    with np.errstate(divide="ignore"):
        dbm: Floats = np.where(raw > 0, 10.0 * np.log10(raw * quantum_w / 1e-3), np.nan)
    return dbm
