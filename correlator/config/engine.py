"""The engine's settings by their dotted names: ``incidents.bad_to_open``."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

if TYPE_CHECKING:
    from correlator.engine.cycle import Params


class SettingError(ValueError):
    """A setting cannot be changed as asked; ``name`` says which, the message why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name = name


def changed(params: Params, settings: Mapping[str, Any]) -> Params:
    """Return the engine's settings with some changed; times are given in seconds. Raises SettingError."""
    for name, value in settings.items():
        try:
            params = _with(params, name.split("."), value)
        except LookupError:
            known = list(names(params))
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            remedy = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
            raise SettingError(name, f"the engine has no such setting; {remedy}") from None
        except ValidationError as error:
            wrong = error.errors(include_input=False, include_url=False)[0]["msg"]
            raise SettingError(name, f"{wrong[0].lower()}{wrong[1:]}") from None
    return params


def _with(params: Any, path: list[str], value: Any) -> Any:
    """Return a dataclass with one setting changed.

    Raises LookupError where the path leads to no setting, ValidationError where the value does not fit.
    """
    name, *rest = path
    kind = typing.get_type_hints(type(params)).get(name) if dataclasses.is_dataclass(params) else None
    if kind is None or bool(rest) != dataclasses.is_dataclass(kind):
        raise LookupError(name)
    if rest:
        new = _with(getattr(params, name), rest, value)
    elif isinstance(kind, type) and issubclass(kind, timedelta):  # pandas has a kind of its own
        new = kind(seconds=TypeAdapter(Annotated[float, Field(gt=0)]).validate_python(value))
    else:
        new = TypeAdapter(kind).validate_python(value)
    return dataclasses.replace(params, **{name: new})


def names(params: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all settings."""
    for field in dataclasses.fields(params):
        value = getattr(params, field.name)
        if dataclasses.is_dataclass(value):
            yield from names(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}"
