from __future__ import annotations

import asyncio
import os
import signal
import threading
from datetime import UTC, datetime, time, timedelta
from types import SimpleNamespace

import pytest
from parts_of_a_chain import NOW, Poller, opened, polls, reading

from correlator.config import Config, Periods, Report, StateSection, StoreSection
from correlator.ports import StoreError
from correlator.service import Params, Service, stopped_by_signals

SOON = Params(first_cycle=timedelta(0))
LONG_ENOUGH_S = 30


@pytest.fixture
def config(tmp_path):
    return Config(
        store=StoreSection(path=tmp_path / "tables"),
        state=StateSection(path=tmp_path / "state.sqlite"),
        report=Report(directory=tmp_path / "reports", at=time(6), timezone="Europe/Berlin"),
        periods=Periods(counters_s=1, cycle_s=1),
    )


@pytest.fixture
def quiet(monkeypatch):
    """Let cycles do nothing but count; ``conclude`` returns their events."""

    def _quiet(chain, conclude=lambda: None):
        told = threading.Event()

        def concluded(now):
            told.set()
            return SimpleNamespace(events=conclude() or ()), {}

        monkeypatch.setattr(chain, "conclude", concluded)
        return told

    return _quiet


class Waiting(Poller):
    """Says when it is asked; answers when it may."""

    def __init__(self, name, batches=(), may=None):
        super().__init__(name, batches)
        self.asked = asyncio.Event()
        self.may = may

    async def poll(self, now, cursor):
        self.asked.set()
        if self.may:
            await self.may.wait()
        return await super().poll(now, cursor)


class Clock:
    def __init__(self, now):
        self.time = now

    def now(self):
        return self.time


async def until(told: threading.Event) -> None:
    assert await asyncio.to_thread(told.wait, LONG_ENOUGH_S)


async def run_until(service: Service, *conditions) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(service.run(stop))
    for condition in conditions:
        await asyncio.wait_for(condition, LONG_ENOUGH_S)
    stop.set()
    await asyncio.wait_for(task, LONG_ENOUGH_S)


def test_the_service_polls_and_concludes_until_it_is_told_to_stop(chain, config, quiet, caplog):
    async def story():
        poller = Waiting("leaf1 counters", [reading("leaf1")])
        chained = chain(counters=[poller])
        concluded = quiet(chained)
        caplog.set_level("INFO")
        await run_until(Service(chained, config, params=SOON), poller.asked.wait(), until(concluded))

    asyncio.run(story())
    said = [record.getMessage() for record in caplog.records if record.name.startswith("correlator")]
    assert said[0] == "event=start switches=0 hosts=0"
    assert said[-1] == "event=stop"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_target_that_never_answers_does_not_hold_up_the_end(chain, config, quiet, caplog):
    async def story():
        poller = Waiting("leaf1 counters", may=asyncio.Event())
        chained = chain(counters=[poller])
        quiet(chained)
        await run_until(Service(chained, config, params=SOON), poller.asked.wait())

    asyncio.run(story())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_long_cycle_does_not_hold_up_polls(chain, config, quiet):
    async def story():
        enough = threading.Event()
        poller = Waiting("leaf1 counters", [reading("leaf1")])
        chained = chain(counters=[poller])
        concluding = quiet(chained, lambda: enough.wait(LONG_ENOUGH_S))

        async def polled_again():
            asked = len(poller.cursors)
            while len(poller.cursors) < asked + 2:
                poller.asked.clear()
                await poller.asked.wait()
            enough.set()

        await run_until(Service(chained, config, params=SOON), until(concluding), polled_again())
        return chained

    chained = asyncio.run(story())
    assert chained.figures.registry.get_sample_value(
        "correlator_polls_total", {"group": "counters", "outcome": "ok"}
    )


def test_a_store_that_fails_in_a_cycle_is_counted_and_the_service_goes_on(chain, config, quiet, caplog):
    async def story():
        times = []
        again = threading.Event()

        def fails():
            times.append(1)
            if len(times) > 1:
                again.set()
            raise StoreError("no space is left")

        chained = chain()
        quiet(chained, fails)
        await run_until(Service(chained, config, params=SOON), until(again))
        return chained

    chained = asyncio.run(story())
    assert chained.figures.registry.get_sample_value("correlator_store_errors_total") >= 2
    assert caplog.text.count("no space is left") == 1


def test_a_bug_in_a_step_is_loud_and_the_other_steps_go_on(chain, config, quiet, caplog):
    async def story():
        poller = Waiting("leaf1 counters", [reading("leaf1")])
        chained = chain(counters=[poller])
        broke = quiet(chained, lambda: 1 / 0)

        async def polled_after():
            await until(broke)
            poller.asked.clear()
            await poller.asked.wait()

        await run_until(Service(chained, config, params=SOON), polled_after())
        return chained

    chained = asyncio.run(story())
    assert "ZeroDivisionError" in caplog.text
    assert chained.figures.registry.get_sample_value("correlator_bugs_total") >= 1


