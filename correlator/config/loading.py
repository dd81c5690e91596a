"""From a file to a configuration, or to all that is wrong with it, each with its place and a remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from correlator.config.complaints import explained
from correlator.config.document import ConfigError, Key, read
from correlator.config.whole import Config

USUAL_PLACES = (Path("correlator.yaml"), Path("/etc/correlator/correlator.yaml"))


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
    document, source = read(path)
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        raise explained(error, source) from None
    config._source = source
    problems = [*_named_twice(config), *_two_secrets(config)]
    if problems:
        raise ConfigError("\n".join(problems))
    if config.engine:
        config.engine_params()
    return config


def _named_twice(config: Config) -> Iterator[str]:
    """Yield an error for each target or receiver whose name another one has."""
    named: tuple[tuple[Key, Iterable[Any]], ...] = (
        (("switches",), config.switches),
        (("hosts",), config.hosts),
    )
    for key, entries in named:
        seen: dict[str, int] = {}
        for index, entry in enumerate(entries):
            if seen.setdefault(entry.name, index) != index:
                first = config.where(*key, seen[entry.name])
                here = config.where(*key, index, "name")
                yield f"{here}: {entry.name!r} is named before, at {first}; rename one"
    receivers: dict[str, str] = {}
    for kind, index, name, _ in config.alerts.receivers():
        here = config.where("alerts", kind, index, "name")
        if receivers.setdefault(name, here) != here:
            yield f"{here}: {name!r} is named before, at {receivers[name]}; give each receiver its own name"


def _two_secrets(config: Config) -> Iterator[str]:
    """Yield an error wherever both ways to a secret are given."""
    snmp = ("community", "auth_password", "priv_password")
    places: list[tuple[Key, Any, tuple[str, ...]]] = [
        (("snmp",), config.snmp, snmp),
        (("agents",), config.agents, ("token",)),
    ]
    places += [(("switches", i), switch, snmp) for i, switch in enumerate(config.switches)]
    places += [(("hosts", i), host, ("token",)) for i, host in enumerate(config.hosts)]
    for key, place, secrets in places:
        for what in secrets:
            if getattr(place, f"{what}_env") is not None and getattr(place, f"{what}_file") is not None:
                yield f"{config.where(*key, f'{what}_env')}: {what}_file is given as well; keep one of them"
