"""The control plane over SNMP: GET, and walks of several columns, through one pysnmp engine.

This is the only importer of pysnmp. Its engine parses some 7 500 varbinds a second on one core, so it
serves topology, inventory and slow paths. Requests go straight to the engine's message dispatcher with
the address in hand: its target tables (SNMP-TARGET-MIB), which the usual front door fills, cost more
with each target already in them, about a minute of CPU for two thousand.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pysnmp.carrier.asyncio.dgram import udp, udp6
from pysnmp.entity import config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.error import PySnmpError
from pysnmp.proto import rfc1902
from pysnmp.proto.api import v2c

from correlator.snmp.errors import AddressError, BadAnswerError, NoAnswerError, RefusedError, TooBigError
from correlator.snmp.manners import Pace, Size
from correlator.snmp.target import Community, Index, Oid, Tally, Target, Value
from correlator.snmp.walk import Bulk, Fetch, Get, Rows, Varbind, Walk

log = logging.getLogger(__name__)

V2C_MESSAGES, V2C_SECURITY, NO_AUTH_NO_PRIV = 1, 2, 1  # RFC 3411: models and level
TOO_BIG = 1  # error-status, RFC 3416, section 3
SKIPPABLE = {2: "noSuchName", 5: "genErr"}  # about one object; the others can be had
STATUS = {6: "noAccess", 13: "resourceUnavailable", 16: "authorizationError"}
ENGINE_SLACK_S = 5.0  # the engine forgets a request this long after us: late answers still count

Address = tuple[str, int]
Question = Get | Bulk


@dataclass(frozen=True, slots=True)
class Params:
    """Settings of the client.

    ``in_flight``: requests on their way at one time, over all targets; more would only wait for our
    own CPU and look like silent devices. ``receive_buffer_bytes`` of each socket. ``max_rows`` bounds a
    walk: the largest forwarding tables seen hold some ten thousand stations.
    """

    in_flight: int = 64
    receive_buffer_bytes: int = 4 * 2**20
    max_rows: int = 50_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the question it answers, its error status and index, its varbinds."""

    question: Question
    status: int
    error_index: int
    varbinds: list[Varbind]


