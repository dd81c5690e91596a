"""TCP sockets of a network namespace, read with sock_diag(7) and decoded by numpy.

One walk of the kernel's hash costs about 0.2 ms a namespace whatever is in it, an exact lookup
4 µs a socket; so sockets that are known are looked up and dumps are rare. Sockets that close are
announced with their last counters by the destroy groups. Offsets are those of struct tcp_info
(linux/tcp.h); kernels that send a shorter one leave the later fields unknown.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import socket
import struct
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from correlator.agent import netlink
from correlator.agent.records import copied, joined

Array = npt.NDArray[Any]

BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
GET_BOTH_FAMILIES = 18  # TCPDIAG_GETSOCK: with family 0 one walk serves IPv4 and IPv6
ASK_INFO = 1 << 1  # 1 << (INET_DIAG_INFO - 1)
INFO, CGROUP_ID = 2, 21  # INET_DIAG_INFO, INET_DIAG_CGROUP_ID
DESTROY_GROUPS = 0b101  # SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY
EVENT_BUFFER = 24 << 20  # bytes, which the kernel doubles; an event takes about 1.3 kB, so 37,000 can wait
EVENT, QUEUED = 400, 1280  # bytes of an event as it is read, and of the kernel's memory while it waits, about
SO_MEMINFO, MEMINFO = (
    55,
    struct.Struct("=II"),
)  # getsockopt(2): memory of what waits to be read, and its limit
REQUEST_BUFFER = 1 << 20
IN_USE = re.compile(rb"^TCP6?: inuse (\d+)", re.MULTILINE)
TCP = 6
LISTEN = 10
# Neither half-open connections (SYN_RECV, NEW_SYN_RECV), which anybody can make without end, nor
# TIME_WAIT and CLOSE, which say nothing more.
STATES = sum(1 << state for state in (1, 2, 4, 5, 8, 9, 11, LISTEN))

HEAD = 16  # struct nlmsghdr
FIXED = 72  # struct inet_diag_msg
COUNTED = {  # what only grows: name: (offset in struct tcp_info, type)
    "bytes_sent": (200, "<u8"),
    "bytes_received": (128, "<u8"),
    "data_segs_out": (156, "<u4"),
    "data_segs_in": (152, "<u4"),
    "total_retrans": (100, "<u4"),
    "bytes_retrans": (208, "<u8"),
    "dsack_dups": (216, "<u4"),
    "total_rto": (240, "<u2"),
    "total_rto_time": (244, "<u4"),
    "bytes_acked": (120, "<u8"),
}
STATE = {  # what is so now
    "pmtu": (60, "<u4"),
    "unacked": (24, "<u4"),
    "last_data_sent": (44, "<u4"),
    "last_data_recv": (52, "<u4"),
    "rtt": (68, "<u4"),
    "min_rtt": (148, "<u4"),
}
TCP_INFO = COUNTED | STATE
FIXED_FIELDS = {  # name: (offset in the message, type)
    "kind": (4, "<u2"),
    "family": (HEAD, "u1"),
    "state": (HEAD + 1, "u1"),
    "sport": (HEAD + 4, ">u2"),
    "dport": (HEAD + 6, ">u2"),
    "src": (HEAD + 8, ("u1", 16)),
    "dst": (HEAD + 24, ("u1", 16)),
    "interface": (HEAD + 40, "<u4"),
    "cookie": (HEAD + 44, "<u8"),
    "inode": (HEAD + 68, "<u4"),
}
SAMPLE = np.dtype(
    [
        ("family", "u1"),
        ("state", "u1"),
        ("sport", "u2"),
        ("dport", "u2"),
        ("src", "u1", 16),
        ("dst", "u1", 16),
        ("interface", "u4"),
        ("cookie", "u8"),
        ("inode", "u4"),
        ("cgroup", "u8"),
        ("known", "u2"),
        ("place", "u4"),
        ("counted", "u8", len(COUNTED)),
        *((name, "u4") for name in STATE),
    ]
)
"""One socket as it was read: ``counted`` has the counters in COUNTED's order; addresses are 16 bytes,
IPv4 ones mapped (::ffff:a.b.c.d); ``known`` is the length of the tcp_info that the kernel sent, and
fields beyond it are 0; ``cgroup`` 0 means not said; ``place`` is the offset of its message in what was
decoded."""

TAKEN_OVER = frozenset(SAMPLE.names or ()) - {"src", "dst"}  # as they are in the message
CHANGING = {"state", "inode", "cgroup", *STATE}  # beside what is counted
PLACE = {name: place for place, name in enumerate(COUNTED)}
WRAP = np.array([2 ** (8 * int(kind[-1])) - 1 for _, kind in COUNTED.values()], "u8")
"""What each counter's place among COUNTED wraps at, less one."""

