"""A switch's MIB for tests: four ports, optics in two, neighbours, stations."""

from __future__ import annotations

from typing import Any

from snmp_agent import counter32, counter64, gauge, object_id, ticks

IF, IFX, DOT3 = "1.3.6.1.2.1.2.2.1", "1.3.6.1.2.1.31.1.1.1", "1.3.6.1.2.1.10.7.2.1"
ENTITY, SENSOR = "1.3.6.1.2.1.47.1.1.1.1", "1.3.6.1.2.1.99.1.1.1"
ALIAS = "1.3.6.1.2.1.47.1.3.2.1.2"
LLDP = "1.0.8802.1.1.2.1"
UPTIME = "1.3.6.1.2.1.1.3.0"
ENTITIES_CHANGED, INTERFACES_CHANGED = "1.3.6.1.2.1.47.1.4.1.0", "1.3.6.1.2.1.31.1.5.0"
MAC = bytes.fromhex("02000000ff00")


def switch(ports: int = 4, uptime: int = 360_000) -> dict[str, Any]:
    """Return all of it by dotted OID."""
    values: dict[str, Any] = system(uptime) | lldp() | stations() | arp()
    for port in range(1, ports + 1):
        values |= interface(port) | ethernet(port)
    for port in (1, 2):
        values |= optics(port)
    return values


def system(uptime: int) -> dict[str, Any]:
    return {
        "1.3.6.1.2.1.1.1.0": "A switch of no make",
        "1.3.6.1.2.1.1.2.0": object_id("1.3.6.1.4.1.99999.1"),
        UPTIME: ticks(uptime),
        "1.3.6.1.2.1.1.5.0": "leaf1",
        "1.3.6.1.2.1.1.6.0": "row 3",
        INTERFACES_CHANGED: ticks(100),
        ENTITIES_CHANGED: ticks(100),
    }


def interface(port: int, name: str | None = None, wide: bool = True) -> dict[str, Any]:
    """IF-MIB of one port; its counters are its number in different digits."""
    values: dict[str, Any] = {
        f"{IFX}.1.{port}": name or f"Ethernet{port}",
        f"{IF}.2.{port}": name or f"Ethernet{port}",
        f"{IFX}.18.{port}": f"to spine{port}",
        f"{IF}.3.{port}": 6,
        f"{IF}.5.{port}": gauge(4294967295),
        f"{IFX}.15.{port}": gauge(25000),
        f"{IF}.6.{port}": MAC[:5] + bytes([port]),
        f"{IF}.7.{port}": 1,
        f"{IF}.8.{port}": 1,
        f"{IFX}.19.{port}": ticks(0),
        f"{IF}.10.{port}": counter32((2**40 + port) % 2**32),
        f"{IF}.11.{port}": counter32(1000 + port),
        f"{IF}.13.{port}": counter32(30 + port),
        f"{IF}.14.{port}": counter32(10 + port),
        f"{IF}.16.{port}": counter32((2**41 + port) % 2**32),
        f"{IF}.17.{port}": counter32(2000 + port),
        f"{IF}.19.{port}": counter32(40 + port),
        f"{IF}.20.{port}": counter32(20 + port),
        f"{IFX}.2.{port}": counter32(100),
        f"{IFX}.3.{port}": counter32(10),
        f"{IFX}.4.{port}": counter32(200),
        f"{IFX}.5.{port}": counter32(20),
    }
    if wide:
        values |= {
            f"{IFX}.6.{port}": counter64(2**63 + 2**40 + port),
            f"{IFX}.7.{port}": counter64(1000 + port),
            f"{IFX}.8.{port}": counter64(100),
            f"{IFX}.9.{port}": counter64(10),
            f"{IFX}.10.{port}": counter64(2**41 + port),
            f"{IFX}.11.{port}": counter64(2000 + port),
            f"{IFX}.12.{port}": counter64(200),
            f"{IFX}.13.{port}": counter64(20),
        }
    return values


def ethernet(port: int) -> dict[str, Any]:
    return {
        f"{DOT3}.2.{port}": counter32(1),
        f"{DOT3}.3.{port}": counter32(5 + port),
        f"{DOT3}.18.{port}": counter32(2),
    }


