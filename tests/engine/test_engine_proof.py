"""What a clear says, and what goes blind without one: whole cycles over a small fabric."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pandas as pd
import pytest
from small_clos import HOSTS, LEAVES, SPINES, SmallClos, Story, uplink

from correlator import frames
from correlator.engine.cycle import run_cycle
from correlator.engine.proof import round_trip
from correlator.model import Incident, IncidentEvent

MINUTE = timedelta(minutes=1)
DIRTY = Story(
    seed=2, lossy={uplink(0, 1): 0.01}, dimmed_db={uplink(0, 1): 3.0}, minutes=32, onset=4, repaired=11
)


@pytest.fixture(scope="module")
def fabric() -> SmallClos:
    return SmallClos(DIRTY)


class Run:
    """Cycles a minute apart, as the service runs them; ``polls`` are good unless a test says otherwise."""

    def __init__(self, fabric: SmallClos) -> None:
        self.fabric = fabric
        self.known: dict[str, Incident] = {}
        self.events: list[IncidentEvent] = []

    def cycle(
        self, minute: int, without: tuple[str, ...] = (), since: int = 0, **tables: pd.DataFrame
    ) -> None:
        known, now = self.fabric.tables(minute)
        known |= tables
        for name in without:
            known[name] = known[name][known[name]["at"] <= now - (minute - since) * MINUTE]
        known["polls"] = polls(now, minute, since if without else minute)
        going_on = [one for one in self.known.values() if one.state != "cleared"]
        cycle = run_cycle(known, going_on, now)
        self.known |= {one.id: Incident.from_json(one.to_json()) for one in cycle.incidents}
        self.events += cycle.events

    def told(self) -> list[str]:
        return [event.event for event in self.events if not event.quiet]


def polls(now: datetime, minute: int, good_until: int) -> pd.DataFrame:
    rows = [
        {"at": now - (minute - n) * MINUTE, "target": target, "kind": kind, "ok": n <= good_until,
         "error": None if n <= good_until else "no answer"}
        for n in range(max(0, minute - 10), minute + 1)
        for kind, targets in (("switch", LEAVES + SPINES), ("host", HOSTS))
        for target in targets
    ]  # fmt: skip
    return frames.frame("polls", rows)


def test_the_clear_proves_counters_light_and_pairs_before_and_after_with_confidence(fabric) -> None:
    run = Run(fabric)
    for minute in (9, 10, *range(28, 32)):
        run.cycle(minute)
    assert run.told() == ["opened", "cleared"]
    said = run.events[-1].reason
    counters, light, pair = said.split("; ")
    assert re.fullmatch(
        r"errors 0\.0\d+ of packets before, 0 of [\d,]+ now \(95 % sure below [\d.e-]+\)", counters
    )
    before, after = re.fullmatch(r"light lost (\S+) dB before, (\S+) dB now", light).groups()
    assert float(before) == pytest.approx(3.0, abs=0.6)
    assert float(after) < float(before) / 2  # what a module's readings are worth
    worse, now, low, high = re.match(
        r"\S+ -> \S+ ([\d.]+)x usual before, ([\d.]+)x \(([\d.]+) to ([\d.]+)\) now: response [\d.]+ ms", pair
    ).groups()
    assert float(low) <= float(now) <= float(high) < float(worse)
    assert "in 3 cycles" in pair


@pytest.mark.parametrize(
    ("now", "usual", "said"),
    [
        (212.0, 204.0, ", round trip 0.212 ms, usually 0.204 ms"),
        (212.0, None, ", round trip 0.212 ms"),
        (None, 204.0, ""),
    ],
)
def test_the_round_trip_is_told_as_far_as_it_is_known(now, usual, said) -> None:
    row = pd.Series({"min_rtt_us": now, "usual_min_rtt_us": usual}, dtype="float64")
    assert round_trip(row) == said


def test_poll_gap_agent_gap_and_a_restart_at_once_during_an_incident_are_one_update_and_no_clear(
    fabric,
) -> None:
    run = Run(fabric)
    for minute in (9, 10):
        run.cycle(minute)
    (opening,) = run.events
    for minute in range(11, 20):  # nobody answers: neither switches nor agents
        run.cycle(minute, without=("counters", "optics", "pair_samples"), since=10)
    counters = fabric.whole["counters"].copy()
    restarted = counters["device"] == "spine1"
    counters.loc[restarted, "uptime_cs"] = 100  # and then one comes back with a new boot, its counters at 0
    for column in ("in_packets", "in_errors", "in_octets", "out_packets", "out_octets", "out_discards"):
        counters.loc[restarted, column] = 0
    at = fabric.tables(20)[1]
    run.cycle(20, counters=counters[counters["at"] == pd.Timestamp(at)], optics=frames.empty("optics"),
              pair_samples=frames.empty("pair_samples"))  # fmt: skip
    mine = [event for event in run.events if event.incident == opening.incident]
    assert [event.event for event in mine] == ["opened", "updated"]
    assert mine[-1].reason.startswith("no data since ")
    assert "cleared" not in run.told()
    others = [event.verdict.evidence[0].text for event in run.events if event.incident != opening.incident]
    assert [text.split(" have ")[0] for text in others] == ["14 targets"]  # one line, not fourteen
