"""What switches and hosts really tell each other: ids of every kind, hubs, telephones, forwarding tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from correlator import frames
from correlator.engine.paths import find_paths
from correlator.engine.topology import Map, build_map

AT = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)
NAMES = ("neighbors", "hosts", "cables", "interfaces", "devices", "stations", "arp")

Row = dict[str, Any]


def mapped(**tables: list[Row]) -> Map:
    told = {name: frames.frame(name, [{"at": AT} | row for row in tables.get(name, [])]) for name in NAMES}
    return build_map(*(told[name] for name in NAMES))


def switch(name: str, chassis: str | None = None, **more: Any) -> Row:
    return {"device": name, "chassis_id": chassis, "unread": ""} | more


def port(device: str, name: str, **more: Any) -> Row:
    return {"device": device, "if_name": name, "if_type": 6, "oper_status": "up"} | more


def hears(device: str, if_name: str, chassis: str | None, port_id: str | None, **more: Any) -> Row:
    told = {"remote_chassis_id": chassis, "remote_port_id": port_id, "protocol": "lldp"}
    return {"device": device, "if_name": if_name} | told | more


def nic(host: str, name: str = "eth0", mac: str | None = None, **more: Any) -> Row:
    return {"host": host, "nic": name, "mac": mac, "hostname": host} | more


def station(device: str, mac: str, if_name: str, **more: Any) -> Row:
    return {"device": device, "mac": mac, "if_name": if_name} | more


def ends(made: Map) -> list[str]:
    rows: Any = made.links.itertuples(index=False)
    return [f"{r.a_device} {r.a_if_name} - {r.b_device} {r.b_if_name}: {r.source}" for r in rows]


TWO = [switch("leaf1", "id1"), switch("spine1", "id2")]
PORTS = [port("leaf1", "Gi1/0/1"), port("spine1", "Te1/1")]
H1, H2 = "02:00:00:00:09:01", "02:00:00:00:09:02"


@pytest.mark.parametrize(
    ("called", "known"),
    [
        ("leaf1 uplink", {"if_alias": "leaf1 uplink"}),
        ("02:00:00:00:00:77", {"mac": "02:00:00:00:00:77"}),
        ("516", {"if_index": 516}),
        ("port 17", {"lldp_port_id": "port 17"}),
        ("TenGigabitEthernet1/1", {"if_descr": "TenGigabitEthernet1/1"}),
        ("TenGigE1/1", {}),
        ("te1/1", {}),
    ],
)
def test_a_port_is_known_by_every_kind_of_id(called: str, known: Row) -> None:
    made = mapped(
        devices=TWO,
        interfaces=[PORTS[0], PORTS[1] | known],
        neighbors=[hears("leaf1", "Gi1/0/1", "id2", called)],
    )
    assert ends(made) == ["leaf1 Gi1/0/1 - spine1 Te1/1: lldp one"]


def test_a_port_is_known_by_its_network_address() -> None:
    made = mapped(
        devices=TWO,
        interfaces=[PORTS[0], PORTS[1] | {"mac": H1}],
        neighbors=[hears("leaf1", "Gi1/0/1", "id2", "192.0.2.9")],
        arp=[{"device": "leaf1", "ip": "192.0.2.9", "mac": H1}],
    )
    assert ends(made) == ["leaf1 Gi1/0/1 - spine1 Te1/1: lldp one"]


@pytest.mark.parametrize(
    ("chassis", "more", "known"),
    [
        ("id2", {}, {}),
        (None, {"remote_sys_name": "spine1"}, {}),
        ("spine1.example(SSI123)", {"protocol": "cdp", "remote_sys_name": "spine1.example"}, {}),
        ("192.0.2.2", {}, {"address": "192.0.2.2"}),
        (None, {"remote_address": "192.0.2.2"}, {"address": "192.0.2.2"}),
        (None, {"remote_sys_name": "SPINE1.example.org"}, {"sys_name": "spine1.example.org"}),
    ],
)
def test_a_switch_is_known_by_every_kind_of_name(chassis: str | None, more: Row, known: Row) -> None:
    made = mapped(
        devices=[TWO[0], TWO[1] | known],
        interfaces=PORTS,
        neighbors=[hears("leaf1", "Gi1/0/1", chassis, "Te1/1", **more)],
    )
    assert [text.split(":")[0] for text in ends(made)] == ["leaf1 Gi1/0/1 - spine1 Te1/1"]


def test_switches_without_chassis_ids_are_known_by_what_they_hear_themselves() -> None:
    made = mapped(
        devices=[switch("leaf1"), switch("spine1")],
        interfaces=PORTS,
        neighbors=[
            hears("leaf1", "Gi1/0/1", "no id of ours", "Te1/1"),
            hears("spine1", "Te1/1", "nor this", "Gi1/0/1"),
        ],
    )
    assert ends(made) == ["leaf1 Gi1/0/1 - spine1 Te1/1: lldp both"]


def test_a_stranger_with_a_name_like_ours_is_not_us() -> None:
    heard = [
        hears("leaf1", "Gi1/0/1", "stranger", "1", remote_sys_name="leaf1"),
        hears("leaf1", "Gi1/0/2", "leaf1", "Gi1/0/2", protocol="cdp"),
    ]
    made = mapped(devices=TWO, interfaces=[*PORTS, port("leaf1", "Gi1/0/2")], neighbors=heard)
    assert list(made.boxes["device"]) == ["another leaf1", "leaf1 (stranger)"]
    assert made.contradictions.empty


def test_cdp_and_lldp_of_one_neighbour_are_one_link() -> None:
    made = mapped(
        devices=TWO,
        interfaces=[PORTS[0], PORTS[1] | {"if_descr": "TenGigabitEthernet1/1"}],
        neighbors=[
            hears("leaf1", "Gi1/0/1", "id2", "Te1/1"),
            hears("leaf1", "Gi1/0/1", "spine1", "TenGigabitEthernet1/1", protocol="cdp"),
        ],
    )
    assert ends(made) == ["leaf1 Gi1/0/1 - spine1 Te1/1: lldp one"]
    assert made.contradictions.empty


def test_twins_by_chassis_id_are_told_apart_by_who_answers() -> None:
    made = mapped(
        devices=[switch("leaf1", "id1"), switch("a", "same"), switch("b", "same")],
        interfaces=[port("leaf1", "p1"), port("leaf1", "p2"), port("a", "u"), port("b", "u")],
        neighbors=[
            hears("leaf1", "p1", "same", "u"),
            hears("leaf1", "p2", "same", "u"),
            hears("a", "u", "id1", "p1"),
            hears("b", "u", "id1", "p2"),
        ],
    )
    assert ends(made) == ["a u - leaf1 p1: lldp both", "b u - leaf1 p2: lldp both"]
    assert made.contradictions.empty


def test_twins_that_do_not_answer_are_told_and_make_no_link() -> None:
    made = mapped(
        devices=[switch("leaf1", "id1"), switch("a", "same"), switch("b", "same")],
        interfaces=[port("leaf1", "p1"), port("a", "u"), port("b", "u")],
        neighbors=[hears("leaf1", "p1", "same", "u")],
    )
    assert ends(made) == []
    assert made.contradictions["text"].tolist() == ["leaf1 p1 hears same, which is what a, b all go by"]


def test_a_port_that_hears_itself_is_a_loop() -> None:
    made = mapped(devices=TWO, interfaces=PORTS, neighbors=[hears("leaf1", "Gi1/0/1", "id1", "Gi1/0/1")])
    assert made.links.empty
    assert "a loop" in made.contradictions["text"].iloc[0]


def test_a_telephone_is_a_half_link_and_a_host_behind_it_is_reached_through_it() -> None:
    phone = hears("leaf1", "Gi1/0/1", "phone1", "1", remote_capabilities=["bridge", "telephone"])
    told = {"devices": TWO[:1], "interfaces": [PORTS[0]], "neighbors": [phone]}
    alone = mapped(**told)
    assert ends(alone) == ["leaf1 Gi1/0/1 - phone1 1: lldp one"]
    assert alone.boxes.to_dict("records") == [{"device": "phone1", "kind": "telephone", "passes": False}]
    desk = mapped(**told, hosts=[nic("pc", mac=H1)], stations=[station("leaf1", H1, "Gi1/0/1")])
    assert ends(desk) == ["leaf1 Gi1/0/1 - phone1 1: lldp one", "pc eth0 - phone1 to pc eth0: stations"]
    assert desk.closed == []


def test_a_switch_that_nobody_polls_passes_traffic_and_a_server_on_two_leaves_does_not() -> None:
    leaves = [switch("leaf1", "id1"), switch("leaf2", "id2")]
    ports = [port(leaf, name) for leaf in ("leaf1", "leaf2") for name in ("up", "down")]
    heard = [hears(leaf, "up", "id9", f"Eth{i}") for i, leaf in enumerate(("leaf1", "leaf2"))]
    heard += [
        hears(leaf, "down", "server", f"02:00:00:00:00:0{i}", remote_capabilities=["bridge", "router"])
        for i, leaf in enumerate(("leaf1", "leaf2"))
    ]
    made = mapped(devices=leaves, interfaces=ports, neighbors=heard)
    assert made.closed == ["server"]
    assert made.boxes.set_index("device").at["id9", "kind"] == "unpolled"


def test_a_hub_stands_between_ends_that_all_hear_each_other() -> None:
    places = [("a", "p"), ("b", "q"), ("c", "r")]
    heard = [hears(*near, f"id-{far[0]}", far[1]) for near in places for far in places if near[0] != far[0]]
    made = mapped(
        devices=[switch(name, f"id-{name}") for name, _ in places],
        interfaces=[port(*place) for place in places],
        neighbors=heard,
    )
    assert ends(made) == [
        "a p - unmanaged switch at a p to a p: hub",
        "b q - unmanaged switch at a p to b q: hub",
        "c r - unmanaged switch at a p to c r: hub",
    ]
    assert len(made.contradictions) == 3


def test_ten_thousand_neighbours_on_one_port_are_one_finding_and_few_links() -> None:
    crowd = [hears("leaf1", "Gi1/0/1", f"box{i}", "1") for i in range(10_000)]
    made = mapped(devices=TWO, interfaces=PORTS, neighbors=crowd)
    assert len(made.links) <= 20
    assert max(len(text) for text in made.contradictions["text"]) < 400
    assert any("10000 unknown neighbours" in text for text in made.contradictions["text"])


def test_a_neighbour_that_the_next_poll_did_not_bring_is_gone() -> None:
    old = hears("leaf1", "Gi1/0/1", "id2", "Te1/1", at=AT - timedelta(minutes=10))
    told = {"interfaces": PORTS, "neighbors": [old]}
    assert mapped(devices=TWO, **told).links.empty
    failed = [TWO[0] | {"unread": "lldp_remotes,stack"}, TWO[1]]
    assert len(mapped(devices=failed, **told).links) == 1
    silent = [TWO[0] | {"at": AT - timedelta(minutes=10)}, TWO[1]]
    assert len(mapped(devices=silent, **told).links) == 1


def test_a_cable_that_moved_is_where_it_is_now_though_the_old_switch_is_silent() -> None:
    before = AT - timedelta(minutes=10)
    old = port("old", "x") | {"at": before}
    made = mapped(
        devices=[*TWO, switch("old", "id3", at=before)],
        interfaces=[*PORTS, old],
        neighbors=[hears("old", "x", "id1", "Gi1/0/1", at=before), hears("leaf1", "Gi1/0/1", "id2", "Te1/1")],
    )
    assert ends(made) == ["leaf1 Gi1/0/1 - spine1 Te1/1: lldp one"]
    assert len(made.contradictions) == 1


def test_a_switch_that_renames_its_ports_keeps_its_links() -> None:
    made = mapped(
        devices=TWO,
        interfaces=[
            PORTS[0],
            port("spine1", "ethernet-1/1"),
            port("spine1", "Te1/1", at=AT - timedelta(hours=1)),
        ],
        neighbors=[
            hears("leaf1", "Gi1/0/1", "id2", "Te1/1"),  # as leaf1 still remembers it
            hears("spine1", "ethernet-1/1", "id1", "Gi1/0/1"),
        ],
    )
    assert ends(made) == ["leaf1 Gi1/0/1 - spine1 ethernet-1/1: lldp one"]


def test_who_ought_to_hear_and_does_not_is_told() -> None:
    made = mapped(
        devices=[*TWO, switch("leaf2", "id3")],
        interfaces=[*PORTS, port("spine1", "Te1/2"), port("leaf2", "u")],
        neighbors=[
            hears("leaf1", "Gi1/0/1", "id2", "Te1/1"),
            hears("spine1", "Te1/2", "id3", "u"),
            hears("leaf2", "u", "id2", "Te1/2"),
        ],
    )
    assert made.contradictions["text"].tolist() == [
        "spine1 Te1/1 does not hear leaf1 Gi1/0/1, which hears it"
    ]


def test_a_cable_at_an_interface_that_does_not_exist_is_told() -> None:
    cable = {"a_device": "leaf1", "a_if_name": "Gi9", "b_device": "spine1", "b_if_name": "Te1/1"}
    made = mapped(devices=TWO, interfaces=PORTS, cables=[cable])
    assert ends(made) == ["leaf1 Gi9 - spine1 Te1/1: cable"]
    assert "no such interface" in made.contradictions["text"].iloc[0]


def up() -> dict[str, list[Row]]:
    """A leaf with an uplink, where hosts may hang on Gi1/0/2 and Gi1/0/3."""
    return {
        "devices": TWO,
        "interfaces": [*PORTS, port("leaf1", "Gi1/0/2"), port("leaf1", "Gi1/0/3")],
        "neighbors": [hears("leaf1", "Gi1/0/1", "id2", "Te1/1"), hears("spine1", "Te1/1", "id1", "Gi1/0/1")],
    }


UPLINK = "leaf1 Gi1/0/1 - spine1 Te1/1: lldp both"


def test_a_host_hangs_where_its_address_is_and_no_switch_behind() -> None:
    seen = [station("leaf1", H1, "Gi1/0/2"), station("spine1", H1, "Te1/1"), station("leaf1", H2, "Vlan7")]
    ports = up()["interfaces"] + [port("leaf1", "Vlan7", if_type=136)]
    made = mapped(**up() | {"interfaces": ports}, hosts=[nic("h1", mac=H1), nic("h2", mac=H2)], stations=seen)
    assert ends(made) == [UPLINK, "h1 eth0 - leaf1 Gi1/0/2: stations"][::-1]


def test_a_host_on_a_routed_port_hangs_where_arp_says() -> None:
    seen = [{"device": "leaf1", "ip": "192.0.2.1", "mac": H1, "if_name": "Gi1/0/3"}]
    made = mapped(**up(), hosts=[nic("h1", mac=H1)], arp=seen)
    assert ends(made) == ["h1 eth0 - leaf1 Gi1/0/3: arp", UPLINK]


def test_hosts_behind_one_port_share_an_unmanaged_switch() -> None:
    seen = [station("leaf1", H1, "Gi1/0/2"), station("leaf1", H2, "Gi1/0/2")]
    made = mapped(**up(), hosts=[nic("h1", mac=H1), nic("h2", mac=H2)], stations=seen)
    box = "unmanaged switch at leaf1 Gi1/0/2"
    assert ends(made) == [
        f"h1 eth0 - {box} to h1 eth0: stations",
        f"h2 eth0 - {box} to h2 eth0: stations",
        UPLINK,
        f"leaf1 Gi1/0/2 - {box} to leaf1 Gi1/0/2: hub",
    ]
    shares = find_paths(made.directed, ["h1", "h2"], [("h1", "h2")], made.closed).forward
    assert shares.toarray()[0].sum() == 2.0


def test_an_address_that_flaps_is_told_where_nothing_decides() -> None:
    seen = [station("leaf1", H1, "Gi1/0/2"), station("spine1", H1, "Te1/9")]
    told = up() | {"interfaces": [*up()["interfaces"], port("spine1", "Te1/9")]}
    made = mapped(**told, hosts=[nic("h1", mac=H1)], stations=seen)
    assert ends(made) == [UPLINK]
    assert "seen behind leaf1 Gi1/0/2 and spine1 Te1/9" in made.contradictions["text"].iloc[0]
    newer = [seen[0] | {"at": AT + timedelta(seconds=5)}, seen[1]]
    made = mapped(**told, hosts=[nic("h1", mac=H1)], stations=newer)
    assert ends(made) == ["h1 eth0 - leaf1 Gi1/0/2: stations", UPLINK]


def test_a_bond_over_two_switches_hangs_on_the_members_of_both_aggregates() -> None:
    bond = [nic("h1", name, mac=H1, bond="bond0") for name in ("eth0", "eth1")]
    switches = [switch("leaf1", "id1"), switch("leaf2", "id2")]
    members = [port(leaf, "e5", aggregate_if_name="po5") for leaf in ("leaf1", "leaf2")]
    seen = [station(leaf, H1, "po5") for leaf in ("leaf1", "leaf2")]
    made = mapped(
        devices=switches, interfaces=members, hosts=[*bond, nic("h1", "bond0", mac=H1)], stations=seen
    )
    assert ends(made) == ["h1 eth0 - leaf1 e5: stations", "h1 eth1 - leaf2 e5: stations"]
    assert made.links["a_aggregate"].tolist() == ["bond0", "bond0"]


def test_members_of_a_blocked_aggregate_carry_nothing() -> None:
    told = up()
    told["interfaces"][0] |= {"aggregate_if_name": "Po1"}
    told["interfaces"].append(port("leaf1", "Po1", if_type=161, stp_state="blocking"))
    made = mapped(**told)
    assert made.links[["usable", "idle"]].to_numpy().tolist() == [[False, "blocked"]]


def test_words_without_any_form_are_survived() -> None:
    odd = [
        hears("leaf1", "Gi1/0/1", None, None),
        hears("leaf1", "Gi1/0/1", "", ""),
        {"device": "leaf1", "if_name": None, "remote_chassis_id": "id2"},
        hears("nobody", "x", "id2", "Te1/1"),
    ]
    made = mapped(devices=TWO, interfaces=PORTS, neighbors=odd, hosts=[{"host": "h1"}])
    assert ends(made) == [
        "leaf1 Gi1/0/1 - unnamed neighbour of leaf1 Gi1/0/1 port to leaf1 Gi1/0/1: lldp one",
        "nobody x - spine1 Te1/1: lldp one",
    ]
    assert isinstance(made.links["seen_at"].dtype, pd.DatetimeTZDtype)
