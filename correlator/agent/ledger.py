"""Live connections and their counters: what each moved since the last interval, and timed responses.

A connection is known by (namespace slot, cookie), never by its ports, which are used again. Counters
of a connection that was there before the agent start at their first reading: what came before is
unknown, not zero.

Times (facts: tcp_info's last_data_sent and last_data_recv, "ms ago", in steps of one kernel tick):
a client that received after it sent waited for the difference, its response time; a server that sent
after it received worked for the difference, its service time. Only the newest exchange can be seen,
so each reading times at most one, and only if data moved since the reading before. A retransmission
refreshes last_data_sent, so readings during which something was resent time nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from correlator.agent import sockets
from correlator.agent.records import copied, joined, picked, put

Array = npt.NDArray[Any]
Columns = dict[str, Array]

COUNTERS = (
    "bytes_sent",
    "bytes_received",
    "data_segments_sent",
    "data_segments_received",
    "retransmitted_segments",
    "retransmitted_bytes",
    "dsack",
    "rto_count",
    "rto_ms",
    "exchanges",
)
# Places among COUNTERS, which are those of sockets.COUNTED but for the last.
BYTES, SENT, RECEIVED, RESENT, RESENT_BYTES, RTO_MS, EXCHANGES = 0, 2, 3, 4, 5, 8, 9
ACKED = 9  # bytes, among sockets.COUNTED
OLDER, LOST, GONE = 1, 2, 4  # why a row is not complete
COOKIE_BITS = 48
SAYS_RESENT = 216  # length of tcp_info with bytes_retrans (Linux 4.19)
SAYS_SENT = 208  # length of tcp_info with bytes_sent (Linux 4.19); before, what was acknowledged stands in
BACK = sockets.WRAP >> np.uint64(1)  # a gain beyond is a step back
SYN_SENT = 2  # TCP_SYN_SENT
NO_RTT = 0xFFFF_FFFF  # min_rtt of a connection that has none yet
LONGEST_MS = 600_000.0  # differences beyond are idle time, not responses
STREAK = np.uint16(60_000)  # readings in a row that are counted
CLOSED_LOOP_READINGS = 30  # readings in a row without an answered one: think time 0 (0.85^30 < 1 %)

_TIMES = [("response_ms", "f8"), ("responses", "u4"), ("service_ms", "f8"), ("services", "u4")]
CONNECTION = np.dtype(
    [
        ("key", "u8"),
        ("slot", "u2"),
        ("open", "?"),
        ("fresh", "?"),
        ("why", "u1"),
        ("streak", "u2"),
        ("sample", sockets.SAMPLE),
        ("now", "u8", len(COUNTERS)),
        ("base", "u8", len(COUNTERS)),
        ("sides", "u8", 2),
        ("since", "f8"),
        ("seen", "f8"),
        ("min_rtt", "u4"),
        ("stall", "f4"),
        *_TIMES,
    ]
)
"""One connection. A table of them is kept as a column for each field: a reading touches most fields of
all of them, and what lies side by side is added up in half the time."""
SHARE = np.dtype(
    [
        ("slot", "u2"),
        ("sport", "u2"),
        ("dport", "u2"),
        ("src", "u1", 16),
        ("dst", "u1", 16),
        ("cookie", "u8"),
        ("inode", "u4"),
        ("cgroup", "u8"),
        ("delta", "u8", len(COUNTERS)),
        ("new", "?"),
        ("closed", "?"),
        ("open", "?"),
        ("why", "u1"),
        ("loop_ms", "f8"),
        ("looped", "u4"),
        ("min_rtt", "u4"),
        ("rtt", "u4"),
        ("stall", "f4"),
        *_TIMES,
    ]
)
"""One connection's part in an interval: what it moved (``delta``, by COUNTERS), whether it began, ended
and is still open, and its timed responses. ``loop_ms`` over ``looped`` is the response time of a client
that asks again at once; ``stall`` is NaN where no wait was seen."""


class Ledger:
    """The live connections of all namespaces, at most ``limit``; ``overflowed`` counts those beyond."""

    def __init__(self, limit: int = 50_000) -> None:
        self._table = _blank(0)
        self._limit = limit
        self.overflowed = 0
        self.changed = True  # whether the set of open connections did, since somebody set this to False
        self.info_bytes = 0  # length of the kernel's tcp_info: what it does not send stays unknown

    def __len__(self) -> int:
        return len(self._table["key"])

    def known(self, slot: int) -> Array:
        """Return the newest samples of a namespace's open connections."""
        mine = (self._table["slot"] == slot) & self._table["open"]
        return picked(self._table["sample"], mine)

    def open(self) -> tuple[Array, Array]:
        """Return (slots, newest samples) of all open connections, ordered by slot."""
        mine = self._table["open"]
        return self._table["slot"][mine], picked(self._table["sample"], mine)

    def counts(self, slots: int) -> list[int]:
        """Return how many open connections each slot below ``slots`` has."""
        found: list[int] = np.bincount(self._table["slot"][self._table["open"]], minlength=slots).tolist()
        return found

    def read(self, slots: Array, samples: Array, from_birth: Array, now: float) -> bool:
        """Take in readings of connections; return whether any of them is new.

        ``slots`` and ``from_birth`` (the namespace was listened to before the connection began) are
        parallel to ``samples``; ``now`` is monotonic seconds.
        """
        keys = _keys(slots, samples)
        if np.array_equal(keys, self._table["key"]):  # they were asked for in this order
            self._advance(self._table, samples, now)
            return False
        keys, first = np.unique(keys, return_index=True)
        slots, samples, from_birth = slots[first], picked(samples, first), from_birth[first]
        place, known = self._find(keys)
        rows = _picked(self._table, place[known])
        self._advance(rows, picked(samples, known), now)
        for name, column in rows.items():
            put(self._table[name], place[known], column)
        new = np.flatnonzero(~known)
        room = max(0, self._limit - len(self))
        self.overflowed += max(0, len(new) - room)
        new = new[:room]
        if not new.size:
            return False
        self.changed = True
        begun = picked(samples, new)
        rows = _begun(keys[new], slots[new], begun, from_birth[new], now)
        self._advance(rows, begun, now)
        own = self._table
        table = {
            n: joined([own[n], c], c.dtype) if c.dtype.names else np.concatenate([own[n], c])
            for n, c in rows.items()
        }
        self._table = _picked(table, np.argsort(table["key"], kind="stable"))
        return True

    def read_again(self, data: bytes, now: float) -> bool:
        """Take in answers about all known connections, in their order; return False where it is not those.

        The usual reading, in a third of the time of ``read``.
        """
        samples = sockets.decode_again(data, self._table["sample"])
        if samples is not None:
            self._advance(self._table, samples, now)
        return samples is not None

    def missing(self, slot: int, samples: Array) -> bool:
        """Note which connections of a namespace a full dump no longer showed; return whether there are such.

        Not open any more, they stay known: their last counters come when the owner closes the socket.
        """
        mine = np.flatnonzero((self._table["slot"] == slot) & self._table["open"])
        gone = ~np.isin(self._table["sample"]["cookie"][mine], samples["cookie"])
        self._table["open"][mine[gone]] = False
        self.changed |= bool(gone.any())
        return bool(gone.any())

    def close(self, slots: Array, events: Array, from_birth: Array, now: float) -> Array:
        """Take in destroy events; return the shares of the connections that ended."""
        keys = _keys(slots, events)
        first = np.unique(keys, return_index=True)[1]
        keys, slots, events, from_birth = keys[first], slots[first], picked(events, first), from_birth[first]
        place, known = self._find(keys)
        rows = _begun(keys, slots, events, from_birth, now)
        if known.any():
            for name, column in rows.items():
                put(column, known, picked(self._table[name], place[known]))
            self.changed = True
            left = np.ones(len(self), bool)
            left[place[known]] = False
            self._table = _picked(self._table, left)
        self._remember(rows, events)
        self._advance(rows, events, now)
        shares = _shares(rows)
        shares["closed"], shares["open"] = True, False
        return shares

    def knows(self, slots: Array, events: Array) -> Array:
        """Return which of ``events`` are of connections that are known."""
        return self._find(_keys(slots, events))[1]

    def begun(self, slots: Iterable[int], since: float) -> list[tuple[int, int, Any]]:
        """Return (place, slot, newest sample) of each connection in ``slots`` that began after ``since``.

        Those alone of which ``settle`` has not told yet. Places are theirs until something is read.
        """
        table = self._table
        mine = table["fresh"] & (table["since"] > since) & np.isin(table["slot"], list(slots))
        samples = picked(table["sample"], mine)
        return list(zip(np.flatnonzero(mine).tolist(), table["slot"][mine].tolist(), samples, strict=True))

    def settle(self, waiting: Sequence[int] = ()) -> Array:
        """Return what every known connection moved since the last call, and begin anew.

        Those at the places ``waiting`` are left for a later call, and so are connections that are still
        being made: they have moved nothing, and what NAT does to them is not settled before the first
        answer.
        """
        table = self._table
        ready = table["sample"]["state"] != SYN_SENT
        ready[list(waiting)] = False
        shares = _shares(table if ready.all() else _picked(table, ready))
        table["base"][ready] = table["now"][ready]
        table["since"][ready] = table["seen"][ready]
        table["fresh"][ready] = False
        table["why"][ready] = 0
        table["stall"][ready] = np.nan
        table["min_rtt"][ready] = table["sample"]["min_rtt"][ready]
        for name, _ in _TIMES:
            table[name][ready] = 0
        return shares

    def forget(self, slot: int) -> Array:
        """Return the shares of a namespace that is gone, and forget its connections."""
        mine = self._table["slot"] == slot
        shares = _shares(_picked(self._table, mine))
        shares["why"] |= GONE
        shares["open"], shares["closed"] = False, True
        self._table = _picked(self._table, ~mine)
        return shares

    def _remember(self, rows: Columns, events: Array) -> None:
        """Put into destroy events what they do not say and was read before: the owner, a forgotten peer."""
        for name in ("cgroup", "inode"):
            events[name] = np.where(events[name] == 0, rows["sample"][name], events[name])
        forgotten = events["dport"] == 0
        events[forgotten] = rows["sample"][forgotten]

    def _find(self, keys: Array) -> tuple[Array, Array]:
        """Return (place, whether it is there) of each key."""
        if not len(self):
            return np.zeros(len(keys), np.intp), np.zeros(len(keys), bool)
        own = self._table["key"]
        place = np.minimum(np.searchsorted(own, keys), len(own) - 1)
        return place, own[place] == keys

    def _advance(self, rows: Columns, samples: Array, now: float) -> None:
        """Bring connections to what they are after one more reading each."""
        gain = _gain(rows["sample"], samples)
        resent = gain[:, RESENT] > 0
        _time(rows, samples, (gain[:, SENT] + gain[:, RECEIVED] > 0) & ~resent)
        rto_ms = gain[:, RTO_MS]
        sending = (samples["unacked"] > 0) & (samples["counted"][:, SENT] > 0)
        waited = np.where(sending & ~resent, samples["last_data_sent"], np.nan)
        waited = np.fmax(waited, np.where(rto_ms > 0, rto_ms.astype("f8"), np.nan))
        np.fmax(rows["stall"], waited, out=rows["stall"], casting="same_kind")
        sides = rows["sides"]
        sides += _sides(gain, samples["known"])
        rows["now"] += gain
        rows["now"][:, EXCHANGES] = np.minimum(sides[:, 0], sides[:, 1])
        self.info_bytes = int(samples["known"].max(initial=0)) or self.info_bytes
        rtt = np.where(samples["min_rtt"] > 0, samples["min_rtt"], NO_RTT)
        np.minimum(rows["min_rtt"], rtt, out=rows["min_rtt"])
        rows["seen"][:] = now
        rows["open"][:] = True
        rows["sample"] = samples


