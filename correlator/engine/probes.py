"""Which probes would settle which of several links is sick: from where, to where, from which source ports.

Links that the pairs' traffic cannot tell apart may be told apart by other pairs of hosts, whose way
crosses some of them and not the rest; else by source ports, since a switch chooses among equal ways by
them. Page: docs/algorithms/probes.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from correlator.engine.network import Floats, Ints
from correlator.engine.paths import Paths, find_paths

MOST_PLACES = 40
"""Places between which probes are tried; one host each."""

MOST_STEPS = 4
LOOKED_AT = 4
"""Pairs whose ways are looked at one by one."""

MISSED = 0.05
"""How likely at most the probes from several source ports all miss some link."""

SURELY = 1.0 - 1e-9
Bools = npt.NDArray[np.bool_]
Known = Mapping[tuple[str, str], Sequence[tuple[int, Ints]]]
"""By sending and receiving host: source ports that were followed, and the links that they met."""


def plan(paths: Paths, directed: pd.DataFrame, candidates: Sequence[int], known: Known) -> list[str]:
    """Return the probes that would tell the candidate directed links apart, a sentence each.

    Empty where no probe between known hosts does.
    """
    pairs = _tried(paths, directed, candidates)
    if not pairs or len(candidates) < 2:
        return []
    found = find_paths(directed, list(paths.network.hosts), pairs, _closed(paths, directed), paths.routes)
    shares = found.forward[:, list(candidates)].toarray()
    links = np.array(candidates, dtype=np.int64)
    names = [_name(directed, number) for number in candidates]
    groups = [list(range(len(candidates)))]
    told: list[str] = []
    while groups and len(told) < MOST_STEPS:
        row = _surest(shares, groups)
        if row is not None:
            told.append(_certain(pairs[row], shares[row], groups, names))
            groups = _split(groups, (shares[row] >= SURELY)[None, :])
            continue
        row, crossings = _best_spread(found, shares, groups, links)
        left = _split(groups, crossings)
        if row is None or left == groups:
            break
        told.append(_spread(pairs[row], shares[row], groups, names, links, known))
        groups = left
    return told


def _closed(paths: Paths, directed: pd.DataFrame) -> list[str]:
    """Return the devices that the network has neither as switch nor as host: they pass nothing on."""
    net = paths.network
    inside = set(net.device[np.unique(np.concatenate([net.sender[net.number], net.receiver[net.number]]))])
    attached = set(net.device[net.receiver[net.up.link]]) | set(net.device[net.sender[net.down.link]])
    return sorted(set(directed["sender_device"]) - inside - attached - set(net.hosts))


def _tried(paths: Paths, directed: pd.DataFrame, candidates: Sequence[int]) -> list[tuple[str, str]]:
    """Return pairs of hosts of different places, hosts at the candidates' ends first."""
    up = paths.network.up
    first: dict[tuple[int, ...], str] = {}
    for number, host in enumerate(paths.network.hosts):
        items, _ = up.by_host.of(np.array([number]))
        if len(items):
            first.setdefault(
                (*sorted(up.switch[items].tolist()), *_own(up.link[items], candidates)), str(host)
            )
    near = set(directed.loc[list(candidates), ["sender_device", "receiver_device"]].to_numpy().ravel())
    beside = {
        host: not near & {host, *directed.loc[up.link[up.by_host.of(np.array([i]))[0]], "receiver_device"]}
        for i, host in enumerate(paths.network.hosts)
        if host in set(first.values())
    }
    hosts = sorted(first.values(), key=lambda host: (beside[host], host))[:MOST_PLACES]
    return [(a, b) for a in hosts for b in hosts if a != b]


def _own(links: Ints, candidates: Sequence[int]) -> list[int]:
    """Return the host's own links among the candidates, either way: such a host is a place of its own."""
    return [-int(link) - 1 for link in links if {int(link), int(link) ^ 1} & set(candidates)]


