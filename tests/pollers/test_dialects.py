"""Dialects that no recorded switch speaks: recordings written by hand, levels worked out by hand.

The recordings are ours (``tests/recordings``); the numbers here are not taken from the profiles. For a
power in watts the rule is dBm = 10·log10(mW): 1 mW = 0, 0.5 mW = -3.01, 0.25 mW = -6.02, 0.1 mW = -10.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from snmp_agent import Agent, Typed, object_id

from correlator.pollers.switches import SwitchPoller, SwitchTarget
from correlator.profiles.profile import load
from correlator.snmp.control import SnmpClient

pytestmark = pytest.mark.anyio

RECORDINGS = Path(__file__).parents[1] / "recordings"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DARK = "dark"

Light = dict[tuple[str, int], tuple[float | str | None, float | None]]

# port and lane: received and sent power in dBm; dark where the device says that no light arrives
DIALECTS: dict[str, tuple[str, Light]] = {
    # micro and no digits are declared, tenths of a microwatt are meant: 5000 = 0.5 mW; -1 is nothing
    "extreme-exos": ("extreme-exos", {("1:1", 1): (-3.010, 0.0)}),
    # lanes from 0; -4000 hundredths are -40 dBm
    "juniper-lanes": (
        "juniper-junos",
        {
            ("et-0/0/1", 1): (-2.10, -0.55),
            ("et-0/0/1", 2): (-2.15, -0.60),
            ("et-0/0/1", 3): (DARK, -0.65),
            ("et-0/0/1", 4): (-1.98, -0.70),
        },
    ),
    "juniper-coherent": ("juniper-junos", {("et-0/1/0", 1): (-12.34, -0.99)}),
    # module -1.21 dBm beside lists of four in hundredths; -4500.00 is -45 dBm
    "huawei-lanes": (
        "huawei-vrp",
        {
            ("100GE1/0/1", 0): (-1.21, -0.50),
            ("100GE1/0/1", 1): (-1.21, -0.50),
            ("100GE1/0/1", 2): (-1.335, -0.51),
            ("100GE1/0/1", 3): (-1.40, -0.52),
            ("100GE1/0/1", 4): (DARK, -0.53),
        },
    ),
    # the same with lists in dBm, as the MIB has them
    "huawei-lanes-dbm": (
        "huawei-vrp",
        {
            ("100GE1/0/1", 0): (-1.21, -0.50),
            ("100GE1/0/1", 1): (-1.21, -0.50),
            ("100GE1/0/1", 2): (-1.34, -0.51),
            ("100GE1/0/1", 3): (-1.40, -0.52),
            ("100GE1/0/1", 4): (DARK, -0.53),
        },
    ),
    "hpe-comware-channels": (
        "hpe-comware",
        {
            ("FortyGigE1/0/5", 1): (-2.50, -1.00),
            ("FortyGigE1/0/5", 2): (-2.60, -1.10),
            ("FortyGigE1/0/5", 3): (-2.70, -1.20),
            ("FortyGigE1/0/5", 4): (None, -1.30),
        },
    ),
    # tenths of a microwatt: 5000 = 0.5 mW, 2500 = 0.25 mW, 1000 = 0.1 mW, 0 is darkness
    "nokia-sros-lanes": (
        "nokia-sros",
        {
            ("1/1/c1/1", 1): (-3.010, 0.0),
            ("1/1/c1/1", 2): (-6.021, 0.0),
            ("1/1/c1/1", 3): (-10.0, 0.0),
            ("1/1/c1/1", 4): (DARK, 0.0),
        },
    ),
    "nokia-sros-coherent": ("nokia-sros", {("1/1/1", 1): (-17.50, -3.00)}),
    "brocade-ironware": (
        "brocade-ironware",
        {
            ("10GigabitEthernet1/2/1", 1): (-3.2541, -2.4681),
            ("10GigabitEthernet1/2/2", 1): (None, -2.1),
            ("40GigabitEthernet1/3/1", 1): (-1.1, None),
            ("40GigabitEthernet1/3/1", 2): (-1.2, None),
            ("40GigabitEthernet1/3/1", 3): (DARK, None),
            ("40GigabitEthernet1/3/1", 4): (-1.4, None),
        },
    ),
    # microwatts: 500 = 0.5 mW, 250 = 0.25 mW, 100 = 0.1 mW
    "brocade-slx": (
        "brocade-slx",
        {
            ("Ethernet 0/1", 1): (-3.010, 0.0),
            ("Ethernet 0/1", 2): (-6.021, 0.0),
            ("Ethernet 0/1", 3): (-10.0, 0.0),
            ("Ethernet 0/1", 4): (DARK, 0.0),
            ("Ethernet 0/2", 1): (-3.010, 0.0),
        },
    ),
    # the same where positive; negative thousandths of dBm, and zero says nothing
    "extreme-voss": (
        "extreme-voss",
        {("1/1", 1): (-3.010, -6.021), ("1/2", 1): (None, 0.0), ("1/3", 1): (DARK, -2.15)},
    ),
    # 0.0001 mW: 5012 = 0.5012 mW = -3.000 dBm, 6310 = 0.631 mW = -2.000 dBm
    "allied-telesis": (
        "allied-telesis",
        {("port1.0.49", 1): (-3.0, -2.0), ("port1.0.50", 1): (DARK, -3.010)},
    ),
    "alcatel-aos": (
        "alcatel-aos",
        {
            ("1/1/1", 1): (-7.421, -2.103),
            ("1/2/1", 1): (-1.5, -0.5),
            ("1/2/1", 2): (-1.6, -0.5),
            ("1/2/1", 3): (DARK, -0.5),
            ("1/2/1", 4): (-1.8, -0.5),
        },
    ),
    "alcatel-aos6": ("alcatel-aos6", {("1/51", 1): (-8.123, -5.501)}),
    "eltex-mes24xx": ("eltex", {("te 0/1", 1): (-5.23, -2.41)}),
    "edgecore-ecs": ("edgecore-ecs", {("port1", 1): (-4.99, -5.51), ("port2", 1): (None, -6.02)}),
    # ports in their own numbering: known by name, else told as it is
    "fs-n-series": ("fs", {("TFGigabitEthernet 0/5", 1): (-3.45, -2.10), ("port 6", 1): (DARK, -2.20)}),
    # -1000000 is no reading, -40000 thousandths are -40 dBm
    "raisecom": (
        "raisecom",
        {("gigaethernet1/1/1", 1): (-8.231, -5.512), ("gigaethernet1/1/2", 1): (DARK, -5.601)},
    ),
    "raisecom-roap": ("raisecom", {("xe1", 1): (-2.335, -2.84), ("xe2", 1): (DARK, -3.098)}),
    "ruijie": ("ruijie", {("port 3", 1): (-5.12, -2.30)}),
    "fs-centec": (
        "fs",
        {
            ("eth-0-49", 1): (-1.11, -0.51),
            ("eth-0-49", 2): (-1.22, -0.52),
            ("eth-0-49", 3): (DARK, -0.53),
            ("eth-0-49", 4): (-1.44, -0.54),
            ("eth-0-1", 1): (-2.75, -2.15),
        },
    ),
    **{
        name: (
            profile,
            {
                ("TGigaEthernet0/52", 1): (-6.11, -2.40),
                ("FGigaEthernet0/53", 1): (-1.01, -0.11),
                ("FGigaEthernet0/53", 2): (-1.02, -0.12),
                ("FGigaEthernet0/53", 3): (-1.03, -0.13),
                ("FGigaEthernet0/53", 4): (DARK, -0.14),
            },
        )
        for name, profile in (("bdcom", "bdcom"), ("fs-bdcom", "fs"))
    },
    # text in mW: 0.251189 mW = -6.000 dBm
    "tp-link": (
        "tp-link",
        {
            ("ten-gigabitEthernet 1/0/49", 1): (-3.010, -6.0),
            ("ten-gigabitEthernet 1/0/50", 1): (DARK, -3.010),
        },
    ),
    # tenths of a microwatt: 5000 = 0.5 mW, 2500 = 0.25 mW
    "d-link-dgs1250": (
        "d-link-dgs1250",
        {("eth1/0/25", 1): (-3.010, -6.021), ("eth1/0/26", 1): (DARK, -3.010)},
    ),
    "hirschmann": ("hirschmann", {("1/1", 1): (-7.2, -5.1), ("2/1", 1): (-12.5, -5.6)}),
    "datacom": ("datacom", {("port1", 1): (-9.7, -5.9), ("port2", 1): (None, -6.1)}),
    # a zero that is marked as too low is no level
    "snr": (
        "snr",
        {
            ("port1", 1): (-6.53, -5.02),
            ("port2", 1): (-27.21, -5.99),
            ("port3", 1): (None, 0.04),
            ("port4", 1): (DARK, -5.71),
        },
    ),
    "ciena-saos": ("ciena-saos", {("port1", 1): (-6.021, -3.010), ("port2", 1): (DARK, 0.0)}),
    # the module's sum on lane 0 beside its lanes; -99.0 is nothing; a sent power of 0.0 is a level
    "infinera-groove": (
        "infinera-groove",
        {
            ("port-1/3/1", 1): (-7.4, 0.0),
            ("port-1/1/3", 0): (5.7, 6.3),
            ("port-1/1/3", 1): (-0.2, 0.3),
            ("port-1/1/3", 2): (-0.5, 0.3),
            ("port-1/1/3", 3): (-0.3, 0.2),
            ("port-1/1/3", 4): (-0.3, 0.3),
        },
    ),
    # what is in dBm is light, at no interface too; watts that go into a power supply are not
    "cisco-unplaced": (
        "cisco",
        {
            ("Ethernet1/1", 1): (-2.51, -1.01),
            ("Ethernet9/1", 1): (-3.51, None),
            ("subslot 0/1 transceiver 2", 1): (-4.5, -2.3),
        },
    ),
    # transceiver 4 is an SFP in xe3, 30 a QSFP in ce1
    "ocnos-s9500": (
        "ocnos-s9500-30xs",
        {
            ("xe3", 1): (-5.23, -2.41),
            ("ce1", 1): (-1.001, -0.501),
            ("ce1", 2): (-1.002, -0.502),
            ("ce1", 3): (-1.003, -0.503),
            ("ce1", 4): (-1.004, -0.504),
        },
    ),
    "ubiquiti-ufiber": ("ubiquiti-ufiber", {("port 7", 1): (-21.43, 2.11)}),
    "waystream": ("waystream", {("port1", 1): (-11.25, -5.12), ("port2", 1): (None, -5.50)}),
}

# levels in dBm: low alarm, low warning, high warning, high alarm of what is received
LEVELS: dict[str, tuple[str, tuple[float, float, float, float] | None]] = {
    "juniper-lanes": ("et-0/0/1", (-12.60, -10.59, 2.40, 3.50)),
    "huawei-lanes": ("100GE1/0/1", (-13.0, -11.0, 3.5, 4.5)),
    # tenths of a microwatt: 500 = 0.05 mW = -13.010, 1000 = -10, 10000 = 0, 20000 = +3.010
    "hpe-comware-channels": ("FortyGigE1/0/5", (-13.010, -10.0, 0.0, 3.010)),
    # 251 = 0.0251 mW = -16.003, 398 = -14.001, 12589 = +1.000, 15849 = +2.000
    "allied-telesis": ("port1.0.49", (-16.003, -14.001, 1.0, 2.0)),
    "eltex-mes24xx": ("te 0/1", (-16.0, -14.0, 0.0, 1.0)),
    "extreme-voss": ("1/1", None),  # not verified: its levels are not used
    **{
        name: (port, (-16.0, -14.0, 1.0, 2.0))
        for name, port in (
            ("alcatel-aos", "1/1/1"),
            ("alcatel-aos6", "1/51"),
            ("bdcom", "FGigaEthernet0/53"),
            ("fs-bdcom", "FGigaEthernet0/53"),
            ("edgecore-ecs", "port1"),
            ("raisecom", "gigaethernet1/1/1"),
            ("waystream", "port1"),
            # 15849 tenths of a microwatt = 1.5849 mW = +2.000, 12589 = +1.000, 398 = -14.001, 251 = -16.003
            ("d-link-dgs1250", "eth1/0/25"),
            # text in mW: 1.584893 = +2.000, 1.258925 = +1.000, 0.039811 = -14.000, 0.025119 = -16.000
            ("tp-link", "ten-gigabitEthernet 1/0/49"),
        )
    },
    "fs-n-series": ("TFGigabitEthernet 0/5", (-13.9, -12.0, 1.0, 2.0)),
}


def recorded(name: str) -> dict[str, Any]:
    """Return a recording's values as the test's agent serves them."""
    values: dict[str, Any] = {}
    for line in (RECORDINGS / f"{name}.snmprec").read_text().splitlines():
        oid, tag, text = line.split("|", 2)
        if tag == "4":
            values[oid] = text
        elif tag == "6":
            values[oid] = object_id(text)
        else:
            values[oid] = Typed(int(tag), int(text))
    return values


async def polled(name: str) -> tuple[pd.DataFrame, str]:
    """Return the table optics of a recording and the profile that was chosen for it."""
    async with Agent(recorded(name)) as agent, SnmpClient() as client:
        poller = SwitchPoller(client, SwitchTarget("switch1", "127.0.0.1", agent.port), "optics")
        (batch,) = await poller.poll(NOW, {})
        assert poller._read_by is not None
        return batch.tables["optics"], poller._read_by.name


def told(row: Any) -> tuple[float | str | None, float | None]:
    """Return a row's received and sent power as the expectations write them."""
    received = (
        DARK if row["no_light"] is True else None if pd.isna(row["rx_power_dbm"]) else row["rx_power_dbm"]
    )
    return received, None if pd.isna(row["tx_power_dbm"]) else row["tx_power_dbm"]


