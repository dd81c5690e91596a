"""Profiles: which objects a kind of device answers, and what its numbers mean.

A profile is a YAML file; ``extends`` takes another one's lines, and what stands in both is taken from
the extending file (``null`` removes). MIB objects are named as their MIB names them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
)

FALLBACK = "standard"
MAX_BYTES = 256 * 1024  # of one profile; the longest that ships has 5 KB

Quantity = Literal["rx_power", "tx_power", "bias", "temperature", "voltage", "pre_fec_ber"]
Level = Literal["low_alarm", "low_warn", "high_warn", "high_alarm"]


class ProfileError(ValueError):
    """A profile cannot be used; the message names file, key and what is wrong."""


def _oid(value: object) -> object:
    model = re.fullmatch(r"model\((\d{1,2})\)((?:\.\d+)+)", value) if isinstance(value, str) else None
    if model:
        return (-int(model.group(1)), *map(int, model.group(2)[1:].split(".")))
    if isinstance(value, str) and re.fullmatch(r"\.?\d+(\.\d+)+", value):
        return tuple(int(part) for part in value.removeprefix(".").split("."))
    if isinstance(value, tuple):
        return value
    raise ValueError("is no OID such as 1.3.6.1.2.1.1.1")


def _pattern(value: object) -> object:
    try:
        return re.compile(value) if isinstance(value, str) else value
    except re.error as error:
        raise ValueError(f"is no regular expression ({error})") from None


def _unit(value: object) -> object:
    if isinstance(value, str) and UNIT.match(value):
        return value
    raise ValueError(f"is no unit such as 0.01 dBm, uW or mA: {value!r}")


def _kind(value: Any) -> str:
    return str(value.get("kind", "sensors") if isinstance(value, dict) else value.kind)


UNIT = re.compile(r"^(?:(1|10+|0\.0*1) )?(dBm|[mun]?W|[mu]?A|[mu]?V|C|ratio|float32)$")
Unit = Annotated[str, BeforeValidator(_unit)]
Oid = Annotated[tuple[int, ...], BeforeValidator(_oid)]
"""An OID. ``model(9).1.2`` begins with the first nine numbers of the device's sysObjectID, and is held as
(-9, 1, 2)."""
Pattern = Annotated[re.Pattern[str], BeforeValidator(_pattern)]
ObjectName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$")]


class _Part(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Match(_Part):
    """Which devices a profile is for: all that is given must hold; without anything, none."""

    sys_object_ids: tuple[Oid, ...] = Field((), description="prefixes of sysObjectID, any of them")
    sys_descr: Pattern | None = Field(None, description="expression found in sysDescr")


class Table(_Part):
    """A table (columns) or a group of scalars, by object name."""

    columns: dict[ObjectName, Oid] = Field({}, description="column objects without index")
    scalars: dict[ObjectName, Oid] = Field({}, description="scalar objects, with their .0")
    index: tuple[str, ...] = Field((), description="parts of the index, where dialects differ in them")
    max_rows: int = Field(20_000, ge=1, le=1_000_000, description="more rows than these are not read")
    timeout_s: float = Field(60, gt=0, le=3600, description="seconds after which reading it ends")
    period_s: int = Field(
        0, ge=0, le=86_400, description="seconds between readings, for stations and ARP; 0: each poll"
    )


class Further(_Part):
    """Counters of interfaces in a table whose index is not the ifIndex alone.

    The part ``port`` of the index is the ifIndex, or ``data_source`` is a column that points to it
    (RFC 2819). With ``unless`` it is read only where no interface has that object.
    """

    index: tuple[int | Literal["port", "any"], ...]
    columns: dict[ObjectName, Oid]
    data_source: Oid | None = None
    unless: ObjectName | None = None


class Counter(_Part):
    """One way to have a counter: objects that are added up, all of one width."""

    sum: tuple[ObjectName, ...] = Field(min_length=1, description="objects of table counters")
    bits: Literal[32, 64] = Field(description="width at which the objects wrap")


class Thresholds(_Part):
    """The levels that a module publishes: columns with the sensor's own index and unit."""

    columns: dict[Level, Oid]
    none: tuple[int, ...] = Field((), description="raw values that say: no such level")


class ThresholdRows(_Part):
    """The same as rows behind the sensor's index: how grave, which side, which value."""

    severity: Oid
    relation: Oid
    value: Oid
    warn: int = Field(description="severity of a warning")
    alarm: int = Field(description="severity of an alarm; graver rows are not kept by all systems")
    below: tuple[int, ...] = Field(description="relations that set a low level")
    above: tuple[int, ...] = Field(description="relations that set a high level")
    none: tuple[int, ...] = Field((), description="raw values that say: no such level")


