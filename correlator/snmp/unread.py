"""Answers that are kept to be read together, and how they are put in groups for that."""

from __future__ import annotations

from typing import Any

import numpy as np

from correlator.snmp.codec import Bytes, Flags, Ints

GROUP = 64  # answers of one kind for which it pays to read them apart from others


class Unread:
    """The answers of one socket that are kept to be read together; ``end`` is behind the last of them."""

    def __init__(self) -> None:
        self.end = self.count = 0
        self._parts: list[tuple[Any, ...]] = []

    def keep(self, at: Ints, device: Ints, number: Ints, known: Bytes, looked: Flags | None) -> None:
        """Keep those datagrams: answers of devices to requests of theirs, and what they look like.

        ``looked``: that is new; None: nowhere.
        """
        self._parts.append(
            (at, device, number, known, np.zeros(len(at), dtype=bool) if looked is None else looked)
        )
        self.count += len(at)

    def taken(self) -> tuple[Ints, Ints, Ints, Bytes, Flags]:
        """Return all of them; none is kept then."""
        parts, self._parts = self._parts, []
        self.end = self.count = 0
        at, device, number, known, looked = (np.concatenate(part) for part in zip(*parts, strict=True))
        return at, device, number, known, looked


def alike(kind: Ints, varbinds: Ints) -> list[Ints]:
    """Return answers in groups of one kind or, where those would be small, of one number of varbinds."""
    counts = np.bincount(kind)
    if len(kind) < np.count_nonzero(counts) * GROUP:
        kind = varbinds[kind]
        counts = np.bincount(kind)
    return [np.flatnonzero(kind == one) for one in np.flatnonzero(counts).tolist()]
