"""Rows of host agents are stored once, wherever a crash falls."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "pollers"))

from an_agent import AT, TOKEN, Agent, client, host_row, sample
from parts_of_a_chain import NOW

from correlator.pipeline import Pipeline
from correlator.pollers.hosts import HostPoller, HostTarget, Params
from correlator.store.delta import DeltaStore
from correlator.store.state import SqliteState

HOUR = timedelta(hours=1)


class Killed(BaseException):
    """What stands for ``kill -9``: nothing after it is done."""


class Dying:
    """A store or state that dies at the n-th call of a method: before it is done, or after (``done``)."""

    def __init__(self, inner, name, nth, done):
        self._inner, self._name, self._left, self._done = inner, name, nth, done

    def __getattr__(self, name):
        own = getattr(self._inner, name)
        return self._die if name == self._name else own

    def _die(self, *arguments):
        self._left -= 1
        if self._left or self._done:
            getattr(self._inner, self._name)(*arguments)
        if not self._left:
            raise Killed


BEFORE_THE_NOTE = ("state", "set_cursors", 1, False)
BEFORE_THE_ROWS = ("store", "append_batches", 1, False)
AFTER_THE_ROWS = ("store", "append_batches", 1, True)
AFTER_THE_CURSOR = ("state", "set_cursors", 2, True)


@pytest.fixture
def service(tmp_path):
    """Return a function that starts the service anew on what is on disk, and polls once."""

    def polled(agent, minute, dying=None, pages=20):
        async def poll():
            async with client(agent) as http:
                target = HostTarget("host1", "http://192.0.2.1:9443", TOKEN)
                poller = HostPoller(http, target, params=Params(page_rows=10, pages=pages))
                parts = {
                    "store": DeltaStore(tmp_path / "tables"),
                    "state": SqliteState(tmp_path / "state.sqlite", []),
                }
                for part, *how in [dying] if dying else ():
                    parts[part] = Dying(parts[part], *how)
                await Pipeline(parts["store"], parts["state"], pollers={"hosts": [poller]}).poll(
                    "hosts", NOW + timedelta(minutes=minute)
                )

        if dying is None:
            asyncio.run(poll())
        else:
            with pytest.raises(Killed):
                asyncio.run(poll())

    return polled


def stored(tmp_path, name):
    at = datetime.fromisoformat(AT)
    return DeltaStore(tmp_path / "tables").read(name, at - HOUR, at + HOUR)


def numbers(tmp_path):
    """Return the numbers of the stored samples, as ``an_agent.sample`` gave them out."""
    found = stored(tmp_path, "pair_samples")
    return sorted(int(sent) - 2**63 for sent in found["bytes_sent"])


@pytest.mark.parametrize("rows", [1, 7, 10, 25])
@pytest.mark.parametrize("dying", [BEFORE_THE_NOTE, BEFORE_THE_ROWS, AFTER_THE_ROWS, AFTER_THE_CURSOR])
def test_a_crash_while_rows_are_stored_stores_each_once(tmp_path, service, rows, dying):
    agent = Agent([sample(n) for n in range(1, rows + 1)])
    service(agent, 0, dying)
    agent.rows += [sample(n) for n in range(rows + 1, rows + 6)]
    service(agent, 1)
    service(agent, 2)
    assert numbers(tmp_path) == list(range(1, rows + 6))


def test_two_crashes_in_a_row_and_an_agent_that_is_away_between_them_store_each_once(tmp_path, service):
    agent = Agent([sample(n) for n in range(1, 26)])
    service(agent, 0, AFTER_THE_ROWS)
    agent.rows += [sample(n) for n in range(26, 31)]
    service(agent, 1, AFTER_THE_ROWS)

    def away(request):
        raise httpx.ConnectError("away", request=request)

    service(away, 2)
    agent.rows += [sample(31)]
    service(agent, 3, pages=1)  # one page of three that were stored
    service(agent, 4)
    service(agent, 5)
    assert numbers(tmp_path) == list(range(1, 32))


def test_a_table_that_was_not_written_is_written_with_the_same_rows(tmp_path, service, monkeypatch):
    agent = Agent([sample(1), host_row(), sample(2)])
    whole = DeltaStore.append_batches

    def part(store, batches):
        """Write one table of the two, then die."""
        for batch in batches:
            if "pair_samples" in batch.tables:
                store.append(
                    "pair_samples",
                    batch.tables["pair_samples"],
                    source=batch.source,
                    sequence=batch.sequence,
                )
        raise Killed

    monkeypatch.setattr(DeltaStore, "append_batches", part)
    with pytest.raises(Killed):
        service(agent, 0)
    monkeypatch.setattr(DeltaStore, "append_batches", whole)
    agent.rows += [sample(3), host_row(2)]
    service(agent, 1)
    service(agent, 2)
    assert numbers(tmp_path) == [1, 2, 3]
    assert len(stored(tmp_path, "hosts")) == 2


def test_a_crash_as_the_agent_began_anew_stores_both_epochs_once(tmp_path, service):
    agent = Agent([sample(n) for n in range(1, 6)])
    service(agent, 0, AFTER_THE_ROWS)
    agent.epoch, agent.rows = "e2", [sample(n) for n in range(6, 10)]
    service(agent, 1, AFTER_THE_ROWS)
    agent.rows += [sample(10)]
    service(agent, 2)
    service(agent, 3)
    assert numbers(tmp_path) == list(range(1, 11))
    assert SqliteState(tmp_path / "state.sqlite", []).cursor("host1")["epoch"] == "e2"
