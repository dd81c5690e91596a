"""Several sick links that are one fault: both directions of one cable, or one part that neighbours share.

Page: docs/algorithms/joint.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from correlator.engine import causes, diagnose
from correlator.engine.diagnose import Scene
from correlator.engine.parts import close
from correlator.model import RANKS, Action, Candidate, End, Evidence, Subject, Verdict

IDS = ["src_container_id", "dst_container_id"]
PLACE = ["sender_device", "sender_if_name"]
DECIBANS = 10.0 / np.log(10.0)


@dataclass(frozen=True)
class Sick:
    """A verdict or finding on a directed link that corrupts packets, its number in the map and its rate."""

    verdict: Verdict
    number: int
    rate: float

    @property
    def mass(self) -> float:
        """The probability that the link is sick, whatever the cause."""
        mine = [one.probability for one in self.verdict.alternatives if one.link == self.verdict.link]
        return min(self.verdict.probability + sum(mine), 1.0)


def joined(
    scene: Scene,
    verdicts: Sequence[Verdict],
    findings: Sequence[Verdict],
    pairs: pd.DataFrame,
    params: causes.Params,
) -> tuple[list[Verdict], list[Verdict]]:
    """Return verdicts and findings, where those that are one fault are one; it explains what they explain.

    ``pairs``: container pairs (src_container_id, dst_container_id) with src_host and dst_host.
    """
    every = [*verdicts, *findings]
    sick = _sick(scene, every)
    merged: dict[int, Verdict] = {}
    for parts, shared in _shared(scene, sick, params):
        fed = [one for one in verdicts if _is_fed(scene, shared, one, pairs)]
        whole = _also(shared, fed)
        merged |= {id(one): whole for one in (*(part.verdict for part in parts), *fed)}
    left = [one for one in sick if id(one.verdict) not in merged]
    for both, whole in _both_ways(scene, left, params):
        merged |= {id(one.verdict): whole for one in both}
    hurting = {id(merged.get(id(one), one)) for one in verdicts}
    told = {id(one): one for one in (merged.get(id(one), one) for one in every)}.values()
    return [one for one in told if id(one) in hurting], [one for one in told if id(one) not in hurting]


def _sick(scene: Scene, every: Sequence[Verdict]) -> list[Sick]:
    """Return those that convict one directed link of corruption."""
    health = scene.health
    ends = {(end.device, end.if_name) for one in every if one.link for end in (one.link.a, one.link.b)}
    near = health.loc[health["sender_device"].isin({device for device, _ in ends}), PLACE]
    places = zip(near.index.tolist(), near[PLACE[0]], near[PLACE[1]], strict=True)
    senders = [n for n, device, if_name in places if (device, if_name) in ends]
    numbers = {(scene.link(n), scene.direction(n)): n for n in senders}
    answer = []
    for verdict in every:
        if verdict.link is None or verdict.direction is None or verdict.severity == "notice":
            continue
        number = numbers.get((verdict.link, verdict.direction))
        if number is not None and verdict.root_cause in causes.CORRUPTIONS:
            told = {one.kind: one.value for one in verdict.evidence}
            answer.append(Sick(verdict, number, told.get("errors") or told.get("pairs") or 0.0))
    return answer


def _whole(verdict: Verdict, parts: Sequence[Verdict]) -> Verdict:
    """Return the verdict with all that its parts hurt, since the first of them began."""
    pairs = {(pair.src, pair.dst): pair for one in parts for pair in one.pairs}
    hurt = max(len(pairs), *(one.hurt for one in parts))
    onsets = [one.onset for one in parts if one.onset]
    return replace(
        verdict,
        pairs=tuple(pairs.values()),
        pairs_hurt=hurt if hurt > len(pairs) else None,
        severity=max((one.severity for one in parts), key=RANKS.__getitem__),
        onset=min(onsets, default=None),
        missing=tuple(dict.fromkeys(text for one in parts for text in one.missing)),
    )


# -- both directions ---------------------------------------------------------------------------------


def _both_ways(
    scene: Scene, sick: Sequence[Sick], params: causes.Params
) -> list[tuple[tuple[Sick, ...], Verdict]]:
    """Return the two directions of each cable that loses both ways, with the one verdict on it."""
    by_number = {one.number: one for one in sick}
    answer: list[tuple[tuple[Sick, ...], Verdict]] = []
    for number, one in by_number.items():
        other = by_number.get(number ^ 1)
        if other is not None and number < other.number:
            worse, less = sorted((one, other), key=lambda part: (not _counted(scene, part), -part.rate))
            answer.append(((one, other), _both(scene, worse, less, params)))
    return answer


def _counted(scene: Scene, one: Sick) -> bool:
    return bool(scene.row(one.number)["errors_known"])


def _both(scene: Scene, worse: Sick, less: Sick, params: causes.Params) -> Verdict:
    """Return the one verdict on both; who sends again tells too little to say both where one is counted.

    Linux resends at both ends what was lost on one way, more or less often.
    """
    if _counted(scene, worse) and not _counted(scene, less):
        return _whole(worse.verdict, (worse.verdict, less.verdict))
    convicted = replace(scene, accused=scene.accused | {worse.number, less.number})
    charge = diagnose.Charge(worse.number, {"corruption": min(worse.mass, less.mass)}, worse.rate, {})
    anew = diagnose.link_verdict(convicted, charge, worse.verdict.pairs, None, params)
    measured = [one for one in worse.verdict.evidence if one.kind.split("_")[0] not in ("cause", "other")]
    reasons = [one for one in anew.evidence if one.kind.startswith("cause_")]
    back = f"the other direction loses {less.rate:.2g} of its packets as well"
    told = replace(
        anew,
        direction="both",
        evidence=(*measured, Evidence("other_direction", less.rate, 0.0, back), *reasons),
        alternatives=tuple(replace(one, direction="both") for one in anew.alternatives),
    )
    return _whole(told, (worse.verdict, less.verdict))


# -- one part that several share ---------------------------------------------------------------------


def _shared(scene: Scene, sick: Sequence[Sick], params: causes.Params) -> list[tuple[list[Sick], Verdict]]:
    """Return the links that lose by one shared part, with the one verdict on them, device by device."""
    answer: list[tuple[list[Sick], Verdict]] = []
    taken: set[int] = set()
    for device in sorted({end.device for one in sick for end in _ends(one.verdict)}):
        mine = [one for one in sick if one.number not in taken and _port(one.verdict, device)]
        groups = _groups(mine, device, params.shared)
        found = [(_odds(scene, group, params), group) for group in groups]
        odds, parts = max(found, key=lambda one: one[0], default=(0.0, []))
        if odds > 0.0:
            taken |= {one.number for one in parts}
            alone = not any(_counted(scene, one) for one in parts)
            sure = _together(parts, odds) * (params.pairs_alone if alone else 1.0)
            answer.append((parts, _shared_verdict(parts, device, odds, sure)))
    return answer


def _ends(verdict: Verdict) -> tuple[End, ...]:
    return (verdict.link.a, verdict.link.b) if verdict.link else ()


def _port(verdict: Verdict, device: str) -> str:
    """Return the verdict's port at a device, empty where it has none."""
    return next((end.if_name for end in _ends(verdict) if end.device == device), "")


