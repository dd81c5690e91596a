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

from typing import Any

import numpy as np
import numpy.typing as npt

from correlator.agent import sockets

Array = npt.NDArray[Any]

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
SENT, RECEIVED, RESENT, RTO, RTO_MS, EXCHANGES = 2, 3, 4, 7, 8, 9  # places among COUNTERS
OLDER, LOST, GONE = 1, 2, 4  # why a row is not complete
COOKIE_BITS = 48
NO_RTT = 0xFFFF_FFFF  # min_rtt of a connection that has none yet
LONGEST_MS = 600_000.0  # differences beyond are idle time, not responses
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


def nothing() -> Array:
    """Return no shares."""
    return np.zeros(0, SHARE)


class Ledger:
    """The live connections of all namespaces, at most ``limit``; ``overflowed`` counts those beyond."""

    def __init__(self, limit: int = 50_000) -> None:
        self._table = np.zeros(0, CONNECTION)
        self._limit = limit
        self.overflowed = 0
        self.info_bytes = 0  # length of the kernel's tcp_info: what it does not send stays unknown

    def __len__(self) -> int:
        return len(self._table)

    def known(self, slot: int) -> Array:
        """Return the newest samples of a namespace's open connections."""
        mine = (self._table["slot"] == slot) & self._table["open"]
        found: Array = self._table["sample"][mine]
        return found

    def counts(self, slots: int) -> Array:
        """Return how many open connections each slot below ``slots`` has."""
        return np.bincount(self._table["slot"][self._table["open"]], minlength=slots)

    def read(self, slots: Array, samples: Array, from_birth: Array, now: float) -> bool:
        """Take in readings of open connections; return whether any of them is new.

        ``slots`` and ``from_birth`` (the namespace was listened to before the connection began) are
        parallel to ``samples``; ``now`` is monotonic seconds.
        """
        keys = _keys(slots, samples)
        keys, first = np.unique(keys, return_index=True)
        slots, samples, from_birth = slots[first], samples[first], from_birth[first]
        place, known = self._find(keys)
        self._update(place[known], samples[known], now)
        new = ~known
        if not new.any():
            return False
        self._insert(keys[new], slots[new], samples[new], from_birth[new], now)
        return True

    def missing(self, slot: int, samples: Array) -> None:
        """Note which connections of a namespace a full dump no longer showed: not open any more.

        They stay known: their last counters come when the owner closes the socket.
        """
        mine = np.flatnonzero((self._table["slot"] == slot) & self._table["open"])
        gone = ~np.isin(self._table["sample"]["cookie"][mine], samples["cookie"])
        self._table["open"][mine[gone]] = False

    def close(self, slots: Array, events: Array, from_birth: Array, now: float) -> Array:
        """Take in destroy events; return the shares of the connections that ended."""
        events, slots, from_birth = _last(events, slots, from_birth)
        unknown = ~self._find(_keys(slots, events))[1]
        self._insert(
            _keys(slots, events)[unknown],
            slots[unknown],
            events[unknown],
            from_birth[unknown],
            now,
            force=True,
        )
        place, found = self._find(_keys(slots, events))
        self._update(place[found], events[found], now, closing=True)
        rows = self._table[place[found]]
        self._table = np.delete(self._table, place[found])
        shares = _shares(rows)
        shares["closed"] = True
        shares["open"] = False
        return shares

    def settle(self, now: float) -> Array:
        """Return what every known connection moved since the last call, and begin anew."""
        shares = _shares(self._table)
        table = self._table
        table["base"] = table["now"]
        table["since"] = table["seen"]
        table["fresh"] = False
        table["why"] = 0
        table["stall"] = np.nan
        table["min_rtt"] = table["sample"]["min_rtt"]
        for name, _ in _TIMES:
            table[name] = 0
        return shares

    def forget(self, slot: int) -> Array:
        """Return the shares of a namespace that is gone, and forget its connections."""
        mine = self._table["slot"] == slot
        shares = _shares(self._table[mine])
        shares["why"] |= GONE
        shares["open"], shares["closed"] = False, True
        self._table = self._table[~mine]
        return shares

    def _find(self, keys: Array) -> tuple[Array, Array]:
        """Return (place, whether it is there) of each key."""
        if not len(self._table):
            return np.zeros(len(keys), np.intp), np.zeros(len(keys), bool)
        own = self._table["key"]
        place = np.minimum(np.searchsorted(own, keys), len(own) - 1)
        return place, own[place] == keys

    def _insert(
        self, keys: Array, slots: Array, samples: Array, from_birth: Array, now: float, force: bool = False
    ) -> None:
        room = len(keys) if force else max(0, self._limit - len(self._table))
        self.overflowed += len(keys) - min(room, len(keys))
        keys, slots, samples, from_birth = keys[:room], slots[:room], samples[:room], from_birth[:room]
        rows = np.zeros(len(keys), CONNECTION)
        rows["key"], rows["slot"], rows["open"], rows["fresh"] = keys, slots, True, from_birth
        rows["since"] = rows["seen"] = now
        rows["stall"] = np.nan
        rows["min_rtt"] = NO_RTT
        rows["why"] = np.where(from_birth, 0, OLDER)
        rows["sample"] = samples
        for name in sockets.TCP_INFO:  # from birth on everything counts, else what comes from now on
            rows["sample"][name] = np.where(from_birth, 0, samples[name])
        table = np.concatenate([self._table, rows])
        self._table = table[np.argsort(table["key"], kind="stable")]
        place, there = self._find(keys)
        self._update(place[there], samples[there], now)

    def _update(self, place: Array, samples: Array, now: float, closing: bool = False) -> None:
        table = self._table
        before = table["sample"][place]
        moved = (samples["data_segs_in"] != before["data_segs_in"]) | (
            samples["data_segs_out"] != before["data_segs_out"]
        )
        resent = samples["total_retrans"] != before["total_retrans"]
        self._time(place, samples, moved & ~resent)
        gain = _gain(before, samples)
        rto_ms = gain[:, RTO_MS]
        waited = np.where((samples["unacked"] > 0) & ~resent, samples["last_data_sent"], np.nan)
        waited = np.fmax(waited, np.where(rto_ms > 0, rto_ms.astype("f8"), np.nan))
        table["stall"][place] = np.fmax(table["stall"][place], waited)
        sides = table["sides"][place] + _sides(gain)
        table["sides"][place] = sides
        table["now"][place] += gain
        table["now"][place, EXCHANGES] = sides.min(axis=1)
        self.info_bytes = int(samples["known"].max(initial=0)) or self.info_bytes
        rtt = np.where(samples["min_rtt"] > 0, samples["min_rtt"], NO_RTT)
        table["min_rtt"][place] = np.minimum(table["min_rtt"][place], rtt)
        table["seen"][place] = now
        if closing:  # what destroy events do not say stays as it was read before
            for name in ("cgroup", "inode"):
                samples[name] = np.where(samples[name] == 0, before[name], samples[name])
        table["sample"][place] = samples
        table["open"][place] = True

    def _time(self, place: Array, samples: Array, timed: Array) -> None:
        table = self._table
        sent = samples["last_data_sent"].astype("f8")
        received = samples["last_data_recv"].astype("f8")
        both = timed & (samples["data_segs_in"] > 0) & (samples["data_segs_out"] > 0)
        # Within one tick the order is unknown, unless as many segments came as went: all answered.
        tie = both & (sent == received) & (samples["data_segs_in"] == samples["data_segs_out"])
        answered = both & (sent > received)
        served = both & (received > sent)
        for ms, count, which, took in (
            ("response_ms", "responses", answered | tie, sent - received),
            ("service_ms", "services", served | tie, received - sent),
        ):
            which = which & (took <= LONGEST_MS)
            table[ms][place] += np.where(which, took, 0.0)
            table[count][place] += which
        streak = table["streak"][place]
        streak = np.where(answered | tie, 0, np.minimum(streak + both, 60_000))
        table["streak"][place] = streak


