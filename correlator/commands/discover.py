"""``correlator discover``: from one switch to all that it can be seen from, as a configuration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from correlator.commands.options import Json, out, print_json, progress
from correlator.commands.poll import (
    Auth,
    CommunityName,
    Folder,
    OptionError,
    Priv,
    UserName,
    Version,
    credentials,
)
from correlator.ports import CorrelatorError

if TYPE_CHECKING:
    from correlator.pollers.discovery import Discovery, Found, Network

NOT_IN_A_NAME = re.compile(r"[^\w.:@/ -]")
MAX_NAME = 128
IPV4_PREFIX, IPV6_PREFIX = 24, 64

Seeds = Annotated[list[str], typer.Argument(metavar="SEED…", help="Addresses of switches to begin with.")]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        help="A prefix that may be entered, such as 10.0.0.0/16; the seeds' own /24 or /64 unless given."
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write a configuration here; the file must not exist yet."),
]
PortNumber = Annotated[int, typer.Option(min=1, max=65535, help="UDP port of the SNMP agents.")]
TimeoutSeconds = Annotated[float, typer.Option(min=0.1, max=60, help="Seconds to wait for an answer.")]


def discover(
    seeds: Seeds,
    allow: Allow = None,
    output: Output = None,
    community: CommunityName = "public",
    as_json: Json = False,
    user: UserName = None,
    auth: Auth = None,
    priv: Priv = None,
    version: Version = "2c",
    port: PortNumber = 161,
    timeout: TimeoutSeconds = 2.0,
    profiles: Folder = None,
) -> None:
    """Follow LLDP and CDP from the seeds, name what is there, and write a configuration."""
    import asyncio

    from correlator.pollers.discovery import Params, crawl
    from correlator.profiles.profile import ProfileError, load

    how = credentials(community, user, auth, priv, version)
    params = Params(networks(allow or (), seeds), (how,), port, timeout_s=timeout)
    if output is not None and output.exists():
        raise OptionError(f"{output} is there already; give another file")
    try:
        known = load(profiles)
    except ProfileError as error:
        raise OptionError(str(error)) from None

    def show(discovery: Discovery, waiting: int) -> None:
        progress.print(f"{len(discovery.found)} devices found, {waiting} addresses to ask", markup=False)

    discovery = asyncio.run(crawl(seeds, params, known, show))
    if not discovery.found:
        raise CorrelatorError("; ".join(missed.why for missed in discovery.missed))
    if output is not None:
        output.write_text(configuration(discovery, port, access(user, auth, priv, version, community)))
    if as_json:
        print_json(document(discovery))
    else:
        _print(discovery)


def networks(allowed: tuple[str, ...] | list[str], seeds: list[str]) -> tuple[Network, ...]:
    """Return the prefixes that may be entered: those given, else those around the seeds.

    Raises OptionError for a prefix that is none and for a seed whose surroundings are not known.
    """
    import ipaddress

    found: list[Network] = []
    for prefix in allowed:
        try:
            found.append(ipaddress.ip_network(prefix, strict=False))
        except ValueError:
            raise OptionError(f"{prefix!r} is no prefix; write one such as 10.0.0.0/16") from None
    for seed in seeds if not allowed else ():
        try:
            address = ipaddress.ip_address(seed)
        except ValueError:
            if ":" in seed:
                raise OptionError(f"{seed} is no address; a port is given with --port, to all") from None
            raise OptionError(f"{seed} is a name; say with --allow which addresses may be entered") from None
        length = IPV4_PREFIX if address.version == 4 else IPV6_PREFIX
        found.append(ipaddress.ip_network(f"{seed}/{length}", strict=False))
    return tuple(found)


def document(discovery: Discovery) -> dict[str, Any]:
    """Return what was found and missed as plain JSON values."""
    from dataclasses import asdict

    return {
        "found": [asdict(found) for found in discovery.found],
        "missed": [asdict(missed) for missed in discovery.missed],
    }


def access(
    user: str | None, auth: str | None, priv: str | None, version: str, community: str
) -> dict[str, Any]:
    """Return the section ``snmp`` of the configuration: where the secrets are, never the secrets."""
    if user is not None:
        told: dict[str, Any] = {"user": user}
        for what, chosen in (("auth", auth), ("priv", priv)):
            if chosen:
                told |= {what: chosen, f"{what}_password_env": f"CORRELATOR_SNMP_{what.upper()}_PASSWORD"}
        return told
    told = {"version": "1"} if version == "1" else {}
    return told | ({"community_env": "CORRELATOR_COMMUNITY"} if community != "public" else {})


def configuration(discovery: Discovery, port: int, snmp: dict[str, Any]) -> str:
    """Return a configuration (YAML) that polls all that was found; data beside the file."""
    import yaml

    taken: set[str] = set()
    content: dict[str, Any] = {
        "snmp": snmp,
        "switches": [_switch(found, port, taken) for found in discovery.found],
        "store": {"path": "data/tables"},
        "state": {"path": "data/state.sqlite"},
        "report": {"directory": "data/reports"},
    }
    missed = [
        f"# not entered: {_comment(m.name)} ({m.address or 'no address'}): {_comment(m.why)}"
        for m in discovery.missed
    ]
    body = yaml.safe_dump({key: value for key, value in content.items() if value}, sort_keys=False)
    return "\n".join(["# Written by correlator discover.", *missed, body])


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _switch(found: Found, port: int, taken: set[str]) -> dict[str, Any]:
    """Return a switch under a name that the configuration allows and no other switch has."""
    plain = NOT_IN_A_NAME.sub("-", found.name)[:MAX_NAME] or found.address
    name = plain if plain not in taken else f"{plain[: MAX_NAME - 48]} {found.address}"
    taken.add(name)
    told: dict[str, Any] = {"name": name, "address": found.address}
    return told | ({"port": port} if port != 161 else {})


def _print(discovery: Discovery) -> None:
    table = Table(show_edge=False, pad_edge=False)
    for heading in ("device", "address", "profile", "neighbors", "description"):
        table.add_column(heading, overflow="fold")
    for found in discovery.found:
        descr = (found.sys_descr or "-")[:60]
        table.add_row(*map(Text, (found.name, found.address, found.profile, str(found.neighbors), descr)))
    out.print(table)
    for missed in discovery.missed:
        out.print(Text(f"not entered: {missed.name} (heard by {missed.heard_by}): {missed.why}"))
