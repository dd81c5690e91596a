"""Path sets: what the traffic between two places of the fabric has in common, whatever hosts it joins.

A set is told by its *segments*, and a segment by the shares of its links, so that sets share what
they have in common:

    shares of set s  =  segments[s] @ links

Segments are the way out of the first switch, the middle, and the way into the last ones. The middle
is the same for all last switches that hang on the same others (the leaves of a pod), and for all
first switches that spread over the same others; it is kept once. Page: docs/algorithms/paths.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.sparse import block_diag, csr_array, vstack

from correlator.engine.network import FAR, Floats, Ints, Network, Ranges

Short = npt.NDArray[np.int32]
Numbers = Ints | Short
Kind = TypeVar("Kind", Short, Floats)


@dataclass(frozen=True)
class PathSets:
    """Path sets by number.

    ``segments``: sets × segments; ``links``: segments × directed links. ``departure``: sets ×
    switches, by what the traffic that enters at a switch is multiplied (0: from there is no way; more
    than 1: it takes over from such switches). ``arrival``: sets × switches, the part of the traffic
    that leaves the fabric there. Where ``segments`` is empty and ``arrival`` is not, source and
    destination hang on the same switch.
    """

    segments: csr_array
    links: csr_array
    departure: csr_array
    arrival: csr_array

    def shares(self, sets: Ints) -> csr_array:
        """Return the shares of directed links between switches: the given sets × directed links."""
        return self.segments[sets] @ self.links

    def crossing(self, links: Ints) -> Floats:
        """Return how many of these links, weighed by share, each set crosses between switches."""
        wanted = np.zeros(self.links.shape[1])
        wanted[links] = 1.0
        answer: Floats = self.segments @ (self.links @ wanted)
        return answer


def joined(parts: Sequence[PathSets]) -> PathSets:
    """Return the sets of several parts of one network, numbered on from part to part."""
    return PathSets(
        block_diag([one.segments for one in parts], format="csr"),
        vstack([one.links for one in parts], format="csr"),
        vstack([one.departure for one in parts], format="csr"),
        vstack([one.arrival for one in parts], format="csr"),
    )


@dataclass(frozen=True)
class Ends:
    """Where traffic enters the fabric (switch and part of it), and the switches where it may leave."""

    entries: Sequence[tuple[tuple[int, float], ...]]
    exits: Sequence[tuple[int, ...]]


def path_sets(network: Network, ends: Ends, entry: Ints, exit_: Ints) -> PathSets:
    """Return one path set for each pair of ``entry`` and ``exit_`` (numbers within ``ends``)."""
    atoms = _Atoms.of(network, ends, entry, exit_)
    build = _Build(network)
    classes: dict[bytes, list[_Exit]] = {}
    for number in np.unique(atoms.exit).tolist():
        found = _Exit.of(network, number, ends.exits[number])
        classes.setdefault(found.before.tobytes(), []).append(found)
    by_exit = Ranges.by(atoms.exit, len(ends.exits))
    for exits in classes.values():
        _Class(build, exits, [by_exit.of(np.array([one.number]))[0] for one in exits], atoms).add()
    return build.sets(atoms, len(entry))


@dataclass(frozen=True)
class _Atoms:
    """Pairs of one first switch and one exit; ``of_set`` and ``weight`` say what sets are made of."""

    switch: Ints
    exit: Ints
    atom: Ints  # atom of each part of a set
    of_set: Ints
    weight: Floats

    @classmethod
    def of(cls, network: Network, ends: Ends, entry: Ints, exit_: Ints) -> _Atoms:
        owner = np.repeat(np.arange(len(ends.entries)), [len(one) for one in ends.entries]).astype(np.int64)
        flat = [part for one in ends.entries for part in one]
        switch = np.array([number for number, _ in flat], dtype=np.int64)
        weight = np.array([part for _, part in flat])
        items, of_set = Ranges.by(owner, len(ends.entries)).of(entry)
        code = exit_[of_set] * max(network.switches, 1) + switch[items]
        unique, atom = np.unique(code, return_inverse=True)
        first, last = unique % max(network.switches, 1), unique // max(network.switches, 1)
        return cls(first, last, atom, of_set, weight[items])


@dataclass(frozen=True)
class _Exit:
    """The last switches of some traffic, the links into them, and the switches ``before`` them."""

    number: int
    switches: Ints
    links: Ints
    share: Floats
    before: Ints

    @classmethod
    def of(cls, network: Network, number: int, switches: tuple[int, ...]) -> _Exit:
        inside = np.array(switches, dtype=np.int64)
        links, _ = network.into.of(inside)
        links = np.sort(links[~np.isin(network.tail[links], inside)])
        return cls(number, inside, links, network.split(links), np.unique(network.tail[links]))


@dataclass
class _Build:
    """Segments as they come, and which of them each atom has."""

    network: Network
    count: int = 0
    segment: list[Short] = field(default_factory=list)
    link: list[Short] = field(default_factory=list)
    share: list[Floats] = field(default_factory=list)
    atom: list[Short] = field(default_factory=list)
    has: list[Short] = field(default_factory=list)
    arrived: list[tuple[Ints, Ints, Floats]] = field(default_factory=list)

    def segments(self, place: Ints, links: Ints, share: Floats, number: int) -> Ints:
        """Add ``number`` segments; ``place`` says whose a link is. Return their numbers."""
        self.segment.append((place + self.count).astype(np.int32))
        self.link.append(self.network.number[links].astype(np.int32))
        self.share.append(share)
        self.count += number
        return np.arange(self.count - number, self.count)

    def give(self, atoms: Ints, segments: Ints) -> None:
        """Note that each atom has the segment beside it."""
        self.atom.append(atoms.astype(np.int32))
        self.has.append(segments.astype(np.int32))

    def arrive(self, atoms: Ints, switches: Ints, mass: Floats) -> None:
        """Note at which switch which part of an atom's traffic leaves the fabric."""
        self.arrived.append((atoms, switches, mass))

    def sets(self, atoms: _Atoms, number: int) -> PathSets:
        """Return the sets that the atoms make up; what has no way is taken over by what has one."""
        count, switches = len(atoms.switch), max(self.network.switches, 1)
        shape = (self.count, self.network.links)
        links = _csr(_taken(self.segment), _taken(self.link), _taken(self.share), shape)
        of_atom = _csr(_taken(self.atom), _taken(self.has), None, (count, self.count))
        arrival = _csr(
            _joined([one[0] for one in self.arrived]),
            _joined([one[1] for one in self.arrived]),
            np.concatenate([np.zeros(0), *(one[2] for one in self.arrived)]),
            (count, switches),
        )
        reached = (np.diff(arrival.indptr) > 0)[atoms.atom]
        whole = np.bincount(atoms.of_set, weights=atoms.weight * reached, minlength=number)
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.where(reached, 1.0 / whole[atoms.of_set], 0.0)
        made_of = _csr(atoms.of_set, atoms.atom, atoms.weight * factor, (number, count))
        departure = _csr(atoms.of_set, atoms.switch[atoms.atom], factor, (number, switches))
        leaves = (made_of @ arrival).tocsr()
        leaves.sort_indices()
        departure.sort_indices()
        return PathSets((made_of @ of_atom).tocsr(), links, departure, leaves)


