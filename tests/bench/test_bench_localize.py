"""Single flows on a small Clos: what is named, what is not, and that the bench tells it right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from localization import bars, baselines, clos, score, traces
from localization.oracle import oracle

from correlator.engine.localize import Evidence, Flows, Params, Suspect, localize

BENCH = Path(__file__).parents[2] / "bench"
SHARED = Path(os.environ.get("CORRELATOR_SHARED", BENCH.parents[1] / "shared")) / "bench" / "clos_traces.py"
SMALL = replace(clos.SMALL["uniform"], loss=(0.004, 0.01))


def localize_flows(flows: Flows) -> list[Suspect]:
    return localize(Evidence.of_flows(flows))


def found(trace: traces.Trace, mode: traces.Mode) -> list[Suspect]:
    return localize_flows(trace.seen(mode))


def sure(suspects: list[Suspect]) -> set[int]:
    return {s.by_link()[0][0] for s in suspects if s.by_link()[0][1] >= Params().named}


@pytest.fixture(scope="module")
def trace() -> traces.Trace:
    return clos.trace(SMALL, 5, 3)


@pytest.mark.parametrize("mode", ["int", "traced"])
def test_where_paths_are_known_the_failed_links_are_named_and_no_other(
    trace: traces.Trace, mode: traces.Mode
) -> None:
    named = sure(found(trace, mode))
    assert named <= set(trace.failed)
    assert len(named) >= len(trace.failed) - 1


@pytest.mark.parametrize("seed", range(4))
def test_a_rate_is_estimated(seed: int) -> None:
    trace = clos.trace(SMALL, seed, 2)
    for suspect in found(trace, "int"):
        if suspect.number in trace.failed:
            assert suspect.rate == pytest.approx(trace.failed[suspect.number], rel=0.8)


def test_without_paths_the_class_is_known_and_its_links_share_the_probability() -> None:
    classes, trace, link = failing_between_switches()
    suspect = max(found(trace, "passive"), key=lambda one: one.terms["flows"])
    members = {number for number in range(len(classes)) if classes[number] == classes[link]}
    told = dict(suspect.by_link())
    assert sum(told.get(number, 0.0) for number in members) > 0.9
    assert max(told.values()) < Params().named
    assert np.ptp([told[number] for number in members]) < 0.01


def failing_between_switches() -> tuple[traces.Ints, traces.Trace, int]:
    for seed in range(100):
        trace = clos.trace(SMALL, seed, 1)
        classes, link = trace.classes(), next(iter(trace.failed))
        if (classes == classes[link]).sum() > 1 and trace.failed[link] > 0.007:
            return classes, trace, link
    raise AssertionError("no such seed")


@pytest.mark.parametrize("mode", traces.MODES)
def test_without_a_fault_nothing_is_named(mode: traces.Mode) -> None:
    named = [sure(found(clos.trace(SMALL, seed, 0), mode)) for seed in range(6)]
    assert named == [set()] * 6


def test_a_fault_taken_away_takes_its_verdict_with_it(trace: traces.Trace) -> None:
    gone = next(iter(trace.failed))
    crossing = trace.crossed[:, [gone]].toarray()[:, 0] > 0
    clean = replace(trace, lost=np.where(crossing, 0, trace.lost))
    assert gone not in sure(found(clean, "int"))
    assert gone in sure(found(trace, "int"))


def test_shuffled_losses_name_hardly_anything(trace: traces.Trace) -> None:
    dice = np.random.default_rng(3)
    named = []
    for _ in range(4):
        order = dice.permutation(len(trace.lost))
        shuffled = replace(trace, lost=np.minimum(trace.lost[order], trace.sent))
        named.append(len(sure(found(shuffled, "int")) & set(trace.failed)))
    assert sum(named) == 0


def test_the_order_of_flows_and_of_paths_changes_nothing(trace: traces.Trace) -> None:
    flows, dice = trace.seen("passive"), np.random.default_rng(4)
    rows, ways = dice.permutation(len(flows.sent)), dice.permutation(len(flows.set_of_path))
    other = Flows(
        flows.sent[rows],
        flows.lost[rows],
        flows.certain[rows],
        flows.path_set[rows],
        flows.paths[ways],
        flows.set_of_path[ways],
    )
    first, second = localize_flows(flows), localize_flows(other)
    assert [dict(s.by_link()).keys() for s in first] == [dict(s.by_link()).keys() for s in second]
    assert [s.rate for s in first] == pytest.approx([s.rate for s in second])


def test_probabilities_are_probabilities(trace: traces.Trace) -> None:
    for mode in traces.MODES:
        for suspect in found(trace, mode):
            told = [p for _, p in suspect.by_link()]
            assert sum(told) <= 1.0 + 1e-9
            assert min(told) >= 0.0


def test_no_flow_and_flows_that_sent_nothing_are_answered(trace: traces.Trace) -> None:
    flows = trace.seen("passive")
    none = np.array([], dtype=np.int64)
    empty = Flows(none, none, flows.certain[none], none, flows.paths, flows.set_of_path)
    assert localize_flows(empty) == []
    assert localize_flows(replace(flows, sent=np.zeros_like(flows.sent))) == []
    assert localize_flows(replace(flows, lost=np.zeros_like(flows.lost))) == []


def test_more_lost_than_sent_and_everything_lost_are_answered(trace: traces.Trace) -> None:
    flows = trace.seen("int")
    for lost in (flows.sent, flows.sent * 2, np.full_like(flows.sent, 7)):
        suspects = localize_flows(replace(flows, lost=lost))
        assert all(np.isfinite(s.rate) and 0.0 <= s.probability <= 1.0 for s in suspects)


def test_one_flow_names_no_link(trace: traces.Trace) -> None:
    flows = trace.seen("passive")
    one = Flows(
        np.array([1000]),
        np.array([30]),
        flows.certain[[0]],
        flows.path_set[[0]],
        flows.paths,
        flows.set_of_path,
    )
    assert sure(localize_flows(one)) == set()


def test_the_judge_who_is_told_the_rest_names_no_innocent_link(trace: traces.Trace) -> None:
    alone, classes = np.arange(len(trace.links)), trace.classes()
    assert oracle(trace, trace.seen("int"), SMALL, 0.8, alone) <= set(trace.failed)
    assert oracle(trace, trace.seen("passive"), SMALL, 0.8, classes) <= {
        int(classes[link]) for link in trace.failed
    }


def test_baselines_name_the_worst_link(trace: traces.Trace) -> None:
    flows = trace.seen("int")
    worst = max(trace.failed, key=lambda link: float(flows.lost @ flows.certain[:, [link]].toarray()[:, 0]))
    assert worst in baselines.voting(flows)
    assert worst in baselines.any_error(trace, 5, SMALL.noise)


def test_a_trace_is_read_as_it_was_written(trace: traces.Trace, tmp_path: Path) -> None:
    traces.write(trace, tmp_path / "trace.txt")
    back = traces.read(tmp_path / "trace.txt")
    assert {back.links[link] for link in back.failed} == {trace.links[link] for link in trace.failed}
    assert back.sent.tolist() == trace.sent.tolist()
    named = {trace.links[link] for link in sure(found(trace, "int"))}
    assert {back.links[link] for link in sure(found(back, "int"))} == named


def test_the_last_count_of_a_flow_holds_and_ways_back_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    text = "FP 1 2\nFID 10001 10002 1 2 4500 0.0\nFPT 1 2\nFPRT 2 1\nSS 1.0 2 0 0\nSS 2.0 3 1 0\n"
    path.write_text(text * 2)
    trace = traces.read(path)
    assert (trace.sent.tolist(), trace.lost.tolist()) == ([3, 3], [1, 1])
    path.write_text("SS 1.0 2 0 0\n")
    with pytest.raises(traces.TraceError, match=r"t.txt, line 1"):
        traces.read(path)


def test_what_is_named_on_clean_traces_is_counted_apart() -> None:
    told = score.Score()
    told.add({1, 2}, set())
    told.add({3}, {3})
    assert (told.told()["clean_traces"], told.told()["named_in_clean"]) == (1, 2)


def test_a_broken_trace_is_refused_by_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.txt"
    path.write_text("FP 1 2\nFID one two\n")
    with pytest.raises(traces.TraceError, match=r"broken.txt, line 2"):
        traces.read(path)


@pytest.mark.skipif(
    not SHARED.exists(), reason="shared recordings are absent: no bench/clos_traces.py beside them"
)
def test_a_trace_of_the_shared_generator_is_read_and_judged(tmp_path: Path) -> None:
    size = ["--pods", "4", "--tors", "3", "--aggs", "2", "--cores", "4", "--hosts", "4"]
    size += ["--flows", "60", "--loss", "0.006", "0.01"]
    made = [sys.executable, str(SHARED), str(tmp_path / "t.txt"), "--seed", "3", "--failures", "2", *size]
    subprocess.run(made, check=True)
    told = judged(str(tmp_path / "t.txt"), "--mode", "int")
    assert told["int"]["link"]["correlator"]["precision"] == 1.0
    assert told["int"]["link"]["correlator"]["failed"] == 2


def judged(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(BENCH / "localize.py"), *arguments]
    told: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return told


def test_the_bound_names_no_link_where_another_could_stand_in_its_place() -> None:
    classes, trace, link = failing_between_switches()
    flows, alone = trace.seen("passive"), np.arange(len(classes))
    assert oracle(trace, flows, SMALL, Params().named, alone) == set()
    assert oracle(trace, flows, SMALL, Params().named, classes) == {classes[link]}
    assert oracle(trace, trace.seen("int"), SMALL, Params().named, alone) == {link}


def test_bar_bound_and_result_stand_together_for_a_trace_in_a_file(tmp_path: Path) -> None:
    traces.write(clos.trace(SMALL, 3, 2), tmp_path / "t.txt")
    told = judged(str(tmp_path / "t.txt"), "--mode", "int", "--oracle", "--loss", "0.004", "0.01")
    assert told["int"]["judged"]["bar"] == [0.995, 0.95]
    assert told["int"]["judged"]["bound"] == [1.0, 1.0]
    assert told["int"]["judged"]["near_bound"] == (told["int"]["judged"]["result"][1] >= 0.98)


def test_passive_is_judged_by_class_and_what_is_named_by_link_besides() -> None:
    clean = {"clean_traces": 2, "named_in_clean": 0}
    right, wrong = {"precision": 1.0, "recall": 0.9, **clean}, {"precision": 0.5, "recall": 0.1}
    told = {"class": {"correlator": right}, "link": {"correlator": wrong}}
    answer = bars.judged(told, "passive", "uniform")
    assert answer["result"] == [1.0, 0.9]
    assert answer["bar_held"] == [True, True]
    assert answer["by_link"]["result"] == 0.5
    assert "near_bound" not in answer


def test_a_rate_comes_with_its_interval() -> None:
    assert score.wilson(0, 0) == [0.0, 1.0]
    assert score.wilson(50, 50)[0] == pytest.approx(0.929, abs=0.001)


def test_calibration_is_the_mean_gap_between_said_and_so() -> None:
    told = [(0.5, True)] * 10 + [(0.5, False)] * 10 + [(0.0, False)] * 20
    assert score.reliability(told)["told"] == 40
    assert score.reliability([(1.0, True)] * 15)["error"] == 0.0
    assert score.reliability([(1.0, False)] * 15)["error"] == 1.0
