"""Ports that may have a part in common, a breakout cable, a line card, a chip: neighbours by name."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]
ENDS = (("receiver_device", "receiver_if_name"), ("sender_device", "sender_if_name"))


def close(one: str, other: str, reach: int) -> bool:
    """Return whether two ports are neighbours by name: alike but for the last number, and that close."""
    (mine, a), (theirs, b) = _split(one), _split(other)
    return a >= 0 and mine == theirs and abs(a - b) < reach


def beside(directed: pd.DataFrame, numbers: Ints, reach: int) -> list[Ints]:
    """Return sets of directed links that go into neighbouring ports of one device, or out of them.

    Two or more links each, two of them among ``numbers``, the last numbers of their ports less than ``reach``
    apart; no set lies in another.
    """
    groups: dict[tuple[object, ...], list[tuple[int, int]]] = defaultdict(list)
    asked = set(numbers.tolist())
    for way, (device, if_name) in enumerate(ENDS):
        near = directed.loc[directed[device].isin(directed.loc[numbers, device]), [device, if_name]]
        for number, at, port in zip(near.index, near[device], near[if_name], strict=True):
            stem, last = _split(str(port))
            if last >= 0:
                groups[way, at, stem].append((last, int(number)))
    found = [one for ports in groups.values() for one in _windows(sorted(ports), reach)]
    return [np.array(sorted(one), dtype=np.int64) for one in found if len(one & asked) > 1]


def _windows(ports: list[tuple[int, int]], reach: int) -> list[set[int]]:
    """Return the links within reach of each port and above it, without sets that the one before holds."""
    answer: list[set[int]] = []
    for first, _ in ports:
        near = {link for last, link in ports if 0 <= last - first < reach}
        if len(near) > 1 and not (answer and near <= answer[-1]):
            answer.append(near)
    return answer


def _split(name: str) -> tuple[str, int]:
    """Return a port's name without its last number, and that number; -1 where it has none."""
    found = re.fullmatch(r"(.*?)(\d+)(\D*)", name)
    return (f"{found[1]}#{found[3]}", int(found[2])) if found else (name, -1)
