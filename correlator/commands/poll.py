"""``correlator poll``: one switch, asked once, in the house's tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from correlator.commands.options import Json, out, print_json, progress
from correlator.ports import CorrelatorError

if TYPE_CHECKING:
    import pandas as pd

    from correlator.pollers.switches import SwitchPoller
    from correlator.snmp.target import Credentials

Rows = list[dict[str, Any]]

TABLES = ("devices", "interfaces", "counters", "optics", "neighbors", "stations", "arp", "routes")
PIPED_WIDTH = 200
LEARNING = "pysnmp"  # the control plane: it learns what later readings ask for
TIMEOUT_S = 2.0  # for each of three tries
SNMP_PORT, HIGHEST_PORT = 161, 65535

Address = Annotated[str, typer.Argument(metavar="ADDRESS[:PORT]", help="The switch; port 161 unless given.")]
CommunityName = Annotated[
    str,
    typer.Option(
        "--community",
        envvar="CORRELATOR_COMMUNITY",
        show_default=False,
        help="The SNMP community, public unless given; better in the environment than in a command line.",
    ),
]
UserName = Annotated[
    str | None,
    typer.Option("--user", envvar="CORRELATOR_SNMP_USER", help="SNMPv3 user, instead of a community."),
]
Auth = Annotated[
    str | None,
    typer.Option(
        envvar="CORRELATOR_SNMP_AUTH",
        help="How the user signs: md5, sha1, sha224, sha256, sha384 or sha512. The password comes from the "
        "environment: CORRELATOR_SNMP_AUTH_PASSWORD.",
    ),
]
Priv = Annotated[
    str | None,
    typer.Option(
        envvar="CORRELATOR_SNMP_PRIV",
        help="How it is encrypted: des, aes128, aes192, aes256, aes192c or aes256c. The password comes from "
        "the environment: CORRELATOR_SNMP_PRIV_PASSWORD.",
    ),
]
Version = Annotated[str, typer.Option("--snmp-version", help="1 or 2c; 3 is chosen by --user.")]
Folder = Annotated[
    Path | None, typer.Option("--profiles", help="A folder with profiles of your own, which win.")
]
Stats = Annotated[
    bool, typer.Option("--stats", help="Also say how many requests each table took and which path served it.")
]


class OptionError(CorrelatorError):
    """Options do not fit together."""

    exit_code = 2


class AddressError(CorrelatorError):
    """The address cannot be understood."""

    exit_code = 2


def poll(
    address: Address,
    community: CommunityName = "public",
    as_json: Json = False,
    stats: Stats = False,
    user: UserName = None,
    auth: Auth = None,
    priv: Priv = None,
    version: Version = "2c",
    profiles: Folder = None,
) -> None:
    """Ask one switch for everything, once, and print it."""
    import asyncio

    host, port = split(address)
    how = credentials(community, user, auth, priv, version)
    with progress.status(f"asking {address}"):
        answer = asyncio.run(poll_once(host, port, how, stats, profiles))
    problems = answer.pop("problems")
    for problem in problems:
        progress.print(f"{address}: {problem}", markup=False)
    if as_json:
        print_json(answer)
    else:
        _print(answer)
        if stats:
            progress.print(_stats(answer["stats"]))
    if problems and not _whole(answer):
        raise typer.Exit(1)


def _whole(answer: dict[str, Any]) -> bool:
    """Whether a switch was read: its interfaces with counters; some tell light and no interface at all."""
    interfaces, counters = answer["interfaces"], answer["counters"]
    return bool(interfaces and counters) or bool(answer["optics"] and not interfaces and not counters)


def credentials(
    community: str, user: str | None, auth: str | None, priv: str | None, version: str
) -> Credentials:
    """Return the credentials that options and environment give. Raises OptionError."""
    from correlator.snmp.target import Community, CredentialsError, User

    if user is None:
        if version not in ("1", "2c"):
            raise OptionError(f"--snmp-version {version}: give 1 or 2c, or --user for version 3")
        return Community(community, "1" if version == "1" else "2c")
    secrets = {
        f"{what}_password": os.environ.get(f"CORRELATOR_SNMP_{what.upper()}_PASSWORD", "")
        for what, chosen in (("auth", auth), ("priv", priv))
        if chosen
    }
    try:
        return User(user, auth, priv=priv, **secrets)
    except CredentialsError as error:
        raise OptionError(
            f"{error}; passwords are read from CORRELATOR_SNMP_AUTH_PASSWORD and "
            "CORRELATOR_SNMP_PRIV_PASSWORD"
        ) from None


async def poll_once(
    host: str, port: int, how: Credentials | str, stats: bool = False, folder: Path | None = None
) -> dict[str, Any]:
    """Return the rows of each table that a switch gives, as plain JSON values, by table.

    Besides: ``problems``, a list of sentences, and with ``stats`` the requests by table, and how many
    the next readings of counters and optics take, which are asked for once more. The device is called
    by its sysName, else by its address. Raises CorrelatorError where it does not answer.
    """
    from datetime import UTC, datetime

    from correlator.pollers.recognition import Recognition
    from correlator.pollers.switches import GROUPS, SwitchPoller, SwitchTarget
    from correlator.profiles.profile import ProfileError, load
    from correlator.snmp.control import SnmpClient
    from correlator.snmp.target import Community

    how = Community(how) if isinstance(how, str) else how
    target = SwitchTarget(host, host, port, how, timeout_s=TIMEOUT_S)
    try:
        recognition = Recognition(load(folder))
    except ProfileError as error:
        raise OptionError(str(error)) from None
    tables: dict[str, pd.DataFrame] = {}
    requests: dict[str, int] = {}
    problems: list[str] = []
    again: dict[str, int] = {}
    paths: dict[str, str] = {}
    async with SnmpClient() as client:
        for group in GROUPS:
            poller = SwitchPoller(client, target, group, recognition)
            (batch,) = await poller.poll(datetime.now(UTC), {})
            told = _told(batch.tables["polls"])
            if told and "devices" not in {**tables, **batch.tables}:
                raise CorrelatorError(told)
            problems += [told] if told else []
            tables |= batch.tables
            for table, count in poller.requests.items():
                requests[table] = requests.get(table, 0) + count
            if stats and group != "topology":
                again[group], paths[group] = await _again(poller, group)
    answer: dict[str, Any] = {name: _rows(name, tables.get(name)) for name in TABLES}
    _rename(answer, answer["devices"][0]["sys_name"] or host)
    answer["problems"] = problems
    counted = {
        "requests": requests,
        "total": sum(requests.values()),
        "after_discovery": again,
        "paths": paths,
    }
    return answer | ({"stats": counted} if stats else {})


async def _again(poller: SwitchPoller, group: Literal["counters", "optics"]) -> tuple[int, str]:
    """Poll a group once more, as the service does; return its requests and the path that served it."""
    from datetime import UTC, datetime

    from correlator.pollers.together import Together

    now, together = datetime.now(UTC), Together(group)
    heard = await together.poll([poller], now, {poller.name: {}})
    if poller.name in heard:
        return int(heard[poller.name][0].tables["polls"]["requests"].sum()), "fast"
    await poller.poll(now, {})
    refused = ", ".join(sorted(together.refused)).replace("_", " ")
    return sum(poller.requests.values()), f"pysnmp ({refused})" if refused else "pysnmp"


def split(address: str) -> tuple[str, int]:
    """Return host and port of ADDRESS[:PORT]; an IPv6 address with a port stands in brackets.

    Raises AddressError.
    """
    if address.startswith("["):
        host, _, port = address[1:].partition("]")
        port = port.removeprefix(":")
    elif address.count(":") == 1:
        host, _, port = address.partition(":")
    else:
        host, port = address, ""
    if not host or (port and not (port.isdecimal() and 0 < int(port) <= HIGHEST_PORT)):
        raise AddressError(f"{address!r} is no address; write HOST, HOST:PORT or [IPV6]:PORT")
    return host, int(port or SNMP_PORT)


def _told(polls: pd.DataFrame) -> str:
    """Return what went wrong in a poll; empty where nothing did."""
    import pandas as pd

    error = polls["error"].iloc[0]
    return "" if pd.isna(error) else str(error)


def _rows(name: str, table: pd.DataFrame | None) -> Rows:
    """Return a table's rows as JSON values: times as ISO 8601, counters exact, null for what is absent."""
    from datetime import datetime

    from correlator import frames

    if table is None:
        return []
    rows: Rows = frames.to_arrow(name, table).to_pylist()
    return [{k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items()} for row in rows]


