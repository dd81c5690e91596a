from __future__ import annotations

import asyncio
import dataclasses
import json
from datetime import timedelta

import pandas as pd
import pytest
from parts_of_a_chain import LINK, NOW, Poller, Sink, opened, polls, reading, verdict

from correlator import frames, pipeline
from correlator.model import IncidentEvent
from correlator.pipeline import COPY, Params, Pipeline
from correlator.ports import Batch, StoreError

LATER = NOW + timedelta(minutes=1)
HOUR = timedelta(hours=1)


def stored(store, name, since=NOW - HOUR, until=NOW + HOUR):
    return store.read(name, since, until)


def figure(chain, name, **labels):
    return chain.figures.registry.get_sample_value(name, labels)


def test_what_targets_say_is_stored_and_their_cursors_move(chain, store, state):
    pollers = [Poller("leaf1 counters", [reading("leaf1")]), Poller("leaf2 counters", [reading("leaf2")])]
    done = asyncio.run(chain(counters=pollers).poll("counters", NOW))
    assert (done.targets, done.failed, done.rows) == (2, 0, 4)
    assert sorted(stored(store, "counters")["device"]) == ["leaf1", "leaf2"]
    assert state.cursor("leaf2 counters") == {"last_good": NOW.isoformat()}


def test_a_poller_is_given_what_it_remembered(chain, state):
    poller = Poller("leaf1 counters", [reading("leaf1")])
    chained = chain(counters=[poller])
    for now in (NOW, LATER):
        asyncio.run(chained.poll("counters", now))
    assert poller.cursors == [{}, {"last_good": NOW.isoformat()}]


def test_a_target_that_does_not_answer_costs_its_own_rows(chain, store):
    pollers = [
        Poller("leaf1 counters", [reading("leaf1", ok=False)]),
        Poller("leaf2 counters", [reading("leaf2")]),
    ]
    chained = chain(counters=pollers)
    done = asyncio.run(chained.poll("counters", NOW))
    assert done.failed == 1
    assert list(stored(store, "counters")["device"]) == ["leaf2"]
    assert dict(stored(store, "polls").set_index("target")["ok"]) == {"leaf1": False, "leaf2": True}
    assert figure(chained, "correlator_polls_total", group="counters", outcome="failed") == 1


def test_a_target_that_is_silent_holds_up_no_others_rows(chain, store, monkeypatch):
    class Silent(Poller):
        async def poll(self, now, cursor):
            await kept.wait()
            return await super().poll(now, cursor)

    def keep(*arguments):
        Pipeline.keep(chained, *arguments)
        loops[0].call_soon_threadsafe(kept.set)

    async def polled():
        loops.append(asyncio.get_running_loop())
        async with asyncio.timeout(60):
            return await chained.poll("counters", NOW)

    kept, loops = asyncio.Event(), []
    silent = Silent("leaf1 counters", [reading("leaf1", ok=False)])
    pollers = [silent, Poller("leaf2 counters", [reading("leaf2")])]
    chained = chain(counters=pollers, params=Params(patience=timedelta(milliseconds=10)))
    monkeypatch.setattr(chained, "keep", keep)
    done = asyncio.run(polled())
    assert (done.targets, done.failed, done.rows) == (2, 1, 3)
    assert list(stored(store, "counters")["device"]) == ["leaf2"]
    assert dict(stored(store, "polls").set_index("target")["ok"]) == {"leaf1": False, "leaf2": True}


def test_a_poller_that_breaks_down_harms_no_other(chain, store, caplog):
    pollers = [Poller("leaf1 counters", error=KeyError("x")), Poller("leaf2 counters", [reading("leaf2")])]
    chained = chain(counters=pollers)
    done = asyncio.run(chained.poll("counters", NOW))
    assert (done.failed, figure(chained, "correlator_bugs_total")) == (1, 1)
    assert list(stored(store, "counters")["device"]) == ["leaf2"]
    assert "event=bug" in caplog.text


def test_a_table_that_is_not_of_its_schema_harms_no_other(chain, store):
    bad = reading("leaf1")
    bad = dataclasses.replace(bad, tables={"counters": pd.DataFrame({"at": [NOW], "colour": ["red"]})})
    pollers = [Poller("leaf1 counters", [bad]), Poller("leaf2 counters", [reading("leaf2")])]
    chained = chain(counters=pollers)
    asyncio.run(chained.poll("counters", NOW))
    assert list(stored(store, "counters")["device"]) == ["leaf2"]
    assert figure(chained, "correlator_bugs_total") == 1


def test_on_a_full_disk_no_cursor_moves_and_the_rest_goes_on(chain, store, state, caplog):
    chained = chain(counters=[Poller("leaf1 counters", [reading("leaf1")])])
    store.full = True
    for _ in range(5):
        asyncio.run(chained.poll("counters", NOW))
    assert state.cursor("leaf1 counters") == {}
    assert figure(chained, "correlator_store_errors_total") == 5
    assert caplog.text.count("no space is left") == 1
    store.full = False
    asyncio.run(chained.poll("counters", LATER))
    assert state.cursor("leaf1 counters") != {}
    assert len(stored(store, "counters")) == 1


