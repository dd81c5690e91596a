"""Real rsyslogd understands every field of every alert, hostile names included."""

import dataclasses
import json

import pytest
from alert_events import HOSTILE, event, hostile_event, restore
from rsyslog import rsyslogd

from correlator.alerts.fields import fields
from correlator.alerts.syslog import SyslogParams, SyslogSink
from correlator.alerts.text import line

pytestmark = pytest.mark.real

WAYS = [
    ("udp", "udp", "lf"),
    ("tcp", "tcp", "lf"),
    ("tcp", "tcp", "octet"),
    ("ptcp", "tcp", "lf"),
    ("ptcp", "tcp", "octet"),
]


@pytest.mark.parametrize(("receiver", "transport", "framing"), WAYS)
def test_rsyslogd_understands_every_field(tmp_path, receiver, transport, framing):
    told = [event(), event(event="updated", seq=2), event(event="cleared", seq=3, reason="no errors left")]
    told += [dataclasses.replace(hostile_event(name), seq=4 + n) for n, name in enumerate(HOSTILE)]
    with rsyslogd(tmp_path) as daemon:
        port = getattr(daemon, receiver)
        sink = SyslogSink(SyslogParams("127.0.0.1", port, transport, framing, hostname="collector1"))
        assert sink.send(told) == len(told)
        sink.close()
        received = daemon.received(len(told))
    for sent, got in zip(told, received, strict=True):
        assert got["message_id"] == f"INCIDENT_{sent.event.upper()}"
        assert got["severity"] == ("5" if sent.event == "cleared" else "3")
        assert (got["facility"], got["hostname"], got["app_name"]) == ("21", "collector1", "correlator")
        assert got["timestamp"].startswith("2026-11-01T03:17:00.000000")
        assert got["text"].strip() == line(sent)
        known = {name: value for name, value in fields(sent).items() if name != "link"}
        values = json.loads(got["elements"])["correlator@32473"]
        assert {name: restore(value) for name, value in values.items() if name != "link"} == known
