"""The product's own path over a farm of switches: plans, exchange, checks, retransmission, tables.

    product.py SWITCHES ROUNDS PORT [plain] [apart]

One switch is learned through the control plane, as the service does; its inventory stands for all, which
are alike. ``apart``: each is asked for 61 of its 64 ports, drawn by its number, so that hardly two have the
same interfaces. Prints one JSON line: useful varbinds, CPU and wall seconds, memory, and what came out.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
import random
import resource
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from poll_set import address

from correlator.pollers import counter_layout
from correlator.pollers.counter_layout import Layout
from correlator.pollers.memory import settle
from correlator.pollers.recognition import Recognition
from correlator.pollers.switches import SwitchPoller, SwitchTarget
from correlator.pollers.together import Together
from correlator.profiles.profile import load
from correlator.snmp.bulk import Params
from correlator.snmp.control import SnmpClient

GROUPS = ("counters", "optics")
PART = 500  # switches asked at once, as the service does
LEFT_OUT = 3  # ports of each switch, where they are to be unlike
PER_SECOND = 1000  # requests to a switch: rounds follow each other at once, and none is held back


async def learned(client: SnmpClient, switches: int, port: int, apart: bool) -> dict[str, list[SwitchPoller]]:
    """Return the pollers of each group, which know their switches; ``apart``: each its own interfaces."""
    recognition = Recognition(load(Path(__file__).parent))
    first = {}
    for group in GROUPS:
        target = SwitchTarget("switch0", address(0), port)
        first[group] = SwitchPoller(client, target, group, recognition)  # type: ignore[arg-type]
        await first[group].poll(datetime.now(UTC), {})
    plan, inventory = first["counters"]._counters.plan, first["optics"]._optics.inventory
    assert plan is not None
    assert isinstance(plan.layout, Layout)
    assert inventory is not None
    pollers: dict[str, list[SwitchPoller]] = {group: [] for group in GROUPS}
    for number in range(switches):
        for group in GROUPS:
            target = SwitchTarget(f"switch{number}", address(number), port, requests_per_second=PER_SECOND)
            poller = copy.copy(first[group])
            poller.name, poller.target_name, poller._agent = (
                f"{target.name} {group}",
                target.name,
                target.agent,
            )
            layout = unlike(plan.layout, number) if apart else plan.layout
            poller._counters = replace(
                poller._counters, plan=replace(plan, layout=layout, uptime_cs=0, uses=0)
            )
            poller._optics = replace(poller._optics, inventory=replace(inventory, uptime_cs=None))
            await client.peer(target.agent).locate(target.agent)
            client.peer(target.agent).size.varbinds = 60
            pollers[group].append(poller)
    for number, poller in enumerate(pollers["optics"]):  # each has a layout of its own, as in the service
        known = poller._optics.inventory
        assert known is not None
        if number:
            poller._optics.inventory = replace(known, layout=copy.copy(known.layout))
    return pollers


def unlike(known: Layout, number: int) -> Layout:
    """Return a layout without some of the interfaces, which are there and not asked for."""
    out = {known.interfaces[n] for n in random.Random(number).sample(range(len(known.interfaces)), LEFT_OUT)}
    others = (*known.others, *((one.if_index,) for one in out))
    return counter_layout.layout(known.scalars, [one for one in known.interfaces if one not in out], others)


def spent() -> float:
    """Return the CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def main(switches: int, rounds: int, port: int, plain: bool = False, apart: bool = False) -> None:
    """Poll all of them so many times, after one round that does not count."""
    settle()  # as the service does
    async with SnmpClient() as client:
        pollers = await learned(client, switches, port, apart)
        together = {group: Together(group, Params(plain=plain)) for group in GROUPS}  # type: ignore[arg-type]
        rows = read = 0
        for number in range(rounds + 1):
            if number == 1:
                before, began = spent(), time.monotonic()
                rows = read = 0
            for group, at in itertools.product(GROUPS, range(0, switches, PART)):
                some = pollers[group][at : at + PART]
                now = datetime.now(UTC)
                cursor = {"last_good": now.isoformat()}  # a round's pollers share their time
                heard = await together[group].poll(some, now, {one.name: cursor for one in some})
                read += len(heard)
                for batches in heard.values():
                    rows += len(batches[0].tables.get(group, ()))
                del heard, batches  # the service lets them go when they are stored
        cpu, wall = spent() - before, time.monotonic() - began
    refused = sum((one.refused for one in together.values()), Counter())
    print(
        json.dumps(
            {
                "vb": switches * rounds * (1152 - 16 * LEFT_OUT * apart),
                "cpu": cpu,
                "wall": wall,
                "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "devices_read": read,
                "rows": rows,
                "refused": dict(refused),
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:4]), plain="plain" in sys.argv, apart="apart" in sys.argv))
