from __future__ import annotations

import numpy as np
import pandas as pd

from correlator.engine.paths import Paths, find_paths
from correlator.engine.probes import plan

WIRES = [("leaf1", "s1"), ("leaf1", "s2"), ("leaf2", "s1"), ("leaf2", "s2"), ("leaf3", "s1"), ("leaf3", "s2"),
         ("h1", "leaf1"), ("h2", "leaf2"), ("h3", "leaf3"), ("h4", "leaf1")]  # fmt: skip
UP_S1, UP_S2, S1_DOWN = 0, 2, 5  # leaf1 -> s1, leaf1 -> s2, s1 -> leaf2


def fabric() -> tuple[Paths, pd.DataFrame]:
    rows = []
    for number, (one, other) in enumerate(WIRES):
        rows += [
            (one, f"p{number}", other, f"p{number}", True),
            (other, f"p{number}", one, f"p{number}", True),
        ]
    columns = ["sender_device", "sender_if_name", "receiver_device", "receiver_if_name", "usable"]
    table = pd.DataFrame(rows, columns=columns)
    return find_paths(table, ["h1", "h2", "h3", "h4"], [("h1", "h2")]), table


def test_uplinks_of_one_leaf_are_settled_by_source_ports() -> None:
    (step,) = plan(*fabric(), [UP_S1, UP_S2], {})
    assert step == (
        "probe from h1 to h2 from 6 source ports and follow each: one crosses "
        "leaf1 p0 -> s1 p0 with 50% and leaf1 p1 -> s2 p1 with 50%"
    )


def test_ports_that_were_followed_are_named() -> None:
    known = {
        ("h1", "h2"): [(40001, np.array([UP_S2])), (40007, np.array([UP_S1])), (40003, np.array([UP_S2]))]
    }
    (step,) = plan(*fabric(), [UP_S1, UP_S2], known)
    assert "known to cross leaf1 p0 -> s1 p0: source port 40007" in step
    assert step.endswith("known to cross leaf1 p1 -> s2 p1: source port 40001, 40003")


def test_links_that_another_pair_tells_apart_need_no_ports() -> None:
    up_h1, down_h2 = 12, 15
    (step,) = plan(*fabric(), [up_h1, down_h2], {})
    assert step.startswith("probe from h1 to h4: it crosses h1 p6 -> leaf1 p6, and not leaf2 p7 -> h2 p7")


def test_links_in_a_row_are_told_apart_by_where_probes_come_from() -> None:
    (step,) = plan(*fabric(), [UP_S1, S1_DOWN], {})
    assert step.startswith("probe from h1 to h3 from 5 source ports")
    assert step.endswith("one crosses leaf1 p0 -> s1 p0 with 50%")


def test_one_candidate_or_none_needs_no_probe() -> None:
    assert plan(*fabric(), [UP_S1], {}) == []
    assert plan(*fabric(), [], {}) == []
