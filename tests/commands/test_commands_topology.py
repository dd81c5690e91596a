from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from correlator import frames
from correlator.cli import app
from correlator.commands.topology import drawing, known_map, lines
from correlator.engine.cycle import run_cycle
from correlator.reports.map_chart import Wire, map_chart

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
import itertools

from small_clos import SmallClos, Story, uplink

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def fabric() -> SmallClos:
    spine = uplink(2, 1)
    return SmallClos(
        Story(seed=3, lossy={uplink(0, 1): 0.02}, shut=frozenset({spine}), unpolled=frozenset({"leaf3"}))
    )


@pytest.fixture(scope="module")
def answer(fabric: SmallClos) -> dict[str, Any]:
    tables, now = fabric.tables()
    return known_map(run_cycle(tables, (), now), tables)


def state(answer: dict[str, Any], end: tuple[str, str]) -> str:
    (found,) = [
        link["state"]
        for link in answer["links"]
        if end in ((link["a_device"], link["a_if_name"]), (link["b_device"], link["b_if_name"]))
    ]
    return str(found)


def test_every_link_has_its_state(answer: dict[str, Any]) -> None:
    assert len(answer["links"]) == 15
    assert state(answer, ("leaf0", "swp11")) == "sick"
    assert state(answer, ("leaf1", "swp11")) == "healthy"
    assert state(answer, ("leaf3", "swp0")) == "unknown"
    json.dumps(answer, allow_nan=False)


def test_what_cannot_be_seen_is_told(answer: dict[str, Any]) -> None:
    kinds = {spot["kind"] for spot in answer["blind_spots"]}
    assert {"one_sided", "no_light"} <= kinds
    coverage = answer["coverage"]
    assert coverage["pairs"] > 10
    assert 0.0 < coverage["not"] < coverage["partly"] <= 1.0  # both hosts of leaf3, and all others
    assert coverage["fully"] + coverage["partly"] + coverage["not"] == pytest.approx(1.0)


def test_the_lines_name_source_confidence_and_health(answer: dict[str, Any]) -> None:
    told = "\n".join(lines(answer))
    assert "leaf0 swp11 - spine1 swp0  sick; by lldp both, 99% sure, seen 2026-05-06 09:00Z" in told
    assert "paths of" in told.splitlines()[-1]


def test_the_drawing_stands_alone_and_tells_health_by_class(answer: dict[str, Any]) -> None:
    root = ET.fromstring(drawing(answer))
    assert root.tag == f"{SVG}svg"
    classes = [line.get("class") for line in root.iter(f"{SVG}line")]
    assert {"sick", "healthy", "unknown"} <= set(classes)
    assert "http" not in drawing(answer).replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in drawing(answer)


def test_fifty_switches_are_drawn_in_layers_that_do_not_overlap() -> None:
    leaves, spines = [f"leaf{i}" for i in range(40)], [f"spine{i}" for i in range(10)]
    wires = [Wire(leaf, spine, "healthy", "") for leaf in leaves for spine in spines]
    hosts = [f"host{i}" for i in range(400)]
    wires += [Wire(host, leaves[i % 40], "healthy", "") for i, host in enumerate(hosts)]
    root = ET.fromstring(str(map_chart(wires, hosts, [], "fifty")))
    boxes = [
        (float(r.get("x", "")), float(r.get("y", "")), float(r.get("width", "")))
        for r in root.iter(f"{SVG}rect")
    ]
    assert len(boxes) == 50
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    assert width < 1600  # a screen
    assert height > width / 5  # lines that do not lie flat
    assert all(x >= 0 and x + wide <= width for x, _, wide in boxes)
    for y in {y for _, y, _ in boxes}:
        row = sorted((x, width) for x, at, width in boxes if at == y)
        assert all(x + width < after for (x, width), (after, _) in itertools.pairwise(row))
    assert "10 hosts" in "".join(root.itertext())


def test_what_devices_are_called_cannot_break_the_drawing() -> None:
    evil = '</svg><script>alert("x")</script>'
    drawn = str(map_chart([Wire(evil, "b", "sick", evil)], [], [evil], evil))
    assert "<script" not in drawn
    ET.fromstring(drawn)


def test_nothing_known_is_an_empty_drawing() -> None:
    drawn = ET.fromstring(str(map_chart([], [], [], "nothing")))
    assert drawn.tag.endswith("svg")
    assert not list(drawn.iter("{http://www.w3.org/2000/svg}line"))


def test_a_folder_of_tables_is_shown(fabric: SmallClos, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    tables, _ = fabric.tables()
    for name, table in tables.items():
        if len(table):
            pq.write_table(frames.to_arrow(name, table), tmp_path / f"{name}.parquet")
    target = tmp_path / "map.svg"
    done = CliRunner().invoke(app, ["topology", "--tables", str(tmp_path), "--svg", str(target), "--json"])
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)["links"]) == 15
    ET.fromstring(target.read_text())
