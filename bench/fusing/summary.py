"""From claims to figures: precision, recall, causes, calibration; every rate with N and a 95 % interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from localization.score import wilson

from fusing.bars import bars
from fusing.score import CORRUPTIONS

Record = dict[str, Any]
Told = tuple[float, bool, tuple[Any, ...]]  # a probability, whether it is so, and what it is about
BINS, DRAWS = 15, 200
MEASURED = {"errors", "discards", "dim", "both", "faint"}  # signs of a fault whose both ends are polled


def rate(right: int, total: int) -> dict[str, Any]:
    """Return a rate with its counts and its 95 % interval."""
    share = round(right / total, 4) if total else None
    return {"rate": share, "right": right, "of": total, "interval": wilson(right, total)}


def share(things: Iterable[Any], so: Callable[[Any], bool]) -> dict[str, Any]:
    """Return the rate of things that are so."""
    every = list(things)
    return rate(sum(1 for one in every if so(one)), len(every))


def summary(records: Sequence[Record]) -> dict[str, Any]:
    """Return all figures of some records."""
    verdicts = [v for record in records for v in record["verdicts"]]
    named = [v for v in verdicts if v["kind"] == "link"]
    classes = [v for v in verdicts if v["kind"] == "class"]
    answer = {
        "seeds": len({(r["set"], r["seed"]) for r in records}),
        "verdicts": len(named) + len(classes),
        "link": places(records),
        "classes_right": share(classes, lambda v: v["right"]),
        "causes": causes(named + [v for v in classes if v["cause"] == "shared_component"]),
        "false_attribution": attribution(records),
        "calibration": calibration(records),
    }
    return {"bars": bars(answer)} | answer


def places(records: Sequence[Record]) -> dict[str, Any]:
    """Return precision and recall of verdicts on links, by set and coverage."""
    answer: dict[str, Any] = {}
    for key in sorted({(r["set"], r["coverage"]) for r in records}, key=lambda k: (k[0], -k[1])):
        mine = [r for r in records if (r["set"], r["coverage"]) == key]
        named = [v for r in mine for v in r["verdicts"] if v["kind"] == "link"]
        faults = [fault for r in mine for fault in r["faults"]]
        counted = [fault for fault in faults if fault["cause"] in CORRUPTIONS]
        answer[f"{key[0]} at {100 * key[1]:.0f} %"] = {
            "precision": share(named, lambda v: v["right"]),
            "recall": share(faults, lambda f: f["met"] in ("link", "finding")),
            "recall_of_corruption": share(counted, lambda f: f["met"] in ("link", "finding")),
            "recall_of_silent": share(
                [f for f in faults if f["cause"] == "silent_drop"], lambda f: f["met"] in ("link", "finding")
            ),
            "recall_as_verdict": share(faults, lambda f: f["met"] == "link"),
            "recall_by_class": share(faults, lambda f: f["met"] != "nothing"),
        } | _bound([fault["judge"] for fault in faults if "judge" in fault])
    return answer


def _bound(judged: Sequence[Record]) -> dict[str, Any]:
    """Return what the judge reached who is told the fabric's true parameters."""
    if not judged:
        return {}
    return {
        "bound_precision": share([one for one in judged if one["named"]], lambda one: one["right"]),
        "bound_recall": share(judged, lambda one: one["named"] and one["right"]),
    }


def causes(verdicts: Sequence[Record]) -> dict[str, Any]:
    """Return how often cause and steps of verdicts on the right place are right.

    The bound of the steps: a work order for one cause helps as often as the judge is sure of that cause.

    ``measured``: where errors and light are told at both ends; ``all``: at every coverage, host links too.
    """
    right = [v for v in verdicts if v["right"]]
    return {"measured": _causes([v for v in right if set(v["judge"]["signs"]) >= MEASURED]),
            "all": _causes(right)}  # fmt: skip


def _causes(right: Sequence[Record]) -> dict[str, Any]:
    kinds = sorted({v["true_cause"] for v in right})
    mixed = [v for v in right if v["true_cause"] in (*CORRUPTIONS, "congestion")]
    return {
        "top_1": share(right, lambda v: v["whole"]),
        "bound_top_1": share(right, lambda v: v["judge"]["right"]),
        "top_1_by_cause": {
            kind: share([v for v in right if v["true_cause"] == kind], lambda v: v["whole"]) for kind in kinds
        },
        "bound_first_or_second_step": _mean([v["judge"]["sure"] for v in right]),
        "first_or_second_step": share(right, lambda v: v["step"] is not None and v["step"] <= 2),
        "dirt_told_from_congestion": share(mixed, _told_apart),
        "confusion": {
            kind: dict(Counter(v["cause"] for v in right if v["true_cause"] == kind)) for kind in kinds
        },
    }