REQUEST = np.dtype(
    [
        ("length", "<u4"),
        ("kind", "<u2"),
        ("flags", "<u2"),
        ("sequence", "<u4"),
        ("port", "<u4"),
        ("family", "u1"),
        ("protocol", "u1"),
        ("ext", "u1"),
        ("pad", "u1"),
        ("states", "<u4"),
        ("sport", ">u2"),
        ("dport", ">u2"),
        ("src", "u1", 16),
        ("dst", "u1", 16),
        ("interface", "<u4"),
        ("cookie", "<u8"),
    ]
)
MAPPED = bytes(10) + b"\xff\xff"
MAPPED_WORDS = np.frombuffer(MAPPED, "<u4")


def decode(data: bytes | bytearray | memoryview) -> Array:
    """Return the SAMPLE of each TCP socket in concatenated netlink messages.

    Messages of one length are read at once. Messages of other kinds, without a tcp_info, or cut
    short, are passed over.
    """
    view = memoryview(data)
    parts: list[Array] = []
    offset = 0
    while offset + HEAD <= len(view):
        length = int(struct.unpack_from("=I", view, offset)[0])
        if length < HEAD or offset + length > len(view):
            break
        stride = (length + 3) & ~3
        count = _run(view, offset, length, stride)
        if length >= HEAD + FIXED:
            parts.extend(_decode_run(view, offset, stride, count))
        offset += stride * count
    return joined(parts, SAMPLE)


def decode_parts(parts: Sequence[bytes]) -> tuple[Array, Array]:
    """Return the samples in several pieces of messages, and which piece each came from.

    One decoding for all namespaces costs a fraction of one for each.
    """
    samples = decode(b"".join(parts))
    ends = np.cumsum([len(part) for part in parts])
    return samples, np.searchsorted(ends, samples["place"], side="right")


