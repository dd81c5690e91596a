from alert_events import HOSTILE, restore
from hypothesis import given
from hypothesis import strategies as st

from correlator.alerts.safe import CUT, cut, printable

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=60)


@given(ANY_TEXT)
def test_printable_text_is_ascii_on_one_line_and_can_be_read_back(text):
    shown = printable(text, 1000)
    assert all(" " <= sign <= "~" for sign in shown)
    assert restore(shown) == text


@given(ANY_TEXT, st.integers(3, 40))
def test_a_cut_keeps_to_the_limit_and_splits_no_escape(text, limit):
    shown = printable(text, limit)
    assert len(shown) <= limit
    whole = printable(text, 1000)
    if shown != whole:
        assert shown.endswith(CUT)
        kept = shown.removesuffix(CUT)
        assert whole.startswith(kept)
        assert printable(restore(kept), 1000) == kept


def test_what_fits_exactly_is_not_cut():
    assert printable("x" * 48) == "x" * 48
    assert printable("x" * 49) == "x" * 45 + "..."
    assert cut("abc", 3) == "abc"


def test_hostile_names_lose_their_power_and_nothing_else():
    for name in HOSTILE:
        assert printable(name, 1000).isprintable()
        assert restore(printable(name, 1000)) == name
    assert printable("\u202eabc") == "\\u202eabc"
    assert printable("a\nb") == "a\\u000ab"
