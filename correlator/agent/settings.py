"""The agent's settings: a flat YAML file, environment variables over it, ``key=value`` over both.

Plain dataclasses, since pydantic would cost 10 MB of memory on every host.
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from correlator.ports import CorrelatorError

PREFIX = "CORRELATOR_AGENT_"
MAX_BYTES = 1 << 16
MAX_SECRET_BYTES = 4096
KINDS: Mapping[str, tuple[type, str]] = {
    "str": (str, "a text"),
    "str | None": (str, "a text"),
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "Path": (Path, "a path"),
    "Path | None": (Path, "a path"),
}


class SettingsError(CorrelatorError):
    """A setting cannot be used; one sentence that names place, key and remedy."""

    exit_code = 2


def _about(text: str, least: float | None = None, most: float | None = None) -> dict[str, Any]:
    return {"about": text, "least": least, "most": most}


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. Every value has a default."""

    id: str | None = field(
        default=None, metadata=_about("the host's id; without it Docker's Engine ID, else the machine-id")
    )
    address: str = field(default="0.0.0.0", metadata=_about("address to listen on"))  # noqa: S104  only with a certificate
    port: int = field(default=9443, metadata=_about("TCP port to listen on", 0, 65535))
    certificate_file: Path | None = field(
        default=None, metadata=_about("certificate (chain) of this host, PEM")
    )
    key_file: Path | None = field(default=None, metadata=_about("its private key, PEM"))
    client_ca_file: Path | None = field(
        default=None, metadata=_about("who signs readers' certificates, PEM; readers then need one")
    )
    token_env: str | None = field(
        default=None, metadata=_about("environment variable that holds the readers' token")
    )
    token_file: Path | None = field(default=None, metadata=_about("file that holds the readers' token"))
    spool_directory: Path = field(
        default=Path("/var/lib/correlator-agent"), metadata=_about("folder of the spool")
    )
    spool_max_mb: int = field(default=256, metadata=_about("most that the spool may take, MB", 1, 1_000_000))
    spool_keep_hours: float = field(default=24.0, metadata=_about("how long rows are kept", 0.01, 24 * 365))
    docker_url: str = field(default="unix:///run/docker.sock", metadata=_about("where Docker's API is"))
    netns_directory: Path = field(
        default=Path("/run/docker/netns"), metadata=_about("Docker's folder of network namespaces")
    )
    lldpd_socket: Path | None = field(
        default=None, metadata=_about("lldpd's control socket where it is not the usual one")
    )
    interval_s: float = field(default=10.0, metadata=_about("length of an interval, seconds", 0.5, 300))

    def token(self) -> str | None:
        """Return the readers' token; None where none is set. Raises SettingsError."""
        if self.token_env is not None:
            text = os.environ.get(self.token_env, "")
            place = f"token_env: environment variable {self.token_env}"
        elif self.token_file is not None:
            text, place = _secret(self.token_file), f"token_file: {self.token_file}"
        else:
            return None
        if len(text.strip()) < 16:
            raise SettingsError(f"{place} holds no token of at least 16 characters; put one there")
        return text.strip()


def load(
    path: Path | None, overrides: Iterable[str] = (), environment: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings of a file, the environment and ``key=value`` texts. Raises SettingsError."""
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    if path is not None:
        _read(path, values, places)
    environment = os.environ if environment is None else environment
    for name, text in environment.items():
        if name.startswith(PREFIX) and (key := name.removeprefix(PREFIX).lower()) in _fields():
            values[key], places[key] = text, f"environment variable {name}"
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise SettingsError(f"--set {override}: write it as key=value")
        values[key], places[key] = text, f"--set {key}"
    checked = {key: _checked(key, value, places[key]) for key, value in values.items()}
    return _consistent(Settings(**checked), places)


def _fields() -> dict[str, dataclasses.Field[Any]]:
    return {one.name: one for one in dataclasses.fields(Settings)}


def _read(path: Path, values: dict[str, Any], places: dict[str, str]) -> None:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; name a file that can be read") from None
    if len(raw) > MAX_BYTES:
        raise SettingsError(f"{path}: larger than {MAX_BYTES} bytes; this is no agent's configuration")
    try:
        node = yaml.compose(raw, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError(f"{path}:{line}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise SettingsError(f"{path}: not YAML: it holds bytes that are not UTF-8 text") from None
    if node is None:
        return
    if not isinstance(node, yaml.MappingNode):
        raise SettingsError(f"{path}:1: must be a mapping of key: value")
    for name, value in node.value:
        place = f"{path}:{name.start_mark.line + 1}: {name.value}"
        if not isinstance(value, yaml.ScalarNode):
            raise SettingsError(f"{place}: must be one value")
        if name.value in values:
            raise SettingsError(f"{place}: given twice; keep one")
        values[str(name.value)] = None if value.tag.endswith(":null") else value.value
        places[str(name.value)] = place


def _checked(key: str, value: Any, place: str) -> Any:
    """Return a value as its field's type. Raises SettingsError."""
    known = _fields().get(key)
    if known is None:
        close = difflib.get_close_matches(key, _fields(), n=1)
        remedy = f"did you mean {close[0]}?" if close else f"known: {', '.join(_fields())}"
        raise SettingsError(f"{place}: unknown key; {remedy}")
    if value is None or value == "":
        return known.default
    kind, name = KINDS[str(known.type)]
    try:
        read = kind(value)
    except ValueError:
        raise SettingsError(f"{place}: must be {name}: {known.metadata['about']}") from None
    least, most = known.metadata["least"], known.metadata["most"]
    if least is not None and not least <= read <= most:
        raise SettingsError(f"{place}: must be between {least} and {most}: {known.metadata['about']}")
    return read


def _consistent(settings: Settings, places: Mapping[str, str]) -> Settings:
    """Return settings that hang together. Raises SettingsError."""
    if settings.token_env is not None and settings.token_file is not None:
        raise SettingsError(f"{places['token_env']}: token_file is given as well; keep one of them")
    if (settings.certificate_file is None) != (settings.key_file is None):
        raise SettingsError("certificate_file and key_file go together; give both")
    if settings.client_ca_file is not None and settings.certificate_file is None:
        raise SettingsError(f"{places['client_ca_file']}: needs certificate_file and key_file as well")
    if settings.token_env is None and settings.token_file is None and settings.client_ca_file is None:
        raise SettingsError("anybody could read: give token_file or token_env, or client_ca_file")
    if settings.certificate_file is None and not _is_loopback(settings.address):
        raise SettingsError(
            f"rows and token would go over {settings.address} in the clear: "
            "give certificate_file and key_file, or listen on 127.0.0.1"
        )
    return settings


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _secret(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_SECRET_BYTES).decode("ascii", "replace")
    except OSError as error:
        raise SettingsError(f"token_file: {path}: {error.strerror}; name a file that can be read") from None