def _groups(sick: Sequence[Sick], device: str, params: causes.SharedParams) -> list[list[Sick]]:
    """Return groups of links, two or more, from each one on: at ports close by, at rates that are alike."""
    answer = []
    for first in sick:
        port, rate = _port(first.verdict, device), max(first.rate, 1e-12)
        group = [
            one
            for one in sick
            if close(port, _port(one.verdict, device), params.reach)
            and abs(np.log(max(one.rate, 1e-12) / rate)) <= 3.0 * params.spread
        ]
        if len({one.number // 2 for one in group}) > 1:
            answer.append(group)
    return answer


def _odds(
    scene: Scene,
    group: Sequence[Sick],
    params: causes.Params,
) -> float:
    """Return ln odds that a group shares one bad part; of a link that loses both ways, the worse counts."""
    worst: dict[int, Sick] = {}
    for one in sorted(group, key=lambda part: part.rate):
        worst[one.number // 2] = one
    convicted = replace(scene, accused=scene.accused | {one.number for one in group})
    members = [
        (diagnose.terms_of(convicted, one.number, one.rate, params), one.rate) for one in worst.values()
    ]
    return causes.shared(members, params)


def _together(parts: Sequence[Sick], odds: float) -> float:
    """Return the probability that all of these links are sick, by one part."""
    return min(one.mass for one in parts) / (1.0 + float(np.exp(-odds)))


def _shared_verdict(parts: Sequence[Sick], device: str, odds: float, sure: float) -> Verdict:
    """Return the verdict that these links lose by what they share at a device."""
    ports = sorted({_port(one.verdict, device) for one in parts})
    named = ", ".join(ports)
    first = ports[0]
    module = f"replace the part that is shared by {device} {named}: a breakout cable or its transceiver"
    card = f"if no change: reseat, then replace the line card that carries {device} {named}"
    steps = (
        Action(1, "replace_transceiver", device, first, text=module),
        Action(2, "reseat", device, first, text=card),
    )
    text = f"{len(parts)} directions of {len(ports)} neighbouring links lose packets at rates that are alike"
    worst = max(parts, key=lambda one: one.rate)
    measured = tuple(one for one in worst.verdict.evidence if not one.kind.startswith("cause_"))
    told = replace(
        worst.verdict,
        kind="class",
        link=None,
        direction=None,
        lane=None,
        root_cause="shared_component",
        probability=round(sure, 4),
        actions=steps,
        evidence=(Evidence("cause_shared", None, round(odds * DECIBANS, 1), text), *measured),
        candidates=tuple(
            Candidate(one.verdict.link, one.verdict.direction, "shared_component", round(sure, 4))
            for one in parts
        ),
        alternatives=(),
        subject=Subject(device=device),
    )
    return _whole(told, [one.verdict for one in parts])


# -- the other way through a shared part -------------------------------------------------------------


def _is_fed(scene: Scene, shared: Verdict, other: Verdict, pairs: pd.DataFrame) -> bool:
    """Return whether what pairs lose on the ways into a device is lost behind it, in a part shared there.

    Hosts tell no errors: what is lost on the way out to them looks like loss on any way in that nobody
    counts, which is rare. So it is the same part, where it is counted the other way and all of these
    pairs have their host behind it.
    """
    device, behind = shared.subject.device, {end.device for one in shared.candidates for end in _two(one)}
    if other.kind != "class" or other.root_cause != "unknown" or not other.pairs:
        return False
    into = (_receiver(one) for one in other.candidates)
    if any(end is None or end.device != device for end in into) or not _all_counted(scene, device, shared):
        return False
    mine = pd.MultiIndex.from_tuples([(pair.src, pair.dst) for pair in other.pairs])
    theirs = pairs[pd.MultiIndex.from_frame(pairs[IDS]).isin(mine)]
    return len(theirs) > 0 and bool((theirs["src_host"].isin(behind) | theirs["dst_host"].isin(behind)).all())


def _two(candidate: Candidate) -> tuple[End, ...]:
    return (candidate.link.a, candidate.link.b) if candidate.link else ()


def _receiver(candidate: Candidate) -> End | None:
    if candidate.link is None:
        return None
    return candidate.link.b if candidate.direction == "a_to_b" else candidate.link.a


def _all_counted(scene: Scene, device: str | None, shared: Verdict) -> bool:
    """Return whether the device counts the errors of all links of a part that is shared there."""
    ends = {_receiver(one) for one in shared.candidates}
    health = scene.health[scene.health["receiver_device"] == device]
    places = zip(health["receiver_device"], health["receiver_if_name"], strict=True)
    mine = [known for place, known in zip(places, health["errors_known"], strict=True) if End(*place) in ends]
    return len(mine) == len(ends) and all(mine)


def _also(shared: Verdict, fed: Sequence[Verdict]) -> Verdict:
    """Return the verdict on a shared part with what is lost the other way through it."""
    if not fed:
        return shared
    told = {one.kind: one.value for one in fed[0].evidence}
    rate = told.get("pairs")
    text = "pairs whose hosts are behind it lose the other way too, where nobody counts"
    way = Evidence("other_direction", rate, 0.0, text)
    return _whole(replace(shared, evidence=(*shared.evidence, way)), (shared, *fed))
