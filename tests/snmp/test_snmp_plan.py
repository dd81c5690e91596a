"""Plans: which requests a device's inventory makes, and what is asked for where an answer came cut."""

from __future__ import annotations

import numpy as np

from correlator.snmp.kinds import EXACT
from correlator.snmp.patterns import Cell, Line, Request
from correlator.snmp.plan import Plan, gets, joined, table

UPTIME = (1, 3, 6, 1, 2, 1, 1, 3, 0)
COLUMNS = tuple((1, 3, 6, 1, 9, column) for column in range(1, 17))


def line(index: int, columns: int = 16, number: int = 0) -> Line:
    return Line((index,), number, tuple(Cell(column, 0) for column in COLUMNS[:columns]))


def plan(requests: list[Request], community: bytes = b"public") -> Plan:
    return Plan(community, (Cell(UPTIME, 0),), requests, 1, 1)


def asked(requests: list[Request]) -> list[tuple[list[int], object]]:
    return [([one.index[0] for one in request.lines], request.start) for request in requests]


def test_rows_of_sixteen_columns_go_three_a_message() -> None:
    requests = table([line(index) for index in range(1, 10)], 50)
    assert asked(requests) == [([1, 2, 3], ()), ([4, 5, 6], (3,)), ([7, 8, 9], (6,))]


def test_what_fills_no_message_is_fetched() -> None:
    requests = table([line(index) for index in range(1, 8)], 50)
    assert asked(requests)[2:] == [([7], None)]


def test_interfaces_with_other_columns_are_asked_for_apart_and_whole() -> None:
    ports, vlans = (
        [line(index) for index in (1, 2, 3)],
        [line(index, 8) for index in (100, 101, 102, 103, 104, 105)],
    )
    requests = table([*vlans, *ports], 50)
    assert asked(requests) == [([1, 2, 3], ()), ([100, 101, 102, 103, 104, 105], (3,))]
    assert [request.varbinds for request in requests] == [48, 48]


def test_a_get_holds_whole_rows_and_stays_within_a_frame() -> None:
    requests = gets([line(index) for index in range(1, 11)], 60)
    assert asked(requests)[0] == ([1, 2, 3], None)
    assert max(joined([plan(requests)]).kinds.length) < 1472


def test_a_learned_size_is_kept_to() -> None:
    for varbinds in (1, 5, 16, 33, 60):
        requests = table([line(index) for index in range(1, 30)], varbinds)
        assert max(request.varbinds for request in requests) <= max(varbinds, 16)
        assert sorted(one.index[0] for request in requests for one in request.lines) == list(range(1, 30))


def test_the_rest_of_a_cut_answer_begins_behind_its_last_whole_row() -> None:
    known = plan(table([line(index) for index in range(1, 7)], 50))
    number = known.rest(1, 1)
    assert (number, known.count) == (2, 2)
    assert asked([known.patterns[2].request]) == [([5, 6], (4,))]
    assert known.rest(1, 1) == number


def test_plans_are_joined_with_what_each_expects() -> None:
    long = Cell(COLUMNS[0], -1, EXACT, b"an interface with a name that is long")
    one = plan(table([line(index) for index in range(1, 4)], 50))
    two = plan(gets([Line((7,), 0, (long, Cell(COLUMNS[1], 0)))], 50), b"another community")
    told, own = joined([one, two]), joined([two]).kinds
    kinds = told.kinds
    assert told.kind[[told.first[id(one)], told.first[id(two)]]].tolist() == [0, 1]
    assert kinds.varbinds.tolist() == [49, 3]
    assert (kinds.width > 0).tolist() == [True, False]
    place = kinds.cells(np.array([1]), 3)[0]
    assert (kinds.expect[place] == own.expect[:3]).all()
    assert bytes(kinds.template[1, : kinds.length[1]]) == bytes(own.template[0, : own.length[0]])
    assert (kinds.tail.take(place) >= 0).tolist() == [False, True, False]
    assert (kinds.exact.take(place) == own.exact[0]).all()


def test_a_request_that_plans_make_alike_is_written_once() -> None:
    lines = [line(index) for index in range(1, 10)]
    one, two = plan(table(lines, 50)), plan(table(lines[:6], 50))
    other = plan(table(lines[:3], 50), b"another community")
    assert two.patterns == one.patterns[:2]
    assert other.patterns[0] is not one.patterns[0]
    rest = one.rest(0, 2)
    told = joined([one, two, other])
    assert told.patterns == [*one.patterns[:3], other.patterns[0], one.patterns[rest]]
    assert [told.kind[told.first[id(some)]] for some in (one, two, other)] == [0, 0, 3]
    assert told.kind.tolist() == [0, 1, 2, 4, 0, 1, 3]
    assert told.kinds.template.shape[0] == 5
