import pytest

from correlator.commands.judge import right

LINK = {"a": {"device": "leaf2", "if_name": "Ethernet49"}, "b": {"device": "spine1", "if_name": "Ethernet2"}}


def said(**changes):
    steps = [{"step": n, "device": d, "if_name": i} for n, (d, i) in enumerate(ENDS)]
    verdict = {"kind": "link", "link": LINK, "direction": "b_to_a", "root_cause": "dirty_connector"}
    return {**verdict, "actions": steps, "subject": {}, "probability": 0.9, **changes}


ENDS = [("leaf2", "Ethernet49"), ("spine1", "Ethernet2")]
TRUTH = said(actions=[{"device": "spine1", "if_name": "Ethernet2"}])


def test_a_verdict_with_the_true_end_among_its_steps_is_right():
    assert right([TRUTH], [said()])


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "class"},
        {"direction": "a_to_b"},
        {"root_cause": "congestion"},
        {"link": {**LINK, "a": {"device": "leaf3", "if_name": "Ethernet49"}}},
        {"actions": [{"device": "leaf2", "if_name": "Ethernet49"}]},
        {"actions": []},
    ],
)
def test_a_verdict_that_differs_in_anything_that_matters_is_wrong(wrong):
    assert not right([TRUTH], [said(**wrong)])


def test_where_nothing_is_wrong_silence_is_right_and_a_verdict_is_not():
    assert right([], [])
    assert not right([], [said()])


def test_a_fault_without_a_verdict_and_one_verdict_too_many_are_wrong():
    assert not right([TRUTH], [])
    assert not right([TRUTH], [said(), said(direction="a_to_b")])
    assert not right([TRUTH], [said(), said()])


def test_a_slow_service_must_be_the_true_one():
    truth = {
        "kind": "service",
        "link": None,
        "direction": None,
        "root_cause": "service",
        "subject": {"service": "db"},
    }
    verdict = {**truth, "subject": {"service": "db", "host": "node1"}, "actions": []}
    assert right([truth], [verdict])
    assert not right([truth], [{**verdict, "subject": {"service": "web"}}])
