"""What could not be seen: absence of data is data, and a report that hides it cannot be trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from correlator.ports import Tables
from correlator.reports.content import Blind, Fault, Period
from correlator.reports.tables import during, moment, newest, table, text
from correlator.reports.watched import without_light

LEAST_EXPOSURE = 30
"""Exposures below which a pair has no usual yet."""


def blind(
    tables: Tables, seen: Sequence[Fault], unreadable: Sequence[str], period: Period
) -> tuple[Blind, ...]:
    """Return everything that could not be seen on the day, kind by kind."""
    found = list(_day(tables, period))
    for look in _LOOKS:
        found += look(tables, period)
    found += _missing(seen)
    found += [Blind("unreadable", id_, "its document is not that of a verdict") for id_ in unreadable]
    return tuple(found)


def _day(tables: Tables, period: Period) -> Iterator[Blind]:
    if period.now < period.until:
        yield Blind("day_not_over", str(period.day), "the day is not over", period.end, period.until)
    if period.now > period.since and not during(tables, "polls", period)["ok"].fillna(False).any():
        yield Blind("nothing_polled", "all targets", "no successful poll on this day")


def _poll_gaps(tables: Tables, period: Period) -> Iterator[Blind]:
    """Yield the gaps that polls closed, those still open, and targets that failed now and then."""
    polls = during(tables, "polls", period)
    for (target, kind), rows in polls.groupby(["target", "kind"], sort=True):
        closed = rows[rows["gap_from"].notna()]
        for at, since in zip(closed["at"], closed["gap_from"], strict=True):
            yield Blind("poll_gap", str(target), "no data", moment(since), moment(at))
        if not bool(rows["ok"].fillna(False).iloc[-1]):
            yield _open_gap(str(target), str(kind), rows, period)
        elif failed := int((~rows["ok"].fillna(False)).sum()):
            why = text(rows.loc[~rows["ok"].fillna(False), "error"].iloc[-1]) or "no reason given"
            yield Blind("poll_gap", str(target), f"{failed} of {len(rows)} polls failed, last: {why}")


def _open_gap(target: str, kind: str, rows: pd.DataFrame, period: Period) -> Blind:
    good = rows.loc[rows["ok"].fillna(False), "at"]
    why = text(rows["error"].iloc[-1]) or "no reason given"
    since = moment(good.iloc[-1]) if len(good) else period.since
    return Blind("agent_away" if kind == "host" else "poll_gap", target, why, since, period.end)


def _unmapped_hosts(tables: Tables, period: Period) -> Iterator[Blind]:
    """Yield hosts that nothing ties to a switch port: neither LLDP, nor a MAC address, nor a cable."""
    hosts = newest(tables, "hosts", period)
    neighbors = newest(tables, "neighbors", period)
    heard = set(neighbors["remote_sys_name"]) | set(neighbors["remote_port_id"])
    heard |= set(neighbors["remote_chassis_id"])
    stations = newest(tables, "stations", period)
    heard |= set(stations.loc[stations["if_name"].notna(), "mac"])
    cables = newest(tables, "cables", period)
    heard |= set(cables["a_device"]) | set(cables["b_device"])
    for host, nics in hosts.groupby("host", sort=True):
        names = {host, *nics["hostname"].dropna(), *nics["mac"].dropna(), *nics["machine_id"].dropna()}
        if not names & heard and nics[["lldp_chassis_id", "lldp_sys_name"]].isna().all(axis=None):
            yield Blind("unmapped_host", str(host), "no switch port is known for it")


def _dark(tables: Tables, period: Period) -> Iterator[Blind]:
    for device, rows in without_light(tables, period).groupby("device", sort=True):
        names = ", ".join(rows["if_name"].sort_values())
        yield Blind("no_light", str(device), f"{len(rows)} interfaces up without a light reading: {names}")


def _pairs_without_usual(tables: Tables, period: Period) -> Iterator[Blind]:
    """Yield service pairs between two hosts with too little past to be judged against."""
    samples = during(tables, "pair_samples", period)
    clients = samples[(samples["role"] == "client") & samples["peer_container_id"].notna()]
    containers = newest(tables, "containers", period).drop_duplicates("container_id", keep="last")
    names = containers["service"].where(containers["service"].notna(), containers["name"])
    service = dict(zip(containers["container_id"], names, strict=True))
    seen = pd.DataFrame(
        {
            "src_host": clients["host"],
            "dst_host": clients["peer_host"],
            "src_service": clients["container_id"].map(service),
            "dst_service": clients["peer_container_id"].map(service),
        }
    ).drop_duplicates()
    hours = table(tables, "pair_hours")
    keys = list(seen.columns)
    past = hours[hours["metric"] == "retransmissions"].groupby(keys, as_index=False)["exposure"].sum()
    known = past[past["exposure"] >= LEAST_EXPOSURE][keys]
    new = seen.merge(known, how="left", indicator="known")
    for _, row in new[new["known"] == "left_only"].dropna(subset=keys).sort_values(keys).iterrows():
        pair = f"{row['src_service']} on {row['src_host']} to {row['dst_service']} on {row['dst_host']}"
        yield Blind("no_usual", pair, f"fewer than {LEAST_EXPOSURE} segments in the past hours")


def _unknown_peers(tables: Tables, period: Period) -> Iterator[Blind]:
    samples = during(tables, "pair_samples", period)
    for host, rows in samples[samples["peer_container_id"].isna()].groupby("host", sort=True):
        peers = rows["peer_wire_address"].nunique()
        yield Blind(
            "unknown_peer", str(host), f"{peers} addresses talked to belong to no container known here"
        )


def _incomplete(tables: Tables, period: Period) -> Iterator[Blind]:
    samples = during(tables, "pair_samples", period)
    partial = samples[~samples["complete"].fillna(True)]
    for (host, why), rows in partial.groupby(["host", partial["why_incomplete"].fillna("no reason given")]):
        yield Blind("incomplete_samples", str(host), f"{len(rows)} samples incomplete: {why}")


def _preloaded(tables: Tables, period: Period) -> Iterator[Blind]:
    notes = newest(tables, "annotations", period)
    notes = notes[notes["kind"] == "preloaded"].sort_values("subject", kind="stable")
    for subject, by, why in zip(notes["subject"], notes["by"], notes["why"], strict=True):
        said = f"its history was preloaded by {text(by) or 'somebody'}"
        yield Blind("preloaded", str(subject), f"{said}: {why}" if text(why) else said)


def _missing(seen: Sequence[Fault]) -> Iterator[Blind]:
    for said in sorted({missing for fault in seen for missing in fault.verdict.missing}):
        about = next(fault.verdict for fault in seen if said in fault.verdict.missing)
        yield Blind("verdict_missing", str(about.link or about.id), said)


_LOOKS: tuple[Callable[[Tables, Period], Iterator[Blind]], ...] = (
    _poll_gaps,
    _unmapped_hosts,
    _dark,
    _pairs_without_usual,
    _unknown_peers,
    _incomplete,
    _preloaded,
)
