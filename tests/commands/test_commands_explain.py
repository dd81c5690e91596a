from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from correlator.commands.explain import lines
from correlator.wiring import open_store

AT = "2026-11-01T04:30:00+00:00"
LINK = {"a": {"device": "leaf2", "if_name": "Ethernet49"}, "b": {"device": "spine1", "if_name": "Ethernet2"}}
FIGURES = (
    "response_ms",
    "network_ms",
    "service_ms",
    "retransmission_rate",
    "exchanges_per_s",
    "exchanges_per_connection",
)


def hop(**changes):
    told = {
        "share": 0.5,
        "from": "spine1 Ethernet2",
        "to": "leaf2 Ethernet49",
        "state": "sick",
        "packets": 1000.0,
        "errors": 7.0,
        "error_rate": 0.005,
        "passed_on": 2.0,
        "discards": 0.0,
        "utilisation": 0.25,
        "light": [{"rx_power_dbm": -9.14, "rx_usual_dbm": -5.0}],
        "unknown": [],
    }
    return {**told, **changes}


def answer(**changes):
    told = {
        "a": "web",
        "b": "db",
        "at": AT,
        "matched": [{"src_host": "node1"}],
        "slow": True,
        "grew": "network",
        "not_the_network": False,
        "slower_by": {"ratio": 5.0, "low": 4.0, "high": 6.0},
        "since": "2026-11-01T04:05:00+00:00",
        **{key: {"now": 2.0, "usual": None} for key in FIGURES},
        "paths": [{"source": "node1", "destination": "node2", "forward": [hop()], "reverse": []}],
        "blame": None,
        "unknown": [],
    }
    return {**told, **changes}


def said(**changes) -> str:
    return "\n".join(lines(answer(**changes)))


def test_how_much_slower_within_which_bounds_and_since_when_is_said_first():
    first, second, *_ = lines(answer())
    assert first == "web and db at 2026-11-01 04:30Z"
    assert second == (
        "slow: the time to a response is 5.00 times the usual (95 %: 4.00 to 6.00) since 2026-11-01 04:05Z; "
        "the network takes longer"
    )


def test_a_slow_service_is_not_the_network():
    assert "not the network: the service takes longer" in said(grew="service", not_the_network=True)


def test_who_is_not_slow_is_told_so():
    assert "not slow: the time to a response is 1.01 times the usual" in said(
        slow=False, slower_by={"ratio": 1.01, "low": 0.9, "high": 1.1}
    )


def test_without_a_past_there_is_no_usual_yet():
    none = {"ratio": None, "low": None, "high": None}
    assert "not slow: there is no usual yet to compare with" in said(slow=False, slower_by=none)


def test_the_link_to_blame_comes_with_its_share_and_what_to_do():
    step = {"step": 1, "do": "inspect_and_clean", "device": "leaf2", "if_name": "Ethernet49", "lane": None}
    blame = {
        "id": "i1",
        "kind": "link",
        "link": LINK,
        "direction": "b_to_a",
        "root_cause": "dirty_connector",
        "probability": 0.98,
        "actions": [{**step, "side": "rx", "text": ""}],
        "text": "leaf2",
        "share_explained": 0.97,
    }
    told = said(blame=blame).splitlines()
    assert told[2] == (
        "to blame: dirty connector: spine1 Ethernet2 -> leaf2 Ethernet49 (98% sure), 97% of the excess"
    )
    assert told[3] == "  1. inspect and clean leaf2 Ethernet49 rx"


def test_a_slow_pair_without_a_culprit_is_admitted():
    assert "to blame: nothing that was seen" in said()


def test_figures_that_are_not_known_are_said_to_be():
    assert "  in the service     not known (usual: 3.00 ms)" in said(service_ms={"now": None, "usual": 3.0})


def test_each_hop_says_what_was_measured_there():
    assert (
        "   50% spine1 Ethernet2 -> leaf2 Ethernet49: sick; 7 errors in 1000 packets (5.0e-03), "
        "2 of them passed on, 25% full, light -9.1 dBm (usual -5.0)"
    ) in said()


def test_a_hop_of_which_nothing_is_known_says_so():
    blind = hop(
        errors=None, packets=None, utilisation=None, light=[], state="unknown", unknown=["errors at x"]
    )
    assert "unknown; unknown: errors at x" in said(
        paths=[{"source": "a", "destination": "b", "forward": [blind], "reverse": []}]
    )


def test_of_many_paths_those_with_something_wrong_are_shown():
    fine = {"source": "a", "destination": "b", "forward": [hop(state="healthy")], "reverse": []}
    told = said(paths=[fine, fine, fine, {**fine, "source": "c", "forward": [hop()]}])
    assert "path c -> b" in told
    assert "path a -> b" not in told
    assert "and 3 more pairs of hosts" in told


def test_two_that_did_not_talk_are_unknown():
    assert said(matched=[], unknown=["no traffic between web and db was seen in the window"]) == (
        "web and db at 2026-11-01 04:30Z\nunknown: no traffic between web and db was seen in the window"
    )


def test_a_service_that_is_down_explains_the_last_that_was_known(correlator, tmp_path):
    import pandas as pd

    from correlator import frames
    from correlator.config import load

    config = tmp_path / "correlator.yaml"
    config.write_text("store: {path: tables}\nstate: {path: state.sqlite}\n")
    last = datetime.now(UTC) - timedelta(days=3)
    target = {"target": "leaf1", "kind": "switch"}
    silent = {"at": datetime.now(UTC), **target, "ok": False}
    polls = frames.frame("polls", [{"at": last, **target, "ok": True}, silent])
    open_store(load(config)).append("polls", polls, source="x", sequence=1)
    code, out, err = correlator("explain", "-c", config, "web", "db")
    assert code == 0
    assert out.startswith(f"web and db at {pd.Timestamp(last):%Y-%m-%d %H:%M}Z")
    assert "nothing has answered of late" in err


@pytest.mark.parametrize("at", ["2026-11-01T04:30", "2026-11-01T05:30+01:00"])
def test_another_time_may_be_asked_for(correlator, tmp_path, at):
    config = tmp_path / "correlator.yaml"
    config.write_text("store: {path: tables}\nstate: {path: state.sqlite}\n")
    _, out, _ = correlator("explain", "-c", config, "web", "db", "--at", at, "--json")
    assert f'"at": "{AT}"' in out