@pytest.mark.parametrize(("hour", "written"), [(4, False), (8, True)])
def test_a_report_that_was_due_while_the_service_was_down_is_written_at_its_start(
    chain, store, config, hour, written
):
    now = datetime(2026, 11, 1, hour, tzinfo=UTC)  # in Berlin it is an hour later; reports are due at six
    store.append("polls", polls("leaf1", now - timedelta(hours=10)), source="x", sequence=1)
    service = Service(chain(), config, Clock(now))
    asyncio.run(service._late_report())
    path = config.report.directory / "2026-10-31.html"
    assert path.exists() == written


def test_without_a_single_poll_there_is_nothing_to_report_late(chain, config):
    asyncio.run(Service(chain(), config, Clock(NOW + timedelta(hours=9)))._late_report())
    assert not config.report.directory.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_set_the_event_that_ends_the_service(number):
    async def story():
        with stopped_by_signals() as stop:
            os.kill(os.getpid(), number)
            await asyncio.wait_for(stop.wait(), LONG_ENOUGH_S)
            return stop.is_set()

    assert asyncio.run(story())


class Hanging:
    """A sink whose receiver takes nothing until it may."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0
        self.may = threading.Event()

    def send(self, events) -> int:
        self.calls += 1
        assert self.may.wait(LONG_ENOUGH_S)
        return len(events)

    def close(self) -> None:
        """There is nothing to let go of."""


def test_receivers_that_hang_delay_neither_cycles_nor_one_another(chain, config, state, quiet):
    hanging = Hanging("syslog")
    state.commit(*([one] for one in opened()))
    service = Service(chain(sinks=[hanging]), config)
    told = quiet(service.chain)

    async def deliver_again_and_again():
        for _ in range(3):
            await service._deliver()
            await service._cycle()
        assert told.is_set()
        hanging.may.set()
        await asyncio.gather(*service._delivering.values())

    asyncio.run(deliver_again_and_again())
    assert hanging.calls == 1
    assert state.waiting("syslog") == 0


def test_a_thousand_targets_are_spread_over_the_period_and_each_is_asked_once(chain, config):
    pollers = [Poller(f"leaf{n} counters") for n in range(1000)]
    service = Service(chain(counters=pollers), Config(periods=Periods(counters_s=60)), Clock(NOW))
    service._schedule()
    jobs = [job for job in service._scheduler.get_jobs() if job.id.startswith("counters")]
    starts = sorted((job.next_run_time - NOW).total_seconds() for job in jobs)
    assert starts == [5 * n for n in range(12)]

    async def a_period():
        asked = []
        for job in jobs:
            before = sum(bool(poller.cursors) for poller in pollers)
            await job.args[1]()
            asked.append(sum(bool(poller.cursors) for poller in pollers) - before)
        return asked

    asked = asyncio.run(a_period())
    assert sum(asked) == 1000
    assert max(asked) < 2 * 1000 / 12
    assert all(len(poller.cursors) == 1 for poller in pollers)


def test_a_target_keeps_its_place_in_the_period(chain):
    async def asked(part):
        pollers = [Poller(f"leaf{n} counters") for n in range(100)]
        await chain(counters=pollers).poll("counters", NOW, part, 4)
        return {poller.name for poller in pollers if poller.cursors}

    first, again = asyncio.run(asked(2)), asyncio.run(asked(2))
    assert first == again
    assert not first & asyncio.run(asked(3))


def test_a_few_targets_are_asked_in_one_go(chain, config):
    service = Service(chain(counters=[Poller("leaf1 counters")]), config, Clock(NOW))
    service._schedule()
    assert [j.id for j in service._scheduler.get_jobs() if j.id.startswith("counters")] == ["counters"]


def test_what_a_cycle_tells_is_delivered_at_once(chain, config, quiet, monkeypatch):
    delivered = threading.Event()

    async def story():
        chained = chain()
        quiet(chained, lambda: ("an event",))
        monkeypatch.setattr(chained, "copy_events", delivered.set)
        service = Service(chained, config)
        await service._cycle()

    asyncio.run(story())
    assert delivered.is_set()


@pytest.mark.parametrize(("period_s", "after_s"), [(5, 1.25), (60, 5)])
def test_a_cycle_comes_between_two_polls_and_not_with_one(chain, period_s, after_s):
    periods = Periods(counters_s=period_s, cycle_s=period_s)
    service = Service(chain(counters=[Poller("leaf1 counters")]), Config(periods=periods), Clock(NOW))
    service._schedule()
    cycle, polls = (service._scheduler.get_job(name).next_run_time for name in ("cycle", "counters"))
    assert (cycle - polls).total_seconds() == after_s
