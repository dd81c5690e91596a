"""Light lost on the way, per directed link and lane, against the link's own past.

    L = Tx_far − Rx_near,   change = (Tx_far − its usual) − (Rx_near − its usual)      [dB]

Monitors are off by up to ±3 dB but steady, so the change is evidence and the level is not. A dark
or shut port says nothing. Page: docs/algorithms/optics.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PLACE = ["device", "if_name"]
LANE = [*PLACE, "lane"]
MAD_TO_SIGMA = 1.4826
LEAST_READINGS = 2  # that make a now, where there are as many: one alone is picked too easily


@dataclass(frozen=True)
class Params:
    """How light is judged against its past."""

    past: timedelta = timedelta(hours=72)  # whole days, for temperature
    least_hours: int = 6  # fewer hours are no past
    least_sigma_db: float = 0.05  # quantisation of 0.1 dB and less
    usual_noise_db: float = 0.2  # of one reading, where too few tell (0.05 to 0.5 seen)
    typical_loss_db: float = 2.0  # mean of the exponential prior of what dirt takes (1 to 4 seen)
    most_nats: float = 12.0  # no light alone makes more than 1 in 160,000 certain
    step_db: float = 1.0  # a finding by light alone
    step_sigmas: float = 6.0


def light(
    directed: pd.DataFrame,
    optics: pd.DataFrame,
    optics_hours: pd.DataFrame,
    interfaces: pd.DataFrame,
    now: datetime,
    params: Params | None = None,
) -> pd.DataFrame:
    """Return one row a directed link and lane at which its receiver reads light.

    Columns: number (row of ``directed``), lane, rx_power_dbm, rx_usual_dbm, tx_power_dbm,
    tx_usual_dbm, loss_change_db (positive: light is lost), loss_sigma_db, tx_change_db,
    tx_sigma_db, onset, readings, known (False: no past, no reading, or a dark or shut port), dark, nats
    (log Bayes factor of light lost on the way), stepped (a finding by itself). NaN where unknown.
    """
    params = params or Params()
    lanes = _lanes(optics, optics_hours, interfaces, now, params)
    return _link_light(directed, lanes, params)


def strongest(light: pd.DataFrame, links: int) -> pd.DataFrame:
    """Return one row a directed link: its lane with the strongest evidence; NaN and False where unknown."""
    order = light.sort_values(["number", "nats"], ascending=[True, False], kind="stable", na_position="last")
    table = order.drop_duplicates("number").set_index("number").reindex(np.arange(links))
    flags = ["dark", "known", "stepped"]
    table[flags] = table[flags].astype("boolean").fillna(False).astype(bool)
    return table


def log_bayes_factor(change: Floats, sigma: Floats, typical_loss_db: float, most: float) -> Floats:
    """Return ln P(change | light lost) / P(change | nothing lost), arrays of one shape.

    Lost light is exponential with mean ``typical_loss_db``, the reading normal around it; the ratio
    is summed over a grid and capped at ±``most``: real monitors have other ways to move.
    """
    lost = np.linspace(0.25, 12.0, 48)
    weight = np.exp(-lost / typical_loss_db)
    weight /= weight.sum()
    exponent = (2.0 * change[..., None] * lost - lost**2) / (2.0 * sigma[..., None] ** 2)
    peak = exponent.max(axis=-1, keepdims=True)
    ratio = peak[..., 0] + np.log((weight * np.exp(exponent - peak)).sum(axis=-1))
    answer: Floats = np.clip(ratio, -most, most)
    return answer


def _lanes(
    optics: pd.DataFrame, optics_hours: pd.DataFrame, interfaces: pd.DataFrame, now: datetime, params: Params
) -> pd.DataFrame:
    """Return one row a lane: Rx and Tx now and usual, with sigmas; NaN where dark, shut or swapped."""
    readings = optics[optics["lane"] > 0].sort_values([*LANE, "at"], ascending=[True, True, True, False])
    readings = readings.drop_duplicates([*LANE, "at"])
    lane: Any = readings.groupby(LANE, sort=False).ngroup().to_numpy()
    newest = readings[np.diff(lane, prepend=-1) != 0].reset_index(drop=True)
    table: pd.DataFrame = newest[LANE].assign(dark=newest["no_light"].fillna(False).astype(bool))
    back: Any = np.arange(len(lane)) - np.searchsorted(lane, lane)
    microseconds: Any = readings["at"].astype("int64")
    at = _by_lane(microseconds.to_numpy(dtype=np.float64), lane, back)
    hours = _past(optics_hours, newest, now, params)
    for side in ("rx", "tx"):
        metric = f"{side}_power_dbm"
        usual, spread = _usual(hours[hours["metric"] == metric], len(newest), params)
        power = _by_lane(readings[metric].to_numpy(), lane, back)
        for name, values in _step(power, at, usual, spread, params).items():
            table[f"{side}_{name}"] = values
    swapped = readings.groupby(lane)["module_serial"].nunique().to_numpy() > 1
    silent = table["dark"].to_numpy() | swapped | _shut(table, interfaces)
    table.loc[silent, [name for name in table.columns if name.startswith(("rx_", "tx_"))]] = np.nan
    return table


def _by_lane(values: Floats, lane: Ints, back: Ints) -> Floats:
    """Return values as lanes × readings, the newest first, filled up with NaN."""
    table = np.full((lane.max(initial=-1) + 1, back.max(initial=-1) + 1), np.nan)
    table[lane, back] = values
    return table


def _past(optics_hours: pd.DataFrame, lanes: pd.DataFrame, now: datetime, params: Params) -> pd.DataFrame:
    """Return the last days' hourly means of light with the number of their lane: number, metric, mean."""
    told = optics_hours["metric"].isin(["rx_power_dbm", "tx_power_dbm"]) & (optics_hours["count"] > 0)
    hours = optics_hours[told & (optics_hours["hour"] >= pd.Timestamp(now) - params.past)]
    number = pd.MultiIndex.from_frame(lanes[LANE]).get_indexer(pd.MultiIndex.from_frame(hours[LANE]))
    mean = hours["sum"] / hours["count"]
    table = pd.DataFrame({"number": number, "metric": hours["metric"], "hour": hours["hour"], "mean": mean})
    return table[number >= 0].drop_duplicates(["number", "metric", "hour"], keep="last")


