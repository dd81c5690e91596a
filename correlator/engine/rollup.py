"""An hour of raw tables becomes the hourly tables that baselines, trends and reports read.

Everything here adds up: two halves of an hour rolled up apart and added give the hour.
Page: docs/algorithms/rollup.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from correlator import frames
from correlator.engine import pairs, rates, tally
from correlator.engine.lanes import LANE, SQUARED

LIGHT = ("rx_power_dbm", "tx_power_dbm", "bias_ma", "temperature_c")
HOUR = timedelta(hours=1)
BUCKETS = 17  # edges 0.1 · 2^k ms, k = 0 … 15, and one open; a list of another length is dropped


def roll_up(tables: Mapping[str, pd.DataFrame], hour: datetime) -> dict[str, pd.DataFrame]:
    """Return link_hours, optics_hours and pair_hours of the hour that starts at ``hour``.

    ``tables`` holds raw tables (counters, interfaces, optics, pair_samples, containers, hosts; any
    may be absent); counters should reach one reading back before the hour. An interval belongs to
    the hour in which it ends. ``at`` of the answer is the hour's end.
    """
    got = {name: tables[name] if name in tables else frames.empty(name) for name in frames.TABLES}
    moved = rates.rates(got["counters"], got["interfaces"])
    samples = pairs.resolve(got["pair_samples"], got["containers"], got["hosts"])
    observed = pairs.observations(samples, got["containers"])
    long = {
        "link_hours": _links(_within(moved, "until", hour)),
        "optics_hours": _optics(_within(got["optics"], "at", hour)),
        "pair_hours": _pairs(_within(observed, "at", hour)),
    }
    return {name: _hourly(name, table, hour) for name, table in long.items()}


def _within(table: pd.DataFrame, column: str, hour: datetime) -> pd.DataFrame:
    start = pd.Timestamp(hour)
    return table[(table[column] > start) & (table[column] <= start + HOUR)]


def _links(moved: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for metric, count, good in (
        ("errors", "in_errors", "in_packets"),
        ("discards", "out_discards", "out_packets"),
    ):
        rows = moved.dropna(subset=[count, good])[[*rates.PLACE, count, good]]
        rows = rows.assign(count=rows[count].astype("float64"))
        rows["exposure"] = rows["count"] + rows[good].astype("float64")
        parts.append(_summed(rows.assign(metric=metric, sum=np.nan), rates.PLACE))
    for metric in ("utilisation_in", "utilisation_out"):
        parts.append(_summed(_readings(moved, rates.PLACE, metric), rates.PLACE))
    return pd.concat(parts, ignore_index=True)


def _optics(optics: pd.DataFrame) -> pd.DataFrame:
    unique = optics.drop_duplicates([*LANE, "at"], keep="last")
    parts = [_readings(unique, LANE, metric) for metric in LIGHT]
    for metric, name in SQUARED.items():
        rows = _readings(unique, LANE, metric)
        parts.append(rows.assign(metric=name, sum=rows["sum"] ** 2))
    return pd.concat([_summed(rows, LANE) for rows in parts], ignore_index=True)


def _readings(table: pd.DataFrame, key: list[str], metric: str) -> pd.DataFrame:
    rows = table.dropna(subset=[metric])[[*key, metric]].rename(columns={metric: "sum"})
    return rows.assign(metric=metric, exposure=1.0, count=1.0)


def _pairs(observed: pd.DataFrame) -> pd.DataFrame:
    keys, number = tally.numbered(observed, pairs.PAIR)
    parts = []
    for metric, (exposure, count, total) in _measures(observed).items():
        sums = keys.assign(
            metric=pd.array([metric], dtype=tally.TEXT).take(np.zeros(len(keys), dtype=np.int64)),
            exposure=tally.total(exposure, number, len(keys)),
            count=tally.total(count, number, len(keys)),
            sum=np.nan if total is None else tally.total(total, number, len(keys)),
        )
        buckets = _histograms(observed, number, len(keys)) if metric == "response_ms" else None
        sums["histogram"] = pd.Series(buckets, index=sums.index, dtype=object)
        parts.append(sums[sums["exposure"] > 0])
    return pd.concat(parts, ignore_index=True)


def _measures(observed: pd.DataFrame) -> dict[str, tuple[Any, Any, Any]]:
    """Return, by metric, exposure, count and sum of each observation; None where there is no sum."""
    segments = observed["segments_client"] + observed["segments_server"]
    retransmitted = observed["retransmitted_client"] + observed["retransmitted_server"]
    seen = observed["min_rtt_us"].notna()
    return {
        "retransmissions": (segments, retransmitted, None),
        "rto": (segments, observed["rto_client"] + observed["rto_server"], None),
        "stalls": (observed["intervals"], observed["stalled"], None),
        "response_ms": (observed["responses"], observed["responses"], observed["response_ms"]),
        "service_ms": (observed["services"], observed["services"], observed["service_ms"]),
        "min_rtt_us": (seen, seen, observed["min_rtt_us"]),
        "exchanges": (observed["seconds"], observed["exchanges"], None),
        "connections": (observed["seconds"], observed["connections_new"], None),
    }


def _summed(rows: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    sums = rows.groupby([*key, "metric"], sort=True)[["exposure", "count", "sum"]].sum(min_count=1)
    return sums.reset_index()


def _histograms(observed: pd.DataFrame, number: tally.Ints, size: int) -> list[list[int] | None]:
    """Return each group's buckets, added up; None where none were told."""
    told = observed["histogram"].map(_is_histogram).to_numpy(dtype=bool)
    sums = np.zeros((size, BUCKETS), dtype=np.int64)
    if told.any():
        rows = np.array(observed.loc[told, "histogram"].to_list(), dtype=np.int64)
        np.add.at(sums, number[told], rows)
    known = np.zeros(size, dtype=bool)
    known[number[told]] = True
    return [row if one else None for row, one in zip(sums.tolist(), known.tolist(), strict=True)]


def _is_histogram(value: object) -> bool:
    return isinstance(value, list | np.ndarray) and len(value) == BUCKETS


def _hourly(name: str, table: pd.DataFrame, hour: datetime) -> pd.DataFrame:
    start = pd.Timestamp(hour)
    return frames.validate(name, table.assign(at=start + HOUR, hour=start).reset_index(drop=True))
