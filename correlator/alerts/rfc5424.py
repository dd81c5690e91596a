"""An incident event as a syslog message (RFC 5424): printable ASCII, below 2 KB, structured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from correlator.alerts.fields import fields
from correlator.alerts.safe import cut, printable
from correlator.alerts.text import line
from correlator.model import IncidentEvent, utc

SEVERITIES = {"crit": 2, "err": 3, "warning": 4, "notice": 5}
"""RFC 5424, table 2. A cleared event is a notice: many collectors drop what is below."""
MAX_BYTES = 2047
"""Below the 2048 octets that every receiver of RFC 5425 must take and some cut at."""
VALUE_LIMITS = (128, 96, 64, 48, 32, 16)
"""Characters of a field's value, tried in turn until the message fits."""
IDENTITY, IDENTITY_LIMIT = "incident", 64
"""The field that is not cut further: with ``seq`` it tells a repeat."""
MESSAGE_ROOM = 200
"""Characters that are kept for the text while fields are cut."""


@dataclass(frozen=True)
class Origin:
    """Who speaks: the parts of a header that do not change."""

    facility: int
    hostname: str
    app_name: str
    process_id: str
    enterprise_number: int


def message(event: IncidentEvent, origin: Origin) -> bytes:
    """Return the message without framing: at most ``MAX_BYTES`` of printable ASCII, no line end, no BOM."""
    severity = SEVERITIES["notice" if event.event == "cleared" else event.severity]
    header = _header(origin, severity, event.at, f"INCIDENT_{event.event.upper()}")
    sd_id = f"correlator@{origin.enterprise_number}"
    known = fields(event)
    text = line(event)
    for limit in VALUE_LIMITS:
        structured = _element(sd_id, known, limit)
        room = MAX_BYTES - len(header) - len(structured) - 2
        if room >= min(len(text), MESSAGE_ROOM):
            break
    return f"{header} {structured} {cut(text, room)}".encode("ascii")


def remark(origin: Origin, at: datetime, what: str, count: int, text: str) -> bytes:
    """Return a message about the alerts themselves, without framing: such as ``ALERTS_HELD_BACK``."""
    header = _header(origin, SEVERITIES["warning"], at, f"ALERTS_{what.upper()}")
    element = _element(
        f"correlator@{origin.enterprise_number}", {"event.action": what, "count": str(count)}, 64
    )
    return f"{header} {element} {printable(text, MESSAGE_ROOM)}".encode("ascii")


def _header(origin: Origin, severity: int, at: datetime, message_id: str) -> str:
    return " ".join(
        (
            f"<{origin.facility * 8 + severity}>1",
            _timestamp(at),
            _header_field(origin.hostname, 255),
            _header_field(origin.app_name, 48),
            _header_field(origin.process_id, 128),
            message_id,
        )
    )


def _timestamp(at: datetime) -> str:
    return utc(at).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _header_field(text: str, limit: int) -> str:
    """Return printable ASCII without spaces; "-" (nil) for nothing."""
    return "".join(sign for sign in text if "!" <= sign <= "~")[:limit] or "-"


def _element(sd_id: str, values: Mapping[str, str], limit: int) -> str:
    limits = {IDENTITY: max(limit, IDENTITY_LIMIT), "event.reason": 2 * limit}  # a proof is long
    parameters = (f' {name}="{_value(value, limits.get(name, limit))}"' for name, value in values.items())
    return f"[{sd_id}{''.join(parameters)}]"


def _value(text: str, limit: int) -> str:
    """Return a PARAM-VALUE: printable, cut, then ``"``, ``\\`` and ``]`` escaped (section 6.3.3)."""
    shown = printable(text, limit).replace("\\", "\\\\")  # the backslash first: the others bring new ones
    return shown.replace('"', '\\"').replace("]", "\\]")