def _keys(slots: Array, samples: Array) -> Array:
    mask = np.uint64((1 << COOKIE_BITS) - 1)
    keys: Array = (slots.astype("u8") << np.uint64(COOKIE_BITS)) | (samples["cookie"] & mask)
    return keys


def _last(events: Array, slots: Array, from_birth: Array) -> tuple[Array, Array, Array]:
    """Return each socket's event once (a socket is destroyed once; this guards the table's keys)."""
    first = np.unique(_keys(slots, events), return_index=True)[1]
    return events[first], slots[first], from_birth[first]


def _grown(before: Array, after: Array, name: str) -> Array:
    """Return how far a counter of the kernel's moved, as it wraps itself: (after - before) mod 2^w.

    A step back (a reading overtaken by a later one) counts as none.
    """
    step = after[name] - before[name]
    grown: Array = np.where(step > np.iinfo(step.dtype).max // 2, 0, step).astype("u8")
    return grown


def _gain(before: Array, after: Array) -> Array:
    """Return what COUNTERS moved between two readings; exchanges are filled in by the caller."""
    gain = np.zeros((len(after), len(COUNTERS)), "u8")
    resent_bytes = _grown(before, after, "bytes_retrans")
    sent = _grown(before, after, "bytes_sent")
    said = after["known"] >= 208  # bytes_sent came with Linux 4.19; before, what was acknowledged
    gain[:, 0] = np.where(said, sent - np.minimum(sent, resent_bytes), _grown(before, after, "bytes_acked"))
    gain[:, 1] = _grown(before, after, "bytes_received")
    gain[:, 2] = _grown(before, after, "data_segs_out")
    gain[:, 3] = _grown(before, after, "data_segs_in")
    gain[:, 4] = _grown(before, after, "total_retrans")
    gain[:, 5] = resent_bytes
    gain[:, 6] = _grown(before, after, "dsack_dups")
    gain[:, 7] = _grown(before, after, "total_rto")
    gain[:, 8] = _grown(before, after, "total_rto_time")
    return gain


def _sides(gain: Array) -> Array:
    """Return (segments sent for the first time, segments received): an exchange is one of each.

    The smaller total counts exchanges exactly for requests and answers of one segment, for larger
    ones the smaller side's segments.
    """
    sent = gain[:, SENT] - np.minimum(gain[:, SENT], gain[:, RESENT])
    return np.stack([sent, gain[:, RECEIVED]], axis=1)


def _shares(rows: Array) -> Array:
    shares = np.zeros(len(rows), SHARE)
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
