"""Links that are down and ought not to be: a port that was shut, or never used, is nobody's alarm.

Page: docs/algorithms/dead.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from correlator.engine.status import Status
from correlator.engine.trouble import Trouble
from correlator.engine.view import View
from correlator.model import Action, End, Evidence, Link, Verdict

IN_USE = timedelta(days=7)
"""A link that carried packets within this is in use: the rhythm of services is a week."""
EVIDENCE = "oper_status"


def dead_links(view: View, trouble: Trouble) -> list[Verdict]:
    """Return a finding for each link in use that is down though nobody shut it.

    An end whose device does not answer, or has just restarted, says nothing of the link: the device
    is the fault.
    """
    idle = view.fabric.links[~view.fabric.links["usable"]]
    devices = set(idle["a_device"]) | set(idle["b_device"])
    status, used = Status(_of(devices, view.tables["interfaces"])), _used(view, devices)
    away = _not_answering(view.tables["polls"])
    answer = []
    for link in _links(idle):
        down = status.dead(link)
        ends = {link.a, link.b}
        if not down or used.isdisjoint(ends) or away & {end.device for end in ends}:
            continue
        finding = _finding(view, link, down)
        if trouble.of(finding) == ("", ""):
            answer.append(finding)
    return answer


def taken_over(
    dead: Sequence[Verdict], verdicts: Sequence[Verdict], findings: Sequence[Verdict]
) -> tuple[list[Verdict], list[Verdict]]:
    """Return verdicts and findings, where a dead link's own stands for all that was said of that link.

    A link that dies was often sick before, and raw rows still tell of it: one fault is one line.
    """
    down = {one.link for one in dead}
    left = [one for one in verdicts if one.link not in down]
    quiet = [one for one in findings if one.link not in down]
    for one in dead:
        hurt = next((verdict for verdict in verdicts if verdict.link == one.link), None)
        if hurt is None:
            quiet.append(one)
        else:
            left.append(replace(one, pairs=hurt.pairs, pairs_hurt=hurt.pairs_hurt))
    return left, quiet


def _links(rows: Any) -> Iterator[Link]:
    for row in rows.itertuples(index=False):
        yield Link(End(row.a_device, row.a_if_name), End(row.b_device, row.b_if_name))


def _of(devices: set[str], table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of some devices: of the others' ports nothing is asked."""
    return table[table["device"].isin(devices)]


def _used(view: View, devices: set[str]) -> set[End]:
    """Return the ends of these devices that have received packets of late."""
    hours, counters = (_of(devices, view.tables[name]) for name in ("link_hours", "counters"))
    late = hours["hour"] > pd.Timestamp(view.now - IN_USE)
    carried = hours[late & (hours["metric"] == "errors") & (hours["exposure"] > 0)]
    moved = counters.dropna(subset=["in_packets"]).groupby(["device", "if_name"])["in_packets"].nunique()
    ends = pd.concat([carried[["device", "if_name"]], moved[moved > 1].reset_index()[["device", "if_name"]]])
    return {End(device, if_name) for device, if_name in ends.drop_duplicates().itertuples(index=False)}


def _not_answering(polls: pd.DataFrame) -> set[str]:
    last = polls.sort_values("at", kind="stable").drop_duplicates("target", keep="last")
    return set(last.loc[~last["ok"].astype(bool), "target"])


def _finding(view: View, link: Link, down: tuple[End, ...]) -> Verdict:
    text = f"down at {' and '.join(map(str, down))}, shut at neither end"
    first, *rest = (*down, *(end for end in (link.a, link.b) if end not in down))
    steps = [
        Action(
            1, "reseat", first.device, first.if_name, text=f"see that {link} is plugged in, reseat {first}"
        ),
        *(Action(2, "reseat", end.device, end.if_name, text=f"then the other end, {end}") for end in rest),
        Action(3, "replace_cable", first.device, first.if_name, text="if no change: replace the cable"),
    ]
    return Verdict(
        id="",
        kind="link",
        link=link,
        direction="both",
        root_cause="link_down",
        probability=1.0,
        severity="crit",
        onset=_last_moved(view.tables["counters"], down),
        window=view.window,
        actions=tuple(steps),
        evidence=(Evidence(EVIDENCE, None, 30.0, text),),
    )


def _last_moved(counters: pd.DataFrame, ends: tuple[End, ...]) -> datetime | None:
    """Return when these ports last received a packet, as far back as raw counters reach."""
    moved = []
    for end in ends:
        mine = counters[(counters["device"] == end.device) & (counters["if_name"] == end.if_name)]
        mine = mine.dropna(subset=["in_packets"]).sort_values("at", kind="stable")
        changed = (mine["in_packets"] != mine["in_packets"].shift()).fillna(False)
        moved += list(mine.loc[changed.to_numpy(dtype=bool), "at"][-1:])
    return max(moved).to_pydatetime() if moved else None
