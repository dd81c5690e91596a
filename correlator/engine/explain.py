"""Why these two are slow, or are not: everything that a cycle knows of one pair, as plain values.

Page: docs/algorithms/explain.md.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from correlator import frames
from correlator.engine import paths, traces
from correlator.engine.cycle import Cycle
from correlator.engine.view import routed
from correlator.model import End, Link, Verdict, utc

HOSTS = ["src_host", "dst_host"]
NAMED = ("host", "service", "container_id", "name")
BEARERS = {"containers": ("name", "service", "container_id"), "hosts": ("host",)}
FOLLOWED = ("traces", "hosts", "pair_samples", "routes", "arp", "stations", "devices")
REACH = float(norm.ppf(0.975))
BLAMED = [
    "id", "kind", "link", "direction", "root_cause", "probability", "subject",
    "candidates", "actions", "evidence", "alternatives", "missing",
]  # fmt: skip
LEAST_RESPONSES = 30.0  # below it a container pair shows its services' figures


def explain(cycle: Cycle, tables: Mapping[str, pd.DataFrame], a: str, b: str) -> dict[str, Any]:
    """Return what the cycle knows of ``a`` and ``b``: container names or ids, services, or hosts.

    JSON-ready keys: a, b, at; matched (the groups and how many container pairs); slow, grew
    (network, service or null); slower_by {ratio, low, high} of the time to a response, 95 %;
    since; response_ms, network_ms, service_ms, retransmission_rate, exchanges_per_s,
    exchanges_per_connection, each {now, usual}; paths, a list of {source, destination, forward,
    reverse}, hops in order with share, health and light; blame, or null; not_the_network; unknown,
    sentences. Values that are not known are null.
    """
    pairs = _matched(cycle, a, b)
    groups = cycle.pairs.loc[pairs["group"].unique()]
    answer: dict[str, Any] = {
        "a": a,
        "b": b,
        "at": utc(cycle.now).isoformat(),
        "matched": _groups(groups, pairs),
    }
    answer |= _times(groups, pairs)
    answer["paths"] = _paths(cycle, tables, groups)
    answer["blame"] = _blame(cycle, groups)
    answer["not_the_network"] = bool(answer["slow"]) and answer["grew"] == "service"
    answer["unknown"] = [*_strangers(cycle, tables, (a, b)), *_unknown(answer, groups)]
    return answer


def _matched(cycle: Cycle, a: str, b: str) -> pd.DataFrame:
    """Return the container pairs between ``a`` and ``b``, whichever of them is the client."""
    pairs = cycle.container_pairs
    there = _means(pairs, "src", a) & _means(pairs, "dst", b)
    back = _means(pairs, "src", b) & _means(pairs, "dst", a)
    return pairs[there | back]


def _means(pairs: pd.DataFrame, side: str, name: str) -> pd.Series[bool]:
    found = pd.Series(False, index=pairs.index)
    for column in NAMED:
        found |= pairs[f"{side}_{column}"] == name
    if len(name) >= 12:  # Docker's short ids
        found |= pairs[f"{side}_container_id"].str.startswith(name)
    return found


def _groups(groups: pd.DataFrame, pairs: pd.DataFrame) -> list[dict[str, Any]]:
    keys = [*HOSTS, "src_service", "dst_service"]
    count = pairs["group"].value_counts()
    return [
        {key: str(groups.at[group, key]) for key in keys} | {"container_pairs": int(count[group])}
        for group in groups.index
    ]


def _times(groups: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, Any]:
    """Return the figures of the matched groups together, weighted by responses.

    A single container pair with enough responses of its own stands for itself, against its
    services' usual.
    """
    weight = groups["responses"].to_numpy()
    columns = ("response_ms", "network_ms", "service_ms")
    now = {column: _mean(groups[column], weight) for column in columns}
    usual = {column: _mean(groups[f"usual_{column}"], weight) for column in columns}
    ratio, low, high = _ratio(groups, weight)
    if len(pairs) == 1 and float(pairs["responses"].iloc[0]) >= LEAST_RESPONSES:
        own = {column: _number(pairs[column].iloc[0]) for column in columns}
        if own["response_ms"] and now["response_ms"]:
            factor = own["response_ms"] / now["response_ms"]
            ratio, low, high = (None if value is None else value * factor for value in (ratio, low, high))
        now = own
    slow = groups[groups["slow"]]
    onsets = slow["onset"].dropna()
    grew = slow.assign(extra=slow["response_ms"] - slow["usual_response_ms"]).groupby("grew")["extra"].sum()
    answer: dict[str, Any] = {
        "slow": bool(len(slow)),
        "grew": str(grew.idxmax()) if len(grew) else None,
        "slower_by": {"ratio": ratio, "low": low, "high": high},
        "since": utc(onsets.min().to_pydatetime()).isoformat() if len(onsets) else None,
    }
    answer |= {column: {"now": now[column], "usual": usual[column]} for column in columns}
    segments = groups["segments"].to_numpy()
    answer["retransmission_rate"] = {
        "now": _mean(groups["retransmission_rate"], segments),
        "usual": _mean(groups["usual_retransmissions"], segments),
    }
    answer["exchanges_per_s"] = {
        "now": _total(groups["exchanges_per_s"]),
        "usual": _total(groups["usual_exchanges_per_s"]),
    }
    answer["exchanges_per_connection"] = {
        "now": _mean(groups["exchanges_per_connection"], weight),
        "usual": _mean(groups["usual_exchanges_per_connection"], weight),
    }
    return answer


def _ratio(groups: pd.DataFrame, weight: Any) -> tuple[float | None, float | None, float | None]:
    """Return the ratio of the mean response to its usual with its 95 % interval, over the groups together."""
    known = groups["ratio"].notna().to_numpy() & (weight > 0)
    if not known.any():
        return None, None, None
    rows, weight = groups[known], weight[known]
    ratio = float((rows["response_ms"] * weight).sum() / (rows["usual_response_ms"] * weight).sum())
    sigma = (np.log(rows["ratio_high"] / rows["ratio_low"]) / 2.0).to_numpy()
    reach = float((sigma * weight).sum() / weight.sum())
    return _number(ratio), _number(ratio * np.exp(-reach)), _number(ratio * np.exp(reach))


def _mean(values: pd.Series[float], weight: Any) -> float | None:
    known = values.notna().to_numpy() & (weight > 0)
    return _number(np.average(values.to_numpy()[known], weights=weight[known])) if known.any() else None


def _total(values: pd.Series[float]) -> float | None:
    return _number(values.sum()) if values.notna().any() else None


def _number(value: Any) -> float | None:
    return float(f"{float(value):.6g}") if value is not None and np.isfinite(value) else None


def _paths(cycle: Cycle, tables: Mapping[str, pd.DataFrame], groups: pd.DataFrame) -> list[dict[str, Any]]:
    """Return each host pair's ways there and back, hop by hop."""
    known = set(tables["hosts"]["host"].dropna()) if "hosts" in tables else set()
    wanted = list(groups[HOSTS].drop_duplicates().itertuples(index=False, name=None))
    told = {name: tables[name] if name in tables else frames.empty(name) for name in FOLLOWED}
    routes = routed(told, cycle.fabric)
    found = paths.find_paths(cycle.health, sorted(known), wanted, cycle.fabric.closed, routes)
    seen = traces.followed(found, cycle.health, wanted, told, told["pair_samples"])
    found = replace(found, followed=seen)
    return [
        {
            "source": source,
            "destination": destination,
            "forward": _hops(cycle, found.forward[[row]].toarray()[0], source),
            "reverse": _hops(cycle, found.reverse[[row]].toarray()[0], destination),
        }
        for row, (source, destination) in enumerate(wanted)
    ]


