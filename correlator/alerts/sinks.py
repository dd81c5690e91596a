"""The sinks by their names in the configuration. A new one is a file, a line here, its tests, its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from correlator.alerts.jsonlines import JsonLinesSink
from correlator.alerts.syslog import SyslogSink

SINKS: Mapping[str, type[Any]] = {
    "json_lines": JsonLinesSink,
    "syslog": SyslogSink,
}
"""Each class is a ``ports.Sink``, made from its ``params_type``: a frozen dataclass with ``name``,
whose fields are the keys in the configuration, and which raises ValueError for what cannot be."""
