from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from correlator.commands.explain import explained
from correlator.commands.judge import right
from correlator.config import load
from correlator.model import Verdict
from correlator.wiring import open_store

SEED = 2  # draws a dirty connector
ELSEWHERE = ("--fault-seed", "9")


def links(outcome):
    return [(str(verdict.link), verdict.direction) for verdict in outcome.verdicts]


def test_a_dirty_connector_is_named_and_nothing_else(played):
    outcome = played(SEED)
    assert [fault["root_cause"] for fault in outcome.truth] == ["dirty_connector"]
    assert outcome.right, (links(outcome), outcome.truth)


def test_one_line_reaches_the_receiver_and_names_the_end_to_clean(played):
    outcome = played(SEED)
    opened = [line for line in outcome.alerts if "INCIDENT_OPENED" in line and 'kind="link"' in line]
    first = outcome.verdicts[0].actions[0]
    assert len(opened) == 1
    assert f'observer.name="{first.device}" observer.ingress.interface.name="{first.if_name}"' in opened[0]


def test_the_report_of_the_day_names_the_link(played):
    outcome = played(SEED)
    page = outcome.report.read_text()
    link = outcome.verdicts[0].link
    assert link.a.if_name in page
    assert link.b.device in page


def test_explain_says_of_the_most_hurt_pair_what_was_injected(played):
    outcome = played(SEED)
    injected = outcome.truth[0]["injected"]
    hurt = max(injected["pairs"], key=lambda pair: pair["crossing"] / pair["connections"])
    now = outcome.verdicts[0].window.until
    told = explained(load(outcome.config), hurt["src"], hurt["dst"], now)
    assert (told["slow"], told["not_the_network"]) == (True, False)
    assert told["service_ms"]["usual"] == pytest.approx(hurt["service_ms"], rel=0.05)
    assert told["network_ms"]["usual"] == pytest.approx(hurt["network_ms"], rel=0.05)
    since = datetime.fromisoformat(told["since"]) - datetime.fromisoformat(injected["onset"])
    assert abs(since) <= timedelta(minutes=2)
    assert told["blame"]["link"] == outcome.truth[0]["link"]
    assert told["blame"]["share_explained"] > 0.8


def test_no_poll_failed_and_nothing_was_stored_twice(played):
    outcome = played(SEED)
    store = open_store(load(outcome.config))
    verdict = outcome.verdicts[0]
    until = verdict.window.until
    polls = store.read("polls", verdict.window.since, until)
    assert polls["ok"].all()
    counters = store.read("counters", verdict.window.since, until)
    assert not counters.duplicated(["at", "device", "if_name"]).any()


def test_the_outcome_in_json_keeps_its_promise(played):
    document = json.loads(json.dumps(played(SEED).to_json(), allow_nan=False))
    assert set(document) == {"truth", "verdicts", "findings", "alerts", "report", "seconds", "right"}
    assert right(document["truth"], document["verdicts"])
    assert Verdict.from_json(document["verdicts"][0]).root_cause == "dirty_connector"


def test_with_the_fault_removed_there_is_no_verdict(played):
    outcome = played(SEED, "nothing")
    assert outcome.truth == []
    assert outcome.verdicts == []
    assert outcome.alerts == []


def test_with_the_fault_moved_the_verdict_moves(played):
    here, there = played(SEED), played(SEED, "dirty_connector", *ELSEWHERE)
    assert there.truth[0]["link"] != here.truth[0]["link"]
    assert there.right, (links(there), there.truth)
    assert links(there) != links(here)
