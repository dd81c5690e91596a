"""YAML files as one document in which each key remembers its file and line.

YAML is read as version 1.2 has it: ``no`` is a word and ``16:30`` is no number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from correlator.ports import CorrelatorError

LISTS = ("switches", "hosts", "cables")  # what included files may add to
MAX_BYTES = 32 * 2**20  # 10 000 switches take about 1 MB
MAX_VALUES = 500_000  # bounds what aliases in a file can multiply to; a switch takes about 8
MAX_DEPTH = 8

Key = tuple[str | int, ...]
Places = dict[Key, tuple[Path, int]]


class ConfigError(CorrelatorError):
    """The configuration cannot be used; one line an error: ``file:line: key: what is wrong; remedy``."""

    exit_code = 2


@dataclass
class Source:
    """Which file and line each key of the merged document came from."""

    directory: Path
    places: Places

    def where(self, key: Key) -> str:
        """Return ``file:line: key``, the line being that of the nearest key around it."""
        for end in range(len(key), -1, -1):
            if key[:end] in self.places:
                path, line = self.places[key[:end]]
                return f"{path}:{line}: {dotted(key)}".removesuffix(": ")
        return dotted(key)


def read(path: Path) -> tuple[Any, Source]:
    """Return the document of a file and of those that it includes. Raises ConfigError."""
    document, places = _read(path)
    source = Source(path.parent, places)
    for included in list(_included(document, source)):
        _add(document, source, *_read(included))
    return document, source


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


def _read(path: Path) -> tuple[Any, Places]:
    """Return a file's document as plain values, and the place of each of its keys."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a file that can be read") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes; split it with include")
    places: Places = {(): (path, 1)}
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


def _plain(loader: _Loader, node: yaml.Node, key: Key, path: Path, places: Places) -> Any:
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
            raise ConfigError(f"{path}:{line}: {dotted((*key, name))}: given twice; keep one")
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


def _add(document: Any, source: Source, more: Any, places: Places) -> None:
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


def dotted(key: Key) -> str:
    """Return a key as people write it: ``switches[3].address``."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
