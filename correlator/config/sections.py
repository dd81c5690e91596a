"""What can be configured: sections with safe defaults, closed to unknown keys."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """What every part of the configuration is: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("there is no such time zone") from None
    return name


def _of_the_clock(at: time) -> time:
    if at.tzinfo is not None:  # also what pydantic makes of a number
        raise ValueError("give hours and minutes in quotes, and no zone")
    return at


Name = Annotated[str, Field(pattern=r"^[\w.:@/ -]{1,128}$")]
Address = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:%-]{1,253}$", examples=["192.0.2.1"])]
Port = Annotated[int, Field(ge=1, le=65535)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Seconds = Annotated[float, Field(ge=1, le=86_400)]
Days = Annotated[int, Field(ge=1, le=36_500)]
Zone = Annotated[str, AfterValidator(_known_zone)]
ClockTime = Annotated[time, AfterValidator(_of_the_clock)]
Moment = AwareDatetime  # without an offset a time could mean anything


class Access(Section):
    """How an SNMP agent lets us in: by community, or as a user of version 3."""

    community_env: Variable | None = Field(None, description="environment variable with the community")
    community_file: Path | None = Field(None, description="file with the community")
    version: Literal["1", "2c"] | None = Field(
        None, description="1 for devices that have nothing else; 2c unless given"
    )
    user: str | None = Field(
        None, min_length=1, max_length=32, description="SNMPv3 user, asked instead of a community"
    )
    auth: Literal["md5", "sha1", "sha224", "sha256", "sha384", "sha512"] | None = Field(
        None, description="how the user's requests are signed: md5, sha1, sha224, sha256, sha384, sha512"
    )
    auth_password_env: Variable | None = Field(None, description="environment variable with its password")
    auth_password_file: Path | None = Field(None, description="file with its password")
    priv: Literal["des", "aes128", "aes192", "aes256", "aes192c", "aes256c"] | None = Field(
        None, description="how they are encrypted: des, aes128, aes192, aes256; aes192c, aes256c for Cisco"
    )
    priv_password_env: Variable | None = Field(None, description="environment variable with its password")
    priv_password_file: Path | None = Field(None, description="file with its password")


class Snmp(Access):
    """How switches are asked, where a switch does not say otherwise."""

    profiles: Path | None = Field(None, description="folder with profiles of your own (YAML), which win")
    timeout_s: float = Field(2.0, gt=0, le=60, description="seconds to wait for an answer")
    retries: int = Field(2, ge=0, le=10, description="how often a request is sent again")
    requests_per_second: int = Field(50, ge=1, le=10_000, description="requests to one switch at most")


class Switch(Access):
    """A switch to poll. Without credentials of its own or of ``snmp`` it is asked as ``public``."""

    name: Name = Field(description="name of the switch, as verdicts and alerts call it")
    address: Address = Field(description="address or host name to poll, such as 192.0.2.1")
    port: Port = Field(161, description="UDP port of its SNMP agent")
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


class Route(Section):
    """The way that all traffic from one host to another is known to take; the way back is another."""

    source: Name = Field(description="host that sends, by its agent's id")
    destination: Name = Field(description="host that receives, by its agent's id")
    hops: tuple[Annotated[str, Field(pattern=r"^[\w.:@/-]{1,128} .{1,128}$")], ...] = Field(
        min_length=1,
        max_length=64,
        description='where it arrives, in order, "device interface" each; hops may be missing',
    )


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


class Receiver(Section):
    """One receiver of alerts. Keys beyond these are the sink's own; the wiring checks them."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Name | None = Field(None, description="name of the receiver; each its own")
    min_severity: Literal["crit", "err", "warning", "notice"] = Field(
        "notice", description="incidents that never were as severe make no line here"
    )
    per_minute: int = Field(6000, ge=1, le=1_000_000, description="lines a minute at most; the rest waits")
    at_once: int = Field(1000, ge=1, le=10_000, description="alerts handed over at a time")


class Alerts(Section):
    """Where alerts go, receivers by the kind of sink; nowhere unless configured."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, tuple[Receiver, ...]]

    syslog: tuple[Receiver, ...] = Field((), description="syslog receivers")

    def receivers(self) -> Iterator[tuple[str, int, str, Receiver]]:
        """Yield every receiver as kind, position among its kind, name and settings."""
        for kind, some in {"syslog": self.syslog, **self.__pydantic_extra__}.items():
            for index, one in enumerate(some):
                yield kind, index, one.name or kind, one


Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)


class Maintenance(Section):
    """A window of time in which a thing makes no alerts: once, or again and again on days of the week."""

    subject: str = Field(min_length=1, description="link, interface, device, host, service, site or rack")
    since: Moment | None = Field(None, description='when it begins, such as "2026-12-01T22:00+01:00"')
    until: Moment | None = Field(None, description='when it ends, such as "2026-12-02T04:00+01:00"')
    days: tuple[Weekday, ...] = Field((), description="instead of these: days on which it begins each week")
    at: ClockTime | None = Field(
        None, description='with days: when it begins, in the site\'s zone, such as "02:00"'
    )
    hours: float | None = Field(None, gt=0, le=168, description="with days: how long it lasts, hours")
    why: str = Field("", description="the reason, for the report")

    @model_validator(mode="after")
    def _is_once_or_weekly(self) -> Maintenance:
        once, weekly = (self.since, self.until), (self.days or None, self.at, self.hours)
        if not (None not in once and not any(weekly)) and not (None not in weekly and once == (None, None)):
            raise ValueError("give since and until, or days, at and hours")
        if self.since and self.until and self.until <= self.since:
            raise ValueError("until is not after since")
        return self

    def windows(
        self, zone: ZoneInfo, since: datetime, until: datetime
    ) -> Iterator[tuple[datetime, datetime]]:
        """Yield beginning and end of each time that it holds, of those that touch ``since`` to ``until``.

        A weekly one begins at the same hour of the clock in summer and in winter, and lasts as long: one
        over the night in which clocks are changed ends an hour earlier or later by the clock. An hour
        that comes twice begins it once, the first time; one that is left out begins it an hour later.
        """
        if self.since is not None and self.until is not None:
            yield self.since, self.until
        if self.at is None or self.hours is None:
            return
        length = timedelta(hours=self.hours)
        first, last = (moment.astimezone(zone).date() for moment in (since - length, until))
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            begins = datetime.combine(day, self.at, zone).astimezone(UTC)
            if WEEKDAYS[day.weekday()] in self.days and begins <= until and begins + length > since:
                yield begins, begins + length


class Report(Section):
    """The daily report."""

    directory: Path = Field(Path("/var/lib/correlator/reports"), description="folder of the reports")
    at: ClockTime = Field(time(6), description='local time at which yesterday is written, such as "06:00"')
    timezone: Zone = Field("UTC", description="IANA time zone of the site, such as Europe/Berlin")
    keep_days: int = Field(400, ge=1, le=36_500, description="days for which reports are kept")


class Metrics(Section):
    """Where the service tells what it did, for Prometheus; nowhere unless configured."""

    address: Address = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(9464, description="port to listen on")
