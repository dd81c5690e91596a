import dataclasses
import itertools
import json
import statistics
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
import report_days as days
import report_troubled as troubled

from correlator import frames
from correlator.model import IncidentEvent, Subject
from correlator.reports import daily, sentences
from correlator.reports.period import ReportError, period


def content_of(**tables):
    return daily.content(tables, days.DAY, days.ZONE, days.NOW)


def verdicts(*seen):
    return frames.frame("verdicts", [days.verdict_row(verdict, at) for verdict, at in seen])


def test_a_dirty_link_is_named_in_the_first_sentence(rich):
    assert sentences.headline(rich) == (
        "1 link hurts 14 container pairs; clean these 2 ends: leaf3 Ethernet49 and spine2 Ethernet3; "
        "the service recommend slows 2 container pairs, not the network."
    )


def test_a_quiet_day_says_so_with_what_was_watched():
    content = daily.content(troubled.quiet_day(), days.DAY, days.ZONE, days.NOW)
    assert sentences.headline(content) == (
        "Nothing is wrong with the network as far as we could see: "
        "15 links watched, 1 without light readings, 19 container pairs measured."
    )
    assert sentences.mood(content) == "calm"


def test_a_day_on_which_most_links_said_nothing_is_not_called_healthy():
    content = daily.content(days.quiet(), days.DAY, days.ZONE, days.NOW)
    assert sentences.headline(content) == (
        "No fault was found, but too little was seen to call the network well: "
        "2 of 15 links watched, 1 without light readings, no container pair measured."
    )
    assert sentences.mood(content) == "unknown"
    assert {edge.standing for edge in content.drawing.edges} == {"well", "unseen"}
    assert sum(edge.standing == "well" for edge in content.drawing.edges) == 2


def test_a_day_without_any_table_is_not_called_healthy():
    content = content_of()
    assert sentences.headline(content).startswith("Nothing could be seen on this day")
    assert sentences.mood(content) == "unknown"


def test_tomorrow_has_no_report_yet():
    content = daily.content(days.rich(), days.DAY, days.ZONE, days.MIDNIGHT - timedelta(hours=5))
    assert sentences.headline(content).startswith("This day has not begun yet")
    assert sentences.mood(content) != "calm"


@pytest.mark.parametrize("absent", days.TABLES)
def test_every_table_may_be_missing(absent, thin_tables):
    tables = {name: table for name, table in thin_tables.items() if name != absent}
    assert daily.render(tables, days.DAY, days.ZONE, days.NOW).endswith("</html>")


@pytest.mark.parametrize("only", days.TABLES)
def test_every_table_may_be_the_only_one(only, thin_tables):
    tables = {name: table.iloc[:0] for name, table in thin_tables.items()} | {only: thin_tables[only]}
    assert daily.render(tables, days.DAY, days.ZONE, days.NOW).endswith("</html>")


def test_an_unknown_time_zone_is_one_sentence():
    with pytest.raises(ReportError, match="no time zone 'Mars/Base'; give an IANA name"):
        daily.content({}, days.DAY, "Mars/Base", days.NOW)


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 11, 17), 24)]
)
def test_days_have_23_24_or_25_hours(day, hours):
    assert period(day, "Europe/Berlin", days.NOW).hours == hours


def test_a_verdict_belongs_to_the_day_in_the_readers_zone():
    last_minute = datetime(2026, 11, 17, 22, 59, tzinfo=UTC)  # 23:59 in Berlin
    tables = {"verdicts": verdicts((days.dirty(last_minute), last_minute))}
    in_berlin = daily.content(tables, days.DAY, "Europe/Berlin", days.NOW)
    in_tokyo = daily.content(tables, days.DAY, "Asia/Tokyo", days.NOW)
    assert (len(in_berlin.orders), len(in_tokyo.orders)) == (1, 0)


def test_a_fault_repeated_over_cycles_is_shown_once_in_its_newest_form():
    first, last = days.ONSET + timedelta(minutes=3), days.ONSET + timedelta(hours=9)
    early = days.dirty(first, id="v-1", probability=0.5)
    late = days.dirty(last, id="v-2", probability=0.99)
    (order,) = content_of(verdicts=verdicts((early, first), (late, last))).orders
    assert order.fault.verdict.probability == 0.99
    assert (order.fault.first_seen, order.fault.last_seen) == (first, last)


