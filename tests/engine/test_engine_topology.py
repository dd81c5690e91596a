from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from correlator import frames
from correlator.engine.topology import Map, build_map

AT = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)


def frame(name: str, *rows: dict[str, Any]) -> pd.DataFrame:
    return frames.frame(name, [{"at": AT} | row for row in rows])


DEVICES = frame(
    "devices",
    {"device": "leaf1", "chassis_id": "02:00:00:00:00:01", "sys_name": "leaf1.example"},
    {"device": "spine1", "chassis_id": "02:00:00:00:00:02", "sys_name": "spine1.example"},
)
UP = {
    "device": "leaf1",
    "if_name": "Ethernet49",
    "remote_chassis_id": "02:00:00:00:00:02",
    "remote_port_id": "Eth1/1",
}
DOWN = {
    "device": "spine1",
    "if_name": "Eth1/1",
    "remote_chassis_id": "02:00:00:00:00:01",
    "remote_port_id": "Ethernet49",
}
PORTS = ({"device": "leaf1", "if_name": "Ethernet49", "mac": "02:00:00:00:01:49"},
         {"device": "leaf1", "if_name": "Ethernet1"}, {"device": "spine1", "if_name": "Eth1/1"})  # fmt: skip
HOST = {"host": "web-1", "nic": "eth0", "mac": "02:00:00:00:09:01", "hostname": "web-1"}


def mapped(neighbors: tuple[dict[str, Any], ...] = (), hosts: tuple[dict[str, Any], ...] = (),
           cables: tuple[dict[str, Any], ...] = (),
           ports: tuple[dict[str, Any], ...] = PORTS) -> Map:  # fmt: skip
    tables = {"neighbors": neighbors, "hosts": hosts, "cables": cables, "interfaces": ports}
    return build_map(*(frame(name, *rows) for name, rows in tables.items()), DEVICES)


def ends(made: Map) -> list[tuple[Any, ...]]:
    columns = ["a_device", "a_if_name", "b_device", "b_if_name", "source"]
    return list(made.links[columns].itertuples(index=False, name=None))


def test_a_link_seen_from_both_ends_is_one_link() -> None:
    assert ends(mapped((UP, DOWN))) == [("leaf1", "Ethernet49", "spine1", "Eth1/1", "lldp both")]


def test_forgetting_one_end_changes_nothing_but_the_source() -> None:
    assert ends(mapped((DOWN,))) == [("leaf1", "Ethernet49", "spine1", "Eth1/1", "lldp one")]


def test_each_link_has_two_directions_and_the_other_one_is_next_to_it() -> None:
    directed = mapped((UP, DOWN)).directed
    assert directed["direction"].tolist() == ["a_to_b", "b_to_a"]
    assert (
        directed["sender_device"].tolist()
        == directed["receiver_device"].tolist()[::-1]
        == ["leaf1", "spine1"]
    )


def test_a_neighbour_is_known_by_its_name_where_its_chassis_id_is_unknown() -> None:
    named = UP | {"remote_chassis_id": "02:ff:00:00:00:00", "remote_sys_name": "spine1.example"}
    assert len(ends(mapped((named,)))) == 1


def test_a_port_is_known_by_its_mac() -> None:
    assert ends(mapped((DOWN | {"remote_port_id": "02:00:00:00:01:49"},)))[0][:2] == ("leaf1", "Ethernet49")


def test_a_host_attaches_by_what_it_hears() -> None:
    host = HOST | {"lldp_chassis_id": "02:00:00:00:00:01", "lldp_port_id": "Ethernet1"}
    assert ends(mapped(hosts=(host,))) == [("leaf1", "Ethernet1", "web-1", "eth0", "lldp one")]


def test_a_host_attaches_by_what_the_switch_hears() -> None:
    heard = {
        "device": "leaf1",
        "if_name": "Ethernet1",
        "remote_chassis_id": HOST["mac"],
        "remote_port_id": HOST["mac"],
    }
    assert ends(mapped((heard,), hosts=(HOST,))) == [("leaf1", "Ethernet1", "web-1", "eth0", "lldp one")]


def test_two_hosts_of_one_name_are_not_told_apart_by_it() -> None:
    heard = {"device": "leaf1", "if_name": "Ethernet1", "remote_sys_name": "web-1", "remote_port_id": "eth0"}
    twin = HOST | {"host": "web-2", "mac": "02:00:00:00:09:02"}
    named = (HOST | {"host": "x1"}, twin | {"host": "x2"})
    assert ends(mapped((heard,), hosts=named)) == []


