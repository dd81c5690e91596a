"""The pictures and tables of the whole network: each number counted again, another way."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import report_days as days

from correlator import frames
from correlator.model import IncidentEvent
from correlator.reports import daily, trends
from correlator.reports.margins import thresholds
from correlator.reports.readings import Thresholds


def content_of(tables, **more):
    return daily.content({**tables, **more}, days.DAY, days.ZONE, days.NOW)


def row_of(content, device, if_name):
    return next(
        row for row in content.heat.rows if (row.receiver.device, row.receiver.if_name) == (device, if_name)
    )


def test_the_heat_map_adds_up_to_what_the_counters_moved_by(rich, rich_tables):
    counters = rich_tables["counters"]
    mine = counters[(counters["device"] == "leaf3") & (counters["if_name"] == "Ethernet49")]
    row = row_of(rich, "leaf3", "Ethernet49")
    assert row.total.count == int(mine["in_errors"].iloc[-1]) - int(mine["in_errors"].iloc[0])
    assert sum(value for value in row.errors if value) == row.total.count
    assert row.order == 1
    assert rich.heat.directions == rich.heat.with_errors + rich.heat.without_errors + rich.heat.uncounted


def test_hours_that_are_summed_up_speak_for_the_counters():
    tables = days.rich()
    hour = days.MIDNIGHT + timedelta(hours=5)
    summed = {
        "at": hour + timedelta(hours=1),
        "hour": hour,
        "device": "leaf3",
        "if_name": "Ethernet49",
        "metric": "errors",
        "exposure": 1e6,
        "count": 7.0,
    }
    tables["link_hours"] = pd.concat([tables["link_hours"], frames.frame("link_hours", [summed])])
    row = row_of(content_of(tables), "leaf3", "Ethernet49")
    assert (row.errors[5], row.packets[5]) == (7.0, 1e6)
    assert row.errors[6] != 7.0


def test_missing_and_shut_hours_are_not_zero():
    tables = days.rich()
    port = tables["interfaces"]["if_name"].eq("Ethernet50") & tables["interfaces"]["device"].eq("leaf4")
    tables["interfaces"].loc[port, "oper_status"] = "down"
    counters = tables["counters"]
    at = counters["at"] - days.MIDNIGHT
    gone = counters["device"].eq("leaf3") & (at > timedelta(hours=2)) & (at < timedelta(hours=4, minutes=1))
    content = content_of(tables, counters=counters[~gone])
    assert row_of(content, "leaf3", "Ethernet49").states.startswith("ssmms")
    shut = [row for row in content.heat.rows if row.receiver == days.End("leaf4", "Ethernet50")]
    assert {row.states for row in shut} <= {"x" * 24}


def test_the_margin_is_the_newest_reading_less_the_modules_own_level(rich, rich_tables):
    optics = rich_tables["optics"].dropna(subset=["rx_power_low_warn_dbm"])
    newest = optics.sort_values("at").groupby(["device", "if_name", "lane"]).tail(1)
    wanted = (newest["rx_power_dbm"] - newest["rx_power_low_warn_dbm"]).round(3).sort_values().tolist()
    assert [margin.margin_db for margin in rich.margins] == pytest.approx(wanted)
    assert str(rich.margins[0].receiver) == "leaf3 Ethernet49"
    assert rich.margins[0].change_db == pytest.approx(-6.2, abs=0.2)


@pytest.mark.parametrize(
    ("levels", "why"),
    [
        ((0.0, 0.0, 0.0, 0.0), "all thresholds are zero"),
        ((2.4, 3.4, -9.9, -11.9), "no order"),
        ((100.0, 200.0, 900.0, 1000.0), "beyond any receiver"),
    ],
)
def test_thresholds_that_cannot_be_meant_are_refused_and_told(levels, why):
    names = [f"rx_power_{level}_dbm" for level in ("low_alarm", "low_warn", "high_warn", "high_alarm")]
    said = thresholds(dict(zip(names, levels, strict=True)))
    assert isinstance(said, str)
    assert why in said
    optics = days.quiet()["optics"].iloc[-300:].assign(**dict(zip(names, levels, strict=True)))
    content = content_of({}, optics=optics)
    assert content.margins == ()
    assert [blind.kind for blind in content.blind if blind.kind == "refused"] == ["refused"]


def test_a_step_of_light_is_found_where_it_happened(rich):
    trend = next(one for one in rich.trends if str(one.receiver) == "leaf3 Ethernet49")
    assert abs(trend.change_at - days.ONSET) < timedelta(minutes=10)
    assert trend.change_db == pytest.approx(-6.2, abs=0.1)


def test_noise_temperature_and_a_steady_fall_are_no_step():
    at = np.arange(720)
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 0.1, 720)
    for values in (noise, 0.4 * np.sin(at / 24 * 2 * np.pi) + noise, -0.004 * at + noise):
        assert trends.change_point(values, trends.Params()) is None


def test_a_steady_fall_reaches_the_level_on_the_day_that_it_will():
    at = pd.date_range("2026-10-18", periods=720, freq="h", tz="UTC")
    falling = pd.Series(-5.0 - 0.1 * np.arange(720) / 24, index=at)
    found = trends.forecast(falling, Thresholds(-12.0, -10.0, None, None), trends.Params())
    assert found is not None
    assert (found.level, found.slope_db_per_day) == ("low_warn", -0.1)
    assert found.days == pytest.approx((10.0 - 7.95) / 0.1, abs=0.6)
    steady = falling * 0 - 5.0
    assert trends.forecast(steady, Thresholds(-12.0, -10.0, None, None), trends.Params()) is None


def test_the_matrix_counts_slow_pairs_of_all_that_talked(rich):
    cells = {(cell.client, cell.server): cell for cell in rich.matrix.cells}
    slow = {(p.src, p.dst) for order in days._all_pairs() for p in (order,)}
    assert sum(cell.slow for cell in cells.values()) == len(slow)
    assert all(cell.slow <= cell.pairs for cell in cells.values())
    assert cells["web", "search"].waits == "network"


def test_the_drawing_points_into_the_end_that_receives_the_damage(rich):
    blamed = [edge for edge in rich.drawing.edges if edge.standing == "blamed"]
    assert [(edge.a, edge.b, edge.into, edge.order) for edge in blamed] == [("leaf3", "spine2", "leaf3", 1)]
    assert [(e.a, e.b) for e in rich.drawing.edges if e.standing == "sick"] == [("leaf2", "spine1")]


def test_a_fabric_of_5000_links_is_drawn_around_its_trouble():
    at = days.MIDNIGHT + days.MINUTE
    cables = [
        {
            "at": at,
            "a_device": f"leaf{n // 8:03}",
            "a_if_name": f"Ethernet{n % 8}",
            "b_device": f"spine{n % 8}",
            "b_if_name": f"Ethernet{n // 8}",
        }
        for n in range(5000)
    ]
    link = days.Link.between(days.End("leaf400", "Ethernet2"), days.End("spine2", "Ethernet400"))
    verdict = days.dirty(days.END - days.MINUTE, link=link)
    tables = {
        "cables": frames.frame("cables", cables),
        "verdicts": frames.frame("verdicts", [days.verdict_row(verdict, days.END - days.MINUTE)]),
    }
    html = daily.render(tables, days.DAY, days.ZONE, days.NOW)
    content = content_of(tables)
    assert content.drawing.all_links == 5000
    assert len(content.drawing.nodes) <= 40
    assert [edge.order for edge in content.drawing.edges if edge.standing == "blamed"] == [1]
    assert content.heat.uncounted == 10_000
    assert len(html.encode()) < 2_000_000


def test_one_link_is_a_fabric():
    cable = {"at": days.MIDNIGHT, "a_device": "a", "a_if_name": "1", "b_device": "b", "b_if_name": "2"}
    tables = {"cables": frames.frame("cables", [cable])}
    content = content_of(tables)
    assert (len(content.drawing.nodes), content.heat.directions) == (2, 2)
    assert daily.render(tables, days.DAY, days.ZONE, days.NOW).endswith("</html>")


def test_chattiness_ranks_the_days_hours():
    shared = {"src_host": "a", "dst_host": "b", "dst_service": "db"}
    hour = days.MIDNIGHT + timedelta(hours=3)
    rows = []
    for service, exchanges, response in (("web", 7200.0, 4.0), ("batch", 360.0, 90.0)):
        own = shared | {"at": hour + timedelta(hours=1), "hour": hour, "src_service": service}
        rows += [
            own | {"metric": "exchanges", "exposure": 3600.0, "count": exchanges},
            own | {"metric": "response_ms", "exposure": 100.0, "count": 100.0, "sum": response * 100},
            own | {"metric": "service_ms", "exposure": 100.0, "count": 100.0, "sum": 300.0},
        ]
    chat = content_of({}, pair_hours=frames.frame("pair_hours", rows)).chattiness
    assert [one.client for one in chat.most_exchanges] == ["web", "batch"]
    assert [one.client for one in chat.longest_waits] == ["batch", "web"]
    web = chat.most_exchanges[0]
    assert (web.exchanges_per_s, web.response_ms, web.network_ms, web.waiting) == (2.0, 4.0, 1.0, 0.008)


def note(kind, subject, at, **more):
    return frames.frame("annotations", [{"at": at, "kind": kind, "subject": subject, "by": "kim", **more}])


def test_a_cleaning_after_which_the_fault_went_on_is_no_repair():
    cleaned = days.ONSET + timedelta(hours=2)
    content = content_of(days.rich(), annotations=note("cleaned", str(days.DIRTY), cleaned, why="ticket 7"))
    repair = next(one for one in content.repairs if one.did == "cleaned")
    assert (repair.mending, repair.by, repair.why, repair.at) == ("no_change", "kim", "ticket 7", cleaned)
    assert repair.before.ratio == pytest.approx(8e-5, rel=0.05)
    assert repair.after.ratio == pytest.approx(8e-5, rel=0.05)


def test_a_cleaning_that_cleared_the_fault_is_proven_with_its_reason():
    tables = days.rich()
    cleaned, cleared = days.ONSET + timedelta(hours=2), days.ONSET + timedelta(hours=3)
    tables["verdicts"] = tables["verdicts"][tables["verdicts"]["root_cause"] != "dirty_connector"]
    event = IncidentEvent(
        "i-dirty",
        2,
        cleared,
        "cleared",
        "notice",
        days.dirty(cleared),
        cleared,
        "measured healthy in 3 cycles",
    )
    row = days.event_row(event) | {"document": days.json.dumps(event.to_json())}
    tables["incident_events"] = frames.frame("incident_events", [row])
    content = content_of(tables, annotations=note("cleaned", "leaf3 Ethernet49", cleaned))
    (repair,) = [one for one in content.repairs if one.did == "cleaned"]
    assert (repair.mending, repair.proof) == ("proven", "measured healthy in 3 cycles")


def test_an_incident_that_was_closed_by_hand_is_told_with_who_and_why_and_is_no_proof():
    tables = days.rich()
    closed = days.ONSET + timedelta(hours=2)
    tables["verdicts"] = tables["verdicts"][tables["verdicts"]["root_cause"] != "dirty_connector"]
    why = "closed by kim: taken away (not measured healthy)"
    told = days.dirty(closed)
    event = IncidentEvent(told.id, 2, closed, "cleared", "notice", told, closed, why)
    row = days.event_row(event) | {"document": days.json.dumps(event.to_json())}
    tables["incident_events"] = frames.frame("incident_events", [row])
    said = note("closed", told.id, closed - timedelta(minutes=1), why="taken away")
    content = content_of(tables, annotations=said)
    (repair,) = [one for one in content.repairs if one.link == days.DIRTY]
    assert (repair.mending, repair.did, repair.by, repair.why) == ("closed", "closed", "kim", "taken away")
    html = daily.render({**tables, "annotations": said}, days.DAY, days.ZONE, days.NOW)
    assert "Closed by hand" in html
    assert "by kim: taken away" in html


def test_work_at_a_place_without_a_fault_proves_nothing():
    content = content_of(days.quiet(), annotations=note("reseated", "leaf4 Ethernet49", days.ONSET))
    assert [(one.mending, one.did) for one in content.repairs] == [("waiting", "reseated")]


@pytest.mark.parametrize(
    ("kind", "told"), [("ack", "acknowledged"), ("silence", "silenced"), ("maintenance", "maintenance")]
)
def test_what_people_asked_to_be_quiet_about_is_told_while_it_holds(kind, told):
    holds = note(kind, "leaf1", days.MIDNIGHT - timedelta(days=2), until=days.ONSET, why="works")
    over = note(kind, "leaf1", days.MIDNIGHT - timedelta(days=2), until=days.MIDNIGHT - timedelta(hours=1))
    assert told in {blind.kind for blind in content_of({}, annotations=holds).blind}
    assert told not in {blind.kind for blind in content_of({}, annotations=over).blind}
