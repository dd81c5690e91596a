from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from correlator import frames
from correlator.engine.lanes import Params, read_lanes
from correlator.engine.optics import light, log_bayes_factor, stronger, strongest, while_off

NOW = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)
DIRECTED = pd.DataFrame(
    {"sender_device": ["a", "b"], "sender_if_name": ["p", "q"],
     "receiver_device": ["b", "a"], "receiver_if_name": ["q", "p"]}
)  # fmt: skip
A_TO_B, B_TO_A = 0, 1


def readings(rx: Any, tx: Any = -2.0, **columns: Any) -> pd.DataFrame:
    """Readings a minute apart: Rx at b (a series), Tx at a."""
    rows = []
    for i, value in enumerate(np.atleast_1d(rx)):
        at = NOW - timedelta(minutes=len(np.atleast_1d(rx)) - 1 - i)
        sent = np.broadcast_to(tx, np.shape(np.atleast_1d(rx)))[i]
        rows.append({"at": at, "device": "b", "if_name": "q", "lane": 1, "rx_power_dbm": value} | columns)
        rows.append({"at": at, "device": "a", "if_name": "p", "lane": 1, "tx_power_dbm": sent})
    return frames.frame("optics", rows)


def past(rx: Any = -5.0, tx: Any = -2.0, hours: int = 72) -> pd.DataFrame:
    rows = []
    for back in range(1, hours + 1):
        hour = NOW - timedelta(hours=back)
        for device, name, metric, value in (("b", "q", "rx_power_dbm", rx), ("a", "p", "tx_power_dbm", tx)):
            mean = value(back) if callable(value) else value
            rows.append({"at": hour, "hour": hour, "device": device, "if_name": name, "lane": 1,
                         "metric": metric,
                         "exposure": 12, "count": 12, "sum": 12 * mean})  # fmt: skip
    return frames.frame("optics_hours", rows)


def look(optics: pd.DataFrame, hours: pd.DataFrame, *ports: dict[str, Any]) -> Any:
    interfaces = frames.frame("interfaces", [{"at": NOW} | port for port in ports])
    lanes = read_lanes(optics, hours, interfaces, NOW)
    return strongest(light(DIRECTED, lanes, Params()), 2).loc[A_TO_B]


def test_light_lost_on_the_way_is_measured_against_its_own_past() -> None:
    seen = look(readings([-5.0] * 10 + [-7.0] * 5), past())
    assert seen["loss_change_db"] == pytest.approx(2.0, abs=0.05)
    assert seen["nats"] > 8
    assert seen["stepped"]


def test_the_onset_is_the_first_reading_after_the_step() -> None:
    seen = look(readings([-5.0] * 10 + [-7.0] * 5), past())
    assert seen["onset"] == pd.Timestamp(NOW - timedelta(minutes=4))


def test_light_that_came_back_is_well_however_long_it_was_off() -> None:
    rng = np.random.default_rng(4)
    off, back = [-5.0] * 5 + [-8.0] * 20 + [-5.0], [-5.0] * 5 + [-8.0] * 20 + [-5.0] * 4
    before, after = (look(readings(np.array(rx) + rng.normal(0, 0.1, len(rx))), past()) for rx in (off, back))
    assert before["stepped"]
    assert not after["stepped"]
    assert after["loss_change_db"] == pytest.approx(0.0, abs=0.3)
    assert after["nats"] < 0


def test_of_light_that_came_back_it_is_known_how_it_was_while_it_was_off() -> None:
    optics = readings([-5.0] * 5 + [-8.0] * 6 + [-5.0] * 4)
    lanes = read_lanes(optics, past(), frames.empty("interfaces"), NOW)
    now = strongest(light(DIRECTED, lanes, Params()), 2)
    then = stronger(while_off(DIRECTED, lanes, Params()), now)
    assert now.at[A_TO_B, "loss_change_db"] == pytest.approx(0.0, abs=0.05)
    assert list(then.index) == [A_TO_B]
    assert then.at[A_TO_B, "loss_change_db"] == pytest.approx(3.0, abs=0.05)
    assert then.at[A_TO_B, "readings"] == 6


def test_light_that_is_still_off_has_not_come_back() -> None:
    lanes = read_lanes(readings([-5.0] * 5 + [-8.0] * 6), past(), frames.empty("interfaces"), NOW)
    assert while_off(DIRECTED, lanes, Params()).empty


def test_light_that_grows_worse_is_off_since_it_first_was() -> None:
    seen = look(readings([-5.0] * 10 + [-7.0] * 8 + [-9.0] * 4), past())
    assert seen["onset"] == pd.Timestamp(NOW - timedelta(minutes=11))