class _Class:
    """Exits behind the same switches: one search for all of them."""

    def __init__(self, build: _Build, exits: list[_Exit], atoms: list[Ints], all_atoms: _Atoms) -> None:
        self.build, self.net, self.exits = build, build.network, exits
        self.atoms, self.first = atoms, all_atoms.switch
        self.before = exits[0].before

    def add(self) -> None:
        """Add the segments and arrivals of all atoms that end here."""
        outside = []
        for one, mine in zip(self.exits, self.atoms, strict=True):
            here = np.isin(self.first[mine], one.switches)
            self.build.arrive(mine[here], self.first[mine[here]], np.ones(int(here.sum())))
            outside.append(mine[~here])
        distance = self.net.distances(self.before)
        firsts = np.unique(self.first[_joined(outside)])
        firsts = firsts[distance[firsts] < FAR]
        if not len(firsts):
            return
        way = self._ways_out(distance, firsts)
        for one, mine in zip(self.exits, outside, strict=True):
            place = np.searchsorted(firsts, self.first[mine])
            place[place == len(firsts)] = 0
            there = firsts[place] == self.first[mine]
            if there.any():
                self._ways_in(one, mine[there], place[there], way)

    def _ways_out(self, distance: Ints, firsts: Ints) -> _Ways:
        """Return the segments from each first switch up to the switches before the exits."""
        downhill = np.flatnonzero(distance[self.net.tail] == distance[self.net.head] + 1)
        share = self.net.split(downhill)
        by_tail = Ranges.by(self.net.tail[downhill], self.net.switches)
        links, place = by_tail.of(firsts)
        entry = self.build.segments(place, downhill[links], share[links], len(firsts))
        of, start, mass = _merged(place, self.net.head[downhill[links]], share[links], self.net.switches)
        bounds = np.searchsorted(of, np.arange(len(firsts) + 1)).tolist()
        spread: list[tuple[Ints, Floats]] = []
        row_of: dict[tuple[bytes, bytes], int] = {}
        row = []
        for first, begin, end in zip(firsts.tolist(), bounds[:-1], bounds[1:], strict=True):
            way = (start[begin:end], mass[begin:end])
            if begin == end:  # it is one of those before the exits
                way = (np.array([first]), np.ones(1))
            row.append(row_of.setdefault((way[0].tobytes(), way[1].tobytes()), len(spread)))
            if row[-1] == len(spread):
                spread.append(way)
        middle, arrival = self._middle(distance, downhill, share, by_tail, spread)
        return _Ways(entry, np.array(row, dtype=np.int64), middle, arrival)

    def _middle(
        self,
        distance: Ints,
        downhill: Ints,
        share: Floats,
        by_tail: Ranges,
        spread: list[tuple[Ints, Floats]],
    ) -> tuple[Ints, Floats]:
        """Return the segment of each spread, and what arrives, spreads × switches before the exits."""
        row = np.repeat(np.arange(len(spread)), [len(start) for start, _ in spread])
        switch = np.concatenate([start for start, _ in spread])
        mass = np.concatenate([part for _, part in spread])
        found: list[tuple[Ints, Ints, Floats]] = []
        for level in range(int(distance[switch].max()), 0, -1):
            now = distance[switch] == level
            links, place = by_tail.of(switch[now])
            moved = mass[now][place] * share[links]
            found.append((row[now][place], downhill[links], moved))
            row = np.concatenate([row[~now], row[now][place]])
            switch = np.concatenate([switch[~now], self.net.head[downhill[links]]])
            row, switch, mass = _merged(row, switch, np.concatenate([mass[~now], moved]), self.net.switches)
        parts = [np.concatenate(column) for column in zip(*found, strict=True)] if found else None
        nothing = np.zeros(0, dtype=np.int64)
        rows, links, moved = parts if parts is not None else (nothing, nothing, np.zeros(0))
        segments = self.build.segments(rows, links, moved, len(spread))
        arrival = np.zeros((len(spread), len(self.before)))
        arrival[row, np.searchsorted(self.before, switch)] = mass
        return segments, arrival

    def _ways_in(self, exit_: _Exit, atoms: Ints, place: Ints, way: _Ways) -> None:
        """Give atoms their segments, the last one into ``exit_``."""
        rows, row = np.unique(way.row[place], return_inverse=True)
        column = np.searchsorted(self.before, self.net.tail[exit_.links])
        moved = way.arrival[rows][:, column] * exit_.share
        number = np.repeat(np.arange(len(rows)), len(exit_.links))
        links = np.tile(exit_.links, len(rows))
        some = moved.ravel() > 0.0
        last = self.build.segments(number[some], links[some], moved.ravel()[some], len(rows))
        for segment in (way.entry[place], way.middle[way.row[place]], last[row]):
            self.build.give(atoms, segment)
        into = np.searchsorted(exit_.switches, self.net.head[exit_.links])
        arrived = np.zeros((len(rows), len(exit_.switches)))
        for i in range(len(exit_.switches)):
            arrived[:, i] = moved[:, into == i].sum(axis=1)
        self.build.arrive(
            np.repeat(atoms, len(exit_.switches)),
            np.tile(exit_.switches, len(atoms)),
            arrived[row].ravel(),
        )


