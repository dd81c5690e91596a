"""``correlator ack``, ``silence``, ``cleaned`` and ``close``: what people say is kept with who, when, why."""

from __future__ import annotations

import difflib
import getpass
import os
import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from correlator.commands.options import ConfigFile, configuration, out

if TYPE_CHECKING:
    from correlator.config import Config
    from correlator.model import Incident, Link
    from correlator.ports import Store

By = Annotated[str, typer.Option(help="Who says so; the user who is logged in, if left out.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is shown wherever the remark is.")]

SPAN = re.compile(r"(\d{1,4})([mhd])")
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
LONGEST = 500
"""Characters of a reason or a name that are kept."""


def ack(
    incident: Annotated[str, typer.Argument(help="The incident's id, as `correlator incidents` shows it.")],
    reason: Reason = "",
    by: By = "",
    config: ConfigFile = None,
) -> None:
    """Say that somebody has an incident in hand; its alerts go on."""
    settings = configuration(config)
    found = _incident(settings, incident)
    _keep(settings, found.id, "ack", None, reason, by)


def silence(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="LINK|DEVICE|SITE",
            help="A link (`leaf2 Ethernet49 - spine1 Ethernet2`), one end, a device, host, site, rack or id.",
        ),
    ],
    until: Annotated[
        str, typer.Option(help="Until when: 90m, 8h, 3d, 18:00, 2026-12-01 or 2026-12-01T18:00+01:00.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is shown wherever the silence is.")],
    by: By = "",
    config: ConfigFile = None,
) -> None:
    """Make no alerts of a thing until then; what happens is kept, shown, and told if it still holds then."""
    settings = configuration(config)
    name = _known(settings, subject)
    _keep(settings, name, "silence", _moment(until, settings), reason, by)


def cleaned(
    link: Annotated[str, typer.Argument(help="The link, or one end of it, as an alert names it.")],
    reason: Reason = "",
    by: By = "",
    config: ConfigFile = None,
) -> None:
    """Say that a link was cleaned: the clear then gives the proof, or an update says "no change"."""
    settings = configuration(config)
    name = _known(settings, link, devices=False)
    _keep(settings, name, "cleaned", None, reason, by)


def close(
    incident: Annotated[str, typer.Argument(help="The incident's id, as `correlator incidents` shows it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; the clear and the report say it.")],
    by: By = "",
    config: ConfigFile = None,
) -> None:
    """End an incident that cannot be measured any more, such as one of a link that was taken away.

    One whose fault is still seen stays open.
    """
    settings = configuration(config)
    found = _incident(settings, incident)
    _keep(settings, found.id, "closed", None, reason, by)


def _keep(config: Config, subject: str, kind: str, until: datetime | None, why: str, by: str) -> None:
    """Append the remark to the store, and say what was kept."""
    from correlator import frames
    from correlator.wiring import SystemClock, open_store

    now = SystemClock().now()
    who = (by or os.environ.get("SUDO_USER") or getpass.getuser())[:LONGEST]
    row = {
        "at": now,
        "subject": subject,
        "kind": kind,
        "by": who,
        "until": until,
        "why": why[:LONGEST] or None,
    }
    # a source of its own: what two people say at once must not count as said twice
    open_store(config).append(
        "annotations", frames.frame("annotations", [row]), source=f"operator {uuid.uuid4()}", sequence=0
    )
    ends = f" until {until.isoformat(timespec='minutes')}" if until else ""
    out.print(f"{kind}: {subject}{ends}, by {who}", markup=False)


def _incident(config: Config, given: str) -> Incident:
    """Return the one open incident whose id begins like this; a usage error names those that are open."""
    from correlator.wiring import open_state

    known = [one for one in open_state(config).incidents() if one.state == "open"]
    found = [one for one in known if given and one.id.startswith(given)]
    if len(found) != 1:
        ids = ", ".join(one.id for one in known[:10]) or "none"
        raise typer.BadParameter(
            f"{given!r} is {'not one' if found else 'no'} open incident; open are: {ids}"
        )
    return found[0]