def squares(noise: float, hours: int = 72) -> pd.DataFrame:
    """The past of Rx with what its readings vary by."""
    rows = past(hours=hours)
    rows = rows[rows["metric"] == "rx_power_dbm"]
    total = 12 * 5.0**2 + 11 * noise**2
    return pd.concat([past(hours=hours), rows.assign(metric="rx_power_squared", sum=total)])


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_three_readings_are_believed_as_far_as_the_past_lets(noise: float) -> None:
    seen = look(readings([-5.0, -7.0, -7.0]), squares(noise))
    of_tx, least = 0.2, 0.05  # not told
    expected = np.sqrt(2 * noise**2 / 2 + of_tx**2 / 2 + 2 * least**2)
    assert seen["loss_sigma_db"] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("offset", [-3.0, 3.0])
def test_a_monitor_that_is_off_by_three_db_says_nothing(offset: float) -> None:
    seen = look(readings([-5.0 + offset] * 15), past(rx=-5.0 + offset))
    assert abs(seen["loss_change_db"]) < 0.05
    assert not seen["stepped"]


def test_a_temperature_sine_and_drift_raise_nothing() -> None:
    def swing(back: float) -> float:
        return -5.0 + 0.4 * float(np.sin(2 * np.pi * back / 24)) - 0.0005 * (72 - back)

    for hour in range(24):
        seen = look(readings([swing(-hour)] * 15), past(rx=swing))
        assert not seen["stepped"]


def test_a_step_inside_all_limits_is_seen_through_noise_and_quantisation() -> None:
    dice = np.random.default_rng(3)
    series = np.round(np.r_[dice.normal(-5.0, 0.2, 20), dice.normal(-6.5, 0.2, 10)], 1)
    seen = look(readings(series), past(rx=lambda _: float(dice.normal(-5.0, 0.06))))
    assert seen["loss_change_db"] == pytest.approx(1.5, abs=0.25)
    assert seen["stepped"]


def test_noise_alone_is_no_step() -> None:
    dice = np.random.default_rng(4)
    for _ in range(20):
        seen = look(
            readings(np.round(dice.normal(-5.0, 0.5, 30), 1)),
            past(rx=lambda _: float(dice.normal(-5.0, 0.15))),
        )
        assert not seen["stepped"]


def test_a_weaker_transmitter_is_not_light_lost_on_the_way() -> None:
    seen = look(readings([-7.0] * 10, tx=-4.0), past())
    assert abs(seen["loss_change_db"]) < 0.05
    assert seen["tx_change_db"] == pytest.approx(-2.0, abs=0.05)


def test_without_the_far_transmitter_the_receiver_alone_is_judged() -> None:
    optics, hours = readings([-7.0] * 10), past()
    seen = look(optics[optics["device"] == "b"], hours)
    assert seen["loss_change_db"] == pytest.approx(2.0, abs=0.05)
    assert np.isnan(seen["tx_change_db"])


def test_a_dark_port_says_nothing() -> None:
    seen = look(readings([None] * 5, no_light=True), past())
    assert seen["dark"]
    assert not seen["known"]
    assert not seen["stepped"]


@pytest.mark.parametrize("status", [{"admin_status": "down"}, {"oper_status": "down"}])
def test_a_shut_port_says_nothing(status: dict[str, str]) -> None:
    seen = look(readings([-25.9] * 10), past(), {"device": "b", "if_name": "q"} | status)
    assert not seen["known"]


def test_a_swapped_module_has_no_past() -> None:
    optics = readings([-5.0] * 5 + [-7.0] * 5)
    serials = ["old"] * 10 + ["new"] * 10
    optics["module_serial"] = pd.Series(serials, dtype=optics["module_serial"].dtype)
    assert not look(optics, past())["known"]


def test_another_module_at_the_sending_end_is_no_light_lost_on_the_way() -> None:
    optics = readings([-5.0] * 5 + [-7.0] * 5)
    sending = optics["device"] == "a"
    serials = np.where(sending, np.where(np.arange(len(optics)) < 10, "old", "new"), "mine")
    optics["module_serial"] = pd.Series(serials, dtype=optics["module_serial"].dtype)
    seen = look(optics, past())
    assert not seen["known"]
    assert not seen["stepped"]


def test_without_a_past_nothing_is_known() -> None:
    assert not look(readings([-9.0] * 10), past(hours=3))["known"]
    assert not look(frames.empty("optics"), past())["known"]


def test_the_weakest_lane_speaks_for_the_link() -> None:
    optics, hours = readings([-5.0] * 10), past()
    second = readings([-7.5] * 10).assign(lane=2)
    seen = look(pd.concat([optics, second]), pd.concat([hours, past().assign(lane=2)]))
    assert seen["lane"] == 2


def test_more_lost_light_is_more_evidence_and_none_is_evidence_against() -> None:
    nats = log_bayes_factor(np.array([-0.5, 0.0, 1.0, 2.0]), np.full(4, 0.3), 2.0, 12.0)
    assert (np.diff(nats) > 0).all()
    assert nats[0] < 0
    assert nats[1] < 0