class Sensors(_Part):
    """Light and the like as sensors of physical entities (RFC 3433 and its cousins).

    A value is ``raw · 10^scale / 10^precision`` in the unit that ``type`` names; which quantity it is,
    its unit and the words in the entity's name and description tell.
    """

    kind: Literal["sensors"] = "sensors"
    columns: dict[Literal["type", "scale", "precision", "value", "status"], Oid]
    words: dict[Quantity, Pattern] = Field(description="expression in name or description, by quantity")
    lane: Pattern | None = Field(None, description="expression whose group 1 is the lane's number")
    port: Pattern | None = Field(None, description="expression whose group 1 is the port's name")
    number: Pattern | None = Field(
        None, description="expression over the entity's number; groups port (ifIndex), kind, lane"
    )
    kinds: dict[int, Quantity] = Field({}, description="what the number's group kind stands for")
    first_lane: Literal[0, 1] = Field(1, description="what the device calls the first lane")
    exponent: int = Field(0, ge=-9, le=9, description="correction of a scale that is declared wrongly")
    no_reading: tuple[int, ...] = Field((), description="raw values that say: no reading")
    no_light_dbm: float = Field(-40.0, description="a received power at or below this is darkness, dBm")
    thresholds: Thresholds | ThresholdRows | None = None
    verified: bool = Field(True, description="seen on a device; if not, its levels are not used")

    @field_validator("columns")
    @classmethod
    def _can_be_read(cls, columns: dict[str, Oid]) -> dict[str, Oid]:
        missing = {"type", "scale", "precision", "value"} - set(columns)
        if missing:
            raise ValueError(f"lacks {', '.join(sorted(missing))}")
        return columns


IndexPart = int | Literal["port", "lane", "slot", "any"]
IndexPattern = tuple[IndexPart, ...]


class Port(_Part):
    """How an index part ``port`` leads to an interface.

    ``if_index``: it is the ifIndex, ``add`` added. ``entity``: it is an entPhysicalIndex, looked for as
    for sensors. ``name``: ``column`` holds the name (group 1 of ``pattern`` in it). ``prefix``: the
    name is a prefix, chosen by the value in ``column``, the number with ``adds`` added and ``suffix``, on
    devices where some interface's name begins with ``where``. ``slot``: the name is slot/port, both from
    the index. A name that is no interface's is told as it is, without ifIndex.
    """

    by: Literal["if_index", "entity", "name", "prefix", "slot"] = "if_index"
    add: int = 0
    column: Oid | None = None
    pattern: Pattern | None = None
    prefixes: dict[int, str] = {}
    adds: dict[int, int] = {}
    suffix: str = ""
    where: str = Field("", description="beginning of a name that the numbering presupposes")


class Reading(_Part):
    """One column (or a part of it) that holds one quantity."""

    oid: Oid
    quantity: Quantity
    unit: Unit
    positive_unit: Unit | None = Field(
        None, description="unit of positive values, where it differs; zero is no reading then"
    )
    index: IndexPattern | None = Field(None, description="index, where it is not the source's")
    lane: int | None = Field(None, ge=1, le=64, description="the lane that the whole column is about")
    listed: Literal["lanes", "beside"] | None = Field(
        None,
        description="text with a value for each lane, comma between them; beside: only where several",
    )
    list_unit: Unit | None = Field(
        None, description="unit of a list that makes sense in it: one value within 40, all within 60"
    )
    exponent_oid: Oid | None = Field(None, description="column of e, where the value is raw · 10^-e")
    no_reading: tuple[int, ...] = Field((), description="raw values that say so in this column only")


class Limits(_Part):
    """The levels of one quantity as columns; what the unit is need not be the reading's."""

    columns: dict[Level, Oid]
    unit: Unit
    index: IndexPattern | None = Field(None, description="index, where it is not the source's")
    none: tuple[int, ...] = Field((), description="raw values that say: no such level")


class Cells(_Part):
    """Light and the like as columns of a table, each of one quantity and one unit.

    Numbers may be integers or text; from text the first number is taken. An integer zero in a
    logarithmic column is a defect or a level, by ``no_reading``.
    """

    kind: Literal["columns"]
    index: IndexPattern = Field(("port",), description="parts of the index, in order")
    port: Port = Port()
    readings: tuple[Reading, ...] = Field(min_length=1)
    first_lane: Literal[0, 1] = Field(1, description="what the device calls the first lane")
    no_reading: tuple[int, ...] = Field((), description="raw values that say: no reading")
    no_reading_text: Pattern | None = Field(None, description="expression in a text that says so")
    no_light_dbm: float = Field(-40.0, description="a received power at or below this is darkness, dBm")
    limits: dict[Quantity, Limits] = {}
    module_type: Oid | None = Field(None, description="column of the module's type, index: port part only")
    module_serial: Oid | None = Field(None, description="column of its serial number, likewise")
    module_index: IndexPattern | None = Field(None, description="index of these, where it is not port")
    verified: bool = Field(True, description="seen on a device; if not, its levels are not used")


Source = Annotated[
    Annotated[Sensors, Tag("sensors")] | Annotated[Cells, Tag("columns")],
    Discriminator(lambda value: _kind(value)),
]


