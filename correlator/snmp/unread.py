"""Answers that are kept to be read together, and how they are put in groups for that."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from correlator.snmp.kinds import Ints

FEW = 8  # requests whose answers are sooner found one by one than by sorting
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
    counts = np.bincount(kind)
    many = np.flatnonzero(counts >= GROUP)
    all_many = counts[many].sum() == len(kind)
    if all_many and _even(counts, varbinds, many):
        return [_order(kind, counts).reshape(len(many), -1)]
    apart = [] if all_many else [np.flatnonzero(counts.take(kind) < GROUP)]
    left: dict[int, list[Ints]] = {}  # by number of varbinds, the answers to each request
    for one, which in _sorted_out(kind, many, counts):
        left.setdefault(int(varbinds[one]), []).append(which)
    groups = []
    for some in left.values():
        while (most := max(map(len, some))) >= GROUP:
            every = min(len(one) for one in some if 2 * len(one) > most)
            groups.append(np.stack([one[:every] for one in some if len(one) >= every]))
            some = [one[every:] if len(one) >= every else one for one in some]
        apart += some
    if apart:
        rest = np.concatenate(apart)
        sizes = varbinds.take(kind.take(rest))
        groups += [rest[sizes == size][:, None] for size in np.unique(sizes).tolist()]
    return groups


def _sorted_out(kind: Ints, wanted: Ints, counts: Ints) -> Iterator[tuple[int, Ints]]:
    """Return, for each of some requests, the numbers of the answers to it."""
    if len(wanted) <= FEW:
        yield from ((one, np.flatnonzero(kind == one)) for one in wanted.tolist())
        return
    order, ends = _order(kind, counts), np.cumsum(counts)
    for one, end, count in zip(wanted.tolist(), ends[wanted].tolist(), counts[wanted].tolist(), strict=True):
        yield one, order[end - count : end]


def _even(counts: Ints, varbinds: Ints, some: Ints) -> bool:
    """Return whether some requests have as many answers each, and these as many varbinds."""
    first = some[0]
    return bool(((counts[some] == counts[first]) & (varbinds[some] == varbinds[first])).all())


def _order(kind: Ints, counts: Ints) -> Ints:
    """Return the numbers of answers in order of the requests that they answer."""
    short = kind.astype(np.uint16) if len(counts) <= 2**16 else kind  # numpy sorts these far faster
    return np.argsort(short, kind="stable")
