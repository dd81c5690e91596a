"""From a sick directed link to a cause, a work order and the reasons, for and against.

Causes follow CorrOpt (SIGCOMM 2017) and its order of steps, as a likelihood of where light went
missing: on this direction, on the other one, at the transmitter.

    P(cause | light) ∝ P(cause) · P(this | lost or not) · P(other | …) · P(Tx | …)

Light and counters do not tell which end-face of a fibre is dirty, so a dirty connector's first step
is the receiving end, its second the sending end. Page: docs/algorithms/diagnose.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from correlator.engine.steps import actions
from correlator.model import (
    Action,
    Candidate,
    Direction,
    End,
    Evidence,
    Link,
    PairImpact,
    RootCause,
    Severity,
    Subject,
    Verdict,
    Window,
)

DECIBANS = 10.0 / np.log(10.0)
CORRUPTIONS: tuple[RootCause, ...] = (
    "dirty_connector",
    "damaged_fiber",
    "failing_transmitter",
    "bad_transceiver",
)
# What each cause does: light lost on this direction, on the other one, transmitter low.
SIGNATURES: Mapping[RootCause, tuple[bool, bool, bool]] = {
    "dirty_connector": (True, False, False),
    "damaged_fiber": (True, True, False),
    "failing_transmitter": (False, False, True),
    "bad_transceiver": (False, False, False),
}


@dataclass(frozen=True)
class Params:
    """Shares and weights."""

    shares: Mapping[RootCause, float] = field(
        default_factory=lambda: {
            "dirty_connector": 0.42,
            "damaged_fiber": 0.30,
            "failing_transmitter": 0.01,
            "bad_transceiver": 0.27,
        }
    )  # CorrOpt's tickets, middle of its ranges, without shared components
    one_way: Mapping[RootCause, float] = field(
        default_factory=lambda: {
            "dirty_connector": 0.95,
            "damaged_fiber": 0.5,
            "failing_transmitter": 0.98,
            "bad_transceiver": 0.9,
        }
    )  # P(the other direction has no errors | cause): 8 % of links corrupt both ways, fibres often
    typical_change_db: float = 2.0
    alike: float = 0.5  # how far a damaged cable's two fibres may differ in what they lose
    least_change_db: float = 0.3  # smaller steps are not told from reading errors of other kinds
    most_nats: float = 12.0


@dataclass(frozen=True)
class Scene:
    """What is known of the links now: tables with one row a directed link, and the window looked at.

    ``health`` carries the columns of the map's directed links and of ``health.health``; ``light``
    those of ``optics.strongest``.
    """

    health: pd.DataFrame
    light: pd.DataFrame
    window: Window

    def row(self, number: int) -> Any:
        """Return the health of a directed link."""
        return self.health.loc[number]

    def lane(self, number: int) -> Any:
        """Return the light of a directed link, of its lane with the strongest evidence."""
        return self.light.loc[number]

    def link(self, number: int) -> Link:
        """Return the link that directed link ``number`` belongs to."""
        row = self.row(number)
        return Link.between(
            End(row["sender_device"], row["sender_if_name"]),
            End(row["receiver_device"], row["receiver_if_name"]),
        )

    def direction(self, number: int) -> Direction:
        """Return the direction of directed link ``number`` on its link."""
        return "a_to_b" if self.health.at[number, "direction"] == "a_to_b" else "b_to_a"


@dataclass(frozen=True)
class Charge:
    """What localisation says against one directed link: how it loses, how much, how sure, why.

    ``terms`` are log Bayes factors by kind; ``others`` are (directed link, mode, probability).
    """

    number: int
    mode: str
    rate: float
    probability: float
    terms: Mapping[str, float]
    others: tuple[tuple[int, str, float], ...] = ()


def link_verdict(
    scene: Scene,
    charge: Charge,
    pairs: tuple[PairImpact, ...],
    onset: datetime | None,
    params: Params | None = None,
) -> Verdict:
    """Return the verdict on one directed link; without ``pairs`` it is a finding (severity warning)."""
    params = params or Params()
    link, direction = scene.link(charge.number), scene.direction(charge.number)
    causes = causes_of(scene, charge.number, charge.mode, params)
    cause = max(causes, key=lambda name: causes[name])
    severity: Severity = "err" if pairs else "warning"
    sender = link.sender(direction)
    full = Subject(device=sender.device, if_name=sender.if_name) if cause == "congestion" else Subject()
    return Verdict(
        id="",
        kind="link",
        link=link,
        direction=direction,
        root_cause=cause,
        probability=round(charge.probability * causes[cause], 4),
        severity=severity,
        onset=onset,
        window=scene.window,
        lane=_lane(scene, charge.number, cause),
        actions=actions(link, direction, cause, _lane(scene, charge.number, cause)),
        evidence=_evidence(scene, charge, bool(pairs)),
        pairs=pairs,
        alternatives=_alternatives(scene, charge, causes, cause),
        missing=_missing(scene, charge.number),
        subject=full,
    )


def class_verdict(
    scene: Scene,
    charge: Charge,
    candidates: tuple[tuple[int, float], ...],
    pairs: tuple[PairImpact, ...],
    onset: datetime | None,
) -> Verdict:
    """Return the verdict that one of several links is sick, and that the network does not tell which."""
    named = tuple(
        Candidate(scene.link(number), scene.direction(number), "unknown", round(probability, 4))
        for number, probability in candidates
    )
    missing = [text for number, _ in candidates for text in _missing(scene, number)]
    return Verdict(
        id="",
        kind="class",
        link=None,
        direction=None,
        root_cause="unknown",
        probability=round(min(sum(probability for _, probability in candidates), 1.0), 4),
        severity="err",
        onset=onset,
        window=scene.window,
        actions=(Action(step=1, do="none", text="probe the candidates one by one before touching a cable"),),
        evidence=_evidence(scene, charge, True),
        pairs=pairs,
        candidates=named,
        missing=tuple(dict.fromkeys(missing)),
    )


def service_verdict(
    window: Window,
    subject: Subject,
    pairs: tuple[PairImpact, ...],
    onset: datetime | None,
    evidence: tuple[Evidence, ...],
    probability: float,
) -> Verdict:
    """Return the verdict that a service itself is slow: nothing to do on the network."""
    text = f"the network is as usual: look into service {subject.service}"
    return Verdict(
        id="",
        kind="service",
        link=None,
        direction=None,
        root_cause="service",
        probability=round(probability, 4),
        severity="warning",
        onset=onset,
        window=window,
        actions=(Action(step=1, do="none", text=text),),
        evidence=evidence,
        pairs=pairs,
        subject=subject,
    )


def unknown_verdict(
    window: Window, pairs: tuple[PairImpact, ...], onset: datetime | None, missing: tuple[str, ...]
) -> Verdict:
    """Return the verdict that pairs are slow and nothing measured explains it."""
    return Verdict(
        id="",
        kind="unknown",
        link=None,
        direction=None,
        root_cause="unknown",
        probability=0.0,
        severity="warning",
        onset=onset,
        window=window,
        actions=(Action(step=1, do="none", text="no link or service stands out: see what is missing"),),
        pairs=pairs,
        missing=missing,
    )


def light_finding(scene: Scene, number: int, params: Params | None = None) -> Verdict:
    """Return the finding that light is lost on a directed link that still carries packets without errors."""
    params = params or Params()
    light = scene.lane(number)
    charge = Charge(number, "corruption", 0.0, 0.99, {"light": float(light["nats"])})
    verdict = link_verdict(scene, charge, (), None, params)
    onset = light["onset"]
    return replace(verdict, severity="notice", onset=None if pd.isna(onset) else onset.to_pydatetime())


def notice(window: Window, subject: Subject, kind: str, text: str) -> Verdict:
    """Return a finding about the map or the telemetry: nothing is slow, but something cannot be seen."""
    return Verdict(
        id="",
        kind="unknown",
        link=None,
        direction=None,
        root_cause="unknown",
        probability=1.0,
        severity="notice",
        onset=None,
        window=window,
        actions=(Action(step=1, do="none", text=text),),
        evidence=(Evidence(kind=kind, value=None, weight_db=0.0, text=text),),
        subject=subject,
    )


def causes_of(scene: Scene, number: int, mode: str, params: Params) -> dict[RootCause, float]:
    """Return the probability of each cause of a directed link that loses packets in ``mode``."""
    if mode == "congestion":
        return {"congestion": 1.0}
    if mode == "silent":
        return {"silent_drop": 1.0}
    here = scene.lane(number)
    lost = _nats(here["loss_change_db"], here["loss_sigma_db"], params)
    other = _nats(here["other_change_db"], here["other_sigma_db"], params, about=here["loss_change_db"])
    dim = _nats(-here["tx_change_db"], here["tx_sigma_db"], params)
    clean = _other_way_is_clean(scene, number)
    nats = {
        cause: np.log(params.shares[cause])
        + lost * SIGNATURES[cause][0]
        + other * SIGNATURES[cause][1]
        + dim * SIGNATURES[cause][2]
        + (np.log(params.one_way[cause]) if clean else 0.0)
        for cause in CORRUPTIONS
    }
    top = max(nats.values())
    weights = {cause: float(np.exp(value - top)) for cause, value in nats.items()}
    return {cause: weight / sum(weights.values()) for cause, weight in weights.items()}


def _nats(change_db: float, sigma_db: float, params: Params, about: float = np.nan) -> float:
    """Return ln P(change | light lost) / P(change | not), 0 where it was not measured.

    Lost light is exponential with mean ``typical_change_db``, or, where a cable took ``about`` on its
    other fibre, within ``alike`` of that: noise is as likely small on one side as large on the other.
    """
    if not np.isfinite(change_db) or not np.isfinite(sigma_db):
        return 0.0
    if np.isfinite(about) and about >= params.least_change_db:
        lost = about * np.linspace(1.0 - params.alike, 1.0 + params.alike, 31)
        weight = np.ones_like(lost)
    else:
        lost = np.linspace(params.least_change_db, 12.0, 60)
        weight = np.exp(-lost / params.typical_change_db)
    sigma = max(sigma_db, params.least_change_db / 3.0)
    exponent = (2.0 * change_db * lost - lost**2) / (2.0 * sigma**2)
    peak = exponent.max()
    ratio = peak + np.log((weight * np.exp(exponent - peak)).sum() / weight.sum())
    return float(np.clip(ratio, -params.most_nats, params.most_nats))


def _other_way_is_clean(scene: Scene, number: int) -> bool:
    row = scene.row(number ^ 1)
    return bool(row["errors_known"]) and not bool(row["sick"])


def _lane(scene: Scene, number: int, cause: RootCause) -> int | None:
    light = scene.lane(number)
    if cause in ("congestion", "silent_drop") or not light["known"]:
        return None
    return int(light["lane"])


def _evidence(scene: Scene, charge: Charge, with_pairs: bool) -> tuple[Evidence, ...]:
    """Return every term with its weight, those against it too."""
    row, light = scene.row(charge.number), scene.lane(charge.number)
    told: list[Evidence] = []
    if with_pairs:
        told.append(
            _term(
                "pairs",
                charge.rate,
                charge,
                f"retransmissions of the pairs that cross it fit a loss of {charge.rate:.2g}",
            )
        )
        if charge.terms.get("delay", 0.0) > 0.0:
            told.append(_term("delay", None, charge, "pairs that cross it wait longer in the network"))
    if row["errors_known"]:
        told.append(_term("errors", row["error_rate"], charge, _errors_text(row)))
    if row["discards_known"]:
        text = f"{row['discards']:.0f} of {row['sent']:.0f} packets discarded at the sender's egress"
        told.append(_term("discards", row["discard_rate"], charge, text))
        used = (
            f"egress used to {100.0 * row['utilisation']:.0f} %"
            if np.isfinite(row["utilisation"])
            else "use unknown"
        )
        told.append(_term("utilisation", row["utilisation"], charge, used))
    if light["known"]:
        text = (
            f"lane {light['lane']:.0f}: light lost on the way changed by {light['loss_change_db']:+.2f} dB "
            f"(± {light['loss_sigma_db']:.2f})"
        )
        told.append(_term("light", light["loss_change_db"], charge, text))
    if _other_way_is_clean(scene, charge.number):
        told.append(Evidence("other_direction", None, 0.0, "the other direction counts no errors of its own"))
    return tuple(told)


def _errors_text(row: Any) -> str:
    text = f"{row['errors']:.0f} errors among {row['packets']:.0f} packets at the receiver"
    if row["passed_on"] > 0:
        text += f", of which up to {row['passed_on']:.0f} may have come in through the sender"
    return text


def _term(kind: str, value: float | None, charge: Charge, text: str) -> Evidence:
    number = None if value is None or not np.isfinite(value) else float(value)
    return Evidence(kind, number, round(float(charge.terms.get(kind, 0.0)) * DECIBANS, 1), text)


def _alternatives(
    scene: Scene, charge: Charge, causes: Mapping[RootCause, float], cause: RootCause
) -> tuple[Candidate, ...]:
    link, direction = scene.link(charge.number), scene.direction(charge.number)
    told = [
        Candidate(link, direction, name, round(charge.probability * share, 4))
        for name, share in causes.items()
        if name != cause
    ]
    plain: Mapping[str, RootCause] = {"congestion": "congestion", "silent": "silent_drop"}
    for number, mode, probability in charge.others:
        if (number, mode) != (charge.number, charge.mode):
            told.append(
                Candidate(
                    scene.link(number),
                    scene.direction(number),
                    plain.get(mode, "unknown"),
                    round(probability, 4),
                )
            )
    told = [candidate for candidate in told if candidate.probability >= 0.001]
    return tuple(sorted(told, key=lambda candidate: -candidate.probability)[:10])


def _missing(scene: Scene, number: int) -> tuple[str, ...]:
    """Return what would have told more."""
    row, light = scene.row(number), scene.lane(number)
    rx, tx = (
        f"{row['receiver_device']} {row['receiver_if_name']}",
        f"{row['sender_device']} {row['sender_if_name']}",
    )
    told = []
    if not row["errors_known"]:
        told.append(f"errors at {rx} are not measured")
    if not row["discards_known"]:
        told.append(f"discards at {tx} are not measured")
    if not light["known"]:
        told.append(f"no usable light reading at {rx}")
    elif not np.isfinite(light["tx_change_db"]):
        told.append(f"transmitted light at {tx} is not measured")
    return tuple(told)
