from datetime import UTC, datetime, timedelta

import pytest

from correlator.model import End
from correlator.reports import words


def spaced(text: str) -> str:
    """Hard spaces as ordinary ones, so that the expectations below can be read."""
    return text.replace(words.HARD_SPACE, " ")


def test_an_ordinary_name_stays_as_it_is():
    assert words.name("leaf3-rack_B/14.example") == "leaf3-rack_B/14.example"


def test_control_and_bidirectional_characters_become_visible_marks():
    assert words.clean("a\u202eb\x1b[31m\u200bc\x00") == "a\ufffdb\ufffd[31m\ufffdc\ufffd"


def test_line_breaks_and_tabs_become_one_space():
    assert words.clean("two\r\n\tlines") == "two lines"


def test_a_name_that_may_run_right_to_left_is_isolated():
    assert words.name("שרת") == f"{words.FIRST_STRONG_ISOLATE}שרת{words.POP_ISOLATE}"


def test_a_name_cannot_close_its_own_isolation():
    assert words.name("ש\u2069evil").count(words.POP_ISOLATE) == 1


def test_a_long_name_loses_its_middle():
    assert words.name("a" * 200 + "-end", 20) == "a" * 12 + "…" + "aaa-end"
    assert len(words.name("x" * 255)) == words.MOST_NAME


def test_stacked_accents_are_cut_to_two():
    assert words.clean("z" + "\u0334" * 50) == "z" + "\u0334" * 2


def test_a_lone_surrogate_cannot_break_the_encoding():
    assert words.clean("a\ud800b").encode() == "a\ufffdb".encode()


def test_an_end_is_its_device_and_interface():
    assert words.end_name(End("leaf1", "Ethernet1")) == "leaf1 Ethernet1"
    assert words.end_name(None) == words.NOTHING


@pytest.mark.parametrize(
    ("share", "said"),
    [(None, "–"), (0.0, "0 %"), (0.001, "< 1 %"), (0.5, "50 %"), (0.996, "> 99 %"), (1.0, "100 %")],
)
def test_nothing_uncertain_reads_as_certain(share, said):
    assert spaced(words.percent(share)) == said


@pytest.mark.parametrize(
    ("share", "said"),
    [(None, "–"), (0.0, "0"), (8.1e-5, "8.1 × 10⁻⁵"), (9.99e-4, "1.0 × 10⁻³"), (1.0, "1.0 × 10⁰")],
)
def test_a_small_share_is_a_power_of_ten(share, said):
    assert spaced(words.rare(share)) == said


@pytest.mark.parametrize(
    ("share", "said"), [(None, "–"), (0.0, "none"), (8.1e-5, "1 in 12,000"), (0.5, "1 in 2"), (1.0, "1 in 1")]
)
def test_a_share_is_one_in_so_many(share, said):
    assert words.one_in(share) == said


def test_numbers_carry_their_signs_and_thousands():
    assert words.decimals(-9.31) == "−9.3"
    assert words.decimals(-0.01) == "0.0"
    assert words.count(12400.0) == "12,400"
    assert [spaced(words.weight(w)) for w in (12.4, -3.2, 0.2, 2e6)] == ["+12", "−3", "0", "> +999"]
    assert [words.significant(value) for value in (0.4211, 7.31, 118.2)] == ["0.42", "7.3", "118"]
    assert (words.many(1, "link"), words.many(3, "link")) == ("1 link", "3 links")


def test_a_ratio_comes_with_its_interval():
    assert spaced(words.slower(3.44)) == "3.4 ×"
    assert words.interval(2.0, 4.0) == "2.0 to 4.0"
    assert words.interval(None, 4.0) == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (24_000, "6 h 40 min"), (90_000, "1 d 1 h"), (86_460, "1 d")],
)
def test_a_span_has_its_two_largest_units(seconds, said):
    assert spaced(words.duration(timedelta(seconds=seconds))) == said


def test_moments_are_told_in_the_readers_zone():
    clock = words.Clock("Asia/Kathmandu")
    moment = datetime(2026, 11, 17, 20, 0, tzinfo=UTC)
    assert spaced(clock.when(moment)) == "18 Nov 01:45"
    assert clock.machine(moment) == "2026-11-18T01:45:00+05:45"
    assert clock.time(None) == words.NOTHING