def test_every_recording_of_ours_is_tested() -> None:
    assert {path.stem for path in RECORDINGS.glob("*.snmprec")} == set(DIALECTS)


@pytest.mark.parametrize("name", sorted(DIALECTS))
async def test_a_dialect_is_read_as_worked_out_by_hand(name: str) -> None:
    profile, expected = DIALECTS[name]
    light, chosen = await polled(name)
    assert chosen == profile
    rows = {(row["if_name"], row["lane"]): told(row) for _, row in light.iterrows()}
    powers = {place: power for place, power in rows.items() if power != (None, None)}
    assert set(powers) == set(expected)
    for place, (received, sent) in expected.items():
        assert powers[place][0] == (
            received if received in (None, DARK) else pytest.approx(received, abs=0.001)
        )
        assert powers[place][1] == (None if sent is None else pytest.approx(sent, abs=0.001))


@pytest.mark.parametrize("name", sorted(LEVELS))
async def test_levels_are_in_dbm_whatever_their_unit(name: str) -> None:
    port, expected = LEVELS[name]
    light, _ = await polled(name)
    row = light[(light.if_name == port) & (light.lane <= 1)].iloc[-1]
    found = [row[f"rx_power_{level}_dbm"] for level in ("low_alarm", "low_warn", "high_warn", "high_alarm")]
    if expected is None:
        assert all(pd.isna(level) for level in found)
    else:
        assert found == pytest.approx(expected, abs=0.004)


async def test_bit_errors_before_correction_are_read_in_both_forms() -> None:
    light, _ = await polled("juniper-coherent")
    assert light[light.if_name == "et-0/1/0"].pre_fec_ber.item() == pytest.approx(32e-5)  # 32 · 10^-5
    light, _ = await polled("nokia-sros-coherent")
    # 981668463 = 0x3A83126F, the IEEE 754 single 0.001
    assert light.pre_fec_ber.item() == pytest.approx(1e-3, rel=1e-6)


def test_what_is_not_verified_has_no_levels() -> None:
    unverified = {n for n, p in load().items() if any(not source.verified for source in p.optics.values())}
    assert unverified == {"extreme-exos", "extreme-fabric-engine", "extreme-voss"}
