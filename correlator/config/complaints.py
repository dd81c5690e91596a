"""What pydantic finds wrong with a document, in words: file, line, key, and what would be right."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from correlator.config.document import ConfigError, Key, Source
from correlator.config.sections import Section
from correlator.config.whole import Config

MAX_ERRORS_SHOWN = 20
NO_LITERALS = {
    "community": "a secret does not stand in the configuration: give community_env or community_file",
    "auth_password": (
        "a secret does not stand in the configuration: give auth_password_env or auth_password_file"
    ),
    "priv_password": (
        "a secret does not stand in the configuration: give priv_password_env or priv_password_file"
    ),
    "token": "a secret does not stand in the configuration: give token_env or token_file",
}


def explained(error: ValidationError, source: Source) -> ConfigError:
    """Return all that is wrong, a line each, as one error."""
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
    if kind == "model_type":
        return f"{where}: must be a mapping of keys to values"
    text = message[0].lower() + message[1:].replace("a valid tuple", "a list")
    text = text.removeprefix("value error, ")
    return f"{where}: {text}; expected: {meaning}" if meaning else f"{where}: {text}"


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