def test_a_switch_that_nobody_polls_passes_on_what_its_configured_cables_join() -> None:
    switch = UP | {"remote_chassis_id": "02:00:00:00:00:07", "remote_sys_name": "spine7",
                   "remote_capabilities": ["bridge", "router"]}  # fmt: skip
    written = tuple(
        {"a_device": leaf, "a_if_name": "Ethernet49", "b_device": "spine7", "b_if_name": f"Eth1/{n}"}
        for n, leaf in enumerate(("leaf1", "leaf2", "leaf3"), 1)
    )
    assert mapped((switch,)).closed == ["spine7"]
    assert "spine7" not in mapped((switch,), cables=written).closed


def test_an_unknown_box_is_an_honest_half_link_that_passes_nothing_on() -> None:
    made = mapped((UP | {"remote_chassis_id": "02:aa:00:00:00:00"},))
    assert ends(made) == [("02:aa:00:00:00:00", "Eth1/1", "leaf1", "Ethernet49", "lldp one")]
    assert made.closed == ["02:aa:00:00:00:00"]


@pytest.mark.parametrize(
    ("heard", "stands"), [((UP, DOWN), ("Eth1/1", "lldp both")), ((UP,), ("Eth1/2", "cable"))]
)
def test_a_cable_outranks_one_end_that_hears_and_not_two_and_the_contradiction_is_told(
    heard: tuple[dict[str, Any], ...], stands: tuple[str, str]
) -> None:
    cable = {"a_device": "leaf1", "a_if_name": "Ethernet49", "b_device": "spine1", "b_if_name": "Eth1/2"}
    made = mapped(heard, cables=(cable,), ports=(*PORTS, {"device": "spine1", "if_name": "Eth1/2"}))
    assert ends(made) == [("leaf1", "Ethernet49", "spine1", *stands)]
    assert "leaf1" in made.contradictions["device"].tolist()
    assert "spine1 Eth1/1" in made.contradictions["text"].iloc[0]


def test_rows_of_a_list_that_an_end_refutes_do_not_beat_what_another_end_hears() -> None:
    heard = {"remote_chassis_id": "02:00:00:00:00:03", "remote_sys_name": "leaf3"}
    other = DOWN | heard | {"if_name": "Eth1/2", "remote_port_id": "Ethernet50"}
    swapped = (
        {"a_device": "leaf1", "a_if_name": "Ethernet49", "b_device": "spine1", "b_if_name": "Eth1/2"},
        {"a_device": "leaf3", "a_if_name": "Ethernet50", "b_device": "spine1", "b_if_name": "Eth1/1"},
    )
    ports = (*PORTS, {"device": "spine1", "if_name": "Eth1/2"})
    made = mapped((UP, DOWN, other), cables=swapped, ports=ports)
    assert made.links["source"].tolist() == ["lldp both", "lldp one"]


def test_two_rows_whose_far_ends_were_exchanged_are_read_rightly_once_one_is_refuted() -> None:
    swapped = (
        {"a_device": "leaf1", "a_if_name": "Ethernet49", "b_device": "spine2", "b_if_name": "Eth1/1"},
        {"a_device": "leaf3", "a_if_name": "Ethernet50", "b_device": "spine1", "b_if_name": "Eth1/1"},
    )
    made = mapped((UP, DOWN), cables=swapped)
    assert ends(made) == [
        ("leaf1", "Ethernet49", "spine1", "Eth1/1", "lldp both"),
        ("leaf3", "Ethernet50", "spine2", "Eth1/1", "cable"),
    ]
    assert (made.links["confidence"] < 0.5).all()


def test_two_peers_on_one_port_are_told_and_neither_is_dropped() -> None:
    other = DOWN | {"if_name": "Eth1/2"}
    ports = (*PORTS, {"device": "spine1", "if_name": "Eth1/2"})
    made = mapped((DOWN, other), ports=ports)
    assert len(made.links) == 2
    assert len(made.contradictions) == 1


def test_shut_down_and_blocked_ports_carry_nothing() -> None:
    for status in ({"admin_status": "down"}, {"oper_status": "down"}, {"stp_state": "blocking"}):
        ports = tuple(port | (status if port["device"] == "spine1" else {}) for port in PORTS)
        assert not mapped((UP, DOWN), ports=ports).directed["usable"].any()


def test_a_port_of_unknown_status_carries() -> None:
    assert mapped((UP, DOWN)).directed["usable"].all()


def test_nothing_known_is_an_empty_map() -> None:
    made = build_map(
        *(frames.empty(name) for name in ("neighbors", "hosts", "cables", "interfaces", "devices"))
    )
    assert made.links.empty
    assert made.directed.empty
