"""The service's way with one agent, as a process to be killed: ask, store, remember, again and again.

python engine.py FOLDER NAME URL TOKEN
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx

from correlator.pipeline import Pipeline
from correlator.pollers.hosts import HostPoller, HostTarget, Params
from correlator.store.delta import DeltaStore
from correlator.store.state import SqliteState


async def main(folder: Path, name: str, url: str, token: str) -> None:
    async with httpx.AsyncClient() as http:
        poller = HostPoller(http, HostTarget(name, url, token), params=Params(page_rows=20))
        store, state = DeltaStore(folder / "tables"), SqliteState(folder / "state.sqlite", [])
        chain = Pipeline(store, state, pollers={"hosts": [poller]})
        print("ready", flush=True)
        while True:
            await chain.poll("hosts", datetime.now(UTC))
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