def _usual(hours: pd.DataFrame, lanes: int, params: Params) -> tuple[Floats, Floats]:
    """Return median and robust spread of each lane's hourly means; NaN where they are too few."""
    hours = hours.sort_values("number", kind="stable")
    number = hours["number"].to_numpy()
    table = np.full((lanes, 1 + int(np.bincount(number, minlength=1).max())), np.nan)
    table[number, np.arange(len(number)) - np.searchsorted(number, number)] = hours["mean"].to_numpy()
    median = _median(table)
    spread = MAD_TO_SIGMA * _median(np.abs(table - median[:, None]))
    enough = np.isfinite(table).sum(axis=1) >= params.least_hours
    return np.where(enough, median, np.nan), np.where(enough, spread, np.nan)


def _median(table: Floats) -> Floats:
    """Return each row's median without its NaN; NaN for a row of nothing else."""
    answer = np.full(len(table), np.nan)
    told = np.isfinite(table).any(axis=1)
    if told.any():
        answer[told] = np.nanmedian(table[told], axis=1)
    return answer


def _step(power: Floats, at: Floats, usual: Floats, spread: Floats, params: Params) -> dict[str, Any]:
    """Return, by lane: power now, usual, change, sigma of the change, number of readings, onset.

    *Now* begins where the sum of squared distances from usual, counted back from the newest
    reading, gains most over staying at usual (CUSUM, Page 1954).
    """
    if not power.size:
        names = ("power_dbm", "usual_dbm", "change", "sigma", "readings")
        return dict.fromkeys(names, np.nan) | {"onset": pd.NaT}
    off = power - usual[:, None]
    told = np.isfinite(off)
    count = told.cumsum(axis=1)
    change = np.where(told, off, 0.0).cumsum(axis=1) / np.maximum(count, 1)
    enough = told & (count >= np.minimum(LEAST_READINGS, told.sum(axis=1, keepdims=True)))
    start = np.argmax(np.where(enough, count * change**2, -1.0), axis=1)
    row = np.arange(len(power))
    readings = np.where(told.any(axis=1), count[row, start], np.nan)
    change = np.where(told.any(axis=1), change[row, start], np.nan)
    # twice the noise: the start was picked because the change from there on looks largest
    variance = 2.0 * _noise(power, params) ** 2 / readings + spread**2 + params.least_sigma_db**2
    return {
        "power_dbm": usual + change,
        "usual_dbm": usual,
        "change": change,
        "sigma": np.sqrt(variance),
        "readings": readings,
        "onset": pd.to_datetime(at[row, start], unit="us", utc=True),
    }


