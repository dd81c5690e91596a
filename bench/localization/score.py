"""Scores: what was named against the truth, by link and by symmetry class, with intervals; calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

BINS = 15


@dataclass
class Score:
    """Right, named and failed of each trace, and the seconds each took."""

    right: list[int] = field(default_factory=list)
    named: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)

    def add(self, named: set[int], failed: set[int]) -> None:
        self.right.append(len(named & failed))
        self.named.append(len(named))
        self.failed.append(len(failed))

    def told(self) -> dict[str, Any]:
        """Return means over the traces (1 where nothing was named or had failed) and pooled counts."""
        right, named, failed = (np.array(counts) for counts in (self.right, self.named, self.failed))
        precision = np.where(named > 0, right / np.maximum(named, 1), 1.0)
        recall = np.where(failed > 0, right / np.maximum(failed, 1), 1.0)
        return {
            "traces": len(right),
            "precision": round(float(precision.mean()), 4),
            "recall": round(float(recall.mean()), 4),
            "right": int(right.sum()),
            "named": int(named.sum()),
            "failed": int(failed.sum()),
            "clean_traces": int((failed == 0).sum()),
            "named_in_clean": int(named[failed == 0].sum()),
            "precision_95": wilson(int(right.sum()), int(named.sum())),
            "recall_95": wilson(int(right.sum()), int(failed.sum())),
        }


def wilson(right: int, total: int) -> list[float]:
    """Return the 95 % interval of a rate (Wilson 1927)."""
    if not total:
        return [0.0, 1.0]
    z, rate = 1.959964, right / total
    middle = rate + z * z / (2 * total)
    reach = z * np.sqrt(rate * (1 - rate) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return [
        round(max(float((middle - reach) / scale), 0.0), 4),
        round(min(float((middle + reach) / scale), 1.0), 4),
    ]


def reliability(told: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    """Return how often what was told with a probability is so: bins of equal mass, their mean error."""
    if not told:
        return {"bins": [], "error": 0.0, "told": 0}
    ordered = np.array(sorted(told))
    bins, error, middle = [], 0.0, []
    for part in np.array_split(ordered, min(BINS, len(ordered))):
        said, so = float(part[:, 0].mean()), float(part[:, 1].mean())
        bins.append({"told": len(part), "said": round(said, 4), "so": round(so, 4)})
        error += abs(said - so) * len(part) / len(ordered)
        middle += [(said, so, len(part))] if 0.2 <= said <= 0.9 else []
    weight = sum(count for _, _, count in middle)
    between = sum(abs(said - so) * count for said, so, count in middle) / weight if weight else 0.0
    return {"bins": bins, "error": round(error, 4), "error_02_09": round(between, 4), "told": len(ordered)}
