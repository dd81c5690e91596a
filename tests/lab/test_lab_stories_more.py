"""Stories for `make lab`: several faults, and what looks like one and is none."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest
from lab_dirt import Dirt
from lab_switch import start_lldpd
from lab_watch import lost, moment

pytestmark = [pytest.mark.real, pytest.mark.root, pytest.mark.slow, pytest.mark.long]

LONG_QUIET_S = 600
LOOKS_ON_S = 40


def test_two_faults_at_once_are_two_incidents(lab, watch):
    dirts = [
        Dirt(lab, lab.plan.cable("leaf2", "spine1"), "leaf2"),
        Dirt(lab, lab.plan.cable("host2", "leaf1"), "leaf1"),
    ]
    for dirt in dirts:
        dirt.spread(0.01)
    try:
        incidents = [
            watch.opened(lost(dirt.cable, dirt.receiver), f"two faults, {dirt.receiver}") for dirt in dirts
        ]
    finally:
        for dirt in dirts:
            dirt.clean()
    for incident in incidents:
        watch.cleared(incident, str(incident.verdict.link))
    watch.calm()


def test_a_switch_that_restarted_with_its_counters_alarms_nobody(lab, watch):
    lab.switches["spine2"].reboot()
    watch.calm_for(LOOKS_ON_S)
    polls = watch.service.read("polls", moment() - timedelta(seconds=15))
    mine = polls[polls["target"] == "spine2"]
    assert mine["ok"].any()


def test_a_killed_agent_alarms_nobody_and_its_gap_is_said(lab, watch):
    since = moment()
    host = lab.hosts["host3"]
    host.stop_agent(signal.SIGKILL)
    watch.calm_for(LOOKS_ON_S)
    host.start_agent()
    watch.until(
        lambda: watch.service.read("polls", since).query("target == 'host3'")["gap_from"].notna().any(),
        "the row that ends the gap",
        120,
    )
    watch.calm()


def test_silent_lldp_alarms_nobody(lab, watch):
    lab.machine.end("leaf1-lldpd")
    try:
        watch.calm_for(LOOKS_ON_S)
    finally:
        folder = lab.machine.home / "leaf1"
        start_lldpd(lab.machine, lab.plan, "leaf1", "-x", "-X", folder / "agentx")


def test_ten_quiet_minutes(lab, watch):
    watch.until(lambda: not watch.service.incidents(), "everything to be well", 300)
    watch.calm_for(LONG_QUIET_S)
    assert not watch.service.incidents()
