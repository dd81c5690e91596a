"""Real rsyslogd and syslog-ng understand every field of every alert, hostile names included."""

import dataclasses
import json
import os

import pytest
from alert_events import HOSTILE, event, hostile_event, restore
from certificates import certificates
from rfc5424_reader import parse
from rsyslog import rsyslogd
from syslogng import syslog_ng, unpacked

from correlator.alerts.fields import fields
from correlator.alerts.rfc5424 import MAX_BYTES, MESSAGE_ROOM, Origin, message
from correlator.alerts.syslog import SyslogParams, SyslogSink
from correlator.alerts.text import line
from correlator.ports import SinkError

pytestmark = pytest.mark.real

SD_ID = "correlator@32473"
TOLD = [event(), event(event="updated", seq=2), event(event="cleared", seq=3, reason="no errors left")]
TOLD += [dataclasses.replace(hostile_event(name), seq=4 + n) for n, name in enumerate(HOSTILE)]
TO_RSYSLOG = {
    "udp": ("udp", {"transport": "udp"}),
    "tcp by lines": ("tcp", {"transport": "tcp"}),
    "tcp by octets": ("tcp", {"transport": "tcp", "framing": "octet"}),
    "ptcp by lines": ("ptcp", {"transport": "tcp"}),
    "ptcp by octets": ("ptcp", {"transport": "tcp", "framing": "octet"}),
    "tls": ("tls", {"transport": "tls"}),
    "local": ("local", {"transport": "local"}),
}
TO_SYSLOG_NG = {
    "tcp by lines": ("lf", {"transport": "tcp"}),
    "tcp by octets": ("octet", {"transport": "tcp", "framing": "octet"}),
    "tls": ("tls", {"transport": "tls"}),
}


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("pems"))


@pytest.fixture(scope="module")
def syslog_ng_root(tmp_path_factory):
    return unpacked(tmp_path_factory.mktemp("syslog-ng"))


def params(where, pems, **settings) -> SyslogParams:
    if settings["transport"] == "tls":
        files = {"ca_file": pems["ca"], "cert_file": pems["client"], "key_file": pems["client_key"]}
        settings = {**files, **settings}
    place = (
        {"address": str(where)}
        if settings["transport"] == "local"
        else {"address": "127.0.0.1", "port": where}
    )
    return SyslogParams(**{**place, "hostname": "collector1", **settings})


def send(told, where, pems, **settings) -> None:
    sink = SyslogSink(params(where, pems, **settings))
    assert sink.send(told) == len(told)
    sink.close()


def without_link(values: dict[str, str]) -> dict[str, str]:
    """Return the fields but ``link``: two hostile names together may be longer than a field."""
    return {name: value for name, value in values.items() if name != "link"}


def text(sent) -> str:
    """Return the text that must arrive: the whole line, but where long names in the fields left less room."""
    wire = message(sent, Origin(21, "collector1", "correlator", str(os.getpid()), 32473))
    said = parse(wire)["text"].decode()
    assert len(wire) <= MAX_BYTES
    assert said == line(sent) or (len(said) >= MESSAGE_ROOM - 16 and said.endswith("..."))
    return said


def test_of_what_is_sent_only_the_longest_names_cost_any_text():
    assert [sent.seq for sent in TOLD if text(sent) != line(sent)] == [6, 8]


@pytest.mark.parametrize("way", TO_RSYSLOG)
def test_rsyslogd_understands_every_field(tmp_path, pems, way):
    port, settings = TO_RSYSLOG[way]
    with rsyslogd(tmp_path, pems) as daemon:
        send(TOLD, getattr(daemon, port), pems, **settings)
        received = daemon.received(len(TOLD))
    for sent, got in zip(TOLD, received, strict=True):
        assert got["message_id"] == f"INCIDENT_{sent.event.upper()}"
        assert got["severity"] == ("5" if sent.event == "cleared" else "3")
        assert (got["facility"], got["hostname"], got["app_name"]) == ("21", "collector1", "correlator")
        assert got["timestamp"].startswith("2026-11-01T03:17:00.000000")
        assert got["text"].strip() == text(sent)
        values = json.loads(got["elements"])[SD_ID]
        assert {name: restore(v) for name, v in without_link(values).items()} == without_link(fields(sent))


