"""The simulated fabric in one object: drive it with ``advance``, ask its hosts and switches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from correlator.fabric.dice import Dice, hex_name
from correlator.fabric.faults import Story, StoryName
from correlator.fabric.host import HostAgent
from correlator.fabric.interfaces import Interfaces
from correlator.fabric.layout import Layout, Size
from correlator.fabric.objects import View, objects
from correlator.fabric.parameters import Physics
from correlator.fabric.physics import World, setting
from correlator.fabric.records import Clock, container_row, events, host_row, identities, pair_rows
from correlator.fabric.switch import Mib, SwitchAgent
from correlator.fabric.workload import Container
from correlator.model import utc

FIRST_DAY = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
HOSTS_EVERY_S = 600  # how often an agent tells about its host again
MOST_SECONDS = 86_400  # of one advance


class Fabric:
    """A fabric with a seed. The same seed and the same advances give the same answers, to the byte.

    ``story``: one of ``STORIES``, by default drawn from the seed. ``fault_seed`` draws fault and decoys anew
    while all else stays. ``start``: the simulated present, by default a full hour of a fixed week.
    """

    def __init__(
        self,
        seed: int,
        story: StoryName | None = None,
        size: Size | None = None,
        physics: Physics | None = None,
        start: datetime | None = None,
        fault_seed: int | None = None,
    ) -> None:
        base = setting(seed, size or Size(), physics or Physics())
        self.seed = seed
        self.start = utc(start) if start else some_hour(base.dice)
        self.world = World(base, self.start, story, Dice(seed if fault_seed is None else fault_seed))
        self.clock = Clock.draw(self.start, len(self.layout.hosts), base.dice, base.physics)
        self.hosts = {agent.agent: agent for agent in _agents(self.layout, base.dice)}
        self.interfaces = Interfaces(self.layout, self.world.links.counts, base.dice)
        self.switches = self._switches(base.dice)
        self._restarted = False
        self._identities = identities(self.layout, base.dice)
        self._living: list[Container] = list(base.workload.containers)
        self._tell_hosts()
        self._tell_containers(-1.0, 0.0)

    @property
    def layout(self) -> Layout:
        """The fabric on paper."""
        return self.world.setting.layout

    @property
    def story(self) -> Story:
        """What goes wrong in this run."""
        return self.world.story

    @property
    def now(self) -> datetime:
        """The simulated present."""
        return self.start + timedelta(seconds=self.world.second)

    def forwarding(self, switch: int) -> str:
        """Return how a switch forwards: ``cut_through`` or ``store_and_forward``."""
        return "cut_through" if switch in self.story.decoys.cut_through else "store_and_forward"

    def advance(self, seconds: int) -> datetime:
        """Move the fabric on; return its new present. Raises ValueError where it is not 1 s to a day."""
        if not 1 <= seconds <= MOST_SECONDS:
            raise ValueError(f"seconds must be 1 to {MOST_SECONDS}, not {seconds}")
        end, interval = self.world.second + seconds, self.world.interval
        while self.world.second < end:
            since = self.world.second
            self.world.tick(min(end, since - since % interval + interval) - since)
            self._tell_containers(since, self.world.second)
            if self.world.second % interval == 0:
                self._close_interval()
        self._restart()
        for agent in self.switches.values():
            agent.mib.refresh()
        return self.now

    def fault(self) -> None:
        """Start the story's fault now. Raises ValueError where the story has none."""
        if self.story.fault is None:
            raise ValueError(f"the story {self.story.name!r} has no fault to start")
        self.world.fault_from, self.world.fault_until = self.world.second, float("inf")

    def repair(self) -> None:
        """End the fault now, or keep it from ever coming: light is back, nothing more is lost."""
        self.world.fault_until = min(self.world.fault_until, self.world.second)

    def _restart(self) -> None:
        """Restart the switch whose time has come: its counters begin anew, and it is silent for a while."""
        world = self.world
        fault = world.active(world.second)
        if fault is None or fault.switch is None or fault.kind != "reboot":
            return
        switch = self.layout.switches[fault.switch]
        if not self._restarted:
            self.interfaces.restart(switch, world.second)
            self._restarted = True
        self.switches[switch.name].silent = world.second < world.fault_from + fault.level

    def _close_interval(self) -> None:
        """Let every agent write down the interval that just ended, and start the next one."""
        world = self.world
        for host, row in pair_rows(world.traffic, world.second, world.interval, self.clock):
            self._agent(host).append(world.second, "pair_samples", row)
        world.begin_interval()
        self._living = [c for c in self._living if c.ended > world.second]
        self._living += [pair.client for pair in world.new_pairs]
        if world.second % HOSTS_EVERY_S == 0:
            self._tell_hosts()

    def _tell_containers(self, since: float, until: float) -> None:
        for moment, container, ended in events(self._living, since, until):
            machine = self.layout.hosts[container.host]
            row = container_row(container, machine, self.clock, ended)
            self._agent(container.host).append(moment, "containers", row)

    def _tell_hosts(self) -> None:
        second = self.world.second
        for host, identity in enumerate(self._identities):
            row = host_row(self.layout, host, identity, self.clock.at(second, host))
            self._agent(host).append(second, "hosts", row)

    def _agent(self, host: int) -> HostAgent:
        return self.hosts[self.layout.hosts[host].name]

    def _switches(self, dice: Dice) -> dict[str, SwitchAgent]:
        rng = dice.stream("communities")
        return {
            switch.name: SwitchAgent(
                f"lab-{hex_name(rng, 12)}", Mib(objects(View(self.world, self.interfaces, switch)))
            )
            for switch in self.layout.switches
        }


def some_hour(dice: Dice) -> datetime:
    """Return a full hour of a fixed week."""
    return FIRST_DAY + timedelta(hours=int(dice.stream("start").integers(0, 7 * 24)))


def _agents(layout: Layout, dice: Dice) -> list[HostAgent]:
    rng = dice.stream("agents")
    return [
        HostAgent(machine.name, hex_name(rng, 32), hex_name(rng, 32), hex_name(rng, 16))
        for machine in layout.hosts
    ]
