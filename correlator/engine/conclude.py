"""From suspects to verdicts and findings.

A suspect that explains slow pairs is a verdict, one that does not is a finding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import nbinom

from correlator.engine import diagnose, drift, impacts, localize, probes, services, traces
from correlator.engine.settings import Params
from correlator.engine.significance import at_least
from correlator.engine.trouble import silent_targets
from correlator.engine.view import HOSTS, View
from correlator.model import Action, Candidate, Direction, Evidence, Link, Subject, Verdict

OWN = ("errors", "light")
"""Kinds of a link's own evidence that a passing moment does not leave; a port that is shut discards."""
CHANCE = 3.0  # standard deviations: what a group's few connections may do by chance
DISPUTED = 0.5  # a link's confidence, below which other words about its ends stand against it
SURE = 0.999  # of a sick link: its counter's lower bound, ``health.Params.credibility``


@dataclass(frozen=True)
class Blame:
    """A suspect, and what it accounts for in each slow group (index: group).

    ``shares``: of the group's excess, as expected, 0 to 1; ``told``: as likely as not, given that there is
    no other cause in sight; ``lost``: retransmissions; ``most``: those that there would be if all of the
    group's traffic went that way.
    """

    suspect: localize.Suspect
    shares: pd.Series[float]
    told: pd.Series[float]
    lost: pd.Series[float]
    most: pd.Series[float]


def blames(view: View, suspects: Sequence[localize.Suspect], params: Params) -> list[Blame]:
    """Return each suspect with what it explains.

    A group that loses packets is judged by its retransmissions, another by its delay in the network.
    """
    slow = view.symptoms[view.symptoms["slow"] & (view.symptoms["grew"] == "network")]
    answer = []
    for suspect in suspects:
        accounted = localize.explained(view.evidence, suspect, params.localize)
        by_hosts = view.host_pairs[[*HOSTS, "segments"]].join(accounted)
        mine = slow[HOSTS].merge(by_hosts, on=HOSTS, how="left").set_index(slow.index)
        lost = mine["retransmissions_explained"] * slow["segments"] / mine["segments"]
        by_loss = lost / slow["excess"].where(slow["excess"] > 0)
        longer = slow["network_ms"] - slow["usual_network_ms"]
        by_delay = mine["delay_explained_ms"] / longer.where(longer > 0)
        share = by_loss.where(slow["lossy"], by_delay).fillna(0.0).clip(0.0, 1.0)
        lost = lost.fillna(0.0)
        crossing = mine["crossing"].where(mine["crossing"] > 0).clip(upper=1.0).fillna(1.0)
        told = (share * _reach(crossing, slow["connections"])).clip(upper=1.0)
        answer.append(Blame(suspect, share.round(4), told, lost, lost / crossing))
    return _divided(answer)


def _reach(crossing: pd.Series[float], connections: pd.Series[float]) -> pd.Series[float]:
    """Return how many times its expected part of a group's traffic a link may carry, 1 or more.

        min(1/w, 1 + 3 √((1 − w)/(w c)))      w: share of the paths, c: connections of the group

    Which of few connections go that way is chance (binomial): up to three standard deviations, or all.
    """
    spread = ((1.0 - crossing) / (crossing * connections.clip(lower=1.0))) ** 0.5
    return (1.0 + CHANCE * spread).clip(upper=1.0 / crossing)


def _divided(blamed: Sequence[Blame]) -> list[Blame]:
    """Return the same, what several suspects tell of a group made to be no more than all of it."""
    if not blamed:
        return []
    together = pd.concat([blame.told for blame in blamed], axis=1).sum(axis=1)
    return [replace(blame, told=(blame.told / together.clip(lower=1.0)).round(4)) for blame in blamed]