def test_the_shipped_rsyslog_configuration_makes_the_documented_fields(tmp_path, pems):
    with rsyslogd(tmp_path, pems) as daemon:
        send(TOLD, daemon.tls, pems, transport="tls")
        received = daemon.deployed(len(TOLD))
    for sent, got in zip(TOLD, received, strict=True):
        assert got["message"] == text(sent)
        assert got["log.syslog.msgid"] == f"INCIDENT_{sent.event.upper()}"
        ours = {name: restore(value) for name, value in got.items() if name in fields(sent)}
        assert without_link(ours) == without_link(fields(sent))
        assert set(got) - set(ours) == {"@timestamp", "message"} | {
            f"log.syslog.{name}"
            for name in ("facility.code", "severity.code", "hostname", "appname", "procid", "msgid")
        }


@pytest.mark.parametrize("way", TO_SYSLOG_NG)
def test_syslog_ng_understands_every_field(tmp_path, pems, syslog_ng_root, way):
    port, settings = TO_SYSLOG_NG[way]
    with syslog_ng(syslog_ng_root, tmp_path, pems) as daemon:
        send(TOLD, getattr(daemon, port), pems, **settings)
        received = daemon.received(len(TOLD))
    for sent, got in zip(TOLD, received, strict=True):
        assert got["MSGID"] == f"INCIDENT_{sent.event.upper()}"
        assert got["PRIORITY"] == ("notice" if sent.event == "cleared" else "err")
        assert (got["HOST"], got["PROGRAM"], got["FACILITY"]) == ("collector1", "correlator", "local5")
        assert got["MESSAGE"].strip() == text(sent)
        values = flat(got["_SDATA"][SD_ID])
        assert {name: restore(v) for name, v in without_link(values).items()} == without_link(fields(sent))


def flat(nested: dict, prefix: str = "") -> dict[str, str]:
    """Return fields by their whole names: syslog-ng makes objects of names with dots."""
    found = {}
    for name, value in nested.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


@pytest.mark.parametrize("daemon", ["rsyslogd", "syslog-ng"])
def test_without_our_certificate_nothing_is_taken_and_nothing_counts_as_sent(tmp_path, pems, request, daemon):
    started = (
        rsyslogd(tmp_path, pems)
        if daemon == "rsyslogd"
        else syslog_ng(request.getfixturevalue("syslog_ng_root"), tmp_path, pems)
    )
    with started as receiver:
        for files in ({"cert_file": None, "key_file": None}, stranger(pems)):
            sink = SyslogSink(params(receiver.tls, pems, transport="tls", **files))
            with pytest.raises(SinkError, match="takes no alerts"):
                sink.send(TOLD)
            sink.close()
        send(TOLD, receiver.tls, pems, transport="tls")
        assert len(receiver.received(len(TOLD))) == len(TOLD)


def stranger(pems):
    return {"cert_file": pems["stranger"], "key_file": pems["stranger_key"]}


def test_a_receiver_that_we_do_not_trust_is_told_nothing(tmp_path, pems):
    impostor = {**pems, "server": pems["stranger"], "server_key": pems["stranger_key"]}
    with rsyslogd(tmp_path, impostor) as daemon:
        sink = SyslogSink(params(daemon.tls, pems, transport="tls"))
        with pytest.raises(SinkError, match="its certificate is not trusted"):
            sink.send(TOLD)
        other = SyslogSink(
            params(daemon.tls, {**pems, "ca": pems["stranger"]}, transport="tls", server_name="x.y")
        )
        with pytest.raises(SinkError, match=r"not trusted: .*mismatch"):
            other.send(TOLD)
        assert not (tmp_path / "received").exists()
