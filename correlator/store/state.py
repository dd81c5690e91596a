"""Small mutable state that must survive ``kill -9``: incidents, the outbox of their events, cursors.

One SQLite file in write-ahead mode. An incident's change and the events that tell of it are one
transaction, so that no alert is lost and none is sent for what was not kept.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import SQLAlchemyError

from correlator.model import Incident, IncidentEvent, utc
from correlator.ports import Outgoing, StoreError
from correlator.store.disk import make_directory, reason

T = TypeVar("T")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Params:
    """How much of the past the state keeps."""

    keep_days: int = 7
    """Days that a delivered event and a cleared incident stay: the newest event is the clock."""
    max_outbox: int = 200_000
    """Events that are kept at most; beyond it the oldest go, and are counted where they were not delivered.

    A receiver may be away for a day while two events arise each second."""
    busy_s: float = 10.0
    """How long a write waits for another process's write, seconds."""


_metadata = sa.MetaData()
_incidents = sa.Table(
    "incidents",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("last_seen_us", sa.BigInteger, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
)
_outbox = sa.Table(
    "outbox",
    _metadata,
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("incident", sa.Text, nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False, index=True),
    sa.Column("document", sa.Text, nullable=False),
    sa.UniqueConstraint("incident", "seq"),
    sqlite_autoincrement=True,  # a position is never used again, even after the newest row is gone
)
_deliveries = sa.Table(
    "deliveries",
    _metadata,
    sa.Column("sink", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("dropped", sa.Integer, nullable=False, server_default="0"),
)
_cursors = sa.Table(
    "cursors",
    _metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)


class SqliteState:
    """``ports.State`` in one SQLite file, given by path or ``sqlite:///`` URL.

    ``sinks`` names all that events are queued for: one that is new starts with the events to come,
    one that is no longer named is forgotten. Who only looks names none, which changes nothing.
    Threads may share an instance, processes the file. Every method raises StoreError where
    the file cannot be read or written.
    """

    def __init__(self, path: str | Path, sinks: Sequence[str], params: Params | None = None) -> None:
        self._params = params or Params()
        self._sinks = tuple(sinks)
        url = sa.make_url(str(path)) if "://" in str(path) else sa.URL.create("sqlite", database=str(path))
        self._file = Path(url.database or "")
        with self._errors("open"):
            make_directory(self._file.parent)
            self._engine = sa.create_engine(url, connect_args={"timeout": self._params.busy_s})
            sa.event.listen(self._engine, "connect", _set_up)
            sa.event.listen(self._engine, "begin", _begin)
        with self._writing() as connection:
            _metadata.create_all(connection)
            self._register(connection)

    def incidents(self) -> list[Incident]:
        """Return the incidents that are pending or open, in the order of their ids."""
        query = (
            sa.select(_incidents.c.document).where(_incidents.c.state != "cleared").order_by(_incidents.c.id)
        )
        with self._reading() as connection:
            documents = connection.scalars(query).all()
        return [self._document(Incident.from_json, document) for document in documents]

    def commit(self, incidents: Sequence[Incident], events: Sequence[IncidentEvent]) -> None:
        """Keep changed incidents and queue their events, in one transaction.

        An event that is queued already (by incident and seq) is not queued again.
        """
        if not incidents and not events:
            return
        with self._writing() as connection:
            if incidents:
                _replace(connection, _incidents, [_incident_row(incident) for incident in incidents])
            if events:
                connection.execute(insert(_outbox).on_conflict_do_nothing(), [_event_row(e) for e in events])
                self._prune(connection)

    def outgoing(self, sink: str, limit: int) -> list[Outgoing]:
        """Return the oldest events that ``sink`` has not delivered yet, in order, at most ``limit``.

        A sink that was not named at construction has none.
        """
        position = sa.select(_deliveries.c.position).where(_deliveries.c.sink == sink).scalar_subquery()
        return self._events(_outbox.c.position > position, limit)

    def delivered(self, sink: str, position: int) -> None:
        """Note that ``sink`` has delivered everything up to and including ``position``."""
        further = sa.and_(_deliveries.c.sink == sink, _deliveries.c.position < position)
        with self._writing() as connection:
            connection.execute(sa.update(_deliveries).where(further).values(position=position))

    def waiting(self, sink: str) -> int:
        """Return how many events ``sink`` has not delivered yet."""
        position = sa.select(_deliveries.c.position).where(_deliveries.c.sink == sink).scalar_subquery()
        query = sa.select(sa.func.count()).select_from(_outbox).where(_outbox.c.position > position)
        with self._reading() as connection:
            return connection.scalar(query) or 0

    def dropped(self, sink: str) -> int:
        """Return how many events were dropped, since ever, before ``sink`` could deliver them."""
        query = sa.select(_deliveries.c.dropped).where(_deliveries.c.sink == sink)
        with self._reading() as connection:
            return connection.scalar(query) or 0

    def cursor(self, name: str) -> dict[str, str]:
        """Return the remembered values under ``name``; empty where there are none."""
        query = sa.select(_cursors.c.key, _cursors.c.value).where(_cursors.c.name == name)
        with self._reading() as connection:
            return {row.key: row.value for row in connection.execute(query)}

    def cursors(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return the remembered values under each of the names; empty where there are none."""
        found: dict[str, dict[str, str]] = {name: {} for name in names}
        with self._reading() as connection:
            for name, key, value in connection.execute(sa.select(_cursors)):
                if name in found:
                    found[name][key] = value
        return found

    def set_cursors(self, values: Mapping[str, Mapping[str, str]]) -> None:
        """Remember values under each name, replacing what was there, in one transaction."""
        names = [{"which": name} for name in values]
        rows = [
            {"name": name, "key": key, "value": value}
            for name, some in values.items()
            for key, value in some.items()
        ]
        with self._writing() as connection:
            if names:
                connection.execute(sa.delete(_cursors).where(_cursors.c.name == sa.bindparam("which")), names)
            if rows:
                connection.execute(sa.insert(_cursors), rows)

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    def _register(self, connection: sa.Connection) -> None:
        if not self._sinks:
            return
        rows = [{"sink": sink, "position": _end(connection)} for sink in self._sinks]
        connection.execute(insert(_deliveries).on_conflict_do_nothing(), rows)
        connection.execute(sa.delete(_deliveries).where(_deliveries.c.sink.not_in(self._sinks)))

    def _events(self, where: sa.ColumnElement[bool], limit: int) -> list[Outgoing]:
        columns = (_outbox.c.position, _outbox.c.document)
        query = sa.select(*columns).where(where).order_by(_outbox.c.position).limit(limit)
        with self._reading() as connection:
            rows = connection.execute(query).all()
        return [Outgoing(row.position, self._document(IncidentEvent.from_json, row.document)) for row in rows]

    def _document(self, read: Callable[[dict[str, Any]], T], document: str) -> T:
        try:
            return read(json.loads(document))
        except ValueError as error:
            raise StoreError(
                f"cannot read the state in {self._file}: it was written by another version; move it away"
            ) from error

    def _prune(self, connection: sa.Connection) -> None:
        """Forget what is delivered and old, and what is beyond the bound."""
        newest = connection.scalar(sa.select(sa.func.max(_outbox.c.at_us))) or 0
        old = newest - timedelta(days=self._params.keep_days) // timedelta(microseconds=1)
        slowest = connection.scalar(sa.select(sa.func.min(_deliveries.c.position)))
        is_old = _outbox.c.at_us < old
        done = is_old if slowest is None else sa.and_(is_old, _outbox.c.position <= slowest)
        connection.execute(sa.delete(_outbox).where(done))
        cleared = sa.and_(_incidents.c.state == "cleared", _incidents.c.last_seen_us < old)
        connection.execute(sa.delete(_incidents).where(cleared))
        self._drop_beyond_bound(connection)

    def _drop_beyond_bound(self, connection: sa.Connection) -> None:
        first_kept = _end(connection) - self._params.max_outbox + 1
        late = sa.select(_deliveries.c.sink, _deliveries.c.position).where(
            _deliveries.c.position < first_kept - 1
        )
        for sink, position in connection.execute(late).all():
            lost = _outbox.c.position.between(position + 1, first_kept - 1)
            count = connection.scalar(sa.select(sa.func.count()).select_from(_outbox).where(lost))
            values = {"dropped": _deliveries.c.dropped + count, "position": first_kept - 1}
            connection.execute(sa.update(_deliveries).where(_deliveries.c.sink == sink).values(values))
        connection.execute(sa.delete(_outbox).where(_outbox.c.position < first_kept))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._errors("read"), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with (
            self._errors("write"),
            self._engine.connect() as connection,
            connection.execution_options(correlator_write=True).begin(),
        ):
            yield connection

    @contextlib.contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (OSError, SQLAlchemyError) as error:
            cause = getattr(error, "orig", None) or error
            raise StoreError(f"cannot {doing} the state in {self._file}: {reason(cause)}") from error


def _set_up(connection: Any, _record: object) -> None:
    """Set up a connection: a commit is on the disk when it returns, readers and a writer do not wait."""
    connection.isolation_level = None  # the "begin" event below opens transactions, not the driver
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    """Open a transaction; a writing one takes its lock at once, so that it waits and does not fail later."""
    writes = connection.get_execution_options().get("correlator_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _end(connection: sa.Connection) -> int:
    """Return the newest position of the outbox, 0 where there is none."""
    return connection.scalar(sa.select(sa.func.max(_outbox.c.position))) or 0


def _replace(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    statement = insert(table)
    new = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    connection.execute(statement.on_conflict_do_update(index_elements=table.primary_key, set_=new), rows)


def _incident_row(incident: Incident) -> dict[str, Any]:
    return {
        "id": incident.id,
        "key": incident.key,
        "state": incident.state,
        "last_seen_us": _microseconds(incident.last_seen),
        "document": json.dumps(incident.to_json(), separators=(",", ":")),
    }


def _event_row(event: IncidentEvent) -> dict[str, Any]:
    return {
        "incident": event.incident,
        "seq": event.seq,
        "at_us": _microseconds(event.at),
        "document": json.dumps(event.to_json(), separators=(",", ":")),
    }


def _microseconds(moment: datetime) -> int:
    return (utc(moment) - EPOCH) // timedelta(microseconds=1)