def _run(view: memoryview, offset: int, length: int, stride: int) -> int:
    """Return how many messages of this length follow one another from ``offset``."""
    fit = max(1, (len(view) - offset) // stride)
    lengths = np.ndarray(fit, "<u4", buffer=view, offset=offset, strides=(stride,))
    other = np.flatnonzero(lengths != length)
    return int(other[0]) if other.size else fit


@dataclass(frozen=True)
class _Layout:
    """Where the attributes lie in a message; ``heads`` are the attribute headers that must be there."""

    dtype: np.dtype[Any]
    heads: tuple[tuple[str, int], ...]
    known: int


def _decode_run(view: memoryview, offset: int, stride: int, count: int) -> list[Array]:
    """Return the samples of ``count`` messages of one length, in parts of one layout each."""
    parts: list[Array] = []
    rest = np.arange(count)
    while rest.size:
        layout = _layout(view, offset + int(rest[0]) * stride, stride)
        if layout is None:
            rest = rest[1:]
            continue
        raw = np.ndarray(count, layout.dtype, buffer=view, offset=offset, strides=(stride,))
        raw = raw if rest.size == count else raw[rest]
        same = np.ones(rest.size, bool)
        for name, head in layout.heads:
            same &= raw[name] == head
        if same.all():  # as is usual, and then nothing has to be copied but what is wanted
            parts.append(_sample(raw, layout.known))
            parts[-1]["place"] = offset + rest * stride
            break
        parts.append(_sample(raw[same], layout.known))
        parts[-1]["place"] = offset + rest[same] * stride
        rest = rest[~same]
    return parts


def _layout(view: memoryview, offset: int, stride: int) -> _Layout | None:
    """Return where things are in the message at ``offset``; None where it is not a socket with tcp_info."""
    length, kind = struct.unpack_from("=IH", view, offset)
    if kind not in (BY_FAMILY, GET_BOTH_FAMILIES):
        return None
    heads = []
    at = HEAD + FIXED
    while at + 4 <= length:
        size, attribute = struct.unpack_from("=HH", view, offset + at)
        if size < 4 or at + size > length:
            return None
        heads.append((at, size, attribute))
        at += (size + 3) & ~3
    return _laid_out(stride, kind, tuple(heads))


@functools.lru_cache(maxsize=64)
def _laid_out(stride: int, kind: int, attributes: tuple[tuple[int, int, int], ...]) -> _Layout | None:
    places: dict[str, tuple[int, Any]] = dict(FIXED_FIELDS)
    heads: list[tuple[str, int]] = [("kind", kind)]
    known = 0
    for at, size, attribute in attributes:
        if attribute == INFO:
            known = size - 4
            places |= {n: (at + 4 + o, t) for n, (o, t) in TCP_INFO.items() if _end(o, t) <= known}
        elif attribute == CGROUP_ID and size == 12:
            places["cgroup"] = (at + 4, "<u8")
        else:
            continue
        heads.append((f"head{attribute}", size | attribute << 16))
        places[f"head{attribute}"] = (at, "<u4")
    if not known:
        return None
    offsets, formats = zip(*places.values(), strict=True)
    dtype = np.dtype({"names": list(places), "formats": formats, "offsets": offsets, "itemsize": stride})
    return _Layout(dtype, tuple(heads), known)


def _end(offset: int, kind: str) -> int:
    return offset + np.dtype(kind).itemsize


def decode_again(data: bytes, before: Array) -> Array | None:
    """Return ``before`` as it is now, where ``data`` tells of just those sockets in that order; else None.

    Who a socket belongs to and speaks with stays, so that half of a message need not be decoded.
    """
    view = memoryview(data)
    if not len(before) or len(view) % len(before) or len(view) < HEAD + FIXED:
        return None
    stride = len(view) // len(before)
    length = int(struct.unpack_from("=I", view)[0])
    if (length + 3) & ~3 != stride or _run(view, 0, length, stride) < len(before):
        return None
    layout = _layout(view, 0, stride)
    if layout is None:
        return None
    raw = np.ndarray(len(before), layout.dtype, buffer=view)
    if (
        any((raw[name] != head).any() for name, head in layout.heads)
        or (raw["cookie"] != before["cookie"]).any()
    ):
        return None
    sample = copied(before)
    _take(sample, raw, CHANGING)
    sample["known"] = layout.known
    return sample


def _take(sample: Array, raw: Array, names: Set[str]) -> None:
    counted = sample["counted"]
    for name in raw.dtype.names or ():
        if name in COUNTED:
            counted[:, PLACE[name]] = raw[name]
        elif name in names:
            sample[name] = raw[name]


def _sample(raw: Array, known: int) -> Array:
    sample = np.zeros(len(raw), SAMPLE)
    _take(sample, raw, TAKEN_OVER)
    sample["known"] = known
    four = sample["family"] == socket.AF_INET
    for name in ("src", "dst"):
        words, given = sample[name].view("<u4"), raw[name].view("<u4")
        if four.all():  # as is usual
            words[:, :3], words[:, 3] = MAPPED_WORDS, given[:, 0]
        else:
            words[:, :3] = np.where(four[:, None], MAPPED_WORDS, given[:, :3])
            words[:, 3] = np.where(four, given[:, 0], given[:, 3])
    return sample


def listening(samples: Array) -> tuple[Array, Array]:
    """Return (which samples are listening sockets, which have forgotten their connection).

    A listening socket that is destroyed has no peer and never had a path. One whose connection was
    refused, or that its owner aborted (SO_LINGER 0), has lost its peer and its counters, but not its
    path's MTU.
    """
    peerless = samples["dport"] == 0
    listens = (samples["state"] == LISTEN) | (peerless & (samples["pmtu"] == 0))
    return listens, peerless & ~listens


def lookups(samples: Array) -> bytes:
    """Return one exact request for each of ``samples``, to be sent at once."""
    asked = np.zeros(len(samples), REQUEST)
    asked["length"] = REQUEST.itemsize
    asked["kind"] = BY_FAMILY
    asked["flags"] = netlink.REQUEST
    asked["protocol"] = TCP
    asked["ext"] = ASK_INFO
    for name in ("family", "sport", "dport", "interface", "cookie"):
        asked[name] = samples[name]
    four = samples["family"] == socket.AF_INET
    for name in ("src", "dst"):
        addresses = samples[name].copy()
        addresses[four, :4] = addresses[four, 12:]
        addresses[four, 4:] = 0
        asked[name] = addresses
    return asked.tobytes()


_DUMP = netlink.message(
    GET_BOTH_FAMILIES,
    netlink.REQUEST | netlink.DUMP,
    struct.pack("=BBBB", 0, 0, 0, ASK_INFO) + bytes(48) + struct.pack("=II", STATES, 0),
)


def _counts() -> tuple[int, ...]:
    """Return open files in which the kernel counts the sockets of the calling thread's namespace."""
    opened = []
    for name in ("sockstat", "sockstat6"):
        with contextlib.suppress(OSError):  # without IPv6 there is no sockstat6
            opened.append(os.open(f"/proc/thread-self/net/{name}", os.O_RDONLY | os.O_CLOEXEC))
    return tuple(opened)


@dataclass
class Diag:
    """The two sock_diag sockets of one network namespace; they stay bound to it wherever they are used."""

    requests: socket.socket
    events: socket.socket
    counts: tuple[int, ...]
    inbox: netlink.Inbox = field(repr=False)

    @classmethod
    def open(cls, inbox: netlink.Inbox) -> Diag:
        """Return the sockets of the calling thread's namespace; ``inbox`` may be shared.

        Raises OSError.
        """
        events = netlink.open_socket(netlink.SOCK_DIAG, groups=DESTROY_GROUPS, receive_buffer=EVENT_BUFFER)
        try:
            events.setblocking(False)
            requests = netlink.open_socket(netlink.SOCK_DIAG, receive_buffer=REQUEST_BUFFER)
        except OSError:
            events.close()
            raise
        return cls(requests, events, _counts(), inbox)

    def dump(self) -> bytes:
        """Return the messages of all TCP sockets but half-open and dead ones. Raises OSError."""
        self.requests.send(_DUMP)
        parts: list[bytes] = []
        while True:
            datagram = netlink.receive(self.requests)
            kind, body = next(netlink.messages(datagram), (netlink.ERROR, memoryview(bytes(4))))
            if kind == netlink.ERROR:
                netlink.raise_error(body)
            parts.append(datagram)
            if netlink.DONE in (kind, *(k for k, _ in netlink.messages(datagram[-20:]))):
                return b"".join(parts)

    def lookup(self, asked: bytes) -> bytes:
        """Return the messages of the sockets that ``lookups`` asks for and that are still there.

        Raises OSError.
        """
        parts = []
        for begin in range(0, len(asked), netlink.SLOTS * REQUEST.itemsize):
            batch = asked[begin : begin + netlink.SLOTS * REQUEST.itemsize]
            self.requests.send(batch)
            answers, came = self.inbox.receive(self.requests.fileno())
            if came < len(batch) // REQUEST.itemsize:  # they are made before the sending ends
                raise TimeoutError("the kernel did not answer")
            parts.append(answers)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def waiting(self) -> int:
        """Return about how many destroy events wait; very many where a good part of the buffer is full.

        So too where the kernel does not say (before Linux 4.12).
        """
        try:
            taken, room = MEMINFO.unpack(self.events.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO.size))
        except (OSError, struct.error):
            return EVENT_BUFFER
        return -(-taken // QUEUED) if taken <= room // 8 else EVENT_BUFFER

    def drain(self, into: list[bytes]) -> bool:
        """Move waiting destroy events into ``into``; return whether the kernel dropped some before."""
        lost = False
        while True:
            try:
                events, came = self.inbox.receive(self.events.fileno())
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                lost = True
                continue
            if came:
                into.append(events)
            if came < netlink.SLOTS:
                return lost

    def close(self) -> None:
        """Let go of the namespace, which an open socket keeps alive."""
        netlink.closed(self.requests, self.events)
        for descriptor in self.counts:
            os.close(descriptor)

    def in_use(self) -> int:
        """Return how many TCP sockets the kernel counts in the namespace, listening ones too.

        -1 where it does not say.
        """
        total = 0
        for descriptor in self.counts:
            try:
                found = IN_USE.search(os.pread(descriptor, 1024, 0))
            except OSError:
                return -1
            total += int(found[1]) if found else 0
        return total if self.counts else -1
