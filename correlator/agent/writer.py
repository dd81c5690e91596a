"""Finished intervals named and written: waits a little for names that Docker still owes, then spools."""

from __future__ import annotations

import json
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from correlator.agent import addresses
from correlator.agent.collector import Collector, Interval
from correlator.agent.conntrack import within
from correlator.agent.figures import Figures
from correlator.agent.namespaces import HOST
from correlator.agent.registry import Registry
from correlator.agent.rows import Machine, Row, Who, container_row, host_rows, pair_rows
from correlator.agent.spool import Spool, SpoolError
from correlator.agent.text import clean

log = logging.getLogger(__name__)

MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True)
class Params:
    """How rows are written. Origin of patience: an inspection waits for its container's start."""

    patience_s: float = 5.0
    hosts_every_s: float = 300.0
    retell_every_s: float = 600.0  # running containers again, so that a short window knows them
    networks_every_s: float = 30.0
    lldp_every_s: float = 60.0
    conntrack_every_s: float = 300.0  # events tell sooner; this is for what they missed
    lldpd_socket: Path | None = None


class Writer:
    """Turns intervals into rows in the spool, until stopped."""

    def __init__(
        self,
        params: Params,
        collector: Collector,
        registry: Registry,
        spool: Spool,
        figures: Figures,
        identity: Callable[[], str | None],
        engine_id: Callable[[], str | None],
        docker_up: Callable[[], bool],
    ) -> None:
        self._params = params
        self._collector = collector
        self._registry = registry
        self._spool = spool
        self._figures = figures
        self._identity = identity
        self._engine_id = engine_id
        self._docker_up = docker_up
        self._stop = threading.Event()
        self._gateways: frozenset[str] = frozenset()
        self._networks_due = self._conntrack_due = self._hosts_due = self._lldp_due = float("-inf")
        self._heard: dict[str, addresses.Lldp] = {}
        self._retell_due = time.monotonic() + params.retell_every_s
        self._hosts_before: list[Row] = []
        self.last_written: float | None = None

    def run(self) -> None:
        """Write until ``stop``, and what has been finished by then."""
        while not (self._stop.is_set() and (self._collector.finished.empty() or self._identity() is None)):
            self.look()
            if self._identity() is None:  # rows wait for the host's id, as long as the queue has room
                self._stop.wait(0.5)
                continue
            try:
                interval = self._collector.finished.get(timeout=1.0)
            except queue.Empty:
                continue
            self._wait_for_names(interval)
            self.write(interval)

    def stop(self) -> None:
        """Have ``run`` end once the finished intervals are written."""
        self._stop.set()

    # -- what is seen from the host ----------------------------------------------------------------------

    def look(self) -> None:
        """Refresh what is known of the host's networks and conntrack, where it is time."""
        now = time.monotonic()
        if now >= self._networks_due:
            self._networks_due = now + self._params.networks_every_s
            self._look_at_networks()
        if now >= self._conntrack_due or self._collector.conntrack_lost.is_set():
            self._conntrack_due = now + self._params.conntrack_every_s
            self._collector.conntrack_lost.clear()
            self._look_at_conntrack()

    def _look_at_networks(self) -> None:
        try:
            found = addresses.interfaces()
        except OSError as error:
            log.warning("the host's interfaces cannot be read: %s", error)
            return
        self._collector.nat.is_local = within(addresses.container_networks(found))
        self._gateways = frozenset(a for one in found if one.kind == "bridge" for a in one.addresses)

    def _look_at_conntrack(self) -> None:
        for entry in self._collector.conntrack_entries():
            self._collector.nat_inbox.put(entry)

    # -- rows --------------------------------------------------------------------------------------------

    def _wait_for_names(self, interval: Interval) -> None:
        """Wait until every namespace with rows has a container, but no longer than patience lasts."""
        wanted = {
            interval.names.get(key.slot, "")
            for key in set(interval.rows.keys)
            if key.owner is None and not key.note
        }
        until = time.monotonic() + (self._params.patience_s if self._docker_up() else 0.0)
        while not self._stop.is_set():
            missing = [
                name for name in wanted if name and name != HOST and self._registry.owner(name) is None
            ]
            self._registry.changed.clear()
            left = until - time.monotonic()
            if not missing or left <= 0:
                return
            self._registry.changed.wait(min(left, 0.2))

    def write(self, interval: Interval) -> None:
        """Write an interval's rows with those of containers and interfaces that are due, all or none."""
        host = self._identity()
        if host is None:
            self._figures.count("rows_lost", len(interval.rows))
            return
        who = Who(host, self._registry.owner, self._registry.get, self._gateways)
        rows = [("hosts", json.dumps(row)) for row in self._host_rows(host, interval.at)]
        rows += [("containers", json.dumps(row)) for row in self._container_rows(host, interval.at)]
        rows += [("pair_samples", row) for row in pair_rows(interval, who)]
        pruned = self._spool.pruned
        try:
            self._spool.append(rows)
        except SpoolError as error:
            self._figures.count("rows_lost", len(rows))
            self._hosts_due = float("-inf")
            self._registry.retell()
            log.error("%s", error)
            return
        self._figures.count("intervals")
        self._figures.count("rows", len(rows))
        self._figures.count("rows_pruned", self._spool.pruned - pruned)
        self._figures.gauges["written_until_timestamp_seconds"] = interval.whole_until.timestamp()
        self.last_written = time.monotonic()

    def _container_rows(self, host: str, at: datetime) -> list[Row]:
        now = time.monotonic()
        if now >= self._retell_due:
            self._retell_due = now + self._params.retell_every_s
            self._registry.retell()
        return [container_row(one, at, host) for one in self._registry.untold(now)]

    def _host_rows(self, host: str, at: datetime) -> list[Row]:
        """Return the rows of interfaces where they are due or have changed."""
        try:
            everything = addresses.interfaces()
        except OSError:
            return []
        due = time.monotonic() >= self._hosts_due
        machine = Machine(host, self._engine_id(), machine_id(), clean(socket.gethostname()))
        if time.monotonic() >= self._lldp_due:
            self._lldp_due = time.monotonic() + self._params.lldp_every_s
            self._heard = addresses.lldp(self._params.lldpd_socket)
        rows = host_rows(machine, addresses.nics(everything), everything, self._heard, at)
        plain = [{name: value for name, value in row.items() if name != "at"} for row in rows]
        if not due and plain == self._hosts_before:
            return []
        self._hosts_before = plain
        self._hosts_due = time.monotonic() + self._params.hosts_every_s
        return rows


def machine_id() -> str | None:
    """Return this machine's id; None where it has none."""
    try:
        return clean(MACHINE_ID.read_text().strip(), 64)
    except (OSError, UnicodeDecodeError):
        return None
