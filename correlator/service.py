"""The clock: when each step of the chain is due, and how the service starts and ends.

The only importer of apscheduler. Polling lives on the event loop; whatever blocks (storing, cycles,
reports) runs in threads, so that no poll slips because a cycle is long.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from correlator.config import Config
from correlator.figures import Line
from correlator.pipeline import HOSTS, SWITCH_GROUPS, Pipeline
from correlator.ports import Clock, StoreError
from correlator.wiring import SystemClock, report_path, write_report

log = logging.getLogger(__name__)

Step = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Params:
    """When things are due, beside the configured periods."""

    jitter: float = 0.02
    """Part of a period by which a run may be late, so that services do not ask in step."""
    first_cycle: timedelta = timedelta(seconds=5)
    """From the start to the first cycle, a quarter of a period at most: each comes after polls."""
    delivery: timedelta = timedelta(seconds=5)
    """Between looks for alerts that wait: their delay, and with ``Terms.at_once`` the rate of a drain."""
    upkeep: timedelta = timedelta(minutes=10)
    """Between looks for finished hours to sum up."""
    maintenance: timedelta = timedelta(hours=1)
    """Between compactions of the store."""
    together: int = 50
    """Targets of a group that are asked at one time; more are spread over the period in parts."""
    many: int = 500
    """The same for groups that can be asked at once: larger parts cost less, smaller ones less memory."""
    part: timedelta = timedelta(seconds=5)
    """The shortest time between two parts: each is a commit of the store."""
    late_report: timedelta = timedelta(hours=12)
    """A report that was due while the machine slept is written if it wakes within this."""


class Service:
    """A pipeline on a clock: ``run`` goes on until it is told to stop."""

    def __init__(
        self, chain: Pipeline, config: Config, clock: Clock | None = None, params: Params | None = None
    ) -> None:
        self.chain = chain
        self.config = config
        self.clock = clock or SystemClock()
        self.params = params or Params()
        self._scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1})
        self._running: set[asyncio.Future[None]] = set()
        self._delivering: dict[str, asyncio.Future[int]] = {}
        # threads of their own: receivers that hang must not take those that polls and cycles wait for
        self._senders = ThreadPoolExecutor(max(1, len(chain.deliveries)), "alerts")
        self._stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """Do what is due when it is due until ``stop`` is set; then end what runs, within seconds."""
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # what it leaves out, ``_heard`` tells
        self._schedule()
        self._scheduler.start()
        log.info("%s", Line("start", switches=len(self.config.switches), hosts=len(self.config.hosts)))
        try:
            await stop.wait()
        finally:
            await self._end()
            log.info("%s", Line("stop"))

    # -- when -------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        periods, now = self.config.periods, self.clock.now()
        for group in (*SWITCH_GROUPS, HOSTS):
            period = timedelta(seconds=getattr(periods, f"{group}_s"))
            most = self.params.many if group in self.chain.together else self.params.together
            parts = self._parts(len(self.chain.pollers.get(group, ())), period, most)
            for part in range(parts):
                name = group if parts == 1 else f"{group} {part + 1}/{parts}"
                self._every(name, period, self._polls(group, part, parts), now + period * part / parts)
        cycle = timedelta(seconds=periods.cycle_s)
        self._every("cycle", cycle, self._cycle, now + min(cycle / 4, self.params.first_cycle))
        self._every("delivery", self.params.delivery, self._deliver, now)  # what waits since before the start
        self._every("sum_up", self.params.upkeep, self._sum_up, now + cycle)
        self._every("maintenance", self.params.maintenance, self._maintain, now + self.params.maintenance)
        self._each_day("report", self._report)
        self._scheduler.add_job(self._guard, args=["late_report", self._late_report], id="late_report")
        self._scheduler.add_listener(
            self._heard, EVENT_JOB_ERROR | EVENT_JOB_MAX_INSTANCES | EVENT_JOB_MISSED
        )

    def _parts(self, targets: int, period: timedelta, most: int) -> int:
        """Return in how many parts of at most so many a group is asked within its period; 0 for none."""
        wanted = -(-targets // most)
        return min(wanted, max(1, period // self.params.part))

    def _every(self, name: str, period: timedelta, step: Step, first: datetime) -> None:
        seconds = period.total_seconds()
        self._scheduler.add_job(
            self._guard,
            IntervalTrigger(seconds=seconds, jitter=seconds * self.params.jitter, timezone=UTC),
            args=[name, step],
            id=name,
            next_run_time=first,
            misfire_grace_time=max(1, int(seconds)),
        )

    def _each_day(self, name: str, step: Step) -> None:
        report = self.config.report
        self._scheduler.add_job(
            self._guard,
            CronTrigger(hour=report.at.hour, minute=report.at.minute, timezone=ZoneInfo(report.timezone)),
            args=[name, step],
            id=name,
            misfire_grace_time=int(self.params.late_report.total_seconds()),
        )

    # -- what -------------------------------------------------------------------------------------

    def _polls(self, group: str, part: int, parts: int) -> Step:
        async def step() -> None:
            await self.chain.poll(group, self.clock.now(), part, parts)

        return step

    async def _cycle(self) -> None:
        cycle, _ = await asyncio.to_thread(self.chain.conclude, self.clock.now())
        if cycle.events:
            await self._deliver()

    async def _deliver(self) -> None:
        """Start a delivery to each sink whose last one is done: a slow receiver delays nobody but itself."""
        for delivery in self.chain.deliveries:
            running = self._delivering.get(delivery.name)
            if running is None or running.done():
                self._delivering[delivery.name] = asyncio.get_running_loop().run_in_executor(
                    self._senders, self.chain.hand_over, delivery, self.clock.now()
                )
                self._delivering[delivery.name].add_done_callback(self._delivered)
        await asyncio.to_thread(self.chain.copy_events)

    def _delivered(self, done: asyncio.Future[int]) -> None:
        """Show an error that nobody foresaw; those of the receiver and the state are told already."""
        error = None if done.cancelled() else done.exception()
        if error is not None:
            self.chain.figures.bugs.inc()
            log.error("%s", Line("bug", doing="deliver alerts", error=repr(error)), exc_info=error)

    async def _sum_up(self) -> None:
        await asyncio.to_thread(self.chain.sum_up, self.clock.now())

    async def _maintain(self) -> None:
        await asyncio.to_thread(self.chain.store.maintain, self.clock.now())

    async def _report(self) -> None:
        path = await asyncio.to_thread(
            write_report, self.chain.store, self.config, self._yesterday(), self.clock.now()
        )
        log.info("%s", Line("report", path=path))

    async def _late_report(self) -> None:
        """Write yesterday's report if the service was down when it was due."""
        local = self.clock.now().astimezone(ZoneInfo(self.config.report.timezone))
        due = (
            local.time() >= self.config.report.at and not report_path(self.config, self._yesterday()).exists()
        )
        day = timedelta(days=1)
        if due and len(await asyncio.to_thread(self.chain.store.read, "polls", local - day, local)):
            await self._report()

    def _yesterday(self) -> date:
        local = self.clock.now().astimezone(ZoneInfo(self.config.report.timezone))
        return local.date() - timedelta(days=1)

    # -- what goes wrong, and the end --------------------------------------------------------------

    async def _guard(self, name: str, step: Step) -> None:
        """Run one step; a store that fails is counted and tried again when the step is next due."""
        task = asyncio.ensure_future(step())
        self._running.add(task)
        try:
            await task
        except StoreError as error:
            self.chain.store_failed(error)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            log.debug("%s: ended before it was done", name)
        finally:
            self._running.discard(task)

    def _heard(self, event: object) -> None:
        """Count what the scheduler left out, and what broke (it has logged that whole)."""
        name = getattr(event, "job_id", "")
        if getattr(event, "exception", None) is not None:
            self.chain.figures.bugs.inc()
            return
        self.chain.figures.jobs_missed.labels(name).inc()
        log.warning("%s", Line("missed", job=name))

    async def _end(self) -> None:
        self._stopping = True
        self._scheduler.pause()
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.to_thread(self._senders.shutdown)  # within the receivers' time-outs
        self._scheduler.shutdown(wait=False)
        await asyncio.sleep(0)  # the scheduler ends itself on the loop's next turn


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[asyncio.Event]:
    """Return an event that SIGTERM and SIGINT set. Must be entered on the event loop."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
