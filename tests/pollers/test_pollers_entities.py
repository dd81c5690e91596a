"""From a sensor to its port."""

from __future__ import annotations

import re
from typing import Any

from correlator.pollers.entities import Entities
from correlator.pollers.names import Names

NAMES = Names.of({(5,): {"ifName": b"Ethernet5"}, (9,): {"ifName": b"Ethernet49/1"}})


def entity(inside: int, name: str = "", descr: str = "", kind: int = 8, **more: Any) -> dict[str, Any]:
    return {
        "entPhysicalContainedIn": inside,
        "entPhysicalName": name.encode(),
        "entPhysicalDescr": descr.encode(),
        "entPhysicalClass": kind,
        **more,
    }


def port(
    rows: dict[int, dict[str, Any]], aliases: dict[int, str] | None = None, words: str = ""
) -> int | None:
    entities = Entities.of(
        {(number,): row for number, row in rows.items()},
        {(number, 0): {"entAliasMappingIdentifier": oid} for number, oid in (aliases or {}).items()},
    )
    return entities.port(100, NAMES, re.compile(words) if words else None)[0]


def test_the_nearest_holder_that_is_mapped_to_an_interface_is_the_port() -> None:
    rows = {100: entity(30), 30: entity(20), 20: entity(10), 10: entity(0)}
    assert port(rows, {20: "1.3.6.1.2.1.2.2.1.1.5", 10: "1.3.6.1.2.1.2.2.1.1.9"}) == 5


def test_a_holder_that_bears_an_interfaces_name_is_the_port() -> None:
    assert port({100: entity(30), 30: entity(20, name="Ethernet5"), 20: entity(0)}) == 5
    assert port({100: entity(30), 30: entity(0, descr="ethernet49/1")}) == 9


def test_else_the_words_may_name_the_port() -> None:
    rows = {100: entity(0, descr="DOM RX Power Sensor for Ethernet49/1")}
    assert port(rows) is None
    assert port(rows, words=r"for (\S+)$") == 9


def test_a_lane_that_is_no_interface_belongs_to_the_first_of_its_cage() -> None:
    rows = {(100,): entity(0, descr="DOM RX Power Sensor for ethernet49/3")}
    entities = Entities.of({index: dict(row) for index, row in rows.items()}, {})
    assert entities.port(100, NAMES, re.compile(r"for (\S+)$")) == (9, 3)


def test_what_is_mapped_within_the_cage_is_the_port() -> None:
    cage = {**entity(0), "entPhysicalClass": 5}
    rows = {(100,): entity(30), (30,): cage, (31,): entity(30)}
    mapped = {(31, 0): {"entAliasMappingIdentifier": "1.3.6.1.2.1.2.2.1.1.5"}}
    assert Entities.of(rows, mapped).port(100, NAMES, None) == (5, None)


def test_a_mapping_to_something_else_is_none() -> None:
    rows = {100: entity(30), 30: entity(0)}
    assert port(rows, {30: "1.3.6.1.2.1.2.2.1.1.77"}) is None
    assert port(rows, {30: "1.3.6.1.2.1.17.1.4.1.1.5"}) is None
    assert port(rows, {30: "1.3.6.1.2.1.2.2.1.1."}) is None


def test_climbing_ends_at_a_loop_and_at_what_is_not_there() -> None:
    assert port({100: entity(30), 30: entity(100)}) is None
    assert port({100: entity(777)}) is None
    assert port({}) is None
    assert port({100 + n: entity(101 + n) for n in range(40)}) is None


def test_the_module_is_the_nearest_thing_with_a_model_or_serial_number() -> None:
    rows = {
        100: entity(30),
        30: entity(20, entPhysicalModelName=b"SFP-25G-LR", entPhysicalSerialNum=b"SN7", kind=9),
        20: entity(10, entPhysicalModelName=b"Line card", kind=9),
        10: entity(0, entPhysicalModelName=b"Chassis", kind=3),
    }
    entities = Entities.of({(number,): row for number, row in rows.items()}, {})
    assert entities.module(100) == ("SFP-25G-LR", "SN7")


def test_a_chassis_is_no_module() -> None:
    rows = {100: entity(10), 10: entity(0, entPhysicalModelName=b"Chassis", kind=3)}
    entities = Entities.of({(number,): row for number, row in rows.items()}, {})
    assert entities.module(100) == (None, None)