class SnmpClient:
    """Reads SNMP agents, all of them through one engine; ``close`` it when done.

    To one address there is at most one request in flight, at the target's pace, in sizes that the
    device has shown to bear. All methods raise the errors of ``correlator.snmp.errors``.
    """

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or Params()
        self._engine: _Engine | None = None
        self._peers: dict[Address, _Peer] = {}
        self._slots = asyncio.Semaphore(self.params.in_flight)

    async def get(self, target: Target, oids: Sequence[Oid], tally: Tally | None = None) -> dict[Oid, Value]:
        """Return the value of each OID; None where the agent has no such object."""
        result = await self._read(target, Fetch(oids, [()], ()), tally)
        return {oid: result.rows.get((), {}).get(oid) for oid in oids}

    async def get_rows(
        self,
        target: Target,
        columns: Sequence[Oid],
        indexes: Iterable[Index],
        scalars: Sequence[Oid] = (),
        tally: Tally | None = None,
    ) -> Rows:
        """Return those rows of the columns, each read in one message together with the scalars."""
        return await self._read(target, Fetch(columns, indexes, scalars), tally)

    async def walk_columns(
        self,
        target: Target,
        columns: Sequence[Oid],
        scalars: Sequence[Oid] = (),
        max_rows: int | None = None,
        tally: Tally | None = None,
    ) -> Rows:
        """Return all rows of the columns, each with the scalars of the message that brought it.

        A walk that loops or exceeds ``max_rows`` ends there and says so in ``why_incomplete``.
        """
        bound = self.params.max_rows if max_rows is None else max_rows
        lengths, table = self._peer(target).lengths, tuple(columns)
        result = await self._read(target, Walk(table, scalars, bound, lengths.get(table)), tally)
        lengths[table] = len(result.rows)
        return result

    async def close(self) -> None:
        """Close the sockets and end the engine's timer."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()
            await asyncio.sleep(0)  # lets the loop close the sockets

    async def __aenter__(self) -> SnmpClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _read(self, target: Target, work: Walk | Fetch, tally: Tally | None) -> Rows:
        peer = self._peer(target)
        tally = tally if tally is not None else Tally()
        while not work.over:
            answer = await self._answer(target, peer, work, tally)
            asked = answer.question
            if answer.status == TOO_BIG:
                if asked.varbinds > peer.size.limit:  # as little as can be asked
                    raise TooBigError(target)
                peer.size.too_big(asked.varbinds)
            elif answer.status in SKIPPABLE:
                work.refused(asked, answer.error_index, SKIPPABLE[answer.status])  # type: ignore[arg-type]
            elif answer.status:
                raise RefusedError(target, STATUS.get(answer.status, f"error status {answer.status}"))
            elif work.take(asked, answer.varbinds):  # type: ignore[arg-type]
                peer.size.answered(asked.varbinds)
            else:
                raise BadAnswerError(target, "it holds other objects than were asked for")
        return work.result

    async def _answer(self, target: Target, peer: _Peer, work: Walk | Fetch, tally: Tally) -> Answer:
        """Return the answer to the work's next request, which is sent again when nothing comes.

        An answer to an earlier try counts as well: a slow device is not a silent one.
        """
        async with peer.lock, self._slots:
            engine = self._engine = self._engine or _Engine(self.params)
            family, address = await peer.locate(target)
            before, answer = copy.copy(peer.size), asyncio.get_running_loop().create_future()
            with engine.listening(address) as strange:
                for attempt in range(target.retries + 1):
                    question = work.request(peer.size.varbinds, peer.size.ceiling)
                    await peer.wait_for_turn()
                    tally.requests += 1
                    tally.retries += attempt > 0
                    engine.send(target, family, address, question, answer)
                    try:
                        async with asyncio.timeout(target.timeout_s):
                            return await asyncio.shield(answer)
                    except TimeoutError:
                        peer.size.silent(question.varbinds)
                peer.size.absent(before)
                peer.found = None  # the name may have moved to another address
                raise NoAnswerError(target, target.retries + 1, target.timeout_s, strange())

    def _peer(self, target: Target) -> _Peer:
        peer = self._peers.setdefault((target.host, target.port), _Peer())
        peer.pace.per_second = target.requests_per_second
        return peer


class _Peer:
    """What is remembered about one address: its manners, and where it was found."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.size = Size()
        self.pace = Pace(per_second=1)
        self.lengths: dict[tuple[Oid, ...], int] = {}  # rows of a table when it was last walked
        self.found: tuple[socket.AddressFamily, tuple[Any, ...]] | None = None

    async def locate(self, target: Target) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
        """Return the address family and socket address. Raises AddressError."""
        if self.found is None:
            loop = asyncio.get_running_loop()
            try:
                places = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)
            except (OSError, UnicodeError) as error:
                raise AddressError(target, getattr(error, "strerror", None) or error) from None
            self.found = places[0][0], places[0][4]
        return self.found

    async def wait_for_turn(self) -> None:
        """Wait until the target's pace allows another request, and take that turn."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self.pace.wait_s(loop.time()))
        self.pace.take(loop.time())


class _Udp4(udp.UdpAsyncioTransport):  # type: ignore[misc]
    """pysnmp's socket, which hears only those who were asked, and survives what they say."""

    def __init__(self, hears: Callable[[tuple[Any, ...], bytes, Callable[[], None]], None]) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._hears = hears

    def datagram_received(self, datagram: bytes, transportAddress: tuple[Any, ...]) -> None:  # noqa: N803
        """Pass a datagram on to the engine."""
        address = self.ADDRESS_TYPE(transportAddress)
        self._hears(transportAddress, datagram, lambda: self._callback_function(self, address, datagram))


class _Udp6(_Udp4):
    """The same for IPv6."""

    SOCK_FAMILY = udp6.Udp6AsyncioTransport.SOCK_FAMILY
    ADDRESS_TYPE = udp6.Udp6AsyncioTransport.ADDRESS_TYPE


_TRANSPORTS: dict[int, tuple[tuple[int, ...], type[_Udp4]]] = {
    socket.AF_INET: (udp.DOMAIN_NAME, _Udp4),
    socket.AF_INET6: (udp6.DOMAIN_NAME, _Udp6),
}