def optics(
    port: int, rx: int = 5012, tx: int = 7943, status: int = 1, entity: int | None = None
) -> dict[str, Any]:
    """A transceiver in a port: power in 0.1 µW, temperature, bias, voltage."""
    holder = (entity or port) * 1000
    module = holder + 1
    sensors = (
        ("Receive Power", 6, 8, 4, rx),
        ("Transmit Power", 6, 8, 4, tx),
        ("Temperature", 8, 9, 1, 312),
        ("Bias Current", 5, 8, 2, 3345),
        ("Supply Voltage", 4, 9, 2, 331),
    )
    values: dict[str, Any] = {
        f"{ENTITY}.2.{holder}": f"Port {port}",
        f"{ENTITY}.4.{holder}": 1,
        f"{ENTITY}.5.{holder}": 10,
        f"{ENTITY}.7.{holder}": f"Port {port}",
        f"{ALIAS}.{holder}.0": object_id(f"{IF}.1.{port}"),
        f"{ENTITY}.2.{module}": "25GBASE-LR SFP28",
        f"{ENTITY}.4.{module}": holder,
        f"{ENTITY}.5.{module}": 9,
        f"{ENTITY}.7.{module}": f"Transceiver {port}",
        f"{ENTITY}.11.{module}": f"SN{port}",
        f"{ENTITY}.13.{module}": "SFP-25G-LR",
        f"{ENTITY}.2.1": "Chassis",
        f"{ENTITY}.4.1": 0,
        f"{ENTITY}.5.1": 3,
        f"{ENTITY}.7.1": "Chassis",
        f"{ENTITY}.11.1": "CHASSIS-SN",
    }
    for number, (what, kind, scale, precision, raw) in enumerate(sensors, start=module + 1):
        values |= {
            f"{ENTITY}.2.{number}": f"{what} Sensor",
            f"{ENTITY}.4.{number}": module,
            f"{ENTITY}.5.{number}": 8,
            f"{ENTITY}.7.{number}": f"Transceiver {port} {what}",
            f"{SENSOR}.1.{number}": kind,
            f"{SENSOR}.2.{number}": scale,
            f"{SENSOR}.3.{number}": precision,
            f"{SENSOR}.4.{number}": raw,
            f"{SENSOR}.5.{number}": status,
        }
    return values


def lldp() -> dict[str, Any]:
    return {
        f"{LLDP}.3.1.0": 4,
        f"{LLDP}.3.2.0": MAC,
        f"{LLDP}.3.7.1.2.101": 5,
        f"{LLDP}.3.7.1.3.101": "Ethernet1",
        f"{LLDP}.3.7.1.4.101": "to spine1",
        f"{LLDP}.4.1.1.4.500.101.1": 4,
        f"{LLDP}.4.1.1.5.500.101.1": bytes.fromhex("02000000aa00"),
        f"{LLDP}.4.1.1.6.500.101.1": 5,
        f"{LLDP}.4.1.1.7.500.101.1": "Ethernet49",
        f"{LLDP}.4.1.1.8.500.101.1": "to leaf1",
        f"{LLDP}.4.1.1.9.500.101.1": "spine1",
        f"{LLDP}.4.2.1.3.500.101.1.1.4.192.0.2.7": 2,
    }


def stations() -> dict[str, Any]:
    fdb = "1.3.6.1.2.1.17.7.1.2.2.1"
    return {
        "1.3.6.1.2.1.17.1.4.1.2.11": 3,
        "1.3.6.1.2.1.17.2.15.1.3.11": 5,
        f"{fdb}.2.10.2.0.0.0.187.1": 11,
        f"{fdb}.3.10.2.0.0.0.187.1": 3,
        f"{fdb}.2.10.2.0.0.0.255.0": 0,
        f"{fdb}.3.10.2.0.0.0.255.0": 4,
    }


def arp() -> dict[str, Any]:
    return {
        "1.3.6.1.2.1.4.35.1.4.3.1.4.192.0.2.50": bytes.fromhex("020000 00bb01".replace(" ", "")),
        "1.3.6.1.2.1.4.22.1.2.3.192.0.2.50": bytes.fromhex("02000000bb01"),
        "1.3.6.1.2.1.4.22.1.2.3.192.0.2.51": bytes.fromhex("02000000bb02"),
    }
