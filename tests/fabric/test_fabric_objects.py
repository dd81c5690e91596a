"""What a switch shows over SNMP is what its ports have, and the tables lead to one another."""

from itertools import pairwise

import pytest
from a_fabric import ran

from correlator.fabric import ber
from correlator.fabric.objects import (
    ARISTA_LIMITS,
    ENT_ALIAS,
    ENT_PHYSICAL,
    ENT_SENSOR,
    IF_ENTRY,
    IF_X_ENTRY,
    LLDP_LOCAL,
    LLDP_REMOTE,
)
from correlator.fabric.simulation import Fabric

Oid = tuple[int, ...]
UNSIGNED = (ber.COUNTER32, ber.GAUGE32, ber.TIME_TICKS, ber.COUNTER64)


def column(fabric: Fabric, switch: str, name: Oid) -> dict[Oid, int | bytes | Oid]:
    """Return the instances of a column: value by index."""
    mib = fabric.switches[switch].mib
    return {
        oid[len(name) :]: value(mib.at(place))
        for place, oid in enumerate(mib.oids)
        if oid[: len(name)] == name
    }


def value(variable: bytes) -> int | bytes | Oid:
    body, _ = ber.expect(variable, 0, ber.SEQUENCE)
    _, after = ber.read_oid(body, 0)
    tag, content, _ = ber.read(body, after)
    if tag == ber.OBJECT_IDENTIFIER:
        return ber.read_oid(body, after)[0]
    if tag == ber.INTEGER or tag in UNSIGNED:
        return int.from_bytes(content, "big", signed=True)
    return content


def names(fabric: Fabric, switch: str) -> dict[int, str]:
    """Return ifName by ifIndex."""
    return {index[0]: bytes(v).decode() for index, v in column(fabric, switch, (*IF_X_ENTRY, 1)).items()}


def test_every_interface_has_a_row_and_indexes_have_gaps():
    fabric = ran(5, "nothing", 1)
    for switch in fabric.switches:
        known = names(fabric, switch)
        assert len(known) == value(fabric.switches[switch].mib.exact((1, 3, 6, 1, 2, 1, 2, 1, 0)))
        assert list(known.values())[-2:] == ["Management1", "Loopback0"]
        assert any(b - a > 1 for a, b in pairwise(known))


def test_a_port_leads_from_entity_to_interface():
    fabric = ran(2, "dirty_connector", 1)
    for switch in fabric.switches:
        known = names(fabric, switch)
        text = column(fabric, switch, (*ENT_PHYSICAL, 2))
        for index, target in column(fabric, switch, ENT_ALIAS).items():
            assert tuple(target)[:-1] == (*IF_ENTRY, 1)
            assert bytes(text[index[:1]]).decode() == known[tuple(target)[-1]]


def test_a_sensor_leads_through_its_transceiver_to_its_port():
    fabric = ran(2, "dirty_connector", 1)
    text, parent = (column(fabric, "leaf1", (*ENT_PHYSICAL, n)) for n in (2, 4))
    alias = column(fabric, "leaf1", ENT_ALIAS)
    receiving = [index for index, v in text.items() if bytes(v).startswith(b"DOM RX Power Sensor")]
    assert len(receiving) >= 5
    for index in receiving:
        module = (int(parent[index]),)
        port = (int(parent[module]),)
        assert (*port, 0) in alias
        assert bytes(text[index]).endswith(b" " + bytes(text[port]))


def test_power_is_told_in_tenths_of_a_microwatt():
    fabric = ran(2, "dirty_connector", 1)
    raw = column(fabric, "leaf1", (*ENT_SENSOR, 4))
    shape = [column(fabric, "leaf1", (*ENT_SENSOR, n)) for n in (1, 2, 3, 5)]
    port = next(p for p in fabric.layout.ports if p.device == "leaf1" and p.kind == "fabric")
    index = (100300000 + 1000 * int(port.if_name.removeprefix("Ethernet")) + 213,)
    assert [table[index] for table in shape] == [6, 8, 4, 1]
    assert raw[index] == fabric.world.readings.rx[port.number] > 0


