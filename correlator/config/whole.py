"""The whole configuration, the secrets that it names, and the engine's settings that it changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, PrivateAttr, model_validator

from correlator.config.document import ConfigError, Key, Source, dotted
from correlator.config.engine import SettingError, changed
from correlator.config.sections import (
    Access,
    Agents,
    Alerts,
    Cable,
    Host,
    Maintenance,
    Metrics,
    Periods,
    Report,
    Route,
    Section,
    Snmp,
    StateSection,
    StoreSection,
    Switch,
)
from correlator.snmp.target import Community, Credentials, CredentialsError, User

if TYPE_CHECKING:
    from correlator.engine.cycle import Params as EngineParams

MAX_SECRET_BYTES = 4096


class Config(Section):
    """The whole configuration; everything has a safe default, and no target is polled unless named."""

    include: tuple[str, ...] = Field((), description="files that add switches, hosts and cables")
    switches: tuple[Switch, ...] = Field((), description="switches to poll")
    hosts: tuple[Host, ...] = Field((), description="Docker hosts to ask")
    cables: tuple[Cable, ...] = Field((), description="cables that are known")
    paths: tuple[Route, ...] = Field((), description="paths between hosts that are known")
    snmp: Snmp = Field(default_factory=Snmp, description="defaults for switches")
    agents: Agents = Field(default_factory=Agents, description="defaults for hosts")
    periods: Periods = Field(default_factory=Periods, description="how often things are done")
    store: StoreSection = Field(default_factory=StoreSection, description="where tables are kept")
    state: StateSection = Field(default_factory=StateSection, description="where small state is kept")
    alerts: Alerts = Field(default_factory=Alerts, description="where alerts go")
    maintenance: tuple[Maintenance, ...] = Field((), description="windows of time without alerts")
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
        return self._source.where(key) if self._source else dotted(key)

    def path(self, path: Path) -> Path:
        """Return a configured path; a relative one is relative to the configuration's folder."""
        return self._source.directory / path if self._source else path

    def community(self, switch: Switch) -> str:
        """Return the SNMP community of a switch. Raises ConfigError where it cannot be had."""
        key = ("switches", self.switches.index(switch))
        return self._secret("community", switch, key, self.snmp, "snmp") or "public"

    def credentials(self, switch: Switch) -> Credentials:
        """Return how a switch is asked: its own user or community, else those of ``snmp``.

        Raises ConfigError where a secret cannot be had or the user's settings do not fit together.
        """
        own: tuple[Access, Key] = switch, ("switches", self.switches.index(switch))
        general: tuple[Access, Key] = self.snmp, ("snmp",)
        community = switch.community_env or switch.community_file or switch.version
        for access, key in (own, general) if switch.user or not community else ():
            if access.user is not None:
                return self._user(access, key)
        return Community(self.community(switch), switch.version or self.snmp.version or "2c")

    def _user(self, access: Access, key: Key) -> User:
        passwords = {}
        for what in ("auth", "priv"):
            if getattr(access, what) is not None:
                secret = self._secret(f"{what}_password", access, key, access, str(key[0]))
                if secret is None:
                    raise ConfigError(
                        f"{self.where(*key, what)}: its password is missing; give {what}_password_env "
                        f"or {what}_password_file"
                    )
                passwords[f"{what}_password"] = secret
        try:
            return User(str(access.user), access.auth, priv=access.priv, **passwords)
        except CredentialsError as error:
            raise ConfigError(f"{self.where(*key, 'user')}: {error}") from None

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

        try:
            return changed(Params(), self.engine)
        except SettingError as error:
            raise ConfigError(f"{self.where('engine', error.name)}: {error}") from None

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
