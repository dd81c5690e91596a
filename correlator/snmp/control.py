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
import math
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pyasn1.codec.ber import decoder
from pysnmp.carrier.asyncio.dgram import udp, udp6
from pysnmp.entity import config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.error import PySnmpError
from pysnmp.proto import errind, rfc1902
from pysnmp.proto.api import v1, v2c
from pysnmp.proto.secmod.rfc3414.service import UsmSecurityParameters

from correlator.snmp.errors import (
    AddressError,
    BadAnswerError,
    NoAnswerError,
    RefusedError,
    SnmpError,
    TooBigError,
    UserError,
)
from correlator.snmp.manners import Pace, Size
from correlator.snmp.target import Community, Credentials, Index, Oid, Tally, Target, User, Value
from correlator.snmp.walk import Bulk, Fetch, Get, Probe, Rows, Varbind, Walk

log = logging.getLogger(__name__)

V1, V2C, V3 = 0, 1, 3  # message processing models, RFC 3411
SECURITY_MODEL = {V1: 1, V2C: 2, V3: 3}
NO_AUTH_NO_PRIV, AUTH_NO_PRIV, AUTH_PRIV = 1, 2, 3  # security levels, RFC 3411
MEETINGS = 4  # reports of an engine's id and clock that are followed by another try
TOO_BIG = 1  # error-status, RFC 3416, section 3
NO_SUCH_NAME = 2
SKIPPABLE = {NO_SUCH_NAME: "noSuchName", 5: "genErr"}  # about one object; the others can be had
STATUS = {6: "noAccess", 13: "resourceUnavailable", 16: "authorizationError"}
ENGINE_SLACK_S = 5.0  # the engine forgets a request this long after us: late answers still count

Address = tuple[str, int]
Place = tuple[socket.AddressFamily, tuple[Any, ...]]
Question = Get | Bulk
Work = Walk | Fetch | Probe


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
        self._engines: dict[Credentials | None, _Engine] = {}
        self._peers: dict[Address, Peer] = {}
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
        within_s: float = math.inf,
    ) -> Rows:
        """Return those rows of the columns, each read in one message together with the scalars.

        What could not be read ``within_s`` is absent, which ``why_incomplete`` says.
        """
        return await self._read(target, Fetch(columns, indexes, scalars), tally, within_s)

    async def walk_columns(
        self,
        target: Target,
        columns: Sequence[Oid],
        scalars: Sequence[Oid] = (),
        max_rows: int | None = None,
        tally: Tally | None = None,
        within_s: float = math.inf,
    ) -> Rows:
        """Return all rows of the columns, each with the scalars of the message that brought it.

        A walk that loops or exceeds ``max_rows`` or ``within_s`` ends there and says so in
        ``why_incomplete``.
        """
        bound = self.params.max_rows if max_rows is None else max_rows
        lengths, table = self.peer(target).lengths, tuple(columns)
        result = await self._read(target, Walk(table, scalars, bound, lengths.get(table)), tally, within_s)
        lengths[table] = len(result.rows)
        return result

    async def answering(
        self, target: Target, columns: Iterable[Oid], tally: Tally | None = None
    ) -> frozenset[Oid]:
        """Return those of the columns that hold at least one value."""
        probe = Probe(columns)
        await self._read(target, probe, tally)
        return frozenset(probe.found)

    async def close(self) -> None:
        """Close the sockets and end the engine's timer."""
        engines, self._engines = self._engines, {}
        for engine in engines.values():
            engine.close()
        if engines:
            await asyncio.sleep(0)  # lets the loop close the sockets

    async def __aenter__(self) -> SnmpClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _read(
        self, target: Target, work: Work, tally: Tally | None, within_s: float = math.inf
    ) -> Rows:
        peer, clock = self.peer(target), asyncio.get_running_loop().time
        ends = clock() + within_s
        tally = tally if tally is not None else Tally()
        while not work.over:
            answer = await self._answer(target, peer, work, tally)
            asked = answer.question
            if answer.status == TOO_BIG:
                if asked.varbinds > peer.size.limit:  # as little as can be asked
                    raise TooBigError(target)
                peer.size.too_big(asked.varbinds)
            elif answer.status in SKIPPABLE:
                absent = answer.status == NO_SUCH_NAME and _messages(target.credentials) == V1
                why = "" if absent else SKIPPABLE[answer.status]  # how version 1 says that there is none
                work.refused(asked, answer.error_index, why)  # type: ignore[arg-type]
            elif answer.status:
                raise RefusedError(target, STATUS.get(answer.status, f"error status {answer.status}"))
            elif work.take(asked, answer.varbinds):  # type: ignore[arg-type]
                peer.size.answered(asked.varbinds)
            else:
                raise BadAnswerError(target, "it holds other objects than were asked for")
            if clock() > ends and not work.over:
                work.result.why_incomplete = f"not read to its end within {within_s:g} s"
                break
        return work.result

    async def _answer(self, target: Target, peer: Peer, work: Work, tally: Tally) -> Answer:
        """Return the answer to the work's next request, which is sent again when nothing comes.

        An answer to an earlier try counts as well: a slow device is not a silent one.
        """
        async with peer.lock, self._slots:
            engine = self._engine(target.credentials)
            family, address = await peer.locate(target)
            before, answer = copy.copy(peer.size), asyncio.get_running_loop().create_future()
            with engine.listening(address) as strange:
                for attempt in range(target.retries + 1):
                    question = _asked(work.request(peer.size.varbinds, peer.size.ceiling), target)
                    await peer.wait_for_turn()
                    tally.requests += 1
                    tally.retries += attempt > 0
                    engine.send(target, family, address, question, answer)
                    try:
                        async with asyncio.timeout(target.timeout_s):
                            got: Answer = await asyncio.shield(answer)
                        engine.lets_in(address)
                        return got
                    except TimeoutError:
                        peer.size.silent(question.varbinds)
                peer.size.absent(before)
                peer.found = None  # the name may have moved to another address
                raise engine.silence(target, address) or NoAnswerError(
                    target, target.retries + 1, target.timeout_s, strange()
                )

    def _engine(self, credentials: Credentials) -> _Engine:
        """Return the engine: one for all communities, one for each user (the same name may have
        other passwords elsewhere, which one engine would mix up)."""
        key = credentials if isinstance(credentials, User) else None
        if key not in self._engines:
            self._engines[key] = _Engine(self.params)
        return self._engines[key]

    def peer(self, target: Target) -> Peer:
        """Return what is remembered about a target's address, for who asks it in another way."""
        place = target.host, target.port
        peer = self._peers.get(place)
        if peer is None:
            peer = self._peers[place] = Peer()
        peer.pace.per_second = target.requests_per_second
        return peer


