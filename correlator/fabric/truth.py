"""What is really wrong, in the shape of a verdict: for comparing with one, after it was given."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np

from correlator.fabric.faults import HARMLESS, Fault, Mark
from correlator.fabric.physics import World
from correlator.fabric.simulation import Fabric
from correlator.fabric.traffic import Traffic
from correlator.fabric.workload import Pair
from correlator.model import Action, Candidate, Direction, Kind, RootCause, Side, Subject, Verdict, Window

CAUSES: dict[str, RootCause] = {"slow_service": "service", "slow_host": "host"}
NAMED: tuple[RootCause, ...] = (
    "dirty_connector",
    "congestion",
    "damaged_fiber",
    "failing_transmitter",
    "bad_transceiver",
    "shared_component",
    "silent_drop",
)


def truth(fabric: Fabric) -> list[dict[str, Any]]:
    """Return the fault of the run as verdict-shaped JSON with ``injected`` beside; empty where there is none.

    ``injected`` holds what was put in: ``level`` (share of packets lost or discarded, or factor on the
    service's time), ``onset``, ``repaired`` (null while it lasts), and ``pairs``, the long-lived pairs
    that it slows: how many of their connections cross the link now, and their usual service and network
    time. A fault that was repaired before it came is none, and so is what slows no pair (a reboot, another
    module, codewords that are still corrected).
    """
    fault, world = fabric.story.fault, fabric.world
    if fault is None or fault.kind in HARMLESS or world.fault_until <= world.fault_from:
        return []
    document = _verdict(fabric, fault).to_json()
    repaired = world.fault_until if world.fault_until != float("inf") else None
    injected: dict[str, Any] = {
        "story": fault.kind,
        "level": fault.level,
        "onset": _moment(fabric, world.fault_from).isoformat(),
        "repaired": None if repaired is None else _moment(fabric, repaired).isoformat(),
        "pairs": _pairs(world, fault),
    }
    if any(mark.loss for mark in fault.marks):
        injected |= {
            "loss_rate": fault.level,
            "rx_drop_db": fault.drop_db,
            "true_end": _true_end(fabric, fault),
        }
    return [document | {"injected": injected}]


def _moment(fabric: Fabric, second: float) -> datetime:
    return fabric.start + timedelta(seconds=second)


def _verdict(fabric: Fabric, fault: Fault) -> Verdict:
    link, direction = fabric.layout.directed(fault.link) if fault.link is not None else (None, None)
    onset = _moment(fabric, fabric.world.fault_from)
    kind = _kind(fault)
    one = kind == "link"
    return Verdict(
        id=f"truth-{fabric.seed}",
        kind=kind,
        link=link if one else None,
        direction=_direction(fault, direction) if one else None,
        root_cause=CAUSES.get(fault.kind) or _named(fault),
        probability=1.0,
        severity="err",
        onset=onset,
        window=Window(onset, max(onset, fabric.now)),
        lane=1 if fault.drop_db else None,
        actions=_actions(fabric, fault),
        subject=_subject(fabric, fault),
        candidates=_candidates(fabric, fault) if kind == "class" else (),
    )


def _kind(fault: Fault) -> Kind:
    kinds: dict[str, Kind] = {"slow_service": "service", "slow_host": "host", "shared_component": "class"}
    return kinds.get(fault.kind, "link")


def _named(fault: Fault) -> RootCause:
    """Return the cause of a story that has its name. Raises ValueError for one that has none."""
    for cause in NAMED:
        if cause == fault.kind:
            return cause
    raise ValueError(f"the story {fault.kind!r} has no cause")


def _direction(fault: Fault, direction: Direction | None) -> Direction | None:
    """Return the direction that loses frames: both where a cable's, or a module's, both sides do."""
    lossy = {mark.link for mark in fault.marks if mark.loss > 0}
    return "both" if fault.link is not None and lossy == {fault.link, fault.link ^ 1} else direction


def _candidates(fabric: Fabric, fault: Fault) -> tuple[Candidate, ...]:
    """Return all links that a shared component hurts."""

    def hurt(mark: Mark) -> Candidate:
        return Candidate(*fabric.layout.directed(mark.link), "shared_component", 1.0)

    return tuple(hurt(mark) for mark in fault.marks if mark.loss > 0)


def _true_end(fabric: Fabric, fault: Fault) -> dict[str, str]:
    port = _bad_port(fabric, fault)
    return {"device": port[0], "if_name": port[1], "side": port[2]}


def _bad_port(fabric: Fabric, fault: Fault) -> tuple[str, str, Side]:
    """Return device, interface and half of the port that is to be mended."""
    layout, link = fabric.layout, fault.link if fault.link is not None else 0
    port = layout.receiver(link) if fault.end else layout.sender(link)
    return port.device, port.if_name, "rx" if fault.end else "tx"


def _actions(fabric: Fabric, fault: Fault) -> tuple[Action, ...]:
    """Return the step that mends the fault."""
    if fault.link is None or fault.kind == "shared_component":
        return ()
    device, if_name, side = _bad_port(fabric, fault)
    if fault.kind == "dirty_connector":
        return (Action(1, "inspect_and_clean", device, if_name, 1, side),)
    if fault.kind == "damaged_fiber":
        return (Action(1, "replace_cable", device, if_name, None, side),)
    if fault.kind == "failing_transmitter":
        return (Action(1, "replace_transceiver", device, if_name, 1, "tx"),)
    if fault.kind == "bad_transceiver":
        return (Action(1, "reseat", device, if_name),)
    port = fabric.layout.sender(fault.link)
    return (Action(1, "relieve" if fault.kind == "congestion" else "drain", port.device, port.if_name),)


def _subject(fabric: Fabric, fault: Fault) -> Subject:
    if fault.kind == "congestion" and fault.link is not None:
        port = fabric.layout.sender(fault.link)
        return Subject(device=port.device, if_name=port.if_name)
    if fault.kind == "slow_service":
        return Subject(
            service=fault.service, container=fault.container, host=_host_of(fabric, fault.container)
        )
    if fault.host is not None:
        return Subject(host=fabric.layout.hosts[fault.host].name)
    if fault.switch is not None:
        return Subject(device=fabric.layout.switches[fault.switch].name)
    return Subject()


def _host_of(fabric: Fabric, container: str | None) -> str | None:
    hosts = {c.container_id: c.host for c in fabric.world.setting.workload.containers}
    return None if container is None else fabric.layout.hosts[hosts[container]].name


def _pairs(world: World, fault: Fault) -> list[dict[str, Any]]:
    """Return the long-lived pairs that the fault slows, with their usual times, milliseconds."""
    traffic = world.traffic
    usual, served = traffic.expected_ms(), traffic.service_ms()
    rows = []
    for number, pair in enumerate(traffic.pairs):
        mine = traffic.flows.pair == number
        crossing = _crossing(traffic, fault, number)
        if pair.ended != float("inf") or not (crossing or _serves(pair, fault)):
            continue
        service = served[mine]
        rows.append(
            {
                "src": pair.client.container_id,
                "dst": pair.server.container_id,
                "src_name": pair.client.name,
                "dst_name": pair.server.name,
                "connections": pair.connections,
                "crossing": crossing,
                "service_ms": round(float(service.mean()), 4),
                "network_ms": round(float((usual[mine] - service).mean()), 4),
            }
        )
    return rows


def _crossing(traffic: Traffic, fault: Fault, number: int) -> int:
    """Return how many connections of a pair cross the links that lose packets, there or back."""
    lossy = [mark.link for mark in fault.marks if mark.loss > 0 or mark.silent > 0]
    if fault.kind == "congestion" and fault.link is not None:
        lossy = [fault.link]
    mine = traffic.flows.pair == number
    crossed = np.isin(traffic.flows.forward[mine], lossy).any(axis=1)
    crossed |= np.isin(traffic.flows.reverse[mine], lossy).any(axis=1)
    return int(crossed.sum())


def _serves(pair: Pair, fault: Fault) -> bool:
    if fault.host is not None:
        return fault.host in (pair.client.host, pair.server.host)
    if fault.container is not None:
        return pair.server.container_id == fault.container
    return fault.service is not None and pair.server.service == fault.service
