"""Real switches' daemons, real Docker hosts, real loss: one service before them all, story after story."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from lab_plan import Cable
from lab_service import ENGINE, PERIOD_S
from lab_watch import lost, moment, share_lost, slow

from correlator.model import Incident

pytestmark = [pytest.mark.real, pytest.mark.root, pytest.mark.slow]

SETTLES_S = 15  # LLDP is heard, the first polls are in
MEASURED_S = 47  # three slices of the past
QUIET_S = 25
FAILS = 0.02  # of the polls: a busy machine lets one wait too long
DIRTY_DBM = -6.0  # 3 dB below what a clean receiver sees
DARK_DBM = -40.0


@dataclass
class Dirt:
    """A direction of a link that loses a share, with less light at the receiver."""

    lab: Any
    cable: Cable
    receiver: str

    def spread(self, share: float, dbm: float | None = DIRTY_DBM) -> None:
        levels = {} if dbm is None else {"rx_dbm": dbm}
        self.lab.switches[self.receiver].light(self.cable.end(self.receiver).if_name, **levels)
        self.lab.fabric.dirty(self.cable, self.receiver, share)
        self.began = self.counted()

    def clean(self) -> None:
        self.spread(0.0, None)

    def counted(self) -> tuple[int, int]:
        """Return (errors, packets) that the kernel counted at the receiver."""
        counter = self.lab.fabric.counter
        errors = counter(self.cable, self.receiver)
        return errors, errors + counter(self.cable, self.receiver, "rx_packets")

    def share(self) -> tuple[int, float]:
        """Return how many were lost since it began, and their share, by the kernel's own counters."""
        errors, packets = (now - then for now, then in zip(self.counted(), self.began, strict=True))
        return errors, errors / packets


def told_and_cleaned(watch, dirt: Dirt, story: str, share: float, until_lost: int = 0) -> Incident:
    """Make a direction dirty, wait for the line that says so, and clean it; return the incident.

    Where ``until_lost`` is given, the loss that the verdict tells is compared with the kernel's.
    """
    dirt.spread(share)
    try:
        incident = watch.opened(lost(dirt.cable, dirt.receiver), story)
        if until_lost:
            watch.calm_for(ENGINE["window"] + 2 * PERIOD_S)  # what was before is out of the window
            watch.until(lambda: dirt.share()[0] >= until_lost, f"{until_lost} losses", 300)
            errors, kernel = dirt.share()
            said = share_lost(watch.now(incident))
            print(f"{story}: the kernel lost {errors}, {kernel:.4f}; the verdict says {said:.4f}")
            assert said == pytest.approx(kernel, rel=0.2)
    finally:
        dirt.clean()
    return incident


def test_nothing_happens_and_nobody_is_alarmed(lab, watch):
    watch.calm_for(SETTLES_S)
    since = moment()
    watch.calm_for(MEASURED_S)
    assert watch.service.remember(since) >= 3
    watch.calm_for(QUIET_S)
    polls = watch.service.read("polls", since)
    failed = polls[~polls["ok"]]
    print(f"\nnothing: {len(polls)} polls, {len(failed)} failed: {list(failed['error'])}")
    assert len(failed) <= FAILS * len(polls)
    neighbors = watch.service.store.newest("neighbors", moment())
    assert len(neighbors) == sum(len(lab.plan.ports(name)) for name in lab.plan.switches)


@pytest.fixture(scope="module")
def repaired():
    """The incidents whose cause was mended: their clears come while the next story is told."""
    return []


def test_a_dirty_connector_is_told_and_then_the_other_direction_of_another_link(lab, watch, repaired):
    down = Dirt(lab, lab.plan.cable("leaf2", "spine1"), "leaf2")
    up = Dirt(lab, lab.plan.cable("leaf1", "spine2"), "spine2")
    repaired += [
        told_and_cleaned(watch, down, "dirty connector towards the leaf", 0.01, until_lost=100),
        told_and_cleaned(watch, up, "dirty connector towards the spine", 0.01),
    ]
    watch.calm()


def test_a_port_shut_on_purpose_with_its_light_gone_alarms_nobody(lab, watch):
    cable = lab.plan.cable("leaf2", "spine2")
    before = len(watch.service.lines())
    for end in (cable.lower, cable.upper):
        lab.switches[end.device].light(end.if_name, rx_dbm=DARK_DBM, tx_dbm=DARK_DBM)
    lab.fabric.shut([cable])
    try:
        watch.calm_for(45)
        interfaces = watch.service.store.newest("interfaces", moment())
        end = cable.lower
        shut = interfaces[(interfaces["device"] == end.device) & (interfaces["if_name"] == end.if_name)]
        assert shut["admin_status"].tolist() == ["down"]
        assert not [one for one in watch.service.incidents() if one.verdict.link == cable.link]
    finally:
        lab.fabric.shut([])
        for end in (cable.lower, cable.upper):
            lab.switches[end.device].light(end.if_name)
    print(f"\nport shut: {len(watch.service.lines()) - before} lines")
    watch.calm()


def test_what_was_repaired_is_cleared_once(watch, repaired):
    assert len(repaired) == 2
    for incident in repaired:
        watch.cleared(incident, str(incident.verdict.link))
    watch.calm()


def test_a_slow_service_is_not_the_network(lab, watch):
    asked = [lab.hosts[host] for host in lab.plan.services["api"]["hosts"]]
    for host in asked:
        host.slow("api", True)
    try:
        incident = watch.opened(slow("api"), "slow service")
    finally:
        for host in asked:
            host.slow("api", False)
    watch.cleared(incident, "slow service")
    assert not [one for one in watch.service.incidents() if one.verdict.kind == "link"]
    watch.calm()