class Peer:
    """What is remembered about one address: its manners, and where it was found. Holders of ``lock`` ask."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.size = Size()
        self.pace = Pace(per_second=1)
        self.lengths: dict[tuple[Oid, ...], int] = {}  # rows of a table when it was last walked
        self.found: Place | None = None

    async def locate(self, target: Target) -> Place:
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
        self._users: dict[Credentials, Any] = {}
        self._met: set[Address] = set()  # engines that told a user of ours their id and clock
        self._let_in: set[Address] = set()  # those that answered what was asked
        self._awaited: Counter[Address] = Counter()
        self._strange: Counter[Address] = Counter()
        self._engine.observer.register_observer(_renamed, "rfc3412.prepareDataElements:sm-failure")
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
        messages = _messages(target.credentials)

        def transmit() -> None:
            self._engine.message_dispatcher.send_pdu(
                self._engine,
                domain,
                transport.ADDRESS_TYPE(address),
                messages,
                SECURITY_MODEL[messages],
                self._user(target.credentials),
                _level(target.credentials),
                None,  # context engine: our own stands for it in v2c, the peer's in v3
                self._text(""),
                min(messages, V2C),  # of the PDU
                _pdu(question, messages),
                True,
                keep_s / resolution,
                _received,
                asked,
            )

        def again() -> None:
            self._met.add(address[:2])
            try:
                transmit()
            except (PySnmpError, OSError) as error:
                log.debug("%s: not sent: %s", target, error)

        asked = _Asked(target, question, answer, again)
        try:
            transmit()
        except (PySnmpError, OSError) as error:
            log.debug("%s: not sent: %s", target, error)  # counts as unanswered

    def lets_in(self, address: tuple[Any, ...]) -> None:
        """Take note that the engine at ``address`` answered."""
        self._let_in.add(address[:2])

    def silence(self, target: Target, address: tuple[Any, ...]) -> SnmpError | None:
        """Return what the silence of an engine means that has met the user before, else None.

        It knows user and digest then; agents drop what they cannot decrypt. One that has answered before
        is silent for another reason.
        """
        user, shut_out = target.credentials, self._met - self._let_in
        if isinstance(user, User) and user.priv and address[:2] in shut_out:
            return UserError(
                target,
                user.name,
                "it answers, but not to what is encrypted; check the privacy protocol and password",
            )
        return None

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

    def _user(self, credentials: Credentials) -> Any:
        if credentials not in self._users:
            if isinstance(credentials, User):
                name = credentials.name
                config.add_v3_user(self._engine, name, **_keys(credentials))
            else:
                name = f"community-{len(self._users)}"
                config.add_v1_system(self._engine, name, credentials.name, transportTag=b"")
                config.add_target_parameters(self._engine, name, name, "noAuthNoPriv", _messages(credentials))
            self._users[credentials] = self._text(name)
        return self._users[credentials]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request on its way, and how to send it once more when the peer has told its id or clock."""

    target: Target
    question: Question
    answer: asyncio.Future[Answer]
    again: Callable[[], None]
    meetings: list[str] = field(default_factory=list)


