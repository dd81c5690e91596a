"""Fabrics for tests: run once, read often."""

import json
from datetime import datetime
from functools import cache
from typing import Any

import pandas as pd

from correlator import frames
from correlator.fabric.faults import StoryName
from correlator.fabric.simulation import Fabric


def run(seed: int, story: StoryName | None = None, minutes: int = 10) -> Fabric:
    """Return a fabric that has run for some minutes."""
    fabric = Fabric(seed, story)
    for _ in range(minutes):
        fabric.advance(60)
    return fabric


@cache
def ran(seed: int, story: StoryName | None = None, minutes: int = 10) -> Fabric:
    """Return the same as ``run``, shared between tests that only read it."""
    return run(seed, story, minutes)


def rows(fabric: Fabric, table: str) -> pd.DataFrame:
    """Return what all agents wrote into a table, as the house's frame."""
    lines = (json.loads(line) for agent in fabric.hosts.values() for _, line in agent.rows)
    return frames.frame(table, [_timed(line["row"]) for line in lines if line["table"] == table])


def _timed(row: dict[str, Any]) -> dict[str, Any]:
    times = {
        name: datetime.fromisoformat(row[name]) for name in ("at", "started_at", "ended_at") if row.get(name)
    }
    return row | times


def link_of(fabric: Fabric) -> int:
    """Return the directed link of the story's fault."""
    fault = fabric.story.fault
    assert fault is not None
    assert fault.link is not None
    return fault.link
