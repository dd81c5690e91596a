"""Traces of a fabric's flows: read from text, written as text, shown to a localiser in one of four modes.

The text: ``Failing_link u v p`` (the truth), ``FP n1 … nk`` (an equal-cost path of switches), and for
each flow ``FID src dst srcToR dstToR bytes start_ms``, ``FPT n1 … nk`` (the path it took),
``SS t_ms sent lost random`` (sums so far: the last one counts). ``FPRT`` (the way back) is passed over.
Hosts are numbered from 10000, switches below; links are directed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from correlator.engine.localize import Flows

Ints = npt.NDArray[np.int64]
Mode = Literal["int", "traced", "probes", "passive"]
MODES: tuple[Mode, ...] = ("int", "traced", "probes", "passive")
FIRST_HOST = 10_000


class TraceError(Exception):
    """A trace that cannot be read; the message names the file and the line."""


@dataclass(frozen=True)
class Trace:
    """Flows, the paths they took and might have taken, and the truth.

    ``links``: (u, v) of each directed link. ``failed``: link → loss rate. ``paths``: equal-cost paths
    × links, ``set_of_path`` their path set. A flow: ``sent``, ``lost``, ``crossed`` (flows × links),
    ``path_set`` (−1 for a probe) and ``ends`` (flows × links, 1 at the host links, which every path
    of its set shares).
    """

    name: str
    links: list[tuple[int, int]]
    failed: dict[int, float]
    paths: csr_array
    set_of_path: Ints
    sent: Ints
    lost: Ints
    crossed: csr_array
    ends: csr_array
    path_set: Ints

    def seen(self, mode: Mode) -> Flows:
        """Return what a localiser may know in this mode."""
        probe = self.path_set < 0
        known = {
            "int": np.ones_like(probe),
            "traced": probe | (self.lost > 0),
            "probes": probe,
            "passive": np.zeros_like(probe),
        }[mode]
        kept = {"probes": probe, "passive": ~probe}.get(mode, np.ones_like(probe))
        rows = np.flatnonzero(kept)
        certain = _where(known, self.crossed, self.ends)[rows]
        sets = np.where(known, -1, self.path_set)[rows]
        return Flows(self.sent[rows], self.lost[rows], certain, sets, self.paths, self.set_of_path)

    def classes(self) -> Ints:
        """Return the symmetry class of each link: links that no path set of flows tells apart share one."""
        dice = np.random.default_rng(0)
        used = np.unique(self.path_set[self.path_set >= 0])
        weight = np.zeros(int(self.set_of_path.max(initial=-1)) + 1, dtype=np.uint64)
        weight[used] = dice.integers(1, 2**63, len(used), dtype=np.uint64)
        mark = np.zeros(len(self.links), dtype=np.uint64)
        paths = self.paths.tocoo()
        np.add.at(mark, paths.col, weight[self.set_of_path[paths.row]])
        ends = self.ends.tocoo()
        flow = dice.integers(1, 2**63, self.ends.shape[0], dtype=np.uint64)
        np.add.at(mark, ends.col, flow[ends.row])
        unseen = mark == 0
        mark[unseen] = np.arange(unseen.sum(), dtype=np.uint64)
        answer: Ints = np.unique(mark, return_inverse=True)[1].astype(np.int64)
        return answer


def _where(choose: npt.NDArray[np.bool_], yes: csr_array, no: csr_array) -> csr_array:
    """Return the rows of ``yes`` where ``choose``, else those of ``no``."""
    first, second = (
        csr_array((one.data * np.repeat(pick, np.diff(one.indptr)), one.indices, one.indptr), shape=one.shape)
        for one, pick in ((yes, choose), (no, ~choose))
    )
    both = first + second
    both.eliminate_zeros()
    return both


def read(path: Path) -> Trace:
    """Return the trace in a file. Raises TraceError for a line that is none of the format's."""
    reader = _Reader()
    with path.open() as lines:
        for number, line in enumerate(lines, 1):
            try:
                reader.take(line.split())
            except (ValueError, IndexError, KeyError) as error:
                raise TraceError(f"{path}, line {number}: not of a trace: {line.strip()[:60]!r}") from error
    if len(reader.sent) != len(reader.crossed):
        raise TraceError(f"{path}: {len(reader.crossed)} paths of flows, but {len(reader.sent)} counts")
    return reader.trace(path.stem)


