"""What a sensor's number means."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from correlator.pollers.light import Reading, Unit, dbm, levels, power, rows

MILLIWATT_4 = Unit("W", -7)  # milli, precision 4: 0.1 µW
PORT = (1, "Ethernet1")


@pytest.mark.parametrize(
    ("kind", "scale", "precision", "raw", "expected"),
    [
        (6, 8, 4, 6322, 6322e-7),  # Arista and SONiC: 0.1 µW
        (6, 7, 1, 5012, 5012e-7),  # micro, one digit
        (14, 9, 2, -650, -6.5),  # hundredths of dBm
        (14, 9, 3, -40000, -40.0),
        (8, 9, 1, 258, 25.8),
        (4, 9, 2, 331, 3.31),
        (5, 8, 2, 3345, 0.03345),
        (5, 7, 0, 33450, 0.03345),
        (6, 10, 0, 2, 2000.0),
        (8, 9, -1, 3, 30.0),
    ],
)
def test_type_scale_and_precision_make_a_number(
    kind: int, scale: int, precision: int, raw: int, expected: float
) -> None:
    unit = Unit.of(kind, scale, precision)
    assert unit is not None
    assert unit.value(raw) == pytest.approx(expected, rel=1e-15)


def test_decimal_fractions_are_exact() -> None:
    unit = Unit.of(8, 9, 3)
    assert unit is not None
    assert unit.value(24039) == 24.039


@pytest.mark.parametrize(
    ("kind", "scale", "precision"),
    [(12, 9, 0), (6, 0, 0), (6, 99, 0), (6, 8, 1615384784), (None, 8, 1), (6, None, 1), (6, 8, None)],
)
def test_what_makes_no_sense_has_no_unit(kind: int | None, scale: int | None, precision: int | None) -> None:
    assert Unit.of(kind, scale, precision) is None


def test_a_milliwatt_is_zero_dbm() -> None:
    assert dbm(0.001) == 0.0
    assert dbm(0.0) is None
    assert dbm(-1.0) is None


@pytest.mark.parametrize(
    ("raw", "unit", "expected"),
    [
        (6322, MILLIWATT_4, (-1.991, False)),
        (10000, MILLIWATT_4, (0.0, False)),
        (1, MILLIWATT_4, (None, True)),  # 0.1 µW, -40 dBm: a module's word for nothing
        (0, MILLIWATT_4, (None, True)),
        (-1, MILLIWATT_4, (None, False)),
        (-650, Unit("dBm", -2), (-6.5, False)),
        (0, Unit("dBm", -2), (0.0, False)),  # 0 dBm is light
        (-4000, Unit("dBm", -2), (None, True)),
        (-9999, Unit("dBm", -2), (None, True)),
    ],
)
def test_darkness_is_not_a_power(raw: int, unit: Unit, expected: tuple[float | None, bool]) -> None:
    level, dark = power(raw, unit, -40.0)
    assert (None if level is None else round(level, 3), dark) == expected


@given(st.integers(1, 10**8), st.sampled_from([-9, -7, -6, -4, -3]))
def test_power_is_finite_or_dark(raw: int, exponent: int) -> None:
    level, dark = power(raw, Unit("W", exponent), -40.0)
    assert (level is None) == dark
    assert level is None or (math.isfinite(level) and level > -40.0)


def read(quantity: str, value: float | None, lane: int | None = None, **more: object) -> Reading:
    return Reading(PORT, quantity, lane, value, **more)  # type: ignore[arg-type]


def test_a_module_with_one_lane_has_all_on_lane_one() -> None:
    (row,) = rows([read("rx_power", -3.0), read("tx_power", -2.0), read("temperature", 30.0)])
    assert row == {
        "if_index": 1,
        "if_name": "Ethernet1",
        "lane": 1,
        "rx_power_dbm": -3.0,
        "no_light": False,
        "tx_power_dbm": -2.0,
        "temperature_c": 30.0,
    }


def test_a_module_with_lanes_has_temperature_and_voltage_on_lane_zero() -> None:
    readings = [read("temperature", 30.0), read("voltage", 3.3)]
    readings += [read("rx_power", -float(lane), lane) for lane in (1, 2, 3, 4)]
    found = {row["lane"]: row for row in rows(readings)}
    assert set(found) == {0, 1, 2, 3, 4}
    assert found[0]["temperature_c"] == 30.0
    assert found[0]["voltage_v"] == 3.3
    assert found[3]["rx_power_dbm"] == -3.0
    assert "temperature_c" not in found[3]


def test_lanes_that_count_from_zero_are_shifted() -> None:
    found = rows([read("rx_power", -float(lane), lane) for lane in (0, 1, 2, 3)])
    assert [(row["lane"], row["rx_power_dbm"]) for row in found] == [(1, 0), (2, -1), (3, -2), (4, -3)]


def test_a_single_lane_is_lane_one_whatever_its_number() -> None:
    assert [row["lane"] for row in rows([read("rx_power", -3.0, 0), read("tx_power", -3.0, 0)])] == [1]


def test_lanes_without_numbers_are_counted() -> None:
    found = rows(
        [read("rx_power", -1.0), read("rx_power", -2.0), read("tx_power", 0.0), read("tx_power", 1.0)]
    )
    assert [(r["lane"], r["rx_power_dbm"], r["tx_power_dbm"]) for r in found] == [(1, -1, 0), (2, -2, 1)]


def test_a_dark_port_says_no_light_and_has_no_power() -> None:
    (row,) = rows([read("rx_power", None, dark=True)])
    assert row["no_light"] is True
    assert row["rx_power_dbm"] is None


def test_no_reading_says_nothing_about_light() -> None:
    (row,) = rows([read("rx_power", None), read("tx_power", None, dark=True)])
    assert "no_light" not in row
    assert row["tx_power_dbm"] is None


def test_a_modules_levels_are_in_dbm() -> None:
    raw = {"low_alarm": 229, "low_warn": 363, "high_warn": 17783, "high_alarm": 22387}
    found = levels(raw, MILLIWATT_4, ()).levels  # type: ignore[arg-type]
    assert {k: round(v, 1) for k, v in found.items()} == {
        "low_alarm": -16.4,
        "low_warn": -14.4,
        "high_warn": 2.5,
        "high_alarm": 3.5,
    }


@pytest.mark.parametrize(
    "raw",
    [
        {"low_alarm": 0, "low_warn": 0, "high_warn": 0, "high_alarm": 0},
        {"low_alarm": 22387, "low_warn": 363, "high_warn": 17783, "high_alarm": 229},
        {"low_alarm": 500, "low_warn": 500, "high_warn": 500, "high_alarm": 500},
        {"low_alarm": -1000000000, "low_warn": None},
        {},
    ],
)
def test_levels_that_make_no_sense_are_no_levels(raw: dict[str, int | None]) -> None:
    judged = levels(raw, MILLIWATT_4, (-1000000000,))  # type: ignore[arg-type]
    assert judged.levels == {}
