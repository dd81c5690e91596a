"""Routes that switches learn from one another are paths like any other."""

from __future__ import annotations

import pytest
from lab_counts import Errand
from lab_dirt import Dirt, told_and_cleaned
from lab_ways import routed, told

VARIANT = "bgp"
pytestmark = [pytest.mark.real, pytest.mark.root, pytest.mark.slow, pytest.mark.long]


def test_the_paths_that_bgp_found_are_known(lab, watch):
    errand = Errand(lab, "host1", "host4")
    errand.run("learned", connections=4, count=250, think=5)
    errand.is_counted(watch)
    there, back = told(watch.service.explain("learned", "api-host4", errand.seen), "host1", "host4")
    assert there == routed(lab.plan, "host1", "host4")
    assert back == routed(lab.plan, "host4", "host1")


def test_a_dirty_connector_is_told_and_cleared(lab, watch):
    dirt = Dirt(lab, lab.plan.cable("leaf2", "spine1"), "leaf2")
    told_and_cleaned(watch, dirt, "BGP: dirty connector", 0.01)
    watch.settle()
    watch.calm()