class _Engine:
    """pysnmp's engine, its sockets and the communities that it knows. Belongs to one event loop."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self._engine = SnmpEngine()
        self._transports: dict[socket.AddressFamily, tuple[tuple[int, ...], _Udp4]] = {}
        self._users: dict[Community, Any] = {}
        self._awaited: Counter[Address] = Counter()
        self._strange: Counter[Address] = Counter()
        builder = self._engine.get_mib_builder()
        (self._text,) = builder.import_symbols("SNMP-FRAMEWORK-MIB", "SnmpAdminString")
        self._unread = builder.import_symbols("__SNMPv2-MIB", "snmpInASNParseErrs", "snmpInBadVersions")

    def send(
        self,
        target: Target,
        family: socket.AddressFamily,
        address: tuple[Any, ...],
        question: Question,
        answer: asyncio.Future[Answer],
    ) -> None:
        """Send a question; the future gets the answer, if it has none yet, or its failure."""
        domain, transport = self._transport(family)
        resolution = self._engine.transport_dispatcher.get_timer_resolution()
        keep_s = (target.retries + 1) * target.timeout_s + ENGINE_SLACK_S
        try:
            self._engine.message_dispatcher.send_pdu(
                self._engine,
                domain,
                transport.ADDRESS_TYPE(address),
                V2C_MESSAGES,
                V2C_SECURITY,
                self._user(target.credentials),
                NO_AUTH_NO_PRIV,
                None,  # context engine: our own stands for it in v2c
                self._text(""),
                V2C_MESSAGES,
                _pdu(question),
                True,
                keep_s / resolution,
                _received,
                (question, answer),
            )
        except (PySnmpError, OSError) as error:
            log.debug("%s: not sent: %s", target, error)  # counts as unanswered

    @contextlib.contextmanager
    def listening(self, address: tuple[Any, ...]) -> Iterator[Callable[[], int]]:
        """Hear datagrams from ``address``; gives a function that counts those nobody could read."""
        place, before = address[:2], self._strange[address[:2]]
        self._awaited[place] += 1
        try:
            yield lambda: self._strange[place] - before
        finally:
            self._awaited[place] -= 1
            if not self._awaited[place]:
                del self._awaited[place], self._strange[place]

    def close(self) -> None:
        """Close sockets and timer."""
        for domain, transport in self._transports.values():
            config.delete_transport(self._engine, domain)
            transport.close_transport()
        self._engine.close_dispatcher()

    def _hears(self, address: tuple[Any, ...], datagram: bytes, deliver: Callable[[], None]) -> None:
        place = address[:2]
        if place not in self._awaited:
            return
        before = [int(symbol.syntax) for symbol in self._unread]
        try:
            deliver()
        except Exception as error:  # noqa: BLE001 - hostile bytes raise nearly anything in a decoder
            log.debug("%s port %s: %d bytes not understood: %s", *place, len(datagram), error)
            self._strange[place] += 1
        self._strange[place] += before != [int(symbol.syntax) for symbol in self._unread]

    def _transport(self, family: socket.AddressFamily) -> tuple[tuple[int, ...], _Udp4]:
        if family not in self._transports:
            domain, kind = _TRANSPORTS[family]
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._params.receive_buffer_bytes)
            sock.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", 0))  # noqa: S104 - any route
            transport = kind(self._hears).open_server_mode(sock=sock)
            config.add_transport(self._engine, domain, transport)
            self._transports[family] = domain, transport
        return self._transports[family]

    def _user(self, credentials: Community) -> Any:
        if credentials not in self._users:
            name = f"community-{len(self._users)}"
            config.add_v1_system(self._engine, name, credentials.name, transportTag=b"")
            config.add_target_parameters(self._engine, name, name, "noAuthNoPriv", V2C_MESSAGES)
            self._users[credentials] = self._text(name)
        return self._users[credentials]


def _pdu(question: Question) -> Any:
    pdu, api = (
        (v2c.GetBulkRequestPDU(), v2c.apiBulkPDU)
        if isinstance(question, Bulk)
        else (v2c.GetRequestPDU(), v2c.apiPDU)
    )
    api.set_defaults(pdu)
    if isinstance(question, Bulk):
        api.set_non_repeaters(pdu, question.non_repeaters)
        api.set_max_repetitions(pdu, question.max_repetitions)
    api.set_varbinds(pdu, [(oid, v2c.null) for oid in question.oids])
    return pdu


def _received(*arguments: Any) -> None:
    """Take the engine's word about a request: its dispatcher's callback, RFC 3412 section 4.2.2.2."""
    pdu, failure, (question, answer) = arguments[8], arguments[9], arguments[11]
    if answer.done() or (failure and pdu is None):
        return  # the engine's own time-out; ours has passed already
    status = int(v2c.apiPDU.get_error_status(pdu))
    error_index = int(pdu.getComponentByPosition(2))  # pysnmp's getter wants varbinds beside it
    varbinds = [(tuple(oid), _plain(value)) for oid, value in v2c.apiPDU.get_varbinds(pdu)]
    answer.set_result(Answer(question, status, error_index, varbinds))


_INTEGERS = {
    kind.tagSet
    for kind in (
        rfc1902.Integer32,
        rfc1902.Counter32,
        rfc1902.Gauge32,
        rfc1902.TimeTicks,
        rfc1902.Counter64,
    )
}
_STRINGS = {kind.tagSet for kind in (rfc1902.OctetString, rfc1902.IpAddress, rfc1902.Opaque)}


def _plain(value: Any) -> Value:
    """Return a value as int, bytes or dotted OID; None for the exceptions of RFC 3416 and for NULL."""
    if value.tagSet in _INTEGERS:
        return int(value)
    if value.tagSet in _STRINGS:
        return bytes(value.asOctets())
    if value.tagSet == rfc1902.ObjectName.tagSet:
        return ".".join(map(str, value))
    return None
