"""The SNMP agent for tests is that of tests/snmp, its switch that of tests/pollers."""

from __future__ import annotations

import sys
from pathlib import Path

for room in ("snmp", "pollers"):
    sys.path.insert(0, str(Path(__file__).parents[1] / room))
