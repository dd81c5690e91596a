"""``correlator topology``: the map of links as it is known, what speaks against it, what cannot be seen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from correlator.commands.options import ConfigFile, Json, configuration, moment, out, print_json, progress

if TYPE_CHECKING:
    import pandas as pd

    from correlator.engine.cycle import Cycle
    from correlator.ports import Tables

At = Annotated[str | None, typer.Option(help="The time of the map, ISO 8601; the newest known if left out.")]
Svg = Annotated[Path | None, typer.Option(help="Write a drawing of the map to this file (SVG).")]
Folder = Annotated[
    Path | None, typer.Option(help="Folder of Parquet files named by table; without it, the store is read.")
]
LINK = ("a_device", "a_if_name", "b_device", "b_if_name")
MOST_SPOTS = 10
"""Blind spots listed of a kind; --json has all."""


def topology(
    at: At = None,
    svg: Svg = None,
    tables: Folder = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Show the map of links: by what each is known, how sure, its health, and what cannot be seen."""
    when = moment("--at", at)
    with progress.status("reading what is known"):
        answer = known_map(*_read(when, tables, config))
    if svg is not None:
        _write(svg, drawing(answer))
    if as_json:
        print_json(answer)
        return
    for line in lines(answer):
        out.print(line, markup=False)


def _read(at: datetime | None, folder: Path | None, config: Path | None) -> tuple[Cycle, Tables]:
    """Return the cycle at a time, and its tables; nothing is kept and nobody is alerted."""
    from correlator import wiring
    from correlator.commands.explain import last_known
    from correlator.commands.folder import read_folder
    from correlator.config import Config
    from correlator.engine.cycle import run_cycle
    from correlator.pipeline import Readable, read_tables

    source: Readable
    if folder is not None:
        params = wiring.params(configuration(config) if config else Config())
        source = given = read_folder(folder)
        now = at or given.span()[1]
    else:
        settings = configuration(config)
        params = wiring.params(settings)
        source = store = wiring.open_store(settings)
        now = at or last_known(store, wiring.SystemClock().now(), params)
    tables = read_tables(source, now, params)
    return run_cycle(tables, (), now, params.engine), tables


def known_map(cycle: Cycle, tables: Tables) -> dict[str, Any]:
    """Return the map as plain values.

    Keys: at, links (ends, source, confidence, seen_at, aggregates, usable, idle, state), devices not
    asked (boxes), contradictions, blind_spots, coverage (share of host pairs whose path is observed
    fully, partly, not), hosts.
    """
    from correlator.engine import blind, paths
    from correlator.engine.topology import current
    from correlator.engine.view import routed

    fabric = cycle.fabric
    now = dict(tables) | {"interfaces": current(tables["interfaces"], tables["devices"], {"interfaces"})}
    known = cycle.light[cycle.light["known"].astype(bool)]
    numbers = known["number"].to_numpy(dtype="int64")
    lit = cycle.health.loc[numbers, ["receiver_device", "receiver_if_name"]]
    lit.columns = ["device", "if_name"]
    hosts = sorted(set(tables["hosts"]["host"].dropna()))
    talking = cycle.pairs[["src_host", "dst_host"]].drop_duplicates()
    talking = talking[talking["src_host"] != talking["dst_host"]]
    wanted = list(talking.itertuples(index=False, name=None))
    found = paths.find_paths(cycle.health, hosts, wanted, fabric.closed, routed(tables, fabric))
    observed = cycle.health["errors_known"].to_numpy(dtype=bool)
    return {
        "at": cycle.now.isoformat(),
        "links": _links(fabric.links, cycle.health),
        "boxes": _plain(fabric.boxes),
        "hosts": hosts,
        "contradictions": _plain(fabric.contradictions),
        "blind_spots": _plain(blind.blind_spots(fabric.links, fabric.boxes, lit, now)),
        "coverage": blind.coverage(observed, found.forward, found.reverse),
    }


def _links(links: pd.DataFrame, health: pd.DataFrame) -> list[dict[str, Any]]:
    rows = _plain(links.assign(seen_at=links["seen_at"].map(lambda at: at.isoformat(), na_action="ignore")))
    for number, row in enumerate(rows):
        row["state"] = _state(row, health.iloc[2 * number : 2 * number + 2])
    return rows


def _state(link: dict[str, Any], both: pd.DataFrame) -> str:
    """Return idle, sick, congested, healthy (as far as either direction is measured) or unknown."""
    if not link["usable"]:
        return "idle"
    if both["sick"].any():
        return "sick"
    if both["dropping"].any():
        return "congested"
    return "healthy" if both["errors_known"].any() else "unknown"


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table's rows with null for what is not known."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def drawing(answer: dict[str, Any]) -> str:
    """Return the map as an SVG document."""
    from correlator.reports.map_chart import Wire, map_chart

    wires = [
        Wire(link["a_device"], link["b_device"], link["state"], f"{_ends(link)}: {_words(link)}")
        for link in answer["links"]
    ]
    title = f"{len(wires)} links at {answer['at'][:16].replace('T', ' ')}Z"
    return str(map_chart(wires, answer["hosts"], [box["device"] for box in answer["boxes"]], title))


def _write(path: Path, text: str) -> None:
    from correlator.ports import CorrelatorError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CorrelatorError(f"{path}: cannot be written: {error.strerror}") from None


def lines(answer: dict[str, Any]) -> Iterator[str]:
    """Yield the map as lines."""
    yield f"{len(answer['links'])} links at {answer['at'][:16].replace('T', ' ')}Z"
    wide = max((len(_ends(link)) for link in answer["links"]), default=0)
    for link in answer["links"]:
        yield f"  {_ends(link):{wide}}  {_words(link)}"
    for box in answer["boxes"]:
        passes = "traffic may pass it" if box["passes"] else "it passes nothing on"
        yield f"not asked: {box['device']} ({box['kind']}; {passes})"
    for odd in answer["contradictions"]:
        yield f"contradiction: {odd['text']}"
    yield from _spots(answer["blind_spots"])
    seen = answer["coverage"]
    if seen["pairs"]:
        yield (
            f"paths of {seen['pairs']:.0f} pairs of hosts: {seen['fully']:.0%} fully observed, "
            f"{seen['partly']:.0%} partly, {seen['not']:.0%} not"
        )


def _spots(spots: list[dict[str, Any]]) -> Iterator[str]:
    kinds = dict.fromkeys(spot["kind"] for spot in spots)
    for kind in kinds:
        mine = [spot["text"] for spot in spots if spot["kind"] == kind]
        for text in mine[:MOST_SPOTS]:
            yield f"blind: {text}"
        if len(mine) > MOST_SPOTS:
            yield f"blind: and {len(mine) - MOST_SPOTS} more of this kind (--json has them)"


def _ends(link: dict[str, Any]) -> str:
    return f"{link['a_device']} {link['a_if_name']} - {link['b_device']} {link['b_if_name']}"


def _words(link: dict[str, Any]) -> str:
    idle = f" ({link['idle']})" if link["idle"] else ""
    lag = " and ".join(
        f"{link[f'{side}_device']} {link[f'{side}_aggregate']}" for side in "ab" if link[f"{side}_aggregate"]
    )
    seen = (
        f", seen {link['seen_at'][:16].replace('T', ' ')}Z"
        if link["seen_at"] and link["source"] != "cable"
        else ""
    )
    return f"{link['state']}{idle}; by {link['source']}, {link['confidence']:.0%} sure{seen}" + (
        f"; member of {lag}" if lag else ""
    )
