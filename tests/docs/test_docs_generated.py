"""The generated pages say what the code says."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_pages_are_up_to_date(generate: ModuleType) -> None:
    stale = [path.name for path, text in generate.pages().items() if path.read_text() != text]
    assert stale == [], "run `make docs`"


def test_the_schema_of_a_verdict_names_every_field(generate: ModuleType) -> None:
    schema = json.loads(generate.verdict_schema())
    assert {"id", "kind", "link", "direction", "root_cause", "actions", "evidence"} <= set(
        schema["properties"]
    )


def test_every_engine_module_has_its_page() -> None:
    engine = Path(__file__).parents[2] / "correlator" / "engine"
    hub = {"conclude", "proof", "settings", "side", "steps", "view"}  # cycle.md tells of these
    parts = {"__init__", "lanes", "tally"}  # of optics, and of sums
    parts |= {"hours", "significance", "onsets"}  # baseline, symptoms
    parts |= {"identities", "hearsay", "settling", "attachment", "network", "path_sets"}  # topology, paths
    parts |= {"life", "places", "status"}  # incidents, work orders, dead links
    modules = {path.stem for path in engine.glob("*.py")} - hub - parts
    pages = {path.stem for path in (DOCS / "algorithms").glob("*.md")}
    assert modules - pages == set()