def _known(config: Config, given: str, devices: bool = True) -> str:
    """Return the name by which the engine knows what is meant; a usage error proposes what is near.

    A silence on a name that nothing has would be a trap: the alerts would go on.
    """
    from correlator.wiring import open_state, open_store

    wanted = " ".join(given.split())
    open_ones = [one for one in open_state(config).incidents() if one.state == "open"]
    names = set(_ends(config, open_store(config), open_ones))
    if devices:
        names |= set(_places(config, open_store(config), open_ones))
    parts = wanted.split(" - ")
    if wanted in names:
        return wanted
    if len(parts) == 2 and all(part in names for part in parts):
        return " - ".join(sorted(parts, key=lambda part: part.split(" ", 1)))
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)
    remedy = (
        f"did you mean {' or '.join(map(repr, near))}?" if near else "see `correlator incidents` for names"
    )
    raise typer.BadParameter(f"nothing here is called {given!r}; {remedy}")


def _ends(config: Config, store: Store, incidents: list[Incident]) -> Iterator[str]:
    """Yield every interface as "device interface": polled, cabled, or of an open incident."""
    from correlator.wiring import SystemClock

    now = SystemClock().now()
    for name, device, if_name in (("interfaces", "device", "if_name"), ("hosts", "host", "nic")):
        rows = store.newest(name, now)[[device, if_name]].dropna()
        yield from (rows[device] + " " + rows[if_name]).unique()
    for cable in config.cables:
        yield f"{cable.a_device} {cable.a_if_name}"
        yield f"{cable.b_device} {cable.b_if_name}"
    for incident in incidents:
        for link in _links(incident):
            yield from (str(link.a), str(link.b))


def _places(config: Config, store: Store, incidents: list[Incident]) -> Iterator[str]:
    """Yield every device, host, site and rack, and the open incidents' ids and subjects."""
    from correlator.wiring import SystemClock

    for switch in config.switches:
        yield from filter(None, (switch.name, switch.site, switch.rack))
    yield from (host.name for host in config.hosts)
    devices = store.newest("devices", SystemClock().now())
    for column in ("device", "site", "rack"):
        yield from devices[column].dropna().unique()
    for incident in incidents:
        subject = incident.verdict.subject
        yield from filter(None, (incident.id, subject.device, subject.host, subject.service))
        for link in _links(incident):
            yield from (link.a.device, link.b.device)


def _links(incident: Incident) -> Iterator[Link]:
    verdict = incident.verdict
    yield from filter(None, (verdict.link, *(candidate.link for candidate in verdict.candidates)))


def _moment(given: str, config: Config) -> datetime:
    """Return the time that is meant, in the site's zone where it names none; a usage error for the past."""
    from correlator.wiring import SystemClock

    zone = ZoneInfo(config.report.timezone)
    now = SystemClock().now()
    if span := SPAN.fullmatch(given):
        return now + timedelta(**{UNITS[span[2]]: int(span[1])})
    try:
        if re.fullmatch(r"\d{1,2}:\d{2}", given):
            today = datetime.combine(
                now.astimezone(zone).date(), datetime.strptime(given, "%H:%M").time(), zone
            )
            return today if today > now else today + timedelta(days=1)
        if given == "now":
            return now
        until = datetime.fromisoformat(given)
    except ValueError:
        raise typer.BadParameter(
            f"{given!r} is no time; give 90m, 8h, 3d, 18:00, 2026-12-01 or 2026-12-01T18:00+01:00, "
            "or now to end a silence"
        ) from None
    until = until if until.tzinfo else until.replace(tzinfo=zone)
    if until <= now:
        raise typer.BadParameter(f"{given!r} is past; give a time to come, or now to end a silence")
    return until
