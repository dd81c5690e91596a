"""From a sick directed link to a cause, a work order and the reasons, for and against.

Which cause it is, ``causes`` weighs by where light and packets go missing. Light and counters do not
tell which end-face of a fibre is dirty, so a dirty connector's first step is the receiving end, its
second the sending end. Page: docs/algorithms/diagnose.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pandas as pd

from correlator.engine.causes import Params, Signs, probabilities, weighed
from correlator.engine.causes import Terms as CauseTerms
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
PLAIN: Mapping[str, RootCause] = {"congestion": "congestion", "silent": "silent_drop"}
"""Ways of losing that are causes by themselves."""
REASONS = {
    "share": "how often each is the cause",
    "light": "light lost this way",
    "transmitter": "light sent",
    "other_way": "light and errors of the other direction",
    "beside": "whether neighbouring links lose as well",
}
OWN_TX = ("own_tx_change_db", "own_tx_sigma_db")
BACK_AT_LEAST, ENOUGH_EXPECTED = 0.2, 5.0
"""Of this direction's rate, what a fault of both takes from the other; and how many errors that must make
before their absence shows anything."""
LEAST_TERM = 0.02  # nats: smaller terms round to nothing
EARLY = 0.99  # of what light or corrected codewords convict: they have other ways to move
TOLD = 0.001  # of a cause's or another place's probability, to be told as an alternative


@dataclass(frozen=True)
class Scene:
    """What is known of the links now: tables with one row a directed link, and the window looked at.

    ``health`` carries the columns of the map's directed links and of ``health.health``; ``light``
    those of ``optics.strongest``. ``accused``: the directed links that symptoms or counters convict.
    ``then``: the light while it was off, of directed links whose light has come back.
    """

    health: pd.DataFrame
    light: pd.DataFrame
    window: Window
    accused: frozenset[int] = frozenset()
    then: pd.DataFrame = field(default_factory=pd.DataFrame)

    def row(self, number: int) -> Any:
        """Return the health of a directed link."""
        return self.health.loc[number]

    def lane(self, number: int) -> Any:
        """Return the light of a directed link, of its lane with the strongest evidence."""
        return self.light.loc[number]

    def lane_then(self, number: int) -> Any:
        """Return the light of a directed link while packets were lost: before it came back, where it has."""
        return self.then.loc[number] if number in self.then.index else self.light.loc[number]

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

    ``modes``: the probability that it is sick, by the way of losing; ``mode`` the likeliest. ``terms`` are
    log Bayes factors by kind; ``others`` are (directed link, mode, probability). ``back``: log Bayes factor
    that the other direction loses too, by the pairs; ``apart``: by them, the links beside it do not.
    """

    number: int
    modes: Mapping[str, float]
    rate: float
    terms: Mapping[str, float]
    others: tuple[tuple[int, str, float], ...] = ()
    back: float = np.nan
    apart: bool = False

    @property
    def mode(self) -> str:
        """How it loses, most likely."""
        return max(self.modes, key=lambda mode: self.modes[mode])

    @property
    def probability(self) -> float:
        """The probability that it is sick in any way."""
        return sum(self.modes.values())


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
    terms = terms_of(scene, charge.number, charge.rate, params, charge.back, charge.apart)
    causes = causes_of(charge, terms)
    cause = next(iter(causes))
    severity: Severity = "err" if pairs else "warning"
    sender = link.sender(direction)
    full = Subject(device=sender.device, if_name=sender.if_name) if cause == "congestion" else Subject()
    return Verdict(
        id="",
        kind="link",
        link=link,
        direction=direction,
        root_cause=cause,
        probability=round(causes[cause], 4),
        severity=severity,
        onset=onset,
        window=scene.window,
        lane=_lane(scene, charge.number, cause),
        actions=actions(link, direction, cause, _lane(scene, charge.number, cause)),
        evidence=_evidence(scene, charge, bool(pairs)) + _reasons(causes, terms),
        pairs=pairs,
        alternatives=_alternatives(scene, charge, causes),
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
    return _not_the_network("service", subject, text, window, pairs, onset, evidence, probability)


def host_verdict(
    window: Window,
    host: str,
    pairs: tuple[PairImpact, ...],
    onset: datetime | None,
    evidence: tuple[Evidence, ...],
    probability: float,
) -> Verdict:
    """Return the verdict that a host is slow by itself: nothing to do on the network."""
    text = f"the links of {host} are well: look into its processor, memory and interrupts"
    return _not_the_network("host", Subject(host=host), text, window, pairs, onset, evidence, probability)


def _not_the_network(
    kind: Literal["service", "host"],
    subject: Subject,
    text: str,
    window: Window,
    pairs: tuple[PairImpact, ...],
    onset: datetime | None,
    evidence: tuple[Evidence, ...],
    probability: float,
) -> Verdict:
    return Verdict(
        id="",
        kind=kind,
        link=None,
        direction=None,
        root_cause=kind,
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
    charge = Charge(number, {"corruption": EARLY}, 0.0, {"light": float(light["nats"])})
    verdict = link_verdict(scene, charge, (), None, params)
    onset = light["onset"]
    return replace(verdict, severity="notice", onset=None if pd.isna(onset) else onset.to_pydatetime())


def corrected_finding(scene: Scene, number: int, grown: Any, params: Params | None = None) -> Verdict:
    """Return the finding that error correction mends ever more on a directed link that loses nothing yet.

    ``grown``: a row of ``corrected.growth``.
    """
    charge = Charge(number, {"corruption": EARLY}, 0.0, {})
    verdict = link_verdict(scene, charge, (), None, params)
    now = f"{grown['corrected']:.3g} a second now"
    text = f"corrected codewords grow {grown['factor']:.2g}-fold a minute ({now})"
    weight = round(float(grown["sigmas"] ** 2) / 2.0 * DECIBANS, 1)
    early = Evidence("corrected", float(grown["factor"]), weight, text)
    return replace(verdict, severity="notice", evidence=(early, *verdict.evidence))


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


def causes_of(charge: Charge, terms: Mapping[RootCause, CauseTerms]) -> dict[RootCause, float]:
    """Return the probability that the link is sick of each cause, likeliest first.

    Full queues and silent drops are told apart by localisation, corruption's causes by their signs.
    """
    corrupt = charge.modes.get("corruption", 0.0)
    answer = {cause: corrupt * share for cause, share in probabilities(terms).items()}
    for mode, cause in PLAIN.items():
        answer[cause] = charge.modes.get(mode, 0.0)
    return dict(sorted(answer.items(), key=lambda item: -item[1]))


def terms_of(
    scene: Scene, number: int, rate: float, params: Params, back_nats: float = np.nan, apart: bool = False
) -> dict[RootCause, CauseTerms]:
    """Return what each sign of a directed link that loses at ``rate`` weighs for each cause, in nats.

    ``back_nats`` and ``apart``: what pairs say (``Charge``), where no counter tells.
    """
    here, back = scene.lane_then(number), scene.lane_then(number ^ 1)
    sent = ("tx_change_db", "tx_sigma_db") if np.isfinite(here["tx_change_db"]) else OWN_TX
    sender = here if sent != OWN_TX else back
    other = here if np.isfinite(here["other_change_db"]) else back
    of_other = ("other_change_db", "other_sigma_db") if other is here else ("loss_change_db", "loss_sigma_db")
    return weighed(
        Signs(
            lost_db=here["loss_change_db"],
            lost_sigma_db=here["loss_sigma_db"],
            sent_db=sender[sent[0]],
            sent_sigma_db=sender[sent[1]],
            other_db=other[of_other[0]],
            other_sigma_db=other[of_other[1]],
            back=_back_loses(scene, number ^ 1, rate),
            back_nats=back_nats,
            watched=apart or _neighbours_watched(scene, number),
        ),
        params,
    )


def _back_loses(scene: Scene, number: int, rate: float) -> bool | None:
    """Return whether a link's other direction loses packets; None where too few were counted to tell."""
    row = scene.row(number)
    if number in scene.accused or bool(row["sick"]):
        return True
    enough = bool(row["errors_known"]) and row["packets"] * rate * BACK_AT_LEAST >= ENOUGH_EXPECTED
    return False if enough else None


def _neighbours_watched(scene: Scene, number: int) -> bool:
    """Return whether errors are counted on another link of one of the link's two devices."""
    row, health = scene.row(number), scene.health
    ends = [row["sender_device"], row["receiver_device"]]
    others = np.array(health["sender_device"].isin(ends) | health["receiver_device"].isin(ends))
    others[[number, number ^ 1]] = False
    return bool((others & health["errors_known"].to_numpy(dtype=bool)).any())


def _lane(scene: Scene, number: int, cause: RootCause) -> int | None:
    light = scene.lane_then(number)
    if cause in ("congestion", "silent_drop") or not light["known"]:
        return None
    return int(light["lane"])


def _evidence(scene: Scene, charge: Charge, with_pairs: bool) -> tuple[Evidence, ...]:
    """Return every term with its weight, those against it too."""
    row, light = scene.row(charge.number), scene.lane_then(charge.number)
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
            + (", and has come back" if charge.number in scene.then.index else "")
        )
        told.append(_term("light", light["loss_change_db"], charge, text))
    if _back_loses(scene, charge.number ^ 1, charge.rate) is False:
        told.append(Evidence("other_direction", None, 0.0, "the other direction counts no errors of its own"))
    return tuple(told)


def _reasons(
    causes: Mapping[RootCause, float], terms: Mapping[RootCause, CauseTerms]
) -> tuple[Evidence, ...]:
    """Return each term of the cause's odds against the next likely one, in decibans."""
    best, second, *_ = causes
    if best not in terms or second not in terms:  # told apart by localisation, whose terms stand before
        return ()
    told = {name for cause in (best, second) for name in terms[cause]}
    weights = {name: terms[best].get(name, 0.0) - terms[second].get(name, 0.0) for name in sorted(told)}
    text = f"for {best} rather than {second}: {{}}"
    return tuple(
        Evidence(f"cause_{name}", None, round(weight * DECIBANS, 1), text.format(REASONS[name]))
        for name, weight in weights.items()
        if abs(weight) >= LEAST_TERM
    )


def _errors_text(row: Any) -> str:
    text = f"{row['errors']:.0f} errors among {row['packets']:.0f} packets at the receiver"
    if row["passed_on"] > 0:
        text += f", of which up to {row['passed_on']:.0f} may have come in through the sender"
    return text


def _term(kind: str, value: float | None, charge: Charge, text: str) -> Evidence:
    number = None if value is None or not np.isfinite(value) else float(value)
    return Evidence(kind, number, round(float(charge.terms.get(kind, 0.0)) * DECIBANS, 1), text)


def _alternatives(scene: Scene, charge: Charge, causes: Mapping[RootCause, float]) -> tuple[Candidate, ...]:
    """Return what else it could be: other causes of this link, and other places."""
    link, direction = scene.link(charge.number), scene.direction(charge.number)
    told = [Candidate(link, direction, name, round(share, 4)) for name, share in list(causes.items())[1:]]
    for number, mode, probability in charge.others:
        if number != charge.number:
            cause = PLAIN.get(mode, "unknown")
            told.append(Candidate(scene.link(number), scene.direction(number), cause, round(probability, 4)))
    told = [candidate for candidate in told if candidate.probability >= TOLD]
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
