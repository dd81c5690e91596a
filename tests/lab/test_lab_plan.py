"""What the descriptions say of links, addresses and routes."""

from __future__ import annotations

import pytest
from lab_plan import Plan
from lab_ways import routed


@pytest.mark.parametrize("variant", ["lab", "bgp", "bridged"])
def test_no_two_links_share_a_port_a_number_or_an_address(variant):
    plan = Plan.read(variant)
    ends = [str(end) for cable in plan.cables for end in (cable.lower, cable.upper)]
    assert len(ends) == len(set(ends))
    assert len({cable.vni for cable in plan.cables}) == len(plan.cables)
    assert len({plan.address(host) for host in plan.hosts}) == len(plan.hosts)


def test_a_leaf_reaches_hosts_behind_others_over_every_spine_that_is_used():
    plan = Plan.read()
    far = {route.prefix: route.via for route in plan.routes("leaf1")}[plan.containers("host4")]
    assert len(far) == 2
    left = plan.routes("leaf1", down=[plan.cable("leaf2", "spine1")])
    via = {route.prefix: route.via for route in left}[plan.containers("host4")]
    assert via == (plan.cable("leaf1", "spine2").address("spine2"),)


def test_with_bgp_only_what_is_attached_is_written_down():
    assert {route.prefix for route in Plan.read("bgp").routes("leaf2")} == {"172.30.3.0/24", "172.30.4.0/24"}
    assert Plan.read("bgp").routes("spine1") == []


def test_a_bridged_fabric_has_parallel_links_and_one_network():
    plan = Plan.read("bridged")
    assert [str(cable.upper) for cable in plan.parallel("leaf2", "spine1")] == [
        "spine1 Ethernet3",
        "spine1 Ethernet4",
    ]
    assert plan.routes("leaf1") == []
    assert {route.via for route in plan.routes("host1")} == {("10.20.0.2",), ("10.20.0.3",), ("10.20.0.4",)}


def test_the_way_to_a_host_behind_another_leaf_is_shared_among_the_spines():
    way = routed(Plan.read(), "host1", "host4")
    assert way["host1 ens1f0", "leaf1 Ethernet1"] == way["leaf2 Ethernet2", "host4 ens1f0"] == 1.0
    assert sorted(way.values()) == [0.5] * 4 + [1.0] * 2
    assert len(routed(Plan.read(), "host1", "host2")) == 2