def _blank(size: int) -> Columns:
    """Return the columns of so many connections, all 0."""
    kinds = [(name, CONNECTION[name]) for name in CONNECTION.names or ()]
    return {name: np.zeros((size, *kind.shape), kind.base) for name, kind in kinds}


def _picked(table: Columns, which: Array) -> Columns:
    """Return those rows of a table that an index or a mask gives."""
    return {name: picked(column, which) for name, column in table.items()}


def _begun(keys: Array, slots: Array, samples: Array, from_birth: Array, now: float) -> Columns:
    """Return connections that were not known, before their first reading is taken in."""
    rows = _blank(len(keys))
    rows["key"], rows["slot"], rows["fresh"] = keys, slots.astype("u2"), from_birth.astype(bool)
    rows["since"][:] = now
    rows["stall"][:] = np.nan
    rows["min_rtt"][:] = NO_RTT
    rows["why"][~rows["fresh"]] = OLDER
    rows["sample"] = copied(samples)
    # From birth on everything counts, else what comes from now on.
    rows["sample"]["counted"][rows["fresh"]] = 0
    return rows


def _time(rows: Columns, samples: Array, timed: Array) -> None:
    """Add to ``rows`` what the newest exchange of each took, where that can be told."""
    sent = samples["last_data_sent"].astype("f8")
    received = samples["last_data_recv"].astype("f8")
    out, came = samples["counted"][:, SENT], samples["counted"][:, RECEIVED]
    both = timed & (came > 0) & (out > 0)
    # Within one tick the order is unknown, unless as many segments came as went: all answered.
    tie = both & (sent == received) & (came == out)
    answered = both & (sent > received)
    served = both & (received > sent)
    for ms, count, which, took in (
        ("response_ms", "responses", answered | tie, sent - received),
        ("service_ms", "services", served | tie, received - sent),
    ):
        counted = which & (took <= LONGEST_MS)
        rows[ms] += np.where(counted, took, 0.0)
        rows[count] += counted
    rows["streak"] = np.where(answered | tie, np.uint16(0), np.minimum(rows["streak"] + both, STREAK))