class Profile(_Part):
    """One dialect."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    match: Match = Match()
    tables: dict[str, Table] = Field(description="what is read, by the house's name for it")
    counters: dict[str, tuple[Counter, ...]] = Field(
        description="for each column of table counters the ways to have it, best first"
    )
    further_counters: dict[str, Further] = Field({}, description="more objects for counters, by name")
    optics: dict[str, Source] = Field({}, description="sources of light readings, by name")


Profiles = Mapping[str, Profile]


def load(folder: Path | None = None) -> Profiles:
    """Return the profiles that come with the house, by name, and those of a folder, which win.

    A profile of the folder may extend a shipped one, or replace it by bearing its name. Between
    equals in ``choose`` those of the folder win. Raises ProfileError.
    """
    if folder is None:
        return _shipped()
    try:
        own = {
            str(file): _yaml(str(file), _text(file))
            for file in sorted(folder.iterdir())
            if _is_yaml(file.name)
        }
    except OSError as error:
        raise ProfileError(f"{error.filename}: {error.strerror}; give a folder that can be read") from None
    return parse(_documents() | own)


def choose(profiles: Profiles, sys_object_id: str, sys_descr: str) -> Profile:
    """Return the profile for a device: that with the longest matching sysObjectID, else ``standard``.

    Between equally long ones the one that asks for something in sysDescr wins.
    """
    best, best_rank = profiles[FALLBACK], (-1, 0)
    for profile in profiles.values():
        rank = _rank(profile.match, sys_object_id, sys_descr)
        if rank is not None and rank >= best_rank:
            best, best_rank = profile, rank
    return best


def parse(documents: Mapping[str, Any]) -> dict[str, Profile]:
    """Return profiles from YAML documents by file name, ``extends`` resolved. Raises ProfileError."""
    by_name: dict[str, tuple[str, dict[str, Any]]] = {}  # what stands later wins
    for file, document in documents.items():
        if not isinstance(document, dict) or not isinstance(document.get("name"), str):
            raise ProfileError(f"{file}: a profile is a mapping with a name")
        by_name.pop(document["name"], None)
        by_name[document["name"]] = file, document
    return {name: _profile(name, by_name) for name in by_name}


@functools.cache
def _shipped() -> dict[str, Profile]:
    return parse(_documents())


def _documents() -> dict[str, Any]:
    files = sorted(resources.files(__package__).iterdir(), key=lambda file: file.name)
    return {file.name: _yaml(file.name, file.read_text()) for file in files if _is_yaml(file.name)}


def _text(file: Path) -> str:
    with file.open("rb") as opened:
        octets = opened.read(MAX_BYTES + 1)
    if len(octets) > MAX_BYTES:
        raise ProfileError(f"{file}: larger than any profile; {MAX_BYTES} bytes at most")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise ProfileError(f"{file}: is not UTF-8 text") from None


def _is_yaml(name: str) -> bool:
    return name.endswith(".yaml")


def _yaml(file: str, text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader that keeps text text
    except yaml.YAMLError as error:
        raise ProfileError(f"{file}: {error}") from None


class _Loader(yaml.SafeLoader):
    """YAML's safe subset, without floats and booleans guessed from bare words such as 1.3 and no."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:null")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _profile(name: str, by_name: Mapping[str, tuple[str, dict[str, Any]]]) -> Profile:
    file = by_name[name][0]
    try:
        return Profile.model_validate(_extended(name, by_name, ()))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ProfileError(f"{file}: {place}: {first['msg']}") from None


def _extended(
    name: str, by_name: Mapping[str, tuple[str, dict[str, Any]]], below: tuple[str, ...]
) -> dict[str, Any]:
    file, document = by_name[name]
    parent = document.get("extends")
    own = {key: value for key, value in document.items() if key != "extends"}
    if parent is None:
        return own
    if parent not in by_name or parent in (*below, name):
        raise ProfileError(f"{file}: extends {parent!r}, which is not there or extends this one")
    inherited = _extended(parent, by_name, (*below, name))
    return _merged({key: value for key, value in inherited.items() if key != "match"}, own)


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, the upper one winning, mappings merged key by key; null takes a key away."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return {key: value for key, value in merged.items() if value is not None}


def _rank(match: Match, sys_object_id: str, sys_descr: str) -> tuple[int, int] | None:
    """Return how well a device fits, larger being better; None where it does not."""
    oid = tuple(int(part) for part in sys_object_id.split(".") if part.isdecimal())
    lengths = [len(prefix) for prefix in match.sys_object_ids if oid[: len(prefix)] == prefix]
    if match.sys_object_ids and not lengths:
        return None
    if match.sys_descr is not None and not match.sys_descr.search(sys_descr):
        return None
    if not match.sys_object_ids and match.sys_descr is None:
        return None
    return max(lengths, default=0), int(match.sys_descr is not None)