@dataclass(frozen=True)
class _Ways:
    """By first switch: its segment, its spread (``row``); by spread: its segment, and what arrives."""

    entry: Ints
    row: Ints
    middle: Ints
    arrival: Floats


def _merged(row: Ints, switch: Ints, mass: Floats, switches: int) -> tuple[Ints, Ints, Floats]:
    """Return the masses with those of one row and switch added up."""
    code, place = np.unique(row * switches + switch, return_inverse=True)
    total: Floats = np.bincount(place, weights=mass).astype(np.float64)
    return code // switches, code % switches, total


def _joined(parts: Sequence[Ints]) -> Ints:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts]).astype(np.int64, copy=False)


def _taken(parts: list[Kind]) -> Kind:
    """Return the parts as one, and let go of them: a large fabric's are hundreds of megabytes."""
    answer: Kind = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
    parts.clear()
    return answer


def _csr(row: Numbers, column: Numbers, value: Floats | None, shape: tuple[int, int]) -> csr_array:
    values = np.ones(len(row)) if value is None else value.astype(np.float64, copy=False)
    kept = values != 0.0
    if not kept.all():
        values, row, column = values[kept], row[kept], column[kept]
    row, column = row.astype(np.int32, copy=False), column.astype(np.int32, copy=False)
    return csr_array((values, (row, column)), shape=shape)
