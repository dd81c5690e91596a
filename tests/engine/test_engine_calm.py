"""One fault, few lines: flaps, blindness, silences, cleanings, devices in trouble."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from correlator import frames
from correlator.engine import incidents
from correlator.engine.remarks import Remarks
from correlator.engine.trouble import Trouble
from correlator.model import Action, End, Evidence, Incident, Link, PairImpact, Subject, Verdict, Window

START = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LINK = Link.between(End("leaf2", "Ethernet49"), End("spine1", "Ethernet2"))


def pairs(count: int) -> tuple[PairImpact, ...]:
    return tuple(
        PairImpact(f"c{n}", f"d{n}", f"web-{n}", f"db-{n}", 2.0 + n, 1.0, 3.0, 1.0, 1.0, 0.9)
        for n in range(count)
    )


def verdict(hurt: int = 3, link: Link = LINK, cause: str = "dirty_connector", p: float = 0.98) -> Verdict:
    return Verdict(
        id="",
        kind="link",
        link=link,
        direction="b_to_a",
        root_cause=cause,
        probability=p,
        severity="err" if hurt else "warning",
        onset=START,
        window=Window(START - 5 * MINUTE, START),
        evidence=(Evidence("errors", 0.006, 30.0, "0.6 % of packets lost"),),
        pairs=pairs(hurt),
    )


class Life:
    """Incidents over time: ``step`` runs a cycle and remembers what it told, as JSON does."""

    def __init__(self, **around) -> None:
        self.now = START
        self.known: dict[str, Incident] = {}
        self.events = []
        self.around = incidents.Around(**around)

    def step(self, *seen: Verdict, healthy: bool | None = True, after: timedelta = MINUTE) -> None:
        self.now += after
        changed, events, self.named = incidents.follow(
            list(self.known.values()), seen, lambda _: healthy, self.now, around=self.around
        )
        for incident in changed:
            kept = Incident.from_json(json.loads(json.dumps(incident.to_json())))
            assert kept == incident
            self.known[incident.id] = kept
            if incident.state == "cleared":
                del self.known[incident.id]
        self.events += events

    def told(self) -> list[str]:
        return [event.event for event in self.events if not event.quiet]


def opened(**around) -> Life:
    life = Life(**around)
    life.step(verdict())
    life.step(verdict())
    assert life.told() == ["opened"]
    return life


def test_a_link_that_hurts_10000_pairs_and_flaps_200_times_opens_once_and_clears_once():
    life, second = Life(), timedelta(seconds=1)
    many = verdict(10_000)
    for flap in range(200):
        life.step(many if flap % 3 else verdict(10, cause="unknown", p=0.6), after=second)
        life.step(after=second)
    for _ in range(80):
        life.step()
    assert (life.told()[0], life.told()[-1]) == ("opened", "cleared")
    assert (life.told().count("opened"), life.told().count("cleared")) == (1, 1)
    assert life.told().count("updated") <= 6
    assert life.known == {}
    assert all(len(json.dumps(event.to_json())) < 16_000 for event in life.events)
    assert life.events[-1].verdict.hurt == 10_000


def test_a_fault_that_keeps_coming_back_must_be_well_for_longer():
    life = opened()
    for _ in range(3):
        life.step()
        life.step(verdict())
    for _ in range(8):
        life.step()
    assert life.told() == ["opened"]
    for _ in range(8):
        life.step()
    assert life.told() == ["opened", "cleared"]


def test_no_data_is_one_update_that_says_so_and_never_a_clear():
    life = opened(unseen=lambda _: "the counters of leaf2 Ethernet49 are not read")
    for _ in range(500):
        life.step(healthy=None)
    assert life.told() == ["opened", "updated"]
    assert life.events[-1].reason == "no data since 04:03Z: the counters of leaf2 Ethernet49 are not read"
    assert life.events[-1].severity == "err"
    for _ in range(3):
        life.step()
    assert life.told() == ["opened", "updated", "cleared"]


def test_good_cycles_count_in_a_row():
    life = opened()
    for healthy in (True, True, False, True, True, False, True):
        life.step(healthy=healthy)
    assert life.told() == ["opened"]


def test_a_clear_gives_duration_and_proof():
    life = opened(proof=lambda _: "errors 0.006 of packets before, 0 of 1,200,000 now")
    for _ in range(3):
        life.step()
    clear = life.events[-1]
    assert clear.reason == "errors 0.006 of packets before, 0 of 1,200,000 now, in 3 cycles"
    assert clear.at - clear.opened_at == 3 * MINUTE


def test_a_silence_makes_no_line_and_its_end_tells_what_still_holds():
    until = START + 10 * MINUTE
    life = Life(quiet=lambda _: "silenced by anna" if life.now < until else "")
    while life.now < until:
        life.step(verdict())
    assert life.told() == ["opened"]
    assert [event.event for event in life.events] == ["opened", "opened"]
    assert life.events[0].quiet == "silenced by anna"
    assert [event.seq for event in life.events] == [1, 2]


def test_what_came_and_went_in_a_silence_is_kept_and_makes_no_line():
    life = Life(quiet=lambda _: "silenced by anna")
    for _ in range(3):
        life.step(verdict())
    for _ in range(3):
        life.step()
    assert life.told() == []
    assert [event.event for event in life.events] == ["opened", "cleared"]
    assert life.known == {}


def test_the_clear_of_what_was_told_before_a_silence_comes_when_it_ends():
    silent = []
    life = opened(quiet=lambda _: silent[0] if silent else "")
    silent.append("silenced by anna")
    for _ in range(5):
        life.step()
    assert life.told() == ["opened"]
    silent.clear()
    life.step()
    assert life.told() == ["opened", "cleared"]


def test_a_cleaning_that_did_not_help_is_told_once():
    cleaned_at = START + 3 * MINUTE
    life = opened(cleaned=lambda _: (cleaned_at, "bo"))
    for _ in range(30):
        life.step(verdict())
    assert life.told() == ["opened", "updated"]
    assert life.events[-1].reason == "no change since bo cleaned it at 04:03Z"


def test_a_cleaning_that_helped_is_in_the_proof():
    life = opened(cleaned=lambda _: (START + 3 * MINUTE, "bo"))
    for _ in range(3):
        life.step()
    assert life.events[-1].reason.endswith("in 3 cycles, bo cleaned it at 04:03Z")


def test_a_cleaning_before_the_incident_is_not_meant():
    life = opened(cleaned=lambda _: (START - 3 * MINUTE, "bo"))
    for _ in range(30):
        life.step(verdict())
    assert life.told() == ["opened"]


def test_after_a_cleaning_in_vain_the_next_step_is_named_and_cleaning_is_no_longer_ordered():
    steps = ("inspect_and_clean", "inspect_and_clean", "replace_cable")
    order = tuple(Action(n, do, "leaf2", "Ethernet49") for n, do in enumerate(steps, 1))
    dirty = replace(verdict(), actions=order)
    life = Life(cleaned=lambda _: (START + 3 * MINUTE, "bo"))
    for _ in range(20):
        life.step(dirty)
    opening, update = life.events
    assert [one.do for one in opening.verdict.actions] == list(steps)
    assert (
        update.reason
        == "no change since bo cleaned it at 04:03Z, next: replace the cable at leaf2 Ethernet49"
    )
    assert [(one.step, one.do) for one in update.verdict.actions] == [(1, "replace_cable")]


def test_a_lower_severity_or_a_tenth_of_the_impact_is_told_when_it_lasts():
    life = Life()
    for _ in range(2):
        life.step(verdict(400))
    for hurt in (*[40] * 9, 400, *[40] * 9):
        life.step(verdict(hurt))
    assert life.told() == ["opened"]
    life.step(verdict(40))
    assert life.events[-1].reason == "hurts 40 pairs, before 400"
    for _ in range(14):
        life.step(verdict(0))
    assert life.events[-1].reason == "severity err -> warning"
    assert (life.events[-1].severity, life.told()) == ("warning", ["opened", "updated", "updated"])


def test_hundreds_that_go_blind_at_once_make_one_line_and_none_is_cleared():
    crowd = [verdict(n, Link.between(End(f"leaf{n}", "e1"), End("spine1", f"e{n}"))) for n in range(1, 301)]
    life = Life(unseen=lambda _: "the counters are not read")
    for _ in range(2):
        life.step(*crowd)
    for _ in range(30):
        life.step(healthy=None)
    assert life.told() == ["opened"] * 300 + ["updated"]
    (said,) = [event for event in life.events if event.event == "updated" and not event.quiet]
    assert said.reason == (
        "no data about 300 incidents, this one and 299 more; here: "
        "no data since 04:03Z: the counters are not read"
    )
    kept = [event.quiet for event in life.events if event.event == "updated" and event.quiet]
    assert kept == [f"told with {said.incident}"] * 299
    for _ in range(4):
        life.step(*crowd)
    assert life.told() == ["opened"] * 300 + ["updated"]


def test_what_cannot_be_measured_for_days_is_said_every_day_and_never_cleared():
    life = opened(unseen=lambda _: "leaf2 Ethernet49 - spine1 Ethernet2 is no longer on the map")
    for _ in range(24 * 3):
        life.step(healthy=None, after=timedelta(hours=1))
    assert life.told() == ["opened", "updated", "updated", "updated"]
    assert life.events[-1].reason == (
        "still no data since 2026-11-01 05:02Z: leaf2 Ethernet49 - spine1 Ethernet2 is no longer on the map"
    )


def test_one_that_was_closed_by_hand_ends_and_says_that_nothing_was_measured():
    closed = []
    life = opened(closed=lambda _: closed[0] if closed else (None, ""))
    closed.append((START + 3 * MINUTE, "closed by anna: the link was taken away"))
    life.step(verdict())
    assert life.told() == ["opened"]
    life.step(healthy=None)
    assert life.told() == ["opened", "cleared"]
    assert life.events[-1].reason == "closed by anna: the link was taken away (not measured healthy)"


def fifty() -> list[Verdict]:
    ends = [End("leaf2", f"Ethernet{n}") for n in range(1, 51)]
    return [verdict(0, Link.between(end, End("spine1", end.if_name))) for end in ends]


def test_a_device_that_restarts_with_fifty_sick_links_is_one_incident():
    life = Life(troubled=lambda v: ("leaf2", "restarted at 04:00Z"))
    for _ in range(5):
        life.step(*fifty())
    assert life.told() == ["opened"]
    told = life.events[0].verdict
    assert (told.subject, told.severity) == (Subject(device="leaf2"), "warning")
    assert told.actions[0].text == "leaf2 restarted at 04:00Z: 50 signs of trouble around it"
    assert {one.id for one in life.named} == {life.events[0].incident}


def test_what_was_open_before_a_restart_stays_its_own_incident():
    trouble = []
    life = opened(troubled=lambda v: ("leaf2", trouble[0]) if trouble else ("", ""))
    trouble.append("restarted at 04:02Z")
    for _ in range(3):
        life.step(verdict(), *fifty())
    assert life.told() == ["opened", "opened"]
    assert life.events[1].verdict.subject.device == "leaf2"


def test_one_fault_at_a_device_in_trouble_is_told_as_itself():
    life = Life(troubled=lambda v: ("leaf2", "restarted at 04:00Z"))
    for _ in range(3):
        life.step(verdict())
    assert life.events[0].verdict.link == LINK


def test_poll_gap_agent_gap_and_restart_at_once_are_one_update_and_no_clear():
    trouble = []
    life = opened(troubled=lambda v: ("leaf2", trouble[0]) if trouble else ("", ""))
    for _ in range(2):
        life.step(healthy=None)
    trouble.append("restarted at 04:06Z")
    for _ in range(20):
        life.step(healthy=None)
    for _ in range(5):
        life.step(verdict())
    assert life.told() == ["opened", "updated"]


def test_ten_thousand_incidents_at_once_are_followed_within_one_cycle():
    crowd = [verdict(0, Link.between(End(f"leaf{n}", "e1"), End("spine1", f"e{n}"))) for n in range(10_000)]
    life = Life()
    life.step(*crowd)
    life.step(*crowd)
    assert len(life.known) == len(life.events) == 10_000


def annotation(**row) -> dict:
    return {
        "at": START,
        "by": "anna",
        "until": START + 60 * MINUTE,
        "why": "rebuilt",
        "kind": "silence",
        **row,
    }


@pytest.mark.parametrize(
    "subject",
    ["i7", "leaf2", "spine1", "leaf2 Ethernet49", str(LINK), f"{LINK.b} - {LINK.a}", "ams1", "r12"],
)
def test_a_silence_may_name_incident_device_interface_link_site_or_rack(subject):
    devices = frames.frame("devices", [{"at": START, "device": "leaf2", "site": "ams1", "rack": "r12"}])
    said = frames.frame("annotations", [annotation(subject=subject)])
    about = replace(verdict(), id="i7")
    assert Remarks(said, devices, START + MINUTE).quiet(about) == "silenced by anna: rebuilt"
    assert Remarks(said, devices, START - MINUTE).quiet(about) == ""
    assert Remarks(said, devices, START + 61 * MINUTE).quiet(about) == ""


def test_a_silence_of_something_else_is_nothing():
    said = frames.frame(
        "annotations", [annotation(subject="leaf20"), annotation(subject="leaf2", kind="ack")]
    )
    assert Remarks(said, frames.empty("devices"), START + MINUTE).quiet(verdict()) == ""


def test_the_last_cleaning_counts():
    rows = [annotation(subject=str(LINK), kind="cleaned", until=None, at=START + n * MINUTE) for n in (0, 5)]
    said = frames.frame("annotations", rows)
    remarks = Remarks(said, frames.empty("devices"), START + 9 * MINUTE)
    assert remarks.cleaned(verdict()) == (START + 5 * MINUTE, "anna")


def test_a_device_is_in_trouble_while_it_is_silent_or_just_up():
    polls = [{"at": START + n * MINUTE, "target": "leaf2", "kind": "switch", "ok": False} for n in range(3)]
    counters = [{"at": START, "device": "spine1", "if_index": 1, "if_name": "e1", "uptime_cs": 6_000}]
    silent = Trouble(frames.frame("polls", polls), frames.empty("counters"), START, 10 * MINUTE)
    assert silent.of(verdict()) == ("leaf2", "does not answer")
    for now, said in ((START + MINUTE, ("spine1", "restarted at 03:59Z")), (START + 11 * MINUTE, ("", ""))):
        up = Trouble(frames.empty("polls"), frames.frame("counters", counters), now, 10 * MINUTE)
        assert up.of(verdict()) == said
