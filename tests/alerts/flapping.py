"""A whole service around a link that flaps: the chain itself, with two parts that only this story needs.

Real are the pipeline, its state, its delivery to the receiver, and the event loop with its threads.
Stand-ins are ``Copies`` for the store (a commit of the real one takes longer than a flap may) and
``judged`` for what the engine would read in tables, and the past that it would remember of them; the
life of the incident is the engine's own.
"""

import asyncio
import json
import os
from dataclasses import replace
from datetime import timedelta

import pandas as pd
from alert_events import DIRTY, ONSET, link, pairs

import correlator.pipeline
from correlator import frames
from correlator.alerts.outbox import Terms
from correlator.alerts.syslog import SyslogParams, SyslogSink
from correlator.engine.cycle import Cycle
from correlator.engine.incidents import follow
from correlator.model import Incident, IncidentEvent
from correlator.pipeline import COPY, Params, Pipeline
from correlator.ports import Batch
from correlator.store.state import SqliteState

SECOND = timedelta(seconds=1)
FLAPS, QUIET_MINUTES = 200, 70
STEPS = 2 * FLAPS + QUIET_MINUTES
HURT = replace(DIRTY, link=link("leaf9"), pairs=pairs(10_000))
POLLER = "leaf9 counters"


def moment(step: int):
    """Return when a step is: a second each while the link flaps, then a minute each."""
    return ONSET + (step if step < 2 * FLAPS else 2 * FLAPS + 60 * (step - 2 * FLAPS)) * SECOND


EMPTY = {name: frames.empty(name) for name in frames.TABLES}  # made once: each costs milliseconds
POLLED = frames.frame("polls", [{"at": ONSET, "target": "leaf9", "kind": "switch", "ok": True}])
STEP_AT = {moment(step): step for step in range(STEPS)}


def judged(tables, known, now, params=None, past=None, before=None) -> Cycle:
    """Stand in for ``run_cycle``: the link is bad in every even second of the flaps, well ever after.

    Beside it each cycle tells of an incident of its own, by which a lost line would be missed.
    """
    step = STEP_AT[now]
    seen = [HURT] if step < 2 * FLAPS and step % 2 == 0 else []
    changed, events, _ = follow(known, seen, lambda _: True, now)
    beside = Incident(f"beside-{step}", f"beside {step}", "cleared", DIRTY, now, now)
    said = IncidentEvent(beside.id, 1, now, "opened", "err", DIRTY, now)
    nothing = pd.DataFrame()
    told = [*changed, beside], [*events, said]
    return Cycle(now, (), (), *told, nothing, nothing, nothing, nothing, nothing, None, None)


class Copies:
    """Stands in for the store: it is empty, and writes incident events to a file, each number once."""

    def __init__(self, path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._last = max((one["sequence"] for one in copied(path)), default=0)

    def read(self, name, since, until, columns=None):
        return EMPTY[name]

    def newest(self, name, until):
        return EMPTY[name]

    def append_batches(self, batches) -> None:
        assert all("polls" in batch.tables for batch in batches)

    def append(self, name, table, *, source, sequence) -> bool:
        assert (name, source) == ("incident_events", "incidents")
        if sequence <= self._last:
            return False
        events = list(zip(table["incident"].tolist(), table["seq"].tolist(), strict=True))
        os.write(self._file, json.dumps({"sequence": sequence, "events": events}).encode() + b"\n")
        self._last = sequence
        return True


def copied(path) -> list[dict]:
    """Return what ``Copies`` has written: one object an append."""
    return [json.loads(line) for line in path.read_text().splitlines()]


class Switch:
    """A poller whose cursor says how many steps are done."""

    name = POLLER

    async def poll(self, now, cursor):
        step = STEP_AT[now]
        return [Batch({"polls": POLLED}, POLLER, step, {"done": str(step + 1)})]


def serve(folder, params: SyslogParams, until: int, reached) -> None:
    """Go on from where the last process was killed; ``reached`` says how far, for the one that kills.

    Up to step ``until`` of the ``STEPS``; before the last of them it then goes on sending until it is killed.
    """
    correlator.pipeline.run_cycle = judged  # in this process, which is the story's own
    correlator.pipeline.remember = lambda *_: None  # of tables that are empty
    state = SqliteState(folder / "state.sqlite", [COPY, "syslog"])
    chain = Pipeline(
        Copies(folder / "copies"),
        state,
        pollers={"counters": [Switch()]},
        sinks=[SyslogSink(params)],
        params=Params(maintenance=lambda _: EMPTY["annotations"]),
        terms={"syslog": Terms(per_minute=10**6)},
    )
    asyncio.run(_serve(chain, until, reached))


async def _serve(chain: Pipeline, until: int, reached) -> None:
    done = int(chain.state.cursor(POLLER).get("done", "0"))
    while done < until:
        now = moment(done)
        await asyncio.to_thread(chain.conclude, now)
        if done % 5 == 4:
            await asyncio.to_thread(chain.deliver, now)
        await chain.poll("counters", now)
        done += 1
        reached.value = done
    while until < STEPS or chain.state.waiting("syslog"):
        await asyncio.to_thread(chain.deliver, moment(STEPS - 1))
