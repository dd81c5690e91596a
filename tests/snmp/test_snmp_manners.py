"""How the size of requests and their pace are learned."""

from __future__ import annotations

from correlator.snmp.manners import Pace, Size, SizeParams


def learned(size: Size, bears: int, requests: int, silent: bool = False) -> list[int]:
    """Return the sizes asked of a device that bears so many varbinds."""
    asked = []
    for _ in range(requests):
        asked.append(size.varbinds)
        if size.varbinds <= bears:
            size.answered(size.varbinds)
        elif silent:
            size.silent(size.varbinds)
        else:
            size.too_big(size.varbinds)
    return asked


def test_a_device_is_first_asked_for_little_and_then_for_more() -> None:
    assert learned(Size(), bears=1000, requests=5) == [10, 20, 40, 60, 60]


def test_two_requests_are_in_flight_only_while_the_largest_are_borne() -> None:
    size = Size()
    told = [size.at_once]
    for _ in range(3):
        size.answered(size.varbinds)
        told.append(size.at_once)
    size.silent(60)
    assert [*told, size.at_once] == [1, 1, 1, 2, 1]


def test_what_was_too_big_is_not_asked_for_again() -> None:
    asked = learned(Size(), bears=33, requests=40)
    assert len([size for size in asked if size > 33]) <= 6
    assert len(set(asked[20:])) == 1
    assert asked[-1] <= 33


def test_a_size_that_goes_unanswered_twice_is_avoided() -> None:
    asked = learned(Size(), bears=15, requests=60, silent=True)
    assert all(size <= 15 for size in asked[20:])


def test_one_lost_packet_costs_no_size_for_good() -> None:
    size = Size()
    learned(size, bears=1000, requests=5)
    size.silent(60)
    assert learned(size, bears=1000, requests=3)[-1] == 60


def test_a_size_that_was_avoided_is_tried_again_after_long() -> None:
    size = Size(SizeParams(heal_after=20))
    learned(size, bears=15, requests=20, silent=True)
    assert max(learned(size, bears=1000, requests=100)) == 60


def test_a_device_that_was_away_is_asked_for_as_much_as_a_new_one() -> None:
    import copy

    size = Size()
    learned(size, bears=1000, requests=5)
    before = copy.copy(size)
    for _ in range(3):
        size.silent(size.varbinds)
    size.absent(before)
    assert learned(size, bears=1000, requests=4) == [10, 20, 40, 60]


def test_no_second_sees_more_requests_than_allowed() -> None:
    pace, now, sent = Pace(per_second=5), 0.0, []
    for _ in range(23):
        now += pace.wait_s(now)
        pace.take(now)
        sent.append(now)
        now += 0.01
    assert all(sum(start <= t < start + 1 for t in sent) <= 5 for start in sent)
    assert sent[-1] <= 4.1


def test_the_first_requests_do_not_wait() -> None:
    pace = Pace(per_second=5)
    for _ in range(5):
        assert pace.wait_s(10.0) == 0
        pace.take(10.0)
    assert pace.wait_s(10.0) == 1.0
