"""The bars that the shipped settings are held to, printed beside the result and the bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NEAR = 0.02  # of the bound's recall
BARS: Mapping[tuple[str, str], tuple[float, float]] = {  # (mode, set) → precision, recall
    ("int", "uniform"): (0.995, 0.95),
    ("int", "skew"): (0.99, 0.92),
    ("int", "low"): (0.99, 0.75),
    ("traced", "uniform"): (0.995, 0.95),
    ("traced", "skew"): (0.99, 0.92),
    ("traced", "low"): (0.99, 0.75),
    ("probes", "uniform"): (0.99, 0.72),
    ("passive", "uniform"): (0.985, 0.87),
    ("passive", "skew"): (0.985, 0.74),
}
LINK_PRECISION = 0.95  # in passive: what is named by link in spite of unknown paths


def judged(summary: Mapping[str, Any], mode: str, which: str) -> dict[str, Any]:
    """Return bar, bound and result of one mode together, each as [precision, recall], by class in passive."""
    level = "class" if mode == "passive" else "link"
    told = {who: [one["precision"], one["recall"]] for who, one in summary[level].items()}
    result, bound, bar = told["correlator"], told.get("oracle"), BARS.get((mode, which))
    answer: dict[str, Any] = {"by": level, "bar": bar, "bound": bound, "result": result}
    answer["clean_traces"] = summary[level]["correlator"]["clean_traces"]
    answer["named_in_clean"] = summary[level]["correlator"]["named_in_clean"]
    if bar is not None:
        answer["bar_held"] = [result[0] >= bar[0], result[1] >= bar[1]]
    if bound is not None:
        answer["near_bound"] = result[1] >= bound[1] - NEAR
    if mode == "passive":
        answer["by_link"] = {"bar": LINK_PRECISION, "result": summary["link"]["correlator"]["precision"]}
    return answer
