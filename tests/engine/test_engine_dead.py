"""A link in use that is down is critical; a port that was shut, or is not used, is nobody's alarm."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pandas as pd
import pytest
from small_clos import SmallClos, Story, uplink

from correlator import frames
from correlator.engine.cycle import Cycle, run_cycle
from correlator.model import End, Incident

LEAF, SPINE = End("leaf0", "swp11"), End("spine1", "swp0")
MINUTE = timedelta(minutes=1)
Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def calm() -> tuple[Tables, datetime]:
    return SmallClos(Story(seed=3, minutes=6)).tables()


def seen(tables: Tables, end: End, **said: object) -> Tables:
    """Return the tables, where the end's port says otherwise."""
    ports = tables["interfaces"].copy()
    mine = (ports["device"] == end.device) & (ports["if_name"] == end.if_name)
    for column, value in said.items():
        ports.loc[mine, column] = value
    return tables | {"interfaces": ports}


def down(tables: Tables, *ends: End, **said: object) -> Tables:
    for end in ends:
        tables = seen(tables, end, oper_status="down", **said)
    return tables


def dead(cycle: Cycle) -> list[str]:
    return [str(finding.link) for finding in cycle.findings if finding.root_cause == "link_down"]


def polled(at: datetime, **ok: bool) -> pd.DataFrame:
    rows = [
        {"at": at - n * MINUTE, "target": target, "kind": "switch", "ok": good}
        for target, good in ok.items()
        for n in range(3)
    ]
    return frames.frame("polls", rows)


@pytest.mark.parametrize("ends", [(LEAF, SPINE), (LEAF,), (SPINE,)])
def test_a_link_in_use_that_is_down_is_critical(calm, ends) -> None:
    tables, now = calm
    cycle = run_cycle(down(tables, *ends), [], now)
    (finding,) = [one for one in cycle.findings if one.root_cause == "link_down"]
    assert (str(finding.link), finding.severity) == (f"{LEAF} - {SPINE}", "crit")
    assert finding.evidence[0].text == f"down at {' and '.join(map(str, ends))}, shut at neither end"
    assert (finding.onset, finding.actions[0].do) == (now, "reseat")


@pytest.mark.parametrize(("shut", "beside"), [(LEAF, SPINE), (SPINE, LEAF)])
def test_a_port_that_was_shut_on_purpose_raises_nothing_at_either_end(calm, shut, beside) -> None:
    tables, now = calm
    tables = down(down(tables, beside), shut, admin_status="down")
    assert dead(run_cycle(tables, [], now)) == []


def test_the_far_end_may_have_been_shut_since_it_was_last_read(calm) -> None:
    tables, now = calm
    before = seen(down(tables, LEAF), LEAF, at=pd.Timestamp(now - MINUTE))
    assert dead(run_cycle(before, [], now)) == []
    known = seen(before, SPINE, at=pd.Timestamp(now))
    assert dead(run_cycle(known, [], now)) == [f"{LEAF} - {SPINE}"]


def test_a_link_that_carried_nothing_all_week_raises_nothing(calm) -> None:
    tables, now = calm
    quiet = {"counters": frames.empty("counters"), "link_hours": frames.empty("link_hours")}
    assert dead(run_cycle(down(tables, LEAF, SPINE) | quiet, [], now)) == []


def test_a_device_that_does_not_answer_or_just_restarted_is_the_fault_and_not_its_links(calm) -> None:
    tables, now = calm
    tables = down(tables, LEAF, SPINE)
    away = polled(now, leaf0=True, spine1=False)
    assert dead(run_cycle(tables | {"polls": away}, [], now)) == []
    counters = tables["counters"].copy()
    counters.loc[counters["device"] == "spine1", "uptime_cs"] = 6000
    assert dead(run_cycle(tables | {"counters": counters}, [], now)) == []


