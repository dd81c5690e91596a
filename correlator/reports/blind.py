"""What could not be seen: absence of data is data, and a report that hides it cannot be trusted."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import pandas as pd

from correlator.ports import Tables
from correlator.reports import gaps
from correlator.reports.content import Blind, BlindKind, BlindSpot, Fault, Period
from correlator.reports.faults import Faults
from correlator.reports.margins import refused
from correlator.reports.network import Network
from correlator.reports.sentences import subject_name
from correlator.reports.tables import during, moment, newest, table, text
from correlator.reports.watched import ends_without_light
from correlator.reports.words import many

LEAST_EXPOSURE = 30
"""Exposures below which a pair has no usual yet."""

MOST_SPOTS = 50
"""Spots told of each kind; the rest is counted."""


def blind(
    tables: Tables, network: Network, found: Faults, looks: Sequence[datetime], period: Period
) -> tuple[Blind, ...]:
    """Return what could not be seen on the day, kind by kind; kinds without any spot are left out."""
    polls = during(table(tables, "polls"), period)
    kinds: dict[BlindKind, Iterable[BlindSpot]] = {
        "day_not_over": _day_not_over(period),
        "nothing_polled": gaps.nothing_polled(polls, period),
        "poll_gap": gaps.switch_gaps(polls, period),
        "agent_away": gaps.agents_away(polls, period),
        "rows_lost": gaps.rows_lost(polls),
        "unmapped_host": _unmapped_hosts(tables, period),
        "no_light": _dark(tables, network, period),
        **_of_samples(tables, period),
        "sampled": _sampled(looks),
        "refused": _refused(tables, period),
        **_quiet(tables, period),
        "verdict_missing": _missing((*found.verdicts, *found.findings)),
        "unreadable": (BlindSpot(id_, "its document is not that of a verdict") for id_ in found.unreadable),
        "preloaded": _preloaded(tables, period),
    }
    listed = {kind: list(spots) for kind, spots in kinds.items()}
    return tuple(
        Blind(kind, len(spots), tuple(spots[:MOST_SPOTS])) for kind, spots in listed.items() if spots
    )


def _day_not_over(period: Period) -> Iterator[BlindSpot]:
    if period.now < period.until:
        yield BlindSpot(period.day.isoformat(), "the rest of the day", period.end, period.until)


def _unmapped_hosts(tables: Tables, period: Period) -> Iterator[BlindSpot]:
    """Yield hosts that nothing ties to a switch port: neither LLDP, nor a MAC address, nor a cable."""
    hosts = newest(tables, "hosts", period)
    neighbors = newest(tables, "neighbors", period)
    heard = set(neighbors["remote_sys_name"]) | set(neighbors["remote_port_id"])
    heard |= set(neighbors["remote_chassis_id"])
    stations = newest(tables, "stations", period)
    heard |= set(stations.loc[stations["if_name"].notna(), "mac"])
    cables = newest(tables, "cables", period)
    heard |= set(cables["a_device"]) | set(cables["b_device"])
    told = hosts[["lldp_chassis_id", "lldp_sys_name"]].notna().any(axis=1)
    for name in ("host", "hostname", "mac", "machine_id"):
        told |= hosts[name].notna() & hosts[name].isin(heard)
    for host in sorted(set(hosts["host"].dropna()) - set(hosts.loc[told, "host"])):
        yield BlindSpot(str(host), "no switch port is known for it")


def _dark(tables: Tables, network: Network, period: Period) -> Iterator[BlindSpot]:
    dark = ends_without_light(tables, network, period)
    for device, ends in itertools.groupby(dark, lambda end: end.device):
        names = [end.if_name for end in ends]
        said = f"no light reading of {many(len(names), 'interface')}: {', '.join(names)}"
        yield BlindSpot(device, said)


def _of_samples(tables: Tables, period: Period) -> dict[BlindKind, Iterable[BlindSpot]]:
    samples = during(table(tables, "pair_samples"), period)
    return {
        "no_usual": _pairs_without_usual(samples, tables, period),
        "unknown_peer": _unknown_peers(samples),
        "incomplete_samples": _incomplete(samples),
    }


def _pairs_without_usual(samples: pd.DataFrame, tables: Tables, period: Period) -> Iterator[BlindSpot]:
    """Yield service pairs between two hosts with too little past to be judged against."""
    keys = ["src_host", "dst_host", "src_service", "dst_service"]
    hours = table(tables, "pair_hours")
    past = hours[hours["metric"] == "retransmissions"].groupby(keys, as_index=False)["exposure"].sum()
    known = past.loc[past["exposure"] >= LEAST_EXPOSURE, keys]
    talked = _service_pairs(samples, tables, period).merge(known, how="left", indicator="known")
    new = talked.loc[talked["known"] == "left_only", keys].dropna().sort_values(keys)
    for src_host, dst_host, src, dst in new.itertuples(index=False, name=None):
        said = f"fewer than {LEAST_EXPOSURE} segments in the hours before"
        yield BlindSpot(f"{src} on {src_host} to {dst} on {dst_host}", said)


def _service_pairs(samples: pd.DataFrame, tables: Tables, period: Period) -> pd.DataFrame:
    """Return who talked to whom: hosts and services of clients and servers, each pair once."""
    containers = newest(tables, "containers", period).drop_duplicates("container_id", keep="last")
    names = containers["service"].fillna(containers["name"])
    service = dict(zip(containers["container_id"], names, strict=True))
    columns = ["host", "peer_host", "container_id", "peer_container_id"]
    ends = samples.loc[samples["role"] == "client", columns].dropna().drop_duplicates()
    return pd.DataFrame(
        {
            "src_host": ends["host"],
            "dst_host": ends["peer_host"],
            "src_service": ends["container_id"].map(service).astype("str"),
            "dst_service": ends["peer_container_id"].map(service).astype("str"),
        }
    ).drop_duplicates()


def _unknown_peers(samples: pd.DataFrame) -> Iterator[BlindSpot]:
    lonely = samples.loc[samples["peer_container_id"].isna(), ["host", "peer_wire_address"]]
    for host, peers in lonely.groupby("host", sort=True)["peer_wire_address"].nunique().items():
        yield BlindSpot(str(host), f"{many(int(peers), 'peer')} that no known container stands behind")


def _incomplete(samples: pd.DataFrame) -> Iterator[BlindSpot]:
    partial = samples.loc[~samples["complete"].fillna(True).astype(bool), ["host", "why_incomplete"]]
    reasons = partial.fillna({"why_incomplete": "no reason given"}).value_counts(sort=False)
    for host, why, rows in reasons.sort_index().reset_index().itertuples(index=False, name=None):
        yield BlindSpot(str(host), f"{many(int(rows), 'sample')} incomplete: {why}")


def _sampled(looks: Sequence[datetime]) -> Iterator[BlindSpot]:
    if looks:
        said = f"looked at {many(len(looks), 'minute')} of the day, slow ones also around their onset"
        yield BlindSpot("container pairs", said, looks[0], looks[-1])


def _refused(tables: Tables, period: Period) -> Iterator[BlindSpot]:
    for one in refused(tables, period):
        yield BlindSpot(str(one.end), f"lane {one.lane}: {one.why}; its light is judged by change alone")


def _quiet(tables: Tables, period: Period) -> dict[BlindKind, Iterable[BlindSpot]]:
    """Return what people asked us to be quiet about at some time of the day, or said that they know."""
    kinds: dict[BlindKind, str] = {
        "acknowledged": "ack",
        "silenced": "silence",
        "maintenance": "maintenance",
    }
    notes = newest(tables, "annotations", period)
    holds = notes["until"].isna() | (notes["until"] > period.since)
    return {kind: _notes(notes[holds & (notes["kind"] == noted)], period) for kind, noted in kinds.items()}


def _notes(notes: pd.DataFrame, period: Period) -> Iterator[BlindSpot]:
    notes = notes.sort_values(["at", "subject"], kind="stable")
    columns = ["subject", "at", "until", "by", "why"]
    for subject, at, until, by, why in notes[columns].itertuples(index=False, name=None):
        said = f"by {text(by) or 'somebody'}" + (f": {why}" if text(why) else ", no reason given")
        yield BlindSpot(str(subject), said, moment(at), None if pd.isna(until) else moment(until))


def _preloaded(tables: Tables, period: Period) -> Iterator[BlindSpot]:
    notes = newest(tables, "annotations", period)
    notes = notes[notes["kind"] == "preloaded"].sort_values("subject", kind="stable")
    for subject, by, why in zip(notes["subject"], notes["by"], notes["why"], strict=True):
        said = f"preloaded by {text(by) or 'somebody'}"
        yield BlindSpot(str(subject), f"{said}: {why}" if text(why) else said)


def _missing(seen: Sequence[Fault]) -> Iterator[BlindSpot]:
    for said in sorted({missing for fault in seen for missing in fault.verdict.missing}):
        about = next(fault.verdict for fault in seen if said in fault.verdict.missing)
        yield BlindSpot(subject_name(about, 100), said)
