"""The poll set through pysnmp's high-level API: with_pysnmp.py SWITCHES ROUNDS PORT."""

from __future__ import annotations

import asyncio
import json
import resource
import sys

from poll_set import COLUMNS, SENSOR, address
from pysnmp.hlapi.v3arch import asyncio as api


async def main(switches: int, rounds: int, port: int) -> None:
    """Poll by GETBULK: 16 columns by 3 rows, 43 sensors at a time."""
    engine, got = api.SnmpEngine(), 0
    rounds_cpu = 0.0
    for _ in range(rounds):
        before = _spent()
        for number in range(switches):
            target = await api.UdpTransportTarget.create((address(number), port))
            for row in range(0, 64, 3):
                objects = [f"{column}.{row}" if row else column for column in COLUMNS]
                got += await _bulk(engine, target, objects, min(3, 64 - row))
            for row in range(0, 128, 43):
                got += await _bulk(engine, target, [f"{SENSOR}.{1000 + row}"], min(43, 128 - row))
        rounds_cpu += _spent() - before
    engine.close_dispatcher()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"vb": got, "cpu": rounds_cpu, "rss_mb": memory}))


async def _bulk(engine: api.SnmpEngine, target: object, objects: list[str], rows: int) -> int:
    kinds = [api.ObjectType(api.ObjectIdentity(oid)) for oid in objects]
    error, status, _, binds = await api.bulk_cmd(
        engine, api.CommunityData("public"), target, api.ContextData(), 0, rows, *kinds, lookupMib=False
    )
    assert not error, error
    assert not status, status
    return len(binds)


def _spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:4])))
