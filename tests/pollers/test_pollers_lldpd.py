"""The real lldpd through AgentX: what the poller says of a neighbour is what lldpd heard."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from namespaces import WAIT_S, Namespaces, missing, until

from correlator.commands.poll import poll_once

pytestmark = [pytest.mark.real, pytest.mark.anyio]

PEER_ADDRESS = "192.0.2.7"


@pytest.fixture(scope="module")
def heard() -> Iterator[tuple[str, Any]]:
    """Two lldpd on a cable between network namespaces, one of them below an snmpd.

    Gives the snmpd's address and what lldpcli says of the neighbour.
    """
    if missing():
        pytest.skip(f"missing: {missing()} (Debian packages snmpd, lldpd, iproute2)")
    with contextlib.ExitStack() as stack:
        wired = Namespaces(stack)
        for name in ("near", "far"):
            wired.add(name)
        wired.cable("near", "up1", "far", "d1")
        wired.snmpd("near")
        wired.lldpd("near", "up1")
        wired.lldpd("far", "d1", more=("-m", PEER_ADDRESS))
        until(lambda: wired.heard("near"))
        (said,) = wired.heard("near")
        yield wired.addresses["near"], said


async def _told(address: str) -> list[dict[str, Any]]:
    """Return the poller's neighbours, once lldpd has found its snmpd: where the first try fails, in 15 s."""
    rows: list[dict[str, Any]] = []
    with anyio.fail_after(WAIT_S):
        while not rows:
            rows = (await poll_once(address, 161, "public"))["neighbors"]
    return rows


async def test_a_neighbour_is_told_as_lldpd_heard_it(heard: tuple[str, Any]) -> None:
    address, said = heard
    (row,) = await _told(address)
    chassis, peer = said["chassis"][0], said["port"][0]
    assert (row["if_name"], row["protocol"]) == (said["name"], "lldp")
    assert row["remote_chassis_id"] == chassis["id"][0]["value"]
    assert row["remote_port_id"] == peer["id"][0]["value"]
    assert row["remote_port_descr"] == peer["descr"][0]["value"]
    assert row["remote_sys_name"] == chassis["name"][0]["value"]
    assert row["remote_address"] == PEER_ADDRESS
