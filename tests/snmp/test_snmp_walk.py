"""Walks and fetches without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from correlator.snmp.target import Oid, Value
from correlator.snmp.walk import Bulk, Fetch, Probe, Varbind, Walk

A, B, C = (1, 3, 1), (1, 3, 2), (1, 3, 3)
UPTIME = (1, 2, 3, 0)
Tree = Mapping[Oid, Value]


def bulk(tree: Tree, asked: Bulk) -> list[Varbind]:
    """Return what an agent with these objects answers."""

    def after(oid: Oid) -> Varbind:
        later = sorted(key for key in tree if key > oid)
        return (later[0], tree[later[0]]) if later else (oid, None)

    answer = [after(oid) for oid in asked.oids[: asked.non_repeaters]]
    places = list(asked.oids[asked.non_repeaters :])
    for _ in range(asked.max_repetitions):
        for column, place in enumerate(places):
            bind = after(place)
            places[column] = bind[0]
            answer.append(bind)
    return answer


def walked(
    walk: Walk, tree: Tree, varbinds: int = 10, cut: Callable[[Sequence[Varbind]], Sequence[Varbind]] = list
) -> int:
    """Walk to the end; return the number of requests."""
    requests = 0
    while not walk.over:
        asked = walk.request(varbinds, 60)
        assert walk.take(asked, cut(bulk(tree, asked)))
        requests += 1
        assert requests < 1000
    return requests


def table(columns: Sequence[Oid], indexes: Sequence[int]) -> dict[Oid, Value]:
    return {(*column, index): 100 * column[-1] + index for column in columns for index in indexes}


def test_a_walk_returns_every_row_of_every_column() -> None:
    walk = Walk([A, B], [], 100)
    walked(walk, table([A, B, C], range(1, 8)))
    assert walk.result.rows == {(i,): {A: 100 + i, B: 200 + i} for i in range(1, 8)}
    assert walk.result.why_incomplete is None


def test_columns_with_holes_keep_their_own_places() -> None:
    tree = table([A], range(1, 9)) | table([B], [3, 8])
    walk = Walk([A, B], [], 100)
    walked(walk, tree, varbinds=4)
    assert {index for index, row in walk.result.rows.items() if B in row} == {(3,), (8,)}
    assert len(walk.result.rows) == 8


def test_a_scalar_comes_with_each_row() -> None:
    walk = Walk([A], [UPTIME], 100)
    walked(walk, table([A], range(1, 5)) | {UPTIME: 77})
    assert all(row[UPTIME] == 77 for row in walk.result.rows.values())


@given(keep=st.integers(1, 12), indexes=st.sets(st.integers(1, 60), max_size=30))
def test_an_answer_cut_anywhere_loses_nothing(keep: int, indexes: set[int]) -> None:
    tree = table([A, B, C], sorted(indexes))
    walk = Walk([A, B, C], [], 100)
    walked(walk, tree, varbinds=30, cut=lambda binds: binds[:keep])
    assert walk.result.rows == {(i,): {A: 100 + i, B: 200 + i, C: 300 + i} for i in indexes}


def test_an_oid_that_does_not_increase_ends_the_column_and_is_said() -> None:
    walk = Walk([A, B], [], 100)
    asked = walk.request(4, 60)
    walk.take(asked, [((*A, 5), 1), ((*B, 5), 1), ((*A, 4), 1), ((*B, 6), 1)])
    assert walk.request(4, 60).columns == (B,)
    assert "1.3.1.4 does not come after 1.3.1.5" in str(walk.result.why_incomplete)


def test_more_rows_than_allowed_end_the_walk_and_are_said() -> None:
    walk = Walk([A], [], 5)
    walked(walk, table([A], range(1, 100)))
    assert len(walk.result.rows) == 5
    assert walk.result.why_incomplete == "more than 5 rows"


def test_an_answer_that_brings_nothing_is_recognised() -> None:
    walk = Walk([A], [UPTIME], 5)
    assert not walk.take(walk.request(4, 60), [(UPTIME, 1)])


def test_where_not_even_a_row_fits_the_columns_take_turns() -> None:
    columns = [(1, 3, n) for n in range(1, 12)]
    tree = table(columns, [1, 2, 3])
    walk = Walk(columns, [], 100)
    while not walk.over:
        asked = walk.request(4, 4)
        assert asked.varbinds <= 4
        walk.take(asked, bulk(tree, asked))
    assert all(len(row) == 11 for row in walk.result.rows.values())
    assert len(walk.result.rows) == 3


def test_a_column_that_the_agent_refuses_costs_only_itself() -> None:
    walk = Walk([A, B], [UPTIME], 100)
    walk.refused(walk.request(4, 60), 3, "genErr")
    walked(walk, table([A, B], [1, 2]) | {UPTIME: 5})
    assert walk.result.rows == {(i,): {A: 100 + i, UPTIME: 5} for i in (1, 2)}
    assert walk.result.why_incomplete == "1.3.2: genErr"


def answered(fetch: Fetch, tree: Tree, varbinds: int, most: int = 60) -> list[int]:
    """Fetch to the end; return the sizes of the requests."""
    sizes = []
    while not fetch.over:
        asked = fetch.request(varbinds, most)
        assert fetch.take(asked, [(oid, tree.get(oid)) for oid in asked.oids])
        sizes.append(asked.varbinds)
    return sizes


def test_fetched_rows_are_whole_in_each_message() -> None:
    tree = table([A, B, C], range(1, 9)) | {UPTIME: 9}
    fetch = Fetch([A, B, C], [(i,) for i in range(1, 9)], [UPTIME])
    assert answered(fetch, tree, varbinds=11) == [10, 10, 7]
    assert fetch.result.rows[(4,)] == {A: 104, B: 204, C: 304, UPTIME: 9}


def test_rows_that_are_not_there_are_absent() -> None:
    fetch = Fetch([A, B], [(1,), (2,), (3,)], [])
    answered(fetch, table([A], [1, 3]), varbinds=60)
    assert set(fetch.result.rows) == {(1,), (3,)}
    assert fetch.result.rows[(1,)] == {A: 101}


def test_a_row_that_does_not_fit_comes_in_parts() -> None:
    fetch = Fetch([A, B, C], [(1,), (2,)], [])
    assert answered(fetch, table([A, B, C], [1, 2]), varbinds=60, most=2) == [2, 1, 2, 1]
    assert fetch.result.rows[(2,)] == {A: 102, B: 202, C: 302}


def test_an_answer_about_other_objects_is_not_taken() -> None:
    fetch = Fetch([A], [(1,)], [])
    assert not fetch.take(fetch.request(10, 60), [((*A, 2), 5)])


def test_a_value_that_the_agent_refuses_costs_only_itself() -> None:
    fetch = Fetch([A, B], [(1,), (2,)], [])
    fetch.refused(fetch.request(60, 60), 2, "genErr")
    answered(fetch, table([A, B], [1, 2]), varbinds=60)
    assert fetch.result.rows == {(1,): {A: 101}, (2,): {A: 102, B: 202}}
    assert fetch.result.why_incomplete == "1.3.2.1: genErr"


def test_a_table_of_known_length_is_asked_for_no_more_than_that() -> None:
    tree = table([A, B], range(1, 8)) | table([C], range(1, 50))
    walk = Walk([A, B], [], 100, expected=7)
    asked = walk.request(60, 60)
    assert asked.max_repetitions == 8
    walk.take(asked, bulk(tree, asked))
    assert walk.over
    assert len(walk.result.rows) == 7


def test_a_table_that_has_grown_is_still_read_whole() -> None:
    walk = Walk([A], [], 100, expected=3)
    assert walked(walk, table([A], range(1, 60)), varbinds=60) <= 8
    assert len(walk.result.rows) == 59


def test_a_table_that_may_be_empty_is_asked_for_little_at_first() -> None:
    walk = Walk([A, B], [], 100)
    assert walk.request(60, 60).max_repetitions == 5


def test_a_probe_finds_the_columns_that_hold_anything() -> None:
    probe = Probe([C, A, B])
    while not probe.over:
        asked = probe.request(2, 60)
        assert asked.varbinds <= 2
        assert probe.take(asked, bulk(table([A, C], [5]), asked))
    assert probe.found == {A, C}


def test_where_version_one_sees_an_end_a_probe_asks_for_nothing_behind_it() -> None:
    probe = Probe([A, B, C])
    probe.refused(probe.request(60, 60), 2, "")
    assert probe.request(60, 60).columns == (A,)


def test_a_probe_leaves_out_what_is_refused() -> None:
    probe = Probe([A, B, C])
    probe.refused(probe.request(60, 60), 2, "genErr")
    assert probe.request(60, 60).columns == (A, C)
    probe.refused(probe.request(60, 60), 0, "genErr")
    assert probe.over
