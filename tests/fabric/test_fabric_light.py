"""Light: monitors are wrong by a constant, noisy, quantised, slowly moving; dirt dims one direction."""

import numpy as np
import pytest
from a_fabric import ran

from correlator.fabric.dice import Dice
from correlator.fabric.layout import Size, plan
from correlator.fabric.light import Modules, Shade
from correlator.fabric.parameters import Light, Wire

LAYOUT = plan(Size(8, 4, 4), Dice(7), Wire())
CABLED = np.array([port.kind in ("fabric", "machine") for port in LAYOUT.ports])
NONE = Shade.none(LAYOUT)


@pytest.fixture(scope="module")
def modules() -> Modules:
    every = np.ones(len(LAYOUT.ports), np.bool_)
    return Modules(LAYOUT, Light(), Dice(7), every, every)


def dbm(raw: np.ndarray) -> np.ndarray:
    return 10 * np.log10(raw[CABLED] * 1e-4)


def test_monitors_are_wrong_by_up_to_three_decibels_and_stay_so(modules):
    error = np.concatenate([modules.rx_error, modules.tx_error])
    assert abs(error).max() <= 3.0
    assert error.std() == pytest.approx(6 / np.sqrt(12), rel=0.1)
    one, other = (dbm(modules.read(second, 0.0, NONE).tx) for second in (10, 20))
    assert abs(one - other).max() < 4 * 0.5 * np.sqrt(2)


def test_readings_scatter_by_the_noise_of_their_module(modules):
    reads = np.array([dbm(modules.read(second, 0.0, NONE).rx) for second in range(0, 2000, 10)])
    spread = reads.std(axis=0)
    assert spread == pytest.approx(modules.noise[CABLED], rel=0.25)
    assert modules.noise.min() >= 0.05
    assert modules.noise.max() <= 0.5


def test_what_arrives_is_what_was_sent_less_the_way(modules):
    rx, _ = modules.means_dbm(0.0, NONE)
    port = LAYOUT.receiver(4).number
    sent = modules.power[LAYOUT.sender(4).number]
    moving = modules.sine[0, port] * np.sin(2 * np.pi * -0.4)
    assert rx[port] == pytest.approx(sent - modules.loss_db[4] + modules.rx_error[port] + moving)
    assert modules.loss_db.min() > 0.2
    assert modules.loss_db.max() < 3.0


def test_dirt_takes_from_its_own_direction_only(modules):
    dirt = Shade.none(LAYOUT)
    dirt.way_db[4] = 2.0
    before, after = modules.means_dbm(0.0, NONE), modules.means_dbm(0.0, dirt)
    change = after[0] - before[0]
    port = LAYOUT.receiver(4).number
    assert change[port] == pytest.approx(-2.0)
    assert np.flatnonzero(np.abs(change) > 1e-9).tolist() == [port]
    assert (after[1] == before[1]).all()


def test_a_day_moves_the_light_a_little(modules):
    hours = np.arange(0.0, 86_400.0, 3600.0)
    rx, _ = modules.means_dbm(hours, NONE)
    swing = (rx.max(axis=0) - rx.min(axis=0))[CABLED]
    assert swing.min() > 0.05
    assert swing.max() < 0.8


def test_power_is_counted_in_tenths_of_a_microwatt():
    readings = ran(5, "nothing").world.readings
    assert readings.rx.dtype == np.int64
    assert readings.rx[: len(readings.rx)].max() < 30_000
    bias = readings.bias[readings.bias > 0]
    assert bias.min() > 1500
    assert bias.max() < 5000
