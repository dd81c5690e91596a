"""The poll set through gufo-snmp's async get_many: with_gufo.py SWITCHES ROUNDS PORT."""

from __future__ import annotations

import asyncio
import json
import resource
import sys

from gufo.snmp import SnmpVersion
from gufo.snmp.aio import SnmpSession
from poll_set import COLUMNS, SENSOR, address

OIDS = [f"{column}.{row}" for row in range(1, 65) for column in COLUMNS]
OIDS += [f"{SENSOR}.{1000 + row}" for row in range(1, 129)]


async def main(switches: int, rounds: int, port: int) -> None:
    """Poll by GET of 50 values, 128 switches at a time."""
    got, limit = 0, asyncio.Semaphore(128)

    async def one(number: int) -> int:
        async with (
            limit,
            SnmpSession(
                address(number), port=port, community="public", version=SnmpVersion.v2c, timeout=5.0
            ) as session,
        ):
            return sum([len(await session.get_many(OIDS[at : at + 50])) for at in range(0, len(OIDS), 50)])

    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(rounds):
        got += sum(await asyncio.gather(*(one(number) for number in range(switches))))
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"vb": got, "cpu": cpu, "rss_mb": after.ru_maxrss / 1024}))


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:4])))
