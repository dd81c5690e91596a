import dataclasses
import re
from pathlib import Path

import pytest
from alert_events import DIRTY, HOSTILE, event, hostile_event, restore
from hypothesis import given
from hypothesis import strategies as st
from rfc5424_reader import parse

from correlator.alerts.fields import fields
from correlator.alerts.rfc5424 import MAX_BYTES, MESSAGE_ROOM, VALUE_LIMITS, Origin, message
from correlator.alerts.text import line

DEPLOYED = Path(__file__).parents[2] / "deploy" / "rsyslog" / "correlator.conf"
DOCUMENTED = Path(__file__).parents[2] / "docs" / "alerts.md"
ORIGIN = Origin(21, "collector1.example.net", "correlator", "4711", 32473)
NAMES = st.text(st.characters(exclude_categories=[]), max_size=200)


def test_the_header_is_the_rfcs():
    read = parse(message(event(), ORIGIN))
    assert read["pri"] == "171"  # local5 (21) * 8 + err (3)
    assert (read["facility"], read["severity"], read["version"]) == (21, 3, "1")
    assert read["timestamp"] == "2026-11-01T03:17:00.000000Z"
    assert read["hostname"] == "collector1.example.net"
    assert (read["app_name"], read["process_id"]) == ("correlator", "4711")
    assert read["message_id"] == "INCIDENT_OPENED"
    assert read["text"] == line(event()).encode()


@pytest.mark.parametrize(("severity", "number"), [("crit", 2), ("err", 3), ("warning", 4), ("notice", 5)])
def test_severities_are_the_rfcs(severity, number):
    assert parse(message(event(severity=severity), ORIGIN))["severity"] == number


def test_a_clear_is_a_notice_whatever_it_clears():
    read = parse(message(event(event="cleared", severity="crit"), ORIGIN))
    assert read["severity"] == 5
    assert read["message_id"] == "INCIDENT_CLEARED"


def test_the_fields_say_which_link_which_end_and_what_to_do():
    (values,) = parse(message(event(), ORIGIN))["elements"].values()
    assert values == fields(event())
    assert values["link"] == "leaf2 Ethernet49 - spine1 Ethernet2"
    assert values["direction"] == "b_to_a"
    assert (values["sender_device"], values["sender_interface"]) == ("spine1", "Ethernet2")
    assert (values["receiver_device"], values["receiver_interface"]) == ("leaf2", "Ethernet49")
    assert (values["observer.name"], values["observer.ingress.interface.name"]) == ("leaf2", "Ethernet49")
    assert (values["action"], values["root_cause"]) == ("inspect_and_clean", "dirty_connector")
    assert (values["pairs"], values["slower_by"], values["probability"]) == ("14", "5.20", "0.980")


def test_rack_and_panel_stand_beside_device_and_interface():
    action = dataclasses.replace(DIRTY.actions[0], rack="r12", panel='P3/14 "east"')
    sent = event(dataclasses.replace(DIRTY, actions=(action, DIRTY.actions[1])))
    wire = message(sent, ORIGIN)
    (values,) = parse(wire)["elements"].values()
    assert (values["rack"], values["panel"]) == ("r12", 'P3/14 "east"')
    assert rb'rack="r12" panel="P3/14 \"east\""' in wire
    assert not {"rack", "panel"} & set(fields(event()))


def test_a_proof_is_longer_than_a_name_and_still_fits():
    told = dataclasses.replace(hostile_event("n" * 5000), event="cleared", reason="proof " * 100)
    wire = message(told, ORIGIN)
    (values,) = parse(wire)["elements"].values()
    assert len(wire) <= MAX_BYTES
    assert len(values["event.reason"]) > len(values["rack"])
    assert len(parse(wire)["text"]) >= MESSAGE_ROOM


def test_documentation_and_the_rsyslog_configuration_know_every_field():
    everything = set(fields(hostile_event("x")))
    assert {"rack", "panel", "event.reason"} <= everything
    assert everything <= set(re.findall(r"correlator@32473!([\w.]+)", DEPLOYED.read_text()))
    assert everything <= set(re.findall(r"`([\w.]+)`", DOCUMENTED.read_text()))


def test_what_is_not_known_has_no_field():
    bare = dataclasses.replace(
        DIRTY, kind="unknown", link=None, direction=None, actions=(), pairs=(), onset=None
    )
    values = fields(event(bare))
    assert values["pairs"] == "0"
    assert not {
        "link",
        "direction",
        "observer.name",
        "lane",
        "slower_by",
        "event.start",
        "event.reason",
    } & set(values)


def test_the_sd_id_carries_the_configured_enterprise_number():
    origin = dataclasses.replace(ORIGIN, enterprise_number=99999)
    assert list(parse(message(event(), origin))["elements"]) == ["correlator@99999"]


def test_an_odd_host_name_cannot_break_the_header():
    read = parse(message(event(), dataclasses.replace(ORIGIN, hostname="a b\nü", process_id="")))
    assert read["hostname"] == "ab"
    assert read["process_id"] == "-"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_arrive_as_they_were(name):
    sent = hostile_event(name)
    (values,) = parse(message(sent, ORIGIN))["elements"].values()
    known = fields(sent)
    whole = {key: restore(value) for key, value in values.items() if key != "link"}  # two names: may be cut
    assert whole == {key: value for key, value in known.items() if key != "link"}
    assert known["link"].startswith(restore(values["link"].removesuffix("...")))


@given(NAMES)
def test_any_name_gives_a_message_that_parses_and_keeps_to_its_size(name):
    sent = hostile_event(name)
    wire = message(sent, ORIGIN)
    assert len(wire) <= MAX_BYTES
    assert all(32 <= byte <= 126 for byte in wire)
    (values,) = parse(wire)["elements"].values()
    known = fields(sent)
    assert list(values) == list(known)
    for key, value in values.items():
        if not value.endswith("..."):
            assert restore(value) == known[key]


def test_the_worst_names_leave_room_for_identity_and_text():
    sent = dataclasses.replace(hostile_event("\\" * 5000), incident="i" * 60)
    origin = Origin(23, "h" * 300, "a" * 300, "p" * 300, 2**31)
    wire = message(sent, origin)
    assert len(wire) <= MAX_BYTES
    (values,) = parse(wire)["elements"].values()
    assert values["incident"] == "i" * 60
    assert values["seq"] == "1"


def test_the_first_limit_that_fits_is_taken():
    long = message(hostile_event("n" * 100), ORIGIN)
    assert b"n" * (VALUE_LIMITS[-1] + 1) in long
