"""How well each directed link carries packets: corruption apart from congestion.

Errors are counted at the receiving end, discards at the sending one:

    errors  ~ Poisson(packets · (floor + q)),   q | data ~ Gamma     (the rate of corruption)

A cut-through switch passes bad frames on, so errors behind one may have come in at its other ports:
``passed_on`` bounds them, and only what exceeds the bound is the link's own. Not measured is
unknown, not healthy. Page: docs/algorithms/health.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import gammaincinv

from correlator.engine import tally

Floats = npt.NDArray[np.float64]

PLACE = ["device", "if_name"]
RECEIVER = ["receiver_device", "receiver_if_name"]
SENDER = ["sender_device", "sender_if_name"]


@dataclass(frozen=True)
class Params:
    """What counts as sick."""

    floor_rate: float = 1e-7  # what a link without a past is taken to lose; half an event's weight
    floor_shape: float = 10.0  # a floor is trusted to ± 30 % at best: hours differ
    sick_error_rate: float = (
        5e-6  # well above good links (up to 1e-6); LinkGuardian (SIGCOMM 2023) flags 1e-6
    )
    sick_discard_rate: float = 1e-4
    credibility: float = 0.999  # of the one-sided bounds


def health(
    directed: pd.DataFrame,
    moved: pd.DataFrame,
    devices: pd.DataFrame,
    link_hours: pd.DataFrame,
    since: datetime,
    params: Params | None = None,
) -> pd.DataFrame:
    """Return ``directed`` with what each directed link did after ``since``, row for row.

    Added columns: packets, errors (at the receiver), passed_on (at most so many errors came through
    the sender), error_floor and floor_shape (its own past), error_rate with error_low and
    error_high, sick; sent, discards, discard_floor, discard_rate, discard_low, dropping;
    utilisation (highest reading of the sender's egress, else of the receiver's ingress);
    error_onset and discard_onset: since when without a pause. NaN and False where nothing was
    measured; errors_known and discards_known say so.
    """
    params = params or Params()
    places, number = tally.numbered(moved, PLACE)
    late = (moved["until"] > pd.Timestamp(since)).to_numpy(dtype=bool)
    sums = _sums(moved, places, np.where(late, number, -1))
    pasts = [_past(link_hours, metric, params) for metric in ("errors", "discards")]
    told = [one.set_index(PLACE) for one in (sums, *pasts)]
    receiver, sender = (_at(directed, ends, told) for ends in (RECEIVER, SENDER))
    table = _add_errors(directed.copy(), receiver, params)
    table = _add_passed_on(table, sums, sender, devices)
    table = _add_discards(table, sender, receiver, params)
    movements = (moved, places, number)
    table["error_onset"] = _onsets(
        table, RECEIVER, movements, "in_errors", "in_packets", table["error_floor"], params
    )
    table["discard_onset"] = _onsets(
        table, SENDER, movements, "out_discards", "out_packets", table["discard_floor"], params
    )
    return _judged(table, params)


def _sums(moved: pd.DataFrame, places: pd.DataFrame, number: tally.Ints) -> pd.DataFrame:
    """Return, by interface, the sums over the window; NaN where nothing told.

    ``number``: the interface of each movement, −1 of those before the window.
    """
    table = places.copy()
    for column in ("in_packets", "in_errors", "out_packets", "out_discards"):
        values = moved[column].to_numpy(dtype=np.float64, na_value=np.nan)
        told = tally.total(np.isfinite(values), number, len(table)) > 0
        table[column] = np.where(told, tally.total(values, number, len(table)), np.nan)
    for column in ("utilisation_in", "utilisation_out"):
        table[column] = -tally.least(-moved[column].to_numpy(), number, len(table))
    return table


def _past(link_hours: pd.DataFrame, metric: str, params: Params) -> pd.DataFrame:
    """Return, by interface, the floor: the rate of its past with half an event of a clean link added."""
    hours = link_hours[link_hours["metric"] == metric]
    table, number = tally.numbered(hours, PLACE)
    twice = pd.DataFrame({"number": number, "hour": hours["hour"].array}).duplicated(keep="last").to_numpy()
    number = np.where(twice, -1, number)
    count = tally.total(hours["count"], number, len(table))
    exposure = tally.total(hours["exposure"], number, len(table))
    table[f"{metric}_floor"] = (count + 0.5) / (exposure + 0.5 / params.floor_rate)
    table[f"{metric}_shape"] = 1.0 / (1.0 / (count + 0.5) + 1.0 / params.floor_shape)
    return table


def _at(directed: pd.DataFrame, ends: list[str], told: list[pd.DataFrame]) -> pd.DataFrame:
    """Return, row for row of ``directed``, what the tables (by interface) tell of one of the link's ends."""
    places = pd.MultiIndex.from_frame(directed[ends])
    answer = pd.DataFrame(index=directed.index)
    for table in told:
        values = table.to_numpy(dtype=np.float64)
        values = np.vstack([values, np.full(values.shape[1], np.nan)])[table.index.get_indexer(places)]
        answer[table.columns] = values
    return answer


