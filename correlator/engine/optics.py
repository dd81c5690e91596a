"""Light lost on the way, per directed link and lane, against the link's own past.

    L = Tx_far − Rx_near,   change = (Tx_far − its usual) − (Rx_near − its usual)      [dB]

Monitors are off by up to ±3 dB but steady, so the change is evidence and the level is not. A dark
or shut port says nothing. Page: docs/algorithms/optics.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from correlator.engine.lanes import Lanes
from correlator.engine.lanes import Params as LaneParams

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SENDER = ["sender_device", "sender_if_name"]
RECEIVER = ["receiver_device", "receiver_if_name"]


@dataclass(frozen=True)
class Params:
    """How much a change of light says."""

    typical_loss_db: float = 2.0  # mean of the exponential prior of what dirt takes (1 to 4 seen)
    most_nats: float = 12.0  # no light alone makes more than 1 in 160,000 certain
    step_db: float = 1.0  # a finding by light alone
    step_sigmas: float = 6.0
    step_readings: int = 3


def light(
    directed: pd.DataFrame, lanes: Lanes, of_lanes: LaneParams, params: Params | None = None
) -> pd.DataFrame:
    """Return one row a directed link and lane at which its receiver reads light.

    Columns: number (row of ``directed``), lane, dark, rx_power_dbm and tx_power_dbm (now) with
    rx_usual_dbm and tx_usual_dbm, loss_change_db (positive: light is lost on the way), loss_sigma_db,
    tx_change_db, tx_sigma_db, own_tx_change_db and own_tx_sigma_db (what the receiving module sends
    itself), other_change_db and other_sigma_db (the same loss in the other
    direction), all since one start, that of Rx; onset, readings, known (False: no past, no reading, or
    a dark or shut port), nats (log Bayes factor of light lost on the way), stepped (a finding by
    itself). NaN where unknown.
    """
    off, back = lanes.rx.course(of_lanes)
    start, all_of_them = np.where(np.isfinite(back), back, off), np.full(len(off), np.nan)
    return _over(directed, lanes, start, all_of_them, of_lanes, params or Params())


def while_off(
    directed: pd.DataFrame, lanes: Lanes, of_lanes: LaneParams, params: Params | None = None
) -> pd.DataFrame:
    """Return the columns of ``light`` as they were while it was off, of lanes whose light has come back.

    A cause is judged by the light that there was while packets were lost, not by that after a repair.
    """
    off, back = lanes.rx.course(of_lanes)
    return _over(directed, lanes, off, back, of_lanes, params or Params(), np.isfinite(back))


def _over(
    directed: pd.DataFrame,
    lanes: Lanes,
    start: Floats,
    until: Floats,
    of_lanes: LaneParams,
    params: Params,
    chosen: npt.NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Return the light of lanes (all, or the chosen) from ``start`` on and before ``until``."""
    table, near, far = _ends(directed, lanes, chosen)
    other_module = (far >= 0) & lanes.keys["swapped"].to_numpy(dtype=bool)[far] if len(far) else far >= 0
    start, until = (start[near], until[near]) if len(near) else (np.empty(0), np.empty(0))
    rx = lanes.rx.since(near, start, until, True, of_lanes)
    tx = lanes.tx.since(far, start, until, False, of_lanes)
    back_rx = lanes.rx.since(far, start, until, False, of_lanes)
    back_tx = lanes.tx.since(near, start, until, False, of_lanes)
    table["rx_power_dbm"] = lanes.rx.usual[near] + rx.change
    table["rx_usual_dbm"] = lanes.rx.usual[near]
    usual = np.where(far >= 0, lanes.tx.usual[far], np.nan)
    table["tx_power_dbm"], table["tx_usual_dbm"] = usual + tx.change, usual
    # another module sends another power: what arrives has no usual any more
    table["loss_change_db"] = np.where(other_module, np.nan, np.nan_to_num(tx.change) - rx.change)
    table["loss_sigma_db"] = np.hypot(rx.sigma, np.nan_to_num(tx.sigma))
    table["tx_change_db"], table["tx_sigma_db"] = tx.change, tx.sigma
    table["own_tx_change_db"], table["own_tx_sigma_db"] = back_tx.change, back_tx.sigma
    table["other_change_db"] = np.nan_to_num(back_tx.change) - back_rx.change
    table["other_sigma_db"] = np.hypot(back_rx.sigma, np.nan_to_num(back_tx.sigma))
    table["readings"] = rx.readings
    return _judged(table, pd.Series(pd.to_datetime(start, unit="us", utc=True)).dt.as_unit("us"), params)


def strongest(light: pd.DataFrame, links: int) -> pd.DataFrame:
    """Return one row a directed link: its lane with the strongest evidence; NaN and False where unknown."""
    order = light.sort_values(["number", "nats"], ascending=[True, False], kind="stable", na_position="last")
    table = order.drop_duplicates("number").set_index("number").reindex(np.arange(links))
    flags = ["dark", "known", "stepped"]
    table[flags] = table[flags].astype("boolean").fillna(False).astype(bool)
    return table


def stronger(light: pd.DataFrame, than: pd.DataFrame) -> pd.DataFrame:
    """Return those rows of ``strongest`` for ``light`` whose evidence is stronger than in ``than``."""
    table = strongest(light, len(than))
    return table[table["nats"] > than["nats"].fillna(-np.inf)]


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


def _ends(
    directed: pd.DataFrame, lanes: Lanes, chosen: npt.NDArray[np.bool_] | None
) -> tuple[pd.DataFrame, Ints, Ints]:
    """Return every lane at a receiver (number, lane, dark), its row, and that of the sender's same lane."""
    ends = directed[[*SENDER, *RECEIVER]].assign(number=directed.index)
    keys = lanes.keys if chosen is None else lanes.keys[chosen]
    keys = keys.reset_index(names="near").rename(columns={"device": RECEIVER[0], "if_name": RECEIVER[1]})
    table = ends.merge(keys, on=RECEIVER)
    far = lanes.find(table[SENDER[0]], table[SENDER[1]], table["lane"])
    return table[["number", "lane", "dark"]].copy(), table["near"].to_numpy(dtype=np.int64), far


def _judged(table: pd.DataFrame, start: pd.Series[pd.Timestamp], params: Params) -> pd.DataFrame:
    change, sigma = table["loss_change_db"].to_numpy(), table["loss_sigma_db"].to_numpy()
    table["known"] = np.isfinite(change) & np.isfinite(sigma)
    table["nats"] = log_bayes_factor(change, sigma, params.typical_loss_db, params.most_nats)
    big = (change >= params.step_db) & (change >= params.step_sigmas * sigma)
    table["stepped"] = big & (table["readings"].to_numpy() >= params.step_readings)
    table["onset"] = start.where(table["known"] & (change >= 3.0 * sigma))
    return table