def accused(view: View, blamed: Sequence[Blame], params: Params) -> View:
    """Return the view, where the links that localisation names are known to lose packets.

    Of a cable whose one way is convicted by its counter, pairs alone do not convict the other.
    """
    named = [one.suspect for one in blamed if one.suspect.by_link()[0][1] >= params.localize.named]
    lossy = [one.number for one in named if one.mode == "corruption"]
    counted, sick = view.health["errors_known"], view.health["sick"]
    numbers = frozenset(number for number in lossy if counted[number] or not sick[number ^ 1])
    return replace(view, scene=replace(view.scene, accused=numbers))


def link_verdicts(view: View, blamed: Sequence[Blame], params: Params) -> list[Verdict]:
    """Return a verdict for each suspect that explains a substantial part of some slow group."""
    answer = []
    for blame in blamed:
        shares = _explained(view, blame, params)
        if len(shares):
            answer += _link_verdict(view, blame.suspect, blame.told[shares.index], params)
    return answer


def _explained(view: View, blame: Blame, params: Params) -> pd.Series[float]:
    """Return the groups that a suspect explains, by themselves or all together: one lost packet is luck."""
    shares = blame.shares[blame.lost > 0] if (blame.lost > 0).any() else blame.shares
    lossy = view.symptoms.loc[shares.index, "lossy"]
    excess = view.symptoms.loc[shares.index, "excess"].where(lossy, 0.0).clip(lower=0.0)
    together: float = blame.lost.reindex(shares.index).where(lossy, 0.0).sum() / max(
        float(excess.sum()), 1e-9
    )
    if together >= params.least_share and (shares < params.least_share).all():
        shares, least = shares[lossy], 0.0
    else:
        least = params.least_share
    answer: pd.Series[float] = shares[shares >= least]
    return answer


def _link_verdict(
    view: View, suspect: localize.Suspect, shares: pd.Series[float], params: Params
) -> list[Verdict]:
    """Return the verdict on a suspect: the link, else the class it hides in, else none.

    What nothing but pairs accuses must last: a route that moved hurts as many for a moment.
    """
    if not _shown(suspect.terms, params) and not _lasts(view.symptoms.loc[shares.index], params):
        return []
    hurt = impacts.pair_impacts(view.container_pairs, view.symptoms, shares, params.impacts)
    onset = _onset(view, suspect.number, suspect.mode, shares)
    candidates = suspect.candidates(params.localize)
    modes: dict[str, float] = {
        mode: p for number, mode, p in suspect.alternatives if number == suspect.number
    }
    charge = diagnose.Charge(
        suspect.number,
        modes,
        suspect.rate,
        suspect.terms,
        suspect.alternatives,
        suspect.back,
        suspect.apart,
    )
    count = impacts.hurt(view.container_pairs, shares)
    host = _late_host(view, suspect, [number for number, _ in candidates], params)
    if host and suspect.mass >= params.localize.named:
        text = f"pairs of {host} wait {suspect.delay_ms:.3g} ms longer, and no link of its loses or is full"
        late = Evidence("delay", suspect.delay_ms, round(suspect.terms["delay"] * diagnose.DECIBANS, 1), text)
        verdict = diagnose.host_verdict(view.window, host, hurt, onset, (late,), suspect.mass)
        return [replace(verdict, pairs_hurt=count)]
    if charge.probability >= params.localize.named:
        verdict = diagnose.link_verdict(view.scene, charge, hurt, onset, params.causes)
        return [replace(_as_mapped(view, suspect.number, verdict), pairs_hurt=count)]
    sick = suspect.mass >= params.localize.named
    if sick and 1 < len(candidates) <= params.localize.most_class:
        told = tuple((number, params.causes.pairs_alone * probability) for number, probability in candidates)
        verdict = diagnose.class_verdict(view.scene, charge, told, hurt, onset)
        steps = _probes(view, [number for number, _ in candidates]) or verdict.actions
        return [replace(verdict, pairs_hurt=count, actions=steps)]
    return []