def _add_errors(table: pd.DataFrame, receiver: pd.DataFrame, params: Params) -> pd.DataFrame:
    table["errors"] = receiver["in_errors"]
    table["packets"] = receiver["in_packets"] + receiver["in_errors"]
    table["errors_known"] = table["packets"].notna()
    table["error_floor"] = receiver["errors_floor"].fillna(params.floor_rate)
    table["floor_shape"] = receiver["errors_shape"].fillna(0.5)
    return table


def _add_passed_on(
    table: pd.DataFrame, sums: pd.DataFrame, sender: pd.DataFrame, devices: pd.DataFrame
) -> pd.DataFrame:
    """Add how many of the errors may have come in at the sender's other ports.

    Only a switch that is known to store and forward stops bad frames; of one whose mode nobody
    configured it cannot be said, and an innocent link must not be blamed.
    """
    came_in = sums.groupby("device")["in_errors"].sum()
    stops = devices.loc[devices["forwarding"] == "store_and_forward", "device"]
    total = table["sender_device"].map(came_in).astype("float64").fillna(0.0)
    total = total.where(~table["sender_device"].isin(stops), 0.0)
    own_port = sender["in_errors"].fillna(0.0)
    table["passed_on"] = np.minimum((total - own_port).clip(lower=0.0), table["errors"].fillna(0.0))
    return table


def _add_discards(
    table: pd.DataFrame, sender: pd.DataFrame, receiver: pd.DataFrame, params: Params
) -> pd.DataFrame:
    table["discards"] = sender["out_discards"]
    table["sent"] = sender["out_packets"] + sender["out_discards"]
    table["utilisation"] = sender["utilisation_out"].fillna(receiver["utilisation_in"])
    table["discards_known"] = table["sent"].notna()
    table["discard_floor"] = sender["discards_floor"].fillna(params.floor_rate)
    return table


def _judged(table: pd.DataFrame, params: Params) -> pd.DataFrame:
    own = (table["errors"] - table["passed_on"]).to_numpy()
    packets, sent = table["packets"].to_numpy(), table["sent"].to_numpy()
    table["error_rate"] = own / np.where(packets > 0, packets, np.nan)
    table["error_low"] = _bound(own, packets, 1.0 - params.credibility)
    table["error_high"] = _bound(table["errors"].to_numpy() + 0.5, packets, params.credibility)
    table["sick"] = (table["error_low"] > params.sick_error_rate).fillna(False).astype(bool)
    discards = table["discards"].to_numpy()
    table["discard_rate"] = discards / np.where(sent > 0, sent, np.nan)
    table["discard_low"] = _bound(discards, sent, 1.0 - params.credibility)
    table["dropping"] = (table["discard_low"] > params.sick_discard_rate).fillna(False).astype(bool)
    return table


def _bound(count: Floats, exposure: Floats, quantile: float) -> Floats:
    """Return a quantile of the rate's Gamma posterior; 0 for the lower bound of nothing."""
    shape = np.where(count > 0, count, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        bound: Floats = gammaincinv(shape, quantile) / np.where(exposure > 0, exposure, np.nan)
    return np.where(count == 0, 0.0, bound)


def _onsets(
    table: pd.DataFrame,
    ends: list[str],
    movements: tuple[pd.DataFrame, pd.DataFrame, tally.Ints],
    bad: str,
    good: str,
    floor: pd.Series[Any],
    params: Params,
) -> pd.Series[Any]:
    """Return since when each link's counter has been above its floor: where the evidence from the end peaks.

    The score of an interval is the log-likelihood ratio of the newest rate against ten times the
    floor; the onset is the start that makes the sum up to now largest (CUSUM, Page 1954). Where the
    counter stood still all the time no sum is above 0. ``movements``: they, their interfaces, and each one's.
    """
    moved, places, number = movements
    counted = tally.any_of((moved[bad] > 0).fillna(False), number, len(places))
    place = tally.find_columns([table[end] for end in ends], [places[key] for key in PLACE])
    links = pd.DataFrame({"number": table.index, "floor": floor, "place": place})
    links = links[np.append(counted, False)[place]]
    rows = moved[["since", bad, good]].assign(place=number)
    rows = links.merge(rows[np.append(counted, False)[number]], on="place")
    count = rows[bad].astype("float64").fillna(0.0)
    exposure = count + rows[good].astype("float64").fillna(0.0)
    low = np.maximum(10.0 * rows["floor"], params.sick_error_rate / 10.0)
    high = np.maximum((count / exposure.clip(lower=1.0)).groupby(rows["number"]).transform("max"), 2.0 * low)
    rows["score"] = count * np.log(high / low) - exposure * (high - low)
    rows = rows.sort_values(["number", "since"], ascending=[True, False], kind="stable")
    rows["sum"] = rows.groupby("number")["score"].cumsum()
    best = rows.loc[rows.groupby("number")["sum"].idxmax()]
    best = best[best["sum"] > 0.0].set_index("number")
    return best["since"].reindex(table.index)