def test_services_are_told_apart_by_their_subject():
    at = days.END - timedelta(hours=1)
    one = days.slow_service(at)
    other = dataclasses.replace(one, id="v-other", subject=Subject(service="search"))
    content = content_of(verdicts=verdicts((one, at), (other, at)))
    assert len(content.orders) == 2
    assert sentences.headline(content) == (
        "2 services (search and recommend) slow 2 container pairs, not the network."
    )


def test_a_finding_that_came_to_slow_pairs_is_no_longer_a_finding():
    at = days.END - timedelta(hours=1)
    finding = dataclasses.replace(days.dirty(at), id="f-1", pairs=())
    content = content_of(
        verdicts=verdicts((days.dirty(at), at)),
        findings=frames.frame("findings", [days.verdict_row(finding, at + timedelta(minutes=5))]),
    )
    assert content.findings == ()
    assert content.orders[0].gain.pairs == 14


def test_a_cleared_fault_comes_last_and_asks_for_nothing(rich):
    assert [order.fault.ongoing for order in rich.orders] == [True, True, False]
    assert rich.orders[2].fault.cleared_at == days.MIDNIGHT + timedelta(hours=14)
    assert rich.harm.network.faults == 1


def test_a_day_whose_faults_are_all_clear_says_what_was():
    at = days.MIDNIGHT + timedelta(hours=9)
    event = {"incident": "i", "seq": 2, "event": "cleared", **days.document(days.dirty(at), at)}
    content = content_of(incident_events=frames.frame("incident_events", [event]))
    said = "Nothing could be seen on this day: no switch and no host answered."
    assert sentences.headline(content) == said
    polls = frames.frame("polls", [{"at": at, "target": "leaf3", "kind": "switch", "ok": True}])
    content = content_of(incident_events=frames.frame("incident_events", [event]), polls=polls)
    assert sentences.headline(content) == (
        "Nothing hurts now: leaf3 Ethernet49 – spine2 Ethernet3 hurt 14 container pairs "
        "and is clear since 09:00."
    )


def test_a_fault_seen_after_it_was_cleared_is_open():
    cleared = days.MIDNIGHT + timedelta(hours=9)
    event = {"incident": "i", "seq": 2, "event": "cleared", **days.document(days.dirty(cleared), cleared)}
    again = cleared + timedelta(hours=1)
    content = content_of(
        incident_events=frames.frame("incident_events", [event]),
        verdicts=verdicts((days.dirty(again), again)),
    )
    assert content.orders[0].fault.ongoing


def test_a_document_that_is_no_verdict_is_counted_not_raised():
    row = days.verdict_row(days.dirty(days.ONSET), days.ONSET) | {"document": '{"id": 1}'}
    content = content_of(verdicts=frames.frame("verdicts", [row]))
    assert content.orders == ()
    assert [
        spot.subject for blind in content.blind if blind.kind == "unreadable" for spot in blind.spots
    ] == ["v-dirty"]


def test_a_step_says_where_to_go(rich):
    step = rich.orders[0].steps[0]
    assert (step.place.site, step.place.rack, step.panel) == ("FRA2", "B14", "PP-B12/17")
    assert str(step.peer) == "spine2 Ethernet3"


def test_the_light_lost_on_the_way_is_told_before_and_since_the_onset(rich):
    blamed, other = rich.orders[0].light
    assert (str(blamed.sender), str(blamed.receiver)) == ("spine2 Ethernet3", "leaf3 Ethernet49")
    assert blamed.lost_before_db == pytest.approx(2.2, abs=0.1)
    assert blamed.lost_now_db == pytest.approx(8.4, abs=0.1)
    assert other.lost_now_db == pytest.approx(other.lost_before_db, abs=0.1)
    assert blamed.thresholds.low_warn == -9.9


