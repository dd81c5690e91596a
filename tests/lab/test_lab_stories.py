"""Real switches' daemons, real Docker hosts, real loss: one service before them all, story after story."""

from __future__ import annotations

from datetime import timedelta

import pytest
from lab_dirt import Dirt, told_and_cleaned
from lab_watch import moment, slow

pytestmark = [pytest.mark.real, pytest.mark.root, pytest.mark.slow]

QUIET_S = 25
FAILS = 0.02  # of the polls: a busy machine lets one wait too long
DARK_DBM = -40.0


def test_nothing_happens_and_nobody_is_alarmed(lab, watch):
    watch.calm_for(QUIET_S)
    polls = watch.service.read("polls", moment() - timedelta(hours=1))
    failed = polls[~polls["ok"]]
    print(f"\nnothing: {len(polls)} polls, {len(failed)} failed: {list(failed['error'])}")
    assert len(failed) <= FAILS * len(polls)
    neighbors = watch.service.store.newest("neighbors", moment())
    assert len(neighbors) == sum(len(lab.plan.ports(name)) for name in lab.plan.switches)


def test_a_dirty_connector_is_told_and_then_the_other_direction_of_another_link(lab, watch):
    down = Dirt(lab, lab.plan.cable("leaf2", "spine1"), "leaf2")
    up = Dirt(lab, lab.plan.cable("leaf1", "spine2"), "spine2")
    told_and_cleaned(watch, down, "dirty connector towards the leaf", 0.01, until_lost=100)
    told_and_cleaned(watch, up, "dirty connector towards the spine", 0.01)
    watch.calm()


def test_the_report_of_the_day_says_in_its_first_sentence_what_to_clean(watch):
    repaired = [incident for incident, _ in watch.owed]
    sentence = watch.service.first_sentence(repaired[0].opened_at.date())
    print(f"\nreport: {sentence}")
    assert "clean" in sentence
    firsts = [incident.verdict.actions[0] for incident in repaired]
    assert any(f"{step.device} {step.if_name}" in sentence for step in firsts)


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


def test_a_slow_service_is_not_the_network(lab, watch):
    asked = [lab.hosts[host] for host in lab.plan.services["api"]["hosts"]]
    for host in asked:
        host.slow("api", True)
    try:
        incident = watch.opened("slow service", slow("api"))
    finally:
        for host in asked:
            host.slow("api", False)
    watch.owed.append((incident, "slow service"))
    watch.calm()


@pytest.mark.short  # more stories go on meanwhile, and the time of nothing begins with the clears
def test_what_was_repaired_is_cleared_once(watch):
    assert watch.owed
    watch.settle()
    assert not watch.service.incidents()
    watch.calm()
