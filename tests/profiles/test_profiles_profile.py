"""Profiles: the shipped ones are sound, inheritance and choice do what they say."""

from __future__ import annotations

from typing import Any

import pytest

from correlator import frames
from correlator.profiles.profile import ProfileError, choose, load, parse

BASE: dict[str, Any] = {
    "name": "standard",
    "tables": {"system": {"scalars": {"sysDescr": "1.3.6.1.2.1.1.1.0"}}},
    "counters": {"in_errors": [{"sum": ["ifInErrors"], "bits": 32}]},
}


def child(**lines: Any) -> dict[str, Any]:
    return {"name": "child", "extends": "standard", **lines}


@pytest.mark.parametrize("name", sorted(load()))
def test_a_shipped_profile_counts_what_the_table_has(name: str) -> None:
    profile = load()[name]
    assert set(profile.counters) <= set(frames.TABLES["counters"].columns)
    named = {item for ways in profile.counters.values() for way in ways for item in way.sum}
    further = {item for table in profile.further_counters.values() for item in table.columns}
    assert named <= set(profile.tables["counters"].columns) | further


@pytest.mark.parametrize("name", sorted(set(load()) - {"standard"}))
def test_a_shipped_dialect_says_for_whom_it_is(name: str) -> None:
    match = load()[name].match
    assert match.sys_object_ids or match.sys_descr


def test_a_dialect_inherits_all_that_it_does_not_say() -> None:
    profiles = load()
    arista, standard = profiles["arista-eos"], profiles["standard"]
    assert arista.tables == standard.tables
    assert arista.optics["entity_sensors"].columns == standard.optics["entity_sensors"].columns
    assert arista.optics["entity_sensors"].thresholds
    assert not standard.optics["entity_sensors"].thresholds


def test_the_longest_object_id_decides() -> None:
    profiles = load()
    assert choose(profiles, "1.3.6.1.4.1.30065.1.3011.7050", "").name == "arista-eos"
    assert choose(profiles, "1.3.6.1.4.1.30066.1", "Arista").name == "standard"
    assert choose(profiles, "", "").name == "standard"


def test_the_description_decides_where_the_object_id_leaves_it_open() -> None:
    match = {"sys_object_ids": ["1.3.6.1.4.1.8072"]}
    profiles = parse(
        {
            "a": BASE,
            "b": child(match=match),
            "c": child(match={**match, "sys_descr": "SONiC"}) | {"name": "grandchild"},
        }
    )
    assert choose(profiles, "1.3.6.1.4.1.8072.3.2.10", "SONiC Software Version").name == "grandchild"
    assert choose(profiles, "1.3.6.1.4.1.8072.3.2.10", "Linux").name == "child"


def test_a_system_is_itself_on_whosever_box_it_runs() -> None:
    said = "SONiC Software Version: SONiC.4.1.1 - HwSku: S5248F"
    for box in ("1.3.6.1.4.1.8072.3.2.10", "1.3.6.1.4.1.6027.1.3.31", "1.3.6.1.4.1.99999.1"):
        assert choose(load(), box, said).name == "sonic"
    assert choose(load(), "1.3.6.1.4.1.6027.1.3.31", "Dell Application Software").name == "dell-os9"
    assert choose(load(), "1.3.6.1.4.1.1916.2.333", "5520-24X-FabricEngine").name == "extreme-fabric-engine"
    assert choose(load(), "1.3.6.1.4.1.1916.2.93", "ExtremeXOS (X670G2)").name == "extreme-exos"


def test_null_takes_an_inherited_line_away() -> None:
    profiles = parse({"a": BASE, "b": child(counters={"in_errors": None})})
    assert profiles["child"].counters == {}


def test_whom_a_profile_is_for_is_not_inherited() -> None:
    profiles = parse(
        {
            "a": BASE,
            "b": child(match={"sys_descr": "x"}),
            "c": {"name": "third", "extends": "child"},
        }
    )
    assert profiles["third"].match.sys_descr is None


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (child(tabels={}), "b.yaml: tabels: Extra inputs are not permitted"),
        (child(tables={"arp": {"columns": {"x": "1.3.y"}}}), "b.yaml: tables.arp.columns.x: .*is no OID"),
        (child(match={"sys_descr": "("}), "b.yaml: match.sys_descr: .*is no regular expression"),
        (child(counters={"in_errors": [{"sum": ["x"], "bits": 48}]}), "b.yaml: counters.in_errors.0.bits"),
        (child(extends="nobody"), "b.yaml: extends 'nobody', which is not there"),
        (child(extends="child"), "b.yaml: extends 'child', which is not there or extends this one"),
        ("text", "b.yaml: a profile is a mapping with a name"),
        (child(optics={"s": {"columns": {"value": "1.3.6"}, "words": {}}}), "lacks precision, scale, type"),
    ],
)
def test_what_is_wrong_with_a_profile_is_said_with_file_and_key(document: Any, said: str) -> None:
    with pytest.raises(ProfileError, match=said):
        parse({"a.yaml": BASE, "b.yaml": document})
