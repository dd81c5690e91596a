"""``correlator once``: one round of the service, for cron or a first look."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from correlator.commands.options import ConfigFile, FailOn, Json, configuration
from correlator.commands.verdicts import Conclusions, told

if TYPE_CHECKING:
    from correlator.config import Config


def once(config: ConfigFile = None, as_json: Json = False, fail_on: FailOn = None) -> None:
    """Poll every target once, conclude from what is known by then, deliver alerts, print the conclusions."""
    told(asyncio.run(_once(configuration(config))), as_json, fail_on)


async def _once(config: Config) -> Conclusions:
    from correlator.pipeline import HOSTS, SWITCH_GROUPS
    from correlator.wiring import SystemClock, alone, opened

    with alone(config):
        async with opened(config) as chain:
            now = SystemClock().now()
            await asyncio.gather(*(chain.poll(group, now) for group in (*SWITCH_GROUPS, HOSTS)))
            cycle, _ = await asyncio.to_thread(chain.conclude, now)
            await asyncio.to_thread(chain.deliver, now)
    return Conclusions(cycle.verdicts, cycle.findings)