def test_the_damaged_packets_are_those_that_the_counters_moved_by(rich, rich_tables):
    blamed = rich.orders[0].rates[0]
    rows = rich_tables["counters"]
    rows = rows[(rows["device"] == "leaf3") & (rows["if_name"] == "Ethernet49")]
    moved = int(rows["in_errors"].iloc[-1]) - 12
    assert blamed.now.count == moved
    assert blamed.now.ratio == pytest.approx(8e-5, rel=0.02)
    assert blamed.before.count == 3  # the hours before
    above = [value for value in blamed.trace.minutes.values if value]
    assert statistics.median(above) == pytest.approx(8e-5, rel=0.02)


def test_an_hour_of_silence_is_absent_from_the_series_not_zero(rich):
    minutes = rich.orders[0].rates[0].trace.minutes
    nine = days.MIDNIGHT + timedelta(hours=9)
    silent = (nine + timedelta(minutes=5), nine + timedelta(minutes=45))
    assert [at for at, _ in minutes.readings() if silent[0] < at < silent[1]] == []


def test_a_full_link_shows_discards_where_they_leave_and_no_light(rich):
    order = rich.orders[2]
    assert order.light == ()
    assert (order.rates[0].counted, str(order.rates[0].end)) == ("discards", "leaf1 Ethernet50")
    assert order.rates[0].now.ratio == pytest.approx(2.4e-3, rel=0.05)


def test_a_pair_is_shown_before_and_now_with_its_parts(rich):
    pair = next(pair for pair in rich.pairs if pair.impact.src == "cd13")
    network, service = 2.0 + 13 / 3, 6.0 + 13 / 4
    assert pair.before.network_ms == pytest.approx(network, abs=0.01)
    assert pair.before.service_ms == pytest.approx(service, abs=0.01)
    assert pair.now.network_ms == pytest.approx(network * (1 + 1.5 + 0.6 * 13), abs=0.01)
    assert pair.now.response_ms == pytest.approx(pair.now.network_ms + pair.now.service_ms, abs=0.01)
    assert (pair.src_host, pair.dst_host) == ("node-02", "node-06")


def test_chattiness_is_exchanges_a_second_and_a_connection(rich):
    pair = next(pair for pair in rich.pairs if pair.impact.src == "cd00")
    assert pair.now.exchanges_per_s == pytest.approx(900 / 60)
    assert pair.now.per_connection == pytest.approx(900 / 12)


