"""What is really wrong, in the shape of a verdict: for comparing with one, after it was given."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from correlator.fabric.physics import World
from correlator.fabric.simulation import Fabric
from correlator.fabric.stories import Fault
from correlator.fabric.traffic import Traffic
from correlator.fabric.workload import Pair
from correlator.model import Action, Subject, Verdict, Window


def truth(fabric: Fabric) -> list[dict[str, Any]]:
    """Return the fault of the run as verdict-shaped JSON with ``injected`` beside; empty where there is none.

    ``injected`` holds what was put in: ``level`` (share of packets lost or discarded, or factor on the
    service's time), ``onset``, ``repaired`` (null while it lasts), and ``pairs``, the long-lived pairs
    that it slows: how many of their connections cross the link now, and their usual service and network
    time. A fault that was repaired before it came is none.
    """
    fault, world = fabric.story.fault, fabric.world
    if fault is None or world.fault_until <= world.fault_from:
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
    if fault.kind == "dirty_connector":
        injected |= {
            "loss_rate": fault.level,
            "rx_drop_db": fault.drop_db,
            "true_end": _dirty_end(fabric, fault),
        }
    return [document | {"injected": injected}]


def _moment(fabric: Fabric, second: float) -> datetime:
    return fabric.start + timedelta(seconds=second)


def _verdict(fabric: Fabric, fault: Fault) -> Verdict:
    link, direction = fabric.layout.directed(fault.link) if fault.link is not None else (None, None)
    onset = _moment(fabric, fabric.world.fault_from)
    service = fault.kind == "slow_service"
    return Verdict(
        id=f"truth-{fabric.seed}",
        kind="service" if service else "link",
        link=link,
        direction=direction,
        root_cause="service"
        if service
        else ("congestion" if fault.kind == "congestion" else "dirty_connector"),
        probability=1.0,
        severity="err",
        onset=onset,
        window=Window(onset, max(onset, fabric.now)),
        lane=1 if fault.kind == "dirty_connector" else None,
        actions=_actions(fabric, fault),
        subject=_subject(fabric, fault),
    )


def _dirty_end(fabric: Fabric, fault: Fault) -> dict[str, str]:
    port = _dirty_port(fabric, fault)
    return {"device": port[0], "if_name": port[1], "side": port[2]}


def _dirty_port(fabric: Fabric, fault: Fault) -> tuple[str, str, str]:
    """Return device, interface and half of the port whose end-face is dirty."""
    layout, link = fabric.layout, fault.link if fault.link is not None else 0
    port = layout.receiver(link) if fault.dirty_end else layout.sender(link)
    return port.device, port.if_name, "rx" if fault.dirty_end else "tx"


def _actions(fabric: Fabric, fault: Fault) -> tuple[Action, ...]:
    if fault.kind == "dirty_connector":
        device, if_name, side = _dirty_port(fabric, fault)
        return (Action(1, "inspect_and_clean", device, if_name, 1, "rx" if side == "rx" else "tx"),)
    if fault.kind == "congestion" and fault.link is not None:
        port = fabric.layout.sender(fault.link)
        return (Action(1, "relieve", port.device, port.if_name),)
    return ()


def _subject(fabric: Fabric, fault: Fault) -> Subject:
    if fault.kind == "congestion" and fault.link is not None:
        port = fabric.layout.sender(fault.link)
        return Subject(device=port.device, if_name=port.if_name)
    if fault.kind == "slow_service":
        return Subject(
            service=fault.service, container=fault.container, host=_host_of(fabric, fault.container)
        )
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
    """Return how many connections of a pair cross the fault's link, there or back."""
    if fault.link is None:
        return 0
    mine = traffic.flows.pair == number
    crossed = (traffic.flows.forward[mine] == fault.link).any(axis=1)
    crossed |= (traffic.flows.reverse[mine] == fault.link).any(axis=1)
    return int(crossed.sum())


def _serves(pair: Pair, fault: Fault) -> bool:
    if fault.container is not None:
        return pair.server.container_id == fault.container
    return fault.service is not None and pair.server.service == fault.service
