"""What to ask a device each time: requests written once from what it has shown to hold.

Interfaces that answer the same columns and stand behind each other are asked for together by GETBULK, some
whole rows a message: a row's values share one message, and with it one capture time and one sysUpTime.
What fills no message that way is asked for by GET. A plan holds until the inventory changes; devices
with the same inventory share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from correlator.snmp import ber
from correlator.snmp.kinds import Ints, Kinds
from correlator.snmp.patterns import Cell, Line, Pattern, Request, pattern, stacked
from correlator.snmp.target import Index

LONGEST = 1400  # bytes of a request: one Ethernet frame with room for headers


class Plan:
    """The requests of one kind of device, ready to be sent.

    ``scalars`` come with every message; the first of them is sysUpTime. ``slots`` and ``rows`` is how many
    values and rows a device brings. ``patterns`` are its requests; each is known by its number there. The
    first ``count`` make a poll; behind them stand those that ``rest`` added, for answers that came cut.
    """

    def __init__(
        self,
        community: bytes,
        scalars: tuple[Cell, ...],
        requests: Sequence[Request],
        slots: int,
        rows: int,
    ) -> None:
        self.community, self.scalars, self.slots, self.rows = community, scalars, slots, rows
        self.patterns = [pattern(community, scalars, one) for one in requests]
        self.count = len(self.patterns)
        self._rests: dict[tuple[int, int], int] = {}

    def rest(self, number: int, rows: int) -> int:
        """Return the number of the request for what is missing where only so many rows came."""
        key = number, rows
        if key not in self._rests:
            asked = self.patterns[number].request
            rest = Request(asked.lines[rows:], asked.lines[rows - 1].index)
            self.patterns.append(pattern(self.community, self.scalars, rest))
            self._rests[key] = len(self.patterns) - 1
        return self._rests[key]

    @cached_property
    def unfilled(self) -> Ints:
        """The slots that no answer fills."""
        empty = np.ones(self.slots, dtype=bool)
        for one in self.patterns[: self.count]:
            empty[one.slot[one.slot >= 0]] = False
        return np.flatnonzero(empty)

    @property
    def varbinds(self) -> int:
        """The varbinds of the largest request."""
        return max((len(one.slot) for one in self.patterns[: self.count]), default=0)


def table(lines: Sequence[Line], varbinds: int, longest: int = LONGEST) -> list[Request]:
    """Return the requests for the rows of a table, about so many varbinds each.

    These are all the rows that it has; those without cells are there and not asked for.
    """
    requests: list[Request] = []
    left: list[Line] = []
    for start, run in _runs(sorted(lines, key=lambda line: line.index)):
        width = len(run[0].cells)
        size = max(1, varbinds // width)
        at = 0
        while len(run) - at >= size or (len(run) - at) * width * 2 > varbinds:
            requests.append(Request(tuple(run[at : at + size]), run[at - 1].index if at else start))
            at += size
        left += run[at:]
    return requests + gets(left, varbinds, longest)


def _runs(lines: Sequence[Line]) -> Iterator[tuple[Index, list[Line]]]:
    """Return rows behind each other that have the same columns, each run with the index before it."""
    before: Index = ()
    run: list[Line] = []
    start: Index = ()
    for line in lines:
        if run and run[-1].columns != line.columns:
            yield start, run
            run = []
        if not run:
            start = before
        if line.cells:
            run.append(line)
        before = line.index
    if run:
        yield start, run


def gets(lines: Iterable[Line], varbinds: int, longest: int = LONGEST) -> list[Request]:
    """Return GETs for rows, as many whole ones in each as make no more than so many varbinds."""
    requests: list[Request] = []
    packed: list[Line] = []
    count = size = 0
    for line in lines:
        more = sum(len(ber.object_identifier(cell.column + line.index)) + 4 for cell in line.cells)
        if packed and (count + len(line.cells) > varbinds or size + more > longest):
            requests.append(Request(tuple(packed), None))
            packed, count, size = [], 0, 0
        packed.append(line)
        count, size = count + len(line.cells), size + more
    return requests + ([Request(tuple(packed), None)] if packed else [])


@dataclass(frozen=True, slots=True)
class Joined:
    """The requests of several plans, those that are alike once.

    ``patterns`` are the rows of ``kinds``: first those of polls, then those that were added. ``kind`` says
    which of them each request is, plan by plan; ``first`` where a plan's begin there, by the plan's ``id``.
    """

    patterns: list[Pattern]
    kinds: Kinds
    kind: Ints
    first: dict[int, int]


def joined(plans: Sequence[Plan]) -> Joined:
    """Return the requests of plans, each of which is given once."""
    of_polls = [one for plan in plans for one in plan.patterns[: plan.count]]
    added = [one for plan in plans for one in plan.patterns[plan.count :]]
    patterns = list(dict.fromkeys([*of_polls, *added]))
    place = {id(one): number for number, one in enumerate(patterns)}
    kind = np.array([place[id(one)] for plan in plans for one in plan.patterns], np.int64)
    ends = np.cumsum([0, *(len(plan.patterns) for plan in plans)]).tolist()
    return Joined(patterns, stacked(patterns), kind, dict(zip(map(id, plans), ends, strict=False)))
