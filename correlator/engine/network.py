"""The usable directed links as integer arrays: switches and their next hops, hosts and where they attach.

Switches are numbered from 0. An *inner* link joins two switches. A *group* is what a device takes for
one next hop: the members of an aggregate together, any other link alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FAR = 1 << 40
"""The distance of what cannot be reached."""


@dataclass(frozen=True)
class Ranges:
    """Items sorted by owner: those of owner ``i`` are ``items[start[i] : start[i + 1]]``."""

    start: Ints
    items: Ints

    @classmethod
    def by(cls, owner: Ints, owners: int) -> Ranges:
        """Return the numbers of ``owner``'s entries, sorted by owner."""
        start = np.zeros(owners + 1, dtype=np.int64)
        np.cumsum(np.bincount(owner, minlength=owners), out=start[1:])
        return cls(start, np.argsort(owner, kind="stable"))

    def of(self, owners: Ints) -> tuple[Ints, Ints]:
        """Return the items of several owners one after the other, and the place in ``owners`` of each."""
        count = self.start[owners + 1] - self.start[owners]
        place = np.repeat(np.arange(len(owners)), count)
        first = np.repeat(self.start[owners] - (np.cumsum(count) - count), count)
        return self.items[first + np.arange(len(place))], place


@dataclass(frozen=True)
class Attachments:
    """Links between hosts and switches, one way, sorted by host.

    ``link`` is the directed link, ``switch`` where it ends in the fabric, ``share`` the part of what
    the host sends that takes it (links out of hosts), or of what arrives at that switch for the host
    (links into hosts).
    """

    by_host: Ranges
    link: Ints
    switch: Ints
    share: Floats


@dataclass(frozen=True)
class Network:
    """Inner links as arrays (``number``: directed link), and the hosts' attachments.

    ``sender`` and ``receiver`` number the devices of all directed links, -1 where one carries nothing;
    ``device`` are the devices by that number.
    """

    links: int
    sender: Ints
    receiver: Ints
    device: pd.Index
    hosts: pd.Index
    switches: int
    number: Ints
    tail: Ints
    head: Ints
    group: Ints
    group_tail: Ints
    out: Ranges
    into: Ranges
    up: Attachments
    down: Attachments

    @classmethod
    def of(cls, directed: pd.DataFrame, hosts: Sequence[str], closed: Sequence[str] = ()) -> Network:
        """Return the network of the usable links among ``directed``.

        ``hosts`` are end points; ``closed`` are further devices that pass nothing on. ``directed``
        may have a column ``bundle``: links out of one device with one number ≥ 0 are one aggregate.
        """
        usable = np.flatnonzero(directed["usable"].to_numpy(dtype=bool))
        senders = directed["sender_device"].to_numpy()[usable]
        receivers = directed["receiver_device"].to_numpy()[usable]
        code, names = pd.factorize(np.concatenate([senders, receivers]))
        tail, head = code[: len(usable)].astype(np.int64), code[len(usable) :].astype(np.int64)
        known = pd.Index(sorted(set(hosts)))
        host = known.get_indexer(pd.Index(names)).astype(np.int64)
        inside = (host < 0) & ~pd.Index(names).isin(list(closed))
        place = np.cumsum(inside) - 1
        group = _groups(directed, usable)
        inner = inside[tail] & inside[head] & (tail != head)
        number, inner_tail, inner_head = usable[inner], place[tail[inner]], place[head[inner]]
        _, first, inner_group = np.unique(group[inner], return_index=True, return_inverse=True)
        switches = int(inside.sum())
        return cls(
            links=len(directed),
            sender=_spread(tail, usable, len(directed)),
            receiver=_spread(head, usable, len(directed)),
            device=pd.Index(names),
            hosts=known,
            switches=switches,
            number=number,
            tail=inner_tail,
            head=inner_head,
            group=inner_group.astype(np.int64),
            group_tail=inner_tail[first],
            out=Ranges.by(inner_tail, switches),
            into=Ranges.by(inner_head, switches),
            up=_attached(
                (host[tail] >= 0) & inside[head], usable, host[tail], place[head], group, known, False
            ),
            down=_attached(
                (host[head] >= 0) & inside[tail], usable, host[head], place[tail], group, known, True
            ),
        )

    def without(self, links: Ints) -> Network:
        """Return the network without these directed links between switches; all numbers stay."""
        kept = np.ones(self.links, dtype=bool)
        kept[links] = False
        inner = kept[self.number]
        tail, head = self.tail[inner], self.head[inner]
        return replace(
            self,
            number=self.number[inner],
            tail=tail,
            head=head,
            group=self.group[inner],
            out=Ranges.by(tail, self.switches),
            into=Ranges.by(head, self.switches),
        )

    def distances(self, targets: Ints) -> Ints:
        """Return each switch's distance in hops to the nearest target; FAR where there is no way."""
        distance = np.full(self.switches, FAR, dtype=np.int64)
        distance[targets] = 0
        edge, hops = np.unique(targets), 0
        while len(edge):
            hops += 1
            links, _ = self.into.of(edge)
            reached = self.tail[links]
            edge = np.unique(reached[distance[reached] == FAR])
            distance[edge] = hops
        return distance

    def split(self, links: Ints) -> Floats:
        """Return which part of what leaves a switch over ``links`` takes each of them.

        Groups share evenly, and within a group its links (equal-cost multipath over aggregates).
        """
        members = np.bincount(self.group[links], minlength=len(self.group_tail))
        ways = np.bincount(self.group_tail[members > 0], minlength=self.switches)
        answer: Floats = 1.0 / (ways[self.tail[links]] * members[self.group[links]])
        return answer


def _spread(value: Ints, place: Ints, length: int) -> Ints:
    """Return an array of so many -1 with the values at their places."""
    answer = np.full(length, -1, dtype=np.int64)
    answer[place] = value
    return answer


def _groups(directed: pd.DataFrame, usable: Ints) -> Ints:
    """Return a number for each usable link that it shares with the others of its bundle."""
    alone = np.arange(len(usable), dtype=np.int64)
    if "bundle" not in directed:
        return alone
    bundle = directed["bundle"].to_numpy(dtype=np.int64)[usable]
    return np.where(bundle >= 0, bundle + len(usable), alone)


def _attached(
    mine: npt.NDArray[np.bool_],
    number: Ints,
    host: Ints,
    switch: Ints,
    group: Ints,
    hosts: pd.Index,
    split: bool,
) -> Attachments:
    """Return the attachments among links; shares are within the host, or (``split``) within its switch."""
    number, host, switch, group = number[mine], host[mine], switch[mine], group[mine]
    order = np.argsort(host, kind="stable")
    number, host, switch, group = number[order], host[order], switch[order], group[order]
    where = host * (int(switch.max(initial=0)) + 1) + switch if split else host
    share = np.zeros(len(number))
    if len(number):
        _, place = np.unique(where, return_inverse=True)
        bundles, bundle = np.unique(np.stack([place, group]), axis=1, return_inverse=True)
        ways = np.bincount(bundles[0])
        share = 1.0 / (ways[place] * np.bincount(bundle.ravel())[bundle.ravel()])
    return Attachments(Ranges.by(host, len(hosts)), number, switch, share)
