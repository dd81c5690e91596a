"""The configuration: YAML in, checked settings out; every error names file, line, key and remedy.

A place in a file is kept for each key, so that errors found late (a secret that is not there) still
name their line. YAML is read as version 1.2 has it: ``no`` is a word and ``16:30`` is no number.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import typing
from collections.abc import Iterable, Iterator
from datetime import time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from correlator.ports import CorrelatorError

if TYPE_CHECKING:
    from correlator.engine.cycle import Params as EngineParams

USUAL_PLACES = (Path("correlator.yaml"), Path("/etc/correlator/correlator.yaml"))
LISTS = ("switches", "hosts", "cables")  # what included files may add to
MAX_BYTES = 32 * 2**20  # 10 000 switches take about 1 MB
MAX_VALUES = 500_000  # bounds what aliases in a file can multiply to; a switch takes about 8
MAX_DEPTH = 8
MAX_SECRET_BYTES = 4096
MAX_ERRORS_SHOWN = 20
NO_LITERALS = {
    "community": "a secret does not stand in the configuration: give community_env or community_file",
    "token": "a secret does not stand in the configuration: give token_env or token_file",
}

Key = tuple[str | int, ...]


class ConfigError(CorrelatorError):
    """The configuration cannot be used; one line an error: ``file:line: key: what is wrong; remedy``."""

    exit_code = 2


class Section(BaseModel):
    """What every part of the configuration is: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("there is no such time zone") from None
    return name


