"""A bridged fabric with parallel links: spanning tree says which carry anything, and the service knows."""

from __future__ import annotations

import pytest
from lab_counts import Errand
from lab_dirt import Dirt, told_and_cleaned
from lab_ways import told

VARIANT = "bridged"
pytestmark = [pytest.mark.real, pytest.mark.root, pytest.mark.slow, pytest.mark.long]


def test_of_parallel_links_the_one_that_forwards_is_the_path(lab, watch):
    errand = Errand(lab, "host1", "host4")
    errand.run("bridged", connections=4, count=250, think=5)
    errand.is_counted(watch)
    there, back = told(watch.service.explain("bridged", "api-host4", errand.seen), "host1", "host4")
    used = [lab.plan.cable("host1", "leaf1"), *forwarding(lab, "leaf1"), *forwarding(lab, "leaf2")]
    used.append(lab.plan.cable("host4", "leaf2"))
    assert len(used) == 4
    ends = {frozenset((str(cable.lower), str(cable.upper))) for cable in used}
    for way in (there, back):
        assert {frozenset(hop) for hop in way} == ends
        assert set(way.values()) == {1.0}


def test_a_dirty_connector_on_the_link_that_forwards_is_told_and_cleared(lab, watch):
    (cable,) = forwarding(lab, "leaf2")
    dirt = Dirt(lab, cable, "leaf2")
    told_and_cleaned(watch, dirt, "bridged: dirty connector", 0.01)
    watch.settle()
    watch.calm()


def forwarding(lab, leaf):
    """Return the links of a leaf to the spine that the kernel's spanning tree has forward at both ends."""
    return [
        cable
        for cable in lab.plan.parallel(leaf, "spine1")
        if all(lab.fabric.forwards(end) for end in (cable.lower, cable.upper))
    ]