def test_rows_of_one_interval_add_up_but_share_its_length():
    tables = days.rich()
    twice = tables["pair_samples"].copy()
    half = twice.assign(exchanges=twice["exchanges"] // 2)
    other = half.assign(server_port=9090)
    tables["pair_samples"] = frames.validate("pair_samples", pd.concat([half, other]))
    content = daily.content(tables, days.DAY, days.ZONE, days.NOW)
    pair = next(pair for pair in content.pairs if pair.impact.src == "cd00")
    assert pair.now.exchanges_per_s == pytest.approx(900 / 60)


def test_the_hours_speak_for_a_pair_that_was_not_timed_before():
    tables = days.rich()
    samples = tables["pair_samples"]
    tables["pair_samples"] = samples[samples["at"] > days.ONSET]
    hour = days.MIDNIGHT - timedelta(hours=3)
    shared = {"at": hour + timedelta(hours=1), "hour": hour, "src_host": "node-01", "dst_host": "node-05",
              "src_service": "web", "dst_service": "orders"}  # fmt: skip
    rows = [
        {"metric": "response_ms", "exposure": 600.0, "count": 600.0, "sum": 4800.0},
        {"metric": "service_ms", "exposure": 600.0, "count": 600.0, "sum": 3600.0},
        {"metric": "exchanges", "exposure": 3600.0, "count": 7200.0},
    ]
    tables["pair_hours"] = frames.frame("pair_hours", [shared | row for row in rows])
    content = daily.content(tables, days.DAY, days.ZONE, days.NOW)
    before = next(pair for pair in content.pairs if pair.impact.src == "cd00").before
    assert before.reading == "hours"
    assert (before.response_ms, before.network_ms, before.exchanges_per_s) == (8.0, 2.0, 2.0)


def test_blind_spots_are_told_by_kind(rich):
    told = {blind.kind: [spot.subject for spot in blind.spots] for blind in rich.blind}
    assert told["poll_gap"] == ["leaf3"]
    assert told["agent_away"] == ["node-06"]
    assert told["unmapped_host"] == ["node-08"]
    assert told["no_light"] == ["leaf4"]
    assert told["preloaded"] == ["link_hours", "optics_hours"]
    assert told["incomplete_samples"] == ["node-03"]
    assert told["unknown_peer"] == ["node-03"]
    assert told["verdict_missing"] == ["leaf3 Ethernet49 – spine2 Ethernet3"]
    assert "web on node-01 to orders on node-05" not in told["no_usual"]
    assert "web on node-03 to search on node-06" in told["no_usual"]


def test_a_poll_gap_says_from_when_to_when(rich):
    gap = next(blind for blind in rich.blind if blind.kind == "poll_gap").spots[0]
    nine = days.MIDNIGHT + timedelta(hours=9)
    assert (gap.since, gap.until) == (nine, nine + timedelta(minutes=50))
    assert gap.text == "no data: no answer within 2 s"


def test_a_day_in_progress_says_that_it_is():
    noon = days.MIDNIGHT + timedelta(hours=12)
    content = daily.content(days.rich(), days.DAY, days.ZONE, noon)
    assert content.blind[0].kind == "day_not_over"
    assert content.blind[0].spots[0].since == noon


def test_more_than_anybody_reads_is_cut_and_counted():
    content = daily.content(days.crowded(faults=50, pairs=300), days.DAY, days.ZONE, days.NOW)
    assert (len(content.orders), len(content.pairs), len(content.findings)) == (40, 100, 100)
    assert content.harm.network.faults == 50
    assert content.harm.network.pairs == 300 + 49 * 3
    assert content.harm.findings == 1000
    assert sentences.headline(content).startswith(
        "50 links hurt 447 container pairs; clean these 100 ends, first leaf000 Ethernet49 and spine0 "
    )


def test_an_events_document_may_carry_the_whole_event():
    at = days.MIDNIGHT + timedelta(hours=9)
    event = IncidentEvent("i", 1, at, "opened", "err", days.dirty(at), at)
    row = days.event_row(event) | {"document": json.dumps(event.to_json())}
    content = content_of(incident_events=frames.frame("incident_events", [row]))
    assert [order.fault.verdict.id for order in content.orders] == ["v-dirty"]


def test_gaps_that_touch_are_one_gap():
    times = [days.MIDNIGHT + timedelta(minutes=minute) for minute in (10, 20, 30, 60, 70)]
    ends = list(itertools.pairwise(times))
    rows = [
        {"at": until, "target": "leaf1", "kind": "switch", "ok": True, "gap_from": since}
        for since, until in (ends[0], ends[1], ends[3])
    ]
    content = content_of(polls=frames.frame("polls", rows))
    gaps = next(blind for blind in content.blind if blind.kind == "poll_gap").spots
    assert [(gap.since, gap.until) for gap in gaps] == [(times[0], times[2]), (times[3], times[4])]


def test_pairs_slow_for_no_known_reason_get_no_promise():
    at = days.END - timedelta(hours=1)
    unknown = dataclasses.replace(
        days.slow_service(at),
        kind="unknown",
        root_cause="unknown",
        probability=0.0,
        subject=Subject(),
        actions=(),
    )
    html = daily.render({"verdicts": verdicts((unknown, at))}, days.DAY, days.ZONE, days.NOW)
    assert "2 container pairs slow for a reason not found." in html
    assert "Slow for a reason not found" in html
    assert "Expected gain" not in html
    assert "sure" not in html.split("</article>")[0].split("<article")[1]


def test_the_rich_day_has_every_table_that_a_report_reads(rich_tables):
    assert sorted(rich_tables) == list(days.TABLES)


def test_a_management_port_is_not_called_blind():
    tables = days.quiet()
    port = {"at": days.MIDNIGHT, "device": "leaf1", "if_index": 99, "if_name": "Management1", "if_type": 6}
    more = frames.frame("interfaces", [port | {"admin_status": "up", "oper_status": "up"}])
    tables["interfaces"] = frames.validate("interfaces", pd.concat([tables["interfaces"], more]))
    content = daily.content(tables, days.DAY, days.ZONE, days.NOW)
    (dark,) = [blind for blind in content.blind if blind.kind == "no_light"]
    assert [spot.text for spot in dark.spots] == [
        "no light reading of 3 interfaces: Ethernet1, Ethernet49, Ethernet50"
    ]


def test_light_that_is_said_to_be_absent_is_a_reading():
    tables = days.quiet()
    rows = [
        {
            "at": days.END - days.MINUTE,
            "device": "leaf4",
            "if_index": 1,
            "if_name": if_name,
            "lane": 1,
            "no_light": True,
        }
        for if_name in ("Ethernet1", "Ethernet49", "Ethernet50")
    ]
    more = frames.frame("optics", rows)
    tables["optics"] = frames.validate("optics", pd.concat([tables["optics"], more]))
    content = daily.content(tables, days.DAY, days.ZONE, days.NOW)
    assert "no_light" not in {blind.kind for blind in content.blind}


def test_pairs_that_a_verdict_only_counts_are_counted():
    at = days.END - timedelta(hours=1)
    verdict = dataclasses.replace(days.dirty(at), pairs_hurt=5000)
    other = dataclasses.replace(days.dirty(at), id="v-other", link=days.FULL, pairs=(), pairs_hurt=7)
    content = content_of(verdicts=verdicts((verdict, at), (other, at)))
    assert [order.gain.pairs for order in content.orders] == [5000, 7]
    assert content.harm.network.pairs == 5007
    assert sentences.headline(content).startswith("2 links hurt 5,007 container pairs")


def polls_of_an_agent(*polls):
    """Return the blind spots by kind; a poll is (minute, error, good, minute in which its gap began)."""
    rows = [
        {
            "at": days.MIDNIGHT + timedelta(minutes=minute),
            "target": "node-01",
            "kind": "host",
            "ok": good,
            "error": error,
            "gap_from": None if gap is None else days.MIDNIGHT + timedelta(minutes=gap),
        }
        for minute, error, good, gap in polls
    ]
    content = content_of(polls=frames.frame("polls", rows))
    return {blind.kind: [spot.text for spot in blind.spots] for blind in content.blind}


def test_an_agent_that_lost_rows_between_two_good_polls_was_not_away():
    lost = "the agent pruned 12 rows before they were read"
    told = polls_of_an_agent((1, None, True, None), (2, lost, True, 1), (3, None, True, None))
    assert "agent_away" not in told
    assert told["rows_lost"] == [lost]


def test_an_agent_that_was_not_asked_lost_nothing():
    told = polls_of_an_agent((1, None, True, None), (40, None, True, 1), (41, None, True, None))
    assert "agent_away" not in told
    assert "rows_lost" not in told


def test_an_agent_that_did_not_answer_was_away_and_brings_what_it_kept():
    told = polls_of_an_agent((1, None, True, None), (2, "refused", False, None), (3, None, True, 1))
    assert told["agent_away"] == ["refused; what it measured meanwhile came later"]


def test_an_agent_that_began_anew_after_it_was_away_says_what_is_lost():
    anew = "the agent began anew; what it had measured after row 7 may be lost"
    told = polls_of_an_agent((1, None, True, None), (2, "refused", False, None), (3, anew, True, 1))
    assert told["agent_away"] == [f"refused; {anew}"]
    assert "rows_lost" not in told


def test_a_poll_that_fails_outside_every_gap_is_told():
    told = polls_of_an_agent(
        (1, None, True, None), (2, "refused", False, None), (3, None, True, 1), (9, "late", False, None),
        (10, None, True, None),
    )  # fmt: skip
    assert told["agent_away"][1] == "1 of 5 polls failed, last: late"


def test_the_first_sentence_of_chaos_names_what_is_wrong_and_where():
    content = daily.content(troubled.chaos(), days.DAY, days.ZONE, days.NOW)
    assert sentences.headline(content) == (
        "4 links hurt 26 container pairs; clean these 2 ends: leaf3 Ethernet49 and spine2 Ethernet3; "
        "also link down at leaf4 Ethernet50 – spine1 Ethernet4, silent drops at one of 2 links and 1 more; "
        "the host node-02 slows 6 container pairs, not the network; "
        "2 services (search and recommend) slow 4 container pairs, not the network; "
        "1 container pair slow for a reason not found."
    )
