"""What a simulated switch shows: SNMPv2-MIB, IF-MIB, EtherLike-MIB, ENTITY-MIB with sensors, LLDP-MIB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from correlator.fabric import ber
from correlator.fabric.ber import Oid
from correlator.fabric.interfaces import IN, OUT, Interfaces
from correlator.fabric.layout import NIC, Layout, Port, Switch
from correlator.fabric.physics import World
from correlator.fabric.switch import Moving, Object, Value, Words

SYSTEM: Oid = (1, 3, 6, 1, 2, 1, 1)
IF_NUMBER: Oid = (1, 3, 6, 1, 2, 1, 2, 1)
IF_ENTRY: Oid = (1, 3, 6, 1, 2, 1, 2, 2, 1)
IF_X_ENTRY: Oid = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
DOT3_STATS: Oid = (1, 3, 6, 1, 2, 1, 10, 7, 2, 1)
ENT_PHYSICAL: Oid = (1, 3, 6, 1, 2, 1, 47, 1, 1, 1, 1)
ENT_ALIAS: Oid = (1, 3, 6, 1, 2, 1, 47, 1, 3, 2, 1, 2)
ENT_SENSOR: Oid = (1, 3, 6, 1, 2, 1, 99, 1, 1, 1)
ARISTA_LIMITS: Oid = (1, 3, 6, 1, 4, 1, 30065, 3, 12, 1, 1, 1)
ARISTA_PRODUCT: Oid = (1, 3, 6, 1, 4, 1, 30065, 1, 3011, 7050)
LLDP_LOCAL: Oid = (1, 0, 8802, 1, 1, 2, 1, 3)
LLDP_REMOTE: Oid = (1, 0, 8802, 1, 1, 2, 1, 4, 1, 1)
LLDP_ADDRESS: Oid = (1, 0, 8802, 1, 1, 2, 1, 4, 2, 1)

CHASSIS, MODULE, PORT, SENSOR = 3, 9, 10, 8  # PhysicalClass
CHASSIS_INDEX, BOARD_SENSOR = 1, 100006001
NO_LIMIT = 1_000_000_000
UP, DOWN, NOT_PRESENT = 1, 2, 6
ETHERNET, LOOPBACK = 6, 24  # IANAifType
OK, UNAVAILABLE = 1, 2  # EntitySensorStatus


@dataclass(frozen=True, slots=True)
class SensorKind:
    """One sensor of a module: EntitySensorDataType, EntitySensorDataScale, precision, units."""

    name: str
    offset: int
    text: str
    data_type: int
    scale: int
    precision: int
    units: str


SENSOR_KINDS = (
    SensorKind("temperature", 201, "DOM Temperature Sensor", 8, 9, 1, "Celsius"),
    SensorKind("voltage", 202, "DOM Voltage Sensor", 4, 9, 2, "Volts DC"),
    SensorKind("bias", 211, "DOM TX Bias Sensor", 5, 8, 2, "mA"),
    SensorKind("tx", 212, "DOM TX Power Sensor", 6, 8, 4, "mW"),
    SensorKind("rx", 213, "DOM RX Power Sensor", 6, 8, 4, "mW"),
)


@dataclass(frozen=True)
class View:
    """One switch of the world, as its MIB modules see it."""

    world: World
    interfaces: Interfaces
    switch: Switch

    @property
    def layout(self) -> Layout:
        """The fabric on paper."""
        return self.world.setting.layout

    @property
    def ports(self) -> list[Port]:
        """The switch's interfaces by ifIndex."""
        return [self.layout.ports[number] for number in self.switch.ports]

    def fitted(self, port: Port) -> bool:
        """Return whether a transceiver is in the port."""
        return bool(self.world.modules.fitted[port.number])

    def peer(self, port: Port) -> Port | None:
        """Return the port at the other end of the cable, if there is one."""
        far = int(self.world.modules.far[port.number])
        return self.layout.ports[far] if far >= 0 else None


