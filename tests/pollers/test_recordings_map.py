"""The neighbours of recorded switches as links: right where both ends are in the set, else half-links."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from test_recordings import NAMES, answer, expected, port

from correlator import frames
from correlator.engine.topology import Map, build_map

__all__ = ["port"]  # the fixture that serves the recordings

MAPPED = ("neighbors", "hosts", "cables", "interfaces", "devices", "stations", "arp")


def tables(port: int, *names: str) -> dict[str, pd.DataFrame]:
    """Return what the poller says of recordings, each device under its recording's name."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in MAPPED}
    for name in names:
        said = answer(port, name)
        for table in MAPPED:
            rows = said.get(table, [])
            found[table] += [row | ({"device": name} if "device" in row else {}) for row in rows]
    at = pd.Timestamp("2026-05-06T10:00:00Z")
    return {name: frames.frame(name, [row | {"at": at} for row in rows]) for name, rows in found.items()}


def mapped(port: int, *names: str) -> Map:
    told = tables(port, *names)
    return build_map(*(told[name] for name in MAPPED))


def ends(made: Map) -> set[frozenset[tuple[str, str]]]:
    columns = ["a_device", "a_if_name", "b_device", "b_if_name"]
    rows: Any = made.links[columns].itertuples(index=False, name=None)
    return {frozenset({(a, p), (b, q)}) for a, p, b, q in rows}


@pytest.mark.parametrize("name", NAMES)
def test_each_port_that_hears_somebody_has_an_honest_half_link(port: int, name: str) -> None:
    made = mapped(port, name)
    near = {end[1] for link in ends(made) for end in link if end[0] == name}
    names = {row["ifIndex"]: row.get("ifName") or row.get("ifDescr") for row in expected(name)["interfaces"]}
    wanted = {
        names[row["local_ifIndex"]] for row in expected(name)["neighbours"] if row["local_ifIndex"] in names
    }
    assert wanted <= near
    assert set(made.links["source"]) <= {"lldp one", "cdp one", "hub"}
    known = {row["if_name"] for row in answer(port, name)["interfaces"]}
    named = {row["if_name"] for row in answer(port, name)["neighbors"]}
    assert near <= known | named


def twin(port: int, name: str) -> dict[str, pd.DataFrame]:
    """Return a recording's tables with a mirror of it: each neighbour is a switch that hears it in turn.

    The mirror says what the recording heard of it: chassis id, port ids, names.
    """
    told = tables(port, name)
    heard = told["neighbors"].dropna(subset=["if_name", "remote_chassis_id", "remote_port_id"])
    heard = heard[heard["protocol"] == "lldp"].drop_duplicates(["remote_chassis_id", "remote_port_id"])
    heard = heard.drop_duplicates("if_name", keep=False)
    own = told["devices"].astype(object).where(told["devices"].notna(), None).iloc[0]
    at = own["at"]
    devices = [
        {"at": at, "device": f"mirror {chassis}", "chassis_id": chassis, "unread": ""}
        for chassis in heard["remote_chassis_id"].unique()
    ]
    ports, back = [], []
    rows: Any = heard.itertuples(index=False)
    for row in rows:
        place = {
            "at": at,
            "device": f"mirror {row.remote_chassis_id}",
            "if_name": f"port {row.remote_port_id}",
        }
        ports.append(place | {"lldp_port_id": row.remote_port_id, "if_type": 6, "oper_status": "up"})
        mine = (
            told["interfaces"]
            .set_index("if_name")
            .get("lldp_port_id", pd.Series(dtype=object))
            .get(row.if_name)
        )
        called = mine if isinstance(mine, str) else row.if_name
        near = {
            "remote_chassis_id": own["chassis_id"],
            "remote_port_id": called,
            "remote_sys_name": own["sys_name"],
        }
        back.append(place | near | {"protocol": "lldp"})
    told["devices"] = pd.concat([told["devices"], frames.frame("devices", devices)], ignore_index=True)
    told["interfaces"] = pd.concat([told["interfaces"], frames.frame("interfaces", ports)], ignore_index=True)
    told["neighbors"] = pd.concat([heard, frames.frame("neighbors", back)], ignore_index=True)
    return told


@pytest.mark.parametrize("name", NAMES)
def test_where_the_other_end_is_in_the_set_the_link_is_whole(port: int, name: str) -> None:
    told = twin(port, name)
    made = build_map(*(told[table] for table in MAPPED))
    heard = told["neighbors"][told["neighbors"]["device"] == name]
    rows: Any = heard.itertuples(index=False)
    wanted = {
        frozenset({(name, row.if_name), (f"mirror {row.remote_chassis_id}", f"port {row.remote_port_id}")})
        for row in rows
    }
    assert wanted <= ends(made)
    own = told["devices"].iloc[0]
    if isinstance(own["chassis_id"], str) or isinstance(own["sys_name"], str):
        assert set(made.links["source"]) <= {"lldp both"}


def test_all_recordings_together_make_one_map(port: int) -> None:
    made = mapped(port, *NAMES)
    assert len(made.links) > 50
    between = {device for link in ends(made) for device, _ in link} & set(NAMES)
    assert len(between) > 10
