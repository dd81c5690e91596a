"""``correlator check``: whether the configuration works, target by target, and how to mend what does not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from correlator.commands.options import ConfigFile, Json, configuration, out, print_json, progress

if TYPE_CHECKING:
    from correlator.config import Config, Host, Switch
    from correlator.ports import Poller
    from correlator.wiring import Clients

NOT_SEEN = {
    "neighbors": "hears no neighbour: enable LLDP on it, or list its cables under cables",
    "optics": "tells no light: its modules have no monitoring, or its objects are in no profile",
    "pair_samples": "tells no pairs yet: its agent needs an interval, and containers that talk",
}


@dataclass(frozen=True)
class Examined:
    """What trying one thing brought: rows by table, and what is to be mended."""

    name: str
    kind: str
    ok: bool
    rows: Mapping[str, int]
    remedies: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "target": self.name,
            "kind": self.kind,
            "ok": self.ok,
            "rows": dict(self.rows),
            "remedies": list(self.remedies),
        }


def check(config: ConfigFile = None, as_json: Json = False) -> None:
    """Validate the configuration, try every target once, and say what is missing and how to fix it."""
    settings = configuration(config)
    with progress.status(f"asking {len(settings.switches)} switches and {len(settings.hosts)} hosts"):
        found = [*_folders(settings), *_receivers(settings), *asyncio.run(_targets(settings))]
    if as_json:
        print_json({"ok": all(one.ok for one in found), "checked": [one.to_json() for one in found]})
    else:
        _print(found)
    if not all(one.ok for one in found):
        raise typer.Exit(1)


def _folders(config: Config) -> Iterator[Examined]:
    """Yield whether each folder that the service writes to can be written to."""
    places = {
        "store.path": config.path(config.store.path),
        "state.path": config.path(config.state.path).parent,
        "report.directory": config.path(config.report.directory),
    }
    for key, path in places.items():
        trouble = _unwritable(path)
        yield Examined(key, "folder", not trouble, {}, (f"{path}: {trouble}",) if trouble else ())


def _receivers(config: Config) -> Iterator[Examined]:
    """Yield the receivers of alerts: whether their settings can be used. No line is sent."""
    from correlator.wiring import sinks

    for sink in sinks(config):
        sink.close()
        yield Examined(sink.name, "receiver", True, {}, ())


def _unwritable(path: Path) -> str:
    """Return why nothing can be written to a folder; empty where something can."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        return f"{error.strerror}; make it writable for this user, or configure another"
    return ""


async def _targets(config: Config) -> list[Examined]:
    """Return what each switch and host has to say, all asked at a time within the configured bound."""
    from correlator.wiring import Clients

    limit = asyncio.Semaphore(config.periods.at_once)
    clients = Clients(config)
    try:
        tried = [_switch(clients, switch, limit) for switch in config.switches]
        tried += [_host(clients, host, limit) for host in config.hosts]
        return await asyncio.gather(*tried)
    finally:
        await clients.close()


async def _switch(clients: Clients, switch: Switch, limit: asyncio.Semaphore) -> Examined:
    from correlator.config import ConfigError

    try:
        pollers = clients.switch(switch)
    except ConfigError as error:
        return Examined(switch.name, "switch", False, {}, (str(error),))
    return await _tried(switch.name, "switch", list(pollers.values()), ("neighbors", "optics"), limit)


async def _host(clients: Clients, host: Host, limit: asyncio.Semaphore) -> Examined:
    from correlator.config import ConfigError

    try:
        poller = clients.host(host)
    except ConfigError as error:
        return Examined(host.name, "host", False, {}, (str(error),))
    return await _tried(host.name, "host", [poller], ("pair_samples",), limit)


async def _tried(
    name: str, kind: str, pollers: list[Poller], wanted: tuple[str, ...], limit: asyncio.Semaphore
) -> Examined:
    """Return what a target answers to each of its pollers; the first that fails is the last asked."""
    from correlator.wiring import SystemClock

    rows: dict[str, int] = {}
    remedies: list[str] = []
    for poller in pollers:
        async with limit:
            batches = await poller.poll(SystemClock().now(), {})
        tables = [(table, batch.tables[table]) for batch in batches for table in batch.tables]
        for table, found in tables:
            if table != "polls":
                rows[table] = rows.get(table, 0) + len(found)
        polls = [found.iloc[-1] for table, found in tables if table == "polls"]
        remedies += [poll["error"] for poll in polls if isinstance(poll["error"], str)]
        if not all(poll["ok"] for poll in polls):
            return Examined(name, kind, False, rows, tuple(dict.fromkeys(remedies)))
    remedies += [f"{name} {NOT_SEEN[table]}" for table in wanted if not rows.get(table)]
    return Examined(name, kind, True, rows, tuple(dict.fromkeys(remedies)))


def _print(found: list[Examined]) -> None:
    for one in found:
        told = ", ".join(f"{count} {table}" for table, count in sorted(one.rows.items()) if count)
        verdict, style = ("ok", "green") if one.ok else ("FAILS", "bold red")
        out.print(
            Text.assemble((f"{verdict:5} ", style), f"{one.kind} {one.name}", f": {told}" if told else "")
        )
        for remedy in one.remedies:
            out.print(f"      {remedy}", markup=False)