class _Reader:
    """Takes one line after the other."""

    def __init__(self) -> None:
        self.link: dict[tuple[int, int], int] = {}
        self.set: dict[tuple[int, int], int] = {}
        self.failed: dict[int, float] = {}
        self.paths: list[list[int]] = []
        self.set_of_path: list[int] = []
        self.crossed: list[list[int]] = []
        self.ends: list[list[int]] = []
        self.path_set: list[int] = []
        self.sent: list[int] = []
        self.lost: list[int] = []
        self.flow: tuple[int, int] = (0, 0)

    def take(self, words: list[str]) -> None:
        kind = words[0]
        if kind == "SS":
            self.counted(int(words[2]), int(words[3]))
        elif kind == "FID":
            self.flow = int(words[1]), int(words[2])
        elif kind == "FPT":
            self.took([int(word) for word in words[1:]])
        elif kind == "FP":
            nodes = [int(word) for word in words[1:]]
            self.paths.append(self.along(nodes))
            self.set_of_path.append(self.set.setdefault((nodes[0], nodes[-1]), len(self.set)))
        elif kind == "Failing_link":
            self.failed[self.number(int(words[1]), int(words[2]))] = float(words[3])
        elif kind != "FPRT":
            raise ValueError(kind)

    def counted(self, sent: int, lost: int) -> None:
        if len(self.sent) == len(self.crossed):  # of the same flow, later
            del self.sent[-1], self.lost[-1]
        self.sent.append(sent)
        self.lost.append(lost)

    def took(self, switches: list[int]) -> None:
        source, destination = self.flow
        whole = self.along([source, *switches, destination])
        probe = source < FIRST_HOST or destination < FIRST_HOST
        self.crossed.append(whole)
        self.ends.append([] if probe else [whole[0], whole[-1]])
        self.path_set.append(-1 if probe else self.set[switches[0], switches[-1]])

    def along(self, nodes: list[int]) -> list[int]:
        return [self.number(u, v) for u, v in pairwise(nodes)]

    def number(self, u: int, v: int) -> int:
        return self.link.setdefault((u, v), len(self.link))

    def trace(self, name: str) -> Trace:
        width = len(self.link)
        return Trace(
            name=name,
            links=list(self.link),
            failed=self.failed,
            paths=ragged(self.paths, width),
            set_of_path=np.array(self.set_of_path, dtype=np.int64),
            sent=np.array(self.sent, dtype=np.int64),
            lost=np.array(self.lost, dtype=np.int64),
            crossed=ragged(self.crossed, width),
            ends=ragged(self.ends, width),
            path_set=np.array(self.path_set, dtype=np.int64),
        )


def ragged(rows: Iterable[list[int]], width: int) -> csr_array:
    """Return lists of columns as a sparse matrix of ones."""
    rows = list(rows)
    start = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)])
    columns = np.fromiter((column for row in rows for column in row), np.int64, int(start[-1]))
    return csr_array((np.ones(len(columns), dtype=np.int8), columns, start), shape=(len(rows), width))


def write(trace: Trace, path: Path) -> None:
    """Write a trace as text."""
    with path.open("w") as out:
        for link, rate in trace.failed.items():
            u, v = trace.links[link]
            out.write(f"Failing_link {u} {v} {rate}\n")
        rack = {int(s): trace.links[int(trace.ends[[i]].indices[0])][1] for i, s in _alone(trace)}
        for nodes, number in zip(_nodes(trace, trace.paths), trace.set_of_path, strict=True):
            nodes = nodes or [rack[int(number)]] * (int(number) in rack)
            out.write(f"FP {' '.join(map(str, nodes))}\n" if nodes else "")
        for nodes, sent, lost in zip(_nodes(trace, trace.crossed), trace.sent, trace.lost, strict=True):
            out.write(f"FID {nodes[0]} {nodes[-1]} {nodes[1]} {nodes[-2]} {1500 * sent} 0.0\n")
            out.write(f"FPT {' '.join(map(str, nodes[1:-1]))}\nSS 0.0 {sent} {lost} 0\n")


def _alone(trace: Trace) -> Iterable[tuple[int, int]]:
    """Yield (flow, path set) of flows within a rack: their path has no link between switches."""
    empty = set(trace.set_of_path[np.diff(trace.paths.indptr) == 0].tolist())
    for flow in np.flatnonzero(np.isin(trace.path_set, list(empty))):
        yield int(flow), int(trace.path_set[flow])


def _nodes(trace: Trace, rows: csr_array) -> Iterable[list[int]]:
    for start, end in zip(rows.indptr[:-1], rows.indptr[1:], strict=True):
        links = [trace.links[link] for link in rows.indices[start:end]]
        yield [links[0][0], *(v for _, v in links)] if links else []
