"""Link evidence shuffled over links: what the engine says must come from the evidence, not from the map."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from correlator import wiring
from correlator.commands.judge import matches, right
from correlator.config import load
from correlator.engine.cycle import run_cycle
from correlator.pipeline import read_tables

SHUFFLES = 16
EVIDENCE = ("counters", "optics", "link_hours", "optics_hours")
END = ["device", "if_name"]


@pytest.fixture(scope="module")
def scene(played):
    """Return the tables at the end of a story with a dirty connector, when that was, and the truth."""
    outcome = played(2)
    config = load(outcome.config)
    now = outcome.verdicts[0].window.until
    params = wiring.params(config)
    return read_tables(wiring.open_store(config), now, params), now, params.engine, outcome.truth


def concluded(scene, tables):
    """Return the verdicts of one cycle over the tables."""
    _, now, engine, _ = scene
    return [verdict.to_json() for verdict in run_cycle(tables, (), now, engine).verdicts]


def shuffled(tables, seed):
    """Return the tables with each interface's counters and light written under another interface."""
    places = tables["interfaces"][[*END, "if_index"]]
    places = places[places["if_name"].isin(set(tables["optics"]["if_name"]))]
    places = places.sort_values(END, ignore_index=True)  # a store may return them in any order
    others = places.iloc[np.random.default_rng(seed).permutation(len(places))].reset_index(drop=True)
    names = places[END].join(others.add_prefix("other_"))
    return {**tables, **{name: _renamed(tables[name], names) for name in EVIDENCE}}


def _renamed(table: pd.DataFrame, names: pd.DataFrame) -> pd.DataFrame:
    moved = table.merge(names, on=END, how="inner")
    for column in (*END, "if_index"):
        if column in table:
            moved[column] = moved[f"other_{column}"]
    return moved[table.columns].sort_values("at", kind="stable", ignore_index=True)


def precision(truth, verdicts):
    """Return which part of the verdicts that name a link name the true one."""
    blames = [verdict for verdict in verdicts if verdict["kind"] == "link"]
    return sum(matches(truth[0], blame) for blame in blames) / len(blames)


def test_as_measured_the_verdict_is_right(scene):
    tables, _, _, truth = scene
    assert right(truth, concluded(scene, tables))


def test_shuffled_evidence_makes_verdicts_wrong_and_abstention_frequent(scene):
    tables, _, _, truth = scene
    outcomes = [concluded(scene, shuffled(tables, seed)) for seed in range(SHUFFLES)]
    abstained = [
        any(verdict["kind"] in ("class", "unknown") for verdict in verdicts) for verdicts in outcomes
    ]
    assert precision(truth, [verdict for verdicts in outcomes for verdict in verdicts]) < 0.5
    assert sum(abstained) >= SHUFFLES // 4