_AUTH = {
    "md5": config.USM_AUTH_HMAC96_MD5,
    "sha1": config.USM_AUTH_HMAC96_SHA,
    "sha224": config.USM_AUTH_HMAC128_SHA224,
    "sha256": config.USM_AUTH_HMAC192_SHA256,
    "sha384": config.USM_AUTH_HMAC256_SHA384,
    "sha512": config.USM_AUTH_HMAC384_SHA512,
}
_PRIV = {
    "des": config.USM_PRIV_CBC56_DES,
    "aes128": config.USM_PRIV_CFB128_AES,
    "aes192": config.USM_PRIV_CFB192_AES_BLUMENTHAL,
    "aes256": config.USM_PRIV_CFB256_AES_BLUMENTHAL,
    "aes192c": config.USM_PRIV_CFB192_AES,
    "aes256c": config.USM_PRIV_CFB256_AES,
}


def _keys(user: User) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    if user.auth:
        keys |= {"authProtocol": _AUTH[user.auth], "authKey": user.auth_password}
    if user.priv:
        keys |= {"privProtocol": _PRIV[user.priv], "privKey": user.priv_password}
    return keys


def _messages(credentials: Credentials) -> int:
    if isinstance(credentials, User):
        return V3
    return V1 if credentials.version == "1" else V2C


def _level(credentials: Credentials) -> int:
    if isinstance(credentials, Community) or not credentials.auth:
        return NO_AUTH_NO_PRIV
    return AUTH_PRIV if credentials.priv else AUTH_NO_PRIV


def _asked(question: Question, target: Target) -> Question:
    """Return the question as the target's version can put it: version 1 goes row by row."""
    if isinstance(question, Bulk) and _messages(target.credentials) == V1:
        return replace(question, max_repetitions=1)
    return question


def _pdu(question: Question, messages: int) -> Any:
    if messages == V1:
        old = v1.GetNextRequestPDU() if isinstance(question, Bulk) else v1.GetRequestPDU()
        v1.apiPDU.set_defaults(old)
        v1.apiPDU.set_varbinds(old, [(oid, v1.null) for oid in question.oids])
        return old
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
    pdu, failure, asked = arguments[8], arguments[9], arguments[11]
    if asked.answer.done():
        return
    if failure:
        _failed(asked, failure["errorIndication"])
        return
    status = int(v2c.apiPDU.get_error_status(pdu))
    error_index = int(pdu.getComponentByPosition(2))  # pysnmp's getter wants varbinds beside it
    varbinds = [(tuple(oid), _plain(value)) for oid, value in v2c.apiPDU.get_varbinds(pdu)]
    asked.answer.set_result(Answer(asked.question, status, error_index, varbinds))


def _renamed(engine: SnmpEngine, _: str, heard: Mapping[str, Any], __: Any) -> None:
    """Take the new id of an engine that answers under another one: a device that was replaced or restarted.

    pysnmp knows the user under the old id alone, drops the report that tells the new one (RFC 3414, section
    3.2, step 3) and would go on with the old one for five minutes. Its keys follow with the next request.
    """
    if heard["statusInformation"].get("errorIndication") is not errind.unknownSecurityName:
        return
    peers = engine.message_processing_subsystems[V3]._SnmpV3MessageProcessingModel__engineIdCache
    known = peers.get((heard["transportDomain"], heard["transportAddress"]))
    if known is not None:
        said, _rest = decoder.decode(heard["securityParameters"], asn1Spec=UsmSecurityParameters())
        known["securityEngineId"] = known["contextEngineId"] = said[0]


_MEETING = (errind.unknownEngineID, errind.notInTimeWindow)
_SHUT_OUT = (
    (errind.unknownUserName, "it knows no such user; check the name"),
    (errind.wrongDigest, "the digest is wrong; check the authentication protocol and password"),
    (errind.authenticationFailure, "the digest is wrong; check the authentication protocol and password"),
    (errind.decryptionError, "it cannot decrypt; check the privacy protocol and password"),
    (errind.unsupportedSecurityLevel, "it wants another security level; check auth and priv"),
)


def _failed(asked: _Asked, failure: Any) -> None:
    """Take a report (RFC 3414, section 3.2): meet the engine, or say why it shuts the user out."""
    if any(failure is one for one in _MEETING):
        asked.meetings.append(str(failure))
        if len(asked.meetings) <= MEETINGS:
            asyncio.get_running_loop().call_soon(asked.again)
        return
    user = asked.target.credentials
    for one, why in _SHUT_OUT:
        if failure is one and isinstance(user, User):
            asked.answer.set_exception(UserError(asked.target, user.name, why))
            return
    # else the engine's own time-out; ours has passed already


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