def objects(view: View) -> Iterator[Object]:
    """Yield every object of the switch."""
    yield from _system(view)
    for port in view.ports:
        yield from _columns(IF_ENTRY, (port.if_index,), _interface(view, port))
        yield from _columns(IF_X_ENTRY, (port.if_index,), _extended(view, port))
        if port.kind not in ("loopback", "management"):
            yield from _columns(DOT3_STATS, (port.if_index,), _ethernet(view, port))
    yield from _entities(view)
    yield from _lldp(view)


def _columns(entry: Oid, index: Oid, columns: dict[int, Value]) -> Iterator[Object]:
    return (((*entry, column), index, value) for column, value in columns.items())


def _number(value: int, tag: int = ber.INTEGER) -> bytes:
    return ber.integer(value, tag)


def _mac(address: str) -> bytes:
    return bytes.fromhex(address.replace(":", ""))


def _system(view: View) -> Iterator[Object]:
    switch, model = view.switch, "DCS-7050SX3-48YC8"
    software = f"Arista Networks EOS version 4.28.3M running on an Arista Networks {model} (simulated)"
    scalars: dict[int, Value] = {
        1: ber.octets(software),
        2: ber.oid((*ARISTA_PRODUCT, 3741)),
        3: Moving(ber.TIME_TICKS, lambda: view.interfaces.uptime(switch.number, view.world.second)),
        4: ber.octets("network operations"),
        5: ber.octets(switch.name),
        6: ber.octets(f"{view.layout.site} {switch.rack}"),
        7: _number(14),
    }
    yield from _columns(SYSTEM, (0,), scalars)
    yield IF_NUMBER, (0,), _number(len(switch.ports))


def _status(view: View, port: Port) -> tuple[int, int]:
    """Return ifAdminStatus and ifOperStatus."""
    if port.number in view.world.story.decoys.shut:
        return DOWN, DOWN
    if port.kind == "spare":
        return UP, DOWN if view.fitted(port) else NOT_PRESENT
    return UP, UP


def _alias(view: View, port: Port) -> str:
    peer = view.peer(port)
    if peer is None:
        return "reserved" if view.fitted(port) else ""
    return f"to {peer.device} {peer.if_name}"


def _interface(view: View, port: Port) -> dict[int, Value]:
    n, counters, world = port.number, view.interfaces, view.world
    admin, oper = _status(view, port)
    ethernet = port.kind != "loopback"
    columns: dict[int, Value] = {
        1: _number(port.if_index),
        2: ber.octets(port.if_name),
        3: _number(ETHERNET if ethernet else LOOPBACK),
        4: _number(9214),
        5: _number(min(port.speed_bps, 2**32 - 1), ber.GAUGE32),
        6: ber.octets(_mac(port.mac)),
        7: _number(admin),
        8: _number(oper),
        9: _number(9000 + 100 * n, ber.TIME_TICKS),
        15: _number(0, ber.COUNTER32),
    }
    moving: dict[int, Callable[[], int]] = {
        10: lambda: counters.all_octets(n, IN, world.second),
        11: lambda: counters.unicast(n, IN, world.second),
        13: lambda: 0,
        14: lambda: counters.in_errors(n),
        16: lambda: counters.all_octets(n, OUT, world.second),
        17: lambda: counters.unicast(n, OUT, world.second),
        19: lambda: counters.out_discards(n),
        20: lambda: counters.out_errors(n),
    }
    return columns | {column: _counter32(read) for column, read in moving.items()}


def _counter32(read: Callable[[], int]) -> Moving:
    return Moving(ber.COUNTER32, lambda: read() % 2**32)


