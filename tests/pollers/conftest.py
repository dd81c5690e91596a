"""Async tests run on asyncio; the SNMP agent for tests is that of tests/snmp."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "snmp"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
