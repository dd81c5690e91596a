"""Fabrics with telemetry, judged: what is drawn, what is seen of it, how claims are scored and summed up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fusing import draw, plot, watch
from fusing.bars import bars
from fusing.score import claims
from fusing.summary import attribution, reliability, summary

from correlator.engine.cycle import remember, run_cycle
from correlator.fabric.causes import Causes
from correlator.fabric.dice import Dice

Record = dict[str, Any]


def judged(watched: watch.Watched, coverage: float) -> Record:
    tables = watched.seen(coverage)
    past = remember(tables, watched.now)
    return claims(watched, run_cycle(tables, (), watched.now, past=past), coverage, True)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """One fabric with a fault that loses 0.1 to 1 %, seen by all and by none of its switches."""
    watched = watch.watch(draw.Mix("uniform", onset_s=(60, 60), end_s=240), 1)
    return [judged(watched, coverage) for coverage in (1.0, 0.0)]


def test_a_fault_is_met_by_a_link_and_the_judge_names_it_too(records: list[Record]) -> None:
    for fault in records[0]["faults"]:
        assert fault["met"] in ("link", "finding")
        assert fault["judge"]["right"]


def test_without_any_switch_nothing_wrong_is_named(records: list[Record]) -> None:
    assert all(verdict["right"] for verdict in records[1]["verdicts"] if verdict["kind"] == "link")


def test_bar_bound_and_result_stand_together(records: list[Record]) -> None:
    told = bars(summary(records))
    row = told["uniform at 100 %: recall"]
    assert (row["bar"], row["bound"], row["result"], row["met"]) == (0.97, 1.0, 1.0, True)
    assert told["uniform at 0 %: precision"]["bar"] == 0.95


def test_a_probability_that_is_true_has_no_error_but_that_of_chance() -> None:
    so = [(0.25, n % 4 == 0, (n,)) for n in range(4000)]
    assert reliability(so)["overall"]["error"] < 0.04
    wrong = [(p, not right, about) for p, right, about in so]
    assert reliability(wrong)["overall"]["error"] == pytest.approx(0.5, abs=0.04)
    assert 0.01 < reliability(so)["overall"]["by_chance"] < 0.04
    assert plot.reliability(reliability(so)).startswith("<svg")


def test_whoever_names_a_class_has_not_abstained() -> None:
    def record(*told: tuple[str, str], slow: int = 5) -> Record:
        verdicts = [
            {"kind": kind, "cause": cause, "sick": False, "pairs": 3, "right": True} for kind, cause in told
        ]
        return {"coverage": 1.0, "slow": slow, "verdicts": verdicts}

    silent, nobody = ("class", "unknown"), ("unknown", "unknown")
    records = [record(), record(nobody), record(nobody, silent), record(silent, ("link", "congestion"))]
    told = attribution([*records, record(slow=0)])
    assert (told["abstained"]["right"], told["abstained"]["of"]) == (2, 4)
    assert told["only_a_class"]["right"] == 1


def test_what_is_told_of_one_place_four_times_tells_as_much_as_once() -> None:
    told = [(0.25 + 1e-4 * (n // 4), n % 16 < 4) for n in range(1000)]
    apart = reliability([(p, so, (n,)) for n, (p, so) in enumerate(told)])["overall"]
    together = reliability([(p, so, (n // 4,)) for n, (p, so) in enumerate(told)])["overall"]
    assert together["by_chance"] > 1.5 * apart["by_chance"]


def test_a_slow_host_is_the_host_and_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = draw.plan

    def with_a_slow_host(mix: draw.Mix, seed: int, author: Any) -> draw.Plan:
        whole = drawn(replace(mix, name="clean"), seed, author)
        nowhere: Any = None
        fault = Causes(author.layout, author.trouble, Dice(seed * 7), nowhere).fault("slow_host", 60)
        return replace(whole, faults=(fault,), sick=())

    monkeypatch.setattr(draw, "plan", with_a_slow_host)
    for seed in (0, 1):  # of host 0 no container asks another there, of host 1 some do
        watched = watch.watch(draw.Mix("uniform", end_s=240), seed)
        host = watched.layout.hosts[watched.plan.faults[0].host or 0].name
        tables = watched.seen(1.0)
        told = run_cycle(tables, (), watched.now)
        assert [(one.kind, one.root_cause, one.subject.host) for one in told.verdicts] == [
            ("host", "host", host)
        ]