def _hops(cycle: Cycle, shares: Any, source: str) -> list[dict[str, Any]]:
    """Return the links that carry a share, in the order in which packets meet them."""
    left = [int(number) for number in np.flatnonzero(shares)]
    reached, step, hops = {source}, 0, []
    while left:
        now = [number for number in left if cycle.health.at[number, "sender_device"] in reached]
        if not now:
            break
        hops += [_hop(cycle, number, float(shares[number]), step) for number in now]
        reached = {str(cycle.health.at[number, "receiver_device"]) for number in now}
        left = [number for number in left if number not in now]
        step += 1
    return hops


def _hop(cycle: Cycle, number: int, share: float, step: int) -> dict[str, Any]:
    row: Any = cycle.health.loc[number]
    sender = End(str(row["sender_device"]), str(row["sender_if_name"]))
    receiver = End(str(row["receiver_device"]), str(row["receiver_if_name"]))
    hop: dict[str, Any] = {
        "step": step + 1,
        "share": round(share, 4),
        "from": str(sender),
        "to": str(receiver),
        "link": str(Link.between(sender, receiver)),
        "direction": str(row["direction"]),
        "state": _state(row),
    }
    for name in ("packets", "errors", "passed_on", "error_rate", "discards", "discard_rate", "utilisation"):
        hop[name] = _number(row[name])
    lanes = cycle.light[cycle.light["number"] == number].sort_values("nats", ascending=False)
    names = ("lane", "rx_power_dbm", "rx_usual_dbm", "tx_power_dbm", "loss_change_db", "loss_sigma_db")
    hop["light"] = [{name: _number(lane[name]) for name in names} for _, lane in lanes.iterrows()]
    hop["unknown"] = [
        text
        for text, known in (
            (f"errors at {receiver}", bool(row["errors_known"])),
            (f"discards at {sender}", bool(row["discards_known"])),
            (f"light at {receiver}", bool(lanes["known"].any())),
        )
        if not known
    ]
    return hop


