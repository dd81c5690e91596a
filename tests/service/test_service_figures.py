from correlator.figures import EVERY, Figures, Line


def test_a_line_says_what_there_is_to_say():
    assert str(Line("poll", group="optics", rows=0, error=None, why="")) == "event=poll group=optics rows=0"


def test_a_value_that_would_break_the_line_is_quoted():
    said = str(Line("incident", alias='a "b"\nevent=x', name="hôte", ok="e1"))
    assert said == 'event=incident alias="a \\"b\\"\\nevent=x" name="h\\u00f4te" ok=e1'


def test_a_store_that_goes_on_failing_is_logged_once_in_a_while():
    figures = Figures()
    logged = [figures.store_failed() for _ in range(EVERY + 1)]
    assert [i for i, said in enumerate(logged) if said] == [0, EVERY]
    figures.stored(1)
    assert figures.store_failed()
    assert figures.registry.get_sample_value("correlator_store_errors_total") == EVERY + 2
