"""The laboratory of two Docker engines, made once for all tests that need it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import agent_lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    lacking = agent_lab.missing()
    if lacking:
        pytest.skip(f"two Docker engines: {lacking}")
    made = agent_lab.Lab(tmp_path_factory.mktemp("lab"))
    try:
        made.open()
        yield made
    finally:
        made.close()


@pytest.fixture
def agents(lab):
    """The two engines with an agent of their own each, and a reader of each; agents end with the test."""
    lab.wire()
    for engine in lab.engines:
        engine.start_agent()
    yield [(engine, engine.reader()) for engine in lab.engines]
    for engine in lab.engines:
        engine.stop_agent()
