"""Whether verdicts are the truth: used after the fact, by the demo and by tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SAME = ("kind", "link", "direction", "root_cause")
SUBJECTS = ("host", "service")


def right(truth: Sequence[dict[str, Any]], verdicts: Sequence[dict[str, Any]]) -> bool:
    """Return whether each true fault has its verdict and no verdict is without a fault.

    Both are lists in the verdicts' JSON form. A verdict is right when kind, link, direction and cause
    are, when it names the true host or service where that is the answer, and when the true end is
    among the steps that it proposes.
    """
    left = list(verdicts)
    for fault in truth:
        found = next((verdict for verdict in left if matches(fault, verdict)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def matches(fault: dict[str, Any], verdict: dict[str, Any]) -> bool:
    """Return whether a verdict says what a true fault is."""
    if any(fault.get(key) != verdict.get(key) for key in SAME):
        return False
    if fault["kind"] in SUBJECTS and not _same_subject(fault, verdict):
        return False
    return _ends(fault) <= _ends(verdict)


def _same_subject(fault: dict[str, Any], verdict: dict[str, Any]) -> bool:
    key = fault["kind"]
    return bool((fault.get("subject") or {}).get(key) == (verdict.get("subject") or {}).get(key))


def _ends(verdict: dict[str, Any]) -> set[tuple[str, str]]:
    steps = verdict.get("actions") or []
    return {(step["device"], step["if_name"]) for step in steps if step.get("device") and step.get("if_name")}