def _state(row: pd.Series[Any]) -> str:
    if row["sick"]:
        return "sick"
    if row["dropping"]:
        return "congested"
    return "healthy" if row["errors_known"] else "unknown"


def _blame(cycle: Cycle, groups: pd.DataFrame) -> dict[str, Any] | None:
    """Return the verdict that explains most of these pairs' excess, or None."""
    shares = ((_share(cycle, verdict, groups), verdict) for verdict in cycle.verdicts)
    known = [(share, verdict) for share, verdict in shares if share is not None]
    return _blamed(*max(known, key=lambda one: one[0])) if known else None


def _share(cycle: Cycle, verdict: Verdict, groups: pd.DataFrame) -> float | None:
    """Return the share of these groups' excess that a verdict accounts for; None where it names none of them.

    A group that it does not name has share 0, unless it names only the busiest of those that it hurts.
    """
    of_pair = {
        (pair.src, pair.dst): pair.share_explained
        for pair in verdict.pairs
        if pair.share_explained is not None
    }
    rows = cycle.container_pairs
    keys = zip(rows["src_container_id"], rows["dst_container_id"], strict=True)
    share = pd.Series([of_pair.get(key) for key in keys], rows["group"], dtype=float).groupby(level=0).max()
    mine = share.reindex(groups.index)
    if mine.isna().all():
        return None
    if verdict.hurt <= len(verdict.pairs):
        mine = mine.fillna(0.0)
    excess = (groups["response_ms"] - groups["usual_response_ms"]) * groups["responses"]
    weight = excess.where(groups["slow"].astype(bool) & mine.notna(), 0.0).clip(lower=0.0).fillna(0.0)
    return float(np.average(mine.fillna(0.0), weights=weight)) if weight.any() else float(mine.max())


def _blamed(share: float, verdict: Verdict) -> dict[str, Any]:
    plain = verdict.to_json()
    return {key: plain[key] for key in BLAMED} | {
        "text": str(verdict.link) if verdict.link is not None else verdict.kind,
        "share_explained": round(share, 4),
    }


def _strangers(cycle: Cycle, tables: Mapping[str, pd.DataFrame], names: Sequence[str]) -> list[str]:
    """Return a sentence for each name that nothing bears, with the nearest that something does."""
    pairs, told = cycle.container_pairs, []
    columns = [pairs[f"{side}_{column}"] for side in ("src", "dst") for column in NAMED]
    for table, own in BEARERS.items():
        columns += [tables[table][column] for column in own] if table in tables else []
    known = {str(name) for column in columns for name in column.dropna().unique()}
    for name in dict.fromkeys(names):
        if name in known or any(_means(pairs, side, name).any() for side in ("src", "dst")):
            continue
        close = difflib.get_close_matches(name, sorted(known), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        told.append(f"no container, service or host is called {name}{hint}")
    return told


def _unknown(answer: Mapping[str, Any], groups: pd.DataFrame) -> list[str]:
    told = []
    if not answer["matched"]:
        told.append(f"no traffic between {answer['a']} and {answer['b']} was seen in the window")
        return told
    if groups["usual_response_ms"].isna().any():
        told.append("no usual yet for the time to a response of some of these pairs")
    if groups["response_ms"].isna().any():
        told.append("the time to a response of some of these pairs is not measured")
    if (~groups["split_trusted"].astype(bool)).any():
        told.append("retransmissions spoil the split into network and service")
    missing: dict[str, dict[str, None]] = {}  # what, by place, in the order of the paths
    for path in answer["paths"]:
        if path["source"] != path["destination"] and not path["forward"]:
            told.append(f"no path is known from {path['source']} to {path['destination']}")
        for hop in path["forward"] + path["reverse"]:
            for text in hop["unknown"]:
                what, _, place = text.partition(" at ")
                missing.setdefault(place, {})[what] = None
    told += [f"{', '.join(what)} not measured at {place}" for place, what in missing.items()]
    return list(dict.fromkeys(told))
