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

U64 = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

PLACE = ["device", "if_name"]
BY_OCTETS_WIDTH = ("in_octets", "out_octets", "in_packets", "out_packets")
FRAMES = ("in_errors", "out_errors", "in_discards", "out_discards", "fcs_errors", "alignment_errors")
SYMBOLS = ("symbol_errors", "fec_corrected", "fec_uncorrected")
COUNTED = BY_OCTETS_WIDTH + FRAMES + SYMBOLS
PACKETS = ("in_packets", "out_packets")
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
    ordered = _fresh(_ordered(counters))
    before, after = _neighbours(ordered)
    same = _same_life(before, after, params)
    before, after = before[same].reset_index(drop=True), after[same].reset_index(drop=True)
    moved = after[[*PLACE, "if_index"]].copy()
    moved["since"], moved["until"] = before["at"], after["at"]
    moved["seconds"] = (after["at"] - before["at"]).dt.total_seconds()
    moved["speed_bps"] = _speeds(moved, interfaces)
    possible = _add_movements(moved, before, after, params)
    moved = moved[possible].reset_index(drop=True)
    return _with_utilisation(moved)


def _ordered(counters: pd.DataFrame) -> pd.DataFrame:
    known = counters[counters["device"].notna() & counters["if_name"].notna()]
    ordered = known.sort_values([*PLACE, "at"], kind="stable")
    return ordered.drop_duplicates([*PLACE, "at"], keep="last")


def _fresh(ordered: pd.DataFrame) -> pd.DataFrame:
    """Return the readings without those that an agent told from a stale cache.

    Where not one counter of a whole device has moved, the reading is an older one once more: it would
    show a standstill, and all that really moved as a spike in the next interval. A reading left out
    is like a missed poll: its movement is in the interval that spans it.
    """
    before, after = _neighbours(ordered)
    if not len(after):
        return ordered
    still = np.ones(len(after), dtype=bool)
    for column in COUNTED:
        still &= _equal(before, after, column)
    alike = pd.Series(still).groupby([after["device"], after["at"]]).transform("all").to_numpy(dtype=bool)
    stale = pd.MultiIndex.from_frame(after.loc[alike, [*PLACE, "at"]])
    fresh = ~np.asarray(pd.MultiIndex.from_frame(ordered[[*PLACE, "at"]]).isin(stale), dtype=bool)
    return ordered[fresh]


def _neighbours(ordered: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    place = ordered.groupby(PLACE, sort=False).ngroup().to_numpy()
    second = np.flatnonzero(place[1:] == place[:-1]) + 1
    return ordered.iloc[second - 1].reset_index(drop=True), ordered.iloc[second].reset_index(drop=True)


def _same_life(before: pd.DataFrame, after: pd.DataFrame, params: Params) -> Flags:
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


def _equal(before: pd.DataFrame, after: pd.DataFrame, column: str) -> Flags:
    one, other = before[column], after[column]
    return ((one == other).fillna(False) | (one.isna() & other.isna())).to_numpy(dtype=bool)


def _speeds(moved: pd.DataFrame, interfaces: pd.DataFrame) -> Floats:
    newest = interfaces.sort_values("at", kind="stable").drop_duplicates(PLACE, keep="last")
    speeds = moved[PLACE].merge(newest[[*PLACE, "speed_bps"]], on=PLACE, how="left")["speed_bps"]
    bps = speeds.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(bps > 0, bps, np.nan)


def _add_movements(moved: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame, params: Params) -> Flags:
    """Add every counter's movement to ``moved``; return which rows the interface's speed allows."""
    seconds = moved["seconds"].to_numpy() * params.margin + params.lateness_s
    bits = np.nan_to_num(moved["speed_bps"].to_numpy(), nan=params.unknown_speed_bps) * seconds
    possible = np.ones(len(moved), dtype=bool)
    for column in COUNTED:
        limit = bits / (8.0 if column.endswith("octets") or column in SYMBOLS else params.smallest_frame_bits)
        by = "octets_width_bits" if column in BY_OCTETS_WIDTH else "errors_width_bits"
        width = after[by].to_numpy(dtype=np.uint64, na_value=64)
        absent = (before[column].isna() | after[column].isna()).to_numpy(dtype=bool)
        if column in BY_OCTETS_WIDTH:  # fast enough to wrap twice unseen; errors never come near that
            absent = absent | (limit >= np.exp2(width.astype(np.float64)))
        first, last = _raw(before[column]), _raw(after[column])
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
