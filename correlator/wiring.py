"""The wiring: the configuration's names become the parts that a pipeline is made of."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import fcntl
import functools
import hashlib
import ssl
import typing
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from correlator import frames, pipeline
from correlator.alerts.outbox import Terms
from correlator.alerts.sinks import SINKS
from correlator.config import Config, ConfigError, Host, Receiver, Switch
from correlator.pipeline import COPY, HOSTS, INSTANT, Pipeline
from correlator.pollers.hosts import HostPoller, HostTarget
from correlator.pollers.recognition import Recognition
from correlator.pollers.switches import GROUPS, SwitchPoller, SwitchTarget
from correlator.pollers.together import Together
from correlator.ports import CorrelatorError, Poller, Sink, Store
from correlator.profiles.profile import ProfileError, Profiles
from correlator.profiles.profile import load as load_profiles
from correlator.reports import shelf
from correlator.reports.content import Content
from correlator.reports.daily import content
from correlator.reports.gather import gather
from correlator.reports.page import render
from correlator.reports.period import begun
from correlator.snmp.control import SnmpClient
from correlator.store.delta import DeltaStore
from correlator.store.delta import Params as StoreParams
from correlator.store.state import SqliteState

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)


def open_store(config: Config, *, once: bool = False) -> DeltaStore:
    """Return the configured store; ``once`` for a program that reads no file twice: nothing is cached."""
    unkept = {"cache_mb": 0, "cache_file_mb": 0} if once else {}
    params = StoreParams(
        **unkept,
        keep_raw_days=config.store.keep_raw_days,
        keep_hours_days=config.store.keep_hours_days,
        keep_records_days=config.store.keep_hours_days,
    )
    return DeltaStore(config.path(config.store.path), params)


def open_state(config: Config, sinks: tuple[str, ...] = ()) -> SqliteState:
    """Return the configured state. Who only looks names no sinks. Raises StoreError."""
    return SqliteState(config.path(config.state.path), sinks)


def cables(config: Config) -> pd.DataFrame:
    """Return the configured cables as their table; they hold since ever."""
    return frames.frame("cables", [{"at": EPOCH, **cable.model_dump()} for cable in config.cables])


def paths(config: Config) -> pd.DataFrame:
    """Return the configured paths as traces that hold since ever, for all ports."""
    return frames.frame(
        "traces",
        [
            {
                "at": EPOCH,
                "host": path.source,
                "source_address": path.source,
                "destination_address": path.destination,
                "hops": list(path.hops),
            }
            for path in config.paths
        ],
    )


def params(config: Config) -> pipeline.Params:
    """Return the pipeline's settings. Raises ConfigError for an engine setting that does not exist."""
    return pipeline.Params(
        window=timedelta(seconds=config.periods.window_s),
        at_once=config.periods.at_once,
        engine=config.engine_params(),
        cables=cables(config),
        paths=paths(config),
        maintenance=functools.partial(maintenance, config),
    )


@contextlib.contextmanager
def alone(config: Config) -> Iterator[None]:
    """Make sure that no other process concludes and alerts on this state while the body runs.

    The lock goes with its process, however that ends. Raises CorrelatorError where another has it.
    """
    path = config.path(config.state.path)
    lock = path.with_name(f"{path.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError:
        raise CorrelatorError(f"{path}: another correlator works on this state; end that one first") from None
    except PermissionError as error:
        raise CorrelatorError(f"{lock}: {error.strerror}; run as the user that owns the state") from None


@contextlib.asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Pipeline]:
    """Return the configured chain with everything opened; close it all at the end.

    Raises ConfigError where a secret cannot be had, StoreError where the state cannot be opened.
    """
    outward = sinks(config)
    state = open_state(config, (COPY, *(sink.name for sink in outward)))
    async with contextlib.AsyncExitStack() as stack:
        for sink in outward:
            stack.callback(sink.close)
        clients = Clients(config)
        stack.push_async_callback(clients.close)
        pollers = _pollers(config, clients)
        yield Pipeline(
            open_store(config),
            state,
            pollers=pollers,
            together={"counters": Together("counters"), "optics": Together("optics")},
            sinks=outward,
            terms=terms(config),
            params=params(config),
        )


def sinks(config: Config) -> list[Sink]:
    """Return a sink for each configured receiver; nothing is connected yet.

    Raises ConfigError for a kind of sink that does not exist, and for settings that it cannot use.
    """
    return [
        _sink(config, kind, index, name, receiver)
        for kind, index, name, receiver in config.alerts.receivers()
    ]


def _sink(config: Config, kind: str, index: int, name: str, receiver: Receiver) -> Sink:
    if kind not in SINKS:
        known = ", ".join(SINKS)
        raise ConfigError(
            f"{config.where('alerts', kind)}: there is no such kind of receiver; known: {known}"
        )
    key = ("alerts", kind, index)
    made: Sink
    kinds = typing.get_type_hints(SINKS[kind].params_type)
    given = {**(receiver.__pydantic_extra__ or {}), "name": name}
    for setting in given:
        if setting not in kinds:
            close = difflib.get_close_matches(setting, kinds, n=1)
            remedy = f"did you mean {close[0]}?" if close else f"known here: {', '.join(kinds)}"
            raise ConfigError(f"{config.where(*key, setting)}: unknown key; {remedy}")
    try:
        params = TypeAdapter(SINKS[kind].params_type).validate_python(given)
        paths = {n: config.path(v) for n in kinds if isinstance(v := getattr(params, n), Path)}
        made = SINKS[kind](dataclasses.replace(params, **paths))
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        text = wrong["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{config.where(*key, *wrong['loc'])}: {text[0].lower()}{text[1:]}") from None
    except ValueError as error:
        raise ConfigError(f"{config.where(*key)}: {error}") from None
    return made