def _surest(shares: Floats, groups: list[list[int]]) -> int | None:
    """Return the pair that tells most candidates apart whatever its source port; None where none does."""
    score = np.zeros(len(shares))
    for group in groups:
        mine = shares[:, group]
        decided = ((mine >= SURELY) | (mine == 0.0)).all(axis=1)
        crossed = (mine >= SURELY).sum(axis=1)
        score += np.where(decided, np.minimum(crossed, len(group) - crossed), 0)
    return int(np.argmax(score)) if score.max() > 0 else None


def _best_spread(
    found: Paths, shares: Floats, groups: list[list[int]], candidates: Ints
) -> tuple[int | None, Bools]:
    """Return the pair whose flows, followed one by one, tell most apart, and what each way crosses.

    The ways of a few promising pairs are looked at: of those that may cross most, and of those that
    may cross some and miss the others.
    """
    mine = [i for group in groups for i in group]
    partly = ((shares[:, mine] > 0.0) & (shares[:, mine] < SURELY)).sum(axis=1)
    never = (shares[:, mine] == 0.0).sum(axis=1)
    promising = [*np.argsort(-partly, kind="stable")[:LOOKED_AT]]
    promising += [*np.argsort(-partly * never, kind="stable")[:LOOKED_AT]]
    best: tuple[int, int | None, Bools] = (
        sum(map(len, groups)),
        None,
        np.zeros((1, shares.shape[1]), dtype=bool),
    )
    for row in dict.fromkeys(int(one) for one in promising if partly[one] > 0):
        ways = [links for _, links in found.members(row)]
        crossings = np.array([np.isin(candidates, links) for links in ways])
        together = sum(map(len, _split(groups, crossings)))
        if together < best[0]:
            best = together, row, crossings
    return best[1], best[2]


def _split(groups: list[list[int]], crossings: Bools) -> list[list[int]]:
    """Return the groups of candidates that every way crosses alike, without those that stand alone."""
    parts: dict[tuple[int, bytes], list[int]] = {}
    for number, group in enumerate(groups):
        for i in group:
            parts.setdefault((number, crossings[:, i].tobytes()), []).append(i)
    return [part for part in parts.values() if len(part) > 1]


def _certain(pair: tuple[str, str], crossed: Floats, groups: list[list[int]], names: Sequence[str]) -> str:
    mine = [i for group in groups for i in group]
    over = [names[i] for i in mine if crossed[i] >= SURELY]
    past = [names[i] for i in mine if crossed[i] == 0.0]
    return f"probe from {pair[0]} to {pair[1]}: it crosses {_list(over)}, and not {_list(past)}"


def _spread(
    pair: tuple[str, str],
    crossed: Floats,
    groups: list[list[int]],
    names: Sequence[str],
    candidates: Ints,
    known: Known,
) -> str:
    """Return the probe from several source ports, and which ports are known to cross what."""
    mine = [i for group in groups for i in group if 0.0 < crossed[i] < SURELY]
    least = min(crossed[i] for i in mine)
    ports = math.ceil(math.log(MISSED / len(mine)) / math.log1p(-least))
    parts = [f"{names[i]} with {crossed[i]:.0%}" for i in mine]
    text = f"probe from {pair[0]} to {pair[1]} from {ports} source ports and follow each"
    text += f": one crosses {_list(parts)}"
    for i in mine:
        met = sorted({port for port, links in known.get(pair, ()) if candidates[i] in links})
        if met:
            text += f"; known to cross {names[i]}: source port {', '.join(map(str, met[:8]))}"
    return text


def _list(names: Sequence[str]) -> str:
    shown = list(names[:4]) + ([f"{len(names) - 4} more"] if len(names) > 4 else [])
    return " and ".join(shown)


def _name(directed: pd.DataFrame, number: int) -> str:
    columns = ["sender_device", "sender_if_name", "receiver_device", "receiver_if_name"]
    a, p, b, q = (str(directed.at[number, column]) for column in columns)
    return f"{a} {p} -> {b} {q}"
