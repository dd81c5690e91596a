"""Light by lane: readings against their usual, and since when they have been off.

Arrays are lanes × readings, the newest reading first, NaN where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from correlator.engine import tally

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

PLACE = ["device", "if_name"]
LANE = [*PLACE, "lane"]
POWERS = ("rx_power_dbm", "tx_power_dbm")
SQUARED = {"rx_power_dbm": "rx_power_squared", "tx_power_dbm": "tx_power_squared"}  # their squares' metrics
MAD_TO_SIGMA = 1.4826
HOUR = timedelta(hours=1)
BIWEIGHT = 4.685  # scales off, from which on an hour has no say (95 % efficiency for normal noise)


@dataclass(frozen=True)
class Params:
    """What is usual of a lane, and how far one reading can be believed."""

    past: timedelta = timedelta(hours=72)  # whole days, for temperature
    least_hours: int = 6  # fewer hours are no past
    least_hours_of_days: int = 36  # fewer hours show no daily wave
    rounds: int = 4  # of reweighting
    least_sigma_db: float = 0.05  # quantisation of 0.1 dB and less
    usual_noise_db: float = 0.2  # of one reading, where nothing tells (0.05 to 0.5 seen)
    back_sigmas: float = 5.0  # by which readings that are back differ from those before
    least_readings: int = 2  # that make a now, where there are as many: one alone is picked too easily


@dataclass(frozen=True)
class Change:
    """How far power is from usual, with its standard error and the number of readings; NaN unknown."""

    change: Floats
    sigma: Floats
    readings: Floats


@dataclass(frozen=True)
class Power:
    """One side's power of every lane: distance from usual, when read, usual, and what it varies by, dB."""

    off: Floats
    at: Floats
    usual: Floats
    spread: Floats
    noise: Floats

    def course(self, params: Params) -> tuple[Floats, Floats]:
        """Return since when each lane has been off, and since when it has been back, as times of ``at``.

        Off: the reading from which on the squared distance from usual, summed back from the newest, gains
        most over staying at usual (CUSUM, Page 1954). Back: where the newest of these readings are nearer
        to usual by half at least, the reading from which on they are (binary segmentation, Scott and
        Knott 1974): a repair need not outlast the fault to be seen. NaN where nothing is known, or not so.
        """
        if not self.off.size:
            return np.full(len(self.off), np.nan), np.full(len(self.off), np.nan)
        told = np.isfinite(self.off)
        count = told.cumsum(axis=1)
        mean = np.where(told, self.off, 0.0).cumsum(axis=1) / np.maximum(count, 1)
        enough = told & (count >= np.minimum(params.least_readings, count[:, -1:]))
        start = np.argmax(np.where(enough, count * mean**2, -1.0), axis=1)
        back = self._back(start, enough, count, mean, params)
        lane, known = np.arange(len(start)), told.any(axis=1)
        since = np.where(known, self.at[lane, start], np.nan)
        return since, np.where(known & (back >= 0), self.at[lane, back], np.nan)

    def _back(self, start: Ints, enough: Flags, count: Ints, mean: Floats, params: Params) -> Ints:
        """Return the reading from which on those since ``start`` are back, −1 where they are not."""
        lane = np.arange(len(start))
        whole, level = count[lane, start][:, None], mean[lane, start][:, None]
        older = whole - count
        with np.errstate(divide="ignore", invalid="ignore"):
            before = (whole * level - count * mean) / older
            gain = count * older / whole * (mean - before) ** 2 / self.noise[:, None] ** 2
        nearer = enough & (older >= params.least_readings) & (np.abs(mean) < np.abs(before) / 2.0)
        gain = np.where(nearer, gain, 0.0)
        best = np.argmax(gain, axis=1)
        answer: Ints = np.where(gain[lane, best] >= params.back_sigmas**2, best, -1)
        return answer

    def since(self, lanes: Ints, start: Floats, until: Floats, picked: bool, params: Params) -> Change:
        """Return the change of ``lanes`` (−1: none) from ``start`` on, of the newest readings at least.

        ``until``: readings from then on do not count; NaN for all. ``picked``: the start was chosen for
        this very power, because its change looks largest from there on; twice the noise pays for that.
        """
        off = np.where((lanes >= 0)[:, None], self.off[lanes], np.nan)
        told = np.isfinite(off) & ~(self.at[lanes] >= until[:, None])
        newest = told.cumsum(axis=1) <= params.least_readings
        used = told & ((self.at[lanes] >= start[:, None]) | newest)
        readings = used.sum(axis=1)
        count = np.where(readings > 0, readings, np.nan)
        noise = self.noise[lanes] ** 2 * (2.0 if picked else 1.0) / count
        sigma = np.sqrt(noise + self.spread[lanes] ** 2 + params.least_sigma_db**2)
        return Change(np.where(used, off, 0.0).sum(axis=1) / count, sigma, count)