def test_a_batch_that_is_read_twice_counts_once(chain, store):
    chained = chain(hosts=[Poller("node1", [samples("node1", 7)])])
    for _ in range(2):
        asyncio.run(chained.poll("hosts", NOW))
    assert len(stored(store, "pair_samples")) == 2


def test_the_far_end_of_a_pair_is_filled_in_from_what_another_host_says(chain, store):
    containers = frames.frame(
        "containers",
        [
            {"at": NOW - HOUR, "host": f"node{n}", "container_id": f"c{n}", "address": f"10.0.0.{n}",
             "started_at": NOW - HOUR}
            for n in (1, 2)
        ],
    )  # fmt: skip
    told = Batch({"containers": containers, "polls": polls("node2")}, "node2/e", 1, {})
    chained = chain(hosts=[Poller("node1", [samples("node1", 7)]), Poller("node2", [told])])
    asyncio.run(chained.poll("hosts", NOW))
    assert set(stored(store, "pair_samples")["peer_host"]) == {"node2"}


def samples(host: str, sequence: int) -> Batch:
    row = {
        "at": NOW,
        "host": host,
        "netns": "n",
        "container_id": "c1",
        "local_wire_address": "10.0.0.1",
        "peer_wire_address": "10.0.0.2",
        "interval_s": 30.0,
        "role": "client",
    }
    rows = [{**row, "server_port": port} for port in (80, 81)]
    tables = {"pair_samples": frames.frame("pair_samples", rows), "polls": polls(host)}
    return Batch(tables, f"{host}/epoch", sequence, {"after": str(sequence)})


def test_a_container_long_gone_is_forgotten(chain, store):
    gone = {"at": NOW - HOUR, "host": "node1", "container_id": "c1", "ended_at": NOW - HOUR}
    stays = {"at": NOW - 9 * HOUR, "host": "node1", "container_id": "c2"}
    told = Batch({"containers": frames.frame("containers", [gone, stays])}, "node1/e", 1, {})
    chained = chain(hosts=[Poller("node1", [told])])
    asyncio.run(chained.poll("hosts", NOW))
    assert list(chained._inventory["containers"]["container_id"]) == ["c2"]


@pytest.fixture
def cycle(monkeypatch):
    """Let cycles conclude what the test says."""

    def _cycle(verdicts=(), findings=(), incidents=(), events=()):
        seen = []

        def run_cycle(tables, open_incidents, now, params, past, before):
            seen.append((tables, open_incidents, now, before))
            concluded = {"verdicts": verdicts, "findings": findings, "incidents": incidents, "events": events}
            concluded["drawn"] = now
            return type("Cycle", (), concluded)()

        monkeypatch.setattr(pipeline, "run_cycle", run_cycle)
        return seen

    return _cycle


def test_a_cycle_sees_rows_up_to_now_and_the_incidents_that_are_kept(chain, store, state, cycle):
    seen = cycle()
    store.append("counters", reading("leaf1", NOW).tables["counters"], source="x", sequence=1)
    store.append("counters", reading("leaf1", LATER).tables["counters"], source="x", sequence=2)
    incident, event = opened()
    state.commit([incident], [event])
    chain().conclude(NOW)
    tables, incidents, now, _ = seen[0]
    assert list(tables["counters"]["at"]) == [pd.Timestamp(NOW)]
    assert (incidents, now) == ([incident], NOW)


def test_the_hours_past_are_read_when_they_are_new_and_not_by_each_cycle(chain, store, cycle, monkeypatch):
    seen, read, plain = cycle(), [], store.read

    def counted(name, *given, **named):
        read.append(name)
        return plain(name, *given, **named)

    monkeypatch.setattr(store, "read", counted)
    chained = chain()
    for minute in range(3):
        chained.conclude(NOW.replace(minute=10 + minute))
    assert read.count("pair_hours") == 1
    chained.know({"pair_hours": an_hour_of_a_pair()}, "fabric", NOW)
    chained.conclude(NOW.replace(minute=20))
    assert read.count("pair_hours") == 2
    chained.conclude(NOW.replace(minute=1) + HOUR)
    assert read.count("pair_hours") == 3
    assert not set(seen[0][0]) & {"link_hours", "optics_hours", "pair_hours"}


def test_a_cycle_is_given_the_map_of_the_one_before(chain, cycle):
    seen, chained = cycle(), chain()
    chained.conclude(NOW)
    chained.conclude(LATER)
    assert [before for *_, before in seen] == [None, NOW]


def an_hour_of_a_pair():
    row = {"src_host": "h1", "dst_host": "h2", "src_service": "web", "dst_service": "api"}
    row |= {"at": NOW - HOUR, "hour": NOW - 2 * HOUR, "metric": "exchanges", "exposure": 60.0, "count": 3.0}
    return frames.frame("pair_hours", [row])


