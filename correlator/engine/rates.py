"""Counters become movements: what each interface saw between two readings.

    delta = (after - before) mod 2**width        (RFC 2578, 7.1.6 and 7.1.10)

An interval without a trustworthy movement is left out, never guessed. Page: docs/algorithms/rates.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from correlator.engine import tally

U64 = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PLACE = ["device", "if_name"]
BY_OCTETS_WIDTH = ("in_octets", "out_octets", "in_packets", "out_packets")
FRAMES = ("in_errors", "out_errors", "in_discards", "out_discards", "fcs_errors", "alignment_errors")
SYMBOLS = ("symbol_errors", "fec_corrected", "fec_uncorrected")
COUNTED = BY_OCTETS_WIDTH + FRAMES + SYMBOLS
PACKETS = ("in_packets", "out_packets")
WIDTHS = ("octets_width_bits", "errors_width_bits")
COLUMNS = (*PLACE, "if_index", "since", "until", "seconds", "speed_bps", *COUNTED)

ONE = np.uint64(1)
ALL_ONES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
FOUR_BYTES = np.uint64(2**32)
UPTIME_WRAPS_CS = 2.0**32  # TimeTicks, RFC 2578: 497 days


@dataclass(frozen=True)
class Params:
    """What makes a movement trustworthy."""

    unknown_speed_bps: float = 1.6e12  # the fastest Ethernet there is (IEEE 802.3dj), where speed is not told
    smallest_frame_bits: float = 672.0  # 64 octets with preamble and gap (IEEE 802.3)
    lateness_s: float = 10.0  # agents answer from caches that are seconds old
    margin: float = 1.1  # clocks and rounded speeds
    uptime_slack_s: float = 60.0  # how far sysUpTime may stray from the wall clock in an interval
    uptime_drift: float = 0.1  # and by how much it may run fast or slow


def wrapped_delta(before: U64, after: U64, width_bits: U64) -> U64:
    """Return how far each counter moved, as the counter itself would wrap.

    All three are uint64 arrays of one shape. Unsigned subtraction wraps at 64 bits by itself;
    narrower counters are masked down to their width.
    """
    mask = np.where(width_bits >= 64, ALL_ONES, (ONE << (width_bits % np.uint64(64))) - ONE)
    return (after - before) & mask


def rates(counters: pd.DataFrame, interfaces: pd.DataFrame, params: Params | None = None) -> pd.DataFrame:
    """Return one row an interface and interval: what moved between two neighbouring readings.

    ``counters`` and ``interfaces`` are tables of ``frames``. Columns of the answer: device, if_name,
    if_index, since, until, seconds, speed_bps, every counter's movement (UInt64, null where the
    device has none), utilisation_in and utilisation_out (0 to 1, NaN where the speed is unknown).
    No row spans a restart, a discontinuity, a change of if_index, or a movement that the
    interface's speed forbids (a cleared counter).
    """
    params = params or Params()
    before, after = _fresh(_ordered(counters))
    same = np.flatnonzero(_same_life(before, after, params))
    before, after = before.at(same), after.at(same)
    moved = pd.DataFrame({column: after[column].array for column in (*PLACE, "if_index")}, copy=False)
    moved["since"], moved["until"] = before["at"], after["at"]
    moved["seconds"] = (moved["until"] - moved["since"]).dt.total_seconds()
    moved["speed_bps"] = _speeds(moved, interfaces)
    possible = _add_movements(moved, before, after, params)
    return _with_utilisation(tally.only(moved, possible).reset_index(drop=True))


@dataclass(frozen=True)
class _Readings:
    """Some rows of the counters, in an order: a column is gathered when it is asked for."""

    counters: pd.DataFrame
    rows: Ints

    def __getitem__(self, column: str) -> pd.Series[Any]:
        return pd.Series(self.counters[column].array.take(self.rows))

    def at(self, places: Ints) -> _Readings:
        """Return those at some places."""
        return _Readings(self.counters, self.rows[places])


def _ordered(counters: pd.DataFrame) -> tuple[_Readings, Ints]:
    """Return the readings by interface and time, the last of those at one time, and each one's interface."""
    _, interface = tally.first_rows(counters, PLACE)
    order = np.lexsort((counters["at"].astype("int64").to_numpy(), interface))
    order = order[interface[order] >= 0]
    readings, interface = _Readings(counters, order), interface[order]
    at = readings["at"].astype("int64").to_numpy()
    once = np.ones(len(order), dtype=bool)
    once[:-1] = (interface[1:] != interface[:-1]) | (at[1:] != at[:-1])
    return readings.at(np.flatnonzero(once)), interface[once]


def _fresh(ordered: tuple[_Readings, Ints]) -> tuple[_Readings, _Readings]:
    """Return neighbouring readings, earlier and later, without those that an agent told from a stale cache.

    Where not one counter of a whole device has moved, the reading is an older one once more: it would
    show a standstill, and all that really moved as a spike in the next interval. A reading left out
    is like a missed poll: its movement is in the interval that spans it.
    """
    readings, interface = ordered
    second = np.flatnonzero(interface[1:] == interface[:-1]) + 1
    before, after = readings.at(second - 1), readings.at(second)
    still = np.arange(len(second))
    for column in COUNTED:
        still = still[_equal(before.at(still), after.at(still), column)]
    if not len(still):
        return before, after
    unmoved = pd.Series(np.isin(np.arange(len(second)), still))
    stale = unmoved.groupby([after["device"], after["at"]]).transform("all").to_numpy(dtype=bool)
    if not stale.any():
        return before, after
    fresh = np.ones(len(interface), dtype=bool)
    fresh[second[stale]] = False
    interface, readings = interface[fresh], readings.at(np.flatnonzero(fresh))
    second = np.flatnonzero(interface[1:] == interface[:-1]) + 1
    return readings.at(second - 1), readings.at(second)


