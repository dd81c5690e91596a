"""The configuration: YAML in, checked settings out; every error names file, line, key and remedy.

``load`` gives a ``Config``; a place in a file is kept for each key, so that errors found late (a secret
that is not there) still name their line.
"""

from correlator.config.document import ConfigError
from correlator.config.loading import find, load
from correlator.config.sections import (
    Agents,
    Alerts,
    Cable,
    Host,
    Maintenance,
    Metrics,
    Periods,
    Receiver,
    Report,
    Section,
    Snmp,
    StateSection,
    StoreSection,
    Switch,
)
from correlator.config.whole import Config

__all__ = [
    "Agents",
    "Alerts",
    "Cable",
    "Config",
    "ConfigError",
    "Host",
    "Maintenance",
    "Metrics",
    "Periods",
    "Receiver",
    "Report",
    "Section",
    "Snmp",
    "StateSection",
    "StoreSection",
    "Switch",
    "find",
    "load",
]
