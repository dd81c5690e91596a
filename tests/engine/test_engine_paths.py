from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from correlator.engine.paths import find_paths


def directed(wires: list[tuple[str, str]], unusable: set[int] | None = None) -> pd.DataFrame:
    rows = []
    for number, (one, other) in enumerate(wires):
        usable = number not in (unusable or set())
        rows += [(one, other, usable), (other, one, usable)]
    return pd.DataFrame(rows, columns=["sender_device", "receiver_device", "usable"])


def clos(leaves: int, spines: int, hosts: int) -> tuple[list[tuple[str, str]], list[str]]:
    wires = [(f"leaf{i}", f"spine{j}") for i in range(leaves) for j in range(spines)]
    names = [f"host{i}-{k}" for i in range(leaves) for k in range(hosts)]
    return wires + [(name, f"leaf{name[4:].split('-')[0]}") for name in names], names


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 4), st.integers(1, 4), st.integers(1, 3), st.data())
def test_in_any_clos_every_cut_carries_the_whole_and_lost_links_carry_nothing(
    leaves: int, spines: int, hosts: int, data: st.DataObject
) -> None:
    wires, names = clos(leaves, spines, hosts)
    lost = data.draw(st.sets(st.integers(0, leaves * spines - 1), max_size=1)) if spines > 1 else set()
    table = directed(wires, lost)
    pairs = [(a, b) for a in names for b in names if a != b]
    shares = find_paths(table, names, pairs).forward.toarray()
    for row, (source, destination) in enumerate(pairs):
        out = table["sender_device"].to_numpy() == source
        into = table["receiver_device"].to_numpy() == destination
        assert shares[row, out].sum() == pytest.approx(1.0)
        assert shares[row, into].sum() == pytest.approx(1.0)
        up = table["receiver_device"].str.startswith("spine").to_numpy()
        crossing = source.split("-")[0] != destination.split("-")[0]
        assert shares[row, up].sum() == pytest.approx(1.0 if crossing else 0.0)
        assert not shares[row, ~table["usable"].to_numpy()].any()


def test_equal_ways_share_evenly_and_parallel_links_count_one_by_one() -> None:
    wires = [("a", "s1"), ("s1", "s2"), ("s1", "s2"), ("s1", "s2"), ("s2", "b")]
    shares = find_paths(directed(wires), ["a", "b"], [("a", "b")]).forward.toarray()[0]
    assert shares[[2, 4, 6]] == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert shares[[3, 5, 7]] == pytest.approx([0, 0, 0])


def test_a_longer_way_carries_nothing() -> None:
    wires = [("a", "s1"), ("s1", "s2"), ("s1", "s3"), ("s3", "s2"), ("s2", "b")]
    shares = find_paths(directed(wires), ["a", "b"], [("a", "b")]).forward.toarray()[0]
    assert shares[2] == 1.0
    assert shares[[4, 6]].sum() == 0.0


def test_the_way_back_is_told_apart() -> None:
    found = find_paths(directed([("a", "s1"), ("s1", "b")]), ["a", "b"], [("a", "b")])
    assert found.forward.toarray()[0].tolist() == [1.0, 0.0, 1.0, 0.0]
    assert found.reverse.toarray()[0].tolist() == [0.0, 1.0, 0.0, 1.0]


def test_a_host_with_two_links_splits_over_them() -> None:
    wires = [("a", "s1"), ("a", "s2"), ("s1", "s3"), ("s2", "s3"), ("s3", "b")]
    shares = find_paths(directed(wires), ["a", "b"], [("a", "b")]).forward.toarray()[0]
    assert shares[[0, 2, 4, 6, 8]] == pytest.approx([0.5, 0.5, 0.5, 0.5, 1.0])


def test_hosts_pass_nothing_on() -> None:
    wires = [("a", "s1"), ("h", "s1"), ("h", "s2"), ("s2", "b")]
    assert find_paths(directed(wires), ["a", "b", "h"], [("a", "b")]).forward.nnz == 0


def test_two_containers_on_one_host_cross_nothing() -> None:
    assert find_paths(directed([("a", "s1")]), ["a"], [("a", "a")]).forward.nnz == 0


def test_unknown_hosts_and_an_empty_map_have_no_path() -> None:
    empty = directed([]).astype({"usable": bool})
    assert find_paths(empty, [], [("a", "b")]).forward.shape == (1, 0)
    assert find_paths(directed([("a", "s1")]), ["a"], [("a", "x"), ("x", "a")]).forward.nnz == 0
    assert np.array_equal(find_paths(directed([("a", "s1")]), ["a"], []).forward.shape, (0, 2))


def test_some_pairs_over_some_links_are_what_all_of_them_say_there() -> None:
    wires, hosts = clos(4, 2, 3)
    pairs = [(one, other) for one in hosts for other in hosts if one != other]
    found = find_paths(directed(wires), hosts, pairs)
    rows, links = np.array([5, 0, 17]), np.array([1, 4, 9, 20])
    some = found.of(rows).over(links)
    for narrow, whole in ((some.forward, found.forward), (some.reverse, found.reverse)):
        kept = np.zeros(narrow.shape)
        kept[:, links] = whole.toarray()[rows][:, links]
        np.testing.assert_allclose(narrow.toarray(), kept)
        assert set(narrow.indices) <= set(links.tolist())