def _mean(values: Sequence[float]) -> float | None:
    return round(float(np.mean(values)), 4) if values else None


def _told_apart(verdict: Record) -> bool:
    if verdict["true_cause"] == "congestion":
        return bool(verdict["cause"] == "congestion")
    return verdict["cause"] in CORRUPTIONS


def attribution(records: Sequence[Record]) -> dict[str, Any]:
    """Return how often pairs were laid on a link that is innocent, and how often nobody was named.

    ``abstained``: pairs are slow, and no verdict has a place: neither a link nor a class of links, nor a
    host or service. ``only_a_class``: links that the network does not tell apart, of which one loses for a
    reason that nobody sees, and no other cause: what would settle it is said.
    """
    full = [r for r in records if r["coverage"] == 1.0]
    slow = [r for r in full if r["slow"]]
    return {
        "false": share(full, lambda r: any(_false(v) for v in r["verdicts"])),
        "on_a_sick_link": share(full, lambda r: any(v["sick"] and _false(v) for v in r["verdicts"])),
        "abstained": share(slow, lambda r: not _kinds(r) - {"unknown"}),
        "only_a_class": share(slow, lambda r: "class" in _kinds(r) and not _reasons(r) - {"unknown"}),
    }


def _kinds(record: Record) -> set[str]:
    return {verdict["kind"] for verdict in record["verdicts"]}


def _reasons(record: Record) -> set[str]:
    return {verdict["cause"] for verdict in record["verdicts"]}


def _false(verdict: Record) -> bool:
    return bool(verdict["kind"] in ("link", "host", "service") and verdict["pairs"] and not verdict["right"])


def calibration(records: Sequence[Record]) -> dict[str, Any]:
    """Return how often what was told with a probability is so, of verdicts and of what they hold possible."""
    top: list[Told] = []
    others: list[Told] = []
    for record in records:
        for verdict in record["verdicts"]:
            about = (record["set"], record["seed"], verdict["kind"], verdict["link"])
            if verdict["kind"] in ("link", "class"):
                top.append((verdict["probability"], bool(verdict["whole"]), about))
            others += [(p, bool(so), (*about, n)) for n, (p, so) in enumerate(verdict["alternatives"])]
    return {"verdicts": reliability(top), "with_alternatives": reliability(top + others)}


def reliability(told: Sequence[Told]) -> dict[str, Any]:
    """Return the calibration error in 15 bins of equal mass, overall and of 0.2 to 0.9.

    ``by_chance``: the error of one whose every probability is true. What is told of one place of one
    fabric, at several coverages, comes true or not together; places are independent.
    """
    middle = [one for one in told if 0.2 <= one[0] <= 0.9]
    return {"overall": _binned(told), "between_0.2_and_0.9": _binned(middle)}


def _binned(told: Sequence[Told]) -> dict[str, Any]:
    if not told:
        return {"told": 0, "error": None, "by_chance": None, "bins": []}
    rng = np.random.default_rng(0)
    places = {about: n for n, about in enumerate(dict.fromkeys(about for _, _, about in told))}
    numbers = np.array([(p, so, places[about]) for p, so, about in told], dtype=np.float64)
    mixed = rng.permutation(numbers)  # of those told alike, none comes first
    ordered = mixed[np.argsort(mixed[:, 0], kind="stable")]
    chance = rng.random((DRAWS, len(places)))
    bins, error, by_chance = [], 0.0, 0.0
    for part in np.array_split(ordered, min(BINS, len(ordered))):
        said, so = float(part[:, 0].mean()), float(part[:, 1].mean())
        error += abs(said - so) * len(part) / len(ordered)
        drawn = (chance[:, part[:, 2].astype(int)] < part[:, 0]).mean(axis=1)
        by_chance += float(np.abs(drawn - said).mean()) * len(part) / len(ordered)
        low, high = wilson(int(part[:, 1].sum()), len(part))
        bins.append({"told": len(part), "said": round(said, 4), "so": round(so, 4), "interval": [low, high]})
    return {
        "told": len(ordered),
        "error": round(error, 4),
        "by_chance": round(by_chance, 4),
        "bins": bins,
    }