def _noise(power: Floats, params: Params) -> Floats:
    """Return, by lane, the noise of one reading: from neighbours' differences, which a step hardly moves."""
    difference = np.abs(np.diff(power, axis=1))
    noise = MAD_TO_SIGMA / np.sqrt(2.0) * _median(difference)
    enough = np.isfinite(difference).sum(axis=1) >= 4
    return np.maximum(np.where(enough, noise, params.usual_noise_db), params.least_sigma_db)


def _shut(lanes: pd.DataFrame, interfaces: pd.DataFrame) -> npt.NDArray[np.bool_]:
    shut = (interfaces["admin_status"].fillna("up") != "up") | (
        interfaces["oper_status"].fillna("up") != "up"
    )
    ports = pd.MultiIndex.from_frame(interfaces.loc[shut, PLACE])
    answer: npt.NDArray[np.bool_] = pd.MultiIndex.from_frame(lanes[PLACE]).isin(ports)
    return answer


def _link_light(directed: pd.DataFrame, lanes: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Return receiver's lanes beside the same lanes of the sender."""
    near = lanes[[*LANE, "dark", *_columns("rx", lanes)]]
    far = lanes[[*LANE, *_columns("tx", lanes)]]
    ends = directed[["sender_device", "sender_if_name", "receiver_device", "receiver_if_name"]]
    ends = ends.assign(number=directed.index)
    table = ends.merge(near, left_on=["receiver_device", "receiver_if_name"], right_on=PLACE).drop(
        columns=PLACE
    )
    table = table.merge(
        far,
        how="left",
        left_on=["sender_device", "sender_if_name", "lane"],
        right_on=LANE,
        suffixes=("", "_far"),
    )
    tx_change = table["tx_change"].fillna(0.0)
    tx_variance = table["tx_sigma"].fillna(0.0) ** 2
    answer = table[
        ["number", "lane", "dark", "rx_power_dbm", "rx_usual_dbm", "tx_power_dbm", "tx_usual_dbm"]
    ].copy()
    answer["loss_change_db"] = tx_change - table["rx_change"]
    answer["loss_sigma_db"] = np.sqrt(table["rx_sigma"] ** 2 + tx_variance)
    answer["tx_change_db"], answer["tx_sigma_db"] = table["tx_change"], table["tx_sigma"]
    answer["onset"], answer["readings"] = table["rx_onset"], table["rx_readings"]
    return _judged(answer, params)


def _columns(side: str, lanes: pd.DataFrame) -> list[Any]:
    return [name for name in lanes.columns if name.startswith(f"{side}_")]


def _judged(table: pd.DataFrame, params: Params) -> pd.DataFrame:
    change, sigma = table["loss_change_db"].to_numpy(), table["loss_sigma_db"].to_numpy()
    table["known"] = np.isfinite(change) & np.isfinite(sigma)
    table["nats"] = log_bayes_factor(change, sigma, params.typical_loss_db, params.most_nats)
    big = (change >= params.step_db) & (change >= params.step_sigmas * sigma)
    table["stepped"] = big & (table["readings"].to_numpy() >= 3)
    table["onset"] = table["onset"].where(table["known"] & (change >= 3.0 * sigma))
    return table
