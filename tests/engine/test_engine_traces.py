from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from correlator import frames
from correlator.engine.paths import Paths, find_paths
from correlator.engine.traces import followed

AT = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)
WIRES = [("h1", "leaf1"), ("leaf1", "s1"), ("leaf1", "s2"), ("leaf1", "s2"), ("s1", "leaf2"), ("s2", "leaf2"),
         ("leaf2", "h2"), ("leaf1", "odd"), ("odd", "far"), ("far", "leaf2")]  # fmt: skip
PAIR = [("h1", "h2")]


def directed() -> pd.DataFrame:
    rows = []
    for number, (one, other) in enumerate(WIRES):
        rows += [
            (one, f"p{number}", other, f"p{number}", True),
            (other, f"p{number}", one, f"p{number}", True),
        ]
    columns = ["sender_device", "sender_if_name", "receiver_device", "receiver_if_name", "usable"]
    return pd.DataFrame(rows, columns=columns)


def trace(*hops: str, ports: tuple[int | None, int | None] = (40001, 80), **more: Any) -> dict[str, Any]:
    told = {"at": AT, "host": "h1", "protocol": "tcp", "source_address": "10.0.0.1", "hops": list(hops)}
    told |= {"destination_address": "10.0.0.2", "source_port": ports[0], "destination_port": ports[1]}
    return told | more


def sample(*ports: int) -> dict[str, Any]:
    return {
        "at": AT,
        "host": "h1",
        "peer_host": "h2",
        "role": "client",
        "server_port": 80,
        "source_ports": list(ports),
    }


def with_traces(traces: list[dict[str, Any]], samples: list[dict[str, Any]] | None = None) -> Paths:
    hosts = [{"at": AT, "host": f"h{i}", "nic": "eth0", "addresses": [f"10.0.0.{i}"]} for i in (1, 2)]
    tables = {"traces": frames.frame("traces", traces), "hosts": frames.frame("hosts", hosts)}
    table = directed()
    found = find_paths(table, ["h1", "h2"], PAIR)
    seen = followed(found, table, PAIR, tables, frames.frame("pair_samples", samples or []))
    return Paths(found.network, found.sets, found.there, found.back, seen)


def there(found: Paths) -> dict[str, float]:
    shares = found.forward.toarray()[0]
    names = [f"{WIRES[i // 2][i % 2]}>{WIRES[i // 2][1 - i % 2]} p{i // 2}" for i in range(len(shares))]
    return {name: round(float(share), 6) for name, share in zip(names, shares, strict=True) if share}


SPREAD = {
    "h1>leaf1 p0": 1.0, "leaf1>s1 p1": 0.333333, "leaf1>s2 p2": 0.333333, "leaf1>s2 p3": 0.333333,
    "s1>leaf2 p4": 0.333333, "s2>leaf2 p5": 0.666667, "leaf2>h2 p6": 1.0,
}  # fmt: skip
BY_P3 = {"h1>leaf1 p0": 1.0, "leaf1>s2 p3": 1.0, "s2>leaf2 p5": 1.0, "leaf2>h2 p6": 1.0}


def test_without_traces_the_spread_is_even() -> None:
    assert there(with_traces([])) == SPREAD


def test_a_followed_path_makes_the_shares_nought_and_one() -> None:
    assert there(with_traces([trace("leaf1 p0", "s2 p3", "leaf2 p5", "h2 p6")])) == BY_P3


def test_the_way_back_is_not_told_by_the_way_there() -> None:
    found = with_traces([trace("s2 p3")], [sample(40001)])
    assert np.count_nonzero(found.reverse.toarray()) == len(SPREAD)


def test_a_trace_with_missing_hops_leaves_open_what_it_does_not_tell() -> None:
    told = there(with_traces([trace("leaf2 p5")]))
    assert told["s2>leaf2 p5"] == 1.0
    assert (told["leaf1>s2 p2"], told["leaf1>s2 p3"]) == (0.5, 0.5)
    assert "leaf1>s1 p1" not in told


def test_traces_stand_for_the_part_of_the_flows_that_they_followed() -> None:
    told = there(with_traces([trace("s2 p3")], [sample(40001, 40002, 40003, 40004)]))
    assert told["leaf1>s2 p3"] == pytest.approx(0.25 + 0.75 / 3, abs=1e-6)
    assert told["leaf1>s1 p1"] == pytest.approx(0.25)
    assert told["h1>leaf1 p0"] == 1.0


def test_a_trace_of_a_flow_that_is_not_there_says_nothing() -> None:
    assert there(with_traces([trace("s2 p3", ports=(50000, 80))], [sample(40001)])) == SPREAD


def test_a_trace_that_names_no_ports_stands_for_all() -> None:
    told = with_traces([trace("s2 p3", ports=(None, None))], [sample(40001, 40002)])
    assert there(told) == BY_P3


def test_the_newest_trace_of_a_flow_counts() -> None:
    older = trace("s1 p1", at=datetime(2026, 5, 6, 9, 0, tzinfo=UTC))
    assert there(with_traces([trace("s2 p3"), older])) == BY_P3


def test_a_path_that_the_map_does_not_expect_is_believed() -> None:
    told = there(with_traces([trace("odd p7", "far p8", "leaf2 p9")]))
    expected = {"leaf1>odd p7", "odd>far p8", "far>leaf2 p9", "h1>leaf1 p0", "leaf2>h2 p6"}
    assert set(told) == expected
    assert set(told.values()) == {1.0}


@pytest.mark.parametrize(
    "odd",
    [
        trace("nobody p1"),
        trace(),
        trace("s2 p3", hops=None),
        trace("s2 p3", destination_address="203.0.113.1"),
        trace("s2 p3", protocol="udp", ports=(50001, 4789)),
    ],
)
def test_traces_that_say_nothing_of_the_pair_change_nothing(odd: dict[str, Any]) -> None:
    assert there(with_traces([odd])) == SPREAD
