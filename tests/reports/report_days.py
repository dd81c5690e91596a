"""Days to report on, made up with a seed: tables as the store would give them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from correlator import frames
from correlator.model import (
    Action,
    Candidate,
    End,
    Evidence,
    IncidentEvent,
    Link,
    PairImpact,
    Subject,
    Verdict,
    Window,
)

DAY = date(2026, 11, 17)
ZONE = "Europe/Berlin"
MIDNIGHT = datetime(2026, 11, 16, 23, 0, tzinfo=UTC)
END = MIDNIGHT + timedelta(days=1)
NOW = END + timedelta(hours=7)
ONSET = MIDNIGHT + timedelta(hours=3, minutes=12)

DIRTY = Link(End("leaf3", "Ethernet49"), End("spine2", "Ethernet3"))
FULL = Link(End("leaf1", "Ethernet50"), End("spine1", "Ethernet1"))
SICK = Link(End("leaf2", "Ethernet49"), End("spine1", "Ethernet2"))
SWITCHES = ("leaf1", "leaf2", "leaf3", "leaf4", "spine1", "spine2")
HOSTS = tuple(f"node-{number:02}" for number in range(1, 9))
MINUTE = timedelta(minutes=1)
TABLES = (
    "annotations", "cables", "containers", "counters", "devices", "findings", "hosts", "incident_events",
    "interfaces", "link_hours", "neighbors", "optics", "optics_hours", "pair_hours", "pair_samples", "polls",
    "verdicts",
)  # fmt: skip


def pairs_of(link: Link | None, number: int, cause: str) -> tuple[PairImpact, ...]:
    return tuple(
        PairImpact(
            src=f"c{cause}{index:02}",
            dst=f"s{cause}{index % 4:02}",
            src_name=f"web-{cause}{index:02}",
            dst_name=("orders", "search", "cart", "stock")[index % 4] + f"-{cause}7f",
            slower_by=1.6 + 0.31 * index,
            slower_by_low=1.4 + 0.25 * index,
            slower_by_high=1.9 + 0.4 * index,
            network_ms=20.0 + 2 * index if link else 1.1,
            service_ms=4.0 if link else 80.0,
            share_explained=0.93 - 0.01 * index,
        )
        for index in range(number)
    )


def dirty(at: datetime, **changes: Any) -> Verdict:
    fields: dict[str, Any] = {
        "id": "v-dirty",
        "kind": "link",
        "link": DIRTY,
        "direction": "b_to_a",
        "root_cause": "dirty_connector",
        "probability": 0.973,
        "severity": "err",
        "onset": ONSET,
        "window": Window(at - timedelta(minutes=30), at),
        "lane": 1,
        "actions": (
            Action(
                1,
                "inspect_and_clean",
                "leaf3",
                "Ethernet49",
                1,
                "rx",
                "Inspect before you mate again; clean the cord's end and the port's.",
            ),
            Action(
                2,
                "inspect_and_clean",
                "spine2",
                "Ethernet3",
                1,
                "tx",
                "Light and counters do not tell which end-face is dirty: do this one too.",
            ),
            Action(
                3, "replace_cable", "leaf3", "Ethernet49", None, None, "If errors go on after both are clean."
            ),
        ),
        "evidence": (
            Evidence(
                "errors",
                8.1e-5,
                24.0,
                "8.1e-05 of the packets into leaf3 Ethernet49 are damaged, 1.8e-08 were in the 7 days before",
            ),
            Evidence(
                "light", 6.2, 13.0, "6.2 dB more light is lost from spine2 to leaf3 than before, on lane 1"
            ),
            Evidence(
                "pairs",
                14,
                17.0,
                "14 of 15 pairs across this link resend more than usual, 3 of 212 elsewhere",
            ),
            Evidence("utilisation", 0.02, 3.0, "errors do not follow the load (correlation 0.02)"),
            Evidence("temperature", 41.0, -1.0, "the module's temperature and bias are as ever"),
        ),
        "pairs": pairs_of(DIRTY, 14, "d"),
        "alternatives": (
            Candidate(DIRTY, "b_to_a", "damaged_fiber", 0.021),
            Candidate(DIRTY, "b_to_a", "bad_transceiver", 0.005),
        ),
        "missing": ("no FEC counters at leaf3",),
    }
    return Verdict(**{**fields, **changes})


def congested(at: datetime) -> Verdict:
    return Verdict(
        id="v-full",
        kind="link",
        link=FULL,
        direction="a_to_b",
        root_cause="congestion",
        probability=0.91,
        severity="err",
        onset=MIDNIGHT + timedelta(hours=11),
        window=Window(at - timedelta(minutes=30), at),
        actions=(
            Action(
                1, "relieve", "leaf1", "Ethernet50", None, "tx", "Move the backup of node-01 to the night."
            ),
        ),
        evidence=(
            Evidence("discards", 2.4e-3, 19.0, "2.4e-03 of the packets are discarded at leaf1 Ethernet50"),
            Evidence("utilisation", 0.97, 9.0, "97 % full in the same minutes"),
        ),
        pairs=pairs_of(FULL, 3, "f"),
        subject=Subject(device="leaf1", if_name="Ethernet50"),
    )


def slow_service(at: datetime) -> Verdict:
    return Verdict(
        id="v-service",
        kind="service",
        link=None,
        direction=None,
        root_cause="service",
        probability=0.88,
        severity="warning",
        onset=MIDNIGHT + timedelta(hours=15),
        window=Window(at - timedelta(minutes=30), at),
        actions=(
            Action(1, "none", text="Look at the service recommend itself: the network part is as ever."),
        ),
        evidence=(
            Evidence(
                "service", 80.0, 16.0, "the service part grew from 9 to 80 ms, the network part did not"
            ),
        ),
        pairs=pairs_of(None, 2, "r"),
        subject=Subject(service="recommend"),
    )


def sick(at: datetime) -> Verdict:
    return Verdict(
        id="f-sick",
        kind="link",
        link=SICK,
        direction="a_to_b",
        root_cause="failing_transmitter",
        probability=0.74,
        severity="notice",
        onset=None,
        window=Window(at - timedelta(minutes=30), at),
        actions=(Action(1, "replace_transceiver", "leaf2", "Ethernet49", 1, "tx", ""),),
        evidence=(Evidence("bias", 61.0, 8.0, "bias current rose by 9 mA in 7 days while light fell"),),
    )


def document(verdict: Verdict, at: datetime) -> dict[str, Any]:
    return {
        "at": at,
        "kind": verdict.kind,
        "root_cause": verdict.root_cause,
        "probability": verdict.probability,
        "severity": verdict.severity,
        "document": json.dumps(verdict.to_json()),
    }


def verdict_row(verdict: Verdict, at: datetime) -> dict[str, Any]:
    return {"id": verdict.id, **document(verdict, at)}


def event_row(event: IncidentEvent) -> dict[str, Any]:
    row = document(event.verdict, event.at)
    return {**row, "incident": event.incident, "seq": event.seq, "event": event.event}


def quiet() -> dict[str, pd.DataFrame]:
    """A day on which nothing is wrong."""
    return {
        "devices": frames.frame("devices", _devices()),
        "interfaces": frames.frame("interfaces", _interfaces()),
        "neighbors": frames.frame("neighbors", _neighbors()),
        "hosts": frames.frame("hosts", _hosts()),
        "polls": frames.frame("polls", _polls()),
        "counters": frames.frame("counters", _counters(errors_from=None)),
        "optics": frames.frame("optics", _optics(fall_db=0.0)),
    }


def rich() -> dict[str, pd.DataFrame]:
    """A day with a dirty link, a full one, a slow service, a sick link and several blind spots."""
    seen = [END - timedelta(minutes=minutes) for minutes in (200, 100, 1)]
    verdicts = [verdict_row(make(at), at) for at in seen for make in (dirty, slow_service)]
    noon = MIDNIGHT + timedelta(hours=12)
    full = congested(noon)
    events = [
        IncidentEvent("i-full", 1, noon, "opened", "err", full, noon),
        IncidentEvent(
            "i-full", 2, noon + timedelta(hours=2), "cleared", "notice", full, noon, "discards ended"
        ),
    ]
    return {
        **quiet(),
        "counters": frames.frame("counters", _counters(errors_from=ONSET)),
        "optics": frames.frame("optics", _optics(fall_db=6.2)),
        "polls": frames.frame("polls", [*_polls(), *_failed_polls()]),
        "link_hours": frames.frame("link_hours", _link_hours()),
        "optics_hours": frames.frame("optics_hours", _optics_hours()),
        "pair_hours": frames.frame("pair_hours", _pair_hours()),
        "containers": frames.frame("containers", _containers()),
        "pair_samples": frames.frame("pair_samples", _pair_samples()),
        "cables": frames.frame("cables", [_cable()]),
        "annotations": frames.frame("annotations", [_preloaded("link_hours"), _preloaded("optics_hours")]),
        "verdicts": frames.frame("verdicts", verdicts),
        "findings": frames.frame("findings", [verdict_row(sick(at), at) for at in seen]),
        "incident_events": frames.frame("incident_events", [event_row(event) for event in events]),
    }


def _cable() -> dict[str, Any]:
    return {
        "at": MIDNIGHT,
        "a_device": "leaf3",
        "a_if_name": "Ethernet49",
        "b_device": "spine2",
        "b_if_name": "Ethernet3",
        "a_panel": "PP-B12/17",
        "b_panel": "PP-A01/3",
    }


def _preloaded(subject: str) -> dict[str, Any]:
    why = "seven simulated days so that there is a usual"
    return {"at": MIDNIGHT, "subject": subject, "kind": "preloaded", "by": "fabric", "why": why}


def _devices() -> list[dict[str, Any]]:
    return [
        {
            "at": MIDNIGHT + MINUTE,
            "device": name,
            "sys_name": name,
            "site": "FRA2",
            "rack": f"B{12 + index}",
            "chassis_id": f"02:00:00:00:00:{index:02x}",
            "boot_id": "1",
            "profile": "standard",
        }
        for index, name in enumerate(SWITCHES)
    ]


def _ports() -> Iterator[tuple[str, str]]:
    for leaf in range(1, 5):
        yield f"leaf{leaf}", "Ethernet49"
        yield f"leaf{leaf}", "Ethernet50"
        yield f"leaf{leaf}", "Ethernet1"
        yield f"leaf{leaf}", "Ethernet2"
        yield "spine1", f"Ethernet{leaf}"
        yield "spine2", f"Ethernet{leaf}"


def _interfaces() -> list[dict[str, Any]]:
    return [
        {
            "at": MIDNIGHT + MINUTE,
            "device": device,
            "if_index": index,
            "if_name": if_name,
            "if_type": 6,
            "admin_status": "up",
            "oper_status": "up",
            "speed_bps": 25_000_000_000,
        }
        for index, (device, if_name) in enumerate(_ports(), start=1)
    ]


def _neighbors() -> list[dict[str, Any]]:
    rows = []
    for leaf in range(1, 5):
        for spine, port in (("spine2", "Ethernet49"), ("spine1", "Ethernet50")):
            if leaf == 2:
                spine = {"spine1": "spine2", "spine2": "spine1"}[spine]
            rows += [
                (f"leaf{leaf}", port, spine, f"Ethernet{leaf}"),
                (spine, f"Ethernet{leaf}", f"leaf{leaf}", port),
            ]
    return [
        {
            "at": MIDNIGHT + MINUTE,
            "device": device,
            "if_index": 1,
            "if_name": if_name,
            "protocol": "lldp",
            "remote_sys_name": far,
            "remote_port_id": far_port,
        }
        for device, if_name, far, far_port in rows
    ]


def _hosts() -> list[dict[str, Any]]:
    rows = []
    for index, host in enumerate(HOSTS):
        heard = {"lldp_sys_name": f"leaf{index // 2 + 1}", "lldp_port_id": f"Ethernet{index % 2 + 1}"}
        rows.append(
            {
                "at": MIDNIGHT + MINUTE,
                "host": host,
                "nic": "ens1f0",
                "hostname": host,
                "addresses": [f"10.0.{index}.1"],
                **({} if host == "node-08" else heard),
            }
        )
    return rows


def _polls() -> list[dict[str, Any]]:
    return [
        {"at": at, "target": target, "kind": kind, "ok": True, "duration_ms": 40.0, "requests": 9, "rows": 20}
        for kind, targets in (("switch", SWITCHES), ("host", HOSTS))
        for target in targets
        for at in (MIDNIGHT + MINUTE, END - MINUTE)
    ]


def _failed_polls() -> list[dict[str, Any]]:
    nine = MIDNIGHT + timedelta(hours=9)
    away = END - timedelta(seconds=30)
    return [
        {
            "at": nine + timedelta(minutes=50),
            "target": "leaf3",
            "kind": "switch",
            "ok": True,
            "gap_from": nine,
        },
        {
            "at": nine + MINUTE,
            "target": "leaf3",
            "kind": "switch",
            "ok": False,
            "error": "no answer within 2 s",
        },
        {"at": away, "target": "node-06", "kind": "host", "ok": False, "error": "connection refused"},
    ]


def _in_gap(at: datetime) -> bool:
    nine = MIDNIGHT + timedelta(hours=9)
    return nine < at < nine + timedelta(minutes=50)


def _counters(errors_from: datetime | None) -> list[dict[str, Any]]:
    rng = np.random.default_rng(7)
    rows = []
    for device, if_name in ((e.device, e.if_name) for link in (DIRTY, FULL) for e in (link.a, link.b)):
        octets, packets, errors, discards = 2**40, 2**33, 12, 0
        for minute in range(0, 1440):
            at = MIDNIGHT + minute * MINUTE + timedelta(seconds=int(rng.integers(0, 4)))
            load = 1 + 0.6 * np.sin(minute / 229)
            packets += int(900_000 * load)
            octets += int(720_000_000 * load)
            if device == "leaf3" and errors_from and at > errors_from:
                errors += int(rng.poisson(900_000 * load * 8e-5))
            if device == "spine2" and minute in (400, 401, 900):
                errors += 1
            if device == "leaf1" and errors_from and 660 < minute < 840:
                discards += int(rng.poisson(900_000 * load * 2.4e-3))
            if device == "leaf3" and _in_gap(at):
                continue
            rows.append(
                {
                    "at": at,
                    "device": device,
                    "if_index": 1,
                    "if_name": if_name,
                    "uptime_cs": 10_000_000 + minute * 6000,
                    "discontinuity_cs": 0,
                    "octets_width_bits": 64,
                    "errors_width_bits": 32,
                    "in_octets": octets,
                    "out_octets": octets,
                    "in_packets": packets,
                    "out_packets": packets,
                    "in_errors": errors,
                    "out_errors": 0,
                    "in_discards": 0,
                    "out_discards": discards,
                }
            )
    known = {(row["device"], row["if_name"]) for row in rows}
    others = [(device, if_name) for device, if_name in _ports() if (device, if_name) not in known]
    rows += [
        {"at": END - MINUTE, "device": device, "if_index": 1, "if_name": if_name}
        for device, if_name in others
    ]
    return rows


def _optics(fall_db: float) -> list[dict[str, Any]]:
    rng = np.random.default_rng(8)
    rows = []
    for device, if_name, tx, rx in (
        ("leaf3", "Ethernet49", -1.4, -3.1),
        ("spine2", "Ethernet3", -0.9, -3.8),
        ("leaf1", "Ethernet50", -1.2, -2.8),
        ("spine1", "Ethernet1", -1.1, -2.6),
        ("leaf2", "Ethernet49", -2.9, -3.3),
        ("spine1", "Ethernet2", -1.0, -5.1),
    ):
        for step in range(288):
            at = MIDNIGHT + timedelta(minutes=5 * step, seconds=20)
            if device == "leaf3" and _in_gap(at):
                continue
            fallen = fall_db if device == "leaf3" and at > ONSET else 0.0
            rows.append(
                {
                    "at": at,
                    "device": device,
                    "if_index": 1,
                    "if_name": if_name,
                    "lane": 1,
                    "rx_power_dbm": round(rx - fallen + rng.normal(0, 0.06), 2),
                    "tx_power_dbm": round(tx + rng.normal(0, 0.03), 2),
                    "bias_ma": 6.4,
                    "temperature_c": 41.0,
                    "rx_power_low_warn_dbm": -9.9,
                    "rx_power_low_alarm_dbm": -11.9,
                    "rx_power_high_warn_dbm": 2.4,
                    "rx_power_high_alarm_dbm": 3.4,
                    "module_type": "SFP28 SR",
                }
            )
    known = {(row["device"], row["if_name"]) for row in rows}
    rows += [
        {
            "at": END - MINUTE,
            "device": device,
            "if_index": 1,
            "if_name": if_name,
            "lane": 1,
            "rx_power_dbm": -2.5,
        }
        for device, if_name in _ports()
        if (device, if_name) not in known and device != "leaf4"
    ]
    return rows


def _hours() -> list[datetime]:
    return [MIDNIGHT - timedelta(hours=hours) for hours in range(168, 0, -1)]


def _link_hours() -> list[dict[str, Any]]:
    return [
        {
            "at": hour + timedelta(hours=1),
            "hour": hour,
            "device": end.device,
            "if_name": end.if_name,
            "metric": metric,
            "exposure": 54e6,
            "count": float(index % 71 == 3 and metric == "errors"),
        }
        for link in (DIRTY, FULL)
        for end in (link.a, link.b)
        for metric in ("errors", "discards")
        for index, hour in enumerate(_hours())
    ]


def _optics_hours() -> list[dict[str, Any]]:
    rng = np.random.default_rng(9)
    powers = ((DIRTY.a, -1.4, -3.1), (DIRTY.b, -0.9, -3.8))
    return [
        {
            "at": hour + timedelta(hours=1),
            "hour": hour,
            "device": end.device,
            "if_name": end.if_name,
            "lane": 1,
            "metric": f"{side}_power_dbm",
            "exposure": 12.0,
            "count": 12.0,
            "sum": 12.0 * (power + 0.08 * np.sin(hour.hour / 3.8) + rng.normal(0, 0.03)),
        }
        for end, tx, rx in powers
        for side, power in (("tx", tx), ("rx", rx))
        for index, hour in enumerate(_hours())
        if not 60 < index < 75
    ]


def _all_pairs() -> list[PairImpact]:
    return [*pairs_of(DIRTY, 14, "d"), *pairs_of(FULL, 3, "f"), *pairs_of(None, 2, "r")]


def _service(container: str, name: str) -> str:
    return name.split("-")[0]


def _places() -> dict[str, tuple[str, str]]:
    """Container → (host, name)."""
    found = {}
    for index, pair in enumerate(_all_pairs()):
        found[pair.src] = (HOSTS[index % 4], pair.src_name)
        found[pair.dst] = (HOSTS[4 + int(pair.dst[-2:])], pair.dst_name)
    return found


def _containers() -> list[dict[str, Any]]:
    return [
        {
            "at": MIDNIGHT + MINUTE,
            "host": host,
            "container_id": container,
            "name": name,
            "service": _service(container, name),
            "published_ports": ["8080/tcp"],
            "started_at": MIDNIGHT - timedelta(days=3),
        }
        for container, (host, name) in _places().items()
    ]


def _pair_samples() -> list[dict[str, Any]]:
    places = _places()
    rows = []
    for index, pair in enumerate(_all_pairs()):
        onset = (
            ONSET
            if pair.src.startswith("cd")
            else MIDNIGHT + timedelta(hours=11 if pair.src[1] == "f" else 15)
        )
        for step in range(1, 96):
            at = MIDNIGHT + timedelta(minutes=15 * step)
            slow = at > onset
            service = 80.0 if slow and pair.src[1] == "r" else 6.0 + index / 4
            network = (2.0 + index / 3) * (1 + (slow and pair.src[1] != "r") * (1.5 + 0.6 * index))
            shared = {"at": at, "interval_s": 60.0, "complete": True, "netns": "1", "server_port": 8080}
            ends = ((pair.src, pair.dst, "client"), (pair.dst, pair.src, "server"))
            for own, peer, role in ends:
                row = {
                    **shared,
                    "role": role,
                    "host": places[own][0],
                    "container_id": own,
                    "peer_host": places[peer][0],
                    "peer_container_id": peer,
                    "local_wire_address": own,
                    "peer_wire_address": peer,
                    "data_segments_sent": 4000,
                    "retransmitted_segments": 40 if slow else 1,
                    "rto_count": 0,
                    "exchanges": 900 + 40 * index,
                    "connections_new": 12,
                    "connections_open": 4,
                    "min_rtt_us": 90.0,
                }
                if role == "client":
                    row |= {"response_ms_sum": 900 * (network + service), "response_ms_count": 900}
                else:
                    row |= {"service_ms_sum": 900 * service, "service_ms_count": 900}
                rows.append(row)
    rows.append(
        {
            "at": MIDNIGHT + timedelta(hours=5),
            "host": "node-03",
            "container_id": "cd00",
            "role": "client",
            "netns": "1",
            "local_wire_address": "10.0.2.1",
            "peer_wire_address": "203.0.113.9",
            "server_port": 443,
            "interval_s": 60.0,
            "complete": False,
            "why_incomplete": "42 sockets closed before they were read",
            "exchanges": 1,
        }
    )
    return rows


def _pair_hours() -> list[dict[str, Any]]:
    places = _places()
    rows = []
    for pair in _all_pairs()[:12]:
        src, dst = places[pair.src], places[pair.dst]
        for hour in _hours()[::24]:
            rows.append(
                {
                    "at": hour + timedelta(hours=1),
                    "hour": hour,
                    "src_host": src[0],
                    "dst_host": dst[0],
                    "src_service": _service(pair.src, src[1]),
                    "dst_service": _service(pair.dst, dst[1]),
                    "metric": "retransmissions",
                    "exposure": 240_000.0,
                    "count": 50.0,
                }
            )
    return rows


HOSTILE = (
    "<script>document.title='owned'</script>",
    '"><svg onload=alert(1)><img src=x onerror=alert(2)>',
    "\u202egnp.exe\u202c שרת-ראשי \u2066\u0000\x1b[31m",
    "n" * 255,
    "{{ 7 * 7 }}{% raw %}</style></title><!--",
    "Z" + "\u0301" * 80 + "algo",
)


def hostile() -> dict[str, pd.DataFrame]:
    """A day on which whoever names things means harm."""
    script, markup, rtl, long, template, stacked = HOSTILE
    link = Link.between(End(script, markup), End(rtl, long))
    verdict = dirty(
        END - MINUTE,
        link=link,
        direction="a_to_b",
        actions=(Action(1, "inspect_and_clean", link.b.device, link.b.if_name, 1, "rx", template + markup),),
        evidence=(Evidence("errors", 1e-4, 20.0, f"errors at {script} {markup} {rtl} {long} {template}"),),
        pairs=(PairImpact(script, markup, long, rtl + stacked, 2.0, 1.5, 3.0, None, None, None),),
        missing=(script, long),
        subject=Subject(device=script, if_name=markup),
    )
    light = [
        {
            "at": MIDNIGHT + MINUTE * minute,
            "device": end.device,
            "if_index": 1,
            "if_name": end.if_name,
            "lane": 1,
            "rx_power_dbm": -3.0 - minute / 200,
            "tx_power_dbm": -1.0,
        }
        for end in (link.a, link.b)
        for minute in range(0, 1440, 5)
    ]
    polls = [
        {"at": MIDNIGHT + MINUTE, "target": name, "kind": "host", "ok": False, "error": name}
        for name in HOSTILE
    ]
    notes = [
        {"at": MIDNIGHT, "subject": name, "kind": "preloaded", "by": name, "why": name} for name in HOSTILE
    ]
    racks = [{"at": MIDNIGHT, "device": end.device, "site": markup, "rack": long} for end in (link.a, link.b)]
    return {
        "verdicts": frames.frame("verdicts", [verdict_row(verdict, END - MINUTE)]),
        "optics": frames.frame("optics", light),
        "polls": frames.frame("polls", polls),
        "annotations": frames.frame("annotations", notes),
        "devices": frames.frame("devices", racks),
    }


def _clean_both(link: Link) -> tuple[Action, ...]:
    return tuple(
        Action(step, "inspect_and_clean", end.device, end.if_name, 1, "rx")
        for step, end in enumerate((link.a, link.b), start=1)
    )


def crowded(faults: int = 60, pairs: int = 10_000) -> dict[str, pd.DataFrame]:
    """A day with far more wrong than anybody can read: ``faults`` dirty links, one slows all ``pairs``."""
    at = END - MINUTE
    links = [
        Link.between(End(f"leaf{n:03}", "Ethernet49"), End(f"spine{n % 8}", f"Ethernet{n}"))
        for n in range(faults)
    ]
    verdicts = [
        dirty(at, id=f"v{n}", link=link, actions=_clean_both(link), pairs=pairs_of(link, many, f"-{n}-"))
        for n, (link, many) in enumerate(zip(links, [pairs] + [3] * faults, strict=False))
    ]
    findings = [
        dirty(
            at,
            id=f"f{n}",
            link=Link.between(End(f"pod{n}", "1"), End(f"top{n}", "2")),
            pairs=(),
            severity="notice",
        )
        for n in range(1000)
    ]
    rng = np.random.default_rng(5)
    light = [
        {
            "at": MIDNIGHT + MINUTE * minute,
            "device": end.device,
            "if_index": 1,
            "if_name": end.if_name,
            "lane": 1,
            "rx_power_dbm": float(rng.normal(-3, 0.2)),
            "tx_power_dbm": float(rng.normal(-1, 0.1)),
        }
        for link in links[:20]
        for end in (link.a, link.b)
        for minute in range(0, 1440, 2)
    ]
    ports = [
        {
            "at": MIDNIGHT,
            "device": f"leaf{n:03}",
            "if_index": p,
            "if_name": f"Ethernet{p}",
            "if_type": 6,
            "oper_status": "up",
        }
        for n in range(100)
        for p in range(20)
    ]
    return {
        "verdicts": frames.frame("verdicts", [verdict_row(verdict, at) for verdict in verdicts]),
        "findings": frames.frame("findings", [verdict_row(finding, at) for finding in findings]),
        "optics": frames.frame("optics", light),
        "interfaces": frames.frame("interfaces", ports),
    }