def _as_mapped(view: View, number: int, verdict: Verdict) -> Verdict:
    """Return the verdict on a link; where the map disputes which cable that is, one that names none.

    Its counters are its ports', and these are right whatever the map says.
    """
    row: Any = view.fabric.links.loc[number // 2]
    if row["confidence"] >= DISPUTED:
        return verdict
    ends = {(row[f"{side}_device"], row[f"{side}_if_name"]) for side in "ab"}
    told: Any = view.fabric.contradictions.itertuples(index=False)
    words = tuple(one.text for one in told if (one.device, one.if_name) in ends)
    sure = round(float(verdict.probability * row["confidence"]), 4)
    named = Candidate(verdict.link, verdict.direction, verdict.root_cause, sure)
    text = f"see which cable is in {' and '.join(' '.join(end) for end in sorted(ends))}: the map is disputed"
    return replace(
        verdict,
        kind="class",
        link=None,
        direction=None,
        root_cause="unknown",
        probability=sure,
        candidates=(named,),
        actions=(Action(step=1, do="none", text=text),),
        missing=(*words, *verdict.missing),
        subject=Subject(),
    )


def _late_host(
    view: View, suspect: localize.Suspect, candidates: Sequence[int], params: Params
) -> str | None:
    """Return the host whose links are suspected of a wait that they cannot make, else None.

    A link makes packets wait in its queue alone, which then is full, or by time-outs of those that it loses.
    """
    ends = view.fabric.directed.loc[list(candidates), ["sender_device", "receiver_device"]]
    at = set(view.tables["hosts"]["host"]).intersection(*map(set, ends.to_numpy().tolist()))
    if len(at) != 1 or _shown(suspect.terms, params):
        return None
    busy = view.health.loc[list(candidates), "utilisation"] >= params.localize.utilisation_busy
    full = suspect.terms.get("discards", 0.0) >= params.shown_nats or busy.any()
    late = suspect.terms.get("delay", 0.0) >= params.shown_nats
    return at.pop() if late and not full and suspect.delay_ms > params.timeout_ms * suspect.rate else None


def _shown(terms: Mapping[str, float], params: Params) -> bool:
    """Return whether a link's own telemetry speaks against it: the errors at its receiver, its light."""
    return sum(terms.get(kind, 0.0) for kind in OWN) >= params.shown_nats


def _lasts(slow: pd.DataFrame, params: Params) -> bool:
    """Return whether groups lost more than usual, all together, or waited longer, at more than one moment."""
    lossy = slow[slow["lossy"].to_numpy(dtype=bool)]
    expected = (lossy["segments"] * lossy["usual_retransmissions"]).to_numpy()
    doubt = (expected**2 / lossy["usual_retransmissions_shape"].to_numpy()).sum()
    lost = lossy["lasting_retransmissions"].sum()
    if lost > 0.0 and doubt > 0.0:
        total = expected.sum()
        if at_least(np.array([lost]), np.array([total]), np.array([total**2 / doubt]))[0] <= params.lasting_p:
            return True
    waits = slow["slow_response"] & (slow["lasting_ratio"] >= params.symptoms.least_ratio)
    return bool(waits.any())


def _probes(view: View, candidates: Sequence[int]) -> tuple[Action, ...]:
    """Return the probes that would tell the candidates apart, as steps."""
    directed = view.fabric.directed
    told = probes.plan(view.paths, directed, candidates, traces.source_ports(directed, view.tables))
    return tuple(Action(step=i, do="none", text=text) for i, text in enumerate(told, 1))


def _onset(view: View, number: int, mode: str, shares: pd.Series[float]) -> datetime | None:
    """Return since when: the counter's own onset, where it has one, else the pairs' median one."""
    told = _time(view.health.at[number, "discard_onset" if mode == "congestion" else "error_onset"])
    return told or _middle(view.symptoms.loc[shares.index, "onset"])


def _time(value: Any) -> datetime | None:
    return None if pd.isna(value) else value.to_pydatetime()


def _middle(onsets: pd.Series[Any]) -> datetime | None:
    """Return the median onset: a pair that was slow for a reason of its own does not set it."""
    return _time(onsets.dropna().quantile(0.5))


def host_verdicts(view: View, params: Params) -> list[Verdict]:
    """Return a verdict for each host that is slow by itself: containers on it wait for one another."""
    return [
        _host_verdict(view, str(host), rows, params)
        for host, rows in view.symptoms.groupby("at_host", observed=True)
    ]


def _host_verdict(view: View, host: str, slow: pd.DataFrame, params: Params) -> Verdict:
    inside = slow[(slow["src_host"] == host) & (slow["dst_host"] == host)]
    worst: Any = (inside if len(inside) else slow).sort_values("ratio", na_position="first").iloc[-1]
    p = float(np.nan_to_num(worst["p_response"], nan=params.sure_p))
    text = f"{len(inside)} groups of pairs within {host} wait longer, the worst {worst['ratio']:.3g} times"
    weight = round(float(-10.0 * np.log10(max(p, 1e-30))), 1)
    shares = pd.Series(1.0, index=slow.index)
    verdict = diagnose.host_verdict(
        view.window,
        host,
        impacts.pair_impacts(view.container_pairs, view.symptoms, shares, params.impacts),
        _middle(slow["onset"]),
        (Evidence("within_host", float(worst["ratio"]), weight, text),),
        1.0 - p,
    )
    return replace(verdict, pairs_hurt=impacts.hurt(view.container_pairs, shares))


def service_verdicts(view: View, params: Params) -> list[Verdict]:
    """Return a verdict for each service whose own time grew and that does not merely wait for another."""
    grown = services.own_growth(view.symptoms, params.services)
    own = grown[~grown["passed_on"]]
    return [_service_verdict(view, str(name), rows, params) for name, rows in own.groupby("dst_service")]


def _service_verdict(view: View, service: str, rows: pd.DataFrame, params: Params) -> Verdict:
    slow = view.symptoms.loc[rows.index]
    pairs = view.container_pairs[view.container_pairs["group"].isin(rows.index)]
    hosts, containers = rows["dst_host"].unique(), pairs["dst_container_id"].unique()
    subject = Subject(
        host=str(hosts[0]) if len(hosts) == 1 else None,
        container=str(containers[0]) if len(containers) == 1 else None,
        service=service,
    )
    return diagnose.service_verdict(
        view.window,
        subject,
        impacts.pair_impacts(view.container_pairs, view.symptoms, rows["share"], params.impacts),
        _middle(slow["onset"]),
        _service_evidence(slow),
        float(1.0 - slow["p_service"].min()),
    )


def _service_evidence(slow: pd.DataFrame) -> tuple[Evidence, ...]:
    worst: Any = slow.sort_values("service_ratio", na_position="first").iloc[-1]
    weight = float(-10.0 * np.log10(max(worst["p_service"], 1e-30)))
    service = f"{worst['service_ms']:.3g} ms in the service, usually {worst['usual_service_ms']:.3g} ms"
    told = [Evidence("service_time", float(worst["service_ratio"]), round(weight, 1), service)]
    if np.isfinite(worst["network_ms"]):
        network = f"{worst['network_ms']:.3g} ms in the network, usually {worst['usual_network_ms']:.3g} ms"
        told.append(Evidence("network_time", float(worst["network_ms"]), 0.0, network))
    return tuple(told)


def unknown_verdicts(
    view: View, blamed: Sequence[Blame], verdicts: Sequence[Verdict], params: Params
) -> list[Verdict]:
    """Return one verdict on the surely slow pairs that no verdict explains; none where there are none."""
    slow = view.symptoms[view.symptoms["slow"] & (view.symptoms["grew"] == "network")]
    slow = slow[slow["at_host"].isna()]
    told = {(pair.src, pair.dst) for verdict in verdicts for pair in verdict.pairs}
    left = pd.Series(0.0, index=slow.index[_surely_unexplained(slow, blamed, params)])
    hurt = impacts.pair_impacts(view.container_pairs, view.symptoms, left, params.impacts)
    hurt = tuple(pair for pair in hurt if (pair.src, pair.dst) not in told)
    if not hurt:
        return []
    onset = _middle(slow.loc[left.index, "onset"])
    return [diagnose.unknown_verdict(view.window, hurt, onset, _not_seen(view, left.index))]


def _surely_unexplained(slow: pd.DataFrame, blamed: Sequence[Blame], params: Params) -> npt.NDArray[np.bool_]:
    """Return which groups are slow beyond doubt even after all that the suspects account for.

    A group of few connections may go over one of the equal-cost paths alone, and its losses come in
    bursts: what a suspect may account for is as uncertain as it is large.
    """
    expected = slow["segments"] * slow["usual_retransmissions"]
    doubt = expected**2 / slow["usual_retransmissions_shape"]
    share = pd.Series(0.0, index=slow.index)
    for blame in blamed:
        expected, doubt, share = expected + blame.most, doubt + blame.most**2, share + blame.shares
    size = expected**2 / doubt
    p = nbinom.sf(slow["lasting_retransmissions"] - 1.0, size, size / (size + expected))
    lossy = slow["lossy"] & (p <= params.sure_p)
    waits = slow[["ratio", "lasting_ratio"]].min(axis=1, skipna=False) >= params.sure_ratio
    times = slow["slow_response"] & (slow["p_response"] <= params.sure_p) & waits
    answer: npt.NDArray[np.bool_] = (
        lossy | (times & ~slow["lossy"] & (share < params.least_share))
    ).to_numpy(dtype=bool)
    return answer


def _not_seen(view: View, groups: pd.Index[int]) -> tuple[str, ...]:
    """Return what is not measured on the paths of these groups."""
    slow = view.symptoms.loc[groups, HOSTS].drop_duplicates()
    rows = view.host_pairs[HOSTS].reset_index(names="row").merge(slow, on=HOSTS)["row"].to_numpy()
    told = []
    mine = view.paths.of(rows)
    crossed = (mine.forward + mine.reverse).tocsr()
    if len(rows) and crossed.nnz == 0:
        told.append("no path is known between the hosts of the slow pairs")
    for number in np.unique(crossed.indices):
        link = view.health.loc[number]
        if not link["errors_known"]:
            told.append(f"errors at {link['receiver_device']} {link['receiver_if_name']} are not measured")
    return tuple(told[:20])


def findings(view: View, verdicts: Sequence[Verdict], params: Params) -> list[Verdict]:
    """Return what is sick or cannot be trusted though it explains no slow pair."""
    named = {_place(verdict) for verdict in verdicts}
    found = [verdict for verdict in _sick_links(view, params) if _place(verdict) not in named]
    return [*found, *_falls(view, params), *_contradictions(view), *_silent_targets(view, params)]


def _place(verdict: Verdict) -> tuple[Link | None, Direction | None]:
    """Return the directed link that a verdict names, or would if the map did not dispute it."""
    only = verdict.candidates[0] if len(verdict.candidates) == 1 else verdict
    return only.link, only.direction


def _sick_links(view: View, params: Params) -> list[Verdict]:
    """Return a finding for each link that loses packets, and for each that lost light alone."""
    health, light = view.health, view.scene.light
    answer = [
        _sick_link(view, int(number), params) for number in health.index[health["sick"] | health["dropping"]]
    ]
    for number in health.index[light["stepped"] & ~health["sick"]]:
        answer.append(diagnose.light_finding(view.scene, int(number), params.causes))
    grows = view.corrected[view.corrected["grows"]].set_index(["device", "if_name"])
    at = pd.MultiIndex.from_frame(health[["receiver_device", "receiver_if_name"]])
    for number in health.index[at.isin(grows.index) & ~health["sick"] & ~light["stepped"]]:
        grown = grows.loc[at[number]]
        answer.append(diagnose.corrected_finding(view.scene, int(number), grown, params.causes))
    return answer


def _falls(view: View, params: Params) -> list[Verdict]:
    """Return a finding for each port whose light will reach its module's level, with the dates."""
    rows: Any = drift.crossings(view.falls, view.tables["optics"], params.drift).itertuples(index=False)
    return [
        diagnose.notice(view.window, Subject(row.device, row.if_name), "drift", _fall(row, view.now))
        for row in rows
    ]


def _fall(row: Any, now: datetime) -> str:
    """Return in a sentence which light falls, how fast, and when it reaches which level."""
    side, level = row.metric[:2].capitalize(), "warning" if row.level.endswith("_warn_dbm") else "alarm"
    first, last = (now + timedelta(days=float(days)) for days in (row.days_low, row.days_high))
    days = f"{np.floor(row.days_low):.0f} to {np.ceil(row.days_high):.0f} days"
    return (
        f"{side} of {row.device} {row.if_name} lane {row.lane} crosses its {level} level in {days} "
        f"({first:%Y-%m-%d} to {last:%Y-%m-%d}): "
        f"{row.power_dbm:.1f} dBm now, {row.slope:+.2f} dB a day, {level} at {row.level_dbm:.1f} dBm"
    )


def _sick_link(view: View, number: int, params: Params) -> Verdict:
    row: Any = view.health.loc[number]
    corrupt = bool(row["sick"])
    rate, onset = ("error_rate", "error_onset") if corrupt else ("discard_rate", "discard_onset")
    terms = _own_terms(row, view.scene.light.loc[number], corrupt)
    modes = {"corruption" if corrupt else "congestion": SURE}
    charge = diagnose.Charge(number, modes, float(row[rate]), terms)
    verdict = diagnose.link_verdict(view.scene, charge, (), _time(row[onset]), params.causes)
    return _as_mapped(view, number, verdict)


def _own_terms(row: Any, light: Any, corrupt: bool) -> dict[str, float]:
    """Return what a link's own telemetry weighs: n ln(n/m) − (n − m) for n events where m were usual."""
    count, exposure, floor = (
        (row["errors"] - row["passed_on"], row["packets"], row["error_floor"])
        if corrupt
        else (row["discards"], row["sent"], row["discard_floor"])
    )
    usual = exposure * floor
    terms = {"errors" if corrupt else "discards": float(count * np.log(count / usual) - (count - usual))}
    if corrupt and np.isfinite(light["nats"]):
        terms["light"] = float(light["nats"])
    return terms


def _contradictions(view: View) -> list[Verdict]:
    told: Any = view.fabric.contradictions
    return [
        diagnose.notice(view.window, Subject(device=row.device, if_name=row.if_name), "topology", row.text)
        for row in told.itertuples(index=False)
    ]


def _silent_targets(view: View, params: Params) -> list[Verdict]:
    """Return a finding for each target whose last three polls all failed; one for all where they are many.

    Where many fall silent at once, the fault is hardly in each of them.
    """
    silent = sorted(silent_targets(view.tables["polls"]).items())
    if len(silent) <= params.most_silent:
        return [_silent_target(view, target, error) for target, error in silent]
    names = ", ".join(target for target, _ in silent[: params.most_silent])
    text = (
        f"{len(silent)} targets have not answered three polls in a row: {names} and "
        f"{len(silent) - params.most_silent} more; look at the way to them first"
    )
    return [diagnose.notice(view.window, Subject(), "telemetry", text)]


def _silent_target(view: View, target: str, error: str) -> Verdict:
    why = f": {error}" if error else ""
    text = f"{target} has not answered three polls in a row{why}"
    return diagnose.notice(view.window, Subject(device=target), "telemetry", text)