class Minutes:
    """Cycles over the same tables, a minute apart."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.known: dict[str, Incident] = {}
        self.told: list[tuple[str, str, str]] = []

    def cycle(self, tables: Tables, count: int = 1) -> None:
        for _ in range(count):
            open_ones = [one for one in self.known.values() if one.state != "cleared"]
            cycle = run_cycle(tables, open_ones, self.now)
            self.known |= {one.id: one for one in cycle.incidents}
            self.told += [(one.event, one.severity, one.reason) for one in cycle.events]
            self.verdicts = cycle.verdicts
            self.now += MINUTE


def test_it_opens_once_and_clears_when_both_ends_are_up(calm) -> None:
    tables, now = calm
    story = Minutes(now)
    story.cycle(down(tables, LEAF, SPINE), 4)
    story.cycle(tables, 3)
    assert story.told == [("opened", "crit", ""), ("cleared", "notice", "up at both ends, in 3 cycles")]


def test_a_dead_link_that_is_then_shut_is_no_fault_any_more_and_the_clear_says_why(calm) -> None:
    tables, now = calm
    story = Minutes(now)
    story.cycle(down(tables, LEAF, SPINE), 2)
    story.cycle(down(down(tables, SPINE), LEAF, admin_status="down"), 3)
    assert [what for what, _, _ in story.told] == ["opened", "cleared"]
    assert story.told[-1][2] == f"shut on purpose at {LEAF}, in 3 cycles"


def test_a_dirty_link_that_dies_stays_one_incident_and_becomes_critical() -> None:
    sick = SmallClos(Story(seed=2, lossy={uplink(0, 1): 0.01}, dimmed_db={uplink(0, 1): 2.0}))
    tables, now = sick.tables()
    story = Minutes(now)
    story.cycle(tables, 2)
    story.cycle(down(tables, LEAF, SPINE), 2)
    assert [what for what, _, _ in story.told] == ["opened", "updated"]
    assert story.told[-1] == ("updated", "crit", "severity err -> crit")


def test_an_idle_link_proves_nothing() -> None:
    sick = SmallClos(Story(seed=2, lossy={uplink(0, 1): 0.01}))
    tables, now = sick.tables()
    story = Minutes(now)
    story.cycle(tables, 2)
    idle = tables["counters"].copy()
    last = idle["at"] == idle["at"].max()
    later = [idle[last].assign(at=now + n * MINUTE) for n in range(1, 12)]
    ends = [(LEAF.device, LEAF.if_name), (SPINE.device, SPINE.if_name)]
    quiet = pd.concat([idle, *later], ignore_index=True)
    mine = pd.MultiIndex.from_frame(quiet[["device", "if_name"]]).isin(ends)
    quiet = quiet.assign(uptime_cs=quiet["uptime_cs"] + 6000 * ((quiet["at"] - now) // MINUTE).clip(lower=0))
    story.now += 8 * MINUTE
    story.cycle(tables | {"counters": quiet[mine], "pair_samples": frames.empty("pair_samples")}, 4)
    assert [what for what, _, _ in story.told] == ["opened", "updated"]
    assert "no data since" in story.told[-1][2]


def test_rack_and_panel_stand_in_the_work_order(calm) -> None:
    sick = SmallClos(Story(seed=2, lossy={uplink(0, 1): 0.01}, dimmed_db={uplink(0, 1): 2.0}))
    tables, now = sick.tables()
    devices = tables["devices"].assign(rack=lambda table: "rack of " + table["device"])
    cable = {"at": now, "a_device": "leaf0", "a_if_name": "swp11", "b_device": "spine1", "b_if_name": "swp0"}
    cables = frames.frame("cables", [cable | {"a_panel": "P3/14", "b_panel": None}])
    (verdict,) = run_cycle(tables | {"devices": devices, "cables": cables}, [], now).verdicts
    places = {(one.device, one.rack, one.panel) for one in verdict.actions}
    assert places == {("spine1", "rack of spine1", None), ("leaf0", "rack of leaf0", "P3/14")}
    bare = run_cycle(tables, [], now).verdicts[0]
    assert {replace(one, rack=None, panel=None) for one in verdict.actions} == set(bare.actions)
