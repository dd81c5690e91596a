"""However containers reach one another, the service knows who they are and which links they cross."""

from __future__ import annotations

import pytest
from lab_counts import Errand
from lab_ways import routed, told

pytestmark = [pytest.mark.real, pytest.mark.root, pytest.mark.slow, pytest.mark.all]

PUBLISHED, OWN_PORT = 8080, 9100
ANSWERS_IN_MS = 4


def test_a_published_port_leads_to_the_container_behind_it(lab, watch):
    server = lab.hosts["host4"]
    server.answer("published", ANSWERS_IN_MS, flags=("-p", f"{PUBLISHED}:9000"))
    try:
        asked(lab, watch, "host1", "host4", "published", (lab.plan.address("host4"), PUBLISHED))
    finally:
        server.remove("published-host4")
    watch.calm()


def test_a_container_on_its_hosts_network_is_found(lab, watch):
    server = lab.hosts["host3"]
    server.answer("hosted", ANSWERS_IN_MS, port=OWN_PORT, flags=("--network", "host"))
    try:
        asked(lab, watch, "host2", "host3", "hosted", (lab.plan.address("host3"), OWN_PORT))
    finally:
        server.remove("hosted-host3")
    watch.calm()


def test_an_overlays_containers_are_found_on_the_hosts_that_carry_them(lab, watch):
    manager, worker = lab.hosts["host1"], lab.hosts["host3"]
    manager.join()
    worker.join(manager)
    manager.docker("network", "create", "-d", "overlay", "--attachable", "over")
    on_it = ("--network", "over")
    worker.answer("overlaid", ANSWERS_IN_MS, flags=on_it)
    try:
        place = "{{.NetworkSettings.Networks.over.IPAddress}}"
        address = worker.docker("inspect", "-f", place, "overlaid-host3").strip()
        asked(lab, watch, "host1", "host3", "overlaid", (address, 9000), on_it)
    finally:
        worker.remove("overlaid-host3")
        for host in (worker, manager):
            host.docker("swarm", "leave", "--force")
    watch.calm()


def asked(lab, watch, source, destination, service, at, flags=()):
    """Run an errand to a service, and compare counts, ends and ways with what is known of them."""
    errand = Errand(lab, source, destination)
    errand.run(f"asks-{service}", connections=4, count=250, think=5, at=at, flags=flags)
    errand.is_counted(watch)
    said = watch.service.explain(f"asks-{service}", f"{service}-{destination}", errand.seen)
    there, back = told(said, source, destination)
    assert there == routed(lab.plan, source, destination)
    assert back == routed(lab.plan, destination, source)