def test_limits_are_in_order_and_in_the_unit_of_their_sensor():
    fabric = ran(2, "dirty_connector", 1)
    low_warn, low_crit, high_warn, high_crit = (
        column(fabric, "leaf1", (*ARISTA_LIMITS, n)) for n in range(1, 5)
    )
    for index in low_warn:
        assert low_crit[index] <= low_warn[index] < high_warn[index] <= high_crit[index]


def test_a_shut_port_is_down_on_purpose_and_dark_and_a_dark_one_is_only_down():
    fabric = next(f for f in (Fabric(s, "decoys") for s in range(1, 100, 5)) if f.story.decoys.shut)
    for ports, admin in ((fabric.story.decoys.shut, 2), (fabric.story.decoys.dark, 1)):
        for number in ports:
            port = fabric.layout.ports[number]
            index = (port.if_index,)
            assert column(fabric, port.device, (*IF_ENTRY, 7))[index] == admin
            assert column(fabric, port.device, (*IF_ENTRY, 8))[index] == 2
            sensor = (100300000 + 1000 * int(port.if_name.removeprefix("Ethernet")) + 213,)
            assert column(fabric, port.device, (*ENT_SENSOR, 4))[sensor] == 0


def test_neighbours_are_told_by_local_port_number_with_a_time_mark():
    fabric = ran(2, "dirty_connector", 1)
    for switch in fabric.switches:
        local = column(fabric, switch, (*LLDP_LOCAL, 7, 1, 3))
        heard = column(fabric, switch, (*LLDP_REMOTE, 5))
        cabled = {
            end.if_name: far
            for k in range(fabric.layout.links)
            if (end := fabric.layout.receiver(k)).device == switch
            for far in [fabric.layout.sender(k)]
        }
        assert len(heard) == len(cabled)
        for mark, port, _ in heard:
            assert mark > 0
            assert bytes(local[(port,)]).decode() in cabled


def test_a_host_is_heard_by_its_address():
    fabric = ran(2, "dirty_connector", 1)
    chassis = {bytes(v) for v in column(fabric, "leaf1", (*LLDP_REMOTE, 5)).values()}
    mine = {bytes.fromhex(m.mac.replace(":", "")) for m in fabric.layout.machines if m.leaf == 0}
    assert mine < chassis


def test_narrow_counters_are_the_low_part_of_wide_ones():
    fabric = ran(2, "dirty_connector", 1)
    for narrow, wide in ((10, 6), (11, 7), (16, 10), (17, 11)):
        small = column(fabric, "spine1", (*IF_ENTRY, narrow))
        for index, large in column(fabric, "spine1", (*IF_X_ENTRY, wide)).items():
            assert small[index] == int(large) % 2**32


def test_no_counter_ever_falls():
    fabric = Fabric(2, "congestion")
    columns = [(*IF_X_ENTRY, n) for n in range(6, 14)] + [(*IF_ENTRY, n) for n in (14, 19, 20)]
    last = [column(fabric, "leaf1", name) for name in columns]
    for seconds in (1, 1, 1, 7, 300, 60):
        fabric.advance(seconds)
        now = [column(fabric, "leaf1", name) for name in columns]
        for before, after in zip(last, now, strict=True):
            assert all(int(after[index]) >= int(v) for index, v in before.items())
        last = now


@pytest.mark.parametrize("seed", [2, 3])
def test_the_dirty_port_counts_errors_that_the_sender_knows_nothing_of(seed):
    fabric = Fabric(seed, "dirty_connector")
    link = fabric.story.fault.link
    port = fabric.layout.receiver(link)
    before = int(column(fabric, port.device, (*IF_ENTRY, 14))[(port.if_index,)])
    fabric.fault()
    fabric.advance(60)
    after = int(column(fabric, port.device, (*IF_ENTRY, 14))[(port.if_index,)])
    assert after - before == fabric.world.links.counts.errors[link] > 100
    fcs = int(column(fabric, port.device, (1, 3, 6, 1, 2, 1, 10, 7, 2, 1, 3))[(port.if_index,)])
    assert fcs == after