def test_a_cycles_conclusions_are_kept_and_told_in_one_line(chain, store, state, cycle, caplog):
    incident, event = opened()
    cycle(verdicts=[verdict()], incidents=[incident], events=[event])
    chain().conclude(NOW)
    row = stored(store, "verdicts").iloc[0]
    assert (row["id"], row["root_cause"], row["severity"]) == ("i1", "dirty_connector", "err")
    assert json.loads(row["document"])["link"]["a"] == {"device": "leaf2", "if_name": "Ethernet49"}
    assert state.incidents() == [incident]
    (line,) = [r.getMessage() for r in caplog.records if "event=incident" in r.getMessage()]
    assert "what=opened" in line
    assert f'link="{LINK}"' in line


def test_events_reach_the_sink_and_the_store_once(chain, store, state):
    sink = Sink()
    incident, event = opened()
    state.commit([incident], [event])
    chained = chain(sinks=[sink])
    assert [chained.deliver(NOW), chained.deliver(NOW)] == [1, 0]
    assert sink.events == [event]
    rows = stored(store, "incident_events")
    assert list(rows["seq"]) == [1]
    assert IncidentEvent.from_json(json.loads(rows["document"].iloc[0])) == event


def test_a_sink_that_is_away_keeps_its_queue_and_the_others_do_not_wait(chain, store, state):
    away = Sink(away=True)
    incident, event = opened()
    state.commit([incident], [event])
    chained = chain(sinks=[away])
    assert chained.deliver(NOW) == 0
    assert len(stored(store, "incident_events")) == 1
    away.away = False
    assert chained.deliver(NOW) == 1


def test_events_copied_before_a_crash_are_not_copied_again(chain, store, state, monkeypatch):
    first, second = opened(1), opened(2)
    state.commit([first[0]], [first[1]])
    chained = chain()
    with monkeypatch.context() as patch:
        patch.setattr(state, "delivered", lambda *_: (_ for _ in ()).throw(StoreError("killed")))
        chained.deliver(NOW)
    state.commit([second[0]], [second[1]])
    chained.deliver(NOW)
    assert sorted(stored(store, "incident_events")["incident"]) == ["i1", "i2"]
    assert state.outgoing(COPY, 10) == []


def test_a_full_disk_holds_back_the_copy_of_events_but_no_alert(chain, store, state):
    sink = Sink()
    incident, event = opened()
    state.commit([incident], [event])
    chained = chain(sinks=[sink])
    store.full = True
    assert chained.deliver(NOW) == 1
    store.full = False
    chained.deliver(NOW)
    assert len(stored(store, "incident_events")) == 1


@pytest.fixture
def rolled(monkeypatch):
    hours = []

    def roll_up(tables, hour):
        hours.append(hour)
        row = {"at": hour, "device": "leaf1", "if_name": "e1", "hour": hour, "metric": "errors"}
        return {"link_hours": frames.frame("link_hours", [row])}

    monkeypatch.setattr(pipeline, "roll_up", roll_up)
    return hours


def test_each_finished_hour_is_summed_up_once(chain, store, rolled):
    chained = chain()
    four = NOW.replace(minute=0)
    assert chained.sum_up(NOW) == 1
    assert chained.sum_up(NOW + timedelta(minutes=35)) == 0
    assert chained.sum_up(NOW + timedelta(minutes=40)) == 1
    assert rolled == [four - HOUR, four]
    assert len(stored(store, "link_hours", NOW - 9 * HOUR)) == 2


def test_hours_of_a_time_of_rest_are_caught_up_within_bounds(chain, rolled):
    chained = chain(params=Params(hours_at_once=5))
    chained.sum_up(NOW)
    assert chained.sum_up(NOW + 3 * HOUR) == 3
    assert chained.sum_up(NOW + 50 * HOUR) == 5
    assert rolled[-1] == NOW.replace(minute=0) + 49 * HOUR


def test_an_hour_is_not_summed_up_while_the_disk_is_full(chain, store, rolled):
    chained = chain()
    store.full = True
    with pytest.raises(StoreError):
        chained.sum_up(NOW)
    store.full = False
    assert chained.sum_up(NOW) == 1


def test_configured_cables_come_before_those_that_are_stored(store):
    cable = {"at": NOW, "a_device": "a", "a_if_name": "1", "b_device": "b", "b_if_name": "1"}
    store.append("cables", frames.frame("cables", [cable]), source="x", sequence=1)
    configured = frames.frame("cables", [{**cable, "b_device": "c"}])
    assert list(pipeline.read_tables(store, NOW, Params())["cables"]["b_device"]) == ["b"]
    params = Params(cables=configured)
    assert list(pipeline.read_tables(store, NOW, params)["cables"]["b_device"]) == ["c"]