def terms(config: Config) -> dict[str, Terms]:
    """Return what each receiver wants to hear, by its name."""
    return {
        name: Terms(receiver.min_severity, receiver.per_minute, receiver.at_once)
        for _, _, name, receiver in config.alerts.receivers()
    }


def maintenance(config: Config, now: datetime) -> pd.DataFrame:
    """Return the configured maintenance windows as annotations, which begin to hold at their ``at``.

    Of those that come every week: the times that touched the last eight days.
    """
    zone = ZoneInfo(config.report.timezone)
    return frames.frame(
        "annotations",
        [
            {"at": since, "subject": window.subject, "kind": "maintenance", "by": "configuration"}
            | {"until": until, "why": window.why or None}
            for window in config.maintenance
            for since, until in window.windows(zone, now - timedelta(days=8), now)
        ],
    )


def remarks(store: Store, config: Config, now: datetime) -> pd.DataFrame:
    """Return what people have said by now, and the configured maintenance windows. Raises StoreError."""
    return pd.concat(
        [store.newest("annotations", now + INSTANT), maintenance(config, now)], ignore_index=True
    )


class Clients:
    """What pollers of one process share: one SNMP engine, one HTTP client for each set of certificates."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._snmp = SnmpClient()
        self._profiles = _profiles(config)
        self._http: dict[Path | None, httpx.AsyncClient] = {}

    def switch(self, switch: Switch) -> dict[str, SwitchPoller]:
        """Return a switch's poller for each group. Raises ConfigError where its secret cannot be had."""
        periods, snmp = self._config.periods, self._config.snmp
        target = SwitchTarget(
            name=switch.name,
            address=switch.address,
            port=switch.port,
            credentials=self._config.credentials(switch),
            site=switch.site,
            rack=switch.rack,
            forwarding=switch.forwarding,
            timeout_s=snmp.timeout_s,
            retries=snmp.retries,
            requests_per_second=snmp.requests_per_second,
        )
        seconds = {group: getattr(periods, f"{group}_s") for group in GROUPS}
        recognition = Recognition(self._profiles)
        return {g: SwitchPoller(self._snmp, target, g, recognition, seconds[g]) for g in GROUPS}

    def host(self, host: Host) -> HostPoller:
        """Return a host's poller. Raises ConfigError where its token or certificates cannot be had."""
        target = HostTarget(host.name, host.url, self._config.token(host))
        return HostPoller(self._client(host), target, self._config.periods.hosts_s)

    def _client(self, host: Host) -> httpx.AsyncClient:
        ca_file = self._config.ca_file(host)
        if ca_file not in self._http:
            try:
                trusted = ssl.create_default_context(cafile=ca_file)
            except OSError as error:
                where = self._config.where("hosts", self._config.hosts.index(host))
                raise ConfigError(
                    f"{where}: {ca_file}: {error.strerror}; give certificates in PEM as ca_file"
                ) from None
            # a proxy from the environment has no business between us and an agent
            self._http[ca_file] = httpx.AsyncClient(verify=trusted, trust_env=False)
        return self._http[ca_file]

    async def close(self) -> None:
        """Close all of them."""
        await self._snmp.close()
        for client in self._http.values():
            await client.aclose()


def _profiles(config: Config) -> Profiles:
    """Return the shipped profiles and the user's own, which win. Raises ConfigError."""
    folder = config.snmp.profiles
    try:
        return load_profiles(config.path(folder) if folder else None)
    except ProfileError as error:
        raise ConfigError(f"{config.where('snmp', 'profiles')}: {error}") from None


def _pollers(config: Config, clients: Clients) -> dict[str, list[Poller]]:
    """Return a poller for each target, by group."""
    switches = [clients.switch(switch) for switch in config.switches]
    pollers: dict[str, list[Poller]] = {group: [switch[group] for switch in switches] for group in GROUPS}
    return {**pollers, HOSTS: [clients.host(host) for host in config.hosts]}


def report_path(config: Config, day: date) -> Path:
    """Return where the report of a day is, or will be."""
    return shelf.path(config.path(config.report.directory), day)


def report(store: Store, config: Config, day: date, now: datetime) -> Content:
    """Return the report of a day, as numbers.

    Raises StoreError where the day cannot be read, ReportError where it has not begun.
    """
    zone = config.report.timezone
    when = begun(day, zone, now)
    said = {"annotations": remarks(store, config, min(when.until, now + INSTANT))}
    configured = cables(config)
    gathered = gather(store, when, said | ({"cables": configured} if len(configured) else {}))
    return content(gathered.tables, day, zone, now, digest(config), gathered.looks)


def write_report(store: Store, config: Config, day: date, now: datetime) -> Path:
    """Write the report of a day, replacing an older one, and the index; return the report's path.

    Raises as ``report`` does, and CorrelatorError where the page cannot be written.
    """
    folder, keep = config.path(config.report.directory), timedelta(days=config.report.keep_days)
    return shelf.put(folder, day, render(report(store, config, day, now)), keep)


def digest(config: Config) -> str:
    """Return twelve hexadecimal digits that tell one configuration from another; it holds no secrets."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:12]