def _extended(view: View, port: Port) -> dict[int, Value]:
    n, counters, world = port.number, view.interfaces, view.world
    columns: dict[int, Value] = {
        1: ber.octets(port.if_name),
        14: _number(1),
        15: _number(port.speed_bps // 10**6, ber.GAUGE32),
        16: _number(2),
        17: _number(2 if port.kind == "loopback" else 1),
        18: ber.octets(_alias(view, port)),
        19: _number(0, ber.TIME_TICKS),
    }
    kinds = (counters.all_octets, counters.unicast, counters.multicast, counters.broadcast)
    for side, wide, narrow in ((IN, 6, 2), (OUT, 10, 4)):
        for step, kind in enumerate(kinds):

            def read(kind: Callable[[int, int, int], int] = kind, side: int = side) -> int:
                return kind(n, side, world.second)

            columns[wide + step] = Moving(ber.COUNTER64, read)
            if step >= 2:
                columns[narrow + step - 2] = _counter32(read)
    return columns


def _ethernet(view: View, port: Port) -> dict[int, Value]:
    n, counters = port.number, view.interfaces
    columns: dict[int, Value] = {
        column: _number(0, ber.COUNTER32) for column in (2, 4, 5, 8, 9, 10, 11, 13, 16)
    }
    return columns | {
        1: _number(port.if_index),
        3: _counter32(lambda: counters.in_errors(n)),
        18: _counter32(lambda: counters.symbol_errors(n)),
        19: _number(3),
    }


def _entities(view: View) -> Iterator[Object]:
    switch = view.switch
    yield from _entity(
        CHASSIS_INDEX, 0, CHASSIS, 1, "48x25GbE Ethernet Switch", switch.serial, "DCS-7050SX3-48YC8"
    )
    yield from _entity(BOARD_SENSOR, CHASSIS_INDEX, SENSOR, 1, "Cpu temp sensor")
    yield from _columns(ENT_SENSOR, (BOARD_SENSOR,), _sensor(8, 9, 1, _number(533), OK, "Celsius"))
    yield from _columns(ARISTA_LIMITS, (BOARD_SENSOR,), _limits(-NO_LIMIT, -NO_LIMIT, 900, 950))
    for port in view.ports:
        if port.kind in ("loopback", "management"):
            continue
        number = int(port.if_name.removeprefix("Ethernet"))
        place = 100300000 + 1000 * number
        yield from _entity(place, CHASSIS_INDEX, PORT, number, port.if_name)
        yield ENT_ALIAS, (place, 0), ber.oid((*IF_ENTRY, 1, port.if_index))
        if view.fitted(port):
            yield from _transceiver(view, port, place)


def _transceiver(view: View, port: Port, place: int) -> Iterator[Object]:
    modules, name = view.world.modules, port.if_name
    kind = modules.types[port.number]
    serial = Words(lambda: modules.serials[port.number])
    yield from _entity(place + 100, place, MODULE, 1, f"Xcvr for {name}", serial, kind)
    for position, sensor in enumerate(SENSOR_KINDS, 1):
        index = place + sensor.offset
        yield from _entity(index, place + 100, SENSOR, position, f"{sensor.text} for {name}")
        value = Moving(ber.INTEGER, _reading(view, sensor.name, port.number))
        status = UNAVAILABLE if sensor.name == "bias" and not modules.lit[port.number] else OK
        columns = _sensor(sensor.data_type, sensor.scale, sensor.precision, value, status, sensor.units)
        yield from _columns(ENT_SENSOR, (index,), columns)
        yield from _columns(ARISTA_LIMITS, (index,), _limits(*_bounds(view, sensor.name)))


def _reading(view: View, sensor: str, port: int) -> Callable[[], int]:
    return lambda: int(getattr(view.world.readings, sensor)[port])


def _bounds(view: View, sensor: str) -> tuple[int, int, int, int]:
    """Return low warning, low critical, high warning and high critical in the sensor's own unit."""
    light = view.world.setting.physics.light
    dbm = {"rx": light.rx_limits_dbm, "tx": light.tx_limits_dbm}
    if sensor in dbm:
        a, b, c, d = (round(10 ** (limit / 10) * 1e-3 / light.quantum_w) for limit in dbm[sensor])
        return a, b, c, d
    bounds = {
        "temperature": (0, -50, 700, 750),
        "voltage": (310, 297, 350, 363),
        "bias": (500, 200, 7500, 8000),
    }
    return bounds[sensor]


def _limits(low_warn: int, low_crit: int, high_warn: int, high_crit: int) -> dict[int, Value]:
    return {n: _number(value) for n, value in enumerate((low_warn, low_crit, high_warn, high_crit), 1)}


def _sensor(
    data_type: int, scale: int, precision: int, value: Value, status: int, units: str
) -> dict[int, Value]:
    return {
        1: _number(data_type),
        2: _number(scale),
        3: _number(precision),
        4: value,
        5: _number(status),
        6: ber.octets(units),
        7: _number(0, ber.TIME_TICKS),
        8: _number(0, ber.GAUGE32),
    }


def _entity(
    index: int, parent: int, kind: int, position: int, text: str, serial: str | Words = "", model: str = ""
) -> Iterator[Object]:
    """Yield a row of entPhysicalTable; as on Arista, names are empty and descriptions say it."""
    columns: dict[int, Value] = {
        2: ber.octets(text),
        3: ber.oid((0, 0)),
        4: _number(parent),
        5: _number(kind),
        6: _number(position),
        7: ber.octets(""),
        8: ber.octets(""),
        9: ber.octets(""),
        10: ber.octets(""),
        11: ber.octets(serial) if isinstance(serial, str) else serial,
        12: ber.octets("Arista Networks" if model else ""),
        13: ber.octets(model),
        14: ber.octets(""),
        15: ber.octets(""),
        16: _number(1 if kind == MODULE else 2),
    }
    yield from _columns(ENT_PHYSICAL, (index,), columns)


def _lldp(view: View) -> Iterator[Object]:
    switch = view.switch
    scalars: dict[int, Value] = {
        1: _number(4),
        2: ber.octets(_mac(switch.mac)),
        3: ber.octets(switch.name),
        4: ber.octets("Arista Networks EOS (simulated)"),
        5: ber.octets(b"\x28"),
        6: ber.octets(b"\x28"),
    }
    yield from _columns(LLDP_LOCAL, (0,), scalars)
    speaking = [port for port in view.ports if port.kind != "loopback"]
    for number, port in enumerate(speaking, 1):  # LLDP counts ports by itself: this is no ifIndex
        local: dict[int, Value] = {2: _number(5), 3: ber.octets(port.if_name), 4: ber.octets("")}
        yield from _columns((*LLDP_LOCAL, 7, 1), (number,), local)
        if (peer := view.peer(port)) is not None:
            yield from _neighbor(view, number, peer)


def _neighbor(view: View, local: int, peer: Port) -> Iterator[Object]:
    """Yield what a port hears; the index starts with a TimeMark, when it was first heard."""
    index = (4000 + 137 * local, local, 10 + local)
    if peer.kind == "nic":
        machine = next(m for m in view.layout.machines if m.port == peer.number)
        chassis, port_kind, port_id, name = machine.mac, 3, ber.octets(_mac(peer.mac)), machine.hostname
        address, text, powers = machine.address, NIC, b"\x10"
    else:
        other = next(s for s in view.layout.switches if s.name == peer.device)
        chassis, port_kind, port_id, name = other.mac, 5, ber.octets(peer.if_name), other.name
        address, text, powers = other.address, "", b"\x28"
    columns: dict[int, Value] = {
        4: _number(4),
        5: ber.octets(_mac(chassis)),
        6: _number(port_kind),
        7: port_id,
        8: ber.octets(text),
        9: ber.octets(name),
        10: ber.octets("Linux" if peer.kind == "nic" else "Arista Networks EOS (simulated)"),
        11: ber.octets(powers),
        12: ber.octets(powers),
    }
    yield from _columns(LLDP_REMOTE, index, columns)
    management = (*index, 1, 4, *(int(part) for part in address.split(".")))
    reached: dict[int, Value] = {3: _number(2), 4: _number(1), 5: ber.oid((0, 0))}
    yield from _columns(LLDP_ADDRESS, management, reached)