@dataclass(frozen=True)
class Lanes:
    """Every lane that was read: ``keys`` (device, if_name, lane, dark, swapped), received and sent power.

    Lanes that are dark, whose port is shut or down, or whose module was swapped are off by NaN.
    """

    keys: pd.DataFrame
    rx: Power
    tx: Power

    def find(self, devices: pd.Series[Any], if_names: pd.Series[Any], lanes: pd.Series[Any]) -> Ints:
        """Return the row of each lane that is asked for, −1 where it was not read."""
        known = pd.MultiIndex.from_frame(self.keys[LANE])
        found: Ints = known.get_indexer(pd.MultiIndex.from_arrays([devices, if_names, lanes], names=LANE))
        return found.astype(np.int64)


def read_lanes(
    optics: pd.DataFrame,
    past: pd.DataFrame,
    interfaces: pd.DataFrame,
    now: datetime,
    params: Params | None = None,
) -> Lanes:
    """Return the lanes of the window's readings against their past; lane 0, the module, is left out.

    ``past``: what ``usual_light`` made of optics_hours, or these themselves.
    """
    params = params or Params()
    past = usual_light(past, now, params) if "hour" in past.columns else past
    rows = (
        optics[optics["lane"] > 0]
        .dropna(subset=PLACE)
        .sort_values([*LANE, "at"], ascending=[True, True, True, False])
    )
    rows = rows.drop_duplicates([*LANE, "at"])
    lane: Any = rows.groupby(LANE, sort=False).ngroup().to_numpy()
    newest = rows[np.diff(lane, prepend=-1) != 0].reset_index(drop=True)
    keys: pd.DataFrame = newest[LANE].assign(dark=newest["no_light"].fillna(False).astype(bool))
    swapped = rows.groupby(lane)["module_serial"].nunique().to_numpy() > 1
    keys["swapped"] = swapped
    silent = keys["dark"].to_numpy() | swapped | _shut(keys, interfaces)
    back: Any = np.arange(len(lane)) - np.searchsorted(lane, lane)
    microseconds: Any = rows["at"].astype("int64")
    at = _by_lane(microseconds.to_numpy(dtype=np.float64), lane, back)
    place = tally.find(keys, past, LANE)
    powers = []
    for metric in POWERS:
        usual, spread, noise = (
            np.append(past[f"{metric}_{what}"].to_numpy(), np.nan)[place]
            for what in ("usual", "spread", "noise")
        )
        power = _by_lane(rows[metric].to_numpy(), lane, back)
        off = np.where(silent[:, None], np.nan, power - usual[:, None])
        powers.append(Power(off, at, usual, spread, _noise(power, noise, params)))
    return Lanes(keys, *powers)


def _by_lane(values: Floats, lane: Ints, back: Ints) -> Floats:
    table = np.full((lane.max(initial=-1) + 1, back.max(initial=-1) + 1), np.nan)
    table[lane, back] = values
    return table


def usual_light(optics_hours: pd.DataFrame, now: datetime, params: Params | None = None) -> pd.DataFrame:
    """Return one row a lane of the last days' hours: LANE; of rx and tx power _usual, _spread and _noise, dB.

    The usual is that of this hour of the day, and the same for every moment of it; the noise is that of
    one reading. NaN where there are too few hours.
    """
    params = params or Params()
    hour = pd.Timestamp(now).floor("h")
    told = optics_hours["metric"].isin([*POWERS, *SQUARED.values()]) & (optics_hours["count"] > 0)
    hours = optics_hours[told & (optics_hours["hour"] >= hour - params.past)]
    keys, number = tally.numbered(hours, LANE)
    mean = hours["sum"] / hours["count"]
    back: Any = (hour - hours["hour"]).dt.total_seconds() // 3600
    table = pd.DataFrame({"number": number, "metric": hours["metric"], "back": back, "mean": mean})
    table = table.assign(back=table["back"].astype("int64"), count=hours["count"].to_numpy())
    kept = table[(table["number"] >= 0) & (table["back"] >= 0)]
    table = kept.drop_duplicates(["number", "metric", "back"], keep="last")
    for metric in POWERS:
        mine, squared = (table[table["metric"] == name] for name in (metric, SQUARED[metric]))
        means = _by_hour(mine, "mean", len(keys), params)
        keys[f"{metric}_usual"], keys[f"{metric}_spread"] = _usual(means, params)
        squares, count = (_by_hour(squared, what, len(keys), params) for what in ("mean", "count"))
        keys[f"{metric}_noise"] = _noise_of_hours(means, squares, count)
    return keys


