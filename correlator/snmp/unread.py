"""Answers that are kept to be read together, and how they are put in groups for that."""

from __future__ import annotations

import numpy as np

from correlator.snmp.codec import Ints

GROUP = 8  # answers to one request for which it pays to read them apart from those to others


class Unread:
    """The answers of one socket that are kept to be read together; ``end`` is behind the last of them."""

    def __init__(self) -> None:
        self.end = self.count = 0
        self._parts: list[tuple[Ints, Ints, Ints]] = []

    def keep(self, at: Ints, device: Ints, number: Ints) -> None:
        """Keep those datagrams: answers of devices to requests of theirs."""
        self._parts.append((at, device, number))
        self.count += len(at)

    def taken(self) -> tuple[Ints, Ints, Ints]:
        """Return all of them; none is kept then."""
        parts, self._parts = self._parts, []
        self.end = self.count = 0
        at, device, number = (np.concatenate(part) for part in zip(*parts, strict=True))
        return at, device, number


def alike(kind: Ints, varbinds: Ints) -> list[Ints]:
    """Return the numbers of answers in groups, each requests × answers to each, of so many varbinds all.

    ``kind`` is what each answers; ``varbinds`` of answers to each. Those to requests that have few are
    each their own.
    """
    order, counts = np.argsort(kind, kind="stable"), np.bincount(kind)
    first = np.cumsum(counts) - counts
    there = np.flatnonzero(counts)
    groups = []
    for size in np.unique(varbinds[there]).tolist():
        these = there[varbinds[there] == size]
        while (most := counts[these].max()) >= GROUP:
            some = these[counts[these] * 2 > most]
            every = counts[some].min()
            groups.append(order[first[some][:, None] + np.arange(every)])
            first[some] += every
            counts[some] -= every
        rest = [order[first[one] : first[one] + counts[one]] for one in these.tolist() if counts[one]]
        if rest:
            groups.append(np.concatenate(rest)[:, None])
    return groups