def _keys(slots: Array, samples: Array) -> Array:
    mask = np.uint64((1 << COOKIE_BITS) - 1)
    keys: Array = (slots.astype("u8") << np.uint64(COOKIE_BITS)) | (samples["cookie"] & mask)
    return keys


def _gain(before: Array, after: Array) -> Array:
    """Return what COUNTERS moved between two readings; exchanges are filled in by the caller.

    Each counter wraps as the kernel's does: (after - before) mod 2^w. A step back, a reading that was
    overtaken by a later one, counts as none.
    """
    gain: Array = (after["counted"] - before["counted"]) & sockets.WRAP
    gain[gain > BACK] = 0
    said = after["known"] >= SAYS_SENT
    sent = gain[:, BYTES] - np.minimum(gain[:, BYTES], gain[:, RESENT_BYTES])
    gain[:, BYTES] = sent if said.all() else np.where(said, sent, gain[:, ACKED])
    gain[:, EXCHANGES] = 0
    return gain


def _sides(gain: Array, known: Array) -> Array:
    """Return (segments sent for the first time, segments received): an exchange is one of each.

    The smaller total counts exchanges exactly for requests and answers of one segment, for larger
    ones the smaller side's segments. A SYN or FIN that was sent again is one of the retransmissions,
    but no data segment: how many of those had data follows from their bytes, where the kernel tells them.
    """
    again = gain[:, RESENT]
    if again.any():
        data = gain[:, [BYTES, RESENT_BYTES, SENT]].astype("f8")
        all_bytes = np.maximum(data[:, 0] + data[:, 1], 1.0)
        with_data = np.rint(data[:, 1] * data[:, 2] / all_bytes).astype("u8")
        again = np.where(known >= SAYS_RESENT, np.minimum(again, with_data), again)
    sent = gain[:, SENT] - np.minimum(gain[:, SENT], again)
    return np.stack([sent, gain[:, RECEIVED]], axis=1)


def _shares(rows: Columns) -> Array:
    shares = np.zeros(len(rows["key"]), SHARE)
    for name in ("sport", "dport", "src", "dst", "cookie", "inode", "cgroup", "rtt"):
        shares[name] = rows["sample"][name]
    for name in ("slot", "open", "why", "min_rtt", "stall", *(name for name, _ in _TIMES)):
        shares[name] = rows[name]
    shares["new"] = rows["fresh"]
    shares["delta"] = rows["now"] - rows["base"]
    looping = rows["streak"] >= CLOSED_LOOP_READINGS
    shares["loop_ms"] = np.where(looping, (rows["seen"] - rows["since"]) * 1000.0, 0.0)
    shares["looped"] = np.where(looping, shares["delta"][:, EXCHANGES], 0)
    return shares
