"""One cycle: from the window's tables to verdicts, findings and incidents. A table of contents.

Page: docs/algorithms/cycle.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from correlator.engine import conclude, incidents, joint, localize, memory
from correlator.engine.dead import dead_links, taken_over
from correlator.engine.memory import Memory
from correlator.engine.places import Places
from correlator.engine.proof import Proof
from correlator.engine.remarks import Remarks
from correlator.engine.settings import Params
from correlator.engine.topology import Map
from correlator.engine.trouble import Trouble
from correlator.engine.view import Drawn, View, accepted, drawn, look
from correlator.model import Incident, IncidentEvent, Verdict, utc

__all__ = ["Cycle", "Drawn", "Memory", "Params", "remember", "run_cycle"]


@dataclass(frozen=True)
class Cycle:
    """What one cycle concluded.

    ``incidents`` are those that changed (to be kept), ``events`` what is to be alerted. Tables:
    ``pairs`` one row a host pair × service pair (columns of ``symptoms.symptoms``),
    ``container_pairs`` one row a container pair beneath them, ``links`` the map's links, ``health``
    one row a directed link, ``light`` one row a directed link and lane (``number`` = row of
    ``health``). ``fabric`` is the whole map, ``drawn`` what the next cycle may be given of it.
    """

    now: datetime
    verdicts: tuple[Verdict, ...]
    findings: tuple[Verdict, ...]
    incidents: tuple[Incident, ...]
    events: tuple[IncidentEvent, ...]
    pairs: pd.DataFrame
    container_pairs: pd.DataFrame
    links: pd.DataFrame
    health: pd.DataFrame
    light: pd.DataFrame
    fabric: Map
    drawn: Drawn


def run_cycle(
    tables: Mapping[str, pd.DataFrame],
    open_incidents: Sequence[Incident],
    now: datetime,
    params: Params | None = None,
    past: Memory | None = None,
    before: Drawn | None = None,
) -> Cycle:
    """Return what the tables of the window say at ``now``.

    ``tables`` may lack any table: what is not there is unknown. Raw tables reach half an hour back,
    hourly ones weeks. Rows from the future are left out. Pure: the same input gives the same answer.
    ``past``: what was remembered of the hourly tables for this hour; then these need not be there.
    ``before``: an earlier cycle's ``drawn``; its map serves where the tables that tell it are the same.
    Raises ValueError for a naive ``now`` and for a past of another hour.
    """
    params, now = params or Params(), utc(now)
    view = look(accepted(tables, now), now, params, past, before)
    suspects = localize.localize(view.evidence, params.localize)
    blamed = conclude.blames(view, suspects, params)
    view = conclude.accused(view, blamed, params)
    verdicts = conclude.link_verdicts(view, blamed, params) + conclude.host_verdicts(view, params)
    verdicts += conclude.service_verdicts(view, params)
    verdicts += conclude.unknown_verdicts(view, blamed, verdicts, params)
    trouble = Trouble(view.tables["polls"], view.tables["counters"], view.now, params.settles)
    findings = conclude.findings(view, verdicts, params)
    verdicts, findings = joint.joined(view.scene, verdicts, findings, view.container_pairs, params.causes)
    verdicts, findings = taken_over(dead_links(view, trouble), verdicts, findings)
    places = Places(view.tables["devices"], view.tables["cables"])
    proof = Proof(view, params)
    changed, events, named = incidents.follow(
        open_incidents,
        [places.told(verdict) for verdict in (*verdicts, *findings)],
        proof.healthy,
        now,
        params.incidents,
        _around(view, proof, trouble),
    )
    return Cycle(
        now=now,
        verdicts=named[: len(verdicts)],
        findings=named[len(verdicts) :],
        incidents=changed,
        events=events,
        pairs=view.symptoms,
        container_pairs=view.container_pairs,
        links=view.fabric.links,
        health=view.health,
        light=view.light,
        fabric=view.fabric,
        drawn=view.drawn,
    )


def remember(tables: Mapping[str, pd.DataFrame], now: datetime, params: Params | None = None) -> Memory:
    """Return what the hourly tables say, for the cycles of the hour of ``now``; any table may be absent.

    The map tells which rack a host is in: neighbors, hosts, cables, interfaces and devices are asked too.
    """
    known = accepted(tables, utc(now))
    return memory.remember(known, drawn(known).fabric, utc(now), params or Params())


def _around(view: View, proof: Proof, trouble: Trouble) -> incidents.Around:
    """Return what incidents ask about a verdict."""
    remarks = Remarks(view.tables["annotations"], view.tables["devices"], view.now)
    return incidents.Around(
        proof=proof.words,
        unseen=proof.unseen,
        quiet=remarks.quiet,
        troubled=trouble.of,
        cleaned=remarks.cleaned,
        closed=remarks.closed,
    )
