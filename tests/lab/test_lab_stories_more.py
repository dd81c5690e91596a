"""Stories for `make lab`: several faults, and what looks like one and is none."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest
from lab_counts import Errand
from lab_dirt import Dirt, told_and_cleaned
from lab_fabric import USUAL_MBPS
from lab_service import ENGINE
from lab_switch import start_lldpd
from lab_watch import full, lost, moment, starved

pytestmark = [pytest.mark.real, pytest.mark.root, pytest.mark.slow, pytest.mark.all]

LOOKS_ON_S = 30
STARVED = 2  # percent of a processor: some ten times as slow; with 1 %, few answers can be timed
LOW = 0.0003  # some five packets a window: fewer do not tell a sick link from a clean one
COUNTED = (("host1", "host3"), ("host2", "host4"), ("host2", "host1"), ("host3", "host1"))


@pytest.mark.parametrize(("share", "leaf"), [(0.001, "leaf1"), (LOW, "leaf2")])
def test_little_loss_is_told_and_cleared(lab, watch, share, leaf):
    dirt = Dirt(lab, lab.plan.cable(leaf, "spine1"), "spine1")
    told_and_cleaned(watch, dirt, f"dirty connector, {share:.2%}", share)
    watch.calm()


def test_a_fault_that_hurts_nobody_is_a_finding(lab, watch):
    watch.calm_for(ENGINE["window"])  # pairs that an earlier story hurt are slow for as long
    cable = lab.plan.cable("leaf2", "spine2")
    dirt = Dirt(lab, cable, "spine2")
    lab.fabric.unuse([cable])
    try:
        with lab.talking(cable, "leaf2", 500):
            incident = told_and_cleaned(watch, dirt, "off every used path", 0.01)
    finally:
        lab.fabric.unuse([])
    assert not incident.verdict.pairs
    assert incident.verdict.severity == "warning"
    watch.calm()


def test_an_egress_that_is_full_is_congestion(lab, watch):
    cable = lab.plan.cable("host4", "leaf2")
    end, asked = cable.end("leaf2"), lab.hosts["host4"].address_of("api")
    lab.fabric.narrow(end, 20)
    try:
        lab.hosts["host1"].load("bulk", asked, connections=4, request=200_000)
        incident = watch.opened("congestion", full(cable, "leaf2"))
    finally:
        lab.hosts["host1"].docker("rm", "-f", "bulk", check=False)
        lab.fabric.narrow(end, USUAL_MBPS)
    assert incident.verdict.subject.if_name == end.if_name
    watch.owed.append((incident, "congestion"))
    watch.calm()


def test_a_host_without_processor_time_is_not_the_network(lab, watch):
    lab.hosts["host3"].starve(percent=STARVED)
    try:
        incident = watch.opened("slow host", *starved("host3", "api"))
    finally:
        lab.hosts["host3"].starve(None)
    assert incident.verdict.pairs[0].dst_name == "api-host3"
    watch.owed.append((incident, "slow host"))
    watch.calm()


def test_a_container_of_one_second_on_the_sick_path_is_counted_and_explained(lab, watch):
    watch.calm_for(ENGINE["window"])  # the cable was full in an earlier story
    dirt = Dirt(lab, lab.plan.cable("host4", "leaf2"), "leaf2")
    dirt.spread(0.03)
    try:
        incident = watch.opened("a container of one second", lost(dirt.cable, "leaf2"), visible=dirt.shows)
        errand = Errand(lab, "host2", "host4")
        errand.run("brief", connections=8, seconds=1, think=2)
        errand.is_counted(watch)
        said = watch.service.explain("brief", "api-host4", errand.seen)
    finally:
        dirt.clean()
    assert said["matched"]
    assert said["blame"]["link"] == incident.verdict.to_json()["link"]
    watch.owed.append((incident, "a container of one second"))
    watch.calm()


def test_of_equal_paths_only_the_flows_on_the_sick_one_are_hurt(lab, watch):
    dirt = Dirt(lab, lab.plan.cable("leaf1", "spine1"), "spine1")
    host = lab.hosts["host1"]
    before = host.flows("web-host1")
    dirt.spread(0.02)
    try:
        incident = watch.opened("half of the flows", lost(dirt.cable, "spine1"), visible=dirt.shows)
        watch.calm_for(LOOKS_ON_S)
        again = {flow: now - before[flow] for flow, now in host.flows("web-host1").items() if flow in before}
    finally:
        dirt.clean()
    sick = {flow for flow in again if lab.fabric.uplink_of("host1", *flow) == dirt.cable}
    on, off = (sum(again[flow] for flow in flows) for flows in (sick, again.keys() - sick))
    print(f"half of the flows: {len(sick)} of {len(again)} on it; sent again {on} on it, {off} beside it")
    assert 0 < len(sick) < len(again)
    assert on >= 10 * max(off, 1)
    watch.owed.append((incident, "half of the flows"))
    watch.calm()


def test_what_containers_counted_is_what_is_known_of_them(lab, watch):
    errands = [Errand(lab, asking, asked) for asking, asked in COUNTED]
    for number, errand in enumerate(errands):
        errand.run(f"counted{number}", connections=3, count=200, think=5)
    for errand in errands:
        errand.is_counted(watch)


def test_two_faults_at_once_are_two_incidents(lab, watch):
    dirts = [
        Dirt(lab, lab.plan.cable("leaf2", "spine1"), "leaf2"),
        Dirt(lab, lab.plan.cable("host2", "leaf1"), "leaf1"),
    ]
    for dirt in dirts:
        dirt.spread(0.01)
    try:
        incidents = [
            watch.opened(f"two faults, {dirt.receiver}", lost(dirt.cable, dirt.receiver), visible=dirt.shows)
            for dirt in dirts
        ]
    finally:
        for dirt in dirts:
            dirt.clean()
    watch.owed += [(incident, str(incident.verdict.link)) for incident in incidents]
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


def test_a_cable_that_was_moved_is_followed(lab, watch):
    """The last of the stories: the cables stay where they are now."""
    watch.settle()
    one, other = lab.plan.cable("leaf1", "spine1"), lab.plan.cable("leaf2", "spine1")
    lab.fabric.swap(one, other)
    watch.calm_for(LOOKS_ON_S)
    told_and_cleaned(watch, Dirt(lab, other.moved(one), "leaf2"), "dirty connector on a moved cable", 0.01)
    watch.calm()
