"""Verdicts and findings as people and programs read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import typer

from correlator.commands.options import out, print_json

if TYPE_CHECKING:
    from correlator.model import Verdict


@dataclass(frozen=True)
class Conclusions:
    """What is wrong: verdicts explain slow pairs, findings explain none."""

    verdicts: Sequence[Verdict]
    findings: Sequence[Verdict]

    def to_json(self) -> dict[str, Any]:
        """Return both as lists of the stable JSON form."""
        return {
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "findings": [finding.to_json() for finding in self.findings],
        }


def told(
    conclusions: Conclusions, as_json: bool, fail_on: Literal["finding", "verdict"] | None = None
) -> None:
    """Print conclusions on stdout; exit with 1 where there is what ``fail_on`` names."""
    if as_json:
        print_json(conclusions.to_json())
    else:
        _print(conclusions)
    found = bool(conclusions.verdicts) or (fail_on == "finding" and bool(conclusions.findings))
    if fail_on is not None and found:
        raise typer.Exit(1)


def _print(conclusions: Conclusions) -> None:
    if not conclusions.verdicts:
        out.print("no verdict: no slow pair is explained by a link, a host or a service")
    for verdict in conclusions.verdicts:
        out.print(f"verdict: {sentence(verdict)}", markup=False)
        for action in verdict.actions:
            out.print(f"  {action.step}. {action.text or step(action)}", markup=False)
    for finding in conclusions.findings:
        out.print(f"finding: {sentence(finding)}", markup=False)


def sentence(verdict: Verdict) -> str:
    """Return a verdict in one line: cause, where, which way, how sure, how many suffer.

    Where the map or the telemetry is what a finding is about, its own words say it.
    """
    if is_notice(verdict):
        return verdict.evidence[0].text
    cause = verdict.root_cause.replace("_", " ")
    pairs = f", {verdict.hurt} pairs slow" if verdict.hurt else ""
    return f"{cause}: {place(verdict)} ({verdict.probability:.0%} sure{pairs})"


def is_notice(verdict: Verdict) -> bool:
    """Return whether a finding names nothing sick: a contradiction in the map, a target that is silent."""
    return verdict.kind == "unknown" and not verdict.pairs and bool(verdict.evidence)


def place(verdict: Verdict) -> str:
    """Return where a verdict points: a directed link, a class of them, a host or a service."""
    if verdict.link is not None and verdict.direction == "both":
        return str(verdict.link)
    if verdict.link is not None and verdict.direction is not None:
        return f"{verdict.link.sender(verdict.direction)} -> {verdict.link.receiver(verdict.direction)}"
    if verdict.candidates:
        return "one of " + ", ".join(str(candidate.link) for candidate in verdict.candidates)
    subject = verdict.subject
    named = (subject.service, subject.container, subject.host, subject.device, subject.if_name)
    return " ".join(name for name in named if name) or "unknown"


def step(action: Any) -> str:
    """Return a step of a work order in words, where it has no text of its own."""
    where = " ".join(str(part) for part in (action.device, action.if_name) if part)
    return f"{action.do.replace('_', ' ')} {where} {action.side or ''}".strip()