def _rename(answer: dict[str, Any], device: str) -> None:
    for name in TABLES:
        answer[name] = [row | {"device": device} for row in answer[name]]


def _stats(stats: dict[str, Any]) -> Table:
    table = Table(title=f"{stats['total']} requests", title_justify="left")
    table.add_column("table")
    table.add_column("requests", justify="right")
    table.add_column("path")
    for name, count in stats["requests"].items():
        table.add_row(name, str(count), LEARNING)
    for name, count in stats["after_discovery"].items():
        table.add_row(f"{name}, each time after this", str(count), stats["paths"][name])
    return table


HEADINGS = ("interface", "alias", "status", "speed", "errors in", "errors out", "discards in", "discards out")
LIGHT_HEADINGS = ("rx dBm", "tx dBm", "neighbor")
TEXTS = ("interface", "alias", "status", "neighbor")


def _print(answer: dict[str, Any]) -> None:
    """Print the device, then a line for each interface with its errors, light and neighbour."""
    device = answer["devices"][0]
    for column in ("device", "sys_descr", "sys_location", "chassis_id", "profile"):
        out.print(Text(f"{column.replace('_', ' '):14}{device[column] or '-'}"))
    table = Table(show_edge=False, pad_edge=False)
    for heading in (*HEADINGS, *LIGHT_HEADINGS):
        table.add_column(heading, justify="left" if heading in TEXTS else "right", overflow="fold")
    counters = {row["if_index"]: row for row in answer["counters"]}
    for interface in answer["interfaces"]:
        index = interface["if_index"]
        light = [row for row in answer["optics"] if row["if_index"] == index]
        behind = [row for row in answer["neighbors"] if row["if_index"] == index]
        table.add_row(*map(Text, _line(interface, counters.get(index, {}), light, behind)))
    wide = out if out.is_terminal else Console(width=PIPED_WIDTH, highlight=False)
    wide.print(table)
    out.print(f"{len(answer['stations'])} stations, {len(answer['arp'])} ARP entries")


def _line(interface: dict[str, Any], counters: dict[str, Any], light: Rows, behind: Rows) -> list[str]:
    counted = ("in_errors", "out_errors", "in_discards", "out_discards")
    return [
        interface["if_name"],
        interface["if_alias"] or "",
        interface["oper_status"] or "-" if interface["admin_status"] == "up" else "shut",
        _speed(interface["speed_bps"]),
        *(_or_dash(counters.get(name)) for name in counted),
        " ".join(_dbm(row["rx_power_dbm"], row["no_light"]) for row in light if row["lane"]),
        " ".join(_dbm(row["tx_power_dbm"], None) for row in light if row["lane"]),
        ", ".join(_neighbor(row) for row in behind),
    ]


def _speed(bps: int | None) -> str:
    return f"{bps / 1e9:g}G" if bps else "-"


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def _dbm(power: float | None, no_light: bool | None) -> str:
    if no_light:
        return "dark"
    return "-" if power is None else f"{power:.2f}"


def _neighbor(row: dict[str, Any]) -> str:
    who = row["remote_sys_name"] or row["remote_chassis_id"] or "?"
    return f"{who} {row['remote_port_id'] or ''}".strip()
