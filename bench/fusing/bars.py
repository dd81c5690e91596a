"""What was asked for, what the data allow, and what was reached, side by side."""

from __future__ import annotations

from typing import Any

Figures = dict[str, Any]

PRECISION = 0.99
RECALL = {  # by link, without path knowledge: set → coverage in percent → bar
    "uniform": {100: 0.97, 70: 0.86, 40: 0.70},
    "skew": {100: 0.95, 70: 0.80, 40: 0.68},
    "low": {100: 0.93, 70: 0.75, 40: 0.48},
}
BY_CLASS_AT_70 = 0.92
NAMED_BLIND = 0.95  # of the links named where no switch answers
TOP_1, STEPS, TOLD_APART = 0.90, 0.98, 0.98
FALSE, ABSTAINED = 0.005, 0.03
ERROR, ERROR_BETWEEN = 0.03, 0.05


def bars(summary: Figures) -> Figures:
    """Return for each bar of a summary: bar, bound (null where no judge was asked), result, of, met."""
    answer: Figures = {}
    for name, figures in summary["link"].items():
        kind, coverage = name.split(" at ")
        share = round(float(coverage.removesuffix(" %")))
        bar = PRECISION if share else NAMED_BLIND
        answer[f"{name}: precision"] = _least(bar, figures["precision"], figures.get("bound_precision"))
        if share in RECALL.get(kind, {}):
            bar = RECALL[kind][share]
            answer[f"{name}: recall"] = _least(bar, figures["recall"], figures.get("bound_recall"))
        if share == 70 and kind in RECALL:
            answer[f"{name}: recall by class"] = _least(BY_CLASS_AT_70, figures["recall_by_class"], None)
    causes = summary["causes"]["measured"]
    answer["cause"] = _least(TOP_1, causes["top_1"], causes["bound_top_1"])
    answer["first or second step"] = _least(
        STEPS, causes["first_or_second_step"], {"rate": causes["bound_first_or_second_step"]}
    )
    answer["dirt told from congestion"] = _least(TOLD_APART, causes["dirt_told_from_congestion"], None)
    wrong = summary["false_attribution"]
    answer["false attribution"] = _most(FALSE, wrong["false"])
    answer["abstained"] = _most(ABSTAINED, wrong["abstained"])
    for what, told in summary["calibration"].items():
        answer[f"calibration error, {what}"] = _error(ERROR, told["overall"])
        between = told["between_0.2_and_0.9"]
        answer[f"calibration error, {what} between 0.2 and 0.9"] = _error(ERROR_BETWEEN, between)
    return answer


def _least(bar: float, result: Figures, bound: Figures | None) -> Figures:
    rate = result["rate"]
    return {
        "bar": bar,
        "bound": bound["rate"] if bound else None,
        "result": rate,
        "of": result["of"],
        "interval": result["interval"],
        "met": rate is None or rate >= bar,
    }


def _most(bar: float, result: Figures) -> Figures:
    return _least(bar, result, None) | {"met": result["rate"] is None or result["rate"] <= bar}


def _error(bar: float, told: Figures) -> Figures:
    met = told["error"] is None or told["error"] <= bar
    return {
        "bar": bar,
        "bound": told["by_chance"],
        "result": told["error"],
        "of": told["told"],
        "met": met,
    }