def _same_life(before: _Readings, after: _Readings, params: Params) -> Flags:
    """Return where nothing restarted between two readings.

    sysUpTime must have grown by about the time that passed, as its 32 bits count it: it wraps after
    497 days, and a boot within a long gap can leave it larger than before.
    """
    elapsed = (after["at"] - before["at"]).dt.total_seconds().to_numpy()
    grown = np.mod(_signed(after["uptime_cs"]) - _signed(before["uptime_cs"]), UPTIME_WRAPS_CS) / 100.0
    untold = (after["uptime_cs"].isna() | before["uptime_cs"].isna()).to_numpy(dtype=bool)
    stray = np.abs(grown - elapsed) - params.uptime_drift * elapsed
    running: Flags = untold | np.less_equal(stray, params.uptime_slack_s)
    return (
        (elapsed > 0)
        & running
        & _equal(before, after, "if_index")
        & _equal(before, after, "discontinuity_cs")
    )


def _signed(values: pd.Series[Any]) -> Floats:
    """Return times in hundredths as floats: sysUpTime has 32 bits and loses nothing."""
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _equal(before: _Readings, after: _Readings, column: str) -> Flags:
    one, other = before[column], after[column]
    return ((one == other).fillna(False) | (one.isna() & other.isna())).to_numpy(dtype=bool)


def _speeds(moved: pd.DataFrame, interfaces: pd.DataFrame) -> Floats:
    newest = interfaces.sort_values("at", kind="stable").drop_duplicates(PLACE, keep="last")
    speeds = newest["speed_bps"].to_numpy(dtype=np.float64, na_value=np.nan)
    bps = np.append(speeds, np.nan)[tally.find(moved, newest, PLACE)]
    return np.where(bps > 0, bps, np.nan)


def _add_movements(moved: pd.DataFrame, before: _Readings, after: _Readings, params: Params) -> Flags:
    """Add every counter's movement to ``moved``; return which rows the interface's speed allows."""
    seconds = moved["seconds"].to_numpy() * params.margin + params.lateness_s
    bits = np.nan_to_num(moved["speed_bps"].to_numpy(), nan=params.unknown_speed_bps) * seconds
    possible = np.ones(len(moved), dtype=bool)
    widths = {by: after[by].to_numpy(dtype=np.uint64, na_value=64) for by in WIDTHS}
    for column in COUNTED:
        limit = bits / (8.0 if column.endswith("octets") or column in SYMBOLS else params.smallest_frame_bits)
        by = "octets_width_bits" if column in BY_OCTETS_WIDTH else "errors_width_bits"
        width = widths[by]
        earlier, later = before[column], after[column]
        absent = (earlier.isna() | later.isna()).to_numpy(dtype=bool)
        if column in BY_OCTETS_WIDTH:  # fast enough to wrap twice unseen; errors never come near that
            absent = absent | (limit >= np.exp2(width.astype(np.float64)))
        first, last = _raw(earlier), _raw(later)
        if column in SYMBOLS:  # no counter of 32 bits shows more than it has
            width = np.where((first | last) >= FOUR_BYTES, np.uint64(64), width)
        delta = wrapped_delta(first, last, width)
        if column in PACKETS:
            delta = _narrow(first, last, delta)
            width = np.where(delta != wrapped_delta(first, last, width), np.uint64(32), width)
        cleared = (last < first) & (delta >= ONE << (width - ONE))
        possible &= absent | ((delta.astype(np.float64) <= limit) & ~cleared)
        moved[column] = pd.arrays.IntegerArray(np.where(absent, np.uint64(0), delta), absent)
    return possible


def _narrow(first: U64, last: U64, delta: U64) -> U64:
    """Return movements of packets as 32 bits have them where the counter steps back below 2^32.

    Some devices count octets in 64 bits and packets in 32; a cleared 64-bit counter that looks the
    same is told by its octets.
    """
    stepped_back = (last < first) & (first < FOUR_BYTES) & (delta > FOUR_BYTES)
    return np.where(stepped_back, (last - first) & (FOUR_BYTES - ONE), delta)


def _raw(values: pd.Series[Any]) -> U64:
    return values.to_numpy(dtype=np.uint64, na_value=0)


def _with_utilisation(moved: pd.DataFrame) -> pd.DataFrame:
    capacity = moved["speed_bps"].to_numpy() * moved["seconds"].to_numpy() / 8.0
    for way in ("in", "out"):
        octets = moved[f"{way}_octets"].to_numpy(dtype=np.float64, na_value=np.nan)
        moved[f"utilisation_{way}"] = np.clip(octets / capacity, 0.0, 1.0)
    return moved