def _by_hour(hours: pd.DataFrame, column: str, lanes: int, params: Params) -> Floats:
    """Return lanes × hours, those back from now; NaN where an hour tells nothing."""
    table = np.full((lanes, round(params.past / HOUR) + 1), np.nan)
    table[hours["number"], hours["back"]] = hours[column].to_numpy()
    return table


def _noise_of_hours(means: Floats, squares: Floats, count: Floats) -> Floats:
    """Return, by lane, the standard deviation of the readings of the middle hour of those that tell it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (squares - means**2) * count / (count - 1.0)
    return np.sqrt(np.maximum(_median(np.where(count > 1.0, variance, np.nan)), 0.0))


def _usual(table: Floats, params: Params) -> tuple[Floats, Floats]:
    """Return what each lane's hourly means say of now, and their robust spread; NaN where too few.

        mean(hour) = level + a · sin(2π hour / 24) + b · cos(2π hour / 24)

    The level is the median, the daily wave what the hours say that are near it (biweight, Tukey), where
    days enough are known.
    """
    known = np.isfinite(table)
    count = known.sum(axis=1)
    level = _median(table)
    angle = -2.0 * np.pi * np.arange(table.shape[1]) / 24.0
    basis = np.stack([np.sin(angle), np.cos(angle), np.ones_like(angle)])
    wave = _wave(table - level[:, None], basis, params)
    wave[count < params.least_hours_of_days] = 0.0
    left = table - level[:, None] - wave @ basis
    off = _median(left)
    spread = MAD_TO_SIGMA * _median(np.abs(left - off[:, None]))
    now = level + off + wave[:, 1]
    enough = count >= params.least_hours
    return np.where(enough, now, np.nan), np.where(enough, spread, np.nan)


def _wave(off: Floats, basis: Floats, params: Params) -> Floats:
    """Return sine, cosine and 0 of each lane's daily wave, by reweighted least squares."""
    squares = (basis[:, None] * basis).reshape(9, -1)
    wave = np.zeros((len(off), 3))
    known = np.isfinite(off)
    for _ in range(params.rounds):
        left = off - wave @ basis
        scale = np.maximum(MAD_TO_SIGMA * _median(np.abs(left)), params.least_sigma_db)
        weight = np.clip(1.0 - (left / (BIWEIGHT * scale[:, None])) ** 2, 0.0, None) ** 2
        weight = np.where(known, weight, 0.0)
        matrix = (weight @ squares.T).reshape(-1, 3, 3) + 1e-6 * np.eye(3)
        wave[:] = np.linalg.solve(matrix, ((weight * np.nan_to_num(off)) @ basis.T)[..., None])[..., 0]
    wave[:, 2] = 0.0
    return wave


def _median(table: Floats) -> Floats:
    """Return each row's median without its NaN; NaN for a row of nothing else."""
    answer = np.full(len(table), np.nan)
    told = np.isfinite(table).any(axis=1)
    if told.any():
        answer[told] = np.nanmedian(table[told], axis=1)
    return answer


def _noise(power: Floats, past: Floats, params: Params) -> Floats:
    """Return, by lane, the noise of one reading: the past's, or the window's where that is greater.

    The window's is that of neighbours' differences, which a step hardly moves; few do not tell it.
    """
    difference = np.abs(np.diff(power, axis=1))
    noise = MAD_TO_SIGMA / np.sqrt(2.0) * _median(difference)
    enough = np.isfinite(difference).sum(axis=1) >= 4
    told = np.fmax(np.where(enough, noise, np.nan), past)
    return np.maximum(np.where(np.isfinite(told), told, params.usual_noise_db), params.least_sigma_db)


def _shut(keys: pd.DataFrame, interfaces: pd.DataFrame) -> npt.NDArray[np.bool_]:
    up = (interfaces["admin_status"].fillna("up") == "up") & (interfaces["oper_status"].fillna("up") == "up")
    ports = pd.MultiIndex.from_frame(interfaces.loc[~up, PLACE])
    answer: npt.NDArray[np.bool_] = pd.MultiIndex.from_frame(keys[PLACE]).isin(ports)
    return answer