Name = Annotated[str, Field(pattern=r"^[\w.:@/ -]{1,128}$")]
Address = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:%-]{1,253}$", examples=["192.0.2.1"])]
Port = Annotated[int, Field(ge=1, le=65535)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Seconds = Annotated[float, Field(ge=1, le=86_400)]
Days = Annotated[int, Field(ge=1, le=36_500)]
Zone = Annotated[str, AfterValidator(_known_zone)]


class Snmp(Section):
    """How switches are asked, where a switch does not say otherwise."""

    community_env: Variable | None = Field(None, description="environment variable with the community")
    community_file: Path | None = Field(None, description="file with the community")
    timeout_s: float = Field(2.0, gt=0, le=60, description="seconds to wait for an answer")
    retries: int = Field(2, ge=0, le=10, description="how often a request is sent again")
    requests_per_second: int = Field(50, ge=1, le=10_000, description="requests to one switch at most")


class Switch(Section):
    """A switch to poll. Without a community of its own or of ``snmp`` it is asked as ``public``."""

    name: Name = Field(description="name of the switch, as verdicts and alerts call it")
    address: Address = Field(description="address or host name to poll, such as 192.0.2.1")
    port: Port = Field(161, description="UDP port of its SNMP agent")
    community_env: Variable | None = Field(None, description="environment variable with the community")
    community_file: Path | None = Field(None, description="file with the community")
    site: str | None = Field(None, description="where it stands")
    rack: str | None = Field(None, description="rack that it stands in")
    forwarding: Literal["cut_through", "store_and_forward"] | None = Field(
        None, description="cut_through or store_and_forward"
    )


class Agents(Section):
    """How host agents are asked, where a host does not say otherwise."""

    token_env: Variable | None = Field(None, description="environment variable with the token")
    token_file: Path | None = Field(None, description="file with the token")
    ca_file: Path | None = Field(None, description="certificates to trust, PEM")


class Host(Section):
    """A Docker host whose agent is asked."""

    name: Name = Field(description="name of the host; its agent's id where that is configured")
    url: str = Field(
        pattern=r"^https?://[^\s/@]+/?$",
        description="address of the agent, such as https://192.0.2.10:9443",
    )
    token_env: Variable | None = Field(None, description="environment variable with the token")
    token_file: Path | None = Field(None, description="file with the token")
    ca_file: Path | None = Field(None, description="certificates to trust, PEM")


class Cable(Section):
    """A cable that is known to be there."""

    a_device: Name = Field(description="device at one end")
    a_if_name: str = Field(description="interface at that end, by its ifName")
    b_device: Name = Field(description="device at the other end")
    b_if_name: str = Field(description="interface at that end, by its ifName")
    a_panel: str | None = Field(None, description="patch panel and position at the first end")
    b_panel: str | None = Field(None, description="patch panel and position at the second end")


class Periods(Section):
    """How often things are done, seconds."""

    counters_s: Seconds = Field(60, description="counters of every switch")
    optics_s: Seconds = Field(300, description="light and temperature of every port")
    topology_s: Seconds = Field(900, description="interfaces, neighbours, stations")
    hosts_s: Seconds = Field(30, description="agents of every host")
    cycle_s: Seconds = Field(60, description="conclusions from what is known")
    window_s: Seconds = Field(1800, description="how far back a conclusion looks at raw rows")
    at_once: int = Field(64, ge=1, le=4096, description="how many targets are asked at a time")


class StoreSection(Section):
    """Where the tables are and how long they are kept."""

    path: Path = Field(Path("/var/lib/correlator/tables"), description="folder of the tables")
    keep_raw_days: Days = Field(7, description="days that polled rows are kept")
    keep_hours_days: Days = Field(400, description="days that hourly rows and verdicts are kept")


class StateSection(Section):
    """Where incidents, cursors and undelivered alerts are kept."""

    path: Path = Field(Path("/var/lib/correlator/state.sqlite"), description="SQLite file")


class Syslog(Section):
    """One receiver of alerts (RFC 5424)."""

    name: Name = Field("syslog", description="name of the receiver; each its own")
    address: Address = Field(description="address or host name of the receiver")
    port: Port = Field(514, description="its port")
    transport: Literal["udp", "tcp"] = Field("udp", description="udp or tcp")
    framing: Literal["octet", "lf"] = Field(
        "lf", description="over tcp: lf, one line each, or octet, counted"
    )
    facility: Annotated[int, Field(ge=0, le=23)] = Field(21, description="syslog facility; 21 is local5")


class Alerts(Section):
    """Where alerts go; nowhere unless configured."""

    syslog: tuple[Syslog, ...] = Field((), description="syslog receivers")


class Report(Section):
    """The daily report."""

    directory: Path = Field(Path("/var/lib/correlator/reports"), description="folder of the reports")
    at: time = Field(time(6), description='local time at which yesterday is written, such as "06:00"')
    timezone: Zone = Field("UTC", description="IANA time zone of the site, such as Europe/Berlin")


class Metrics(Section):
    """Where the service tells what it did, for Prometheus; nowhere unless configured."""

    address: Address = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(9464, description="port to listen on")


class Config(Section):
    """The whole configuration; everything has a safe default, and no target is polled unless named."""

    include: tuple[str, ...] = Field((), description="files that add switches, hosts and cables")
    switches: tuple[Switch, ...] = Field((), description="switches to poll")
    hosts: tuple[Host, ...] = Field((), description="Docker hosts to ask")
    cables: tuple[Cable, ...] = Field((), description="cables that are known")
    snmp: Snmp = Field(default_factory=Snmp, description="defaults for switches")
    agents: Agents = Field(default_factory=Agents, description="defaults for hosts")
    periods: Periods = Field(default_factory=Periods, description="how often things are done")
    store: StoreSection = Field(default_factory=StoreSection, description="where tables are kept")
    state: StateSection = Field(default_factory=StateSection, description="where small state is kept")
    alerts: Alerts = Field(default_factory=Alerts, description="where alerts go")
    report: Report = Field(default_factory=Report, description="the daily report")
    metrics: Metrics | None = Field(None, description="where the service's own figures are served")
    engine: dict[str, Any] = Field(default_factory=dict, description="dotted engine settings")

    _source: Source | None = PrivateAttr(None)

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_empty(cls, data: Any) -> Any:
        """Return the mapping without empty sections: ``switches:`` with all its lines commented out."""
        return {k: v for k, v in data.items() if v is not None} if isinstance(data, dict) else data

    def where(self, *key: str | int) -> str:
        """Return ``file:line: key``, the line of the nearest key known; without a file the key alone."""
        return self._source.where(key) if self._source else _dotted(key)

    def path(self, path: Path) -> Path:
        """Return a configured path; a relative one is relative to the configuration's folder."""
        return self._source.directory / path if self._source else path

    def community(self, switch: Switch) -> str:
        """Return the SNMP community of a switch. Raises ConfigError where it cannot be had."""
        key = ("switches", self.switches.index(switch))
        return self._secret("community", switch, key, self.snmp, "snmp") or "public"

    def token(self, host: Host) -> str:
        """Return the token for a host's agent. Raises ConfigError where there is none."""
        key = ("hosts", self.hosts.index(host))
        token = self._secret("token", host, key, self.agents, "agents")
        if token is None:
            raise ConfigError(
                f"{self.where(*key)}: no token; give token_env or token_file, here or in agents"
            )
        return token

    def ca_file(self, host: Host) -> Path | None:
        """Return the file of trusted certificates for a host, None for the system's."""
        path = host.ca_file or self.agents.ca_file
        return self.path(path) if path else None

    def engine_params(self) -> EngineParams:
        """Return the engine's settings: its defaults, with ``engine`` put over them.

        Raises ConfigError for a key that no setting has and for a value of the wrong type.
        """
        from correlator.engine.cycle import Params

        return typing.cast("EngineParams", _overridden(self, Params()))

    def _secret(self, what: str, own: Section, key: Key, general: Section, section: str) -> str | None:
        for place, at in ((own, key), (general, (section,))):
            variable, file = getattr(place, f"{what}_env"), getattr(place, f"{what}_file")
            if variable is not None:
                return self._from_environment(variable, (*at, f"{what}_env"))
            if file is not None:
                return self._from_file(self.path(file), (*at, f"{what}_file"))
        return None

    def _from_environment(self, variable: str, key: Key) -> str:
        secret = os.environ.get(variable, "")
        if not secret:
            raise ConfigError(f"{self.where(*key)}: the environment has no {variable}; set it")
        return secret

    def _from_file(self, path: Path, key: Key) -> str:
        try:
            with path.open("rb") as file:
                secret = file.read(MAX_SECRET_BYTES + 1).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
            raise ConfigError(f"{self.where(*key)}: {path}: {reason}; put the secret there") from None
        if not secret or len(secret) > MAX_SECRET_BYTES or not secret.isprintable():
            raise ConfigError(f"{self.where(*key)}: {path} does not hold one secret on one line")
        return secret


@dataclasses.dataclass
class Source:
    """Which file and line each key of the merged document came from."""

    directory: Path
    places: dict[Key, tuple[Path, int]]

    def where(self, key: Key) -> str:
        """Return ``file:line: key``, the line being that of the nearest key around it."""
        for end in range(len(key), -1, -1):
            if key[:end] in self.places:
                path, line = self.places[key[:end]]
                return f"{path}:{line}: {_dotted(key)}".removesuffix(": ")
        return _dotted(key)


def find(path: Path | None) -> Path:
    """Return the given path, else the first of the usual places that exists. Raises ConfigError."""
    if path is not None:
        return path
    for usual in USUAL_PLACES:
        if usual.is_file():
            return usual
    raise ConfigError(
        f"there is no configuration at {' or '.join(map(str, USUAL_PLACES))}; give one with --config"
    )


def load(path: Path) -> Config:
    """Return the configuration that a YAML file and the files it includes hold. Raises ConfigError."""
    document, places = _read(path)
    source = Source(path.parent, places)
    for included in list(_included(document, source)):
        _add(document, source, *_read(included))
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        raise _explained(error, source) from None
    config._source = source
    problems = [*_named_twice(config), *_two_secrets(config)]
    if problems:
        raise ConfigError("\n".join(problems))
    if config.engine:
        config.engine_params()
    return config


def _explained(error: ValidationError, source: Source) -> ConfigError:
    lines = [
        _sentence(source, tuple(one["loc"]), one["type"], one["msg"])
        for one in error.errors(include_input=False, include_url=False)
    ]
    if len(lines) > MAX_ERRORS_SHOWN:
        lines[MAX_ERRORS_SHOWN:] = [f"and {len(lines) - MAX_ERRORS_SHOWN} more"]
    return ConfigError("\n".join(lines))


def _sentence(source: Source, key: Key, kind: str, message: str) -> str:
    """Return one error in words; the value is left out, since it may be a secret in the wrong place."""
    where = source.where(key)
    if not key:
        return f"{where}: the configuration must be a mapping of keys to values"
    if kind == "extra_forbidden":
        return f"{where}: unknown key; {_nearest(key)}"
    meaning = _meaning(key)
    if kind == "missing":
        return f"{where}: missing; it says the {meaning}" if meaning else f"{where}: missing"
    text = message[0].lower() + message[1:]
    return (
        f"{where}: {text.removeprefix('value error, ')}; expected: {meaning}"
        if meaning
        else f"{where}: {text}"
    )


def _nearest(key: Key) -> str:
    last = str(key[-1])
    known = list(_fields(key[:-1]))
    if f"{last}_env" in known and last in NO_LITERALS:
        return NO_LITERALS[last]
    close = difflib.get_close_matches(last, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"


def _meaning(key: Key) -> str:
    field = _fields(key[:-1]).get(str(key[-1]))
    return (field.description or "") if field else ""


def _fields(key: Key) -> dict[str, Any]:
    """Return the fields of the section at a key; empty where there is no section."""
    section: Any = Config
    for part in key:
        if isinstance(part, int):
            continue
        field = section.model_fields.get(part)
        section = next(_sections(field.annotation), None) if field else None
        if section is None:
            return {}
    return dict(section.model_fields)


def _sections(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _sections(inner)


def _named_twice(config: Config) -> Iterator[str]:
    """Yield an error for each target or receiver whose name another one has."""
    named: tuple[tuple[Key, Iterable[Any]], ...] = (
        (("switches",), config.switches),
        (("hosts",), config.hosts),
        (("alerts", "syslog"), config.alerts.syslog),
    )
    for key, entries in named:
        seen: dict[str, int] = {}
        for index, entry in enumerate(entries):
            if seen.setdefault(entry.name, index) != index:
                first = config.where(*key, seen[entry.name])
                here = config.where(*key, index, "name")
                yield f"{here}: {entry.name!r} is named before, at {first}; rename one"


def _two_secrets(config: Config) -> Iterator[str]:
    """Yield an error wherever both ways to a secret are given."""
    places: list[tuple[Key, Any, str]] = [
        (("snmp",), config.snmp, "community"),
        (("agents",), config.agents, "token"),
    ]
    places += [(("switches", i), switch, "community") for i, switch in enumerate(config.switches)]
    places += [(("hosts", i), host, "token") for i, host in enumerate(config.hosts)]
    for key, place, what in places:
        if getattr(place, f"{what}_env") is not None and getattr(place, f"{what}_file") is not None:
            yield f"{config.where(*key, f'{what}_env')}: {what}_file is given as well; keep one of them"


# -- the engine's settings ------------------------------------------------------------------------


def _overridden(config: Config, params: Any) -> Any:
    """Return the settings with each of ``config.engine`` put over them. Raises ConfigError."""
    for dotted, value in config.engine.items():
        try:
            params = _with(params, dotted.split("."), value)
        except LookupError:
            close = difflib.get_close_matches(dotted, list(_settings(params)), n=1, cutoff=0.5)
            remedy = f"did you mean {close[0]}?" if close else f"known: {', '.join(_settings(params))}"
            raise ConfigError(
                f"{config.where('engine', dotted)}: the engine has no such setting; {remedy}"
            ) from None
        except ValidationError as error:
            wrong = error.errors(include_input=False, include_url=False)[0]["msg"]
            raise ConfigError(f"{config.where('engine', dotted)}: {wrong[0].lower()}{wrong[1:]}") from None
    return params


def _with(params: Any, path: list[str], value: Any) -> Any:
    """Return a dataclass with one setting changed; times are given in seconds.

    Raises LookupError where the path leads to no setting, ValidationError where the value does not fit.
    """
    name, *rest = path
    kind = typing.get_type_hints(type(params)).get(name) if dataclasses.is_dataclass(params) else None
    if kind is None or bool(rest) != dataclasses.is_dataclass(kind):
        raise LookupError(name)
    if rest:
        changed = _with(getattr(params, name), rest, value)
    elif isinstance(kind, type) and issubclass(kind, timedelta):  # pandas has a kind of its own
        changed = kind(seconds=TypeAdapter(Annotated[float, Field(gt=0)]).validate_python(value))
    else:
        changed = TypeAdapter(kind).validate_python(value)
    return dataclasses.replace(params, **{name: changed})


def _settings(params: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all settings."""
    for field in dataclasses.fields(params):
        value = getattr(params, field.name)
        if dataclasses.is_dataclass(value):
            yield from _settings(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}"


# -- YAML with places -----------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core words for scalars; the rest is text."""

    yaml_implicit_resolvers = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|)$", ["~", "n", ""]),
    ("bool", r"^(?:true|false)$", list("tf")),
    ("int", r"^-?(?:0|[1-9][0-9]*)$", list("-0123456789")),
    ("float", r"^-?[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?$", list("-0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def _read(path: Path) -> tuple[Any, dict[Key, tuple[Path, int]]]:
    """Return a file's document as plain values, and the place of each of its keys."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a file that can be read") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes; split it with include")
    places: dict[Key, tuple[Path, int]] = {(): (path, 1)}
    try:
        loader = _Loader(raw)
        node = loader.get_single_node()
        document = {} if node is None else _plain(loader, node, (), path, places)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(f"{path}:{mark.line + 1 if mark else 1}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigError(f"{path}: not YAML: it holds bytes that are not UTF-8 text") from None
    return document, places


def _plain(
    loader: _Loader, node: yaml.Node, key: Key, path: Path, places: dict[Key, tuple[Path, int]]
) -> Any:
    line = node.start_mark.line + 1
    places.setdefault(key, (path, line))
    if len(key) > MAX_DEPTH or len(places) > MAX_VALUES:
        raise ConfigError(f"{path}:{line}: nested too deeply or too long; write it out plainly")
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, item, (*key, i), path, places) for i, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    values: dict[str, Any] = {}
    for name_node, value_node in node.value:
        name, line = str(name_node.value), name_node.start_mark.line + 1
        if name in values:
            raise ConfigError(f"{path}:{line}: {_dotted((*key, name))}: given twice; keep one")
        places[(*key, name)] = (path, line)
        values[name] = _plain(loader, value_node, (*key, name), path, places)
    return values


def _included(document: Any, source: Source) -> Iterator[Path]:
    """Yield the files that the document includes; a pattern may match none, a plain name must exist."""
    patterns = document.get("include") if isinstance(document, dict) else None
    for index, pattern in enumerate(patterns if isinstance(patterns, list) else ()):
        if not isinstance(pattern, str):
            continue  # the model says so, with its place
        try:
            found = sorted(source.directory.glob(pattern)) if "*" in pattern else [source.directory / pattern]
        except (ValueError, NotImplementedError):
            raise ConfigError(
                f"{source.where(('include', index))}: give a pattern relative to {source.directory}"
            ) from None
        yield from found


def _add(document: Any, source: Source, more: Any, places: dict[Key, tuple[Path, int]]) -> None:
    """Put an included file's switches, hosts and cables behind those that are there."""
    if not isinstance(more, dict):
        path, line = places[()]
        raise ConfigError(f"{path}:{line}: an included file must be a mapping with {', '.join(LISTS)}")
    for name, entries in more.items():
        path, line = places[(name,)]
        if name not in LISTS or not isinstance(entries, list | None):
            raise ConfigError(
                f"{path}:{line}: {name}: an included file may hold lists of {', '.join(LISTS)} only"
            )
        before = document.get(name) or []
        document[name] = [*before, *(entries or [])]
        source.places.setdefault((name,), (path, line))
        for key, place in places.items():
            if len(key) > 1 and key[0] == name and isinstance(key[1], int):
                source.places[(name, key[1] + len(before), *key[2:])] = place


def _dotted(key: Key) -> str:
    """Return a key as people write it: ``switches[3].address``."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


Config.model_rebuild()
